//! Transactions run ahead of their turn: on a view of the root that their group starts from, each alone, for its outcome
//! and the changes of rows that it would make.

use super::accepted::DatabaseVersion;
use super::transaction::{Place, Trouble, context, run_operations};
use crate::engine::{self, Connection, Failure, LocalError};
use crate::page_store::sqlite::RowChange;
use crate::transaction::{Outcome, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Changes of rows that are carried over from where they happened; what makes more runs directly.
const CHANGES_MAX: usize = 10_000;

/// A transaction that is to run ahead, and where from.
#[derive(Clone)]
pub(super) struct Task {
    pub transaction: Transaction,
    pub place: Place,
    /// Of its database, at the start of the group.
    pub version: DatabaseVersion,
}

/// What running ahead gave.
#[derive(Debug)]
pub(super) enum Guess {
    /// This outcome and these changes, if nobody before it in the group touches what it touched.
    Outcome { outcome: Box<Outcome>, changes: Vec<RowChange>, took: Duration },
    /// It has to run in its turn: it makes too many changes, or ends the SQL transaction that it runs in.
    Unknown,
}

/// One thread's connections, a database each.
pub(super) struct Speculator {
    options: engine::Options,
    connections: BTreeMap<Arc<str>, Connection>,
}

impl Speculator {
    pub fn new(options: engine::Options) -> Self {
        Speculator { options, connections: BTreeMap::new() }
    }

    /// Runs a transaction on a view and drops what it wrote there.
    ///
    /// # Errors
    /// [`LocalError`] if this machine failed (rule 14).
    pub fn run(&mut self, task: &Task) -> Result<Guess, LocalError> {
        let result = self.try_run(task);
        if result.is_err() {
            // Whatever state it is in.
            self.connections.remove(&task.transaction.database);
        }
        result
    }

    fn try_run(&mut self, task: &Task) -> Result<Guess, LocalError> {
        let name = &task.transaction.database;
        let snapshot = &task.version.snapshot;
        let connection = match self.connections.get_mut(name) {
            Some(connection) => connection,
            None => {
                let connection = Connection::speculating(snapshot, self.options)?;
                self.connections.entry(name.clone()).or_insert(connection)
            }
        };
        let start = Instant::now();
        connection.repin(snapshot, task.version.schema)?;
        connection.begin_context(context(&task.transaction, task.place));
        connection.control("BEGIN").map_err(Failure::into_local)?;
        connection.take_changes(CHANGES_MAX);
        let outcome = run_operations(connection, &task.transaction);
        let changes = connection.take_changes(0);
        if !connection.is_autocommit() {
            connection.control("ROLLBACK").map_err(Failure::into_local)?;
        }
        match (outcome, changes) {
            (Err(Trouble::Local(error)), _) => Err(error),
            (Err(Trouble::GroupLost(_)), _) | (_, None) => Ok(Guess::Unknown),
            (Ok(outcome), Some(changes)) => {
                let changes = if matches!(outcome, Outcome::Committed(_)) { changes } else { Vec::new() };
                Ok(Guess::Outcome { outcome: Box::new(outcome), changes, took: start.elapsed() })
            }
        }
    }
}
