//! Proposals as rules: for statements with the footprints that are derived of them.

use super::SuggestError;
use super::stored::{StoredBatch, run_as_accepted};
use crate::batch::{Batch, Plan};
use crate::engine::{Connection, Options, fingerprint};
use crate::footprint::space;
use crate::mixer::rules::{Source, read, written};
use crate::mixer::suggest::{Description, Proposal, rules_text};
use crate::page::Hash;
use crate::replica::{self, Replica};
use crate::token::{Accepted, LogId, Mode};

const TABLES: &[&str] = &[
    "CREATE TABLE item (i_id INTEGER PRIMARY KEY, i_stock)",
    "CREATE TABLE line (cart, item, n, PRIMARY KEY (cart, item))",
    "CREATE TABLE visit (name TEXT UNIQUE, at)",
];

/// The rule for a statement that is not to touch all of these tables.
fn rule(sql: &str, tables: &[&str]) -> String {
    let mut connection = Connection::in_memory(Options::default()).unwrap();
    TABLES.iter().for_each(|table| connection.control(table).unwrap());
    let schema = connection.footprint_schema().unwrap();
    let statement = Description { written: written(sql).unwrap(), template: connection.template(sql, &schema) };
    let spaces = tables.iter().map(|table| space(table, None)).collect();
    let proposal = Proposal { statement: 0, spaces, conflicts: 412, real: 3, batches: 120 };
    let text = rules_text(&[(&proposal, &statement)]);
    let reading = read(&[Source { name: "f", text: &text }], None);
    assert!(reading.findings.is_empty(), "{:?}\n{text}", reading.findings);
    assert!(!reading.rules.unwrap().find(sql).is_nothing(), "{text}");
    text
}

/// What a rule says, without name and match.
fn said(text: &str) -> Vec<&str> {
    text.lines().skip(4).collect()
}

#[test]
fn a_look_up_by_another_column_than_the_key_is_independent() {
    let sql = "SELECT i_id FROM item WHERE i_stock = ?1 AND i_id > 5";
    let text = rule(sql, &["item"]);
    assert_eq!(said(&text), ["independent = true"]);
    assert!(text.contains("match = \"SELECT i_id FROM item WHERE i_stock = $1 AND i_id > $v1\"\n"), "{text}");
    let why = "By derivation it touches all of item: in 120 batches it conflicted 412 times by that, 3 times really.";
    assert!(text.contains(&format!("why = \"{why}\"\n")), "{text}");
}

#[test]
fn rows_that_the_parameters_name_and_other_tables_stay() {
    let join = "SELECT i_stock FROM line, item WHERE line.item = i_id AND cart = ?1";
    assert_eq!(said(&rule(join, &["item"])), ["reads = [\"line(cart = $1)\"]"]);
    assert_eq!(said(&rule(join, &["line"])), ["reads = [\"item\", \"line(cart = $1)\"]"]);
    let update = "UPDATE line SET n = (SELECT max(i_stock) FROM item) WHERE cart = ?2 AND item = 7";
    assert_eq!(said(&rule(update, &["item"])), ["writes = [\"line(cart = $2, item = $v1)\"]"]);
    // Two values of the text are equal, so that it is not known which of them is meant.
    let two = "UPDATE line SET n = 7 + (SELECT max(i_stock) FROM item) WHERE cart = ?2 AND item = 7";
    assert_eq!(said(&rule(two, &["item"])), ["writes = [\"line\"]"]);
    let insert = "INSERT INTO visit (name, at) SELECT ?1, max(i_stock) FROM item";
    assert_eq!(said(&rule(insert, &["item"])), ["appends = [\"visit\"]"]);
}

#[test]
fn a_batch_that_gives_another_root_than_was_accepted_is_an_error() {
    let mut replica = Replica::create(replica::Options::default()).unwrap();
    let batch = |engine| Batch {
        timestamp_us: 1,
        seed: 1,
        engine,
        accepted: Accepted::default(),
        transactions: Vec::new(),
        plan: Plan::default(),
    };
    let mut run = |index, engine, root: Option<Hash>| {
        let (log_id, batch) = (LogId { term: 1, leader: 1, index }, batch(engine));
        let answers = Replica::digest_outcomes(&[]);
        let accepted = root.map(|root| Accepted { log_id, root, answers, ..Accepted::default() });
        run_as_accepted(&mut replica, &StoredBatch { log_id, batch: &batch, mode: Mode::Planned, accepted })
    };
    assert!(!run(1, fingerprint(), None).unwrap());
    let found = match run(2, fingerprint(), Some(Hash::of(b"another"))) {
        Err(SuggestError::Differs { index: 2, found, is_of_another: false, .. }) => found,
        other => panic!("{other:?}"),
    };
    assert!(run(3, fingerprint(), Some(found)).unwrap());
    let said = run(4, Hash::of(b"older"), Some(Hash::of(b"another"))).unwrap_err().to_string();
    assert!(said.contains("batch 4 gives the root") && said.contains("another version of EveSQL"), "{said}");
}
