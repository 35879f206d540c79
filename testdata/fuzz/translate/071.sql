INSERT INTO _sqlx_migrations ( version, description, success, checksum, execution_time )
    VALUES ( $1, $2, TRUE, $3, -1 );
create table pgbench_accounts_2
  partition of pgbench_accounts
  for values from (50001) to (maxvalue) with (fillfactor=100);
create table pgbench_accounts_1
  partition of pgbench_accounts
  for values from (minvalue) to (50001) with (fillfactor=100);
ALTER TABLE "auth_user_groups" ADD CONSTRAINT "auth_user_groups_user_id_group_id_94350c0c_uniq" UNIQUE ("user_id", "group_id");
select now() = current_timestamp, current_date = now()::date, localtimestamp = now()::timestamp, now() - interval '1 day' < now();
ALTER TABLE "django_content_type" ADD CONSTRAINT "django_content_type_app_label_model_76bd3d3b_uniq" UNIQUE ("app_label", "model")
