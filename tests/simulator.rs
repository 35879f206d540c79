//! Whole nodes under a seeded simulator: real verifier, replica, SQLite, page store, log, consensus and
//! checkpoints on simulated time, disks and network, with clients and faults. One seed is one history. In a third of
//! the seeds the nodes are those of one process; in a third processes of their own, which purge their logs early, so
//! that whoever was away joins by pages; in a third such nodes come and go as well.
//!
//! `EVESQL_SEEDS=1000 cargo test --release --test simulator` runs long, `EVESQL_SEED=7` one seed,
//! `EVESQL_EVENTS=20000` longer histories, `EVESQL_SECONDS=600` begins no seed after that time and
//! `EVESQL_THREADS=4` runs four at a time; `EVESQL_TRACE=1` prints all that happens, `EVESQL_LOG=info` what
//! the nodes log.

#[path = "simulator/administrator.rs"]
mod administrator;
#[path = "simulator/checks.rs"]
mod checks;
#[path = "simulator/clients.rs"]
mod clients;
#[path = "simulator/faults.rs"]
mod faults;
mod generator;
#[path = "simulator/trace.rs"]
mod trace;
#[path = "simulator/world.rs"]
mod world;

use clients::{Client, Ledger};
use evesql::page::Hash;
use generator::Generator;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::LocalSet;
use tokio::time::{self, Instant};
use world::{Counts, Kind, World};

/// Clients at work.
const CLIENTS: u64 = 5;
/// Faults of a seed, at least.
const FAULTS_MIN: u64 = 3;
/// Simulated time that a seed may take.
const TIME_MAX: Duration = Duration::from_secs(600);

/// What became of one seed.
struct Report {
    events: u64,
    faults: Vec<&'static str>,
    committed: usize,
    transactions: usize,
    resubmissions: u64,
    reads: u64,
    simulated: Duration,
    counts: Counts,
    trace: Hash,
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs one seed for so many events.
fn run(seed: u64, events: u64) -> Result<Report, String> {
    if let Ok(filter) = std::env::var("EVESQL_LOG") {
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().without_time().try_init();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let last_lines = Rc::new(RefCell::new(None));
    let keep = last_lines.clone();
    let local = LocalSet::new();
    let simulated = AssertUnwindSafe(|| {
        local.block_on(&runtime, async move {
            let world = World::new(seed);
            *keep.borrow_mut() = Some(world.trace.clone());
            simulate(&world, events).await
        })
    });
    let result = catch_unwind(simulated).unwrap_or_else(|_| Err("the simulation panicked (see above)".into()));
    let lines = last_lines.borrow().as_ref().map(|trace| trace.borrow().last_lines()).unwrap_or_default();
    result.map_err(|error| format!("EVESQL_SEED={seed} EVESQL_EVENTS={events}: {error}\nthe last events:\n{lines}"))
}

async fn simulate(world: &Rc<World>, events: u64) -> Result<Report, String> {
    let ledger = Rc::new(Ledger::default());
    let generator = Rc::new(RefCell::new(Generator::new(world.seed)));
    for node in world.ids() {
        world.bring_up(node).await;
    }
    Client::new(world, &ledger, 0, &generator).create_schema().await?;
    let working: Vec<_> = (1..=CLIENTS)
        .map(|session| tokio::task::spawn_local(Client::new(world, &ledger, session, &generator).run()))
        .collect();

    let administrator = (world.kind == Kind::Members)
        .then(|| tokio::task::spawn_local(administrator::administer(world.clone(), ledger.clone())));

    let mut faults = Vec::new();
    let start = Instant::now();
    let enough = |faults: &Vec<_>| world.trace.borrow().events >= events && faults.len() as u64 >= FAULTS_MIN;
    while world.failure().is_none() && !enough(&faults) {
        world.sleep_ms(0, 400).await;
        faults.push(faults::inject(world).await);
        if start.elapsed() > TIME_MAX {
            world.fail(format!("only {} events in {TIME_MAX:?}", world.trace.borrow().events));
        }
    }
    ledger.stop.set(true);
    for client in working {
        if client.await.is_err() {
            world.fail("a client panicked");
        }
    }
    if let Some(administrator) = administrator
        && administrator.await.is_err()
    {
        world.fail("the administrator panicked");
    }
    let root = settle(world).await?;
    checks::check(world, &ledger)?;
    // What was accepted is durable: nothing else survives this.
    for node in world.ids() {
        world.crash(node).await;
    }
    for node in world.ids() {
        world.bring_up(node).await;
    }
    let again = settle(world).await?;
    if again != root {
        return Err(format!("after a power failure the root is {again}, not {root}"));
    }
    checks::check(world, &ledger)?;
    for node in world.ids() {
        world.crash(node).await;
    }
    // Tasks that were aborted end when it is their turn. Whatever else holds a dead node is a leak.
    time::sleep(Duration::from_secs(1)).await;
    if let Some(held) = world.held() {
        return Err(format!("its node has died, and somebody holds {held}"));
    }
    let trace = world.trace.borrow();
    Ok(Report {
        events: trace.events,
        faults,
        committed: ledger.committed(),
        transactions: ledger.records.borrow().len(),
        resubmissions: ledger.resubmissions.get(),
        reads: ledger.reads.get(),
        simulated: start.elapsed(),
        counts: world.counts.get(),
        trace: trace.hash,
    })
}

/// Waits until all nodes have the same accepted state, and nothing is under way.
async fn settle(world: &World) -> Result<Hash, String> {
    faults::heal(world, "all faults").await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut before = None;
    loop {
        if let Some(failure) = world.failure() {
            return Err(failure);
        }
        let agreement = world.agreement();
        let last: Vec<_> = world.nodes().iter().map(|node| node.log.state().last).collect();
        let now = agreement.as_ref().ok().map(|accepted| (accepted.log_id, accepted.root, last));
        if now.is_some() && now == before {
            return Ok(agreement.expect("just looked at").root);
        }
        if Instant::now() > deadline {
            return Err(format!("the nodes do not converge: {}", agreement.err().unwrap_or_default()));
        }
        before = now;
        world.supervise().await;
        time::sleep(Duration::from_millis(500)).await;
    }
}

#[test]
fn whole_nodes_keep_what_they_promise_under_faults() {
    let (first, seeds, events) = match (from_environment("EVESQL_SEED"), from_environment("EVESQL_SEEDS")) {
        (Some(seed), seeds) => (seed, seeds.unwrap_or(1), 10_000),
        (None, Some(seeds)) => (1, seeds, 10_000),
        (None, None) => (1, 3, 1_500),
    };
    let events = from_environment("EVESQL_EVENTS").unwrap_or(events);
    let next = AtomicU64::new(first);
    let begun = std::time::Instant::now();
    let seconds_max = from_environment("EVESQL_SECONDS").unwrap_or(u64::MAX);
    let finished = AtomicU64::new(0);
    let totals = Mutex::new((0u64, 0u64, 0usize, 0usize, 0u64, 0u64, Duration::ZERO));
    let counts = Mutex::new(Counts::default());
    let kinds = Mutex::new(BTreeMap::<&'static str, u64>::new());
    let failures = Mutex::new(Vec::new());
    let threads = from_environment("EVESQL_THREADS").unwrap_or(1);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds || begun.elapsed().as_secs() >= seconds_max {
                        return;
                    }
                    finished.fetch_add(1, Ordering::Relaxed);
                    match run(seed, events) {
                        Ok(report) => {
                            let mut sum = totals.lock().unwrap();
                            sum.0 += report.events;
                            sum.1 += report.faults.len() as u64;
                            sum.2 += report.transactions;
                            sum.3 += report.committed;
                            sum.4 += report.resubmissions;
                            sum.5 += report.reads;
                            sum.6 += report.simulated;
                            counts.lock().unwrap().add(&report.counts);
                            let mut kinds = kinds.lock().unwrap();
                            report.faults.iter().for_each(|kind| *kinds.entry(kind).or_default() += 1);
                        }
                        Err(failure) => {
                            println!("{failure}");
                            failures.lock().unwrap().push(seed);
                        }
                    }
                }
            });
        }
    });
    let (events, faults, transactions, committed, resubmissions, reads, simulated) = *totals.lock().unwrap();
    let failures = failures.into_inner().unwrap();
    let Counts { joins, parts, resumed, changes } = counts.into_inner().unwrap();
    println!(
        "{} seeds, {events} events, {faults} faults, {} failures; {transactions} transactions, {committed} \
         committed, {resubmissions} resubmissions, {reads} reads, {simulated:?} of simulated time; {joins} joins, \
         {parts} parts of them, {resumed} resumed; {changes} changes of members\n{:?}",
        finished.into_inner(),
        failures.len(),
        kinds.lock().unwrap()
    );
    assert!(failures.is_empty(), "failing seeds: {failures:?}");
}

#[test]
fn one_seed_makes_one_history() {
    // One of each kind.
    let seeds = from_environment("EVESQL_SEED").map_or(vec![42, 43, 44], |seed| vec![seed]);
    for seed in seeds {
        let one = run(seed, 1_000).unwrap_or_else(|failure| panic!("{failure}"));
        let two = run(seed, 1_000).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((one.events, one.trace), (two.events, two.trace), "seed {seed}");
    }
}
