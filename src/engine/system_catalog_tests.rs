//! The attached catalogs against what PostgreSQL answered for the same schema.

use super::*;
use crate::catalog::relations::{Setting, fixture};
use crate::engine::Options;
use crate::page_store::{PageStore, StoreOptions};

fn set_up() -> (Connection, SystemCatalog, Arc<Catalog>) {
    let mut connection = Connection::in_memory(Options::default()).unwrap();
    let system = SystemCatalog::attach(&mut connection).unwrap();
    (connection, system, Arc::new(fixture::catalog()))
}

/// A value as the file of PostgreSQL's answers writes it: arrays are compared by their elements.
fn written(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.to_string(),
        Value::Blob(bytes) => format!("{bytes:?}"),
    }
}

fn array_elements(text: &str) -> String {
    let inner =
        [('{', '}'), ('[', ']')].iter().find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close));
    inner.map_or_else(|| text.into(), |inner| inner.replace(',', " "))
}

#[test]
fn relations_say_what_postgres_says_of_the_same_schema() {
    let (mut connection, mut system, catalog) = set_up();
    let environment = Arc::new(Environment { database: "cat".into(), ..Environment::default() });
    let mut wrong = Vec::new();
    for case in include_str!("../../testdata/catalog/relations.txt").split("\n\n").filter(|case| case.contains("----"))
    {
        let (query, expected) = case.split_once("\n----").unwrap();
        let sql: Arc<str> = query.trim().trim_end_matches(';').into();
        system.renew(&mut connection, &catalog, &environment, Live::default(), &[sql.clone()]).unwrap();
        let answer = match connection.answer(&[sql], &[], None) {
            Ok(answer) => answer.rows.to_vec(),
            Err(error) => {
                wrong.push(format!("{query}\n  {error:?}"));
                continue;
            }
        };
        let line = |row: &Vec<Value>| row.iter().map(written).collect::<Vec<_>>();
        let answered: Vec<Vec<String>> = answer.iter().map(line).collect();
        let fields = |line: &str| line.split('|').map(str::to_string).collect::<Vec<_>>();
        let expected: Vec<Vec<String>> = expected.trim_start_matches('\n').lines().map(fields).collect();
        let same = |a: &Vec<Vec<String>>| {
            a.iter().map(|r| r.iter().map(|f| array_elements(f)).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        if same(&answered) != same(&expected) {
            let lines = |rows: &[Vec<String>]| rows.iter().map(|row| row.join("|")).collect::<Vec<_>>().join("\n    ");
            wrong.push(format!(
                "{query}\n  here:\n    {}\n  in PostgreSQL:\n    {}",
                lines(&answered),
                lines(&expected)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_rollback_that_undoes_the_filling_is_followed_by_another() {
    let (mut connection, mut system, catalog) = set_up();
    let environment = Arc::new(Environment::default());
    let sql: [Arc<str>; 1] = ["SELECT count(*) FROM pg_class WHERE relname = 'orders'".into()];
    for _ in 0..2 {
        connection.control("BEGIN").unwrap();
        system.renew(&mut connection, &catalog, &environment, Live::default(), &sql).unwrap();
        assert_eq!(connection.answer(&sql, &[], None).unwrap().rows.to_vec(), [[Value::Integer(1)]]);
        connection.control("ROLLBACK").unwrap();
    }
    let without = Arc::new(Catalog::empty());
    let mut with_other_version = fixture::catalog();
    with_other_version.version = crate::page::Hash(1);
    for (catalog, count) in [(&without, 0), (&Arc::new(with_other_version), 1), (&without, 0)] {
        system.renew(&mut connection, catalog, &environment, Live::default(), &sql).unwrap();
        assert_eq!(connection.answer(&sql, &[], None).unwrap().rows.to_vec(), [[Value::Integer(count)]]);
    }
}

#[test]
fn relations_that_change_by_themselves_are_filled_for_each_statement() {
    let (mut connection, mut system, catalog) = set_up();
    let environment = Arc::new(Environment::default());
    let sql: [Arc<str>; 1] = ["SELECT setting FROM pg_settings WHERE name = 'TimeZone'".into()];
    for zone in ["UTC", "Asia/Tokyo"] {
        let mut live = Live::default();
        live.settings.insert("timezone".into(), Setting { value: zone.into(), reset: "UTC".into() });
        live.replicas = vec![(1, "leader".into(), "healthy".into(), 7, "ab".into())];
        system.renew(&mut connection, &catalog, &environment, live, &sql).unwrap();
        assert_eq!(connection.answer(&sql, &[], None).unwrap().rows.to_vec(), [[Value::Text(zone.into())]]);
    }
    let sql: [Arc<str>; 1] = ["SELECT set_config('TimeZone', 'UTC', 0) FROM evesql_replicas".into()];
    let live = Live { replicas: vec![(1, "leader".into(), "healthy".into(), 7, "ab".into())], ..Live::default() };
    system.renew(&mut connection, &catalog, &environment, live, &sql).unwrap();
    assert_eq!(connection.answer(&sql, &[], None).unwrap().rows.count, 1);
    assert_eq!(system.take_changes().len(), 1);
    assert!(system.take_changes().is_empty());
}

#[test]
fn clients_cannot_attach_or_write_to_what_is_attached_elsewhere() {
    let (mut connection, ..) = set_up();
    let attach: [Arc<str>; 1] = ["ATTACH ':memory:' AS mine".into()];
    assert!(connection.answer(&attach, &[], None).is_err());
}

/// The catalogs are attached within an open transaction, and moving the connection to another version
/// leaves them.
#[test]
fn a_view_attaches_in_a_transaction_and_keeps_the_catalogs_when_it_moves() {
    let store = PageStore::in_memory(StoreOptions::default());
    let snapshot = store.head();
    let mut connection = Connection::view(&snapshot, Options::default()).unwrap();
    let schema = connection.schema_hash().unwrap();
    connection.control("BEGIN").unwrap();
    connection.control("CREATE TABLE t(a)").unwrap();
    let mut system = SystemCatalog::attach(&mut connection).unwrap();
    let catalog = Arc::new(fixture::catalog());
    let environment = Arc::new(Environment::default());
    let sql: [Arc<str>; 1] = ["SELECT count(*) FROM pg_class, t WHERE relname = 'orders'".into()];
    system.renew(&mut connection, &catalog, &environment, Live::default(), &sql).unwrap();
    assert_eq!(connection.answer(&sql, &[], None).unwrap().rows.to_vec(), [[Value::Integer(0)]]);
    connection.control("ROLLBACK").unwrap();
    connection.renew_schema().unwrap();
    let sql: [Arc<str>; 1] = ["SELECT count(*) FROM pg_class WHERE relname = 'orders'".into()];
    for _ in 0..2 {
        system.renew(&mut connection, &catalog, &environment, Live::default(), &sql).unwrap();
        assert_eq!(connection.answer(&sql, &[], None).unwrap().rows.to_vec(), [[Value::Integer(1)]]);
        connection.repin(&snapshot, schema).unwrap();
    }
}
