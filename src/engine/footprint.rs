//! What footprints are derived from: the schema, and what SQLite's authorizer says of a statement.

use super::allow::Recorded;
use super::connection::Connection;
use super::failure::Failure;
use crate::footprint::{Action, Schema, Template};
use crate::page_store::sqlite::Action as Code;

impl Connection {
    /// The schema that the connection sees, as footprints need it. Reads a few pragmas: once for a schema's hash.
    pub fn footprint_schema(&mut self) -> Result<Schema, Failure> {
        Schema::load(|sql| self.query(sql, &[]))
    }

    /// The footprint of a SQLite statement, which is compiled for it and not run. A statement that cannot be compiled
    /// (it fails wherever it runs, or something else comes first) is one of everything.
    pub fn template(&mut self, sql: &str, schema: &Schema) -> Template {
        match self.actions(sql) {
            Ok(actions) => Template::derive(sql, schema, &actions.iter().map(action).collect::<Vec<_>>()),
            Err(_) => Template::everything(),
        }
    }
}

fn action((code, first, second, database): &Recorded) -> Action<'_> {
    let (first, second) = (first.as_deref(), second.as_deref());
    match (code, first, second, database.as_deref()) {
        (Code::Select | Code::Recursive, ..) => Action::Harmless,
        (Code::Function, _, Some(name), _) => Action::Function(name),
        (Code::Read, Some(table), column, Some("main")) => Action::Read(table, column.unwrap_or("")),
        // Rows are counted of a table without a database before its name; of temporary tables nobody asks.
        (Code::Read, Some(table), None | Some(""), None) => Action::Read(table, ""),
        (Code::Insert, Some(table), _, Some("main")) => Action::Insert(table),
        (Code::Delete, Some(table), _, Some("main")) => Action::Delete(table),
        (Code::Update, Some(table), Some(column), Some("main")) => Action::Update(table, column),
        _ => Action::Other,
    }
}

#[cfg(test)]
#[path = "footprint_tests.rs"]
mod tests;
