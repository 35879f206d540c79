//! Advisory locks of clients of different nodes (rule 27): they exclude each other, are free soon after their holder's
//! node is gone, and a holder that cannot be sure of its lock any more has lost its session before another has the lock.

use super::harness::{PATIENCE, code};
use super::world::{ALL, World, rounds};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_postgres::{Client, Error};

const LOCK: &str = "SELECT pg_advisory_lock(7)";
const TRY: &str = "SELECT pg_try_advisory_lock(7)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(7)";

async fn flag(client: &Client, sql: &str) -> Result<bool, Error> {
    let row = timeout(PATIENCE, client.query_one(sql, &[])).await.expect("somebody waits in vain")?;
    Ok(row.get(0))
}

/// Takes the lock, over as many connections as it takes: a busy machine may lose one with its leader.
fn take(world: &World, node: u64) -> Client {
    let began = Instant::now();
    loop {
        let client = world.connect(node);
        let taken = world.runtime.block_on(async { timeout(PATIENCE, client.batch_execute(LOCK)).await });
        match taken.expect("somebody waits in vain") {
            Ok(()) => return client,
            Err(error) => assert!(code(&error) == "57P01" && began.elapsed() < PATIENCE, "{error:?}"),
        }
    }
}

#[test]
fn clients_of_three_nodes_exclude_each_other() {
    let world = World::start(&[]);
    let began = Instant::now();
    loop {
        let clients = ALL.map(|id| world.connect(id));
        let told = world.runtime.block_on(async {
            let mut told = Vec::new();
            for holder in &clients {
                holder.batch_execute(LOCK).await?;
                for other in clients.iter().filter(|other| !std::ptr::eq(*other, holder)) {
                    told.push(flag(other, TRY).await?);
                }
                told.push(!flag(holder, UNLOCK).await?);
            }
            Ok::<_, Error>(told)
        });
        match told {
            Ok(told) => break assert_eq!(told, [false; 9]),
            Err(error) => assert!(code(&error) == "57P01" && began.elapsed() < PATIENCE, "{error:?}"),
        }
    }
    world.end();
}

#[test]
fn a_lock_is_free_soon_after_its_holder_s_node_was_killed() {
    let mut world = World::start(&[]);
    for _ in 0..rounds() {
        let [victim, other] = world.followers();
        let holder = take(&world, victim);
        world.node(victim).kill();
        let began = Instant::now();
        let next = take(&world, other);
        eprintln!("another client got the lock after {:?}", began.elapsed());
        drop((holder, next));
        world.start_nodes(&[victim]);
    }
    world.end();
}

#[test]
fn a_leader_that_is_killed_takes_its_locks_along_and_their_holders_sessions_before_anybody_else_has_them() {
    let mut world = World::start(&[]);
    for _ in 0..rounds() {
        let (leader, [one, other]) = (world.leader(&ALL), world.followers());
        let holder = take(&world, one);
        let waiting = world.connect(other);
        let waiting = world.runtime.spawn(async move {
            let told = timeout(PATIENCE, waiting.batch_execute(LOCK)).await.expect("somebody waits in vain");
            told.map(|()| waiting)
        });
        std::thread::sleep(Duration::from_millis(200));
        world.node(leader).kill();
        let told = world.runtime.block_on(waiting).unwrap();
        // The word of its end was sent before the other node was asked what it holds.
        std::thread::sleep(Duration::from_millis(50));
        assert!(told.is_err() || holder.is_closed(), "two clients hold one lock");
        world.wait_until("the holder lives on", |_| holder.is_closed());
        world.start_nodes(&[leader]);
    }
    world.end();
}
