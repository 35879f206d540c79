-- tokio-postgres: distinct statements in order; Q=simple Query, P=Parse;
select array_agg(id), string_agg(name, ','), count(*) from p where false;
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE;
CREATE INDEX "blog_post_parent_id_4228cc7f" ON "blog_post" ("parent_id");
-- pgbench-prepared: distinct statements in order; Q=simple Query, P=Parse;
-- pgbench-extended: distinct statements in order; Q=simple Query, P=Parse
