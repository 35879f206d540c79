select count(*), count(*) as c2, now(), 'x' as t, 1+1, $1::text||'y';
-- django-orm: distinct statements in order; Q=simple Query, P=Parse;
ALTER TABLE "auth_user" ALTER COLUMN "first_name" TYPE varchar(150);
update a set q = q + 1, n = upper(n) where id = 1 returning id, n, q;
select name, pay from p order by pay desc nulls last, 1 desc limit 3;
select e'a\tb', E'\\', 'it''s', $$dollar$$, $tag$x'y$tag$, U&'\0041'
