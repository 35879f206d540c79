//! Reading rules, what they match, and what they say then.

use super::*;

fn read_one(text: &str) -> Reading {
    read(&[Source { name: "a.toml", text }], None)
}

fn rules(text: &str) -> RuleSet {
    let reading = read_one(text);
    assert_eq!(reading.findings, []);
    reading.rules.unwrap()
}

fn findings(text: &str) -> Vec<String> {
    read_one(text).findings.iter().map(ToString::to_string).collect()
}

/// Footprints know rows of `item` by i_id; the hash is the number itself.
fn keys(table: &str, columns: &[(&str, &Value)]) -> Option<Extent> {
    match (table, columns) {
        ("item", [("i_id", Value::Integer(id))]) => Some(Extent::Partition(*id as u64)),
        _ => None,
    }
}

/// Statements with their parameters; the derived footprint of each is all of `derived`.
fn refine(rules: &RuleSet, statements: &[(&str, &[Value])]) -> Option<(Footprint, Vec<String>)> {
    let found: Vec<Found> = statements.iter().map(|(sql, _)| rules.find(sql)).collect();
    let derived = Footprint::of(vec![whole("derived", Access::Write)]);
    let statements: Vec<Statement<'_>> = statements
        .iter()
        .zip(&found)
        .map(|((_, parameters), found)| Statement { found, parameters, footprint: &derived })
        .collect();
    let refined = rules.refine(&statements, &keys)?;
    Some((refined.footprint, refined.rules.into_iter().map(str::to_string).collect()))
}

fn whole(table: &str, access: Access) -> Item {
    Item { space: space(table, None), extent: Extent::All, access }
}

fn row(table: &str, key: u64, access: Access) -> Item {
    Item { space: space(table, None), extent: Extent::Partition(key), access }
}

const STOCK: &str = r#"
[[rule]]
name = "stock"
match = "UPDATE item SET i_stock = $1 WHERE i_id = $2"
reads = ["author"]
writes = ["item(i_id = $2)"]
"#;

#[test]
fn a_rule_names_rows_by_the_values_of_the_statement_that_it_matches() {
    let rules = rules(STOCK);
    let wanted = |key| Footprint::of(vec![whole("author", Access::Read), row("item", key, Access::Write)]);
    let translated = "UPDATE item SET i_stock = ?1 WHERE (item.i_id = ?2)";
    let (footprint, used) = refine(&rules, &[(translated, &[Value::Integer(5), Value::Integer(77)])]).unwrap();
    assert_eq!((footprint, used), (wanted(77), vec!["stock".to_string()]));
    let (footprint, _) = refine(&rules, &[("update ITEM set i_stock = 5 where i_id = 78", &[])]).unwrap();
    assert_eq!(footprint, wanted(78));
    assert_eq!(refine(&rules, &[("update item set i_stock = 5 where i_id > 78", &[])]), None);
    assert_eq!(refine(&rules, &[(translated, &[Value::Integer(5)])]), None, "a parameter is missing");
}

#[test]
fn statements_without_a_rule_keep_what_was_derived() {
    let rules = rules(STOCK);
    let update = ("UPDATE item SET i_stock = 1 WHERE i_id = 2", &[][..]);
    let (footprint, used) = refine(&rules, &[("SELECT 1", &[]), update, update]).unwrap();
    let wanted = [whole("author", Access::Read), row("item", 2, Access::Write), whole("derived", Access::Write)];
    assert_eq!(footprint, Footprint::of(wanted.to_vec()));
    assert_eq!(used, ["stock"]);
    let everything = Footprint::everything();
    let (found, nothing) = (rules.find(update.0), Found::default());
    let statement = |found| Statement { found, parameters: &[], footprint: &everything };
    assert!(rules.refine(&[statement(&found), statement(&nothing)], &keys).unwrap().footprint.everything);
    assert!(!rules.refine(&[statement(&found)], &keys).unwrap().footprint.everything);
}

#[test]
fn the_first_rule_that_matches_is_taken_and_those_of_whole_transactions_go_before() {
    let rules = rules(
        r#"
        [[rule]]
        name = "one"
        match = "DELETE FROM line WHERE sc = $1"
        writes = ["line(sc = $1)"]
        [[rule]]
        name = "any"
        match = "DELETE FROM line .."
        writes = ["line"]
        [[rule]]
        name = "both"
        statements = ["DELETE FROM line WHERE sc = $cart", "..", "UPDATE cart SET t = $t WHERE id = $cart"]
        independent = true
        "#,
    );
    let used = |statements: &[&str]| {
        let statements: Vec<(&str, &[Value])> = statements.iter().map(|sql| (*sql, &[][..])).collect();
        refine(&rules, &statements).map(|(_, rules)| rules.join(","))
    };
    let is = |rules: &str| Some(rules.to_string());
    assert_eq!(used(&["delete from line where sc = 1"]), is("one"));
    assert_eq!(used(&["delete from line where qty = 0"]), is("any"));
    let update = "update cart set t = now() where id = 1";
    assert_eq!(used(&["delete from line where sc = 1", "select 1", update]), is("one"), "now() is no value");
    let update = "update cart set t = 5 where id = 1";
    assert_eq!(used(&["delete from line where sc = 1", "select 1", "select 2", update]), is("both"));
    assert_eq!(used(&["delete from line where sc = 1", update]), is("both"));
    assert_eq!(used(&["delete from line where sc = 2", update]), is("one"), "two carts");
    assert_eq!(used(&["delete from line where sc = 1", update, "select 1"]), is("one"));
    let (footprint, _) = refine(&rules, &[("delete from line where sc = 1", &[]), (update, &[])]).unwrap();
    assert_eq!(footprint, Footprint::default());
}

#[test]
fn columns_that_are_no_primary_key_split_a_table_among_its_rules() {
    let rules = rules(
        r#"
        [[rule]]
        name = "a"
        match = "DELETE FROM line WHERE sc = $1"
        writes = ["line(sc = $1)"]
        [[rule]]
        name = "b"
        match = "SELECT .. FROM line WHERE sc = $1"
        reads = ["line(sc = $1)"]
        "#,
    );
    let of = |sql: &str| refine(&rules, &[(sql, &[])]).unwrap().0;
    assert!(of("delete from line where sc = 1").conflicts(&of("select a from line where sc = 1")));
    assert!(!of("delete from line where sc = 1").conflicts(&of("select a from line where sc = 2")));
    assert!(of("delete from line where sc = 1").conflicts(&Footprint::of(vec![whole("line", Access::Read)])));
    assert!(of("delete from line where sc = 1").conflicts(&of("select a from line where sc = 1.0")));
}

#[test]
fn what_was_found_by_other_rules_says_nothing() {
    let (old, new) = (rules(STOCK), rules(&STOCK.replace("author", "country")));
    let found = old.find("UPDATE item SET i_stock = 1 WHERE i_id = 2");
    let derived = Footprint::default();
    let statements = [Statement { found: &found, parameters: &[], footprint: &derived }];
    assert!(old.is_current(&found) && !new.is_current(&found));
    assert!(old.refine(&statements, &keys).is_some());
    assert_eq!(new.refine(&statements, &keys), None);
    assert_eq!(RuleSet::default().refine(&statements, &keys), None);
    let (current, everything) = (new.find("UPDATE item SET i_stock = 1 WHERE i_id = 2"), Footprint::everything());
    let both = [
        Statement { found: &found, parameters: &[], footprint: &everything },
        Statement { found: &current, parameters: &[], footprint: &derived },
    ];
    assert!(new.refine(&both, &keys).unwrap().footprint.everything);
}

#[test]
fn long_and_broken_texts_match_nothing() {
    let rules = rules("[[rule]]\nname = \"a\"\nmatch = \"SELECT ..\"\nindependent = true\n");
    assert!(!rules.find("SELECT 1").is_nothing());
    assert!(rules.find("SELECT 'a").is_nothing());
    assert!(rules.find(&format!("SELECT {}", "1,".repeat(TEXT_BYTES_MAX))).is_nothing());
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let rule = |rest: &str| findings(&format!("[[rule]]\nname = \"a\"\n{rest}\n"));
    let cases: &[(&str, &str)] = &[
        (
            "match = \"SELECT 1\"",
            "a.toml:2:8: this rule says nothing; add reads, writes or appends, or `independent = true`",
        ),
        ("reads = [\"t\"]", "a.toml:2:8: this rule matches nothing; add `match = \"..\"` or `statements = [..]`"),
        ("match = \"SELECT 'x\"\nreads = [\"t\"]", "a.toml:3:9: this is no statement: a quoted string does not end"),
        ("match = \"..\"\nreads = [\"t\"]", "a.toml:3:9: this would match every statement; begin with its first word"),
        ("match = \"\"\nreads = [\"t\"]", "a.toml:3:9: this would match every statement; begin with its first word"),
        (
            "match = \"BEGIN; SELECT 1\"\nreads = [\"t\"]",
            "a.toml:3:9: this is more than one statement; list the statements of a transaction in `statements = [..]`",
        ),
        (
            "statements = []\nreads = [\"t\"]",
            "a.toml:3:14: `statements` is empty; name the transaction's statements in order",
        ),
        (
            "match = \"SELECT 1\"\nstatements = [\"SELECT 1\"]\nreads = [\"t\"]",
            "a.toml:4:14: a rule has either `match` or `statements`, not both",
        ),
        (
            "match = \"SELECT $1\"\nreads = [\"t(a = $2)\"]",
            "a.toml:4:10: `a = $2`: $2 stands in none of the rule's statements",
        ),
        (
            "match = \"SELECT $1\"\nreads = [\"t(a > $1)\"]",
            "a.toml:4:10: `t(a > $1)` should read `table` or `table(column = $1)`",
        ),
        (
            "match = \"SELECT $1\"\nappends = [\"t(a = $1)\"]",
            "a.toml:4:12: appended rows have no key yet; name the table alone",
        ),
        (
            "match = \"SELECT 1\"\nreads = [\"t\"]\nindependent = true",
            "a.toml:5:15: an independent rule touches nothing; leave out reads, writes and appends",
        ),
    ];
    for (written, wanted) in cases {
        assert_eq!(rule(written), [*wanted], "{written}");
    }
    let wrong = findings("[[rule]]\nnane = \"a\"\n");
    assert!(wrong[0].starts_with("a.toml:2:1: unknown field `nane`"), "{wrong:?}");
    let wrong = findings("[[rule]\nname = 'a'\n");
    assert!(wrong[0].starts_with("a.toml:1:"), "{wrong:?}");
    assert_eq!(
        findings("[[rule]]\nmatch = 'SELECT 1'\nreads = ['t']"),
        ["a.toml:1:1: this rule has no name; add `name = \"..\"`"]
    );
    assert!(read_one("[[rule]]\nname = 'a'").rules.is_none());
}

#[test]
fn mistakes_of_several_rules_are_told_together_by_place() {
    let text = "[[rule]]\nname = 'a'\nmatch = 'SELECT 1'\nreads = ['t(', 'u(']\n[[rule]]\nname = 'a'\nmatch = 'SELECT 2'\nreads = ['t']\n";
    let found = findings(text);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("a.toml:4:10:") && found[1].starts_with("a.toml:4:16:"), "{found:?}");
    assert_eq!(found[2], "a.toml:6:8: the rule at a.toml:2:8 has the same name; names are for findings");
}

#[test]
fn a_rule_behind_one_that_matches_all_of_it_is_told() {
    let shadows = |first: &str, second: &str| {
        let rule = |name, matched| format!("[[rule]]\nname = '{name}'\n{matched}\nindependent = true\n");
        let reading = read_one(&format!("{}{}", rule("one", first), rule("two", second)));
        assert!(reading.rules.is_some(), "a warning only: {:?}", reading.findings);
        reading.findings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let told = ["a.toml:6:8: rule `two` is never used: `one` at a.toml:2:8 matches all that it does"];
    for (first, second) in [
        ("match = 'SELECT a FROM t WHERE b = $1'", "match = 'select t.a from t where (b = 5)'"),
        ("match = 'SELECT .. FROM t ..'", "match = 'SELECT a, b FROM t WHERE c = $1'"),
        ("match = 'SELECT .. FROM t ..'", "match = 'SELECT a .. FROM t WHERE .. LIMIT 1'"),
        ("match = 'INSERT INTO t (a) VALUES ($1)'", "match = 'INSERT INTO t (a, b) VALUES ($1, $2)'"),
        ("statements = ['DELETE FROM t', '..']", "statements = ['DELETE FROM t', 'DELETE FROM u']"),
    ] {
        assert_eq!(shadows(first, second), told, "{first}, {second}");
    }
    for (first, second) in [
        ("match = 'SELECT a FROM t WHERE b = $1'", "match = 'SELECT .. FROM t WHERE b = $1'"),
        ("match = 'SELECT a FROM t WHERE b = $1 AND c = $1'", "match = 'SELECT a FROM t WHERE b = $1 AND c = $2'"),
        ("match = 'INSERT INTO t (a, b) VALUES ($1, $2)'", "match = 'INSERT INTO t (a) VALUES ($1)'"),
        ("match = 'DELETE FROM t'", "statements = ['DELETE FROM t']"),
        (
            "statements = ['DELETE FROM t WHERE a = $1', 'DELETE FROM u WHERE a = $1']",
            "statements = ['DELETE FROM t WHERE a = $1', 'DELETE FROM u WHERE a = $2']",
        ),
    ] {
        assert!(shadows(first, second).is_empty(), "{first}, {second}");
    }
}

#[test]
fn unknown_tables_and_columns_are_told_if_the_schema_is_known() {
    let tables = [KnownTable { name: "Item".into(), columns: vec!["i_id".into(), "i_stock".into()] }];
    let text = "[[rule]]\nname = 'a'\nmatch = 'SELECT $1'\nreads = ['item(i_id = $1)', 'items', 'item(id = $1)']\n";
    let reading = read(&[Source { name: "a.toml", text }], Some(&tables));
    let told: Vec<String> = reading.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "a.toml:4:29: there is no table `items`, so this is never touched",
            "a.toml:4:38: table `item` has no column `id`"
        ]
    );
    assert!(reading.error().is_none() && reading.rules.is_some());
    let shadowed = "[[rule]]\nname = 'b'\nmatch = 'SELECT $2'\nreads = ['items']\n";
    let reading = read(&[Source { name: "a.toml", text: &format!("{text}{shadowed}") }], Some(&tables));
    let places: Vec<(u32, u32)> = reading.findings.iter().map(|finding| (finding.line, finding.column)).collect();
    assert_eq!(places, [(4, 29), (4, 38), (6, 8), (8, 10)], "in the order of the file");
}

#[test]
fn files_are_tried_in_the_order_given() {
    let file = |name: &str| format!("[[rule]]\nname = '{name}'\nmatch = 'SELECT {name}'\nindependent = true\n");
    let (one, two) = (file("x"), file("y"));
    let reading = read(&[Source { name: "b", text: &one }, Source { name: "a", text: &two }], None);
    assert_eq!(reading.rules.unwrap().len(), 2);
    let broken = read(&[Source { name: "b", text: &one }, Source { name: "a", text: &one }], None);
    assert_eq!(
        broken.error().unwrap().to_string(),
        "a:2:8: the rule at b:2:8 has the same name; names are for findings"
    );
}
