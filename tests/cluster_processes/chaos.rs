//! One fault after the other, as they come, under load.

use super::wires::State;
use super::world::{ALL, World, rounds};
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Numbers from a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// `EVESQL_SEED`, or another one each time: the same faults in the same order, though not at the same moments.
fn seed() -> u64 {
    let given = std::env::var("EVESQL_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish())
}

/// A fault, or the end of all.
fn strike(world: &mut World, chance: &mut Chance) -> String {
    let (node, state) = (1 + chance.below(3), [State::Silent, State::Silent, State::Closed][chance.below(3) as usize]);
    let other = 1 + (node + chance.below(2)) % 3;
    match chance.below(12) {
        0 | 1 => {
            world.wires.isolate(node, state);
            format!("{node} isolated: {state:?}")
        }
        2 => {
            world.wires.mute(node, state);
            format!("{node} muted: {state:?}")
        }
        3 => {
            world.wires.cut(node, other, state);
            format!("{node} to {other}: {state:?}")
        }
        4 => {
            world.wires.slow_down(node, Duration::from_millis(chance.below(300)), 100_000);
            format!("{node} slow")
        }
        5 | 6 => {
            world.node(node).kill();
            world.node(node).start();
            format!("{node} killed and started")
        }
        7 => {
            world.nodes[&node].freeze();
            std::thread::sleep(Duration::from_millis(chance.below(3_000)));
            world.nodes[&node].thaw();
            format!("{node} was frozen")
        }
        _ => {
            world.wires.heal();
            "healed".into()
        }
    }
}

#[test]
fn one_fault_after_the_other_loses_nothing_repeats_nothing_and_shows_nothing_old() {
    const STRIKES: u32 = 16;
    let seed = seed();
    eprintln!("EVESQL_SEED={seed}");
    let (mut world, mut chance) = (World::start(&[]), Chance(seed));
    let load = world.load();
    load.goes_on(50);
    for _ in 0..STRIKES * rounds() {
        let what = strike(&mut world, &mut chance);
        eprintln!("{what}; {} acknowledged so far", world.ledger.acknowledged());
        std::thread::sleep(Duration::from_millis(chance.below(1_200)));
        for id in ALL {
            let ended = world.node(id).has_ended();
            assert!(ended.is_none(), "node {id} ended: {ended:?}\n{}", world.node(id).said());
        }
    }
    world.wires.heal();
    ALL.into_iter().for_each(|id| world.node(id).ready());
    load.goes_on(50);
    load.finish(&world.runtime);
    world.end();
}
