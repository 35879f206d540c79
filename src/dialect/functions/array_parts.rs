//! Parts of arrays: elements, slices, positions, dimensions.

use super::arrays::{elements, parse};
use super::casts::fit;
use super::{Arguments, Result, ScalarFunction, integer, pure, strict, string, text};
use crate::dialect::codec::{array_from_json, array_to_json};
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value};
use serde_json::Value as Json;

/// The element at these places, counted from 1: NULL outside, and if it is an array itself.
fn array_item(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let mut item = &parse(args[0])?;
    for place in &args[1..] {
        let at = usize::try_from(integer(*place)? - 1).ok();
        let Some(found) = at.and_then(|at| item.get(at)) else { return Ok(Value::Null) };
        item = found;
    }
    Ok(match item {
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Real(number.as_f64().unwrap_or_default()),
        },
        Json::String(found) => text(found.as_str()),
        Json::Bool(truth) => Value::Integer(i64::from(*truth)),
        _ => Value::Null,
    })
}

/// The elements from one place to another, counted from 1, both included.
fn array_slice(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let items = elements(args[0])?;
    if items.iter().any(Json::is_array) {
        return Err(SqlError::new("0A000", "slices of arrays of more than one dimension are not supported"));
    }
    let low = usize::try_from(integer(args[1])? - 1).unwrap_or(0);
    let high = usize::try_from(integer(args[2])?).unwrap_or(0).min(items.len());
    Ok(text(Json::from(items.get(low..high).unwrap_or_default()).to_string()))
}

/// Applies a type modifier to each element. Arguments: array, its type, modifier, whether it was asked for.
fn array_fit(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    fit(args[0], PgType(integer(args[1])? as u32), integer(args[2])? as i32, integer(args[3])? != 0)
}

/// Lengths of the dimensions; none of an empty array.
fn dimensions(json: &Json) -> Vec<usize> {
    let mut all = Vec::new();
    let mut level = Some(json);
    while let Some(Json::Array(items)) = level {
        all.extend(Some(items.len()).filter(|length| *length > 0));
        level = items.first();
    }
    all
}

fn array_ndims(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let count = dimensions(&parse(args[0])?).len();
    Ok(if count == 0 { Value::Null } else { Value::Integer(count as i64) })
}

fn array_dims(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let shown: String = dimensions(&parse(args[0])?).iter().map(|length| format!("[1:{length}]")).collect();
    Ok(if shown.is_empty() { Value::Null } else { text(shown) })
}

/// Arguments: array, its type, value in stored form.
fn array_positions(args: &Arguments<'_>) -> Result<Value> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let element = PgType(integer(args[1])? as u32).element().unwrap_or(PgType::TEXT);
    let items = array_from_json(string(args[0])?, element)?;
    let found = items.iter().enumerate().filter(|(_, item)| item.as_ref() == args[2]);
    Ok(text(array_to_json(&found.map(|(at, _)| Value::Integer(at as i64 + 1)).collect::<Vec<_>>())))
}

/// Arguments: array, its type, what is replaced and by what, in stored form.
fn array_replace(args: &Arguments<'_>) -> Result<Value> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let element = PgType(integer(args[1])? as u32).element().unwrap_or(PgType::TEXT);
    let mut items = array_from_json(string(args[0])?, element)?;
    items.iter_mut().filter(|item| item.as_ref() == args[2]).for_each(|item| *item = args[3].to_value());
    Ok(text(array_to_json(&items)))
}

/// Without so many elements at the end.
fn trim_array(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let mut items = elements(args[0])?;
    let kept = usize::try_from(integer(args[1])?).ok().and_then(|count| items.len().checked_sub(count));
    let Some(kept) = kept else {
        return Err(SqlError::new(
            "2202E",
            format!("number of elements to trim must be between 0 and {}", items.len()),
        ));
    };
    items.truncate(kept);
    Ok(text(Json::from(items).to_string()))
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_array_item", -1, array_item),
    pure("evesql_array_slice", 3, array_slice),
    pure("evesql_array_fit", 4, array_fit),
    pure("evesql_array_ndims", 1, array_ndims),
    pure("evesql_array_dims", 1, array_dims),
    pure("evesql_array_positions", 3, array_positions),
    pure("evesql_array_replace", 4, array_replace),
    pure("evesql_trim_array", 2, trim_array),
];
