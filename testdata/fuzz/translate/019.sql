DROP TABLE IF EXISTS sbtest1;
insert into nt(n) values($1);
insert into sx(n) values($1);
insert into b(x) values ('q');
select '{"a":1}'::jsonb || '1';
insert into jt(n) values('x')
