//! The parallel part of a group (invariant 4): its transactions run ahead on views of the root that the group starts
//! from, and what they changed is applied in the plan's order, each after a check that nothing before it touches what it
//! read or wrote. One that fails the check runs in the direct part, and so does every later one that it may conflict with:
//! the result is that of the plan's order, whatever the mixer believed.
//!
//! ```text
//!   workers   [a]   [c]                   views of the group's root (rule 13)
//!             [b]      [d]
//!   replica               a' b' d'  c     a', b', d' applied; c met a row of a's: run directly
//! ```

use super::Replica;
use super::apply::{NotApplied, Texts, apply, can_apply};
use super::database::Database;
use super::learned::{How, Learn, Ran, kind_of, texts};
use super::speculate::{Guess, Guessed, Task};
use super::transaction::Place;
use crate::batch::Batch;
use crate::engine::{Connection, Failure, LocalError};
use crate::footprint::{ChangeSet, Footprint, Schema, Template, Templates};
use crate::page::Hash;
use crate::page_store::View;
use crate::page_store::sqlite::RowChange;
use crate::transaction::{Operation, Outcome, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// Statements whose footprints are remembered.
const TEXTS_MAX: usize = 4_096;

/// What a database remembers for the parallel mode.
pub(super) struct Parallel {
    /// The connection that applies, from its first use on.
    pub applier: Option<Connection>,
    schema: Option<(Hash, Arc<Schema>)>,
    templates: Templates,
    texts: Texts,
}

impl Default for Parallel {
    fn default() -> Self {
        let (applier, schema, templates, texts) = (None, None, Templates::new(TEXTS_MAX), Texts::default());
        Parallel { applier, schema, templates, texts }
    }
}

/// How the transactions of parallel parts fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fared {
    /// What they had changed ahead was applied.
    pub applied: u64,
    /// They ran in their turn: a transaction before them touches their rows.
    pub conflicted: u64,
    /// They ran in their turn: they are of a kind that cannot run ahead.
    pub unfit: u64,
}

/// A transaction of the parallel part, and what it touches.
struct Ahead {
    position: u32,
    footprint: Footprint,
}

impl Replica {
    /// Runs the parallel part of a group and commits it. Returns what is left for the direct part, in the plan's order.
    pub(super) fn run_parallel(
        &mut self,
        log_index: u64,
        batch: &Batch,
        positions: &[u32],
        outcomes: &mut [Outcome],
    ) -> Result<Vec<u32>, LocalError> {
        let before = self.current()?;
        let noted = self.noted();
        // Only unsound footprints bring anything in here.
        let mut refused = BTreeSet::new();
        loop {
            let mut left = Vec::new();
            match self.try_parallel(log_index, batch, positions, &refused, outcomes, &mut left)? {
                None => return Ok(left),
                Some(position) => {
                    self.ran.clear();
                    self.restore(&before)?;
                    self.resume(&noted);
                    refused.insert(position);
                }
            }
        }
    }

    fn try_parallel(
        &mut self,
        log_index: u64,
        batch: &Batch,
        positions: &[u32],
        refused: &BTreeSet<u32>,
        outcomes: &mut [Outcome],
        left: &mut Vec<u32>,
    ) -> Result<Option<u32>, LocalError> {
        let place = |position| Place { log_index, position, timestamp_us: batch.timestamp_us, seed: batch.seed };
        let mut ahead = Vec::with_capacity(positions.len());
        let mut tasks = Vec::with_capacity(positions.len());
        for position in positions {
            let transaction = &batch.transactions[*position as usize];
            let footprint = self.footprint(transaction)?;
            if let Some(database) = self.databases.get_mut(&transaction.database)
                && !footprint.everything
                && !refused.contains(position)
                && database.admits(transaction, log_index).is_none()
            {
                let version = database.version()?;
                tasks.push(Task { transaction: transaction.clone(), place: place(*position), version });
            }
            ahead.push(Ahead { position: *position, footprint });
        }
        let ran: BTreeSet<u32> = tasks.iter().map(|task| task.place.position).collect();
        let start = Instant::now();
        let mut guesses = self.workers().run(tasks).into_iter();
        self.spent.ahead += start.elapsed();
        let start = Instant::now();
        let mut changed: BTreeMap<Arc<str>, ChangeSet> = BTreeMap::new();
        let mut waiting: BTreeMap<Arc<str>, Vec<Footprint>> = BTreeMap::new();
        let mut fared = Fared::default();
        for Ahead { position, footprint } in ahead {
            let transaction = &batch.transactions[position as usize];
            let name = &transaction.database;
            // Taken in any case: guesses are in the order of tasks.
            let guess = if ran.contains(&position) { guesses.next().transpose()? } else { None };
            let touched = changed.get(name).is_some_and(|changes| changes.touches(&footprint))
                || waiting.get(name).is_some_and(|those| those.iter().any(|other| other.conflicts(&footprint)));
            let ready = match (self.databases.get_mut(name), guess, touched) {
                (Some(database), Some(Guess::Outcome(guessed)), false) => {
                    // The same transaction may stand in the batch twice.
                    if database.once.contains(&transaction.id) {
                        outcomes[position as usize] = Outcome::AlreadyDone;
                        continue;
                    }
                    let (schema, fits) = database.fits(&guessed.changes)?;
                    fits.then_some((database, schema, guessed))
                }
                _ => None,
            };
            let Some((database, schema, guessed)) = ready else {
                fared.conflicted += u64::from(touched);
                fared.unfit += u64::from(!touched);
                self.planned_ahead.insert(position, if touched { How::Conflicted } else { How::Unfit });
                waiting.entry(name.clone()).or_default().push(footprint);
                left.push(position);
                continue;
            };
            let Guessed { outcome, changes, took } = *guessed;
            match database.apply(&schema, &changes, changed.get(name)) {
                Ok(()) => {}
                Err(NotApplied::Local(error)) => return Err(error),
                Err(NotApplied::Differs(reason)) => {
                    tracing::error!(
                        log_index,
                        position,
                        reason,
                        "a footprint was not sound; the transaction runs alone"
                    );
                    return Ok(Some(position));
                }
            }
            database.once.note(transaction.id);
            let changes_of = changed.entry(name.clone()).or_default();
            for RowChange { table, old, new, .. } in &changes {
                changes_of.add(&schema, table, old.as_deref(), new.as_deref());
            }
            outcomes[position as usize] = outcome;
            fared.applied += 1;
            let (run_ns, changes) = (took.as_nanos() as u64, changes.len() as u64);
            if self.options.learn != Learn::Nothing {
                self.ran.push(Ran {
                    kind: kind_of(transaction),
                    position,
                    weight: 1,
                    run_ns,
                    changes,
                    how: How::Applied,
                });
            }
        }
        self.fared.applied += fared.applied;
        self.fared.conflicted += fared.conflicted;
        self.fared.unfit += fared.unfit;
        self.spent.applying += start.elapsed();
        self.commit_applied()?;
        Ok(None)
    }

    /// What a transaction touches; everything if it cannot run ahead.
    fn footprint(&mut self, transaction: &Transaction) -> Result<Footprint, LocalError> {
        // What a savepoint takes back was captured all the same.
        let is_plain = |operation: &Operation| match operation {
            Operation::Statement(statement) => !statement.changes_schema && statement.rows.is_none(),
            _ => false,
        };
        match self.databases.get_mut(&transaction.database) {
            Some(database) if transaction.operations.iter().all(is_plain) => database.footprint(transaction),
            _ => Ok(Footprint::everything()),
        }
    }

    fn commit_applied(&mut self) -> Result<(), LocalError> {
        for database in self.databases.values_mut() {
            if database.commit_applied()? {
                let start = Instant::now();
                database.publish_applied()?;
                self.spent.verifying += start.elapsed();
            }
        }
        Ok(())
    }
}

impl Database {
    fn footprint(&mut self, transaction: &Transaction) -> Result<Footprint, LocalError> {
        let hash = self.connection.schema_hash()?;
        let schema = self.footprint_schema(hash)?;
        let connection = &mut self.connection;
        Ok(self.parallel.templates.footprint(hash, transaction, |sql| connection.template(sql, &schema)))
    }

    /// The footprints of its statements, with the schema that they are derived from and its hash.
    pub(super) fn templates(
        &mut self,
        transaction: &Transaction,
    ) -> Result<(Hash, Arc<Schema>, Vec<Template>), LocalError> {
        let hash = self.connection.schema_hash()?;
        let schema = self.footprint_schema(hash)?;
        let connection = &mut self.connection;
        let known = &mut self.parallel.templates;
        let get = |text: &Arc<str>| known.get(hash, text, |sql| connection.template(sql, &schema)).clone();
        let templates = texts(transaction).map(get).collect();
        Ok((hash, schema, templates))
    }

    /// The schema that its connection has loaded.
    pub(super) fn known_schema(&mut self) -> Result<Arc<Schema>, LocalError> {
        let hash = self.connection.schema_hash()?;
        self.footprint_schema(hash)
    }

    fn footprint_schema(&mut self, hash: Hash) -> Result<Arc<Schema>, LocalError> {
        if let Some((known, schema)) = &self.parallel.schema
            && *known == hash
        {
            return Ok(schema.clone());
        }
        let schema = Arc::new(self.connection.footprint_schema().map_err(Failure::into_local)?);
        self.parallel.schema = Some((hash, schema.clone()));
        self.parallel.texts = Texts::default();
        Ok(schema)
    }

    fn fits(&mut self, changes: &[RowChange]) -> Result<(Arc<Schema>, bool), LocalError> {
        let schema = self.known_schema()?;
        let fits = can_apply(&schema, changes);
        Ok((schema, fits))
    }

    fn apply(&mut self, schema: &Schema, changes: &[RowChange], before: Option<&ChangeSet>) -> Result<(), NotApplied> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut applier = self.take_applier().map_err(NotApplied::Local)?;
        let result = apply(&mut applier, schema, &mut self.parallel.texts, changes, before);
        self.parallel.applier = Some(applier);
        result
    }

    /// The connection that applies, inside a transaction; the caller puts it back.
    fn take_applier(&mut self) -> Result<Connection, LocalError> {
        let mut applier = match self.parallel.applier.take() {
            Some(applier) => applier,
            None => Connection::applying(View::canonical(self.store()), self.connection.options())?,
        };
        if applier.is_autocommit() {
            applier.expect_schema(self.connection.schema_hash()?)?;
            applier.control("BEGIN").map_err(Failure::into_local)?;
        }
        Ok(applier)
    }

    /// COMMIT, if anything was applied.
    fn commit_applied(&mut self) -> Result<bool, LocalError> {
        match &mut self.parallel.applier {
            Some(applier) if !applier.is_autocommit() => applier.control("COMMIT").map_err(Failure::into_local)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn publish_applied(&mut self) -> Result<(), LocalError> {
        if let Some(applier) = &self.parallel.applier {
            self.store().publish(applier.viewed()?)?;
        }
        Ok(())
    }
}
