//! LATERAL subqueries. SQLite's subqueries in FROM do not see their neighbours, but the arguments of its table functions
//! do: the rows of a subquery become one JSON array, and `json_each` makes rows of it again.

use super::from::{Item, rename};
use super::names::fold;
use super::typed::{Column, Relation, Scope, Typed};
use super::{Result, Translator, quote_name, unsupported};
use crate::dialect::types::Storage;
use crate::transaction::SqlError;
use sqlparser::ast::{Query, Select, SelectItem, SetExpr, TableAlias};

impl Translator<'_> {
    /// A subquery that sees the tables to its left. Without FROM, its expressions stand for its columns.
    pub(super) fn lateral(&mut self, query: &Query, alias: Option<&TableAlias>, visible: &[Relation]) -> Result<Item> {
        let plain = match query.body.as_ref() {
            SetExpr::Select(select)
                if select.from.is_empty() && query.with.is_none() && query.limit_clause.is_none() =>
            {
                Some(select)
            }
            _ => None,
        };
        let Some(select) = plain.filter(|select| is_bare(select)) else {
            return self.lateral_rows(query, alias, visible);
        };
        self.scopes.push(Scope { relations: visible.to_vec(), clause: "LATERAL", ..Scope::default() });
        let columns: Result<Vec<Column>> = select
            .projection
            .iter()
            .map(|item| {
                let (expr, name) = match item {
                    SelectItem::UnnamedExpr(expr) => (expr, super::walk::column_name(expr)),
                    SelectItem::ExprWithAlias { expr, alias } => (expr, fold(alias)),
                    _ => return unsupported("LATERAL"),
                };
                let typed = self.expr(expr)?;
                Ok(Column { name, typed: self.as_text_if_unknown(typed)?, hidden: false })
            })
            .collect();
        self.scopes.pop();
        let name = alias.map_or_else(String::new, |alias| fold(&alias.name));
        let mut relation = Relation { alias: name, schema: None, table: None, columns: columns? };
        rename(&mut relation, alias)?;
        let made = quote_name(&self.fresh("one"));
        Ok(Item { sql: format!("(SELECT 1) AS {made}"), relations: vec![relation], ..Item::default() })
    }

    /// A column of a row that becomes a JSON array, from which [`Self::element_sql`] gives it back.
    pub(super) fn row_item(&self, typed: &Typed) -> String {
        match typed.ty.storage() {
            // JSON in it is text like any other.
            Storage::Text => format!("({} || '')", typed.sql),
            _ => self.json_item(typed, false),
        }
    }

    /// The general case.
    fn lateral_rows(&mut self, query: &Query, alias: Option<&TableAlias>, visible: &[Relation]) -> Result<Item> {
        let Some(name) = alias.map(|alias| fold(&alias.name)) else {
            return Err(SqlError::new("42601", "subquery in FROM must have an alias")
                .with_hint("For example, FROM (SELECT ...) [AS] foo."));
        };
        self.scopes.push(Scope { relations: visible.to_vec(), clause: "LATERAL", ..Scope::default() });
        let result = self.query(query, None, true);
        self.scopes.pop();
        let (sql, outputs) = result?;
        let row = quote_name(&self.fresh("row"));
        let quoted = quote_name(&name);
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        for (at, Typed { ty, .. }) in outputs.iter().map(|output| &output.typed).enumerate() {
            let value = format!("{row}.{}", quote_name(&outputs[at].name));
            items.push(self.row_item(&Typed::new(value, *ty)));
            let sql = self.element_sql(&format!("json_extract({quoted}.value, '$[{at}]')"), *ty);
            let typed = outputs[at].typed.clone();
            columns.push(Column {
                name: super::select::plain_name(&outputs[at].name).to_string(),
                typed: Typed { sql, param: None, literal: None, checked: None, column: None, ..typed },
                hidden: false,
            });
        }
        let mut relation = Relation { alias: name, schema: None, table: None, columns };
        rename(&mut relation, alias)?;
        let rows = format!("SELECT json_group_array(json_array({})) FROM ({sql}) AS {row}", items.join(", "));
        Ok(Item { sql: format!("json_each(({rows})) AS {quoted}"), relations: vec![relation], ..Item::default() })
    }
}

fn is_bare(select: &Select) -> bool {
    select.selection.is_none()
        && select.having.is_none()
        && select.distinct.is_none()
        && select.projection.iter().all(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => !super::walk::has_aggregate(expr),
            _ => false,
        })
}
