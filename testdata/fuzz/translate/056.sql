select replace(jsonb_pretty('{"a":[1,2],"bb":{},"b":{"c":null}}'), E'\n', '~');
select u, y, length(y) from e where u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';
DELETE FROM "blog_post_tags" WHERE "blog_post_tags"."post_id" IN (5, 6, 7, 8);
CREATE INDEX "blog_post_tags_post_id_a1c71c8a" ON "blog_post_tags" ("post_id");
alter table s3 alter column ee set default 'new', alter column ee drop not null;
select p.name, s.n from p, lateral (select p.id * 10) as s(n) order by 1 limit 2
