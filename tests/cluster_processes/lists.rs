//! Clients of all nodes append to and read lists while nodes die, freeze and lose each other; the checker of strict
//! serializability reads what they saw. It finds what reads that are not strict, and blocks that are certified in part,
//! let through.

use super::chaos::{as_they_come, chance, each_kind};
use super::checker::lists::{Lists, TABLE, Task};
use super::checker::{Anomaly, End, Model, Seen, assert_strict, check, committed};
use super::harness::PATIENCE;
use super::load::try_connect;
use super::wires::State;
use super::world::{ALL, World, rounds};
use std::time::Instant;
use tokio_postgres::Client;

const CLIENTS: usize = 8;

/// Clients of all nodes, each of which begins with this; one whose node fails goes to the next one,
/// unless it only reads: those stay where they are, one at each node.
fn start(world: &World, setting: &'static str) -> Lists {
    world.runtime.block_on(world.connect(1).batch_execute(TABLE)).unwrap();
    let ports: Vec<u16> = world.nodes.values().map(|node| node.port).collect();
    let connect = move |task, client: usize, turn: usize| {
        let turn = if task == Task::Appends { turn } else { 0 };
        let port = ports[(client + turn) % ports.len()];
        async move {
            let client: Client = try_connect(port).await?;
            client.batch_execute(setting).await.ok()?;
            Some(client)
        }
    };
    Lists::start(&world.runtime, (CLIENTS, ALL.len()), connect)
}

/// What all clients saw, and then what every node shows.
fn finish(world: &World, mut lists: Lists) -> Vec<Seen> {
    lists.stop(&world.runtime, PATIENCE);
    world.agree(&ALL);
    for id in ALL {
        lists.read_all(&world.runtime, &world.connect(id));
    }
    lists.history()
}

#[test]
fn histories_of_all_nodes_clients_are_strictly_serializable_under_faults() {
    const STRIKES: u32 = 8;
    let (mut world, mut chance) = (World::start(&[]), chance());
    let (began, mut faults) = (Instant::now(), 0);
    let (lists, beside) = (start(&world, ""), world.load_beside());
    for _ in 0..rounds() {
        faults += each_kind(&mut world, || lists.goes_on(40, PATIENCE));
        as_they_come(&mut world, &mut chance, STRIKES, || lists.committed());
        faults += STRIKES;
        lists.goes_on(40, PATIENCE);
    }
    beside.map(|load| load.finish(&world.runtime));
    let history = finish(&world, lists);
    let ran = began.elapsed();
    assert_strict(&history);
    let open = history.iter().filter(|seen| seen.end == End::Unknown).count();
    eprintln!(
        "{} of {} transactions were acknowledged, {open} open, {faults} faults, {ran:?}, checked in {:?}",
        committed(&history),
        history.len(),
        began.elapsed() - ran
    );
    world.end();
}

#[test]
fn the_checker_finds_that_local_reads_of_a_node_that_is_cut_off_are_old() {
    let world = World::start(&[]);
    let mut lists = start(&world, "");
    lists.goes_on(50, PATIENCE);
    let victim = world.followers()[0];
    let reader = world.connect(victim);
    world.runtime.block_on(reader.batch_execute("SET evesql.read_level = local")).unwrap();
    world.wires.isolate(victim, State::Silent);
    lists.goes_on(50, PATIENCE);
    lists.read_all(&world.runtime, &reader);
    world.wires.heal();
    lists.goes_on(50, PATIENCE);
    let history = finish(&world, lists);
    let found = check(&history, Model::Strict);
    assert!(matches!(found, Err(Anomaly::Cycle(_))), "{found:?}");
    // Old, and nothing else.
    assert_eq!(check(&history, Model::Serializable), Ok(()));
    world.end();
}

#[test]
fn the_checker_finds_the_anomalies_of_blocks_at_read_committed() {
    let world = World::start(&[]);
    let lists = start(&world, "SET default_transaction_isolation = 'read committed'");
    lists.goes_on(400, PATIENCE);
    let history = finish(&world, lists);
    let found = check(&history, Model::Serializable);
    let found = found.expect_err("nobody lost an update, though nobody certified what was read");
    eprintln!("{found:?}");
    world.end();
}
