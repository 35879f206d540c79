-- Functions, aggregates, operators and literals, one statement a line.

select json_object_agg(k, v) from (values ('a',1),('b',null)) t(k,v)
select jsonb_object_agg(k, v) from (values ('b',1),('a',null),('b',3)) t(k,v)
select json_object_agg(null::text, 1)
select json_object_agg(array[1], 1)
select json_object_agg(1, true), json_object_agg(1.5, 'x'::text)
select jsonb_object_agg(null::text, 1)
select jsonb_object_agg(array[1], 1)
select array_agg(x) from (values (array[1,2]),(array[3,4])) t(x)
select array_agg(x) from (values (array[1,2]),(null)) t(x)
select array_agg(x) from (values (array[1,2]),(array[3])) t(x)
select array_agg(x) from (values (array[]::int[])) t(x)
select array_agg(distinct x) from (values (3),(1),(null),(3)) t(x)
select string_agg(distinct x, ',') from (values ('b'),('a'),(null),('b')) t(x)
select string_agg(distinct x, ',' order by x desc) from (values ('b'),('a'),(null),('b')) t(x)
select string_agg(distinct x, ',' order by length(x)) from (values ('b'),('a'),(null),('b')) t(x)
select percentile_cont(1.5) within group (order by x) from (values (1),(2)) t(x)
select percentile_cont(0.5) within group (order by x), percentile_disc(0.5) within group (order by x), mode() within group (order by x desc) from (values (1),(2),(2),(1)) t(x)
select '2024-01-31'::time
select interval '1 day 2:03:04' hour to minute, interval '10:30' minute to second, interval '1-6' year to month, interval '1' day, interval '5' year to month, interval '1 2:03' day to minute
select date_bin('15 minutes', timestamp '2024-01-01 10:30', timestamp '2024-01-02')
select to_char(interval '-1 hour 5 minutes', 'HH24:MI:SS'), to_char(interval '3 years 2 months 40 days 30:04:05.678','YYYY-MM-DD HH24:MI:SS.MS HH12 DDD SSSS'), to_char(interval '30:00','HH:MI AM'), '['||to_char(interval '30:00','Mon')||']'
select to_char(interval '30:00','Dy')
select to_char(7,'RN'), to_char(4000,'RN'), to_char(1999,'FMrn'), to_char(3.6, 'RN'), to_char(-1,'RN')||'|'
select quote_literal(array['a']), quote_literal(1), quote_literal(true), quote_nullable(null::int)
select row(1,null) is null, row(1,null) is not null, row(null,null) is null
select array_fill(7, array[2,2]), array_fill(null::int, array[2]), array_fill(1, array[0])
select array_fill(1, null), 2
select get_byte('\x01ff'::bytea, 2)
select unistr('\0041\+000042\u0043\\'), unistr('\d83d\de00')
select unistr('\x')
select jsonb_insert('{"a": [1, 2]}', '{a,1}', '9'), jsonb_insert('{"a": [1, 2]}', '{a,1}', '9', true), jsonb_insert('{"a": [1, 2]}', '{b}', '9'), jsonb_insert('[1]', '{5}', '9'), jsonb_insert('[1]', '{-5}', '9')
select jsonb_insert('{"a": [1, 2]}', '{a}', '9')
select regexp_matches('foobarbequebaz', '(b..)(.)', 'g'), regexp_matches('x','y')
select regexp_instr('abcabc','b',1,2), regexp_instr('abcabc','b',1,2,1), regexp_substr('abcabc','b.',3), regexp_count('abcab','b',3), regexp_like('abc','B','i'), regexp_replace('aaa','a','b',2,1), regexp_substr('foobar','o(b)(a)',1,1,'',2)
select regexp_like('abc','B','z')
select regexp_like('abc','B','g')
select * from json_each('{"a":  1, "b": {"x":  [1]}, "a": "s"}')
select * from json_each_text('{"a":  1, "b": {"x":  [1]}, "a": "s", "n": null}')
select * from jsonb_each_text('{"a":  1, "b": {"x":  [1]}, "a": "s", "n": null}')
select * from jsonb_each('[1]')
select * from json_each('[1]')
select * from json_each('1')
select * from json_array_elements('[1,  {"a":  2}, null]')
select * from json_array_elements('{}')
select * from json_array_elements_text('[1,  {"a":  2}, null, "x"]')
select * from json_object_keys('{"b":1,"a":2}')
select * from json_object_keys('[]')
select * from jsonb_to_recordset('[{"a":1,"b":"x"},{"a":"2","c":[1,2]}]') as x(a int, b text, c int[])
select * from jsonb_to_record('{"a":1,"b":{"x": 1}}') as x(a int, b jsonb)
select (date '2024-01-01', date '2024-02-01') overlaps (date '2024-01-15', date '2024-03-01')
select factorial(5), factorial(0)
select factorial(-1)
select width_bucket(5.35, 0.024, 10.06, 5), width_bucket(5.35::float8, 0, 10, 5), width_bucket(now(), array['2001-01-01','2002-01-01']::timestamptz[])
select stddev(x), var_pop(x), stddev_pop(x), variance(x), var_samp(x) from (values (1),(2),(4)) t(x)
select stddev(x), var_pop(x), stddev_pop(x), variance(x) from (values (1.5),(2.25),(4)) t(x)
select stddev(x), var_pop(x) from (values (1)) t(x)
select corr(x,y), covar_pop(x,y), covar_samp(x,y), regr_slope(x,y), regr_intercept(x,y), regr_r2(x,y), regr_count(x,y), regr_avgx(x,y), regr_sxx(x,y) from (values (1,2),(2,4.5),(4,7)) t(x,y)
select mode() within group (order by x) over () from (values (1)) t(x)
select make_interval(days => 3), make_interval(1,2,3,4,5,6,7.5), make_interval(years => 1, secs => 1.5), make_time(10,20,30.5), make_timestamp(2024,1,2,3,4,5.5), make_timestamptz(2024,1,2,3,4,5.5,'Europe/Berlin')
select make_time(25,0,0)
select make_timestamp(2024,13,2,3,4,5.5)
select 'a' like any (array['b%','a%']), 'a' not like all (array['b','c']), 'A' ilike any (array['a',null]), 'b' like all (array['b', null])
select generate_series(1.0, 2.0, 0.25)
select generate_series(1, 2, 0.5)
select set_byte('\x01ff'::bytea, 0, 300), get_bit('\x01ff'::bytea, 0), set_bit('\x01ff'::bytea, 1, 1), bit_count('\x01ff'::bytea)
select bit_xor(x) from (values (1),(3)) t(x)
select string_to_array('a,b,c', ',', 'b'), * from string_to_table('a,b', ',')
select greatest(array[1], array[2]), max(x) from (values (array[1,2]),(array[3])) t(x)
select extract(isoyear from date '0044-03-15 BC'), age(timestamp '2001-01-01') is not null
select regexp_replace('aab','a*','x','g'), regexp_count('aab','a*'), regexp_matches('aab','a*','g')
select regexp_replace('a' || chr(10) || 'b','a.b','x'), regexp_replace('a' || chr(10) || 'b','^b','x'), regexp_replace('a' || chr(10) || 'b','^b','x','n'), regexp_replace('foo bar','\mb','x'), regexp_replace('foo bar','o\y','x'), regexp_replace('aBc','b','x','ci'), regexp_replace('aBc','b','x','ic')
select regexp_replace('a.c','.','x','q'), regexp_replace('a b','a b','x','x')
select regexp_replace('abcabc','b','x',3,0), regexp_replace('abcabcb','b','x',1,2,'g'), regexp_replace('ABC','b','x',1,1,'i')
select regexp_replace('abc','b','x',0)
select regexp_substr('abc','b',1,0)
select regexp_instr('abc','b',1,1,2)
select regexp_instr('abc','b',1,1,0,'',-1)
select regexp_instr('abc','(b)(c)',1,1,0,'',2), regexp_instr('abc','(b)(c)',1,1,0,'',3), regexp_instr('abc','b',10), regexp_substr('abc','b',10), regexp_count('abc','^a',2)
select regexp_matches('abc','b','gz')
select regexp_split_to_array('aXbxc','x','i'), * from regexp_split_to_table('aXbxc','x','i')
select regexp_split_to_array('aXbxc','x','g')
select regexp_match('abc','b','g')
select string_to_table('abc',null), string_to_table('a,b,',',','b')
select regexp_replace('abc','b','x','2')
select regexp_count('abc','b',1,'ig')
select array(select regexp_matches('foobar','o(.)','g'))
select stddev(x::float8), stddev(x::bigint), var_samp(x::smallint), stddev('NaN'::numeric) from (values (1),(2),(4)) t(x)
select string_agg(distinct x::varchar, ',' order by x) from (values ('b'),('a')) t(x)
select count(distinct x), jsonb_agg(distinct x), json_agg(distinct x), array_agg(distinct x order by x desc) from (values (2),(1),(2)) t(x)
select json_agg(x order by x desc) filter (where x > 1) from (values (2),(1),(3)) t(x)
select json_object_agg(x, y) filter (where x > 5), percentile_cont(0.25) within group (order by x) filter (where x > 1), percentile_disc(array[0.5]) within group (order by x) is not null from (values (2,1),(1,2),(4,3)) t(x,y)
select percentile_disc(0.5) within group (order by x), mode() within group (order by x), percentile_cont(null) within group (order by 1) from (values ('b'),('a'),('b')) t(x)
select k, percentile_cont(0.5) within group (order by v desc) from (values ('a',1),('a',3),('b',null)) t(k,v) group by k order by k
select mode() from (values (1)) t(x)
select string_agg(distinct x, ',') over () from (values ('b')) t(x)
select max(x), min(x) from (values (array[1,null]),(array[1]),(null)) t(x)
select least(array['b'], array['a']), greatest('{"a":1}'::jsonb, '[1]'::jsonb), greatest(null::int[], array[1])
select jsonb_array_elements_text('["a",1]'), json_object_keys('{"b":1}'), regexp_split_to_table('a b', ' ')
select key, value from (values ('{"a":1,"b":2}'::jsonb)) t(j), jsonb_each(t.j) order by key desc
select * from jsonb_each('{"a":1,"b":2}') with ordinality as e(k, v, n)
select e.k from json_each_text('{"a":1}') as e(k, v) where v = '1'
select count(*) from jsonb_each(null)
select * from json_to_recordset('[{"a":1}]')
select * from jsonb_to_recordset('{"a":1}') as x(a int)
select x.a + 1, upper(x.b) from jsonb_to_recordset('[{"a":1,"b":"x"}]') x(a int, b varchar(5)) where x.a = 1
select * from json_to_record('{"a":{"x":  1},"d":"2024-01-02","n":1.50,"t":true}') as x(a json, d date, n numeric(6,1), t bool, missing uuid)
select jsonb_insert(null, '{a}', '1'), jsonb_insert('1', '{a}', '1') is null
select date_bin('1 hour', timestamptz '2024-01-01 10:37+00', timestamptz '2024-01-01 00:30+00'), date_bin('5 min', timestamp '2023-12-31 23:57', timestamp '2024-01-01')
select date_bin('1 month', timestamp '2024-01-01', timestamp '2024-01-01')
select date_bin('0', timestamp '2024-01-01', timestamp '2024-01-01')
select (time '10:00', interval '1 hour') overlaps (time '10:30', time '12:00'), (date '2024-01-01', null) overlaps (date '2024-01-15', date '2024-03-01'), (timestamp '2024-01-01', interval '1 day') overlaps (timestamp '2024-01-02', interval '1 day')
select make_interval(bogus => 1)
select make_interval(secs => 1.5, days => 2), make_interval(), make_interval(null)
select make_timestamptz(2024,7,2,3,4,5.5), make_timestamp(-44,3,15,0,0,0), make_time(24,0,0), make_time(23,59,60)
select make_timestamptz(2024,7,2,3,4,5.5,'Nowhere')
select interval '3' year, interval '90' minute, interval '1.5' hour, interval '2' second, interval '1.23456' second(2), interval '-1:30' minute to second, interval '1 2:03:04' day to second, interval '1' month, interval '1 year 2 months 3 days' year to month, interval '1' week is null
select interval '1 day 1:30:45' hour, interval '1 day 1:30:45' minute, interval '1:2' hour to minute
select to_char(interval '125 minutes', 'FMHH24:MI:SS.US'), to_char(interval '-3 days -2 hours', 'DD HH24:MI'), to_char(interval '13:00', 'HH12 am')
select width_bucket(5, 10, 0, 5), width_bucket(-1, 0, 10, 5), width_bucket(10, 0, 10, 5), width_bucket(3, array[1,2,3]), width_bucket(0.5, array[1,2]::numeric[]), width_bucket('b'::text, array['a','c'])
select width_bucket(5, 0, 0, 5)
select width_bucket(5, 0, 1, 0)
select array_fill('x'::text, array[3]), array_fill(1.5, array[1,2]), array_fill('\x00'::bytea, array[2])
select array_fill(1, array[-1])
select sha256('abc'::bytea), sha384(''::bytea), sha512('a'), md5('\x01'::bytea)
select 'a' like any ('{a,b}'), 'a' not like any (array['a','b']), null like any (array['a']), 'a' like any (null::text[]), x like any (array['a%']) from (values ('ab')) t(x)
select x from (values ('ab'),('cd')) t(x) where x not ilike all (array['A%','x'])
select not (null, 1) is null, (1, 2) is not null, row(1) is null
select date_part(f, timestamp '2024-05-06 07:08:09') from (values ('hour'),('YEAR')) t(f)
select generate_series(2.0, 1.0, -0.5), 1
select * from generate_series(1.5, 4)
select * from generate_series(1, 2, 0.0)
select * from generate_series('NaN'::numeric, 2)
select current_timestamp(0) = date_trunc('second', current_timestamp + interval '0.5 second'), localtime(2) is null
select regr_count(x, y), regr_syy(x, y), regr_sxy(x, y), regr_avgy(x, y), corr(x, y) from (values (1, null), (2, 3.5)) t(x, y)
select regr_count(1, 2), covar_samp(1, 2), corr(null, 1) from (values (1)) t(x) where false
select factorial(20), factorial(30)
select array_agg(x order by x desc) from (values (array[1,2]),(array[3,4])) t(x)
select timestamp '2024-01-31'::time, time '10:20', '10:20:30 AM'::time
select time '2024-01-31'
select string_to_array('a,,b', ',', ''), string_to_array('abc', null, 'b'), string_to_array(null, ','), string_to_array('', ',')
select age(date '2001-01-01') > interval '20 years'
select quote_literal(1.5::float8), quote_literal(date '2024-01-02'), quote_nullable('a\b'), quote_literal('{"a":1}'::jsonb)
select array_to_json(array[1,2]), array_to_json(array[[1,2],[3,4]]), array_to_json(array['a',null])
select '\x0102'::bytea like '\x0125'::bytea, '\x01'::bytea not like '\x01'::bytea, null::bytea like '\x01', '\x0102'::bytea like '\x015f'
select set_bit('\x01'::bytea, 3, 2)
select percentile_cont(array[0.25, 0.5]) within group (order by x), percentile_disc(array[0.25, null, 1]) within group (order by x), percentile_disc(array[0.5]) within group (order by x::numeric) from (values (1), (2), (3)) t(x)
select percentile_cont(array[0.5]) within group (order by x) from (values (1)) t(x) where false
select date_trunc('day', timestamptz '2024-01-01 23:30+00', 'Europe/Berlin')
select x ~ any(array['a','b']), x !~ all(array['c','d']), x ~* any(array['A',null]), x ~~ any(array['x%']) from (values ('xa')) t(x)
select array[[1,2]] || array[3,4], array[1,2] || array[[3,4]], array[[1,2]] || array[[3,4]], '{}'::int[] || array[1], array[1] || '{}'::int[]
select array[[1,2]] || array[3]
select cardinality(array[[1,2],[3,4]]), cardinality('{}'::int[]), cardinality(null::int[])
select cast('1 day 2:03' as interval day), '1.239 seconds'::interval(2), '1 year 2 months'::interval year, '-1.5 s'::interval(0), x::interval(1) from (values ('1.25 s'), ('-1.25 s')) t(x)
select row_to_json(t), to_jsonb(t), to_json(t) from (select 1 as b, 'x' as a, null as c) t
select json_agg(t), jsonb_agg(t order by x desc), json_object_agg(t.y, t) from (values (1, 'a'), (2, 'b')) t(x, y)
select json_agg(x) from (values (array[1]), (array[2])) t(x)
select to_json(row(1, 'a', null)), json_build_object('r', row(1, true)), row_to_json(row(1, array[2]))
select json_build_object('a', array[1,2], 'b', json_build_array(1, null, '{"z":  1}'::json)), json_build_array('{"b": 1, "a": 2}'::jsonb), to_json('{"b":  1}'::json)
select '{"b":  {"c":  1}, "a": [1,  2], "b": "last"}'::json -> 'b', '{"a": [1,  2]}'::json -> 'a', '{"a": [1,  2]}'::json ->> 'a', '[1,  {"a":  2}]'::json -> 1, '[1,  {"a":  2}]'::json -> -1, '[1]'::json -> 'a', '{"1": 2}'::json -> 1, '{"a": null}'::json ->> 'a', '5'::json -> 0
select convert_from('\x61c3a9'::bytea, 'UTF8'), convert_to('aé', 'utf-8'), length(convert_to('é', 'UTF8'))
select convert_from('\xff'::bytea, 'UTF8')
select substr('\x010203'::bytea, 2), substring('\x010203'::bytea from 2), position('\x02'::bytea in '\x010203'::bytea), substr('\x010203'::bytea, 2, 1)
select string_agg(x, '\xff' order by x desc), string_agg(x, null) from (values ('\x01'::bytea), ('\x02'), (null)) t(x)
select format('%-10s|%5s|%1$s|%2$-3s|%%|%4I|%L', 'a', 'b', 'C', null), format('%3$s %1$s', 'a', 'b', 'c')
select format('%0$s', 'a')
select json_object('{a,1,b,null}'), jsonb_object('{a,b}', '{1,2}'), json_object('{{a,1},{b,2}}'), json_object('{}')
select json_object('{a}')
select json_object('{a,b}', '{1}')
select json_strip_nulls('{"b":null,"a":  {"c": null, "d":  [null,  1]}, "e": 2}'), json_strip_nulls('null')
select array_position(array[1,2,1], 1, 2), array_position(array['a','b'], 'c'), array_position(array[1,null], null)
select sinh(1), tanh(0.5), cot(1), asinh(2)
select make_interval(days => 3)
select mode() within group (order by g) from t
select stddev(g), variance(n), stddev_pop(i8), var_samp(f), stddev(n2) from t
select g, stddev(id), var_pop(n2), percentile_cont(0.5) within group (order by id) from t group by g
select string_agg(distinct s, ',') from t
select string_agg(distinct c, ',') from t where id < 3
select jsonb_object_agg(id, s) from t
select json_object_agg(id, n2 order by id desc) from t
select json_object_agg(tid, k) from u
select max(a), min(a), max(sa), min(sa) from t
select g, max(a) from t group by g
select corr(g, id), regr_slope(g, id), covar_pop(id, f) from t where id < 3
select array_agg(array[id]) from t
select array_agg(a) from t where id in (1, 7)
select stddev(x) over (order by x rows 1 preceding), max(array[x]) over (order by x rows 1 preceding), corr(x, x * x) over (order by x) from (values (1), (2), (4), (null)) t(x)
select stddev(id) over (order by id rows between 2 preceding and current row), min(a) over (order by id rows between 1 preceding and 1 following) from t
select id, json_object_agg(s, id) over (order by id rows 1 preceding) from t where s is not null
select bit_xor(id) over (order by id rows 1 preceding) from t
select id, key, value from t, jsonb_each(j) where id = 1 order by key
select id, k from t, jsonb_object_keys(j) k where id in (1, 2)
select id, (regexp_matches(s, '[aeiou]', 'g'))[1] from t where id = 1
select id, regexp_count(s, 'a'), regexp_instr(s, 'p', 1, 2), regexp_substr(s, 'p.') from t
select id, date_bin('1 day', ts, timestamp '2000-01-01') from t
select id, to_char(iv, 'DD HH24:MI:SS') from t
select id, s from t where s like any (array['a%', 'B%'])
select id from t where y like '\x01%'
select id, get_byte(y, 0) from t where length(y) > 0
select id, (d, iv) overlaps (date '2024-01-01', date '2024-12-31') from t
select id, width_bucket(n2, -10, 10, 4) from t
select id, extract(isoyear from d), date_part('year', d) from t
select id, quote_literal(d), quote_nullable(n) from t
select interval '1' hour
select array(select array[id, g] from t where g is not null order by id)
select json_agg(distinct g), array_agg(distinct g), jsonb_agg(distinct s) from t
select percentile_disc(0.5) within group (order by s), percentile_disc(array[0, 0.5, 1]) within group (order by d), percentile_cont(0.9) within group (order by n2) from t
select count(distinct g) over () from t
select sha256('abc'::bytea), unistr('\0041')
select get_byte('\x01ff'::bytea, 1)
select generate_series(1.0, 2.0, 0.5)
select date_trunc('day', tz, 'Europe/Berlin') from t
select cast('Jan 31 2024' as time)
select row_to_json(u) from u order by uid
select to_jsonb(t) - 'n' - 'f' from t where id < 3
select json_agg(w) from w
select g, json_agg(t.id order by t.id), count(*) from t group by g
select jsonb_agg(u order by uid) from t left join u on u.tid = t.id where t.id in (1, 6)
select '1 day 2:03'::interval(0), iv::interval hour from t
select to_char(date '0044-03-15 BC', 'YYYY-MM-DD'), to_char('infinity'::timestamp, 'YYYY'), to_char('-infinity'::date, 'YYYY')
select greatest(null, '[1]'::json)
