select id from p except select boss from p order by 1;
select $1::int as a, now() as t, 1.5 as n, true as b;
select "name" as "Mixed Name", ID from P where Id = 1;
insert into pgbench_branches(bid,bbalance) values(1,0);
DECLARE "srv" CURSOR WITHOUT HOLD FOR select * from pt;
select "name" from "knex_migrations" order by "id" asc
