ALTER TABLE "auth_user_user_permissions" ADD CONSTRAINT "auth_user_user_permi_permission_id_1fbb5f2c_fk_auth_perm" FOREIGN KEY ("permission_id") REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED;
select mod(7, 3), mod(-7, 3), mod(7.5, 2), sign(-3.2), sign(2::float8), sqrt(2), sqrt(2::numeric), power(2, 3), power(2.5, 2), exp(1::float8), ln(10::float8), log(100::float8), pi(), gcd(12, 18), lcm(4, 6), div(7, 2);
with recursive chain(id, name, depth) as (select id, name, 0 from p where boss is null union all select p.id, p.name, c.depth + 1 from p join chain c on p.boss = c.id) select name, depth from chain order by depth, name;
select length('héllo'), char_length('日本'), octet_length('日本'), upper('straße ü'), lower('ÀÉ'), initcap('hello wORLD foo-bar'), reverse('abc'), repeat('ab', 3), replace('banana', 'an', 'x'), translate('12345', '143', 'ax');
select 'abc' like 'a%', 'abc' like 'A%', 'abc' ilike 'A%', 'a%c' like 'a\%c', 'abc' like '_b_', 'abc' not like 'x%', 'abc' ~ '^a', 'abc' ~ 'B', 'abc' ~* 'B', 'abc' !~ 'x', 'abc' similar to '(a|x)%', 'a_c' like 'a#_c' escape '#';
SELECT count(*) AS count_1, coalesce(sum(users.amt), 0) AS coalesce_1, string_agg(users.name, ',') AS string_agg_1, date_trunc('day', users.at) AS date_trunc_1, EXTRACT(year FROM users.at) AS anon_1 
FROM users GROUP BY users.at
