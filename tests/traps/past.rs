//! What a connection went through before, and which SQLite it is, must not show (invariant 10).

use crate::driver::{Trap, log_id, restart, rows};
use evesql::batch::{Batch, Group, Plan};
use evesql::engine::{Connection, StatementKind};
use evesql::page::Hash;
use evesql::replica::{Mode, Options, Replica};
use evesql::token::Accepted;
use evesql::transaction::*;

/// Replicas of the driver were restarted before each batch, or never: their workers compiled statements with the first
/// statistics, with the second ones, or now. In `chosen` the order tells which index served: by the one on `a` ids
/// ascend, by the one on `b` they descend.
#[test]
fn statistics_choose_the_same_plan_on_a_connection_that_saw_the_old_ones_and_on_a_new_one() {
    let mut trap = Trap::new(&[
        "CREATE TABLE skew(id INTEGER PRIMARY KEY, a INT, b INT, down INT AS (-id) STORED)",
        "CREATE INDEX skew_a ON skew(a, id)",
        "CREATE INDEX skew_b ON skew(b, down)",
        "CREATE TABLE chosen(n INTEGER PRIMARY KEY, id INT)",
        "CREATE TABLE beside(id INTEGER PRIMARY KEY)",
        "INSERT INTO skew(id, a, b) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 400) \
         SELECT i, i % 40, i % 2 FROM n",
    ])
    .alone();
    let choose: &[&str] = &["INSERT INTO chosen(id) SELECT id FROM skew WHERE a = 1 AND b = 1"];
    let again = "INSERT INTO skew(id, a, b) WITH RECURSIVE n(i) AS (SELECT 1001 UNION ALL SELECT i + 1 FROM n LIMIT 800) \
                 SELECT i, 1, i FROM n";
    let mut chosen = |before: &[&[&str]]| {
        trap.direct(before);
        trap.direct(&[&["DELETE FROM chosen"]]);
        let ran = trap.parallel(&[choose, &["INSERT INTO beside SELECT coalesce(max(id), 0) + 1 FROM beside"]]);
        assert_eq!((ran.codes(), ran.fared()), (vec!["", ""], [2, 0, 0]));
        let ids = trap.ours("SELECT id FROM chosen ORDER BY n");
        let ids: Vec<i64> = ids.iter().map(|id| id.parse().unwrap()).collect();
        assert!(ids.len() > 5);
        (ids.is_sorted(), ids.is_sorted_by(|a, b| a > b))
    };
    assert_eq!(chosen(&[&["ANALYZE"]]), (true, false));
    // Its schema cookie stays what it was.
    assert_eq!(chosen(&[&[again], &["ANALYZE"]]), (false, true));
    // Rolled back, they were never there.
    assert_eq!(chosen(&[&["DELETE FROM skew WHERE id > 1000", "ANALYZE", "SELECT nosuch"]]), (false, true));
    assert_eq!(chosen(&[&["DELETE FROM skew WHERE id > 1000"], &["ANALYZE"]]), (true, false));
}

/// `sqlite_stat1` is a table like others, and decides.
#[test]
fn statistics_that_are_written_by_hand_run_in_their_turn() {
    let mut trap =
        Trap::new(&["CREATE TABLE t(id INTEGER PRIMARY KEY, v)", "CREATE INDEX t_v ON t(v)", "ANALYZE"]).alone();
    let ran = trap.parallel(&[&["UPDATE sqlite_stat1 SET stat = '9 9'"], &["INSERT INTO t VALUES (1, 1)"]]);
    assert_eq!(ran.fared.applied, 0, "{:?}", ran.outcomes);
}

const COUNTERS: [&str; 3] = ["changes()", "total_changes()", "last_insert_rowid()"];

#[test]
fn what_counts_over_a_connections_life_is_refused_wherever_it_stands() {
    for counter in COUNTERS {
        let view = format!("CREATE VIEW counted AS SELECT {counter} AS n");
        let trigger =
            format!("CREATE TRIGGER counts AFTER INSERT ON t BEGIN UPDATE t SET v = {counter} WHERE id = new.id; END");
        let default = format!("CREATE TABLE defaults(id INTEGER PRIMARY KEY, v DEFAULT ({counter}))");
        let mut trap = Trap::new(&["CREATE TABLE t(id INTEGER PRIMARY KEY, v)"]).alone();
        // Some of them are refused here already; then what uses them finds no such table.
        trap.direct(&[&[&view], &[&default]]);
        let ran = trap.parallel(&[
            &["INSERT INTO t VALUES (1, 1)", &format!("SELECT {counter}")],
            &["INSERT INTO t VALUES (2, 2)", &format!("UPDATE t SET v = {counter} WHERE id = 2")],
            &["INSERT INTO t SELECT 3, n FROM counted"],
            &["INSERT INTO defaults(id) VALUES (1)"],
            &["INSERT INTO t VALUES (4, 4)"],
        ]);
        let codes = ran.codes();
        assert!(codes[..4].iter().all(|code| ["42501", "42883", "42P01"].contains(code)), "{counter}: {codes:?}");
        assert_eq!(codes[4], "");
        trap.direct(&[&[&trigger]]);
        trap.parallel(&[&["INSERT INTO t VALUES (5, 5)"]]);
        let rows = trap.ours("SELECT id, v FROM t");
        assert!(rows == ["4, 4"] || rows == ["4, 4", "5, 5"], "{counter}: {rows:?}");
    }
}

/// SQLite's own generator is one for the process; ours follows from the transaction's place.
#[test]
fn random_values_are_those_of_the_transactions_place_in_the_batch() {
    let mut trap = Trap::new(&["CREATE TABLE t(id INTEGER PRIMARY KEY, v DEFAULT (random()), b)"]).alone();
    let ran = trap.parallel(&[
        &["INSERT INTO t(id, b) VALUES (1, randomblob(8)), (2, randomblob(8)) RETURNING v"],
        &["INSERT INTO t(id, b) VALUES (3, randomblob(8)) RETURNING v"],
        &["SELECT random()"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""; 3], [3, 0, 0]));
    assert_eq!(trap.ours("SELECT count(DISTINCT v) + count(DISTINCT b) FROM t"), ["6"]);
}

/// With the largest rowid taken SQLite looks for a free one at random, by its generator for the process. So no client
/// may leave a number to SQLite in a table that lets it write one.
#[test]
fn clients_cannot_have_sqlite_number_a_row_beside_the_largest_rowid() {
    let mut trap = Trap::new(&["SELECT 1"]).alone();
    for sql in [
        "CREATE TABLE t (id bigint PRIMARY KEY, v text)",
        "CREATE TABLE given (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text)",
        "CREATE TABLE log (what text)",
        "INSERT INTO t VALUES (9223372036854775807, 'last')",
        "INSERT INTO given VALUES (9223372036854775807, 'last')",
        "INSERT INTO log VALUES ('a')",
        // From its sequence.
        "INSERT INTO given (v) VALUES ('next')",
    ] {
        assert_eq!(trap.postgres(sql).unwrap().codes(), [""], "{sql}");
    }
    for sql in [
        "INSERT INTO t (v) VALUES ('next')",
        "INSERT INTO t VALUES (NULL, 'next')",
        "INSERT INTO t SELECT NULL, what FROM log",
        "INSERT INTO t (v) SELECT what FROM log",
        "INSERT INTO t VALUES (DEFAULT, 'next')",
        "INSERT INTO t VALUES ((SELECT id FROM t WHERE false), 'next')",
        "UPDATE t SET id = NULL",
        "INSERT INTO given VALUES (NULL, 'next')",
        "INSERT INTO log (rowid, what) VALUES (9223372036854775807, 'last')",
        "INSERT INTO log (_rowid_, what) VALUES (9223372036854775807, 'last')",
        "UPDATE log SET rowid = 9223372036854775807",
        "UPDATE log SET oid = 9223372036854775807",
        "SELECT rowid FROM log",
        "INSERT INTO log VALUES ('b') RETURNING rowid",
    ] {
        let code = match trap.postgres(sql) {
            Ok(ran) => ran.codes()[0].to_string(),
            Err(error) => error.code().to_string(),
        };
        let expected =
            if sql.contains("log ") && !sql.contains("FROM log") || sql.contains("rowid") { "42703" } else { "23502" };
        assert_eq!(code, expected, "{sql}");
    }
    assert_eq!(trap.ours("SELECT count(*) FROM given"), ["2"]);
}

/// SQLite keeps the count of the connection's last statement that changed rows.
#[test]
fn what_changes_no_rows_answers_no_count_of_changes() {
    let mut trap =
        Trap::new(&["CREATE TABLE t(id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)"]);
    for sql in [
        "EXPLAIN QUERY PLAN DELETE FROM t",
        "EXPLAIN QUERY PLAN UPDATE t SET v = 1",
        "EXPLAIN QUERY PLAN INSERT INTO t VALUES (9, 9)",
        "EXPLAIN QUERY PLAN SELECT * FROM t",
        "CREATE TABLE IF NOT EXISTS t(a)",
        "DROP TABLE IF EXISTS nosuch",
        "DROP INDEX IF EXISTS nosuch",
        "SELECT * FROM t",
        "CREATE INDEX i ON t(v)",
        "ANALYZE",
        "DROP INDEX i",
    ] {
        for parallel in [true, false] {
            // The first after a restart, and after a statement with a count, in the same transaction or in another.
            let lone: &[&str] = &[sql];
            let scripts = [lone, &["UPDATE t SET v = v + 1", sql], lone];
            let scripts = if sql.contains(" i") { &scripts[..1] } else { &scripts };
            if parallel && sql.contains(" i") {
                continue;
            }
            let ran = if parallel { trap.parallel(scripts) } else { trap.direct(scripts) };
            let counts: Vec<u64> = (0..scripts.len()).flat_map(|position| ran.changes(position)).collect();
            assert_eq!(counts, [0, 3, 0, 0][..counts.len()], "{sql}");
        }
    }
}

#[test]
fn sqlites_version_on_page_1_is_that_of_no_sqlite() {
    let mut trap = Trap::new(&["CREATE TABLE t(id INTEGER PRIMARY KEY, v)"]);
    trap.parallel(&[&["INSERT INTO t VALUES (1, 1)"]]);
    trap.direct(&[&["INSERT INTO t VALUES (2, 2)"]]);
    for (name, snapshot) in trap.replica().newest_snapshots() {
        let page = snapshot.page(1).unwrap();
        assert_eq!(page[96..100], 3_050_000_u32.to_be_bytes(), "{name}");
        assert_ne!(page[96..100], rusqlite::ffi::SQLITE_VERSION_NUMBER.to_be_bytes(), "the trap is there");
    }
}

fn one(replica: &Replica, sequence: u64, sql: &str) -> Transaction {
    let statement = Statement { sql: vec![sql.into()], ..Statement::default() };
    Transaction {
        id: TransactionId { incarnation: 1, session: 1, sequence },
        database: "evesql".into(),
        catalog: replica.at(u64::MAX).unwrap().databases["evesql"].catalog.version,
        begun: None,
        expires_at_index: 500,
        operations: vec![Operation::Statement(statement)],
    }
}

fn execute(replica: &mut Replica, index: u64, sql: &str, parallel: bool) -> Hash {
    let transactions = vec![one(replica, index, sql)];
    let groups = vec![Group { parallel: vec![0], direct: Vec::new() }];
    let batch = Batch {
        timestamp_us: 1,
        seed: 1,
        engine: Hash::default(),
        accepted: Accepted::default(),
        transactions,
        plan: if parallel { Plan { groups } } else { Plan::default() },
    };
    replica.execute(log_id(index), &batch, &Mode::Planned).unwrap().root
}

/// Bytes 24..40 of page 1 are equal, and by nothing else does SQLite notice that it stands on other pages.
#[test]
fn workers_notice_that_a_version_was_rolled_back() {
    let create = || {
        let mut replica = Replica::create(Options::default()).unwrap();
        execute(&mut replica, 1, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)", false);
        execute(&mut replica, 2, "INSERT INTO t VALUES (1, 0), (2, 0)", false);
        replica
    };
    let page_1 = |replica: &Replica| replica.newest_snapshots()[0].1.page(1).unwrap()[24..40].to_vec();
    // Reads while it writes: from SQLite's cache, as long as that is taken for good.
    let copy = "UPDATE t SET v = (SELECT v FROM t WHERE id = 1) + 1 WHERE id = 2";
    let mut replica = create();
    execute(&mut replica, 3, "UPDATE t SET v = 10 WHERE id = 1", false);
    let left = page_1(&replica);
    execute(&mut replica, 4, copy, true);
    replica.roll_back(2).unwrap();
    // Not by the worker, which stands on what it saw last.
    execute(&mut replica, 3, "UPDATE t SET v = 20 WHERE id = 1", false);
    assert_eq!(left, page_1(&replica), "the trap is there");
    let root = execute(&mut replica, 4, copy, true);
    assert_eq!(replica.fared().applied, 2);
    assert_eq!(rows(&replica, "SELECT v FROM t"), ["20", "21"]);

    let mut other = create();
    execute(&mut other, 3, "UPDATE t SET v = 20 WHERE id = 1", false);
    let mut other = restart(&other, Options::default());
    assert_eq!(execute(&mut other, 4, copy, true), root);
}

/// SQLite says of all but the writes that they are read-only.
#[test]
fn statements_are_of_the_kind_that_they_are_and_not_of_the_one_that_sqlite_tells() {
    let mut connection = Connection::in_memory(evesql::engine::Options::default()).unwrap();
    connection.control("CREATE TABLE t(id INTEGER PRIMARY KEY, v)").unwrap();
    for (sql, kind) in [
        ("SELECT * FROM t", StatementKind::Read),
        ("WITH x AS (SELECT 1) SELECT * FROM x", StatementKind::Read),
        ("VALUES (1)", StatementKind::Read),
        ("EXPLAIN DELETE FROM t", StatementKind::Read),
        ("EXPLAIN QUERY PLAN DELETE FROM t", StatementKind::Read),
        ("INSERT INTO t VALUES (1, 1) RETURNING id", StatementKind::Write),
        ("WITH x AS (SELECT 1 AS a) INSERT INTO t SELECT a, a FROM x", StatementKind::Write),
        ("DELETE FROM t", StatementKind::Write),
        ("  savepoint s", StatementKind::Control),
        ("PRAGMA data_version", StatementKind::Control),
        ("CREATE TABLE new(a)", StatementKind::Schema),
        ("DROP TABLE t", StatementKind::Schema),
        ("DROP TABLE IF EXISTS nosuch", StatementKind::Control),
        ("ANALYZE", StatementKind::Schema),
    ] {
        let prepared = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(prepared.kind, kind, "{sql}");
    }
}
