-- sysbench-oltp_point_select-run: distinct statements in order; Q=simple Query, P=Parse;
select * from (values (1, 'a'), (2, 'b')) v(x, y) natural join (values (2, true)) w(x, z);
-- sysbench-oltp_read_write-cleanup: distinct statements in order; Q=simple Query, P=Parse;
-- sysbench-oltp_read_write-prepare: distinct statements in order; Q=simple Query, P=Parse;
CREATE INDEX "auth_group_name_a6ea08ec_like" ON "auth_group" ("name" varchar_pattern_ops);
insert into d values ('e', 'Engineering', 1000), ('s', 'Sales', 500), ('x', 'Empty', null)
