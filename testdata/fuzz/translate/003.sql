SAVEPOINT s1;
select 1 @> 2;
select array[];
notify ch,'x';
select 'a' + 1;
select 1.0 / 0
