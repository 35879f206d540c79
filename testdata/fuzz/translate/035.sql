SELECT set_config('TimeZone', 'UTC', false);
alter sequence public.numbered_s_seq restart;
select * from pt where id = any(ARRAY[1,2]);
copy b(a_id, x) from stdin with (format csv);
select 1 as a, $1::text as t, $2::int4 as i;
select * from p where id = 1 for update of q
