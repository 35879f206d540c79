//! What the shop asks of a database: sessions that run prepared statements and transactions.
//!
//! Blocking, one thread a session: the workload is a crowd of browsers that each wait for an answer.

use crate::value::{Row, Value};
use std::sync::Arc;

/// A statement, prepared once a session. Parameters are `$1`, `$2`, ...
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Statement {
    /// For the Postgres wire.
    pub postgres: &'static str,
    /// For SQLite, where it has to differ.
    pub sqlite: Option<&'static str>,
}

impl Statement {
    /// One whose text both understand.
    pub const fn same(text: &'static str) -> Self {
        Statement { postgres: text, sqlite: None }
    }

    /// One whose texts differ.
    pub const fn differing(postgres: &'static str, sqlite: &'static str) -> Self {
        Statement { postgres, sqlite: Some(sqlite) }
    }

    /// As SQLite takes it: numbered parameters begin with a question mark.
    pub(crate) fn for_sqlite(&self) -> String {
        self.sqlite.unwrap_or(self.postgres).replace('$', "?")
    }
}

/// What went wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The transaction was rolled back and may succeed when it is run again (40001, 40P01, a busy or overloaded server).
    #[error("{0}")]
    Retry(String),
    /// The connection ended, and nothing was being committed: a new session may run the transaction again.
    #[error("{0}")]
    Lost(String),
    /// Nobody can say whether the transaction was committed (08007, a connection that ended during COMMIT).
    #[error("it is not known whether the transaction was committed: {0}")]
    Unknown(String),
    /// What should name a database does not.
    #[error("{0}")]
    Url(String),
    /// Running it again would not help.
    #[error("{0}")]
    Failed(String),
}

/// Which texts a session takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL's SQL.
    Postgres,
    /// SQLite's.
    Sqlite,
}

/// One connection. Outside a transaction each statement is one.
pub trait Session: Send {
    /// Which texts it takes.
    fn dialect(&self) -> Dialect;
    /// Runs a statement and returns its rows.
    fn query(&mut self, statement: &'static Statement, parameters: &[Value]) -> Result<Vec<Row>, Error>;
    /// Runs a statement and returns how many rows it changed.
    fn execute(&mut self, statement: &'static Statement, parameters: &[Value]) -> Result<u64, Error>;
    /// Begins a transaction that will write.
    fn begin(&mut self) -> Result<(), Error>;
    /// Commits it. After an error it is not open any more.
    fn commit(&mut self) -> Result<(), Error>;
    /// Ends it without effect; where that fails, the session [`is_lost`](Session::is_lost).
    fn rollback(&mut self);
    /// Whether it must be replaced by a new one.
    fn is_lost(&self) -> bool;
    /// Runs statements that are used once, as those that define tables, separated by semicolons.
    fn script(&mut self, sql: &str) -> Result<(), Error>;
    /// Inserts rows in bulk and commits them.
    fn insert(&mut self, table: &str, columns: &[&str], rows: &[Vec<Value>]) -> Result<(), Error>;
}

/// Where sessions come from.
pub trait Database: Send + Sync {
    /// Opens a session.
    fn open(&self) -> Result<Box<dyn Session>, Error>;
}

/// How far SQLite goes before it says that a transaction is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// It is on the disk: what a server's commit means.
    #[default]
    Full,
    /// It may be lost when the power fails.
    Normal,
}

/// The database of this URL: `postgres://...`, also with several hosts, or `sqlite:FILE`.
pub fn database(url: &str, synchronous: Synchronous) -> Result<Arc<dyn Database>, Error> {
    match url.strip_prefix("sqlite:") {
        Some(file) => Ok(Arc::new(crate::sqlite::Sqlite::new(file, synchronous))),
        None => Ok(Arc::new(crate::postgres::Postgres::new(url)?)),
    }
}
