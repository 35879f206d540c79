select nullif(pay, 80), coalesce(pay, 0) from p order by id;
alter table "kt" add constraint "kt_n_unique" unique ("n");
INSERT INTO sbtest1 (id, k, c, pad) VALUES ($1, $2, $3, $4);
EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE sqlx_s_3(NULL, NULL);
insert into pgbench_tellers(tid,bid,tbalance) values (1,1,0);
create function f() returns int as $$select 1$$ language sql
