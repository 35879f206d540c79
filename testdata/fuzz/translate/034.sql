insert into pt(n,d) values ('a',1),('b',2);
select coalesce($1, id) from p where id = 1;
select * from ap where id = any($1::int[]);
select * from jt where id=$1 and n like $2;
SELECT * FROM "django_content_type" LIMIT 1;
CREATE TYPE kind_t AS ENUM ('home', 'work')
