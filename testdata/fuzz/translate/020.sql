insert into self values (3, 9);
CREATE INDEX k_1 ON sbtest1(k);
alter sequence nothing restart;
insert into s3(id) values (-1);
select 1 from p where name > 5;
create type mood as enum ('a')
