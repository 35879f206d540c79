//! The ways in and out for people: `evesql dump` writes a database as SQL, `evesql import` reads an SQLite file.
//!
//! Both are clients over the wire like any other: they know no files of a node, need no rights beyond those of the role
//! that they connect as, and work from any machine. Choices: `docs/decisions/import.md`.

mod dump;
mod import;
mod tls;

pub use dump::{DumpOptions, dump};
pub use import::{ImportReport, import};

use crate::pem::PemError;
use std::future::Future;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};

/// Why a dump or an import did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The URL is none.
    #[error("{0} is no URL of a database: write postgres://USER@HOST:PORT/DATABASE")]
    Url(String),
    /// The CA's file is of no use.
    #[error(transparent)]
    Tls(#[from] PemError),
    /// Nobody answered there.
    #[error("no connection to {0}: {1}")]
    Connect(String, String),
    /// The server refused something.
    #[error("{what}: {message}")]
    Server {
        /// What was being done.
        what: String,
        /// The server's words, with the SQLSTATE.
        message: String,
    },
    /// What is written could not be.
    #[error("writing failed: {0}")]
    Output(#[from] std::io::Error),
    /// There is no such file.
    #[error("{0} is no file that can be read: {1}")]
    NoFile(PathBuf, String),
    /// SQLite's own word about the file.
    #[error("{0} cannot be read: {1}")]
    File(PathBuf, String),
    /// What the file holds cannot be brought over.
    #[error("{0}")]
    Refused(String),
}

impl ExchangeError {
    /// Whether the caller is to blame: exit code 2, not 1.
    pub fn is_usage(&self) -> bool {
        matches!(self, ExchangeError::Url(_) | ExchangeError::Tls(_) | ExchangeError::NoFile(..))
    }
}

/// What the server says, without the crate's own words around it.
fn words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => {
            let detail = db.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
            format!("{}{detail} [{}]", db.message(), db.code().code())
        }
        None => std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string),
    }
}

/// Names what was being done when the server refused.
fn server(what: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> ExchangeError {
    let what = what.into();
    move |error| ExchangeError::Server { what, message: words(&error) }
}

/// A database, and how it is reached.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// `postgres://USER@HOST:PORT/DATABASE`; the password may be in it or in `PGPASSWORD`.
    pub url: &'a str,
    /// TLS, with the CA that signed for the server. Without it there is none.
    pub tls_ca: Option<&'a Path>,
}

/// Runs `work` with a client of the database.
fn with_client<T, F>(target: &Target<'_>, work: impl FnOnce(Client) -> F) -> Result<T, ExchangeError>
where
    F: Future<Output = Result<T, ExchangeError>>,
{
    let url = target.url;
    let tls = target.tls_ca.map(tls::Tls::with_ca).transpose()?;
    let mut config: Config = url.parse().map_err(|_| ExchangeError::Url(url.to_string()))?;
    if config.get_hosts().is_empty() {
        return Err(ExchangeError::Url(url.to_string()));
    }
    if config.get_password().is_none()
        && let Ok(password) = std::env::var("PGPASSWORD")
    {
        config.password(password);
    }
    config.application_name("evesql");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let place = || url.rsplit_once('@').map_or(url, |(_, place)| place).to_string();
        let failed = |error| ExchangeError::Connect(place(), words(&error));
        let (client, driver) = match tls {
            Some(tls) => {
                let connected = config.ssl_mode(SslMode::Require).connect(tls).await;
                let (client, connection) = connected.map_err(failed)?;
                (client, tokio::spawn(connection))
            }
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
                (client, tokio::spawn(connection))
            }
        };
        let result = work(client).await;
        driver.abort();
        result
    })
}

/// Rows of a query, all values as text.
async fn rows(client: &Client, what: &str, sql: &str) -> Result<Vec<SimpleQueryRow>, ExchangeError> {
    let messages = client.simple_query(sql).await.map_err(server(what))?;
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    Ok(messages.into_iter().filter_map(row).collect())
}

/// A string as SQL writes it.
fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Says on stderr how far something is, where that is a terminal.
struct Progress {
    shown: bool,
    said: Instant,
}

impl Progress {
    fn new() -> Progress {
        Progress { shown: std::io::stderr().is_terminal(), said: Instant::now() }
    }

    /// At most once in a while.
    fn at(&mut self, text: impl FnOnce() -> String) {
        const PAUSE: Duration = Duration::from_millis(500);
        if self.shown && self.said.elapsed() >= PAUSE {
            self.said = Instant::now();
            eprintln!("{}", text());
        }
    }
}
