//! What the transactions of a batch touch by derivation, and what each really changes: for tools that ask whether two of
//! them, which derivation keeps apart, would have met.

use super::Replica;
use super::apply::can_apply;
use super::learned::kind_of;
use super::speculate::{Guess, Task};
use super::transaction::Place;
use crate::batch::Batch;
use crate::engine::LocalError;
use crate::footprint::{Access, ChangeSet, Footprint, Item, Template};
use crate::page_store::sqlite::RowChange;
use crate::transaction::{Operation, Transaction};

/// A transaction that can run ahead.
#[derive(Clone, Debug)]
pub struct Traced {
    /// Names its kind: all transactions of the same texts in the same database.
    pub kind: u64,
    /// Its statements, in order.
    pub statements: Vec<TracedStatement>,
    /// What all of them touch by derivation: sound.
    pub footprint: Footprint,
    /// What it changed, run alone before the batch.
    pub changes: ChangeSet,
}

/// One of its statements.
#[derive(Clone, Debug)]
pub struct TracedStatement {
    /// What it touches, open in its parameters; none if it is several statements for SQLite, of which rules say nothing.
    pub template: Option<Template>,
    /// What it touches by derivation.
    pub footprint: Footprint,
}

impl Replica {
    /// Runs each transaction of a batch ahead, alone on a view of the newest version, as if all of them stood in one
    /// group; nothing of it is kept. None for those that cannot run ahead, by their position.
    ///
    /// # Errors
    /// [`LocalError`] if this machine failed (rule 14).
    pub fn trace(&mut self, log_index: u64, batch: &Batch) -> Result<Vec<Option<Traced>>, LocalError> {
        let mut traced: Vec<Option<Traced>> = Vec::with_capacity(batch.transactions.len());
        let mut tasks = Vec::new();
        let mut running = Vec::new();
        for (position, transaction) in (0u32..).zip(&batch.transactions) {
            let derived = self.derive(log_index, transaction)?;
            if let Some(derived) = &derived
                && derived.writes()
                && let Some(database) = self.databases.get_mut(&transaction.database)
            {
                let place = Place { log_index, position, timestamp_us: batch.timestamp_us, seed: batch.seed };
                tasks.push(Task { transaction: transaction.clone(), place, version: database.version()? });
                running.push(position as usize);
            }
            traced.push(derived);
        }
        let guesses = self.workers().run(tasks);
        for (position, guess) in running.into_iter().zip(guesses) {
            let changes = match guess? {
                Guess::Outcome(guessed) => self.change_set(&batch.transactions[position], &guessed.changes)?,
                Guess::Unknown => None,
            };
            traced[position] = match (traced[position].take(), changes) {
                (Some(traced), Some(changes)) => Some(Traced { changes, ..traced }),
                _ => None,
            };
        }
        Ok(traced)
    }

    /// What a transaction touches, if it can run ahead; its changes are not known yet.
    fn derive(&mut self, log_index: u64, transaction: &Transaction) -> Result<Option<Traced>, LocalError> {
        let is_plain = |operation: &Operation| match operation {
            Operation::Statement(statement) => !statement.changes_schema && statement.rows.is_none(),
            _ => false,
        };
        let Some(database) = self.databases.get_mut(&transaction.database) else { return Ok(None) };
        if !transaction.operations.iter().all(is_plain) || database.admits(transaction, log_index).is_some() {
            return Ok(None);
        }
        let (_, _, templates) = database.templates(transaction)?;
        if templates.iter().any(Template::is_everything) {
            return Ok(None);
        }
        let mut templates = templates.into_iter();
        let mut statements = Vec::with_capacity(transaction.operations.len());
        for operation in &transaction.operations {
            let Operation::Statement(statement) = operation else { continue };
            let mut items: Vec<Item> = Vec::new();
            let is_one = statement.sql.len() == 1;
            let drawn: &[i64] = if is_one { &statement.drawn } else { &[] };
            let own: Vec<Template> = templates.by_ref().take(statement.sql.len()).collect();
            own.iter().for_each(|template| template.bind_drawn(&statement.parameters, drawn, &mut items));
            let template = own.into_iter().next().filter(|_| is_one);
            statements.push(TracedStatement { template, footprint: Footprint::of(items) });
        }
        let items = statements.iter().flat_map(|statement| statement.footprint.items.iter().copied()).collect();
        let (kind, footprint) = (kind_of(transaction), Footprint::of(items));
        Ok(Some(Traced { kind, statements, footprint, changes: ChangeSet::default() }))
    }

    fn change_set(
        &mut self,
        transaction: &Transaction,
        changes: &[RowChange],
    ) -> Result<Option<ChangeSet>, LocalError> {
        let Some(database) = self.databases.get_mut(&transaction.database) else { return Ok(None) };
        let schema = database.known_schema()?;
        if !can_apply(&schema, changes) {
            return Ok(None);
        }
        let mut set = ChangeSet::default();
        for change in changes {
            set.add(&schema, &change.table, change.old.as_deref(), change.new.as_deref());
        }
        Ok(Some(set))
    }
}

impl Traced {
    /// Whether it may change rows, by derivation.
    pub fn writes(&self) -> bool {
        self.footprint.items.iter().any(|item| item.access != Access::Read)
    }
}
