CLOSE "_django_curs_140314864069504_sync_1";
select * from jsonb_array_elements('{"a":1}');
insert into a(n) values ('fresh') returning n;
select min(dept), max(pay), min(hired) from p;
alter table "kt" add column "z" varchar(255);
select n from t where id = $1 or id = any($2)
