select to_char(ts, 'YYYY-MM-DD HH24:MI:SS'), to_char(ts, 'Mon DD, YYYY HH12:MI AM'), to_char(ts, 'FMDay, FMMonth FMDD'), to_char(ts, 'Day|Month|'), to_char(1234.5, '9,999.99'), to_char(-5, '999'), to_char(0.5, 'FM990.00'), to_char(12, '0000'), to_char(123456, '9999'), to_date('05 Dec 2000', 'DD Mon YYYY'), to_timestamp('2024-01-02 03:04:05', 'YYYY-MM-DD HH24:MI:SS') from e;
SELECT c.relname, NULL::pg_catalog.text FROM pg_catalog.pg_class c WHERE (c.relname) LIKE '%' AND pg_catalog.pg_table_is_visible(c.oid) AND c.relnamespace <> (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pg_catalog')
UNION ALL
SELECT NULL::pg_catalog.text, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname LIKE '%' AND n.nspname NOT LIKE E'pg\\_%'
LIMIT 1000;
SELECT oid, stxrelid::pg_catalog.regclass, stxnamespace::pg_catalog.regnamespace::pg_catalog.text AS nsp, stxname,
pg_catalog.pg_get_statisticsobjdef_columns(oid) AS columns,
  'd' = any(stxkind) AS ndist_enabled,
  'f' = any(stxkind) AS deps_enabled,
  'm' = any(stxkind) AS mcv_enabled,
stxstattarget
FROM pg_catalog.pg_statistic_ext
WHERE stxrelid = '16395'
ORDER BY nsp, stxname;
select extract(year from ts), extract(month from ts), extract(day from d), extract(dow from d), extract(doy from d), extract(week from d), extract(isodow from d), extract(quarter from ts), extract(hour from ts), extract(second from ts), extract(epoch from ts), extract(epoch from tz), extract(day from iv), extract(epoch from iv), extract(century from d), date_part('minute', ts) from e;
SELECT name, oid, array_oid, regtype, array_agg(label) AS labels
FROM (
    SELECT
        t.typname AS name, t.oid AS oid, t.typarray AS array_oid,
        t.oid::regtype::text AS regtype, e.enumlabel AS label
    FROM pg_type t
    LEFT JOIN  pg_enum e
    ON e.enumtypid = t.oid
    WHERE t.oid = to_regtype($1)
    ORDER BY e.enumsortorder
) x
GROUP BY name, oid, array_oid, regtype;
SELECT a.attname,
  pg_catalog.format_type(a.atttypid, a.atttypmod),
  CASE WHEN a.attnum <= (SELECT i.indnkeyatts FROM pg_catalog.pg_index i WHERE i.indexrelid = '16422') THEN 'yes' ELSE 'no' END AS is_key,
  pg_catalog.pg_get_indexdef(a.attrelid, a.attnum, TRUE) AS indexdef
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = '16422' AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
