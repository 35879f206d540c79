//! Which causes rules should drop: the fewest that bring most pairs together, each of them nearly always false.

use super::tally::{Cause, Clash, Tally};
use std::collections::{BTreeMap, BTreeSet};

/// Conflicts that a statement must have caused before a rule for it is proposed; fewer may be chance.
pub const CONFLICTS_MIN: u64 = 32;
/// Of these so many in a hundred may be real: each costs a run for nothing.
pub const REAL_PERCENT_MAX: u64 = 5;

/// A statement that a rule should be written for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its number.
    pub statement: u32,
    /// Tables and unique indexes of which the rule must not say that it touches all rows.
    pub spaces: BTreeSet<u64>,
    /// Pairs that conflict by derivation because of them.
    pub conflicts: u64,
    /// Of these: real ones.
    pub real: u64,
    /// Batches in which the statement conflicted.
    pub batches: u64,
}

/// A cause's pairs.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    conflicts: u64,
    real: u64,
    /// False conflicts that rules could do away with, this cause among those that they must drop.
    to_gain: u64,
}

/// A cause, and how its conflicts went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caused {
    /// Which.
    pub cause: Cause,
    /// Pairs that conflict by derivation because of it.
    pub conflicts: u64,
    /// Of these: real ones.
    pub real: u64,
}

/// All causes, for kinds that count; those with most false conflicts first.
pub fn causes(tally: &Tally, counts: impl Fn(u64) -> bool) -> Vec<Caused> {
    let weights = weights(&tally.conflicts(counts), &BTreeSet::new(), &|_| false);
    let caused = |(cause, Weight { conflicts, real, .. })| Caused { cause, conflicts, real };
    let mut all: Vec<Caused> = weights.into_iter().map(caused).collect();
    all.sort_by_key(|caused| std::cmp::Reverse(caused.conflicts - caused.real));
    all
}

/// What to propose, for kinds that count and statements that no rule in force says anything of (`covered`), by their
/// numbers.
pub fn propose(tally: &Tally, counts: impl Fn(u64) -> bool, covered: impl Fn(u32) -> bool) -> Vec<Proposal> {
    let conflicts = tally.conflicts(counts);
    let is_covered = |clash: &Clash| clash.causes().any(|cause| covered(cause.statement));
    let mut chosen: BTreeSet<Cause> = BTreeSet::new();
    while let Some(best) = best(&weights(&conflicts, &chosen, &is_covered)) {
        chosen.insert(best);
    }
    drop_needless(&mut chosen, &conflicts, &is_covered);
    let mut spaces: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    for cause in &chosen {
        spaces.entry(cause.statement).or_default().insert(cause.space);
    }
    let proposal = |(statement, spaces): (u32, BTreeSet<u64>)| {
        let is_of =
            |clash: &&Clash| clash.causes().any(|cause| cause.statement == statement && spaces.contains(&cause.space));
        let (mut all, mut real) = (0, 0);
        for (clashes, pairs) in &conflicts {
            all += pairs * u64::from(clashes.iter().any(|clash| is_of(&clash)));
            real += pairs * u64::from(clashes.iter().filter(is_of).any(|clash| clash.real));
        }
        Proposal { statement, spaces, conflicts: all, real, batches: tally.batches(statement) }
    };
    spaces.into_iter().map(proposal).collect()
}

fn weights(
    conflicts: &[(&[Clash], u64)],
    chosen: &BTreeSet<Cause>,
    is_covered: &impl Fn(&Clash) -> bool,
) -> BTreeMap<Cause, Weight> {
    let is_left = |clash: &&Clash| !is_covered(clash) && !clash.causes().any(|cause| chosen.contains(&cause));
    let mut weights: BTreeMap<Cause, Weight> = BTreeMap::new();
    for (clashes, pairs) in conflicts {
        let is_real = clashes.iter().any(|clash| clash.real);
        let can_gain = !is_real && !clashes.iter().any(Clash::is_on_rows);
        let mut of_pair: BTreeMap<Cause, bool> = BTreeMap::new();
        for clash in clashes.iter().filter(is_left) {
            clash.causes().for_each(|cause| *of_pair.entry(cause).or_default() |= clash.real);
        }
        for (cause, real) in of_pair {
            let weight = weights.entry(cause).or_default();
            weight.conflicts += pairs;
            weight.real += pairs * u64::from(real);
            weight.to_gain += pairs * u64::from(can_gain);
        }
    }
    weights
}

/// The one with most to gain of those that are seen often enough and false enough; the first of equals.
fn best(weights: &BTreeMap<Cause, Weight>) -> Option<Cause> {
    let is_sound = |weight: &Weight| weight.real * 100 <= weight.conflicts * REAL_PERCENT_MAX;
    let fit = weights.iter().filter(|(_, weight)| weight.to_gain >= CONFLICTS_MIN && is_sound(weight));
    fit.rev().max_by_key(|(_, weight)| weight.to_gain).map(|(cause, _)| *cause)
}

/// Leaves out what brings no pair together that the others do not, and pairs of causes that never were enough.
fn drop_needless(chosen: &mut BTreeSet<Cause>, conflicts: &[(&[Clash], u64)], is_covered: &impl Fn(&Clash) -> bool) {
    let gained = |chosen: &BTreeSet<Cause>| -> u64 {
        let is_gone = |clash: &Clash| is_covered(clash) || clash.causes().any(|cause| chosen.contains(&cause));
        let is_gained = |clashes: &[Clash]| clashes.iter().all(|clash| !clash.real && is_gone(clash));
        conflicts.iter().filter(|(clashes, _)| is_gained(clashes)).map(|(_, pairs)| pairs).sum()
    };
    for cause in chosen.clone().iter().rev() {
        let with = gained(chosen);
        chosen.remove(cause);
        if with - gained(chosen) > 0 {
            chosen.insert(*cause);
        }
    }
}
