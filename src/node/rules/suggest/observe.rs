//! First pass over the log: what conflicts by derivation and what really, and what kinds of transactions cost.

use super::SuggestError;
use super::stored::{Stored, StoredBatch, run_as_accepted};
use crate::config::RunAhead;
use crate::mixer::rules::written;
use crate::mixer::suggest::{Description, Seen, SeenStatement, Tally};
use crate::node::hints::statements;
use crate::node::planner::{runs_ahead, session};
use crate::replica::{Kind, Learn, Learned, Traced, TracedStatement};
use crate::token::Mode;
use crate::transaction::{Statement, Transaction};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Kinds that are told apart, and statements that rules are written for; more are passed over.
const KINDS_MAX: usize = 4_096;
/// Texts of which the statement is remembered; one more, and all are forgotten.
const TEXTS_MAX: usize = 16_384;

/// What was seen.
pub(super) struct Observed {
    pub tally: Tally,
    /// By number: a text of it, and how a rule says it.
    pub statements: Vec<(Arc<str>, Description)>,
    /// Kinds that would run ahead.
    pub worth: BTreeSet<u64>,
    pub learned: Arc<Learned>,
    pub counts: Counts,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub batches: u64,
    pub transactions: u64,
    /// Transactions that cannot run ahead, whatever rules say.
    pub unfit: u64,
    /// Batches that ran one by one.
    pub replayed: u64,
    /// Batches whose result the log tells.
    pub compared: u64,
}

/// Runs all batches.
pub(super) fn observe(
    stored: &Stored,
    workers: usize,
    run_ahead: RunAhead,
    progress: &mut dyn FnMut(f64),
) -> Result<Observed, SuggestError> {
    let mut replica = stored.replica(workers, Learn::Footprints)?;
    let mut observer = Observer::default();
    let (first, last) = (stored.first(), stored.last());
    stored.batches(|batch| {
        let traced = replica.trace(batch.log_id.index, batch.batch)?;
        observer.note(batch, &traced);
        observer.counts.compared += u64::from(run_as_accepted(&mut replica, batch)?);
        progress((batch.log_id.index - first) as f64 / (last - first).max(1) as f64);
        Ok(())
    })?;
    let learned = replica.learned();
    let is_worth = |kind: &Kind| runs_ahead(run_ahead, workers as u64, kind);
    let mut worth = BTreeSet::new();
    for (number, transaction) in &observer.samples {
        let would_run = |transaction: &Transaction, kind: Option<&Kind>| {
            kind.is_some_and(|kind| is_worth(kind) && kind.footprint(transaction).is_some())
        };
        if learned.look(std::slice::from_ref(transaction), would_run) == [true] {
            worth.insert(*number);
        }
    }
    let Observer { tally, statements, counts, .. } = observer;
    Ok(Observed { tally, statements, worth, learned, counts })
}

#[derive(Default)]
struct Observer {
    tally: Tally,
    statements: Vec<(Arc<str>, Description)>,
    /// Numbers of statements by their shape, and by their texts.
    shapes: HashMap<u64, u32>,
    texts: HashMap<Arc<str>, Option<u32>>,
    /// A transaction of each kind.
    samples: BTreeMap<u64, Transaction>,
    counts: Counts,
}

impl Observer {
    fn note(&mut self, stored: &StoredBatch<'_>, traced: &[Option<Traced>]) {
        let transactions = &stored.batch.transactions;
        self.counts.batches += 1;
        self.counts.transactions += transactions.len() as u64;
        self.counts.replayed += u64::from(stored.mode != Mode::Planned);
        let mut known: Vec<(&Traced, &Transaction, Vec<Option<u32>>)> = Vec::with_capacity(traced.len());
        for (transaction, traced) in transactions.iter().zip(traced) {
            let Some(traced) = traced.as_ref().filter(|traced| self.knows(traced.kind, transaction)) else {
                self.counts.unfit += 1;
                continue;
            };
            let numbers = self.numbers(transaction, traced);
            known.push((traced, transaction, numbers));
        }
        // As the planner does: those that only read take effect first.
        known.sort_by_key(|(traced, ..)| traced.writes());
        let statements: Vec<Vec<SeenStatement<'_>>> =
            known.iter().map(|(traced, _, numbers)| seen_statements(traced, numbers)).collect();
        let seen: Vec<Seen<'_>> = known
            .iter()
            .zip(&statements)
            .map(|((traced, transaction, _), statements)| Seen {
                kind: traced.kind,
                session: session(transaction),
                statements,
                footprint: &traced.footprint,
                changes: &traced.changes,
            })
            .collect();
        self.tally.add(stored.log_id.index, &seen);
    }

    fn knows(&mut self, kind: u64, transaction: &Transaction) -> bool {
        if !self.samples.contains_key(&kind) {
            if self.samples.len() >= KINDS_MAX {
                return false;
            }
            self.samples.insert(kind, transaction.clone());
        }
        true
    }

    /// The numbers of its statements.
    fn numbers(&mut self, transaction: &Transaction, traced: &Traced) -> Vec<Option<u32>> {
        let both = statements(transaction).zip(&traced.statements);
        let number = |(statement, traced): (&Statement, &TracedStatement)| {
            let ([text], Some(template)) = (statement.sql.as_slice(), &traced.template) else { return None };
            if let Some(number) = self.texts.get(text) {
                return *number;
            }
            let number = written(text).and_then(|written| {
                let next = self.statements.len();
                let number = match self.shapes.get(&written.shape) {
                    Some(number) => *number,
                    None if next >= KINDS_MAX => return None,
                    None => next as u32,
                };
                if number as usize == next {
                    self.shapes.insert(written.shape, number);
                    self.statements.push((text.clone(), Description { written, template: template.clone() }));
                }
                Some(number)
            });
            if self.texts.len() >= TEXTS_MAX {
                self.texts.clear();
            }
            self.texts.insert(text.clone(), number);
            number
        };
        both.map(number).collect()
    }
}

fn seen_statements<'a>(traced: &'a Traced, numbers: &[Option<u32>]) -> Vec<SeenStatement<'a>> {
    let pairs = traced.statements.iter().zip(numbers);
    pairs.map(|(traced, number)| SeenStatement { statement: *number, footprint: &traced.footprint }).collect()
}
