//! Nodes die under load, one and all.

use super::harness::code;
use super::load::Load;
use super::node::Node;
use super::world::{ALL, World, rounds};

/// Kills a node under load, and lets it come back after the others went on without it.
fn killed_under_load(choose: impl Fn(&World) -> u64) {
    let mut world = World::start(&[]);
    for _ in 0..rounds() {
        let load = world.load();
        load.goes_on(100);
        let victim = choose(&world);
        world.node(victim).kill();
        eprintln!("node {victim} killed: the next 100 transactions took {:?}", load.goes_on(100));
        world.start_nodes(&[victim]);
        load.goes_on(100);
        load.finish(&world.runtime);
    }
    world.end();
}

#[test]
fn the_leader_is_killed_under_load_and_nothing_acknowledged_is_lost() {
    killed_under_load(|world| world.leader(&ALL));
}

/// Nobody listens where it was: the others need not wait for its silence.
#[test]
fn a_leader_whose_process_has_ended_is_succeeded_at_once() {
    let mut world = World::start_without_wires();
    for _ in 0..rounds() {
        let load = world.load();
        load.goes_on(100);
        let victim = world.leader(&ALL);
        let stands = |world: &World| {
            let said = |node: &Node| node.said().matches("has ended: standing for election").count();
            world.nodes.values().map(said).sum::<usize>()
        };
        let before = stands(&world);
        world.node(victim).kill();
        eprintln!("node {victim} killed: the next 100 transactions took {:?}", load.goes_on(100));
        assert!(stands(&world) > before, "the others waited for its silence");
        world.start_nodes(&[victim]);
        load.goes_on(100);
        load.finish(&world.runtime);
    }
    world.end();
}

#[test]
fn a_follower_is_killed_under_load_and_catches_up() {
    killed_under_load(|world| world.followers()[0]);
}

#[test]
fn a_rolling_restart_under_load_loses_nothing() {
    let mut world = World::start(&[]);
    for _ in 0..rounds() {
        let load = world.load();
        for id in ALL {
            load.goes_on(50);
            world.stop_nodes(&[id]);
            load.goes_on(50);
            world.start_nodes(&[id]);
            world.agree_under_load(&ALL);
        }
        load.finish(&world.runtime);
    }
    world.end();
}

#[test]
fn a_node_that_crashes_within_its_process_comes_back_to_its_peers() {
    let world = World::start(&["--drills"]);
    for _ in 0..rounds() {
        let load = world.load();
        for id in ALL {
            load.goes_on(50);
            let client = world.connect(id);
            let told = world.runtime.block_on(client.query_one(&format!("SELECT evesql_drill('crash', {id})"), &[]));
            assert_eq!(told.unwrap().get::<_, String>(0), format!("crash on node {id}"));
            load.goes_on(50);
            world.agree_under_load(&ALL);
        }
        load.finish(&world.runtime);
    }
    world.end();
}

#[test]
fn with_two_nodes_dead_the_third_refuses_and_reads_locally_also_after_a_restart() {
    let mut world = World::start(&[]);
    for _ in 0..rounds() {
        let load = loaded(&world);
        let alone = world.followers()[0];
        let others: Vec<u64> = ALL.into_iter().filter(|id| *id != alone).collect();
        others.iter().for_each(|id| world.node(*id).kill());
        refuses_and_reads_locally(&world, alone);
        world.node(alone).kill();
        world.start_nodes(&[alone]);
        refuses_and_reads_locally(&world, alone);
        world.start_nodes(&others);
        load.goes_on(50);
        load.finish(&world.runtime);
    }
    world.end();
}

fn refuses_and_reads_locally(world: &World, node: u64) {
    let client = world.connect(node);
    world.runtime.block_on(async {
        let refused = client.query_one("SELECT count(*) FROM done", &[]).await.unwrap_err();
        assert_eq!(code(&refused), "57P03", "{refused:?}");
        while let Err(told) = world.ledger.insert(&client).await {
            match told.as_str() {
                "57P03" => break,
                // Sent before it was known that the others are dead.
                "08007" => {}
                other => panic!("{other}"),
            }
        }
        client.batch_execute("SET evesql.read_level = local").await.unwrap();
        assert!(client.query_one("SELECT count(*) FROM done", &[]).await.unwrap().get::<_, i64>(0) > 0);
    });
}

fn loaded(world: &World) -> Load {
    let load = world.load();
    load.goes_on(100);
    load
}

#[test]
fn all_nodes_are_stopped_in_order_under_load_and_start_with_all_that_was_acknowledged() {
    let mut world = World::start(&[]);
    for _ in 0..rounds() {
        let load = loaded(&world);
        world.stop_nodes(&ALL);
        world.nodes.values().for_each(super::node::Node::is_sound);
        world.start_nodes(&ALL);
        load.goes_on(100);
        load.finish(&world.runtime);
    }
    world.end();
}

#[test]
fn all_nodes_are_killed_under_load_and_start_with_all_that_was_acknowledged() {
    let mut world = World::start(&[]);
    for _ in 0..rounds() {
        let load = loaded(&world);
        ALL.into_iter().for_each(|id| world.node(id).kill());
        world.nodes.values().for_each(super::node::Node::is_sound);
        world.start_nodes(&ALL);
        load.goes_on(100);
        load.finish(&world.runtime);
    }
    world.end();
}
