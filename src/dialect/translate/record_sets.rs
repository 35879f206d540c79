//! Functions in FROM whose rows have more than one column: the members of JSON objects, and records that JSON is read as.

use super::coerce::Context;
use super::from::{Item, rename};
use super::names::fold;
use super::typed::{Column, Relation, Scope, Typed, quote_text};
use super::{Result, Translator, quote_name, unsupported};
use crate::dialect::types::PgType;
use crate::transaction::SqlError;
use sqlparser::ast::{FunctionArg, FunctionArgExpr, TableAlias};

impl Translator<'_> {
    /// The rows of such a function; `None` for all others.
    pub(super) fn record_set(
        &mut self,
        function: &str,
        args: &[FunctionArg],
        alias: Option<&TableAlias>,
        with_ordinality: bool,
        visible: &[Relation],
    ) -> Result<Option<Item>> {
        let is_pairs = matches!(function, "json_each" | "json_each_text" | "jsonb_each" | "jsonb_each_text");
        let is_record =
            matches!(function, "json_to_recordset" | "jsonb_to_recordset" | "json_to_record" | "jsonb_to_record");
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(json))] = args else { return Ok(None) };
        if !is_pairs && !is_record {
            return Ok(None);
        }
        self.scopes.push(Scope { relations: visible.to_vec(), clause: "functions in FROM", ..Scope::default() });
        let is_binary = function.starts_with("jsonb");
        let ty = if is_binary { PgType::JSONB } else { PgType::JSON };
        let json = self.expr(json).and_then(|json| self.coerce(json, ty, -1, Context::Implicit));
        self.scopes.pop();
        let json = json?;
        let shown = alias.map_or_else(|| function.to_string(), |alias| fold(&alias.name));
        let quoted = quote_name(&shown);
        let (rows, mut columns) = match is_pairs {
            true => {
                let as_text = function.ends_with("_text");
                let value = if as_text { PgType::TEXT } else { ty };
                let column = |name: &str, at: usize, ty: PgType| {
                    let typed = Typed::new(format!("json_extract({quoted}.value, '$[{at}]')"), ty);
                    Column { name: name.into(), typed, hidden: false }
                };
                let flags = format!("{}, {}", i32::from(as_text), i32::from(is_binary));
                let rows = format!("evesql_json_pairs({}, {flags})", json.sql);
                (rows, vec![column("key", 0, PgType::TEXT), column("value", 1, value)])
            }
            false => {
                let rows = format!("evesql_json_records({}, {})", json.sql, quote_text(function));
                (rows, self.record_columns(&format!("{quoted}.value"), is_binary, alias)?)
            }
        };
        if with_ordinality {
            let typed = Typed::new(format!("({quoted}.key + 1)"), PgType::INT8).not_null();
            columns.push(Column { name: "ordinality".into(), typed, hidden: false });
        }
        let mut relation = Relation { alias: shown, schema: None, table: None, columns };
        rename(&mut relation, alias)?;
        Ok(Some(Item { sql: format!("json_each({rows}) AS {quoted}"), relations: vec![relation], ..Item::default() }))
    }

    /// The columns that an alias gives with their types, read from the members of an object.
    fn record_columns(&mut self, object: &str, is_binary: bool, alias: Option<&TableAlias>) -> Result<Vec<Column>> {
        let defined = alias.map_or(&[][..], |alias| &alias.columns);
        let mut columns = Vec::new();
        for column in defined {
            let Some(data_type) = &column.data_type else { continue };
            let (ty, typmod) = self.data_type(data_type)?;
            let name = fold(&column.name);
            let kind = if is_binary { 2 } else { 0 };
            let member = |as_text: i32| format!("evesql_json_get({object}, {}, {})", quote_text(&name), kind + as_text);
            let typed = match ty {
                PgType::JSON | PgType::JSONB => {
                    let from = if is_binary { PgType::JSONB } else { PgType::JSON };
                    self.coerce(Typed::new(member(0), from), ty, -1, Context::Explicit)?
                }
                _ if ty.is_enum() => return unsupported("a column of an enum type in a record of JSON"),
                _ => {
                    let sql = match ty.element() {
                        Some(_) => format!("evesql_json_array_text({})", member(0)),
                        None => member(1),
                    };
                    self.coerce(Typed::new(sql, PgType::TEXT), ty, typmod, Context::Explicit)?
                }
            };
            columns.push(Column { name, typed, hidden: false });
        }
        if columns.is_empty() {
            let message = "a column definition list is required for functions returning \"record\"";
            return Err(SqlError::new("42601", message));
        }
        Ok(columns)
    }
}
