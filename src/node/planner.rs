//! The leader's plan for a batch: what executing taught about its transactions, through the mixer.
//!
//! Costs nothing where nothing is to be gained: with one core, or while no kind of transaction of the batch is worth
//! running ahead, the plan is the empty one, all direct in order.

use crate::batch::Plan;
use crate::config::RunAhead;
use crate::footprint::Footprint;
use crate::mixer::{Candidate, Limits, Mixer, Mode};
use crate::replica::{Kind, Learned};
use crate::transaction::Transaction;
use std::sync::Arc;

/// Plans batches; keeps the mixer's buffers.
pub struct Planner {
    learned: Arc<Learned>,
    mixer: Mixer,
    when: RunAhead,
    limits: Limits,
    everything: Footprint,
}

impl Planner {
    /// Plans by what a replica with so many worker threads learns.
    pub fn new(learned: Arc<Learned>, workers: usize, when: RunAhead) -> Self {
        let when = if when == RunAhead::WhenItPays && workers < 2 { RunAhead::Never } else { when };
        Planner {
            learned,
            mixer: Mixer::default(),
            when,
            limits: Limits::default(),
            everything: Footprint::everything(),
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
        // Those that run in their turn: their footprints matter only to those that run ahead in later groups.
        let direct = self.learned.look(transactions, |transaction, kind| kind.and_then(|k| k.footprint(transaction)));
        let candidates: Vec<Candidate<'_>> = transactions
            .iter()
            .zip(footprints.iter().zip(&direct))
            .map(|(transaction, (ahead, direct))| Candidate {
                footprint: ahead.as_ref().or(direct.as_ref()).unwrap_or(&self.everything),
                session: session(transaction),
                mode: if ahead.is_some() { Mode::Parallel } else { Mode::Direct },
                refined: None,
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
