CREATE INDEX "django_session_expire_date_a5c62663" ON "django_session" ("expire_date");
SELECT addrs.uid, addrs.id, addrs.e, addrs.kind 
FROM addrs 
WHERE addrs.uid IN (2, 1);
select d.*, p.name from d left join p on p.dept = d.code and p.pay > 90 order by d.code;
select unnest(array[1, 2, 3]) + 1 as a, unnest(array['x', 'y']) from d where code = 'e';
select extract(year from hired) as y, count(*) from p group by y order by y nulls first;
with src as (select 9 as x, 9 as y) insert into k(x, y) select x, y from src returning *
