select 0.1::float8 + 0.2::float8, 1e15::float8, 1e14::float8, 123456789.123456789::float8, 0.00001::float8, 1.0::float8, 100::float4, 3.14159::float4, '-0'::float8, 'Infinity'::float8;
INSERT INTO "django_migrations" ("app", "name", "applied") VALUES ('contenttypes', '0001_initial', '2026-11-22 14:22:03.210916+00:00'::timestamptz) RETURNING "django_migrations"."id";
select 12345.678::numeric(7,2), 12345.678::numeric(8,3), 1.005::numeric(5,2), 12::numeric(5,2), '1e3'::numeric, 'NaN'::numeric, 0.000::numeric, 1.0::numeric = 1.00::numeric, 1.10 > 1.1;
SELECT pg_catalog.pg_namespace.nspname 
FROM pg_catalog.pg_namespace 
WHERE (pg_catalog.pg_namespace.nspname NOT LIKE 'pg/_' || '%' ESCAPE '/') ORDER BY pg_catalog.pg_namespace.nspname;
select '{"a":1}'::jsonb ? 'a', '["x"]'::jsonb ? 'x', '"x"'::jsonb ? 'x', '{"a":1}'::jsonb ?| array['b','a'], '{"a":1}'::jsonb ?& array['b','a'], '{"a":1,"b":2}'::jsonb ?& array['b','a'];
SELECT n.nspname AS "Name",
  pg_catalog.pg_get_userbyid(n.nspowner) AS "Owner"
FROM pg_catalog.pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1
