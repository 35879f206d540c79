update b set x = 'toolong' where id = 1;
insert into jt(n,ts,u) values($1,$2,$3);
SELECT * FROM "auth_permission" LIMIT 1;
insert into b(a_id, x) values (1, 'abcd');
insert into a(n, r) values ('x', 12345.6);
SELECT * FROM "auth_user_groups" LIMIT 1
