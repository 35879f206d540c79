//! tokio-postgres: everything prepared and binary, parameters typed by the server, types looked up in the catalog.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use evesql_clients::{Outcome, end, equal, told, url};
use futures_util::{SinkExt, StreamExt, TryStreamExt, pin_mut};
use postgres_types::{FromSql, ToSql};
use serde_json::json;
use std::time::Duration;
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};
use uuid::Uuid;

#[derive(Debug, PartialEq, ToSql, FromSql)]
#[postgres(name = "mood")]
enum Mood {
    #[postgres(name = "sad")]
    Sad,
    #[postgres(name = "ok")]
    Ok,
}

async fn connect() -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(&url(), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn is<T>(result: Result<T, tokio_postgres::Error>, state: SqlState) -> Outcome {
    match result {
        Ok(_) => Err(format!("expected SQLSTATE {}, got no error", state.code()).into()),
        Err(error) if error.code() == Some(&state) => Ok(()),
        Err(error) => Err(format!("expected SQLSTATE {}, got {error:?}", state.code()).into()),
    }
}

async fn types(c: &Client) -> Outcome {
    c.batch_execute(
        "create table kinds (id serial primary key, n varchar(20) unique, j jsonb, ts timestamptz, tn timestamp, dt date, tm time,
         u uuid, b bool, l bigint, s smallint, f float8, r real, y bytea, a int[], t text[])",
    )
    .await?;
    let at: DateTime<Utc> = "2026-11-22T14:20:59.051152Z".parse()?;
    let (plain, day): (NaiveDateTime, NaiveDate) = (at.naive_utc(), at.date_naive());
    let time: NaiveTime = "23:59:01".parse()?;
    let (more, code) = (json!({"a": [1, null]}), Uuid::from_u128(7));
    let insert = "insert into kinds (n, j, ts, tn, dt, tm, u, b, l, s, f, r, y, a, t)
                  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) returning id";
    let bytes: &[u8] = &[0, 1, 255];
    let texts = vec![Some("x"), None, Some("y\"z")];
    let row = c
        .query_one(
            insert,
            &[
                &"o'x",
                &more,
                &at,
                &plain,
                &day,
                &time,
                &code,
                &true,
                &(1i64 << 40),
                &-3i16,
                &1.5f64,
                &0.25f32,
                &bytes,
                &vec![1, 2],
                &texts,
            ],
        )
        .await?;
    equal(row.get::<_, i32>(0), 1)?;
    let row = c.query_one("select * from kinds where id = $1 and n like $2 limit $3", &[&1i32, &"o%", &1i64]).await?;
    equal(
        (row.get::<_, &str>("n"), row.get::<_, serde_json::Value>("j"), row.get::<_, DateTime<Utc>>("ts")),
        ("o'x", more, at),
    )?;
    equal((row.get("tn"), row.get("dt"), row.get("tm"), row.get("u")), (plain, day, time, code))?;
    equal(
        (row.get("b"), row.get("l"), row.get("s"), row.get("f"), row.get("r")),
        (true, 1i64 << 40, -3i16, 1.5f64, 0.25f32),
    )?;
    equal(
        (row.get::<_, &[u8]>("y"), row.get::<_, Vec<i32>>("a"), row.get::<_, Vec<Option<&str>>>("t")),
        (bytes, vec![1, 2], texts),
    )
}

async fn described(c: &Client) -> Outcome {
    let statement = c.prepare("select id, n, count(*) over (), now(), 'x' as t, $1::text || 'y' from kinds where id = any($2) and ts < $3 and n in ($4, $5)").await?;
    equal(statement.params(), &[Type::TEXT, Type::INT4_ARRAY, Type::TIMESTAMPTZ, Type::VARCHAR, Type::VARCHAR])?;
    let columns: Vec<_> = statement.columns().iter().map(|column| (column.name(), column.type_().clone())).collect();
    let expected = [
        ("id", Type::INT4),
        ("n", Type::VARCHAR),
        ("count", Type::INT8),
        ("now", Type::TIMESTAMPTZ),
        ("t", Type::TEXT),
        ("?column?", Type::TEXT),
    ];
    equal(columns, expected)?;
    let typed = c.prepare_typed("select $1 + 1", &[Type::INT8]).await?;
    equal(c.query_one(&typed, &[&41i64]).await?.get::<_, i64>(0), 42)?;
    let rows = c.query_typed("select $1::int8 * 2", &[(&21i64, Type::INT8)]).await?;
    equal(rows[0].get::<_, i64>(0), 42)
}

async fn simple(c: &Client) -> Outcome {
    let messages = c.simple_query("create table two (a int primary key, b text); insert into two values (1, 'x'), (2, null); select * from two").await?;
    let rows: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((row.get(0), row.get("b"))),
            _ => None,
        })
        .collect();
    equal(rows, [(Some("1"), Some("x")), (Some("2"), None)])?;
    let counts: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::CommandComplete(n) => Some(*n),
            _ => None,
        })
        .collect();
    equal(counts, [0, 2, 2])
}

async fn pipelined(c: &Client) -> Outcome {
    let statement = c.prepare("select $1::int4 * 2").await?;
    let all = (0..50).map(|n| {
        let statement = &statement;
        async move { c.query_one(statement, &[&n]).await.map(|row| row.get::<_, i32>(0)) }
    });
    let doubled = futures_util::future::try_join_all(all).await?;
    equal(doubled, (0..50).map(|n| n * 2).collect::<Vec<i32>>())
}

async fn transactions(c: &mut Client) -> Outcome {
    let mut outer = c.build_transaction().isolation_level(tokio_postgres::IsolationLevel::Serializable).start().await?;
    outer.execute("insert into two values ($1, $2)", &[&10, &"kept"]).await?;
    let inner = outer.savepoint("s").await?;
    is(inner.execute("insert into two values (10)", &[]).await, SqlState::UNIQUE_VIOLATION)?;
    inner.rollback().await?;
    let portal = outer.bind("select a from two order by a", &[]).await?;
    let first: Vec<i32> = outer.query_portal(&portal, 2).await?.iter().map(|row| row.get(0)).collect();
    let rest: Vec<i32> = outer.query_portal(&portal, 0).await?.iter().map(|row| row.get(0)).collect();
    equal((first, rest), (vec![1, 2], vec![10]))?;
    outer.commit().await?;
    let only = c.build_transaction().read_only(true).start().await?;
    is(only.execute("delete from two", &[]).await, SqlState::READ_ONLY_SQL_TRANSACTION)?;
    drop(only);
    equal(c.query_one("select count(*) from two", &[]).await?.get::<_, i64>(0), 3)
}

async fn copies(c: &Client) -> Outcome {
    let sink = c.copy_in("copy two from stdin").await?;
    pin_mut!(sink);
    sink.send(&b"20\ta\\tb\n21\t\\N\n"[..]).await?;
    equal(sink.finish().await?, 2)?;
    let sink = c.copy_in("copy two (a, b) from stdin (format binary)").await?;
    let writer = BinaryCopyInWriter::new(sink, &[Type::INT4, Type::TEXT]);
    pin_mut!(writer);
    writer.as_mut().write(&[&30, &"z"]).await?;
    writer.as_mut().write(&[&31, &None::<&str>]).await?;
    equal(writer.finish().await?, 2)?;
    let out: Vec<_> =
        c.copy_out("copy (select a, b from two where a >= 20 order by a) to stdout").await?.try_collect().await?;
    equal(out.concat(), b"20\ta\\tb\n21\t\\N\n30\tz\n31\t\\N\n")?;
    let rows =
        BinaryCopyOutStream::new(c.copy_out("copy two to stdout (format binary)").await?, &[Type::INT4, Type::TEXT]);
    let mut rows: Vec<(i32, Option<String>)> = rows.map_ok(|row| (row.get(0), row.get(1))).try_collect().await?;
    rows.sort();
    equal(&rows[5..], &[(30, Some("z".to_owned())), (31, None)])
}

async fn errors(c: &Client) -> Outcome {
    let error = c.execute("insert into two values ($1)", &[&1]).await.expect_err("it is there");
    let told = error.as_db_error().ok_or("no error of the database")?;
    equal(
        (told.constraint(), told.table(), told.detail()),
        (Some("two_pkey"), Some("two"), Some("Key (a)=(1) already exists.")),
    )?;
    is(c.query("select nope from two", &[]).await, SqlState::UNDEFINED_COLUMN)?;
    is(c.query("select * from nowhere", &[]).await, SqlState::UNDEFINED_TABLE)?;
    is(c.query("select 1 / $1::int4", &[&0]).await, SqlState::DIVISION_BY_ZERO)
}

async fn enums(c: &Client) -> Outcome {
    c.batch_execute("create type mood as enum ('sad', 'ok'); create table moods (m mood, l mood[])").await?;
    c.execute("insert into moods values ($1, $2)", &[&Mood::Ok, &vec![Mood::Ok, Mood::Sad]]).await?;
    let row = c.query_one("select m, l from moods where m > $1", &[&Mood::Sad]).await?;
    equal((row.get::<_, Mood>(0), row.get::<_, Vec<Mood>>(1)), (Mood::Ok, vec![Mood::Ok, Mood::Sad]))
}

async fn cancelled(c: &Client) -> Outcome {
    let token = c.cancel_token();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel_query(NoTls).await
    };
    let (slept, cancelled) = tokio::join!(
        c.execute("with recursive n(i) as (select 1 union all select i % 7 from n) select count(*) from n", &[]),
        cancel
    );
    cancelled?;
    is(slept, SqlState::QUERY_CANCELED)
}

async fn notified(c: &Client) -> Outcome {
    let (listener, mut connection) = tokio_postgres::connect(&url(), NoTls).await?;
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(heard) = message {
                let _ = sender.send((heard.channel().to_owned(), heard.payload().to_owned()));
            }
        }
    });
    listener.batch_execute("listen ch").await?;
    c.batch_execute("notify ch, 'x'").await?;
    let heard = tokio::time::timeout(Duration::from_secs(3), receiver.recv()).await.map_err(|_| "nothing heard")?;
    equal(heard, Some(("ch".to_owned(), "x".to_owned())))
}

#[tokio::main]
async fn main() {
    println!("version 0.7.18");
    let mut c = connect().await.expect("a connection");
    told("types of values and parameters, binary", types(&c).await);
    told("what statements say of parameters and columns", described(&c).await);
    told("several statements at once", simple(&c).await);
    told("pipelined statements", pipelined(&c).await);
    told("transactions, savepoints, portals, read only", transactions(&mut c).await);
    told("COPY in and out, text and binary", copies(&c).await);
    told("errors with their fields", errors(&c).await);
    told("enums and their arrays", enums(&c).await);
    told("cancel", cancelled(&c).await);
    told("listen and notify", notified(&c).await);
    end()
}
