//! `@>`, `<@` and `&&` of arrays and jsonb, and jsonb's `?`, `?|`, `?&`.

use super::coerce::Context;
use super::operators::no_operator;
use super::typed::Typed;
use super::{Result, Translator};
use crate::dialect::types::PgType;
use sqlparser::ast::BinaryOperator;

impl Translator<'_> {
    /// `outer @> inner`; `inner <@ outer` is the same turned round.
    pub(super) fn contains(&mut self, op: &BinaryOperator, outer: Typed, inner: Typed) -> Result<Typed> {
        let (outer, inner) = (self.parameter_type(outer), self.parameter_type(inner));
        let known = if outer.ty == PgType::UNKNOWN { inner.ty } else { outer.ty };
        if known == PgType::JSONB {
            let outer = self.coerce(outer, PgType::JSONB, -1, Context::Implicit)?;
            let inner = self.coerce(inner, PgType::JSONB, -1, Context::Implicit)?;
            return Ok(told(format!("evesql_json_contains({}, {})", outer.sql, inner.sql), &outer, &inner));
        }
        self.array_has(op, outer, inner, true)
    }

    /// `&&` of arrays.
    pub(super) fn overlap(&mut self, op: &BinaryOperator, left: Typed, right: Typed) -> Result<Typed> {
        let (left, right) = (self.parameter_type(left), self.parameter_type(right));
        self.array_has(op, left, right, false)
    }

    fn array_has(&mut self, op: &BinaryOperator, outer: Typed, inner: Typed, all: bool) -> Result<Typed> {
        let ty = if outer.ty == PgType::UNKNOWN { inner.ty } else { outer.ty };
        let Some(element) = ty.element() else { return Err(no_operator(&op.to_string(), outer.ty, inner.ty)) };
        let outer = self.coerce(outer, ty, -1, Context::Implicit)?;
        let inner = self.coerce(inner, ty, -1, Context::Implicit)?;
        let sql = format!("evesql_array_has({}, {}, {}, {})", outer.sql, inner.sql, element.0, i32::from(all));
        Ok(told(sql, &outer, &inner))
    }

    /// `json ? key`, `json ?| keys`, `json ?& keys`.
    pub(super) fn has_key(&mut self, op: &BinaryOperator, json: Typed, keys: Typed) -> Result<Typed> {
        let (json, keys) = (self.parameter_type(json), self.parameter_type(keys));
        if json.ty != PgType::JSONB {
            return Err(no_operator(&op.to_string(), json.ty, keys.ty));
        }
        let keys = if *op == BinaryOperator::Question {
            let key = self.coerce(keys, PgType::TEXT, -1, Context::Implicit)?;
            // One key is a list of one.
            Typed { sql: format!("json_array({})", key.sql), ty: PgType::TEXT_ARRAY, literal: None, ..key }
        } else {
            self.coerce(keys, PgType::TEXT_ARRAY, -1, Context::Implicit)?
        };
        let all = i32::from(*op == BinaryOperator::QuestionAnd);
        Ok(told(format!("evesql_json_has({}, {}, {all})", json.sql, keys.sql), &json, &keys))
    }
}

fn told(sql: String, left: &Typed, right: &Typed) -> Typed {
    Typed::new(sql, PgType::BOOL).nullable_if(left.nullable || right.nullable)
}
