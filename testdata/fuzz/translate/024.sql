show transaction isolation level;
select date_trunc('bogus', now());
show standard_conforming_strings;
values (1), (2.5) order by 1 desc;
SELECT * FROM "blog_tag" LIMIT 1;
SAVEPOINT __asyncpg_savepoint_a__
