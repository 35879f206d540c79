//! Aggregates over what is put in order first: mode() and percentiles WITHIN GROUP, string_agg(DISTINCT ..).

use super::calls::{Arguments, no_function};
use super::coerce::Context;
use super::typed::Typed;
use super::{Result, Translator, unsupported};
use crate::dialect::types::PgType;
use crate::transaction::SqlError;
use sqlparser::ast::{Function, OrderByExpr, OrderBySort};

/// `double precision[]`
const FLOAT8_ARRAY: PgType = PgType(1022);

/// Names of aggregates that are called with WITHIN GROUP.
pub(super) fn is_ordered_set(name: &str) -> bool {
    matches!(name, "mode" | "percentile_cont" | "percentile_disc")
}

impl Translator<'_> {
    /// The call of such an aggregate; `args` are those before WITHIN GROUP, `filter` is SQLite's text.
    pub(super) fn ordered_set(
        &mut self,
        name: &str,
        function: &Function,
        args: &[Typed],
        filter: &str,
    ) -> Result<Typed> {
        if function.over.is_some() {
            return Err(SqlError::new("0A000", format!("OVER is not supported for ordered-set aggregate {name}")));
        }
        if function.within_group.is_empty() {
            return Err(no_function(name, args));
        }
        let [OrderByExpr { expr, .. }] = function.within_group.as_slice() else { return Err(no_function(name, args)) };
        let value = self.expr(expr)?;
        let value = self.as_text_if_unknown(value)?;
        let typmod = if value.ty == PgType::BPCHAR { value.typmod } else { -1 };
        let order = self.order_terms(&function.within_group)?;
        let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
        let (call, ty) = match (name, args) {
            ("mode", []) => (format!("evesql_mode({}, {}{order})", value.sql, self.sort_key(&value)), value.ty),
            ("percentile_disc" | "percentile_cont", [fraction]) => {
                let many = fraction.ty.element().is_some();
                let wanted = if many { FLOAT8_ARRAY } else { PgType::FLOAT8 };
                let fraction = self.coerce(fraction.clone(), wanted, -1, Context::Implicit)?;
                let value = match name {
                    "percentile_disc" => value,
                    _ if value.ty == PgType::INTERVAL => return unsupported("percentile_cont() of intervals"),
                    _ => self.coerce(value, PgType::FLOAT8, -1, Context::Implicit)?,
                };
                let ty = if many { value.ty.array().ok_or_else(|| no_function(name, args))? } else { value.ty };
                (format!("evesql_{name}({}, {}{order})", fraction.sql, value.sql), ty)
            }
            _ => {
                let mut all = args.to_vec();
                all.push(value);
                return Err(no_function(name, &all));
            }
        };
        let typed = Typed::new(format!("{call}{filter}"), ty);
        Ok(Typed { typmod: if ty == PgType::BPCHAR { typmod } else { -1 }, ..typed })
    }

    /// `string_agg(DISTINCT value, separator)`. `value` as it was written, and both as texts.
    pub(super) fn string_agg_distinct(
        &mut self,
        args: &Arguments,
        value: &Typed,
        texts: [&Typed; 2],
        filter: &str,
    ) -> Result<Typed> {
        let is_descending = match args.order_by.as_slice() {
            [] => false,
            [term] => {
                let by = self.expr(&term.expr)?;
                if by.sql != value.sql || by.ty != value.ty {
                    let message = "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list";
                    return Err(SqlError::new("42P10", message));
                }
                matches!(term.options.sort, Some(OrderBySort::Desc))
            }
            _ => return unsupported("string_agg(DISTINCT ..) in an order of several keys"),
        };
        if value.ty.is_enum() || !value.ty.is_text() {
            return unsupported(&format!("string_agg(DISTINCT ..) of {}", value.ty.sql_name()));
        }
        let (value, separator) = (&texts[0].sql, &texts[1].sql);
        let call = format!("evesql_string_agg_distinct({value}, {separator}, {})", i32::from(is_descending));
        Ok(Typed::new(format!("{call}{filter}"), PgType::TEXT))
    }
}
