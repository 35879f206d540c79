//! Values to and from the two formats of the Postgres protocol.
//!
//! `encode_*` writes what follows the length word of a DataRow field, `decode_*` reads what a Bind
//! message brings. NULL is the caller's affair: it has no bytes.

mod array;
mod binary;
mod text;

pub use array::{array_from_json, array_to_json, element_from_json};
pub use binary::{decode_binary, encode_binary};
pub use text::{decode_text, encode_text, float4_text, float8_text, to_text, uuid_text};

use super::zone::Zone;
use crate::transaction::{SqlError, Value, ValueRef};

/// Session settings that show in text output and input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct TextStyle {
    /// Whose clocks timestamptz shows.
    pub zone: Zone,
    /// bytea_output = escape.
    pub bytea_escape: bool,
}

/// A stored value that is not of the form that its type has.
fn damaged(kind: &str, value: ValueRef<'_>) -> SqlError {
    let found = match value {
        ValueRef::Null => "null",
        ValueRef::Integer(_) => "integer",
        ValueRef::Real(_) => "real",
        ValueRef::Text(_) => "text",
        ValueRef::Blob(_) => "blob",
    };
    SqlError::new("XX000", format!("a value of type {kind} is kept as {found}"))
}

/// Bytes of the other format that make no sense.
fn malformed(kind: &str) -> SqlError {
    SqlError::new("22P03", format!("incorrect binary data format in value of type {kind}"))
}

fn text_value(text: impl Into<std::sync::Arc<str>>) -> Value {
    Value::Text(text.into())
}

#[cfg(test)]
mod tests;
