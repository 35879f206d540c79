//! What SQLite says when something fails, sorted by whether every replica would say the same (rule 14).

use crate::transaction::SqlError;
use rusqlite::ffi;
use std::fmt;

/// A failed call into SQLite.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct SqliteError {
    /// Extended result code, for example 2067 for a violated unique index.
    pub code: i32,
    /// SQLite's sentence.
    pub message: String,
    /// Byte offset into the SQL that it is about, where SQLite knows one.
    pub offset: Option<usize>,
    /// The error that one of our own functions raised, if that is what failed.
    pub raised: Option<Box<SqlError>>,
}

impl fmt::Display for SqliteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLite {})", self.message, self.code)
    }
}

/// Failures of this machine rather than of the statement: they are never answers (rule 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environmental {
    /// No memory.
    Memory,
    /// No room.
    Full,
    /// A file could not be read or written.
    Io,
    /// Pages that make no database.
    Corrupt,
    /// Stopped from outside.
    Interrupted,
    /// A use of SQLite that must not happen.
    Internal,
}

impl SqliteError {
    /// An error of our own making, with one of SQLite's codes.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        SqliteError { code, message: message.into(), offset: None, raised: None }
    }
    /// The lower byte of the code, SQLite's primary result code.
    pub fn primary(&self) -> i32 {
        self.code & 0xff
    }
    /// The kind of environmental failure, or `None` for an error that every replica gets alike.
    pub fn environmental(&self) -> Option<Environmental> {
        match self.primary() {
            _ if self.code == ffi::SQLITE_IOERR_NOMEM => Some(Environmental::Memory),
            ffi::SQLITE_NOMEM => Some(Environmental::Memory),
            ffi::SQLITE_FULL => Some(Environmental::Full),
            ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN | ffi::SQLITE_READONLY => Some(Environmental::Io),
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB | ffi::SQLITE_FORMAT => Some(Environmental::Corrupt),
            ffi::SQLITE_INTERRUPT => Some(Environmental::Interrupted),
            ffi::SQLITE_INTERNAL
            | ffi::SQLITE_MISUSE
            | ffi::SQLITE_BUSY
            | ffi::SQLITE_LOCKED
            | ffi::SQLITE_PROTOCOL
            | ffi::SQLITE_SCHEMA => Some(Environmental::Internal),
            _ => None,
        }
    }
}
