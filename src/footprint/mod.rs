//! What a transaction reads and writes, as rows, tables or everything: sound, so that two transactions whose
//! footprints do not conflict have the same answers and leave the same rows in either order.
//!
//! ```text
//!   space    the rows of a table by its key, or the keys of one unique index of it
//!   extent   which rows of a space, also those that are not there: all, a partition, or one row
//! ```
//!
//! Rows are told apart by hashes of their normalised keys. A key of several columns has one, a pure function of the
//! schema, that divides the rows into *partitions* ([`Key::Columns`]). Whoever fixes that column alone reads and
//! writes one partition; whoever fixes the whole key knows its partition too. That is sound because a row that comes to
//! match such a condition, or ceases to, has that value in its old or its new image. A key of one column is a
//! partition for each row.
//!
//! ```text
//!   schema ──┐
//!   text ────┼─> Template ── parameters ──> Items ──> Footprint <── touches? ── ChangeSet <── captured changes
//!   actions ─┘   (once)      (each time)
//! ```
//!
//! A sequence is a row of `evesql_sequences`, whose key is its OID.
//!
//! The mixer groups by footprints (a hint there), the executor checks captured changes against them before it
//! applies what ran beside others (invariant 4): only there soundness counts.
//!
//! Pure: it is told of a schema and of what SQLite's authorizer said; it knows no connection.

mod changes;
mod derive;
mod expr;
mod facts;
mod key;
mod load;
mod narrow;
mod row;
mod schema;
mod shape;
mod template;
mod templates;

pub use changes::ChangeSet;
pub use key::Affinity;
pub use schema::{Column, ForeignAction, ForeignKey, Key, Kind, Schema, Table, UniqueIndex};
pub use template::{Action, Named, NamedRows, NamedValue, Template};
pub use templates::Templates;

use serde::{Deserialize, Serialize};

/// How rows are touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Access {
    /// Read; also read for that it is not there.
    Read,
    /// Inserted, changed or deleted.
    Write,
    /// New rows whose keys are given out when they are written and that no other transaction is given: hidden rowids
    /// and numbers of a sequence; and drawing such a number. Two appends never touch the same row; which number each
    /// gets depends on the order.
    Append,
}

/// Which rows of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Extent {
    /// All rows.
    All,
    /// Those of which the key's first column has the value with this hash: one row, if the key has no other column.
    Partition(u64),
    /// One row by a key of several columns.
    Row {
        /// The hash of its partition.
        partition: u64,
        /// The hash of the whole key.
        row: u64,
    },
}

/// Rows of one space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Item {
    /// Hash of the database object's name (see [`space`]).
    pub space: u64,
    /// Which of its rows.
    pub extent: Extent,
    /// How.
    pub access: Access,
}

/// What one transaction reads and writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// It conflicts with every other transaction (DDL, what was not understood).
    pub everything: bool,
    /// Sorted, each once.
    pub items: Vec<Item>,
}

/// Names a space: a table by its name alone, one of its unique indexes with the index's name too.
pub fn space(object: &str, index: Option<&str>) -> u64 {
    // A zero byte cannot stand in a name.
    let name = format!("{}\0{}", object.to_ascii_lowercase(), index.unwrap_or("").to_ascii_lowercase());
    xxhash_rust::xxh3::xxh3_64(name.as_bytes())
}

impl Extent {
    /// The partition to which all its rows belong, if there is one.
    fn partition(self) -> Option<u64> {
        match self {
            Extent::All => None,
            Extent::Partition(partition) | Extent::Row { partition, .. } => Some(partition),
        }
    }

    /// Whether one row may belong to both.
    pub fn meets(self, other: Extent) -> bool {
        use Extent::{All, Partition, Row};
        match (self, other) {
            (All, _) | (_, All) => true,
            (Row { row, .. }, Row { row: other, .. }) => row == other,
            (Partition(partition) | Row { partition, .. }, Partition(other) | Row { partition: other, .. }) => {
                partition == other
            }
        }
    }
}

impl Item {
    /// Whether the order of two transactions that touch these may matter.
    pub fn conflicts(&self, other: &Item) -> bool {
        self.space == other.space
            && (self.access, other.access) != (Access::Read, Access::Read)
            && self.extent.meets(other.extent)
    }
}

impl Footprint {
    /// Of a transaction of which nothing is known.
    pub fn everything() -> Self {
        Footprint { everything: true, items: Vec::new() }
    }

    /// Of these items.
    pub fn of(mut items: Vec<Item>) -> Self {
        items.sort_unstable();
        items.dedup();
        Footprint { everything: false, items }
    }

    /// Whether the order of two transactions may matter. Linear in the items.
    pub fn conflicts(&self, other: &Footprint) -> bool {
        if self.everything || other.everything {
            return true;
        }
        // Sorted by space first: spaces of both are walked side by side.
        let (mut ours, mut theirs) = (&self.items[..], &other.items[..]);
        while let (Some(a), Some(b)) = (ours.first(), theirs.first()) {
            let space = a.space.min(b.space);
            let ends = |items: &[Item]| items.iter().position(|item| item.space != space).unwrap_or(items.len());
            let ((a, rest_a), (b, rest_b)) = (ours.split_at(ends(ours)), theirs.split_at(ends(theirs)));
            if a.iter().any(|a| b.iter().any(|b| a.conflicts(b))) {
                return true;
            }
            (ours, theirs) = (rest_a, rest_b);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(space: u64, key: impl Into<Option<u64>>, access: Access) -> Item {
        Item { space, extent: key.into().map_or(Extent::All, Extent::Partition), access }
    }

    #[test]
    fn rows_of_different_partitions_do_not_meet() {
        use Extent::{All, Partition};
        let row = |partition, row| Extent::Row { partition, row };
        for (a, b, expected) in [
            (All, All, true),
            (All, Partition(1), true),
            (All, row(1, 10), true),
            (Partition(1), Partition(1), true),
            (Partition(1), Partition(2), false),
            (Partition(1), row(1, 10), true),
            (Partition(1), row(2, 10), false),
            (row(1, 10), row(1, 10), true),
            (row(1, 10), row(1, 11), false),
            (row(1, 10), row(2, 20), false),
        ] {
            assert_eq!((a.meets(b), b.meets(a)), (expected, expected), "{a:?} {b:?}");
        }
    }

    #[test]
    fn items_conflict_where_one_may_see_what_the_other_writes() {
        use Access::{Append, Read, Write};
        for (a, b, expected) in [
            (item(1, 5, Read), item(1, 5, Read), false),
            (item(1, 5, Read), item(1, 5, Write), true),
            (item(1, 5, Write), item(1, 5, Write), true),
            (item(1, 5, Write), item(1, 6, Write), false),
            (item(1, 5, Write), item(2, 5, Write), false),
            (item(1, None, Read), item(1, 5, Read), false),
            (item(1, None, Read), item(1, 5, Write), true),
            (item(1, None, Append), item(1, None, Append), true),
            (item(1, None, Append), item(1, 5, Read), true),
            (item(1, 7, Append), item(1, 7, Append), true),
            (item(1, 7, Append), item(1, 8, Append), false),
        ] {
            assert_eq!(a.conflicts(&b), expected, "{a:?} {b:?}");
            assert_eq!(b.conflicts(&a), expected, "{b:?} {a:?}");
            let others = [item(0, 1, Write), item(9, None, Read)];
            let (a, b) = (Footprint::of([vec![a], others.to_vec()].concat()), Footprint::of(vec![b]));
            assert_eq!(a.conflicts(&b), expected, "{a:?} {b:?}");
        }
        assert!(Footprint::everything().conflicts(&Footprint::default()));
    }
}
