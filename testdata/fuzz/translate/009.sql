copy k from stdin;
CLOSE _psql_cursor;
truncate k cascade;
select * from p, p;
select * from ctas;
select pg_sleep(3)
