//! A replica that is measured, and where all of them start.

use super::load::{Load, TEXTS};
use super::random::Random;
use super::schema::{self, Sizes};
use evesql::batch::{Batch, Group, Plan};
use evesql::page::Hash;
use evesql::replica::{Fared, Learn, Mode, Options, Replica, Spent};
use evesql::token::{Accepted, LogId};
use evesql::transaction::*;
use std::time::{Duration, Instant};

/// Transactions and their numbers, from the environment.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub sizes: Sizes,
    pub seed: u64,
    /// Transactions in a batch.
    pub batch: usize,
    /// Batches in a pass.
    pub batches: usize,
    pub passes: usize,
    /// Batches before the first pass, in which a replica learns.
    pub warm_up: usize,
}

/// The populated bookshop: batches that make it, and the load that follows them.
pub struct Shop {
    pub settings: Settings,
    pub load: Load,
    population: Vec<Batch>,
}

impl Shop {
    pub fn new(settings: Settings) -> Self {
        let mut random = Random::new(settings.seed);
        let mut lane = Lane::empty("", 1, Learn::Nothing);
        let mut population = Vec::new();
        let mut run = |lane: &mut Lane, operations: Vec<Operation>| {
            let index = lane.index + 1;
            let transaction = one_shot(schema::catalog(&lane.replica), index, operations);
            let batch = batch(vec![transaction], Plan::default(), index);
            lane.execute(&batch);
            population.push(batch);
        };
        for sql in schema::ddl() {
            let operation = Operation::Statement(schema::translate(&lane.replica, sql));
            run(&mut lane, vec![operation]);
        }
        for operation in schema::rows(&settings.sizes, &mut random, |sql| schema::translate(&lane.replica, sql)) {
            run(&mut lane, vec![operation]);
        }
        let texts = TEXTS.iter().map(|sql| (*sql, schema::translate(&lane.replica, sql).sql)).collect();
        let load = Load::new(settings.sizes, texts, schema::catalog(&lane.replica), random);
        Shop { settings, load, population }
    }

    /// A replica of it.
    pub fn lane(&self, name: &str, workers: usize, learn: Learn) -> Lane {
        let mut lane = Lane::empty(name, workers, learn);
        self.population.iter().for_each(|batch| drop(lane.execute(batch)));
        lane.times.clear();
        lane
    }
}

fn one_shot(catalog: Hash, index: u64, operations: Vec<Operation>) -> Transaction {
    Transaction {
        id: TransactionId { incarnation: 9, session: 0, sequence: index },
        database: "evesql".into(),
        catalog,
        begun: None,
        expires_at_index: index + 500,
        operations,
    }
}

pub fn batch(transactions: Vec<Transaction>, plan: Plan, index: u64) -> Batch {
    let accepted = Accepted::default();
    Batch { timestamp_us: index as i64 * 1_000_000, seed: index, engine: Hash::default(), accepted, transactions, plan }
}

/// The same order of effect, one by one.
pub fn in_turn(plan: &Plan) -> Plan {
    let order = plan.groups.iter().flat_map(|group| group.parallel.iter().chain(&group.direct));
    let direct: Vec<u32> = order.copied().collect();
    let groups = if direct.is_empty() { Vec::new() } else { vec![Group { parallel: Vec::new(), direct }] };
    Plan { groups }
}

/// What a lane has done since it was last asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub fared: Fared,
    pub spent: Spent,
}

/// A replica and how long it took.
pub struct Lane {
    pub name: String,
    pub replica: Replica,
    pub index: u64,
    /// Of each pass.
    pub times: Vec<Duration>,
    /// CPU time of all threads, of each pass: it hardly depends on what else the machine does.
    cpu_times: Vec<Duration>,
    asked: Done,
}

impl Lane {
    pub fn empty(name: &str, workers: usize, learn: Learn) -> Self {
        let replica = Replica::create(Options { workers, learn, ..Options::default() }).unwrap();
        Lane { name: name.into(), replica, index: 0, times: Vec::new(), cpu_times: Vec::new(), asked: Done::default() }
    }

    /// Executes and accepts a batch; its time counts to the pass that is the last one.
    pub fn execute(&mut self, batch: &Batch) -> Vec<Outcome> {
        self.index += 1;
        let (start, cpu_start) = (Instant::now(), cpu_time());
        let log_id = LogId { term: 1, leader: 1, index: self.index };
        let executed = self.replica.execute(log_id, batch, &Mode::Planned).unwrap();
        let newest = self.replica.newest();
        self.replica.accept(&newest).unwrap();
        let (took, cpu_took) = (start.elapsed(), cpu_time() - cpu_start);
        if let (Some(time), Some(cpu_time)) = (self.times.last_mut(), self.cpu_times.last_mut()) {
            *time += took;
            *cpu_time += cpu_took;
        }
        let failed = executed.outcomes.iter().position(|outcome| !matches!(outcome, Outcome::Committed(_)));
        if let Some(position) = failed {
            let (outcome, transaction) = (&executed.outcomes[position], &batch.transactions[position]);
            panic!("{} at {}: {outcome:?} of {transaction:?}", self.name, self.index);
        }
        executed.outcomes
    }

    pub fn begin_pass(&mut self) {
        self.times.push(Duration::ZERO);
        self.cpu_times.push(Duration::ZERO);
    }

    /// Median of its passes.
    pub fn median(&self) -> Duration {
        median(&self.times)
    }

    /// Median of its passes' CPU time.
    pub fn cpu_median(&self) -> Duration {
        median(&self.cpu_times)
    }

    /// The fastest of its passes: what it takes when nothing else runs on the machine.
    pub fn fastest(&self) -> Duration {
        self.times.iter().min().copied().unwrap_or_default()
    }

    /// What it did since the last call.
    pub fn done(&mut self) -> Done {
        let (fared, spent) = (self.replica.fared(), self.replica.spent());
        let Done { fared: f, spent: s } = std::mem::replace(&mut self.asked, Done { fared, spent });
        Done {
            fared: Fared {
                applied: fared.applied - f.applied,
                conflicted: fared.conflicted - f.conflicted,
                unfit: fared.unfit - f.unfit,
            },
            spent: Spent {
                executing: spent.executing - s.executing,
                verifying: spent.verifying - s.verifying,
                ahead: spent.ahead - s.ahead,
                applying: spent.applying - s.applying,
            },
        }
    }
}

pub fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// CPU time of this process so far.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the structure that it is given, and keeps no pointer to it.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "the process has a CPU clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Sums of plans.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planned {
    plans: u64,
    groups: u64,
    parallel: u64,
    parts: u64,
    transactions: u64,
    took: Duration,
}

impl Planned {
    pub fn add(&mut self, plan: &Plan, transactions: usize, took: Duration) {
        self.plans += 1;
        self.groups += plan.groups.len().max(1) as u64;
        self.parts += plan.groups.iter().filter(|group| !group.parallel.is_empty()).count() as u64;
        self.parallel += plan.groups.iter().map(|group| group.parallel.len() as u64).sum::<u64>();
        self.transactions += transactions as u64;
        self.took += took;
    }
    pub fn groups(&self) -> f64 {
        ratio(self.groups, self.plans)
    }
    /// Transactions in a parallel part.
    pub fn width(&self) -> f64 {
        ratio(self.parallel, self.parts)
    }
    /// Share of transactions that were planned to run ahead.
    pub fn share(&self) -> f64 {
        ratio(self.parallel, self.transactions)
    }
    /// Microseconds a transaction.
    pub fn mixing_us(&self) -> f64 {
        self.took.as_secs_f64() * 1e6 / self.transactions.max(1) as f64
    }
}

pub fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Share of what was planned ahead that ran in its turn after all.
pub fn again(fared: &Fared) -> f64 {
    ratio(fared.conflicted + fared.unfit, fared.applied + fared.conflicted + fared.unfit)
}

pub fn micros(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}
