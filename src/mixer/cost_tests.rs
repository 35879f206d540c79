//! Work, span and bounds, by hand and against a schedule.

use super::*;
use crate::batch::{Group, Plan};
use proptest::prelude::*;

fn cost(run_ns: u64, apply_ns: u64) -> Cost {
    Cost { run_ns, apply_ns }
}

fn one_group(parallel: &[u32], direct: &[u32]) -> Plan {
    Plan { groups: vec![Group { parallel: parallel.to_vec(), direct: direct.to_vec() }] }
}

#[test]
fn the_parallel_part_counts_by_its_longest_and_the_rest_by_its_sum() {
    let costs = [cost(100, 10), cost(40, 5), cost(30, 7), cost(20, 99)];
    let plan = one_group(&[0, 1, 2], &[3]);
    assert_eq!(work_and_span(&plan, &costs), WorkAndSpan { work_ns: 212, span_ns: 142 });
    assert_eq!([1, 2, 3, 100].map(|cores| time_ns_min(&plan, &costs, cores)), [212, 142, 142, 142]);
    let mut two = plan.clone();
    two.groups.push(Group { parallel: vec![3], direct: vec![] });
    two.groups[0].direct.clear();
    assert_eq!(work_and_span(&two, &costs), WorkAndSpan { work_ns: 311, span_ns: 241 });
}

#[test]
fn a_plan_of_direct_transactions_gains_nothing_with_any_cores() {
    let costs = [cost(10, 50), cost(20, 50)];
    for plan in [Plan::default(), one_group(&[], &[0, 1])] {
        assert_eq!(work_and_span(&plan, &costs), WorkAndSpan { work_ns: 30, span_ns: 30 });
        assert_eq!(speed_up_max(&plan, &costs, 64), 1.0);
    }
}

#[test]
fn applying_can_cost_more_than_parallel_execution_gains() {
    // The buy-confirm that was measured: 38 us to run, 38 to apply.
    let writers = [cost(38_000, 38_000); 8];
    let plan = one_group(&[0, 1, 2, 3, 4, 5, 6, 7], &[]);
    assert!(speed_up_max(&plan, &writers, 8) < 1.0);
    // One that reads much: 500 us to run, 10 to apply.
    let readers = [cost(500_000, 10_000); 8];
    let gained = speed_up_max(&plan, &readers, 8);
    assert!((6.8..6.95).contains(&gained), "{gained}");
}

/// Nanoseconds until all are done if the longest goes to the next free worker.
fn longest_first(mut runs: Vec<u64>, cores: usize) -> u64 {
    runs.sort_unstable_by(|a, b| b.cmp(a));
    let mut workers = vec![0; cores];
    for run in runs {
        if let Some(free) = workers.iter_mut().min() {
            *free += run;
        }
    }
    workers.into_iter().max().unwrap_or(0)
}

proptest! {
    #[test]
    fn no_schedule_beats_the_bound_and_longest_first_comes_near(
        runs in prop::collection::vec(1..1000u64, 1..40), cores in 1..9u32,
    ) {
        let costs: Vec<Cost> = runs.iter().map(|run| cost(*run, 0)).collect();
        let plan = one_group(&(0..runs.len() as u32).collect::<Vec<_>>(), &[]);
        let bound = time_ns_min(&plan, &costs, cores);
        let reached = longest_first(runs, cores as usize);
        prop_assert!(bound <= reached);
        // Any list schedule stays below twice the bound.
        prop_assert!(reached < 2 * bound);
    }
}
