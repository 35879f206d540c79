select '1'::jsonb - 'a';
select interval 'bogus';
drop table if exists jt;
drop table if exists jc;
truncate pgbench_history;
select current_schema()
