//! Which key a violated constraint was about. SQLite names columns at best; Postgres' clients read a constraint's name
//! and a key's values from the error.
//!
//! The statement is run once more on the session's own view and undone: where a key exists already as one that replaces
//! the row that has it, where a reference is broken with the check put off. It is only asked about errors, and the
//! answer dresses the error: nobody compares it.

use super::client::Session;
use super::one_shot::Update;
use super::view::SessionView;
use crate::catalog::{Catalog, Constraint, ConstraintKind, Table};
use crate::dialect::PgType;
use crate::dialect::codec::{TextStyle, to_text};
use crate::engine::Connection;
use crate::page_store::sqlite::RowChange;
use crate::transaction::{SqlError, Value};
use std::sync::Arc;

/// A statement that failed, and on whose behalf.
pub struct Failed<'a> {
    /// Its SQL.
    pub sql: &'a [Arc<str>],
    /// Values of its parameters.
    pub parameters: &'a [Value],
    /// Rows of a COPY.
    pub rows: Option<&'a [Vec<Value>]>,
    /// How the client wants values written.
    pub style: &'a TextStyle,
}

/// Whether there is something to explain.
pub fn is_bare(error: &SqlError) -> bool {
    error.detail.is_none() && matches!(error.code(), "23503" | "23505")
}

/// The error with its key, if that is found. The view is inside the transaction, as it was before the statement.
pub fn explain(view: &mut SessionView, error: SqlError, failed: &Failed<'_>) -> SqlError {
    if !is_bare(&error) || view.connection.is_autocommit() {
        return error;
    }
    let catalog = view.catalog.clone();
    let explained = match error.code() {
        "23505" => duplicate(&mut view.connection, &catalog, &error, failed),
        _ => reference(&mut view.connection, &catalog, failed),
    };
    // Draws of the attempt are nobody's.
    view.take_needed();
    explained.unwrap_or(error)
}

impl Session {
    /// As [`explain`], of an update outside of blocks: on the newest accepted version, which has the row in the way.
    pub(super) async fn explain_update(&mut self, error: SqlError, updates: &[Update], failed: usize) -> SqlError {
        if !is_bare(&error) || failed >= updates.len() {
            return error;
        }
        let Ok(pinned) = self.pin().await else { return error };
        let Ok(mut view) = self.front.take_view(&self.database, &pinned) else { return error };
        view.begin(&self.facts, self.front.gateway.now_us(), self.front.seed());
        self.registration.set_interrupt(Some(view.interrupt()));
        let style = self.settings.active().style;
        let explained = match view.connection.control("BEGIN") {
            Ok(()) => after(&mut view, error, updates, failed, &style),
            Err(_) => error,
        };
        self.registration.set_interrupt(None);
        if view.clean(false).is_ok() {
            self.front.give_back(&self.database, view);
        }
        explained
    }
}

/// Runs those before it, then explains the one that failed.
fn after(view: &mut SessionView, error: SqlError, updates: &[Update], failed: usize, style: &TextStyle) -> SqlError {
    for update in &updates[..failed] {
        let rows = update.rows.as_deref();
        let answer = view.connection.answer(&update.plan.prepared.sql, &update.parameters, rows);
        if answer.is_err() || update.plan.prepared.changes_schema {
            return error;
        }
    }
    let update = &updates[failed];
    let (sql, parameters) = (&update.plan.prepared.sql[..], &update.parameters[..]);
    explain(view, error, &Failed { sql, parameters, rows: update.rows.as_deref(), style })
}

/// 23505: the first row that would have to go.
fn duplicate(
    connection: &mut Connection,
    catalog: &Catalog,
    error: &SqlError,
    failed: &Failed<'_>,
) -> Option<SqlError> {
    let (name, constraint) = (error.table.as_deref()?, error.constraint.as_deref()?);
    let has_it = |table: &&Arc<Table>| table.name == name && table.indexes.iter().any(|index| index.name == constraint);
    let table = catalog.tables().find(has_it)?;
    let index = table.indexes.iter().find(|index| index.name == constraint)?;
    let columns: Vec<i16> = index.keys.iter().map(|key| key.column).collect::<Option<_>>()?;
    let sql = with_last(failed.sql, &replacing(failed.sql.last()?)?);
    let key = connection.attempt(&sql, failed.parameters, failed.rows, |connection, changes| {
        let gone = |change: &RowChange| *change.table == *table.sqlite_name && change.new.is_none();
        let row = changes.into_iter().find(gone)?.old?;
        Key::of(connection, table, &columns, &row)
    });
    let detail = format!("Key {} already exists.", key.ok()??.text(failed.style)?);
    Some(SqlError { detail: Some(detail), ..error.clone() })
}

/// The same statement, but rows in its way go. An upsert has a way of its own.
fn replacing(sql: &str) -> Option<String> {
    let verbs = [("INSERT INTO ", "INSERT OR REPLACE INTO "), ("UPDATE ", "UPDATE OR REPLACE ")];
    let (rest, verb) = verbs.iter().find_map(|(plain, verb)| Some((sql.strip_prefix(plain)?, verb)))?;
    (!sql.contains("ON CONFLICT")).then(|| format!("{verb}{rest}"))
}

/// 23503: the first reference without a row that it refers to.
fn reference(connection: &mut Connection, catalog: &Catalog, failed: &Failed<'_>) -> Option<SqlError> {
    // Another text, so that it is compiled while its changes are watched.
    let sql = with_last(failed.sql, &format!("{} ", failed.sql.last()?));
    connection.control("PRAGMA defer_foreign_keys=ON").ok()?;
    let found = connection.attempt(&sql, failed.parameters, failed.rows, |connection, changes| {
        changes.iter().find_map(|change| {
            let table = catalog.tables().find(|table| *table.sqlite_name == *change.table)?;
            missing(connection, catalog, table, change, failed.style)
                .or_else(|| still_referenced(connection, catalog, table, change, failed.style))
        })
    });
    connection.control("PRAGMA defer_foreign_keys=OFF").ok()?;
    found.ok()?
}

fn missing(
    connection: &mut Connection,
    catalog: &Catalog,
    table: &Table,
    change: &RowChange,
    style: &TextStyle,
) -> Option<SqlError> {
    let row = change.new.as_ref()?;
    table.constraints.iter().find_map(|constraint| {
        let ConstraintKind::Foreign { table: referred, columns, .. } = &constraint.kind else { return None };
        let referred = catalog.table(*referred)?;
        let key = Key::of(connection, table, &constraint.columns, row)?;
        if key.has_null() || key.is_in(connection, referred, columns)? {
            return None;
        }
        let message = format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
            table.name, constraint.name
        );
        let detail = format!("Key {} is not present in table \"{}\".", key.text(style)?, referred.name);
        Some(violation(message, detail, table, constraint))
    })
}

fn still_referenced(
    connection: &mut Connection,
    catalog: &Catalog,
    table: &Table,
    change: &RowChange,
    style: &TextStyle,
) -> Option<SqlError> {
    let row = change.old.as_ref()?;
    let referring =
        catalog.tables().flat_map(|other| other.constraints.iter().map(move |constraint| (other, constraint)));
    referring.into_iter().find_map(|(other, constraint)| {
        let ConstraintKind::Foreign { table: referred, columns, .. } = &constraint.kind else { return None };
        if *referred != table.oid {
            return None;
        }
        let key = Key::of(connection, table, columns, row)?;
        let is_broken = !key.is_in(connection, table, columns)? && key.is_in(connection, other, &constraint.columns)?;
        let message = format!(
            "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
            table.name, constraint.name, other.name
        );
        let detail = format!("Key {} is still referenced from table \"{}\".", key.text(style)?, other.name);
        is_broken.then(|| violation(message, detail, other, constraint))
    })
}

fn violation(message: String, detail: String, table: &Table, constraint: &Constraint) -> SqlError {
    let mut error = SqlError::new("23503", message).with_detail(detail);
    (error.table, error.constraint) = (Some(table.name.clone()), Some(constraint.name.clone()));
    error
}

fn with_last(sql: &[Arc<str>], last: &str) -> Vec<Arc<str>> {
    let before = sql.len().saturating_sub(1);
    sql[..before].iter().cloned().chain([last.into()]).collect()
}

/// Some columns of a row.
struct Key {
    names: Vec<String>,
    types: Vec<(PgType, i32)>,
    values: Vec<Value>,
}

impl Key {
    /// Columns of a row that has all of its table's, in SQLite's order.
    fn of(connection: &mut Connection, table: &Table, columns: &[i16], row: &[Value]) -> Option<Key> {
        let name = [Value::Text(table.sqlite_name.as_str().into())];
        let order = connection.query("SELECT name FROM pragma_table_xinfo(?1)", &name).ok()?;
        let mut key = Key { names: Vec::new(), types: Vec::new(), values: Vec::new() };
        for number in columns {
            let column = table.column_numbered(*number)?;
            let at = order.iter().position(|row| matches!(&row[0], Value::Text(name) if **name == *column.name))?;
            key.names.push(column.name.clone());
            key.types.push((PgType(column.type_oid), column.typmod));
            key.values.push(row.get(at)?.clone());
        }
        Some(key)
    }

    fn has_null(&self) -> bool {
        self.values.contains(&Value::Null)
    }

    /// Whether a row of a table has these values in these columns.
    fn is_in(&self, connection: &mut Connection, table: &Table, columns: &[i16]) -> Option<bool> {
        let mut terms = Vec::new();
        for (at, number) in columns.iter().enumerate() {
            terms.push(format!("{} = ?{}", quoted(&table.column_numbered(*number)?.name), at + 1));
        }
        let sql = format!("SELECT 1 FROM {} WHERE {} LIMIT 1", quoted(&table.sqlite_name), terms.join(" AND "));
        Some(!connection.query(&sql, &self.values).ok()?.is_empty())
    }

    /// `(a, b)=(1, x)`.
    fn text(&self, style: &TextStyle) -> Option<String> {
        let mut values = Vec::new();
        for (value, (ty, typmod)) in self.values.iter().zip(&self.types) {
            values.push(match value {
                Value::Null => "null".to_string(),
                value => to_text(value.as_ref(), *ty, *typmod, style).ok()?,
            });
        }
        Some(format!("({})=({})", self.names.join(", "), values.join(", ")))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
