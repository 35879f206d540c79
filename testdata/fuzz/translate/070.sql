ALTER TABLE "blog_post_tags" ADD CONSTRAINT "blog_post_tags_post_id_tag_id_4925ec37_uniq" UNIQUE ("post_id", "tag_id");
select * from information_schema.columns where table_name = $1 and column_name = $2 and table_schema = current_schema();
select to_char(hired, 'YYYY') as year, count(*) from p where hired is not null group by to_char(hired, 'YYYY') order by 1;
INSERT INTO "django_content_type" ("app_label", "model") VALUES ('admin', 'logentry') RETURNING "django_content_type"."id";
select 1/2, 1.0/2, 1/2.0::float8, 5 % 3, -5 % 3, 5 % -3, -5 / 2, 2 ^ 10, 2.0 ^ 3, 7 & 3, 7 | 8, 7 # 2, ~7, 1 << 4, -16 >> 2;
SELECT
                        current_setting('jit') AS cur,
                        set_config('jit', 'off', false) AS new
