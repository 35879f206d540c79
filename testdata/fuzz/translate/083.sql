select substring('hello' from 2 for 3), substring('hello' from 2), substring('hello', -1, 4), substr('hello', 2), left('hello', 2), left('hello', -2), right('hello', 2), right('hello', -2), position('l' in 'hello'), strpos('hello', 'z');
SELECT ("blog_post_tags"."post_id") AS "_prefetch_related_val_post_id", "blog_tag"."id", "blog_tag"."name" FROM "blog_tag" INNER JOIN "blog_post_tags" ON ("blog_tag"."id" = "blog_post_tags"."tag_id") WHERE "blog_post_tags"."post_id" IN (5);
SELECT t.typname,t.oid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON (t.typnamespace = n.oid)  WHERE n.nspname  != 'pg_toast' AND  (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid));
select '{"a": {"b": 1, "c": [1, 2, {"d": null}]}}'::jsonb @> '{"a": {"c": [2, {"d": null}]}}', '[1, 2]'::jsonb @> '1', '[[1, 2]]'::jsonb @> '[1]', '{"a": 1.0}'::jsonb @> '{"a": 1}', '{"a": 1}' <@ '{"a": 1, "b": 2}'::jsonb, '[1]'::jsonb @> '[1, 1]';
select age(timestamp '2024-03-15', timestamp '2023-12-20'), age(timestamp '2023-12-20', timestamp '2024-03-15'), make_date(2024, 2, 29), to_timestamp(1700000000), to_timestamp(0.5), justify_days(interval '65 days'), justify_hours(interval '50 hours');
SELECT true as sametable, conname,
  pg_catalog.pg_get_constraintdef(r.oid, true) as condef,
  conrelid::pg_catalog.regclass AS ontable
FROM pg_catalog.pg_constraint r
WHERE r.conrelid = '16395' AND r.contype = 'f'
     AND conparentid = 0
ORDER BY conname
