select '{1,2'::int[];
select 'maybe'::bool;
select id,n from jt;
create database other;
select nofunc(1, 'a');
select count(*) from b
