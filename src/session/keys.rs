//! Which row a statement is about: the key of its ticket. Conservative: what is not plainly
//! `WHERE key = value` on one table means all rows of it.

use super::tickets::Key;
use crate::catalog::Catalog;
use crate::dialect::{Kind, Prepared};
use crate::page::Hash;
use crate::transaction::Value;
use sqlparser::ast::{BinaryOperator, Expr, FromTable, Query, SetExpr, Statement, TableFactor, TableWithJoins};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use std::sync::Arc;

/// A longer value of a key is named by its hash: tickets stay small. Should two values have one hash, they are one
/// row to tickets, and to nobody else.
const ROW_BYTES_MAX: usize = 64;

/// A table and, if known, where the values of its primary key come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    table: Arc<str>,
    key: Option<Vec<Source>>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// Parameter, counted from 0.
    Parameter(usize),
    /// Written in the statement.
    Literal(String),
}

impl Target {
    /// The key for these parameters.
    pub fn key(&self, database: &Arc<str>, parameters: &[Value]) -> Key {
        let row = self.key.as_ref().and_then(|sources| {
            let texts: Option<Vec<String>> = sources.iter().map(|source| text_of(source, parameters)).collect();
            texts.map(|texts| short(texts.join("\u{1f}")).into())
        });
        Key { database: database.clone(), table: self.table.clone(), row }
    }
}

fn short(row: String) -> String {
    if row.len() <= ROW_BYTES_MAX { row } else { Hash::of(row.as_bytes()).to_string() }
}

/// One text for equal values. Numbers in other forms than plain integers widen to the table.
fn text_of(source: &Source, parameters: &[Value]) -> Option<String> {
    match source {
        Source::Literal(text) => Some(text.clone()),
        Source::Parameter(index) => match parameters.get(*index)? {
            Value::Integer(number) => Some(number.to_string()),
            Value::Text(text) => Some(text.to_string()),
            _ => None,
        },
    }
}

/// The target of a query, UPDATE or DELETE; `None` for all other statements, and where no table is named.
pub fn target(sql: &str, prepared: &Prepared, catalog: &Catalog) -> Option<Target> {
    if !matches!(prepared.kind, Kind::Select | Kind::Update | Kind::Delete) {
        return None;
    }
    let statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).ok()?.into_iter().next()?;
    let (table, condition) = parts(&statement)?;
    let known = catalog.tables().find(|known| known.name == table)?;
    let whole = Target { table: known.sqlite_name.as_str().into(), key: None };
    let (Some(key), Some(condition)) = (known.primary_key(), condition) else { return Some(whole) };
    let mut equalities = Vec::new();
    conjuncts(condition, &mut equalities);
    let sources: Option<Vec<Source>> = key
        .iter()
        .map(|number| {
            let name = &known.column_numbered(*number)?.name;
            equalities.iter().find(|(column, _)| column == name).map(|(_, source)| source.clone())
        })
        .collect();
    Some(Target { key: sources, ..whole })
}

/// The single table of a statement and its WHERE.
fn parts(statement: &Statement) -> Option<(String, Option<&Expr>)> {
    match statement {
        Statement::Query(query) => query_parts(query),
        Statement::Update(update) => Some((only_table(&update.table)?, update.selection.as_ref())),
        Statement::Delete(delete) => {
            let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
            match tables.as_slice() {
                [one] => Some((only_table(one)?, delete.selection.as_ref())),
                _ => None,
            }
        }
        _ => None,
    }
}

fn query_parts(query: &Query) -> Option<(String, Option<&Expr>)> {
    match query.body.as_ref() {
        SetExpr::Select(select) => match select.from.as_slice() {
            [one] => Some((only_table(one)?, select.selection.as_ref())),
            // Several tables: the first one stands for all, whole.
            [first, ..] => Some((only_table(first)?, None)),
            [] => None,
        },
        SetExpr::Query(inner) => query_parts(inner),
        _ => None,
    }
}

fn only_table(table: &TableWithJoins) -> Option<String> {
    match &table.relation {
        TableFactor::Table { name, .. } => {
            let last = name.0.last()?.as_ident()?;
            Some(if last.quote_style.is_some() { last.value.clone() } else { last.value.to_ascii_lowercase() })
        }
        _ => None,
    }
}

/// Equalities of a column with a value that must all hold.
fn conjuncts(condition: &Expr, found: &mut Vec<(String, Source)>) {
    match condition {
        Expr::Nested(inner) => conjuncts(inner, found),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left, found);
            conjuncts(right, found);
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            let pair = column(left).zip(source(right)).or_else(|| column(right).zip(source(left)));
            found.extend(pair);
        }
        _ => {}
    }
}

fn column(expression: &Expr) -> Option<String> {
    let ident = match expression {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(idents) => idents.last()?,
        Expr::Nested(inner) => return column(inner),
        _ => return None,
    };
    Some(if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() })
}

fn source(expression: &Expr) -> Option<Source> {
    use sqlparser::ast::Value as Literal;
    match expression {
        Expr::Nested(inner) => source(inner),
        Expr::Cast { expr, .. } => source(expr),
        Expr::Value(value) => match &value.value {
            Literal::Placeholder(name) => {
                let number: usize = name.strip_prefix('$')?.parse().ok()?;
                Some(Source::Parameter(number.checked_sub(1)?))
            }
            Literal::Number(text, _) => text.parse::<i64>().ok().map(|number| Source::Literal(number.to_string())),
            Literal::SingleQuotedString(text) => Some(Source::Literal(text.clone())),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_makes_a_short_key_of_its_own() {
        let target = Target { table: "t".into(), key: Some(vec![Source::Parameter(0)]) };
        let row = |value: &str| target.key(&"d".into(), &[Value::Text(value.into())]).row.unwrap();
        assert_eq!(&*row("short"), "short");
        let (long, other) = ("x".repeat(1 << 20), "x".repeat((1 << 20) + 1));
        assert!(row(&long).len() <= ROW_BYTES_MAX);
        assert_eq!(row(&long), row(&long));
        assert_ne!(row(&long), row(&other));
    }
}
