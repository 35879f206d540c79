//! The program is killed under load at moments that nobody chose: what was acknowledged is there exactly once,
//! no transaction is there in half, and the files prove sound.
//!
//! `EVESQL_KILLS=50 cargo test --test durability` kills more often.

mod harness;

use harness::{Program, run, runtime, try_connect};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_postgres::{Client, Error};

const CLIENTS: i32 = 8;

static NEXT_ID: AtomicI32 = AtomicI32::new(1);

/// One transaction in two tables; in a block, as one query of several statements, or with parameters.
async fn insert(client: &Client, id: i32) -> Result<(), Error> {
    if id % 2 == 0 {
        let sql = format!("BEGIN; INSERT INTO a VALUES ({id}); INSERT INTO b VALUES ({id}); COMMIT");
        return client.batch_execute(&sql).await;
    }
    client.batch_execute("BEGIN").await?;
    client.execute("INSERT INTO a VALUES ($1)", &[&id]).await?;
    client.execute("INSERT INTO b VALUES ($1)", &[&id]).await?;
    client.batch_execute("COMMIT").await
}

/// Inserts until the server is gone; the ids that were acknowledged.
async fn load(address: SocketAddr) -> Vec<i32> {
    let mut acknowledged = Vec::new();
    let Ok(client) = try_connect(address).await else { return acknowledged };
    loop {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        match insert(&client, id).await {
            Ok(()) => acknowledged.push(id),
            Err(error) if client.is_closed() || error.code().is_none() => return acknowledged,
            Err(error) => {
                // Nobody contends here: an error that the server still sends must say that the outcome is open.
                assert_eq!(harness::code(&error).get(..2), Some("08"), "{error:?}");
                return acknowledged;
            }
        }
    }
}

async fn ids(client: &Client, table: &str) -> Vec<i32> {
    let rows = client.query(&format!("SELECT id FROM {table} ORDER BY id"), &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn what_was_acknowledged_survives_kills_at_any_moment_whole_and_once() {
    let kills: u32 = std::env::var("EVESQL_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let runtime = runtime();
    let mut acknowledged = BTreeSet::new();
    let mut program = Program::serve(&data, &[]).unwrap();
    runtime.block_on(async {
        let client = try_connect(program.address).await.unwrap();
        client.batch_execute("CREATE TABLE a (id int); CREATE TABLE b (id int)").await.unwrap();
    });
    for round in 0..kills {
        let clients: Vec<_> = (0..CLIENTS).map(|_| runtime.spawn(load(program.address))).collect();
        let moment = u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_micros()) % 1_200;
        std::thread::sleep(Duration::from_millis(300 + moment));
        program.kill();
        let before = acknowledged.len();
        runtime.block_on(async {
            for client in clients {
                acknowledged.extend(client.await.unwrap());
            }
        });
        program = Program::serve(&data, &[]).unwrap();
        let (a, b) = runtime.block_on(async {
            let client = try_connect(program.address).await.unwrap();
            (ids(&client, "a").await, ids(&client, "b").await)
        });
        eprintln!("round {round}: killed after {} ms, {} acknowledged", 300 + moment, acknowledged.len() - before);
        assert_eq!(a, b, "a transaction is there in half");
        let there: BTreeSet<i32> = a.iter().copied().collect();
        assert_eq!(there.len(), a.len(), "an id is there twice");
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    }
    assert!(!acknowledged.is_empty(), "the load did nothing");
    program.kill();
    let checked = run(&["check", "--data", data.to_str().unwrap()]);
    assert!(checked.status.success(), "after a kill: {checked:?}");
    let program = Program::serve(&data, &[]).unwrap();
    assert_eq!(program.terminate(), Some(0));
    let checked = run(&["check", "--data", data.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "after an orderly stop: {checked:?}");
}
