//! Parts of arrays: elements, slices, positions, dimensions.

use super::arrays::{elements, parse};
use super::casts::fit;
use super::{Arguments, BYTES_MAX, Result, ScalarFunction, bytes, integer, pure, strict, string, text, too_large};
use crate::dialect::codec::{array_from_json, array_to_json};
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value, ValueRef};
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
pub(super) fn dimensions(items: &[Json]) -> Vec<usize> {
    let mut all = Vec::new();
    let mut level = Some(items);
    while let Some(items) = level.filter(|items| !items.is_empty()) {
        all.push(items.len());
        level = items[0].as_array().map(Vec::as_slice);
    }
    all
}

/// How many elements there are in all dimensions.
fn cardinality(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let all = dimensions(&elements(args[0])?);
    Ok(Value::Integer(if all.is_empty() { 0 } else { all.iter().product::<usize>() as i64 }))
}

fn array_ndims(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let count = dimensions(&elements(args[0])?).len();
    Ok(if count == 0 { Value::Null } else { Value::Integer(count as i64) })
}

fn array_dims(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let shown: String = dimensions(&elements(args[0])?).iter().map(|length| format!("[1:{length}]")).collect();
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

/// Elements that array_fill makes at most, as in PostgreSQL.
const ELEMENTS_MAX: i64 = 134_217_727;

/// array_fill. Arguments: an array of the one element, lengths of the dimensions.
fn array_fill(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Err(SqlError::new("22004", "dimension array or low bound array cannot be null"));
    }
    let mut lengths = Vec::new();
    for length in elements(args[1])? {
        let Some(length) = length.as_i64() else {
            return Err(SqlError::new("22004", "dimension values cannot be null"));
        };
        lengths.push(length);
    }
    if lengths.len() > 6 {
        return Err(SqlError::new(
            "54000",
            format!("number of array dimensions ({}) exceeds the maximum allowed (6)", lengths.len()),
        ));
    }
    let whole = lengths.iter().try_fold(1i64, |product, length| product.checked_mul(*length));
    if lengths.iter().any(|length| *length < 0) || whole.is_none_or(|count| count > ELEMENTS_MAX) {
        let message = format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})");
        return Err(SqlError::new("54000", message));
    }
    if lengths.is_empty() || lengths.contains(&0) {
        return Ok(text("[]"));
    }
    let mut filled = elements(args[0])?.first().map_or_else(|| "null".to_string(), Json::to_string);
    for length in lengths.into_iter().rev() {
        let length = length as usize;
        if filled.len().saturating_add(1).saturating_mul(length) > BYTES_MAX {
            return Err(too_large());
        }
        filled = format!("[{}]", vec![filled; length].join(","));
    }
    Ok(text(filled))
}

/// greatest and least of what sorts by a key. Arguments: 1 for the greatest and -1 for the least, then values each with
/// its key; NULLs are passed over.
fn extreme(args: &Arguments<'_>) -> Result<Value> {
    let direction = integer(args[0])?;
    let mut best: Option<(&[u8], ValueRef<'_>)> = None;
    for pair in args[1..].chunks(2).filter(|pair| !strict(pair)) {
        let key = bytes(pair[1])?;
        if best.is_none_or(|(other, _)| if direction > 0 { key > other } else { key < other }) {
            best = Some((key, pair[0]));
        }
    }
    Ok(best.map_or(Value::Null, |(_, value)| value.to_value()))
}

/// width_bucket by bounds in order: how many are not greater. Arguments: operand, array of bounds, its type.
fn bucket_of(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let json = parse(args[1])?;
    let element = PgType(integer(args[2])? as u32).element().unwrap_or(PgType::TEXT);
    let operand = super::keys::value_key(args[0].to_value(), element)?;
    let Json::Array(bounds) = &json else { return Ok(Value::Null) };
    let mut count = 0;
    for bound in bounds {
        if bound.is_null() {
            return Err(SqlError::new("22004", "thresholds array must not contain NULLs"));
        }
        let bound = super::keys::value_key(crate::dialect::codec::element_from_json(bound, element)?, element)?;
        count += i64::from(bound <= operand);
    }
    Ok(Value::Integer(count))
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_array_item", -1, array_item),
    pure("evesql_array_slice", 3, array_slice),
    pure("evesql_array_fit", 4, array_fit),
    pure("evesql_cardinality", 1, cardinality),
    pure("evesql_array_ndims", 1, array_ndims),
    pure("evesql_array_dims", 1, array_dims),
    pure("evesql_array_positions", 3, array_positions),
    pure("evesql_array_replace", 4, array_replace),
    pure("evesql_trim_array", 2, trim_array),
    pure("evesql_array_fill", 2, array_fill),
    pure("evesql_extreme", -1, extreme),
    pure("evesql_bucket_of", 3, bucket_of),
];
