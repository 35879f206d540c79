//! Rows as values, where JSON is made of them: `row_to_json(t)`, `json_agg(t)`, `to_jsonb(row(1, 2))`.

use super::expr::row_items;
use super::names::fold;
use super::typed::{Relation, Typed, quote_text};
use super::{Result, Translator, quote_name};
use crate::dialect::types::PgType;
use crate::transaction::SqlError;
use sqlparser::ast::Expr;

/// SQLite's text for a value as it is shown in JSON: a char(n) has its blanks there.
pub(super) fn shown(typed: &Typed) -> String {
    match typed.ty == PgType::BPCHAR && typed.typmod > 4 {
        true => format!("evesql_pad({}, {})", typed.sql, typed.typmod - 4),
        false => typed.sql.clone(),
    }
}

impl Translator<'_> {
    /// The JSON object of a row that an expression means: that of a relation by its name, or of ROW(..). `None` for what
    /// is no row.
    pub(super) fn row_as_json(&mut self, expr: &Expr) -> Result<Option<Typed>> {
        if let Some(items) = row_items(expr) {
            let mut fields = Vec::new();
            for (at, item) in items.iter().enumerate() {
                let item = self.expr(item)?;
                fields.push((format!("f{}", at + 1), self.as_text_if_unknown(item)?));
            }
            return Ok(Some(Typed::new(self.object(&fields), PgType::JSON).not_null()));
        }
        let Expr::Identifier(ident) = expr else { return Ok(None) };
        let name = fold(ident);
        let is_column = |relation: &Relation| relation.columns.iter().any(|column| column.name == name);
        let mut scopes = self.scopes.iter().rev();
        if self.scopes.iter().any(|scope| scope.relations.iter().any(is_column)) {
            return Ok(None);
        }
        let found = scopes.find_map(|scope| {
            let relation = scope.relations.iter().find(|relation| relation.alias == name)?;
            Some((relation.clone(), scope.relations.len() == 1))
        });
        let Some((relation, is_alone)) = found else { return Ok(None) };
        let mut fields = Vec::new();
        for column in relation.columns.iter().filter(|column| !column.is_system()) {
            let typed = self.qualified_column(std::slice::from_ref(&name), &column.name)?;
            fields.push((column.name.clone(), self.as_text_if_unknown(typed)?));
        }
        let object = self.object(&fields);
        if is_alone {
            return Ok(Some(Typed::new(object, PgType::JSON).not_null()));
        }
        // An outer join makes a row of NULLs, which is none.
        let certain = relation.table.and_then(|oid| self.catalog.table(oid)).and_then(|table| {
            let certain = table.columns.iter().find(|column| column.not_null)?;
            Some(format!("{}.{}", quote_name(&name), quote_name(&certain.name)))
        });
        let Some(certain) = certain else {
            let message =
                format!("the whole row \"{name}\", of which each column may be NULL, is not supported in a join");
            return Err(SqlError::new("0A000", message));
        };
        Ok(Some(Typed::new(format!("iif({certain} IS NULL, NULL, {object})"), PgType::JSON)))
    }

    /// SQLite's text for an object of these fields.
    fn object(&self, fields: &[(String, Typed)]) -> String {
        let mut list = vec!["0".to_string(), self.settings.time_zone.zone.sql()];
        for (name, typed) in fields {
            list.extend([quote_text(name), shown(typed), typed.ty.0.to_string()]);
        }
        format!("evesql_json_build_row({})", list.join(", "))
    }
}
