//! What rules say of transactions that the planner is to group: looked up once for a text, and bound to parameters.

use crate::footprint::Footprint;
use crate::mixer::rules::{Found, RuleSet, Statement, TEXT_BYTES_MAX};
use crate::replica::{Kind, Learned};
use crate::transaction::{Operation, Transaction, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// Texts of which it is remembered what rules say; one more, and all are forgotten.
const TEXTS_MAX: usize = 4_096;

/// What the rules say of statements, by their texts.
#[derive(Default)]
pub(super) struct Hints {
    found: HashMap<Arc<str>, Found>,
}

impl Hints {
    /// What rules say that a transaction touches; none if they say nothing of it.
    pub fn refine(&mut self, rules: &RuleSet, transaction: &Transaction, learned: &Learned) -> Option<Footprint> {
        if rules.is_empty() {
            return None;
        }
        let nothing = Found::default();
        let found = self.find(rules, transaction, &nothing);
        if found.iter().all(|found| found.is_nothing()) {
            return None;
        }
        let footprints = |transaction: &Transaction, kind: Option<&Kind>| kind?.footprints(transaction);
        let footprints = learned.look(std::slice::from_ref(transaction), footprints).pop()??;
        let parameters = statements(transaction).map(|statement| statement.parameters.as_slice());
        let steps: Vec<Statement<'_>> = found
            .into_iter()
            .zip(parameters.zip(&footprints))
            .map(|(found, (parameters, footprint))| Statement { found, parameters, footprint })
            .collect();
        let schema = learned.schema(&transaction.database);
        let keys = |table: &str, columns: &[(&str, &Value)]| schema.as_ref()?.extent(table, columns);
        rules.refine(&steps, &keys).map(|refined| refined.footprint)
    }

    /// What rules say of each statement; of one that is several for SQLite they say `nothing`.
    fn find<'a>(&'a mut self, rules: &RuleSet, transaction: &Transaction, nothing: &'a Found) -> Vec<&'a Found> {
        if self.found.len() >= TEXTS_MAX {
            self.found.clear();
        }
        for text in statements(transaction).filter_map(text) {
            match self.found.get_mut(text) {
                Some(found) if rules.is_current(found) => {}
                Some(found) => *found = rules.find(text),
                None => drop(self.found.insert(text.clone(), rules.find(text))),
            }
        }
        let known = |statement| text(statement).and_then(|text| self.found.get(text)).unwrap_or(nothing);
        statements(transaction).map(known).collect()
    }
}

/// Its statements, in order.
pub(super) fn statements(transaction: &Transaction) -> impl Iterator<Item = &crate::transaction::Statement> {
    transaction.operations.iter().filter_map(|operation| match operation {
        Operation::Statement(statement) => Some(statement),
        _ => None,
    })
}

/// The text that rules may say something of.
fn text(statement: &crate::transaction::Statement) -> Option<&Arc<str>> {
    match statement.sql.as_slice() {
        [text] if text.len() <= TEXT_BYTES_MAX => Some(text),
        _ => None,
    }
}
