//! Statements as drivers send them: typed parameters, binary results, COPY, cursors, cancel, time-outs.

use crate::gateway::Server;
use crate::raw::{Raw, bind, execute, message, parse, query, sync};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

async fn filled() -> (Server, tokio_postgres::Client) {
    let server = Server::start();
    let client = server.connect().await;
    client.batch_execute("create table t(id int primary key, x int, name text)").await.unwrap();
    (server, client)
}

#[tokio::test]
async fn parameters_are_typed_from_where_they_stand_and_results_are_binary() {
    let (_server, client) = filled().await;
    let insert = client.prepare("insert into t(id, x, name) values ($1, $2, $3)").await.unwrap();
    assert_eq!(insert.params(), [Type::INT4, Type::INT4, Type::TEXT]);
    assert_eq!(client.execute(&insert, &[&1i32, &None::<i32>, &"ü"]).await.unwrap(), 1);
    let row = client.query_one("select id, x, name from t where id = $1", &[&1i32]).await.unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, Option<i32>>(1), row.get::<_, &str>(2)), (1, None, "ü"));
    let error = client.execute(&insert, &[&1i32, &2i32, &"again"]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION));
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("t_pkey"));
}

#[tokio::test]
async fn many_statements_of_one_client_in_flight_are_answered_in_order() {
    let (_server, client) = filled().await;
    let insert = client.prepare("insert into t(id, x) values ($1, $2)").await.unwrap();
    let inserts: Vec<i32> = (0..50).collect();
    let all = inserts.iter().map(|id| client.execute_raw(&insert, vec![*id, id * 2]));
    for done in futures::future::join_all(all).await {
        assert_eq!(done.unwrap(), 1);
    }
    let select = client.prepare("select x from t where id = $1").await.unwrap();
    let reads = inserts.iter().map(|id| {
        let (client, select) = (&client, &select);
        async move { client.query_one(select, &[id]).await.unwrap().get::<_, i32>(0) }
    });
    assert_eq!(futures::future::join_all(reads).await, inserts.iter().map(|id| id * 2).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_large_result_streams_and_copy_moves_rows_both_ways() {
    let (_server, mut client) = filled().await;
    let mut lines = String::new();
    for id in 0..5_000 {
        lines.push_str(&format!("{id}\t{}\tname\\t{id}\n", id % 7));
    }
    let sink = client.copy_in("copy t from stdin").await.unwrap();
    let mut sink = pin!(sink);
    for piece in lines.as_bytes().chunks(10_000) {
        sink.send(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 5_000);
    let rows = client.query("select id, name from t", &[]).await.unwrap();
    assert_eq!(rows.len(), 5_000);
    assert_eq!(rows[4_321].get::<_, &str>(1), "name\t4321");
    let stream = client.copy_out("copy t to stdout").await.unwrap();
    let bytes: Vec<Bytes> = stream.map(|piece| piece.unwrap()).collect().await;
    assert_eq!(bytes.concat(), lines.as_bytes());
    // Inside a block, rolled back.
    let transaction = client.transaction().await.unwrap();
    let sink = transaction.copy_in::<_, Bytes>("copy t(id, x) from stdin csv").await.unwrap();
    let mut sink = pin!(sink);
    sink.send(Bytes::from_static(b"100000,1\n100001,\n")).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 2);
    transaction.rollback().await.unwrap();
    assert!(client.query("select id from t where id = 100000", &[]).await.unwrap().is_empty());
}

#[test]
fn copy_by_simple_query_fails_whole_and_the_session_goes_on() {
    let server = Server::start();
    let mut raw = Raw::connect(server.port);
    raw.talk(&[query("create table t(id int primary key, x int)")], 1);
    raw.send(&[query("copy t from stdin")]);
    assert_eq!(raw.next().map(|m| m.0), Some('G'));
    let data = [message(b'd', b"1\t1\n2\tx\n"), message(b'd', b"3\t3\n"), message(b'c', b"")];
    assert_eq!(raw.talk(&data, 1), "E:22P02 Z:I");
    raw.send(&[query("copy t from stdin")]);
    raw.next();
    assert_eq!(raw.talk(&[message(b'f', b"no more\0")], 1), "E:57014 Z:I");
    assert_eq!(raw.talk(&[query("select count(*) from t")], 1), "T D:0 C:SELECT 1 Z:I");
    raw.send(&[query("copy t from stdin; select count(*) from t")]);
    raw.next();
    let done = raw.talk(&[message(b'd', b"1\t1\n"), message(b'c', b"")], 1);
    assert_eq!(done, "C:COPY 1 T D:1 C:SELECT 1 Z:I");
    let extended = [parse("", "copy t from stdin"), bind("", "", &[]), execute("", 0), sync()];
    raw.send(&extended);
    raw.send(&[message(b'd', b"2\t1\n"), message(b'c', b""), sync()]);
    let tags: String = raw.until_ready().iter().map(|m| m.0).collect();
    assert_eq!(tags, "12GCZ");
}

#[test]
fn cursors_and_sql_prepared_statements() {
    let server = Server::start();
    let mut raw = Raw::connect(server.port);
    raw.talk(&[query("create table t(id int primary key, x int)")], 1);
    raw.talk(&[query("insert into t(id, x) values (1, 10), (2, 20), (3, 30)")], 1);
    assert_eq!(raw.talk(&[query("declare c cursor for select id from t")], 1), "E:25P01 Z:I");
    raw.talk(&[query("begin; declare c cursor for select id from t order by id")], 1);
    assert_eq!(raw.talk(&[query("fetch forward 2 from c")], 1), "T D:1 D:2 C:FETCH 2 Z:T");
    assert_eq!(raw.talk(&[query("fetch all from c")], 1), "T D:3 C:FETCH 1 Z:T");
    assert_eq!(raw.talk(&[query("close c; fetch c")], 1), "C:CLOSE CURSOR E:34000 Z:E");
    raw.talk(&[query("rollback")], 1);
    assert_eq!(raw.talk(&[query("prepare p as select x from t where id = $1")], 1), "C:PREPARE Z:I");
    assert_eq!(raw.talk(&[query("execute p(2)")], 1), "T D:20 C:SELECT 1 Z:I");
    assert_eq!(raw.talk(&[query("execute p")], 1), "E:42601 Z:I");
    assert_eq!(raw.talk(&[query("deallocate p; execute p(1)")], 1), "C:DEALLOCATE E:26000 Z:I");
}

/// Never ends by itself.
const ENDLESS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_and_statement_timeout_stop_a_long_statement() {
    let (_server, client) = filled().await;
    let token = client.cancel_token();
    let begun = Instant::now();
    let canceller = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        token.cancel_query(tokio_postgres::NoTls).await.unwrap();
    });
    let error = client.simple_query(ENDLESS).await.unwrap_err();
    canceller.await.unwrap();
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    assert_eq!(error.as_db_error().unwrap().message(), "canceling statement due to user request");
    client.batch_execute("set statement_timeout = '50ms'").await.unwrap();
    let error = client.simple_query(ENDLESS).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().message(), "canceling statement due to statement timeout");
    client.batch_execute("begin; insert into t(id, x) values (1, 1); savepoint s").await.unwrap();
    assert_eq!(client.simple_query(ENDLESS).await.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    client.batch_execute("rollback to s; commit").await.unwrap();
    let rows = client.simple_query("select id from t where id = 1").await.unwrap();
    assert_eq!(rows.len(), 3, "description, row, tag");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_idle_transaction_is_ended_and_its_lock_is_free() {
    let server = Server::start();
    let mut raw = Raw::connect(server.port);
    raw.talk(&[query("create table t(id int primary key, x int)")], 1);
    raw.talk(&[query("set idle_in_transaction_session_timeout = 50; begin; lock table t")], 1);
    let mut other = Raw::connect(server.port);
    assert_eq!(other.talk(&[query("begin; lock table t; commit")], 1), "C:BEGIN C:LOCK TABLE C:COMMIT Z:I");
    let last = raw.next().expect("a word");
    assert_eq!((last.field(b'S').as_str(), last.field(b'C').as_str()), ("FATAL", "25P03"));
}

#[test]
fn shutdown_tells_every_client() {
    let server = Server::start();
    let mut raw = Raw::connect(server.port);
    drop(server);
    assert_eq!(raw.next().expect("a word").field(b'C'), "57P01");
    assert_eq!(raw.next(), None);
}

#[test]
fn identity_numbers_are_unique_over_blocks_single_statements_and_roll_backs() {
    let server = Server::start();
    let mut a = Raw::connect(server.port);
    let mut b = Raw::connect(server.port);
    a.talk(&[query("create table t(id serial primary key, x int)")], 1);
    assert_eq!(a.talk(&[query("insert into t(x) values (1), (2) returning id")], 1), "T D:1 D:2 C:INSERT 0 2 Z:I");
    a.talk(&[query("begin")], 1);
    assert_eq!(a.talk(&[query("insert into t(x) values (3) returning id")], 1), "T D:3 C:INSERT 0 1 Z:T");
    assert_eq!(a.talk(&[query("select currval('t_id_seq')")], 1), "T D:3 C:SELECT 1 Z:T");
    // Another session's numbers come behind those that were reserved.
    let other = b.talk(&[query("insert into t(x) values (4) returning id")], 1);
    assert!(other.starts_with("T D:") && other != "T D:3 C:INSERT 0 1 Z:I", "{other}");
    assert_eq!(a.talk(&[query("commit")], 1), "C:COMMIT Z:I");
    a.talk(&[query("begin; insert into t(x) values (5); rollback")], 1);
    for _ in 0..40 {
        a.talk(&[query("begin; insert into t(x) values (6); commit")], 1);
        b.talk(&[query("insert into t(x) values (7)")], 1);
    }
    assert_eq!(a.talk(&[query("select count(*), count(distinct id) from t")], 1), "T D:84,84 C:SELECT 1 Z:I");
    assert!(a.talk(&[query("select nextval('t_id_seq')")], 1).starts_with("T D:"));
    // A sequence that the block made itself counts there, and goes on behind it.
    let own = "begin; create table u(id serial primary key); insert into u default values; commit";
    assert!(a.talk(&[query(own)], 1).ends_with("C:COMMIT Z:I"));
    assert_eq!(b.talk(&[query("insert into u default values returning id")], 1), "T D:2 C:INSERT 0 1 Z:I");
}

#[test]
fn sql_can_ask_for_session_and_catalog() {
    let server = Server::start();
    let mut raw = Raw::connect(server.port);
    raw.talk(&[query("create table t(id int primary key)")], 1);
    let found = "select relname from pg_class where relkind = 'r' and relname = 't'";
    assert_eq!(raw.talk(&[query(found)], 1), "T D:t C:SELECT 1 Z:I");
    let pid = raw.process;
    assert_eq!(raw.talk(&[query("select pg_backend_pid()")], 1), format!("T D:{pid} C:SELECT 1 Z:I"));
    // In a block that writes, what was asked is no part of the record.
    raw.talk(&[query("begin; insert into t(id) values (1)")], 1);
    assert_eq!(raw.talk(&[query(found)], 1), "T D:t C:SELECT 1 Z:T");
    assert_eq!(raw.talk(&[query("commit")], 1), "C:COMMIT Z:I");
    let root = raw.talk(&[query("select evesql_root()")], 1);
    raw.talk(&[query("insert into t(id) values (2)")], 1);
    assert_ne!(raw.talk(&[query("select evesql_root()")], 1), root);
}

#[test]
fn numbers_begin_where_they_are_told_to() {
    let server = Server::start();
    let mut raw = Raw::connect(server.port);
    let mut told = |sql: &str| raw.talk(&[query(sql)], 1);
    told("create table numbered(id bigint generated by default as identity (start with 5) primary key, s serial)");
    let insert = "insert into numbered(s) values (default) returning id, s";
    assert_eq!(told(insert), "T D:5,1 C:INSERT 0 1 Z:I");
    // As Django resets sequences, and as people do it by hand.
    let reset = "select setval(pg_get_serial_sequence('\"numbered\"', 'id'), coalesce(max(id), 1), max(id) is not null) \
                 from numbered";
    assert_eq!(told(reset), "T D:5 C:SELECT 1 Z:I");
    let by_hand = "select setval(pg_get_serial_sequence('public.numbered', 's')::regclass, 40)";
    assert_eq!(told(by_hand), "T D:40 C:SELECT 1 Z:I");
    assert_eq!(told(insert), "T D:6,41 C:INSERT 0 1 Z:I");
    assert_eq!(told("select setval(pg_get_serial_sequence('numbered', 'nothing'), 1)"), "E:42703 Z:I");
    assert_eq!(told("alter table numbered alter column id restart with 100"), "C:ALTER TABLE Z:I");
    assert_eq!(told("alter sequence numbered_s_seq restart with 7"), "C:ALTER SEQUENCE Z:I");
    assert_eq!(told(insert), "T D:100,7 C:INSERT 0 1 Z:I");
    assert_eq!(told("alter sequence public.numbered_s_seq restart"), "C:ALTER SEQUENCE Z:I");
    assert_eq!(told(insert), "T D:101,1 C:INSERT 0 1 Z:I");
}

#[tokio::test]
async fn values_of_enum_types_are_looked_at_before_anything_runs() {
    let (server, client) = filled().await;
    client.batch_execute("create type mood as enum ('sad', 'ok'); create table p(m mood, all_m mood[])").await.unwrap();
    let insert = client.prepare("insert into p values ($1, $2)").await.unwrap();
    let names: Vec<&str> = insert.params().iter().map(Type::name).collect();
    assert_eq!(names, ["mood", "_mood"], "drivers find them in pg_type and pg_enum");
    let mut raw = Raw::connect(server.port);
    for (values, says) in [
        (["ok", "{ok,sad}"], "1 2 C:INSERT 0 1 Z:I"),
        (["bad", "{}"], "1 E:22P02 Z:I"),
        (["ok", "{ok,worse}"], "1 E:22P02 Z:I"),
    ] {
        let call = [parse("", "insert into p values ($1, $2)"), bind("", "", &values), execute("", 0), sync()];
        assert_eq!(raw.talk(&call, 1), says, "{values:?}");
    }
    let mut sink = pin!(client.copy_in("copy p (m) from stdin").await.unwrap());
    sink.send(Bytes::from_static(b"ok\nbad\n")).await.unwrap();
    let error = sink.finish().await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INVALID_TEXT_REPRESENTATION));
    let rows = client.query("select m::text from p where m > 'sad'", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["ok"]);
}

#[tokio::test]
async fn a_sequence_that_a_transaction_makes_uses_and_drops_leaves_nothing_to_write_back() {
    let (_server, client) = filled().await;
    client.batch_execute("begin; create table s(id serial, x int); insert into s(x) values (1), (2)").await.unwrap();
    client.batch_execute("drop table s; commit").await.unwrap();
    assert!(client.simple_query("select * from s").await.is_err());
}

/// Each answer is PostgreSQL 15's own.
#[tokio::test]
async fn a_time_zone_with_rules_shows_and_reads_what_its_clocks_do() {
    let (_server, client) = filled().await;
    let paris: &[(&str, &[&str])] = &[
        ("show timezone", &["Europe/Paris"]),
        (
            "select '2024-07-01 12:00'::timestamptz, '2024-01-01 12:00'::timestamptz",
            &["2024-07-01 12:00:00+02", "2024-01-01 12:00:00+01"],
        ),
        // Left out in spring, shown twice in autumn.
        (
            "select '2024-03-31 02:30'::timestamptz, '2024-10-27 02:30'::timestamptz",
            &["2024-03-31 03:30:00+02", "2024-10-27 02:30:00+01"],
        ),
        ("select '2024-07-01 12:00 America/New_York'::timestamptz", &["2024-07-01 18:00:00+02"]),
        (
            "select '2024-07-01 12:00+00'::timestamptz at time zone 'America/New_York', '2024-07-01 12:00'::timestamp at time zone 'Asia/Kolkata', '2024-07-01 12:00'::timestamp at time zone '+03'",
            &["2024-07-01 08:00:00", "2024-07-01 08:30:00+02", "2024-07-01 17:00:00+02"],
        ),
        // A day is what the calendar has, 24 hours are what passes.
        (
            "select '2024-03-30 12:00'::timestamptz + interval '1 day', '2024-03-30 12:00'::timestamptz + interval '24 hours'",
            &["2024-03-31 12:00:00+02", "2024-03-31 13:00:00+02"],
        ),
        (
            "select date_trunc('day', '2024-03-31 12:00'::timestamptz), date_trunc('hour', '2024-10-27 01:30+00'::timestamptz)",
            &["2024-03-31 00:00:00+01", "2024-10-27 02:00:00+01"],
        ),
        (
            "select '2024-07-01 23:30+00'::timestamptz::date, '2024-07-01'::date::timestamptz, extract(timezone from '2024-07-01'::timestamptz)",
            &["2024-07-02", "2024-07-01 00:00:00+02", "7200"],
        ),
        ("select to_char('2024-07-01 10:00+00'::timestamptz, 'HH24:MI TZ tz OF')", &["12:00 CEST cest +02"]),
        ("select to_jsonb('2024-07-01 10:00+00'::timestamptz)", &["\"2024-07-01T12:00:00+02:00\""]),
        (
            "select '1800-01-01'::timestamptz, '12000-07-01'::timestamptz",
            &["1800-01-01 00:00:00+00:09:21", "12000-07-01 00:00:00+02"],
        ),
    ];
    client.batch_execute("set time zone 'europe/PARIS'; create table moments (at timestamptz)").await.unwrap();
    for (sql, expected) in paris {
        let answers = client.simple_query(sql).await.unwrap();
        let tokio_postgres::SimpleQueryMessage::Row(row) = &answers[1] else { panic!("{sql}: {answers:?}") };
        let found: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap()).collect();
        assert_eq!(found, *expected, "{sql}");
    }
    // What replicas execute goes by the zone of the session that wrote it, whatever that of who reads.
    client.batch_execute("insert into moments values ('2024-07-01 12:00'); set time zone '+02'").await.unwrap();
    let row = client.query_one("select at::text, current_setting('timezone') from moments", &[]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("2024-07-01 12:00:00+02", "<+02>-02"));
    for sql in ["set time zone 'Europe/Nowhere'", "select now() at time zone 'Europe/Nowhere'"] {
        let error = client.simple_query(sql).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE), "{sql}");
    }
}

#[tokio::test]
async fn currval_and_lastval_tell_of_an_insert_outside_of_a_transaction() {
    let (_server, client) = filled().await;
    client.batch_execute("create table s(id serial, x int, n int generated always as identity)").await.unwrap();
    let told = async || {
        let row = client.query_one("select currval('s_id_seq'), currval('s_n_seq'), lastval()", &[]).await.unwrap();
        [row.get::<_, i64>(0), row.get(1), row.get(2)]
    };
    client.execute("insert into s(x) values ($1)", &[&7]).await.unwrap();
    assert_eq!(told().await, [1, 1, 1]);
    let rows = client.query("insert into s(x) values (1), (2) returning x", &[]).await.unwrap();
    assert_eq!((rows.len(), rows[0].len()), (2, 1), "the numbers themselves were not asked for");
    assert_eq!(told().await, [3, 3, 3]);
    client.batch_execute("insert into s default values; insert into s(id) values (100)").await.unwrap();
    assert_eq!(told().await, [4, 5, 5]);
}
