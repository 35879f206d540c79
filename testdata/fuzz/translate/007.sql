RELEASE "_pg3_2";
select * from tp;
START TRANSACTION;
DROP TABLE users;
create schema app;
select 'zz'::uuid
