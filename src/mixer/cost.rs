//! What a plan can gain: its work, its span, and the speed-up that no number of cores can pass.
//!
//! A group is run in three steps, and groups follow each other:
//!
//! ```text
//!   parallel part on n workers | its changes applied, one after the other | direct part, one after the other
//! ```
//!
//! With `r` the time to run a transaction and `a` the time to apply its changes (parallel ones only), a group takes on
//! n cores at least
//!
//! ```text
//!   T(n) = max( sum of parallel r / n , longest parallel r )  +  sum of a  +  sum of direct r
//! ```
//!
//! No schedule is faster; giving the longest to the next free worker comes within 4/3 - 1/(3n) of the first summand
//! (Graham, "Bounds on Multiprocessing Timing Anomalies", 1969). The span is T at infinitely many cores. One thread
//! without a plan takes the sum of all `r`: it applies nothing. The speed-up that is possible at most is that sum
//! over the sum of all T(n).

use crate::batch::{Group, Plan};

/// Measured times of one transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// To run it, in nanoseconds of CPU time; taken to be the same on a view and on the canonical connection.
    pub run_ns: u64,
    /// To apply its captured changes to the canonical state, in nanoseconds; counts if the plan runs it in parallel.
    pub apply_ns: u64,
}

/// See the head of the file; nanoseconds of CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkAndSpan {
    /// All that is done, on all cores together.
    pub work_ns: u64,
    /// The longest chain of steps of which each waits for the one before.
    pub span_ns: u64,
}

/// Sums of a group.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    parallel_ns: u64,
    longest_ns: u64,
    serial_ns: u64,
}

/// Work and span of a plan; `costs` by position in the batch, nothing for positions that it does not have.
pub fn work_and_span(plan: &Plan, costs: &[Cost]) -> WorkAndSpan {
    sums(plan, costs).fold(WorkAndSpan::default(), |total, group| WorkAndSpan {
        work_ns: total.work_ns + group.parallel_ns + group.serial_ns,
        span_ns: total.span_ns + group.longest_ns + group.serial_ns,
    })
}

/// Nanoseconds that a plan takes at least on so many cores (0 counts as 1).
pub fn time_ns_min(plan: &Plan, costs: &[Cost], cores: u32) -> u64 {
    let cores = u64::from(cores.max(1));
    sums(plan, costs).map(|group| group.longest_ns.max(group.parallel_ns.div_ceil(cores)) + group.serial_ns).sum()
}

/// How many times faster than one thread without a plan this plan can be at most on so many cores. Below 1 if applying
/// costs more than running beside each other saves; 1 if nothing costs anything.
pub fn speed_up_max(plan: &Plan, costs: &[Cost], cores: u32) -> f64 {
    let alone: u64 = costs.iter().map(|cost| cost.run_ns).sum();
    match time_ns_min(plan, costs, cores) {
        0 => 1.0,
        planned => alone as f64 / planned as f64,
    }
}

fn sums(plan: &Plan, costs: &[Cost]) -> impl Iterator<Item = Sums> {
    // No groups: one, all direct.
    let unplanned = plan
        .groups
        .is_empty()
        .then(|| Sums { serial_ns: costs.iter().map(|cost| cost.run_ns).sum(), ..Sums::default() });
    unplanned.into_iter().chain(plan.groups.iter().map(|group| sums_of(group, costs)))
}

fn sums_of(group: &Group, costs: &[Cost]) -> Sums {
    let cost = |position: &u32| costs.get(*position as usize).copied().unwrap_or_default();
    let parallel = || group.parallel.iter().map(cost);
    let direct: u64 = group.direct.iter().map(|position| cost(position).run_ns).sum();
    Sums {
        parallel_ns: parallel().map(|cost| cost.run_ns).sum(),
        longest_ns: parallel().map(|cost| cost.run_ns).max().unwrap_or(0),
        serial_ns: direct + parallel().map(|cost| cost.apply_ns).sum::<u64>(),
    }
}
