//! RETURNING, which in SQLite sees the changed table alone: what it names of the tables of FROM or USING is kept for
//! it while the rows are sought ([`crate::dialect::functions::CommandRows`]).

use super::dml::{rowid_name, target_relation};
use super::from::Item;
use super::typed::{Output, Scope, Typed};
use super::{Privileges, Result, Translator, quote_name};
use crate::catalog::Table;
use sqlparser::ast::SelectItem;

/// A translated RETURNING.
#[derive(Default)]
pub(super) struct Returning {
    /// With its word, or empty.
    pub sql: String,
    pub outputs: Vec<Output>,
    /// Arguments of `evesql_keep` behind the row: `, n, column` for each column of other tables.
    pub kept: String,
}

impl Returning {
    /// `value`, with the row's other columns kept beside it.
    pub fn keeping(&self, value: &str, row: &str) -> String {
        match self.kept.as_str() {
            "" => value.to_string(),
            kept => format!("evesql_keep({value}, {row}{kept})"),
        }
    }
}

impl Translator<'_> {
    /// `beside`: the tables of FROM or USING.
    pub(super) fn returning(
        &mut self,
        items: Option<&[SelectItem]>,
        table: &Table,
        alias: Option<String>,
        beside: &Item,
    ) -> Result<Returning> {
        let remember = self.remember.take();
        let Some(items) = items else { return Ok(Returning::default()) };
        self.need_on(table.oid, Privileges::SELECT);
        let mut relation = target_relation(table, alias);
        // SQLite knows the row's columns by their bare names there.
        for (made, column) in relation.columns.iter_mut().zip(&table.columns) {
            made.typed.sql = quote_name(&column.name);
        }
        let (mut others, mut merged) = (beside.relations.clone(), beside.merged.clone());
        let mut columns = Vec::new();
        for column in others.iter_mut().flat_map(|other| &mut other.columns).chain(&mut merged) {
            if column.typed.literal.is_none() {
                let kept = format!("evesql_kept({}, {})", rowid_name(table), columns.len());
                columns.push((kept.clone(), std::mem::replace(&mut column.typed.sql, kept)));
            }
        }
        let relations = std::iter::once(relation).chain(others).collect();
        self.scopes.push(Scope { relations, merged, clause: "RETURNING", ..Scope::default() });
        let outputs = self.returned(items);
        self.scopes.pop();
        let outputs = outputs?;
        let list = |item: &dyn Fn(&Typed) -> String| {
            outputs.iter().map(|output| item(&output.typed)).collect::<Vec<String>>().join(", ")
        };
        let sql = match remember {
            Some(number) => {
                format!(" RETURNING evesql_remember({number}, json_array({}))", list(&|typed| self.row_item(typed)))
            }
            None => format!(" RETURNING {}", list(&|typed| typed.sql.clone())),
        };
        let used = columns.iter().enumerate().filter(|(_, (kept, _))| sql.contains(kept.as_str()));
        let kept = used.map(|(number, (_, column))| format!(", {number}, {column}")).collect();
        Ok(Returning { sql, outputs, kept })
    }

    fn returned(&mut self, items: &[SelectItem]) -> Result<Vec<Output>> {
        let mut outputs = Vec::new();
        for item in self.expand(items)? {
            let typed = match (item.typed, item.expr) {
                (Some(typed), _) => typed,
                (None, Some(expr)) => self.expr(expr)?,
                (None, None) => continue,
            };
            outputs.push(Output { name: item.name, typed: self.as_text_if_unknown(typed)? });
        }
        Ok(outputs)
    }
}
