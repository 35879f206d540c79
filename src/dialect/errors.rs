//! SQLite's errors in Postgres' words.

use crate::catalog::{Catalog, ConstraintKind, Table};
use crate::transaction::SqlError;

/// Maps an error of SQLite's, given its extended code, its message and the catalog that the statement was
/// translated for.
///
/// Environmental errors (no memory, I/O, interrupt, corruption) are not for clients' statements to answer;
/// the engine tells them apart before it asks here.
pub fn from_sqlite(extended_code: i32, message: &str, catalog: &Catalog) -> SqlError {
    match extended_code {
        // SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE, _ROWID
        1555 | 2067 | 2579 => unique(message, catalog),
        // SQLITE_CONSTRAINT_FOREIGNKEY, _TRIGGER
        787 | 1811 => SqlError::new("23503", "insert, update or delete violates foreign key constraint"),
        // SQLITE_CONSTRAINT_NOTNULL
        1299 => not_null(message, catalog),
        // SQLITE_CONSTRAINT_CHECK
        275 => check(message, catalog),
        // SQLITE_CONSTRAINT_DATATYPE: an integer that became a real by overflow
        3091 => SqlError::new("22003", "bigint out of range"),
        // SQLITE_INTERRUPT
        9 => SqlError::new("57014", "canceling statement due to user request"),
        // SQLITE_TOOBIG
        18 => SqlError::new("54000", "value or statement is too large"),
        // SQLITE_READONLY
        8 => SqlError::new("25006", "cannot change data in a read-only transaction"),
        _ => by_message(message),
    }
}

fn by_message(message: &str) -> SqlError {
    let cases = [
        ("integer overflow", "22003", "bigint out of range"),
        ("no such table", "42P01", ""),
        ("no such column", "42703", ""),
        ("ambiguous column", "42702", ""),
        ("no such function", "42883", ""),
        ("already exists", "42P07", ""),
        ("duplicate column name", "42701", ""),
        ("syntax error", "42601", ""),
        ("foreign key mismatch", "42830", "there is no unique constraint matching given keys for referenced table"),
        ("sub-select returns", "42601", ""),
        ("argument of ntile", "22014", "argument of ntile must be greater than zero"),
        ("argument to nth_value", "22016", "argument of nth_value must be greater than zero"),
        ("Expression tree is too large", "54001", "statement is too complex"),
        ("parser stack overflow", "54001", "statement is too complex"),
        ("too many", "54000", ""),
    ];
    match cases.iter().find(|(part, ..)| message.contains(part)) {
        Some((_, code, "")) => SqlError::new(code, message),
        Some((_, code, words)) => SqlError::new(code, *words),
        None => SqlError::new("XX000", message),
    }
}

/// `t.a, t.b` of "UNIQUE constraint failed: t.a, t.b".
fn named_columns<'a>(message: &'a str, catalog: &'a Catalog) -> Option<(&'a Table, Vec<i16>)> {
    let (_, list) = message.split_once(": ")?;
    let mut table = None;
    let mut numbers = Vec::new();
    for item in list.split(", ") {
        // Names may hold points themselves, so the table decides where the name ends.
        let found = catalog.tables().find_map(|candidate| {
            let column = item.strip_prefix(candidate.sqlite_name.as_str())?.strip_prefix('.')?;
            Some((candidate, candidate.columns.iter().find(|c| c.name.eq_ignore_ascii_case(column))?.number))
        });
        let (candidate, number) = found?;
        table = Some(candidate.as_ref());
        numbers.push(number);
    }
    table.map(|table| (table, numbers))
}

fn unique(message: &str, catalog: &Catalog) -> SqlError {
    let fail = |name: &str, table: &Table| {
        let mut error = SqlError::new("23505", format!("duplicate key value violates unique constraint \"{name}\""));
        error.constraint = Some(name.to_string());
        error.table = Some(table.name.clone());
        error
    };
    // An index on expressions: "UNIQUE constraint failed: index 'name'".
    if let Some(name) = message.split_once("index '").and_then(|(_, rest)| rest.strip_suffix('\'')) {
        let found = catalog.tables().find_map(|table| {
            table.indexes.iter().find(|i| i.sqlite_name.as_deref() == Some(name)).map(|i| (table, i))
        });
        if let Some((table, index)) = found {
            return fail(&index.name, table);
        }
    }
    let Some((table, columns)) = named_columns(message, catalog) else {
        return SqlError::new("23505", "duplicate key value violates unique constraint");
    };
    let keyed = |index: &&crate::catalog::Index| {
        index.unique && index.keys.iter().map(|key| key.column).eq(columns.iter().map(|number| Some(*number)))
    };
    let name = table.indexes.iter().find(keyed).map_or("", |index| index.name.as_str());
    fail(name, table)
}

fn not_null(message: &str, catalog: &Catalog) -> SqlError {
    match named_columns(message, catalog) {
        Some((table, columns)) => {
            let column = columns.first().and_then(|n| table.column_numbered(*n)).map_or("", |c| c.name.as_str());
            let mut error = SqlError::new(
                "23502",
                format!(
                    "null value in column \"{column}\" of relation \"{}\" violates not-null constraint",
                    table.name
                ),
            );
            error.table = Some(table.name.clone());
            error.column = Some(column.to_string());
            error
        }
        None => SqlError::new("23502", "null value violates not-null constraint"),
    }
}

/// Constraints of ours keep integers in their range; the others are named `table_oid:name` in SQLite,
/// because it does not say in which table one failed.
fn check(message: &str, catalog: &Catalog) -> SqlError {
    let name = message.split_once(": ").map_or("", |(_, name)| name);
    match name {
        "evesql_int2" => return SqlError::new("22003", "smallint out of range"),
        "evesql_int4" => return SqlError::new("22003", "integer out of range"),
        _ => {}
    }
    let found = name
        .split_once(':')
        .and_then(|(oid, name)| Some((catalog.table(oid.parse().ok()?)?, name)))
        .filter(|(table, name)| table.constraint(name).is_some_and(|c| matches!(c.kind, ConstraintKind::Check(_))));
    let Some((table, name)) = found else {
        let plain = name.split_once(':').map_or(name, |(_, plain)| plain);
        return SqlError::new("23514", format!("check constraint \"{plain}\" is violated by some row"));
    };
    let mut error =
        SqlError::new("23514", format!("new row for relation \"{}\" violates check constraint \"{name}\"", table.name));
    error.constraint = Some(name.to_string());
    error.table = Some(table.name.clone());
    error
}
