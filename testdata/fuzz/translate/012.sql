copy pt(n) from stdin;
create index on s33(a);
update k set x = 'abc';
vacuum pgbench_tellers;
vacuum pgbench_branches;
update o8 set v = v + 1
