//! The record of a transaction block: statements run at once on a private connection and are noted with
//! digests of what the client saw (rules 24 to 28). COMMIT submits the notes.
//!
//! Invariants
//! 1. The recorded operations, run in order on the pinned version with their recorded draws, give the
//!    recorded digests and leave the connection as it is now.
//! 2. What a statement drew (numbers, system values) stands in its record.
//! 3. Nothing that the block wrote outlives it on this node: its SQLite transaction ends in ROLLBACK.

use super::cache::Plan;
use super::gateway::Pinned;
use super::listen::Listening;
use super::settings::Mark;
use super::view::{SessionView, client_error};
use crate::catalog::Catalog;
use crate::engine::Recorded;
use crate::page::Hash;
use crate::transaction::{Answer, Begun, Operation, SqlError, Statement, Value};
use std::rc::Rc;
use std::sync::Arc;

/// Bytes that the record of one transaction may have.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// An open transaction block.
pub struct Block {
    /// Ends with the query, or at Sync; the client sees status Idle.
    pub implicit: bool,
    /// Only answers of writes and locking reads are certified.
    pub read_committed: bool,
    /// A statement was run at the read level `quorum`: the block is submitted even if it wrote nothing, so that its
    /// answers are compared.
    pub quorum: bool,
    /// Writes are refused.
    pub read_only: bool,
    pub(super) begun: Begun,
    pub(super) view: Option<SessionView>,
    /// Catalog of the pinned version.
    pub(super) base: Option<Arc<Catalog>>,
    pub(super) operations: Vec<Operation>,
    /// The client's words for each of them; none for savepoints.
    pub(super) texts: Vec<Option<Arc<str>>>,
    pub(super) record_bytes: usize,
    pub(super) wrote: bool,
    pub(super) schema_changed: bool,
    /// SQLite's own transaction is gone (an interrupted write ends it): it must be built again.
    pub(super) lost: bool,
    pub(super) has_tickets: bool,
    pub(super) savepoints: Vec<Savepoint>,
    pub(super) at_begin: Mark,
    /// What it listens to from its commit on.
    pub(super) listening: Vec<Listening>,
    /// Temporary tables that go with it.
    pub(super) dropped_at_commit: Vec<String>,
    /// Until it is submitted or has failed.
    pub(super) open: Option<Rc<()>>,
}

/// A savepoint, and the settings to go back to.
pub struct Savepoint {
    /// Its name.
    pub name: String,
    /// Settings when it was made.
    pub settings: Mark,
    /// How much the block listened to.
    pub listening: usize,
    /// How many tables were to go at COMMIT.
    pub dropped_at_commit: usize,
    /// How many advisory locks it had taken.
    pub locks: usize,
}

impl Block {
    pub(super) fn view(&self) -> Result<&SessionView, SqlError> {
        self.view.as_ref().ok_or_else(no_view)
    }
    pub(super) fn view_mut(&mut self) -> Result<&mut SessionView, SqlError> {
        self.view.as_mut().ok_or_else(no_view)
    }

    pub(super) fn find_savepoint(&self, name: &str) -> Result<usize, SqlError> {
        let found = self.savepoints.iter().rposition(|savepoint| savepoint.name == name);
        found.ok_or_else(|| SqlError::new("3B001", format!("savepoint \"{name}\" does not exist")))
    }

    pub(super) fn control_recorded(&mut self, verb: &str, name: &str) -> Result<(), SqlError> {
        let sql = format!("{verb} \"{}\"", name.replace('"', "\"\""));
        self.view_mut()?.connection.control(&sql).map_err(client_error)?;
        self.operations.push(Operation::Savepoint(sql.into()));
        self.texts.push(None);
        Ok(())
    }

    /// Runs a statement on the view and records it.
    pub(super) fn run(
        &mut self,
        text: &Arc<str>,
        plan: &Plan,
        parameters: &[Value],
        rows: &mut Option<Vec<Vec<Value>>>,
        certified: bool,
    ) -> Result<Answer, SqlError> {
        let index = self.operations.len() as u32;
        let several = plan.prepared.sql.len() > 1 || rows.is_some();
        let in_savepoint = !self.savepoints.is_empty();
        let view = self.view_mut()?;
        let connection = &mut view.connection;
        if several {
            connection.control("SAVEPOINT evesql_statement").map_err(client_error)?;
        }
        connection.begin_statement(index, &[], &[]);
        let result = connection.answer(&plan.prepared.sql, parameters, rows.as_deref());
        let result = result.and_then(|answer| Ok((answer, connection.end_statement()?)));
        let drawn_in_vain = match &result {
            Ok(_) => Recorded::default(),
            Err(_) => connection.context().borrow_mut().take_recorded(),
        };
        if several && !connection.is_autocommit() {
            if result.is_err() {
                connection.control("ROLLBACK TO evesql_statement").map_err(client_error)?;
            }
            connection.control("RELEASE evesql_statement").map_err(client_error)?;
        }
        let lost = connection.is_autocommit();
        let changes_schema = plan.prepared.changes_schema;
        if changes_schema && result.is_err() && !lost {
            connection.renew_schema().map_err(client_error)?;
        }
        self.lost = lost;
        let mut statement = |recorded: Recorded, seen: Hash, seen_outline: Vec<u8>| Statement {
            sql: plan.prepared.sql.clone(),
            parameters: parameters.to_vec(),
            rows: rows.take(),
            changes_schema,
            drawn: recorded.drawn,
            system_values: recorded.system_values,
            seen: Some(seen),
            seen_outline,
        };
        match result {
            Ok((answer, recorded)) => {
                if changes_schema {
                    self.schema_changed = true;
                    self.view_mut()?.reload_catalog()?;
                }
                self.wrote |= plan.writes;
                if certified {
                    self.record(statement(recorded, answer.digest(), answer.outline()), text)?;
                }
                Ok(answer)
            }
            Err(crate::engine::Failure::Sql(error)) => {
                // The client sees this error; inside a savepoint the transaction may go on from it.
                if in_savepoint && !plan.prepared.uses_catalog && self.view()?.source_is_content() {
                    self.record(statement(drawn_in_vain, error.digest(), Vec::new()), text)?;
                }
                Err(error)
            }
            Err(failure) => Err(client_error(failure)),
        }
    }

    fn record(&mut self, statement: Statement, text: &Arc<str>) -> Result<(), SqlError> {
        self.record_bytes += size_of_statement(&statement);
        if self.record_bytes > RECORD_BYTES_MAX {
            return Err(SqlError::new("54000", "the transaction is too large"));
        }
        self.operations.push(Operation::Statement(statement));
        self.texts.push(Some(text.clone()));
        Ok(())
    }

    /// Moves to another version: runs the recorded statements again there and compares their answers.
    pub(super) fn move_to(&mut self, pinned: &Pinned) -> Result<(), SqlError> {
        let (begun, schema_changed) = (self.begun, self.schema_changed);
        let base = self.base.as_ref().map(|base| base.version);
        if base != Some(pinned.catalog.version) && !self.operations.is_empty() {
            return Err(serialization("the schema was changed by another transaction"));
        }
        let view = self.view.as_mut().ok_or_else(no_view)?;
        if !view.connection.is_autocommit() {
            view.connection.control("ROLLBACK").map_err(client_error)?;
        }
        if schema_changed {
            view.connection.renew_schema().map_err(client_error)?;
        }
        view.move_fresh(pinned)?;
        view.begin_replay(begun.timestamp_us, begun.seed);
        view.connection.control("BEGIN").map_err(client_error)?;
        for (index, operation) in self.operations.iter().enumerate() {
            match operation {
                Operation::Savepoint(sql) => view.connection.control(sql).map_err(client_error)?,
                Operation::Statement(statement) => {
                    let (seen, answer) = again(view, index as u32, statement)?;
                    if statement.seen.is_some() && statement.seen != Some(seen) {
                        let place = answer.and_then(|answer| answer.first_difference(&statement.seen_outline));
                        return Err(conflict(&self.texts, index as u32, place));
                    }
                }
                _ => {}
            }
        }
        if schema_changed {
            view.reload_catalog()?;
        }
        view.record_again();
        self.base = Some(pinned.catalog.clone());
        self.lost = false;
        Ok(())
    }

    /// Sequences that the block made counted on this side only; where the record executes their rows must
    /// get to the same place.
    pub(super) fn write_back_own_sequences(&mut self) -> Result<(), SqlError> {
        let Some(view) = &self.view else { return Ok(()) };
        // One that the block dropped again has no row to write to.
        let lasts = view.own_sequences().into_iter().filter(|(oid, _)| view.catalog.sequence(*oid as u32).is_some());
        for (oid, last) in lasts {
            self.operations.push(Operation::Statement(Statement {
                sql: vec!["SELECT evesql_setval(?1, ?2, 1)".into()],
                parameters: vec![Value::Integer(oid), Value::Integer(last)],
                rows: None,
                changes_schema: false,
                drawn: Vec::new(),
                system_values: Vec::new(),
                seen: None,
                seen_outline: Vec::new(),
            }));
        }
        Ok(())
    }
}

/// Runs a recorded statement again; what it gives now, and its digest.
fn again(view: &mut SessionView, index: u32, statement: &Statement) -> Result<(Hash, Option<Answer>), SqlError> {
    let connection = &mut view.connection;
    let several = statement.sql.len() > 1 || statement.rows.is_some();
    if several {
        connection.control("SAVEPOINT evesql_statement").map_err(client_error)?;
    }
    connection.begin_statement(index, &statement.drawn, &statement.system_values);
    let result = connection.answer(&statement.sql, &statement.parameters, statement.rows.as_deref());
    let result = result.and_then(|answer| connection.end_statement().map(|_| answer));
    if several {
        if result.is_err() {
            connection.control("ROLLBACK TO evesql_statement").map_err(client_error)?;
        }
        connection.control("RELEASE evesql_statement").map_err(client_error)?;
    }
    match result {
        Ok(answer) => Ok((answer.digest(), Some(answer))),
        Err(crate::engine::Failure::Sql(error)) => Ok((error.digest(), None)),
        Err(failure) => Err(client_error(failure)),
    }
}

fn size_of_statement(statement: &Statement) -> usize {
    let rows = statement.rows.iter().flatten();
    64 + statement.sql.iter().map(|sql| sql.len()).sum::<usize>()
        + size_of_row(&statement.parameters)
        + rows.map(|row| size_of_row(row)).sum::<usize>()
}

/// Bytes that a row of values takes in a record, about.
pub fn size_of_row(row: &[Value]) -> usize {
    let value = |value: &Value| match value {
        Value::Text(text) => 24 + text.len(),
        Value::Blob(bytes) => 24 + bytes.len(),
        _ => 16,
    };
    row.iter().map(value).sum()
}

fn no_view() -> SqlError {
    SqlError::new("XX000", "the transaction has no connection")
}

/// 40001 in Postgres' words, with a DETAIL of ours.
pub fn serialization(detail: &str) -> SqlError {
    SqlError::new("40001", "could not serialize access due to concurrent update")
        .with_detail(detail)
        .with_hint("The transaction might succeed if retried.")
}

/// Longest statement in a DETAIL, in characters.
const SHOWN_CHARACTERS: usize = 200;

/// The conflict of a statement whose answer is another now; `texts` are the operations' in the client's words.
pub fn conflict(texts: &[Option<Arc<str>>], operation: u32, place: Option<(u64, u32)>) -> SqlError {
    let number = texts.iter().take(operation as usize + 1).flatten().count();
    let text = texts.get(operation as usize).and_then(|text| text.as_deref()).unwrap_or("");
    let cut = text.char_indices().nth(SHOWN_CHARACTERS).map_or(text.len(), |(at, _)| at);
    let more = if cut < text.len() { "..." } else { "" };
    let place = place.map_or(String::new(), |(row, column)| format!(", from row {}, column {}", row + 1, column + 1));
    let text = &text[..cut];
    serialization(&format!("Statement {number} of the transaction answers otherwise now{place}: {text}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_names_statement_and_place() {
        let long: Arc<str> = "é".repeat(300).into();
        let texts = [Some("SELECT 1".into()), None, Some(long)];
        let detail = |operation, place| conflict(&texts, operation, place).detail.unwrap();
        let first = "Statement 1 of the transaction answers otherwise now, from row 3, column 2: SELECT 1";
        assert_eq!(detail(0, Some((2, 1))), first);
        let second = detail(2, None);
        assert!(second.starts_with("Statement 2 of the transaction answers otherwise now: éé"), "{second}");
        assert!(second.ends_with("é...") && second.chars().count() < 270, "{second}");
        assert!(detail(7, None).starts_with("Statement 2 "), "what the session added itself");
    }
}
