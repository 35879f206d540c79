select md5('hello'), ascii('A'), chr(8364), to_hex(255), quote_literal('it''s'), quote_ident('Foo'), starts_with('alphabet', 'alph'), concat('a', null, 1, true), concat_ws('-', 'a', null, 'b'), format('%s-%I-%L', 'a', 'B', 'c''d'), encode('\x00ff'::bytea, 'hex'), encode('abc'::bytea, 'base64'), decode('ff00', 'hex');
select array[1,2,3], array['a','b'], array[1, 2.5], array[[1,2],[3,4]], '{1,2}'::int[], a[1], a[5], ta[2], array_length(a, 1), cardinality(a), array_upper(a, 1), a || 4, a || array[5, 6], array_to_string(a, ','), array_to_string(ta, ',', '*'), string_to_array('a,b', ','), a = array[1,2,3], array_position(a, 2) from e;
SELECT pg_catalog.format_type(seqtypid, NULL) AS "Type",
       seqstart AS "Start",
       seqmin AS "Minimum",
       seqmax AS "Maximum",
       seqincrement AS "Increment",
       CASE WHEN seqcycle THEN 'yes' ELSE 'no' END AS "Cycles?",
       seqcache AS "Cache"
FROM pg_catalog.pg_sequence
WHERE seqrelid = '16409';
select interval '1 day' + interval '2 hours', interval '1 month' - interval '1 day', interval '1 day' * 2, interval '1 month' / 2, 3 * interval '15 minutes', -interval '1 day', interval '90 minutes', interval '1-2', interval '1 year 2 months', interval '30 days' = interval '1 month', interval '1 day' > interval '23 hours';
SELECT c.oid::pg_catalog.regclass, c.relkind, inhdetachpending, pg_catalog.pg_get_expr(c.relpartbound, c.oid)
FROM pg_catalog.pg_class c, pg_catalog.pg_inherits i
WHERE c.oid = i.inhrelid AND i.inhparent = '16395'
ORDER BY pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT', c.oid::pg_catalog.regclass::pg_catalog.text;
SELECT pg_catalog.pg_class.relname 
FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace 
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY[$1::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $2::VARCHAR
