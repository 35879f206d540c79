//! Second pass over the log: what plans make of it by derivation alone, and what rules bring over that.

use super::SuggestError;
use super::observe::Observed;
use super::stored::{Stored, run_as_accepted};
use crate::batch::{Batch, Plan};
use crate::config::RunAhead;
use crate::mixer::rules::RuleSet;
use crate::mixer::{Cost, time_ns_min};
use crate::node::hints::Hints;
use crate::node::planner::Planner;
use crate::node::rules::SharedRules;
use crate::replica::{Kind, Learn, Learned};
use crate::token::Mode;
use crate::transaction::Transaction;

/// Plans of all batches by some rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub name: &'static str,
    pub groups: u64,
    /// Transactions in parallel parts.
    pub ahead: u64,
    /// Parallel parts.
    pub parts: u64,
    /// Transactions in the largest one.
    pub width: u64,
    /// Time of all transactions one after the other, and that of the plans on so many cores at least, with what runs
    /// twice.
    alone_ns: u64,
    planned_ns: u64,
    /// Transactions that ran ahead for nothing.
    pub again: u64,
}

impl Line {
    /// How many times faster than one thread the plans can be at most.
    pub fn speed_up_max(&self) -> f64 {
        if self.planned_ns == 0 { 1.0 } else { self.alone_ns as f64 / self.planned_ns as f64 }
    }

    fn add(&mut self, plan: &Plan, costs: &[Cost], cores: u32) {
        self.groups += plan.groups.len().max(1) as u64;
        for group in &plan.groups {
            let width = group.parallel.len() as u64;
            self.ahead += width;
            self.parts += u64::from(width > 0);
            self.width = self.width.max(width);
        }
        self.alone_ns += costs.iter().map(|cost| cost.run_ns).sum::<u64>();
        self.planned_ns += time_ns_min(plan, costs, cores);
    }

    /// These ran ahead for nothing: they run in their turn as well, and nothing of them is applied.
    fn add_again(&mut self, positions: &[u32], costs: &[Cost]) {
        self.again += positions.len() as u64;
        for cost in positions.iter().filter_map(|position| costs.get(*position as usize)) {
            self.planned_ns = (self.planned_ns + cost.run_ns).saturating_sub(cost.apply_ns);
        }
    }
}

struct Variant {
    rules: RuleSet,
    hints: Hints,
    planner: Planner,
    line: Line,
}

impl Variant {
    fn plan(&mut self, transactions: &[Transaction], learned: &Learned) -> Plan {
        let Variant { rules, hints, planner, .. } = self;
        planner.plan_refined(transactions, |position, _| hints.refine(rules, transactions.get(position)?, learned))
    }
}

/// Plans all batches by each of these rules, and runs them by these plans.
pub(super) fn compare(
    stored: &Stored,
    observed: &Observed,
    variants: Vec<(&'static str, RuleSet)>,
    workers: usize,
    run_ahead: RunAhead,
    progress: &mut dyn FnMut(f64),
) -> Result<Vec<Line>, SuggestError> {
    let learned = &observed.learned;
    let variant = |(name, rules): (&'static str, RuleSet)| Variant {
        rules,
        hints: Hints::default(),
        planner: Planner::new(learned.clone(), workers, run_ahead, SharedRules::default()),
        line: Line { name, ..Line::default() },
    };
    let mut variants: Vec<Variant> = variants.into_iter().map(variant).collect();
    let mut replica = stored.replica(workers, Learn::Nothing)?;
    let (first, last) = (stored.first(), stored.last());
    stored.batches(|batch| {
        let transactions = &batch.batch.transactions;
        let costs = learned.look(transactions, |_, kind| cost(kind));
        for variant in &mut variants {
            let plan = variant.plan(transactions, learned);
            variant.line.add(&plan, &costs, workers as u32);
            if plan.groups.iter().all(|group| group.parallel.is_empty()) {
                continue;
            }
            let planned = Batch { plan, ..batch.batch.clone() };
            replica.execute(batch.log_id, &planned, &Mode::Planned)?;
            variant.line.add_again(replica.again(), &costs);
            replica.roll_back(batch.log_id.index - 1)?;
        }
        run_as_accepted(&mut replica, batch)?;
        progress((batch.log_id.index - first) as f64 / (last - first).max(1) as f64);
        Ok(())
    })?;
    Ok(variants.into_iter().map(|variant| variant.line).collect())
}

fn cost(kind: Option<&Kind>) -> Cost {
    kind.map(|kind| Cost { run_ns: kind.run_ns, apply_ns: kind.apply_ns() }).unwrap_or_default()
}
