insert into a(n, q, r) values ('three', default, 2.345) returning id, q, r;
create table public.s2(a int not null, b int, c text) with (fillfactor=70);
-- django-inspectdb: distinct statements in order; Q=simple Query, P=Parse;
select p.name, d.title from p left join d on p.dept = d.code order by p.id;
UPDATE _sqlx_migrations
    SET execution_time = $1
    WHERE version = $2;
insert into jt(n,d,b,by,i8,dt,f8) values($1,$2,$3,$4,$5,$6,$7)
RETURNING *
