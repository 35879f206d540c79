//! Operators on what consists of parts, arrays and jsonb: containment, existence, joining and taking away.

use super::coerce::Context;
use super::operators::{boolean, no_operator};
use super::typed::Typed;
use super::{Result, Translator};
use crate::dialect::types::PgType;
use crate::transaction::SqlError;
use sqlparser::ast::BinaryOperator;

impl Translator<'_> {
    fn jsonb(&mut self, typed: Typed) -> Result<Typed> {
        self.coerce(typed, PgType::JSONB, -1, Context::Implicit)
    }

    fn call(name: &str, left: &Typed, right: &Typed, ty: PgType) -> Typed {
        Typed::new(format!("{name}({}, {})", left.sql, right.sql), ty).nullable_if(left.nullable || right.nullable)
    }

    /// `@>` and `&&`.
    pub(super) fn containment(&mut self, op: &BinaryOperator, left: Typed, right: Typed) -> Result<Typed> {
        let (left, right) = (self.parameter_type(left), self.parameter_type(right));
        let is_containment = *op == BinaryOperator::AtArrow;
        if is_containment && (left.ty == PgType::JSONB || right.ty == PgType::JSONB) {
            let (left, right) = (self.jsonb(left)?, self.jsonb(right)?);
            return Ok(Self::call("evesql_jsonb_contains", &left, &right, PgType::BOOL));
        }
        let array = match (left.ty.element(), right.ty.element()) {
            (Some(_), _) => left.ty,
            (None, Some(_)) => right.ty,
            (None, None) => return Err(no_operator(&op.to_string(), left.ty, right.ty)),
        };
        // Of these one value has several texts.
        if let Some(element @ (PgType::NUMERIC | PgType::INTERVAL | PgType::JSON | PgType::JSONB)) = array.element() {
            let message = format!("operator {op} on arrays of {} is not supported", element.sql_name());
            return Err(SqlError::new("0A000", message));
        }
        let left = self.coerce(left, array, -1, Context::Implicit)?;
        let right = self.coerce(right, array, -1, Context::Implicit)?;
        let name = if is_containment { "evesql_array_contains" } else { "evesql_array_overlaps" };
        Ok(Self::call(name, &left, &right, PgType::BOOL))
    }

    /// `?`, `?|` and `?&`.
    pub(super) fn has_keys(&mut self, op: &BinaryOperator, left: Typed, right: Typed) -> Result<Typed> {
        let right = self.parameter_type(right);
        if left.ty != PgType::JSONB {
            return Err(no_operator(&op.to_string(), left.ty, right.ty));
        }
        if *op == BinaryOperator::Question {
            let key = self.coerce(right, PgType::TEXT, -1, Context::Implicit)?;
            return Ok(Self::call("evesql_jsonb_exists", &left, &key, PgType::BOOL));
        }
        let keys = self.coerce(right, PgType::TEXT_ARRAY, -1, Context::Implicit)?;
        let all = i32::from(*op == BinaryOperator::QuestionAnd);
        let sql = format!("evesql_jsonb_exists_of({}, {}, {all})", left.sql, keys.sql);
        Ok(boolean(sql, left.nullable || keys.nullable))
    }

    /// `||` of jsonb.
    pub(super) fn joined_jsonb(&mut self, left: Typed, right: Typed) -> Result<Typed> {
        let (left, right) = (self.jsonb(left)?, self.jsonb(right)?);
        Ok(Self::call("evesql_jsonb_concat", &left, &right, PgType::JSONB))
    }

    /// `-` of jsonb.
    pub(super) fn without(&mut self, left: Typed, right: Typed) -> Result<Typed> {
        let right = self.parameter_type(right);
        let (name, what) = if right.ty.is_integer() {
            ("evesql_jsonb_delete", right)
        } else if right.ty.element().is_some() {
            ("evesql_jsonb_delete_keys", self.coerce(right, PgType::TEXT_ARRAY, -1, Context::Implicit)?)
        } else {
            ("evesql_jsonb_delete", self.coerce(right, PgType::TEXT, -1, Context::Implicit)?)
        };
        Ok(Self::call(name, &left, &what, PgType::JSONB))
    }

    /// `#-`.
    pub(super) fn without_path(&mut self, left: Typed, right: Typed) -> Result<Typed> {
        let right = self.parameter_type(right);
        if left.ty != PgType::JSONB {
            return Err(no_operator("#-", left.ty, right.ty));
        }
        let path = self.coerce(right, PgType::TEXT_ARRAY, -1, Context::Implicit)?;
        Ok(Self::call("evesql_jsonb_delete_path", &left, &path, PgType::JSONB))
    }
}
