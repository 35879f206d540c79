//! An accepted batch run again, one transaction after the other, from the version that it was executed on: whether
//! answers and rows are the accepted ones.
//!
//! Voting cannot see a mistake that every replica makes, and what ran ahead beside others is right only as far as
//! footprints are sound ([`crate::footprint`]). An audit needs no footprint: it does what the direct part of a group
//! does, on views that nobody else knows of. Where it differs, the bug is EveSQL's.
//!
//! ```text
//!   before ── executed, voted on, accepted ──> after
//!     └────── one by one, on views ──────────> the same rows, the same answers?
//! ```
//!
//! Changes of schemas run in their turn here as there; what they leave is compared by the tables' names and definitions.
//! Left out are batches that change the list of databases, and those that change the schema of a large one: building a
//! table or an index anew takes memory for all of it.
//!
//! Does not know: which batches are audited and when, and what becomes of what it finds (`node`).

use super::Databases;
use super::accepted::DatabaseVersion;
use super::batch::{one_by_one, plan_order};
use super::database::Database;
use super::rows::{SEARCHED_PAGES_MAX, Touched, compare};
use super::transaction::{Place, Trouble, admit};
use crate::batch::{Batch, Group};
use crate::engine::{self, Failure, LocalError};
use crate::page::Hash;
use crate::token::{LogId, Mode};
use crate::transaction::{Operation, Outcome, SqlError, Transaction, TransactionId};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Changes of rows of one transaction that are looked at by row; beyond them the pages alone tell.
const CHANGES_MAX: usize = 10_000;
/// SQLite's page cache of a view that runs a batch again.
const CACHE_BYTES: u64 = 4 << 20;

/// What is run again.
pub struct Subject<'a> {
    /// Of the batch.
    pub log_id: LogId,
    /// The batch.
    pub batch: &'a Batch,
    /// How it was executed.
    pub mode: &'a Mode,
    /// Digests of the accepted outcomes, by position in the batch.
    pub outcomes: &'a [Hash],
    /// The databases before it.
    pub before: &'a BTreeMap<Arc<str>, DatabaseVersion>,
    /// The databases as they were accepted after it.
    pub after: &'a BTreeMap<Arc<str>, DatabaseVersion>,
}

impl Subject<'_> {
    /// Whether the batch has changed the schema of this database, or a statement of it may have.
    fn changes_schema(&self, database: &str) -> bool {
        let changes = |operation: &Operation| matches!(operation, Operation::Statement(one) if one.changes_schema);
        let mut transactions = self.batch.transactions.iter().filter(|transaction| *transaction.database == *database);
        let schema = |databases: &Databases| databases.get(database).map(|version| version.schema);
        schema(self.before) != schema(self.after)
            || transactions.any(|transaction| transaction.operations.iter().any(changes))
    }
}

/// What an audit gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audit {
    /// The same answers and rows.
    Same,
    /// Something else: a bug of EveSQL's.
    Differs(Difference),
    /// It was not done, or not to its end; why.
    Skipped(&'static str),
}

/// The first difference that an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Position in the batch of the transaction that answers otherwise, or that changed the row last one by one.
    pub transaction: Option<u32>,
    /// Database and table, as `evesql.t`, if rows differ.
    pub table: Option<String>,
    /// Both sides, as a sentence for people.
    pub detail: String,
}

/// Runs a batch again and compares. `goes_on` is asked between transactions; once it says no, the audit is skipped.
///
/// # Errors
/// [`LocalError`] if this machine failed: the audit says nothing.
pub fn audit(subject: &Subject<'_>, options: engine::Options, goes_on: &dyn Fn() -> bool) -> Result<Audit, LocalError> {
    if let Some(why) = unfit(subject) {
        return Ok(Audit::Skipped(why));
    }
    let mut again = Again::new(subject, options)?;
    if !again.run(goes_on)? {
        return Ok(Audit::Skipped("it was asked to end"));
    }
    let rows = again.differing_row()?;
    if (rows.is_some() || !again.answers.is_empty()) && is_damaged(subject) {
        return Ok(Audit::Skipped("pages are damaged"));
    }
    Ok(match (again.answers.pop_first(), rows) {
        (None, None) => Audit::Same,
        (None, Some(rows)) => Audit::Differs(rows),
        (Some((position, answer)), rows) => {
            let (table, row) = rows.map_or((None, String::new()), |rows| (rows.table, format!("; {}", rows.detail)));
            let detail = format!("the accepted answer is another one: one by one it {answer}{row}");
            Audit::Differs(Difference { transaction: Some(position), table, detail })
        }
    })
}

fn unfit(subject: &Subject<'_>) -> Option<&'static str> {
    let changes_large = |(name, version): (&Arc<str>, &DatabaseVersion)| {
        version.snapshot.page_count() > SEARCHED_PAGES_MAX && subject.changes_schema(name)
    };
    let versions = || subject.before.values().chain(subject.after.values());
    if subject.outcomes.len() != subject.batch.transactions.len() {
        Some("its answers are not known")
    } else if !subject.before.keys().eq(subject.after.keys())
        || subject.batch.transactions.iter().any(changes_databases)
    {
        Some("it changes the list of databases")
    } else if subject.before.iter().chain(subject.after).any(changes_large) {
        Some("it changes the schema of a large database")
    } else if subject.batch.transactions.iter().flat_map(|transaction| &transaction.operations).any(explains) {
        Some("it tells how statements run")
    } else if versions().any(|version| version.snapshot.is_too_old()) {
        Some("memory is short")
    } else {
        None
    }
}

/// An explanation says otherwise where changes of rows are recorded, as an audit does.
fn explains(operation: &Operation) -> bool {
    let is_one = |sql: &str| sql.trim_start().get(..7).is_some_and(|word| word.eq_ignore_ascii_case("EXPLAIN"));
    matches!(operation, Operation::Statement(statement) if statement.sql.iter().any(|sql| is_one(sql)))
}

fn changes_databases(transaction: &Transaction) -> bool {
    let changes =
        |operation: &Operation| matches!(operation, Operation::CreateDatabase(_) | Operation::DropDatabase(_));
    transaction.operations.iter().any(changes)
}

/// Whether a page is not what it was when it was hashed: what is read from it then tells nothing about footprints.
fn is_damaged(subject: &Subject<'_>) -> bool {
    let mut versions = subject.before.values().chain(subject.after.values());
    versions.any(|version| !version.snapshot.store().rehash(&version.snapshot).is_empty())
}

/// A batch that runs again.
struct Again<'a> {
    subject: &'a Subject<'a>,
    /// Those that its transactions name.
    databases: BTreeMap<Arc<str>, Database>,
    touched: BTreeMap<Arc<str>, Vec<Touched>>,
    /// Outcomes that are not the accepted ones, in words, by position.
    answers: BTreeMap<u32, String>,
}

impl<'a> Again<'a> {
    fn new(subject: &'a Subject<'a>, options: engine::Options) -> Result<Self, LocalError> {
        let options = engine::Options { cache_bytes: CACHE_BYTES.min(options.cache_bytes), ..options };
        let transactions = &subject.batch.transactions;
        let ids: HashSet<TransactionId> = transactions.iter().map(|transaction| transaction.id).collect();
        let mut databases = BTreeMap::new();
        for Transaction { database: name, .. } in transactions {
            if let Some(version) = subject.before.get(name).filter(|_| !databases.contains_key(name)) {
                databases.insert(name.clone(), Database::aside(version, options, &ids)?);
            }
        }
        Ok(Again { subject, databases, touched: BTreeMap::new(), answers: BTreeMap::new() })
    }

    /// Whether it came to the end.
    fn run(&mut self, goes_on: &dyn Fn() -> bool) -> Result<bool, LocalError> {
        let void = match self.subject.mode {
            Mode::Planned => &[][..],
            Mode::Replay { void } => void,
        };
        for position in void {
            self.note_void(*position);
        }
        let mut groups = plan_order(self.subject.batch);
        groups.iter_mut().for_each(|group| one_by_one(group, void));
        for group in groups {
            if !self.run_group(&group, goes_on)? {
                return Ok(false);
            }
            self.commit()?;
        }
        for database in self.databases.values_mut() {
            database.write_once(self.subject.log_id.index)?;
        }
        self.commit()?;
        Ok(true)
    }

    fn note_void(&mut self, position: u32) {
        if let Some(transaction) = self.subject.batch.transactions.get(position as usize) {
            if let Some(database) = self.databases.get_mut(&transaction.database) {
                database.once.note_void(transaction.id);
            }
            self.judge(position, &Outcome::Void);
        }
    }

    /// As the replica runs the direct part of a group: one that ends the SQL transaction takes all others with it, and
    /// they run again without it.
    fn run_group(&mut self, group: &Group, goes_on: &dyn Fn() -> bool) -> Result<bool, LocalError> {
        let mut spoilers: BTreeMap<u32, SqlError> = BTreeMap::new();
        let noted = self.databases.iter().map(|(name, database)| (name.clone(), database.once.pending().to_vec()));
        let noted: BTreeMap<Arc<str>, Vec<TransactionId>> = noted.collect();
        'again: loop {
            for position in &group.direct {
                if !goes_on() {
                    return Ok(false);
                }
                match self.run_transaction(*position, spoilers.get(position)) {
                    Ok(outcome) => self.judge(*position, &outcome),
                    Err(Trouble::Local(error)) => return Err(error),
                    Err(Trouble::GroupLost(error)) => {
                        for (name, database) in &mut self.databases {
                            database.go_back(noted.get(name).map_or(&[], Vec::as_slice))?;
                            if self.subject.changes_schema(name) {
                                database.read_schema()?;
                            }
                        }
                        spoilers.insert(*position, error);
                        continue 'again;
                    }
                }
            }
            return Ok(true);
        }
    }

    fn run_transaction(&mut self, position: u32, spoiler: Option<&SqlError>) -> Result<Outcome, Trouble> {
        let Subject { batch, log_id, .. } = self.subject;
        let transaction = &batch.transactions[position as usize];
        let place = Place { log_index: log_id.index, position, timestamp_us: batch.timestamp_us, seed: batch.seed };
        let database = match admit(&mut self.databases, transaction, log_id.index, spoiler) {
            Ok(database) => database,
            Err(outcome) => return Ok(outcome),
        };
        database.connection.take_changes(CHANGES_MAX);
        let outcome = database.run(transaction, place)?;
        let changes = database.connection.take_changes(0).unwrap_or_default();
        if matches!(outcome, Outcome::Committed(_)) && !changes.is_empty() {
            let schema = database.known_schema()?;
            let touched = self.touched.entry(transaction.database.clone()).or_default();
            Touched::note(touched, &schema, position, &changes);
        }
        Ok(outcome)
    }

    fn judge(&mut self, position: u32, outcome: &Outcome) {
        self.answers.remove(&position);
        if self.subject.outcomes.get(position as usize) != Some(&outcome.digest()) {
            self.answers.insert(position, describe(outcome));
        }
    }

    fn commit(&mut self) -> Result<(), LocalError> {
        self.databases.values_mut().try_for_each(|database| database.commit().map_err(Failure::into_local))
    }

    /// The first row that is not the accepted one.
    fn differing_row(&mut self) -> Result<Option<Difference>, LocalError> {
        let Subject { before, after, log_id, .. } = self.subject;
        let versions = |databases: &'a Databases, name: &Arc<str>| databases.get(name);
        for (name, before) in *before {
            let Some(after) = versions(after, name) else { continue };
            let Some(database) = self.databases.get_mut(name) else {
                if before.snapshot.root() != after.snapshot.root() {
                    let detail = format!("database {name} has changed, and no transaction names it");
                    return Ok(Some(Difference { detail, ..Difference::default() }));
                }
                continue;
            };
            let mut touched = self.touched.remove(name).unwrap_or_default();
            touched.push(Touched::once(log_id.index));
            if let Some(found) =
                compare(database, &before.snapshot, after, &touched, self.subject.changes_schema(name))?
            {
                return Ok(Some(Difference { table: found.table.map(|table| format!("{name}.{table}")), ..found }));
            }
        }
        Ok(None)
    }
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Committed(answers) => {
            let (rows, changes) = (answers.iter().map(|a| a.rows.count), answers.iter().map(|a| a.changes));
            format!("commits, with {} rows and {} changes", rows.sum::<u64>(), changes.sum::<u64>())
        }
        Outcome::Failed { error, .. } => format!("fails with {}: {}", error.code(), error.message),
        Outcome::Conflict { .. } => "conflicts with what its client saw".into(),
        Outcome::Stale => "is for another catalog".into(),
        Outcome::AlreadyDone => "was done before".into(),
        Outcome::Expired => "is expired".into(),
        Outcome::Void => "is void".into(),
    }
}
