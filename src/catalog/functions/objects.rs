//! Definitions, comments, sizes and privileges of objects.

use super::names::{find_relation, name_parts};
use super::{number_at, oid_at, text, text_at, truth, truth_at};
use crate::catalog::definitions::{
    constraint_definition, in_parentheses, index_column, index_definition, qualified_name, small_types, view_definition,
};
use crate::catalog::relations::Source;
use crate::catalog::{Index, Object, PUBLIC, PUBLIC_OID, Table};
use crate::transaction::{SqlError, Value, ValueRef};

type Arguments<'a> = [ValueRef<'a>];
type Answer = Result<Value, SqlError>;

fn text_or_null(found: Option<String>) -> Answer {
    found.map_or(Ok(Value::Null), text)
}

/// Expressions are kept as text, so this gives back what it gets, in parentheses where PostgreSQL puts them.
pub(super) fn expression(_: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    match text_at(arguments, 0) {
        Some(expression) if truth_at(arguments, 2) => text(small_types(expression)),
        Some(expression) => text(in_parentheses(&small_types(expression))),
        None => Ok(Value::Null),
    }
}

pub(super) fn constraint(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let Some(oid) = oid_at(arguments, 0) else { return Ok(Value::Null) };
    let found =
        source.catalog.tables().find_map(|table| Some((table, table.constraints.iter().find(|c| c.oid == oid)?)));
    text_or_null(found.map(|(table, found)| constraint_definition(source, table, found, truth_at(arguments, 1))))
}

fn find_index<'a>(source: &Source<'a>, oid: u32) -> Option<(&'a Table, &'a Index)> {
    source.catalog.tables().find_map(|table| Some((table.as_ref(), table.indexes.iter().find(|i| i.oid == oid)?)))
}

pub(super) fn index(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let found = oid_at(arguments, 0).and_then(|oid| find_index(source, oid));
    let Some((table, index)) = found else { return Ok(Value::Null) };
    match number_at(arguments, 1).unwrap_or(0) {
        0 => text(index_definition(source, table, index, truth_at(arguments, 2))),
        // PostgreSQL answers with an empty text where there is no such column.
        position => {
            text(usize::try_from(position).ok().and_then(|at| index_column(table, index, at)).unwrap_or_default())
        }
    }
}

/// An argument that names a relation, by OID or by name.
fn relation_at(source: &Source<'_>, arguments: &Arguments<'_>, at: usize) -> Option<u32> {
    match arguments.get(at)? {
        ValueRef::Text(name) => find_relation(source, name),
        _ => oid_at(arguments, at),
    }
}

pub(super) fn view(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    match relation_at(source, arguments, 0).and_then(|oid| source.catalog.object(oid)) {
        Some(Object::View(view)) => text(view_definition(view)),
        _ => Ok(Value::Null),
    }
}

pub(super) fn serial_sequence(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let (Some(table), Some(column)) = (text_at(arguments, 0), text_at(arguments, 1)) else { return Ok(Value::Null) };
    let missing = || SqlError::new("42P01", format!("relation \"{table}\" does not exist"));
    let oid = find_relation(source, table).ok_or_else(missing)?;
    let table = source.catalog.table(oid).ok_or_else(missing)?;
    let known = table.column(column).ok_or_else(|| {
        SqlError::new("42703", format!("column \"{column}\" of relation \"{}\" does not exist", table.name))
    })?;
    let owned = |sequence: &&std::sync::Arc<crate::catalog::Sequence>| sequence.owner == Some((oid, known.number));
    let sequence = source.catalog.sequences().find(owned);
    let sequence = sequence.or_else(|| known.sequence.and_then(|oid| source.catalog.sequence(oid)));
    text_or_null(sequence.map(|sequence| qualified_name(&sequence.schema, &sequence.name)))
}

pub(super) fn object_comment(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let Some(oid) = oid_at(arguments, 0) else { return Ok(Value::Null) };
    let class = text_at(arguments, 1).and_then(|kind| name_parts(kind).pop());
    let is = |kind: &str| class.as_deref().is_none_or(|class| class == kind);
    let catalog = source.catalog;
    text_or_null(match catalog.object(oid) {
        Some(Object::Table(table)) if is("pg_class") => table.comment.clone(),
        Some(Object::View(view)) if is("pg_class") => view.comment.clone(),
        Some(Object::Sequence(sequence)) if is("pg_class") => sequence.comment.clone(),
        Some(Object::Schema(schema)) if is("pg_namespace") => schema.comment.clone(),
        Some(_) => None,
        None if oid == PUBLIC_OID && is("pg_namespace") => match catalog.schema(PUBLIC) {
            Some(Object::Schema(schema)) => schema.comment.clone(),
            _ => None,
        },
        None => {
            let index = find_index(source, oid).filter(|_| is("pg_class")).map(|(_, index)| index.comment.clone());
            let constraint = || {
                let mut all = catalog.tables().flat_map(|table| &table.constraints).filter(|_| is("pg_constraint"));
                all.find(|constraint| constraint.oid == oid).and_then(|constraint| constraint.comment.clone())
            };
            index.unwrap_or_else(constraint)
        }
    })
}

pub(super) fn column_comment(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let number = number_at(arguments, 1);
    let columns = match oid_at(arguments, 0).and_then(|oid| source.catalog.object(oid)) {
        Some(Object::Table(table)) => &table.columns,
        Some(Object::View(view)) => &view.columns,
        _ => return Ok(Value::Null),
    };
    let column = columns.iter().find(|column| Some(i64::from(column.number)) == number);
    text_or_null(column.and_then(|column| column.comment.clone()))
}

pub(super) fn is_publishable(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let oid = relation_at(source, arguments, 0);
    oid.map_or(Ok(Value::Null), |oid| truth(source.catalog.table(oid).is_some()))
}

pub(super) fn index_property(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let index = relation_at(source, arguments, 0).and_then(|oid| find_index(source, oid));
    let at = number_at(arguments, 1).and_then(|number| usize::try_from(number - 1).ok());
    let key = index.zip(at).and_then(|((_, index), at)| index.keys.get(at));
    match (key, text_at(arguments, 2)) {
        (Some(key), Some("desc" | "nulls_first")) => truth(key.descending),
        (Some(key), Some("asc" | "nulls_last")) => truth(!key.descending),
        (Some(_), Some("orderable" | "returnable" | "search_array" | "search_nulls")) => truth(true),
        (Some(_), Some("distance_orderable")) => truth(false),
        _ => Ok(Value::Null),
    }
}

/// PostgreSQL's rule: stay with a unit up to 10239 of it, then round to the next.
pub(super) fn size_pretty(_: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let Some(size) = number_at(arguments, 0) else { return Ok(Value::Null) };
    if size.unsigned_abs() < 10 * 1024 {
        return text(format!("{size} bytes"));
    }
    let mut halves = size >> 9; // one bit more than the unit, for rounding
    for unit in ["kB", "MB", "GB", "TB"] {
        if halves.unsigned_abs() < 20 * 1024 - 1 {
            return text(format!("{} {unit}", (halves + halves.signum()) / 2));
        }
        halves >>= 10;
    }
    text(format!("{} PB", (halves + halves.signum()) / 2))
}

pub(super) fn nothing(_: &Source<'_>, _: &Arguments<'_>) -> Answer {
    Ok(Value::Null)
}

pub(super) fn empty_text(_: &Source<'_>, _: &Arguments<'_>) -> Answer {
    text("")
}

pub(super) fn zero(_: &Source<'_>, _: &Arguments<'_>) -> Answer {
    Ok(Value::Integer(0))
}

pub(super) fn no(_: &Source<'_>, _: &Arguments<'_>) -> Answer {
    truth(false)
}

/// NULL for a NULL object, as PostgreSQL's strict functions are.
pub(super) fn yes(_: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    if arguments.iter().any(|argument| argument.is_null()) { Ok(Value::Null) } else { truth(true) }
}
