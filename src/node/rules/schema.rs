//! A schema from a file of SQL, without a cluster: for tools.

use super::RulesError;
use crate::catalog::{BOOTSTRAP_SQL, CATALOG_SQL, Catalog};
use crate::dialect::{self, IGNORE_FOREIGN_KEYS, KEEP_FOREIGN_KEYS, Parsed, Prepared, Settings};
use crate::engine::{Connection, Failure, Options};
use crate::footprint::{self, Template};
use crate::mixer::rules::KnownTable;
use crate::transaction::SqlError;
use std::path::Path;

/// An empty database with a schema.
pub(super) struct Schema {
    connection: Connection,
    catalog: Catalog,
    settings: Settings,
}

impl Schema {
    /// Runs the statements of a file that change the schema; others are passed over.
    pub fn from_file(path: &Path) -> Result<Schema, RulesError> {
        let wrong = |reason: String| RulesError::Schema { path: path.into(), reason };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        Schema::from_sql(&text).map_err(|error| wrong(error.message))
    }

    /// The same, of a text.
    pub fn from_sql(text: &str) -> Result<Schema, SqlError> {
        let connection =
            Connection::in_memory(Options::default()).map_err(|e| SqlError::new("XX000", e.to_string()))?;
        let mut schema = Schema { connection, catalog: Catalog::empty(), settings: Settings::default() };
        for sql in BOOTSTRAP_SQL {
            schema.connection.control(sql).map_err(sql_error)?;
        }
        for parsed in dialect::parse(text)? {
            // Of what does not change the schema much is not understood here, and none of it matters.
            if let Ok(prepared) = schema.prepare(&parsed) {
                schema.change(&prepared)?;
            } else if is_definition(&parsed.text) {
                schema.prepare(&parsed)?;
            }
        }
        Ok(schema)
    }

    /// Runs a statement if it changes the schema.
    pub fn change(&mut self, prepared: &Prepared) -> Result<(), SqlError> {
        if !prepared.changes_schema {
            return Ok(());
        }
        for sql in prepared.sql.iter().filter(|sql| ![IGNORE_FOREIGN_KEYS, KEEP_FOREIGN_KEYS].contains(&&***sql)) {
            self.connection.control(sql).map_err(sql_error)?;
        }
        let rows = self.connection.query(CATALOG_SQL, &[]).map_err(sql_error)?;
        self.catalog = Catalog::load(rows).map_err(|e| SqlError::new("XX000", e.to_string()))?;
        Ok(())
    }

    /// What a statement becomes.
    pub fn prepare(&self, parsed: &Parsed) -> Result<Prepared, SqlError> {
        dialect::prepare(parsed, &self.catalog, &[], &self.settings)
    }

    /// The schema as footprints need it.
    pub fn footprints(&mut self) -> Result<footprint::Schema, SqlError> {
        self.connection.footprint_schema().map_err(sql_error)
    }

    /// The footprint of a SQLite statement.
    pub fn template(&mut self, sql: &str, schema: &footprint::Schema) -> Template {
        self.connection.template(sql, schema)
    }

    /// The name of a sequence.
    pub fn sequence_name(&self, oid: u32) -> Option<&str> {
        self.catalog.sequence(oid).map(|sequence| sequence.name.as_str())
    }

    /// The SQLite statements that the statements of a text become.
    pub fn translate(&self, sql: &str) -> Result<Vec<Prepared>, SqlError> {
        dialect::parse(sql)?.iter().map(|parsed| self.prepare(parsed)).collect()
    }

    /// Tables that rules may name.
    pub fn tables(&self) -> Vec<KnownTable> {
        let columns = |table: &crate::catalog::Table| table.columns.iter().map(|column| column.name.clone()).collect();
        self.catalog.tables().map(|table| KnownTable { name: table.name.clone(), columns: columns(table) }).collect()
    }
}

/// Whether a statement that is not understood would have been part of the schema.
fn is_definition(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or("");
    ["create", "alter", "drop"].iter().any(|word| first.eq_ignore_ascii_case(word))
}

fn sql_error(failure: Failure) -> SqlError {
    match failure {
        Failure::Sql(error) => error,
        Failure::Local(error) => SqlError::new("XX000", error.to_string()),
    }
}
