select lower(1);
copy t to stdout;
drop sequence sq;
select 1 where 1;
select length(1);
drop table "kt"
