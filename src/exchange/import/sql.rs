//! SQLite's SQL as Postgres': what CREATE TABLE, CREATE INDEX and CREATE VIEW say beyond the pragmas.
//!
//! Names lose their capitals, since SQLite does not tell them apart and Postgres folds what is not quoted: statements
//! that name a table without quotes go on to find it. LIKE becomes ILIKE, which is what it does there. What an expression
//! means otherwise the server judges by its types; what it does not take is left out by name.

use crate::catalog::definitions::quote_ident;
use sqlparser::ast::{
    BinaryOperator, ColumnOption, DeferrableInitial, Expr, ForeignKeyConstraint, Ident, ObjectName, ObjectNamePart,
    OrderBySort, Statement, TableConstraint, UnaryOperator, Value, VisitMut, VisitorMut,
};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// What only the text of CREATE TABLE tells.
#[derive(Debug, Clone, Default)]
pub struct TableText {
    /// Name if one was given, and the condition in Postgres' words.
    pub checks: Vec<(Option<String>, String)>,
    /// Columns with the expression that computes them.
    pub generated: Vec<(String, String)>,
    /// Columns of foreign keys that are checked at the end of the transaction.
    pub deferred: Vec<Vec<String>>,
    /// Columns that an expression names, in small letters.
    pub named: BTreeSet<String>,
    /// Columns that compare without regard to the case of letters.
    pub ignores_case: Vec<String>,
    /// Whether it could not be read.
    pub unknown: bool,
}

/// A name as EveSQL gets it.
pub fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// A name as EveSQL's SQL writes it.
pub fn name(name: &str) -> String {
    quote_ident(&folded(name))
}

/// Names joined by commas.
pub fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

fn parse(sql: &str) -> Option<Statement> {
    let mut statements = Parser::parse_sql(&SQLiteDialect {}, sql).ok()?;
    if statements.len() == 1 { statements.pop() } else { None }
}

/// Reads a CREATE TABLE.
pub fn table_text(sql: &str, columns: &[&str]) -> TableText {
    let Some(Statement::CreateTable(mut create)) = parse(sql) else {
        return TableText { unknown: true, ..TableText::default() };
    };
    let mut text = TableText::default();
    let deferred = |key: &ForeignKeyConstraint| {
        key.characteristics.as_ref().is_some_and(|c| c.initially == Some(DeferrableInitial::Deferred))
    };
    let mut checks = Vec::new();
    for column in &mut create.columns {
        let own = folded(&column.name.value);
        for option in &mut column.options {
            let given = option.name.as_ref().map(|name| folded(&name.value));
            match &mut option.option {
                ColumnOption::Check(check) => checks.push((given, &mut check.expr)),
                ColumnOption::Generated { generation_expr: Some(expr), .. } => {
                    let expression = translated(expr, columns, &mut text.named);
                    text.generated.push((own.clone(), expression));
                }
                ColumnOption::ForeignKey(key) if deferred(key) => text.deferred.push(vec![own.clone()]),
                ColumnOption::Collation(collation) if collation.to_string().eq_ignore_ascii_case("nocase") => {
                    text.ignores_case.push(own.clone());
                }
                _ => {}
            }
        }
    }
    for constraint in &mut create.constraints {
        match constraint {
            TableConstraint::Check(check) => {
                checks.push((check.name.as_ref().map(|name| folded(&name.value)), &mut check.expr));
            }
            TableConstraint::ForeignKey(key) if deferred(key) => {
                text.deferred.push(key.columns.iter().map(|column| folded(&column.value)).collect());
            }
            _ => {}
        }
    }
    for (given, expr) in checks {
        let condition = condition(expr, columns, &mut text.named);
        text.checks.push((given, condition));
    }
    text
}

/// Keys and condition of a CREATE INDEX in Postgres' words, and the columns that its expressions name.
/// Keys in `nocase` are compared in small letters.
pub fn index_text(
    sql: &str,
    columns: &[&str],
    nocase: &[String],
    named: &mut BTreeSet<String>,
) -> Option<(Vec<String>, Option<String>)> {
    let Statement::CreateIndex(mut create) = parse(sql)? else { return None };
    let mut keys = Vec::new();
    for key in &mut create.columns {
        let order = if matches!(key.column.options.sort, Some(OrderBySort::Desc)) { " DESC" } else { "" };
        let expr = match &mut key.column.expr {
            // The index's collation is told by the pragma.
            Expr::Collate { expr, .. } => expr.as_mut(),
            expr => expr,
        };
        let column = match expr {
            Expr::Identifier(ident) => Some(folded(&ident.value)),
            _ => None,
        };
        let mut inside = BTreeSet::new();
        let text = translated(expr, columns, &mut inside);
        keys.push(match column {
            Some(column) if nocase.contains(&column) => format!("lower({text}){order}"),
            Some(_) => format!("{text}{order}"),
            None => {
                named.extend(inside);
                format!("({text}){order}")
            }
        });
    }
    let predicate = create.predicate.as_mut().map(|expr| condition(expr, columns, named));
    Some((keys, predicate))
}

/// A CREATE VIEW in Postgres' words.
pub fn view_text(sql: &str) -> Option<String> {
    let mut statement = parse(sql)?;
    let Statement::CreateView(create) = &mut statement else { return None };
    create.temporary = false;
    create.if_not_exists = false;
    create.name = ObjectName(create.name.0.iter().map(folded_part).collect());
    create.columns.iter_mut().for_each(|column| fold(&mut column.name));
    let mut translation = Translation { columns: None, named: &mut BTreeSet::new() };
    let _ = create.query.visit(&mut translation);
    Some(statement.to_string())
}

fn folded_part(part: &ObjectNamePart) -> ObjectNamePart {
    match part {
        ObjectNamePart::Identifier(ident) => {
            let mut ident = ident.clone();
            fold(&mut ident);
            ObjectNamePart::Identifier(ident)
        }
        other => other.clone(),
    }
}

fn fold(ident: &mut Ident) {
    let folded = folded(&ident.value);
    *ident = if quote_ident(&folded) == folded { Ident::new(folded) } else { Ident::with_quote('"', folded) };
}

fn translated(expr: &mut Expr, columns: &[&str], named: &mut BTreeSet<String>) -> String {
    let _ = expr.visit(&mut Translation { columns: Some(columns), named });
    expr.to_string()
}

/// A condition: SQLite takes a number for one, Postgres does not.
fn condition(expr: &mut Expr, columns: &[&str], named: &mut BTreeSet<String>) -> String {
    truth(expr);
    translated(expr, columns, named)
}

fn truth(expr: &mut Expr) {
    match expr {
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => truth(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            truth(left);
            truth(right);
        }
        Expr::Identifier(_) => {
            let (left, right) = (Box::new(expr.clone()), Box::new(Expr::value(Value::Number("0".into(), false))));
            *expr = Expr::BinaryOp { left, op: BinaryOperator::NotEq, right };
        }
        _ => {}
    }
}

struct Translation<'a> {
    /// Of the table, where the expression is about one.
    columns: Option<&'a [&'a str]>,
    named: &'a mut BTreeSet<String>,
}

impl VisitorMut for Translation<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut sqlparser::ast::Query) -> ControlFlow<()> {
        if let sqlparser::ast::SetExpr::Select(select) = query.body.as_mut() {
            for item in &mut select.projection {
                if let sqlparser::ast::SelectItem::ExprWithAlias { alias, .. } = item {
                    fold(alias);
                }
            }
            for from in &mut select.from {
                std::iter::once(&mut from.relation)
                    .chain(from.joins.iter_mut().map(|join| &mut join.relation))
                    .for_each(|relation| match relation {
                        sqlparser::ast::TableFactor::Table { alias: Some(alias), .. }
                        | sqlparser::ast::TableFactor::Derived { alias: Some(alias), .. } => fold(&mut alias.name),
                        _ => {}
                    });
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        relation.0 = relation.0.iter().map(folded_part).collect();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => {
                let is_column = self.columns.is_none_or(|all| all.iter().any(|c| c.eq_ignore_ascii_case(&ident.value)));
                if is_column {
                    self.named.insert(folded(&ident.value));
                    fold(ident);
                } else if ident.quote_style == Some('"') {
                    // SQLite takes a quoted name that is none for a string.
                    *expr = Expr::value(Value::SingleQuotedString(ident.value.clone()));
                }
            }
            Expr::CompoundIdentifier(idents) => {
                if let Some(last) = idents.last() {
                    self.named.insert(folded(&last.value));
                }
                idents.iter_mut().for_each(fold);
            }
            Expr::Like { negated, expr: inner, pattern, escape_char, any } => {
                *expr = Expr::ILike {
                    negated: *negated,
                    any: *any,
                    expr: inner.clone(),
                    pattern: pattern.clone(),
                    escape_char: escape_char.clone(),
                };
            }
            Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("ifnull") => {
                function.name = ObjectName::from(vec![Ident::new("coalesce")]);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_and_computed_columns_are_read_from_the_text() {
        let sql = "CREATE TABLE \"T\" (Id INTEGER PRIMARY KEY AUTOINCREMENT, [Name] TEXT COLLATE NOCASE CHECK (Name LIKE \"a%\"),
            b INT, c INT GENERATED ALWAYS AS (b * 2) STORED, p REFERENCES T DEFERRABLE INITIALLY DEFERRED,
            CONSTRAINT Positive CHECK (B > 0 AND ifnull(b, 1) == 1)) STRICT";
        let text = table_text(sql, &["Id", "Name", "b", "c", "p"]);
        assert!(!text.unknown);
        assert_eq!(text.generated, [("c".to_string(), "b * 2".to_string())]);
        assert_eq!(text.checks[0], (None, "name ILIKE 'a%'".to_string()));
        assert_eq!(text.checks[1], (Some("positive".into()), "b > 0 AND coalesce(b, 1) = 1".to_string()));
        assert_eq!(text.deferred, [["p"]]);
        assert_eq!(text.ignores_case, ["name"]);
        assert_eq!(text.named.iter().map(String::as_str).collect::<Vec<_>>(), ["b", "name"]);
    }

    #[test]
    fn indexes_and_views_lose_their_capitals() {
        let mut named = BTreeSet::new();
        let sql = "CREATE INDEX I ON T (lower(Name), B DESC) WHERE C > 1 AND NOT C";
        let (keys, predicate) = index_text(sql, &["Name", "B", "C"], &["b".into()], &mut named).unwrap();
        assert_eq!(keys, ["(lower(name))", "lower(b) DESC"]);
        assert_eq!(predicate.as_deref(), Some("c > 1 AND NOT c <> 0"));
        assert_eq!(named.len(), 2);
        let view = view_text("CREATE VIEW V AS SELECT x.Id AS [The Id] FROM \"T\" x WHERE Name LIKE 'b%'").unwrap();
        assert_eq!(view, "CREATE VIEW v AS SELECT x.id AS \"the id\" FROM t x WHERE name ILIKE 'b%'");
    }
}
