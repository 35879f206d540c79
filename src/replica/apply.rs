//! Changes of rows that happened on a view, done again on the canonical state.
//!
//! Rows are found by their key; where a table's rows have no name, by the hidden rowid. As long as nobody else has
//! changed such a table in this group, its rowids are here what they were on the view, also those that a statement
//! named. After that only rows are added (else a footprint would have been touched): one gets its hidden rowid here, so
//! what the same transaction does to it later is told by the rowid that it had on the view.

use crate::engine::{Connection, Failure, LocalError};
use crate::footprint::{ChangeSet, Key, Kind, Schema, Table};
use crate::page_store::sqlite::RowChange;
use crate::transaction::{Value, ValueRef};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Why changes could not be done again.
#[derive(Debug)]
pub(super) enum NotApplied {
    /// The rows are not what they were where it happened: a footprint was not sound.
    Differs(String),
    /// This machine failed.
    Local(LocalError),
}

/// What is done to a row, as far as the statement for it depends on it.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Doing {
    Insert,
    /// With its hidden rowid.
    InsertAt,
    Delete,
    /// These columns get new values.
    Update(Box<[usize]>),
    /// And the row another hidden rowid.
    Move(Box<[usize]>),
}

/// Statements by table, for one schema.
#[derive(Default)]
pub(super) struct Texts(HashMap<Arc<str>, HashMap<Doing, Arc<str>>>);

impl Texts {
    fn get(&mut self, table: &Table, name: &Arc<str>, doing: Doing) -> Arc<str> {
        let known = self.0.entry(name.clone()).or_default();
        let text = known.entry(doing);
        text.or_insert_with_key(|doing| text_of(table, doing).into()).clone()
    }
}

/// Whether changes of this table can be done again elsewhere by its rows alone.
pub(super) fn can_apply(schema: &Schema, changes: &[RowChange]) -> bool {
    let can = |table: &Table| {
        let is_found = table.key != Key::Hidden || table.has_rowids && rowid_name(table).is_some();
        table.kind == Kind::Table && !table.autoincrement && is_found
    };
    let fits = |table: &Table, row: &Option<Vec<Value>>| row.as_ref().is_none_or(|r| r.len() == table.columns.len());
    changes.iter().all(|change| {
        let table = schema.table(&change.table);
        table.is_some_and(|table| can(table) && fits(table, &change.old) && fits(table, &change.new))
    })
}

/// Does all of a transaction's changes again, in their order. `before` are those of others since the view's root.
pub(super) fn apply(
    connection: &mut Connection,
    schema: &Schema,
    texts: &mut Texts,
    changes: &[RowChange],
    before: Option<&ChangeSet>,
) -> Result<(), NotApplied> {
    // Tables with hidden rowids that others have changed.
    let mut others: HashMap<&str, bool> = HashMap::new();
    // Hidden rowids of this transaction's new rows: on the view, and here.
    let mut rowids: HashMap<(&str, i64), i64> = HashMap::new();
    let mut values: Vec<ValueRef<'_>> = Vec::new();
    for change in changes {
        let Some(table) = schema.table(&change.table) else {
            return Err(NotApplied::Differs(format!("table {} is not there", change.table)));
        };
        let is_hidden = table.key == Key::Hidden;
        let is_shared = is_hidden && {
            let changed = || before.is_some_and(|changes| changes.is_of(&change.table));
            *others.entry(&change.table).or_insert_with(changed)
        };
        let moves = is_hidden && change.rowids.0 != change.rowids.1;
        let doing = match (&change.old, &change.new) {
            (None, _) if is_hidden && !is_shared => Doing::InsertAt,
            (None, _) => Doing::Insert,
            (_, None) => Doing::Delete,
            (Some(_), Some(_)) if moves && is_shared => {
                return Err(NotApplied::Differs(format!("a row of {} has another rowid", change.table)));
            }
            (Some(old), Some(new)) if moves => Doing::Move(differing(table, old, new)),
            (Some(old), Some(new)) => Doing::Update(differing(table, old, new)),
        };
        if matches!(&doing, Doing::Update(columns) if columns.is_empty()) {
            continue;
        }
        values.clear();
        if matches!(doing, Doing::InsertAt | Doing::Move(_)) {
            values.push(ValueRef::Integer(change.rowids.1));
        }
        match (&doing, &change.new) {
            (Doing::Insert | Doing::InsertAt, Some(new)) => {
                values.extend(stored(table).map(|column| new[column].as_ref()));
            }
            (Doing::Update(columns) | Doing::Move(columns), Some(new)) => {
                values.extend(columns.iter().map(|column| new[*column].as_ref()));
            }
            _ => {}
        }
        if let Some(old) = &change.old {
            match table.key_columns() {
                Some(columns) => values.extend(columns.iter().map(|column| old[*column].as_ref())),
                None => {
                    let there = change.rowids.0;
                    let here = rowids.get(&(&*change.table, there)).copied().unwrap_or(there);
                    values.push(ValueRef::Integer(here));
                }
            }
        }
        let text = texts.get(table, &change.table, doing.clone());
        let (changed, rowid) = match connection.change(&text, &values) {
            Ok(changed) => changed,
            Err(Failure::Local(error)) => return Err(NotApplied::Local(error)),
            Err(Failure::Sql(error)) => {
                return Err(NotApplied::Differs(format!("{}: {}", error.code(), error.message)));
            }
        };
        if changed != 1 {
            return Err(NotApplied::Differs(format!("a row of {} is not there", change.table)));
        }
        if is_shared && doing == Doing::Insert {
            rowids.insert((&change.table, change.rowids.1), rowid);
        }
    }
    Ok(())
}

/// Columns that hold values, in order.
fn stored(table: &Table) -> impl Iterator<Item = usize> + '_ {
    let columns = table.columns.iter().enumerate();
    columns.filter(|(_, column)| !column.generated).map(|(at, _)| at)
}

fn differing(table: &Table, old: &[Value], new: &[Value]) -> Box<[usize]> {
    stored(table).filter(|column| !same(&old[*column], &new[*column])).collect()
}

/// Whether two values are stored alike; NaN is NULL to SQLite, and 0.0 is not -0.0.
pub(super) fn same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Real(old), Value::Real(new)) => old.to_bits() == new.to_bits(),
        _ => old == new,
    }
}

/// What a statement can call the rowid by; none if columns have all of its names.
pub(super) fn rowid_name(table: &Table) -> Option<&'static str> {
    ["rowid", "_rowid_", "oid"].into_iter().find(|name| table.column(name).is_none())
}

fn text_of(table: &Table, doing: &Doing) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let name = quoted(&table.name);
    let column = |at: &usize| quoted(&table.columns[*at].name);
    let rowid = || rowid_name(table).unwrap_or("rowid").to_string();
    let list = |parts: Vec<String>| parts.join(", ");
    let (mut text, set) = match doing {
        Doing::Insert | Doing::InsertAt => {
            let first = (*doing == Doing::InsertAt).then(rowid);
            let columns: Vec<String> = first.into_iter().chain(stored(table).map(|at| column(&at))).collect();
            let places = (1..=columns.len()).map(|number| format!("?{number}")).collect();
            return format!("INSERT INTO main.{name}({}) VALUES ({})", list(columns), list(places));
        }
        Doing::Delete => (format!("DELETE FROM main.{name}"), 0),
        Doing::Update(columns) | Doing::Move(columns) => {
            let first = matches!(doing, Doing::Move(_)).then(rowid);
            let columns: Vec<String> = first.into_iter().chain(columns.iter().map(column)).collect();
            let sets = columns.iter().enumerate().map(|(at, set)| format!("{set} = ?{}", at + 1));
            (format!("UPDATE main.{name} SET {}", list(sets.collect())), columns.len())
        }
    };
    let keys: Vec<String> = match table.key_columns() {
        Some(columns) => columns.iter().map(column).collect(),
        None => vec![rowid()],
    };
    for (at, key) in keys.iter().enumerate() {
        let word = if at == 0 { "WHERE" } else { "AND" };
        let _ = write!(text, " {word} {key} = ?{}", set + at + 1);
    }
    text
}
