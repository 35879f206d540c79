//! What it costs to know a transaction's footprint, with its texts in the cache.
//!
//! `cargo bench --bench footprint`; times are for one statement or one transaction.

use evesql::engine::{Connection, Options};
use evesql::footprint::{ChangeSet, Footprint, Schema, Template, Templates};
use evesql::page::Hash;
use evesql::transaction::*;
use std::sync::Arc;

fn main() {
    divan::main();
}

const SCHEMA: &[&str] = &[
    "CREATE TABLE item(id INTEGER PRIMARY KEY, title TEXT, stock INTEGER)",
    "CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT UNIQUE, balance INTEGER)",
    "CREATE TABLE line(cart INTEGER, item INTEGER REFERENCES item(id), count INTEGER, PRIMARY KEY (cart, item)) WITHOUT ROWID",
    "CREATE TABLE history(customer INTEGER, delta INTEGER)",
];

const STATEMENTS: [&str; 5] = [
    "SELECT title FROM item WHERE id = ?1",
    "UPDATE customer SET balance = balance + ?2 WHERE id = ?1",
    "INSERT INTO line VALUES (?1, ?2, 1)",
    "INSERT INTO customer(id, name, balance) VALUES (?1, ?3, 0)",
    "INSERT INTO history VALUES (?1, ?2)",
];

fn parameters() -> Vec<Value> {
    vec![Value::Integer(123_456), Value::Integer(7), Value::Text("a name of some length".into())]
}

fn open() -> (Connection, Schema) {
    let mut connection = Connection::in_memory(Options::default()).unwrap();
    SCHEMA.iter().for_each(|sql| connection.control(sql).unwrap());
    let schema = connection.footprint_schema().unwrap();
    (connection, schema)
}

fn template(sql: &str) -> Template {
    let (mut connection, schema) = open();
    connection.template(sql, &schema)
}

#[divan::bench(args = STATEMENTS)]
fn bind(bencher: divan::Bencher<'_, '_>, sql: &str) {
    let (template, parameters, mut items) = (template(sql), parameters(), Vec::with_capacity(16));
    bencher.bench_local(|| {
        items.clear();
        template.bind(divan::black_box(&parameters), &mut items);
        items.len()
    });
}

#[divan::bench(args = STATEMENTS)]
fn bind_and_make_a_footprint(bencher: divan::Bencher<'_, '_>, sql: &str) {
    let (template, parameters) = (template(sql), parameters());
    bencher.bench_local(|| {
        let mut items = Vec::with_capacity(4);
        template.bind(divan::black_box(&parameters), &mut items);
        Footprint::of(items)
    });
}

#[divan::bench(args = [1, 4])]
fn of_a_transaction_with_its_texts_in_the_cache(bencher: divan::Bencher<'_, '_>, statements: usize) {
    let (mut connection, schema) = open();
    let step = |sql: &&str| {
        Operation::Statement(Statement { sql: vec![Arc::from(*sql)], parameters: parameters(), ..Statement::default() })
    };
    let transaction = Transaction {
        id: TransactionId::default(),
        database: "db".into(),
        catalog: Hash::of(b""),
        begun: None,
        expires_at_index: 0,
        operations: STATEMENTS.iter().take(statements).map(step).collect(),
    };
    let (mut templates, hash) = (Templates::new(4096), Hash::of(b"1"));
    bencher.bench_local(|| {
        templates.footprint(hash, divan::black_box(&transaction), |sql| connection.template(sql, &schema))
    });
}

#[divan::bench(args = STATEMENTS)]
fn compile_and_derive(bencher: divan::Bencher<'_, '_>, sql: &str) {
    let (mut connection, schema) = open();
    bencher.bench_local(|| connection.template(divan::black_box(sql), &schema));
}

#[divan::bench]
fn load_the_schema(bencher: divan::Bencher<'_, '_>) {
    let (mut connection, _) = open();
    bencher.bench_local(|| connection.footprint_schema().unwrap());
}

/// A change of a row is noted, and a footprint of two items asked for.
#[divan::bench]
fn note_a_change_and_ask(bencher: divan::Bencher<'_, '_>) {
    let (_, schema) = open();
    let row = parameters();
    let row = [row[0].clone(), row[2].clone(), row[1].clone()];
    let mut items = Vec::new();
    template(STATEMENTS[3]).bind(&parameters(), &mut items);
    let (footprint, mut changes) = (Footprint::of(items), ChangeSet::default());
    bencher.bench_local(|| {
        changes.add(&schema, "customer", None, Some(divan::black_box(&row)));
        changes.touches(&footprint)
    });
}
