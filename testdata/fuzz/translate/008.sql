select version();
DROP TYPE kind_t;
drop table nosuch;
select * from ap;
DROP TABLE addrs;
select 'abc'::int
