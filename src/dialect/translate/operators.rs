//! Operators: which types they take, and what they are in SQLite.

use super::coerce::{Context, castable, number_rank};
use super::typed::{Typed, type_range};
use super::{Result, Translator};
use crate::dialect::types::PgType;
use crate::dialect::zone::Zone;
use crate::transaction::{SqlError, Value};
use sqlparser::ast::BinaryOperator;

/// Six comparisons.
pub(super) fn comparison(op: &BinaryOperator) -> Option<&'static str> {
    Some(match op {
        BinaryOperator::Eq => "=",
        BinaryOperator::NotEq => "<>",
        BinaryOperator::Lt => "<",
        BinaryOperator::LtEq => "<=",
        BinaryOperator::Gt => ">",
        BinaryOperator::GtEq => ">=",
        _ => return None,
    })
}

pub(super) fn no_operator(op: &str, left: PgType, right: PgType) -> SqlError {
    SqlError::new("42883", format!("operator does not exist: {} {op} {}", left.sql_name(), right.sql_name()))
        .with_hint("No operator matches the given name and argument types. You might need to add explicit type casts.")
}

fn is_network(typed: &Typed) -> bool {
    matches!(typed.ty, PgType::INET | PgType::CIDR)
}

pub(super) fn boolean(sql: String, nullable: bool) -> Typed {
    Typed::new(sql, PgType::BOOL).nullable_if(nullable)
}

impl Translator<'_> {
    pub(super) fn binary(&mut self, op: &BinaryOperator, left: Typed, right: Typed) -> Result<Typed> {
        let types = (left.ty, right.ty);
        // An operand that does not become what the operator takes: there is no such operator.
        self.operator(op, left, right).map_err(|error| match error.code() {
            "42846" => no_operator(&op.to_string(), types.0, types.1),
            _ => error,
        })
    }

    fn operator(&mut self, op: &BinaryOperator, left: Typed, right: Typed) -> Result<Typed> {
        use BinaryOperator::*;
        if let Some(sign) = comparison(op) {
            return self.compare(sign, left, right);
        }
        match op {
            And | Or => {
                let word = if *op == And { "AND" } else { "OR" };
                let (left, right) = (self.condition(left, word)?, self.condition(right, word)?);
                Ok(boolean(format!("({} {word} {})", left.sql, right.sql), left.nullable || right.nullable))
            }
            Minus if left.ty == PgType::JSONB => self.without(left, right),
            Plus | Minus | Multiply | Divide | Modulo | PGExp | BinaryOperator::BitwiseXor => {
                self.arithmetic(op, left, right)
            }
            StringConcat => self.concatenate(left, right),
            PGBitwiseShiftLeft | PGBitwiseShiftRight | PGOverlap if is_network(&left) || is_network(&right) => {
                self.networks(&op.to_string(), left, right)
            }
            Custom(sign) if matches!(sign.as_str(), "<<=" | ">>=") => self.networks(sign, left, right),
            BitwiseAnd | BitwiseOr | PGBitwiseXor | PGBitwiseShiftLeft | PGBitwiseShiftRight => {
                self.bits(op, left, right)
            }
            PGRegexMatch | PGRegexIMatch | PGRegexNotMatch | PGRegexNotIMatch => self.regex(op, left, right),
            PGLikeMatch | PGNotLikeMatch | PGILikeMatch | PGNotILikeMatch => {
                let fold = matches!(op, PGILikeMatch | PGNotILikeMatch);
                let negated = matches!(op, PGNotLikeMatch | PGNotILikeMatch);
                self.like(left, right, None, fold, negated)
            }
            Arrow | LongArrow | HashArrow | HashLongArrow => self.json_path(op, left, right),
            AtArrow | PGOverlap => self.containment(op, left, right),
            ArrowAt => self.containment(&AtArrow, right, left),
            Question | QuestionPipe | QuestionAnd => self.has_keys(op, left, right),
            HashMinus => self.without_path(left, right),
            PGCustomBinaryOperator(names) => match names.last().map(String::as_str) {
                Some("~") => self.regex(&PGRegexMatch, left, right),
                Some("!~") => self.regex(&PGRegexNotMatch, left, right),
                Some("~*") => self.regex(&PGRegexIMatch, left, right),
                Some("=") => self.compare("=", left, right),
                Some("<>") => self.compare("<>", left, right),
                Some("||") => self.concatenate(left, right),
                Some("~~") => self.like(left, right, None, false, false),
                other => Err(SqlError::new("0A000", format!("operator {} is not supported", other.unwrap_or("")))),
            },
            PGStartsWith => {
                let left = self.coerce(left, PgType::TEXT, -1, Context::Implicit)?;
                let right = self.coerce(right, PgType::TEXT, -1, Context::Implicit)?;
                Ok(boolean(format!("evesql_starts_with({}, {})", left.sql, right.sql), left.nullable || right.nullable))
            }
            other => Err(SqlError::new("0A000", format!("operator {other} is not supported"))),
        }
    }

    /// `<<`, `<<=`, `>>`, `>>=` and `&&` of network addresses.
    fn networks(&mut self, sign: &str, left: Typed, right: Typed) -> Result<Typed> {
        let (left, right) = (self.parameter_type(left), self.parameter_type(right));
        let fits = |side: &Typed| is_network(side) || side.ty == PgType::UNKNOWN;
        if !fits(&left) || !fits(&right) {
            return Err(no_operator(sign, left.ty, right.ty));
        }
        let left = self.coerce(left, PgType::INET, -1, Context::Implicit)?;
        let right = self.coerce(right, PgType::INET, -1, Context::Implicit)?;
        let (a, b) = if sign.starts_with('>') { (&right, &left) } else { (&left, &right) };
        let sql = match sign {
            "&&" => format!("evesql_inet_overlaps({}, {})", a.sql, b.sql),
            _ => format!("evesql_inet_within({}, {}, {})", a.sql, b.sql, i32::from(!sign.ends_with('='))),
        };
        Ok(boolean(sql, left.nullable || right.nullable))
    }

    /// A boolean where one is needed.
    pub(super) fn condition(&mut self, typed: Typed, what: &str) -> Result<Typed> {
        if typed.ty == PgType::BOOL || typed.ty == PgType::UNKNOWN {
            return self.coerce(typed, PgType::BOOL, -1, Context::Implicit);
        }
        Err(SqlError::new(
            "42804",
            format!("argument of {what} must be type boolean, not type {}", typed.ty.sql_name()),
        ))
    }

    /// Both sides of a comparison in one type.
    fn comparable(&mut self, op: &str, left: Typed, right: Typed) -> Result<(Typed, Typed)> {
        let (left, right) = (self.parameter_type(left), self.parameter_type(right));
        // varchar has no operators of its own: its unknown partner is text.
        let partner = |ty: PgType| if ty == PgType::VARCHAR { PgType::TEXT } else { ty };
        let ty = match (left.ty, right.ty) {
            (PgType::UNKNOWN, PgType::UNKNOWN) => PgType::TEXT,
            (PgType::UNKNOWN, ty) | (ty, PgType::UNKNOWN) => partner(ty),
            (a, b) if a == b => a,
            (a, b) => match (number_rank(a), number_rank(b)) {
                (Some(x), Some(y)) => {
                    if x.max(y) >= 5 {
                        PgType::FLOAT8
                    } else if x > y {
                        a
                    } else {
                        b
                    }
                }
                _ if a.is_text() && b.is_text() => PgType::TEXT,
                _ if castable(a, b) == Some(Context::Implicit) => b,
                _ if castable(b, a) == Some(Context::Implicit) => a,
                _ => return Err(no_operator(op, a, b)),
            },
        };
        // Integers of all widths and OIDs are one form; converting would only hide a column from its index.
        let plain = |t: &Typed| t.ty.is_integer() || t.ty.is_oid_like();
        if (plain(&left) && plain(&right)) || (left.ty.is_text() && right.ty.is_text()) {
            return Ok((left.settled(), right.settled()));
        }
        let mut sides = Vec::new();
        for side in [left, right] {
            let same_text = side.ty.is_text() && ty.is_text();
            sides.push(if same_text { side.settled() } else { self.coerce_operand(side, ty)? });
        }
        let right = sides.pop();
        match (sides.pop(), right) {
            (Some(left), Some(right)) => Ok((left, right)),
            _ => Err(no_operator(op, ty, ty)),
        }
    }

    /// As an implicit conversion, and float4 literals of numeric become doubles.
    fn coerce_operand(&mut self, typed: Typed, ty: PgType) -> Result<Typed> {
        self.coerce(typed, ty, -1, Context::Implicit)
    }

    /// Gives a parameter that an earlier use has typed its type.
    pub(super) fn parameter_type(&self, typed: Typed) -> Typed {
        match typed.param.and_then(|at| self.params[at]) {
            Some(ty) => Typed { ty, param: None, range: type_range(ty), ..typed },
            None => typed,
        }
    }

    pub(super) fn compare(&mut self, op: &str, left: Typed, right: Typed) -> Result<Typed> {
        // An integer against a constant with a fraction: whole constants become integers.
        let (left, right) = (whole_constant(left, &right), right);
        let right = whole_constant(right, &left);
        let (left, right) = self.comparable(op, left, right)?;
        let nullable = left.nullable || right.nullable;
        let (a, b) = self.aligned(&left, &right, op)?;
        Ok(boolean(format!("({a} {op} {b})"), nullable))
    }

    /// Texts of two values of one type whose bytes compare as the values do.
    pub(super) fn aligned(&self, left: &Typed, right: &Typed, op: &str) -> Result<(String, String)> {
        let orders = !matches!(op, "=" | "<>" | "IS" | "IS NOT");
        let pair = |name: &str| (format!("{name}({})", left.sql), format!("{name}({})", right.sql));
        match left.ty {
            PgType::NUMERIC => {
                if left.scale.is_some() && left.scale == right.scale {
                    return Ok((left.sql.clone(), right.sql.clone()));
                }
                // The side of known scale stays as it is, so that an index on it serves.
                let scale = match (left.scale, right.scale) {
                    (Some(_), Some(_)) if left.literal.is_some() => right.scale,
                    (Some(scale), _) => Some(scale),
                    (None, scale) => scale,
                };
                let align = |side: &Typed| match (side.scale == scale && scale.is_some(), side.value()) {
                    (true, _) => side.sql.clone(),
                    (false, Some(Value::Blob(bytes))) => match crate::dialect::numeric::Numeric::decode(bytes) {
                        Ok(number) => {
                            super::typed::literal_sql(&Value::Blob(number.align(scale.unwrap_or(0)).encode().into()))
                        }
                        Err(_) => side.sql.clone(),
                    },
                    _ => format!("evesql_numeric_align({}, {})", side.sql, scale.unwrap_or(0)),
                };
                Ok((align(left), align(right)))
            }
            PgType::INTERVAL => Ok(pair("evesql_interval_key")),
            PgType::JSON | PgType::XML => Err(no_operator(op, left.ty, right.ty)),
            PgType::JSONB => Ok(pair("evesql_jsonb_key")),
            ty if ty.element().is_some_and(PgType::is_enum) && orders => {
                Err(SqlError::new("0A000", "ordering arrays of enums is not supported"))
            }
            // Of most types equal arrays have equal texts, which an index may serve.
            ty if ty.element().is_some_and(|element| {
                orders || matches!(element, PgType::NUMERIC | PgType::INTERVAL | PgType::JSONB)
            }) =>
            {
                Ok((self.sort_key(left), self.sort_key(right)))
            }
            _ if orders => Ok((self.sort_key(left), self.sort_key(right))),
            _ => Ok((left.sql.clone(), right.sql.clone())),
        }
    }

    pub(super) fn distinct_from(&mut self, left: Typed, right: Typed, negated: bool) -> Result<Typed> {
        let (left, right) = self.comparable("=", left, right)?;
        let op = if negated { "IS" } else { "IS NOT" };
        let (a, b) = self.aligned(&left, &right, op)?;
        Ok(boolean(format!("({a} {op} {b})"), false))
    }

    fn arithmetic(&mut self, op: &BinaryOperator, left: Typed, right: Typed) -> Result<Typed> {
        let sign = match op {
            BinaryOperator::PGExp | BinaryOperator::BitwiseXor => "^".to_string(),
            other => other.to_string(),
        };
        let (left, right) = (self.parameter_type(left).settled(), self.parameter_type(right).settled());
        let date_like = |ty: PgType| matches!(ty.category(), 'D' | 'T');
        if date_like(left.ty) || date_like(right.ty) {
            return self.date_arithmetic(&sign, left, right);
        }
        let ty = match (left.ty, right.ty) {
            (PgType::UNKNOWN, PgType::UNKNOWN) => {
                return Err(SqlError::new("42725", format!("operator is not unique: unknown {sign} unknown"))
                    .with_hint(
                        "Could not choose a best candidate operator. You might need to add explicit type casts.",
                    ));
            }
            (PgType::UNKNOWN, ty) | (ty, PgType::UNKNOWN) if number_rank(ty).is_some() => ty,
            (a, b) => match (number_rank(a), number_rank(b)) {
                (Some(x), Some(y)) if x.max(y) >= 5 && x != y => PgType::FLOAT8,
                (Some(x), Some(y)) => {
                    if x >= y {
                        a
                    } else {
                        b
                    }
                }
                _ if a.is_oid_like() && b.is_integer() || a.is_integer() && b.is_oid_like() => PgType::INT8,
                _ if matches!(a, PgType::JSONB) => {
                    return Err(SqlError::new("0A000", format!("operator {sign} on jsonb is not supported")));
                }
                _ => return Err(no_operator(&sign, a, b)),
            },
        };
        if sign == "^" {
            let ty = if ty == PgType::NUMERIC { PgType::NUMERIC } else { PgType::FLOAT8 };
            let (left, right) =
                (self.coerce(left, ty, -1, Context::Implicit)?, self.coerce(right, ty, -1, Context::Implicit)?);
            let name = if ty == PgType::NUMERIC { "evesql_numeric_power" } else { "evesql_power" };
            return Ok(Typed::new(format!("{name}({}, {})", left.sql, right.sql), ty)
                .nullable_if(left.nullable || right.nullable));
        }
        if ty.is_integer() {
            return self.integer_arithmetic(&sign, ty, left, right);
        }
        let left = self.coerce(left, ty, -1, Context::Implicit)?;
        let right = self.coerce(right, ty, -1, Context::Implicit)?;
        let nullable = left.nullable || right.nullable;
        let name = match sign.as_str() {
            "+" => "add",
            "-" => "sub",
            "*" => "mul",
            "/" => "div",
            _ if ty.is_float() => return Err(no_operator("%", left.ty, right.ty)),
            _ => "mod",
        };
        let family = match ty {
            PgType::NUMERIC => "numeric",
            PgType::FLOAT4 => "float4",
            _ => "float8",
        };
        let mut result =
            Typed::new(format!("evesql_{family}_{name}({}, {})", left.sql, right.sql), ty).nullable_if(nullable);
        if ty == PgType::NUMERIC {
            if let (Some(a), Some(b)) = (left.value(), right.value()) {
                let f = crate::dialect::functions::numeric_operator(name);
                return Ok(Typed::constant(f(&[a.as_ref(), b.as_ref()])?, ty));
            }
            result.scale = match (name, left.scale, right.scale) {
                ("add" | "sub" | "mod", Some(a), Some(b)) => Some(a.max(b)),
                ("mul", Some(a), Some(b)) => Some(a + b),
                _ => None,
            };
        }
        Ok(result)
    }

    fn integer_arithmetic(&mut self, sign: &str, ty: PgType, left: Typed, right: Typed) -> Result<Typed> {
        let mut sides = Vec::new();
        for side in [left, right] {
            sides.push(if side.ty.is_integer() || side.ty.is_oid_like() {
                side
            } else {
                self.coerce(side, ty, -1, Context::Implicit)?
            });
        }
        let (right, left) = (sides.remove(1), sides.remove(0));
        let nullable = left.nullable || right.nullable;
        let whole = (i128::from(i64::MIN), i128::from(i64::MAX));
        let (a, b) = (left.range.unwrap_or(whole), right.range.unwrap_or(whole));
        let corners = |f: fn(i128, i128) -> i128| {
            let all = [f(a.0, b.0), f(a.0, b.1), f(a.1, b.0), f(a.1, b.1)];
            (all.into_iter().min().unwrap_or(0), all.into_iter().max().unwrap_or(0))
        };
        let range = match sign {
            "+" => (a.0 + b.0, a.1 + b.1),
            "-" => (a.0 - b.1, a.1 - b.0),
            "*" => corners(|x, y| x * y),
            // A constant divisor other than 0 and -1 is plain division.
            "/" if b.0 == b.1 && b.0 != 0 && b.0 != -1 => corners(|x, y| x / y),
            "%" if b.0 == b.1 && b.0 != 0 && b.0 != -1 => (-b.0.abs(), b.0.abs()),
            _ => {
                let name = if sign == "/" { "div" } else { "mod" };
                let sql = format!("evesql_{}_{name}({}, {})", ty.name(), left.sql, right.sql);
                return Ok(Typed::new(sql, ty).nullable_if(nullable));
            }
        };
        let plain = format!("({} {sign} {})", left.sql, right.sql);
        let (low, high) = type_range(ty).unwrap_or(whole);
        let mut result = Typed::new(plain.clone(), ty).nullable_if(nullable);
        if range.0 >= low && range.1 <= high {
            result.range = Some(range);
        } else if range.0 >= whole.0 && range.1 <= whole.1 {
            // SQLite computes it exactly; only the type's range is in question.
            result.checked = Some(format!("evesql_{}({plain})", ty.name()));
            result.range = Some(range);
        } else {
            let name = match sign {
                "+" => "add",
                "-" => "sub",
                _ => "mul",
            };
            result.checked = Some(format!("evesql_int8_{name}({}, {})", left.sql, right.sql));
        }
        Ok(result)
    }

    fn date_arithmetic(&mut self, sign: &str, left: Typed, right: Typed) -> Result<Typed> {
        use PgType as T;
        let mut left = left;
        let mut right = right;
        // An open operand: a date takes a number or a date, a timestamp an interval or a timestamp.
        if right.ty == T::UNKNOWN {
            let ty = match (left.ty, sign) {
                (T::DATE, "+") => T::INT4,
                (T::DATE, _) => T::DATE,
                (T::TIMESTAMP | T::TIMESTAMPTZ | T::TIME, "-") if left.ty != T::TIME && looks_like_moment(&right) => {
                    left.ty
                }
                _ if matches!(sign, "*" | "/") => T::FLOAT8,
                _ => T::INTERVAL,
            };
            right = self.coerce(right, ty, -1, Context::Implicit)?;
        }
        if left.ty == T::UNKNOWN {
            let ty = if right.ty == T::INTERVAL { T::INTERVAL } else { right.ty };
            left = self.coerce(left, ty, -1, Context::Implicit)?;
        }
        let nullable = left.nullable || right.nullable;
        let (a, b) = (left.sql.clone(), right.sql.clone());
        let own_zone = self.settings.time_zone.zone;
        let make = |sql: String, ty: T| Ok(Typed::new(sql, ty).nullable_if(nullable));
        match (left.ty, sign, right.ty) {
            (T::DATE, "+", ty) if ty.is_integer() => make(format!("evesql_date_add({a}, {b}, 1)"), T::DATE),
            (T::DATE, "-", ty) if ty.is_integer() => make(format!("evesql_date_add({a}, {b}, -1)"), T::DATE),
            (ty, "+", T::DATE) if ty.is_integer() => make(format!("evesql_date_add({b}, {a}, 1)"), T::DATE),
            (T::DATE, "-", T::DATE) => make(format!("evesql_date_diff({a}, {b})"), T::INT4),
            (T::DATE, "+" | "-", T::INTERVAL) => {
                let date = self.coerce(left, T::TIMESTAMP, -1, Context::Implicit)?;
                self.date_arithmetic(sign, date, right)
            }
            (T::TIMESTAMP | T::TIMESTAMPTZ, "+" | "-", T::INTERVAL) => {
                let zone = if left.ty == T::TIMESTAMPTZ { own_zone } else { Zone::UTC }.sql();
                let direction = if sign == "+" { 1 } else { -1 };
                make(format!("evesql_timestamp_add({a}, {b}, {direction}, {zone})"), left.ty)
            }
            (T::INTERVAL, "+", T::TIMESTAMP | T::TIMESTAMPTZ | T::DATE | T::TIME) => {
                self.date_arithmetic("+", right, left)
            }
            // There a time is as long as it is after midnight.
            (T::TIMESTAMP | T::TIMESTAMPTZ | T::DATE | T::INTERVAL, "+" | "-", T::TIME) => {
                let span = self.coerce(right, T::INTERVAL, -1, Context::Implicit)?;
                self.date_arithmetic(sign, left, span)
            }
            (T::TIME, "+", T::TIMESTAMP | T::TIMESTAMPTZ | T::DATE) => self.date_arithmetic("+", right, left),
            (T::TIME, "+" | "-", T::INTERVAL) => {
                let direction = if sign == "+" { 1 } else { -1 };
                make(format!("evesql_time_add({a}, {b}, {direction})"), T::TIME)
            }
            (T::TIME, "-", T::TIME) => make(format!("evesql_timestamp_diff({a}, {b})"), T::INTERVAL),
            (T::INTERVAL, "+" | "-", T::INTERVAL) => {
                let name = if sign == "+" { "add" } else { "sub" };
                make(format!("evesql_interval_{name}({a}, {b})"), T::INTERVAL)
            }
            (T::INTERVAL, "*" | "/", ty) if ty.is_number() => {
                let factor = self.coerce(right, T::FLOAT8, -1, Context::Implicit)?;
                let name = if sign == "*" { "mul" } else { "div" };
                make(format!("evesql_interval_{name}({a}, {})", factor.sql), T::INTERVAL)
            }
            (ty, "*", T::INTERVAL) if ty.is_number() => self.date_arithmetic("*", right, left),
            (x, "-", y)
                if matches!(
                    (x, y),
                    (T::DATE | T::TIMESTAMP | T::TIMESTAMPTZ, T::DATE | T::TIMESTAMP | T::TIMESTAMPTZ)
                ) =>
            {
                let (left, right) = self.comparable(sign, left, right)?;
                make(format!("evesql_timestamp_diff({}, {})", left.sql, right.sql), T::INTERVAL)
            }
            (x, _, y) => Err(no_operator(sign, x, y)),
        }
    }

    fn concatenate(&mut self, left: Typed, right: Typed) -> Result<Typed> {
        let (left, right) = (self.parameter_type(left), self.parameter_type(right));
        if left.ty.element().is_some() || right.ty.element().is_some() {
            let array = if left.ty.element().is_some() { left.ty } else { right.ty };
            let mut texts = Vec::new();
            for side in [left, right] {
                let is_array = side.ty.element().is_some() || side.ty == PgType::UNKNOWN;
                let element = array.element().unwrap_or(PgType::TEXT);
                texts.push(match is_array {
                    true => self.coerce(side, array, -1, Context::Implicit)?.sql,
                    false => format!("json_array({})", self.coerce(side, element, -1, Context::Implicit)?.sql),
                });
            }
            return Ok(Typed::new(format!("evesql_array_cat({}, {})", texts[0], texts[1]), array));
        }
        if left.ty == PgType::JSONB || right.ty == PgType::JSONB {
            let is_jsonb = |side: &Typed| matches!(side.ty, PgType::JSONB | PgType::UNKNOWN);
            if is_jsonb(&left) && is_jsonb(&right) {
                return self.joined_jsonb(left, right);
            }
        }
        for ty in [left.ty, right.ty] {
            if ty == PgType::BYTEA || ty == PgType::JSONB {
                return Err(SqlError::new("0A000", format!("operator || on {} is not supported", ty.sql_name())));
            }
        }
        if !left.ty.is_text() && !right.ty.is_text() && left.ty != PgType::UNKNOWN && right.ty != PgType::UNKNOWN {
            return Err(no_operator("||", left.ty, right.ty));
        }
        let left = self.as_text(left)?;
        let right = self.as_text(right)?;
        Ok(Typed::new(format!("({} || {})", left.sql, right.sql), PgType::TEXT)
            .nullable_if(left.nullable || right.nullable))
    }

    /// The text of a value of any type.
    pub(super) fn as_text(&mut self, typed: Typed) -> Result<Typed> {
        self.coerce(typed, PgType::TEXT, -1, Context::Explicit)
    }

    fn bits(&mut self, op: &BinaryOperator, left: Typed, right: Typed) -> Result<Typed> {
        let (left, right) = (self.parameter_type(left), self.parameter_type(right));
        let shift = matches!(op, BinaryOperator::PGBitwiseShiftLeft | BinaryOperator::PGBitwiseShiftRight);
        let ty = match (left.ty, right.ty) {
            (PgType::UNKNOWN, ty) | (ty, PgType::UNKNOWN) if ty.is_integer() => ty,
            (a, b) if a.is_integer() && b.is_integer() => {
                if shift || number_rank(a) >= number_rank(b) {
                    a
                } else {
                    b
                }
            }
            (a, b) => return Err(no_operator(&op.to_string(), a, b)),
        };
        let left = self.coerce(left, ty, -1, Context::Implicit)?;
        let right = self.coerce(right, if shift { PgType::INT4 } else { ty }, -1, Context::Implicit)?;
        let nullable = left.nullable || right.nullable;
        let (a, b) = (&left.sql, &right.sql);
        let sql = match op {
            BinaryOperator::BitwiseAnd => format!("({a} & {b})"),
            BinaryOperator::BitwiseOr => format!("({a} | {b})"),
            BinaryOperator::PGBitwiseXor => format!("evesql_xor({a}, {b})"),
            BinaryOperator::PGBitwiseShiftLeft => format!("evesql_{}_shl({a}, {b})", ty.name()),
            _ => format!("evesql_{}_shr({a}, {b})", ty.name()),
        };
        Ok(Typed::new(sql, ty).nullable_if(nullable))
    }

    fn regex(&mut self, op: &BinaryOperator, left: Typed, right: Typed) -> Result<Typed> {
        let (left, right) = (self.parameter_type(left), self.parameter_type(right));
        let left = self.coerce(left, PgType::TEXT, -1, Context::Implicit)?;
        let right = self.coerce(right, PgType::TEXT, -1, Context::Implicit)?;
        let fold = matches!(op, BinaryOperator::PGRegexIMatch | BinaryOperator::PGRegexNotIMatch);
        let negated = matches!(op, BinaryOperator::PGRegexNotMatch | BinaryOperator::PGRegexNotIMatch);
        let call = format!("evesql_regex({}, {}, {})", left.sql, right.sql, i32::from(fold));
        let sql = if negated { format!("(NOT {call})") } else { call };
        Ok(boolean(sql, left.nullable || right.nullable))
    }

    pub(super) fn like(
        &mut self,
        left: Typed,
        pattern: Typed,
        escape: Option<Typed>,
        fold: bool,
        negated: bool,
    ) -> Result<Typed> {
        let padded = left.ty == PgType::BPCHAR && left.typmod > 4;
        let length = left.typmod - 4;
        let mut left = self.coerce(left, PgType::TEXT, -1, Context::Implicit).map_err(|error| match error.code() {
            "42846" => SqlError::new(
                "42883",
                error.message.replace("cannot cast type", "operator does not exist: no LIKE for"),
            ),
            _ => error,
        })?;
        if padded {
            left.sql = format!("evesql_pad({}, {length})", left.sql);
        }
        let pattern = self.coerce(pattern, PgType::TEXT, -1, Context::Implicit)?;
        let nullable = left.nullable || pattern.nullable;
        let literal = match pattern.value() {
            Some(Value::Text(text)) if !fold && escape.is_none() => glob(text),
            _ => None,
        };
        let test = match (literal, escape) {
            // SQLite looks a GLOB's prefix up in an index.
            (Some(glob), _) => format!("({} GLOB {})", left.sql, super::typed::quote_text(&glob)),
            (None, None) => format!("evesql_like({}, {}, {})", left.sql, pattern.sql, i32::from(fold)),
            (None, Some(escape)) => {
                let escape = self.coerce(escape, PgType::TEXT, -1, Context::Implicit)?;
                format!("evesql_like({}, {}, {}, {})", left.sql, pattern.sql, i32::from(fold), escape.sql)
            }
        };
        let sql = if negated { format!("(NOT {test})") } else { test };
        Ok(boolean(sql, nullable))
    }

    fn json_path(&mut self, op: &BinaryOperator, left: Typed, right: Typed) -> Result<Typed> {
        let right = self.parameter_type(right);
        if !matches!(left.ty, PgType::JSON | PgType::JSONB) {
            return Err(no_operator(&op.to_string(), left.ty, right.ty));
        }
        let as_text = matches!(op, BinaryOperator::LongArrow | BinaryOperator::HashLongArrow);
        let ty = if as_text { PgType::TEXT } else { left.ty };
        let path = matches!(op, BinaryOperator::HashArrow | BinaryOperator::HashLongArrow);
        let key = if path {
            self.coerce(right, PgType::TEXT_ARRAY, -1, Context::Implicit)?
        } else if right.ty.is_integer() {
            right
        } else {
            self.coerce(right, PgType::TEXT, -1, Context::Implicit)?
        };
        let name = if path { "evesql_json_path" } else { "evesql_json_get" };
        // A scalar of jsonb is an array of itself.
        let flags = i32::from(as_text) + if left.ty == PgType::JSONB && !path { 2 } else { 0 };
        Ok(Typed::new(format!("{name}({}, {}, {flags})", left.sql, key.sql), ty))
    }
}

fn looks_like_moment(typed: &Typed) -> bool {
    typed.unknown_text().is_some_and(|text| {
        text.contains('-') && text.len() >= 8 && !text.contains(' ') || text.contains(':') && text.contains('-')
    }) || typed.param.is_some()
}

/// `5.0` against an integer is `5`.
fn whole_constant(typed: Typed, partner: &Typed) -> Typed {
    use crate::dialect::numeric::Numeric;
    if typed.ty != PgType::NUMERIC || !partner.ty.is_integer() {
        return typed;
    }
    let Some(Value::Blob(bytes)) = typed.value() else { return typed };
    match Numeric::decode(bytes) {
        Ok(number @ Numeric::Finite(_)) if number.rescale(0, true).compare(&number).is_eq() => match number.to_i64() {
            Ok(whole) => Typed::constant(Value::Integer(whole), PgType::INT8),
            Err(_) => typed,
        },
        _ => typed,
    }
}

/// A LIKE pattern as SQLite's GLOB, which is case-sensitive and can use an index.
fn glob(pattern: &str) -> Option<String> {
    let mut glob = String::with_capacity(pattern.len() + 4);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            '%' => {
                glob.push('*');
                continue;
            }
            '_' => {
                glob.push('?');
                continue;
            }
            '\\' => chars.next()?,
            c => c,
        };
        match literal {
            '*' | '?' | '[' => {
                glob.push('[');
                glob.push(literal);
                glob.push(']');
            }
            c => glob.push(c),
        }
    }
    Some(glob)
}
