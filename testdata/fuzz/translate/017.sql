FETCH FORWARD 2 FROM "srv";
SAVEPOINT _sqlx_savepoint_1;
COPY  c ( note ) FROM STDIN;
select '[1]'::jsonb #- '{x}';
alter table s3 drop column d;
select pg_catalog.version()
