//! SQLite in this process, for comparison: write-ahead log, a connection a session, statements cached.
//!
//! Reads run side by side. SQLite has one writer at a time; sessions of this process wait for their turn in a queue,
//! because SQLite's own waiting (asking again after ever longer sleeps) would make it look slower than it is.

use crate::session::{Database, Dialect, Error, Session, Statement, Synchronous};
use crate::value::{Row, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

/// For writers of other processes.
const BUSY_WAIT: Duration = Duration::from_secs(10);
const STATEMENTS_CACHED_MAX: usize = 100;
/// How much of the file is read as memory.
const MMAP_BYTES: i64 = 1 << 30;

/// A database file.
pub struct Sqlite {
    file: PathBuf,
    synchronous: Synchronous,
    turn: Arc<Turn>,
}

impl Sqlite {
    /// The database in this file, which need not exist yet.
    pub fn new(file: impl AsRef<Path>, synchronous: Synchronous) -> Self {
        Sqlite { file: file.as_ref().to_owned(), synchronous, turn: Arc::default() }
    }
}

impl Database for Sqlite {
    fn open(&self) -> Result<Box<dyn Session>, Error> {
        let open = || {
            let connection = Connection::open(&self.file)?;
            connection.busy_timeout(BUSY_WAIT)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
            connection.pragma_update(None, "journal_mode", "WAL")?;
            let synchronous = match self.synchronous {
                Synchronous::Full => "FULL",
                Synchronous::Normal => "NORMAL",
            };
            connection.pragma_update(None, "synchronous", synchronous)?;
            connection.pragma_update(None, "foreign_keys", true)?;
            // Connections share the system's cache instead of filling a small one each.
            connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
            // As in PostgreSQL.
            connection.pragma_update(None, "case_sensitive_like", true)?;
            Ok(connection)
        };
        let connection = open().map_err(|error: rusqlite::Error| {
            Error::Failed(format!("{} does not open as an SQLite database: {error}", self.file.display()))
        })?;
        let turn = self.turn.clone();
        Ok(Box::new(SqliteSession { connection, turn, writing: false, lost: false, texts: HashMap::new() }))
    }
}

/// Who may write: first come, first served. Without that, a browser whose next page writes too would go before all
/// that wait, and their latencies would show it.
#[derive(Default)]
struct Turn(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// Number that the next one to come gets.
    next: u64,
    /// Number whose turn it is.
    serving: u64,
    /// Those with the numbers after it.
    waiting: VecDeque<Thread>,
}

impl Turn {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) {
        let mut queue = self.queue();
        let number = queue.next;
        queue.next += 1;
        if queue.serving == number {
            return;
        }
        queue.waiting.push_back(std::thread::current());
        while queue.serving != number {
            drop(queue);
            std::thread::park();
            queue = self.queue();
        }
    }

    fn give_back(&self) {
        let mut queue = self.queue();
        queue.serving += 1;
        if let Some(thread) = queue.waiting.pop_front() {
            thread.unpark();
        }
    }
}

struct SqliteSession {
    connection: Connection,
    turn: Arc<Turn>,
    /// Whether it is this session's turn to write.
    writing: bool,
    lost: bool,
    /// Texts as SQLite takes them, by those of the Postgres wire.
    texts: HashMap<&'static str, Arc<str>>,
}

impl SqliteSession {
    fn text(&mut self, statement: &'static Statement) -> Arc<str> {
        self.texts.entry(statement.postgres).or_insert_with(|| statement.for_sqlite().into()).clone()
    }

    fn take_turn(&mut self) {
        if !self.writing {
            self.turn.take();
            self.writing = true;
        }
    }

    fn end_turn(&mut self) {
        if std::mem::take(&mut self.writing) {
            self.turn.give_back();
        }
    }
}

impl Drop for SqliteSession {
    fn drop(&mut self) {
        if !self.connection.is_autocommit() {
            self.rollback();
        }
        self.end_turn();
    }
}

impl Session for SqliteSession {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn query(&mut self, statement: &'static Statement, parameters: &[Value]) -> Result<Vec<Row>, Error> {
        let text = self.text(statement);
        let run = || {
            let mut prepared = self.connection.prepare_cached(&text)?;
            let columns = prepared.column_count();
            let mut rows = prepared.query(rusqlite::params_from_iter(parameters))?;
            let mut answer = Vec::new();
            while let Some(row) = rows.next()? {
                let value = |column| row.get_ref(column).map(from_sqlite);
                answer.push(Row((0..columns).map(value).collect::<Result<_, _>>()?));
            }
            Ok(answer)
        };
        run().map_err(|error| classify(&error, &text))
    }

    fn execute(&mut self, statement: &'static Statement, parameters: &[Value]) -> Result<u64, Error> {
        let text = self.text(statement);
        let alone = self.connection.is_autocommit();
        if alone {
            self.take_turn();
        }
        let run = || self.connection.prepare_cached(&text)?.execute(rusqlite::params_from_iter(parameters));
        let changed = run().map_err(|error| classify(&error, &text));
        if alone {
            self.end_turn();
        }
        Ok(changed? as u64)
    }

    fn begin(&mut self) -> Result<(), Error> {
        let sql = "BEGIN IMMEDIATE";
        self.take_turn();
        let begun = self.connection.prepare_cached(sql).and_then(|mut begin| begin.execute([]));
        begun.map(drop).map_err(|error| {
            self.end_turn();
            classify(&error, sql)
        })
    }

    fn commit(&mut self) -> Result<(), Error> {
        let committed = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if committed.is_err() && !self.connection.is_autocommit() {
            self.rollback();
        }
        self.end_turn();
        committed.map(drop).map_err(|error| classify(&error, "COMMIT"))
    }

    fn rollback(&mut self) {
        // SQLite has already rolled back after some errors.
        if !self.connection.is_autocommit() {
            self.lost |= self.connection.execute_batch("ROLLBACK").is_err();
        }
        self.end_turn();
    }

    fn is_lost(&self) -> bool {
        self.lost
    }

    fn script(&mut self, sql: &str) -> Result<(), Error> {
        self.take_turn();
        let done = self.connection.execute_batch(sql).map_err(|error| classify(&error, sql));
        self.end_turn();
        done
    }

    fn insert(&mut self, table: &str, columns: &[&str], rows: &[Vec<Value>]) -> Result<(), Error> {
        let places = vec!["?"; columns.len()].join(", ");
        let sql = format!("INSERT INTO {table} ({}) VALUES ({places})", columns.join(", "));
        self.begin()?;
        let fill = || {
            let mut prepared = self.connection.prepare_cached(&sql)?;
            rows.iter().try_for_each(|row| prepared.execute(rusqlite::params_from_iter(row)).map(drop))
        };
        if let Err(error) = fill() {
            self.rollback();
            return Err(classify(&error, &sql));
        }
        self.commit()
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Int(number) | Value::Hundredths(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Date(_) | Value::Timestamp(_) => ToSqlOutput::from(self.iso().unwrap_or_default()),
        })
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        // No column of the shop is a float or a blob; one that were would be a finding of whoever reads it.
        ValueRef::Real(number) => Value::Text(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn classify(error: &rusqlite::Error, sql: &str) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Retry(error.to_string()),
        _ => Error::Failed(format!("{error}, in: {sql}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_have_their_turns_in_the_order_in_which_they_came() {
        let (turn, order) = (Turn::default(), Mutex::new(Vec::new()));
        turn.take();
        std::thread::scope(|scope| {
            for number in 0..5 {
                let (turn, order) = (&turn, &order);
                scope.spawn(move || {
                    turn.take();
                    order.lock().unwrap().push(number);
                    turn.give_back();
                });
                while turn.queue().waiting.len() <= number {
                    std::thread::yield_now();
                }
            }
            turn.give_back();
        });
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3, 4]);
    }
}
