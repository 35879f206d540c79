select coalesce(dept, 'none') as dept, count(*) from p group by coalesce(dept, 'none') order by 2 desc, 1;
select * from generate_series(timestamp '2024-01-01', timestamp '2024-01-03', interval '1 day') as t(day);
select '{"a":{"b":1,"c":2}}'::jsonb #- '{a,b}', '[1,[2,3]]'::jsonb #- '{1,0}', '{"a":1}'::jsonb #- '{x,y}';
alter table "kt" add constraint "kt_r_foreign" foreign key ("r") references "kt" ("id") on delete CASCADE;
insert into types(l, x, v, e) values ('2024-01-01 10:00:00.123456', 'ab', 'xyz', 1.25) returning l, x, v, e;
create temp table pt(id serial primary key, n text, d numeric, j jsonb, a int[], by bytea, ts timestamptz)
