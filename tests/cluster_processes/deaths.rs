//! Nodes die under load, one and all.

use super::load::Load;
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

#[test]
fn a_follower_is_killed_under_load_and_catches_up() {
    killed_under_load(|world| world.followers()[0]);
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
