//! Clients of different nodes that want one row: the leader's desk keeps those that say FOR UPDATE from failing each
//! other (rule 29), and nobody waits for a node that is gone.
//!
//! Tickets end when another node leads, and a busy machine may change that at any time: what counts on them is tried
//! again then (`Story::under_one_leader`).

use super::harness::{PATIENCE, code};
use super::load::try_connect;
use super::world::{ALL, World, rounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error};

const LOCK: &str = "SELECT n FROM shared WHERE id = 1 FOR UPDATE";
const LOCK_OTHER: &str = "SELECT n FROM shared WHERE id = 2 FOR UPDATE";

struct Story {
    world: World,
}

impl Story {
    fn start() -> Story {
        let world = World::start(&[]);
        let table = "CREATE TABLE shared (id int PRIMARY KEY, n int); INSERT INTO shared VALUES (1, 0), (2, 0)";
        world.runtime.block_on(world.connect(1).batch_execute(table)).unwrap();
        Story { world }
    }

    /// What is told must be as it should, unless the leader changed meanwhile: then again.
    fn under_one_leader(&self, told: impl Fn(&World) -> Result<(), String>) {
        let began = Instant::now();
        loop {
            self.world.leader(&ALL);
            let before = term(&self.world);
            let Err(what) = told(&self.world) else { return };
            assert!(term(&self.world) != before && began.elapsed() < PATIENCE, "{what}");
        }
    }

    fn n(&self, node: u64) -> u32 {
        let client = self.world.connect(node);
        let row = self.world.runtime.block_on(client.query_one("SELECT n FROM shared WHERE id = 1", &[])).unwrap();
        row.get::<_, i32>(0) as u32
    }
}

fn term(world: &World) -> u64 {
    let own = ALL.iter().filter_map(|id| world.nodes[id].own_status());
    own.map(|node| node.term).max().unwrap_or(0)
}

/// An increment by an application that reads first, and says so.
async fn increment(client: &Client) -> Result<(), (Error, bool)> {
    let early = |error| (error, false);
    client.batch_execute("BEGIN").await.map_err(early)?;
    let n: i32 = client.query_one(LOCK, &[]).await.map_err(early)?.get(0);
    client.execute("UPDATE shared SET n = $1 WHERE id = 1", &[&(n + 1)]).await.map_err(early)?;
    client.batch_execute("COMMIT").await.map_err(|error| (error, true))
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("somebody waits in vain")
}

fn as_expected(told: &Result<(), Error>, expected: &str) -> Result<(), String> {
    let code = told.as_ref().err().map_or("success".into(), code);
    if code == expected { Ok(()) } else { Err(format!("{code} instead of {expected}: {told:?}")) }
}

#[test]
fn clients_of_three_nodes_that_lock_read_and_write_one_row_queue_up_without_an_abort() {
    const OF_EACH_NODE: usize = 4;
    const TIMES: usize = 8;
    let story = Story::start();
    let acknowledged = AtomicU32::new(0);
    for _ in 0..rounds() {
        story.under_one_leader(|world| {
            let clients: Vec<Client> = ALL.repeat(OF_EACH_NODE).into_iter().map(|id| world.connect(id)).collect();
            let all = clients.iter().map(|client| async {
                for _ in 0..TIMES {
                    increment(client).await?;
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
            let done = world.runtime.block_on(in_time(futures::future::try_join_all(all)));
            done.map(drop).map_err(|(error, _): (Error, bool)| format!("{error:?}"))
        });
    }
    assert_eq!(story.n(1), acknowledged.into_inner());
    story.world.end();
}

#[test]
fn a_circle_of_waits_over_two_nodes_ends_one_of_them_at_once() {
    let story = Story::start();
    story.under_one_leader(|world| {
        let [one, other] = world.followers().map(|id| world.connect(id));
        world.runtime.block_on(in_time(async {
            one.batch_execute(&format!("BEGIN; {LOCK}")).await.unwrap();
            other.batch_execute(&format!("BEGIN; {LOCK_OTHER}")).await.unwrap();
            let (mut first, mut second) =
                (Box::pin(one.batch_execute(LOCK_OTHER)), Box::pin(other.batch_execute(LOCK)));
            // Whoever asks last closes the circle.
            let (told, waits, loser) = tokio::select! {
                told = &mut first => (told, second, &one),
                told = &mut second => (told, first, &other),
            };
            as_expected(&told, "40P01")?;
            loser.batch_execute("ROLLBACK").await.unwrap();
            as_expected(&waits.await, "success")
        }))
    });
    story.world.end();
}

#[test]
fn a_row_that_a_client_of_another_node_holds_is_refused_at_once_or_after_a_while_and_free_after_its_end() {
    let story = Story::start();
    story.under_one_leader(|world| {
        let [one, other] = world.followers();
        for (holder, asker) in [(one, other), (one, world.leader(&ALL)), (world.leader(&ALL), one)] {
            let (client, other) = (world.connect(holder), world.connect(asker));
            world.runtime.block_on(in_time(async {
                client.batch_execute(&format!("BEGIN; {LOCK}")).await.unwrap();
                let told = other.batch_execute(&format!("BEGIN; {LOCK} NOWAIT")).await;
                as_expected(&told, "55P03")?;
                other.batch_execute("ROLLBACK; BEGIN; SET LOCAL lock_timeout = 50").await.unwrap();
                as_expected(&other.batch_execute(LOCK).await, "55P03")?;
                other.batch_execute("ROLLBACK").await.unwrap();
                as_expected(&other.batch_execute(&format!("BEGIN; {LOCK_OTHER} NOWAIT; ROLLBACK")).await, "success")?;
                // Its client goes, and its tickets with it.
                drop(client);
                as_expected(&other.batch_execute(&format!("BEGIN; {LOCK}; COMMIT")).await, "success")
            }))?;
        }
        Ok(())
    });
    story.world.end();
}

#[test]
fn a_plain_write_in_a_block_waits_for_whoever_holds_its_row_at_another_node() {
    let story = Story::start();
    story.under_one_leader(|world| {
        let [one, other] = world.followers().map(|id| world.connect(id));
        world.runtime.block_on(in_time(async {
            let before = term(world);
            one.batch_execute(&format!("BEGIN; {LOCK}")).await.unwrap();
            let begin = "BEGIN; SET LOCAL lock_timeout = 50";
            // It asks once its node has heard that tickets are held.
            let told = loop {
                other.batch_execute(begin).await.unwrap();
                let told = other.batch_execute("UPDATE shared SET n = n + 0 WHERE id = 1").await;
                other.batch_execute("ROLLBACK").await.unwrap();
                if told.is_err() || term(world) != before {
                    break told;
                }
            };
            as_expected(&told, "55P03")?;
            as_expected(&one.batch_execute("UPDATE shared SET n = n + 0 WHERE id = 1; COMMIT").await, "success")?;
            let told = other.batch_execute(&format!("{begin}; UPDATE shared SET n = n + 0 WHERE id = 1; COMMIT")).await;
            as_expected(&told, "success")
        }))
    });
    story.world.end();
}

#[test]
fn a_node_that_is_killed_while_a_client_of_it_holds_a_row_keeps_nobody_waiting_for_long() {
    let mut story = Story::start();
    for round in 1..=rounds() {
        let [victim, other] = story.world.followers();
        let holder = story.world.connect(victim);
        story.world.runtime.block_on(in_time(holder.batch_execute(&format!("BEGIN; {LOCK}")))).unwrap();
        story.world.node(victim).kill();
        let began = Instant::now();
        let client = story.world.connect(other);
        story.world.runtime.block_on(in_time(increment(&client))).unwrap();
        eprintln!("another client got the row after {:?}", began.elapsed());
        story.world.start_nodes(&[victim]);
        assert_eq!(story.n(victim), round);
        drop(holder);
    }
    story.world.end();
}

#[test]
fn clients_that_wait_when_the_leader_is_killed_go_on_and_lose_no_update() {
    let mut story = Story::start();
    let (acknowledged, open) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    for _ in 0..rounds() {
        let (leader, [one, other]) = (story.world.leader(&ALL), story.world.followers());
        let holder = story.world.connect(one);
        story.world.runtime.block_on(in_time(holder.batch_execute(&format!("BEGIN; {LOCK}")))).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let waiting = [one, other, leader].repeat(2).into_iter().map(|id| {
            let port = story.world.nodes[&id].port;
            story.world.runtime.spawn(incrementing(port, is_over.clone(), acknowledged.clone(), open.clone()))
        });
        let waiting: Vec<_> = waiting.collect();
        std::thread::sleep(Duration::from_millis(200));
        story.world.node(leader).kill();
        let before = acknowledged.load(Ordering::Relaxed);
        // Whoever goes on without a ticket commits; the holder's block is the one that fails then.
        story.world.wait_until("nobody goes on", |_| acknowledged.load(Ordering::Relaxed) >= before + 10);
        story.world.start_nodes(&[leader]);
        is_over.store(true, Ordering::Relaxed);
        for client in waiting {
            story.world.runtime.block_on(in_time(client)).unwrap();
        }
        let told =
            story.world.runtime.block_on(in_time(holder.batch_execute("UPDATE shared SET n = 0 WHERE id = 1; COMMIT")));
        assert!(told.is_err(), "others have counted on since it read");
    }
    story.world.agree(&ALL);
    for id in ALL {
        let (told, open, n) = (acknowledged.load(Ordering::Relaxed), open.load(Ordering::Relaxed), story.n(id));
        assert!(told <= n && n <= told + open, "{n} at node {id}, {told} acknowledged, {open} unknown");
    }
    story.world.end();
}

/// A client that counts on, at one node.
async fn incrementing(port: u16, is_over: Arc<AtomicBool>, acknowledged: Arc<AtomicU32>, open: Arc<AtomicU32>) {
    while !is_over.load(Ordering::Relaxed) {
        let client = try_connect(port).await;
        while let Some(client) = client.as_ref().filter(|_| !is_over.load(Ordering::Relaxed)) {
            let Err((error, commits)) = in_time(increment(client)).await else {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let code = code(&error);
            let is_open = commits && (code.is_empty() || code.starts_with("08") || code == "57P01");
            open.fetch_add(u32::from(is_open), Ordering::Relaxed);
            let known = ["", "40001", "40P01", "08006", "08007", "57P01", "57P03"];
            assert!(known.contains(&code.as_str()), "{error:?}");
            if code.is_empty() || client.batch_execute("ROLLBACK").await.is_err() {
                break;
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}
