//! Sessions over the Postgres wire, without TLS: each statement is prepared when a session first runs it, and BEGIN goes
//! out with the first statement of a transaction, as pgjdbc and Npgsql send it.

use crate::session::{Database, Dialect, Error, Session, Statement};
use crate::value::{Row, Value};
use crate::wire::{Answer, Failure, Prepared, Wire};
use std::collections::HashMap;
use tokio_postgres::config::Config;

/// A server, or several of which the first that answers is taken.
pub struct Postgres(Config);

impl Postgres {
    /// Those of this URL.
    pub fn new(url: &str) -> Result<Self, Error> {
        let parsed = url.parse::<Config>();
        let config = parsed.map_err(|error| {
            let why = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            Error::Url(format!("{url} is no URL of a server ({why}); write postgres://USER@HOST:PORT/DATABASE"))
        })?;
        Ok(Postgres(config))
    }
}

impl Database for Postgres {
    fn open(&self) -> Result<Box<dyn Session>, Error> {
        let wire = Wire::connect(&self.0).map_err(|failure| match classify(failure, false) {
            Error::Failed(why) => Error::Failed(format!("the server takes no connection: {why}")),
            other => Error::Lost(format!("the server takes no connection: {other}")),
        })?;
        Ok(Box::new(PostgresSession { wire, prepared: HashMap::new(), begins: false }))
    }
}

struct PostgresSession {
    wire: Wire,
    prepared: HashMap<&'static str, Prepared>,
    /// BEGIN has still to be sent.
    begins: bool,
}

impl PostgresSession {
    fn run(&mut self, statement: &'static Statement, parameters: &[Value]) -> Result<Answer, Error> {
        let sql = statement.postgres;
        let failed = |failure| classified(failure, |why| format!("{why}, in: {sql}"));
        if !self.prepared.contains_key(sql) {
            let prepared = self.wire.prepare(sql).map_err(failed)?;
            self.prepared.insert(sql, prepared);
        }
        let begins = std::mem::take(&mut self.begins);
        let before = begins.then_some("BEGIN");
        self.wire.run(before, &self.prepared[sql], parameters).map_err(failed)
    }
}

impl Session for PostgresSession {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn query(&mut self, statement: &'static Statement, parameters: &[Value]) -> Result<Vec<Row>, Error> {
        self.run(statement, parameters).map(|answer| answer.rows)
    }

    fn execute(&mut self, statement: &'static Statement, parameters: &[Value]) -> Result<u64, Error> {
        self.run(statement, parameters).map(|answer| answer.count)
    }

    fn begin(&mut self) -> Result<(), Error> {
        self.begins = true;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        match std::mem::take(&mut self.begins) {
            true => Ok(()),
            false => self.wire.command("COMMIT").map_err(|failure| classify(failure, true)),
        }
    }

    fn rollback(&mut self) {
        if !std::mem::take(&mut self.begins) {
            // A connection that fails in this is lost, and says so.
            let _ = self.wire.command("ROLLBACK");
        }
    }

    fn is_lost(&self) -> bool {
        self.wire.is_lost()
    }

    fn script(&mut self, sql: &str) -> Result<(), Error> {
        self.wire.command(sql).map_err(|failure| classified(failure, |why| format!("{why}, in: {sql}")))
    }

    fn insert(&mut self, table: &str, columns: &[&str], rows: &[Vec<Value>]) -> Result<(), Error> {
        let sql = format!("COPY {table} ({}) FROM STDIN", columns.join(", "));
        let mut lines = String::new();
        for row in rows {
            for (position, value) in row.iter().enumerate() {
                lines.push_str(if position > 0 { "\t" } else { "" });
                value.copy_into(&mut lines);
            }
            lines.push('\n');
        }
        let copied = self.wire.copy_in(&sql, lines.as_bytes());
        copied.map_err(|failure| classified(failure, |why| format!("{table} could not be filled: {why}")))
    }
}

/// What went wrong outside a commit; `tell` says more of what failed for good.
fn classified(failure: Failure, tell: impl FnOnce(String) -> String) -> Error {
    match classify(failure, false) {
        Error::Failed(why) => Error::Failed(tell(why)),
        other => other,
    }
}

fn classify(failure: Failure, committing: bool) -> Error {
    let why = failure.to_string();
    let lost = |why| if committing { Error::Unknown(why) } else { Error::Lost(why) };
    match failure {
        Failure::Gone(_) => lost(why),
        Failure::Odd(_) => Error::Failed(why),
        Failure::Server { code, .. } => match code.as_str() {
            // The last three: no leader at the moment, too much at once, all connections taken.
            "40001" | "40P01" | "57P03" | "53000" | "53300" => Error::Retry(why),
            "08007" => Error::Unknown(why),
            // The server goes down.
            "57P01" | "57P02" => lost(why),
            _ if code.starts_with("08") => lost(why),
            _ => Error::Failed(why),
        },
    }
}
