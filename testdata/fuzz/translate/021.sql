select id, n from t for update;
truncate a, b restart identity;
SELECT pg_advisory_unlock($1);
insert into b(a_id) values (2);
comment on column s33.a is 'c';
select p.* from p where id = 1
