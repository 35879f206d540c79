//! Arrays and JSON, both kept as JSON text.

use super::jsonb::{equal, truth};
use super::{Arguments, BYTES_MAX, Result, ScalarFunction, bytes, integer, pure, strict, string, text, too_large};
use crate::dialect::codec::{TextStyle, array_from_json, array_to_json, to_text};
use crate::dialect::datetime::{Interval, add_interval};
use crate::dialect::json::print;
use crate::dialect::types::PgType;
use crate::dialect::zone::Zone;
use crate::transaction::{SqlError, Value, ValueRef};
use serde_json::Value as Json;

pub(super) fn parse(value: ValueRef<'_>) -> Result<Json> {
    crate::dialect::json::parse(string(value)?)?.ok_or_else(|| SqlError::new("XX000", "a stored JSON value is none"))
}

/// As the function of that name, of both kinds of JSON.
fn json_array_length(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    match parse(args[0])? {
        Json::Array(items) => Ok(Value::Integer(items.len() as i64)),
        Json::Object(_) => Err(SqlError::new("22023", "cannot get array length of a non-array")),
        _ => Err(SqlError::new("22023", "cannot get array length of a scalar")),
    }
}

fn array_length(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (json, mut dimension) = (parse(args[0])?, integer(args[1])?);
    let mut level = &json;
    while dimension > 1 {
        match level.get(0) {
            Some(inner @ Json::Array(_)) => level = inner,
            _ => return Ok(Value::Null),
        }
        dimension -= 1;
    }
    Ok(match level {
        Json::Array(items) if dimension == 1 && !items.is_empty() => Value::Integer(items.len() as i64),
        _ => Value::Null,
    })
}

/// NULL is nothing to add to an array.
fn array_cat(args: &Arguments<'_>) -> Result<Value> {
    match (args[0], args[1]) {
        (ValueRef::Null, ValueRef::Null) => Ok(Value::Null),
        (ValueRef::Null, one) | (one, ValueRef::Null) => Ok(one.to_value()),
        (a, b) => {
            let (mut a, b) = (elements(a)?, elements(b)?);
            a.extend(b);
            Ok(text(Json::Array(a).to_string()))
        }
    }
}

fn array_to_string(args: &Arguments<'_>) -> Result<Value> {
    if strict(&args[..3]) {
        return Ok(Value::Null);
    }
    let element = PgType(integer(args[1])? as u32).element().unwrap_or(PgType::TEXT);
    let null = match args.get(3) {
        Some(ValueRef::Text(text)) => Some(*text),
        _ => None,
    };
    let mut parts = Vec::new();
    for item in array_from_json(string(args[0])?, element)? {
        match item {
            Value::Null => parts.extend(null.map(str::to_string)),
            item => parts.push(to_text(item.as_ref(), element, -1, &TextStyle::default())?),
        }
    }
    Ok(text(parts.join(string(args[2])?)))
}

fn string_to_array(args: &Arguments<'_>) -> Result<Value> {
    let ValueRef::Text(value) = args[0] else { return Ok(Value::Null) };
    let items: Vec<Json> = match args[1] {
        _ if value.is_empty() => Vec::new(),
        ValueRef::Null => value.chars().map(|c| Json::from(c.to_string())).collect(),
        separator => match string(separator)? {
            "" => vec![Json::from(value)],
            separator => value.split(separator).map(Json::from).collect(),
        },
    };
    Ok(text(Json::Array(items).to_string()))
}

fn array_remove(args: &Arguments<'_>) -> Result<Value> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let element = PgType(integer(args[2])? as u32).element().unwrap_or(PgType::TEXT);
    let kept: Vec<Value> =
        array_from_json(string(args[0])?, element)?.into_iter().filter(|item| item.as_ref() != args[1]).collect();
    Ok(text(array_to_json(&kept)))
}

/// Rows that generate_series makes at most.
const SERIES_MAX: i128 = 10_000_000;

fn series(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(text("[]"));
    }
    let (start, stop, step) =
        (i128::from(integer(args[0])?), i128::from(integer(args[1])?), i128::from(integer(args[2])?));
    if step == 0 {
        return Err(SqlError::new("22023", "step size cannot equal zero"));
    }
    let count = ((stop - start) / step + 1).max(0);
    if (stop - start).signum() * step.signum() < 0 {
        return Ok(text("[]"));
    }
    if count > SERIES_MAX {
        return Err(too_large());
    }
    let mut out = String::with_capacity(count as usize * 8 + 2);
    out.push('[');
    for i in 0..count {
        if i > 0 {
            out.push(',');
        }
        out += &(start + i * step).to_string();
    }
    out.push(']');
    Ok(text(out))
}

fn series_time(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(text("[]"));
    }
    let (mut now, stop, step) = (integer(args[0])?, integer(args[1])?, Interval::decode(bytes(args[2])?)?);
    let direction = step.length_us().signum();
    if direction == 0 {
        return Err(SqlError::new("22023", "step size cannot equal zero"));
    }
    let mut items = Vec::new();
    while if direction > 0 { now <= stop } else { now >= stop } {
        items.push(now.to_string());
        if items.len() as i128 > SERIES_MAX {
            return Err(too_large());
        }
        now = add_interval(now, &step)?;
    }
    Ok(text(format!("[{}]", items.join(","))))
}

pub(super) fn shown(json: &Json, as_text: bool) -> Value {
    match json {
        Json::Null if as_text => Value::Null,
        Json::String(value) if as_text => text(value.as_str()),
        other => {
            let mut out = String::new();
            print(other, &mut out);
            text(out)
        }
    }
}

fn step<'j>(json: &'j Json, key: &str) -> Option<&'j Json> {
    match json {
        Json::Object(fields) => fields.get(key),
        Json::Array(items) => {
            let at: i64 = key.parse().ok()?;
            let at = if at < 0 { at + items.len() as i64 } else { at };
            items.get(usize::try_from(at).ok()?)
        }
        _ => None,
    }
}

fn json_get(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (json, flags) = (parse(args[0])?, integer(args[2])?);
    let (as_text, is_binary) = (flags & 1 != 0, flags & 2 != 0);
    let found = match (args[1], &json) {
        (ValueRef::Integer(at), Json::Array(_)) => step(&json, &at.to_string()),
        (ValueRef::Integer(0 | -1), json) if is_binary && !json.is_object() => Some(json),
        (ValueRef::Text(key), Json::Object(fields)) => fields.get(key),
        _ => None,
    };
    Ok(found.map_or(Value::Null, |found| shown(found, as_text)))
}

fn json_path(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (json, as_text) = (parse(args[0])?, integer(args[2])? != 0);
    let mut found = Some(&json);
    for key in array_from_json(string(args[1])?, PgType::TEXT)? {
        found = match (&key, found) {
            (Value::Text(key), Some(json)) => step(json, key),
            _ => None,
        };
    }
    Ok(found.map_or(Value::Null, |found| shown(found, as_text)))
}

fn json_typeof(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    Ok(text(match parse(args[0])? {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }))
}

/// A value of an SQL type as JSON.
fn to_json(value: ValueRef<'_>, ty: PgType, style: &TextStyle) -> Result<Json> {
    if value.is_null() {
        return Ok(Json::Null);
    }
    if let Some(element) = ty.element() {
        let items: Result<Vec<Json>> = array_from_json(string(value)?, element)?
            .iter()
            .map(|item| to_json(item.as_ref(), element, style))
            .collect();
        return items.map(Json::Array);
    }
    let shown = to_text(value, ty, -1, style)?;
    Ok(match ty {
        PgType::BOOL => Json::Bool(shown == "t"),
        PgType::JSON | PgType::JSONB => parse(value)?,
        ty if ty.is_number() => serde_json::from_str(&shown).unwrap_or(Json::String(shown)),
        PgType::TIMESTAMP | PgType::TIMESTAMPTZ => {
            let iso = shown.replacen(' ', "T", 1);
            Json::String(if ty == PgType::TIMESTAMPTZ && iso.len() > 3 && !iso.ends_with(":00") {
                iso + ":00"
            } else {
                iso
            })
        }
        _ => Json::String(shown),
    })
}

fn written(json: &Json, binary: bool, spaced: bool) -> String {
    if !binary && !spaced {
        return json.to_string();
    }
    let mut out = String::new();
    print(json, &mut out);
    out
}

/// Arguments are (binary, zone), then values each with its type.
fn pairs(args: &Arguments<'_>) -> Result<(bool, Vec<Json>)> {
    let binary = integer(args[0])? != 0;
    let style = TextStyle { zone: Zone::read(args[1])?, ..TextStyle::default() };
    let items: Result<Vec<Json>> = args[2..]
        .chunks(2)
        .map(|pair| match pair {
            [value, ty] => to_json(*value, PgType(integer(*ty)? as u32), &style),
            _ => Err(SqlError::new("XX000", "an argument without a type")),
        })
        .collect();
    Ok((binary, items?))
}

fn build_object(args: &Arguments<'_>) -> Result<Value> {
    let (binary, items) = pairs(args)?;
    if items.len() % 2 != 0 {
        return Err(SqlError::new("22023", "argument list must have even number of elements"));
    }
    let key = |json: &Json| match json {
        Json::Null => Err(SqlError::new("22023", "argument list must not have null keys")),
        Json::String(text) => Ok(text.clone()),
        other => Ok(other.to_string()),
    };
    if binary {
        let mut fields = serde_json::Map::new();
        for pair in items.chunks(2) {
            fields.insert(key(&pair[0])?, pair[1].clone());
        }
        return Ok(text(written(&Json::Object(fields), true, true)));
    }
    // json keeps order and doubles.
    let mut parts = Vec::new();
    for pair in items.chunks(2) {
        parts.push(format!("{} : {}", Json::from(key(&pair[0])?), pair[1]));
    }
    Ok(text(format!("{{{}}}", parts.join(", "))))
}

fn build_array(args: &Arguments<'_>) -> Result<Value> {
    let (binary, items) = pairs(args)?;
    if binary {
        return Ok(text(written(&Json::Array(items), true, true)));
    }
    let parts: Vec<String> = items.iter().map(Json::to_string).collect();
    Ok(text(format!("[{}]", parts.join(", "))))
}

fn build_value(args: &Arguments<'_>) -> Result<Value> {
    if args[2].is_null() {
        return Ok(Value::Null);
    }
    let (binary, mut items) = pairs(args)?;
    let value = items.pop().unwrap_or(Json::Null);
    Ok(text(written(&value, binary, false)))
}

/// The elements of a JSON array as texts.
fn json_texts(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(text("[]"));
    }
    match parse(args[0])? {
        Json::Array(items) => {
            let texts = items.iter().map(|item| match shown(item, true) {
                Value::Text(text) => Json::from(text.as_ref()),
                _ => Json::Null,
            });
            let out = Json::Array(texts.collect()).to_string();
            if out.len() > BYTES_MAX { Err(too_large()) } else { Ok(text(out)) }
        }
        _ => Err(SqlError::new("22023", "cannot extract elements from a scalar")),
    }
}

pub(super) fn elements(value: ValueRef<'_>) -> Result<Vec<Json>> {
    match parse(value)? {
        Json::Array(items) => Ok(items),
        _ => Err(SqlError::new("XX000", "a stored array is not a JSON array")),
    }
}

/// `@>` of arrays: NULL is contained nowhere.
fn array_contains(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (outer, inner) = (elements(args[0])?, elements(args[1])?);
    truth(inner.iter().all(|item| !item.is_null() && outer.iter().any(|other| equal(other, item))))
}

/// `&&` of arrays.
fn array_overlaps(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (a, b) = (elements(args[0])?, elements(args[1])?);
    truth(a.iter().any(|item| !item.is_null() && b.iter().any(|other| equal(other, item))))
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_array_length", 2, array_length),
    pure("evesql_array_cat", 2, array_cat),
    pure("evesql_json_array_length", 1, json_array_length),
    pure("evesql_array_contains", 2, array_contains),
    pure("evesql_array_overlaps", 2, array_overlaps),
    pure("evesql_array_to_string", 3, array_to_string),
    pure("evesql_array_to_string", 4, array_to_string),
    pure("evesql_string_to_array", 2, string_to_array),
    pure("evesql_array_remove", 3, array_remove),
    pure("evesql_series", 3, series),
    pure("evesql_series_time", 3, series_time),
    pure("evesql_json_get", 3, json_get),
    pure("evesql_json_path", 3, json_path),
    pure("evesql_json_typeof", 1, json_typeof),
    pure("evesql_json_build_object", -1, build_object),
    pure("evesql_json_build_array", -1, build_array),
    pure("evesql_json_build_value", 4, build_value),
    pure("evesql_json_texts", 1, json_texts),
];
