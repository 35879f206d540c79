//! Functions whose result is rows, as the JSON array that `json_each` takes apart; and what they need of JSON.

use super::arrays::{parse, shown};
use super::{Arguments, BYTES_MAX, Result, ScalarFunction, bytes, integer, pure, strict, string, text, too_large};
use crate::dialect::json::{ordered, written_parts};
use crate::dialect::numeric::Numeric;
use crate::transaction::{SqlError, Value, ValueRef};
use serde_json::Value as Json;

fn refused(message: String) -> SqlError {
    SqlError::new("22023", message)
}

fn rows(items: Vec<Json>) -> Result<Value> {
    let out = Json::Array(items).to_string();
    if out.len() > BYTES_MAX { Err(too_large()) } else { Ok(text(out)) }
}

/// A JSON text as SQL text: a string without its quotes, `null` as NULL.
fn plain(written: &str) -> Result<Json> {
    Ok(match written.as_bytes().first() {
        Some(b'"') => parse(ValueRef::Text(written))?,
        _ if written == "null" => Json::Null,
        _ => Json::from(written),
    })
}

fn as_json(value: Value) -> Json {
    if let Value::Text(text) = value { Json::from(text.as_ref()) } else { Json::Null }
}

/// json_each and its like: pairs of key and value. Arguments: JSON, whether values are texts, whether it is jsonb.
fn json_pairs(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(text("[]"));
    }
    let (json, as_text, is_binary) = (string(args[0])?, integer(args[1])? != 0, integer(args[2])? != 0);
    if !json.trim_start().starts_with('{') {
        let kind = if json.trim_start().starts_with('[') { "an array as an object" } else { "a scalar" };
        let suffix = if as_text { "_text" } else { "" };
        return Err(refused(match is_binary {
            true => format!("cannot call jsonb_each{suffix} on a non-object"),
            false => format!("cannot deconstruct {kind}"),
        }));
    }
    let mut pairs = Vec::new();
    if is_binary {
        let Json::Object(fields) = parse(args[0])? else { return Ok(text("[]")) };
        for key in ordered(&fields) {
            pairs.push(Json::Array(vec![Json::from(key.as_str()), as_json(shown(&fields[key], as_text))]));
        }
    } else {
        for (key, value) in written_parts(json) {
            let key = parse(ValueRef::Text(key.unwrap_or("null")))?;
            pairs.push(Json::Array(vec![key, if as_text { plain(value)? } else { Json::from(value) }]));
        }
    }
    rows(pairs)
}

/// json_array_elements, each as it is written. Arguments: JSON, whether as texts.
fn json_elements(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(text("[]"));
    }
    let (json, as_text) = (string(args[0])?, integer(args[1])? != 0);
    let function = if as_text { "json_array_elements_text" } else { "json_array_elements" };
    match json.trim_start().as_bytes().first() {
        Some(b'[') => {}
        Some(b'{') => return Err(refused(format!("cannot call {function} on a non-array"))),
        _ => return Err(refused(format!("cannot call {function} on a scalar"))),
    }
    let elements = written_parts(json).into_iter();
    rows(elements.map(|(_, value)| if as_text { plain(value) } else { Ok(Json::from(value)) }).collect::<Result<_>>()?)
}

/// json_object_keys, as often and in the order in which they are written.
fn json_keys(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(text("[]"));
    }
    let json = string(args[0])?;
    match json.trim_start().as_bytes().first() {
        Some(b'{') => {}
        Some(b'[') => return Err(refused("cannot call json_object_keys on an array".into())),
        _ => return Err(refused("cannot call json_object_keys on a scalar".into())),
    }
    let keys = written_parts(json).into_iter().filter_map(|(key, _)| key);
    rows(keys.map(|key| parse(ValueRef::Text(key))).collect::<Result<_>>()?)
}

/// The objects that json_to_recordset and json_to_record make rows of. Arguments: JSON, name of the function.
fn json_records(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(text("[]"));
    }
    let (json, function) = (string(args[0])?, string(args[1])?);
    let is_set = function.ends_with("set");
    let objects: Vec<&str> = match (json.trim_start().as_bytes().first(), is_set) {
        (Some(b'{'), false) => vec![json],
        (Some(b'['), true) => written_parts(json).into_iter().map(|(_, element)| element).collect(),
        (_, true) => return Err(refused(format!("cannot call {function} on a non-array"))),
        (_, false) => return Err(refused(format!("cannot call {function} on what is no object"))),
    };
    if is_set && !objects.iter().all(|object| object.starts_with('{')) {
        return Err(refused(format!("argument of {function} must be an array of objects")));
    }
    rows(objects.into_iter().map(Json::from).collect())
}

/// A JSON array as the text of an SQL array; a JSON string is that text itself.
fn json_array_text(args: &Arguments<'_>) -> Result<Value> {
    fn print(json: &Json, out: &mut String) {
        match json {
            Json::Array(items) => {
                out.push('{');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    print(item, out);
                }
                out.push('}');
            }
            Json::Null => out.push_str("NULL"),
            item => {
                let shown = item.as_str().map_or_else(|| item.to_string(), str::to_string);
                out.push_str(&format!("\"{}\"", shown.replace('\\', "\\\\").replace('"', "\\\"")));
            }
        }
    }
    if strict(args) {
        return Ok(Value::Null);
    }
    match parse(args[0])? {
        Json::Null => Ok(Value::Null),
        Json::String(written) => Ok(text(written)),
        json @ Json::Array(_) => {
            let mut out = String::new();
            print(&json, &mut out);
            Ok(text(out))
        }
        _ => Err(SqlError::new("22P02", "expected JSON array")),
    }
}

/// json_object and jsonb_object. Arguments: keys and values in turn, or with values of their own as the second; 1 for
/// jsonb.
fn json_object_of(args: &Arguments<'_>) -> Result<Value> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let wrong = |message: &str| Err(SqlError::new("2202E", message));
    let (mut keys, mut values) = (super::arrays::elements(args[0])?, Vec::new());
    if !args[1].is_null() {
        values = super::arrays::elements(args[1])?;
        if keys.len() != values.len() {
            return wrong("mismatched array dimensions");
        }
    } else if keys.iter().any(Json::is_array) {
        let pairs = std::mem::take(&mut keys);
        for pair in &pairs {
            let Some([key, value]) = pair.as_array().map(Vec::as_slice) else {
                return wrong("array must have two columns");
            };
            keys.push(key.clone());
            values.push(value.clone());
        }
    } else {
        if keys.len() % 2 != 0 {
            return wrong("array must have even number of elements");
        }
        let all = std::mem::take(&mut keys);
        for pair in all.chunks(2) {
            keys.push(pair[0].clone());
            values.push(pair[1].clone());
        }
    }
    if keys.iter().any(Json::is_null) {
        return Err(SqlError::new("22004", "null value not allowed for object key"));
    }
    let fields = keys.iter().zip(&values);
    if integer(args[2])? == 0 {
        let parts: Vec<String> = fields.map(|(key, value)| format!("{key} : {value}")).collect();
        return Ok(text(format!("{{{}}}", parts.join(", "))));
    }
    let named = fields.map(|(key, value)| (key.as_str().unwrap_or_default().to_string(), value.clone()));
    Ok(shown(&Json::Object(named.collect()), false))
}

/// json_strip_nulls, with all else as it is written but for blanks.
fn json_strip_nulls(args: &Arguments<'_>) -> Result<Value> {
    fn strip(json: &str, out: &mut String) {
        let (open, close) = match json.trim_start().as_bytes().first() {
            Some(b'{') => ('{', '}'),
            Some(b'[') => ('[', ']'),
            _ => return out.push_str(json.trim()),
        };
        out.push(open);
        let kept = written_parts(json).into_iter().filter(|(key, value)| key.is_none() || *value != "null");
        for (at, (key, value)) in kept.enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            if let Some(key) = key {
                out.push_str(key);
                out.push(':');
            }
            strip(value, out);
        }
        out.push(close);
    }
    if strict(args) {
        return Ok(Value::Null);
    }
    // Parsed first, so that it is not nested more deeply than the stack bears.
    parse(args[0])?;
    let mut out = String::new();
    strip(string(args[0])?, &mut out);
    Ok(text(out))
}

/// generate_series of numerics.
fn series_numeric(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(text("[]"));
    }
    let number = |at: usize| -> Result<Numeric> { Numeric::decode(bytes(args[at])?) };
    let (mut now, stop, step) = (number(0)?, number(1)?, number(2)?);
    for (what, number) in [("start", &now), ("stop", &stop), ("step size", &step)] {
        if !matches!(number, Numeric::Finite(_)) {
            let kind = if *number == Numeric::NotANumber { "NaN" } else { "infinity" };
            let noun = if what == "step size" { what.to_string() } else { format!("{what} value") };
            return Err(refused(format!("{noun} cannot be {kind}")));
        }
    }
    if step.sign() == 0 {
        return Err(refused("step size cannot equal zero".into()));
    }
    let mut items = String::from("[");
    while if step.sign() > 0 { now.compare(&stop).is_le() } else { now.compare(&stop).is_ge() } {
        items.push_str(if items.len() > 1 { ",\"" } else { "\"" });
        items.extend(now.encode().iter().map(|byte| format!("{byte:02x}")));
        items.push('"');
        if items.len() > BYTES_MAX {
            return Err(too_large());
        }
        now = now.add(&step)?;
    }
    items.push(']');
    Ok(text(items))
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_json_pairs", 3, json_pairs),
    pure("evesql_json_elements", 2, json_elements),
    pure("evesql_json_keys", 1, json_keys),
    pure("evesql_json_records", 2, json_records),
    pure("evesql_json_object_of", 3, json_object_of),
    pure("evesql_json_strip_nulls", 1, json_strip_nulls),
    pure("evesql_json_array_text", 1, json_array_text),
    pure("evesql_series_numeric", 3, series_numeric),
];
