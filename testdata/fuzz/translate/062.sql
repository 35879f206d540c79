create unique index s33_u on s33 using btree (lower(ee) varchar_pattern_ops) where id > 100;
insert into b(a_id, x, y) values (1, 'ab    ', 'b     ') returning x, y, x || '|', y || '|';
create table t(id serial primary key, name varchar(20) unique, amount numeric(10,2), n text);
alter table s3 add column d timestamptz default now(), add column e text not null default 'e';
insert into a(n) select 'gen' || g from generate_series(1, 2) g order by g desc returning id, n;
select pg_typeof(1)::oid, pg_typeof(1.5)::oid, pg_typeof(now())::oid, pg_typeof('a' || 'b')::oid
