CREATE INDEX "auth_group_permissions_permission_id_84c5c92e" ON "auth_group_permissions" ("permission_id");
INSERT INTO at (d, x) VALUES ($1::JSON, $2::NUMERIC(10, 2)), ($3::JSON, $4::NUMERIC(10, 2)) RETURNING at.id;
insert into k as kk values (1, 2, 'c') on conflict (x, y) do update set v = kk.v || excluded.v returning kk.v;
insert into ap(n,d,j,a,by,ts,dt,u,b,f,m,iv,v) values($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13) returning id;
select coalesce(b, false), case when k > 3 then 'big' else n end as size, day + 1, ts::date from t order by id;
CREATE INDEX "django_session_session_key_c0390e0f_like" ON "django_session" ("session_key" varchar_pattern_ops)
