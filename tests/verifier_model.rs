//! The seeded model of the verifier: 3 and 5 nodes, a replicated log, abstract execution, and faults.
//!
//! `EVESQL_SEEDS=100000 cargo test --test verifier_model` runs more seeds; `EVESQL_SEED=17` one, with its
//! trace. A failure prints the seed. `each_rule_is_needed` turns the protocol's rules off one by one and
//! asserts that the model then finds a violation: a check that cannot fail proves nothing.

#[path = "verifier_model/checks.rs"]
mod checks;
#[path = "verifier_model/execution.rs"]
mod execution;
#[path = "verifier_model/machine.rs"]
mod machine;
#[path = "verifier_model/raft.rs"]
mod raft;
#[path = "verifier_model/random.rs"]
mod random;
#[path = "verifier_model/scripted.rs"]
mod scripted;
#[path = "verifier_model/world.rs"]
mod world;

use evesql::verifier::Rules;
use execution::Poison;
use random::Random;
use world::{Faults, World};

const NONE: Faults = Faults {
    lose: 0,
    double: 0,
    late: 0,
    crash: 0,
    partition: 0,
    election: 0,
    wrong: 0,
    wrong_after_restart: 0,
    wrong_while: 0,
    environment: 0,
    damage: 0,
    poison: 0,
    poisons: Vec::new(),
    checkpoint: 500,
    wipe: 0,
    again: 200,
    once_only: true,
    sick: 0,
    sick_is_dead: false,
    chaos_us: 40_000,
    load_us: 36_000,
};

/// Each seed has its own mixture of faults.
fn mixture(seed: u64) -> (usize, Faults) {
    let mut random = Random::new(seed ^ 0xFA17);
    let mut pick = |most: u64| if random.chance(5_000) { random.range(0, most) } else { 0 };
    let faults = Faults {
        lose: pick(1_500),
        double: pick(1_500),
        late: pick(2_000),
        crash: pick(800),
        partition: pick(800),
        election: pick(600),
        wrong: pick(400),
        wrong_after_restart: pick(8_000),
        wrong_while: pick(300),
        environment: pick(400),
        damage: pick(200),
        poison: pick(200),
        poisons: vec![Poison::Differs, Poison::DiffersPlanned, Poison::Fails, Poison::Crashes],
        load_us: 20_000 + pick(20_000),
        ..NONE
    };
    (if seed % 3 == 2 { 5 } else { 3 }, faults)
}

fn seeds(default: u64) -> u64 {
    std::env::var("EVESQL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn run(seed: u64, n: usize, faults: Faults, rules: Rules, trace: bool) -> (World, Result<(), String>) {
    let mut world = World::new(n, seed, faults, rules);
    if trace {
        world.trace = Some(Vec::new());
    }
    let result = world.story();
    (world, result)
}

#[test]
fn what_is_told_stays_true_under_any_mixture_of_faults() {
    let only: Option<u64> = std::env::var("EVESQL_SEED").ok().and_then(|text| text.parse().ok());
    let (mut batches, mut void, mut repairs) = (0, 0, 0);
    for seed in only.map_or(0..seeds(250), |seed| seed..seed + 1) {
        let (n, faults) = mixture(seed);
        let (world, result) = run(seed, n, faults, Rules::default(), only.is_some());
        if let Some(trace) = &world.trace {
            println!("{}", trace.join("\n"));
        }
        if let Err(violation) = result {
            panic!("EVESQL_SEED={seed}: {violation}");
        }
        batches += world.checks.reference.len();
        void += world.checks.void;
        repairs += world.checks.repairs;
    }
    println!("{batches} batches accepted, {void} transactions void, {repairs} repairs");
}

#[test]
fn with_u_nodes_dead_or_always_wrong_the_others_go_on() {
    for seed in 0..seeds(100) {
        let (n, faults) = mixture(seed);
        let faults = Faults { sick: n / 2, sick_is_dead: seed % 2 == 0, ..faults };
        let (world, result) = run(seed, n, faults, Rules::default(), false);
        if let Err(violation) = result {
            panic!("seed {seed}, {} sick: {violation}", n / 2);
        }
        assert!(
            world.checks.reference.len() > 3,
            "seed {seed}: only {} batches accepted",
            world.checks.reference.len()
        );
    }
}

/// The mixture in which the lack of a rule shows soonest.
fn mixture_for(rule: &str, seed: u64) -> (usize, Faults) {
    let (n, faults) = mixture(seed);
    let short = Faults { chaos_us: 30_000, load_us: 27_000, ..NONE };
    match rule {
        "full_log_id" => {
            (3, Faults { lose: 3_000, late: 3_000, election: 2_500, partition: 600, checkpoint: 0, ..short })
        }
        "failure_is_absence" => (3, Faults { environment: 600, lose: 1_000, ..short }),
        "failure_is_final" => (3, Faults { environment: 1_500, crash: 500, lose: 1_000, ..short }),
        "one_ballot" => {
            (3, Faults { wrong_after_restart: 6_000, crash: 900, wrong: 200, lose: 1_500, checkpoint: 50, ..short })
        }
        "rehash_before_rejoin" => {
            (3, Faults { damage: 500, wrong_after_restart: 5_000, crash: 600, wrong: 200, ..NONE })
        }
        "trials_are_not_accepted" => (3, Faults { poison: 300, poisons: vec![Poison::Differs], lose: 500, ..short }),
        "refuse_forgetful" => (3, Faults { wipe: 300, crash: 300, lose: 500, election: 300, ..NONE }),
        _ => (n, faults),
    }
}

/// Rules without which the cluster only stops; the lack of any other must show as something false.
const LIVENESS: &[&str] = &[
    "rewind_drops_suffix",
    "look_before_executing",
    "void_breaks_the_deadlock",
    "scrub_before_void",
    "crashes_become_failure",
];

/// Rules that the random runs have no occasion to break.
const SCRIPTED: &[&str] = &["equal_engine", "membership_barrier", "members_at_position"];

/// Where the search begins, for rules whose lack shows late: a few seeds before the first that is known.
fn first_seed(name: &str) -> u64 {
    match name {
        "full_log_id" => 290,
        "one_ballot" => 1_490,
        "accepted_parent" => 1_690,
        "failure_is_final" => 100,
        "rehash_before_rejoin" => 50,
        _ => 0,
    }
}

/// Looks for a seed, or a scripted case, in which the protocol without the rule goes wrong.
fn violation_without(name: &str) -> Option<String> {
    let rules = Rules::without(name).unwrap_or_else(|| panic!("unknown rule {name}"));
    if SCRIPTED.contains(&name) {
        return scripted::CASES.iter().find_map(|(case, run)| run(rules).err().map(|what| format!("{case}: {what}")));
    }
    (first_seed(name)..3_000).find_map(|seed| {
        let (n, faults) = mixture_for(name, seed);
        let violation = run(seed, n, faults, rules, false).1.err()?;
        let shows = LIVENESS.contains(&name) || !violation.contains("no progress");
        shows.then(|| format!("seed {seed}: {violation}"))
    })
}

#[test]
fn without_the_once_only_table_a_client_is_told_two_things() {
    let violation = (0..200).find_map(|seed| {
        run(seed, 3, Faults { again: 2_000, once_only: false, ..NONE }, Rules::default(), false).1.err()
    });
    assert!(violation.is_some_and(|what| what.contains("told two things")));
}

#[test]
fn scripted_cases_hold() {
    for (case, run) in scripted::CASES {
        if let Err(what) = run(Rules::default()) {
            panic!("{case}: {what}");
        }
    }
}

#[test]
fn what_breaks_the_mutations_breaks_nothing_of_the_protocol() {
    for name in Rules::NAMES.iter().filter(|name| mixture_for(name, 0).1.load_us != mixture(0).1.load_us) {
        for seed in 0..20 {
            let (n, faults) = mixture_for(name, seed);
            if let Err(violation) = run(seed, n, faults, Rules::default(), false).1 {
                panic!("mixture for {name}, seed {seed}: {violation}");
            }
        }
    }
}

#[test]
fn each_rule_is_needed() {
    let only = std::env::var("EVESQL_RULE").ok();
    for name in Rules::NAMES.iter().filter(|name| only.as_ref().is_none_or(|only| only == *name)) {
        match violation_without(name) {
            Some(violation) => println!("without {name}: {violation}"),
            None => panic!("without {name} nothing goes wrong: is the rule needed, or is the model blind?"),
        }
    }
}
