ALTER TABLE "auth_user" ALTER COLUMN "email" TYPE varchar(254);
drop type if exists mood; create type mood as enum('sad','ok');
ALTER TABLE "auth_user" ALTER COLUMN "last_login" DROP NOT NULL;
SELECT pg_catalog.pg_get_viewdef('16423'::pg_catalog.oid, true);
SELECT version, checksum FROM _sqlx_migrations ORDER BY version;
-- asyncpg: distinct statements in order; Q=simple Query, P=Parse
