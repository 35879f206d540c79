//! The differential test: the same statements to both servers, and every difference either fixed or listed with its reason.
//!
//! Asked are the statements in `testdata/differential/*.sql`, those in the files of sqllogictest, and as many generated
//! ones as `EVESQL_DIFFERENTIAL` says. `known.txt` is the one list of differences. An entry there has a reason, examples,
//! which are asked each time and must differ, and patterns for generated statements: so it only grows shorter.

use crate::generator::{Chance, Grammar};
use crate::peer::{Client, Column, Outcome, Server};
use crate::{gateway, postgres_15};
use regex::Regex;
use std::path::{Path, PathBuf};

/// Generated statements in a usual run.
const GENERATED: usize = 3_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/differential")
}

/// Differences that have a reason.
#[derive(Default)]
struct Known {
    reason: String,
    examples: Vec<String>,
    /// Match a statement with its two outcomes.
    patterns: Vec<Regex>,
}

/// `# reason`, then `= statement` and `~ pattern`.
fn known(text: &str) -> Vec<Known> {
    let mut all: Vec<Known> = Vec::new();
    let mut in_reason = false;
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (kind, rest) = line.split_at(1);
        let rest = rest.trim_start();
        if kind == "#" {
            if !in_reason {
                all.push(Known::default());
            }
            let last = all.last_mut().expect("just pushed");
            last.reason = format!("{} {rest}", last.reason).trim_start().to_string();
        }
        in_reason = kind == "#";
        let last = all.last_mut().expect("known.txt begins with a reason");
        match kind {
            "#" => {}
            "=" => last.examples.push(rest.to_string()),
            "~" => last.patterns.push(Regex::new(rest).unwrap_or_else(|error| panic!("known.txt: {rest}: {error}"))),
            _ => panic!("known.txt: what is {line}?"),
        }
    }
    for one in &all {
        assert!(!one.examples.is_empty(), "known.txt: no example of: {}", one.reason);
    }
    all
}

/// Whether an ORDER BY stands outside of all parentheses.
fn is_ordered(sql: &str) -> bool {
    let mut depth = 0;
    let outside: String = sql
        .chars()
        .filter(|c| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            depth == 0
        })
        .collect();
    outside.to_ascii_lowercase().contains("order by")
}

/// What is compared: names and types of columns, values, tags, SQLSTATEs.
fn same(sql: &str, a: &Outcome, b: &Outcome) -> bool {
    match (a, b) {
        (Outcome::Error { code: a, .. }, Outcome::Error { code: b, .. }) => a == b,
        (
            Outcome::Rows { columns: a, rows: rows_a, tag: tag_a },
            Outcome::Rows { columns: b, rows: rows_b, tag: tag_b },
        ) => {
            let (mut rows_a, mut rows_b) = (rows_a.clone(), rows_b.clone());
            if !is_ordered(sql) {
                rows_a.sort();
                rows_b.sort();
            }
            let types =
                |columns: &[Column]| columns.iter().map(|c| (c.name.clone(), c.oid, c.typmod)).collect::<Vec<_>>();
            types(a) == types(b) && rows_a == rows_b && tag_a == tag_b
        }
        (a, b) => a == b,
    }
}

/// Both servers, and what was found.
struct Pair {
    here: Client,
    postgres: Client,
    known: Vec<Known>,
    alike: usize,
    known_to_differ: usize,
    differ: Vec<String>,
}

impl Pair {
    /// Asks both. Gives whether they agree, and a text of the difference.
    fn ask(&mut self, sql: &str) -> (bool, String) {
        let (here, there) = (self.here.ask(sql), self.postgres.ask(sql));
        (same(sql, &here, &there), format!("{sql}\n  PostgreSQL: {there}\n  EveSQL:     {here}"))
    }

    /// Asks both, and keeps count. What changes rows is taken back.
    fn compare(&mut self, sql: &str) {
        let changes = ["insert", "update", "delete", "with"].iter().any(|word| sql.starts_with(word));
        if changes {
            self.ask("begin");
        }
        let (same, text) = self.ask(sql);
        if changes {
            self.ask("rollback");
        }
        if same {
            self.alike += 1;
        } else if self.known.iter().any(|known| known.patterns.iter().any(|pattern| pattern.is_match(&text))) {
            self.known_to_differ += 1;
        } else {
            self.differ.push(text);
        }
    }

    /// The examples of what is known: all must still differ.
    fn examples(&mut self) -> Vec<String> {
        let known = std::mem::take(&mut self.known);
        let mut no_more = Vec::new();
        for sql in known.iter().flat_map(|known| &known.examples) {
            let changes = ["insert", "update", "delete", "with"].iter().any(|word| sql.starts_with(word));
            if changes {
                self.ask("begin");
            }
            match self.ask(sql).0 {
                true => no_more.push(sql.clone()),
                false => self.known_to_differ += 1,
            }
            if changes {
                self.ask("rollback");
            }
        }
        self.known = known;
        no_more
    }
}

fn written_statements() -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "sql") && !path.ends_with("schema.sql"));
    files.sort();
    let text: String = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("--")).map(str::to_string).collect()
}

#[test]
fn statements_answer_as_on_postgres() {
    let Some((postgres, _own)) = postgres_15() else { return };
    let own = gateway::Server::start();
    let here = Server { port: own.port, user: "evesql".into(), database: "evesql".into() };
    let read = |name: &str| std::fs::read_to_string(folder().join(name)).unwrap();
    let mut pair = Pair {
        here: here.client(Some("differential")),
        postgres: postgres.client(Some("differential")),
        known: known(&read("known.txt")),
        alike: 0,
        known_to_differ: 0,
        differ: Vec::new(),
    };
    for statement in read("schema.sql").lines().filter(|line| !line.starts_with("--")) {
        let (same, text) = pair.ask(statement);
        assert!(same && !text.contains("ERROR"), "{text}");
    }
    let no_more = pair.examples();
    written_statements().iter().for_each(|sql| pair.compare(sql));
    let asked = |name: &str| std::env::var(name).ok().map(|number| number.parse::<u64>().expect(name));
    let count = asked("EVESQL_DIFFERENTIAL").map_or(GENERATED, |count| count as usize);
    let seed = asked("EVESQL_SEED").unwrap_or(15);
    let grammar = Grammar::parse(&read("grammar.txt"));
    let mut chance = Chance::new(seed);
    for _ in 0..count {
        let statement = grammar.statement(&mut chance);
        pair.compare(&statement);
    }
    let Pair { alike, known_to_differ, mut differ, .. } = pair;
    eprintln!("{alike} alike, {known_to_differ} known to differ");
    // The shortest say most.
    differ.sort_by_key(String::len);
    if let Ok(file) = std::env::var("EVESQL_DIFFERENCES") {
        std::fs::write(file, differ.join("\n")).unwrap();
    }
    assert!(no_more.is_empty(), "no longer differ, take them off known.txt:\n{}", no_more.join("\n"));
    let shown = differ.iter().take(40).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(differ.is_empty(), "{} of seed {seed} differ and are not known:\n{shown}", differ.len());
}
