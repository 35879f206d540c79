//! What jsonb can do beyond being looked into: containment, existence, joining, deleting and setting parts.

use super::arrays::parse;
use super::{Arguments, Result, ScalarFunction, integer, pure, strict, string, text};
use crate::dialect::codec::array_from_json;
use crate::dialect::json::{ordered, print};
use crate::dialect::numeric::Numeric;
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value, ValueRef};
use serde_json::{Number, Value as Json};

fn shown(json: &Json) -> Value {
    super::arrays::shown(json, false)
}

fn keys(value: ValueRef<'_>) -> Result<Vec<Option<String>>> {
    let texts = array_from_json(string(value)?, PgType::TEXT)?;
    Ok(texts.into_iter().map(|key| if let Value::Text(key) = key { Some(key.to_string()) } else { None }).collect())
}

fn refused(message: &str) -> SqlError {
    SqlError::new("22023", message)
}

pub(super) fn truth(holds: bool) -> Result<Value> {
    Ok(Value::Integer(i64::from(holds)))
}

/// Equal as Postgres compares: numbers by their value.
pub(super) fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            let number = |number: &Number| Numeric::parse(&number.to_string()).ok();
            a == b || number(a).zip(number(b)).is_some_and(|(a, b)| a.compare(&b).is_eq())
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

fn contains(outer: &Json, inner: &Json) -> bool {
    match (outer, inner) {
        (Json::Object(outer), Json::Object(inner)) => {
            inner.iter().all(|(key, inner)| outer.get(key).is_some_and(|outer| contains(outer, inner)))
        }
        (Json::Array(outer), Json::Array(inner)) => inner
            .iter()
            .all(|inner| outer.iter().any(|outer| outer.is_array() == inner.is_array() && contains(outer, inner))),
        (outer, inner) => equal(outer, inner),
    }
}

/// `@>`. An array contains what stands in it also if that stands alone, but only at the top.
fn jsonb_contains(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (outer, inner) = (parse(args[0])?, parse(args[1])?);
    truth(match &outer {
        Json::Array(items) if !inner.is_array() && !inner.is_object() => items.iter().any(|item| equal(item, &inner)),
        outer => contains(outer, &inner),
    })
}

fn has(json: &Json, key: &str) -> bool {
    match json {
        Json::Object(fields) => fields.contains_key(key),
        Json::Array(items) => items.iter().any(|item| item.as_str() == Some(key)),
        Json::String(text) => text == key,
        _ => false,
    }
}

/// `?`.
fn jsonb_exists(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    truth(has(&parse(args[0])?, string(args[1])?))
}

/// `?|` and, if the third argument is not 0, `?&`.
fn jsonb_exists_of(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (json, keys) = (parse(args[0])?, keys(args[1])?);
    let mut all = keys.iter().flatten().map(|key| has(&json, key));
    truth(if integer(args[2])? != 0 { all.all(|has| has) } else { all.any(|has| has) })
}

/// `||`.
fn jsonb_concat(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let listed = |json| if let Json::Array(items) = json { items } else { vec![json] };
    Ok(shown(&match (parse(args[0])?, parse(args[1])?) {
        (Json::Object(mut all), Json::Object(more)) => {
            all.extend(more);
            Json::Object(all)
        }
        (a, b) => Json::Array(listed(a).into_iter().chain(listed(b)).collect()),
    }))
}

/// Place of an element that is counted from the start, or from the end if it is negative.
fn place(at: i64, length: usize) -> Option<usize> {
    usize::try_from(if at < 0 { at + length as i64 } else { at }).ok().filter(|at| *at < length)
}

fn without_key(json: &mut Json, key: &str) -> Result<()> {
    match json {
        Json::Object(fields) => _ = fields.remove(key),
        Json::Array(items) => items.retain(|item| item.as_str() != Some(key)),
        _ => return Err(refused("cannot delete from scalar")),
    }
    Ok(())
}

/// `-` with a key or a place.
fn jsonb_delete(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let mut json = parse(args[0])?;
    match (args[1], &mut json) {
        (ValueRef::Text(key), json) => without_key(json, key)?,
        (ValueRef::Integer(at), Json::Array(items)) => {
            if let Some(at) = place(at, items.len()) {
                items.remove(at);
            }
        }
        (_, Json::Object(_)) => return Err(refused("cannot delete from object using integer index")),
        _ => return Err(refused("cannot delete from scalar")),
    }
    Ok(shown(&json))
}

/// `-` with an array of keys.
fn jsonb_delete_keys(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let mut json = parse(args[0])?;
    if !json.is_object() && !json.is_array() {
        return Err(refused("cannot delete from scalar"));
    }
    keys(args[1])?.iter().flatten().try_for_each(|key| without_key(&mut json, key))?;
    Ok(shown(&json))
}

/// The number that a step of a path is, for an array.
fn step_number(key: &str, step: usize) -> Result<i64> {
    key.trim()
        .parse()
        .map_err(|_| SqlError::new("22P02", format!("path element at position {step} is not an integer: \"{key}\"")))
}

/// What holds the last step of a path, if the steps before lead anywhere; and that step with its position.
fn holder<'j, 'k>(json: &'j mut Json, path: &'k [Option<String>]) -> Result<Option<(&'j mut Json, &'k str, usize)>> {
    let mut json = json;
    for (at, key) in path.iter().enumerate() {
        let Some(key) = key else {
            return Err(SqlError::new("22004", format!("path element at position {} is null", at + 1)));
        };
        if at + 1 == path.len() {
            return Ok(Some((json, key, at + 1)));
        }
        let next = match json {
            Json::Object(fields) => fields.get_mut(key),
            Json::Array(items) => place(step_number(key, at + 1)?, items.len()).and_then(|at| items.get_mut(at)),
            _ => None,
        };
        let Some(next) = next else { return Ok(None) };
        json = next;
    }
    Ok(None)
}

/// `#-`.
fn jsonb_delete_path(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (mut json, path) = (parse(args[0])?, keys(args[1])?);
    if !json.is_object() && !json.is_array() {
        return Err(refused("cannot delete path in scalar"));
    }
    match holder(&mut json, &path)? {
        Some((Json::Object(fields), key, _)) => _ = fields.remove(key),
        Some((Json::Array(items), key, step)) => {
            if let Some(at) = place(step_number(key, step)?, items.len()) {
                items.remove(at);
            }
        }
        _ => {}
    }
    Ok(shown(&json))
}

/// jsonb_set(target, path, value, create if missing).
fn jsonb_set(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (mut json, path, value, creates) = (parse(args[0])?, keys(args[1])?, parse(args[2])?, integer(args[3])? != 0);
    if !json.is_object() && !json.is_array() {
        return Err(refused("cannot set path in scalar"));
    }
    match holder(&mut json, &path)? {
        Some((Json::Object(fields), key, _)) if creates || fields.contains_key(key) => {
            fields.insert(key.to_string(), value);
        }
        Some((Json::Array(items), key, step)) => {
            let at = step_number(key, step)?;
            match place(at, items.len()) {
                Some(at) => items[at] = value,
                None if creates && at < 0 => items.insert(0, value),
                None if creates => items.push(value),
                None => {}
            }
        }
        _ => {}
    }
    Ok(shown(&json))
}

/// jsonb_insert(target, path, value, behind the element that is there).
fn jsonb_insert(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (mut json, path, value, behind) = (parse(args[0])?, keys(args[1])?, parse(args[2])?, integer(args[3])? != 0);
    if !json.is_object() && !json.is_array() {
        return Err(refused("cannot set path in scalar"));
    }
    match holder(&mut json, &path)? {
        Some((Json::Object(fields), key, _)) => {
            if fields.contains_key(key) {
                return Err(refused("cannot replace existing key")
                    .with_hint("Try using the function jsonb_set to replace key value."));
            }
            fields.insert(key.to_string(), value);
        }
        Some((Json::Array(items), key, step)) => {
            let at = step_number(key, step)?;
            match place(at, items.len()) {
                Some(at) => items.insert(at + usize::from(behind), value),
                None if at < 0 => items.insert(0, value),
                None => items.push(value),
            }
        }
        _ => {}
    }
    Ok(shown(&json))
}

fn print_pretty(json: &Json, indent: usize, out: &mut String) {
    let line = |indent: usize, out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', 4 * indent));
    };
    match json {
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(indent + 1, out);
                print_pretty(item, indent + 1, out);
            }
            line(indent, out);
            out.push(']');
        }
        Json::Object(fields) => {
            out.push('{');
            for (at, key) in ordered(fields).into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(indent + 1, out);
                out.push_str(&Json::from(key.as_str()).to_string());
                out.push_str(": ");
                print_pretty(&fields[key], indent + 1, out);
            }
            line(indent, out);
            out.push('}');
        }
        scalar => print(scalar, out),
    }
}

fn jsonb_pretty(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let mut out = String::new();
    print_pretty(&parse(args[0])?, 0, &mut out);
    Ok(text(out))
}

fn strip(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(strip);
        }
        Json::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn jsonb_strip_nulls(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let mut json = parse(args[0])?;
    strip(&mut json);
    Ok(shown(&json))
}

/// The elements of an array as an array of texts, each of them jsonb: rows of a function in FROM.
fn jsonb_elements(args: &Arguments<'_>) -> Result<Value> {
    match args[0] {
        ValueRef::Null => Ok(text("[]")),
        json => match parse(json)? {
            Json::Array(items) => Ok(text(Json::Array(items.iter().map(as_text).collect()).to_string())),
            Json::Object(_) => Err(refused("cannot extract elements from an object")),
            _ => Err(refused("cannot extract elements from a scalar")),
        },
    }
}

fn as_text(json: &Json) -> Json {
    let mut out = String::new();
    print(json, &mut out);
    Json::String(out)
}

/// The keys of an object as an array of texts, in the order of jsonb.
fn jsonb_keys(args: &Arguments<'_>) -> Result<Value> {
    match args[0] {
        ValueRef::Null => Ok(text("[]")),
        json => match parse(json)? {
            Json::Object(fields) => {
                Ok(text(Json::from_iter(ordered(&fields).into_iter().map(String::as_str)).to_string()))
            }
            Json::Array(_) => Err(refused("cannot call jsonb_object_keys on an array")),
            _ => Err(refused("cannot call jsonb_object_keys on a scalar")),
        },
    }
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_jsonb_contains", 2, jsonb_contains),
    pure("evesql_jsonb_exists", 2, jsonb_exists),
    pure("evesql_jsonb_exists_of", 3, jsonb_exists_of),
    pure("evesql_jsonb_concat", 2, jsonb_concat),
    pure("evesql_jsonb_delete", 2, jsonb_delete),
    pure("evesql_jsonb_delete_keys", 2, jsonb_delete_keys),
    pure("evesql_jsonb_delete_path", 2, jsonb_delete_path),
    pure("evesql_jsonb_set", 4, jsonb_set),
    pure("evesql_jsonb_insert", 4, jsonb_insert),
    pure("evesql_jsonb_pretty", 1, jsonb_pretty),
    pure("evesql_jsonb_strip_nulls", 1, jsonb_strip_nulls),
    pure("evesql_jsonb_elements", 1, jsonb_elements),
    pure("evesql_jsonb_keys", 1, jsonb_keys),
];
