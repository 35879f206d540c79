delete from nosuch;
select x.id from p;
vacuum analyze s33;
select pg_sleep(3);
select nextval('sq');
select 1e400::float8
