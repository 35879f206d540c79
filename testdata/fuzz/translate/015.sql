create table o8(v bigint);
select c from t order by c;
create table bad(a nosuch);
COPY  t ( name ) TO STDOUT;
select 99999::numeric(4,2);
SELECT current_database()
