//! Arrays and JSON, both kept as JSON text.

use super::array_parts::dimensions;
use super::jsonb::{equal, truth};
use super::{Arguments, BYTES_MAX, Result, ScalarFunction, bytes, integer, pure, strict, string, text, too_large};
use crate::dialect::codec::{TextStyle, array_from_json, array_to_json, to_text};
use crate::dialect::datetime::{Interval, add_interval};
use crate::dialect::json::{print, written_parts};
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
            let (mut a, mut b) = (elements(a)?, elements(b)?);
            let (of_a, of_b) = (dimensions(&a), dimensions(&b));
            // What has one dimension less is one element of the other.
            match of_a.len() as i64 - of_b.len() as i64 {
                _ if of_a.is_empty() || of_b.is_empty() => a.extend(b),
                0 if of_a[1..] == of_b[1..] => a.extend(b),
                1 if of_a[1..] == of_b[..] => a.push(Json::Array(b)),
                -1 if of_a[..] == of_b[1..] => {
                    b.insert(0, Json::Array(a));
                    a = b;
                }
                _ => return Err(SqlError::new("2202E", "cannot concatenate incompatible arrays")),
            }
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

/// Arguments: text, separator, and if given the piece that stands for NULL.
fn string_to_array(args: &Arguments<'_>) -> Result<Value> {
    let ValueRef::Text(value) = args[0] else { return Ok(Value::Null) };
    let mut items: Vec<Json> = match args[1] {
        _ if value.is_empty() => Vec::new(),
        ValueRef::Null => value.chars().map(|c| Json::from(c.to_string())).collect(),
        separator => match string(separator)? {
            "" => vec![Json::from(value)],
            separator => value.split(separator).map(Json::from).collect(),
        },
    };
    if let Some(ValueRef::Text(null)) = args.get(2) {
        items.iter_mut().filter(|item| item.as_str() == Some(null)).for_each(|item| *item = Json::Null);
    }
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

/// A member or an element of json, as it is written.
fn written_member(json: &str, wanted: ValueRef<'_>, as_text: bool) -> Result<Value> {
    let parts = written_parts(json);
    let is_array = json.trim_start().starts_with('[');
    let found = match wanted {
        ValueRef::Integer(at) if is_array => {
            let at = if at < 0 { at + parts.len() as i64 } else { at };
            usize::try_from(at).ok().and_then(|at| parts.get(at))
        }
        // Of members with one name the last counts.
        ValueRef::Text(key) if !is_array => {
            let is_it = |name: &str| parse(ValueRef::Text(name)).is_ok_and(|name| name.as_str() == Some(key));
            parts.iter().rfind(|(name, _)| name.is_some_and(is_it))
        }
        _ => None,
    };
    match found {
        None => Ok(Value::Null),
        Some((_, value)) if as_text && (*value == "null" || value.starts_with('"')) => {
            Ok(shown(&parse(ValueRef::Text(value))?, true))
        }
        Some((_, value)) => Ok(text(*value)),
    }
}

fn json_get(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let flags = integer(args[2])?;
    let (as_text, is_binary) = (flags & 1 != 0, flags & 2 != 0);
    if !is_binary {
        return written_member(string(args[0])?, args[1], as_text);
    }
    let json = parse(args[0])?;
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

/// The same as it is printed for json: what is JSON already stays as it is written.
fn to_json_text(value: ValueRef<'_>, ty: PgType, style: &TextStyle) -> Result<String> {
    if !value.is_null() && matches!(ty, PgType::JSON | PgType::JSONB) {
        return Ok(string(value)?.to_string());
    }
    match ty.element() {
        Some(element @ (PgType::JSON | PgType::JSONB)) if !value.is_null() => {
            let items = array_from_json(string(value)?, element)?;
            let texts: Result<Vec<String>> =
                items.iter().map(|item| to_json_text(item.as_ref(), element, style)).collect();
            Ok(format!("[{}]", texts?.join(",")))
        }
        _ => Ok(to_json(value, ty, style)?.to_string()),
    }
}

/// Whether jsonb is asked for, and how moments are shown: the first two arguments of what builds JSON.
fn asked_for(args: &Arguments<'_>) -> Result<(bool, TextStyle)> {
    Ok((integer(args[0])? != 0, TextStyle { zone: Zone::read(args[1])?, ..TextStyle::default() }))
}

fn type_at(args: &Arguments<'_>, at: usize) -> Result<PgType> {
    args.get(at).map_or_else(
        || Err(SqlError::new("XX000", "an argument without a type")),
        |ty| Ok(PgType(integer(*ty)? as u32)),
    )
}

/// Arguments are (binary, zone), then keys and values, each with its type.
fn build_object(args: &Arguments<'_>) -> Result<Value> {
    let (binary, style) = asked_for(args)?;
    if args.len() % 4 != 2 {
        return Err(SqlError::new("22023", "argument list must have even number of elements"));
    }
    let (mut fields, mut parts) = (serde_json::Map::new(), Vec::new());
    for at in (2..args.len()).step_by(4) {
        let key = match to_json(args[at], type_at(args, at + 1)?, &style)? {
            Json::Null => return Err(SqlError::new("22023", "argument list must not have null keys")),
            Json::String(text) => text,
            other => other.to_string(),
        };
        let (value, ty) = (args[at + 2], type_at(args, at + 3)?);
        match binary {
            true => _ = fields.insert(key, to_json(value, ty, &style)?),
            // json keeps order and doubles.
            false => parts.push(format!("{} : {}", Json::from(key), to_json_text(value, ty, &style)?)),
        }
    }
    Ok(if binary { shown(&Json::Object(fields), false) } else { text(format!("{{{}}}", parts.join(", "))) })
}

/// A row as an object. Arguments are (binary, zone), then names, values and their types.
fn build_row(args: &Arguments<'_>) -> Result<Value> {
    let (binary, style) = asked_for(args)?;
    let (mut fields, mut parts) = (serde_json::Map::new(), Vec::new());
    for at in (2..args.len()).step_by(3) {
        let (name, ty) = (string(args[at])?, type_at(args, at + 2)?);
        match binary {
            true => _ = fields.insert(name.to_string(), to_json(args[at + 1], ty, &style)?),
            false => parts.push(format!("{}:{}", Json::from(name), to_json_text(args[at + 1], ty, &style)?)),
        }
    }
    Ok(if binary { shown(&Json::Object(fields), false) } else { text(format!("{{{}}}", parts.join(","))) })
}

/// Arguments are (binary, zone), then values each with its type.
fn build_array(args: &Arguments<'_>) -> Result<Value> {
    let (binary, style) = asked_for(args)?;
    let (mut items, mut parts) = (Vec::new(), Vec::new());
    for at in (2..args.len()).step_by(2) {
        let ty = type_at(args, at + 1)?;
        match binary {
            true => items.push(to_json(args[at], ty, &style)?),
            false => parts.push(to_json_text(args[at], ty, &style)?),
        }
    }
    Ok(if binary { shown(&Json::Array(items), false) } else { text(format!("[{}]", parts.join(", "))) })
}

/// Arguments are (binary, zone), the value and its type.
fn build_value(args: &Arguments<'_>) -> Result<Value> {
    if args[2].is_null() {
        return Ok(Value::Null);
    }
    let ((binary, style), ty) = (asked_for(args)?, type_at(args, 3)?);
    Ok(match binary {
        true => shown(&to_json(args[2], ty, &style)?, false),
        false => text(to_json_text(args[2], ty, &style)?),
    })
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
    pure("evesql_string_to_array", 3, string_to_array),
    pure("evesql_array_remove", 3, array_remove),
    pure("evesql_series", 3, series),
    pure("evesql_series_time", 3, series_time),
    pure("evesql_json_get", 3, json_get),
    pure("evesql_json_path", 3, json_path),
    pure("evesql_json_typeof", 1, json_typeof),
    pure("evesql_json_build_object", -1, build_object),
    pure("evesql_json_build_row", -1, build_row),
    pure("evesql_json_build_array", -1, build_array),
    pure("evesql_json_build_value", 4, build_value),
    pure("evesql_json_texts", 1, json_texts),
];
