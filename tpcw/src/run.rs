//! A run: a thread for each browser, time to warm up, time that is measured, and an orderly stop.

use crate::browser::{Browser, Habits, SESSION_MEAN, Sizes, Told};
use crate::check::{self, Counts};
use crate::connection::{Connection, Pool, Way};
use crate::navigation::{Mix, Navigation};
use crate::session::{Database, Error};
pub use crate::statistics::Report;
use crate::statistics::{Recorder, Setting};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often progress is told.
const TICK: Duration = Duration::from_secs(1);
/// Different messages of failures that are kept.
const MESSAGES_MAX: usize = 20;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which mix.
    pub mix: Mix,
    /// Emulated browsers.
    pub clients: usize,
    /// Connections that they share; `None`: each has its own.
    pub pool: Option<usize>,
    /// Mean think time.
    pub think: Duration,
    /// Mean length of a user's session.
    pub session: Duration,
    /// Time before measuring.
    pub warm_up: Duration,
    /// Time to measure.
    pub measure: Duration,
    /// What the browsers' choices depend on.
    pub seed: u64,
    /// What is done to the database meanwhile.
    pub disturbance: Option<Disturbance>,
}

/// Commands that a session of its own runs, one after the other, again and again.
#[derive(Clone, Debug)]
pub struct Disturbance {
    /// For the Postgres wire.
    pub commands: Vec<String>,
    /// Time from one to the next.
    pub every: Duration,
}

impl Options {
    /// Makes a replica of EveSQL compute something else than the others, so often in a minute, one replica after the
    /// other; the server must allow drills.
    pub fn divergences(replicas: u64, per_minute: u32) -> Option<Disturbance> {
        let every = Duration::from_secs(60).checked_div(per_minute)?;
        let command = |node| format!("SELECT evesql_drill('wrong-answer', {node})");
        Some(Disturbance { commands: (1..=replicas).map(command).collect(), every })
    }
}

impl Default for Options {
    /// One browser in the shopping mix with the benchmark's times, for half a minute.
    fn default() -> Self {
        Options {
            mix: Mix::Shopping,
            clients: 1,
            pool: None,
            think: Duration::from_secs(7),
            session: SESSION_MEAN,
            warm_up: Duration::from_secs(5),
            measure: Duration::from_secs(30),
            seed: 1,
            disturbance: None,
        }
    }
}

/// What is told once a second.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Whether measuring has begun.
    pub measuring: bool,
    /// Since browsers started.
    pub elapsed: Duration,
    /// Interactions a second since the last time.
    pub wips: f64,
    /// Failures so far.
    pub failures: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Counts and latencies of the time that was measured.
    pub report: Report,
    /// What failed for good or remained unknown, with how often, warm-up included.
    pub failures: BTreeMap<String, u64>,
    /// Whether any interaction failed for good; an unknown outcome is none.
    pub failed: bool,
    /// What browsers were told, for [`check::check`].
    pub told: Told,
    /// What the shop held before.
    pub before: Counts,
    /// Commands of the disturbance that were carried out.
    pub disturbed: u64,
    /// Interactions that were completed in each tenth of a second of the time that was measured.
    pub per_tenth: Vec<u64>,
}

/// The time in which a run measures.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// When it begins.
    pub from: Instant,
    /// When it ends.
    pub until: Instant,
}

/// What threads share.
struct Shared {
    recorder: Recorder,
    measured: Measured,
    stop: AtomicBool,
    done: AtomicU64,
    disturbed: AtomicU64,
    failed: AtomicU64,
    failures: Mutex<BTreeMap<String, u64>>,
    told: Mutex<Told>,
}

impl Shared {
    fn failed(&self, message: String, for_good: bool) {
        self.failed.fetch_add(u64::from(for_good), Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < MESSAGES_MAX || failures.contains_key(&message) {
            *failures.entry(message).or_default() += 1;
        }
    }
}

/// Runs browsers on a shop that is filled.
pub fn run(
    database: &Arc<dyn Database>,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, Error> {
    run_beside(database, options, progress, |_| ()).map(|(outcome, ())| outcome)
}

/// The same, while something else happens on a thread of its own, which may last longer than the browsers do.
pub fn run_beside<T: Send>(
    database: &Arc<dyn Database>,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
    beside: impl FnOnce(Measured) -> T + Send,
) -> Result<(Outcome, T), Error> {
    let (sizes, before) = {
        let mut session = database.open()?;
        (check::sizes(session.as_mut())?, check::counts(session.as_mut())?)
    };
    let browsers = browsers(database, options, sizes);
    let began = Instant::now();
    let from = began + options.warm_up;
    let shared = Shared {
        recorder: Recorder::default(),
        measured: Measured { from, until: from + options.measure },
        stop: AtomicBool::new(false),
        done: AtomicU64::new(0),
        disturbed: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        failures: Mutex::default(),
        told: Mutex::default(),
    };
    let happened = std::thread::scope(|scope| {
        let browse = |browser| {
            let shared = &shared;
            scope.spawn(move || browse(browser, shared)).thread().clone()
        };
        let mut threads: Vec<_> = browsers.into_iter().map(browse).collect();
        if let Some(disturbance) = &options.disturbance {
            let shared = &shared;
            threads.push(scope.spawn(move || disturb(database.as_ref(), disturbance, shared)).thread().clone());
        }
        let measured = shared.measured;
        let beside = scope.spawn(move || beside(measured));
        watch(&shared, began, progress);
        shared.stop.store(true, Relaxed);
        threads.iter().for_each(std::thread::Thread::unpark);
        beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let setting = Setting {
        mix: options.mix,
        clients: options.clients,
        pool: options.pool,
        think_ms: options.think.as_millis() as u64,
        warm_up_seconds: options.warm_up.as_secs_f64(),
        seconds: options.measure.as_secs_f64(),
        seed: options.seed,
    };
    let outcome = Outcome {
        per_tenth: shared.recorder.per_tenth(options.measure),
        report: shared.recorder.report(setting),
        failures: shared.failures.into_inner().unwrap_or_else(PoisonError::into_inner),
        failed: shared.failed.into_inner() > 0,
        told: shared.told.into_inner().unwrap_or_else(PoisonError::into_inner),
        before,
        disturbed: shared.disturbed.into_inner(),
    };
    Ok((outcome, happened))
}

fn browsers(database: &Arc<dyn Database>, options: &Options, sizes: Sizes) -> Vec<Browser> {
    let navigation = Navigation::of(options.mix);
    let habits = Habits { think_mean: options.think, session_mean: options.session };
    let pool = options.pool.map(|count| Arc::new(Pool::new(database, count)));
    let nonce = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let browser = |number| {
        let way = match &pool {
            Some(pool) => Way::Shared(pool.clone()),
            None => Way::Own(Connection::new(database.clone())),
        };
        Browser::new(number, options.seed, nonce, sizes, navigation.clone(), habits, way)
    };
    (1..=options.clients as u64).map(browser).collect()
}

/// Tells progress until measuring ends.
fn watch(shared: &Shared, began: Instant, progress: &mut dyn FnMut(Progress)) {
    let (mut last, mut last_done) = (began, 0);
    loop {
        let left = shared.measured.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(TICK));
        let (now, done) = (Instant::now(), shared.done.load(Relaxed));
        let wips = (done - last_done) as f64 / (now - last).as_secs_f64().max(f64::MIN_POSITIVE);
        let failures = shared.failed.load(Relaxed);
        progress(Progress { measuring: now > shared.measured.from, elapsed: now - began, wips, failures });
        (last, last_done) = (now, done);
    }
}

/// Disturbs the database until browsers stop.
fn disturb(database: &dyn Database, disturbance: &Disturbance, shared: &Shared) {
    let began = Instant::now();
    let mut session = None;
    for (number, command) in (1..).zip(disturbance.commands.iter().cycle()) {
        let due = began + disturbance.every * number;
        while !shared.stop.load(Relaxed) && Instant::now() < due {
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        }
        if shared.stop.load(Relaxed) {
            return;
        }
        let opened = session.take().map_or_else(|| database.open(), Ok);
        let done = opened.and_then(|mut opened| {
            opened.script(command)?;
            session = Some(opened).filter(|opened| !opened.is_lost());
            Ok(())
        });
        match done {
            Ok(()) => drop(shared.disturbed.fetch_add(1, Relaxed)),
            Err(error) => shared.failed(format!("disturbance: {error}"), true),
        }
    }
}

/// The life of a browser.
fn browse(mut browser: Browser, shared: &Shared) {
    loop {
        // Also before the first page, so that browsers do not all ask at once.
        let thought = Instant::now() + browser.think();
        while !shared.stop.load(Relaxed) {
            let left = thought.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left);
        }
        if shared.stop.load(Relaxed) {
            break;
        }
        let visited = browser.visit();
        match &visited.outcome {
            Ok(()) => drop(shared.done.fetch_add(1, Relaxed)),
            Err(error) => shared.failed(format!("{}: {error}", visited.page), !matches!(error, Error::Unknown(_))),
        }
        let Measured { from, until } = shared.measured;
        if visited.ended >= from && visited.ended < until {
            shared.recorder.record(&visited, visited.ended - from);
        }
    }
    shared.told.lock().unwrap_or_else(PoisonError::into_inner).add(browser.into_told());
}
