//! The leader's plan for a batch: what executing taught about its transactions, and what rules say of them, through
//! the mixer.
//!
//! Transactions of one batch run concurrently as far as their clients can tell, so they may take effect in any order
//! that keeps each session's own. The planner takes one in which little has to wait:
//!
//! ```text
//!   those that run ahead and only read, the longest first | those that run ahead and write | those that run in their turn
//! ```
//!
//! Otherwise each writer would end a group: whoever reads its table and comes later must see its rows.
//!
//! Costs nothing where nothing is to be gained: with one core, or while no kind of transaction of the batch is worth
//! running ahead, the plan is the empty one, all direct in order. A parallel part that saves less than it costs runs in
//! its turn as well.

use super::hints::Hints;
use super::rules::SharedRules;
use crate::batch::{Group, Plan};
use crate::config::RunAhead;
use crate::footprint::Footprint;
use crate::mixer::{Candidate, Cost, Limits, Mixer, Mode};
use crate::replica::{Kind, Learned};
use crate::transaction::Transaction;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

/// What a parallel part has to save at least: waking threads, and a version that all views have to read anew.
const SAVED_NS_MIN: u64 = 150_000;

/// Plans batches; keeps the mixer's buffers.
pub struct Planner {
    learned: Arc<Learned>,
    mixer: Mixer,
    when: RunAhead,
    workers: u64,
    limits: Limits,
    everything: Footprint,
    rules: SharedRules,
    hints: Hints,
}

/// What is known of a transaction before it runs.
struct Known {
    /// None if it is not known.
    footprint: Option<Footprint>,
    cost: Cost,
    turn: Turn,
}

/// Which ones take effect first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Runs ahead, and transactions of its kind changed nothing so far; the first of its session.
    Reads,
    /// Runs ahead.
    Ahead,
    /// Runs in its turn.
    Direct,
}

impl Planner {
    /// Plans by what a replica with so many worker threads learns, and by rules, which change while it plans.
    pub fn new(learned: Arc<Learned>, workers: usize, when: RunAhead, rules: SharedRules) -> Self {
        let when = if when == RunAhead::WhenItPays && workers < 2 { RunAhead::Never } else { when };
        Planner {
            learned,
            mixer: Mixer::default(),
            when,
            workers: workers.max(1) as u64,
            limits: Limits::default(),
            everything: Footprint::everything(),
            rules,
            hints: Hints::default(),
        }
    }

    /// A plan for these transactions, which came in this order.
    pub fn plan(&mut self, transactions: &[Transaction]) -> Plan {
        let (rules, learned) = (self.rules.load(), self.learned.clone());
        let mut hints = std::mem::take(&mut self.hints);
        let plan = self.plan_refined(transactions, |position, _| {
            transactions.get(position).and_then(|transaction| hints.refine(&rules, transaction, &learned))
        });
        self.hints = hints;
        plan
    }

    /// As [`Planner::plan`], with other footprints for grouping: `refine` is given the position of a transaction that
    /// is to run ahead, and its sound footprint.
    pub fn plan_refined(
        &mut self,
        transactions: &[Transaction],
        mut refine: impl FnMut(usize, &Footprint) -> Option<Footprint>,
    ) -> Plan {
        if self.when == RunAhead::Never || transactions.len() < 2 {
            return Plan::default();
        }
        let is_worth = |kind: &Kind| runs_ahead(self.when, self.workers, kind);
        let worth = self.learned.look(transactions, |_, kind| kind.is_some_and(is_worth));
        // One alone runs beside nobody.
        if worth.iter().filter(|is_worth| **is_worth).count() < 2 {
            return Plan::default();
        }
        // Of those too that run in their turn: what runs ahead in later groups must not miss their rows.
        let mut known = self.learned.look(transactions, |transaction, kind| know(transaction, kind, is_worth));
        let order = order(transactions, &mut known);
        let mut refined = |(position, known): (usize, &Known)| match known.turn {
            Turn::Direct => None,
            Turn::Reads | Turn::Ahead => refine(position, known.footprint.as_ref()?),
        };
        let refined: Vec<Option<Footprint>> = known.iter().enumerate().map(&mut refined).collect();
        let candidates: Vec<Candidate<'_>> = order
            .iter()
            .map(|position| {
                let (position, known) = (*position as usize, &known[*position as usize]);
                Candidate {
                    footprint: known.footprint.as_ref().unwrap_or(&self.everything),
                    session: session(&transactions[position]),
                    mode: if known.turn == Turn::Direct { Mode::Direct } else { Mode::Parallel },
                    refined: refined[position].as_ref(),
                }
            })
            .collect();
        let mut plan = self.mixer.plan(&candidates, &self.limits);
        for group in &mut plan.groups {
            group.parallel.iter_mut().chain(&mut group.direct).for_each(|place| *place = order[*place as usize]);
        }
        if self.when == RunAhead::Always { plan } else { self.without_poor_parts(plan, &known) }
    }

    /// The same order of effect, without the parallel parts that save too little.
    fn without_poor_parts(&self, plan: Plan, known: &[Known]) -> Plan {
        let mut groups: Vec<Group> = Vec::with_capacity(plan.groups.len());
        for Group { mut parallel, mut direct } in plan.groups {
            if !self.saves(&parallel, known) {
                parallel.append(&mut direct);
                direct = std::mem::take(&mut parallel);
            }
            match groups.last_mut() {
                Some(before) if parallel.is_empty() => before.direct.append(&mut direct),
                _ => groups.push(Group { parallel, direct }),
            }
        }
        // In one group, all in their turn: the order in which they came is as good.
        if groups.iter().all(|group| group.parallel.is_empty()) {
            return Plan::default();
        }
        Plan { groups }
    }

    fn saves(&self, parallel: &[u32], known: &[Known]) -> bool {
        let costs = || parallel.iter().map(|position| known[*position as usize].cost);
        let alone: u64 = costs().map(|cost| cost.run_ns).sum();
        let longest = costs().map(|cost| cost.run_ns).max().unwrap_or(0);
        let applying: u64 = costs().map(|cost| cost.apply_ns).sum();
        alone >= longest.max(alone / self.workers) + applying + SAVED_NS_MIN
    }
}

/// Whether transactions of this kind run ahead, where so many workers share what does.
pub fn runs_ahead(when: RunAhead, workers: u64, kind: &Kind) -> bool {
    match when {
        RunAhead::Never => false,
        RunAhead::WhenItPays => kind.pays_ahead(workers),
        RunAhead::Always => true,
    }
}

fn know(transaction: &Transaction, kind: Option<&Kind>, is_worth: impl Fn(&Kind) -> bool) -> Known {
    let footprint = kind.and_then(|kind| kind.footprint(transaction));
    let turn = match kind.filter(|kind| footprint.is_some() && is_worth(kind)) {
        Some(kind) if kind.changes == 0 => Turn::Reads,
        Some(_) => Turn::Ahead,
        None => Turn::Direct,
    };
    let cost = kind.map(|kind| Cost { run_ns: kind.run_ns, apply_ns: kind.apply_ns() }).unwrap_or_default();
    Known { footprint, cost, turn }
}

/// Positions in the order of effect that is wished for; no session's transactions change places.
fn order(transactions: &[Transaction], known: &mut [Known]) -> Vec<u32> {
    let mut sessions: HashMap<(u64, u64), Turn> = HashMap::with_capacity(transactions.len());
    for (transaction, known) in transactions.iter().zip(&mut *known) {
        let session = (transaction.id.incarnation, transaction.id.session);
        if let Some(before) = sessions.get(&session) {
            known.turn = known.turn.max(*before).max(Turn::Ahead);
        }
        sessions.insert(session, known.turn);
    }
    let mut order: Vec<u32> = (0..transactions.len() as u32).collect();
    // Threads take tasks in this order: the longest first, and none of them is left alone with it at the end.
    order.sort_by_key(|position| {
        let Known { turn, cost, .. } = &known[*position as usize];
        (*turn, Reverse(if *turn == Turn::Reads { cost.run_ns } else { 0 }))
    });
    order
}

/// Hash of incarnation and session.
pub(super) fn session(transaction: &Transaction) -> u64 {
    let id = &transaction.id;
    let bytes = [id.incarnation.to_le_bytes(), id.session.to_le_bytes()].concat();
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod rules_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Hash;
    use crate::transaction::TransactionId;

    fn known(turn: Turn, run_ns: u64) -> Known {
        Known { footprint: Some(Footprint::default()), cost: Cost { run_ns, apply_ns: 1_000 }, turn }
    }

    fn of_session(session: u64, sequence: u64) -> Transaction {
        Transaction {
            id: TransactionId { incarnation: 1, session, sequence },
            database: "evesql".into(),
            catalog: Hash::default(),
            begun: None,
            expires_at_index: 0,
            operations: Vec::new(),
        }
    }

    #[test]
    fn readers_come_first_and_sessions_keep_their_order() {
        use Turn::{Ahead, Direct, Reads};
        let sessions = [1, 2, 3, 1, 2, 4, 3];
        let transactions: Vec<Transaction> = sessions.iter().zip(0..).map(|(s, at)| of_session(*s, at)).collect();
        let mut all: Vec<Known> =
            [(Direct, 1), (Reads, 10), (Ahead, 5), (Reads, 50), (Reads, 90), (Reads, 70), (Direct, 1)]
                .map(|(turn, run_ns)| known(turn, run_ns))
                .into();
        // 3 follows 0 of its session, which runs in its turn; 4 follows 1 of its session.
        assert_eq!(order(&transactions, &mut all), [5, 1, 2, 4, 0, 3, 6]);
        assert_eq!((all[3].turn, all[4].turn), (Direct, Ahead));
    }

    #[test]
    fn a_part_that_saves_too_little_runs_in_its_turn_at_the_same_place() {
        let planner = Planner::new(Arc::default(), 2, RunAhead::WhenItPays, SharedRules::default());
        let all: Vec<Known> =
            [300_000, 300_000, 1, 300_000, 2, 200_000, 300_000, 3].map(|run_ns| known(Turn::Ahead, run_ns)).into();
        let group = |parallel: &[u32], direct: &[u32]| Group { parallel: parallel.into(), direct: direct.into() };
        let plan = Plan { groups: vec![group(&[0, 1], &[2]), group(&[3], &[4]), group(&[5, 6], &[7])] };
        let expected = [group(&[0, 1], &[2, 3, 4]), group(&[5, 6], &[7])];
        assert_eq!(planner.without_poor_parts(plan, &all).groups, expected);
        let plan = Plan { groups: vec![group(&[3], &[4]), group(&[0], &[])] };
        assert_eq!(planner.without_poor_parts(plan, &all), Plan::default());
    }
}
