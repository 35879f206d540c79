create table bad(a int default 'x');
select * from generate_series(1, 3);
select * from jt where id = any($1);
alter table s2 rename column c to cc;
select 32767::smallint + 1::smallint;
insert into pg_class(oid) values (1)
