SELECT rolname AS "Role", datname AS "Database",
pg_catalog.array_to_string(setconfig, E'\n') AS "Settings"
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN pg_catalog.pg_database d ON d.oid = setdatabase
LEFT JOIN pg_catalog.pg_roles r ON r.oid = setrole
ORDER BY 1, 2;
SELECT "blog_post"."id", "blog_post"."title", "blog_post"."body", "blog_post"."score", "blog_post"."at", "blog_post"."d", "blog_post"."ok", "blog_post"."j", "blog_post"."u", "blog_post"."dur", "blog_post"."b", "blog_post"."n", "blog_post"."parent_id" FROM "blog_post";
select j -> 'a', j ->> 'b', j -> 'a' -> 0, j #> '{a,1}', j #>> '{a,1,x}', j -> 'zz', jsonb_typeof(j), jsonb_array_length(j -> 'a'), '{"k":1}'::json ->> 'k', '{"x":   1,"a":2}'::jsonb, '[1,2]'::json, (j ->> 'b')::int + 1, j = '{"a": [1, {"x": null}], "b": 1}'::jsonb from e;
select 1 in (1, 2), 3 not in (1, 2), null in (1), 1 in (null, 1), 1.0 in (1, 2), 'a' in ('b', 'a'), (1, 2) in ((1, 2), (3, 4)), 2 between 1 and 3, 2 not between 1 and 3, 2 = any(array[1,2]), 2 = any('{1,3}'::int[]), 2 <> all(array[1,3]), 5 > all(array[1,3]), 2 < any(array[1,2]);
insert into e values (1, 2, 3, 1.5, 2.25, 1.10, 3.5, 'abc', 'vc', 'ch', true, '2024-02-29', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56+02', '1 mon 2 days 03:04:05', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x00ff', '{1,2,3}', '{a,"b c",NULL}', '{"b": 1, "a": [1, {"x": null}]}');
select 'infinity'::timestamp, '-infinity'::date, 'epoch'::timestamp, '2024-01-01T10:00:00Z'::timestamptz, '2024-01-01 10:00:00.123456789'::timestamp, '10:11'::time, '20240102'::date, 'January 8, 1999'::date, '1999-01-08 04:05:06 -8:00'::timestamptz, '2024-01-01 10:00:00.5'::timestamp(0)
