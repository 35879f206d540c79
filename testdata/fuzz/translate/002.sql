drop view v1;
LISTEN "ch";
CLOSE "srv";
select not 1;
select 1 % 0;
select 1 / 0
