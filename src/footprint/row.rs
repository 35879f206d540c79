//! Values that a statement gives to the columns of a row, as far as they are known.

use super::key::{Operand, Part, Source};
use super::schema::{ForeignKey, Table};
use crate::transaction::Value;
use std::collections::HashMap;

/// Values of one row's columns, by position: known, or known to be unknown.
pub(super) type Row<'a> = HashMap<usize, Option<&'a Operand>>;

/// The parts of a key that say which rows it names: all, or if one is not known the first alone, which says the
/// partition; none if that is not known either.
fn known(parts: impl Iterator<Item = Option<Part>>) -> Option<Box<[Part]>> {
    let mut known = Vec::new();
    for part in parts {
        match part {
            Some(part) => known.push(part),
            None => {
                known.truncate(1);
                break;
            }
        }
    }
    (!known.is_empty()).then(|| known.into())
}

/// Values of these columns in a new row, as far as they are known (see [`known`]). What is not mentioned is NULL if
/// there is no default.
pub(super) fn parts(table: &Table, columns: &[usize], row: &Row<'_>) -> Option<Box<[Part]>> {
    let part = |column: &usize| {
        let declared = &table.columns[*column];
        let null = || Operand { source: Source::Constant(Value::Null), characters_max: None };
        let operand = match row.get(column) {
            Some(value) => (*value)?.clone(),
            None if declared.has_default || declared.generated => return None,
            None => null(),
        };
        Some(Part { operand, affinity: declared.affinity })
    };
    known(columns.iter().map(part))
}

/// An old key with the columns that are set, as far as it is known (see [`known`]).
pub(super) fn new_key(table: &Table, columns: &[usize], old: &[Part], row: &Row<'_>) -> Option<Box<[Part]>> {
    let part = |(at, column): (usize, &usize)| match row.get(column) {
        None => old.get(at).cloned(),
        Some(value) => Some(Part { operand: (*value)?.clone(), affinity: table.columns[*column].affinity }),
    };
    known(columns.iter().enumerate().map(part))
}

/// The rows of an INSERT by column; none if a column is not one of the table's.
pub(super) fn rows_by_column<'r>(
    table: &Table,
    columns: &[String],
    rows: &'r [Vec<Option<Operand>>],
) -> Option<Vec<Row<'r>>> {
    let positions: Vec<usize> = if columns.is_empty() {
        (0..table.columns.len()).filter(|at| !table.columns[*at].generated).collect()
    } else {
        columns.iter().map(|name| table.column(name)).collect::<Option<_>>()?
    };
    let row = |values: &'r Vec<Option<Operand>>| {
        let mut row = Row::new();
        for (column, value) in positions.iter().zip(values) {
            // The first of two values for one column counts in SQLite; it is not worth knowing.
            if row.insert(*column, value.as_ref()).is_some() {
                return None;
            }
        }
        (values.len() == positions.len()).then_some(row)
    };
    rows.iter().map(row).collect()
}

pub(super) fn is_null(part: &Part) -> bool {
    matches!(part.operand.source, Source::Constant(Value::Null))
}

/// The key of the parent's row that a foreign key of a child's row names, as far as it is known (see [`known`]).
pub(super) fn parent_key(
    child: &Table,
    foreign_key: &ForeignKey,
    parent: &Table,
    row: &Row<'_>,
) -> Option<Box<[Part]>> {
    let referenced = parent.referenced(foreign_key)?;
    let key = parent.key_columns().filter(|key| key.len() == referenced.len())?;
    let part = |column: &usize| {
        let at = referenced.iter().position(|other| other == column)?;
        let own = *foreign_key.columns.get(at)?;
        let affinity = parent.columns[*column].affinity;
        // The child's column converts it first.
        let same = child.columns[own].affinity == affinity && !child.columns[own].generated;
        let operand = row.get(&own).copied().flatten().filter(|_| same)?.clone();
        Some(Part { operand, affinity })
    };
    known(key.iter().map(part))
}
