SELECT name AS "Column", pg_catalog.format_type(tp, tpm) AS "Type"
FROM (VALUES ('?column?', '23'::pg_catalog.oid, -1)) s(name, tp, tpm);
SELECT pg_catalog.pg_opclass.oid, pg_catalog.pg_opclass.opcname 
FROM pg_catalog.pg_opclass 
WHERE NOT pg_catalog.pg_opclass.opcdefault;
select c like 'ch', c like 'ch  ', c = 'ch', c = 'ch      ', length(c), c || '|', octet_length(c::text), v = 'vc ', c::text = 'ch' from e;
select sum(pay) * 2, sum(id) / 2, avg(id), round(avg(pay), 2), max(hired) - min(hired), sum(budget) from p left join d on d.code = p.dept;
select * from information_schema.columns where table_name = $1 and table_catalog = current_database() and table_schema = current_schema();
select '{"a":1}'::jsonb || '{"b":2}', '[1]'::jsonb || '2', '1'::jsonb || '2', '{"a":1}'::jsonb || '[2]', '{"a":1}'::jsonb || '{"a":2}'::jsonb
