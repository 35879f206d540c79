alter table s3 add column f int unique;
explain select * from s33 where id = 1;
select * from nt where id=$1 and at<$2;
SELECT * FROM "blog_post_tags" LIMIT 1;
SELECT * FROM "django_session" LIMIT 1;
create table if not exists sxm(id int)
