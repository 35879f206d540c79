//! nextval, currval and setval, and which sequence a statement means.

use super::calls::{no_function, two_arguments};
use super::coerce::Context;
use super::names::{parts, split_name};
use super::typed::Typed;
use super::{Privileges, Result, Translator};
use crate::catalog::Object;
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value};
use sqlparser::ast::Expr;

impl Translator<'_> {
    /// `pg_get_serial_sequence('table', 'column')` as the name of a sequence, NULL where the column has none. Which
    /// sequence a statement draws from must be known before it runs.
    fn serial_sequence(&mut self, expr: &Expr) -> Result<Option<Typed>> {
        let call = match expr {
            Expr::Cast { expr, .. } | Expr::Nested(expr) => expr.as_ref(),
            other => other,
        };
        let Expr::Function(function) = call else { return Ok(None) };
        let Some([table, column]) = two_arguments(function) else { return Ok(None) };
        if parts(&function.name).last().is_none_or(|name| name != "pg_get_serial_sequence") {
            return Ok(None);
        }
        let (table, column) = (self.expr(table)?, self.expr(column)?);
        let (Some(table), Some(column)) = (table.unknown_text(), column.unknown_text()) else { return Ok(None) };
        let table = self.user_table_named(&split_name(table))?;
        let found = table.column(column).ok_or_else(|| {
            let text = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
            SqlError::new("42703", text)
        })?;
        let value = found.sequence.map_or(Value::Null, |oid| Value::Integer(i64::from(oid)));
        Ok(Some(Typed::constant(value, PgType::REGCLASS)))
    }

    /// nextval, currval, setval: of a sequence that is known while translating.
    pub(super) fn sequence_function(&mut self, name: &str, exprs: &[Expr]) -> Result<Typed> {
        let first = match self.serial_sequence(&exprs[0])? {
            Some(known) => known,
            None => {
                let first = self.expr(&exprs[0])?;
                self.coerce(first, PgType::REGCLASS, -1, Context::Explicit)?
            }
        };
        if first.is_null_literal() {
            return Ok(Typed::constant(Value::Null, PgType::INT8));
        }
        let Some(Value::Integer(oid)) = first.value() else {
            return Err(SqlError::new(
                "0A000",
                format!("{name}() of a sequence that is not constant is not supported"),
            ));
        };
        match self.catalog.object(*oid as u32) {
            Some(Object::Sequence(_)) => {}
            Some(object) => {
                return Err(SqlError::new("42809", format!("\"{}\" is not a sequence", object.full_name().1)));
            }
            None => return Err(SqlError::new("42P01", format!("relation with OID {oid} does not exist"))),
        }
        let oid = *oid;
        match name {
            "nextval" => self.need_any(oid as u32, Privileges::USAGE | Privileges::UPDATE),
            "currval" => self.need_any(oid as u32, Privileges::USAGE | Privileges::SELECT),
            _ => self.need_on(oid as u32, Privileges::UPDATE),
        }
        match (name, exprs) {
            ("nextval", [_]) => Ok(Typed::new(format!("evesql_nextval({oid})"), PgType::INT8).not_null()),
            ("currval", [_]) => {
                self.uses_system_values = true;
                Ok(Typed::new(format!("evesql_currval({oid})"), PgType::INT8).not_null())
            }
            ("setval", [_, value] | [_, value, _]) => {
                let value = self.expr(value)?;
                let value = self.coerce(value, PgType::INT8, -1, Context::Implicit)?;
                let called = match exprs.get(2) {
                    Some(called) => {
                        let called = self.expr(called)?;
                        self.condition(called, "setval")?.sql
                    }
                    None => "1".into(),
                };
                Ok(Typed::new(format!("evesql_setval({oid}, {}, {called})", value.sql), PgType::INT8))
            }
            _ => Err(no_function(name, &[first])),
        }
    }
}
