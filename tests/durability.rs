//! The program is killed under load at moments that nobody chose: what was acknowledged is there exactly once,
//! no transaction is there in half, and the files prove sound. Half of the kills meet a server that checkpoints and
//! backfills all the time.
//!
//! `EVESQL_KILLS=50 cargo test --test durability` kills more often.

mod harness;

use harness::{PATIENCE, Program, run, runtime, try_connect};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_postgres::{Client, Error};

const CLIENTS: i32 = 8;
/// Some checkpoints a second, so that a kill meets one, or its backfill.
const OFTEN: &str = "checkpoint_batches = 50\n";

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

/// The load until a kill at a moment that nobody chose, once `is_time`; what was acknowledged.
fn load_and_kill(runtime: &tokio::runtime::Runtime, program: Program, is_time: impl Fn() -> bool) -> (u64, Vec<i32>) {
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS).map(|_| runtime.spawn(load(program.address))).collect();
    let moment = u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_micros()) % 1_200;
    std::thread::sleep(Duration::from_millis(300 + moment));
    while !is_time() {
        assert!(began.elapsed() < PATIENCE, "its time has not come");
        std::thread::sleep(Duration::from_millis(1 + moment % 50));
    }
    let lived_ms = began.elapsed().as_millis() as u64;
    program.kill();
    let all = runtime.block_on(futures::future::join_all(clients));
    (lived_ms, all.into_iter().flat_map(Result::unwrap).collect())
}

/// All nodes' manifests: other bytes after a checkpoint.
fn manifests(data: &Path) -> Vec<Vec<u8>> {
    let of_node = |node| std::fs::read(data.join(format!("node-{node}/databases/manifest"))).unwrap_or_default();
    (1..=3).map(of_node).collect()
}

/// Whole and once is what is there, and all of what was acknowledged.
fn check_rows(runtime: &tokio::runtime::Runtime, program: &Program, acknowledged: &BTreeSet<i32>) {
    let (a, b) = runtime.block_on(async {
        let client = try_connect(program.address).await.unwrap();
        (ids(&client, "a").await, ids(&client, "b").await)
    });
    assert_eq!(a, b, "a transaction is there in half");
    let there: BTreeSet<i32> = a.iter().copied().collect();
    assert_eq!(there.len(), a.len(), "an id is there twice");
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

fn check_files(data: &Path, when: &str) {
    let checked = run(&["check", "--data", data.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "{when}: {checked:?}");
}

#[test]
fn what_was_acknowledged_survives_kills_at_any_moment_whole_and_once() {
    let kills: u32 = std::env::var("EVESQL_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(12);
    let directory = tempfile::tempdir().unwrap();
    let (data, config) = (directory.path().join("data"), directory.path().join("often.toml"));
    std::fs::write(&config, OFTEN).unwrap();
    let often = ["--config", config.to_str().unwrap()];
    let serve = |round: u32| Program::serve(&data, if round.is_multiple_of(2) { &often } else { &[] }).unwrap();
    let runtime = runtime();
    let mut acknowledged = BTreeSet::new();
    let mut program = serve(0);
    runtime.block_on(async {
        let client = try_connect(program.address).await.unwrap();
        client.batch_execute("CREATE TABLE a (id int); CREATE TABLE b (id int)").await.unwrap();
    });
    for round in 0..kills {
        let (before, is_often) = (manifests(&data), round.is_multiple_of(2));
        // A busy machine may take longer than the moment to the first checkpoint.
        let is_time = || !is_often || manifests(&data) != before;
        let (lived_ms, new) = load_and_kill(&runtime, program, is_time);
        eprintln!("round {round}: killed after {lived_ms} ms, {} acknowledged", new.len());
        acknowledged.extend(new);
        if is_often {
            check_files(&data, "after a kill amid checkpoints");
        }
        program = serve(round + 1);
        check_rows(&runtime, &program, &acknowledged);
    }
    assert!(!acknowledged.is_empty(), "the load did nothing");
    program.kill();
    check_files(&data, "after a kill");
    assert_eq!(serve(1).terminate(), Some(0));
    check_files(&data, "after an orderly stop");
}
