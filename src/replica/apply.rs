//! Changes of rows that happened on a view, done again on the canonical state.
//!
//! Rows are found by their key; where a table's rows have no name, by the hidden rowid. A row that is new gets its hidden
//! rowid here, so what the same transaction does to it later is told by the rowid that it had on the view.

use crate::engine::{Connection, Failure, LocalError};
use crate::footprint::{Key, Kind, Schema, Table};
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
    Delete,
    /// These columns get new values.
    Update(Box<[usize]>),
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
        table.kind == Kind::Table && !table.autoincrement && (table.key != Key::Hidden || rowid_name(table).is_some())
    };
    let fits = |table: &Table, row: &Option<Vec<Value>>| row.as_ref().is_none_or(|r| r.len() == table.columns.len());
    changes.iter().all(|change| {
        let table = schema.table(&change.table);
        table.is_some_and(|table| can(table) && fits(table, &change.old) && fits(table, &change.new))
    })
}

/// Does all of a transaction's changes again, in their order.
pub(super) fn apply(
    connection: &mut Connection,
    schema: &Schema,
    texts: &mut Texts,
    changes: &[RowChange],
) -> Result<(), NotApplied> {
    // Hidden rowids of this transaction's new rows: on the view, and here.
    let mut rowids: HashMap<(&str, i64), i64> = HashMap::new();
    let mut values: Vec<ValueRef<'_>> = Vec::new();
    for change in changes {
        let Some(table) = schema.table(&change.table) else {
            return Err(NotApplied::Differs(format!("table {} is not there", change.table)));
        };
        let doing = match (&change.old, &change.new) {
            (None, _) => Doing::Insert,
            (_, None) => Doing::Delete,
            (Some(old), Some(new)) => Doing::Update(differing(table, old, new)),
        };
        if matches!(&doing, Doing::Update(columns) if columns.is_empty()) {
            continue;
        }
        values.clear();
        match (&doing, &change.new) {
            (Doing::Insert, Some(new)) => values.extend(stored(table).map(|column| new[column].as_ref())),
            (Doing::Update(columns), Some(new)) => values.extend(columns.iter().map(|column| new[*column].as_ref())),
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
        if table.key == Key::Hidden && doing == Doing::Insert {
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
    let column = |at: usize| quoted(&table.columns[at].name);
    let list = |parts: Vec<String>| parts.join(", ");
    let mut text = match doing {
        Doing::Insert => {
            let columns: Vec<String> = stored(table).map(column).collect();
            let places = (1..=columns.len()).map(|number| format!("?{number}")).collect();
            return format!("INSERT INTO main.{name}({}) VALUES ({})", list(columns), list(places));
        }
        Doing::Delete => format!("DELETE FROM main.{name}"),
        Doing::Update(columns) => {
            let sets = columns.iter().enumerate().map(|(at, set)| format!("{} = ?{}", column(*set), at + 1));
            format!("UPDATE main.{name} SET {}", list(sets.collect()))
        }
    };
    let before = match doing {
        Doing::Update(columns) => columns.len(),
        _ => 0,
    };
    let keys: Vec<String> = match table.key_columns() {
        Some(columns) => columns.iter().map(|at| column(*at)).collect(),
        None => vec![rowid_name(table).unwrap_or("rowid").into()],
    };
    for (at, key) in keys.iter().enumerate() {
        let word = if at == 0 { "WHERE" } else { "AND" };
        let _ = write!(text, " {word} {key} = ?{}", before + at + 1);
    }
    text
}
