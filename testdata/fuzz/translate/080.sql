SELECT c.oid::pg_catalog.regclass
FROM pg_catalog.pg_class c, pg_catalog.pg_inherits i
WHERE c.oid = i.inhparent AND i.inhrelid = '16395'
  AND c.relkind != 'p' AND c.relkind != 'I'
ORDER BY inhseqno;
select array[1,2,3] @> array[2,1], array[1,null] @> array[null]::int[], array['a','b'] && array['b','c'], array[1] && array[2], array[]::int[] <@ array[1], '{a,b}'::text[] @> '{a}', array[1,2] @> '{1}';
ALTER TABLE "auth_permission" ADD CONSTRAINT "auth_permission_content_type_id_2f476e4b_fk_django_co" FOREIGN KEY ("content_type_id") REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE "django_admin_log" ADD CONSTRAINT "django_admin_log_content_type_id_c4bce8eb_fk_django_co" FOREIGN KEY ("content_type_id") REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE "auth_group_permissions" ADD CONSTRAINT "auth_group_permissio_permission_id_84c5c92e_fk_auth_perm" FOREIGN KEY ("permission_id") REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED;
insert into p values (1, 'Ann', null, 100.50, 'e', '2020-01-01'), (2, 'Bob', 1, 80, 'e', '2021-05-05'), (3, 'Cy', 1, 80, 's', '2019-07-07'), (4, 'Di', 2, null, 's', null), (5, 'Ed', 3, 60.25, null, '2022-02-02')
