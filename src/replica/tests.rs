//! Stories of one replica and of two that must agree.

use super::*;
use crate::batch::{Batch, Group, Plan};
use crate::page_store::Replacement;
use crate::transaction::*;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) fn replica() -> Replica {
    Replica::create(Options::default()).unwrap()
}

pub(super) fn log_id(index: u64) -> LogId {
    LogId { term: 1, leader: 1, index }
}

fn statement(sql: &str) -> Statement {
    Statement { sql: vec![sql.into()], ..Statement::default() }
}

/// A one-shot transaction of these statements, with a fresh id.
pub(super) fn transaction(replica: &Replica, statements: &[&str]) -> Transaction {
    static SEQUENCE: AtomicU64 = AtomicU64::new(0);
    let operations = statements.iter().map(|sql| Operation::Statement(statement(sql))).collect();
    Transaction {
        id: TransactionId { incarnation: 1, session: 1, sequence: SEQUENCE.fetch_add(1, Ordering::Relaxed) },
        database: "evesql".into(),
        catalog: replica.newest_version().databases["evesql"].catalog.version,
        begun: None,
        expires_at_index: 500,
        operations,
    }
}

pub(super) fn batch(transactions: Vec<Transaction>) -> Batch {
    Batch {
        timestamp_us: 1_000_000,
        seed: 42,
        engine: Hash::default(),
        accepted: Accepted::default(),
        transactions,
        plan: Plan::default(),
    }
}

fn execute(replica: &mut Replica, index: u64, transactions: Vec<Transaction>) -> Executed {
    replica.execute(log_id(index), &batch(transactions), &Mode::Planned).unwrap()
}

/// Runs one transaction of these statements and returns its outcome.
pub(super) fn run(replica: &mut Replica, statements: &[&str]) -> Outcome {
    let index = replica.newest().log_id.index + 1;
    let transaction = transaction(replica, statements);
    execute(replica, index, vec![transaction]).outcomes.remove(0)
}

fn last_rows(outcome: &Outcome) -> Vec<Vec<Value>> {
    match outcome {
        Outcome::Committed(answers) => answers.last().unwrap().rows.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn code(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed { error, .. } => error.code(),
        other => panic!("{other:?}"),
    }
}

fn integers(numbers: &[i64]) -> Vec<Vec<Value>> {
    vec![numbers.iter().map(|number| Value::Integer(*number)).collect()]
}

#[test]
fn new_replicas_have_one_root_and_the_same_batches_keep_it_one() {
    let (mut a, mut b) = (replica(), replica());
    assert_eq!(a.newest(), b.newest());
    for statements in [
        &["CREATE TABLE t(a INTEGER PRIMARY KEY, b)", "INSERT INTO t VALUES (1, random())"][..],
        &["INSERT INTO t SELECT a + 1, hex(randomblob(8)) FROM t"],
        &["SELECT * FROM t"],
    ] {
        let transactions = vec![transaction(&a, statements)];
        let index = a.newest().log_id.index + 1;
        assert_eq!(execute(&mut a, index, transactions.clone()), execute(&mut b, index, transactions));
    }
}

#[test]
fn a_failed_statement_undoes_its_transaction_alone() {
    let mut replica = replica();
    run(&mut replica, &["CREATE TABLE t(a UNIQUE)"]);
    let transactions = vec![
        transaction(&replica, &["INSERT INTO t VALUES (1)"]),
        transaction(&replica, &["INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (1)"]),
        transaction(&replica, &["INSERT INTO t VALUES (3)"]),
    ];
    let outcomes = execute(&mut replica, 2, transactions).outcomes;
    assert!(matches!(&outcomes[1], Outcome::Failed { operation: 1, error } if error.code() == "23505"));
    assert_eq!(last_rows(&run(&mut replica, &["SELECT count(*), sum(a) FROM t"])), integers(&[2, 4]));
}

#[test]
fn what_rolls_the_group_back_fails_alone() {
    let mut replica = replica();
    run(
        &mut replica,
        &[
            "CREATE TABLE t(a)",
            "CREATE TRIGGER g BEFORE INSERT ON t WHEN new.a < 0 BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
        ],
    );
    let transactions: Vec<Transaction> = ["(1)", "(-1)", "(2)", "(-2)", "(3)"]
        .iter()
        .map(|values| transaction(&replica, &[&format!("INSERT INTO t VALUES {values}")]))
        .collect();
    let ids: Vec<TransactionId> = transactions.iter().map(|transaction| transaction.id).collect();
    let outcomes = execute(&mut replica, 2, transactions.clone()).outcomes;
    let committed: Vec<bool> = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Committed(_))).collect();
    assert_eq!(committed, [true, false, true, false, true]);
    assert_eq!(last_rows(&run(&mut replica, &["SELECT count(*), sum(a) FROM t"])), integers(&[3, 6]));
    // Each of them counts as executed exactly once.
    let again = execute(&mut replica, 9, transactions).outcomes;
    assert_eq!(again, vec![Outcome::AlreadyDone; ids.len()]);
}

#[test]
fn an_interactive_transaction_commits_only_if_it_would_see_the_same() {
    let mut replica = replica();
    run(&mut replica, &["CREATE TABLE t(a)", "INSERT INTO t VALUES (1)"]);
    let seen =
        match run(&mut replica, &["SELECT a FROM t", "INSERT INTO t VALUES (1)", "DELETE FROM t WHERE rowid = 2"]) {
            Outcome::Committed(answers) => answers,
            other => panic!("{other:?}"),
        };
    let mut interactive = transaction(&replica, &["SELECT a FROM t", "INSERT INTO t VALUES (5)"]);
    interactive.begun = Some(Begun { timestamp_us: 7, seed: 8 });
    for (operation, answer) in interactive.operations.iter_mut().zip(&seen) {
        let Operation::Statement(statement) = operation else { unreachable!() };
        statement.seen = Some(answer.digest());
    }
    let mut late = interactive.clone();
    late.id.sequence = u64::MAX;
    let outcomes = execute(&mut replica, 9, vec![interactive, late]).outcomes;
    assert!(matches!(outcomes[0], Outcome::Committed(_)), "{:?}", outcomes[0]);
    assert_eq!(outcomes[1], Outcome::Conflict { operation: 0, place: Some((0, 0)) });
    assert_eq!(last_rows(&run(&mut replica, &["SELECT count(*) FROM t"])), integers(&[2]));
}

#[test]
fn an_error_that_the_client_saw_and_rolled_back_is_no_end() {
    let mut replica = replica();
    run(&mut replica, &["CREATE TABLE t(a UNIQUE)", "INSERT INTO t VALUES (1)"]);
    let Outcome::Failed { error, .. } = run(&mut replica, &["INSERT INTO t VALUES (1)"]) else { panic!() };
    let mut interactive = transaction(&replica, &[]);
    interactive.begun = Some(Begun { timestamp_us: 7, seed: 8 });
    let failing = Statement { seen: Some(error.digest()), ..statement("INSERT INTO t VALUES (1)") };
    interactive.operations = vec![
        Operation::Statement(statement("INSERT INTO t VALUES (2)")),
        Operation::Savepoint("SAVEPOINT s".into()),
        Operation::Statement(statement("INSERT INTO t VALUES (3)")),
        Operation::Statement(failing),
        Operation::Savepoint("ROLLBACK TO s".into()),
        Operation::Savepoint("RELEASE s".into()),
    ];
    let outcome = execute(&mut replica, 9, vec![interactive]).outcomes.remove(0);
    assert!(matches!(&outcome, Outcome::Committed(answers) if answers.len() == 3), "{outcome:?}");
    assert_eq!(last_rows(&run(&mut replica, &["SELECT count(*), max(a) FROM t"])), integers(&[2, 2]));
}

#[test]
fn deferred_foreign_keys_are_asked_for_at_the_end_of_each_transaction() {
    let mut replica = replica();
    run(
        &mut replica,
        &["CREATE TABLE p(id INTEGER PRIMARY KEY)", "CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED)"],
    );
    let bad = transaction(&replica, &["INSERT INTO c VALUES (1)"]);
    let good = transaction(&replica, &["INSERT INTO c VALUES (2)", "INSERT INTO p VALUES (2)"]);
    let outcomes = execute(&mut replica, 9, vec![bad, good]).outcomes;
    assert_eq!(code(&outcomes[0]), "23503");
    assert!(matches!(outcomes[1], Outcome::Committed(_)));
}

#[test]
fn nothing_is_executed_twice_or_after_its_time() {
    let mut replica = replica();
    run(&mut replica, &["CREATE TABLE t(a)"]);
    let first = transaction(&replica, &["INSERT INTO t VALUES (1)"]);
    let executed = execute(&mut replica, 2, vec![first.clone(), first.clone()]);
    assert!(matches!(executed.outcomes[0], Outcome::Committed(_)));
    assert_eq!(executed.outcomes[1], Outcome::AlreadyDone);
    let version = replica.newest();
    // Rolled back, it is not done; executed again, it is; restarted, it still is.
    replica.roll_back(1).unwrap();
    assert_eq!(execute(&mut replica, 2, vec![first.clone(), first.clone()]), executed);
    assert_eq!(replica.newest(), version);
    let snapshots = replica.at(2).unwrap().databases.into_iter().map(|(name, v)| (name, v.snapshot)).collect();
    let mut reopened = Replica::over(Options::default(), snapshots, version).unwrap();
    assert_eq!(execute(&mut reopened, 3, vec![first]).outcomes, [Outcome::AlreadyDone]);

    let mut late = transaction(&reopened, &["SELECT 1"]);
    late.expires_at_index = 9;
    assert_eq!(execute(&mut reopened, 10, vec![late.clone()]).outcomes, [Outcome::Expired]);
    late.expires_at_index = 12 + ONCE_WINDOW;
    assert_eq!(execute(&mut reopened, 11, vec![late]).outcomes, [Outcome::Expired]);
}

#[test]
fn the_once_table_forgets_what_is_older_than_its_window() {
    let mut replica = replica();
    run(&mut replica, &["CREATE TABLE t(a)"]);
    let mut first = transaction(&replica, &["INSERT INTO t VALUES (1)"]);
    execute(&mut replica, 2, vec![first.clone()]);
    first.expires_at_index = 2 + ONCE_WINDOW;
    let executed = execute(&mut replica, 2 + ONCE_WINDOW, vec![first.clone()]);
    assert_eq!(executed.outcomes, [Outcome::AlreadyDone]);
    let mut other = transaction(&replica, &["SELECT 1"]);
    other.expires_at_index = 5000;
    execute(&mut replica, 4500, vec![other]);
    let snapshot = replica.at(4500).unwrap().databases["evesql"].snapshot.clone();
    let mut reader = engine::Connection::view(&snapshot, engine::Options::default()).unwrap();
    let rows = reader.query("SELECT count(*) FROM evesql_once WHERE log_index = 4500", &[]).unwrap();
    assert_eq!(rows, integers(&[1]));
}

#[test]
fn a_statement_for_another_catalog_is_stale() {
    let mut replica = replica();
    let put = "INSERT INTO evesql_catalog VALUES(0, 'counters', '{\"next_oid\":16385}')";
    let first = transaction(&replica, &["CREATE TABLE t(a)", put]);
    let second = transaction(&replica, &["SELECT 1"]);
    let outcomes = execute(&mut replica, 1, vec![first, second.clone()]).outcomes;
    assert!(matches!(outcomes[0], Outcome::Committed(_)), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Stale);
    // Translated again it comes under the same id.
    let again = Transaction { catalog: transaction(&replica, &[]).catalog, ..second };
    assert!(matches!(execute(&mut replica, 2, vec![again]).outcomes[0], Outcome::Committed(_)));
    // A change of the catalog that fails leaves the old one.
    let before = transaction(&replica, &[]).catalog;
    run(&mut replica, &["UPDATE evesql_catalog SET definition = '{\"next_oid\":16386}'", "SELECT nosuch"]);
    assert_eq!(transaction(&replica, &[]).catalog, before);
}

#[test]
fn identity_numbers_are_drawn_in_plan_order() {
    let mut replica = replica();
    run(&mut replica, &["CREATE TABLE t(id, x)", "INSERT INTO evesql_sequences VALUES (9, 1, 0, 1, 1, 1000, 0)"]);
    let insert = "INSERT INTO t VALUES (evesql_nextval(9), 0) RETURNING id";
    let fails = transaction(&replica, &[insert, "SELECT nosuch"]);
    let transactions = vec![transaction(&replica, &[insert]), fails, transaction(&replica, &[insert, insert])];
    let outcomes = execute(&mut replica, 2, transactions).outcomes;
    assert_eq!(last_rows(&outcomes[0]), integers(&[1]));
    assert_eq!(last_rows(&outcomes[2]), integers(&[3]));
}

#[test]
fn copy_runs_one_statement_for_each_row() {
    let mut replica = replica();
    run(&mut replica, &["CREATE TABLE t(a, b)"]);
    let mut copy = transaction(&replica, &[]);
    let rows = (0..50).map(|n| vec![Value::Integer(n), Value::Text("x".into())]).collect();
    copy.operations =
        vec![Operation::Statement(Statement { rows: Some(rows), ..statement("INSERT INTO t VALUES (?1, ?2)") })];
    let outcome = execute(&mut replica, 2, vec![copy]).outcomes.remove(0);
    assert!(matches!(&outcome, Outcome::Committed(answers) if answers[0].changes == 50), "{outcome:?}");
}

#[test]
fn replay_gives_the_same_answers_and_leaves_out_what_is_void() {
    let (mut a, mut b) = (replica(), replica());
    for replica in [&mut a, &mut b] {
        run(replica, &["CREATE TABLE t(a UNIQUE)"]);
    }
    let mut planned = batch((0..6).map(|n| transaction(&a, &[&format!("INSERT INTO t VALUES ({})", n / 2)])).collect());
    planned.plan.groups =
        vec![Group { parallel: vec![4], direct: vec![0, 0, 99] }, Group { parallel: vec![], direct: vec![1, 2] }];
    let first = a.execute(log_id(2), &planned, &Mode::Planned).unwrap();
    let replayed = b.execute(log_id(2), &planned, &Mode::Replay { void: vec![] }).unwrap();
    assert_eq!(first.outcomes, replayed.outcomes);
    a.roll_back(1).unwrap();
    let replayed = a.execute(log_id(2), &planned, &Mode::Replay { void: vec![0, 1] }).unwrap();
    assert_eq!(replayed.outcomes[0], Outcome::Void);
    assert!(matches!(replayed.outcomes[2], Outcome::Committed(_)));
    // A void transaction is done with.
    assert_eq!(execute(&mut a, 3, vec![planned.transactions[0].clone()]).outcomes, [Outcome::AlreadyDone]);
}

#[test]
fn rolling_back_forgets_schema_and_databases_made_since() {
    let mut replica = replica();
    run(&mut replica, &["CREATE TABLE t(a)", "INSERT INTO t VALUES (1)"]);
    let root = replica.newest();
    let change =
        |replica: &Replica, operation| Transaction { operations: vec![operation], ..transaction(replica, &[]) };
    let transactions = vec![
        change(&replica, Operation::CreateDatabase("other".into())),
        change(&replica, Operation::DropDatabase("postgres".into())),
        change(&replica, Operation::DropDatabase("evesql".into())),
        transaction(&replica, &["DROP TABLE t", "CREATE TABLE u(b)", "ANALYZE"]),
    ];
    let outcomes = execute(&mut replica, 2, transactions).outcomes;
    assert_eq!(code(&outcomes[2]), "55006");
    let names: Vec<String> = replica.at(2).unwrap().databases.keys().map(|name| name.to_string()).collect();
    assert_eq!(names, ["evesql", "other"]);
    replica.roll_back(1).unwrap();
    assert_eq!(replica.newest(), root);
    let names: Vec<String> = replica.current().unwrap().keys().map(|name| name.to_string()).collect();
    assert_eq!(names, ["evesql", "postgres"]);
    assert_eq!(last_rows(&run(&mut replica, &["SELECT a FROM t"])), integers(&[1]));
    assert_eq!(code(&run(&mut replica, &["SELECT b FROM u"])), "42P01");
}

#[test]
fn readers_get_accepted_versions_only() {
    let mut replica = replica();
    let accepted = replica.accepted();
    run(&mut replica, &["CREATE TABLE t(a)", "INSERT INTO t VALUES (1)"]);
    assert_eq!(accepted.borrow().accepted.log_id.index, 0);
    let newest = replica.newest();
    assert!(replica.accept(&Accepted { root: Hash(1), ..newest }).is_err());
    replica.accept(&newest).unwrap();
    run(&mut replica, &["INSERT INTO t VALUES (2)"]);
    let state = accepted.borrow().clone();
    assert_eq!(state.accepted, newest);
    let count = std::thread::spawn(move || {
        let version = &state.databases["evesql"];
        let mut connection = engine::Connection::view(&version.snapshot, engine::Options::default()).unwrap();
        connection.expect_schema(version.schema).unwrap();
        connection.query("SELECT count(*) FROM t", &[]).unwrap()
    });
    assert_eq!(count.join().unwrap(), integers(&[1]));
    assert!(replica.roll_back(0).is_err(), "what is accepted is never rolled back");
}

#[test]
fn drills_show_in_the_token_or_in_the_scrub() {
    let statements = ["CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT, b)"];
    let run_with = |drill: Option<Drill>| {
        let mut replica = replica();
        let with_id = |(n, transaction): (usize, Transaction)| Transaction {
            id: TransactionId { incarnation: 5, session: 5, sequence: n as u64 },
            ..transaction
        };
        let create = with_id((100, transaction(&replica, &statements)));
        execute(&mut replica, 1, vec![create]);
        let insert = |n: i64| format!("INSERT INTO t(b) VALUES ({n}) RETURNING a");
        let transactions: Vec<Transaction> = (0..3).map(|n| transaction(&replica, &[&insert(n)])).collect();
        let transactions = transactions.into_iter().enumerate().map(with_id);
        if let Some(drill) = drill {
            replica.drill(drill);
        }
        let executed = execute(&mut replica, 2, transactions.collect());
        let damaged = replica.databases["evesql"].damaged_pages();
        (executed.root, executed.answers, damaged)
    };
    let honest = run_with(None);
    assert!(honest.2.is_empty());
    let wrong = run_with(Some(Drill::WrongAnswer { by: 1 }));
    assert!(wrong.0 == honest.0 && wrong.1 != honest.1);
    let misordered = run_with(Some(Drill::Misorder));
    assert!(misordered.0 != honest.0 && misordered.1 != honest.1);
    let flipped = run_with(Some(Drill::FlipBit { page: 1, bit: 77 }));
    assert_eq!((flipped.0, flipped.1, flipped.2), (honest.0, honest.1, vec![2]));
}

/// All pages of a replica's newest version.
fn replacement(right: &Replica) -> BTreeMap<String, Replacement> {
    let whole = |snapshot: Snapshot| {
        let numbers = 1..=snapshot.page_count();
        let pages = numbers.map(|number| (number, Box::new(*snapshot.page(number).unwrap()))).collect();
        Replacement { root: snapshot.root(), page_count: snapshot.page_count(), pages }
    };
    right.newest_snapshots().into_iter().map(|(name, snapshot)| (name, whole(snapshot))).collect()
}

#[test]
fn a_repair_tells_the_rows_that_differed_and_no_others() {
    let (mut right, mut wrong) = (replica(), replica());
    let fill = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300) \
                SELECT i, hex(zeroblob(40)) FROM n";
    for replica in [&mut right, &mut wrong] {
        run(replica, &["CREATE TABLE t(id INTEGER PRIMARY KEY, x)", "CREATE INDEX tx ON t(x)", fill]);
    }
    // Same on the leaf, other on its overflow pages.
    let long = |end: &str| format!("INSERT INTO t VALUES (3000, hex(zeroblob(9000)) || '{end}')");
    let new = "INSERT INTO t VALUES (1000, 'right')";
    run(&mut right, &["UPDATE t SET x = 'right' WHERE id IN (2, 150)", new, &long("right")]);
    // Splits pages: many rows move, and are the same.
    let lengthen = "UPDATE t SET x = x || hex(zeroblob(1500)) WHERE id IN (77, 78)";
    run(&mut wrong, &[lengthen, "INSERT INTO t VALUES (2000, 'wrong')", &long("wrong")]);
    let replaced = wrong.install(&right.newest(), replacement(&right), Some(BTreeMap::new())).unwrap();
    let rows = [2, 77, 78, 150, 1000, 2000, 3000].map(|rowid| format!("evesql.t rowid {rowid}"));
    assert_eq!(replaced.rows, rows);
    let named = |table: &str| replaced.tables.iter().any(|name| name == table);
    assert!(named("evesql.t") && named("evesql.tx") && !replaced.pages.is_empty(), "{replaced:?}");
}

#[test]
fn a_repair_in_parts_tells_the_pages_and_tables_of_all_of_it() {
    let (mut right, mut wrong) = (replica(), replica());
    for (replica, x) in [(&mut right, 1), (&mut wrong, 2)] {
        run(replica, &["CREATE TABLE t(id INTEGER PRIMARY KEY, x)", &format!("INSERT INTO t VALUES (1, {x})")]);
    }
    let mut rest = replacement(&right);
    let all: Vec<_> = rest.values().flat_map(|one| one.pages.iter().map(|(page, _)| *page)).collect();
    let whole = rest["evesql"].clone();
    let late = rest.get_mut("evesql").unwrap().pages.split_off(2);
    let early = std::mem::replace(&mut rest.get_mut("evesql").unwrap().pages, late);
    let parts = BTreeMap::from([("evesql".to_string(), early.iter().map(|(page, _)| *page).collect())]);
    wrong.install_part(BTreeMap::from([("evesql".into(), Replacement { pages: early, ..whole })])).unwrap();
    let replaced = wrong.install(&right.newest(), rest, Some(parts)).unwrap();
    assert_eq!(wrong.newest(), right.newest());
    assert_eq!(replaced.pages, all);
    assert!(replaced.tables.contains(&"evesql.t".to_string()), "{replaced:?}");
    assert_eq!(replaced.rows, Vec::<String>::new(), "the rows that were there before are not known");
}

#[test]
fn a_repaired_replica_has_the_accepted_root_and_goes_on() {
    let (mut right, mut wrong) = (replica(), replica());
    let create = transaction(&right, &["CREATE TABLE t(a INTEGER PRIMARY KEY, b)", "INSERT INTO t VALUES (1, 2)"]);
    let create = vec![
        create,
        Transaction { operations: vec![Operation::CreateDatabase("other".into())], ..transaction(&right, &[]) },
    ];
    execute(&mut right, 1, create.clone());
    wrong.drill(Drill::Misorder);
    let second = vec![transaction(&right, &["INSERT INTO t VALUES (2, 3)"])];
    execute(&mut wrong, 1, vec![create[0].clone()]);
    execute(&mut right, 2, second.clone());
    let target = right.newest();
    assert_ne!(wrong.newest().root, target.root);

    let to = replacement(&right);
    let mut incomplete = to.clone();
    incomplete.remove("other");
    assert!(wrong.install(&target, incomplete, Some(BTreeMap::new())).is_err());
    let replaced = wrong.install(&target, to, Some(BTreeMap::new())).unwrap();
    assert!(replaced.tables.contains(&"evesql.t".to_string()), "{replaced:?}");
    assert!(replaced.rows.contains(&"evesql.t rowid 2".to_string()), "{replaced:?}");
    assert_eq!(wrong.newest(), target);
    let third = vec![second[0].clone(), transaction(&right, &["SELECT sum(b) FROM t"])];
    let executed = execute(&mut right, 3, third.clone());
    assert_eq!(executed.outcomes[0], Outcome::AlreadyDone);
    assert_eq!(execute(&mut wrong, 3, third), executed);
}

/// The rows of a join without ORDER BY go into a table in the order of the plan, so a plan that hangs on the
/// connection's past shows in the root.
#[test]
fn statistics_that_were_rolled_back_leave_no_trace_in_plans() {
    let prepare = [
        "CREATE TABLE x(id INTEGER PRIMARY KEY, k INT)",
        "CREATE TABLE y(id INTEGER PRIMARY KEY, k INT)",
        "CREATE INDEX xk ON x(k)",
        "CREATE INDEX yk ON y(k)",
        "CREATE TABLE joined(a INT, b INT)",
        "INSERT INTO x VALUES (1, 2), (2, 1)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) INSERT INTO y SELECT i, i % 9 FROM n",
        "ANALYZE",
    ];
    let swap = [
        "DELETE FROM y WHERE id > 2",
        "WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n LIMIT 500) INSERT INTO x SELECT i, i % 9 FROM n",
    ];
    let fails = ["ANALYZE", "SELECT nosuch"];
    let join = ["INSERT INTO joined SELECT x.id, y.id FROM x JOIN y ON x.k = y.k"];
    let mut roots = Vec::new();
    let batches = {
        let any = replica();
        [&prepare[..], &swap, &fails, &join].map(|statements| transaction(&any, statements))
    };
    // Once without a restart, once with one after each batch.
    for restarts in [false, true] {
        let mut replica = replica();
        for (number, transaction) in batches.iter().enumerate() {
            execute(&mut replica, number as u64 + 1, vec![transaction.clone()]);
            if restarts {
                let newest = replica.newest();
                let snapshots = replica.newest_snapshots().into_iter().map(|(name, pages)| (name.into(), pages));
                replica = Replica::over(Options::default(), snapshots.collect(), newest).unwrap();
            }
        }
        roots.push(replica.newest().root);
    }
    assert_eq!(roots[0], roots[1]);
}
