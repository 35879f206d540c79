//! COPY and ANALYZE.

use super::typed::{Scope, Typed};
use super::{Need, Result, Translator, quote_name};
use crate::dialect::prepared::{CopyFormat, Kind, Prepared, Tag};
use crate::dialect::utility::CopySource;
use crate::transaction::SqlError;
use sqlparser::ast::{Expr, Insert, Statement};

impl Translator<'_> {
    pub(super) fn copy(&mut self, source: &CopySource, to: bool, format: &CopyFormat) -> Result<Prepared> {
        let (name, columns) = match source {
            CopySource::Query(_) if !to => return Err(SqlError::new("42601", "COPY query FROM is not possible")),
            CopySource::Query(query) => {
                let (sql, outputs) = self.top_query(query)?;
                let columns = self.output_columns(outputs)?;
                return self.finish(Kind::CopyOut(format.clone()), vec![sql], columns, Tag::Copy, true);
            }
            CopySource::Table { name, columns } => (name, columns),
        };
        let table = self.user_table_named(name)?;
        let mut chosen = Vec::new();
        for column in columns {
            let found = table.column(column).ok_or_else(|| {
                SqlError::new("42703", format!("column \"{column}\" of relation \"{}\" does not exist", table.name))
            })?;
            chosen.push(found.clone());
        }
        if columns.is_empty() {
            chosen = table.columns.iter().filter(|column| column.generated.is_none()).cloned().collect();
        }
        if to {
            let list: Vec<String> = chosen.iter().map(|column| quoted(&column.name)).collect();
            let query = format!("SELECT {} FROM {}.{}", list.join(", "), quoted(&table.schema), quoted(&table.name));
            let query = crate::dialect::parse::parse_query(&query)?;
            let (sql, outputs) = self.query(&query, None, false)?;
            let columns = self.output_columns(outputs)?;
            return self.finish(Kind::CopyOut(format.clone()), vec![sql], columns, Tag::Copy, true);
        }
        // One row with a parameter for each column; COPY may set identity columns.
        self.overriding = true;
        let marks: Vec<String> = (1..=chosen.len()).map(|at| format!("${at}")).collect();
        let names: Vec<String> = chosen.iter().map(|column| quoted(&column.name)).collect();
        let text = format!(
            "INSERT INTO {}.{}({}) VALUES ({})",
            quoted(&table.schema),
            quoted(&table.name),
            names.join(", "),
            marks.join(", ")
        );
        let insert = parse_insert(&text)?;
        let mut prepared = self.insert(&insert)?;
        prepared.kind = Kind::CopyIn(format.clone());
        prepared.tag = Tag::Copy;
        Ok(prepared)
    }

    pub(super) fn analyze(&mut self, tables: &[Vec<String>], tag: &'static str) -> Result<Prepared> {
        let mut sql = Vec::new();
        for table in tables {
            let table = self.user_table_named(table)?;
            self.need(Need::Owner(table.oid));
            sql.push(format!("ANALYZE {}", quote_name(&table.sqlite_name)));
        }
        if tables.is_empty() {
            self.need(Need::Superuser("must be superuser to analyze all tables", None));
            sql.push("ANALYZE main".into());
        }
        let mut prepared = self.finish(Kind::Analyze, sql, Vec::new(), Tag::Fixed(tag), false)?;
        prepared.changes_schema = true;
        Ok(prepared)
    }

    /// An expression over one table's columns, for CHECK, indexes and generated columns.
    pub(super) fn table_expression(
        &mut self,
        expr: &Expr,
        table: &crate::catalog::Table,
        clause: &'static str,
    ) -> Result<Typed> {
        let columns = table.columns.iter().map(|column| {
            let mut made = super::from::table_column(&table.sqlite_name, table, column);
            made.typed.sql = quote_name(&column.name);
            made
        });
        let relation = super::typed::Relation {
            alias: table.name.clone(),
            schema: Some(table.schema.clone()),
            table: Some(table.oid),
            columns: columns.collect(),
        };
        self.scopes.push(Scope { relations: vec![relation], clause, ..Scope::default() });
        let typed = self.expr(expr);
        self.scopes.pop();
        let typed = typed?;
        self.as_text_if_unknown(typed)
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn parse_insert(text: &str) -> Result<Insert> {
    use sqlparser::dialect::PostgreSqlDialect;
    let statements = sqlparser::parser::Parser::parse_sql(&PostgreSqlDialect {}, text)
        .map_err(|error| SqlError::new("XX000", error.to_string()))?;
    match statements.into_iter().next() {
        Some(Statement::Insert(insert)) => Ok(insert),
        _ => Err(SqlError::new("XX000", "an INSERT of ours is none")),
    }
}
