select name from p order by pay nulls first, name offset 1 fetch first 2 rows only;
select name from p where pay between 70 and 90 and hired >= '2020-01-01' order by 1;
CREATE INDEX "auth_user_groups_user_id_6a12ed8b" ON "auth_user_groups" ("user_id");
select (1, 2) = (1, 2), (1, 2) < (1, 3), (2, 1) > (1, 9), row(1, 'a') = row(1, 'a');
CREATE INDEX "django_admin_log_user_id_c564eba6" ON "django_admin_log" ("user_id");
SELECT enumlabel
FROM pg_catalog.pg_enum
WHERE enumtypid = $1
ORDER BY enumsortorder
