SELECT pg_advisory_unlock_all();
CLOSE ALL;
UNLISTEN *;
RESET ALL;
insert into t(n) values ('this is longer than twenty characters');
CREATE INDEX "blog_post_title_adf2f203" ON "blog_post" ("title");
ALTER TABLE "auth_user" ALTER COLUMN "username" TYPE varchar(150);
select name from p where pay > (select avg(pay) from p) order by 1;
-- psql-tab: distinct statements in order; Q=simple Query, P=Parse
