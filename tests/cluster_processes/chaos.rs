//! One fault after the other, under load: as they come, or one of each kind.

use super::wires::State;
use super::world::{ALL, World, rounds};
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Numbers from a seed (splitmix64).
pub struct Chance(u64);

impl Chance {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// From `EVESQL_SEED`, or others each time: the same faults in the same order, though not at the same moments.
pub fn chance() -> Chance {
    let given = std::env::var("EVESQL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish());
    eprintln!("EVESQL_SEED={seed}");
    Chance(seed)
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

/// Faults as they come; `progress` is for the trace.
pub fn as_they_come(world: &mut World, chance: &mut Chance, strikes: u32, progress: impl Fn() -> usize) {
    for _ in 0..strikes {
        let what = strike(world, chance);
        eprintln!("{what}; {} acknowledged so far", progress());
        std::thread::sleep(Duration::from_millis(chance.below(1_200)));
        for id in ALL {
            let ended = world.node(id).has_ended();
            assert!(ended.is_none(), "node {id} ended: {ended:?}\n{}", world.node(id).said());
        }
    }
    world.wires.heal();
    ALL.into_iter().for_each(|id| world.node(id).ready());
}

const NOTICED: Duration = Duration::from_secs(1);

/// A fault of a node, while clients go on.
type Fault = fn(&mut World, u64, &dyn Fn());

/// One fault of each kind, to the leader and to a follower; between them clients must go on. How many there were.
pub fn each_kind(world: &mut World, goes_on: impl Fn()) -> u32 {
    let kinds: [Fault; 5] = [
        |world, victim, goes_on| {
            world.node(victim).kill();
            goes_on();
            world.start_nodes(&[victim]);
        },
        |world, victim, goes_on| {
            world.wires.isolate(victim, State::Silent);
            goes_on();
            // Its clients, too, come to notice.
            std::thread::sleep(NOTICED);
            world.wires.heal();
        },
        |world, victim, goes_on| {
            world.wires.isolate(victim, State::Closed);
            goes_on();
            std::thread::sleep(NOTICED);
            world.wires.heal();
        },
        |world, victim, goes_on| {
            world.nodes[&victim].freeze();
            goes_on();
            world.nodes[&victim].thaw();
        },
        |world, victim, goes_on| {
            world.stop_nodes(&[victim]);
            goes_on();
            world.start_nodes(&[victim]);
        },
    ];
    let mut faults = 0;
    for fault in kinds {
        for leads in [true, false] {
            goes_on();
            let victim = if leads { world.leader(&ALL) } else { world.followers()[0] };
            fault(world, victim, &goes_on);
            world.agree_under_load(&ALL);
            faults += 1;
        }
    }
    goes_on();
    faults
}

#[test]
fn one_fault_after_the_other_loses_nothing_repeats_nothing_and_shows_nothing_old() {
    let (mut world, mut chance) = (World::start(&[]), chance());
    let load = world.load();
    load.goes_on(50);
    let ledger = world.ledger.clone();
    as_they_come(&mut world, &mut chance, 16 * rounds(), || ledger.acknowledged());
    load.goes_on(50);
    load.finish(&world.runtime);
    world.end();
}
