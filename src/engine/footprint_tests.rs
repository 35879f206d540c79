//! Footprints of statements as text: `testdata/footprints/*.txt` holds schemas with statements and what they touch.
//! Run with `REWRITE=1` to write the files anew; the diff is the review.
//!
//! A case is a statement up to `----` and its expectation up to an empty line. A first line `$ a | b` gives
//! parameters: integers, reals and NULL as such, all else as text. A block that begins with `schema` is run instead,
//! line by line, on an empty database.

use crate::engine::{Connection, Options};
use crate::footprint::{ChangeSet, Footprint, Schema};
use crate::transaction::Value;
use std::fmt::Write as _;
use std::path::Path;

fn value(text: &str) -> Value {
    match (text, text.parse(), text.parse()) {
        ("NULL", ..) => Value::Null,
        (_, Ok(number), _) => Value::Integer(number),
        (_, _, Ok(number)) => Value::Real(number),
        _ => Value::Text(text.trim_matches('\'').into()),
    }
}

fn run_file(path: &Path) -> (String, String) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut connection = Connection::in_memory(Options::default()).unwrap();
    let mut schema = Schema::default();
    let mut out = String::new();
    for block in text.trim_end().split("\n\n") {
        if let Some(lines) = block.strip_prefix("schema\n") {
            connection = Connection::in_memory(Options::default()).unwrap();
            lines.lines().for_each(|sql| connection.control(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}")));
            schema = connection.footprint_schema().unwrap();
        }
        let Some((case, _)) = block.split_once("\n----") else {
            write!(out, "{}\n\n", block.trim_end()).unwrap();
            continue;
        };
        let lines = case.lines().filter(|line| !line.starts_with('#'));
        let (parameters, sql): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("$ "));
        let template = connection.template(&sql.join("\n"), &schema);
        let described = match parameters.first() {
            Some(line) => template.describe(&line[2..].split(" | ").map(value).collect::<Vec<_>>()).join("\n"),
            None => template.to_string(),
        };
        let described = if described.is_empty() { "nothing".into() } else { described };
        write!(out, "{case}\n----\n{described}\n\n").unwrap();
    }
    (text, out.trim_end().to_string() + "\n")
}

#[test]
fn statements_touch_what_the_footprint_case_files_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/footprints");
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let (before, now) = run_file(&path);
        if before != now && std::env::var_os("REWRITE").is_some() {
            std::fs::write(&path, &now).unwrap();
        } else if before != now {
            let differing = before.split("\n\n").zip(now.split("\n\n")).filter(|(old, new)| old != new);
            wrong.extend(differing.map(|(old, new)| format!("{}:\n{old}\n---- now ----\n{new}\n", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Captured by SQLite's hook: what it tells of keys, generated columns and columns that came later counts too.
#[test]
fn captured_changes_touch_whoever_would_have_seen_them() {
    let mut connection = Connection::in_memory(Options::default()).unwrap();
    for sql in [
        "CREATE TABLE t(id INTEGER PRIMARY KEY, u INTEGER UNIQUE, v INTEGER)",
        "INSERT INTO t VALUES (1, 10, 0), (2, NULL, 0)",
        "CREATE TABLE log(at INTEGER)",
        "INSERT INTO log VALUES (1)",
        "CREATE TABLE pair(v INTEGER, b TEXT, a INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "INSERT INTO pair VALUES (0, 'x', 1)",
        "CREATE TABLE made(g INTEGER AS (id + 1) VIRTUAL, id INTEGER PRIMARY KEY, h INTEGER AS (u) STORED, u INTEGER UNIQUE)",
        "INSERT INTO made(id, u) VALUES (1, 10)",
        "CREATE TABLE late(id INTEGER PRIMARY KEY)",
        "INSERT INTO late VALUES (1)",
        "ALTER TABLE late ADD COLUMN u INTEGER DEFAULT 7",
        "CREATE UNIQUE INDEX late_u ON late(u)",
        "CREATE TABLE real_key(id REAL PRIMARY KEY, v INTEGER)",
        "INSERT INTO real_key VALUES (5, 0)",
        "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
        "CREATE TABLE child(id INTEGER PRIMARY KEY, up INTEGER REFERENCES parent ON DELETE CASCADE)",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (7, 1)",
    ] {
        connection.control(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let schema = connection.footprint_schema().unwrap();
    for (change, beside, touched) in [
        ("UPDATE t SET v = 1 WHERE id = 1", "SELECT * FROM t WHERE id = 1", true),
        ("UPDATE t SET v = 1 WHERE id = 1", "SELECT * FROM t WHERE id = 2", false),
        ("UPDATE t SET v = 1 WHERE id = 1", "SELECT count(*) FROM t", true),
        ("UPDATE t SET v = 1 WHERE id = 9", "SELECT count(*) FROM t", false),
        ("UPDATE t SET id = 8 WHERE id = 1", "SELECT * FROM t WHERE id = 1", true),
        ("UPDATE t SET id = 8 WHERE id = 1", "SELECT * FROM t WHERE id = 8", true),
        ("INSERT INTO t VALUES (3, 30, 0)", "SELECT * FROM t WHERE id = 3", true),
        ("INSERT INTO t VALUES (3, 30, 0)", "INSERT INTO t VALUES (4, 30, 0)", true),
        ("INSERT INTO t VALUES (3, 30, 0)", "INSERT INTO t VALUES (4, 40, 0)", false),
        ("INSERT INTO t VALUES (3, NULL, 0)", "INSERT INTO t VALUES (4, NULL, 0)", false),
        ("DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (4, 10, 0)", true),
        ("DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (4, 11, 0)", false),
        ("DELETE FROM t WHERE id = 1", "UPDATE t SET u = 10 WHERE id = 2", true),
        ("UPDATE t SET u = 12 WHERE id = 1", "INSERT INTO t VALUES (4, 10, 0)", true),
        ("UPDATE t SET u = 12 WHERE id = 1", "INSERT INTO t VALUES (4, 12, 0)", true),
        ("UPDATE t SET v = 5 WHERE id = 1", "INSERT INTO t VALUES (4, 10, 0)", false),
        ("INSERT INTO log VALUES (2)", "INSERT INTO log VALUES (3)", false),
        ("DELETE FROM log", "INSERT INTO log VALUES (3)", false),
        ("INSERT INTO log VALUES (2)", "SELECT * FROM log", true),
        ("INSERT INTO log VALUES (2)", "UPDATE log SET at = 5", true),
        ("INSERT INTO t(v) VALUES (2)", "INSERT INTO t(v) VALUES (3)", true),
        ("UPDATE pair SET v = 1", "SELECT * FROM pair WHERE a = 1 AND b = 'x'", true),
        ("UPDATE pair SET v = 1", "SELECT * FROM pair WHERE a = 1 AND b = 'y'", false),
        ("UPDATE pair SET v = 1", "SELECT * FROM pair WHERE a = 1", true),
        ("UPDATE pair SET v = 1", "SELECT * FROM pair WHERE a = 2", false),
        ("INSERT INTO pair VALUES (0, 'x', 2)", "SELECT * FROM pair WHERE a = 2", true),
        ("INSERT INTO pair VALUES (0, 'x', 2)", "DELETE FROM pair WHERE a = '2'", true),
        ("INSERT INTO pair VALUES (0, 'x', 2)", "DELETE FROM pair WHERE a = 1", false),
        ("UPDATE pair SET a = 2", "SELECT * FROM pair WHERE a = 1", true),
        ("UPDATE pair SET a = 2", "SELECT * FROM pair WHERE a = 2", true),
        ("UPDATE pair SET a = 2", "SELECT * FROM pair WHERE a = 3", false),
        ("UPDATE pair SET b = 'y'", "INSERT INTO pair VALUES (0, 'y', 1)", true),
        ("UPDATE pair SET b = 'y'", "INSERT INTO pair VALUES (0, 'z', 1)", false),
        ("DELETE FROM pair WHERE a = 1", "UPDATE pair SET b = b || 'y' WHERE a = 1 AND b = 'z'", true),
        ("DELETE FROM pair WHERE a = 1", "UPDATE pair SET b = 'y' WHERE a = 1 AND b = 'z'", false),
        ("DELETE FROM made WHERE id = 1", "SELECT * FROM made WHERE id = 1", true),
        ("DELETE FROM made WHERE id = 1", "SELECT * FROM made WHERE id = 2", false),
        ("DELETE FROM made WHERE id = 1", "INSERT INTO made(id, u) VALUES (2, 10)", true),
        ("INSERT INTO made(id, u) VALUES (3, 11)", "INSERT INTO made(id, u) VALUES (2, 11)", true),
        ("INSERT INTO made(id, u) VALUES (3, 11)", "INSERT INTO made(id, u) VALUES (2, 12)", false),
        ("DELETE FROM late WHERE id = 1", "INSERT INTO late VALUES (2, 7)", true),
        ("DELETE FROM late WHERE id = 1", "INSERT INTO late VALUES (2, 8)", false),
        ("UPDATE real_key SET v = 1", "SELECT * FROM real_key WHERE id = 5", true),
        ("UPDATE real_key SET v = 1", "SELECT * FROM real_key WHERE id = 6.0", false),
        ("DELETE FROM parent WHERE id = 1", "SELECT * FROM child WHERE id = 7", true),
        ("DELETE FROM parent WHERE id = 1", "SELECT * FROM child WHERE id = 8", false),
        ("DELETE FROM parent WHERE id = 1", "INSERT INTO child VALUES (8, 1)", true),
        ("SELECT 1", "CREATE TABLE later(a)", false),
        ("INSERT INTO t VALUES (3, 30, 0)", "CREATE TABLE later(a)", true),
    ] {
        let changes = connection.attempt(&[change.into()], &[], None, |_, changes| changes).unwrap();
        let mut set = ChangeSet::default();
        for row in &changes {
            set.add(&schema, &row.table, row.old.as_deref(), row.new.as_deref());
        }
        let template = connection.template(beside, &schema);
        let mut items = Vec::new();
        template.bind(&[], &mut items);
        let footprint = if template.is_everything() { Footprint::everything() } else { Footprint::of(items) };
        assert_eq!(set.touches(&footprint), touched, "{change}, beside it {beside}: {changes:?}, {template}");
        set.clear();
        assert!(set.is_empty() && !set.touches(&footprint));
    }
    let mut set = ChangeSet::default();
    set.add(&schema, "nosuch", None, Some(&[]));
    assert!(set.touches(&Footprint::everything()) && !set.touches(&Footprint::default()));
}
