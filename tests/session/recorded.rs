//! What real clients send, replayed statement by statement: each must have the outcome that it has on PostgreSQL, save
//! those that are listed as differing. So what is answered only grows.
//!
//! `testdata/recorded/CLIENT.sql` holds the distinct statements of a client in order, marked `--[Q]` (sent as a simple
//! query) or `--[P]` (parsed and described; executed where it takes no parameters). `postgres.txt` is what PostgreSQL 15
//! makes of them, in a database of which the session's user is the owner; `EVESQL_REPLAY_ON=PORT` writes it anew from the
//! server that listens there. `differences.txt` is where we differ; `REWRITE=1` writes it anew, and the diff is the review.
//! Statements that fail on both sides do so for want of what a recording leaves out: repeated statements, values of
//! parameters, the OIDs of that day.

use crate::gateway::Server;
use crate::raw::{Message, Raw, bind, describe, execute, message, parse, query, sync};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// Recordings that follow one another in one database, and what must be there before.
const SESSIONS: &[(&str, &[&str])] = &[
    (
        "create table t(id serial primary key, name text); create table c(id int, note text)",
        &["psql", "psql-more", "psql-tab"],
    ),
    ("", &["pgbench-init", "pgbench-simple", "pgbench-extended", "pgbench-prepared"]),
    ("", &["pgbench-partfk"]),
    ("", &["sysbench-oltp_read_write-prepare", "sysbench-oltp_read_write-run", "sysbench-oltp_write_only-run"]),
    (
        "create table sbtest1(id int, c char(120))",
        &["sysbench-oltp_point_select-run", "sysbench-oltp_read_write-cleanup"],
    ),
    ("", &["psycopg2"]),
    ("", &["psycopg3"]),
    ("", &["asyncpg"]),
    ("", &["sqlalchemy-psycopg2"]),
    ("", &["sqlalchemy-psycopg"]),
    ("", &["sqlalchemy-asyncpg"]),
    ("", &["django-migrate", "django-orm", "django-inspectdb"]),
    ("", &["node-pg-knex"]),
    ("", &["jdbc"]),
    ("", &["tokio-postgres"]),
    ("", &["sqlx"]),
];

/// First OID that users' objects have, on both sides.
const FIRST_OID: u32 = 16384;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/recorded")
}

/// One statement of a recording.
struct Recorded {
    parsed: bool,
    text: String,
}

fn recording(name: &str) -> Vec<Recorded> {
    let file = std::fs::read_to_string(folder().join(format!("{name}.sql"))).expect(name);
    let mut all: Vec<Recorded> = Vec::new();
    for line in file.lines() {
        match (line, all.last_mut()) {
            ("--[Q]" | "--[P]", _) => all.push(Recorded { parsed: line == "--[P]", text: String::new() }),
            (_, Some(last)) => last.text += &format!("{line}\n"),
            (_, None) => {}
        }
    }
    all.iter_mut().for_each(|one| one.text.truncate(one.text.trim_end().len()));
    all
}

/// Columns as Describe tells them: name and type.
fn columns(Message(_, body): &Message) -> String {
    let mut at = 2;
    let mut shown = Vec::new();
    for _ in 0..u16::from_be_bytes([body[0], body[1]]) {
        let end = at + body[at..].iter().position(|byte| *byte == 0).expect("a name ends");
        let oid = u32::from_be_bytes(body[end + 7..end + 11].try_into().unwrap());
        let ty = if oid < FIRST_OID { oid.to_string() } else { "made".into() };
        shown.push(format!("{} {ty}", String::from_utf8_lossy(&body[at..end])));
        at = end + 19;
    }
    shown.join(", ")
}

/// Types of parameters; ours may not be those of the server that a recording was made on.
fn parameters(Message(_, body): &Message) -> String {
    let oids = body[2..].chunks(4).map(|oid| u32::from_be_bytes(oid.try_into().unwrap()));
    oids.map(|oid| if oid < FIRST_OID { oid.to_string() } else { "made".into() }).collect::<Vec<_>>().join(", ")
}

struct Replay {
    raw: Raw,
    in_transaction: bool,
}

impl Replay {
    /// What comes up to ReadyForQuery, in short: a word for each result.
    fn heard(&mut self, until: impl Fn(char) -> bool) -> (Vec<String>, bool) {
        let (mut all, mut takes_parameters) = (Vec::new(), false);
        loop {
            let next = self.raw.next().expect("the connection lives");
            match next.0 {
                'T' => all.push(format!("({})", columns(&next))),
                't' if next.1[..2] != [0, 0] => {
                    takes_parameters = true;
                    all.push(format!("takes {}", parameters(&next)));
                }
                'C' => {
                    let tag = String::from_utf8_lossy(&next.1[..next.1.len() - 1]).into_owned();
                    // How many rows a catalog has is a matter of the database.
                    all.push(if tag.starts_with("SELECT ") { "SELECT".into() } else { tag });
                }
                'E' => all.push(format!("ERROR {} {}", next.field(b'C'), next.field(b'M'))),
                // A Flush that came before was no business of the COPY's.
                'G' => self.raw.send(&[message(b'c', b""), message(b'H', b"")]),
                'Z' => self.in_transaction = next.1[0] != b'I',
                _ => {}
            }
            if next.0 == 'Z' || until(next.0) {
                return (all, takes_parameters);
            }
        }
    }

    /// What a statement comes to. In a transaction a failed one is taken back alone, so that the next has its chance.
    fn outcome(&mut self, statement: &Recorded) -> String {
        let guarded = self.in_transaction;
        if guarded {
            self.raw.send(&[query("SAVEPOINT replay")]);
            self.heard(|_| false);
        }
        let mut heard = Vec::new();
        if statement.parsed {
            self.raw.send(&[parse("", &statement.text), describe('S', ""), sync()]);
            let (told, takes_parameters) = self.heard(|_| false);
            let failed = told.iter().any(|word| is_error(word));
            heard.extend(told);
            if !takes_parameters && !failed {
                self.raw.send(&[bind("", "", &[]), execute("", 0), message(b'H', b"")]);
                heard.extend(self.heard(|tag| matches!(tag, 'C' | 'E' | 'I')).0);
                self.raw.send(&[sync()]);
                self.heard(|_| false);
            }
        } else {
            self.raw.send(&[query(&statement.text)]);
            heard.extend(self.heard(|_| false).0);
        }
        if guarded && self.in_transaction && heard.iter().any(|word| is_error(word)) {
            self.raw.send(&[query("ROLLBACK TO SAVEPOINT replay")]);
            self.heard(|_| false);
        }
        heard.join(" ")
    }
}

fn is_error(word: &str) -> bool {
    word.starts_with("ERROR ")
}

/// The outcome without the words of an error, which need not be PostgreSQL's.
fn essence(outcome: &str) -> &str {
    let code_ends = outcome.find("ERROR ").map(|at| at + "ERROR 42P01".len());
    &outcome[..code_ends.unwrap_or(outcome.len())]
}

fn replay(port: u16, before: &str, names: &[&str], outcomes: &mut BTreeMap<(String, usize), String>) {
    let mut replay = Replay { raw: Raw::connect(port), in_transaction: false };
    if !before.is_empty() {
        replay.raw.send(&[query(before)]);
        replay.heard(|_| false);
    }
    for name in names {
        for (at, statement) in recording(name).iter().enumerate() {
            let outcome = replay.outcome(statement).replace('\n', " ");
            outcomes.insert((name.to_string(), at + 1), outcome);
        }
    }
}

fn begin_of(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(150).collect()
}

/// PostgreSQL's outcomes, from the file.
fn on_postgres() -> BTreeMap<(String, usize), String> {
    let file = std::fs::read_to_string(folder().join("postgres.txt")).expect("postgres.txt");
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &str| {
        let (name, rest) = line.split_once(' ')?;
        let (at, outcome) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(((name.to_string(), at.parse().ok()?), outcome.to_string()))
    };
    lines.map(|line| read(line).expect(line)).collect()
}

#[test]
fn recorded_statements_come_to_what_they_come_to_on_postgres() {
    let mut outcomes = BTreeMap::new();
    if let Ok(port) = std::env::var("EVESQL_REPLAY_ON") {
        for (before, names) in SESSIONS {
            let mut raw = Raw::connect(port.parse().expect("a port"));
            raw.send(&[query("DROP SCHEMA public CASCADE"), query("CREATE SCHEMA public")]);
            raw.until_ready();
            raw.until_ready();
            replay(port.parse().expect("a port"), before, names, &mut outcomes);
        }
        let mut file = "# What PostgreSQL 15 makes of the recorded statements: client, number, outcome.\n".to_string();
        outcomes.iter().for_each(|((name, at), outcome)| writeln!(file, "{name} {at} {outcome}").unwrap());
        std::fs::write(folder().join("postgres.txt"), file).expect("it is written");
        return;
    }
    for (before, names) in SESSIONS {
        let server = Server::start();
        replay(server.port, before, names, &mut outcomes);
    }
    let postgres = on_postgres();
    let mut listing = "# Where recorded statements come to something else than on PostgreSQL 15.\n".to_string();
    let (mut alike, mut unsupported, mut otherwise) = (0, 0, 0);
    for name in SESSIONS.iter().flat_map(|(_, names)| names.iter()) {
        let statements = recording(name);
        let differing: Vec<String> = statements
            .iter()
            .enumerate()
            .filter_map(|(at, statement)| {
                let key = (name.to_string(), at + 1);
                let (here, there) = (&outcomes[&key], postgres.get(&key).map_or("", String::as_str));
                if essence(here) == essence(there) {
                    return None;
                }
                if here.contains("ERROR 0A000") {
                    unsupported += 1
                } else {
                    otherwise += 1
                }
                Some(format!("{} {}\n  here: {here}\n  PostgreSQL: {there}\n", at + 1, begin_of(&statement.text)))
            })
            .collect();
        alike += statements.len() - differing.len();
        writeln!(listing, "\n{name}: {} of {}", statements.len() - differing.len(), statements.len()).unwrap();
        listing.extend(differing);
    }
    writeln!(listing, "\nall: {alike} alike, {unsupported} not supported, {otherwise} otherwise").unwrap();
    let file = folder().join("differences.txt");
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&file, &listing).expect("it is written");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    println!("{}", listing.lines().last().unwrap_or_default());
    let new: Vec<&str> = listing.lines().filter(|line| !expected.lines().any(|known| known == *line)).collect();
    assert!(listing == expected, "REWRITE=1 writes the listing anew if this is meant:\n{}", new.join("\n"));
}
