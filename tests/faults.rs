//! Replicas compute wrong answers, run transactions in another order and lose bits while clients work: no client
//! hears a wrong word, the repair needs nobody, is reported, and all roots agree afterwards.

mod harness;

use evesql::node::core::Drill;
use evesql::verifier::Divergence;
use harness::{InProcess, PATIENCE, code, connect, runtime};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: i32 = 4;
const ACCOUNTS: i32 = 10;
const TOTAL: i64 = 1_000;

async fn set_up(address: SocketAddr) {
    let client = connect(address).await;
    client
        .batch_execute(
            "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
             CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL);
             CREATE TABLE journal (entries text NOT NULL);
             INSERT INTO journal VALUES ('')",
        )
        .await
        .unwrap();
    for id in 0..ACCOUNTS {
        client.execute("INSERT INTO account VALUES ($1, 100)", &[&id]).await.unwrap();
    }
    for id in 0..CLIENTS {
        client.execute("INSERT INTO counter VALUES ($1, 0)", &[&id]).await.unwrap();
    }
}

/// Works until `over`, and checks every word; how often it counted.
async fn work(address: SocketAddr, me: i32, over: Arc<AtomicBool>) -> i32 {
    let client = connect(address).await;
    let mut counted = 0;
    while !over.load(Ordering::Relaxed) {
        let row = client.query_one("UPDATE counter SET n = n + 1 WHERE id = $1 RETURNING n", &[&me]).await.unwrap();
        counted += 1;
        assert_eq!(row.get::<_, i32>(0), counted, "another number was heard");
        let changed = client.execute("UPDATE journal SET entries = entries || $1", &[&format!("{me} ")]).await.unwrap();
        assert_eq!(changed, 1, "another count of rows was heard");
        let (from, to) = ((me + counted) % ACCOUNTS, (me + 3 * counted + 1) % ACCOUNTS);
        let moved = format!(
            "BEGIN; UPDATE account SET balance = balance - 1 WHERE id = {from};
             UPDATE account SET balance = balance + 1 WHERE id = {to}; COMMIT"
        );
        if let Err(error) = client.batch_execute(&moved).await {
            assert_eq!(code(&error), "40001", "{error:?}");
        }
        let sum: i64 = client.query_one("SELECT sum(balance) FROM account", &[]).await.unwrap().get(0);
        assert_eq!(sum, TOTAL, "another sum was heard");
    }
    counted
}

/// Runs the clients while `story` happens.
fn during_load(server: &InProcess, story: impl FnOnce(&InProcess)) {
    let runtime = runtime();
    let address = server.address();
    runtime.block_on(set_up(address));
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS).map(|me| runtime.spawn(work(address, me, over.clone()))).collect();
    std::thread::sleep(Duration::from_millis(300));
    story(server);
    std::thread::sleep(Duration::from_millis(300));
    over.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        let mut counted = 0;
        for client in clients {
            counted += client.await.expect("no client heard a wrong word");
        }
        let client = connect(address).await;
        let sum: i64 = client.query_one("SELECT sum(n) FROM counter", &[]).await.unwrap().get(0);
        assert_eq!(sum, counted as i64);
        let entries: String = client.query_one("SELECT entries FROM journal", &[]).await.unwrap().get(0);
        assert_eq!(entries.split_whitespace().count(), counted as usize);
    });
    server.agree();
}

/// Waits for something that the load or the scrub brings about.
fn wait_for(server: &InProcess, what: &str, mut is_there: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < deadline, "{what} did not happen:\n{}", server.cluster().status(0).render());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn healed(server: &InProcess, node: u64) -> Option<Divergence> {
    let divergences = server.cluster().divergences().into_iter();
    let mut healed = divergences.filter(|d| d.nodes().contains(&node) && d.healed_at_us.is_some());
    healed.next()
}

#[test]
fn wrong_answers_of_each_node_in_turn_reach_no_client_and_are_reported() {
    let server = InProcess::start(|config| config);
    during_load(&server, |server| {
        for node in 1..=3 {
            // Who is wrong so late that the others have accepted already is repaired without a report; so until
            // one is reported.
            wait_for(server, "the repair of a wrong answer", || {
                server.cluster().drill(node, Drill::WrongAnswer);
                std::thread::sleep(Duration::from_millis(200));
                healed(server, node).is_some()
            });
        }
    });
    for node in 1..=3 {
        let report = healed(&server, node).unwrap();
        assert!(!report.transactions.is_empty(), "the report names no transactions: {report}");
    }
}

fn with_rows(server: &InProcess) -> Option<Divergence> {
    server.cluster().divergences().into_iter().find(|report| report.healed_at_us.is_some() && !report.rows.is_empty())
}

#[test]
fn another_order_of_execution_is_found_and_repaired() {
    let server = InProcess::start(|config| config);
    during_load(&server, |server| {
        // A batch whose transactions commute hides it; so until one does not.
        wait_for(server, "a divergence by another order", || {
            server.cluster().drill(2, Drill::Misorder);
            std::thread::sleep(Duration::from_millis(50));
            with_rows(server).is_some()
        });
    });
    let report = with_rows(&server).unwrap();
    assert!(!report.transactions.is_empty() && !report.tables.is_empty() && !report.pages.is_empty(), "{report}");
    assert!(report.to_string().contains(" rowid "), "{report}");
}

#[test]
fn flipped_bits_are_found_and_their_pages_fetched_during_load() {
    let server = InProcess::start(|config| config);
    during_load(&server, |server| {
        // Not the one that reads: damage in memory is found by the scrub, or by `quorum` reads.
        let home = server.cluster().home().unwrap().shared.id;
        let node = server.cluster().nodes().into_iter().find(|node| node.shared.id != home).unwrap();
        let mut pages = (2..16).cycle();
        // What the load rewrites is healed by it; so until a page was hit that it leaves alone.
        wait_for(server, "the repair of a flipped bit", || {
            let page = pages.next().unwrap();
            server.cluster().drill(node.shared.id, Drill::FlipBit { page });
            std::thread::sleep(Duration::from_millis(300));
            node.shared.repairs() > 0 && node.shared.serves()
        });
    });
}

#[test]
fn three_replicas_that_all_differ_agree_after_a_replay() {
    let server = InProcess::start(|config| config);
    during_load(&server, |server| {
        // "The next batch" is the same one for all three, if none comes in between; so until it was.
        wait_for(server, "a replay", || {
            (1..=3).for_each(|node| assert!(server.cluster().drill(node, Drill::WrongAnswer)));
            std::thread::sleep(Duration::from_millis(200));
            // Nobody agreed at first.
            server.cluster().divergences().iter().any(|divergence| divergence.agreed.is_none())
        });
    });
}

#[test]
fn a_replica_without_memory_for_a_page_counts_as_absent_and_comes_back_by_itself() {
    let server = InProcess::start(|config| config);
    during_load(&server, |server| {
        for node in 1..=3 {
            // Through SQL, as people do it.
            let drilled = runtime().block_on(async {
                let client = connect(server.address()).await;
                let row =
                    client.query_one(&format!("SELECT evesql_drill('out-of-memory', {node})"), &[]).await.unwrap();
                row.get::<_, String>(0)
            });
            assert_eq!(drilled, format!("out-of-memory on node {node}"));
            wait_for(server, "the return of a node without memory", || healed(server, node).is_some());
        }
    });
    for node in 1..=3 {
        let report = healed(&server, node).unwrap();
        assert!(report.minority.is_empty() && report.failed == [node], "it looked diverged: {report}");
        assert!(!report.transactions.is_empty(), "the report names no transactions: {report}");
    }
    let status = server.cluster().status(0).render();
    assert!(status.contains("failed, minority [2]"), "{status}");
}
