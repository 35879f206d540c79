//! ANY, SOME, ALL and IN of arrays and subqueries.

use super::coerce::Context;
use super::expr::boolean;
use super::typed::{Target, Typed};
use super::{Result, Translator, quote_name, unsupported};
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value};
use sqlparser::ast::{BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Query};

impl Translator<'_> {
    /// `x IN (subquery)`
    pub(super) fn in_subquery(&mut self, expr: &Expr, query: &Query, negated: bool) -> Result<Typed> {
        let word = if negated { "NOT IN" } else { "IN" };
        let left: Vec<&Expr> = match expr {
            Expr::Tuple(items) => items.iter().collect(),
            other => vec![other],
        };
        let mut values = Vec::new();
        for item in left {
            let typed = self.expr(item)?;
            values.push(self.parameter_type(typed));
        }
        let (_, outputs) = self.dry(|this| this.subquery(query))?;
        if outputs.len() != values.len() {
            let few = if outputs.len() > values.len() { "many" } else { "few" };
            return Err(SqlError::new("42601", format!("subquery has too {few} columns")));
        }
        let mut targets = Vec::new();
        let mut sides = Vec::new();
        // By key where equal values may be different bytes.
        let mut keyed = Vec::new();
        for (value, output) in values.into_iter().zip(&outputs) {
            let (ty, _) = self.common_type(&[&value, &output.typed], "IN")?;
            if ty == PgType::JSON {
                return Err(super::operators::no_operator("=", ty, ty));
            }
            let same_form = |a: PgType| a == ty || (a.is_integer() && ty.is_integer()) || (a.is_text() && ty.is_text());
            let value = if same_form(value.ty) { value } else { self.coerce(value, ty, -1, Context::Implicit)? };
            targets.push(if same_form(output.typed.ty) {
                None
            } else {
                Some(Target { ty, typmod: -1, align: false, column: None })
            });
            let mut common = Typed::new("", ty);
            common.scale = value.scale.filter(|scale| output.typed.scale == Some(*scale));
            keyed.push(common.has_equals_of_other_bytes().then_some(ty));
            sides.push(if keyed.last().is_some_and(Option::is_some) { self.key_of(&value.sql, ty) } else { value.sql });
        }
        let is_keyed = keyed.iter().any(Option::is_some);
        let (mut sql, outputs) = self.query(query, Some(&targets), is_keyed)?;
        if is_keyed {
            let columns = keyed.iter().zip(&outputs).map(|(keyed, output)| {
                let column = format!("u.{}", quote_name(&output.name));
                keyed.map_or_else(|| column.clone(), |ty| self.key_of(&column, ty))
            });
            sql = format!("SELECT {} FROM ({sql}) AS u", columns.collect::<Vec<_>>().join(", "));
        }
        let left = if sides.len() == 1 { sides.remove(0) } else { format!("({})", sides.join(", ")) };
        Ok(boolean(format!("({left} {word} ({sql}))")))
    }

    /// The key of a value of a type, of no scale that would be known.
    fn key_of(&self, sql: &str, ty: PgType) -> String {
        self.sort_key(&Typed::new(sql, ty))
    }

    /// `x op ANY (array or subquery)`
    pub(super) fn quantified(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, any: bool) -> Result<Typed> {
        let right = match right {
            Expr::Nested(inner) => inner,
            other => other,
        };
        let equal = matches!(op, BinaryOperator::Eq);
        if let Expr::Subquery(query) = right {
            return match (any, op) {
                (true, BinaryOperator::Eq) => self.in_subquery(left, query, false),
                (false, BinaryOperator::NotEq) => self.in_subquery(left, query, true),
                _ if super::operators::comparison(op).is_none() => {
                    unsupported(&format!("{op} {} with a subquery", if any { "ANY" } else { "ALL" }))
                }
                _ => self.quantified_query(left, op, query, any),
            };
        }
        if let Expr::Array(array) = right
            && !array.elem.is_empty()
            && ((any && equal) || (!any && matches!(op, BinaryOperator::NotEq)))
        {
            return self.in_list(left, &array.elem, !any);
        }
        let value = self.expr(left)?;
        let value = self.parameter_type(value);
        let array = self.expr(right)?;
        let array = self.parameter_type(array);
        let wanted = match array.ty.element() {
            Some(_) => array.ty,
            None if array.ty == PgType::UNKNOWN => {
                let element = if value.ty == PgType::VARCHAR { PgType::TEXT } else { value.ty };
                let element = if element == PgType::UNKNOWN { PgType::TEXT } else { element };
                element
                    .array()
                    .ok_or_else(|| SqlError::new("42809", "op ANY/ALL (array) requires array on right side"))?
            }
            None => return Err(SqlError::new("42809", "op ANY/ALL (array) requires array on right side")),
        };
        let array = self.coerce(array, wanted, -1, Context::Implicit)?;
        let element = wanted.element().unwrap_or(PgType::TEXT);
        let item = self.element_sql("value", element);
        if let (Some(Value::Text(json)), true) = (array.value(), any && equal) {
            // A constant array is a list.
            let items = crate::dialect::codec::array_from_json(json, element)?;
            let mut tests = Vec::new();
            for item in items {
                tests.push(self.compare("=", value.clone(), Typed::constant(item, element))?.sql);
            }
            let sql = if tests.is_empty() { "0".to_string() } else { format!("({})", tests.join(" OR ")) };
            return Ok(boolean(sql));
        }
        let each = Typed::new(item, element);
        if any && equal {
            let number_apart = |ty: PgType| matches!(ty, PgType::NUMERIC | PgType::INTERVAL);
            let plain = value.ty == element
                || (value.ty.is_integer() && element.is_integer())
                || (value.ty.is_text() && element.is_text())
                || value.ty.is_oid_like();
            if plain && !number_apart(element) {
                // Of no array nothing is known, as of one that holds NULL.
                let list = if array.nullable { format!("ifnull({}, '[null]')", array.sql) } else { array.sql };
                return Ok(boolean(format!("({} IN (SELECT {} FROM json_each({list})))", value.sql, each.sql)));
            }
        }
        let test = match super::operators::comparison(op) {
            Some(sign) => self.compare(sign, value, each)?,
            None => self.binary(op, value, each)?,
        };
        if test.ty != PgType::BOOL {
            return Err(SqlError::new("42809", "op ANY/ALL (array) requires operator to yield boolean"));
        }
        Ok(over_elements(&array.sql, &test.sql, any))
    }

    /// `value LIKE ANY (array)` and `ALL`, also with NOT and ILIKE.
    pub(super) fn like_each(
        &mut self,
        value: &Expr,
        array: &Expr,
        any: bool,
        fold: bool,
        negated: bool,
    ) -> Result<Typed> {
        if matches!(array, Expr::Subquery(_)) {
            return unsupported("LIKE ANY of a subquery");
        }
        let value = self.expr(value)?;
        let value = self.parameter_type(value);
        let array = self.expr(array)?;
        let array = self.parameter_type(array);
        let array = match array.ty.element() {
            Some(element) if element.is_text() => array,
            Some(element) => return Err(super::operators::no_operator("~~", value.ty, element)),
            None if array.ty == PgType::UNKNOWN => self.coerce(array, PgType::TEXT_ARRAY, -1, Context::Implicit)?,
            None => return Err(SqlError::new("42809", "op ANY/ALL (array) requires array on right side")),
        };
        let each = Typed::new("value", PgType::TEXT);
        let test = self.like(value, each, None, fold, negated)?;
        Ok(over_elements(&array.sql, &test.sql, any))
    }

    /// `x op ANY (subquery)`: every row is compared.
    fn quantified_query(&mut self, left: &Expr, op: &BinaryOperator, query: &Query, any: bool) -> Result<Typed> {
        if matches!(left, Expr::Tuple(_)) {
            return unsupported(&format!("{op} {} of rows with a subquery", if any { "ANY" } else { "ALL" }));
        }
        let value = self.expr(left)?;
        let value = self.parameter_type(value);
        let (sql, mut outputs) = self.query(query, None, true)?;
        let (Some(output), true) = (outputs.pop(), outputs.is_empty()) else {
            return Err(SqlError::new("42601", "subquery has too many columns"));
        };
        // No name of the query's own may come before those that stand in the value.
        let (row, column, rows) = (self.fresh("row"), self.fresh("column"), self.fresh("rows"));
        let each = Typed { sql: quote_name(&column), column: None, literal: None, checked: None, ..output.typed };
        let test = self.compare(&op.to_string(), value, each)?;
        let (row, column, rows) = (quote_name(&row), quote_name(&column), quote_name(&rows));
        Ok(boolean(any_or_all(
            any,
            &format!(
                "SELECT {} AS r FROM (SELECT {row}.{} AS {column} FROM ({sql}) AS {row}) AS {rows}",
                test.sql,
                quote_name(&output.name)
            ),
        )))
    }
}

/// A test of the `value` of each element of an array, put together.
fn over_elements(array: &str, test: &str, any: bool) -> Typed {
    let known = any_or_all(any, &format!("SELECT {test} AS r FROM json_each({array})"));
    boolean(format!("(CASE WHEN {array} IS NOT NULL THEN {known} END)"))
}

/// The array behind LIKE ANY or LIKE ALL, which the parser takes for a function; and whether it is ANY.
pub(super) fn pattern_array(pattern: &Expr, any: bool) -> Option<(&Expr, bool)> {
    match pattern {
        Expr::Nested(array) if any => Some((array, true)),
        other if any => Some((other, true)),
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("all") => {
            let FunctionArguments::List(list) = &function.args else { return None };
            match list.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(array))] => Some((array, false)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Three-valued: a row that decides decides; else NULL if any is NULL.
fn any_or_all(any: bool, tests: &str) -> String {
    let (pick, decides, otherwise) = if any { ("max", 1, 0) } else { ("min", 0, 1) };
    format!(
        "(SELECT CASE WHEN {pick}(r) = {decides} THEN {decides} WHEN count(*) > count(r) THEN NULL ELSE {otherwise} END \
         FROM ({tests}))"
    )
}
