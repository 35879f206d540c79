select name from p limit 0;
SET extra_float_digits = 3;
select '{"a":1}'::jsonb - 1;
select array[1, 9, 2] @> $1;
select sum(sum(pay)) from p;
create temp table tt(a int)
