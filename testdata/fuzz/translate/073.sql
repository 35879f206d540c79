ALTER TABLE "auth_permission" ADD CONSTRAINT "auth_permission_content_type_id_codename_01ab375a_uniq" UNIQUE ("content_type_id", "codename");
SELECT "django_migrations"."id", "django_migrations"."app", "django_migrations"."name", "django_migrations"."applied" FROM "django_migrations";
SELECT t.typlen FROM pg_catalog.pg_type t, pg_catalog.pg_namespace n WHERE t.typnamespace=n.oid AND t.typname='name' AND n.nspname='pg_catalog';
drop table if exists nt; create table nt(id serial primary key, n varchar(20) unique, j jsonb, a int[], d numeric, at timestamptz default now());
select json_build_object('a', 1, 'b', 'x'), jsonb_build_object('b', true, 'a', null), json_build_array(1, 'a', null), to_jsonb(5), to_json('x'::text);
insert into pt(n,d,j,a,by,ts) values('o''x',1.10,'{"a": 1}',ARRAY[1,2],'\x0001'::bytea,'2026-11-22T14:20:59.051152+00:00'::timestamptz) returning id
