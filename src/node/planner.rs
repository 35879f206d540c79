//! The leader's plan for a batch: what executing taught about its transactions, and what rules say of them, through
//! the mixer.
//!
//! Costs nothing where nothing is to be gained: with one core, or while no kind of transaction of the batch is worth
//! running ahead, the plan is the empty one, all direct in order.

use super::rules::SharedRules;
use crate::batch::Plan;
use crate::config::RunAhead;
use crate::footprint::Footprint;
use crate::mixer::rules::{Found, RuleSet, Statement, TEXT_BYTES_MAX};
use crate::mixer::{Candidate, Limits, Mixer, Mode};
use crate::replica::{Kind, Learned};
use crate::transaction::{Operation, Transaction, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// Texts of which it is remembered what rules say; one more, and all are forgotten.
const TEXTS_MAX: usize = 4_096;

/// Plans batches; keeps the mixer's buffers.
pub struct Planner {
    learned: Arc<Learned>,
    mixer: Mixer,
    when: RunAhead,
    limits: Limits,
    everything: Footprint,
    rules: SharedRules,
    hints: Hints,
}

/// What is known of a transaction.
#[derive(Default)]
struct Known {
    footprint: Option<Footprint>,
    refined: Option<Footprint>,
}

impl Planner {
    /// Plans by what a replica with so many worker threads learns, and by rules, which change while it plans.
    pub fn new(learned: Arc<Learned>, workers: usize, when: RunAhead, rules: SharedRules) -> Self {
        let when = if when == RunAhead::WhenItPays && workers < 2 { RunAhead::Never } else { when };
        Planner {
            learned,
            mixer: Mixer::default(),
            when,
            limits: Limits::default(),
            everything: Footprint::everything(),
            rules,
            hints: Hints::default(),
        }
    }

    /// A plan for these transactions, in the order in which they came.
    pub fn plan(&mut self, transactions: &[Transaction]) -> Plan {
        if self.when == RunAhead::Never || transactions.len() < 2 {
            return Plan::default();
        }
        let always = self.when == RunAhead::Always;
        let worth = |kind: Option<&Kind>| kind.is_some_and(|kind| always || kind.pays_ahead());
        let mut count = 0;
        let footprints = self.learned.look(transactions, |transaction, kind| {
            let footprint = kind.filter(|kind| worth(Some(kind))).and_then(|kind| kind.footprint(transaction));
            count += usize::from(footprint.is_some());
            footprint
        });
        // One alone runs beside nobody.
        if count < 2 {
            return Plan::default();
        }
        let rules = self.rules.load();
        let mut ahead = footprints.iter();
        let known = self.learned.look(transactions, |transaction, kind| {
            let Some(kind) = kind else {
                ahead.next();
                return Known::default();
            };
            match ahead.next() {
                Some(Some(_)) => {
                    let refined = self.hints.refine(&rules, transaction, kind, &self.learned);
                    Known { footprint: None, refined }
                }
                // It runs in its turn: its footprint matters only to those that run ahead in later groups.
                _ => Known { footprint: kind.footprint(transaction), refined: None },
            }
        });
        let candidates: Vec<Candidate<'_>> = transactions
            .iter()
            .zip(footprints.iter().zip(&known))
            .map(|(transaction, (ahead, known))| Candidate {
                footprint: ahead.as_ref().or(known.footprint.as_ref()).unwrap_or(&self.everything),
                session: session(transaction),
                mode: if ahead.is_some() { Mode::Parallel } else { Mode::Direct },
                refined: known.refined.as_ref(),
            })
            .collect();
        self.mixer.plan(&candidates, &self.limits)
    }
}

fn session(transaction: &Transaction) -> u64 {
    let id = &transaction.id;
    let bytes = [id.incarnation.to_le_bytes(), id.session.to_le_bytes()].concat();
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

/// What the rules say of statements, by their texts.
#[derive(Default)]
struct Hints {
    found: HashMap<Arc<str>, Found>,
}

impl Hints {
    /// What rules say that a transaction touches; none if they say nothing of it.
    fn refine(
        &mut self,
        rules: &RuleSet,
        transaction: &Transaction,
        kind: &Kind,
        learned: &Learned,
    ) -> Option<Footprint> {
        if rules.is_empty() {
            return None;
        }
        let nothing = Found::default();
        let found = self.find(rules, transaction, &nothing);
        if found.iter().all(|found| found.is_nothing()) {
            return None;
        }
        let footprints = kind.footprints(transaction)?;
        let parameters = statements(transaction).map(|statement| statement.parameters.as_slice());
        let steps: Vec<Statement<'_>> = found
            .into_iter()
            .zip(parameters.zip(&footprints))
            .map(|(found, (parameters, footprint))| Statement { found, parameters, footprint })
            .collect();
        let schema = learned.schema(&transaction.database);
        let keys = |table: &str, columns: &[(&str, &Value)]| schema.as_ref()?.row_key(table, columns);
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

fn statements(transaction: &Transaction) -> impl Iterator<Item = &crate::transaction::Statement> {
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

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
