analyze;
rollback;
select $1;
LISTEN x;
truncate a;
RELEASE s1
