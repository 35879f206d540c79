//! One transaction at its place in a batch: a savepoint, its operations, and what comes of them.

use super::Replica;
use super::certify::{Judged, judge};
use super::database::Database;
use crate::engine::{Connection, Context, Draws, Failure, LocalError};
use crate::transaction::{Answer, ONCE_WINDOW, Operation, Outcome, SqlError, Statement, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The savepoint that holds one transaction inside its group.
const SAVEPOINT: &str = "SAVEPOINT evesql";
const RELEASE: &str = "RELEASE evesql";
const ROLL_BACK: &str = "ROLLBACK TO evesql";

/// Where a transaction stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Of the batch.
    pub log_index: u64,
    /// In the batch.
    pub position: u32,
    /// Of the batch.
    pub timestamp_us: i64,
    /// Of the batch.
    pub seed: u64,
}

/// Why there is no outcome.
pub(super) enum Trouble {
    /// The group's SQL transaction is gone, by the doing of this one: the group must run again without it.
    GroupLost(SqlError),
    /// This machine failed.
    Local(LocalError),
}

impl From<LocalError> for Trouble {
    fn from(error: LocalError) -> Self {
        Trouble::Local(error)
    }
}

impl From<Failure> for Trouble {
    /// Of a statement of our own, whose errors are never answers.
    fn from(failure: Failure) -> Self {
        Trouble::Local(failure.into_local())
    }
}

impl Replica {
    /// Runs a transaction. `spoiler` is its error if it was seen to end its whole group.
    pub(super) fn run_transaction(
        &mut self,
        transaction: &Transaction,
        place: Place,
        spoiler: Option<&SqlError>,
    ) -> Result<Outcome, Trouble> {
        let database = match admit(&mut self.databases, transaction, place.log_index, spoiler) {
            Ok(database) => database,
            Err(outcome) => return Ok(outcome),
        };
        if let [operation @ (Operation::CreateDatabase(_) | Operation::DropDatabase(_))] = &*transaction.operations {
            return self.change_databases(transaction, operation);
        }
        database.run(transaction, place)
    }

    fn change_databases(&mut self, transaction: &Transaction, operation: &Operation) -> Result<Outcome, Trouble> {
        let refuse = |code, message| Ok(Outcome::Failed { operation: 0, error: SqlError::new(code, message) });
        match operation {
            Operation::CreateDatabase(name) if self.databases.contains_key(name) => {
                refuse("42P04", format!("database \"{name}\" already exists"))
            }
            Operation::CreateDatabase(name) => {
                let database = Database::create(name, &self.options)?;
                self.databases.insert(name.clone(), database);
                Ok(Outcome::Committed(vec![Answer::default()]))
            }
            Operation::DropDatabase(name) if *name == transaction.database => {
                refuse("55006", "cannot drop the currently open database".into())
            }
            Operation::DropDatabase(name) => match self.databases.remove(name) {
                Some(_) => Ok(Outcome::Committed(vec![Answer::default()])),
                None => refuse("3D000", format!("database \"{name}\" does not exist")),
            },
            _ => refuse("0A000", "not a change of databases".into()),
        }
    }
}

/// The database in which a transaction runs, which has noted it as executed; or why it does not run. `spoiler` is its
/// error if it was seen to end its whole group.
pub(super) fn admit<'a>(
    databases: &'a mut BTreeMap<Arc<str>, Database>,
    transaction: &Transaction,
    log_index: u64,
    spoiler: Option<&SqlError>,
) -> Result<&'a mut Database, Outcome> {
    if is_expired(transaction, log_index) {
        return Err(Outcome::Expired);
    }
    let Some(database) = databases.get_mut(&transaction.database) else {
        let message = format!("database \"{}\" does not exist", transaction.database);
        return Err(Outcome::Failed { operation: 0, error: SqlError::new("3D000", message) });
    };
    if let Some(outcome) = database.admits(transaction, log_index) {
        return Err(outcome);
    }
    database.once.note(transaction.id);
    match spoiler {
        Some(error) => Err(Outcome::Failed { operation: 0, error: error.clone() }),
        None => Ok(database),
    }
}

fn is_expired(transaction: &Transaction, index: u64) -> bool {
    let expires = transaction.expires_at_index;
    index > expires || expires - index > ONCE_WINDOW
}

impl Database {
    /// Why a transaction does not run at all, if it does not.
    pub(super) fn admits(&self, transaction: &Transaction, log_index: u64) -> Option<Outcome> {
        if is_expired(transaction, log_index) {
            Some(Outcome::Expired)
        } else if self.once.contains(&transaction.id) {
            Some(Outcome::AlreadyDone)
        } else if transaction.catalog != self.catalog.version {
            Some(Outcome::Stale)
        } else {
            None
        }
    }

    /// Runs a transaction in its place: what the parallel mode has to agree with, and what an audit does again.
    pub(super) fn run(&mut self, transaction: &Transaction, place: Place) -> Result<Outcome, Trouble> {
        self.connection.begin_context(context(transaction, place));
        self.begin()?;
        self.connection.control(SAVEPOINT)?;
        let outcome = run_operations(&mut self.connection, transaction)?;
        if !matches!(outcome, Outcome::Committed(_)) {
            self.connection.control(ROLL_BACK)?;
        }
        self.connection.control(RELEASE)?;
        if self.connection.has_changed_schema() {
            // SQLite keeps statistics that were rolled back, and orders what it just made otherwise than what
            // it reads from pages (invariant 10).
            self.connection.renew_schema()?;
            self.reload_catalog()?;
        }
        Ok(outcome)
    }
}

/// Runs the operations inside an open SQL transaction, up to the first that fails or whose answer is not the one that
/// the client saw. Nothing is rolled back here.
pub(super) fn run_operations(connection: &mut Connection, transaction: &Transaction) -> Result<Outcome, Trouble> {
    let mut answers = Vec::with_capacity(transaction.operations.len());
    for (operation, step) in transaction.operations.iter().enumerate() {
        let operation = operation as u32;
        let judged = match step {
            Operation::Statement(statement) => run_statement(connection, operation, statement, &mut answers)?,
            Operation::Savepoint(sql) => run_savepoint(connection, sql)?,
            Operation::CreateDatabase(_) | Operation::DropDatabase(_) => {
                let message = "CREATE DATABASE and DROP DATABASE cannot run inside a transaction block";
                Judged::Failed(SqlError::new("25001", message))
            }
        };
        match judged {
            Judged::Stands => {}
            Judged::Failed(error) => return Ok(Outcome::Failed { operation, error }),
            Judged::Differs { place } => return Ok(Outcome::Conflict { operation, place }),
        }
    }
    if connection.has_deferred_violations() {
        let operation = transaction.operations.len().saturating_sub(1) as u32;
        let error = SqlError::new("23503", "FOREIGN KEY constraint failed");
        return Ok(Outcome::Failed { operation, error });
    }
    Ok(Outcome::Committed(answers))
}

fn run_statement(
    connection: &mut Connection,
    operation: u32,
    statement: &Statement,
    answers: &mut Vec<Answer>,
) -> Result<Judged, Trouble> {
    let Statement { sql, parameters, rows, drawn, system_values, seen, seen_outline, .. } = statement;
    connection.begin_statement(operation, drawn, system_values);
    let answer = connection.answer(sql, parameters, rows.as_deref());
    let answer = answer.and_then(|answer| connection.end_statement().map(|_| answer));
    let answer = sort(connection, answer)?;
    let judged = judge(&answer, *seen, seen_outline);
    // An answer that was certified need not travel: its client has it.
    answers.push(answer.ok().filter(|_| seen.is_none()).unwrap_or_default());
    Ok(judged)
}

fn run_savepoint(connection: &mut Connection, sql: &Arc<str>) -> Result<Judged, Trouble> {
    let answer = connection.answer(std::slice::from_ref(sql), &[], None);
    Ok(sort(connection, answer)?.map_or_else(Judged::Failed, |_| Judged::Stands))
}

/// Answers and errors that are answers on one side, trouble on the other.
fn sort(connection: &Connection, answer: Result<Answer, Failure>) -> Result<Result<Answer, SqlError>, Trouble> {
    let answer = match answer {
        Err(Failure::Local(error)) => return Err(Trouble::Local(error)),
        Err(Failure::Sql(error)) => Err(error),
        Ok(answer) => Ok(answer),
    };
    if connection.is_autocommit() {
        let default = || SqlError::new("40000", "the statement ended the transaction");
        return Err(Trouble::GroupLost(answer.err().unwrap_or_else(default)));
    }
    Ok(answer)
}

/// An interactive transaction brings its own time, seed and draws; a one-shot one gets them from the batch.
pub(super) fn context(transaction: &Transaction, place: Place) -> Context {
    match transaction.begun {
        Some(begun) => Context::new(begun.timestamp_us, begun.seed, Draws::Replay),
        None => {
            let seed = xxhash_rust::xxh3::xxh3_64_with_seed(&place.position.to_le_bytes(), place.seed);
            Context::new(place.timestamp_us, seed, Draws::Live)
        }
    }
}
