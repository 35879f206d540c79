//! What is proposed, from counts and from transactions.

use super::*;
use crate::footprint::{Access, ChangeSet, Extent, Footprint, Item, Schema, space};
use std::collections::BTreeSet;

const READER: u32 = 0;
const WRITER: u32 = 1;

fn item(table: &str, row: impl Into<Option<u64>>, access: Access) -> Item {
    Item { space: space(table, None), extent: row.into().map_or(Extent::All, Extent::Partition), access }
}

/// A transaction of one statement.
struct Case {
    kind: u64,
    statement: Option<u32>,
    footprint: Footprint,
    changes: ChangeSet,
}

impl Case {
    fn of(kind: u64, statement: u32, items: &[Item]) -> Case {
        let footprint = Footprint::of(items.to_vec());
        Case { kind, statement: Some(statement), footprint, changes: ChangeSet::default() }
    }
    /// Changes something of all tables.
    fn changing(mut self) -> Case {
        self.changes.add(&Schema::default(), "", None, None);
        self
    }
}

/// Counts so many batches of these transactions, each of a session of its own.
fn add(tally: &mut Tally, batches: u64, cases: &[Case]) {
    let statements: Vec<[SeenStatement<'_>; 1]> =
        cases.iter().map(|case| [SeenStatement { statement: case.statement, footprint: &case.footprint }]).collect();
    let pairs = (0..).zip(cases.iter().zip(&statements));
    let seen: Vec<Seen<'_>> = pairs.map(|(session, (case, statements))| seen(session, case, statements)).collect();
    (0..batches).for_each(|batch| tally.add(batch, &seen));
}

fn seen<'a>(session: u64, case: &'a Case, statements: &'a [SeenStatement<'a>]) -> Seen<'a> {
    Seen { kind: case.kind, session, statements, footprint: &case.footprint, changes: &case.changes }
}

fn tally(batches: u64, cases: &[Case]) -> Tally {
    let mut tally = Tally::default();
    add(&mut tally, batches, cases);
    tally
}

fn reader() -> Case {
    Case::of(1, READER, &[item("t", None, Access::Read)])
}

fn writer() -> Case {
    Case::of(2, WRITER, &[item("t", 5, Access::Write)])
}

fn proposals(tally: &Tally) -> Vec<Proposal> {
    propose(tally, |_| true, |_| false)
}

#[test]
fn a_reader_of_all_rows_before_a_writer_of_one_conflicts_falsely_and_is_proposed() {
    let tally = tally(CONFLICTS_MIN, &[reader(), writer().changing()]);
    let sums = Sums { compared: CONFLICTS_MIN, conflicts: CONFLICTS_MIN, real: 0, on_rows: 0 };
    assert_eq!(tally.sums(|_| true), sums);
    let expected = Proposal {
        statement: READER,
        spaces: BTreeSet::from([space("t", None)]),
        conflicts: CONFLICTS_MIN,
        real: 0,
        batches: CONFLICTS_MIN,
    };
    assert_eq!(proposals(&tally), [expected]);
}

#[test]
fn a_reader_behind_a_writer_that_changes_something_conflicts_really() {
    let real = tally(1_000, &[writer().changing(), reader()]);
    assert_eq!(real.sums(|_| true).real, 1_000);
    assert_eq!(proposals(&real), []);
    // The same writer, which changed nothing.
    let none = tally(1_000, &[writer(), reader()]);
    assert_eq!((none.sums(|_| true).real, proposals(&none).len()), (0, 1));
}

#[test]
fn too_few_conflicts_or_too_many_real_ones_are_not_enough() {
    assert_eq!(proposals(&tally(CONFLICTS_MIN - 1, &[reader(), writer()])), []);
    // Of 20 pairs with the reader one is real, or two.
    for (real, expected) in [(1, 1), (2, 0)] {
        let mut cases: Vec<Case> = (0..real).map(|_| writer().changing()).collect();
        cases.push(reader());
        cases.extend((real..20).map(|_| writer()));
        // Writers of one row conflict with each other, which is nothing that the reader causes.
        let mut next = 100;
        for case in cases.iter_mut().filter(|case| case.kind == 2) {
            next += 1;
            case.footprint = Footprint::of(vec![item("t", next, Access::Write)]);
        }
        assert_eq!(proposals(&tally(CONFLICTS_MIN, &cases)).len(), expected, "{real}");
    }
}

#[test]
fn single_rows_are_counted_and_nothing_is_proposed_for_them() {
    let writers = &[writer(), writer()];
    let rows = tally(100, writers);
    assert_eq!(rows.sums(|_| true), Sums { compared: 100, conflicts: 100, real: 0, on_rows: 100 });
    assert_eq!(proposals(&rows), []);
    // The reader of all rows is not brought together with the writer either, if both write another row besides.
    let both = |case: Case| Case {
        footprint: Footprint::of([case.footprint.items, vec![item("u", 1, Access::Write)]].concat()),
        ..case
    };
    assert_eq!(proposals(&tally(100, &[both(reader()), both(writer())])), []);
}

#[test]
fn sessions_of_one_kind_that_do_not_count_and_statements_with_rules_are_left_out() {
    let counted = tally(100, &[reader(), writer()]);
    assert_eq!(propose(&counted, |kind| kind != 2, |_| false), []);
    assert_eq!(counted.sums(|kind| kind != 2).conflicts, 0);
    assert_eq!(propose(&counted, |_| true, |statement| statement == READER), []);
    let mut of_one = Tally::default();
    let case = reader();
    let statements = [SeenStatement { statement: Some(READER), footprint: &case.footprint }];
    let seen = seen(7, &case, &statements);
    of_one.add(1, &[seen, seen]);
    assert_eq!(of_one.sums(|_| true).compared, 0);
}

#[test]
fn of_two_causes_the_one_that_brings_more_together_is_proposed_alone() {
    const OTHER: u32 = 2;
    // A reader of all meets two statements that write all rows, which nobody else meets.
    let wide = |kind, statement| Case::of(kind, statement, &[item("t", None, Access::Write)]);
    let mut both = tally(100, &[reader(), wide(2, WRITER)]);
    add(&mut both, 100, &[reader(), wide(3, OTHER)]);
    let found = proposals(&both);
    assert_eq!(found.iter().map(|proposal| proposal.statement).collect::<Vec<_>>(), [READER]);
    assert_eq!(found[0].conflicts, 200);
    let caused =
        |statement, conflicts| Caused { cause: Cause { statement, space: space("t", None) }, conflicts, real: 0 };
    assert_eq!(causes(&both, |_| true), [caused(READER, 200), caused(WRITER, 100), caused(OTHER, 100)]);
}

#[test]
fn a_large_batch_is_compared_with_a_bounded_number_of_those_before() {
    let mut cases: Vec<Case> = (0..200).map(|_| reader()).collect();
    cases.push(writer());
    let sums = tally(1, &cases).sums(|_| true);
    assert_eq!(sums.conflicts, PEERS_MAX as u64);
    assert!(sums.compared <= 201 * PEERS_MAX as u64);
}
