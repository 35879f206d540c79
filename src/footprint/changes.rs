//! Rows that were changed, gathered to ask whether a transaction that ran beside them would have seen them.

use super::key::{Added, KeyHash};
use super::schema::{Key, Schema, Table};
use super::{Access, Extent, Footprint, Item, space};
use crate::transaction::Value;
use std::collections::{HashMap, HashSet};

/// Changes of rows, as keys of tables and of unique indexes.
///
/// A change and an item of the same space touch each other if the changed row belongs to the item's extent.
/// The exception are appends to a table with hidden rowids: such a row depends on no other row of its table, and gets
/// its rowid where it is applied, so no change touches it. (Unique indexes of that table are spaces of their own.)
#[derive(Clone, Debug, Default)]
pub struct ChangeSet {
    /// Something changed that has no rows: the schema, a virtual table.
    everything: bool,
    spaces: HashMap<u64, Changed>,
    /// Spaces with the hashes of changed rows' partitions, and of the rows where these are not partitions.
    keys: HashSet<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Changed {
    /// Rows that statements can name, so that a new one could be among them.
    named: bool,
    /// A key is not known: it may be any.
    unknown: bool,
}

impl ChangeSet {
    /// Notes a change that is not one of rows: it touches everything.
    pub fn add_everything(&mut self) {
        self.everything = true;
    }

    /// Notes a change of a row: the values of all columns in the table's order, generated ones too, before (none for a
    /// new row) and after (none for a deleted one). A table that the schema does not have touches everything.
    pub fn add(&mut self, schema: &Schema, table: &str, old: Option<&[Value]>, new: Option<&[Value]>) {
        let Some(table) = schema.table(table) else { return self.add_everything() };
        let fits = |row: Option<&[Value]>| row.is_none_or(|row| row.len() == table.columns.len());
        if !fits(old) || !fits(new) {
            return self.add_everything();
        }
        match &table.key {
            Key::Hidden => self.note(space(&table.name, None), Extent::All, false),
            Key::Rowid(column) => self.row(table, None, Some(std::slice::from_ref(column)), old, new),
            Key::Columns(columns) => self.row(table, None, Some(columns), old, new),
        }
        for index in &table.unique {
            self.row(table, Some(&index.name), index.columns.as_deref(), old, new);
        }
    }

    fn row(
        &mut self,
        table: &Table,
        index: Option<&str>,
        columns: Option<&[usize]>,
        old: Option<&[Value]>,
        new: Option<&[Value]>,
    ) {
        let space = space(&table.name, index);
        let Some(columns) = columns else { return self.note(space, Extent::All, true) };
        let key = |row: &[Value]| key(table, columns, row);
        let (old, new) = (old.map(key), new.map(key));
        if index.is_some() && old == new && old.is_some_and(|(added, _)| added != Added::Unknown) {
            return; // the index holds what it held
        }
        for (added, extent) in [old, new].into_iter().flatten() {
            match added {
                Added::Unknown => self.note(space, Extent::All, true),
                // A NULL in an index equals nothing.
                Added::Null if index.is_some() => {}
                Added::Null | Added::Known => self.note(space, extent, true),
            }
        }
    }

    fn note(&mut self, space: u64, extent: Extent, named: bool) {
        let changed = self.spaces.entry(space).or_default();
        changed.named |= named;
        match extent {
            Extent::All => changed.unknown = true,
            Extent::Partition(partition) => drop(self.keys.insert((space, partition))),
            Extent::Row { partition, row } => self.keys.extend([(space, partition), (space, row)]),
        }
    }

    /// Whether a change of some row of this table was noted.
    pub fn is_of(&self, table: &str) -> bool {
        self.everything || self.spaces.contains_key(&space(table, None))
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        !self.everything && self.spaces.is_empty()
    }

    /// Forgets all changes.
    pub fn clear(&mut self) {
        self.everything = false;
        self.spaces.clear();
        self.keys.clear();
    }

    /// Whether a transaction of this footprint that ran without the changes might have answered or written otherwise
    /// with them. Constant time for each item.
    pub fn touches(&self, footprint: &Footprint) -> bool {
        if self.is_empty() {
            return false;
        }
        if footprint.everything || self.everything {
            return footprint.everything || !footprint.items.is_empty();
        }
        footprint.items.iter().any(|item| self.touches_item(item))
    }

    /// The same of one item.
    pub fn touches_item(&self, item: &Item) -> bool {
        if self.everything {
            return true;
        }
        let Some(changed) = self.spaces.get(&item.space) else { return false };
        match item.extent {
            Extent::All => item.access != Access::Append || changed.named,
            Extent::Partition(key) | Extent::Row { row: key, .. } => {
                changed.unknown || self.keys.contains(&(item.space, key))
            }
        }
    }
}

fn key(table: &Table, columns: &[usize], row: &[Value]) -> (Added, Extent) {
    let mut hash = KeyHash::default();
    let mut all = Added::Known;
    for column in columns {
        let value = row.get(*column).unwrap_or(&Value::Null);
        match hash.add(value.as_ref(), table.columns[*column].affinity) {
            Added::Unknown => return (Added::Unknown, Extent::All),
            Added::Null => all = Added::Null,
            Added::Known => {}
        }
    }
    (all, hash.extent())
}
