//! Files in the format of sqllogictest (`testdata/sqllogictest`), as PostgreSQL 15 answers them.
//!
//! The format is that of the `sqllogictest` crate: records of `statement ok`, `statement count N`, `statement error
//! REGEX`, `query TYPES [rowsort]` with `----` and rows, `query error REGEX`, `skipif` and `onlyif` with `evesql` or
//! `postgres`. The crate itself would turn on features of `regex` that EveSQL's release is built without, and so
//! test another program than the one that is delivered. `REWRITE=1` writes the answers anew, from PostgreSQL.

use crate::peer::{Client, Outcome, Server};
use crate::{gateway, postgres_15};
use regex::Regex;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What a record says should happen.
enum Expected {
    Ok,
    Count(u64),
    Error(Regex),
    Rows { types: String, sorted: bool, rows: String },
}

/// One record; lines that are none (comments, blanks) belong to the record that follows.
struct Record {
    /// All that stands before the SQL.
    head: String,
    line: usize,
    only: Option<String>,
    skip: Option<String>,
    sql: String,
    expected: Expected,
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/sqllogictest");
    let only = std::env::var("CASES").unwrap_or_default();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "slt") && path.to_string_lossy().contains(&only));
    files.sort();
    files
}

/// The records of a file, and what stands after the last.
fn records(text: &str, path: &Path) -> (Vec<Record>, String) {
    let mut records = Vec::new();
    let (mut head, mut only, mut skip) = (String::new(), None, None);
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        writeln!(head, "{line}").unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["skipif", whom] => skip = Some(whom.to_string()),
            ["onlyif", whom] => only = Some(whom.to_string()),
            ["statement" | "query", ..] => {
                let (mut sql, mut rows, mut in_rows) = (String::new(), String::new(), false);
                for (_, line) in lines.by_ref().take_while(|(_, line)| !line.is_empty()) {
                    match (line, in_rows) {
                        ("----", false) => in_rows = true,
                        (line, false) => writeln!(sql, "{line}").unwrap(),
                        (line, true) => writeln!(rows, "{line}").unwrap(),
                    }
                }
                let pattern = || {
                    let words = line.splitn(3, ' ').nth(2).unwrap_or("");
                    Expected::Error(Regex::new(words).unwrap_or_else(|error| panic!("{path:?}:{}: {error}", at + 1)))
                };
                let expected = match words.as_slice() {
                    [_, "error", ..] => pattern(),
                    ["statement", "ok"] => Expected::Ok,
                    ["statement", "count", count] => Expected::Count(count.parse().expect("a count")),
                    ["query", types @ ..] => Expected::Rows {
                        types: types.first().unwrap_or(&"").to_string(),
                        sorted: types.get(1) == Some(&"rowsort"),
                        rows,
                    },
                    _ => panic!("{path:?}:{}: {line}", at + 1),
                };
                let (head, only, skip) = (std::mem::take(&mut head), only.take(), skip.take());
                records.push(Record { head, line: at + 1, only, skip, sql: sql.trim_end().into(), expected });
            }
            [] => {}
            _ => assert!(line.starts_with('#'), "{path:?}:{}: what is {line}?", at + 1),
        }
    }
    (records, head)
}

/// `I` integers, `R` other numbers, `T` everything else.
fn letter(oid: u32) -> char {
    match oid {
        20 | 21 | 23 | 26 => 'I',
        700 | 701 | 1700 => 'R',
        _ => 'T',
    }
}

fn shown(rows: &[Vec<Option<String>>], sorted: bool) -> String {
    let value = |value: &Option<String>| match value.as_deref() {
        None => "NULL".to_string(),
        Some("") => "(empty)".into(),
        // One line is one row.
        Some(text) => text.replace('\n', "\\n"),
    };
    let mut lines: Vec<String> =
        rows.iter().map(|row| row.iter().map(value).collect::<Vec<_>>().join(" ") + "\n").collect();
    if sorted {
        lines.sort();
    }
    lines.concat()
}

/// What is wrong with an outcome.
fn wrong(expected: &Expected, outcome: &Outcome) -> Option<String> {
    let right = match (expected, outcome) {
        (Expected::Ok, outcome) => outcome.error().is_none(),
        (Expected::Count(count), Outcome::Done(tag) | Outcome::Rows { tag, .. }) => {
            tag.rsplit(' ').next() == Some(&count.to_string())
        }
        (Expected::Error(pattern), Outcome::Error { message, .. }) => pattern.is_match(message),
        (Expected::Rows { types, sorted, rows: expected }, Outcome::Rows { columns, rows, .. }) => {
            let found: String = columns.iter().map(|column| letter(column.oid)).collect();
            found == *types && shown(rows, *sorted) == *expected
        }
        _ => false,
    };
    (!right).then(|| match outcome {
        Outcome::Rows { columns, rows, .. } => {
            let types: String = columns.iter().map(|column| letter(column.oid)).collect();
            format!("{types}\n{}", shown(rows, matches!(expected, Expected::Rows { sorted: true, .. })))
        }
        other => other.to_string(),
    })
}

/// Runs the records of a file that are meant for a server. Gives how many, and those that went wrong.
fn run(path: &Path, name: &str, client: &mut Client) -> (usize, Vec<String>) {
    let (mut count, mut all_wrong) = (0, Vec::new());
    for record in records(&std::fs::read_to_string(path).unwrap(), path).0 {
        if record.skip.as_deref() == Some(name) || record.only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        count += 1;
        if let Some(found) = wrong(&record.expected, &client.ask(&record.sql)) {
            all_wrong.push(format!("{}:{}: {}\n{found}", path.display(), record.line, record.sql));
        }
    }
    (count, all_wrong)
}

/// The file with the rows and types that a server answers.
fn rewritten(path: &Path, name: &str, client: &mut Client) -> String {
    let (records, end) = records(&std::fs::read_to_string(path).unwrap(), path);
    let mut text = String::new();
    for mut record in records {
        if record.skip.as_deref() != Some(name) && record.only.as_deref().is_none_or(|only| only == name) {
            let outcome = client.ask(&record.sql);
            if let (Expected::Rows { types, sorted, rows }, Outcome::Rows { columns, rows: found, .. }) =
                (&mut record.expected, outcome)
            {
                let now: String = columns.iter().map(|column| letter(column.oid)).collect();
                let words = if *sorted { " rowsort" } else { "" };
                let last = record.head.trim_end().rfind('\n').map_or(0, |at| at + 1);
                record.head.replace_range(last.., &format!("query {now}{words}\n"));
                (*types, *rows) = (now, shown(&found, *sorted));
            }
        }
        writeln!(text, "{}{}", record.head, record.sql).unwrap();
        if let Expected::Rows { rows, .. } = &record.expected {
            write!(text, "----\n{rows}").unwrap();
        }
        text.push('\n');
    }
    (text + &end).trim_end().to_string() + "\n"
}

fn run_all(name: &str, server: &Server) -> usize {
    let (mut count, mut all_wrong) = (0, Vec::new());
    for (at, path) in files().iter().enumerate() {
        let mut client = server.client(Some(&format!("slt_{at}")));
        let (records, wrong) = run(path, name, &mut client);
        count += records;
        all_wrong.extend(wrong);
    }
    let shown: Vec<_> = all_wrong.iter().take(60).map(String::as_str).collect();
    assert!(all_wrong.is_empty(), "{} of {count} differ on {name}:\n{}", all_wrong.len(), shown.join("\n\n"));
    count
}

#[test]
fn sqllogictest_files_answer_here_what_they_say() {
    let server = gateway::Server::start();
    let server = Server { port: server.port, user: "evesql".into(), database: "evesql".into() };
    eprintln!("{} records", run_all("evesql", &server));
}

#[test]
fn sqllogictest_files_say_what_postgres_answers() {
    let Some((server, _own)) = postgres_15() else { return };
    if std::env::var_os("REWRITE").is_some() {
        for (at, path) in files().iter().enumerate() {
            let text = rewritten(path, "postgres", &mut server.client(Some(&format!("slt_new_{at}"))));
            std::fs::write(path, text).unwrap();
        }
    }
    eprintln!("{} records", run_all("postgres", &server));
}
