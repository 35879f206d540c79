insert into a(n) select relname from pg_class;
insert into lists(a) values ('{1,2}'::int2[]);
UPDATE users SET name='zz' WHERE users.id = 2;
create table bad(a int) partition by range (a);
SELECT * FROM "auth_group_permissions" LIMIT 1;
DELETE FROM users WHERE users.id = $1::INTEGER
