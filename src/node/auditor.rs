//! Which accepted batches a node runs again (`replica::audit`), on whose time, and what becomes of what it finds.
//!
//! ```text
//!   executor     chooses when it executes, keeps the version before and after, hands over when that is accepted
//!   audit-N      runs it again; a difference is logged, kept for `evesql_audits`, and its batch saved with the
//!                databases before it (`saved_audit`)
//! ```
//!
//! There is at most one such batch at a time, from its execution to the end of its audit: those that are chosen meanwhile
//! are skipped and counted. Old versions are held that long and no longer; an audit ends itself where they are in the
//! way of others.

use super::saved_audit::{self, Saved, SavedBatch};
use super::shared::NodeShared;
use super::wiring::{Surroundings, directory};
use crate::batch::{Batch, Command};
use crate::engine::{self, LocalError};
use crate::entry::EncodedCommand;
use crate::page::Hash;
use crate::replica::{AcceptedState, Audit, Difference, Subject, audit};
use crate::seam::Disk;
use crate::token::{LogId, Mode, NodeId};
use crate::transaction::Outcome;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Pause of the audit's thread.
const PAUSE: Duration = Duration::from_millis(50);
/// Audits kept for `evesql_audits`; what was found goes last.
const RECORDS_KEPT: usize = 100;

/// An audit as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Whose.
    pub node: NodeId,
    /// Log index of the batch.
    pub index: u64,
    /// What it gave.
    pub result: Audit,
    /// Where the batch was written to, if something was found.
    pub saved: Option<Saved>,
}

/// What a node's executor and its audits share.
pub struct Audits {
    node: NodeId,
    /// One in so many batches; 0: none.
    every: u64,
    /// A batch is chosen and its audit has not ended.
    busy: AtomicBool,
    /// Accepted, and not run again yet.
    waiting: Mutex<Option<Job>>,
    passed: AtomicU64,
    found: AtomicU64,
    skipped: AtomicU64,
    records: Mutex<VecDeque<AuditRecord>>,
}

impl Audits {
    /// Of a node that audits one in `every` batches.
    pub fn new(node: NodeId, every: u64) -> Self {
        Audits {
            node,
            every,
            busy: AtomicBool::new(false),
            waiting: Mutex::new(None),
            passed: AtomicU64::new(0),
            found: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            records: Mutex::default(),
        }
    }

    /// Audits without a difference.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
    /// Audits that found a difference.
    pub fn found(&self) -> u64 {
        self.found.load(Ordering::Relaxed)
    }
    /// Batches that were chosen and not audited.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
    /// The newest audits, oldest first.
    pub fn records(&self) -> Vec<AuditRecord> {
        self.records.lock().iter().cloned().collect()
    }

    /// Whether this batch, which is about to be executed, is to be audited. What ran one by one says little when it
    /// does so again: of batches without a parallel part one in `every` of one in `every`. By a hash of the index, so
    /// that no rhythm of the log is in step with it, and each node has others.
    fn chooses(&self, index: u64, batch: &Batch, mode: &Mode) -> bool {
        if self.every == 0 {
            return false;
        }
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&index.to_le_bytes(), self.node);
        let ran_ahead = *mode == Mode::Planned && batch.plan.groups.iter().any(|group| !group.parallel.is_empty());
        hash.is_multiple_of(self.every) && (ran_ahead || (hash / self.every).is_multiple_of(self.every))
    }

    fn record(&self, index: u64, result: Audit, saved: Option<Saved>) {
        let count = match &result {
            Audit::Same => &self.passed,
            Audit::Differs(_) => &self.found,
            Audit::Skipped(_) => &self.skipped,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let mut records = self.records.lock();
        records.push_back(AuditRecord { node: self.node, index, result, saved });
        if records.len() > RECORDS_KEPT {
            let tells_nothing = |record: &AuditRecord| !matches!(record.result, Audit::Differs(_));
            let place = records.iter().position(tells_nothing).unwrap_or(0);
            records.remove(place);
        }
    }
}

/// A chosen batch, from its execution on.
struct Job {
    log_id: LogId,
    mode: Mode,
    command: Arc<EncodedCommand>,
    before: AcceptedState,
    after: AcceptedState,
    outcomes: Vec<Hash>,
    engine: engine::Options,
    _busy: Busy,
}

/// Gives the node's place for an audit back.
struct Busy(Arc<Audits>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

/// On the executor's side: the batch that was chosen and is not accepted yet.
pub(super) struct Choice {
    audits: Arc<Audits>,
    chosen: Option<Job>,
}

impl Choice {
    pub fn new(audits: Arc<Audits>) -> Self {
        Choice { audits, chosen: None }
    }

    /// A batch is about to be executed on this state.
    pub fn execute(
        &mut self,
        log_id: LogId,
        command: &Arc<EncodedCommand>,
        mode: &Mode,
        engine: engine::Options,
        before: impl FnOnce() -> Option<AcceptedState>,
    ) {
        let Ok(Command::Batch(batch)) = command.command() else { return };
        // It, or what the log had in its place, was executed before.
        self.roll_back(log_id.index.saturating_sub(1));
        if !self.audits.chooses(log_id.index, batch, mode) {
            return;
        }
        if self.audits.busy.swap(true, Ordering::AcqRel) {
            return self.audits.record(log_id.index, Audit::Skipped("another one was not done yet"), None);
        }
        let busy = Busy(self.audits.clone());
        self.chosen = before().map(|before| Job {
            log_id,
            mode: mode.clone(),
            command: command.clone(),
            before,
            after: AcceptedState::default(),
            outcomes: Vec::new(),
            engine,
            _busy: busy,
        });
    }

    /// It was executed, and gave this state.
    pub fn executed(&mut self, index: u64, after: impl FnOnce() -> Option<AcceptedState>) {
        let after = self.chosen.as_ref().filter(|job| job.log_id.index == index).and_then(|_| after());
        if let (Some(job), Some(after)) = (&mut self.chosen, after) {
            job.after = after;
        }
    }

    /// Batches after `to` are not executed any more.
    pub fn roll_back(&mut self, to: u64) {
        self.chosen.take_if(|job| job.log_id.index > to);
    }

    /// This node's result of a batch is the accepted one.
    pub fn accepted(&mut self, index: u64, outcomes: &[Outcome]) {
        if let Some(mut job) = self.chosen.take_if(|job| job.log_id.index == index) {
            job.outcomes = outcomes.iter().map(Outcome::digest).collect();
            *self.audits.waiting.lock() = Some(job);
        }
    }

    /// Everything up to here is accepted: another result than this node's, if it was not told before.
    pub fn accepted_up_to(&mut self, index: u64) {
        self.chosen.take_if(|job| job.log_id.index <= index);
    }
}

/// Runs chosen batches again.
pub(super) struct Auditor {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
}

impl Auditor {
    pub fn new(node: NodeId, around: &Surroundings) -> Self {
        Auditor { disk: around.disk.clone(), directory: directory(&around.config, node) }
    }

    /// Starts a thread for it; it ends when the node stops.
    pub fn start(self, shared: &Arc<NodeShared>) -> io::Result<std::thread::JoinHandle<()>> {
        let (node, shared) = (shared.id, Arc::downgrade(shared));
        std::thread::Builder::new().name(format!("audit-{node}")).spawn(move || self.run(&shared))
    }

    fn run(&self, shared: &Weak<NodeShared>) {
        loop {
            let Some(shared) = shared.upgrade().filter(|shared| !shared.is_stopping()) else { return };
            self.step(&shared);
            drop(shared);
            std::thread::sleep(PAUSE);
        }
    }

    /// The same as a task, on the runtime's clock.
    pub async fn run_inline(self, shared: Arc<NodeShared>) {
        loop {
            tokio::time::sleep(PAUSE).await;
            self.step(&shared);
        }
    }

    /// Runs the batch again that waits for it, if any.
    fn step(&self, shared: &NodeShared) {
        let waiting = shared.audits.waiting.lock().take();
        if let Some(job) = waiting {
            self.audit(shared, job);
        }
    }

    fn audit(&self, shared: &NodeShared, job: Job) {
        let index = job.log_id.index;
        let is_too_old = || job.before.databases.values().any(|version| version.snapshot.is_too_old());
        let goes_on = || !shared.is_stopping() && !is_too_old();
        let result = catch_unwind(AssertUnwindSafe(|| job.run(&goes_on)))
            .unwrap_or_else(|_| Err(LocalError::internal("the audit panicked")));
        let result = result.unwrap_or_else(|error| {
            tracing::warn!(node = shared.id, index, %error, "a batch could not be audited");
            Audit::Skipped("this machine failed")
        });
        let mut saved = None;
        if let Audit::Differs(found) = &result {
            let found = sentence(index, found);
            saved = self.save(shared.id, &job, &found, &goes_on);
            tracing::error!(node = shared.id, "{found}; this is a bug in EveSQL{}", what_to_do(saved.as_ref()));
        }
        // Whoever sees the record may count on the next batch.
        drop(job);
        shared.audits.record(index, result, saved);
    }

    /// Where the batch is now, unless it could not be written.
    fn save(&self, node: NodeId, job: &Job, found: &str, goes_on: &dyn Fn() -> bool) -> Option<Saved> {
        let (batch, databases) = (job.to_save(node), &job.before.databases);
        match saved_audit::save(&*self.disk, &self.directory, &batch, databases, found, goes_on) {
            Ok(saved) => Some(saved),
            Err(error) => {
                tracing::error!(node, %error, directory = %self.directory.display(), "the batch of an audit could not be saved");
                None
            }
        }
    }
}

impl Job {
    fn run(&self, goes_on: &dyn Fn() -> bool) -> Result<Audit, LocalError> {
        let Ok(Command::Batch(batch)) = self.command.command() else { return Ok(Audit::Skipped("it is no batch")) };
        let Job { log_id, mode, outcomes, before, after, engine, .. } = self;
        let (before, after) = (&before.databases, &after.databases);
        audit(&Subject { log_id: *log_id, batch, mode, outcomes, before, after }, *engine, goes_on)
    }

    fn to_save(&self, node: NodeId) -> SavedBatch {
        SavedBatch {
            log_id: self.log_id,
            node,
            mode: self.mode.clone(),
            steps_max: self.engine.steps_max,
            root_before: self.before.accepted.root,
            root_after: self.after.accepted.root,
            outcomes: self.outcomes.clone(),
            command: self.command.clone(),
        }
    }
}

fn sentence(index: u64, found: &Difference) -> String {
    let transaction = found.transaction.map_or(String::new(), |position| format!(", transaction {position}"));
    format!(
        "batch {index}{transaction}: run again one by one it gives something else than was accepted: {}",
        found.detail
    )
}

fn what_to_do(saved: Option<&Saved>) -> String {
    match saved {
        None => ", please report it".into(),
        Some(Saved { path, left_out: None }) => {
            format!(": please report it; `evesql audit replay {}` shows it again", path.display())
        }
        Some(Saved { path, left_out: Some(reason) }) => {
            format!(", please report it with {}; the databases were not saved: {reason}", path.display())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Group, Plan};
    use crate::token::Accepted;

    fn batch(parallel: Vec<u32>) -> Batch {
        let groups = vec![Group { parallel, direct: Vec::new() }];
        let (engine, accepted) = (Hash::default(), Accepted::default());
        Batch { timestamp_us: 0, seed: 0, engine, accepted, transactions: Vec::new(), plan: Plan { groups } }
    }

    #[test]
    fn one_in_so_many_batches_is_chosen_and_by_each_node_others() {
        let chosen = |node, every, batch: &Batch, mode: &Mode| {
            let audits = Audits::new(node, every);
            (0..64_000).filter(|index| audits.chooses(*index, batch, mode)).collect::<Vec<u64>>()
        };
        let (parallel, direct) = (batch(vec![0, 1]), batch(Vec::new()));
        let first = chosen(1, 64, &parallel, &Mode::Planned);
        assert!((900..1_100).contains(&first.len()), "{}", first.len());
        let second = chosen(2, 64, &parallel, &Mode::Planned);
        assert!(first.iter().filter(|index| second.contains(index)).count() < 50);
        assert!((5..30).contains(&chosen(1, 64, &direct, &Mode::Planned).len()));
        assert!((5..30).contains(&chosen(1, 64, &parallel, &Mode::Replay { void: Vec::new() }).len()));
        assert_eq!(chosen(1, 1, &direct, &Mode::Planned).len(), 64_000);
        assert!(chosen(1, 0, &parallel, &Mode::Planned).is_empty());
    }

    #[test]
    fn what_was_found_stays_longer_than_what_was_not() {
        let audits = Audits::new(1, 1);
        audits.record(1, Audit::Same, None);
        audits.record(2, Audit::Differs(Difference::default()), None);
        (3..300).for_each(|index| audits.record(index, Audit::Same, None));
        let indexes: Vec<u64> = audits.records().iter().map(|record| record.index).collect();
        assert_eq!((indexes.len(), indexes[0], indexes[1]), (RECORDS_KEPT, 2, 201));
        assert_eq!((audits.passed(), audits.found(), audits.skipped()), (298, 1, 0));
    }
}
