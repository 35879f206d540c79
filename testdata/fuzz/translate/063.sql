with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) select sum(n) from t;
CREATE INDEX "auth_user_username_6821ab7c_like" ON "auth_user" ("username" varchar_pattern_ops);
CREATE INDEX "auth_permission_content_type_id_2f476e4b" ON "auth_permission" ("content_type_id");
CREATE INDEX "auth_group_permissions_group_id_b120cbf9" ON "auth_group_permissions" ("group_id");
select 1::int8, '1'::int4 + 1, 'abc' || 1, true and null, '2020-01-01'::date + interval '1 month';
create table jc(id bigint generated always as identity primary key, jt_id int references jt(id))
