//! `@>`, `<@`, `&&` and `?`: what jsonb values and arrays hold of each other.

use super::{Arguments, Result, ScalarFunction, integer, pure, strict, string};
use crate::dialect::codec::array_from_json;
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value, ValueRef};
use serde_json::Value as Json;

fn parse(value: ValueRef<'_>) -> Result<Json> {
    serde_json::from_str(string(value)?).map_err(|_| SqlError::new("XX000", "a stored JSON value is none"))
}

fn truth(holds: bool) -> Result<Value> {
    Ok(Value::Integer(i64::from(holds)))
}

/// Numbers are equal by value, however they are written.
fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(a), Json::Number(b)) if a.is_f64() || b.is_f64() => a.as_f64() == b.as_f64(),
        _ => left == right,
    }
}

/// As PostgreSQL's `@>`: objects hold fields, arrays hold items in any order; scalars are equal.
fn contains(outer: &Json, inner: &Json) -> bool {
    match (outer, inner) {
        (Json::Object(outer), Json::Object(inner)) => {
            inner.iter().all(|(key, value)| outer.get(key).is_some_and(|found| contains(found, value)))
        }
        (Json::Array(outer), Json::Array(inner)) => {
            inner.iter().all(|item| outer.iter().any(|found| contains(found, item)))
        }
        _ => same(outer, inner),
    }
}

fn json_contains(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (outer, inner) = (parse(args[0])?, parse(args[1])?);
    truth(match (&outer, &inner) {
        // At the top alone, an array may be asked for a scalar.
        (Json::Array(items), scalar) if !scalar.is_array() && !scalar.is_object() => {
            items.iter().any(|item| same(item, scalar))
        }
        _ => contains(&outer, &inner),
    })
}

/// Whether any (0) or all (1) of these texts are keys of an object or strings of an array.
fn json_has(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (json, all) = (parse(args[0])?, integer(args[2])? != 0);
    let has = |key: &str| match &json {
        Json::Object(fields) => fields.contains_key(key),
        Json::Array(items) => items.iter().any(|item| item.as_str() == Some(key)),
        other => other.as_str() == Some(key),
    };
    let keys = array_from_json(string(args[1])?, PgType::TEXT)?;
    let mut keys = keys.iter().filter_map(|key| match key {
        Value::Text(key) => Some(has(key)),
        _ => None,
    });
    truth(if all { keys.all(|has| has) } else { keys.any(|has| has) })
}

/// Whether the first array has all (1) or any (0) items of the second; NULL is equal to nothing.
fn array_has(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let element = PgType(integer(args[2])? as u32);
    let (outer, inner) = (array_from_json(string(args[0])?, element)?, array_from_json(string(args[1])?, element)?);
    let mut found = inner.iter().map(|item| *item != Value::Null && outer.contains(item));
    truth(if integer(args[3])? != 0 { found.all(|has| has) } else { found.any(|has| has) })
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_json_contains", 2, json_contains),
    pure("evesql_json_has", 3, json_has),
    pure("evesql_array_has", 4, array_has),
];
