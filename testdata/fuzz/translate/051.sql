alter table s3 add constraint s3_a_fkey foreign key (a) references s2;
alter table s3 alter column ee type varchar(2) using substr(ee, 1, 2);
select * from p where id in (1, 2) order by id for update skip locked;
-- pgbench-init: distinct statements in order; Q=simple Query, P=Parse;
-- node-pg-knex: distinct statements in order; Q=simple Query, P=Parse;
update t set k = k + $1, big = big + $1 where id = $2 returning k, big
