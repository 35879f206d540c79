SELECT 'now'::pg_catalog.regproc::pg_catalog.oid;
select 1::int4, 'x', 1.5, true, now(), $1::date;
SELECT c FROM sbtest1 WHERE id BETWEEN $1 AND $2;
copy pgbench_accounts from stdin with (freeze on);
alter table pgbench_tellers add primary key (tid);
select k from t where n like 'a%' or n ilike 'B%'
