//! Arrays as they are written, and their parts: elements and slices; subscripts of jsonb too.

use super::coerce::Context;
use super::typed::Typed;
use super::{Result, Translator, unsupported};
use crate::dialect::codec::array_to_json;
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value};
use sqlparser::ast::{AccessExpr, BinaryOperator, Expr, Subscript};

impl Translator<'_> {
    pub(super) fn array(&mut self, items: &[Expr], element: Option<PgType>) -> Result<Typed> {
        // A cast of the whole is one of each element.
        let context = if element.is_some() { Context::Explicit } else { Context::Implicit };
        let mut all = Vec::new();
        for item in items {
            let typed = match item {
                Expr::Array(inner) => self.array(&inner.elem, element)?,
                other => self.expr(other)?,
            };
            all.push(typed);
        }
        let nested = all.first().is_some_and(|item| item.ty.element().is_some());
        let element = match element {
            Some(element) => element,
            None if all.is_empty() => {
                return Err(SqlError::new("42P18", "cannot determine type of empty array")
                    .with_hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."));
            }
            None => self.common_type(&all.iter().collect::<Vec<_>>(), "ARRAY")?.0,
        };
        let (element, array) = match nested {
            true => (element.array().filter(|_| element.element().is_none()).unwrap_or(element), element),
            false => (element, element),
        };
        let array = if array.element().is_some() { Some(array) } else { array.array() };
        let array = array.ok_or_else(|| {
            SqlError::new("42704", format!("could not find array type for data type {}", element.sql_name()))
        })?;
        let mut converted = Vec::new();
        for item in all {
            converted.push(self.coerce(item, if nested { array } else { element }, -1, context)?);
        }
        let values: Option<Vec<Value>> = converted.iter().map(|item| item.value().cloned()).collect();
        if let (Some(values), false) = (&values, nested) {
            return Ok(Typed::constant(Value::Text(array_to_json(values).into()), array));
        }
        let items: Vec<String> = converted.iter().map(|item| self.json_item(item, nested)).collect();
        Ok(Typed::new(format!("json_array({})", items.join(", ")), array).not_null())
    }

    /// A value as an argument of json_array: bytes as hexadecimal digits, inner arrays as JSON.
    pub(super) fn json_item(&self, item: &Typed, nested: bool) -> String {
        match item.ty.storage() {
            _ if nested => format!("json({})", item.sql),
            // hex() of NULL is empty, as it is of no bytes, which bytea alone may have.
            crate::dialect::types::Storage::Blob => match (item.nullable, item.ty) {
                (false, _) => format!("lower(hex({}))", item.sql),
                (true, PgType::BYTEA) => format!("iif({0} IS NULL, NULL, lower(hex({0})))", item.sql),
                (true, _) => format!("lower(nullif(hex({}), ''))", item.sql),
            },
            _ => item.sql.clone(),
        }
    }

    pub(super) fn subscript(&mut self, root: &Expr, chain: &[AccessExpr]) -> Result<Typed> {
        if let Some(field) = self.record_field(root, chain)? {
            return Ok(field);
        }
        // `a.b[1]` comes as a chain of names first.
        let mut names = Vec::new();
        let mut rest = chain;
        if let Expr::Identifier(first) = root {
            names.push(first.clone());
            while let Some((AccessExpr::Dot(Expr::Identifier(next)), tail)) = rest.split_first() {
                names.push(next.clone());
                rest = tail;
            }
        }
        let mut typed = match names.len() {
            0 => self.expr(root)?,
            1 => self.expr(root)?,
            _ => self.expr(&Expr::CompoundIdentifier(names))?,
        };
        if let Some(element) = typed.ty.element().filter(|_| rest.len() > 1)
            && let Some(indexes) = all_indexes(rest)
        {
            return self.deep_item(typed, element, &indexes);
        }
        for access in rest {
            let index = match access {
                AccessExpr::Subscript(Subscript::Index { index }) => index,
                AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride: None }) => {
                    typed = self.slice(typed, lower_bound.as_ref(), upper_bound.as_ref())?;
                    continue;
                }
                _ => return unsupported("a field of a row"),
            };
            // A name is an array of characters, too, counted from 0.
            if typed.ty == PgType::NAME {
                let index = self.expr(index)?;
                let index = self.coerce(index, PgType::INT4, -1, Context::Implicit)?;
                typed = Typed::new(format!("substr({}, {} + 1, 1)", typed.sql, index.sql), PgType::CHAR);
                continue;
            }
            if typed.ty == PgType::JSONB {
                let index = self.expr(index)?;
                typed = self.binary(&BinaryOperator::Arrow, typed, index)?;
                continue;
            }
            let element = typed.ty.element().ok_or_else(|| {
                SqlError::new(
                    "42804",
                    format!("cannot subscript type {} because it does not support subscripting", typed.ty.sql_name()),
                )
            })?;
            let zero_based = matches!(typed.ty, PgType::INT2VECTOR | PgType::OIDVECTOR);
            let index = self.expr(index)?;
            let index = self.coerce(index, PgType::INT4, -1, Context::Implicit)?;
            let sql = match zero_based {
                true => format!("json_extract({}, '$[' || {} || ']')", typed.sql, index.sql),
                false => format!("evesql_array_item({}, {})", typed.sql, index.sql),
            };
            let scale = typed.scale;
            let typmod = typed.typmod;
            typed = Typed::new(self.element_sql(&sql, element), element);
            (typed.scale, typed.typmod) = (scale, typmod);
        }
        Ok(typed)
    }

    /// `a[1][2]`
    fn deep_item(&mut self, array: Typed, element: PgType, indexes: &[&Expr]) -> Result<Typed> {
        let mut list = vec![array.sql];
        for index in indexes {
            let index = self.expr(index)?;
            list.push(self.coerce(index, PgType::INT4, -1, Context::Implicit)?.sql);
        }
        let sql = format!("evesql_array_item({})", list.join(", "));
        Ok(Typed::new(self.element_sql(&sql, element), element))
    }

    /// `a[2:3]`, of an array of one dimension.
    fn slice(&mut self, array: Typed, low: Option<&Expr>, high: Option<&Expr>) -> Result<Typed> {
        if array.ty.element().is_none() {
            let message =
                format!("cannot subscript type {} because it does not support subscripting", array.ty.sql_name());
            return Err(SqlError::new("42804", message));
        }
        let mut bound = |bound: Option<&Expr>, open: i64| -> Result<String> {
            let Some(expr) = bound else { return Ok(open.to_string()) };
            let typed = self.expr(expr)?;
            Ok(self.coerce(typed, PgType::INT4, -1, Context::Implicit)?.sql)
        };
        let (low, high) = (bound(low, 1)?, bound(high, i64::from(i32::MAX))?);
        let sql = format!("evesql_array_slice({}, {low}, {high})", array.sql);
        let sliced = Typed::new(sql, array.ty);
        Ok(Typed { scale: array.scale, typmod: array.typmod, ..sliced })
    }
}

/// The subscripts of a chain that has nothing else.
fn all_indexes(chain: &[AccessExpr]) -> Option<Vec<&Expr>> {
    fn index(access: &AccessExpr) -> Option<&Expr> {
        match access {
            AccessExpr::Subscript(Subscript::Index { index }) => Some(index),
            _ => None,
        }
    }
    chain.iter().map(index).collect()
}
