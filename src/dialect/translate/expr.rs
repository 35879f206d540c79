//! Expressions.

use super::coerce::Context;
use super::names::{fold, parts};
use super::typed::{Literal, Targets, Typed};
use super::{Result, Translator, unsupported};
use crate::dialect::lexemes::symmetric_bound;
use crate::dialect::numeric::Numeric;
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value};
use sqlparser::ast::{
    BinaryOperator, CaseWhen, CeilFloorKind, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, TrimWhereField, UnaryOperator, Value as Constant,
};

pub(super) fn boolean(sql: String) -> Typed {
    Typed::new(sql, PgType::BOOL)
}

/// A call as if it had been written: for syntax that is a function in disguise.
fn call(name: &str, args: Vec<Expr>) -> Function {
    Function {
        name: ObjectName::from(vec![Ident::new("pg_catalog"), Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect(),
            clauses: Vec::new(),
        }),
        within_group: Vec::new(),
        filter: None,
        null_treatment: None,
        over: None,
    }
}

impl Translator<'_> {
    /// Translates an expression; its value is within its type's range.
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<Typed> {
        Ok(self.raw(expr)?.settled())
    }

    /// As [`Self::expr`], but integers may leave their range: for columns that check it themselves.
    pub(super) fn raw(&mut self, expr: &Expr) -> Result<Typed> {
        self.check_stack()?;
        if let Some(typed) = self.group_key(expr) {
            return Ok(typed);
        }
        let typed = match expr {
            Expr::BinaryOp { .. } => self.chain(expr),
            other => self.one(other),
        };
        typed.map_err(|error| match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) | Expr::Function(_) => {
                self.at(error, expr)
            }
            _ => error,
        })
    }

    /// A chain of operators leans to the left, as deep as it is long: walked in a loop.
    fn chain(&mut self, expr: &Expr) -> Result<Typed> {
        let mut stack = Vec::new();
        let mut leaf = expr;
        while let Expr::BinaryOp { left, op, right } = leaf {
            stack.push((op, right.as_ref(), leaf));
            leaf = left;
            if let Some(typed) = self.group_key(leaf) {
                return self.fold_chain(stack, typed);
            }
        }
        let rows = stack.last().and_then(|(op, right, _)| Some((row_items(leaf)?, *op, row_items(right)?)));
        let first = match rows {
            Some((left, op, right)) => {
                stack.pop();
                self.rows(&left, op, &right)?
            }
            None => match absorbed(leaf, &mut stack) {
                Some(whole) => self.raw(&whole)?,
                None => self.raw(leaf)?,
            },
        };
        self.fold_chain(stack, first)
    }

    fn fold_chain(&mut self, mut stack: Vec<(&BinaryOperator, &Expr, &Expr)>, first: Typed) -> Result<Typed> {
        let mut left = first;
        while let Some((op, right, _)) = stack.pop() {
            let whole = absorbed(right, &mut stack);
            let right = self.raw(whole.as_ref().unwrap_or(right))?.settled();
            left = self.binary(op, left.settled(), right)?;
        }
        Ok(left)
    }

    /// `(a, b) < (c, d)`
    fn rows(&mut self, left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Result<Typed> {
        if *op == BinaryOperator::Overlaps {
            return self.overlaps(left, right);
        }
        let sign = super::operators::comparison(op)
            .ok_or_else(|| SqlError::new("0A000", format!("operator {op} on rows is not supported")))?;
        if left.len() != right.len() {
            return Err(SqlError::new("42601", "unequal number of entries in row expressions"));
        }
        let (mut a, mut b, mut nullable) = (Vec::new(), Vec::new(), false);
        for (x, y) in left.iter().zip(right) {
            let (x, y) = (self.expr(x)?, self.expr(y)?);
            let (ty, _) = self.common_type(&[&x, &y], "row")?;
            let (x, y) = (self.coerce(x, ty, -1, Context::Implicit)?, self.coerce(y, ty, -1, Context::Implicit)?);
            nullable |= x.nullable || y.nullable;
            let (x, y) = self.aligned(&x, &y, sign)?;
            a.push(x);
            b.push(y);
        }
        Ok(boolean(format!("(({}) {sign} ({}))", a.join(", "), b.join(", "))).nullable_if(nullable))
    }

    fn group_key(&self, expr: &Expr) -> Option<Typed> {
        let scope = self.scopes.last()?;
        if scope.inside_aggregate {
            return None;
        }
        scope.grouped.as_ref()?.iter().find(|key| key.expr == *expr).map(|key| key.typed.clone())
    }

    fn one(&mut self, expr: &Expr) -> Result<Typed> {
        match expr {
            Expr::Identifier(ident) => self.identifier(ident),
            Expr::CompoundIdentifier(idents) => {
                let names: Vec<String> = idents.iter().map(fold).collect();
                match names.split_last() {
                    Some((name, qualifier)) => self.qualified_column(qualifier, name),
                    None => unsupported("an empty name"),
                }
            }
            Expr::Nested(inner) => self.raw(inner),
            Expr::Value(value) => self.value(&value.value),
            Expr::TypedString(typed) => {
                let (ty, typmod) = self.data_type(&typed.data_type)?;
                let literal = self.value(&typed.value.value)?;
                self.coerce(literal, ty, typmod, Context::Explicit)
            }
            Expr::Interval(interval) => self.interval(interval),
            Expr::Cast { expr, data_type, .. } => {
                let (ty, typmod) = self.data_type(data_type)?;
                // ARRAY[]::int[] has no other type to go by.
                if let (Expr::Array(array), Some(element)) = (expr.as_ref(), ty.element()) {
                    return self.array(&array.elem, Some(element));
                }
                let inner = self.expr(expr)?;
                self.coerce(inner, ty, typmod, Context::Explicit)
            }
            Expr::UnaryOp { op, expr } => self.unary(op, expr),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                let word = if matches!(expr, Expr::IsNull(_)) { "IS NULL" } else { "IS NOT NULL" };
                if let Some(items) = row_items(inner).filter(|items| !items.is_empty()) {
                    // Of a row it asks for all fields, either way.
                    let mut tests = Vec::new();
                    for item in &items {
                        let item = self.expr(item)?;
                        tests.push(format!("{} {word}", self.as_text_if_unknown(item)?.sql));
                    }
                    return Ok(boolean(format!("({})", tests.join(" AND "))).not_null());
                }
                let inner = self.expr(inner)?;
                let inner = self.as_text_if_unknown(inner)?;
                Ok(boolean(format!("({} {word})", inner.sql)).not_null())
            }
            Expr::IsTrue(inner) => self.truth(inner, "IS TRUE"),
            Expr::IsNotTrue(inner) => self.truth(inner, "IS NOT TRUE"),
            Expr::IsFalse(inner) => self.truth(inner, "IS FALSE"),
            Expr::IsNotFalse(inner) => self.truth(inner, "IS NOT FALSE"),
            Expr::IsUnknown(inner) => self.truth(inner, "IS NULL"),
            Expr::IsNotUnknown(inner) => self.truth(inner, "IS NOT NULL"),
            Expr::IsDistinctFrom(a, b) => {
                let (a, b) = (self.expr(a)?, self.expr(b)?);
                self.distinct_from(a, b, false)
            }
            Expr::IsNotDistinctFrom(a, b) => {
                let (a, b) = (self.expr(a)?, self.expr(b)?);
                self.distinct_from(a, b, true)
            }
            Expr::Between { expr, negated, low, high } => {
                if let Some(low) = symmetric_bound(low) {
                    return self.between_symmetric(expr, *negated, &low, high);
                }
                let (value, low, high) = (self.expr(expr)?, self.expr(low)?, self.expr(high)?);
                let first = self.compare(">=", value.clone(), low)?;
                let second = self.compare("<=", self.parameter_type(value), high)?;
                let nullable = first.nullable || second.nullable;
                let not = if *negated { "NOT " } else { "" };
                Ok(boolean(format!("({not}({} AND {}))", first.sql, second.sql)).nullable_if(nullable))
            }
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            Expr::InSubquery { expr, subquery, negated } => self.in_subquery(expr, subquery, *negated),
            Expr::InUnnest { .. } => unsupported("IN UNNEST"),
            Expr::AnyOp { left, compare_op, right, .. } => self.quantified(left, compare_op, right, true),
            Expr::AllOp { left, compare_op, right } => self.quantified(left, compare_op, right, false),
            Expr::Like { negated, any, expr: value, pattern, escape_char }
            | Expr::ILike { negated, any, expr: value, pattern, escape_char } => {
                let fold = matches!(expr, Expr::ILike { .. });
                if let Some((array, any)) = super::quantified::pattern_array(pattern, *any) {
                    return self.like_each(value, array, any, fold, *negated);
                }
                self.like_expr(value, pattern, escape_char.as_deref(), fold, *negated)
            }
            Expr::SimilarTo { negated, expr, pattern, escape_char: None } => {
                let (value, pattern) = (self.expr(expr)?, self.expr(pattern)?);
                let value = self.coerce(value, PgType::TEXT, -1, Context::Implicit)?;
                let pattern = self.coerce(pattern, PgType::TEXT, -1, Context::Implicit)?;
                let not = if *negated { "NOT " } else { "" };
                Ok(boolean(format!("({not}evesql_similar({}, {}))", value.sql, pattern.sql)))
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Exists { subquery, negated } => {
                let (sql, _) = self.subquery(subquery)?;
                let not = if *negated { "NOT " } else { "" };
                Ok(boolean(format!("({not}EXISTS ({sql}))")).not_null())
            }
            Expr::Subquery(query) => {
                let single = self.has_one_row_at_most(query);
                let (sql, mut outputs) = self.query(query, None, !single)?;
                if outputs.len() != 1 {
                    return Err(SqlError::new("42601", "subquery must return only one column"));
                }
                let output = outputs.remove(0);
                let sql = match single {
                    true => format!("({sql})"),
                    // SQLite would take the first of many.
                    false => {
                        format!("(SELECT evesql_single(q.{}) FROM ({sql}) AS q)", super::quote_name(&output.name))
                    }
                };
                let output = output.typed;
                Ok(Typed { sql, nullable: true, column: None, literal: None, param: None, checked: None, ..output })
            }
            Expr::Function(function) => self.function(function),
            Expr::Array(array) => self.array(&array.elem, None),
            Expr::CompoundFieldAccess { root, access_chain } => self.subscript(root, access_chain),
            Expr::Extract { field, expr, .. } => {
                let value = self.expr(expr)?;
                self.extract(&super::typed::quote_text(&field_name(field)), value, true)
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                let (moment, zone) = (self.expr(timestamp)?, self.expr(time_zone)?);
                self.at_time_zone(moment, zone)
            }
            Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.function(&call("ceil", vec![*expr.clone()]))
            }
            Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.function(&call("floor", vec![*expr.clone()]))
            }
            Expr::Position { expr, r#in } => self.function(&call("strpos", vec![*r#in.clone(), *expr.clone()])),
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let mut args = vec![*expr.clone()];
                match (substring_from, substring_for) {
                    (Some(from), None) => args.push(*from.clone()),
                    (from, Some(length)) => {
                        let one = Expr::Value(Constant::Number("1".into(), false).with_empty_span());
                        args.push(from.as_deref().cloned().unwrap_or(one));
                        args.push(*length.clone());
                    }
                    (None, None) => {}
                }
                self.function(&call("substring", args))
            }
            Expr::Trim { expr, trim_where, trim_what, trim_characters } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "btrim",
                };
                let mut args = vec![*expr.clone()];
                args.extend(trim_what.as_deref().cloned());
                args.extend(trim_characters.iter().flatten().cloned());
                self.function(&call(name, args))
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut args = vec![*expr.clone(), *overlay_what.clone(), *overlay_from.clone()];
                args.extend(overlay_for.as_deref().cloned());
                self.function(&call("overlay", args))
            }
            Expr::Collate { expr, collation } => {
                let names = parts(collation);
                match names.last().map(String::as_str) {
                    Some("C" | "POSIX" | "default" | "ucs_basic" | "en_US" | "en_US.utf8" | "C.UTF-8") => {
                        self.expr(expr)
                    }
                    other => unsupported(&format!("collation \"{}\"", other.unwrap_or(""))),
                }
            }
            Expr::Tuple(items) if items.len() == 1 => self.expr(&items[0]),
            Expr::Tuple(_) => unsupported("a row as a value"),
            Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => unsupported("GROUPING SETS"),
            other => unsupported(&format!("the expression {other}")),
        }
    }

    /// `x BETWEEN SYMMETRIC a AND b`: between the two, in whichever order they are.
    fn between_symmetric(&mut self, expr: &Expr, negated: bool, low: &Expr, high: &Expr) -> Result<Typed> {
        let between = |low: &Expr, high: &Expr| Expr::Between {
            expr: Box::new(expr.clone()),
            negated: false,
            low: Box::new(low.clone()),
            high: Box::new(high.clone()),
        };
        let (first, second) = (self.expr(&between(low, high))?, self.expr(&between(high, low))?);
        let not = if negated { "NOT " } else { "" };
        let nullable = first.nullable || second.nullable;
        Ok(boolean(format!("({not}({} OR {}))", first.sql, second.sql)).nullable_if(nullable))
    }

    fn identifier(&mut self, ident: &Ident) -> Result<Typed> {
        let name = fold(ident);
        if ident.quote_style.is_none() {
            // Functions that are called without parentheses.
            let plain = match name.as_str() {
                "current_timestamp" | "current_date" | "localtimestamp" | "current_time" | "localtime"
                | "current_user" | "session_user" | "user" | "current_role" | "current_catalog" | "current_schema" => {
                    Some(name.as_str())
                }
                _ => None,
            };
            if let Some(plain) = plain {
                return self.function(&call(plain, Vec::new()));
            }
            if name == "default" {
                return Err(SqlError::new("42601", "DEFAULT is not allowed in this context"));
            }
        }
        self.column(&name)
    }

    fn value(&mut self, value: &Constant) -> Result<Typed> {
        let open = |text: &str| -> Typed {
            let mut typed = Typed::new(super::typed::quote_text(text), PgType::UNKNOWN).not_null();
            typed.literal = Some(Literal::Unknown(text.to_string()));
            typed
        };
        match value {
            Constant::Number(digits, _) => number(digits),
            Constant::SingleQuotedString(text)
            | Constant::EscapedStringLiteral(text)
            | Constant::UnicodeStringLiteral(text)
            | Constant::NationalStringLiteral(text) => Ok(open(text)),
            Constant::DollarQuotedString(text) => Ok(open(&text.value)),
            Constant::Boolean(truth) => Ok(Typed::constant(Value::Integer(i64::from(*truth)), PgType::BOOL)),
            Constant::Null => Ok(Typed::constant(Value::Null, PgType::UNKNOWN)),
            Constant::Placeholder(name) => self.parameter(name),
            Constant::HexStringLiteral(_) | Constant::SingleQuotedByteStringLiteral(_) => unsupported("a bit string"),
            other => unsupported(&format!("the literal {other}")),
        }
    }

    fn truth(&mut self, expr: &Expr, test: &str) -> Result<Typed> {
        let inner = self.expr(expr)?;
        let inner = self.condition(inner, test)?;
        Ok(boolean(format!("({} {test})", inner.sql)).not_null())
    }

    fn unary(&mut self, op: &UnaryOperator, expr: &Expr) -> Result<Typed> {
        if matches!(op, UnaryOperator::Minus | UnaryOperator::Plus)
            && let Some(power) = signed_base(*op, expr)
        {
            return self.raw(&power);
        }
        let inner = self.expr(expr)?;
        let inner = self.parameter_type(inner);
        match op {
            UnaryOperator::Not => {
                let inner = self.condition(inner, "NOT")?;
                Ok(boolean(format!("(NOT {})", inner.sql)).nullable_if(inner.nullable))
            }
            UnaryOperator::Plus => Ok(inner),
            UnaryOperator::Minus => {
                // The smallest integer is written as minus something that is one too large.
                if let (PgType::NUMERIC, Some(Value::Blob(bytes))) = (inner.ty, inner.value()) {
                    let number = Numeric::decode(bytes)?.negate();
                    if inner.scale == Some(0) && number == Numeric::from(i64::MIN) && matches!(expr, Expr::Value(_)) {
                        return Ok(Typed::constant(Value::Integer(i64::MIN), PgType::INT8));
                    }
                    return Ok(Typed::constant(Value::Blob(number.encode().into()), PgType::NUMERIC));
                }
                let whole = inner.ty.is_integer() || inner.ty == PgType::UNKNOWN;
                if let (Some(Value::Integer(number)), true) = (inner.value(), whole)
                    && let Some(negative) = number.checked_neg()
                    && super::typed::type_range(inner.ty).is_none_or(|(_, high)| i128::from(negative) <= high)
                {
                    let ty = if inner.ty == PgType::INT8
                        && negative == i64::from(i32::MIN)
                        && matches!(expr, Expr::Value(_))
                    {
                        PgType::INT4
                    } else {
                        inner.ty
                    };
                    return Ok(Typed::constant(Value::Integer(negative), ty));
                }
                let ty = inner.ty;
                let nullable = inner.nullable;
                match ty {
                    PgType::NUMERIC => {
                        let scale = inner.scale;
                        Ok(Typed {
                            scale,
                            ..Typed::new(format!("evesql_numeric_neg({})", inner.sql), ty).nullable_if(nullable)
                        })
                    }
                    PgType::INTERVAL => Ok(Typed::new(format!("evesql_interval_mul({}, -1.0)", inner.sql), ty)),
                    _ if ty.is_float() => Ok(Typed::new(format!("(-{})", inner.sql), ty).nullable_if(nullable)),
                    _ if ty.is_integer() => {
                        let zero = Typed::constant(Value::Integer(0), ty);
                        self.binary(&BinaryOperator::Minus, zero, inner)
                    }
                    PgType::UNKNOWN => {
                        let zero = Typed::constant(Value::Integer(0), PgType::INT4);
                        self.binary(&BinaryOperator::Minus, zero, inner)
                    }
                    _ => Err(SqlError::new("42883", format!("operator does not exist: - {}", ty.sql_name()))),
                }
            }
            UnaryOperator::BitwiseNot if inner.ty.is_integer() => {
                Ok(Typed::new(format!("(~{})", inner.sql), inner.ty).nullable_if(inner.nullable))
            }
            UnaryOperator::PGAbs => self.function(&call("abs", vec![expr.clone()])),
            UnaryOperator::PGSquareRoot => {
                let inner = self.coerce(inner, PgType::FLOAT8, -1, Context::Implicit)?;
                Ok(Typed::new(format!("evesql_sqrt({})", inner.sql), PgType::FLOAT8).nullable_if(inner.nullable))
            }
            UnaryOperator::PGCubeRoot => self.function(&call("cbrt", vec![expr.clone()])),
            other => unsupported(&format!("operator {other}")),
        }
    }

    pub(super) fn in_list(&mut self, expr: &Expr, list: &[Expr], negated: bool) -> Result<Typed> {
        let word = if negated { "NOT IN" } else { "IN" };
        if let Expr::Tuple(left) = expr {
            let eq = BinaryOperator::Eq;
            let mut tests = Vec::new();
            for item in list {
                let Expr::Tuple(right) = item else { return unsupported("IN with a row and no row") };
                tests.push(self.rows(left, &eq, right)?.sql);
            }
            let not = if negated { "NOT " } else { "" };
            return Ok(boolean(format!("({not}({}))", tests.join(" OR "))));
        }
        let value = self.expr(expr)?;
        let mut items = Vec::new();
        for item in list {
            items.push(self.expr(item)?);
        }
        let mut all = vec![self.parameter_type(value)];
        all.append(&mut items);
        let nullable = all.iter().any(|item| item.nullable);
        // Against one type each: as `=` would bring it to.
        let mut sides = Vec::new();
        let simple = |ty: PgType| ty.is_integer() || ty.is_oid_like();
        let (ty, _) = self.common_type(&all.iter().collect::<Vec<_>>(), "IN").map_err(|error| {
            let other = |item: &&Typed| item.ty != PgType::UNKNOWN && item.ty.category() != all[0].ty.category();
            all.iter().find(other).map_or(error, |item| super::operators::no_operator("=", all[0].ty, item.ty))
        })?;
        let scale = all[0].scale.filter(|_| all[0].ty == PgType::NUMERIC);
        for item in all {
            let typed =
                if simple(item.ty) && simple(ty) { item } else { self.coerce(item, ty, -1, Context::Implicit)? };
            sides.push(match ty {
                PgType::NUMERIC if scale.is_none() || typed.scale != scale => {
                    format!("evesql_numeric_align({}, {})", typed.sql, scale.unwrap_or(0))
                }
                PgType::INTERVAL | PgType::JSONB => self.sort_key(&typed),
                PgType::JSON => return Err(super::operators::no_operator("=", ty, ty)),
                _ => typed.sql,
            });
        }
        Ok(boolean(format!("({} {word} ({}))", sides[0], sides[1..].join(", "))).nullable_if(nullable))
    }

    /// An element that json_each gave, in stored form.
    pub(super) fn element_sql(&self, value: &str, element: PgType) -> String {
        match element.storage() {
            crate::dialect::types::Storage::Blob => format!("unhex({value})"),
            crate::dialect::types::Storage::Real => format!("CAST({value} AS REAL)"),
            _ => value.to_string(),
        }
    }

    fn like_expr(
        &mut self,
        expr: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
        fold: bool,
        negated: bool,
    ) -> Result<Typed> {
        let (value, pattern) = (self.expr(expr)?, self.expr(pattern)?);
        let escape = escape.map(|escape| self.expr(escape)).transpose()?;
        let value = self.parameter_type(value);
        if value.ty == PgType::BYTEA && escape.is_none() && !fold {
            let pattern = self.coerce(pattern, PgType::BYTEA, -1, Context::Implicit)?;
            let not = if negated { "NOT " } else { "" };
            let nullable = value.nullable || pattern.nullable;
            let sql = format!("({not}evesql_bytes_like({}, {}))", value.sql, pattern.sql);
            return Ok(boolean(sql).nullable_if(nullable));
        }
        if value.ty != PgType::UNKNOWN && !value.ty.is_text() {
            return Err(super::operators::no_operator("~~", value.ty, pattern.ty));
        }
        if pattern.ty != PgType::UNKNOWN && !pattern.ty.is_text() {
            return Err(super::operators::no_operator("~~", value.ty, pattern.ty));
        }
        self.like(value, pattern, escape, fold, negated)
    }

    fn case(&mut self, operand: Option<&Expr>, conditions: &[CaseWhen], otherwise: Option<&Expr>) -> Result<Typed> {
        let operand = operand.map(|operand| self.expr(operand)).transpose()?;
        let mut tests = Vec::new();
        let mut results = Vec::new();
        for when in conditions {
            let condition = self.expr(&when.condition)?;
            tests.push(match &operand {
                Some(operand) => self.compare("=", operand.clone(), condition)?.sql,
                None => self.condition(condition, "CASE/WHEN")?.sql,
            });
            results.push(self.expr(&when.result)?);
        }
        let has_else = otherwise.is_some();
        if let Some(otherwise) = otherwise {
            results.push(self.expr(otherwise)?);
        }
        let scales: Vec<Option<u32>> = results.iter().map(|r| r.scale).collect();
        let (results, ty, typmod) = self.unify(results, "CASE")?;
        let nullable = !has_else || results.iter().any(|result| result.nullable);
        let mut sql = String::from("CASE");
        for (test, result) in tests.iter().zip(&results) {
            sql += &format!(" WHEN {test} THEN {}", result.sql);
        }
        if has_else {
            sql += &format!(" ELSE {}", results.last().map_or("NULL", |result| &result.sql));
        }
        let mut typed = Typed::new(format!("({sql} END)"), ty).nullable_if(nullable);
        typed.typmod = typmod;
        typed.scale = scales.first().copied().flatten().filter(|scale| scales.iter().all(|s| *s == Some(*scale)));
        Ok(typed)
    }

    /// A query inside an expression, seeing the columns around it.
    pub(super) fn subquery(&mut self, query: &sqlparser::ast::Query) -> Result<(String, Vec<super::typed::Output>)> {
        self.subquery_with(query, None)
    }

    pub(super) fn subquery_with(
        &mut self,
        query: &sqlparser::ast::Query,
        targets: Targets<'_>,
    ) -> Result<(String, Vec<super::typed::Output>)> {
        self.query(query, targets, false)
    }
}

/// The items of `(a, b)` and `ROW(a, b)`.
pub(super) fn row_items(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(items) => Some(items.clone()),
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => {
            let FunctionArguments::List(list) = &function.args else { return None };
            let item = |arg: &FunctionArg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            };
            list.args.iter().map(item).collect()
        }
        _ => None,
    }
}

/// An operator before an expression, with the arithmetic behind it that binds tighter: `~a + b` is `~(a + b)`, which the
/// parser reads as `(~a) + b`.
fn absorbed(expr: &Expr, stack: &mut Vec<(&BinaryOperator, &Expr, &Expr)>) -> Option<Expr> {
    let Expr::UnaryOp { op, expr } = expr else { return None };
    if let Some(inner) = absorbed(expr, stack) {
        return Some(Expr::UnaryOp { op: *op, expr: Box::new(inner) });
    }
    use UnaryOperator::{BitwiseNot, PGAbs, PGCubeRoot, PGSquareRoot};
    if !matches!(op, BitwiseNot | PGAbs | PGCubeRoot | PGSquareRoot) {
        return None;
    }
    let mut inner = None;
    while let Some((op, right, _)) = stack.last()
        && is_arithmetic(op)
    {
        let left = Box::new(inner.unwrap_or_else(|| expr.as_ref().clone()));
        inner = Some(Expr::BinaryOp { left, op: (*op).clone(), right: Box::new((*right).clone()) });
        stack.pop();
    }
    Some(Expr::UnaryOp { op: *op, expr: Box::new(inner?) })
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Divide, Minus, Modulo, Multiply, PGExp, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo | PGExp)
}

/// `-a ^ b` as PostgreSQL reads it, which is `(-a) ^ b`; `None` for what is no power.
fn signed_base(sign: UnaryOperator, expr: &Expr) -> Option<Expr> {
    let Expr::BinaryOp { left, op: op @ (BinaryOperator::PGExp | BinaryOperator::BitwiseXor), right } = expr else {
        return None;
    };
    let signed = |base: &Expr| Expr::Nested(Box::new(Expr::UnaryOp { op: sign, expr: Box::new(base.clone()) }));
    let base = signed_base(sign, left).unwrap_or_else(|| signed(left));
    Some(Expr::BinaryOp { left: Box::new(base), op: op.clone(), right: right.clone() })
}

/// A number as Postgres types it: the first of int4, int8, numeric that holds it.
fn number(digits: &str) -> Result<Typed> {
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    if let Some(hex) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        let value = i64::from_str_radix(hex, 16).map_err(|_| SqlError::new("22003", "integer out of range"))?;
        return Ok(integer(value));
    }
    if let (Ok(value), true) = (plain.parse::<i64>(), plain.bytes().all(|b| b.is_ascii_digit())) {
        return Ok(integer(value));
    }
    let value = Numeric::parse(&plain)?;
    Ok(Typed::constant(Value::Blob(value.encode().into()), PgType::NUMERIC))
}

fn integer(value: i64) -> Typed {
    let ty = if i32::try_from(value).is_ok() { PgType::INT4 } else { PgType::INT8 };
    Typed::constant(Value::Integer(value), ty)
}

/// A field of EXTRACT or INTERVAL in lower case.
pub(super) fn field_name(field: &DateTimeField) -> String {
    match field {
        DateTimeField::Custom(ident) => ident.value.to_lowercase(),
        other => other.to_string().to_lowercase(),
    }
}
