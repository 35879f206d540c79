-- sqlalchemy-psycopg: distinct statements in order; Q=simple Query, P=Parse;
alter table "kt" alter column "n" type varchar(50) using ("n"::varchar(50));
insert into a(id, n) overriding system value values (99, 'yes') returning id;
SELECT datname FROM pg_catalog.pg_database  WHERE datname LIKE '%'
LIMIT 1000;
CREATE INDEX "blog_post_tags_tag_id_0875c551" ON "blog_post_tags" ("tag_id");
select a, b, n from unnest(array[1, 2], array['x']) with ordinality u(a, b, n)
