SELECT * FROM "auth_user" LIMIT 1;
insert into k values (1, null, 'n');
SELECT * FROM "auth_group" LIMIT 1;
select distinct c from t order by c;
BEGIN ISOLATION LEVEL SERIALIZABLE;
select count(*) from p cross join d
