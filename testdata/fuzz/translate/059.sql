select cast('5' as int), '5'::int8, 5::text || '', int4 '7', float8 '1.5', bool 'true';
-- sysbench-oltp_read_write-run: distinct statements in order; Q=simple Query, P=Parse;
select p.name, d.title from p right join d on p.dept = d.code order by 1 nulls last, 2;
-- sysbench-oltp_write_only-run: distinct statements in order; Q=simple Query, P=Parse;
insert into "kt" ("n") values ($1) on conflict ("n") do update set "n" = excluded."n";
insert into k values (1, 1, 'c') on conflict on constraint k_pkey do update set v = 'c'
