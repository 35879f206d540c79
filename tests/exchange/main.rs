//! The ways in and out: `evesql dump`, `evesql import`, and pg_dump of PostgreSQL, there and back.
//!
//! Where PostgreSQL is not installed the tests that need it say so and are passed over.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/postgres.rs"]
mod postgres;

mod dump;
mod import;

use harness::Program;
use postgres::Postgres;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// A database over the wire, for psql and its relatives.
struct Place {
    port: u16,
    user: &'static str,
    database: String,
}

impl Place {
    fn of(server: &Program, database: &str) -> Place {
        Place { port: server.address.port(), user: "evesql", database: database.into() }
    }

    fn in_postgres(server: &Postgres, database: &str) -> Place {
        Place { port: server.port, user: "postgres", database: database.into() }
    }

    fn url(&self) -> String {
        format!("postgres://{}@127.0.0.1:{}/{}", self.user, self.port, self.database)
    }

    /// Runs a program of PostgreSQL's on it.
    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(program);
        let port = self.port.to_string();
        command.args(["-h", "127.0.0.1", "-p", &port, "-U", self.user, "-d", &self.database]).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_string();
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// Runs a script, every statement of which must succeed; what it printed.
    fn psql(&self, script: &str) -> String {
        let output = self.run("psql", &["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1"], script);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", self.url());
        String::from_utf8(output.stdout).unwrap()
    }

    fn pg_dump(&self, arguments: &[&str]) -> String {
        let output = self.run("pg_dump", arguments, "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `evesql dump` writes.
    fn dump(&self, arguments: &[&str]) -> String {
        let output = harness::run(&[&["dump", "--url", &self.url()][..], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Whether psql is there; says so if it is not.
fn has_psql() -> bool {
    let there = Command::new("psql").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "install PostgreSQL's client programs");
        eprintln!("psql is not installed: passed over");
    }
    there
}

/// A PostgreSQL; `None` with a word where none is installed.
fn postgres() -> Option<Postgres> {
    let Some(programs) = postgres::programs() else {
        eprintln!("PostgreSQL is not installed: passed over");
        return None;
    };
    Some(Postgres::start(&programs))
}
