comment on table s33 is 'it''s';
select * from d where title = 5;
alter sequence numbered restart;
DELETE FROM sbtest1 WHERE id=$1;
vacuum analyze pgbench_accounts;
insert into t(name) values('z')
