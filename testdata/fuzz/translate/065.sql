CREATE INDEX "django_admin_log_content_type_id_c4bce8eb" ON "django_admin_log" ("content_type_id");
select name, count(*) over (order by id rows between 1 preceding and current row) from p order by id;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP);
INSERT INTO users (name, amt, ok, j) VALUES ('n0', 0, true, '{}'::JSON) RETURNING users.id, users.at;
begin isolation level serializable read only; set local statement_timeout = 5; show search_path; commit;
CREATE INDEX "auth_user_user_permissions_user_id_a95ead1b" ON "auth_user_user_permissions" ("user_id")
