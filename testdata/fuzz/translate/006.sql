drop view v1, v2;
copy k to stdout;
drop index s33_u;
SAVEPOINT "sp1";
select sum(1, 2);
BEGIN READ ONLY
