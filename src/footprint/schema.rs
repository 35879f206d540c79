//! What footprints need to know of a SQLite schema, as plain data: keys, unique indexes, foreign keys, triggers.
//!
//! A row of a table is named by its *key*: the INTEGER PRIMARY KEY, else the declared primary key, else one unique
//! index over columns that are NOT NULL (EveSQL keeps primary keys as such). A table that has none of them has
//! hidden rowids, and its rows cannot be named.

use super::Extent;
use super::key::{Added, Affinity, KeyHash};
use crate::transaction::Value;
use std::collections::HashMap;

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name in lower case.
    pub name: Box<str>,
    /// What it makes of values.
    pub affinity: Affinity,
    /// Whether text in it is compared byte by byte, as far as is known.
    pub binary: bool,
    /// Refuses NULL.
    pub not_null: bool,
    /// Has a DEFAULT.
    pub has_default: bool,
    /// Computed from other columns.
    pub generated: bool,
}

/// What names a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// The column that is the rowid.
    Rowid(usize),
    /// These columns. The first one divides the rows into partitions: of the columns as they were declared the first
    /// in a foreign key, else the first that another index begins with, else the first.
    Columns(Vec<usize>),
    /// Nothing that a statement could say.
    Hidden,
}

/// A unique index that is not the key.
#[derive(Clone, Debug, PartialEq)]
pub struct UniqueIndex {
    /// Its name.
    pub name: Box<str>,
    /// Its columns; none if its keys cannot be told from a row's columns (an expression, a generated column) or
    /// a row may not be in it (partial), or text is compared otherwise than byte by byte.
    pub columns: Option<Vec<usize>>,
}

/// What a change of a parent row does to its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignAction {
    /// Refuses it while there are children.
    Refuse,
    /// Deletes them, or changes their columns along.
    Cascade,
    /// Sets their columns to NULL or to the default.
    Set,
}

/// A foreign key, seen from the child.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignKey {
    /// Columns of the child.
    pub columns: Vec<usize>,
    /// The parent's name in lower case.
    pub parent: Box<str>,
    /// Names of the parent's columns in lower case; empty if it has none such.
    pub parent_columns: Vec<Box<str>>,
    /// ON UPDATE.
    pub on_update: ForeignAction,
    /// ON DELETE.
    pub on_delete: ForeignAction,
}

/// What stands behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rows of its own.
    Table,
    /// A query.
    View,
    /// A module's.
    Virtual,
}

/// A table or view.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its name as it was declared.
    pub name: Box<str>,
    /// What it is.
    pub kind: Kind,
    /// Its columns in SQLite's order, generated ones too.
    pub columns: Vec<Column>,
    /// What names its rows.
    pub key: Key,
    /// The unique indexes beside the key.
    pub unique: Vec<UniqueIndex>,
    /// The foreign keys of which it is the child.
    pub foreign_keys: Vec<ForeignKey>,
    /// The foreign keys of which it is the parent: name of the child, position among the child's.
    pub children: Vec<(Box<str>, usize)>,
    /// Has triggers.
    pub has_triggers: bool,
    /// Its rows have rowids, hidden or not.
    pub has_rowids: bool,
    /// Counts its rowids in `sqlite_sequence`.
    pub autoincrement: bool,
    /// Its declaration draws from sequences.
    pub draws: bool,
    /// Its declaration tells what to do on conflicts.
    pub resolves_conflicts: bool,
}

/// A database's tables and views by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    tables: HashMap<Box<str>, Table>,
}

impl Table {
    /// Position of the column with this name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Positions of the key's columns; none if it is hidden.
    pub fn key_columns(&self) -> Option<&[usize]> {
        match &self.key {
            Key::Rowid(column) => Some(std::slice::from_ref(column)),
            Key::Columns(columns) => Some(columns),
            Key::Hidden => None,
        }
    }

    /// Positions of the columns that a foreign key refers to; none if there are no such columns.
    pub fn referenced(&self, foreign_key: &ForeignKey) -> Option<Vec<usize>> {
        let names = Some(&foreign_key.parent_columns).filter(|names| !names.is_empty())?;
        names.iter().map(|name| self.column(name)).collect()
    }
}

impl Schema {
    /// The table or view of this name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name).or_else(|| self.tables.get(name.to_ascii_lowercase().as_str()))
    }

    /// All tables and views, in no order.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.values()
    }

    /// By what derived footprints name those rows of a table in which these columns have these values; none if the
    /// columns are not just the table's key or its partition's column, or the hash of such a key is not known.
    pub fn extent(&self, table: &str, columns: &[(&str, &Value)]) -> Option<Extent> {
        let table = self.table(table)?;
        let key = table.key_columns().filter(|key| [1, key.len()].contains(&columns.len()))?;
        let mut hash = KeyHash::default();
        for column in key.iter().take(columns.len()) {
            let Column { name, affinity, .. } = table.columns.get(*column)?;
            let (_, value) = columns.iter().find(|(other, _)| name.eq_ignore_ascii_case(other))?;
            // NULL equals nothing: there is no such row.
            (hash.add(value.as_ref(), *affinity) == Added::Known).then_some(())?;
        }
        Some(hash.extent())
    }

    /// Adds a table or view; [`Schema::link`] after the last one.
    pub fn add(&mut self, table: Table) {
        self.tables.insert(table.name.to_ascii_lowercase().into(), table);
    }

    /// Tells parents of their children.
    pub fn link(&mut self) {
        let mut links = Vec::new();
        for (child, table) in &self.tables {
            for (at, foreign_key) in table.foreign_keys.iter().enumerate() {
                links.push((foreign_key.parent.clone(), child.clone(), at));
            }
        }
        links.sort_unstable();
        self.tables.values_mut().for_each(|table| table.children.clear());
        for (parent, child, at) in links {
            if let Some(parent) = self.tables.get_mut(&parent) {
                parent.children.push((child, at));
            }
        }
    }

    /// Reads the schema of a database by a function that runs a query and gives its rows. One call for each of a
    /// handful of queries, whose rows are those of the schema.
    pub fn load<E>(query: impl FnMut(&str) -> Result<Vec<Vec<Value>>, E>) -> Result<Schema, E> {
        super::load::load(query)
    }
}
