//! How fresh and how sure reads are (`evesql.read_level`), on three nodes: a quorum read never shows what one replica
//! alone has, a local read is never torn and waits for nobody, and a bound on its age makes it as fresh as a strict one.

mod harness;

use evesql::node::RunningNode;
use harness::{InProcess, PATIENCE, code, connect, connect_to, runtime};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, Error};

const ROWS: i32 = 200;
/// A bit in the last byte of a page: of a table's leaf, that is the text of its first row.
const LAST_BYTE: u32 = 4_095 * 8;

async fn rows(client: &Client) -> Result<Vec<(i32, String)>, Error> {
    let rows = client.query("SELECT id, body FROM t ORDER BY id", &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn expected() -> Vec<(i32, String)> {
    (0..ROWS).map(|id| (id, format!("row {id} {}", "x".repeat(90)))).collect()
}

async fn set_up(server: &InProcess) -> Client {
    let client = connect(server.address()).await;
    client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, body text)").await.unwrap();
    let fill = format!(
        "INSERT INTO t SELECT g, 'row ' || g || ' ' || repeat('x', 90) FROM generate_series(0, {}) g",
        ROWS - 1
    );
    client.batch_execute(&fill).await.unwrap();
    assert_eq!(rows(&client).await.unwrap(), expected());
    client
}

async fn with_level(server: &InProcess, level: &str) -> Client {
    let client = connect(server.address()).await;
    client.batch_execute(&format!("SET evesql.read_level = {level}")).await.unwrap();
    client
}

fn pages(node: &RunningNode) -> u32 {
    node.shared.accepted_state().databases["evesql"].snapshot.page_count()
}

/// Falsifies a page of one node in memory; its hash stays.
fn falsify(node: &RunningNode, page: u32) {
    let state = node.shared.accepted_state();
    state.databases["evesql"].snapshot.store().flip_bit(page, LAST_BYTE).unwrap();
}

fn is_sound(node: &RunningNode) -> bool {
    let state = node.shared.accepted_state();
    let snapshot = &state.databases["evesql"].snapshot;
    node.shared.serves() && snapshot.store().rehash(snapshot).is_empty()
}

/// Until the node that was falsified is as the others again, by what it found itself.
async fn repaired(server: &InProcess, node: &RunningNode, other: &Client) {
    let deadline = Instant::now() + PATIENCE;
    while !is_sound(node) {
        assert!(Instant::now() < deadline, "no repair:\n{}", server.cluster().status(0).render());
        other.batch_execute("UPDATE other SET n = n + 1").await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_quorum_read_never_shows_what_the_home_node_alone_has() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let strict = set_up(&server).await;
        strict.batch_execute("CREATE TABLE other (n int); INSERT INTO other VALUES (0)").await.unwrap();
        let quorum = with_level(&server, "quorum").await;
        assert_eq!(rows(&quorum).await.unwrap(), expected());
        let (mut shown, mut in_block) = (0, 0);
        let home = server.cluster().home().unwrap();
        for page in 2..=pages(&home) {
            server.agree();
            let home = server.cluster().home().unwrap();
            falsify(&home, page);
            // A strict read is of one node, which does not know it yet.
            shown += u32::from(rows(&strict).await.is_ok_and(|rows| rows != expected()));
            for _ in 0..3 {
                match rows(&quorum).await {
                    Ok(rows) => assert!(rows == expected(), "a falsified page {page} was shown"),
                    Err(error) => assert!(error.as_db_error().is_some(), "{error:?}"),
                }
            }
            repaired(&server, &home, &strict).await;

            falsify(&home, page);
            // What a block saw counts once it is committed.
            if quorum.batch_execute("BEGIN").await.is_ok() {
                let seen = rows(&quorum).await;
                let committed = quorum.batch_execute("COMMIT").await;
                if seen.is_ok_and(|rows| rows != expected()) {
                    in_block += 1;
                    assert!(committed.is_err(), "a block that saw a falsified page {page} was committed");
                }
            }
            quorum.batch_execute("ROLLBACK").await.unwrap();
            repaired(&server, &home, &strict).await;
        }
        assert!(shown > 0, "no page that the statement reads was falsified");
        println!("falsified rows were shown to {shown} strict reads and in {in_block} blocks that failed to commit");
        assert_eq!(rows(&quorum).await.unwrap(), expected());
    });
    server.agree();
}

#[test]
fn a_local_read_waits_for_nobody() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        set_up(&server).await;
        let local = with_level(&server, "local").await;
        let home = server.cluster().home().unwrap().shared.id;
        (1..=3).filter(|node| *node != home).for_each(|node| assert!(server.cluster().kill(node)));
        let asked_at = Instant::now();
        for _ in 0..20 {
            assert_eq!(rows(&local).await.unwrap(), expected());
        }
        assert!(asked_at.elapsed() < Duration::from_secs(5), "{:?}", asked_at.elapsed());
        // While no majority could agree to a quorum read.
        let quorum = with_level(&server, "quorum").await;
        quorum.batch_execute("SET statement_timeout = 500").await.unwrap();
        assert_eq!(code(&rows(&quorum).await.unwrap_err()), "08007");
        (1..=3).filter(|node| *node != home).for_each(|node| server.cluster().restart(node).unwrap());
        quorum.batch_execute("SET statement_timeout = 0").await.unwrap();
        assert_eq!(rows(&quorum).await.unwrap(), expected());
    });
    server.agree();
}

#[test]
fn a_local_read_is_never_torn_and_is_not_older_than_its_bound() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let client = connect(server.address()).await;
        client.batch_execute("CREATE TABLE a (n int); CREATE TABLE b (n int)").await.unwrap();
        client.batch_execute("INSERT INTO a VALUES (0); INSERT INTO b VALUES (0)").await.unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (torn, reader) = (over.clone(), with_level(&server, "local").await);
        let watching = tokio::spawn(async move {
            let mut reads = 0;
            while !torn.load(Ordering::Relaxed) {
                let row = reader.query_one("SELECT a.n, b.n FROM a, b", &[]).await.unwrap();
                assert_eq!(row.get::<_, i32>(0), row.get::<_, i32>(1), "a half of a transaction was seen");
                reads += 1;
            }
            reads
        });
        let fresh = with_level(&server, "local").await;
        fresh.batch_execute("SET evesql.max_staleness_ms = 1").await.unwrap();
        for n in 1..=100 {
            client.batch_execute(&format!("UPDATE a SET n = {n}; UPDATE b SET n = {n}")).await.unwrap();
            // By now what is older than this is too old.
            tokio::time::sleep(Duration::from_millis(3)).await;
            let seen: i32 = fresh.query_one("SELECT n FROM b", &[]).await.unwrap().get(0);
            assert_eq!(seen, n, "older than what was acknowledged before");
        }
        over.store(true, Ordering::Relaxed);
        assert!(watching.await.unwrap() > 0);
    });
    server.agree();
}

#[test]
fn the_first_statement_of_a_block_knows_the_tables_that_were_made_before() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let client = connect(server.address()).await;
        for n in 0..60 {
            client.batch_execute(&format!("CREATE TABLE made{n} (n int)")).await.unwrap();
            // The node that the session reads from may have accepted the table last.
            let insert = format!("INSERT INTO made{n} VALUES (1)");
            client.batch_execute(&format!("{insert}; {insert}")).await.unwrap();
            client.batch_execute(&format!("CREATE TABLE more{n} (n int)")).await.unwrap();
            client.batch_execute(&format!("BEGIN; INSERT INTO more{n} VALUES (1); COMMIT")).await.unwrap();
        }
    });
    server.agree();
}

#[test]
fn a_client_that_comes_next_finds_the_database_that_was_just_made() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let client = connect(server.address()).await;
        // Only now and then is the node that acknowledges ahead of the one that is asked next.
        for _ in 0..150 {
            client.batch_execute("CREATE DATABASE fleeting").await.unwrap();
            drop(connect_to(server.address(), "fleeting").await);
            client.batch_execute("DROP DATABASE fleeting").await.unwrap();
        }
    });
    server.agree();
}
