//! json and jsonb: jsonb is kept as text in the order and spacing in which Postgres prints it.

use crate::transaction::SqlError;
use serde_json::{Map, Value as Json};

/// The text that Postgres prints for a jsonb value: keys by length and then by bytes, last one wins,
/// a blank after colon and comma.
///
/// # Errors
/// 22P02 if it is not JSON.
pub fn normalise(text: &str) -> Result<String, SqlError> {
    let json: Json =
        serde_json::from_str(text).map_err(|_| SqlError::new("22P02", "invalid input syntax for type json"))?;
    let mut out = String::with_capacity(text.len());
    print(&json, &mut out);
    Ok(out)
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
        other => out.push_str(&other.to_string()),
    }
}
