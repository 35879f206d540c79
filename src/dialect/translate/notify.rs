//! `SELECT pg_notify(channel, payload)`, which NOTIFY is too: a new row for whoever listens.
//!
//! A notification is data like any other: ordered, certified, undone with its transaction, and in the pages of every
//! replica. Sessions that listen read the rows that are new in each accepted version.

use super::calls::two_arguments;
use super::coerce::Context;
use super::{Result, Translator};
use crate::catalog::NOTIFICATIONS_KEPT;
use crate::dialect::prepared::{Kind, OutputColumn, Prepared, Tag};
use crate::dialect::types::PgType;
use sqlparser::ast::{Expr, Query, SelectItem, SetExpr};

impl Translator<'_> {
    /// The change that such a query makes; none of another query.
    pub(super) fn notify(&mut self, query: &Query) -> Result<Option<Prepared>> {
        let Some((name, [channel, payload])) = arguments(query) else { return Ok(None) };
        let mut values = Vec::with_capacity(2);
        for argument in [channel, payload] {
            let typed = self.expr(argument)?;
            values.push(self.coerce(typed, PgType::TEXT, -1, Context::Implicit)?.sql);
        }
        self.uses_system_values = true;
        let sql = vec![
            format!(
                "DELETE FROM evesql_notifications WHERE id <= (SELECT max(id) FROM evesql_notifications) - \
                 {NOTIFICATIONS_KEPT}"
            ),
            format!(
                "INSERT INTO evesql_notifications(process, channel, payload) VALUES (evesql_system('backend_pid'), {}, \
                 coalesce({}, '')) RETURNING ''",
                values[0], values[1]
            ),
        ];
        let column = OutputColumn { name, ty: PgType::VOID, typmod: -1, table_oid: 0, column_number: 0 };
        self.finish(Kind::Insert, sql, vec![column], Tag::Select, false).map(Some)
    }
}

/// Name of the result and the two arguments, if a query is that call and nothing else.
fn arguments(query: &Query) -> Option<(String, [&Expr; 2])> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let plain = query.with.is_none() && select.from.is_empty() && select.selection.is_none();
    let (call, alias) = match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(Expr::Function(call))] if plain => (call, None),
        [SelectItem::ExprWithAlias { expr: Expr::Function(call), alias }] if plain => (call, Some(alias.value.clone())),
        _ => return None,
    };
    if !matches!(call.name.to_string().to_ascii_lowercase().as_str(), "pg_notify" | "pg_catalog.pg_notify") {
        return None;
    }
    Some((alias.unwrap_or_else(|| "pg_notify".into()), two_arguments(call)?))
}
