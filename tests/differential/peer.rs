//! A client of either server, and what a statement comes to there.

use crate::raw::{Raw, query};
use std::fmt;

/// First OID that users' objects have, on both sides.
const FIRST_OID: u32 = 16384;

/// Where a server listens, and as whom to come.
#[derive(Clone)]
pub struct Server {
    pub port: u16,
    pub user: String,
    pub database: String,
}

impl Server {
    /// Of `postgres://USER@127.0.0.1:PORT/DATABASE`.
    pub fn of_url(url: &str) -> Server {
        let parts = url.strip_prefix("postgres://").and_then(|rest| {
            let (user, place) = rest.split_once('@')?;
            let (address, database) = place.split_once('/')?;
            Some((user, address.strip_prefix("127.0.0.1:")?.parse().ok()?, database))
        });
        let (user, port, database) = parts.expect("EVESQL_POSTGRES_URL: postgres://USER@127.0.0.1:PORT/DATABASE");
        Server { port, user: user.into(), database: database.into() }
    }

    /// A client of a fresh database of this name; `None`: of the server's own.
    pub fn client(&self, fresh: Option<&str>) -> Client {
        let Some(name) = fresh else { return Client::connect(self) };
        let mut first = Client::connect(self);
        for command in [format!("drop database if exists {name}"), format!("create database {name}")] {
            let made = first.ask(&command);
            assert!(made.error().is_none(), "{command}: {made}");
        }
        Client::connect(&Server { database: name.into(), ..self.clone() })
    }
}

/// A column as RowDescription tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub oid: u32,
    pub typmod: i32,
}

/// What a statement comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Rows { columns: Vec<Column>, rows: Vec<Vec<Option<String>>>, tag: String },
    Done(String),
    Error { code: String, message: String },
}

impl Outcome {
    /// The SQLSTATE and the message of an error.
    pub fn error(&self) -> Option<(&str, &str)> {
        match self {
            Outcome::Error { code, message } => Some((code, message)),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done(tag) => f.write_str(tag),
            Outcome::Error { code, message } => write!(f, "ERROR {code} {message}"),
            Outcome::Rows { columns, rows, .. } => {
                let named = columns.iter().map(|Column { name, oid, typmod }| match typmod {
                    -1 => format!("{name} {oid}"),
                    typmod => format!("{name} {oid}({typmod})"),
                });
                write!(f, "({})", named.collect::<Vec<_>>().join(", "))?;
                for row in rows.iter().take(12) {
                    let values = row.iter().map(|value| value.as_deref().unwrap_or("NULL"));
                    write!(f, " [{}]", values.collect::<Vec<_>>().join(" | "))?;
                }
                if rows.len() > 12 { write!(f, " .. {} rows", rows.len()) } else { Ok(()) }
            }
        }
    }
}

/// A connection.
pub struct Client(Raw);

impl Client {
    fn connect(server: &Server) -> Client {
        let mut raw = Raw::open(server.port);
        raw.send(&[Raw::startup(&["user", &server.user, "database", &server.database, "TimeZone", "UTC"])]);
        raw.until_ready();
        Client(raw)
    }

    /// The outcome of the last of the statements in a text, or the first error.
    pub fn ask(&mut self, sql: &str) -> Outcome {
        self.0.send(&[query(sql)]);
        let mut outcome = Outcome::Done(String::new());
        let (mut columns, mut rows) = (None, Vec::new());
        for message in self.0.until_ready() {
            match message.0 {
                'T' => columns = Some(described(&message.1)),
                'D' => rows.push(message.row()),
                'C' => {
                    let tag = String::from_utf8_lossy(&message.1[..message.1.len() - 1]).into_owned();
                    let rows = std::mem::take(&mut rows);
                    outcome = match columns.take() {
                        Some(columns) => Outcome::Rows { columns, rows, tag },
                        None => Outcome::Done(tag),
                    };
                }
                'E' => outcome = Outcome::Error { code: message.field(b'C'), message: message.field(b'M') },
                _ => {}
            }
        }
        outcome
    }
}

fn described(body: &[u8]) -> Vec<Column> {
    let number = |at: usize| i32::from_be_bytes(body[at..at + 4].try_into().expect("four bytes"));
    let mut at = 2;
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes([body[0], body[1]]) {
        let end = at + body[at..].iter().position(|byte| *byte == 0).expect("a name ends");
        let oid = number(end + 7) as u32;
        columns.push(Column {
            name: String::from_utf8_lossy(&body[at..end]).into_owned(),
            // Types that were made have other OIDs on either side.
            oid: if oid < FIRST_OID { oid } else { FIRST_OID },
            typmod: number(end + 13),
        });
        at = end + 19;
    }
    columns
}
