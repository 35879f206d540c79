//! json and jsonb: jsonb is kept as text in the order and spacing in which Postgres prints it.

use super::numeric::Numeric;
use crate::transaction::SqlError;
use serde_json::{Map, Number, Value as Json};

/// The text that Postgres prints for a jsonb value: keys by length and then by bytes, last one wins,
/// a blank after colon and comma.
///
/// # Errors
/// 22P02 if it is not JSON.
pub fn normalise(text: &str) -> Result<String, SqlError> {
    let json = parse(text)?.ok_or_else(|| SqlError::new("22P02", "invalid input syntax for type json"))?;
    check_numbers(&json)?;
    let mut out = String::with_capacity(text.len());
    print(&json, &mut out);
    Ok(out)
}

/// A JSON text taken apart, its numbers as they are written; `None` if it is none.
///
/// # Errors
/// 0A000 for the key that serde_json keeps for numbers.
pub fn parse(text: &str) -> Result<Option<Json>, SqlError> {
    const NUMBER: &str = "$serde_json::private::Number";
    if text.contains(NUMBER) {
        return Err(SqlError::new("0A000", format!("{NUMBER} in JSON is not supported")));
    }
    Ok(serde_json::from_str(text).ok())
}

/// Numbers of jsonb are numerics, and have their limits.
fn check_numbers(json: &Json) -> Result<(), SqlError> {
    match json {
        Json::Number(number) => Numeric::parse(&number.to_string()).map(|_| ()),
        Json::Array(items) => items.iter().try_for_each(check_numbers),
        Json::Object(fields) => fields.values().try_for_each(check_numbers),
        _ => Ok(()),
    }
}

/// A number as numeric prints it: without exponent, and zero without a sign.
fn number_text(number: &Number) -> String {
    let text = number.to_string();
    match text.starts_with("-0") || text.contains(['e', 'E']) {
        true => Numeric::parse(&text).map_or(text, |number| number.to_string()),
        false => text,
    }
}

/// An object's keys in the order of jsonb: by length, then by bytes.
pub fn ordered(fields: &Map<String, Json>) -> Vec<&String> {
    let mut keys: Vec<&String> = fields.keys().collect();
    keys.sort_by_key(|key| (key.len(), key.as_bytes()));
    keys
}

/// Prints as Postgres prints jsonb.
pub fn print(json: &Json, out: &mut String) {
    match json {
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                print(item, out);
            }
            out.push(']');
        }
        Json::Object(fields) => {
            out.push('{');
            for (i, key) in ordered(fields).into_iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                out.push_str(&Json::from(key.as_str()).to_string());
                out.push_str(": ");
                print(&fields[key], out);
            }
            out.push('}');
        }
        Json::Number(number) => out.push_str(&number_text(number)),
        other => out.push_str(&other.to_string()),
    }
}

/// The members of a JSON object or the elements of an array, each value as it is written, keys with their quotes. The
/// text must be valid JSON; of a scalar there are none.
pub fn written_parts(text: &str) -> Vec<(Option<&str>, &str)> {
    let text = text.trim();
    let (mut parts, mut depth, mut start, mut colon) = (Vec::new(), 0, 0, None);
    let (mut in_string, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth == 1 {
                    (start, colon) = (at + 1, None);
                }
            }
            b':' if depth == 1 => colon = Some(at),
            b',' | b']' | b'}' => {
                let body = text[start..at].trim();
                if depth == 1 && !body.is_empty() {
                    parts.push(match colon.take() {
                        Some(colon) => (Some(text[start..colon].trim()), text[colon + 1..at].trim()),
                        None => (None, body),
                    });
                    start = at + 1;
                }
                depth -= i32::from(byte != b',');
            }
            _ => {}
        }
    }
    parts
}
