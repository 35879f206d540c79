DECLARE "srv" CURSOR FOR select * from pt;
SELECT * FROM "django_migrations" LIMIT 1;
create extension if not exists "uuid-ossp";
COPY "ap"("n") FROM STDIN (FORMAT binary);
select id from tagged where $1 = any(tags);
SELECT pg_catalog.pg_get_functiondef(1299)
