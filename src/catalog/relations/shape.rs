//! Shapes of the system relations, read once from `data/relations.txt`.

use super::fixed::type_named;
use std::sync::LazyLock;

/// How a column's values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An integer: numbers, OIDs, times.
    Integer,
    /// A boolean, 0 or 1.
    Boolean,
    /// A floating-point number.
    Real,
    /// Text.
    Text,
    /// A JSON array.
    Array,
}

impl Form {
    fn of(type_name: &str) -> Form {
        match type_name {
            "bool" => Form::Boolean,
            "float4" | "float8" => Form::Real,
            "int2vector" | "oidvector" | "anyarray" => Form::Array,
            name if name.starts_with('_') => Form::Array,
            "oid" | "int2" | "int4" | "int8" | "xid" | "cid" | "timestamptz" => Form::Integer,
            name if name.starts_with("reg") => Form::Integer,
            _ => Form::Text,
        }
    }
    /// SQLite's column type.
    pub fn affinity(self) -> &'static str {
        match self {
            Form::Integer | Form::Boolean => "INTEGER",
            Form::Real => "REAL",
            Form::Text | Form::Array => "TEXT",
        }
    }
}

/// A column of a system relation.
#[derive(Clone, Copy, Debug)]
pub struct SystemColumn {
    /// Name.
    pub name: &'static str,
    /// OID of its type.
    pub type_oid: u32,
    /// Never NULL.
    pub not_null: bool,
    /// How its values are kept.
    pub form: Form,
}

/// A system relation.
#[derive(Debug)]
pub struct SystemTable {
    /// OID, as in PostgreSQL.
    pub oid: u32,
    /// `pg_catalog` or `information_schema`.
    pub schema: &'static str,
    /// Name.
    pub name: &'static str,
    /// Is a view in PostgreSQL.
    pub is_view: bool,
    /// Columns in order.
    pub columns: Vec<SystemColumn>,
}

static TABLES: LazyLock<Vec<SystemTable>> = LazyLock::new(|| {
    let lines = include_str!("data/relations.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(table).collect()
});

/// All system relations.
pub fn system_tables() -> &'static [SystemTable] {
    &TABLES
}

/// The system relation of this name.
pub fn system_table(schema: &str, name: &str) -> Option<&'static SystemTable> {
    TABLES.iter().find(|table| table.schema == schema && table.name == name)
}

fn table(line: &'static str) -> Option<SystemTable> {
    let mut words = line.split(' ');
    let (schema, name) = (words.next()?, words.next()?);
    let oid = words.next()?.parse().ok()?;
    let is_view = words.next()? == "v";
    Some(SystemTable { oid, schema, name, is_view, columns: words.filter_map(column).collect() })
}

fn column(word: &'static str) -> Option<SystemColumn> {
    let (name, type_name) = word.split_once(':')?;
    let not_null = type_name.ends_with('!');
    let type_name = type_name.trim_end_matches('!');
    let type_oid = type_named(type_name).map_or(25, |facts| facts.oid);
    Some(SystemColumn { name, type_oid, not_null, form: Form::of(type_name) })
}
