values (1, 'a'), (2, null), (3, 'c');
select * from d where budget = 'abc';
SET SESSION search_path TO 'public';
select a, true, not false from lists;
insert into b(a_id, g) values (1, 5);
alter table s3 rename column e to ee
