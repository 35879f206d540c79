//! `evesql rules explain`, through the program: what is shown, and exit codes with their sentences.

mod harness;

use std::fs;
use std::path::Path;

const SCHEMA: &str = "CREATE TABLE item (i_id int PRIMARY KEY, i_isbn char(13) UNIQUE, i_stock int);
    CREATE TABLE carts (id int PRIMARY KEY);
    CREATE TABLE line (cart int REFERENCES carts (id), item_id int REFERENCES item (i_id), quantity int, PRIMARY KEY (cart, item_id));";

const RULE: &str = "[[rule]]\nname = 'a cart with its items'\nmatch = 'SELECT .. FROM line, item WHERE .. AND cart = $cart'\n\
    reads = ['line(cart = $cart)']\n";

/// Exit code, what is printed, what is said of a failure.
fn explain(arguments: &[&str]) -> (i32, String, String) {
    let output = harness::run(&[&["rules", "explain"], arguments].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn statements_are_explained_with_their_footprints_groups_and_conflicts() {
    let directory = tempfile::tempdir().unwrap();
    let schema = write(directory.path(), "schema.sql", SCHEMA);
    let sql = "UPDATE item SET i_stock = i_stock - 1 WHERE i_id = 5; UPDATE item SET i_stock = 9 WHERE i_id = 6; \
        BEGIN; INSERT INTO line VALUES (1, 5, 2); DELETE FROM line WHERE cart = 2; COMMIT; \
        BEGIN; DELETE FROM item; ROLLBACK";
    let (code, shown, said) = explain(&[sql, "--schema", &schema]);
    assert_eq!((code, said.as_str()), (0, ""), "{shown}");
    assert_eq!(
        shown,
        "\
1: UPDATE item SET i_stock = i_stock - 1 WHERE i_id = 5
   writes item(i_id = 5)
2: UPDATE item SET i_stock = 9 WHERE i_id = 6
   writes item(i_id = 6)
3: INSERT INTO line VALUES (1, 5, 2); DELETE FROM line WHERE cart = 2
   writes line(cart = 1, item_id = 5)
   reads item(i_id = 5)
   reads carts(id = 1)
   writes line(cart = 2)
group 1: 1, 2
group 2: 3
   3 after 1: 3 reads a row of item, 1 writes a row of item
"
    );
}

#[test]
fn two_carts_are_in_one_group_and_two_changes_of_one_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let schema = write(directory.path(), "schema.sql", SCHEMA);
    let sql = "DELETE FROM line WHERE cart = 1; DELETE FROM line WHERE cart = 2; INSERT INTO line VALUES (1, 5, 2); \
        UPDATE line SET quantity = 1 WHERE cart = 1 AND item_id = 6";
    let (code, shown, said) = explain(&[sql, "--schema", &schema]);
    assert_eq!((code, said.as_str()), (0, ""), "{shown}");
    assert!(
        shown.ends_with(
            "\
group 1: 1, 2
group 2: 3, 4
   3 after 1: 3 writes a row of line, 1 writes some rows of line
   4 after 1: 4 writes a row of line, 1 writes some rows of line
"
        ),
        "{shown}"
    );
}

#[test]
fn a_rule_keeps_a_reader_of_items_and_a_change_of_one_in_one_group() {
    let directory = tempfile::tempdir().unwrap();
    let schema = write(directory.path(), "schema.sql", SCHEMA);
    let rules = write(directory.path(), "rules.toml", RULE);
    let sql = "SELECT quantity, i_stock FROM line, item WHERE item_id = i_id AND cart = 1; \
        UPDATE item SET i_stock = 1 WHERE i_id = 5; DELETE FROM line WHERE cart = 1";
    let (_, shown, _) = explain(&[sql, "--schema", &schema]);
    assert!(shown.contains("group 2: 2, 3\n"), "{shown}");
    let (code, shown, said) = explain(&[sql, "--schema", &schema, "--rules", &rules]);
    assert_eq!((code, said.as_str()), (0, ""), "{shown}");
    assert!(shown.contains("by `a cart with its items`: reads some rows of line\n"), "{shown}");
    assert!(shown.contains("group 1: 1, 2\ngroup 2: 3\n"), "what derivation names and what a rule names meet: {shown}");
}

#[test]
fn the_examples_beside_the_rules_are_what_is_printed() {
    let document = fs::read_to_string("sql-mixer-rules/README.md").unwrap();
    let sql = "SELECT scl_qty, i_title FROM shopping_cart_line, item WHERE scl_i_id = i_id AND scl_sc_id = 1; \
        UPDATE item SET i_stock = 9 WHERE i_id = 5; DELETE FROM shopping_cart_line WHERE scl_sc_id = 2";
    for rules in [&[][..], &["--rules", "sql-mixer-rules"]] {
        let (_, shown, said) = explain(&[&[sql, "--schema", "testdata/rules/tpcw.sql"], rules].concat());
        assert!(!shown.is_empty() && document.contains(&shown), "{said}{shown}");
    }
}

#[test]
fn tables_may_be_made_by_the_statements_before() {
    let (code, shown, said) = explain(&["CREATE TABLE t (a int PRIMARY KEY); DELETE FROM t WHERE a = 1"]);
    assert_eq!((code, said.as_str()), (0, ""), "{shown}");
    assert!(shown.contains("everything: a change of the schema runs in its turn"), "{shown}");
    assert!(shown.contains("writes t(a = 1)"), "{shown}");
}

#[test]
fn a_sequence_is_told_by_its_name() {
    let sql = "CREATE TABLE t (id serial PRIMARY KEY, a int); CREATE SEQUENCE other; INSERT INTO t (a) VALUES (1); \
        SELECT setval('other', 5)";
    let (code, shown, said) = explain(&[sql]);
    assert_eq!((code, said.as_str()), (0, ""), "{shown}");
    assert!(shown.contains("   draws from sequence t_id_seq\n"), "{shown}");
    assert!(shown.contains("   writes sequence other\n"), "{shown}");
    assert!(!shown.contains("oid = "), "{shown}");
}

#[test]
fn what_cannot_be_explained_is_said_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let schema = write(directory.path(), "schema.sql", SCHEMA);
    let wrong = write(directory.path(), "wrong.toml", "[[rule]]\nname = 'x'\n");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["DELETE FROM item"], 1, "give the file that makes the tables with --schema"),
        (&["DELETE FROM nosuch", "--schema", &schema], 1, "correct it, or make the table in the schema's file"),
        (&["SELECT 1; DELETE FRM item", "--schema", &schema], 1, "correct the statement"),
        (&["SELECT nosuch FROM item", "--schema", &schema], 1, "column \"nosuch\" does not exist; correct it"),
        (&["EXECUTE x"], 1, "what EXECUTE runs is not known here; write the statement itself"),
        (&[" ; "], 2, "there is nothing to explain"),
        (&["BEGIN; DELETE FROM item; ROLLBACK"], 2, "there is nothing to explain"),
        (&["SELECT 1", "--schema", "nosuch.sql"], 2, "cannot use the schema in nosuch.sql"),
        (&["SELECT 1", "--rules", "nosuch"], 2, "cannot read the rules in nosuch"),
        (&["SELECT 1", "--rules", &wrong], 2, "wrong.toml:2:8: this rule matches nothing"),
        (&[], 2, "Usage: evesql rules explain"),
    ];
    for (arguments, expected, words) in cases {
        let (code, shown, said) = explain(arguments);
        assert_eq!((code, shown.as_str()), (*expected, ""), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert!(arguments.is_empty() || said.trim_end().lines().count() == 1, "{arguments:?}: {said}");
    }
}
