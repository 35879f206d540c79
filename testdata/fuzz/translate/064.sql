create table defer(id int primary key, up int references defer(id) deferrable initially deferred);
select * from information_schema.tables where table_name = $1 and table_schema = current_schema();
select 'a' || 'b', 'a' || 1, 1 || 'a', 'a' || null, 'n' || 1.50, 'b' || true, v || c || '.' from e;
create table pgbench_branches(bid int not null,bbalance int,filler char(88)) with (fillfactor=100);
INSERT INTO "blog_tag" ("name") SELECT * FROM UNNEST(('{a,b}')::varchar[]) ON CONFLICT DO NOTHING;
create table pgbench_history(tid int,bid int,aid    int,delta int,mtime timestamp,filler char(22))
