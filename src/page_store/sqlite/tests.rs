//! What the safe layer promises, on `:memory:`.

use super::*;
use crate::transaction::{SqlError, Value, ValueRef};
use rusqlite::ffi;
use std::cell::Cell;
use std::rc::Rc;

fn open() -> Connection {
    Connection::open(":memory:", None, None).unwrap()
}

fn one(connection: &Connection, sql: &str) -> Result<Value, SqliteError> {
    let mut statement = connection.prepare(sql)?;
    assert!(statement.step()?, "{sql} has a row");
    Ok(statement.column(0).to_value())
}

#[test]
fn changes_of_rows_are_told_with_the_replaced_ones_first() {
    let connection = open();
    let run = |sql: &str| connection.prepare(sql).unwrap().step().map(|_| ());
    run("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT UNIQUE, c)").unwrap();
    run("INSERT INTO t VALUES (1, 'x', 2.5)").unwrap();
    let (result, changes) = connection.capture(10, || run("INSERT OR REPLACE INTO t VALUES (2, 'x', NULL)"));
    result.unwrap();
    let (old, new) = (
        vec![Value::Integer(1), Value::Text("x".into()), Value::Real(2.5)],
        vec![Value::Integer(2), Value::Text("x".into()), Value::Null],
    );
    let change = |rowids, old: Option<Vec<Value>>, new: Option<Vec<Value>>| {
        let table = "t".into();
        RowChange { table, rowids, old, new }
    };
    assert_eq!(changes, [change((1, 1), Some(old), None), change((2, 2), None, Some(new))]);
    let (_, changes) = connection.capture(0, || run("DELETE FROM t"));
    assert!(changes.is_empty());
    run("INSERT INTO t VALUES (3, 'y', 1)").expect("without a hook");
}

#[test]
fn values_come_back_as_they_were_bound() {
    let connection = open();
    let mut statement = connection.prepare("SELECT ?1, ?2, ?3, ?4, ?5, ?6").unwrap();
    let values = [
        Value::Null,
        Value::Integer(i64::MIN),
        Value::Real(-0.5),
        Value::Text("größe\0x".into()),
        Value::Blob([0u8, 255].as_slice().into()),
        Value::Text("".into()),
    ];
    for _ in 0..2 {
        statement.bind_all(&values).unwrap();
        assert!(statement.step().unwrap());
        for (index, value) in values.iter().enumerate() {
            assert_eq!(statement.column(index), value.as_ref());
        }
        assert!(!statement.step().unwrap());
        statement.reset();
    }
}

#[test]
fn text_that_is_not_utf8_shows_as_bytes() {
    let value = one(&open(), "SELECT CAST(x'ff41' AS TEXT)").unwrap();
    assert_eq!(value, Value::Blob([0xff, 0x41].as_slice().into()));
}

#[test]
fn only_one_statement_is_taken() {
    let connection = open();
    assert!(connection.prepare("SELECT 1;  ; ").is_ok());
    assert!(connection.prepare("SELECT 1; SELECT 2").is_err());
    assert!(connection.prepare("SELECT 1\0").is_err());
    assert!(connection.prepare("  ").is_err());
}

#[test]
fn a_statement_outlives_its_connection_variable() {
    let connection = open();
    let mut statement = connection.prepare("SELECT 7").unwrap();
    drop(connection);
    assert!(statement.step().unwrap());
    assert_eq!(statement.column(0), ValueRef::Integer(7));
}

#[test]
fn errors_carry_extended_code_and_offset() {
    let connection = open();
    connection.execute("CREATE TABLE t(a UNIQUE)").unwrap();
    connection.execute("INSERT INTO t VALUES (1)").unwrap();
    let error = connection.execute("INSERT INTO t VALUES (1)").unwrap_err();
    assert_eq!((error.code, error.environmental()), (ffi::SQLITE_CONSTRAINT_UNIQUE, None));
    let error = connection.execute("SELECT a FROM t WHERE nosuch = 1").unwrap_err();
    assert_eq!(error.offset, Some(22));
}

#[test]
fn functions_raise_their_own_errors_and_panics_stay_inside() {
    let connection = open();
    let pure = FunctionFlags::PURE;
    connection
        .register_function("half", 1, pure, |arguments| match arguments[0] {
            ValueRef::Integer(number) if number % 2 == 0 => Ok(Value::Integer(number / 2)),
            _ => Err(SqlError::new("22003", "not even")),
        })
        .unwrap();
    connection.register_function("boom", -1, pure, |arguments| panic!("{}", arguments.len())).unwrap();
    assert_eq!(one(&connection, "SELECT half(8)").unwrap(), Value::Integer(4));
    let error = one(&connection, "SELECT half(7)").unwrap_err();
    assert_eq!(error.raised.unwrap().code(), "22003");
    let error = one(&connection, "SELECT boom(1,2,3,4,5,6,7,8,9,10)").unwrap_err();
    assert_eq!(error.raised.unwrap().code(), "XX000");
    // An error raised before must not stick to another one.
    assert!(connection.execute("SELECT nosuch").unwrap_err().raised.is_none());
}

struct Sum(i64, Rc<Cell<i32>>);
impl Aggregate for Sum {
    fn step(&mut self, arguments: &[ValueRef<'_>]) -> Result<(), SqlError> {
        if let ValueRef::Integer(number) = arguments[0] {
            self.0 += number;
        }
        Ok(())
    }
    fn value(&self) -> Result<Value, SqlError> {
        Ok(Value::Integer(self.0))
    }
}
impl Drop for Sum {
    fn drop(&mut self) {
        self.1.set(self.1.get() - 1);
    }
}

#[test]
fn aggregates_work_over_groups_windows_and_no_rows() {
    let connection = open();
    let alive = Rc::new(Cell::new(0));
    let count = alive.clone();
    connection
        .register_aggregate("total_of", 1, FunctionFlags::PURE, move || {
            count.set(count.get() + 1);
            Box::new(Sum(0, count.clone()))
        })
        .unwrap();
    connection.execute("CREATE TABLE t(a, b)").unwrap();
    assert_eq!(one(&connection, "SELECT total_of(b) FROM t").unwrap(), Value::Integer(0));
    connection.execute("INSERT INTO t VALUES (1, 10), (1, 20), (2, 5)").unwrap();
    assert_eq!(
        one(&connection, "SELECT group_concat(s) FROM (SELECT total_of(b) s FROM t GROUP BY a)").unwrap(),
        Value::Text("30,5".into())
    );
    let running = "SELECT group_concat(s) FROM (SELECT total_of(b) OVER (ORDER BY b) s FROM t)";
    assert_eq!(one(&connection, running).unwrap(), Value::Text("5,15,35".into()));
    let sliding = "SELECT total_of(b) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t";
    let error = {
        let mut statement = connection.prepare(sliding).unwrap();
        std::iter::from_fn(|| statement.step().map(|row| row.then_some(())).transpose()).find_map(Result::err)
    };
    assert_eq!(error.unwrap().raised.unwrap().code(), "0A000");
    assert_eq!(alive.get(), 0, "every state is freed");
}

#[test]
fn the_authorizer_refuses_and_the_budget_ends_a_run() {
    let connection = open();
    connection.set_authorizer(|access| access.action != Action::Pragma && access.second != Some("upper"));
    assert_eq!(connection.execute("PRAGMA user_version").unwrap_err().code, ffi::SQLITE_AUTH);
    assert!(connection.execute("SELECT upper('x')").is_err());
    connection.execute("SELECT lower('x')").unwrap();
    connection.watch_budget();
    connection.set_step_budget(50_000);
    let endless = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r";
    assert_eq!(connection.execute(endless).unwrap_err().code, ffi::SQLITE_INTERRUPT);
    assert!(connection.is_budget_spent());
    connection.set_step_budget(50_000);
    connection.execute("SELECT 1").unwrap();
}

#[test]
fn deferred_violations_are_seen_before_commit() {
    let connection = open();
    connection.set(Switch::ForeignKeys, true).unwrap();
    connection.execute("CREATE TABLE p(id INTEGER PRIMARY KEY)").unwrap();
    connection.execute("CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED)").unwrap();
    connection.execute("BEGIN").unwrap();
    connection.execute("INSERT INTO c VALUES (1)").unwrap();
    assert!(connection.has_deferred_violations());
    connection.execute("INSERT INTO p VALUES (1)").unwrap();
    assert!(!connection.has_deferred_violations());
}
