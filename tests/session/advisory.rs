//! Advisory locks and sleeping: what functions have the session do.

use crate::gateway::Server;
use crate::raw::{Raw, query, shown};
use std::time::{Duration, Instant};

const LOCK: &str = "select pg_advisory_lock(7)";
const TRY: &str = "select pg_try_advisory_lock(7)";
const UNLOCK: &str = "select pg_advisory_unlock(7)";

async fn flag(client: &tokio_postgres::Client, sql: &str) -> bool {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_counted_excludes_others_and_ends_with_its_session() {
    let server = Server::start();
    let (one, other) = (server.connect().await, server.connect().await);
    one.execute("select pg_advisory_lock($1)", &[&7i64]).await.unwrap();
    assert!(flag(&one, TRY).await);
    assert!(!flag(&other, TRY).await && !flag(&other, "select pg_try_advisory_lock_shared(7)").await);
    assert!(flag(&other, "select pg_try_advisory_lock(0, 7)").await, "two numbers are another lock");
    assert!(flag(&one, UNLOCK).await);
    assert!(!flag(&other, TRY).await, "it was taken twice");
    assert!(flag(&one, UNLOCK).await && !flag(&one, UNLOCK).await);
    assert!(flag(&other, TRY).await);
    drop(other);
    one.batch_execute("set lock_timeout = '10s'").await.unwrap();
    one.batch_execute(LOCK).await.expect("it ended with the other session");
    one.batch_execute("select pg_advisory_lock_shared(8)").await.unwrap();
    one.batch_execute("discard all").await.unwrap();
    let other = server.connect().await;
    assert!(flag(&other, TRY).await && flag(&other, "select pg_try_advisory_lock(8)").await);
    other.batch_execute("select pg_advisory_unlock_all()").await.unwrap();
    assert!(flag(&one, TRY).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_s_lock_ends_with_it_or_with_its_savepoint() {
    let server = Server::start();
    let (one, other) = (server.connect().await, server.connect().await);
    one.batch_execute("create table t (id int primary key); select pg_advisory_xact_lock(7)").await.unwrap();
    let try_xact = "select pg_try_advisory_xact_lock(7)";
    assert!(flag(&other, try_xact).await, "a statement alone is a transaction");
    one.batch_execute("begin; insert into t values (1); savepoint s; select pg_advisory_xact_lock(7)").await.unwrap();
    assert!(!flag(&other, try_xact).await);
    assert!(!flag(&one, UNLOCK).await, "it is not the session's");
    one.batch_execute("rollback to s").await.unwrap();
    assert!(flag(&other, try_xact).await);
    one.batch_execute("select pg_advisory_xact_lock(7)").await.unwrap();
    assert!(!flag(&other, try_xact).await);
    one.batch_execute("commit").await.unwrap();
    assert!(flag(&other, try_xact).await);
    one.batch_execute("begin; select pg_advisory_xact_lock(7)").await.unwrap();
    one.batch_execute("select 1/0").await.unwrap_err();
    assert!(flag(&other, try_xact).await, "a failed block holds nothing");
    one.batch_execute("rollback").await.unwrap();
}

/// Read, think, write, under a lock instead of FOR UPDATE.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_waited_for_a_lock_sees_what_its_last_holder_wrote() {
    let server = Server::start();
    let client = server.connect().await;
    client.batch_execute("create table t (id int primary key, x int); insert into t values (1, 0)").await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = server.connect().await;
        clients.push(tokio::spawn(async move {
            for _ in 0..10 {
                let transaction = client.transaction().await.unwrap();
                transaction.execute("select pg_advisory_xact_lock(1)", &[]).await.unwrap();
                let x: i32 = transaction.query_one("select x from t where id = 1", &[]).await.unwrap().get(0);
                transaction.execute("update t set x = $1 where id = 1", &[&(x + 1)]).await.unwrap();
                transaction.commit().await.unwrap();
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let x: i32 = client.query_one("select x from t where id = 1", &[]).await.unwrap().get(0);
    assert_eq!(x, 80);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_jobs_is_worked_off_by_locks_on_its_rows() {
    let server = Server::start();
    let (one, other) = (server.connect().await, server.connect().await);
    one.batch_execute("create table job (id int primary key); insert into job values (1), (2), (3)").await.unwrap();
    let next = "select id from job where pg_try_advisory_lock(id) order by id limit 1";
    let mut taken = Vec::new();
    for client in [&one, &other, &one] {
        taken.push(client.query_one(next, &[]).await.map(|row| row.get::<_, i32>(0)).ok());
    }
    assert_eq!(taken, [Some(1), Some(2), Some(1)], "one's own is had again");
    let nothing: Option<bool> = one.query_one("select pg_try_advisory_lock(null)", &[]).await.unwrap().get(0);
    assert_eq!(nothing, None);
    let error = one.batch_execute("delete from job where pg_try_advisory_lock(id)").await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "0A000");
}

#[test]
fn a_wait_ends_by_cancel_by_time_out_and_by_a_circle() {
    let server = Server::start();
    let (mut a, mut b) = (Raw::connect(server.port), Raw::connect(server.port));
    a.talk(&[query("select pg_advisory_lock(1)")], 1);
    b.talk(&[query("select pg_advisory_lock(2)")], 1);
    let begun = Instant::now();
    assert_eq!(b.talk(&[query("set lock_timeout = 50; select pg_advisory_lock(1)")], 1), "C:SET E:55P03 Z:I");
    assert!(begun.elapsed() >= Duration::from_millis(50));
    b.talk(&[query("set lock_timeout = 50")], 1);
    assert_eq!(b.talk(&[query("select pg_advisory_lock(1)")], 1), "E:55P03 Z:I");
    b.talk(&[query("reset lock_timeout")], 1);
    b.talk(&[query("set statement_timeout = 50")], 1);
    assert_eq!(b.talk(&[query("select pg_advisory_lock(1)")], 1), "E:57014 Z:I");
    b.talk(&[query("reset statement_timeout")], 1);
    a.send(&[query("select pg_advisory_lock(2)")]);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(b.talk(&[query("select pg_advisory_lock(1)")], 1), "E:40P01 Z:I");
    b.talk(&[query("select pg_advisory_unlock(2)")], 1);
    let told: Vec<String> = a.until_ready().iter().map(shown).collect();
    assert_eq!(told.join(" "), "T D: C:SELECT 1 Z:I");
    assert!(a.talk(&[query("select pg_advisory_unlock(9)")], 1).contains("N:"), "a warning");
}

#[test]
fn sleeping_takes_its_time_and_ends_by_a_time_out() {
    let server = Server::start();
    let mut a = Raw::connect(server.port);
    let begun = Instant::now();
    assert_eq!(a.talk(&[query("select pg_sleep(0.1) from generate_series(1, 2)")], 1), "T D: D: C:SELECT 2 Z:I");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    a.talk(&[query("set statement_timeout = 50")], 1);
    assert_eq!(a.talk(&[query("select pg_sleep(100)")], 1), "E:57014 Z:I");
    a.talk(&[query("begin")], 1);
    assert_eq!(a.talk(&[query("select pg_sleep(100)")], 1), "E:57014 Z:E");
    a.talk(&[query("rollback; set statement_timeout = 0")], 1);
    assert_eq!(a.talk(&[query("begin; select pg_sleep(0); commit")], 1), "C:BEGIN T D: C:SELECT 1 C:COMMIT Z:I");
}
