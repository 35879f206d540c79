select jsonb_strip_nulls('{"a":null,"b":[null,{"c":null,"d":1}]}');
-- psycopg2: distinct statements in order; Q=simple Query, P=Parse;
select count(*), b from t group by b having count(*) > 0 order by 2;
ALTER TABLE "auth_user" ALTER COLUMN "last_name" TYPE varchar(150);
-- psql-more: distinct statements in order; Q=simple Query, P=Parse;
select x, o from unnest(array['a', 'b']) with ordinality as u(x, o)
