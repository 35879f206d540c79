//! Stock SQLite behind EveSQL's own wire front, as a peer to measure against: what a single SQLite would give
//! to the same clients over the same sockets. Serves pgbench's prepared statements and nothing else, on a file
//! that `stock_sqlite` has filled, in WAL mode with synchronous=FULL.
//!
//! `stock_sqlite_wire FILE ADDRESS CLIENTS` prints a line when it takes connections. Each connection has a
//! thread of its own, since SQLite blocks the thread that waits for its one writer.

use bytes::BufMut;
use evesql::transaction::SqlError;
use evesql::wire::message::{self, ColumnDescription};
use evesql::wire::{
    Fields, Flow, Front, FrontOptions, Handler, Hello, Link, NotAdmitted, Outbox, Registration, Service, Talk,
};
use pgwire::messages::Message;
use pgwire::messages::startup::Authentication;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, address, clients] = arguments.as_slice() else {
        eprintln!("usage: stock_sqlite_wire FILE ADDRESS CLIENTS");
        std::process::exit(2);
    };
    let listener = TcpListener::bind(address).expect("the address is free");
    let threads = clients.parse().expect("CLIENTS is a number");
    let options = FrontOptions { threads, ..FrontOptions::default() };
    let file: Arc<str> = file.as_str().into();
    let front = Front::start(listener, None, options, move |_| Stock { file: file.clone() }).expect("threads");
    println!("ready: {}", front.address());
    std::thread::park();
}

struct Stock {
    file: Arc<str>,
}

impl Service for Stock {
    type Handler = Client;

    async fn open(
        &self,
        _: &Hello,
        _: Arc<Registration>,
        _: &Rc<Link>,
        talk: &mut Talk,
    ) -> Result<Client, NotAdmitted> {
        let out = &mut talk.out;
        let connection = Connection::open(&*self.file).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(60)).map_err(failed)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536; \
                 PRAGMA mmap_size=4294967296",
            )
            .map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(32);
        Authentication::Ok.encode(&mut out.buffer).map_err(failed)?;
        message::ready_for_query(&mut out.buffer, b'I');
        Ok(Client { connection, statements: HashMap::new(), sql: String::new(), parameters: Vec::new() })
    }
}

fn failed(error: impl std::fmt::Display) -> SqlError {
    SqlError::new("XX000", error.to_string())
}

struct Client {
    connection: Connection,
    statements: HashMap<String, String>,
    /// Of the unnamed portal.
    sql: String,
    parameters: Vec<Value>,
}

impl Handler for Client {
    async fn message(&mut self, tag: u8, body: &[u8], out: &mut Outbox) -> io::Result<Flow> {
        if tag == b'X' {
            return Ok(Flow::Close);
        }
        match self.handle(tag, body, out) {
            Ok(()) => Ok(Flow::Continue),
            Err(error) => {
                out.fatal(&error);
                Ok(Flow::Close)
            }
        }
    }

    fn read_timeout(&self) -> Option<(Duration, SqlError)> {
        None
    }
}

impl Client {
    fn handle(&mut self, tag: u8, body: &[u8], out: &mut Outbox) -> Result<(), SqlError> {
        let mut fields = Fields(body);
        let short = || failed("a message is too short");
        match tag {
            b'Q' => self.simple(fields.text().ok_or_else(short)?, out)?,
            b'P' => {
                let (name, sql) = (fields.text().ok_or_else(short)?, fields.text().ok_or_else(short)?);
                self.statements.insert(name.into(), translated(sql));
                message::parse_complete(&mut out.buffer);
            }
            b'B' => {
                fields.text().ok_or_else(short)?;
                let name = fields.text().ok_or_else(short)?;
                self.sql = self.statements.get(name).cloned().ok_or_else(|| failed("no such statement"))?;
                for _ in 0..fields.i16().ok_or_else(short)? {
                    fields.i16();
                }
                self.parameters.clear();
                for _ in 0..fields.i16().ok_or_else(short)? {
                    let length = fields.i32().ok_or_else(short)?;
                    let text = fields.bytes(length.max(0) as usize).ok_or_else(short)?;
                    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
                    self.parameters.push(Value::Integer(number.ok_or_else(|| failed("parameters are integers"))?));
                }
                message::bind_complete(&mut out.buffer);
            }
            b'D' if self.sql.starts_with("SELECT") => describe(&["abalance"], out),
            b'D' => message::no_data(&mut out.buffer),
            b'E' => self.execute(out)?,
            b'S' => {
                let status = if self.connection.is_autocommit() { b'I' } else { b'T' };
                message::ready_for_query(&mut out.buffer, status);
                out.flush_soon();
            }
            _ => {}
        }
        Ok(())
    }

    /// What pgbench asks before it starts.
    fn simple(&mut self, sql: &str, out: &mut Outbox) -> Result<(), SqlError> {
        if sql.contains("pg_catalog") {
            describe(&["n", "partstrat", "count"], out);
            row(&[Some("1"), None, Some("0")], out);
            message::command_complete_count(&mut out.buffer, "SELECT", 1);
        } else if sql.contains("count(*) from pgbench_branches") {
            let sql = "SELECT count(*) FROM pgbench_branches";
            let scale: i64 = self.connection.query_row(sql, [], |row| row.get(0)).map_err(failed)?;
            describe(&["count"], out);
            row(&[Some(&scale.to_string())], out);
            message::command_complete_count(&mut out.buffer, "SELECT", 1);
        } else {
            message::command_complete(&mut out.buffer, "SET");
        }
        message::ready_for_query(&mut out.buffer, b'I');
        out.flush_soon();
        Ok(())
    }

    fn execute(&mut self, out: &mut Outbox) -> Result<(), SqlError> {
        let mut statement = self.connection.prepare_cached(&self.sql).map_err(failed)?;
        let mut rows = statement.query(params_from_iter(&self.parameters)).map_err(failed)?;
        let mut count = 0;
        while let Some(found) = rows.next().map_err(failed)? {
            row(&[Some(&found.get::<_, i64>(0).map_err(failed)?.to_string())], out);
            count += 1;
        }
        match self.sql.split(' ').next().unwrap_or_default() {
            "SELECT" => message::command_complete_count(&mut out.buffer, "SELECT", count),
            "INSERT" => message::command_complete(&mut out.buffer, "INSERT 0 1"),
            "UPDATE" => message::command_complete(&mut out.buffer, "UPDATE 1"),
            verb => message::command_complete(&mut out.buffer, verb),
        }
        Ok(())
    }
}

/// SQLite's form of pgbench's statements; a transaction that writes says so at once, or its upgrade would fail.
fn translated(sql: &str) -> String {
    let sql = sql.trim().trim_end_matches(';').replace('$', "?");
    match sql.as_str() {
        "BEGIN" => "BEGIN IMMEDIATE".into(),
        "END" => "COMMIT".into(),
        _ => sql,
    }
}

fn describe(names: &[&str], out: &mut Outbox) {
    let column = |name| ColumnDescription {
        name,
        table_oid: 0,
        column_number: 0,
        type_oid: 20,
        type_length: 8,
        type_modifier: -1,
        format: 0,
    };
    message::row_description(&mut out.buffer, names.iter().copied().map(column));
}

fn row(values: &[Option<&str>], out: &mut Outbox) {
    let at = message::begin(&mut out.buffer, b'D');
    out.buffer.put_u16(values.len() as u16);
    for value in values {
        out.buffer.put_i32(value.map_or(-1, |text| text.len() as i32));
        out.buffer.put_slice(value.unwrap_or_default().as_bytes());
    }
    message::end(&mut out.buffer, at);
}
