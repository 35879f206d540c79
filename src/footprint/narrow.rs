//! Which keys of a table matter to a FROM clause with its conditions.
//!
//! 1. Each column of the key is fixed by an equality with parameters or constants that must hold; or the first one,
//!    which fixes the partition.
//! 2. SQLite looks up the row by the whole key alone, or may evaluate the conditions for any row without an error or a
//!    side effect: then it does not matter which rows it looks at.

use super::key::{Operand, Part};
use super::schema::{Column, Key, Schema, Table};
use super::shape::Sources;

/// Rows by key of one statement; more are all rows.
pub(super) const KEYS_MAX: usize = 64;

/// The keys, or their first columns, to which a FROM clause narrows the rows that matter of a place (see the head of
/// this file).
pub(super) fn keys(schema: &Schema, sources: &Sources, place: usize, table: &Table) -> Option<Vec<Box<[Part]>>> {
    let columns = table.key_columns()?;
    let mut aliases: Vec<&str> = sources.places.iter().map(|place| place.alias.as_str()).collect();
    aliases.sort_unstable();
    if aliases.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    let mut choices: Vec<(&Column, &[Operand])> = Vec::new();
    let mut looked_up = sources.places.len() == 1 && !sources.others;
    for column in columns {
        let name = &*table.columns[*column].name;
        let mut fixing = sources.equalities.iter().filter(|equality| {
            equality.column == name
                && equality.only.is_none_or(|only| only == place)
                && means(schema, sources, equality.qualifier.as_deref(), name, place)
        });
        let Some(equality) = fixing.next() else {
            looked_up = false;
            choices.truncate(1);
            break;
        };
        // Of two values SQLite may look up either row.
        looked_up &= equality.values.len() == 1 && fixing.next().is_none();
        choices.push((&table.columns[*column], &equality.values));
    }
    // Other unique indexes may be fixed too, and more than three columns it does not look up at once.
    looked_up &= matches!(table.key, Key::Rowid(_)) || table.unique.is_empty() && columns.len() <= 3;
    match sources.harmless {
        false if !looked_up => None,
        false => combinations(&choices),
        true => combinations(&choices).or_else(|| combinations(choices.get(..1)?)),
    }
}

/// Whether a column's name is one of this place.
fn means(schema: &Schema, sources: &Sources, qualifier: Option<&str>, column: &str, place: usize) -> bool {
    match qualifier {
        Some(qualifier) => sources.places[place].alias == qualifier,
        None if sources.places.len() == 1 && !sources.others => true,
        None => {
            let has = |table: &str| schema.table(table).is_none_or(|table| table.column(column).is_some());
            !sources.others && sources.places.iter().enumerate().all(|(at, other)| at == place || !has(&other.table))
        }
    }
}

/// Every combination of the values that the columns may have.
fn combinations(choices: &[(&Column, &[Operand])]) -> Option<Vec<Box<[Part]>>> {
    if choices.is_empty() {
        return None;
    }
    let mut keys: Vec<Vec<Part>> = vec![Vec::new()];
    for (column, values) in choices {
        if keys.len() * values.len() > KEYS_MAX {
            return None;
        }
        let extended = |key: &Vec<Part>| {
            let part = |operand: &Operand| Part { operand: operand.clone(), affinity: column.affinity };
            values.iter().map(|value| key.iter().cloned().chain([part(value)]).collect()).collect::<Vec<_>>()
        };
        keys = keys.iter().flat_map(extended).collect();
    }
    Some(keys.into_iter().map(Vec::into_boxed_slice).collect())
}
