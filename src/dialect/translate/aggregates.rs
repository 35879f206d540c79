//! Aggregates and window functions, with Postgres' result types.

use super::coerce::Context;
use super::names::fold;
use super::typed::Typed;
use super::{Result, Translator};
use crate::dialect::lexemes::excluded_by;
use crate::dialect::types::PgType;
use crate::transaction::SqlError;
use sqlparser::ast::{Expr, Function, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType};

use super::calls::{Arguments, no_function};

/// Names of aggregates.
pub(super) fn is_aggregate(name: &str) -> bool {
    matches!(
        name,
        "count"
            | "sum"
            | "avg"
            | "min"
            | "max"
            | "string_agg"
            | "array_agg"
            | "bool_and"
            | "bool_or"
            | "every"
            | "json_agg"
            | "jsonb_agg"
            | "json_object_agg"
            | "jsonb_object_agg"
            | "stddev"
            | "stddev_samp"
            | "stddev_pop"
            | "variance"
            | "var_samp"
            | "var_pop"
            | "bit_and"
            | "bit_or"
            | "bit_xor"
            | "mode"
            | "percentile_cont"
            | "percentile_disc"
    ) || is_of_pairs(name)
}

/// Aggregates of two doubles.
fn is_of_pairs(name: &str) -> bool {
    matches!(
        name,
        "corr"
            | "covar_pop"
            | "covar_samp"
            | "regr_avgx"
            | "regr_avgy"
            | "regr_count"
            | "regr_intercept"
            | "regr_r2"
            | "regr_slope"
            | "regr_sxx"
            | "regr_sxy"
            | "regr_syy"
    )
}

/// Names of functions that are called over windows alone.
pub(super) fn is_window_function(name: &str) -> bool {
    matches!(
        name,
        "row_number"
            | "rank"
            | "dense_rank"
            | "percent_rank"
            | "cume_dist"
            | "ntile"
            | "lag"
            | "lead"
            | "first_value"
            | "last_value"
            | "nth_value"
    )
}

/// What stands around the call of array_agg, which is NULL of no rows.
const NULLIF: &str = "nullif(";
const EMPTY: &str = ", '[]')";

impl Translator<'_> {
    pub(super) fn aggregate(&mut self, name: &str, function: &Function, args: Arguments) -> Result<Typed> {
        let scope = self.scopes.len().checked_sub(1);
        let allowed = scope.is_some_and(|level| self.scopes[level].aggregates_allowed || function.over.is_some());
        let Some(level) = scope.filter(|_| allowed) else {
            let clause = scope.map_or("this context", |level| self.scopes[level].clause);
            return Err(SqlError::new("42803", format!("aggregate functions are not allowed in {clause}")));
        };
        let window = function.over.is_some();
        if !window && self.scopes[level].inside_aggregate {
            return Err(SqlError::new("42803", "aggregate function calls cannot be nested"));
        }
        if window && args.distinct {
            return Err(SqlError::new("0A000", "DISTINCT is not implemented for window functions"));
        }
        let before = self.scopes[level].inside_aggregate;
        self.scopes[level].inside_aggregate = before || !window;
        let result = self.aggregate_inside(name, function, args);
        self.scopes[level].inside_aggregate = before;
        let mut typed = result?;
        if let Some(over) = &function.over {
            let over = self.over(over)?;
            typed.sql = match typed.sql.strip_prefix(NULLIF).and_then(|call| call.strip_suffix(EMPTY)) {
                Some(call) => format!("{NULLIF}{call} OVER {over}{EMPTY}"),
                None => format!("{} OVER {over}", typed.sql),
            };
        }
        if typed.sql.starts_with("sum(") || window {
            typed.sql = format!("({})", typed.sql);
        }
        if matches!(name, "min" | "max") && typed.ty.is_enum() {
            return self.enum_at_rank(&typed.sql, typed.ty);
        }
        Ok(typed)
    }

    fn aggregate_inside(&mut self, name: &str, function: &Function, args: Arguments) -> Result<Typed> {
        let mut typed = Vec::new();
        let mut is_row = false;
        for expr in &args.exprs {
            let row = if name.starts_with("json") { self.row_as_json(expr)? } else { None };
            is_row |= row.is_some();
            let arg = match row {
                Some(row) => row,
                None => self.expr(expr)?,
            };
            let arg = self.parameter_type(arg);
            typed.push(if name == "string_agg" { arg } else { self.as_text_if_unknown(arg)? });
        }
        if name == "string_agg" && typed.first().is_none_or(|first| first.ty != PgType::BYTEA) {
            for arg in &mut typed {
                *arg = self.as_text_if_unknown(arg.clone())?;
            }
        }
        let filter = match &function.filter {
            Some(filter) => {
                let condition = self.expr(filter)?;
                format!(" FILTER (WHERE {})", self.condition(condition, "FILTER")?.sql)
            }
            None => String::new(),
        };
        if super::ordered_sets::is_ordered_set(name) {
            return self.ordered_set(name, function, &typed, &filter);
        }
        let mut order = self.order_terms(&args.order_by)?;
        if let ("array_agg" | "json_agg" | "jsonb_agg", true, true, [item]) =
            (name, args.distinct, order.is_empty(), typed.as_slice())
        {
            // PostgreSQL sorts to find what is equal.
            order.push(super::select::order_term(&self.sort_key(item), item.nullable, &Default::default())?);
        }
        let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
        let distinct = if args.distinct { "DISTINCT " } else { "" };
        let make =
            |call: &str, list: &str, ty: PgType| Typed::new(format!("{call}({distinct}{list}{order}){filter}"), ty);
        if args.star {
            return match name {
                "count" => Ok(make("count", "*", PgType::INT8).not_null()),
                _ => Err(no_function(name, &[])),
            };
        }
        let wrong = |typed: &[Typed]| no_function(name, typed);
        let first = typed.first().cloned().ok_or_else(|| wrong(&[]))?;
        let key = if args.distinct { self.sort_key(&first) } else { first.sql.clone() };
        let one = typed.len() == 1;
        Ok(match (name, first.ty) {
            ("count", _) if one => make("count", &key, PgType::INT8).not_null(),
            ("sum", PgType::INT2 | PgType::INT4) if one => make("sum", &key, PgType::INT8),
            ("sum", PgType::INT8) if one => {
                let mut sum = make("evesql_sum_int8", &key, PgType::NUMERIC);
                sum.scale = Some(0);
                sum
            }
            ("sum", PgType::NUMERIC) if one => {
                let mut sum = make("evesql_sum_numeric", &key, PgType::NUMERIC);
                sum.scale = first.scale;
                sum
            }
            ("sum" | "avg", PgType::FLOAT4 | PgType::FLOAT8) if one => {
                let ty = if name == "sum" { first.ty } else { PgType::FLOAT8 };
                make(&format!("evesql_{name}_float8"), &key, ty)
            }
            ("sum" | "avg", PgType::INTERVAL) if one => {
                make(&format!("evesql_{name}_interval"), &key, PgType::INTERVAL)
            }
            ("avg", ty) if one && ty.is_integer() => make("evesql_avg_int", &key, PgType::NUMERIC),
            ("avg", PgType::NUMERIC) if one => make("evesql_avg_numeric", &key, PgType::NUMERIC),
            ("min" | "max", PgType::BOOL | PgType::UUID | PgType::JSON | PgType::JSONB) if one => {
                return Err(wrong(&typed));
            }
            ("min" | "max", ty) if one && ty.element().is_some() => {
                let by = self.sort_key(&first);
                let list = format!("{}, {by}", first.sql);
                Typed::new(format!("evesql_{name}_by_key({list}){filter}"), ty)
            }
            ("min" | "max", _) if one => {
                // varchar and name have no minimum of their own.
                let ty = if matches!(first.ty, PgType::VARCHAR | PgType::NAME) { PgType::TEXT } else { first.ty };
                let key = self.enum_rank(&first).unwrap_or_else(|| first.sql.clone());
                let mut result = make(name, &key, ty);
                result.scale = first.scale;
                // Shown padded, as the stored values are.
                result.typmod = if first.ty == PgType::BPCHAR { first.typmod } else { -1 };
                result
            }
            ("bool_and" | "every", PgType::BOOL) if one => make("min", &key, PgType::BOOL),
            ("bool_or", PgType::BOOL) if one => make("max", &key, PgType::BOOL),
            ("string_agg", PgType::BYTEA) if typed.len() == 2 && !args.distinct => {
                let separator = self.coerce(typed[1].clone(), PgType::BYTEA, -1, Context::Implicit)?;
                make("evesql_string_agg_bytes", &format!("{}, {}", first.sql, separator.sql), PgType::BYTEA)
            }
            ("string_agg", _) if typed.len() == 2 => {
                let value = self.coerce(typed[0].clone(), PgType::TEXT, -1, Context::Implicit)?;
                let separator = self.coerce(typed[1].clone(), PgType::TEXT, -1, Context::Implicit)?;
                if args.distinct {
                    return self.string_agg_distinct(&args, &first, [&value, &separator], &filter);
                }
                make("group_concat", &format!("{}, {}", value.sql, separator.sql), PgType::TEXT)
            }
            ("array_agg", ty) if one && ty.element().is_some() => make("evesql_array_agg", &first.sql, ty),
            ("array_agg", ty) if one => {
                let array = ty.array().ok_or_else(|| wrong(&typed))?;
                let item = self.json_item(&first, false);
                // Of no rows it is NULL, not an empty array.
                let call = make("json_group_array", &item, array);
                Typed { sql: format!("{NULLIF}{}{EMPTY}", call.sql), ..call }
            }
            ("json_agg" | "jsonb_agg", _) if one => {
                let ty = if name == "json_agg" { PgType::JSON } else { PgType::JSONB };
                let binary = i32::from(ty == PgType::JSONB);
                let zone = self.settings.time_zone.zone.sql();
                let shown = super::whole_rows::shown(&first);
                let item = format!("evesql_json_build_value({binary}, {zone}, {shown}, {})", first.ty.0);
                let by_line = ty == PgType::JSON && (is_row || first.ty.element().is_some());
                make(if by_line { "evesql_json_agg_lines" } else { "evesql_json_agg" }, &item, ty)
            }
            ("stddev" | "stddev_samp" | "stddev_pop" | "variance" | "var_samp" | "var_pop", ty)
                if one && ty.is_number() =>
            {
                let call = match name {
                    "stddev" => "stddev_samp",
                    "variance" => "var_samp",
                    other => other,
                };
                match ty.is_float() {
                    true => make(&format!("evesql_{call}"), &key, PgType::FLOAT8),
                    false => make(&format!("evesql_{call}_numeric"), &key, PgType::NUMERIC),
                }
            }
            ("bit_and" | "bit_or" | "bit_xor", ty) if one && ty.is_integer() => {
                make(&format!("evesql_{name}"), &key, ty)
            }
            ("json_object_agg" | "jsonb_object_agg", key) if typed.len() == 2 && !args.distinct => {
                if key.element().is_some() || matches!(key, PgType::JSON | PgType::JSONB) {
                    return Err(SqlError::new("22023", "key value must be scalar, not array, composite, or json"));
                }
                let ty = if name == "json_object_agg" { PgType::JSON } else { PgType::JSONB };
                let (binary, zone) = (i32::from(ty == PgType::JSONB), self.settings.time_zone.zone.sql());
                let (key, value) = (self.coerce(first, PgType::TEXT, -1, Context::Explicit)?, &typed[1]);
                let shown = super::whole_rows::shown(value);
                let value = format!("evesql_json_build_value({binary}, {zone}, {shown}, {})", value.ty.0);
                make("evesql_json_object_agg", &format!("{}, {value}, {binary}", key.sql), ty)
            }
            (_, _) if is_of_pairs(name) && typed.len() == 2 && !args.distinct => {
                let mut list = Vec::new();
                for number in &typed {
                    list.push(self.coerce(number.clone(), PgType::FLOAT8, -1, Context::Implicit)?.sql);
                }
                let ty = if name == "regr_count" { PgType::INT8 } else { PgType::FLOAT8 };
                make(&format!("evesql_{name}"), &list.join(", "), ty)
            }
            _ => return Err(wrong(&typed)),
        })
    }

    pub(super) fn window_function(
        &mut self,
        name: &str,
        args: Arguments,
        over: &WindowType,
        function: &Function,
    ) -> Result<Typed> {
        if self.scopes.last().is_some_and(|scope| scope.inside_aggregate) {
            return Err(SqlError::new("42803", "aggregate function calls cannot contain window function calls"));
        }
        if function.filter.is_some() {
            return Err(SqlError::new("0A000", "FILTER is not implemented for non-aggregate window functions"));
        }
        let mut typed = Vec::new();
        for expr in &args.exprs {
            let arg = self.expr(expr)?;
            let arg = self.parameter_type(arg);
            typed.push(self.as_text_if_unknown(arg)?);
        }
        let (ty, nullable) = match (name, typed.len()) {
            ("row_number" | "rank" | "dense_rank", 0) => (PgType::INT8, false),
            ("percent_rank" | "cume_dist", 0) => (PgType::FLOAT8, false),
            ("ntile", 1) => (PgType::INT4, false),
            ("first_value" | "last_value", 1) | ("lag" | "lead", 1..=3) | ("nth_value", 2) => (typed[0].ty, true),
            _ => return Err(no_function(name, &typed)),
        };
        for at in 1..typed.len().min(2) {
            typed[at] = self.coerce(typed[at].clone(), PgType::INT4, -1, Context::Implicit)?;
        }
        if typed.len() == 3 {
            typed[2] = self.coerce(typed[2].clone(), ty, -1, Context::Implicit)?;
        }
        let list: Vec<String> = typed.iter().map(|arg| arg.sql.clone()).collect();
        let over = self.over(over)?;
        let mut result = Typed::new(format!("({name}({}) OVER {over})", list.join(", ")), ty).nullable_if(nullable);
        if nullable && let Some(first) = typed.first() {
            result.typmod = if first.ty == PgType::BPCHAR { first.typmod } else { -1 };
            result.scale = if typed.len() < 3 { first.scale } else { None };
        }
        Ok(result)
    }

    fn over(&mut self, over: &WindowType) -> Result<String> {
        match over {
            WindowType::NamedWindow(name) => {
                let name = fold(name);
                if !self.scopes.last().is_some_and(|scope| scope.windows.contains(&name)) {
                    return Err(SqlError::new("42704", format!("window \"{name}\" does not exist")));
                }
                Ok(super::quote_name(&name))
            }
            WindowType::WindowSpec(spec) => Ok(format!("({})", self.window(spec)?)),
        }
    }

    /// What stands between the parentheses of OVER and WINDOW.
    pub(super) fn window(&mut self, spec: &WindowSpec) -> Result<String> {
        let mut clauses = Vec::new();
        if let Some(name) = &spec.window_name {
            clauses.push(super::quote_name(&fold(name)));
        }
        let (excluded, partition_by) = match spec.partition_by.split_first() {
            Some((first, rest)) => match excluded_by(first) {
                Some(what) => (Some(what), rest),
                None => (None, spec.partition_by.as_slice()),
            },
            None => (None, spec.partition_by.as_slice()),
        };
        if !partition_by.is_empty() {
            let mut keys = Vec::new();
            for expr in partition_by {
                let key = self.expr(expr)?;
                keys.push(self.sort_key(&key));
            }
            clauses.push(format!("PARTITION BY {}", keys.join(", ")));
        }
        let order = self.order_terms(&spec.order_by)?;
        if !order.is_empty() {
            clauses.push(format!("ORDER BY {}", order.join(", ")));
        }
        if let Some(frame) = &spec.window_frame {
            let units = match frame.units {
                WindowFrameUnits::Rows => "ROWS",
                WindowFrameUnits::Range => "RANGE",
                WindowFrameUnits::Groups => "GROUPS",
            };
            let offsets = |bound: &WindowFrameBound| {
                matches!(bound, WindowFrameBound::Preceding(Some(_)) | WindowFrameBound::Following(Some(_)))
            };
            let by_value =
                units == "RANGE" && (offsets(&frame.start_bound) || frame.end_bound.as_ref().is_some_and(offsets));
            if by_value {
                return Err(SqlError::new("0A000", "RANGE with an offset is not supported"));
            }
            let start = self.frame_bound(&frame.start_bound)?;
            clauses.push(match &frame.end_bound {
                Some(end) => format!("{units} BETWEEN {start} AND {}", self.frame_bound(end)?),
                None => format!("{units} {start}"),
            });
            clauses.extend(excluded.map(|what| format!("EXCLUDE {what}")));
        } else if excluded.is_some() {
            return Err(SqlError::new("42601", "syntax error at or near \"EXCLUDE\""));
        }
        Ok(clauses.join(" "))
    }

    fn frame_bound(&mut self, bound: &WindowFrameBound) -> Result<String> {
        let mut offset = |expr: &Expr| -> Result<String> {
            let typed = self.expr(expr)?;
            Ok(self.coerce(typed, PgType::INT8, -1, Context::Implicit)?.sql)
        };
        Ok(match bound {
            WindowFrameBound::CurrentRow => "CURRENT ROW".into(),
            WindowFrameBound::Preceding(None) => "UNBOUNDED PRECEDING".into(),
            WindowFrameBound::Following(None) => "UNBOUNDED FOLLOWING".into(),
            WindowFrameBound::Preceding(Some(expr)) => format!("{} PRECEDING", offset(expr)?),
            WindowFrameBound::Following(Some(expr)) => format!("{} FOLLOWING", offset(expr)?),
        })
    }
}
