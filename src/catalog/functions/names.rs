//! From names to OIDs and back.

use super::{number_at, oid_at, text, text_at, truth};
use crate::catalog::definitions::{self, is_visible, quote_ident as quoted, relation_name};
use crate::catalog::relations::{Source, procedure_name, procedure_named, system_class, system_table, type_named};
use crate::catalog::{Catalog, Object};
use crate::transaction::{SqlError, Value, ValueRef};

type Arguments<'a> = [ValueRef<'a>];
type Answer = Result<Value, SqlError>;

pub(super) fn format_type(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    match oid_at(arguments, 0) {
        Some(oid) => text(definitions::type_name(source, oid, number_at(arguments, 1).map_or(-1, |n| n as i32))),
        None => Ok(Value::Null),
    }
}

pub(super) fn quote_ident(_: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    text_at(arguments, 0).map_or(Ok(Value::Null), |name| text(quoted(name)))
}

/// Parts of a name with dots: `"A".b` is `A` and `b`. Unquoted parts are in lower case.
pub(super) fn name_parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = name.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        let last = parts.len() - 1;
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                parts[last].push('"');
            }
            '"' => is_quoted = !is_quoted,
            '.' if !is_quoted => parts.push(String::new()),
            letter if is_quoted => parts[last].push(letter),
            letter => parts[last].extend(letter.to_lowercase()),
        }
    }
    parts
}

fn relation_in(catalog: &Catalog, schema: &str, name: &str) -> Option<u32> {
    if let Some(table) = system_table(schema, name) {
        return Some(table.oid);
    }
    match catalog.named(schema, name)? {
        Object::Table(table) if table.name != name => {
            table.indexes.iter().find(|index| index.name == name).map(|index| index.oid)
        }
        object => Some(object.oid()),
    }
}

/// OID of the relation of this name, which may be an OID itself.
pub(super) fn find_relation(source: &Source<'_>, name: &str) -> Option<u32> {
    if let Ok(oid) = name.trim().parse() {
        return Some(oid);
    }
    match name_parts(name).as_slice() {
        [name] => std::iter::once("pg_catalog")
            .chain(source.environment.search_path.iter().map(String::as_str))
            .find_map(|schema| relation_in(source.catalog, schema, name)),
        [schema, name] => relation_in(source.catalog, schema, name),
        [database, schema, name] if *database == source.environment.database => {
            relation_in(source.catalog, schema, name)
        }
        _ => None,
    }
}

/// Schema and name of the relation with this OID.
pub(super) fn relation_of(source: &Source<'_>, oid: u32) -> Option<(String, String)> {
    if let Some(table) = system_class(oid) {
        return Some((table.schema.into(), table.name.into()));
    }
    if let Some(object) = source.catalog.object(oid) {
        let (schema, name) = object.full_name();
        return object.is_relation().then(|| (schema.to_string(), name.to_string()));
    }
    let with_index = |table: &&std::sync::Arc<crate::catalog::Table>| table.indexes.iter().any(|i| i.oid == oid);
    let table = source.catalog.tables().find(with_index)?;
    let index = table.indexes.iter().find(|index| index.oid == oid)?;
    Some((table.schema.clone(), index.name.clone()))
}

/// An argument that is an OID or a name to look up; `missing` says what it is if there is no such thing.
fn look_up(arguments: &Arguments<'_>, find: impl Fn(&str) -> Option<u32>, missing: impl Fn(&str) -> Answer) -> Answer {
    match arguments.first() {
        Some(ValueRef::Integer(oid)) => Ok(Value::Integer(*oid)),
        Some(ValueRef::Text("-")) => Ok(Value::Integer(0)),
        Some(ValueRef::Text(name)) => find(name).map_or_else(|| missing(name), |oid| Ok(Value::Integer(oid.into()))),
        _ => Ok(Value::Null),
    }
}

/// An OID written as a name, or as a number if nothing has it.
fn print(arguments: &Arguments<'_>, name: impl Fn(u32) -> Option<String>) -> Answer {
    match oid_at(arguments, 0) {
        Some(0) => text("-"),
        Some(oid) => text(name(oid).unwrap_or_else(|| oid.to_string())),
        None => Ok(Value::Null),
    }
}

fn null(_: &str) -> Answer {
    Ok(Value::Null)
}

pub(super) fn regclass_in(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let missing = |name: &str| Err(SqlError::new("42P01", format!("relation \"{name}\" does not exist")));
    look_up(arguments, |name| find_relation(source, name), missing)
}

pub(super) fn to_regclass(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    look_up(arguments, |name| find_relation(source, name), null)
}

pub(super) fn regclass_out(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    print(arguments, |oid| relation_of(source, oid).map(|(schema, name)| relation_name(source, &schema, &name)))
}

/// OID of a type by any of its names, also of one that users made.
fn find_type(source: &Source<'_>, name: &str) -> Option<u32> {
    find_built_in_type(name).or_else(|| {
        let bare = name.trim().trim_end_matches("[]");
        let is_array = bare.len() < name.trim().len();
        let found = match name_parts(bare).as_slice() {
            [name] => {
                let mut schemas = source.environment.search_path.iter();
                schemas.find_map(|schema| source.catalog.enum_named(schema, name))
            }
            [schema, name] => source.catalog.enum_named(schema, name),
            _ => None,
        };
        found.map(|found| if is_array { found.array_oid() } else { found.oid })
    })
}

/// OID of a type by any of its names: `int4`, `integer`, `varchar(20)[]`, `pg_catalog.int4`.
fn find_built_in_type(name: &str) -> Option<u32> {
    if let Ok(oid) = name.trim().parse() {
        return Some(oid);
    }
    let name = name.trim();
    if let Some(element) = name.strip_suffix("[]") {
        let element = super::super::relations::type_facts(find_built_in_type(element)?)?;
        return Some(element.array).filter(|oid| *oid != 0);
    }
    // A modifier may stand at the end or before `with time zone`.
    let bare = match name.split_once('(') {
        Some((before, rest)) => format!("{before}{}", rest.split_once(')').map_or("", |(_, after)| after)),
        None => name.to_string(),
    };
    let bare = bare.strip_prefix("pg_catalog.").unwrap_or(&bare).trim();
    if let Some(quoted) = bare.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return type_named(quoted).map(|facts| facts.oid);
    }
    let bare = bare.to_lowercase();
    let alias = match bare.split_ascii_whitespace().collect::<Vec<_>>().join(" ").as_str() {
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "decimal" | "dec" => "numeric",
        "real" => "float4",
        "float" | "double precision" => "float8",
        "boolean" => "bool",
        "character varying" => "varchar",
        "character" | "char" => "bpchar",
        "timestamp with time zone" => "timestamptz",
        "timestamp without time zone" => "timestamp",
        "time without time zone" => "time",
        "time with time zone" => "timetz",
        other => return type_named(other).map(|facts| facts.oid),
    };
    type_named(alias).map(|facts| facts.oid)
}

pub(super) fn regtype_in(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let missing = |name: &str| Err(SqlError::new("42704", format!("type \"{name}\" does not exist")));
    look_up(arguments, |name| find_type(source, name), missing)
}

pub(super) fn to_regtype(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    look_up(arguments, |name| find_type(source, name), null)
}

pub(super) fn regtype_out(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    print(arguments, |oid| Some(definitions::type_name(source, oid, -1)).filter(|name| name != "???"))
}

fn find_procedure(name: &str) -> Option<u32> {
    let parts = name_parts(name);
    parts.last().and_then(|name| procedure_named(name)).or_else(|| name.trim().parse().ok())
}

pub(super) fn regproc_in(_: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let missing = |name: &str| Err(SqlError::new("42883", format!("function \"{name}\" does not exist")));
    look_up(arguments, find_procedure, missing)
}

pub(super) fn to_regproc(_: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    look_up(arguments, find_procedure, null)
}

pub(super) fn regproc_out(_: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    print(arguments, |oid| procedure_name(oid).map(str::to_string))
}

pub(super) fn find_schema(source: &Source<'_>, name: &str) -> Option<u32> {
    name.trim().parse().ok().or_else(|| source.catalog.schema_oid(name_parts(name).first()?))
}

pub(super) fn regnamespace_in(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let missing = |name: &str| Err(SqlError::new("3F000", format!("schema \"{name}\" does not exist")));
    look_up(arguments, |name| find_schema(source, name), missing)
}

pub(super) fn to_regnamespace(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    look_up(arguments, |name| find_schema(source, name), null)
}

pub(super) fn regnamespace_out(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let system = ["pg_catalog", "information_schema", crate::catalog::PUBLIC];
    print(arguments, |oid| match source.catalog.object(oid) {
        Some(Object::Schema(schema)) => Some(quoted(&schema.name)),
        _ => system.into_iter().find(|name| source.catalog.schema_oid(name) == Some(oid)).map(str::to_string),
    })
}

fn find_role(source: &Source<'_>, name: &str) -> Option<u32> {
    let parts = name_parts(name);
    let role = parts.first().and_then(|name| source.environment.roles.named(name));
    role.map(|role| role.oid).or_else(|| name.trim().parse().ok())
}

pub(super) fn regrole_in(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let missing = |name: &str| Err(SqlError::new("42704", format!("role \"{name}\" does not exist")));
    look_up(arguments, |name| find_role(source, name), missing)
}

pub(super) fn to_regrole(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    look_up(arguments, |name| find_role(source, name), null)
}

fn role_name(source: &Source<'_>, oid: u32) -> Option<String> {
    source.environment.roles.get(oid).map(|role| role.name.clone())
}

pub(super) fn regrole_out(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    print(arguments, |oid| role_name(source, oid).map(|name| quoted(&name)))
}

pub(super) fn user_by_id(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    match oid_at(arguments, 0) {
        Some(oid) => text(role_name(source, oid).unwrap_or_else(|| format!("unknown (OID={oid})"))),
        None => Ok(Value::Null),
    }
}

pub(super) fn encoding_name(_: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    match number_at(arguments, 0) {
        Some(6) => text("UTF8"),
        Some(0) => text("SQL_ASCII"),
        Some(_) => text(""),
        None => Ok(Value::Null),
    }
}

pub(super) fn encoding_number(_: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    match text_at(arguments, 0).map(|name| name.to_ascii_uppercase().replace('-', "")).as_deref() {
        Some("UTF8" | "UNICODE") => Ok(Value::Integer(6)),
        Some("SQL_ASCII") => Ok(Value::Integer(0)),
        Some(_) => Ok(Value::Integer(-1)),
        None => Ok(Value::Null),
    }
}

pub(super) fn encoding_max_length(_: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    Ok(number_at(arguments, 0).map_or(Value::Null, |encoding| Value::Integer(if encoding == 6 { 4 } else { 1 })))
}

pub(super) fn table_is_visible(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    match oid_at(arguments, 0).and_then(|oid| relation_of(source, oid)) {
        Some((schema, _)) => truth(is_visible(source, &schema)),
        None => Ok(Value::Null),
    }
}

/// Types, functions and the like are all built in, and what is in pg_catalog is always visible.
pub(super) fn builtin_is_visible(_: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    Ok(oid_at(arguments, 0).map_or(Value::Null, |_| Value::Integer(1)))
}
