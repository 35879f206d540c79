BEGIN ISOLATION LEVEL READ COMMITTED;
select * from "knex_migrations_lock";
create table bad(a int check (b > 0));
insert into a(id, n) values (99, 'no');
delete from b where id = 1 returning x;
select dept from p having count(*) > 1
