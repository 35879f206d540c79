//! Plans against a model that compares every pair.

use super::*;
use crate::batch::Plan;
use crate::footprint::{Access, Extent, Footprint, Item};
use proptest::prelude::*;

/// A candidate that owns its footprints.
#[derive(Clone, Debug)]
struct Case {
    footprint: Footprint,
    refined: Option<Footprint>,
    session: u64,
    mode: Mode,
}

impl Case {
    fn of(mode: Mode, session: u64, items: &[Item]) -> Case {
        Case { footprint: Footprint::of(items.to_vec()), refined: None, session, mode }
    }
    fn candidate(&self) -> Candidate<'_> {
        Candidate { footprint: &self.footprint, session: self.session, mode: self.mode, refined: self.refined.as_ref() }
    }
    fn grouped_by(&self) -> &Footprint {
        self.refined.as_ref().unwrap_or(&self.footprint)
    }
}

fn planned(cases: &[Case], groups_max: u32) -> Plan {
    plan(&cases.iter().map(Case::candidate).collect::<Vec<_>>(), &Limits { groups_max })
}

fn must_keep_order(a: &Case, b: &Case) -> bool {
    let (ours, theirs) = (a.grouped_by(), b.grouped_by());
    a.session == b.session
        || ours.everything
        || theirs.everything
        || ours.items.iter().any(|a| theirs.items.iter().any(|b| keeps_apart(a, b)))
}

/// Group and mode of each: the first group that every earlier one allows.
fn greedy(cases: &[Case], groups_max: u32) -> Vec<(u32, Mode)> {
    let mut placed: Vec<(u32, Mode)> = Vec::new();
    for (position, case) in cases.iter().enumerate() {
        let allows = |mode: Mode, group: u32| {
            placed.iter().zip(cases).all(|((other, _), earlier)| {
                !must_keep_order(earlier, case) || *other < group || (*other == group && mode == Mode::Direct)
            })
        };
        let first = |mode| (0..groups_max).find(|group| allows(mode, *group)).map(|group| (group, mode));
        let found = first(case.mode).or_else(|| first(Mode::Direct));
        placed.push(found.unwrap_or_else(|| panic!("no group for {position}")));
    }
    placed
}

/// Group, mode and place in the order of effect of each position.
fn effects(plan: &Plan, count: usize) -> Vec<(u32, Mode, usize)> {
    let mut found = vec![None; count];
    let mut place = 0;
    for (number, group) in (0u32..).zip(&plan.groups) {
        assert!(!group.parallel.is_empty() || !group.direct.is_empty(), "group {number} is empty");
        for (mode, part) in [(Mode::Parallel, &group.parallel), (Mode::Direct, &group.direct)] {
            for position in part {
                let old = found[*position as usize].replace((number, mode, place));
                assert_eq!(old, None, "position {position} stands twice");
                place += 1;
            }
        }
    }
    found.into_iter().enumerate().map(|(at, f)| f.unwrap_or_else(|| panic!("position {at} is missing"))).collect()
}

fn assert_valid(cases: &[Case], plan: &Plan, groups_max: u32) {
    assert!(plan.groups.len() <= groups_max as usize, "{} groups", plan.groups.len());
    let effects = effects(plan, cases.len());
    for (late, b) in cases.iter().enumerate() {
        for (early, _) in cases[..late].iter().enumerate().filter(|(_, a)| must_keep_order(a, b)) {
            let ((group_a, _, place_a), (group_b, mode_b, place_b)) = (effects[early], effects[late]);
            assert!(place_a < place_b, "{late} takes effect before {early}");
            assert!(mode_b == Mode::Direct || group_a < group_b, "{late} does not see the rows of {early}");
        }
    }
}

fn items() -> impl Strategy<Value = Item> {
    let access = prop_oneof![5 => Just(Access::Read), 4 => Just(Access::Write), 1 => Just(Access::Append)];
    // The hash of a row tells its partition.
    let row = (0..9u64).prop_map(|row| Extent::Row { partition: row / 3, row: row + 10 });
    let extent = prop_oneof![4 => (0..6u64).prop_map(Extent::Partition), 4 => row, 1 => Just(Extent::All)];
    (0..3u64, extent, access).prop_map(|(space, extent, access)| Item { space, extent, access })
}

fn footprints() -> impl Strategy<Value = Footprint> {
    prop_oneof![
        30 => prop::collection::vec(items(), 0..4).prop_map(Footprint::of),
        1 => Just(Footprint::everything()),
    ]
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![3 => Just(Mode::Parallel), 1 => Just(Mode::Direct)]
}

fn batches() -> impl Strategy<Value = Vec<Case>> {
    let case = (footprints(), prop::option::weighted(0.1, footprints()), 0..40u64, modes())
        .prop_map(|(footprint, refined, session, mode)| Case { footprint, refined, session, mode });
    prop::collection::vec(case, 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_is_valid_and_the_one_of_the_model(cases in batches(), groups_max in 1..8u32) {
        let plan = planned(&cases, groups_max);
        assert_valid(&cases, &plan, groups_max);
        let found: Vec<_> = effects(&plan, cases.len()).into_iter().map(|(group, mode, _)| (group, mode)).collect();
        prop_assert_eq!(found, greedy(&cases, groups_max));
    }

    #[test]
    fn a_batch_of_direct_transactions_is_one_group_in_order(mut cases in batches()) {
        cases.iter_mut().for_each(|case| case.mode = Mode::Direct);
        let plan = planned(&cases, 8);
        let all: Vec<u32> = (0..cases.len() as u32).collect();
        prop_assert!(plan.groups.iter().all(|group| group.parallel.is_empty() && group.direct == all));
        prop_assert_eq!(plan.groups.len(), usize::from(!cases.is_empty()));
    }

    #[test]
    fn a_mixer_that_was_used_plans_like_a_new_one(first in batches(), second in batches()) {
        let mut mixer = Mixer::default();
        let of = |cases: &[Case], mixer: &mut Mixer| {
            mixer.plan(&cases.iter().map(Case::candidate).collect::<Vec<_>>(), &Limits { groups_max: 8 })
        };
        of(&first, &mut mixer);
        prop_assert_eq!(of(&second, &mut mixer), planned(&second, 8));
    }
}

fn row(key: u64, access: Access) -> Item {
    Item { space: 1, extent: Extent::Partition(key), access }
}

fn shape(plan: &Plan) -> Vec<(&[u32], &[u32])> {
    plan.groups.iter().map(|group| (&group.parallel[..], &group.direct[..])).collect()
}

#[test]
fn a_transaction_goes_into_the_first_group_in_which_nothing_conflicts() {
    use Mode::Parallel;
    let cases = [
        Case::of(Parallel, 1, &[row(7, Access::Write)]),
        Case::of(Parallel, 2, &[row(8, Access::Write)]),
        Case::of(Parallel, 3, &[row(7, Access::Read)]),
        Case::of(Parallel, 4, &[row(7, Access::Read)]),
        Case::of(Parallel, 5, &[row(9, Access::Write)]),
        Case::of(Parallel, 6, &[row(7, Access::Write)]),
    ];
    let plan = planned(&cases, 9);
    assert_eq!(shape(&plan), [(&[0, 1, 4][..], &[][..]), (&[2, 3], &[]), (&[5], &[])]);
}

#[test]
fn a_direct_transaction_shares_the_group_of_what_it_conflicts_with_and_a_parallel_one_does_not() {
    let write = [row(7, Access::Write)];
    let cases = [
        Case::of(Mode::Parallel, 1, &write),
        Case::of(Mode::Direct, 2, &write),
        Case::of(Mode::Direct, 3, &write),
        Case::of(Mode::Parallel, 4, &write),
        Case::of(Mode::Direct, 5, &[row(8, Access::Write)]),
    ];
    assert_eq!(shape(&planned(&cases, 9)), [(&[0][..], &[1, 2, 4][..]), (&[3], &[])]);
}

#[test]
fn one_session_keeps_its_order_though_its_transactions_touch_different_rows() {
    let cases = [
        Case::of(Mode::Parallel, 1, &[row(1, Access::Write)]),
        Case::of(Mode::Parallel, 1, &[row(2, Access::Write)]),
        Case::of(Mode::Direct, 1, &[row(3, Access::Write)]),
    ];
    assert_eq!(shape(&planned(&cases, 9)), [(&[0][..], &[][..]), (&[1], &[2])]);
}

#[test]
fn appends_share_a_group_with_each_other_and_with_rows_but_not_with_the_whole_table() {
    let append = Item { space: 1, extent: Extent::All, access: Access::Append };
    let all = Item { space: 1, extent: Extent::All, access: Access::Read };
    let cases = [
        Case::of(Mode::Parallel, 1, &[append]),
        Case::of(Mode::Parallel, 2, &[append]),
        Case::of(Mode::Parallel, 3, &[row(1, Access::Write)]),
        Case::of(Mode::Parallel, 4, &[all]),
        Case::of(Mode::Parallel, 5, &[append]),
    ];
    assert_eq!(shape(&planned(&cases, 9)), [(&[0, 1, 2][..], &[][..]), (&[3], &[]), (&[4], &[])]);
}

#[test]
fn rows_of_one_partition_share_a_group_but_not_with_all_of_it() {
    let line = |partition, row, access| Item { space: 1, extent: Extent::Row { partition, row }, access };
    let cases = [
        Case::of(Mode::Parallel, 1, &[line(1, 11, Access::Write)]),
        Case::of(Mode::Parallel, 2, &[line(1, 12, Access::Write)]),
        Case::of(Mode::Parallel, 3, &[row(2, Access::Write)]),
        Case::of(Mode::Parallel, 4, &[row(1, Access::Read)]),
        Case::of(Mode::Parallel, 5, &[line(2, 21, Access::Append)]),
        Case::of(Mode::Parallel, 6, &[line(3, 31, Access::Append)]),
    ];
    assert_eq!(shape(&planned(&cases, 9)), [(&[0, 1, 2, 5][..], &[][..]), (&[3, 4], &[])]);
}

#[test]
fn what_would_need_too_many_groups_is_run_directly_in_the_last() {
    let cases: Vec<Case> = (0..5).map(|n| Case::of(Mode::Parallel, n, &[row(1, Access::Write)])).collect();
    assert_eq!(shape(&planned(&cases, 2)), [(&[0][..], &[][..]), (&[1], &[2, 3, 4])]);
    assert_eq!(shape(&planned(&cases, 0)), [(&[0][..], &[1, 2, 3, 4][..])]);
}

#[test]
fn a_rule_is_believed_for_grouping() {
    let mut cases: Vec<Case> = (0..3).map(|n| Case::of(Mode::Parallel, n, &[row(1, Access::Write)])).collect();
    cases[1].refined = Some(Footprint::default());
    assert_eq!(shape(&planned(&cases, 9)), [(&[0, 1][..], &[][..]), (&[2], &[])]);
}
