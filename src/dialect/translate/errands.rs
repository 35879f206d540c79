//! Calls that the session carries out beside the statement: advisory locks and sleeping. Each becomes a system value
//! whose name says what is to be done.

use super::coerce::Context;
use super::{Result, Translator, Typed};
use crate::dialect::ERRAND;
use crate::dialect::types::PgType;
use crate::transaction::SqlError;
use sqlparser::ast::Expr;

impl Translator<'_> {
    /// Such a call; none of another function.
    pub(super) fn errand_call(&mut self, name: &str, exprs: &[Expr]) -> Result<Option<Typed>> {
        let (words, result) = match name {
            "pg_advisory_lock" => ("lock exclusive session", PgType::VOID),
            "pg_advisory_lock_shared" => ("lock shared session", PgType::VOID),
            "pg_advisory_xact_lock" => ("lock exclusive transaction", PgType::VOID),
            "pg_advisory_xact_lock_shared" => ("lock shared transaction", PgType::VOID),
            "pg_try_advisory_lock" => ("try exclusive session", PgType::BOOL),
            "pg_try_advisory_lock_shared" => ("try shared session", PgType::BOOL),
            "pg_try_advisory_xact_lock" => ("try exclusive transaction", PgType::BOOL),
            "pg_try_advisory_xact_lock_shared" => ("try shared transaction", PgType::BOOL),
            "pg_advisory_unlock" => ("unlock exclusive", PgType::BOOL),
            "pg_advisory_unlock_shared" => ("unlock shared", PgType::BOOL),
            "pg_advisory_unlock_all" => ("unlock_all", PgType::VOID),
            "pg_sleep" => ("sleep", PgType::VOID),
            _ => return Ok(None),
        };
        let types: &[PgType] = match (words, exprs.len()) {
            ("unlock_all", 0) => &[],
            ("sleep", 1) => &[PgType::FLOAT8],
            ("unlock_all" | "sleep", _) => return self.no_such_call(name, exprs),
            (_, 1) => &[PgType::INT8],
            (_, 2) => &[PgType::INT4, PgType::INT4],
            _ => return self.no_such_call(name, exprs),
        };
        self.does_errands = Some(name.to_owned());
        self.uses_system_values = true;
        let mut sql = format!("'{ERRAND}{words}'");
        for (expr, ty) in exprs.iter().zip(types) {
            let arg = self.expr(expr)?;
            sql += &format!(" || ' ' || {}", self.coerce(arg, *ty, -1, Context::Implicit)?.sql);
        }
        Ok(Some(Typed::new(format!("evesql_system({sql})"), result)))
    }

    fn no_such_call(&mut self, name: &str, exprs: &[Expr]) -> Result<Option<Typed>> {
        let args = self.strict_args(exprs, exprs.len(), name)?;
        Err(super::calls::no_function(name, &args))
    }

    /// A statement that may run several times before its answer must change nothing.
    pub(super) fn allow_errands(&self, is_read: bool) -> Result<bool> {
        match &self.does_errands {
            Some(name) if !is_read => {
                let error =
                    SqlError::new("0A000", format!("{name}() in a statement that changes data is not supported"));
                Err(error.with_hint("Call it before, in a SELECT of its own."))
            }
            done => Ok(done.is_some()),
        }
    }
}
