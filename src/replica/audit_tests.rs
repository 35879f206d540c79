//! Audits of batches that were executed right, and of some that were not.

use super::tests::{batch, log_id, replica, run, transaction};
use super::*;
use crate::batch::{Batch, Group};
use crate::transaction::{Operation, Outcome, Transaction};

/// A batch as it was executed, and the versions around it.
struct Executed {
    batch: Batch,
    mode: Mode,
    log_id: LogId,
    outcomes: Vec<Hash>,
    before: Databases,
    after: Databases,
}

impl Executed {
    fn on(replica: &mut Replica, batch: Batch, mode: Mode) -> Executed {
        let index = replica.newest().log_id.index + 1;
        let before = replica.at(index).unwrap().databases;
        let outcomes = replica.execute(log_id(index), &batch, &mode).unwrap().outcomes;
        let after = replica.at(index).unwrap().databases;
        let outcomes = outcomes.iter().map(Outcome::digest).collect();
        Executed { batch, mode, log_id: log_id(index), outcomes, before, after }
    }

    fn audit(&self) -> Audit {
        let Executed { batch, mode, log_id, outcomes, before, after } = self;
        let subject = Subject { log_id: *log_id, batch, mode, outcomes, before, after };
        audit(&subject, engine::Options::default(), &|| true).unwrap()
    }

    fn found(&self) -> Difference {
        match self.audit() {
            Audit::Differs(difference) => difference,
            other => panic!("{other:?}"),
        }
    }
}

/// A batch with all of these in the parallel part of one group.
fn beside(replica: &Replica, transactions: &[&[&str]]) -> Batch {
    let mut all = batch(transactions.iter().map(|statements| transaction(replica, statements)).collect());
    all.plan.groups = vec![Group { parallel: (0..transactions.len() as u32).collect(), direct: Vec::new() }];
    all
}

/// One with tables of all kinds.
fn furnished() -> Replica {
    let mut replica = replica();
    let outcome = run(
        &mut replica,
        &[
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v, long TEXT)",
            "CREATE INDEX tv ON t(v)",
            "CREATE TABLE named(name TEXT PRIMARY KEY, v)",
            "CREATE TABLE pairs(a TEXT, b INT, v, PRIMARY KEY(a, b)) WITHOUT ROWID",
            "CREATE TABLE log(what)",
            "CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT, v UNIQUE)",
            "CREATE TRIGGER g BEFORE INSERT ON log WHEN new.what = 'no' BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
            "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300) \
             SELECT i, i % 7, hex(zeroblob(i * 20)) FROM n",
        ],
    );
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    replica
}

#[test]
fn what_was_executed_right_audits_clean() {
    let mut replica = furnished();
    let transactions: &[&[&str]] = &[
        &["UPDATE t SET v = 100 WHERE id = 1", "INSERT INTO log VALUES ('a')"],
        &["UPDATE t SET v = v + 1 WHERE id = 1", "INSERT INTO named VALUES ('late', random())"],
        &["INSERT INTO named VALUES ('early', random())", "INSERT INTO log VALUES ('b')"],
        &["DELETE FROM t WHERE id BETWEEN 100 AND 140"],
        &["INSERT INTO counted(v) VALUES (1) RETURNING id"],
        &["INSERT INTO counted(v) VALUES (1) RETURNING id"],
        &["INSERT INTO log VALUES ('no')"],
        &["INSERT INTO pairs VALUES ('x', 1, hex(zeroblob(3000)))", "SELECT nosuch"],
        &["UPDATE t SET long = long || 'end' WHERE id = 299", "SELECT count(*) FROM t"],
        &["INSERT INTO pairs VALUES ('x', 2, hex(randomblob(3000)))"],
    ];
    for _ in 0..3 {
        let mut all = beside(&replica, transactions);
        all.plan.groups[0].parallel.retain(|position| position % 4 != 3);
        all.plan.groups.push(Group { parallel: vec![3, 7], direct: Vec::new() });
        let twice = all.transactions[2].clone();
        all.transactions.push(twice);
        for mode in [Mode::Replay { void: vec![2, 4] }, Mode::Planned] {
            let index = replica.newest().log_id.index;
            let executed = Executed::on(&mut replica, all.clone(), mode);
            assert_eq!(executed.audit(), Audit::Same);
            if executed.mode != Mode::Planned {
                replica.roll_back(index).unwrap();
            }
        }
    }
    let fared = replica.fared();
    assert!(fared.applied > 0 && fared.conflicted > 0 && fared.unfit > 0, "{fared:?}");
}

/// Hidden rowids say in which order rows came, and of a table with a key nobody is told.
#[test]
fn rows_with_a_key_are_the_same_whatever_their_rowids() {
    let mut replica = furnished();
    let transactions: &[&[&str]] = &[
        &["UPDATE t SET v = 100 WHERE id = 1"],
        &["UPDATE t SET v = v + 1 WHERE id = 1", "INSERT INTO named VALUES ('first in the plan', 1)"],
        &["INSERT INTO named VALUES ('applied first', 2)"],
    ];
    let all = beside(&replica, transactions);
    let executed = Executed::on(&mut replica, all, Mode::Planned);
    let sql = "SELECT name FROM named ORDER BY rowid LIMIT 1";
    let mut view = engine::Connection::view(&executed.after["evesql"].snapshot, engine::Options::default()).unwrap();
    let first = view.query(sql, &[]).unwrap();
    if !cfg!(feature = "unsound-footprints") {
        assert_eq!(first, [[crate::transaction::Value::Text("applied first".into())]]);
        assert_eq!(executed.audit(), Audit::Same);
    }
}

#[test]
fn a_false_answer_is_found() {
    let mut replica = furnished();
    let all = beside(&replica, &[&["SELECT 1"], &["SELECT count(*) FROM t"]]);
    let mut executed = Executed::on(&mut replica, all, Mode::Planned);
    assert_eq!(executed.audit(), Audit::Same);
    executed.outcomes[1] = Hash(77);
    let found = executed.found();
    assert_eq!((found.transaction, found.table), (Some(1), None));
    assert!(found.detail.ends_with("one by one it commits, with 1 rows and 0 changes"), "{}", found.detail);
}

#[test]
fn false_rows_are_found_wherever_they_are() {
    let statements: &[&[&str]] = &[&["UPDATE t SET v = 8 WHERE id = 5"], &["INSERT INTO pairs VALUES ('x', 1, 'y')"]];
    let wrongs: &[(&[&str], Option<u32>, &str)] = &[
        // One that the audit changes, and one each that it does not.
        (&["UPDATE t SET v = 9 WHERE id = 5"], Some(0), "evesql.t"),
        (&["UPDATE t SET v = 8 WHERE id = 6"], Some(0), "evesql.t"),
        (&["INSERT INTO log VALUES ('lost')"], None, "evesql.log"),
        (&["DELETE FROM t WHERE id = 77"], None, "evesql.t"),
        (&["UPDATE pairs SET v = 'z'"], Some(1), "evesql.pairs"),
        (&["INSERT INTO pairs VALUES ('x', 3, 'y')"], None, "evesql.pairs"),
    ];
    for (wrong, transaction_found, table) in wrongs {
        let mut replica = furnished();
        let all = beside(&replica, statements);
        let mut executed = Executed::on(&mut replica, all.clone(), Mode::Planned);
        assert_eq!(executed.audit(), Audit::Same);
        replica.roll_back(1).unwrap();
        let mut more = all;
        // In one batch with the others: all that is noted of them is the same.
        let extra = Transaction { id: more.transactions[1].id, ..transaction(&replica, wrong) };
        let place = if *transaction_found == Some(0) { 0 } else { 1 };
        match transaction_found {
            Some(0) => more.transactions[0].operations = extra.operations,
            _ => more.transactions[1].operations.extend(extra.operations),
        }
        assert!(more.transactions[place].operations.iter().all(|one| matches!(one, Operation::Statement(_))));
        executed.after = Executed::on(&mut replica, more, Mode::Planned).after;
        let found = executed.found();
        assert_eq!((found.transaction, found.table.as_deref()), (*transaction_found, Some(*table)), "{found:?}");
    }
}

#[test]
fn a_row_that_differs_behind_its_page_is_found() {
    let mut replica = furnished();
    let update = |end: &str| format!("UPDATE t SET long = substr(long, 1, length(long) - 3) || '{end}' WHERE id = 299");
    let all = beside(&replica, &[&[&update("one")]]);
    let mut executed = Executed::on(&mut replica, all.clone(), Mode::Planned);
    replica.roll_back(1).unwrap();
    let mut other = all;
    other.transactions[0].operations = transaction(&replica, &[&update("two")]).operations;
    executed.after = Executed::on(&mut replica, other, Mode::Planned).after;
    let found = executed.found();
    assert_eq!((found.transaction, found.table.as_deref()), (Some(0), Some("evesql.t")));
}

/// The case that no vote can see. Without the feature the second transaction meets the row that the first one writes,
/// and runs after it.
#[test]
fn an_unsound_footprint_is_found() {
    let mut replica = furnished();
    let transactions: &[&[&str]] = &[
        &["UPDATE t SET v = 1000 WHERE id = 1"],
        &["INSERT INTO named SELECT 'copy', v FROM t WHERE id = 1", "SELECT v FROM t WHERE id = 1"],
    ];
    let all = beside(&replica, transactions);
    let executed = Executed::on(&mut replica, all, Mode::Planned);
    if cfg!(feature = "unsound-footprints") {
        assert_eq!(replica.fared().applied, 2);
        let found = executed.found();
        assert_eq!((found.transaction, found.table.as_deref()), (Some(1), Some("evesql.named")));
        assert!(found.detail.contains("('copy', 1) in the accepted version, and ('copy', 1000)"), "{}", found.detail);
    } else {
        assert_eq!(replica.fared().conflicted, 1);
        assert_eq!(executed.audit(), Audit::Same);
    }
}

/// Changes of a schema, each beside transactions that run ahead; what they leave is compared by name.
#[test]
fn changes_of_a_schema_audit_clean() {
    let changes: &[&[&str]] = &[
        &["CREATE TABLE u(a INTEGER PRIMARY KEY, b)", "INSERT INTO u SELECT id, v FROM t WHERE id < 50"],
        &["ALTER TABLE named ADD COLUMN more DEFAULT 5", "UPDATE named SET more = 6"],
        &["ALTER TABLE named RENAME COLUMN more TO less", "INSERT INTO named VALUES ('renamed', 1, 2)"],
        &["CREATE UNIQUE INDEX un ON named(v, name)", "CREATE INDEX tl ON t(long)"],
        &["CREATE UNIQUE INDEX broken ON t(v)"],
        &["CREATE TABLE lost(a)", "INSERT INTO log VALUES ('no')"],
        &["CREATE TABLE copy AS SELECT * FROM t", "DROP TABLE u"],
        &["CREATE VIEW seen AS SELECT count(*) AS c FROM t", "ALTER TABLE copy RENAME TO copied"],
        &["DROP TABLE pairs", "CREATE TABLE pairs(b TEXT, a INT, v, PRIMARY KEY(a, b)) WITHOUT ROWID", "ANALYZE"],
        &["DROP INDEX tl", "ALTER TABLE t DROP COLUMN long"],
    ];
    let mut replica = furnished();
    for (round, statements) in (0..).zip(changes) {
        let insert = |what: &str| format!("INSERT INTO named(name, v) VALUES ('{what} {round}', random())");
        let update = format!("UPDATE t SET v = {round} WHERE id BETWEEN 60 AND 90");
        let mut all = beside(
            &replica,
            &[
                &["UPDATE t SET v = 100 WHERE id = 1"],
                // It meets that, so its row comes after the next one's: in another order than one by one.
                &["UPDATE t SET v = v + 1 WHERE id = 1", &insert("first in the plan")],
                &[&insert("applied first")],
                statements,
                &["INSERT INTO log VALUES ('late')", &update],
            ],
        );
        changing_schema(&mut all.transactions[3]);
        all.plan.groups =
            vec![Group { parallel: vec![0, 1, 2], direct: vec![3] }, Group { parallel: vec![4], direct: Vec::new() }];
        let executed = Executed::on(&mut replica, all, Mode::Planned);
        assert_eq!(executed.audit(), Audit::Same, "{statements:?}");
    }
    let mut view = engine::Connection::view(
        &replica.at(u64::MAX).unwrap().databases["evesql"].snapshot,
        engine::Options::default(),
    )
    .unwrap();
    let sql = "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema ORDER BY name) \
               WHERE name IN ('u', 'broken', 'lost', 'copied', 'seen', 'un', 'tl')";
    let names = view.query(sql, &[]).unwrap();
    assert_eq!(names, [[crate::transaction::Value::Text("copied seen un".into())]], "the changes were made");
}

/// Also where the group runs again without one that ended it: those before the change are for the catalog before it.
#[test]
fn a_change_of_a_schema_in_a_group_that_was_lost_audits_clean() {
    let mut replica = furnished();
    let put = "INSERT INTO evesql_catalog VALUES(0, 'counters', '{\"next_oid\":16385}')";
    let mut all =
        beside(&replica, &[&["UPDATE t SET v = 9"], &["CREATE TABLE u(a)", put], &["INSERT INTO log VALUES ('no')"]]);
    changing_schema(&mut all.transactions[1]);
    all.plan = Default::default();
    let last = all.transactions.pop().unwrap();
    let changed = Executed::on(&mut replica, all.clone(), Mode::Planned).after;
    replica.roll_back(1).unwrap();
    all.transactions.push(Transaction { catalog: changed["evesql"].catalog.version, ..last });
    let executed = Executed::on(&mut replica, all, Mode::Planned);
    assert_eq!(executed.outcomes[0], Outcome::Committed(vec![answer_of_changes(300)]).digest());
    assert_ne!(executed.outcomes[2], Outcome::Stale.digest());
    assert_eq!(executed.audit(), Audit::Same);
}

fn answer_of_changes(changes: u64) -> crate::transaction::Answer {
    crate::transaction::Answer { changes, ..Default::default() }
}

fn changing_schema(transaction: &mut Transaction) {
    if let Operation::Statement(statement) = &mut transaction.operations[0] {
        statement.changes_schema = true;
    }
}

#[test]
fn a_false_definition_is_found() {
    let cases = [
        (["CREATE INDEX i ON t(v)", "CREATE INDEX i ON t(v, id)"], "evesql.i", "(v, id)' in the accepted"),
        (["CREATE TABLE u(a)", "CREATE TABLE u(a INT) STRICT"], "evesql.u", "' in the accepted version, and 'CREATE"),
        (["CREATE TABLE u(a)", "CREATE TABLE w(a)"], "evesql.u", "is not there in the accepted version, and 'CREATE"),
        (["DROP TABLE log", "DROP INDEX tv"], "evesql.g", "is 'CREATE TRIGGER g"),
    ];
    for ([right, wrong], table, words) in cases {
        let mut replica = furnished();
        let of = |replica: &Replica, sql: &str| {
            let mut all = beside(replica, &[&[sql]]);
            changing_schema(&mut all.transactions[0]);
            all
        };
        let all = of(&replica, right);
        let mut executed = Executed::on(&mut replica, all.clone(), Mode::Planned);
        assert_eq!(executed.audit(), Audit::Same, "{right}");
        replica.roll_back(1).unwrap();
        let mut other = of(&replica, wrong);
        other.transactions[0].id = all.transactions[0].id;
        executed.after = Executed::on(&mut replica, other, Mode::Planned).after;
        let found = executed.found();
        assert_eq!((found.transaction, found.table.as_deref()), (None, Some(table)), "{found:?}");
        assert!(found.detail.contains(words), "{}", found.detail);
    }
}

#[test]
fn what_changes_the_list_of_databases_or_has_no_time_is_skipped() {
    let mut replica = furnished();
    let mut create = beside(&replica, &[&["SELECT 1"]]);
    create.transactions[0].operations = vec![Operation::CreateDatabase("more".into())];
    let audit_of_it = Executed::on(&mut replica, create, Mode::Planned).audit();
    assert_eq!(audit_of_it, Audit::Skipped("it changes the list of databases"));
    let all = beside(&replica, &[&["SELECT 1"]]);
    let Executed { batch, mode, log_id, outcomes, before, after } = Executed::on(&mut replica, all, Mode::Planned);
    let subject = Subject { log_id, batch: &batch, mode: &mode, outcomes: &outcomes, before: &before, after: &after };
    let audit = audit(&subject, engine::Options::default(), &|| false).unwrap();
    assert_eq!(audit, Audit::Skipped("it was asked to end"));
}
