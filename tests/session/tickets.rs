//! Clients that want one row: tickets keep those that say FOR UPDATE from failing each other.

use crate::gateway::Server;
use crate::raw::{Raw, query};
use std::time::{Duration, Instant};

async fn counter() -> Server {
    let server = Server::start();
    let client = server.connect().await;
    client.batch_execute("create table t(id int primary key, x int)").await.unwrap();
    client.batch_execute("insert into t(id, x) values (1, 0), (2, 0)").await.unwrap();
    server
}

async fn total(server: &Server) -> i32 {
    server.connect().await.query_one("select x from t where id = 1", &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_clients_lock_compute_and_update_one_row_without_an_abort() {
    let server = counter().await;
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = server.connect().await;
        clients.push(tokio::spawn(async move {
            for _ in 0..20 {
                let transaction = client.transaction().await.unwrap();
                let row = transaction.query_one("select x from t where id = 1 for update", &[]).await.unwrap();
                let x: i32 = row.get(0);
                tokio::task::yield_now().await;
                transaction.execute("update t set x = $1 where id = 1", &[&(x + 1)]).await.unwrap();
                transaction.commit().await.unwrap();
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(total(&server).await, 320);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blind_increments_in_blocks_never_abort_each_other() {
    let server = counter().await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = server.connect().await;
        clients.push(tokio::spawn(async move {
            for _ in 0..25 {
                let transaction = client.transaction().await.unwrap();
                transaction.execute("update t set x = x + 1 where id = 1", &[]).await.unwrap();
                transaction.commit().await.unwrap();
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(total(&server).await, 200);
}

#[test]
fn a_lock_is_waited_for_refused_at_once_or_given_up_and_a_circle_is_found() {
    let server = Server::start();
    let mut a = Raw::connect(server.port);
    let mut b = Raw::connect(server.port);
    a.talk(&[query("create table t(id int primary key, x int)")], 1);
    a.talk(&[query("insert into t(id, x) values (1, 0), (2, 0)")], 1);
    a.talk(&[query("begin; select x from t where id = 1 for update")], 1);
    b.talk(&[query("begin")], 1);
    assert_eq!(b.talk(&[query("select x from t where id = 1 for update nowait")], 1), "E:55P03 Z:E");
    b.talk(&[query("rollback; begin; set local lock_timeout = 50")], 1);
    let begun = Instant::now();
    assert_eq!(b.talk(&[query("select x from t where id = 1 for update")], 1), "E:55P03 Z:E");
    assert!(begun.elapsed() >= Duration::from_millis(50));
    b.talk(&[query("rollback; begin")], 1);
    assert_eq!(b.talk(&[query("select x from t where id = 2 for update")], 1), "T D:0 C:SELECT 1 Z:T");
    a.send(&[query("select x from t where id = 2 for update")]);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(b.talk(&[query("select x from t where id = 1 for update")], 1), "E:40P01 Z:E");
    b.talk(&[query("rollback")], 1);
    assert_eq!(a.until_ready().len(), 4);
    assert_eq!(a.talk(&[query("commit")], 1), "C:COMMIT Z:I");
}

#[test]
fn a_locking_read_moves_an_earlier_pin_if_what_was_seen_still_holds() {
    let server = Server::start();
    let mut a = Raw::connect(server.port);
    let mut b = Raw::connect(server.port);
    a.talk(&[query("create table t(id int primary key, x int)")], 1);
    a.talk(&[query("insert into t(id, x) values (1, 0), (2, 0)")], 1);
    a.talk(&[query("begin; select x from t where id = 2")], 1);
    b.talk(&[query("update t set x = 5 where id = 1")], 1);
    assert_eq!(a.talk(&[query("select x from t where id = 1")], 1), "T D:0 C:SELECT 1 Z:T", "the pin is old");
    a.talk(&[query("rollback; begin; select x from t where id = 2; update t set x = 1 where id = 2")], 1);
    b.talk(&[query("update t set x = 6 where id = 1")], 1);
    assert_eq!(a.talk(&[query("select x from t where id = 1 for update")], 1), "T D:6 C:SELECT 1 Z:T");
    assert_eq!(a.talk(&[query("select x from t where id = 2; commit")], 1), "T D:1 C:SELECT 1 C:COMMIT Z:I");
    a.talk(&[query("begin; select x from t where id = 1")], 1);
    b.talk(&[query("update t set x = 7 where id = 1")], 1);
    assert_eq!(a.talk(&[query("select x from t where id = 1 for update")], 1), "E:40001 Z:E");
}
