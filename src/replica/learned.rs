//! What executing taught about kinds of transactions: what they cost, and whether running ahead pays for them. The
//! leader plans by it; a plan travels with its batch, so that other nodes, which learned otherwise, do the same.
//!
//! A kind is all transactions of the same texts in the same database.

use super::Replica;
use crate::batch::Batch;
use crate::engine::LocalError;
use crate::footprint::{Footprint, Item, Schema, Template};
use crate::page::Hash;
use crate::transaction::{Operation, Transaction};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Kinds that are remembered; one more, and all are forgotten.
const KINDS_MAX: usize = 4_096;
/// Text of a kind that people are shown, in characters.
const TEXT_MAX: usize = 200;
/// The mean moves by one part in so many with each run that is noted as often as the others of its kind.
const MEAN_WEIGHT: u64 = 8;
/// A run counts as so many times the mean at most: one that waited for a processor says little of its kind.
const OUTLIER: u64 = 4;

/// Running ahead pays from so many nanoseconds on: below, handing it over and checking cost as much.
const RUN_NS_MIN: u64 = 2_500;
/// To apply one row's change, and to check and apply a transaction beside that, in nanoseconds (measured with
/// `benches/tpcw_executor`, section `interactions`).
const APPLY_ROW_NS: u64 = 5_000;
const APPLY_NS: u64 = 500;
/// What running ahead takes off one thread's time has to be so many halves of what stays serial.
const GAIN_HALVES_MIN: u64 = 3;
/// Tries before conflicts are held against a kind, and runs in its turn before it is tried again.
const TRIES_MIN: u64 = 16;
const RETRY_AFTER: u64 = 512;

/// What a replica learns of the transactions that it executes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Learn {
    /// Nothing; it saves a look at the clock for each of them.
    Nothing,
    /// What they cost.
    #[default]
    Costs,
    /// What they touch as well, so that plans can be made.
    Footprints,
}

/// A run that takes so long is always noted.
const SLOW_NS: u64 = 50_000;
/// Of runs in their turn that take less than [`SLOW_NS`], one in so many is noted: noting costs a cheap one a
/// hundredth of its time.
const SAMPLED: u64 = 16;

/// For how many a run in its turn stands in what is learned; 0 if it is passed over.
pub(super) fn weight(log_index: u64, position: u32, run_ns: u64) -> u64 {
    match run_ns {
        SLOW_NS.. => 1,
        _ if (log_index + u64::from(position)).is_multiple_of(SAMPLED) => SAMPLED,
        _ => 0,
    }
}

/// Runs of a kind before its footprint is derived, and kinds of which that is done after one batch.
const CALLS_MIN: u64 = 4;
const DERIVED_MAX: usize = 8;

/// How a transaction of a parallel or direct part was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// In its turn, as planned.
    Direct,
    /// Ahead.
    Applied,
    /// Planned to run ahead; something before it touches its rows.
    Conflicted,
    /// Planned to run ahead, and cannot.
    Unfit,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ran {
    pub kind: u64,
    pub position: u32,
    /// It stands for so many like it.
    pub weight: u64,
    pub run_ns: u64,
    /// Rows changed, by triggers and cascades too.
    pub changes: u64,
    pub how: How,
}

/// One kind of transactions.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// Its statements, shortened.
    pub text: Arc<str>,
    /// Runs.
    pub calls: u64,
    /// Mean time of a run without applying, in nanoseconds.
    pub run_ns: u64,
    /// Mean number of rows that a run changes, rounded up: 0 only if none ever changed any.
    pub changes: u64,
    /// Runs ahead that were applied.
    pub applied: u64,
    /// Runs ahead that were for nothing: something before them touches their rows.
    pub conflicted: u64,
    /// Runs that were planned ahead and cannot be.
    pub unfit: u64,
    /// Tries since running ahead was last given up or taken up, and conflicts among them.
    tried: (u64, u64),
    direct_until: u64,
    /// Mean number of rows that a run changes, in thousandths.
    changes_milli: u64,
    /// Of its texts in order, for a schema; none before it is worth it.
    templates: Option<(Hash, Arc<[Template]>)>,
}

impl Kind {
    fn new(text: Arc<str>) -> Self {
        Kind {
            text,
            calls: 0,
            run_ns: 0,
            changes: 0,
            applied: 0,
            conflicted: 0,
            unfit: 0,
            tried: (0, 0),
            direct_until: 0,
            changes_milli: 0,
            templates: None,
        }
    }

    fn note(&mut self, ran: &Ran) {
        // Of cheap runs some are noted, and of dear ones all: among cheap ones these would count too often.
        let parts = if self.run_ns < SLOW_NS { MEAN_WEIGHT * SAMPLED / ran.weight } else { MEAN_WEIGHT };
        let parts = parts.min(self.calls / ran.weight + 1);
        let mean = |old: u64, new: u64| old - old / parts + new / parts;
        let run_ns = if self.calls == 0 { ran.run_ns } else { ran.run_ns.min(OUTLIER * self.run_ns.max(1)) };
        (self.run_ns, self.changes_milli) = (mean(self.run_ns, run_ns), mean(self.changes_milli, ran.changes * 1_000));
        self.changes = self.changes_milli.div_ceil(1_000);
        self.calls += ran.weight;
        match ran.how {
            How::Direct => return,
            How::Applied => self.applied += 1,
            How::Conflicted => self.conflicted += 1,
            How::Unfit => self.unfit += 1,
        }
        self.tried.0 += 1;
        self.tried.1 += u64::from(ran.how != How::Applied);
        if self.tried.0 >= TRIES_MIN {
            if self.tried.1 * 2 > self.tried.0 {
                self.direct_until = self.calls + RETRY_AFTER;
            }
            self.tried = (0, 0);
        }
    }

    /// Whether running it ahead pays, if so many workers share what runs ahead; with one it never does.
    pub fn pays_ahead(&self, workers: u64) -> bool {
        let saved_ns = self.run_ns - self.run_ns / workers.max(1);
        let is_long = self.run_ns >= RUN_NS_MIN && 2 * saved_ns >= GAIN_HALVES_MIN * self.apply_ns();
        is_long && self.calls >= self.direct_until
    }

    /// What stays serial of a run ahead: checking and applying, in nanoseconds.
    pub fn apply_ns(&self) -> u64 {
        APPLY_NS + self.changes_milli * APPLY_ROW_NS / 1_000
    }

    /// What a transaction of this kind touches, if that is known.
    pub fn footprint(&self, transaction: &Transaction) -> Option<Footprint> {
        self.bind(transaction, |_| ()).map(Footprint::of)
    }

    /// The same, of each of its statements.
    pub fn footprints(&self, transaction: &Transaction) -> Option<Vec<Footprint>> {
        let mut all = Vec::with_capacity(transaction.operations.len());
        self.bind(transaction, |items| all.push(Footprint::of(std::mem::take(items))))?;
        Some(all)
    }

    /// Items of the statements, in order; `after` sees what there is after each of them.
    fn bind(&self, transaction: &Transaction, mut after: impl FnMut(&mut Vec<Item>)) -> Option<Vec<Item>> {
        let (_, templates) = self.templates.as_ref()?;
        let mut templates = templates.iter();
        let mut items: Vec<Item> = Vec::with_capacity(4 * transaction.operations.len());
        for operation in &transaction.operations {
            let Operation::Statement(statement) = operation else { return None };
            let drawn: &[i64] = if statement.sql.len() == 1 { &statement.drawn } else { &[] };
            for _ in &statement.sql {
                let template = templates.next().filter(|template| !template.is_everything())?;
                template.bind_drawn(&statement.parameters, drawn, &mut items);
            }
            after(&mut items);
        }
        Some(items)
    }
}

/// A batch that was executed lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// Log index.
    pub index: u64,
    /// It ran one by one, because the replicas had not agreed.
    pub replayed: bool,
    /// Transactions.
    pub transactions: u32,
    /// Groups of its plan.
    pub groups: u32,
    /// Most transactions in the parallel part of a group.
    pub width: u32,
    /// Those that were planned ahead and ran in their turn.
    pub conflicts: u64,
    /// From the batch to its result.
    pub executing: Duration,
    /// Of that: running ahead, by the clock.
    pub ahead: Duration,
    /// Of that: checking and applying what had run ahead.
    pub applying: Duration,
    /// Of that: verification ([`super::Spent::verifying`]).
    pub verifying: Duration,
}

/// Batches that are remembered.
const RECENT_MAX: usize = 256;
/// Databases of which the schema is remembered; one more, and all are forgotten.
const SCHEMAS_MAX: usize = 64;

/// What a replica learned, for whoever plans and whoever looks.
#[derive(Debug, Default)]
pub struct Learned {
    kinds: RwLock<HashMap<u64, Kind>>,
    /// Of each database, as the newest templates were derived from it.
    schemas: RwLock<HashMap<Arc<str>, Arc<Schema>>>,
    recent: Mutex<VecDeque<Recent>>,
}

impl Learned {
    /// Looks at the kinds of some transactions; none for a kind that never ran.
    pub fn look<T>(
        &self,
        transactions: &[Transaction],
        mut look: impl FnMut(&Transaction, Option<&Kind>) -> T,
    ) -> Vec<T> {
        let kinds = self.kinds.read();
        transactions.iter().map(|transaction| look(transaction, kinds.get(&kind_of(transaction)))).collect()
    }

    /// The schema that the newest footprints of this database's transactions are derived from.
    pub fn schema(&self, database: &str) -> Option<Arc<Schema>> {
        self.schemas.read().get(database).cloned()
    }

    /// The newest batches, oldest first; a bounded number of them.
    pub fn recent(&self) -> Vec<Recent> {
        self.recent.lock().iter().copied().collect()
    }

    pub(super) fn executed(&self, batch: Recent) {
        let mut recent = self.recent.lock();
        if recent.len() >= RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(batch);
    }

    /// All kinds, those that took most time first.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.kinds.read().values().cloned().collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.calls * kind.run_ns));
        kinds
    }

    /// Notes what a batch's transactions took. Returns the positions of those whose templates are wanted for `schema`.
    pub(super) fn note(
        &self,
        transactions: &[Transaction],
        runs: &[Ran],
        footprints: bool,
        schema: impl Fn(&str) -> Option<Hash>,
    ) -> Vec<u32> {
        let mut kinds = self.kinds.write();
        let mut wanted = Vec::new();
        for ran in runs {
            if kinds.len() >= KINDS_MAX && !kinds.contains_key(&ran.kind) {
                kinds.clear();
            }
            let transaction = &transactions[ran.position as usize];
            let kind = kinds.entry(ran.kind).or_insert_with(|| Kind::new(transaction.text(TEXT_MAX).into()));
            kind.note(ran);
            // Of those as well that run in their turn: others are to run beside them.
            if footprints && kind.calls >= CALLS_MIN && wanted.len() < DERIVED_MAX {
                let known = kind.templates.as_ref().map(|(schema, _)| *schema);
                if known.is_none() || known != schema(&transaction.database) {
                    wanted.push(ran.position);
                }
            }
        }
        wanted
    }

    pub(super) fn set_templates(&self, kind: u64, schema: Hash, templates: Vec<Template>) {
        if let Some(kind) = self.kinds.write().get_mut(&kind) {
            kind.templates = Some((schema, templates.into()));
        }
    }

    pub(super) fn set_schema(&self, database: &Arc<str>, schema: Arc<Schema>) {
        let mut schemas = self.schemas.write();
        if schemas.len() >= SCHEMAS_MAX && !schemas.contains_key(database) {
            schemas.clear();
        }
        schemas.insert(database.clone(), schema);
    }

    /// Learns a kind as if a transaction of it had been executed, for tests of those who plan.
    #[cfg(test)]
    pub(crate) fn teach(&self, transaction: &Transaction, schema: Arc<Schema>, templates: Vec<Template>) {
        let kind = kind_of(transaction);
        self.kinds.write().insert(kind, Kind::new(transaction.text(TEXT_MAX).into()));
        self.set_templates(kind, Hash::default(), templates);
        self.set_schema(&transaction.database, schema);
    }
}

impl Replica {
    /// Notes what the batch's transactions took, and derives the footprints that the next plans need.
    pub(super) fn learn(&mut self, batch: &Batch) -> Result<(), LocalError> {
        self.again.clear();
        self.again.extend(std::mem::take(&mut self.planned_ahead).into_keys());
        if self.options.learn == Learn::Nothing {
            return Ok(());
        }
        let footprints = self.options.learn == Learn::Footprints;
        let schema = |name: &str| self.databases.get(name)?.connection.known_schema();
        let wanted = self.learned.note(&batch.transactions, &self.ran, footprints, schema);
        self.ran.clear();
        for position in wanted {
            let transaction = &batch.transactions[position as usize];
            if let Some(database) = self.databases.get_mut(&transaction.database) {
                let (hash, schema, templates) = database.templates(transaction)?;
                self.learned.set_templates(kind_of(transaction), hash, templates);
                self.learned.set_schema(&transaction.database, schema);
            }
        }
        Ok(())
    }
}

/// SQLite texts of a transaction in order.
pub(super) fn texts(transaction: &Transaction) -> impl Iterator<Item = &Arc<str>> {
    transaction.operations.iter().flat_map(|operation| match operation {
        Operation::Statement(statement) => statement.sql.as_slice(),
        Operation::Savepoint(sql) | Operation::CreateDatabase(sql) | Operation::DropDatabase(sql) => {
            std::slice::from_ref(sql)
        }
    })
}

/// Names the kind of a transaction.
pub(super) fn kind_of(transaction: &Transaction) -> u64 {
    let seed = xxhash_rust::xxh3::xxh3_64(transaction.database.as_bytes());
    texts(transaction).fold(seed, |hash, text| xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_waited_for_a_processor_move_the_mean_little_and_a_change_is_followed() {
        let mut kind = Kind::new("".into());
        let note = |kind: &mut Kind, log_index: u64, run_ns| match weight(log_index, 0, run_ns) {
            0 => {}
            weight => kind.note(&Ran { kind: 1, position: 0, weight, run_ns, changes: 0, how: How::Direct }),
        };
        // One in a hundred is interrupted for a time slice: the mean of all would be 60 us.
        (0..10_000).for_each(|run| note(&mut kind, run, if run % 100 == 50 { 4_000_000 } else { 20_000 }));
        assert!((19_000..24_000).contains(&kind.run_ns), "{}", kind.run_ns);
        assert!((9_000..=11_000).contains(&kind.calls), "{}", kind.calls);
        (0..1_000).for_each(|run| note(&mut kind, run, 500_000));
        assert!((490_000..=500_000).contains(&kind.run_ns), "{}", kind.run_ns);
        (0..1_000).for_each(|run| note(&mut kind, run, 20_000));
        assert!((20_000..24_000).contains(&kind.run_ns), "{}", kind.run_ns);
    }

    #[test]
    fn more_workers_make_it_pay_for_shorter_ones() {
        let kind = |run_ns, rows| Kind {
            calls: 1,
            run_ns,
            changes: rows,
            changes_milli: rows * 1_000,
            ..Kind::new("".into())
        };
        let least = |workers, rows| (1..200).find(|us| kind(us * 1_000, rows).pays_ahead(workers));
        // Half of the run is saved, and serial is half a microsecond and five for each row.
        assert_eq!([least(2, 0), least(2, 3), least(2, 12)], [Some(3), Some(47), Some(182)]);
        assert_eq!([least(16, 0), least(16, 3), least(16, 12)], [Some(3), Some(25), Some(97)]);
        assert_eq!(least(1, 0), None);
    }
}
