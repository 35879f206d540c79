//! Who takes part in a comparison: started here, or reached by a URL.

use super::server::{self, Server};
use crate::browser::Told;
use crate::check::Counts;
use crate::run::{Disturbance, Options};
use crate::session::{self, Database, Error, Statement, Synchronous};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// Clock ticks in a second, of the times in `/proc`: Linux shows a hundred on all machines.
const TICKS: f64 = 100.0;

static VERSION: Statement = Statement::same("SELECT version()");

/// A kind of database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// So many replicas of EveSQL in one process, which compare their results.
    EveSql {
        /// 1, 3, 5 or 7.
        replicas: u64,
        /// So often one of them is made to compute something else.
        divergences_per_minute: u32,
    },
    /// SQLite in the browsers' process.
    Sqlite(Synchronous),
    /// A server that is up already.
    Server {
        /// As tables show it.
        name: String,
        /// Where it is.
        url: String,
    },
}

impl Kind {
    /// As tables show it.
    pub fn name(&self) -> String {
        match self {
            Kind::EveSql { replicas: 1, .. } => "EveSQL, 1 replica".into(),
            Kind::EveSql { replicas, divergences_per_minute: 0 } => format!("EveSQL, {replicas} replicas"),
            Kind::EveSql { replicas, divergences_per_minute } => {
                format!("EveSQL, {replicas} replicas, {divergences_per_minute} divergences/min")
            }
            Kind::Sqlite(Synchronous::Full) => "SQLite".into(),
            Kind::Sqlite(Synchronous::Normal) => "SQLite, not durable".into(),
            Kind::Server { name, .. } => name.clone(),
        }
    }
}

/// One that takes part.
pub struct Contestant {
    /// As tables show it.
    pub name: String,
    /// What it says of itself.
    pub version: String,
    /// Where browsers get sessions.
    pub database: Arc<dyn Database>,
    /// What the shop held before the first pass.
    pub before: Option<Counts>,
    /// What browsers were told in all passes.
    pub told: Told,
    /// What is done to it in every pass.
    pub disturbance: Option<Disturbance>,
    process: Process,
    // Goes last: a server may still write into it.
    _directory: Option<TempDir>,
}

/// Whose time is looked at.
enum Process {
    Server(Server),
    /// This one, which holds the browsers as well.
    Own,
    /// Nobody's.
    Unknown,
}

/// Time that a database's processes took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Processor time, in seconds; where the database is in the browsers' process, theirs as well.
    pub cpu_s: f64,
    /// Of EveSQL: executing batches, on all replicas together, in seconds.
    pub executing_s: f64,
    /// Part of that: hashing changed pages, publishing them and digesting answers.
    pub verifying_s: f64,
}

impl Spent {
    /// What was spent between two looks.
    pub fn since(&self, before: &Spent) -> Spent {
        Spent {
            cpu_s: self.cpu_s - before.cpu_s,
            executing_s: self.executing_s - before.executing_s,
            verifying_s: self.verifying_s - before.verifying_s,
        }
    }
}

impl Contestant {
    /// Starts it, or opens it, in a new directory below `data`.
    ///
    /// # Errors
    /// A server that does not start, or a URL that does not name one.
    pub fn start(kind: &Kind, evesql: &Path, data: &Path) -> Result<Contestant, Error> {
        let directory = || {
            let made =
                std::fs::create_dir_all(data).and_then(|()| tempfile::Builder::new().prefix("tpcw-").tempdir_in(data));
            made.map_err(|error| Error::Failed(format!("no directory can be made in {}: {error}", data.display())))
        };
        let (database, version, process, directory) = match kind {
            Kind::EveSql { replicas, .. } => {
                let directory = directory()?;
                let server = Server::start(evesql, *replicas, &directory.path().join("data"))?;
                let database = session::database(&server.url, Synchronous::Full)?;
                (database, server::version(evesql), Process::Server(server), Some(directory))
            }
            Kind::Sqlite(synchronous) => {
                let directory = directory()?;
                let url = format!("sqlite:{}", directory.path().join("shop.db").display());
                let version = format!("SQLite {}, WAL", rusqlite::version());
                (session::database(&url, *synchronous)?, version, Process::Own, Some(directory))
            }
            Kind::Server { url, .. } => {
                let database = session::database(url, Synchronous::Full)?;
                let rows = database.open()?.query(&VERSION, &[])?;
                let version = rows.first().map(|row| row.text(0)).transpose()?.unwrap_or_default().to_string();
                (database, version, Process::Unknown, None)
            }
        };
        let told = Told::default();
        let disturbance = match kind {
            Kind::EveSql { replicas, divergences_per_minute } => {
                Options::divergences(*replicas, *divergences_per_minute)
            }
            _ => None,
        };
        Ok(Contestant {
            disturbance,
            name: kind.name(),
            version,
            database,
            before: None,
            told,
            process,
            _directory: directory,
        })
    }

    /// Time that it took so far, if that can be told.
    pub fn spent(&self) -> Option<Spent> {
        match &self.process {
            Process::Server(server) => {
                let (executing_us, verifying_us) = server.executing_us()?;
                Some(Spent {
                    cpu_s: cpu_s(&server.process().to_string())?,
                    executing_s: executing_us as f64 / 1e6,
                    verifying_s: verifying_us as f64 / 1e6,
                })
            }
            Process::Own => Some(Spent { cpu_s: cpu_s("self")?, ..Spent::default() }),
            Process::Unknown => None,
        }
    }
}

/// User and system time of a process.
fn cpu_s(process: &str) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold anything; behind its bracket come the state and the numbers.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}
