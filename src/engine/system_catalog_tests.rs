//! The attached catalogs against what PostgreSQL answered for the same schema.

use super::*;
use crate::catalog::Change;
use crate::catalog::relations::{Setting, fixture};
use crate::catalog::roles::{OWNER, Role};
use crate::dialect;
use crate::engine::Options;
use crate::page_store::{PageStore, StoreOptions};
use crate::transaction::SqlError;

/// The server on which the expected answers were written down.
fn postgres() -> Arc<Environment> {
    let roles = Catalog::empty().roles;
    let owner = Role { name: "postgres".into(), ..roles.get(OWNER).unwrap().clone() };
    let roles = Catalog::empty().after(&Change::PutRole(Arc::new(owner))).roles;
    let (user, session_user) = ("postgres".into(), "postgres".into());
    Arc::new(Environment { database: "cat".into(), user, session_user, roles, ..Environment::default() })
}

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
    let environment = postgres();
    let mut wrong = Vec::new();
    for case in include_str!("../../testdata/catalog/relations.txt").split("\n\n").filter(|case| case.contains("----"))
    {
        let (query, expected) = case.split_once("\n----").unwrap();
        let sql: Arc<str> = query.trim().trim_end_matches(';').into();
        system.renew(&mut connection, &catalog, &environment, Live::default(), std::slice::from_ref(&sql)).unwrap();
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

/// Runs a client's statement and writes its rows as psql -At does.
fn client_answer(
    connection: &mut Connection,
    system: &mut SystemCatalog,
    catalog: &Arc<Catalog>,
    text: &str,
) -> Result<Vec<String>, String> {
    let refused = |error: SqlError| format!("{}: {}", error.code(), error.message);
    let settings = dialect::Settings { user: "postgres".into(), database: "cat".into(), ..Default::default() };
    let parsed = dialect::parse(text).map_err(refused)?.remove(0);
    let prepared = dialect::prepare(&parsed, catalog, &[], &settings).map_err(refused)?;
    let environment = postgres();
    system.renew(connection, catalog, &environment, Live::default(), &prepared.sql).unwrap();
    let answer = connection.answer(&prepared.sql, &[], None).map_err(|e| format!("{e:?}\n  {:?}", prepared.sql))?;
    let style = dialect::codec::TextStyle::default();
    let field = |(value, column): (&Value, &dialect::OutputColumn)| match value {
        Value::Null => Ok(String::new()),
        value => dialect::codec::to_text(value.as_ref(), column.ty, column.typmod, &style).map_err(refused),
    };
    let row = |row: &Vec<Value>| {
        let fields: Result<Vec<String>, String> = row.iter().zip(&prepared.columns).map(field).collect();
        fields.map(|fields| fields.join("|"))
    };
    answer.rows.to_vec().iter().map(row).collect()
}

#[test]
fn statements_of_clients_answer_as_in_postgres() {
    let (mut connection, mut system, catalog) = set_up();
    let mut wrong = Vec::new();
    let (mut right, mut left_out) = (0, 0);
    for case in include_str!("../../testdata/catalog/statements.txt").split("\n\n") {
        let (statement, expected) = case.split_once("\n----").unwrap();
        let (title, text) = statement.trim().split_once('\n').unwrap();
        if title.contains("0A000") {
            left_out += 1;
            continue;
        }
        let mut expected: Vec<&str> = expected.trim_start_matches('\n').lines().collect();
        let mut answered = client_answer(&mut connection, &mut system, &catalog, text);
        if let (false, Ok(answered)) = (text.to_lowercase().contains("order by"), &mut answered) {
            answered.sort();
            expected.sort();
        }
        match answered {
            Ok(answered) if answered == expected => right += 1,
            Ok(answered) => wrong.push(format!(
                "{title}\n{text}\n  here:\n    {}\n  in PostgreSQL:\n    {}",
                answered.join("\n    "),
                expected.join("\n    ")
            )),
            Err(error) => wrong.push(format!("{title}\n{text}\n  {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}\n{right} right, {} wrong, {left_out} left out", wrong.join("\n\n"), wrong.len());
}
