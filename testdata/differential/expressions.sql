-- Expressions, one a line: what the generator would seldom come upon.

-- aggregates
-- arithmetic
select 1 + 1
select 7 - 10
select 6 * 7
select 7 / 2
select -7 / 2
select 7 / -2
select 7 % 3
select -7 % 3
select 7 % -3
select 2147483647 + 1
select -2147483648 - 1
select 65536 * 65536
select 65536::bigint * 65536
select 9223372036854775807 + 1
select -9223372036854775808 - 1
select 9223372036854775807 * 2
select 9223372036854775807::bigint - -1
select 32767::smallint + 1::smallint
select (-32768)::smallint - 1::smallint
select (-32768)::smallint
select -32768::smallint
select -2147483648::int
select 40000::smallint
select 3000000000::int
select 1 / 0
select 1 % 0
select 1.0 / 0
select 1::float8 / 0
select 0 / 5
select 0 % 5
select -2147483648 / -1
select (-2147483648)::int / (-1)::int
select (-2147483648)::int % (-1)::int
select abs(-5)
select abs(-5.5)
select abs(-5::smallint)
select abs((-2147483648)::int)
select -(-2147483648)::int
select pg_typeof(1 + 1::smallint)
select pg_typeof(1 + 1::bigint)
select pg_typeof(1 + 1.0)
select pg_typeof(1 + 1.0::float8)
select pg_typeof(1::float4 + 1)
select 1 + 1.5
select 1.5 * 2
select 3 / 2.0
select 2.0 / 3
select 5 & 3
select 5 | 3
select 5 # 3
select ~5
select 1 << 10
select 1024 >> 3
select -1 >> 1
select 1::smallint << 3
select 1::bigint << 40
select mod(7, 3)
select mod(-7, 3)
select mod(7.5, 2)
select div(7, 2)
select div(-7.5, 2)
select gcd(12, 18)
select lcm(4, 6)
select mod(5, 0)
select 2 ^ 10
select 2.0 ^ 10
select power(2, 0.5)
select sqrt(2)
select sqrt(2.0)
select |/ 25.0
select sqrt(-1)
select sqrt(-1.0)
select ln(0)
select ln(-1.0)
select 0 ^ -1
select exp(0.0)
select exp(1.0)
select ln(10.0)
select log(100.0)
select log(2.0, 64.0)
select log10(1000)
select @ -5
select @ -5.5
select round(0.5)
select round(1.5)
select round(2.5)
select round(-0.5)
select round(-2.5)
select round(0.5::float8)
select round(1.5::float8)
select round(2.5::float8)
select round(-2.5::float8)
select 0.5::int
select 1.5::int
select 2.5::int
select 0.5::float8::int
select 1.5::float8::int
select 2.5::float8::int
select round(123.456, 2)
select round(123.456, -2)
select round(-123.455, 2)
select trunc(123.456, 1)
select trunc(-123.456, -1)
select trunc(-1.9)
select ceil(-1.1)
select floor(-1.1)
select ceil(1.1)
select ceiling(2.0)
select sign(-5)
select sign(0.0)
select sign(3.5::float8)
select to_hex(255)
select to_hex(-1)
select to_hex(255::bigint)
select -2 ^ 2
select 2 ^ 3 ^ 2
select 1 + 2 * 3
select (1 + 2) * 3
select 10 - 2 - 3
select 100 / 10 / 5
select 1 < 2 and 2 < 3
select not 1 > 2
select not true = false
select greatest(1, 2.5, 2)
select least(1, null, -1)
select greatest(null, null)::int
select 1 = 1.0
select 1 = 1.0::float8
select 0.1 + 0.2 = 0.3
select 0.1::float8 + 0.2::float8 = 0.3::float8
select int4 '42'
select int8 '42'
select float8 '4.5'
select numeric '4.50'
select smallint '-7'
select 'x'::int
select ''::int
select ' 42 '::int
select '+7'::int
select '-0'::int
select '4.5'::int
select '99999999999'::int
select 1e3
select 1.5e-3
select 1e10::bigint
select 0.1e1
select 1E2
-- arrays
select array[1, 2, 3]
select array['a', null, 'b c', '"', '{}', '']
select '{1,2,3}'::int[]
select '{a,"b,c",NULL}'::text[]
select array[]::int[]
select array[1, 2.5]
select array[true, false]
select array[date '2024-01-01']
select array[1, 'x']
select array[]
select '{1,2'::int[]
select '{1,x}'::int[]
select (array[1, 2, 3])[2]
select (array[1, 2, 3])[0]
select (array[1, 2, 3])[9]
select (array[1, 2, 3])[2:3]
select (array[1, 2, 3])[:2]
select (array[1, 2, 3])[2:]
select array[[1, 2], [3, 4]]
select (array[[1, 2], [3, 4]])[2][1]
select array_ndims(array[[1, 2], [3, 4]])
select array_dims(array[1, 2, 3])
select array_length(array[1, 2, 3], 1)
select array_length(array[]::int[], 1)
select cardinality(array[1, 2])
select array_upper(array[1, 2], 1)
select array_lower(array[1, 2], 1)
select array[1, 2] || 3
select 0 || array[1, 2]
select array[1] || array[2, 3]
select array[1, 2] || null
select array_append(array[1], 2)
select array_prepend(0, array[1])
select array_cat(array[1], array[2])
select array_remove(array[1, 2, 1], 1)
select array_replace(array[1, 2, 1], 1, 9)
select array_position(array['a', 'b'], 'b')
select array_positions(array[1, 2, 1], 1)
select array_position(array[1], 9)
select array[1, 2] @> array[1]
select array[1] <@ array[1, 2]
select array[1, 2] && array[2, 3]
select array[1, 2] && array[3]
select array[1, 2] = array[1, 2]
select array[1, 2] < array[1, 3]
select array[1] < array[1, 0]
select array[2] > array[1, 5]
select 1 = any (array[1, 2])
select 3 = any (array[1, 2])
select 1 < all (array[2, 3])
select 2 = any ('{1,2}')
select not 1 = any (array[2])
select unnest(array[1, 2, 3])
select unnest(array['a', null])
select * from unnest(array[1, 2], array['a', 'b', 'c']) as u(n, s)
select * from unnest(array[3, 1]) with ordinality
select array_to_string(array[1, null, 3], ',')
select string_to_array('1,2', ',')::int[]
select array(select generate_series(1, 3))
select array_agg(x), array_agg(x order by x desc), array_agg(distinct x) from (values (1), (3), (1), (null)) v(x)
select trim_array(array[1, 2, 3], 1)
select array[1, 2]::text
select '{1,2}'::int[]::text[]
select array['1', '2']::int[]
select array[1, 2]::bigint[]
select array[null]::int[]
select array[null, 1] is null
select null::int[] is null
select null::int[] || 1
select array[1] || null::int[]
select generate_subscripts(array['a', 'b'], 1)
-- changes
-- datetime
select date '2024-02-29'
select time '12:34:56.789'
select timestamp '2024-02-29 12:34:56.789'
select timestamptz '2024-02-29 12:34:56+02'
select interval '1 year 2 months 3 days 04:05:06.7'
select date '2024-02-30'
select date 'yesterdayish'
select timestamp '2024-13-01'
select time '25:00'
select '2024-1-5'::date
select '20240105'::date
select 'Jan 5, 2024'::date
select '5 January 2024'::date
select '01/05/2024'::date
select '2024-01-05T10:11:12Z'::timestamptz
select date '2024-01-31' + 1
select date '2024-03-01' - 1
select date '2024-03-01' - date '2024-02-01'
select date '2024-01-31' + interval '1 month'
select date '2024-02-29' + interval '1 year'
select timestamp '2024-01-31 10:00' + interval '1 month 1 day 2 hours'
select timestamp '2024-03-31' - interval '1 month'
select timestamp '2024-03-01' - timestamp '2024-02-01 12:00'
select timestamptz '2024-03-01 00:00+00' - timestamptz '2024-02-28 00:00+01'
select date '2024-01-01' + time '10:30'
select time '23:00' + interval '2 hours'
select time '10:00' - time '08:30'
select time '01:00' - interval '2 hours'
select interval '1 day' * 2.5
select interval '1 month' / 2
select interval '1 hour' + interval '30 minutes'
select interval '1 month' - interval '1 day'
select -interval '1 day 2 hours'
select interval '90 minutes'
select interval '36 hours'
select interval '1.5 days'
select interval '1-2'
select interval '3 4:05:06'
select interval 'P1Y2M3DT4H5M6S'
select interval '2 weeks'
select interval '1 week -1 day'
select interval '-1:30'
select interval '1 month' = interval '30 days'
select interval '1 day' = interval '24 hours'
select interval '1 month' > interval '29 days'
select justify_days(interval '35 days')
select justify_hours(interval '27 hours')
select justify_interval(interval '1 mon -1 hour')
select extract(year from date '2024-02-29')
select extract(month from timestamp '2024-02-29 12:34:56')
select extract(dow from date '2024-02-29')
select extract(isodow from date '2024-03-03')
select extract(doy from date '2024-12-31')
select extract(week from date '2024-01-01')
select extract(quarter from date '2024-05-01')
select extract(epoch from timestamp '2024-01-01')
select extract(epoch from interval '1 day 1 second')
select extract(second from time '12:34:56.789')
select extract(hour from interval '100 hours')
select extract(milliseconds from time '00:00:01.5')
select extract(century from date '2024-01-01')
select extract(decade from date '2024-01-01')
select extract(isoyear from date '2024-12-30')
select extract(julian from date '2024-01-01')
select extract(hour from date '2024-01-01')
select extract(nosuch from date '2024-01-01')
select date_part('year', date '2024-02-29')
select date_part('epoch', interval '1 hour')
select date_trunc('month', timestamp '2024-02-29 12:34:56')
select date_trunc('hour', timestamptz '2024-02-29 12:34:56+02')
select date_trunc('week', date '2024-02-29')
select date_trunc('quarter', timestamp '2024-05-05')
select date_trunc('day', interval '3 days 4 hours')
select date_trunc('decade', timestamp '2024-05-05')
select date_trunc('nosuch', timestamp '2024-01-01')
select age(timestamp '2024-03-01', timestamp '2023-01-15')
select age(date '2024-03-31', date '2024-02-29')
select to_char(timestamp '2024-02-09 03:04:05.678', 'YYYY-MM-DD HH24:MI:SS.MS')
select to_char(timestamp '2024-02-09 15:04:05', 'FMMonth DD, HH12:MI am')
select to_char(date '2024-02-09', 'Dy Mon DDD IW Q')
select to_date('05 Dec 2000', 'DD Mon YYYY')
select to_timestamp('2024-02-09 10:11', 'YYYY-MM-DD HH24:MI')
select to_timestamp(1700000000)
select to_date('2024-02-30', 'YYYY-MM-DD')
select make_date(2024, 2, 29)
select make_date(2024, 2, 30)
select timestamp '2024-01-01 00:00' at time zone 'UTC'
select timestamptz '2024-01-01 00:00+00' at time zone '+02'
select timestamp '2024-01-01'::date
select timestamptz '2024-01-01 23:00+00'::date
select date '2024-01-01'::timestamp
select timestamp '2024-01-01 10:20:30'::time
select date '2024-01-01'::timestamptz
select time '10:20'::interval
select timestamp '2024-01-01 10:20:30.123456'::timestamp(3)
select time '10:20:30.987'::time(0)
select timestamp(0) '2024-01-01 23:59:59.5'
select 'infinity'::timestamp
select '-infinity'::date
select 'infinity'::date > date '9999-01-01'
select isfinite('infinity'::timestamp)
select 'epoch'::timestamp
select date '0044-03-15 BC'
select date '10000-01-01'
select timestamp '4714-11-24 BC'
select date '5874897-12-31'
select date '5874898-01-01'
select date '2024-01-01' < timestamp '2024-01-01 00:01'
select timestamptz '2024-01-01 02:00+02' = timestamptz '2024-01-01 00:00+00'
select date '2024-01-01' = timestamptz '2024-01-01 00:00+00'
select date '2024-01-01' between '2023-12-31' and '2024-01-02'
select '2024-01-01' > date '2023-01-01'
select date '2024-01-01' + date '2024-01-01'
select max(d), min(d), count(distinct d) from (values (date '2024-01-02'), ('2024-01-01'), (null)) v(d)
select sum(i), avg(i), max(i) from (values (interval '1 day'), ('2 hours'), (null)) v(i)
select d::text, d + 1 from (values (date '2024-12-31')) v(d)
select interval '1 day 02:03:04'::text
select interval '-1 year -2 mons +3 days -04:05:06'::text
select interval '0'::text
select '00:00:00.000001'::interval
-- ddl
-- joins
-- jsonb
select '{"b": 1, "a": [1, 2.50, "x", null, true]}'::jsonb
select '{"b":1,"a":2}'::json
select '"x"'::jsonb
select '1.0'::jsonb
select 'null'::jsonb
select '{"a": 1, "a": 2}'::jsonb
select '{"a": 1, "a": 2}'::json
select '{"aa": 1, "b": 2}'::jsonb
select '[]'::jsonb
select '{}'::jsonb
select '{a: 1}'::jsonb
select '{"a": 1'::json
select ''::jsonb
select '{"a": {"b": [10, 20]}}'::jsonb -> 'a'
select '{"a": {"b": [10, 20]}}'::jsonb -> 'a' -> 'b' -> 1
select '{"a": "x"}'::jsonb ->> 'a'
select '[1, 2]'::jsonb -> 0
select '[1, 2]'::jsonb -> -1
select '[1, 2]'::jsonb ->> 5
select '{"a": null}'::jsonb ->> 'a'
select '{"a": null}'::jsonb -> 'a'
select '{"a": {"b": [10, 20]}}'::jsonb #> '{a,b,1}'
select '{"a": {"b": [10, 20]}}'::jsonb #>> '{a,b}'
select '{"a": {"b": 1}}'::jsonb #>> array['a', 'b']
select '{"a": 1, "b": 2}'::jsonb @> '{"a": 1}'
select '{"a": 1}'::jsonb <@ '{"a": 1, "b": 2}'
select '[1, 2, 3]'::jsonb @> '[3, 1]'
select '[1, 2]'::jsonb @> '1'
select '{"a": {"b": 1}}'::jsonb @> '{"a": {}}'
select '{"a": 1}'::jsonb ? 'a'
select '{"a": 1}'::jsonb ? 'b'
select '["a"]'::jsonb ? 'a'
select '{"a": 1}'::jsonb ?| array['x', 'a']
select '{"a": 1}'::jsonb ?& array['x', 'a']
select '{"a": 1}'::jsonb || '{"b": 2}'
select '{"a": 1}'::jsonb || '{"a": 9}'
select '[1]'::jsonb || '[2]'
select '[1]'::jsonb || '2'
select '{"a": 1, "b": 2}'::jsonb - 'a'
select '[1, 2, 3]'::jsonb - 1
select '{"a": 1, "b": 2}'::jsonb - array['a', 'b']
select '{"a": {"b": 1, "c": 2}}'::jsonb #- '{a,b}'
select '{"a": 1}'::jsonb = '{"a": 1.0}'
select '{"a": 1, "b": 2}'::jsonb = '{"b": 2, "a": 1}'
select '[1, 2]'::jsonb < '[1, 3]'
select '"a"'::jsonb < '1'
select 'null'::jsonb < '1'
select jsonb_typeof('[]')
select jsonb_typeof('1')
select jsonb_typeof('"x"')
select jsonb_typeof('true')
select jsonb_typeof('null')
select jsonb_typeof('{}')
select json_typeof('1.5')
select jsonb_array_length('[1, 2, [3]]')
select json_array_length('[]')
select jsonb_array_length('{"a": 1}')
select jsonb_set('{"a": 1}', '{a}', '2')
select jsonb_set('{"a": 1}', '{b}', '2')
select jsonb_set('{"a": 1}', '{b}', '2', false)
select jsonb_set('{"a": [1, 2]}', '{a,1}', '9')
select jsonb_build_object('a', 1, 'b', 'x', 'c', null, 'd', true, 'e', 1.50)
select jsonb_build_array(1, 'a', null, 2.0)
select json_build_object('a', 1, 'b', array[1, 2])
select json_build_array(1, 'x')
select jsonb_build_object('a')
select to_jsonb(1)
select to_jsonb('x'::text)
select to_jsonb(array[1, 2])
select to_jsonb(true)
select to_jsonb(null::int)
select to_json(date '2024-01-01')
select to_jsonb(1.50)
select jsonb_object_keys('{"b": 1, "a": 2}')
select jsonb_array_elements('[1, 2]')
select jsonb_pretty('{"a": [1, 2]}')
select jsonb_strip_nulls('{"a": null, "b": 1}')
select jsonb_extract_path('{"a": {"b": 1}}', 'a', 'b')
select jsonb_extract_path_text('{"a": {"b": 1}}', 'a', 'b')
select json_extract_path('{"a": 1}', 'a')
select '{"a": 1}'::jsonb ->> 'a' = '1'
select ('{"a": 12}'::jsonb ->> 'a')::int + 1
select ('{"a": 12}'::jsonb -> 'a')::int
select '5'::jsonb::int
select 'true'::jsonb::bool
select '1.5'::jsonb::numeric
select '"x"'::jsonb::int
select '{"a": "é\u00e9\n"}'::jsonb
select '{"a": "\u0041"}'::jsonb ->> 'a'
select '"\""'::jsonb #>> '{}'
select 1e2::text::jsonb
select '1.10'::jsonb
select '12345678901234567890123'::jsonb
select '0.1e-3'::jsonb
select '-0'::jsonb
-- like
select 'abc' like 'a%'
select 'abc' like 'A%'
select 'abc' ilike 'A%'
select 'abc' like '_b_'
select 'abc' like '_b'
select 'abc' not like '%c'
select 'abc' not ilike '%C'
select 'a%c' like 'a\%c'
select 'abc' like 'a\%c'
select 'a_c' like 'a\_c'
select 'a\c' like 'a\\c'
select 'a%c' like 'a#%c' escape '#'
select 'a%' like 'a!%' escape '!'
select 'abc' like 'abc\'
select 'abc' like 'a%' escape 'xx'
select '' like ''
select '' like '%'
select 'a' like ''
select null like 'a'
select 'a' like null
select '%' like '%'
select 'a*c' like 'a*c'
select 'a[b]c' like 'a[b]c'
select 'a?c' like 'a?c'
select 'abc' like 'a?c'
select 'ÄB' ilike 'äb'
select 'äb' like '_b'
select 'line' || E'\n' || 'two' like 'line%two'
select 'abc'::char(5) like 'abc'
select 'abc'::char(5) like 'abc  '
select 'abc'::varchar like 'abc'
select 5 like '5'
-- nulls
select true and null
select false and null
select null and null::bool
select true or null
select false or null
select not null::bool
select null = null
select null <> null
select 1 = null
select null is null
select 1 is null
select 1 is not null
select null::bool is true
select null::bool is not true
select null::bool is unknown
select true is not unknown
select false is false
select null::bool is not false
select 1 in (1, null)
select 2 in (1, null)
select 2 not in (1, null)
select 1 not in (1, null)
select null in (1)
select null in (select 1 where false)
select 1 < null
select null between 1 and 2
select 1 between null and 0
select 1 between null and 2
select 2 not between 3 and null
select coalesce(null, null, 3)
select coalesce(null, 'x')
select nullif(1, 1)
select nullif(1, 2)
select nullif(null, 1)
select coalesce(null::int, 1.5)
select coalesce(null, null)
select case when null then 1 else 2 end
select case null when null then 1 else 2 end
select case 1 when 1 then 'a' end
select case 2 when 1 then 'a' end
select case when true then 1 else 2.5 end
select case when false then 1 else null end
select pg_typeof(case when true then 1 else 2.5 end)
select case when true then 1 else 'x' end
select (1, null) = (1, null)
select (1, 2) = (1, null)
select (1, 2) <> (2, null)
select (1, 2) < (1, 3)
select (1, null) < (2, 1)
select 1 = any (array[1, null])
select 2 = any (array[1, null])
select 2 <> all (array[1, null])
select 1 = all (array[]::int[])
select 1 = any (null::int[])
select num_nulls(1, null, 2)
select num_nonnulls(1, null)
select null
select null::int
select pg_typeof(null)
select null::text || 'a'
select 1 where null
select 1 where 1
-- numeric
select 1.10
select 1.10 + 2.205
select 1.10 - 1.1
select 1.10 * 2.205
select 1.0 / 3
select 10.00 / 4
select 1 / 3.0000
select 2.0 / 7
select 1::numeric / 3
select 100000::numeric / 3
select 0.0001 / 3
select 1e20 / 7
select 1 / 1e10
select 12345678901234567890.123456789 + 1
select 12345678901234567890 * 98765432109876543210
select 1.0::numeric(5,2)
select 123.456::numeric(5,2)
select -0.005::numeric(5,2)
select 99.995::numeric(4,1)
select 1000::numeric(5,2)
select 999.995::numeric(5,2)
select 1.5::numeric(3,-1)
select 12345::numeric(3,-2)
select 0.00123::numeric(3,5)
select 'NaN'::numeric
select 'Infinity'::numeric
select '-inf'::numeric
select 'NaN'::numeric = 'NaN'::numeric
select 'NaN'::numeric > 1e30
select 'Infinity'::numeric > 'NaN'::numeric
select 'Infinity'::numeric - 'Infinity'::numeric
select 'Infinity'::numeric + 1
select 'Infinity'::numeric * -2
select 1 / 'Infinity'::numeric
select 1.100 = 1.1, 1.100::text, 1.1 < 1.10, hashes from (values (1.0, 'a'), (1.00, 'b')) v(n, hashes) where n = 1
select count(distinct n) from (values (1.0), (1.00), (1.1), (1.10)) v(n)
select n, count(*) from (values (1.5), (1.50), (2.0)) v(n) group by n order by n
select sum(n), avg(n), min(n), max(n), count(n) from (values (1.10), (2.205), (null), (-3)) v(n)
select avg(i), sum(i), avg(i::numeric(5,2)) from (values (1), (2), (4)) v(i)
select avg(i::bigint), sum(i::bigint), pg_typeof(sum(i)), pg_typeof(sum(i::bigint)), pg_typeof(avg(i)), pg_typeof(sum(i::smallint)) from (values (1), (2)) v(i)
select sum(f), avg(f) from (values (1.5::float8), (2.25), (null)) v(f)
select stddev(f), variance(f), stddev_pop(f), var_pop(f) from (values (1.0::float8), (2), (4)) v(f)
select round(2.0 ^ 0.5, 10)
select 2.0 ^ 3
select 2.5 ^ 2
select 10.0 ^ -2
select power(1.5, 3)
select sqrt(100.00)
select sqrt(0.0)
select ln(2.0)
select log(10.0)
select 1.5 % 0.4
select -1.5 % 0.4
select mod(10.5, 3)
select 7.0 % 0.1
select 1.0 % 0
select trunc(1.999, 2)
select round(1.005, 2)
select round(-1.005, 2)
select ceil(1.0001)
select floor(-0.0001)
select -1.5::int
select 2.5::bigint
select 0.49999::int
select 1e10::int
select 1e20::bigint
select 1.23456789012345678901234567890::float8
select 0.1::float4
select 0.1::float4::float8
select 1e-10::float8
select 1e15::float8
select 1e16::float8
select 123456789.123::float4
select 1.5::text
select 1e3::text
select 1e-3::text
select 100::numeric::text
select 0.00000001::text
select 1e5::float8::text
select 1.0::float8::text
select '1_000'::numeric
select '1e5'::numeric
select ' 12.50 '::numeric
select '.5'::numeric
select '5.'::numeric
select '-.5e-2'::numeric
select 'abc'::numeric
select ''::numeric
select scale(1.100)
select min_scale(1.100)
select trim_scale(1.100)
select numeric '1.5' < 2
select 1.5 > 1::bigint
select 1.5 = 1.5::float8
select 0.1 = 0.1::float8
select 3.0::numeric(10,0)
select 3.5::numeric(10)
select pg_typeof(3.5::numeric(10,1))
select to_char(1234.5, '9,999.99')
select to_char(-12, '999')
select to_char(0.5, '0.00')
select to_char(12, 'FM000')
select to_char(1234567.891, 'FM9,999,999.00')
-- queries
select (select 1, 2)
select * from (select 1) as x
select 1 union select 2 union select 1 order by 1
select 1 union all select 1
select 1 union select 1.0
select 1 as a union select 2.5 order by a
select 1 union select 'x'
select 1, 2 union select 3
select 1 union select 2 intersect select 2
select null union select 1 order by 1
select 'a' union select null order by 1 nulls first
select * from (values (1, 'a'), (2, null)) v(n, s) order by n
select column1, column2 from (values (1, 2)) v
select 1 as "Mixed"
select 2 as "select"
select 3 x
select * from generate_series(1, 3)
select * from generate_series(1, 10, 4) as g(n)
select n, o from unnest(array['a', 'b']) with ordinality as u(n, o)
select generate_series(1, 3)
select generate_series(1, 2)
select 'x'
select * from generate_series(3, 1)
select * from generate_series(3, 1, -1)
select * from generate_series(1, 3, 0)
select * from generate_series('2024-01-01'::timestamp, '2024-01-03', '1 day')
select g * 2 from generate_series(1, 3) g where g <> 2 order by g
select sum(g), count(*) from generate_series(1, 1000) g
-- text
select 'a' || 'b'
select 'a' || 1
select 1 || 'a'
select 'a' || null
select 'a' || true
select 'x' || 1.50
select length('hello')
select char_length('größe')
select octet_length('größe')
select bit_length('abc')
select length('')
select upper('abcÄ')
select lower('ABCä')
select initcap('hello wORLD foo-bar')
select substring('hello' from 2 for 3)
select substring('hello' from 2)
select substring('hello' for 2)
select substring('hello', 0, 3)
select substring('hello', -1, 4)
select substr('hello', 10)
select substring('hello', 2, -1)
select left('hello', 2)
select left('hello', -2)
select right('hello', 2)
select right('hello', -2)
select left('hello', 0)
select right('hello', 99)
select position('l' in 'hello')
select strpos('hello', 'lo')
select strpos('hello', 'z')
select position('' in 'abc')
select trim('  x  ') || '|'
select ltrim('xxabc', 'x')
select rtrim('abcxx', 'x')
select btrim('xyabcyx', 'xy')
select trim(both 'x' from 'xax')
select trim(leading 'x' from 'xax')
select trim(trailing 'x' from 'xax')
select lpad('5', 3, '0')
select rpad('5', 3, 'ab')
select lpad('hello', 2)
select rpad('hello', 2)
select lpad('a', 5, '')
select lpad('a', 5)
select repeat('ab', 3)
select repeat('ab', 0)
select repeat('ab', -1)
select reverse('hello')
select replace('hello', 'l', 'L')
select translate('12345', '143', 'ax')
select split_part('a,b,c', ',', 2)
select split_part('a,b,c', ',', 5)
select split_part('a,b,c', ',', -1)
select split_part('abc', '', 1)
select split_part('a,b', ',', 0)
select ascii('x')
select ascii('')
select chr(65)
select chr(8364)
select md5('abc')
select chr(0)
select concat('a', null, 1, true)
select concat_ws(',', 'a', null, 'b')
select concat_ws(null, 'a', 'b')
select concat()
select concat('a', 1.50, null, date '2024-01-02')
select concat_ws('-', 1, 2.0, 'x')
select format('%s is %s', 'a', 1)
select format('%I', 'my col')
select format('%L', 'it''s')
select format('%%')
select format('%s', null)
select format('%2$s %1$s', 'a', 'b')
select format('%s')
select format('%x', 1)
select quote_ident('abc')
select quote_ident('Abc')
select quote_literal('it''s')
select quote_nullable(null)
select quote_literal('a\b')
select overlay('Txxxxas' placing 'hom' from 2 for 4)
select overlay('abcdef' placing 'ZZ' from 3)
select starts_with('hello', 'he')
select 'abc' < 'abd'
select 'abc' < 'ABC'
select 'a' < 'B'
select '' < 'a'
select 'a ' = 'a'
select 'é' > 'z'
select 'a'::char(3) = 'a  '
select 'a'::char(3)::text || '|'
select length('a'::char(3))
select 'ab'::char(1)
select 'abc'::varchar(2)
select 'abc  '::char(5) = 'abc'::char(3)
select 'abc '::varchar = 'abc'
select 'a'::char(3) || 'b'
select E'a\nb'
select E'tab\there'
select E'\x41\u00e9'
select E'it\'s', 'back\slash', U&'\0041'
select $$dollar 'quoted'$$
select $x$ $$ $x$
select regexp_replace('hello world', 'o', '0')
select regexp_replace('hello world', 'o', '0', 'g')
select regexp_replace('abc', '(b)', '[\1]')
select regexp_replace('ABC', 'b', 'x', 'i')
select regexp_match('foobarbequebaz', 'bar.*que')
select regexp_match('foobar', '(o+)(b)')
select regexp_match('a', 'z')
select regexp_split_to_array('a, b,c', ',\s*')
select regexp_count('abcabc', 'b')
select 'abc' ~ '^a'
select 'abc' ~ 'B'
select 'abc' ~* 'B'
select 'abc' !~ 'z'
select 'abc' !~* 'A'
select 'abc' ~ '('
select substring('foobar' from 'o(.)b')
select substring('foobar' from 'o+')
select 'abc' similar to 'a%'
select 'abc' similar to '(a|b)%'
select 'abc' similar to 'b%'
select 'abc' not similar to 'abc'
select string_to_array('a,b,,c', ',')
select string_to_array('abc', null)
select string_to_array('', ',')
select array_to_string(array['a', null, 'b'], ',')
select array_to_string(array['a', null, 'b'], ',', '*')
select array_to_string(array[1, 2], '-')
select encode('abc'::bytea, 'hex')
select encode('abc'::bytea, 'base64')
select decode('616263', 'hex')
select decode('YWJj', 'base64')
select length('\x0001'::bytea)
select substring('\x010203'::bytea from 2 for 1)
select 'true'::bool
select 'yes'::bool
select 'off'::bool
select '1'::bool
select 'f'::bool
select true::text
select false::text
select 'maybe'::bool
select 1::bool
select 0::bool
select true::int
select false::int
select 2.5::bool
select 'abc'::text::varchar(2)
select 'abc'::name
select 'abc'::char
select 'abc'::"char"
select cast('12' as int) + 1
select '12' + 1
select 1 + '12'
select '12' || 3
select '12'::int || ''
select to_char(12345.678, '99999.99')
select length(null)
select upper(null)
select substring(null from 1)
select null || 'a'
select lower(5)
select nosuch('a')
-- transactions
select 1
-- windows
