update "knex_migrations_lock" set "is_locked" = $1;
create or replace view v1 as select a, c, b from s2;
SELECT abalance FROM pgbench_accounts WHERE aid = $1;
insert into t(n) values ('a') on conflict do nothing;
select count(*) from nt where n in ($1,$2) limit $3;
insert into a(n) values ('one'), ('two') returning *
