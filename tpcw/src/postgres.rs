//! Sessions over the Postgres wire, without TLS: each statement is prepared when a session first runs it.

use crate::session::{Database, Dialect, Error, Session, Statement};
use crate::value::{Row, Value};
use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Client, Config, NoTls};
use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

/// A server, or several of which the first that answers is taken.
pub struct Postgres(Config);

impl Postgres {
    /// Those of this URL.
    pub fn new(url: &str) -> Result<Self, Error> {
        let parsed = url.parse::<Config>();
        let mut config = parsed.map_err(|error| {
            let why = describe(&error);
            Error::Url(format!("{url} is no URL of a server ({why}); write postgres://USER@HOST:PORT/DATABASE"))
        })?;
        config.application_name("tpcw");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        Ok(Postgres(config))
    }
}

impl Database for Postgres {
    fn open(&self) -> Result<Box<dyn Session>, Error> {
        let client = self.0.connect(NoTls).map_err(|error| match classify(&error, false) {
            Error::Failed(why) => Error::Failed(format!("the server takes no connection: {why}")),
            other => Error::Lost(format!("the server takes no connection: {other}")),
        })?;
        Ok(Box::new(PostgresSession { client, prepared: HashMap::new(), lost: false }))
    }
}

struct PostgresSession {
    client: Client,
    prepared: HashMap<&'static str, postgres::Statement>,
    lost: bool,
}

impl PostgresSession {
    fn prepared(&mut self, statement: &'static Statement) -> Result<postgres::Statement, Error> {
        if let Some(prepared) = self.prepared.get(statement.postgres) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare(statement.postgres);
        let prepared = prepared.map_err(|error| self.failure(&error, statement.postgres))?;
        self.prepared.insert(statement.postgres, prepared.clone());
        Ok(prepared)
    }

    /// The error, with the text that caused it where it helps; a session that has lost its server remembers it.
    fn failure(&mut self, error: &postgres::Error, sql: &str) -> Error {
        let failure = classify(error, false);
        self.lost |= matches!(failure, Error::Lost(_)) || self.client.is_closed();
        match failure {
            Error::Failed(why) => Error::Failed(format!("{why}, in: {sql}")),
            other => other,
        }
    }
}

impl Session for PostgresSession {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn query(&mut self, statement: &'static Statement, parameters: &[Value]) -> Result<Vec<Row>, Error> {
        let prepared = self.prepared(statement)?;
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|value| value as _).collect();
        let rows = self.client.query(&prepared, &parameters);
        let rows = rows.map_err(|error| self.failure(&error, statement.postgres))?;
        let columns = |row: &postgres::Row| (0..row.len()).map(|column| row.try_get(column)).collect::<Result<_, _>>();
        let rows: Result<Vec<Row>, postgres::Error> = rows.iter().map(|row| columns(row).map(Row)).collect();
        rows.map_err(|error| self.failure(&error, statement.postgres))
    }

    fn execute(&mut self, statement: &'static Statement, parameters: &[Value]) -> Result<u64, Error> {
        let prepared = self.prepared(statement)?;
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|value| value as _).collect();
        self.client.execute(&prepared, &parameters).map_err(|error| self.failure(&error, statement.postgres))
    }

    fn begin(&mut self) -> Result<(), Error> {
        self.client.batch_execute("BEGIN").map_err(|error| self.failure(&error, "BEGIN"))
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.client.batch_execute("COMMIT").map_err(|error| {
            let failure = classify(&error, true);
            self.lost |= self.client.is_closed();
            failure
        })
    }

    fn rollback(&mut self) {
        self.lost |= self.client.batch_execute("ROLLBACK").is_err();
    }

    fn is_lost(&self) -> bool {
        self.lost
    }

    fn script(&mut self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(sql).map_err(|error| self.failure(&error, sql))
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
        let mut writer = self.client.copy_in(&sql).map_err(|error| classify(&error, false))?;
        // The writer's error hides the server's, which finishing reports.
        let written = writer.write_all(lines.as_bytes());
        writer.finish().map_err(|error| self.failure(&error, &sql))?;
        written.map_err(|error| Error::Lost(format!("{table} could not be filled: {error}")))
    }
}

fn classify(error: &postgres::Error, committing: bool) -> Error {
    let why = describe(error);
    let Some(code) = error.code() else {
        let source = std::error::Error::source(error);
        let gone = error.is_closed() || source.is_some_and(|source| source.is::<std::io::Error>());
        return match (gone, committing) {
            (true, true) => Error::Unknown(why),
            (true, false) => Error::Lost(why),
            (false, _) => Error::Failed(why),
        };
    };
    match code.code() {
        // The last three: no leader at the moment, too much at once, all connections taken.
        "40001" | "40P01" | "57P03" | "53000" | "53300" => Error::Retry(why),
        "08007" => Error::Unknown(why),
        _ if *code == SqlState::ADMIN_SHUTDOWN
            || *code == SqlState::CRASH_SHUTDOWN
            || code.code().starts_with("08") =>
        {
            if committing {
                Error::Unknown(why)
            } else {
                Error::Lost(why)
            }
        }
        _ => Error::Failed(why),
    }
}

/// The server's message with its code, or what the driver and the system say.
fn describe(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{} ({})", error.message(), error.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}
