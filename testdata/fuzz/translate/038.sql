create table "m1" ("id" bigserial primary key);
with d as (select 1 as code) select code from d;
create index "kt_n_r_index" on "kt" ("n", "r");
SET application_name = 'PostgreSQL JDBC Driver';
alter table s2 add constraint s2_b_uq unique (b);
SELECT 'v'::pg_catalog.regclass::pg_catalog.oid
