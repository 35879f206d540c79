insert into t(n, k, big, d, b, c, day) values ('a', 1, 10, 1.5, true, 'x', '2020-01-31'), ('b', 2, 20, 2.255, false, 'yy', '2020-02-29') returning id, n, d, ts;
select array[1, 2, 3] @> array[3, 1], '{1}' <@ array[1, 2], array['x', null] @> array[null::text], array[1, 2] && array[2, 5], array[1] && '{}', array[1, 2] @> '{}';
select coalesce(null, 2), coalesce(null, 'x'), nullif(1, 1), nullif(1, 2), greatest(1, 3, 2), least(1, null, 2), greatest('a', 'b'), greatest(1, 2.5), least(1.5, 2);
SELECT n.nspname = ANY(current_schemas(true)), n.nspname, t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = $1;
select count(*) filter (where pay > 70), string_agg(name, ',' order by name desc), array_agg(id order by id), bool_and(pay > 10), bool_or(pay > 100), every(id > 0) from p;
ALTER TABLE "blog_post" ADD CONSTRAINT "blog_post_parent_id_4228cc7f_fk_blog_post_id" FOREIGN KEY ("parent_id") REFERENCES "blog_post" ("id") DEFERRABLE INITIALLY DEFERRED
