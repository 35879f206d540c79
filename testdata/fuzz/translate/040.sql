create view v1 as select a, c from s2 where a < 10;
alter table pgbench_branches add primary key (bid);
alter table pgbench_accounts add primary key (aid);
select name from p order by id limit null offset 4;
CREATE UNIQUE INDEX ix_users_name ON users (name);
SELECT * FROM "auth_user_user_permissions" LIMIT 1
