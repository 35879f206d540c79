//! Rows as they are captured on a view and applied: rowids, keys, columns, values, indexes.

use crate::driver::Trap;

/// All three take the same rowid on their views.
#[test]
fn rows_without_a_visible_key_all_land_though_they_had_one_rowid_on_their_views() {
    let mut trap = Trap::new(&["CREATE TABLE log(what, n INT UNIQUE)", "INSERT INTO log VALUES ('old', 0)"]);
    let ran = trap.parallel(&[
        &["INSERT INTO log VALUES ('a', 1)", "INSERT INTO log VALUES ('same', NULL)"],
        &["INSERT INTO log VALUES ('b', 2), ('same', NULL)"],
        &["INSERT INTO log VALUES ('c', 3)"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""; 3], [3, 0, 0]));
    let landed = ["1, \"old\"", "2, \"a\"", "3, \"same\"", "4, \"b\"", "5, \"same\"", "6, \"c\""];
    assert_eq!(trap.same("SELECT rowid, what FROM log"), landed);
    // What one does to its own new rows happens to them, and to no row of another's.
    let ran = trap.parallel(&[
        &["INSERT INTO log VALUES ('d', 4)", "UPDATE log SET what = 'D' WHERE n = 4", "DELETE FROM log WHERE n = 3"],
        &["INSERT INTO log VALUES ('e', 5)"],
        &["INSERT INTO log VALUES ('f', 6)", "UPDATE log SET what = what || '!' WHERE n IN (5, 6)"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""; 3], [2, 1, 0]));
    trap.same("SELECT rowid, * FROM log");
}

/// A hidden rowid that a statement names is none that is given where the row is applied.
#[test]
fn hidden_rowids_that_a_statement_names_stay_what_it_says() {
    let mut trap = Trap::new(&["CREATE TABLE log(what)", "INSERT INTO log VALUES ('old'), ('older')"]);
    let ran = trap.parallel(&[&["INSERT INTO log(rowid, what) VALUES (77, 'a')"], &["INSERT INTO log VALUES ('b')"]]);
    assert_eq!(ran.codes(), ["", ""]);
    assert_eq!(trap.same("SELECT rowid FROM log"), ["1", "2", "77", "78"]);
    let ran = trap.parallel(&[&["UPDATE log SET oid = 50 WHERE what = 'old'"]]);
    assert_eq!((ran.codes(), ran.changes(0)), (vec![""], vec![1]));
    assert_eq!(trap.same("SELECT rowid FROM log"), ["2", "50", "77", "78"]);
    let ran = trap.parallel(&[
        &["INSERT INTO log VALUES ('c')"],
        &["INSERT INTO log VALUES ('d') RETURNING rowid"],
        &["SELECT max(_rowid_) FROM log"],
    ]);
    assert_eq!((ran.rows(1), ran.rows(2)), (vec!["80".into()], vec!["80".into()]));
}

#[test]
fn an_integer_primary_key_without_a_value_is_numbered_in_the_plans_order() {
    let insert: &[&str] = &["INSERT INTO t(v) VALUES ('new') RETURNING id"];
    let mut trap = Trap::new(&["CREATE TABLE t(id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (5, 'old')"]);
    let ran = trap.parallel(&[insert, insert, &["INSERT INTO t VALUES (NULL, 'null') RETURNING id"]]);
    assert_eq!(ran.fared(), [1, 2, 0]);
    assert_eq!([ran.rows(0), ran.rows(1), ran.rows(2)].concat(), ["6", "7", "8"]);
    // Beside one that says its number, before and after it.
    let ran = trap.parallel(&[&["INSERT INTO t VALUES (100, 'said')"], insert]);
    assert_eq!((ran.fared(), ran.rows(1)), ([1, 1, 0], vec!["101".into()]));
    let ran =
        trap.parallel(&[insert, &["INSERT INTO t VALUES (102, 'said')"], &["INSERT INTO t VALUES (300, 'said')"]]);
    assert_eq!((ran.codes(), ran.rows(0)), (vec!["", "23505", ""], vec!["102".into()]));
    // The newest one is gone: its number is given again.
    let ran = trap.parallel(&[&["DELETE FROM t WHERE id = 300"], insert]);
    assert_eq!((ran.fared(), ran.rows(1)), ([1, 1, 0], vec!["103".into()]));
}

/// The hook says nothing of `sqlite_sequence`.
#[test]
fn autoincrement_runs_in_its_turn_and_never_gives_a_number_twice() {
    let insert: &[&str] = &["INSERT INTO t(v) VALUES ('new') RETURNING id"];
    let mut trap = Trap::new(&[
        "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v)",
        "CREATE TABLE beside(id INTEGER PRIMARY KEY)",
        "INSERT INTO t VALUES (5, 'old')",
    ]);
    let ran = trap.parallel(&[insert, &["INSERT INTO beside VALUES (1)"], insert, &["DELETE FROM t WHERE id = 7"]]);
    assert_eq!(ran.fared(), [1, 2, 1]);
    assert_eq!([ran.rows(0), ran.rows(2)].concat(), ["6", "7"]);
    let ran = trap.parallel(&[insert, &["INSERT INTO t VALUES (20, 'said')"], insert]);
    assert_eq!([ran.rows(0), ran.rows(2)].concat(), ["8", "21"]);
    assert_eq!(trap.same("SELECT * FROM sqlite_sequence"), ["\"t\", 21"]);
}

#[test]
fn generated_columns_are_computed_where_rows_are_applied() {
    let mut trap = Trap::new(&[
        "CREATE TABLE t(twice INT AS (v * 2) VIRTUAL, id INTEGER PRIMARY KEY, shown TEXT AS (upper(name)) STORED, \
         v INT, name TEXT, sum INT AS (v + length(name)) STORED, last TEXT AS (name || v) VIRTUAL UNIQUE)",
        "CREATE INDEX t_twice ON t(twice)",
        "CREATE INDEX t_shown ON t(shown, sum)",
        "CREATE TABLE pairs(g INT AS (length(a)) VIRTUAL, a TEXT, s INT AS (n + 1) STORED, b TEXT, n INT, \
         PRIMARY KEY (b, a)) WITHOUT ROWID",
        "INSERT INTO t(id, v, name) VALUES (1, 10, 'one'), (2, 20, 'two'), (3, 30, 'three')",
        "INSERT INTO pairs(a, b, n) VALUES ('a', 'x', 1), ('aa', 'x', 2)",
    ]);
    let ran = trap.parallel(&[
        &["INSERT INTO t(id, v, name) VALUES (4, 40, 'four') RETURNING *"],
        &["UPDATE pairs SET n = n + 10 WHERE a = 'a' AND b = 'x'"],
        &["INSERT INTO pairs(a, b, n) VALUES ('aaa', 'y', 3)"],
        &["DELETE FROM pairs WHERE a = 'aa' AND b = 'x'"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""; 4], [4, 0, 0]));
    assert_eq!(ran.rows(0), ["80, 4, \"FOUR\", 40, \"four\", 44, \"four40\""]);
    let ran =
        trap.parallel(&[&["UPDATE t SET v = v + 1, name = name || '!' WHERE id < 3", "DELETE FROM t WHERE id = 3"]]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""], [1, 0, 0]));
    let by_index = trap.same("SELECT id, sum FROM t INDEXED BY t_shown WHERE shown >= 'A' ORDER BY shown");
    assert_eq!(by_index, ["4, 44", "1, 15", "2, 25"]);
    assert_eq!(trap.same("SELECT id FROM t INDEXED BY t_twice WHERE twice = 42"), ["2"]);
    assert_eq!(trap.same("SELECT * FROM pairs"), ["1, \"a\", 12, \"x\", 11", "3, \"aaa\", 4, \"y\", 3"]);
    // Unique by what is computed: two that never saw each other.
    let ran = trap.parallel(&[
        &["INSERT INTO t(id, v, name) VALUES (5, 1, 'x1')"],
        &["INSERT INTO t(id, v, name) VALUES (6, 11, 'x')"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec!["", "23505"], [1, 1, 0]));
}

/// Their changes come with a rowid of 0.
#[test]
fn rows_without_rowid_are_applied_by_their_key() {
    let mut trap = Trap::new(&[
        "CREATE TABLE pairs(v, a TEXT, w TEXT, b TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID",
        "CREATE UNIQUE INDEX pairs_w ON pairs(w)",
        "CREATE TABLE folded(k TEXT COLLATE NOCASE, v, PRIMARY KEY (k DESC)) WITHOUT ROWID",
        "INSERT INTO pairs VALUES (1, 'a', 'p', 'x'), (2, 'a', 'q', 'y'), (3, 'b', 'r', 'x'), (4, 'b', NULL, 'y')",
        "INSERT INTO folded VALUES ('One', 1), ('two', 2)",
    ]);
    let long = "INSERT INTO pairs VALUES (hex(zeroblob(5000)), hex(zeroblob(3000)), 's', hex(zeroblob(4000)))";
    let ran = trap.parallel(&[
        &["UPDATE pairs SET v = 20 WHERE a = 'a' AND b = 'y'"],
        &["UPDATE pairs SET a = 'z', b = 'z' WHERE a = 'b' AND b = 'x'"],
        &["DELETE FROM pairs WHERE b = 'x' AND a = 'a'"],
        &[long],
        &["INSERT INTO pairs VALUES (5, 'c', NULL, 'c')", "UPDATE pairs SET v = 6 WHERE a = 'c' AND b = 'c'"],
        &["INSERT INTO pairs VALUES (7, 'a', NULL, 'y')"],
    ]);
    assert_eq!(ran.codes(), ["", "", "", "", "", "23505"]);
    let [applied, conflicted, unfit] = ran.fared();
    assert!(applied >= 3 && applied + conflicted == 6 && unfit == 0, "{:?}", ran.fared());
    assert_eq!(trap.same("SELECT v FROM pairs WHERE w = 's' AND length(a) = 6000 AND length(b) = 8000").len(), 1);
    let short = "SELECT v, a, b FROM pairs WHERE length(a) = 1";
    assert_eq!(trap.same(short), ["6, \"c\", \"c\"", "20, \"a\", \"y\"", "4, \"b\", \"y\"", "3, \"z\", \"z\""]);
    let ran = trap.parallel(&[&["UPDATE pairs SET a = a || a, v = v || '!' WHERE length(a) = 1"]]);
    assert_eq!((ran.codes(), ran.fared(), ran.changes(0)), (vec![""], [1, 0, 0], vec![4]));
    // 'ONE' is 'One': the row's key stays, its text does not.
    let ran =
        trap.parallel(&[&["UPDATE folded SET k = 'ONE' WHERE k = 'one'", "REPLACE INTO folded VALUES ('TWO', 3)"]]);
    // Neither a key that can be hashed nor a rowid names its rows.
    assert_eq!((ran.codes(), ran.fared()), (vec![""], [0, 0, 1]));
    assert_eq!(trap.same("SELECT * FROM folded"), ["\"TWO\", 3", "\"ONE\", 1"]);
}

/// The hook tells of it, and its SET would be empty.
#[test]
fn an_update_that_changes_nothing_is_applied_and_counted() {
    let mut trap = Trap::new(&[
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v, r REAL)",
        "CREATE TABLE pairs(a TEXT, b TEXT, v, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE TABLE log(what)",
        "INSERT INTO t VALUES (1, 'x', 5.0), (2, NULL, -0.5)",
        "INSERT INTO pairs VALUES ('a', 'b', 1)",
        "INSERT INTO log VALUES ('a'), ('b')",
    ]);
    let before = trap.same("SELECT id, v, r FROM t");
    let ran = trap.parallel(&[
        &["UPDATE t SET v = 'x', r = 5 WHERE id = 1 RETURNING v", "UPDATE t SET id = 1 WHERE id = 1"],
        &["UPDATE t SET v = v, r = r WHERE id = 2"],
        &["UPDATE pairs SET v = 1, a = 'a' WHERE a = 'a' AND b = 'b'"],
        &["UPDATE log SET what = what"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""; 4], [4, 0, 0]));
    assert_eq!([ran.changes(0), ran.changes(1), ran.changes(2), ran.changes(3)].concat(), [1, 1, 1, 1, 2]);
    assert_eq!(trap.same("SELECT id, v, r FROM t"), before);
}

#[test]
fn columns_beyond_the_64th_are_captured_and_applied() {
    let columns: Vec<String> = (1..130).map(|n| format!("c{n} DEFAULT {n}")).collect();
    let wide = format!("CREATE TABLE wide(id INTEGER PRIMARY KEY, {})", columns.join(", "));
    let mut trap =
        Trap::new(&[&wide, "CREATE INDEX wide_c100 ON wide(c100)", "INSERT INTO wide(id) VALUES (1), (2), (3)"]);
    let ran = trap.parallel(&[
        &["UPDATE wide SET c70 = 'seventy' WHERE id = 1"],
        &["UPDATE wide SET c63 = 'a', c64 = 'b', c65 = 'c', c129 = 'last' WHERE id = 2"],
        &["INSERT INTO wide(id, c1, c70, c129) VALUES (4, 'first', 'seventy', 'last')"],
        &["UPDATE wide SET c100 = 'hundred' WHERE id = 3", "DELETE FROM wide WHERE id = 3 AND c100 = 'hundred'"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""; 4], [4, 0, 0]));
    assert_eq!(
        trap.same("SELECT id, c1, c62, c63, c64, c65, c70, c71, c100, c129 FROM wide"),
        [
            "1, 1, 62, 63, 64, 65, \"seventy\", 71, 100, 129",
            "2, 1, 62, \"a\", \"b\", \"c\", 70, 71, 100, \"last\"",
            "4, \"first\", 62, 63, 64, 65, \"seventy\", 71, 100, \"last\""
        ]
    );
}

/// Rows that are older than a column do not hold it; the hook tells its default.
#[test]
fn columns_that_came_later_are_what_rows_without_them_show() {
    let mut trap = Trap::new(&[
        "CREATE TABLE late(id INTEGER PRIMARY KEY, a)",
        "INSERT INTO late VALUES (1, 'one'), (2, 'two'), (3, 'three')",
        "ALTER TABLE late ADD COLUMN k TEXT NOT NULL DEFAULT 'k'",
        "ALTER TABLE late ADD COLUMN n",
        "ALTER TABLE late ADD COLUMN g AS (k || id)",
    ]);
    let ran = trap.parallel(&[
        &["UPDATE late SET a = 'ONE' WHERE id = 1"],
        &["UPDATE late SET k = 'k', n = NULL WHERE id = 2"],
        &["UPDATE late SET k = 'other' WHERE id = 3"],
        &["INSERT INTO late(id) VALUES (4)"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""; 4], [4, 0, 0]));
    let rows = [
        "1, \"ONE\", \"k\", NULL, \"k1\"",
        "2, \"two\", \"k\", NULL, \"k2\"",
        "3, \"three\", \"other\", NULL, \"other3\"",
        "4, NULL, \"k\", NULL, \"k4\"",
    ];
    assert_eq!(trap.same("SELECT * FROM late"), rows);
}

#[test]
fn values_are_applied_as_they_were_written() {
    let mut trap = Trap::new(&[
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v, n NUMERIC, r REAL, i INT, s TEXT, b BLOB)",
        "INSERT INTO t(id) VALUES (1), (2), (3), (4)",
    ]);
    let ran = trap.parallel(&[
        &["INSERT INTO t VALUES (10, -0.0, '1e3', 5, '7', 8, 'bytes?')"],
        &["INSERT INTO t VALUES (11, 9007199254740993, 9007199254740993.0, 9007199254740993, 1e300, 0.1 + 0.2, x'00ff')"],
        &["INSERT INTO t VALUES (12, 'nul' || char(0) || 'inside', ' 12 ', 1e999, -1e999, char(0), zeroblob(5000))"],
        &["INSERT INTO t VALUES (13, -9223372036854775808, x'31', '', 'x', NULL, '')"],
        &["UPDATE t SET v = 1.0, n = 1.0, r = 1, i = 1.5, s = 1.0 WHERE id = 1"],
        &["UPDATE t SET v = 1e999 - 1e999, b = CAST('text' AS BLOB) WHERE id = 2"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""; 6], [6, 0, 0]));
    trap.same("SELECT id, typeof(v), typeof(n), typeof(r), typeof(i), typeof(s), typeof(b), v, s, b FROM t");
    // 1, 1.0 and '1' are one number and three values.
    for value in ["1", "1.0", "'1'", "x'31'", "NULL", "0.0", "-0.0", "0"] {
        let ran = trap.parallel(&[&[&format!("UPDATE t SET v = {value}, b = {value} WHERE id = 3")]]);
        assert_eq!(ran.fared(), [1, 0, 0]);
        trap.same("SELECT v, b, quote(v), quote(b), typeof(v), typeof(b) FROM t WHERE id = 3");
    }
}

/// It is told as bytes, and text it must stay.
#[test]
fn text_that_is_not_utf8_stays_text() {
    let bad = "CAST(x'ff41' AS TEXT)";
    let mut trap = Trap::new(&[
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE named(name TEXT PRIMARY KEY, v) WITHOUT ROWID",
        "INSERT INTO t VALUES (1, 'good')",
        &format!("INSERT INTO named VALUES ({bad}, 1)"),
    ]);
    let ran = trap.parallel(&[
        &[&format!("INSERT INTO t VALUES (2, {bad})")],
        &[&format!("UPDATE t SET v = {bad} WHERE id = 1")],
        &["UPDATE named SET v = 2"],
        &["INSERT INTO t VALUES (3, char(55296))"],
        &["INSERT INTO named VALUES ('x' || char(57343), 3)"],
        &["INSERT INTO t VALUES (4, x'ff41')"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""; 6], [1, 1, 4]));
    let types = ["1, \"text\"", "2, \"text\"", "3, \"text\"", "4, \"blob\""];
    assert_eq!(trap.same("SELECT id, typeof(v) FROM t"), types);
    assert_eq!(trap.same("SELECT typeof(name), v FROM named ORDER BY v"), ["\"text\", 2", "\"text\", 3"]);
}

/// SQLite empties the table at once, and tells of no row, if nobody listens when the statement is compiled.
#[test]
fn delete_without_where_tells_every_row() {
    let mut trap = Trap::new(&[
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE log(what)",
        "CREATE TABLE pairs(a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE INDEX t_v ON t(v)",
        "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)",
        "INSERT INTO log VALUES ('a'), ('b')",
        "INSERT INTO pairs VALUES ('a', 'x'), ('b', 'x')",
    ]);
    for _ in 0..2 {
        let ran = trap.parallel(&[
            &["DELETE FROM t"],
            &["DELETE FROM log"],
            &["DELETE FROM pairs", "INSERT INTO pairs VALUES ('c', 'x')"],
            &["INSERT INTO t VALUES (3, 33), (4, 44)"],
            &["SELECT count(*) FROM log"],
        ]);
        assert_eq!(ran.codes(), [""; 5]);
        assert_eq!(ran.fared(), [3, 2, 0]);
        assert_eq!(ran.rows(4), ["0"]);
        trap.direct(&[&["INSERT INTO log VALUES ('c')"]]);
    }
    assert_eq!(trap.same("SELECT * FROM t"), ["3, 33", "4, 44"]);
    assert_eq!(trap.same("SELECT * FROM pairs"), ["\"c\", \"x\""]);
    assert_eq!(trap.parallel(&[&["DELETE FROM t"]]).changes(0), [2]);
}

#[test]
fn more_rows_than_are_carried_over_are_changed_in_their_turn() {
    let fill = "INSERT INTO many WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 12000) SELECT i, i FROM n";
    let mut trap =
        Trap::new(&["CREATE TABLE many(id INTEGER PRIMARY KEY, v)", "CREATE TABLE t(id INTEGER PRIMARY KEY)"]);
    for (script, count) in [(fill, 12_000), ("UPDATE many SET v = v + 1", 12_000), ("DELETE FROM many", 12_000)] {
        let ran = trap.parallel(&[&[script], &["INSERT INTO t VALUES (1)", "DELETE FROM t"]]);
        assert_eq!((ran.codes(), ran.fared()), (vec!["", ""], [1, 0, 1]), "{script}");
        assert_eq!(ran.changes(0), [count]);
    }
}

#[test]
fn expression_and_partial_unique_indexes_hold_between_transactions_that_ran_beside_each_other() {
    let mut trap = Trap::new(&[
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, active INT, v INT)",
        "CREATE UNIQUE INDEX t_name ON t(lower(name))",
        "CREATE UNIQUE INDEX t_active ON t(v) WHERE active",
        "INSERT INTO t VALUES (1, 'Ann', 1, 10), (2, 'Bob', 0, 10), (3, 'Cid', 0, 30)",
    ]);
    for (scripts, codes) in [
        ([&["INSERT INTO t VALUES (4, 'Dan', 0, 0)"][..], &["INSERT INTO t VALUES (5, 'DAN', 0, 0)"]], ["", "23505"]),
        ([&["UPDATE t SET name = 'x' WHERE id = 1"], &["INSERT INTO t VALUES (6, 'ANN', 0, 0)"]], ["", ""]),
        ([&["INSERT INTO t VALUES (7, 'g', 1, 30)"], &["UPDATE t SET active = 1 WHERE id = 3"]], ["", "23505"]),
        ([&["UPDATE t SET active = 0 WHERE id = 1"], &["UPDATE t SET active = 1 WHERE id = 2"]], ["", ""]),
        ([&["DELETE FROM t WHERE id = 2"], &["INSERT INTO t VALUES (8, 'bob', 1, 10)"]], ["", ""]),
    ] {
        let ran = trap.parallel(&scripts);
        assert_eq!((ran.codes().as_slice(), ran.fared()), (codes.as_slice(), [1, 1, 0]), "{scripts:?}");
    }
    assert_eq!(trap.same("SELECT id FROM t INDEXED BY t_active WHERE active ORDER BY v"), ["8", "7"]);
    assert_eq!(trap.same("SELECT id FROM t INDEXED BY t_name ORDER BY lower(name)"), ["6", "8", "3", "4", "7", "1"]);
}

/// They buffer until COMMIT: what is captured of them is not all.
#[test]
fn full_text_tables_are_written_and_read_in_their_turn() {
    let mut trap = Trap::new(&[
        "CREATE VIRTUAL TABLE docs USING fts5(body)",
        "CREATE TABLE pages(id INTEGER PRIMARY KEY, body TEXT)",
        "CREATE TABLE t(id INTEGER PRIMARY KEY)",
        "CREATE VIRTUAL TABLE words USING fts5(body, content='pages', content_rowid='id')",
        "CREATE TRIGGER indexed AFTER INSERT ON pages BEGIN INSERT INTO words(rowid, body) VALUES (new.id, new.body); END",
    ]);
    let ran = trap.parallel(&[
        &["INSERT INTO t VALUES (1)"],
        &["INSERT INTO docs VALUES ('one word'), ('another one')"],
        &["INSERT INTO docs VALUES ('third word')", "DELETE FROM docs WHERE docs MATCH 'another'"],
        &["INSERT INTO pages VALUES (1, 'a page of words')"],
        &["SELECT count(*) FROM docs WHERE docs MATCH 'word'"],
        &["INSERT INTO t VALUES (2)"],
    ]);
    assert_eq!(ran.codes(), [""; 6]);
    // The first comes before all of them; whatever else there is comes after something that is not understood.
    assert_eq!(ran.fared.applied, 1);
    assert_eq!(ran.rows(4), ["2"]);
    assert_eq!(trap.same("SELECT rowid FROM docs WHERE docs MATCH 'one OR third' ORDER BY rowid"), ["1", "3"]);
    assert_eq!(trap.same("SELECT rowid FROM words WHERE words MATCH 'page'"), ["1"]);
    // Also where one stands first.
    for script in
        [&["INSERT INTO docs VALUES ('x')"][..], &["INSERT INTO pages VALUES (2, 'x')"], &["SELECT * FROM docs"]]
    {
        assert_eq!(trap.parallel(&[script]).fared(), [0, 0, 1], "{script:?}");
    }
}

/// The plan says that all of them are independent, which is what a rule says that lies.
#[test]
fn whoever_meets_the_rows_of_another_runs_after_it_in_the_plans_order() {
    let mut trap = Trap::new(&[
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v INT)",
        "CREATE TABLE copies(id INTEGER PRIMARY KEY, v INT)",
        "INSERT INTO t VALUES (1, 10), (2, 20), (3, 30), (4, 40), (5, 50)",
    ]);
    let ran = trap.parallel(&[
        &["UPDATE t SET v = v + 1 WHERE id = 1 RETURNING v"],
        // Reads what the first wrote.
        &["INSERT INTO copies SELECT id, v FROM t WHERE id = 1 RETURNING v"],
        // Meets nobody that was applied, but one that waits.
        &["SELECT v FROM copies WHERE id = 1"],
        &["UPDATE t SET v = v * 2 WHERE id = 3 RETURNING v"],
        // Reads nothing of the second's, and is in its way.
        &["INSERT INTO copies VALUES (2, 0) RETURNING v"],
        &["UPDATE t SET v = 7 WHERE id = 4 RETURNING v"],
        &["SELECT sum(v) FROM t"],
        // Meets the sum, which waits.
        &["UPDATE t SET v = 8 WHERE id = 5 RETURNING v"],
        &["UPDATE t SET v = v + 1 WHERE id = 1 RETURNING v"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""; 9], [3, 6, 0]));
    let answers: Vec<String> = (0..9).flat_map(|position| ran.rows(position)).collect();
    assert_eq!(answers, ["11", "11", "11", "60", "0", "7", "148", "8", "12"]);
    assert_eq!(trap.same("SELECT v FROM t"), ["12", "20", "60", "7", "8"]);
}

/// A statement that reads, as SQLite sees it, and draws from a sequence.
#[test]
fn a_select_that_draws_from_a_sequence_is_captured() {
    let mut trap = Trap::new(&["CREATE TABLE t(id INTEGER PRIMARY KEY)"]).alone();
    trap.direct(&[&["INSERT INTO evesql_sequences VALUES (7, 1, 0, 1, 1, 1000, 0), (8, 1, 0, 5, 1, 1000, 0)"]]);
    let ran = trap.parallel(&[
        &["SELECT evesql_nextval(7)"],
        &["SELECT evesql_nextval(8)"],
        &["SELECT evesql_nextval(7), evesql_nextval(7)"],
        &["SELECT evesql_setval(8, 100)"],
        &["INSERT INTO t VALUES (evesql_nextval(8))"],
    ]);
    assert_eq!((ran.codes(), ran.fared()), (vec![""; 5], [2, 3, 0]));
    assert_eq!(ran.rows(2), ["2, 3"]);
    assert_eq!(trap.ours("SELECT id FROM t"), ["105"]);
    assert_eq!(trap.ours("SELECT oid, last_value FROM evesql_sequences ORDER BY oid"), ["7, 3", "8, 105"]);
}
