//! Temporary tables.

use crate::gateway::Server;
use std::time::{Duration, Instant};
use tokio_postgres::{Client, SimpleQueryMessage};

async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let told = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect::<Vec<_>>().join("|"))
        }
        _ => None,
    };
    told.into_iter().filter_map(row).collect()
}

async fn code(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err(sql);
    error.code().map_or_else(String::new, |code| code.code().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporary_table_is_its_session_s_own_and_stands_before_a_permanent_one() {
    let server = Server::start();
    let (one, other) = (server.connect().await, server.connect().await);
    one.batch_execute("create table t (id int primary key, n text); insert into t values (1, 'permanent')")
        .await
        .unwrap();
    for (client, text) in [(&one, "one"), (&other, "other")] {
        client.batch_execute("create temp table t (id serial primary key, n text unique)").await.unwrap();
        client.execute("insert into t (n) values ($1)", &[&text]).await.unwrap();
        client.batch_execute("create index on t (n)").await.unwrap();
    }
    assert_eq!(rows(&one, "select n from t").await, ["one"]);
    assert_eq!(rows(&one, "select n from pg_temp.t").await, ["one"]);
    assert_eq!(
        rows(&other, "select n from t union all select n from public.t order by 1").await,
        ["other", "permanent"]
    );
    assert_eq!(code(&one, "insert into t (n) values ('one')").await, "23505");
    assert_eq!(rows(&one, "select current_schema(), current_schemas(false)").await, ["public|{public}"]);
    let third = server.connect().await;
    assert_eq!(rows(&third, "select n from t").await, ["permanent"]);
    let schema = rows(&one, "select nspname from pg_namespace where nspname like 'pg_temp_%' order by 1").await;
    assert_eq!(schema.len(), 2);
    assert_eq!(code(&third, &format!("select * from {}.t", schema[0])).await, "0A000");
    one.batch_execute("drop table t").await.unwrap();
    assert_eq!(rows(&one, "select n from t").await, ["permanent"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_tables_take_part_in_transactions_and_in_writes_of_permanent_ones() {
    let server = Server::start();
    let client = server.connect().await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    client
        .batch_execute("begin; create temporary table s as select i as id from generate_series(1, 3) as i")
        .await
        .unwrap();
    client.batch_execute("savepoint a; delete from s where id = 2; rollback to a").await.unwrap();
    client.batch_execute("insert into t select id from s where id > 1; commit").await.unwrap();
    assert_eq!(rows(&client, "select t.id from t join s using (id) order by 1").await, ["2", "3"]);
    client.batch_execute("begin; create temp table u (x int); rollback").await.unwrap();
    assert_eq!(code(&client, "select * from u").await, "42P01");
    client.batch_execute("select id * 10 as ten into temp u from t").await.unwrap();
    client.batch_execute("create temp table if not exists u (y text)").await.unwrap();
    assert_eq!(rows(&client, "select ten from u order by 1").await, ["20", "30"]);
    client.batch_execute("select id into v from t").await.unwrap();
    assert_eq!(rows(&server.connect().await, "select id from v order by 1").await, ["2", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_made_on_commit_drop_goes_with_its_transaction() {
    let server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute("begin; create temp table t (id serial, x int) on commit drop; insert into t (x) values (1)")
        .await
        .unwrap();
    assert_eq!(rows(&client, "select x from t").await, ["1"]);
    client.batch_execute("commit").await.unwrap();
    assert_eq!(code(&client, "select * from t").await, "42P01");
    client.batch_execute("create temp table t (x int) on commit drop").await.unwrap();
    assert_eq!(code(&client, "select * from t").await, "42P01", "a statement alone is a transaction");
    client
        .batch_execute("begin; savepoint a; create temp table t (x int) on commit drop; rollback to a")
        .await
        .unwrap();
    client.batch_execute("create temp table t (y int) on commit preserve rows; commit").await.unwrap();
    assert_eq!(rows(&client, "select * from t").await.len(), 0);
    assert_eq!(code(&client, "create temp table u (x int) on commit delete rows").await, "0A000");
    assert_eq!(code(&client, "create table u (x int) on commit drop").await, "42P16");
    assert_eq!(code(&client, "create temp table public.u (x int)").await, "42P16");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permanent_and_temporary_tables_do_not_refer_to_each_other() {
    let server = Server::start();
    let client = server.connect().await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    client.batch_execute("create temp table s (id int primary key, up int references s)").await.unwrap();
    assert_eq!(code(&client, "create temp table u (id int references t)").await, "42P16");
    assert_eq!(code(&client, "create table u (id int references s)").await, "42P16");
    assert_eq!(code(&client, "create view v as select * from s").await, "0A000");
    assert_eq!(code(&client, "create temp view v as select 1 as x").await, "0A000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_tables_go_with_their_session_or_when_it_discards_them() {
    let server = Server::start();
    let (one, other) = (server.connect().await, server.connect().await);
    one.batch_execute("create temp table t (id serial, x int)").await.unwrap();
    one.batch_execute("discard temp").await.unwrap();
    assert_eq!(code(&one, "select * from t").await, "42P01");
    one.batch_execute("create temp table t (x int); create temp table u (x int); discard all").await.unwrap_err();
    one.batch_execute("create temp table t (x int)").await.unwrap();
    one.batch_execute("discard all").await.unwrap();
    assert_eq!(code(&one, "select * from t").await, "42P01");
    one.batch_execute("create temp table t (id serial, x int)").await.unwrap();
    let left = "select (select count(*) from pg_namespace where nspname like 'pg_temp%') + \
                (select count(*) from pg_class where relname in ('t', 't_id_seq'))";
    assert_ne!(rows(&other, left).await, ["0"]);
    drop(one);
    let begun = Instant::now();
    while rows(&other, left).await != ["0"] {
        assert!(begun.elapsed() < Duration::from_secs(20), "they stay");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
