//! Enum types: their labels, and how a type that users made is found by OID and name.
//!
//! A value is stored as its label. The OID of an enum type is even and that of the array type over it is the next one,
//! so that who types statements can tell an array from an OID alone.

use super::definitions::quote_ident;
use super::privileges::Access;
use super::{Catalog, Object};
use crate::transaction::{SqlError, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes that a label may have.
pub const LABEL_BYTES_MAX: usize = 63;

/// One value of an enum type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnumLabel {
    /// OID in pg_enum.
    pub oid: u32,
    /// The label.
    pub name: String,
}

/// An enum type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnumType {
    /// OID, even; the next one is the array type's.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name, unique among the types of its schema.
    pub name: String,
    /// Labels in the order in which values compare.
    pub labels: Vec<EnumLabel>,
    /// COMMENT ON TYPE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Who owns it.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
}

impl EnumType {
    /// OID of the array type over it.
    pub fn array_oid(&self) -> u32 {
        self.oid + 1
    }

    /// Whether a label is one of its own.
    pub fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|known| known.name == label)
    }

    /// Its labels, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|label| label.name.as_str())
    }

    /// Refuses text that is none of its labels.
    ///
    /// # Errors
    /// 22P02.
    pub fn check(&self, label: &str) -> Result<(), SqlError> {
        if self.has(label) {
            return Ok(());
        }
        Err(invalid_label(&quote_ident(&self.name), label))
    }

    /// Refuses a stored value, of the type or of its array, that holds text which is none of its labels.
    ///
    /// # Errors
    /// 22P02.
    pub fn check_value(&self, value: &Value, is_array: bool) -> Result<(), SqlError> {
        match value {
            Value::Text(text) if is_array => match serde_json::from_str(text) {
                Ok(json) => self.check_items(&json),
                Err(_) => Err(SqlError::new("XX000", "an array of an enum type is stored damaged")),
            },
            Value::Text(text) => self.check(text),
            _ => Ok(()),
        }
    }

    fn check_items(&self, json: &serde_json::Value) -> Result<(), SqlError> {
        match json {
            serde_json::Value::Array(items) => items.iter().try_for_each(|item| self.check_items(item)),
            serde_json::Value::String(label) => self.check(label),
            _ => Ok(()),
        }
    }
}

/// What is said of text that is no label of a type.
pub fn invalid_label(type_name: &str, label: &str) -> SqlError {
    SqlError::new("22P02", format!("invalid input value for enum {type_name}: \"{label}\""))
}

impl Catalog {
    /// All enum types.
    pub fn enums(&self) -> impl Iterator<Item = &Arc<EnumType>> {
        self.objects().filter_map(|object| match object {
            Object::Enum(found) => Some(found),
            _ => None,
        })
    }

    /// The enum type that an OID is, or is the array of.
    pub fn enum_of(&self, type_oid: u32) -> Option<&Arc<EnumType>> {
        match self.object(type_oid & !1) {
            Some(Object::Enum(found)) => Some(found),
            _ => None,
        }
    }

    /// The enum type of this name.
    pub fn enum_named(&self, schema: &str, name: &str) -> Option<&Arc<EnumType>> {
        self.enums().find(|found| found.schema == schema && found.name == name)
    }
}
