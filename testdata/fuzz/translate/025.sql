copy pt to stdout (format binary);
alter table s3 drop constraint pos;
select sum(pay) from p where false;
insert into k values (1, 1, 'dup');
SELECT * FROM "blog_post" LIMIT 1;
alter table s2 add primary key (a)
