ALTER TABLE "auth_group_permissions" ADD CONSTRAINT "auth_group_permissions_group_id_permission_id_0cd325b0_uniq" UNIQUE ("group_id", "permission_id");
SELECT r.conname, pg_catalog.pg_get_constraintdef(r.oid, true)
FROM pg_catalog.pg_constraint r
WHERE r.conrelid = '16395' AND r.contype = 'c'
ORDER BY 1;
INSERT INTO sbtest1(k, c, pad) VALUES(150, '83868641912-28773972837', '67847967377-48000963322'),(151, '38014276128-25250245652', '23183251411-36241541236');
ALTER TABLE "auth_user_user_permissions" ADD CONSTRAINT "auth_user_user_permissions_user_id_permission_id_14a6b632_uniq" UNIQUE ("user_id", "permission_id");
select regexp_replace('foobar', 'o+', 'X'), regexp_replace('foobar', '[oa]', 'X', 'g'), regexp_replace('abc', '(b)', '<\1>'), substring('foobar' from 'o(.)b');
CREATE TABLE "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, "session_data" text NOT NULL, "expire_date" timestamp with time zone NOT NULL)
