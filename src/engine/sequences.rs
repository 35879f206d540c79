//! nextval and its family over the table `evesql_sequences` (rule 17).
//!
//! A statement reads a sequence's row when it first draws from it, counts in memory, and writes the row
//! back when it ends, inside its transaction's savepoint: what rolls back gives its numbers back, and no
//! number is given twice to rows that stay.

use super::context::{Context, Draws};
use crate::page_store::sqlite::{Connection, SqliteError, WeakConnection};
use crate::transaction::{SqlError, Value, ValueRef};
use std::cell::RefCell;
use std::rc::Rc;

const READ: &str =
    "SELECT last_value, is_called, increment, minimum, maximum, cycle FROM evesql_sequences WHERE oid = ?1";
const WRITE: &str = "UPDATE evesql_sequences SET last_value = ?2, is_called = ?3 WHERE oid = ?1";

/// A sequence's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    last_value: i64,
    is_called: bool,
    increment: i64,
    minimum: i64,
    maximum: i64,
    cycle: bool,
}

impl Sequence {
    /// The next number.
    fn next(&mut self) -> Result<i64, SqlError> {
        if !self.is_called {
            self.is_called = true;
            return Ok(self.last_value);
        }
        let next = self.last_value.checked_add(self.increment);
        self.last_value = match next.filter(|next| (self.minimum..=self.maximum).contains(next)) {
            Some(next) => next,
            None if self.cycle && self.increment > 0 => self.minimum,
            None if self.cycle => self.maximum,
            None => return Err(SqlError::new("2200H", "nextval: reached the end of the sequence")),
        };
        Ok(self.last_value)
    }
}

/// nextval: from the sequence's row or from the transaction's record.
pub(super) fn next_value(
    context: &RefCell<Context>,
    connection: &WeakConnection,
    sequence_oid: i64,
) -> Result<Value, SqlError> {
    if let Some(number) = context.borrow_mut().number_from_record(sequence_oid) {
        return number.map(Value::Integer);
    }
    let known = context.borrow().live.get(&sequence_oid).copied();
    let mut sequence = match known {
        Some(sequence) => sequence,
        None => read(connection, sequence_oid)?,
    };
    let number = sequence.next()?;
    let mut context = context.borrow_mut();
    context.live.insert(sequence_oid, sequence);
    context.note_number(sequence_oid, number);
    Ok(Value::Integer(number))
}

/// setval: writes through at the end of the statement; in the transaction that the client sees, and again
/// where it executes.
pub(super) fn set_value(
    context: &RefCell<Context>,
    connection: &WeakConnection,
    sequence_oid: i64,
    value: i64,
    is_called: bool,
) -> Result<Value, SqlError> {
    let known = context.borrow().live.get(&sequence_oid).copied();
    let mut sequence = match known {
        Some(sequence) => sequence,
        None => read(connection, sequence_oid)?,
    };
    if !(sequence.minimum..=sequence.maximum).contains(&value) {
        let (low, high) = (sequence.minimum, sequence.maximum);
        return Err(SqlError::new("22003", format!("setval: value {value} is out of bounds ({low}..{high})")));
    }
    (sequence.last_value, sequence.is_called) = (value, is_called);
    let mut context = context.borrow_mut();
    context.live.insert(sequence_oid, sequence);
    if is_called {
        context.current.insert(sequence_oid, value);
    }
    Ok(Value::Integer(value))
}

/// currval: what this transaction drew, else what its session did (a system value).
pub(super) fn current_value(context: &RefCell<Context>, sequence_oid: i64) -> Result<Value, SqlError> {
    let mut context = context.borrow_mut();
    match (&context.draws, context.current.get(&sequence_oid)) {
        (_, Some(number)) => Ok(Value::Integer(*number)),
        _ => context.system_value(&format!("currval:{sequence_oid}"), None).map_err(not_yet),
    }
}

/// lastval: likewise, of any sequence.
pub(super) fn last_value(context: &RefCell<Context>) -> Result<Value, SqlError> {
    let mut context = context.borrow_mut();
    match context.last {
        Some(number) => Ok(Value::Integer(number)),
        None => context.system_value("lastval", None).map_err(not_yet),
    }
}

fn not_yet(error: SqlError) -> SqlError {
    match error.code() {
        "0A000" => SqlError::new("55000", "currval of the sequence is not yet defined in this session"),
        _ => error,
    }
}

fn read(connection: &WeakConnection, sequence_oid: i64) -> Result<Sequence, SqlError> {
    let internal = |error: SqliteError| SqlError::new("XX000", error.message);
    let gone = || SqlError::new("42P01", "no such sequence");
    let connection = connection.upgrade().ok_or_else(gone)?;
    let mut statement = connection.prepare(READ).map_err(internal)?;
    statement.bind(1, ValueRef::Integer(sequence_oid)).map_err(internal)?;
    if !statement.step().map_err(internal)? {
        return Err(gone());
    }
    let number = |index: usize| match statement.column(index) {
        ValueRef::Integer(number) => number,
        _ => 0,
    };
    Ok(Sequence {
        last_value: number(0),
        is_called: number(1) != 0,
        increment: number(2),
        minimum: number(3),
        maximum: number(4),
        cycle: number(5) != 0,
    })
}

/// Writes back what the statement drew, in the order of OIDs (so that pages come out the same everywhere).
pub(super) fn write_back(context: &Rc<RefCell<Context>>, connection: &Connection) -> Result<(), SqliteError> {
    let mut changed: Vec<(i64, Sequence)> = {
        let mut context = context.borrow_mut();
        if context.live.is_empty() {
            return Ok(());
        }
        context.live.drain().collect()
    };
    changed.sort_unstable_by_key(|(oid, _)| *oid);
    let mut statement = connection.prepare(WRITE)?;
    for (oid, sequence) in changed {
        statement.bind(1, ValueRef::Integer(oid))?;
        statement.bind(2, ValueRef::Integer(sequence.last_value))?;
        statement.bind(3, ValueRef::Integer(i64::from(sequence.is_called)))?;
        while statement.step()? {}
        statement.reset();
    }
    Ok(())
}

impl Context {
    /// Whether numbers come from the sequences' rows.
    pub fn is_live(&self) -> bool {
        matches!(self.draws, Draws::Live)
    }
}
