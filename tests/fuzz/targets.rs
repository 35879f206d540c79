//! What is fuzzed: bytes that a client sends, and texts that are parsed, typed and translated. The same code runs under
//! `cargo fuzz` (`fuzz/fuzz_targets`) and, for a bounded time, as a test.

use crate::gateway::Server;
use evesql::catalog::Catalog;
use evesql::dialect::{Settings, parse, prepare};
use evesql::session::{Gateway, ReadLevel, Soon};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Tables that statements may name.
const SCHEMA: &str = include_str!("../../testdata/differential/schema.sql");
/// A client that is not answered or dropped in this time hangs.
const PATIENCE: Duration = Duration::from_secs(30);

fn server() -> Server {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = server.connect().await;
        client.batch_execute(SCHEMA).await.expect("the schema is made");
        client.batch_execute("create role locked login password 'secret'").await.expect("a role is made");
    });
    server
}

/// The stream of a whole connection: start-up packet, messages, COPY data, SCRAM.
pub struct Wire(Server);

impl Wire {
    pub fn start() -> Wire {
        Wire(server())
    }

    /// Sends the bytes and nothing more, and reads to the end of what comes back.
    pub fn feed(&self, bytes: &[u8]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.0.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        // It may hang up before it has read all.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut answer = [0; 16 * 1024];
        loop {
            match stream.read(&mut answer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    panic!("a client is left hanging")
                }
                Err(_) => return,
            }
        }
    }
}

/// A text of SQL, up to the statements for SQLite.
pub struct Translate(Arc<Catalog>);

impl Translate {
    pub fn start() -> Translate {
        let server = server();
        let Soon::Now(Ok(pinned)) = server.gateway.read_snapshot(&"evesql".into(), ReadLevel::Local, None) else {
            panic!("the database is there")
        };
        Translate(pinned.catalog)
    }

    pub fn feed(&self, text: &str) {
        let Ok(statements) = parse(text) else { return };
        for statement in &statements {
            let _ = prepare(statement, &self.0, &[], &Settings::default());
        }
    }
}
