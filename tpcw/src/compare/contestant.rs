//! Who takes part in a comparison: started here, or reached by a URL.

use crate::browser::Told;
use crate::check::Counts;
use crate::evesql;
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
    /// Replicas of EveSQL in one process, which compare their results.
    EveSql(EveSql),
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

/// How EveSQL is started, and what is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EveSql {
    /// 1, 3, 5 or 7.
    pub replicas: u64,
    /// So often one of them is made to compute something else; 0: never.
    pub divergences_per_minute: u32,
    /// Transactions in one batch; `None`: as many as it takes by itself.
    pub batch_max: Option<u32>,
    /// Browsers reach it by loopback, not by its socket in the file system.
    pub by_loopback: bool,
}

impl EveSql {
    /// As it comes.
    pub fn plain(replicas: u64) -> Self {
        EveSql { replicas, divergences_per_minute: 0, batch_max: None, by_loopback: false }
    }

    fn name(&self) -> String {
        let mut name = match self.replicas {
            1 => "EveSQL, 1 replica".to_string(),
            replicas => format!("EveSQL, {replicas} replicas"),
        };
        if self.divergences_per_minute > 0 {
            name += &format!(", {} divergences/min", self.divergences_per_minute);
        }
        if let Some(most) = self.batch_max {
            name += &format!(", batches of {most}");
        }
        if self.by_loopback {
            name += ", TCP";
        }
        name
    }

    /// Its process, with its files below `directory`.
    fn process(&self, program: &Path, directory: &Path) -> Result<evesql::Process, Error> {
        let mut words = vec!["serve".to_string(), "--replicas".into(), self.replicas.to_string(), "--drills".into()];
        if let Some(most) = self.batch_max {
            let file = directory.join("evesql.toml");
            std::fs::write(&file, format!("batch_transactions_max = {most}\n"))
                .map_err(|error| Error::Failed(format!("{} cannot be written: {error}", file.display())))?;
            words.extend(["--config".into(), file.display().to_string()]);
        }
        let process = evesql::Process::new(program, words, &directory.join("data"))?;
        if self.by_loopback { Ok(process) } else { process.with_socket() }
    }
}

impl Kind {
    /// As tables show it.
    pub fn name(&self) -> String {
        match self {
            Kind::EveSql(eve) => eve.name(),
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
    EveSql(evesql::Process),
    /// This one, which holds the browsers as well.
    Own,
    /// Nobody's.
    Unknown,
}

/// Time that a database's processes took, and what EveSQL did in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Processor time, in seconds; where the database is in the browsers' process, theirs as well.
    pub cpu_s: f64,
    /// Of EveSQL: executing batches, on all replicas together, in seconds.
    pub executing_s: f64,
    /// Part of that: hashing changed pages, publishing them and digesting answers.
    pub verifying_s: f64,
    /// Of EveSQL: transactions that were accepted.
    #[serde(default)]
    pub transactions: u64,
    /// Of EveSQL: batches that they were in.
    #[serde(default)]
    pub batches: u64,
}

impl Spent {
    /// What was spent between two looks.
    pub fn since(&self, before: &Spent) -> Spent {
        Spent {
            cpu_s: self.cpu_s - before.cpu_s,
            executing_s: self.executing_s - before.executing_s,
            verifying_s: self.verifying_s - before.verifying_s,
            transactions: self.transactions.saturating_sub(before.transactions),
            batches: self.batches.saturating_sub(before.batches),
        }
    }
}

impl Contestant {
    /// Starts it, or opens it, in a new directory below `data`; `program` is that of EveSQL.
    ///
    /// # Errors
    /// A server that does not start, or a URL that does not name one.
    pub fn start(kind: &Kind, program: &Path, data: &Path) -> Result<Contestant, Error> {
        let directory = || {
            let made =
                std::fs::create_dir_all(data).and_then(|()| tempfile::Builder::new().prefix("tpcw-").tempdir_in(data));
            made.map_err(|error| Error::Failed(format!("no directory can be made in {}: {error}", data.display())))
        };
        let (database, version, process, directory) = match kind {
            Kind::EveSql(eve) => {
                let directory = directory()?;
                let mut process = eve.process(program, directory.path())?;
                process.start()?;
                process.ready()?;
                let database = session::database(&process.url(), Synchronous::Full)?;
                (database, evesql::version(program), Process::EveSql(process), Some(directory))
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
            Kind::EveSql(eve) => Options::divergences(eve.replicas, eve.divergences_per_minute),
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
            Process::EveSql(process) => {
                let status = process.status()?;
                let seconds = |part: fn(&evesql::Node) -> u64| status.nodes.iter().map(part).sum::<u64>() as f64 / 1e6;
                Some(Spent {
                    cpu_s: cpu_s(&process.process()?.to_string())?,
                    executing_s: seconds(|node| node.executing_us),
                    verifying_s: seconds(|node| node.verifying_us),
                    transactions: status.transactions,
                    batches: status.batches,
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
