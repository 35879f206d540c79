insert into defer values (3, 9);
insert into a(n) values ('one');
select name from p group by dept;
insert into a(n) values ('x', 1);
SAVEPOINT "s140314864069504_x1";
select extract(bogus from now())
