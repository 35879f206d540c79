SELECT setting FROM pg_catalog.pg_settings WHERE name='max_index_keys';
select g, g * 2 as dbl from generate_series(1, 10, 3) g order by g desc;
select name from p where name like '%n%' or name ilike 'B_b' order by 1;
-- pgbench-partfk: distinct statements in order; Q=simple Query, P=Parse;
-- django-migrate: distinct statements in order; Q=simple Query, P=Parse;
select *, n as nn, count(*) over () from sx where id=$1 and n = any($2)
