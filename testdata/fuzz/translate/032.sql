create table app.t(id serial primary key);
create table lists(a int[], s smallint[]);
SELECT * FROM "django_admin_log" LIMIT 1;
create sequence sq start 10 increment by 5;
create table bad(a int references s33(ee));
select jsonb_object_keys('{"bb":1,"a":2}')
