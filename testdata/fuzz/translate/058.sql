SELECT version FROM _sqlx_migrations WHERE success = false ORDER BY version LIMIT 1;
CREATE INDEX "auth_user_groups_group_id_97559544" ON "auth_user_groups" ("group_id");
select p.name, d.title from p full join d on p.dept = d.code order by p.id nulls last;
insert into "knex_migrations" ("batch", "migration_time", "name") values ($1, $2, $3);
insert into tp(n,j,ts,u,b,i8,f,by,ar) values($1,$2,$3,$4,$5,$6,$7,$8,$9) returning id;
CREATE INDEX "blog_tag_name_c5718cc8_like" ON "blog_tag" ("name" varchar_pattern_ops)
