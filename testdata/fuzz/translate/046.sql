update a as t set n = t.n || '!' where t.id = 2 returning t.n;
select * from jsonb_array_elements('[1,"a",{"b": [1]},null]');
insert into tagged values (1, '{x,y}'), (2, '{z}'), (3, null);
create table self(id int primary key, up int references self);
-- sqlx: distinct statements in order; Q=simple Query, P=Parse;
-- psql: distinct statements in order; Q=simple Query, P=Parse
