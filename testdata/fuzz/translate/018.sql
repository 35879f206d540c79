select * from evesql_catalog;
alter table s3 rename to s33;
insert into s2(b) values (5);
SELECT pg_advisory_lock($1);
create table evesql_x(a int);
select '{}'::json @> '{}', 1
