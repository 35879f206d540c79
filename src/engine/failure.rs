//! Which of SQLite's errors are answers, and what they are called in Postgres (rule 14).

use crate::page_store::StoreError;
use crate::page_store::sqlite::{Environmental, SqliteError};
use crate::transaction::SqlError;
use crate::verifier::LocalFailure;
use rusqlite::ffi;

/// Why a statement did not run to its end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Every replica gets this error: it is an answer.
    #[error("{}: {}", .0.code(), .0.message)]
    Sql(SqlError),
    /// This machine failed: no answer, no token.
    #[error(transparent)]
    Local(#[from] LocalError),
}

/// A failure of this machine (rule 14).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("local failure ({kind:?}): {message}")]
pub struct LocalError {
    /// What kind.
    pub kind: Environmental,
    /// SQLite's or the page store's sentence.
    pub message: String,
}

impl Failure {
    /// As a failure of this machine: an error in a statement of our own is never an answer.
    pub fn into_local(self) -> LocalError {
        match self {
            Failure::Local(error) => error,
            Failure::Sql(error) => LocalError::internal(format!("{}: {}", error.code(), error.message)),
        }
    }
}

impl From<StoreError> for LocalError {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Damaged { .. } | StoreError::DamagedNode { .. } => Environmental::Corrupt,
            StoreError::Files(_) => Environmental::Io,
            StoreError::OutOfMemory => Environmental::Memory,
            _ => Environmental::Internal,
        };
        LocalError { kind, message: error.to_string() }
    }
}

impl LocalError {
    /// Something that must not happen did.
    pub fn internal(message: impl Into<String>) -> Self {
        LocalError { kind: Environmental::Internal, message: message.into() }
    }
    /// As the verifier counts it.
    pub fn failure(&self) -> LocalFailure {
        match self.kind {
            Environmental::Memory => LocalFailure::Memory,
            Environmental::Full => LocalFailure::Space,
            Environmental::Io | Environmental::Internal => LocalFailure::Io,
            Environmental::Corrupt => LocalFailure::Corrupt,
            Environmental::Interrupted => LocalFailure::Interrupted,
        }
    }
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Failure::Sql(error)
    }
}

impl From<SqliteError> for Failure {
    fn from(error: SqliteError) -> Self {
        if let Some(raised) = error.raised {
            // Memory is this machine's, wherever it ran out.
            if raised.code() == "53200" {
                return Failure::Local(LocalError { kind: Environmental::Memory, message: raised.message });
            }
            return Failure::Sql(*raised);
        }
        match error.environmental() {
            Some(kind) => Failure::Local(LocalError { kind, message: error.to_string() }),
            None => Failure::Sql(translate(error)),
        }
    }
}

fn translate(error: SqliteError) -> SqlError {
    let SqliteError { code, message, .. } = error;
    match code {
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_ROWID => {
            unique(&message)
        }
        ffi::SQLITE_CONSTRAINT_NOTNULL => not_null(&message),
        ffi::SQLITE_CONSTRAINT_CHECK => check(&message),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => SqlError::new("23503", message),
        ffi::SQLITE_CONSTRAINT_DATATYPE => SqlError::new("42804", message),
        ffi::SQLITE_CONSTRAINT_TRIGGER => raised_by_trigger(&message),
        _ => SqlError::new(sqlstate(code, &message), message),
    }
}

/// `UNIQUE constraint failed: t.a, t.b` or `.. failed: index 'i'`. Which constraint that is, the catalog
/// knows: the session fills it in from table and columns.
fn unique(message: &str) -> SqlError {
    let mut error = SqlError::new("23505", message);
    let what = message.split_once("failed: ").map_or("", |(_, what)| what);
    if let Some(index) = what.strip_prefix("index '") {
        error.constraint = Some(index.trim_end_matches('\'').to_string());
    } else if let Some((table, _)) = what.split_once('.') {
        let columns = what.split(", ").map(|column| column.rsplit_once('.').map_or(column, |(_, name)| name));
        error.table = Some(table.to_string());
        error.column = Some(columns.collect::<Vec<_>>().join(", "));
    }
    error
}

fn not_null(message: &str) -> SqlError {
    let Some((table, column)) = message.split_once("failed: ").and_then(|(_, what)| what.split_once('.')) else {
        return SqlError::new("23502", message);
    };
    let text = format!("null value in column \"{column}\" of relation \"{table}\" violates not-null constraint");
    let mut error = SqlError::new("23502", text);
    (error.table, error.column) = (Some(table.to_string()), Some(column.to_string()));
    error
}

fn check(message: &str) -> SqlError {
    let mut error = SqlError::new("23514", message);
    error.constraint = message.split_once("failed: ").map(|(_, name)| name.to_string());
    error
}

/// `RAISE(ABORT, '22001: value too long')` gives its own code.
fn raised_by_trigger(message: &str) -> SqlError {
    match message.split_once(": ") {
        Some((code, text)) if code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()) => {
            SqlError::new(code, text)
        }
        _ => SqlError::new("P0001", message),
    }
}

/// SQLite gives most errors one code and tells them apart by the sentence.
const SENTENCES: &[(&str, &str)] = &[
    ("not authorized", "42501"),
    ("prohibited", "42501"),
    ("no such table", "42P01"),
    ("no such column", "42703"),
    ("has no column named", "42703"),
    ("no such function", "42883"),
    ("wrong number of arguments", "42883"),
    ("no such savepoint", "3B001"),
    ("no such", "42704"),
    ("already exists", "42P07"),
    ("there is already", "42P07"),
    ("duplicate column name", "42701"),
    ("ambiguous column name", "42702"),
    ("syntax error", "42601"),
    ("incomplete input", "42601"),
    ("unrecognized token", "42601"),
    ("integer overflow", "22003"),
    ("malformed JSON", "22P02"),
    ("foreign key mismatch", "42830"),
    ("misuse of aggregate", "42803"),
    ("misuse of window", "42P20"),
    ("too many", "54000"),
    ("too big", "54000"),
    ("too large", "54000"),
    ("within a transaction", "25001"),
    ("may not be modified", "42809"),
    ("because it is a view", "42809"),
];

fn sqlstate(code: i32, message: &str) -> &'static str {
    match code & 0xff {
        ffi::SQLITE_CONSTRAINT => "23000",
        ffi::SQLITE_MISMATCH => "42804",
        ffi::SQLITE_TOOBIG => "54000",
        ffi::SQLITE_AUTH => "42501",
        ffi::SQLITE_RANGE => "08P01",
        _ => SENTENCES.iter().find(|(part, _)| message.contains(part)).map_or("XX000", |(_, state)| state),
    }
}
