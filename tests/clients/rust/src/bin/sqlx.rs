//! sqlx: pools, prepared statements with the types that it finds in the catalog, migrations, describe.

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use evesql_clients::{Outcome, end, equal, told, url};
use futures_util::TryStreamExt;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions, PgRow};
use sqlx::types::Json;
use sqlx::{Column, Connection, Either, Executor, FromRow, Row, Statement, TypeInfo};
use std::borrow::Cow;
use std::str::FromStr;
use uuid::Uuid;

#[derive(Debug, PartialEq, sqlx::Type)]
#[sqlx(type_name = "mood", rename_all = "lowercase")]
enum Mood {
    Sad,
    Ok,
}

#[derive(Debug, PartialEq, FromRow)]
struct Kind {
    id: i64,
    n: String,
    d: Option<BigDecimal>,
    j: Option<Json<Vec<i32>>>,
    ts: Option<DateTime<Utc>>,
    dt: Option<NaiveDate>,
    u: Option<Uuid>,
    b: Option<bool>,
    a: Option<Vec<i32>>,
    y: Option<Vec<u8>>,
}

fn is<T>(result: Result<T, sqlx::Error>, state: &str) -> Outcome {
    let Err(error) = result else { return Err(format!("expected SQLSTATE {state}, got no error").into()) };
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
    if code == state { Ok(()) } else { Err(format!("expected SQLSTATE {state}, got {error:?}").into()) }
}

async fn types(pool: &PgPool) -> Outcome {
    pool.execute(
        "create table kinds (id bigserial primary key, n text not null unique, d numeric(10,2), j jsonb, ts timestamptz, dt date,
         u uuid, b bool, a int[], y bytea)",
    )
    .await?;
    let given = Kind {
        id: 1,
        n: "o'x".into(),
        d: Some(BigDecimal::from_str("1.10")?),
        j: Some(Json(vec![1, 2])),
        ts: Some("2026-11-22T14:20:59.051152Z".parse()?),
        dt: Some("2026-01-31".parse()?),
        u: Some(Uuid::from_u128(7)),
        b: Some(true),
        a: Some(vec![1, 2]),
        y: Some(vec![0, 1, 255]),
    };
    let id: i64 = sqlx::query_scalar(
        "insert into kinds (n, d, j, ts, dt, u, b, a, y) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id",
    )
    .bind(&given.n)
    .bind(&given.d)
    .bind(&given.j)
    .bind(given.ts)
    .bind(given.dt)
    .bind(given.u)
    .bind(given.b)
    .bind(&given.a)
    .bind(&given.y)
    .fetch_one(pool)
    .await?;
    equal(id, 1)?;
    let found: Kind = sqlx::query_as("select * from kinds where id = $1 and n = any($2)")
        .bind(1i64)
        .bind(vec!["o'x", "z"])
        .fetch_one(pool)
        .await?;
    equal(found, given)?;
    let none: Option<Kind> =
        sqlx::query_as("select * from kinds where id = $1").bind(99i64).fetch_optional(pool).await?;
    equal(none, None)
}

async fn described(pool: &PgPool) -> Outcome {
    let statement = pool
        .prepare("select id, n, d, $1::int as z from kinds left join (select 1 as q) w on true where ts < $2")
        .await?;
    let columns: Vec<_> = statement.columns().iter().map(|column| (column.name(), column.type_info().name())).collect();
    equal(columns, [("id", "INT8"), ("n", "TEXT"), ("d", "NUMERIC"), ("z", "INT4")])?;
    let Some(Either::Left(parameters)) = statement.parameters() else { return Err("no types of parameters".into()) };
    equal(parameters.iter().map(|one| one.name()).collect::<Vec<_>>(), ["INT4", "TIMESTAMPTZ"])?;
    // What `query!` asks when a program is compiled: may a column be null?
    let told =
        pool.describe("select id, n, d, m.x from kinds left join (select 1 as x) m on d > 5 where id = $1").await?;
    equal(&told.nullable[..3], [Some(false), Some(false), Some(true)])
}

async fn streams(pool: &PgPool) -> Outcome {
    let mut rows = sqlx::query("select i from generate_series(1, $1) as i").bind(1000i32).fetch(pool);
    let mut sum = 0i64;
    while let Some(row) = rows.try_next().await? {
        sum += i64::from(row.try_get::<i32, _>("i")?);
    }
    drop(rows);
    equal(sum, 500_500)?;
    let both: Vec<Either<_, PgRow>> =
        sqlx::raw_sql("create table two (a int primary key); insert into two values (1), (2); select a from two")
            .fetch_many(pool)
            .try_collect()
            .await?;
    equal(both.iter().filter(|one| one.is_right()).count(), 2)
}

async fn transactions(pool: &PgPool) -> Outcome {
    let mut outer = pool.begin().await?;
    sqlx::query("insert into two values ($1)").bind(10).execute(&mut *outer).await?;
    let mut inner = outer.begin().await?;
    is(sqlx::query("insert into two values ($1)").bind(10).execute(&mut *inner).await, "23505")?;
    inner.rollback().await?;
    let affected =
        sqlx::query("update two set a = a + 100 where a < $1").bind(10).execute(&mut *outer).await?.rows_affected();
    equal(affected, 2)?;
    outer.commit().await?;
    let mut lost = pool.begin().await?;
    lost.execute("delete from two").await?;
    drop(lost);
    let all: Vec<i32> = sqlx::query_scalar("select a from two order by a").fetch_all(pool).await?;
    equal(all, [10, 101, 102])
}

async fn migrations(pool: &PgPool) -> Outcome {
    let step = |version, text: &'static str| {
        Migration::new(version, Cow::Borrowed("step"), MigrationType::Simple, Cow::Borrowed(text), false)
    };
    let first = step(1, "create table migrated (id int primary key)");
    let second =
        step(2, "alter table migrated add column n text not null default 'x'; insert into migrated values (1)");
    for steps in [vec![first.clone()], vec![first.clone(), second.clone()], vec![first, second]] {
        let migrator = Migrator { migrations: Cow::Owned(steps), ..Migrator::DEFAULT };
        migrator.run(pool).await?;
    }
    let n: String = sqlx::query_scalar("select n from migrated").fetch_one(pool).await?;
    equal(n, "x")?;
    let done: i64 = sqlx::query_scalar("select count(*) from _sqlx_migrations where success").fetch_one(pool).await?;
    equal(done, 2)
}

async fn errors(pool: &PgPool) -> Outcome {
    let error =
        sqlx::query("insert into kinds (n) values ($1)").bind("o'x").execute(pool).await.expect_err("it is there");
    let told = error.as_database_error().ok_or("no error of the database")?;
    equal((told.constraint(), told.table(), told.is_unique_violation()), (Some("kinds_n_key"), Some("kinds"), true))?;
    is(sqlx::query("select nope from kinds").fetch_all(pool).await, "42703")?;
    is(sqlx::query("insert into kinds (n) values (null)").execute(pool).await, "23502")
}

async fn enums(pool: &PgPool) -> Outcome {
    pool.execute("create type mood as enum ('sad', 'ok'); create table moods (m mood)").await?;
    sqlx::query("insert into moods values ($1), ($2)").bind(Mood::Ok).bind(Mood::Sad).execute(pool).await?;
    let all: Vec<Mood> = sqlx::query_scalar("select m from moods order by m").fetch_all(pool).await?;
    equal(all, [Mood::Sad, Mood::Ok])
}

async fn copies(pool: &PgPool) -> Outcome {
    let mut connection = pool.acquire().await?;
    let mut copy = connection.copy_in_raw("copy two from stdin with (format csv)").await?;
    copy.send("1000\n1001\n".as_bytes()).await?;
    equal(copy.finish().await?, 2)?;
    let parts: Vec<_> = connection
        .copy_out_raw("copy (select a from two where a >= 1000 order by a) to stdout")
        .await?
        .try_collect()
        .await?;
    equal(parts.concat(), b"1000\n1001\n")
}

async fn alive(pool: &PgPool) -> Outcome {
    let mut connection = pool.acquire().await?;
    connection.ping().await?;
    connection.clear_cached_statements().await?;
    let many = (0..20)
        .map(|n: i64| async move { sqlx::query_scalar::<_, i64>("select $1 + 1").bind(n).fetch_one(pool).await });
    equal(futures_util::future::try_join_all(many).await?.iter().sum::<i64>(), 210)
}

async fn notified(pool: &PgPool) -> Outcome {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen("ch").await?;
    pool.execute("notify ch, 'x'").await?;
    let heard = tokio::time::timeout(std::time::Duration::from_secs(3), listener.recv())
        .await
        .map_err(|_| "nothing heard")??;
    equal((heard.channel(), heard.payload()), ("ch", "x"))
}

#[tokio::main]
async fn main() {
    println!("version 0.8.6");
    let pool = PgPoolOptions::new().max_connections(4).connect(&url()).await.expect("a connection");
    told("types of values and parameters, rows as structs", types(&pool).await);
    told("what query! asks: parameters, columns, may they be null", described(&pool).await);
    told("rows as a stream, several statements at once", streams(&pool).await);
    told("transactions, nested, dropped", transactions(&pool).await);
    told("migrations, with their lock", migrations(&pool).await);
    told("errors with their fields", errors(&pool).await);
    told("COPY in and out", copies(&pool).await);
    told("ping, cached statements cleared, a full pool", alive(&pool).await);
    told("enums", enums(&pool).await);
    told("listen and notify", notified(&pool).await);
    end()
}
