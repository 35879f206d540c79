//! Footprints of statements as text: `testdata/footprints/*.txt` holds schemas with statements and what they touch.
//! Run with `REWRITE=1` to write the files anew; the diff is the review.
//!
//! A case is a statement up to `----` and its expectation up to an empty line. A first line `$ a | b` gives
//! parameters: integers, reals and NULL as such, all else as text. A block that begins with `schema` is run instead,
//! line by line, on an empty database.

use crate::engine::{Connection, Options};
use crate::footprint::Schema;
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
