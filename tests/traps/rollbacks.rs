//! What ends more, or less, than it seems to: a statement, a savepoint, a transaction, the transaction of its whole
//! group.

use crate::driver::Trap;
use evesql::batch::{Group, Plan};
use evesql::engine;

/// Runs one transaction between neighbours in another table, in the parallel part and in the direct part of a group.
/// It must end with this code, and they must not notice.
fn ends_alone(schema: &[&str], ends: &[&str], code: &str) {
    let schema: Vec<&str> = schema.iter().copied().chain(["CREATE TABLE beside(id INTEGER PRIMARY KEY)"]).collect();
    let scripts: [&[&str]; 3] = [&["INSERT INTO beside VALUES (1)"], ends, &["INSERT INTO beside VALUES (2)"]];
    for parallel in [true, false] {
        let mut trap = Trap::new(&schema);
        let ran = if parallel { trap.parallel(&scripts) } else { trap.direct(&scripts) };
        assert_eq!(ran.codes(), ["", code, ""], "{ends:?}");
        // It ended the SQL transaction that it ran in, so only its turn can tell what comes of it.
        assert_eq!(ran.fared(), if parallel { [2, 0, 1] } else { [0; 3] }, "{ends:?}");
        assert_eq!(trap.same("SELECT id FROM beside"), ["1", "2"]);
    }
}

#[test]
fn insert_or_rollback_takes_no_neighbour_along() {
    let schema = ["CREATE TABLE t(id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 0)"];
    ends_alone(&schema, &["INSERT INTO t VALUES (2, 0)", "INSERT OR ROLLBACK INTO t VALUES (1, 1)"], "23505");
    ends_alone(&schema, &["INSERT INTO t VALUES (2, 0)", "UPDATE OR ROLLBACK t SET id = 1 WHERE id = 2"], "23505");
}

#[test]
fn a_constraint_that_says_rollback_takes_no_neighbour_along() {
    let schema = [
        "CREATE TABLE t(id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK, v NOT NULL ON CONFLICT ROLLBACK)",
        "INSERT INTO t VALUES (1, 0)",
    ];
    ends_alone(&schema, &["INSERT INTO t VALUES (1, 1)"], "23505");
    ends_alone(&schema, &["INSERT INTO t VALUES (2, NULL)"], "23502");
}

#[test]
fn a_trigger_that_raises_rollback_takes_no_neighbour_along() {
    let schema = [
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT RAISE(ROLLBACK, '22001: no') WHERE new.v < 0; END",
    ];
    ends_alone(&schema, &["INSERT INTO t VALUES (1, 1)", "INSERT INTO t VALUES (2, -1)"], "22001");
}

/// SQLite interrupts the statement, which ends the outer transaction as well.
#[test]
fn a_statement_that_writes_beyond_its_budget_takes_no_neighbour_along() {
    let engine = engine::Options { steps_max: 100_000, ..engine::Options::default() };
    let endless = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let scripts: [&[&str]; 3] = [
        &["INSERT INTO beside VALUES (1)"],
        &["INSERT INTO t VALUES (-1)", endless],
        &["INSERT INTO beside VALUES (2)"],
    ];
    for parallel in [true, false] {
        let mut trap = Trap::with(engine, &["CREATE TABLE t(v)", "CREATE TABLE beside(id INTEGER PRIMARY KEY)"]);
        let ran = if parallel { trap.parallel(&scripts) } else { trap.direct(&scripts) };
        assert_eq!(ran.codes(), ["", "54001", ""]);
        assert_eq!(ran.fared(), if parallel { [2, 0, 1] } else { [0; 3] });
        assert_eq!(trap.same("SELECT v FROM t"), [""; 0]);
        assert_eq!(trap.same("SELECT id FROM beside"), ["1", "2"]);
    }
}

#[test]
fn spoilers_in_both_parts_of_a_group_leave_what_was_applied_before_them() {
    let mut trap = Trap::new(&[
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE beside(id INTEGER PRIMARY KEY)",
        "INSERT INTO t VALUES (1, 0)",
    ]);
    let spoiler: &[&str] = &["INSERT OR ROLLBACK INTO t VALUES (1, 1)"];
    let scripts: [&[&str]; 5] = [
        &["INSERT INTO beside VALUES (1)"],
        spoiler,
        &["INSERT INTO beside VALUES (2)"],
        spoiler,
        &["INSERT INTO beside VALUES (3)"],
    ];
    let groups = vec![Group { parallel: vec![0, 1, 2], direct: vec![3, 4] }];
    let ran = trap.run(&scripts, Plan { groups });
    assert_eq!(ran.codes(), ["", "23505", "", "23505", ""]);
    assert_eq!(ran.fared(), [2, 0, 1]);
    assert_eq!(trap.same("SELECT id FROM beside"), ["1", "2", "3"]);
}

/// What a savepoint takes back was captured all the same.
#[test]
fn what_a_savepoint_takes_back_is_not_applied() {
    let mut trap = Trap::new(&["CREATE TABLE t(id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 0)"]);
    let scripts: [&[&str]; 2] = [
        &[
            "INSERT INTO t VALUES (2, 0)",
            "SAVEPOINT s",
            "INSERT INTO t VALUES (3, 0)",
            "UPDATE t SET v = 9 WHERE id = 1",
            "ROLLBACK TO s",
            "RELEASE s",
            "INSERT INTO t VALUES (4, 0)",
        ],
        &["INSERT INTO t VALUES (5, 0)"],
    ];
    let ran = trap.parallel(&scripts);
    assert_eq!(ran.codes(), ["", ""]);
    // What is not understood conflicts with whatever comes after it.
    assert_eq!(ran.fared(), [0, 1, 1]);
    assert_eq!(trap.same("SELECT id, v FROM t"), ["1, 0", "2, 0", "4, 0", "5, 0"]);
}

#[test]
fn a_constraint_error_in_a_parallel_part_is_an_answer_and_undoes_its_transaction_alone() {
    let mut trap = Trap::new(&[
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v NOT NULL CHECK (v < 100))",
        "INSERT INTO t VALUES (1, 1)",
    ]);
    let scripts: [&[&str]; 7] = [
        &["INSERT INTO t VALUES (2, 2)", "INSERT INTO t VALUES (1, 2)"],
        &["INSERT INTO t VALUES (3, 3)", "INSERT INTO t VALUES (30, NULL)"],
        &["INSERT INTO t VALUES (4, 4)", "UPDATE t SET v = 400 WHERE id = 4"],
        // Rows that were captured, and undone by the statement's own failure.
        &["INSERT INTO t VALUES (5, 5), (50, 5), (51, 500)"],
        &["INSERT OR FAIL INTO t VALUES (6, 6), (60, 600)"],
        &["INSERT OR IGNORE INTO t VALUES (7, NULL), (70, 7)"],
        &["INSERT INTO t VALUES (8, 8)", "SELECT abs(-9223372036854775808)"],
    ];
    let ran = trap.parallel(&scripts);
    assert_eq!(ran.codes(), ["23505", "23502", "23514", "23514", "23514", "", "22003"]);
    assert_eq!(ran.fared(), [7, 0, 0]);
    assert_eq!(ran.changes(5), [1]);
    assert_eq!(trap.same("SELECT id, v FROM t"), ["1, 1", "70, 7"]);
}

/// SQLite calls most of these read-only. None of them may end, or open, anything in a group; not either where EveSQL
/// has said the same before on that connection.
#[test]
fn statements_that_are_no_reads_though_sqlite_calls_them_so_are_refused() {
    let refused = [
        "BEGIN",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "END",
        "ROLLBACK",
        "SAVEPOINT evesql",
        "RELEASE evesql",
        "ROLLBACK TO evesql",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO 'file'",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA defer_foreign_keys = ON",
        "PRAGMA writable_schema = RESET",
        "PRAGMA query_only = ON",
        "PRAGMA optimize",
        "SELECT load_extension('file')",
    ];
    let scripts: Vec<[&str; 2]> = refused.iter().map(|sql| [" INSERT INTO t VALUES (2)", *sql]).collect();
    let (first, last): ([&str; 1], [&str; 1]) = (["INSERT INTO t VALUES (1)"], ["INSERT INTO t VALUES (3)"]);
    let scripts: Vec<&[&str]> =
        [&first[..]].into_iter().chain(scripts.iter().map(|script| &script[..])).chain([&last[..]]).collect();
    let mut trap = Trap::new(&["CREATE TABLE t(id INTEGER PRIMARY KEY)"]);
    for part in ["parallel", "direct"] {
        let ran = if part == "parallel" { trap.parallel(&scripts) } else { trap.direct(&scripts) };
        let codes = ran.codes();
        for (sql, code) in refused.iter().zip(&codes[1..]) {
            // SQLite itself refuses VACUUM inside a transaction.
            let expected = if sql.starts_with("VACUUM") { "25001" } else { "42501" };
            assert!([expected, "42883"].contains(code), "{sql}, {part}: {code:?}");
        }
        assert_eq!([codes[0], codes[refused.len() + 1]], ["", ""], "{part}");
        assert_eq!(trap.ours("SELECT id FROM t"), ["1", "3"], "{part}");
        trap.direct(&[&["DELETE FROM t"]]);
    }
}

/// A savepoint that comes as a statement is none that SQLite could not undo, and none that could be captured.
#[test]
fn a_savepoint_that_comes_as_a_statement_runs_in_its_turn() {
    let mut trap = Trap::new(&["CREATE TABLE t(id INTEGER PRIMARY KEY)"]);
    let ran = trap.parallel(&[
        &["INSERT INTO t VALUES (1)"],
        &["INSERT INTO t VALUES (2)", " SAVEPOINT s", "INSERT INTO t VALUES (3)", " ROLLBACK TO s"],
    ]);
    assert_eq!(ran.codes(), ["", ""]);
    assert_eq!(ran.fared(), [1, 1, 0]);
    assert_eq!(trap.same("SELECT id FROM t"), ["1", "2"]);
}
