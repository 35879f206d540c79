//! Foreign keys and triggers: what one statement does to rows that it does not name.

use crate::driver::Trap;

const DEFERRED: [&str; 4] = [
    "CREATE TABLE p(id INTEGER PRIMARY KEY)",
    "CREATE TABLE c(id INTEGER PRIMARY KEY, p INT REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
    "INSERT INTO p VALUES (1), (2), (3)",
    "INSERT INTO c VALUES (1, 1), (2, 2)",
];

/// A transaction that runs ahead ends in ROLLBACK, which does not ask for them.
#[test]
fn deferred_foreign_keys_of_a_parallel_transaction_are_asked_for_at_its_end() {
    let mut trap = Trap::new(&DEFERRED);
    let ran = trap.parallel(&[
        &["UPDATE c SET p = 76 WHERE id = 2"],
        &["INSERT INTO c VALUES (10, 77)"],
        &["INSERT INTO c VALUES (11, 78)", "INSERT INTO p VALUES (78)"],
        &["INSERT INTO c VALUES (12, 79)", "DELETE FROM c WHERE id = 12"],
    ]);
    assert_eq!(ran.codes(), ["23503", "23503", "", ""]);
    assert_eq!(ran.fared(), [4, 0, 0]);
    // Deleting a parent looks at all children.
    let ran = trap.parallel(&[&["DELETE FROM p WHERE id = 1"], &["DELETE FROM p WHERE id = 3"]]);
    assert_eq!(ran.codes(), ["23503", ""]);
    assert_eq!(ran.fared(), [2, 0, 0]);
    assert_eq!(trap.same("SELECT id, p FROM c"), ["1, 1", "2, 2", "11, 78"]);
}

#[test]
fn releasing_a_savepoint_does_not_hide_a_deferred_foreign_key() {
    let violated: &[&str] = &["SAVEPOINT s", "INSERT INTO c VALUES (10, 77)", "RELEASE s"];
    let undone: &[&str] = &["SAVEPOINT s", "INSERT INTO c VALUES (11, 78)", "ROLLBACK TO s", "RELEASE s"];
    let mended: &[&str] = &["SAVEPOINT s", "INSERT INTO c VALUES (12, 79)", "RELEASE s", "INSERT INTO p VALUES (79)"];
    for parallel in [true, false] {
        let mut trap = Trap::new(&DEFERRED);
        let scripts = [violated, undone, mended, violated];
        let ran = if parallel { trap.parallel(&scripts) } else { trap.direct(&scripts) };
        assert_eq!(ran.codes(), ["23503", "", "", "23503"]);
        assert_eq!(trap.same("SELECT id FROM c"), ["1", "2", "12"]);
    }
}

#[test]
fn a_parent_and_its_first_child_do_not_miss_each_other_in_one_group() {
    let schema = [
        "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE)",
        "CREATE TABLE c(id INTEGER PRIMARY KEY, p INT REFERENCES p, code TEXT REFERENCES p(code))",
        "INSERT INTO p VALUES (1, 'a'), (2, 'b')",
    ];
    let by_id: &[&str] = &["INSERT INTO c(id, p) VALUES (1, 1)"];
    let by_code: &[&str] = &["INSERT INTO c(id, code) VALUES (2, 'a')"];
    for (scripts, codes) in [
        ([&["DELETE FROM p WHERE id = 1"], by_id], ["", "23503"]),
        ([&["DELETE FROM p WHERE id = 1"], by_code], ["", "23503"]),
        ([&["UPDATE p SET code = 'z' WHERE id = 1"], by_code], ["", "23503"]),
        ([by_id, &["DELETE FROM p WHERE id = 1"]], ["", "23503"]),
        ([by_code, &["UPDATE p SET code = 'z' WHERE id = 1"]], ["", "23503"]),
    ] {
        let ran = Trap::new(&schema).parallel(&scripts);
        assert_eq!((ran.codes().as_slice(), ran.fared()), (codes.as_slice(), [1, 1, 0]), "{scripts:?}");
    }
    // Another parent is another row.
    let ran = Trap::new(&schema).parallel(&[by_id, &["UPDATE p SET code = 'z' WHERE id = 2"]]);
    assert_eq!(ran.codes(), ["", ""]);
}

const FAMILY: [&str; 7] = [
    "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE)",
    "CREATE TABLE c(id INTEGER PRIMARY KEY, p INT REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE)",
    "CREATE TABLE g(id INTEGER PRIMARY KEY, c INT REFERENCES c ON DELETE CASCADE)",
    "CREATE TABLE s(id INTEGER PRIMARY KEY, code TEXT REFERENCES p(code) ON DELETE SET NULL ON UPDATE CASCADE, \
     n INT DEFAULT 2 REFERENCES p ON DELETE SET DEFAULT)",
    "INSERT INTO p VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    "INSERT INTO c VALUES (10, 1), (11, 1), (12, 3)",
    "INSERT INTO g VALUES (100, 10), (101, 11), (102, 12)",
];

/// Done again at apply they would find no rows to change, or change what a later statement settled.
#[test]
fn cascades_are_captured_once_and_not_done_again_where_they_are_applied() {
    for (script, rows) in [
        (&["DELETE FROM p WHERE id = 1"][..], ["12, 3", "102, 12", "1, NULL, 2; 2, \"b\", 2; 3, \"c\", 3"]),
        (&["UPDATE p SET id = 7 WHERE id = 3"], ["10, 1; 11, 1; 12, 7", "100, 10; 101, 11; 102, 12", ""]),
        (
            &["UPDATE p SET code = 'x' WHERE id = 1", "UPDATE p SET code = 'y' WHERE code = 'x'"],
            ["10, 1; 11, 1; 12, 3", "100, 10; 101, 11; 102, 12", "1, \"y\", 1; 2, \"b\", 2; 3, \"c\", 3"],
        ),
        (
            &[
                "DELETE FROM p WHERE id = 1",
                "UPDATE s SET code = 'b' WHERE code IS NULL",
                "INSERT INTO p VALUES (1, 'a')",
            ],
            ["12, 3", "102, 12", "1, \"b\", 2; 2, \"b\", 2; 3, \"c\", 3"],
        ),
        (&["REPLACE INTO p VALUES (1, 'new')"], ["12, 3", "102, 12", "1, NULL, 2; 2, \"b\", 2; 3, \"c\", 3"]),
    ] {
        let mut trap = Trap::new(&FAMILY);
        // A reference to a row that is renumbered is refused, so `s` knows of it in the other cases alone.
        let settled: &[&str] =
            if rows[2].is_empty() { &[] } else { &["INSERT INTO s VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)"] };
        assert_eq!(trap.direct(&[settled]).codes(), [""]);
        let ran = trap.parallel(&[script]);
        assert_eq!((ran.codes(), ran.fared()), (vec![""], [1, 0, 0]), "{script:?}");
        assert_eq!(trap.same("SELECT * FROM c").join("; "), rows[0], "{script:?}");
        assert_eq!(trap.same("SELECT * FROM g").join("; "), rows[1], "{script:?}");
        assert_eq!(trap.same("SELECT * FROM s").join("; "), rows[2], "{script:?}");
    }
}

#[test]
fn triggers_are_captured_once_and_do_not_fire_where_they_are_applied() {
    let mut trap = Trap::new(&[
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v INT)",
        "CREATE TABLE total(name TEXT PRIMARY KEY, n INT)",
        "CREATE TABLE log(what)",
        "CREATE TABLE beside(id INTEGER PRIMARY KEY)",
        "CREATE TRIGGER before_insert BEFORE INSERT ON t BEGIN INSERT INTO log VALUES ('before ' || new.id); END",
        "CREATE TRIGGER after_insert AFTER INSERT ON t BEGIN UPDATE total SET n = n + new.v WHERE name = 'v'; END",
        "CREATE TRIGGER after_update AFTER UPDATE OF v ON t BEGIN \
         UPDATE total SET n = n + new.v - old.v WHERE name = 'v'; END",
        "CREATE TRIGGER after_delete AFTER DELETE ON t BEGIN UPDATE total SET n = n - old.v WHERE name = 'v'; END",
        "CREATE TRIGGER chained AFTER UPDATE ON total BEGIN INSERT INTO log VALUES ('total ' || new.n); END",
        "CREATE VIEW shown AS SELECT id, v FROM t",
        "CREATE TRIGGER instead INSTEAD OF INSERT ON shown BEGIN INSERT INTO t VALUES (new.id, new.v * 10); END",
        "INSERT INTO total VALUES ('v', 0)",
    ]);
    let expected = [
        (&["INSERT INTO t VALUES (1, 5), (2, 6)"][..], 11, 4),
        (&["UPDATE t SET v = v + 1"], 13, 6),
        (&["INSERT INTO shown VALUES (3, 7)"], 83, 8),
        (&["DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (4, 1)"], 78, 11),
        (&["REPLACE INTO t VALUES (4, 2)"], 80, 13),
    ];
    for (at, (script, total, logged)) in expected.into_iter().enumerate() {
        let beside = format!("INSERT INTO beside VALUES ({at})");
        let ran = trap.parallel(&[script, &[&beside]]);
        assert_eq!((ran.codes(), ran.fared()), (vec!["", ""], [2, 0, 0]), "{script:?}");
        assert_eq!(trap.same("SELECT n, (SELECT count(*) FROM log) FROM total"), [format!("{total}, {logged}")]);
    }
    // In the order in which they fired, though their rows have no key.
    trap.same("SELECT rowid, what FROM log");
    // Two of them share a total.
    let ran = trap.parallel(&[&["INSERT INTO t VALUES (8, 1)"], &["INSERT INTO t VALUES (9, 1)"]]);
    assert_eq!((ran.codes(), ran.fared()), (vec!["", ""], [1, 1, 0]));
    trap.same("SELECT rowid, what FROM log");
}

#[test]
fn rows_that_replace_takes_away_are_captured() {
    let mut trap = Trap::new(&[
        "CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE, w UNIQUE)",
        "CREATE TABLE pairs(a TEXT, b TEXT, u UNIQUE, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE TABLE says(id INTEGER PRIMARY KEY, u UNIQUE ON CONFLICT REPLACE)",
        "CREATE TABLE bare(u UNIQUE)",
        "INSERT INTO t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4)",
        "INSERT INTO pairs VALUES ('a', 'x', 1), ('a', 'y', 2), ('b', 'x', 3)",
        "INSERT INTO says VALUES (1, 1), (2, 2)",
        "INSERT INTO bare VALUES (1), (NULL), (2)",
    ]);
    let ran = trap.parallel(&[
        // Takes the place of three rows.
        &["REPLACE INTO t VALUES (1, 2, 3)", "UPDATE OR REPLACE t SET u = 2 WHERE id = 4"],
        &["REPLACE INTO pairs VALUES ('a', 'x', 3)"],
        &["INSERT INTO says VALUES (3, 2)"],
        &["REPLACE INTO bare VALUES (1)", "REPLACE INTO bare VALUES (NULL)"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""; 4], [4, 0, 0]));
    assert_eq!(trap.same("SELECT * FROM t"), ["4, 2, 4"]);
    assert_eq!(trap.same("SELECT * FROM pairs"), ["\"a\", \"x\", 3", "\"a\", \"y\", 2"]);
    assert_eq!(trap.same("SELECT * FROM says"), ["1, 1", "3, 2"]);
    trap.same("SELECT rowid, u FROM bare");
}
