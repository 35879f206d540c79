DECLARE _psql_cursor NO SCROLL CURSOR FOR
select * from t;
select max("batch") as "max_batch" from "knex_migrations";
insert into a(id, n) values (default, 'four') returning id;
UPDATE "blog_post" SET "score" = ("blog_post"."score" + 1);
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY DEFERRABLE;
copy (select id from t) to stdout with (format csv, header)
