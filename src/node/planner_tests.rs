//! Rules change the groups of a plan, and only where they say something.

use super::*;
use crate::engine::{Connection, Options};
use crate::node::hints::statements;
use crate::node::rules::SharedRules;
use crate::transaction::{Operation, Statement, TransactionId, Value};

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v, w)";
const BY_KEY: &str = "UPDATE t SET v = 0 WHERE id = ?1";
const BY_OTHER: &str = "UPDATE t SET v = v + 1 WHERE w = ?1";

/// Transactions of sessions of their own, each one statement with one parameter.
fn transactions(statements: &[(&str, i64)]) -> Vec<Transaction> {
    let transaction = |(session, (sql, parameter)): (u64, &(&str, i64))| Transaction {
        id: TransactionId { incarnation: 1, session, sequence: 1 },
        database: "evesql".into(),
        catalog: Default::default(),
        begun: None,
        expires_at_index: 100,
        operations: vec![Operation::Statement(Statement {
            sql: vec![(*sql).into()],
            parameters: vec![Value::Integer(*parameter)],
            ..Statement::default()
        })],
    };
    (0..).zip(statements).map(transaction).collect()
}

/// A planner that has learned these transactions.
fn planner(transactions: &[Transaction], rules: &SharedRules) -> Planner {
    let mut connection = Connection::in_memory(Options::default()).unwrap();
    connection.control(TABLE).unwrap();
    let schema = Arc::new(connection.footprint_schema().unwrap());
    let learned = Arc::new(Learned::default());
    for transaction in transactions {
        let texts = statements(transaction).flat_map(|statement| &statement.sql);
        let templates = texts.map(|text| connection.template(text, &schema)).collect();
        learned.teach(transaction, schema.clone(), templates);
    }
    Planner::new(learned, 2, RunAhead::Always, rules.clone())
}

fn groups(plan: &Plan) -> Vec<&[u32]> {
    plan.groups.iter().map(|group| group.parallel.as_slice()).collect()
}

#[test]
fn a_rule_merges_two_groups_into_one_as_long_as_it_is_in_force() {
    let all = transactions(&[(BY_OTHER, 5), (BY_OTHER, 6)]);
    let rules = SharedRules::default();
    let mut planner = planner(&all, &rules);
    assert_eq!(groups(&planner.plan(&all)), [&[0u32][..], &[1]]);
    rules.set("[[rule]]\nname = 'seldom'\nmatch = 'UPDATE t SET v = v + 1 WHERE w = $1'\nindependent = true\n");
    assert_eq!(groups(&planner.plan(&all)), [&[0u32, 1][..]]);
    rules.set("[[rule]]\nname = 'of others'\nmatch = 'DELETE FROM t WHERE w = $1'\nindependent = true\n");
    assert_eq!(groups(&planner.plan(&all)), [&[0u32][..], &[1]]);
}

#[test]
fn a_rule_names_a_row_by_its_key_as_derivation_does() {
    let rules = SharedRules::default();
    rules.set("[[rule]]\nname = 'its row'\nmatch = 'UPDATE t SET v = v + 1 WHERE w = $1'\nwrites = ['t(id = $1)']\n");
    for (rows, expected) in [((5, 5), vec![&[0u32][..], &[1]]), ((5, 6), vec![&[0, 1][..]])] {
        let all = transactions(&[(BY_KEY, rows.0), (BY_OTHER, rows.1)]);
        assert_eq!(groups(&planner(&all, &rules).plan(&all)), expected, "{rows:?}");
    }
}

#[test]
fn a_rule_says_nothing_of_those_that_run_in_their_turn() {
    let all = transactions(&[(BY_OTHER, 1), ("DELETE FROM t WHERE w = ?1", 2), (BY_KEY, 3)]);
    let rules = SharedRules::default();
    rules.set("[[rule]]\nname = 'all'\nmatch = 'DELETE FROM t WHERE w = $1'\nindependent = true\n");
    // The second one's kind is unknown: it runs in its turn, after all with which it conflicts.
    let known = [all[0].clone(), all[2].clone()];
    let plan = planner(&known, &rules).plan(&all);
    assert_eq!(groups(&plan), [&[0u32][..], &[2]]);
    assert_eq!(plan.groups[1].direct, [1]);
}
