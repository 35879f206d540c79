//! Bytes that sort as PostgreSQL sorts arrays and jsonb values; equal values have equal bytes.
//!
//! Each part ends where it says itself that it ends, so that the first difference between two values decides.

use super::arrays::parse;
use super::{Arguments, Result, ScalarFunction, integer, pure, strict};
use crate::dialect::codec::element_from_json;
use crate::dialect::json::ordered;
use crate::dialect::numeric::Numeric;
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value};
use serde_json::{Number, Value as Json};

/// Bytes of which none is a prefix of another's: a zero is followed by 255, and two zeros end them.
fn bytes_key(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(255);
        }
    }
    out.extend([0, 0]);
}

fn count_key(count: usize, out: &mut Vec<u8>) {
    out.extend((count as u64).to_be_bytes());
}

fn float_key(number: f64, out: &mut Vec<u8>) {
    // Zero has two signs and one value.
    let bits = if number == 0.0 { 0 } else { number.to_bits() };
    let flipped = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    out.extend(flipped.to_be_bytes());
}

fn number_key(number: &Number, out: &mut Vec<u8>) {
    let number = Numeric::parse(&number.to_string()).unwrap_or(Numeric::NotANumber);
    out.extend(number.align(0).encode());
}

/// Null < string < number < boolean < array < object; the more elements the greater.
fn json_key(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Null => out.push(1),
        Json::String(text) => {
            out.push(2);
            bytes_key(text.as_bytes(), out);
        }
        Json::Number(number) => {
            out.push(3);
            number_key(number, out);
        }
        Json::Bool(truth) => out.extend([4, u8::from(*truth)]),
        Json::Array(items) => {
            out.push(5);
            count_key(items.len(), out);
            items.iter().for_each(|item| json_key(item, out));
        }
        Json::Object(fields) => {
            out.push(6);
            count_key(fields.len(), out);
            for key in ordered(fields) {
                bytes_key(key.as_bytes(), out);
                json_key(&fields[key], out);
            }
        }
    }
}

/// At the top a scalar counts as an array of one element, before real ones of as many: so `[]` is least of all.
fn top_key(json: &Json) -> Vec<u8> {
    let mut out = vec![match json {
        Json::Array(items) if items.is_empty() => 0,
        Json::Array(_) => 2,
        Json::Object(_) => 3,
        _ => 1,
    }];
    json_key(json, &mut out);
    out
}

fn jsonb_key(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    Ok(Value::Blob(top_key(&parse(args[0])?).into()))
}

fn element_key(value: &Value, element: PgType, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Null => return Ok(()),
        Value::Integer(number) => out.extend(((*number as u64) ^ 1 << 63).to_be_bytes()),
        Value::Real(number) => float_key(*number, out),
        Value::Text(text) if element == PgType::JSONB => {
            bytes_key(&top_key(&parse(crate::transaction::ValueRef::Text(text))?), out);
        }
        Value::Text(text) => bytes_key(text.as_bytes(), out),
        Value::Blob(bytes) => match element {
            PgType::NUMERIC => out.extend(Numeric::decode(bytes)?.align(0).encode()),
            PgType::INTERVAL => out.extend(bytes.get(..16).unwrap_or(bytes)),
            _ => bytes_key(bytes, out),
        },
    }
    Ok(())
}

/// The key of one value that is not NULL.
pub(super) fn value_key(value: Value, ty: PgType) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    element_key(&value, ty, &mut out)?;
    Ok(out)
}

/// Elements in order, those of inner arrays one after the other; NULL is greater than any other.
fn elements_key(items: &[Json], element: PgType, out: &mut Vec<u8>) -> Result<()> {
    for item in items {
        match item {
            Json::Array(inner) => elements_key(inner, element, out)?,
            Json::Null => out.push(2),
            item => {
                out.push(1);
                element_key(&element_from_json(item, element)?, element, out)?;
            }
        }
    }
    Ok(())
}

/// Elements, an end that is less than any element, the dimensions.
fn array_key(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let json = parse(args[0])?;
    let element = PgType(integer(args[1])? as u32).element().unwrap_or(PgType::TEXT);
    let Json::Array(items) = &json else { return Err(SqlError::new("XX000", "a stored array is not a JSON array")) };
    let mut out = Vec::new();
    elements_key(items, element, &mut out)?;
    out.push(0);
    let mut level = Some(&json);
    while let Some(Json::Array(items)) = level {
        out.push(1);
        count_key(items.len(), &mut out);
        level = items.first();
    }
    Ok(Value::Blob(out.into()))
}

pub(super) const TABLE: &[ScalarFunction] =
    &[pure("evesql_jsonb_key", 1, jsonb_key), pure("evesql_array_key", 2, array_key)];
