//! The ways between nodes fall silent, are closed, or are slow; processes freeze.

use super::harness::{PATIENCE, code};
use super::wires::State;
use super::world::{ALL, World, rounds};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, Error};

/// What "promptly" means on a machine that is busy with something else: far below what a client would wait for in vain.
const PROMPTLY: Duration = Duration::from_secs(20);

fn others(than: u64) -> Vec<u64> {
    ALL.into_iter().filter(|id| *id != than).collect()
}

async fn count(client: &Client) -> Result<i64, Error> {
    let sql = "SELECT (SELECT count(*) FROM done) + (SELECT count(*) FROM single)";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

/// A strict read, a write and a block at a node that is cut off are refused with a code that says so, and local reads
/// go on.
fn refuses_promptly(world: &World, node: u64, clients: &[Client; 3]) {
    let [reading, writing, local] = clients;
    let floor = world.runtime.block_on(count(local)).unwrap();
    let began = Instant::now();
    let refused = world.runtime.block_on(async {
        let read = async {
            loop {
                // One that began before the silence is noticed may take its time; none may succeed.
                let error = count(reading).await.expect_err("a strict read was answered by a node that is cut off");
                assert_eq!(code(&error), "57P03", "{error:?}");
                if began.elapsed() > Duration::from_secs(3) {
                    return began.elapsed();
                }
            }
        };
        let write = async {
            loop {
                let told = world.ledger.insert(writing).await;
                match told.expect_err("a node that is cut off acknowledged something").as_str() {
                    "57P03" => return began.elapsed(),
                    // Sent before the silence was noticed.
                    "08007" => {}
                    other => panic!("{other}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, futures::future::join(read, write)).await
    });
    let (read, wrote) = refused.unwrap_or_else(|_| panic!("node {node} does not answer at all"));
    eprintln!("node {node}, cut off: a strict read was refused after {read:?}, a write after {wrote:?}");
    assert!(read < PROMPTLY && wrote < PROMPTLY, "{read:?} {wrote:?}");
    // Nobody waits for a leader that cannot be found: who is missing is known by now.
    let error = world.runtime.block_on(count(reading)).unwrap_err();
    let message = error.as_db_error().map_or("", |error| error.message());
    assert!(message.contains("it cannot be reached"), "{message}");
    assert!(world.runtime.block_on(count(local)).unwrap() >= floor);
}

/// Clients of a node: two of the default level, and one that reads locally.
fn three_clients(world: &World, node: u64) -> [Client; 3] {
    let clients = [world.connect(node), world.connect(node), world.connect(node)];
    world.runtime.block_on(clients[2].batch_execute("SET evesql.read_level = local")).unwrap();
    clients
}

/// A block of which all but the COMMIT came in time.
fn is_not_committed(world: &World, id: i32, client: &Client) {
    let told = world.runtime.block_on(async { tokio::time::timeout(PATIENCE, world.ledger.commit(client, id)).await });
    let told = told.expect("a COMMIT waits in vain").expect_err("a node that is cut off committed a block");
    assert!(told == "08007" || told == "57P03", "{told}");
}

fn cut_off(state: State, choose: impl Fn(&World) -> u64) {
    let world = World::start(&[]);
    for _ in 0..rounds() {
        let load = world.load();
        load.goes_on(50);
        let victim = choose(&world);
        let clients = three_clients(&world, victim);
        let blocks = [world.connect(victim), world.connect(victim)];
        let ids = blocks.each_ref().map(|client| world.runtime.block_on(world.ledger.begin(client)));
        world.wires.isolate(victim, state);
        // A leader that does not know yet that it is alone writes this into its own log, and executes it.
        is_not_committed(&world, ids[0], &blocks[0]);
        eprintln!("node {victim} is cut off: the next 50 transactions took {:?}", load.goes_on(50));
        world.leader(&others(victim));
        refuses_promptly(&world, victim, &clients);
        is_not_committed(&world, ids[1], &blocks[1]);
        load.goes_on(50);
        world.wires.heal();
        world.agree_under_load(&ALL);
        load.goes_on(50);
        load.finish(&world.runtime);
    }
    world.end();
}

#[test]
fn a_follower_behind_a_silent_network_refuses_promptly_and_serves_local_reads() {
    cut_off(State::Silent, |world| world.followers()[1]);
}

#[test]
fn a_leader_behind_a_silent_network_gives_way_and_neither_acknowledges_nor_reads_what_is_old() {
    cut_off(State::Silent, |world| world.leader(&ALL));
}

#[test]
fn a_leader_whose_connections_are_closed_gives_way_and_neither_acknowledges_nor_reads_what_is_old() {
    cut_off(State::Closed, |world| world.leader(&ALL));
}

#[test]
fn a_leader_that_hears_and_is_not_heard_gives_way() {
    let world = World::start(&[]);
    for _ in 0..rounds() {
        let load = world.load();
        load.goes_on(50);
        let victim = world.leader(&ALL);
        world.wires.mute(victim, State::Silent);
        eprintln!("node {victim} is not heard: the next 50 transactions took {:?}", load.goes_on(50));
        assert_ne!(world.leader(&others(victim)), victim);
        let client = world.connect(victim);
        let error = world.runtime.block_on(count(&client)).unwrap_err();
        assert_eq!(code(&error), "57P03", "{error:?}");
        load.goes_on(50);
        world.wires.heal();
        world.agree_under_load(&ALL);
        load.finish(&world.runtime);
    }
    world.end();
}

#[test]
fn followers_that_lose_each_other_and_a_follower_that_loses_its_leader_do_not_stop_the_others() {
    let world = World::start(&[]);
    for _ in 0..rounds() {
        let load = world.load();
        load.goes_on(50);
        let (leader, [one, other]) = (world.leader(&ALL), world.followers());
        world.wires.cut(one, other, State::Silent);
        world.wires.cut(other, one, State::Silent);
        eprintln!("followers {one} and {other} lost each other: {:?}", load.goes_on(100));
        world.wires.heal();
        world.wires.cut(one, leader, State::Closed);
        world.wires.cut(leader, one, State::Closed);
        eprintln!("follower {one} and leader {leader} lost each other: {:?}", load.goes_on(100));
        world.wires.heal();
        world.agree_under_load(&ALL);
        load.finish(&world.runtime);
    }
    world.end();
}

#[test]
fn when_all_lost_each_other_nobody_is_served_until_they_meet_again() {
    let world = World::start(&[]);
    for _ in 0..rounds() {
        let load = world.load();
        load.goes_on(50);
        let clients = ALL.map(|id| three_clients(&world, id));
        ALL.into_iter().for_each(|id| world.wires.isolate(id, State::Silent));
        ALL.into_iter().zip(&clients).for_each(|(id, clients)| refuses_promptly(&world, id, clients));
        world.wires.heal();
        load.goes_on(50);
        world.agree_under_load(&ALL);
        load.finish(&world.runtime);
    }
    world.end();
}

#[test]
fn a_slow_narrow_way_to_one_node_does_not_stop_the_others() {
    let world = World::start(&[]);
    for _ in 0..rounds() {
        let load = world.load();
        load.goes_on(50);
        let slow = world.followers()[0];
        world.wires.slow_down(slow, Duration::from_millis(150), 128 << 10);
        eprintln!("node {slow} is slow: the next 100 transactions took {:?}", load.goes_on(100));
        world.wires.heal();
        load.goes_on(50);
        load.finish(&world.runtime);
    }
    world.end();
}

/// A process that does nothing for seconds, and does not know it.
fn frozen(choose: impl Fn(&World) -> u64) {
    let world = World::start(&[]);
    for _ in 0..rounds() {
        let load = world.load();
        load.goes_on(50);
        let victim = choose(&world);
        let client = world.connect(victim);
        world.nodes[&victim].freeze();
        eprintln!("node {victim} is frozen: the next 100 transactions took {:?}", load.goes_on(100));
        std::thread::sleep(Duration::from_secs(2));
        // Asked while it is frozen, answered when it wakes up: not with what was true when it fell asleep.
        let floor = world.ledger.acknowledged() as i64;
        let asked = world.runtime.spawn(async move { count(&client).await });
        std::thread::sleep(Duration::from_millis(100));
        world.nodes[&victim].thaw();
        match world.runtime.block_on(asked).unwrap() {
            Ok(seen) => assert!(seen >= floor, "a strict read saw {seen} of {floor}"),
            Err(error) => assert_eq!(code(&error), "57P03", "{error:?}"),
        }
        world.agree_under_load(&ALL);
        load.goes_on(50);
        load.finish(&world.runtime);
    }
    world.end();
}

#[test]
fn a_frozen_follower_does_not_stop_the_others() {
    frozen(|world| world.followers()[0]);
}

#[test]
fn a_leader_that_was_frozen_wakes_up_and_answers_with_nothing_old() {
    frozen(|world| world.leader(&ALL));
}
