DROP TABLE at;
select * from t;
select $1::int;
DEALLOCATE ALL;
drop schema app;
select true + 1
