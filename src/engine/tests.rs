//! What the engine promises, on databases in memory.

use super::*;
use crate::transaction::{Answer, SqlError, Value};
use std::sync::Arc;

fn open() -> Connection {
    let mut connection = Connection::in_memory(Options::default()).unwrap();
    connection
        .control(
            "CREATE TABLE evesql_sequences(oid INTEGER PRIMARY KEY, last_value INTEGER NOT NULL, is_called INTEGER \
             NOT NULL, increment INTEGER NOT NULL, minimum INTEGER NOT NULL, maximum INTEGER NOT NULL, cycle INTEGER \
             NOT NULL) STRICT",
        )
        .unwrap();
    connection.control("INSERT INTO evesql_sequences VALUES (7, 1, 0, 1, 1, 4, 0)").unwrap();
    connection
}

fn run_at(connection: &mut Connection, operation: u32, sql: &str, parameters: &[Value]) -> Result<Answer, Failure> {
    connection.begin_statement(operation, &[], &[]);
    let answer = connection.answer(&[Arc::from(sql)], parameters, None)?;
    connection.end_statement()?;
    Ok(answer)
}

fn run(connection: &mut Connection, sql: &str) -> Result<Answer, Failure> {
    run_at(connection, 0, sql, &[])
}

fn code(result: Result<Answer, Failure>) -> String {
    match result.unwrap_err() {
        Failure::Sql(error) => error.code().to_string(),
        Failure::Local(error) => format!("local {:?}", error.kind),
    }
}

#[test]
fn randomness_is_a_function_of_seed_statement_and_call() {
    let mut answers = Vec::new();
    for (seed, operation) in [(1, 0), (1, 0), (1, 1), (2, 0)] {
        let mut connection = open();
        connection.begin_context(Context::new(5, seed, Draws::Live));
        run_at(&mut connection, 9, "SELECT random()", &[]).unwrap();
        let sql = "SELECT random(), random(), hex(randomblob(20)), gen_random_uuid(), evesql_random(), evesql_now()";
        answers.push(run_at(&mut connection, operation, sql, &[]).unwrap());
    }
    assert_eq!(answers[0], answers[1]);
    assert_ne!(answers[0], answers[2]);
    assert_ne!(answers[0], answers[3]);
    let row = &answers[0].rows.to_vec()[0];
    assert_ne!(row[0], row[1]);
    let Value::Text(uuid) = &row[3] else { panic!("{row:?}") };
    assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
}

#[test]
fn sequences_count_and_give_back_what_rolls_back() {
    let mut connection = open();
    connection.begin_context(Context::default());
    connection.control("BEGIN").unwrap();
    connection.control("CREATE TABLE t(id, x)").unwrap();
    run(&mut connection, "INSERT INTO t SELECT evesql_nextval(7), evesql_currval(7) FROM (VALUES (1), (2))").unwrap();
    connection.control("SAVEPOINT evesql").unwrap();
    run(&mut connection, "INSERT INTO t VALUES (evesql_nextval(7), 0)").unwrap();
    connection.control("ROLLBACK TO evesql").unwrap();
    run(&mut connection, "INSERT INTO t VALUES (evesql_nextval(7), evesql_lastval())").unwrap();
    let ids = run(&mut connection, "SELECT group_concat(id || ':' || x) FROM t").unwrap();
    assert_eq!(ids.rows.to_vec(), vec![vec![Value::Text("1:1,2:2,3:3".into())]]);
    run(&mut connection, "SELECT evesql_nextval(7)").unwrap();
    assert_eq!(code(run(&mut connection, "SELECT evesql_nextval(7)")), "2200H");
    run(&mut connection, "SELECT evesql_setval(7, 2)").unwrap();
    let next = run(&mut connection, "SELECT evesql_nextval(7)").unwrap();
    assert_eq!(next.rows.to_vec(), vec![vec![Value::Integer(3)]]);
    assert_eq!(code(run(&mut connection, "SELECT evesql_currval(8)")), "55000");
}

struct Block(i64);
impl Source for Block {
    fn sequence_number(&mut self, _: i64) -> Result<i64, SqlError> {
        self.0 += 1;
        Ok(self.0)
    }
    fn system_value(&mut self, name: &str) -> Result<Value, SqlError> {
        Ok(Value::Text(name.into()))
    }
}

#[test]
fn what_an_interactive_statement_drew_is_given_back_at_execution() {
    let sql: Vec<Arc<str>> = vec!["SELECT evesql_nextval(7), evesql_root(), evesql_nextval(7)".into()];
    let mut connection = open();
    connection.begin_context(Context::new(0, 0, Draws::Record(Box::new(Block(100)))));
    connection.begin_statement(0, &[], &[]);
    let seen = connection.answer(&sql, &[], None).unwrap();
    let recorded = connection.end_statement().unwrap();
    assert_eq!(recorded.drawn, vec![101, 102]);

    let mut connection = open();
    connection.begin_context(Context::new(0, 0, Draws::Replay));
    connection.begin_statement(0, &recorded.drawn, &recorded.system_values);
    assert_eq!(connection.answer(&sql, &[], None).unwrap().digest(), seen.digest());
    connection.begin_statement(0, &recorded.drawn[..1], &recorded.system_values);
    assert_eq!(code(connection.answer(&sql, &[], None)), "40001");
}

#[test]
fn what_tells_of_connection_build_or_machine_is_refused() {
    let mut connection = open();
    for sql in [
        "SELECT changes()",
        "SELECT total_changes()",
        "SELECT last_insert_rowid()",
        "SELECT sqlite_version()",
        "SELECT sqlite_source_id()",
        "SELECT load_extension('x')",
        "SELECT datetime('now', 'localtime')",
        "SELECT strftime('%s', 'now')",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA writable_schema = ON",
        "PRAGMA user_version",
        "SELECT * FROM pragma_page_count",
        "ATTACH ':memory:' AS other",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT evesql",
        "ROLLBACK TO EveSQL_x",
        "CREATE TEMP TABLE t(a)",
        "CREATE VIRTUAL TABLE t USING dbstat",
    ] {
        let failed = code(run(&mut connection, sql));
        assert!(["42501", "42704", "42P01", "42883"].contains(&failed.as_str()), "{sql}: {failed}");
    }
    run(&mut connection, "SELECT CURRENT_TIMESTAMP, upper('x'), json_extract('{\"a\":1}', '$.a'), sin(1)").unwrap();
}

#[test]
fn budgets_end_a_transaction_and_the_next_one_is_free_again() {
    let options = Options { steps_max: 100_000, answer_bytes_max: 1000, ..Options::default() };
    let mut connection = Connection::in_memory(options).unwrap();
    let endless = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r";
    assert_eq!(code(run(&mut connection, endless)), "54001");
    assert_eq!(code(run(&mut connection, "SELECT zeroblob(2000)")), "54001");
    let some = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r LIMIT 4000) SELECT count(*) FROM r";
    connection.begin_context(Context::default());
    run(&mut connection, some).unwrap();
    assert_eq!(code(run(&mut connection, some)), "54001");
    connection.begin_context(Context::default());
    run(&mut connection, some).unwrap();
}

#[test]
fn errors_have_postgres_codes() {
    let mut connection = open();
    for sql in [
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n UNIQUE, k NOT NULL DEFAULT 0, CONSTRAINT ck CHECK (k >= 0))",
        "CREATE TRIGGER g BEFORE DELETE ON t BEGIN SELECT RAISE(ABORT, '22001: too long'); END",
        "INSERT INTO t VALUES (1, 'a', 1)",
    ] {
        run(&mut connection, sql).unwrap();
    }
    for (sql, expected) in [
        ("INSERT INTO t VALUES (1, 'b', 1)", "23505"),
        ("INSERT INTO t VALUES (2, 'a', 1)", "23505"),
        ("INSERT INTO t VALUES (2, 'b', NULL)", "23502"),
        ("INSERT INTO t VALUES (2, 'b', -1)", "23514"),
        ("DELETE FROM t", "22001"),
        ("SELECT * FROM nosuch", "42P01"),
        ("SELECT nosuch FROM t", "42703"),
        ("SELECT nosuch(1)", "42883"),
        ("SELEC 1", "42601"),
        ("CREATE TABLE t(a)", "42P07"),
        ("RELEASE nosuch", "3B001"),
        ("SELECT sqrt(-1)", "2201F"),
        ("SELECT abs(-9223372036854775808)", "22003"),
    ] {
        assert_eq!(code(run(&mut connection, sql)), expected, "{sql}");
    }
}

#[test]
fn changes_count_rows_of_writes_only() {
    let mut connection = open();
    run(&mut connection, "CREATE TABLE t(a)").unwrap();
    assert_eq!(run(&mut connection, "INSERT INTO t VALUES (1), (2)").unwrap().changes, 2);
    assert_eq!(run(&mut connection, "SELECT * FROM t").unwrap().changes, 0);
    assert_eq!(run(&mut connection, "CREATE INDEX i ON t(a)").unwrap().changes, 0);
    let rows: Vec<Vec<Value>> = (0..3).map(|n| vec![Value::Integer(n)]).collect();
    connection.begin_statement(0, &[], &[]);
    let copied = connection.answer(&["INSERT INTO t VALUES (?1)".into()], &[], Some(&rows)).unwrap();
    assert_eq!(copied.changes, 3);
    let returned = run(&mut connection, "UPDATE t SET a = a RETURNING a").unwrap();
    assert_eq!((returned.changes, returned.rows.count), (5, 5));
}

#[test]
fn the_bundled_sqlite_is_compiled_as_the_design_demands() {
    let build = crate::page_store::sqlite::build();
    let has = |option: &str| build.iter().any(|line| line == option);
    assert!(has("ENABLE_PREUPDATE_HOOK") && has("ENABLE_FTS5") && has("DQS=0"), "{build:?}");
    assert!(!has("ENABLE_STAT4"), "statistics of sampled keys make plans depend on a connection's past");
    assert_eq!(fingerprint(), fingerprint());
}
