//! Dates and times where calls and literals have rules of their own: INTERVAL with fields, OVERLAPS, clocks of so many
//! digits, `make_interval` with named arguments.

use super::calls::{Arguments, no_function};
use super::coerce::Context;
use super::expr::field_name;
use super::typed::Typed;
use super::{Result, Translator, unsupported};
use crate::dialect::datetime::Interval;
use crate::dialect::types::{PgType, interval_typmod};
use crate::transaction::{SqlError, Value};
use sqlparser::ast::{BinaryOperator, Expr};

/// Parameters of make_interval, in their order.
const PARTS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];

impl Translator<'_> {
    /// `INTERVAL '..'`, also with fields and digits behind it.
    pub(super) fn interval(&mut self, interval: &sqlparser::ast::Interval) -> Result<Typed> {
        let value = self.expr(&interval.value)?;
        let Some(text) = self.literal_text(&value) else { return unsupported("INTERVAL of an expression") };
        let stored = |span: Interval| Typed::constant(Value::Blob(span.encode().into()), PgType::INTERVAL);
        let Some(first) = interval.leading_field.as_ref().map(field_name) else {
            return Ok(stored(Interval::parse(&text)?));
        };
        let last = interval.last_field.as_ref().map_or_else(|| first.clone(), field_name);
        let digits = interval.fractional_seconds_precision.or(interval.leading_precision);
        let Some(typmod) = interval_typmod(Some((&first, &last)), digits) else {
            return Err(SqlError::new("42601", format!("syntax error at or near \"{last}\"")));
        };
        Ok(Typed { typmod, ..stored(Interval::parse_fields(&text, &first, &last)?.fit(typmod)) })
    }

    /// `(a, b) OVERLAPS (c, d)`; an end may be the length of the period.
    pub(super) fn overlaps(&mut self, left: &[Expr], right: &[Expr]) -> Result<Typed> {
        let ([_, _], [_, _]) = (left, right) else {
            return Err(SqlError::new("42601", "wrong number of parameters on left side of OVERLAPS expression"));
        };
        let mut ends = Vec::new();
        for end in left.iter().chain(right) {
            let end = self.expr(end)?;
            ends.push(self.parameter_type(end));
        }
        let is = |ty: PgType| ends.iter().any(|end| end.ty == ty);
        let ty = match (is(PgType::TIME), is(PgType::TIMESTAMPTZ)) {
            (true, _) => PgType::TIME,
            (_, true) => PgType::TIMESTAMPTZ,
            _ if is(PgType::TIMESTAMP) || is(PgType::DATE) => PgType::TIMESTAMP,
            _ => {
                return Err(SqlError::new("42725", "function pg_catalog.overlaps is not unique").with_hint(
                    "Could not choose a best candidate function. You might need to add explicit type casts.",
                ));
            }
        };
        let mut list = Vec::new();
        for period in ends.chunks(2) {
            let start = self.coerce(period[0].clone(), ty, -1, Context::Implicit)?;
            let end = match period[1].ty {
                PgType::INTERVAL => self.binary(&BinaryOperator::Plus, start.clone(), period[1].clone())?,
                _ => self.coerce(period[1].clone(), ty, -1, Context::Implicit)?,
            };
            list.extend([start.sql, end.sql]);
        }
        Ok(Typed::new(format!("evesql_overlaps({})", list.join(", ")), PgType::BOOL))
    }

    /// `make_interval(days => 3)`: what is not given is 0.
    pub(super) fn make_interval(&mut self, args: &Arguments) -> Result<Typed> {
        let mut parts: [Option<Typed>; 7] = Default::default();
        let mut typed = Vec::new();
        for (at, (expr, name)) in args.exprs.iter().zip(&args.names).enumerate() {
            let arg = self.expr(expr)?;
            let arg = self.parameter_type(arg);
            typed.push(arg.clone());
            let place = name.as_ref().map_or(Some(at), |name| PARTS.iter().position(|part| part == name));
            match place.and_then(|place| parts.get_mut(place)) {
                Some(part @ None) => *part = Some(arg),
                _ => return Err(no_function("make_interval", &typed)),
            }
        }
        let (mut list, mut nullable) = (Vec::new(), false);
        for (part, name) in parts.into_iter().zip(PARTS) {
            let ty = if name == "secs" { PgType::FLOAT8 } else { PgType::INT4 };
            let Some(part) = part else {
                list.push("0".into());
                continue;
            };
            let part = self.coerce(part, ty, -1, Context::Implicit)?;
            nullable |= part.nullable;
            list.push(part.sql);
        }
        let sql = format!("evesql_make_interval({})", list.join(", "));
        Ok(Typed::new(sql, PgType::INTERVAL).nullable_if(nullable))
    }

    /// make_timestamptz, whose zone is the session's if none is given.
    pub(super) fn make_timestamptz(&mut self, exprs: &[Expr]) -> Result<Typed> {
        let args = self.strict_args(exprs, exprs.len(), "make_timestamptz")?;
        if !(6..=7).contains(&args.len()) {
            return Err(no_function("make_timestamptz", &args));
        }
        let (mut list, mut nullable) = (Vec::new(), false);
        for (at, arg) in args.into_iter().enumerate() {
            let ty = [PgType::INT4, PgType::FLOAT8, PgType::TEXT][at.saturating_sub(4)];
            let arg = self.coerce(arg, ty, -1, Context::Implicit)?;
            nullable |= arg.nullable;
            list.push(arg.sql);
        }
        let mut name = "evesql_make_timestamptz";
        if list.len() == 6 {
            list.push(self.settings.time_zone.zone.sql());
            name = "evesql_make_timestamptz_here";
        }
        Ok(Typed::new(format!("{name}({})", list.join(", ")), PgType::TIMESTAMPTZ).nullable_if(nullable))
    }

    /// CURRENT_TIMESTAMP and its like with so many digits of a second.
    pub(super) fn clock_of_digits(&mut self, moment: Typed, digits: &Expr) -> Result<Typed> {
        let digits = self.expr(digits)?;
        let Some(Value::Integer(digits)) = digits.value() else {
            return Err(SqlError::new("42601", "syntax error: the precision of a moment must be a number"));
        };
        let digits = *digits;
        if digits < 0 {
            return Err(SqlError::new("22023", format!("{} precision must not be negative", moment.ty.sql_name())));
        }
        let digits = digits.min(6);
        let sql = format!("evesql_time_fit({}, {digits})", moment.sql);
        Ok(Typed { typmod: digits as i32, ..Typed::new(sql, moment.ty).not_null() })
    }
}
