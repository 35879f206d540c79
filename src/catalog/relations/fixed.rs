//! Rows that are the same in every database, as PostgreSQL 15 ships them: types, access methods, operator
//! classes and the like. The files under `data/` have a line of column names and then the rows, separated
//! by tabs, `\N` for NULL; functions stand there by name.

use super::environment::Source;
use super::row::{Rows, unset};
use super::shape::{Form, SystemColumn};
use crate::transaction::Value;
use std::collections::HashMap;
use std::sync::LazyLock;

const TYPES: &str = include_str!("data/pg_type.tsv");
const PROCEDURES: &str = include_str!("data/pg_proc.tsv");
/// Settings with what is known of each.
pub(super) const SETTINGS: &str = include_str!("data/pg_settings.tsv");

const PG_CATALOG: i64 = 11;
const OWNER: i64 = 10;

/// What the catalog knows of a built-in type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeFacts {
    /// OID.
    pub oid: u32,
    /// Name in pg_type.
    pub name: &'static str,
    /// Bytes, or -1.
    pub length: i16,
    /// Passed by value.
    pub by_value: bool,
    /// typalign.
    pub align: char,
    /// typstorage.
    pub storage: char,
    /// OID of its collation, or 0.
    pub collation: u32,
    /// OID of its elements' type, or 0.
    pub element: u32,
    /// OID of the array type over it, or 0.
    pub array: u32,
}

static FACTS: LazyLock<Vec<TypeFacts>> = LazyLock::new(|| lines(TYPES).1.filter_map(|line| facts(&line)).collect());
static BY_OID: LazyLock<HashMap<u32, usize>> =
    LazyLock::new(|| FACTS.iter().enumerate().map(|(at, facts)| (facts.oid, at)).collect());
static BY_NAME: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| FACTS.iter().enumerate().map(|(at, facts)| (facts.name, at)).collect());
static PROCEDURE_OIDS: LazyLock<HashMap<&'static str, u32>> = LazyLock::new(|| {
    // Of functions with one name the first is meant.
    lines(PROCEDURES).1.collect::<Vec<_>>().iter().rev().filter_map(|l| Some((l[1], l[0].parse().ok()?))).collect()
});
static PROCEDURE_NAMES: LazyLock<HashMap<u32, &'static str>> =
    LazyLock::new(|| lines(PROCEDURES).1.filter_map(|l| Some((l[0].parse().ok()?, l[1]))).collect());

/// What is known of the built-in type with this OID.
pub fn type_facts(oid: u32) -> Option<&'static TypeFacts> {
    BY_OID.get(&oid).map(|at| &FACTS[*at])
}

/// The built-in type of this name in pg_type.
pub fn type_named(name: &str) -> Option<&'static TypeFacts> {
    BY_NAME.get(name).map(|at| &FACTS[*at])
}

/// OID of the built-in function of this name.
pub(crate) fn procedure_named(name: &str) -> Option<u32> {
    PROCEDURE_OIDS.get(name).copied()
}

/// Name of the built-in function with this OID.
pub(crate) fn procedure_name(oid: u32) -> Option<&'static str> {
    PROCEDURE_NAMES.get(&oid).copied()
}

type Line = Vec<&'static str>;

/// Column names and rows of a data file.
pub(super) fn lines(text: &'static str) -> (Line, impl Iterator<Item = Line>) {
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Line>());
    (lines.next().unwrap_or_default(), lines)
}

fn facts(line: &Line) -> Option<TypeFacts> {
    let letter = |at: usize| line.get(at)?.chars().next();
    let number = |at: usize| line.get(at)?.parse().ok();
    Some(TypeFacts {
        oid: number(0)?,
        name: line.get(1)?,
        length: line.get(2)?.parse().ok()?,
        by_value: *line.get(3)? == "t",
        element: number(9)?,
        array: number(10)?,
        align: letter(17)?,
        storage: letter(18)?,
        collation: number(19)?,
    })
}

/// A field of a data file as a value of its column.
pub(super) fn field(column: &SystemColumn, text: &str) -> Value {
    match column.form {
        _ if text == "\\N" => Value::Null,
        Form::Boolean => Value::Integer(i64::from(text == "t")),
        Form::Real => Value::Real(text.parse().unwrap_or_default()),
        Form::Text => Value::Text(text.into()),
        Form::Array => Value::Text(format!("[{}]", text.split(' ').collect::<Vec<_>>().join(",")).into()),
        Form::Integer => Value::Integer(match text.parse() {
            Ok(number) => number,
            Err(_) => procedure_named(text).map_or(0, i64::from),
        }),
    }
}

/// The rows of a data file; columns that it lacks are given, or else unset.
fn copy(text: &'static str, rows: &mut Rows, others: &[(&str, i64)]) {
    let (names, lines) = lines(text);
    let columns = &rows.table().columns;
    for line in lines {
        let value = |column: &SystemColumn| match names.iter().position(|name| *name == column.name) {
            Some(at) => line.get(at).map_or(Value::Null, |text| field(column, text)),
            None => match others.iter().find(|(name, _)| *name == column.name) {
                Some((_, number)) => Value::Integer(*number),
                None => unset(column),
            },
        };
        let row = columns.iter().map(value).collect();
        rows.add_values(row);
    }
}

pub(super) fn types(_: &Source<'_>, rows: &mut Rows) {
    let others = [("typnamespace", PG_CATALOG), ("typowner", OWNER), ("typisdefined", 1), ("typtypmod", -1)];
    copy(TYPES, rows, &others);
}

pub(super) fn procedures(_: &Source<'_>, rows: &mut Rows) {
    copy(PROCEDURES, rows, &[("pronamespace", PG_CATALOG), ("proowner", OWNER)]);
}

pub(super) fn operator_classes(_: &Source<'_>, rows: &mut Rows) {
    copy(include_str!("data/pg_opclass.tsv"), rows, &[]);
}

pub(super) fn collations(_: &Source<'_>, rows: &mut Rows) {
    copy(include_str!("data/pg_collation.tsv"), rows, &[]);
}

pub(super) fn access_methods(_: &Source<'_>, rows: &mut Rows) {
    copy(include_str!("data/pg_am.tsv"), rows, &[]);
}

pub(super) fn ranges(_: &Source<'_>, rows: &mut Rows) {
    copy(include_str!("data/pg_range.tsv"), rows, &[]);
}

pub(super) fn languages(_: &Source<'_>, rows: &mut Rows) {
    copy("oid\tlanname\tlanowner\tlanpltrusted\n12\tinternal\t10\tf\n13\tc\t10\tf\n14\tsql\t10\tt", rows, &[]);
}

/// OID of the b-tree operator class for a type, by name if one was given, else the default one.
pub(super) fn operator_class(type_oid: u32, name: Option<&str>) -> Option<u32> {
    // varchar and char(n) columns are indexed as text; arrays by the class for any array.
    let (_, lines) = lines(include_str!("data/pg_opclass.tsv"));
    let key_type = match type_facts(type_oid) {
        Some(facts) if facts.element != 0 && facts.length == -1 => 2277,
        _ if type_oid == 1043 => 25,
        _ => type_oid,
    };
    let matches = |line: &Line| match name {
        Some(name) => line[1] == "403" && line[2] == name,
        None => line[1] == "403" && line[6].parse() == Ok(key_type) && line[7] == "t",
    };
    lines.into_iter().find(matches).and_then(|line| line[0].parse().ok())
}
