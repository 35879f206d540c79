delete from k using a where a.id = k.y and a.n = 'TWO!';
insert into nt(n,j,a,d) values($1,$2,$3,$4) returning *;
select id from p intersect select boss from p order by 1;
SELECT
                    set_config('jit', $1, false);
select id from tagged where 'x' <> all(tags) order by id;
select name from p order by name collate "C" desc limit 1
