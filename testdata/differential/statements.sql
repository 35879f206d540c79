-- Statements and clauses, one a line.

-- rows that a command meets twice
insert into w (id, n) values (1, 1), (1, 2) on conflict (id) do update set n = excluded.n
insert into w (id, n) values (8, 1), (8, 2) on conflict (id) do update set n = excluded.n
insert into w (id, n) values (1, 1), (2, 2), (8, 3) on conflict (id) do update set n = excluded.n returning id, n
insert into w (id, n) select 5 + uid % 2, uid from u on conflict (id) do update set n = excluded.n
insert into w (id, n) select uid, 1 from u on conflict (id) do update set n = excluded.n returning id
insert into w (id, n, s) values (1, 1, 'a'), (7, 2, 'a') on conflict (s) do update set n = excluded.n
insert into w (id, n) values (1, 1), (1, 2) on conflict (id) do update set n = excluded.n where w.n = 0 returning id
insert into w (id, n) values (3, 1), (3, 2) on conflict (id) do update set n = excluded.n where w.n = 0 returning id
insert into w (id, n) values (1, 1), (1, 2) on conflict do nothing
insert into w (id, n) select 1, 5 on conflict (id) do update set n = excluded.n + w.n returning n

-- returning of other tables
update w set n = 5 from u where u.uid - 9 = w.id returning u.x
update w set n = 5 from u where u.uid - 9 = w.id returning *
update w set n = 5 from u where u.uid - 9 = w.id returning u.*, w.id + u.uid as sum, m
update w set n = u.uid, q = 2 from u, t where u.uid - 9 = w.id and t.id = u.tid returning t.n, t.f, t.s, t.y, t.iv, t.j, t.a, t.tz, t.u, t.b
update w set n = v.a from (values (1, 2), (2, null)) v(a, b) where v.a = w.id returning v.b, v.a, w.n
update w set n = a.n from w a where a.id + 1 = w.id returning w.id, a.id, w.n, a.n
update w set n = 1 from u where false returning u.x
update w set n = 5 from u where u.uid - 9 = w.id returning nosuch
update w set n = 5 from u where u.uid - 9 = w.id returning t.id
delete from w using u where u.uid - 9 = w.id returning u.x, w.id, u.m
delete from w using u where u.uid - 9 = w.id returning *
delete from w using u join t on t.id = u.tid where u.uid - 9 = w.id returning t.n, w.n, k
delete from w x using w y where x.id = y.id + 1 returning x.id, y.id, y.s

-- all and any
select id from t where id > all (select uid from u)
select id from t where id > all (select x from u)
select id from t where id >= all (select x from u where x < 0)
select id from t where g <> all (select tid from u)
select id from t where g <> all (select tid from u where tid is not null)
select id from t where id < any (select tid from u where tid < 5)
select id from t where g = some (select tid from u)
select id, n > all (select m from u), n < any (select m from u), n = any (select m from u) from t
select id, f <= all (select x from u where x > 0) from t
select id, s > all (select k from u), s like any (select k from u) from t
select id, d > any (select date '2000-01-01'), iv >= all (select interval '1 day') from t
select id, n in (select m from u), n not in (select m from u where m is not null) from t
select id from t where i8 in (select n from t)
select id from t where n in (select i8 from t)
select 1 > all (select 1, 2)
select id from t where (id, g) > all (select 1, 1)
select id, max(x) > all (select g from t where g is not null) from t, u where tid = id group by id

-- set operations that count
select id from t except all select 1
select g from t except all select 1
select g from t intersect all select g from t where id > 2
select g, s from t except all select g, s from t where id < 4
select n from t except all select m from u
select g from t union all select 1 except all select 2 except all select 3
select g from t except all (select 1 union all select 1)
select tid from u intersect all select g from t order by 1
(select g from t order by id limit 3) except all select 1
select g from t intersect all select tid from u union select 77 order by 1 desc
select 1 intersect all select 'a'

-- ties
select id from t order by id fetch first 1 rows with ties
select id, g from t order by g fetch first 1 rows with ties
select id, g from t order by g desc fetch first 2 rows with ties
select id, g from t order by g nulls first offset 2 fetch next row with ties
select g, count(*) from t group by g order by count(*), g fetch first 1 rows with ties
select distinct g from t order by g fetch first 2 rows with ties
select id from t union select 3 order by 1 desc fetch first 2 rows with ties
select s from t order by n, s fetch first 3 rows with ties
select id from t fetch first 2 rows with ties
select id from t order by g fetch first 0 rows with ties
select id from t order by g fetch first null rows with ties
select count(*) from (select g from t order by g fetch first 2 rows with ties) q

-- groupings
select g, count(*) from t group by rollup (g)
select g, b, count(*) from t group by rollup (g, b) order by g, b
select g, b, count(*), grouping(g), grouping(b), grouping(g, b) from t group by cube (g, b)
select g, b, sum(id) from t group by grouping sets ((g, b), (g), ()) order by 1, 2
select g, b, max(n) from t group by grouping sets (g, b) having count(*) > 1
select g, b, count(*) from t group by g, rollup (b)
select g, b, count(*) from t group by g, cube (b, i2) having grouping(i2) = 1
select g, count(*) from t group by rollup ((g, b))
select coalesce(g, -1), count(*) from t group by rollup (g) order by 1, 2
select g % 2 as parity, string_agg(s, ',' order by id) from t group by rollup (g % 2) order by 1
select count(*) from (select g from t group by cube (g, b, c)) q
select g as k, count(*) from t group by rollup (k) order by k nulls first, 2
select g, count(*) from t where false group by rollup (g)
select g, count(*) from t where false group by g, ()
select 1 from t group by ()
select 1 from t where false group by ()
select grouping(g) from t group by g order by g
select grouping(id) from t group by g
select grouping(g) from t
select s from t group by rollup (g)
select g, count(*) from t group by rollup (g) order by count(*) desc, grouping(g), g limit 2
select d, tz, j, u, count(*) from t group by grouping sets ((d), (tz), (u), (j))
select upper(s), s || '!', g + 1 from t group by grouping sets ((s), (g))
select 1 from t having true
select 'x' from t where false having count(*) = 0
select g, b, count(*) from t group by (g, b)

-- lateral
select * from t, lateral (select k from u where tid = id limit 1) l
select id, l.* from t left join lateral (select k, x, m from u where tid = t.id) l on true
select id, l.x from t cross join lateral (select x from u where tid = t.id order by x desc nulls last limit 1) l
select id, l.* from t, lateral (select t.n as n, t.f, t.y, t.iv, t.j, t.a, t.sa, t.tz, t.tm, t.b, t.u, t.i8, t.s where t.id < 9) l
select id, l.c from t join lateral (select count(*) as c from u where tid = t.id) l on l.c > 0
select id, a.x, b.y from t, lateral (select x from u where tid = id) a, lateral (select a.x + 1 as y) b
select id, v from t, lateral (values (id), (g)) l(v)
select id, v from t, lateral (select id union select g) l(v)
select id, e from t, unnest(a) e
select id, s from t, generate_series(1, g) s
select id, l.e from t left join lateral unnest(a) l(e) on e > 1
select id, (select sum(y) from lateral (select x * t.id as y from u where x < 10) q) from t
select t.id, l.id from t right join lateral (select t.id) l on true
select 1 from t, (select t.id) l
select count(*) from t, lateral (select x from u where tid = t.id) l, lateral (select m from u where x = l.x) o

-- grammar
select 2 between symmetric 3 and 1
select id from t where id between symmetric 5 and 2
select id from t where id not between symmetric 5 and 2 + 1 and g is not null
select null between symmetric 1 and 2, 1 between symmetric null and 0, 3 between symmetric null and 0
select 2 between asymmetric 3 and 1
select 'b' between symmetric 'c' || 'd' and 'a'
select 'a' 'b'
select e'a' 'b'
table t
table u order by uid limit 2
table nosuch
(table u) union all table u
with q as (table u) select count(*) from q
select
select where false
select from u
select exists (select), exists (select from u where false)
select ~1 - 3
select ~1 * 2, 2 * ~1 + 3, ~1 + 2 * 3, - ~1 - 1, ~ - 1 + 1, ~ ~ 1 + 1
select @ -5 + 3, - @ 1 - 3, |/ 16 + 9, @ 1 - 3 * 2
select ~1 || 'x', ~1 = -2, ~1 & 3, 3 & ~1 + 1
select id from t order by id using >
select id, g from t order by g using <, id using >
select id from t order by id using =
select 1 in ((select 1), 2)
select 3 in ((select 1) + 2, 4), 3 in ((select 3)), 4 in (((select 4)), 5), 1 not in ((select 2), (select 3))
select sum(id) over (order by id rows between unbounded preceding and current row exclude current row) from t
select id, sum(id) over (order by g range between unbounded preceding and unbounded following exclude ties) from t
select id, count(*) over (partition by g order by id rows between 1 preceding and 1 following exclude group) from t
select id, array_agg(id) over (w rows between 2 preceding and 2 following exclude no others) from t window w as (order by id)
select sum(id) over (order by id exclude ties) from t

-- changes in WITH
with d as (delete from w where id < 3 returning *) select * from d order by id
with d as (delete from w where id < 3 returning id, n, s, q, b) select sum(n), count(*), max(q) from d
with d(x, y) as (delete from w where id < 3 returning id, q) select y, x from d order by x
with d(x, y, z) as (delete from w where id < 3 returning id, q) select y, x from d order by x
with d as (delete from w where id < 3 returning id) insert into u (uid, x) select id + 100, id from d returning uid, x, m
with i as (insert into u (uid, k) values (100, 'a'), (101, null) returning *) update w set n = i.uid from i where w.id = i.uid - 99 returning w.id, w.n, i.k
with a as (update w set n = n + 1 returning id, n), b as (update u set x = 0 where uid < 12 returning uid, x) select * from a, b order by 1, 3
with a as (insert into w (id, n) values (1, 5) on conflict (id) do update set n = excluded.n returning n) select * from a
with a as (insert into w (id, n) values (1, 5) on conflict do nothing returning n) select count(*) from a
with a as (update t set s = 'new' where id = 1 returning n, f, d, ts, tz, tm, iv, a, sa, j, u, y, b, v, c, i8, i2) select * from a
with a as (delete from w) select 1
with a as (delete from w) select * from a
with a as (delete from w returning nosuch) select 1
with a as (delete from nosuch returning 1) select 1
with a as (delete from w returning id), a as (select 1) select 1
with recursive s(k) as (select 1 union all select k + 1 from s where k < 3), a as (update w set n = 99 from s where id = k returning id) select count(*) from a
select * from (with a as (delete from w returning id) select * from a) x
with a as (insert into w (id, n) values (1, 5) returning n) select * from a

-- strings of types
select inet '10.0.0.1/8', cidr '10.0.0.0/8'
select inet 'x'
select pg_catalog.inet '1.2.3.4'
select nosuch 'a'
select 'a' as x where 'a' like 'a' escape 'b'
select j from t union select '1'::jsonb order by 1
select iv from t where iv is null union select interval '24 hours' except select interval '1 day'
select count(*) from (select j from t intersect select j from t) s
select count(*) from (select iv from t except all select interval '24 hours') s
