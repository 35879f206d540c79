//! The checker finds what it is there for: histories with known anomalies, and sound ones.

use super::checker::{Anomaly, End, Model, Seen, Step};

fn append(key: i32, value: i64) -> Step {
    Step::Append { key, value }
}

fn read(key: i32, values: &[i64]) -> Step {
    Step::Read { key, values: values.to_vec() }
}

fn seen(began: u64, ended: u64, steps: Vec<Step>) -> Seen {
    Seen { steps, began, ended, end: End::Committed }
}

fn check(history: &[Seen]) -> Result<(), Anomaly> {
    super::checker::check(history, Model::Strict)
}

#[test]
fn a_serial_history_is_sound() {
    let history = [
        seen(0, 1, vec![read(1, &[]), append(1, 10)]),
        seen(2, 3, vec![read(1, &[10]), append(1, 11), read(1, &[10, 11])]),
        seen(4, 5, vec![read(1, &[10, 11]), read(2, &[])]),
    ];
    assert_eq!(check(&history), Ok(()));
}

#[test]
fn concurrent_transactions_may_stand_in_any_order() {
    let history = [
        seen(0, 9, vec![append(1, 10)]),
        seen(1, 8, vec![read(1, &[10]), append(1, 11)]),
        seen(2, 7, vec![read(1, &[])]),
        seen(10, 11, vec![read(1, &[10, 11])]),
    ];
    assert_eq!(check(&history), Ok(()));
}

#[test]
fn an_update_that_overwrote_another_is_lost() {
    let history = [
        seen(0, 9, vec![read(1, &[]), append(1, 10)]),
        seen(1, 8, vec![read(1, &[]), append(1, 11)]),
        seen(10, 11, vec![read(1, &[11])]),
    ];
    assert_eq!(check(&history), Err(Anomaly::Lost { key: 1, value: 10 }));
}

#[test]
fn two_that_read_the_same_and_both_append_make_a_cycle() {
    let history = [
        seen(0, 9, vec![read(1, &[]), append(1, 10)]),
        seen(1, 8, vec![read(1, &[]), append(1, 11)]),
        seen(10, 11, vec![read(1, &[11, 10])]),
    ];
    assert!(matches!(check(&history), Err(Anomaly::Cycle(_))));
}

#[test]
fn write_skew_is_a_cycle_of_two_reads_that_missed_each_others_writes() {
    let history = [
        seen(0, 9, vec![read(1, &[]), append(2, 20)]),
        seen(1, 8, vec![read(2, &[]), append(1, 10)]),
        seen(10, 11, vec![read(1, &[10]), read(2, &[20])]),
    ];
    let Err(Anomaly::Cycle(mut cycle)) = check(&history) else { panic!("write skew goes unnoticed") };
    cycle.sort_unstable();
    assert_eq!(cycle, [0, 1]);
}

#[test]
fn a_read_that_misses_what_was_acknowledged_before_it_began_is_stale() {
    let stale = |began| {
        [seen(0, 1, vec![append(1, 10)]), seen(began, 5, vec![read(1, &[])]), seen(10, 11, vec![read(1, &[10])])]
    };
    assert!(matches!(check(&stale(2)), Err(Anomaly::Cycle(_))));
    assert_eq!(check(&stale(0)), Ok(()));
    assert_eq!(super::checker::check(&stale(2), Model::Serializable), Ok(()), "but for its time it is sound");
}

#[test]
fn a_read_between_two_appends_of_one_transaction_is_a_cycle() {
    let history = [
        seen(0, 9, vec![append(1, 10), append(1, 11)]),
        seen(1, 8, vec![read(1, &[10])]),
        seen(10, 11, vec![read(1, &[10, 11])]),
    ];
    assert!(matches!(check(&history), Err(Anomaly::Cycle(_))));
}

#[test]
fn what_aborted_must_not_be_read_and_what_is_unknown_may_be() {
    let history = |end| [Seen { end, ..seen(0, 1, vec![append(1, 10)]) }, seen(2, 3, vec![read(1, &[10])])];
    assert_eq!(check(&history(End::Aborted)), Err(Anomaly::FromNowhere { key: 1, value: 10 }));
    assert_eq!(check(&history(End::Unknown)), Ok(()));
}

#[test]
fn a_value_that_took_effect_twice_is_found() {
    let history = [seen(0, 1, vec![append(1, 10)]), seen(2, 3, vec![read(1, &[10, 10])])];
    assert_eq!(check(&history), Err(Anomaly::Twice { key: 1, value: 10 }));
}

#[test]
fn lists_that_contradict_each_other_are_forked() {
    let history = [
        seen(0, 1, vec![append(1, 10)]),
        seen(0, 1, vec![append(1, 11)]),
        seen(2, 3, vec![read(1, &[10])]),
        seen(4, 5, vec![read(1, &[11, 10])]),
    ];
    assert_eq!(check(&history), Err(Anomaly::Forked { key: 1 }));
}

#[test]
fn what_is_unknown_takes_effect_in_full_or_not_at_all() {
    let history = |values: &[i64]| {
        let unknown = seen(0, 1, vec![append(1, 10), append(1, 11)]);
        [Seen { end: End::Unknown, ..unknown }, seen(2, 3, vec![read(1, values)])]
    };
    assert_eq!(check(&history(&[])), Ok(()));
    assert_eq!(check(&history(&[10, 11])), Ok(()));
    assert_eq!(check(&history(&[10])), Err(Anomaly::Torn { key: 1, value: 11 }));
}

#[test]
fn what_is_unknown_and_took_effect_had_read_soundly_and_may_have_ended_late() {
    let history = |values: &[i64]| {
        let unknown = seen(2, 3, vec![read(1, values), append(2, 20)]);
        [
            seen(0, 1, vec![append(1, 10)]),
            Seen { end: End::Unknown, ..unknown },
            seen(4, 5, vec![read(1, &[10]), read(2, &[])]),
            seen(6, 7, vec![read(1, &[10]), read(2, &[20])]),
        ]
    };
    assert_eq!(check(&history(&[10])), Ok(()));
    assert!(matches!(check(&history(&[])), Err(Anomaly::Cycle(_))));
    assert_eq!(check(&history(&[11])), Err(Anomaly::Forked { key: 1 }));
}

#[test]
fn a_transaction_that_does_not_see_its_own_append_is_found() {
    let history = |values: &[i64]| [seen(0, 1, vec![append(1, 10), read(1, values)]), seen(2, 3, vec![read(1, &[10])])];
    assert_eq!(check(&history(&[10])), Ok(()));
    assert_eq!(check(&history(&[])), Err(Anomaly::NotOwn { key: 1, transaction: 0 }));
}
