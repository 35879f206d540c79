//! FETCH FIRST .. WITH TIES: rows are numbered and ranked in the order asked for, and picked by both.

use super::select::Shape;
use super::set_operations::plain_query;
use super::typed::{Output, Targets};
use super::{Result, Translator, quote_name, unsupported};
use crate::transaction::SqlError;
use sqlparser::ast::{
    Expr, Fetch, GroupByExpr, Ident, OrderByExpr, Query, Select, SelectFlavor, SelectItem, SetExpr, TableAlias,
    TableFactor, TableWithJoins, Value as Constant, WildcardAdditionalOptions,
};

/// How many rows are wanted, and how many are passed over before: SQLite's text for both.
pub(super) struct Ties {
    pub count: String,
    pub offset: String,
}

impl Translator<'_> {
    /// A query with FETCH .. WITH TIES.
    pub(super) fn with_ties(
        &mut self,
        query: &Query,
        fetch: &Fetch,
        order: Vec<OrderByExpr>,
        targets: Targets<'_>,
        named: bool,
    ) -> Result<(String, Vec<Output>)> {
        if fetch.percent {
            return unsupported("FETCH FIRST .. PERCENT");
        }
        if order.is_empty() {
            return Err(SqlError::new("42601", "WITH TIES cannot be specified without ORDER BY clause"));
        }
        if !query.locks.is_empty() {
            return unsupported("FOR UPDATE with WITH TIES");
        }
        if matches!(&fetch.quantity, Some(Expr::Value(value)) if value.value == Constant::Null) {
            let message = "row count cannot be null in FETCH FIRST ... WITH TIES clause";
            return Err(SqlError::new("2201W", message));
        }
        let ties = Some(self.ties(query, fetch)?);
        let shape = Shape { targets, named, order, limit: String::new(), ties };
        match query.body.as_ref() {
            SetExpr::Select(select) if select.distinct.is_none() => self.select(select, shape, query),
            body => self.select(&all_of(body.clone()), shape, query),
        }
    }

    fn ties(&mut self, query: &Query, fetch: &Fetch) -> Result<Ties> {
        let (count, offset) = self.limits(&query.limit_clause, Some(fetch))?;
        Ok(Ties { count: count.unwrap_or_else(|| "-1".into()), offset: offset.unwrap_or_else(|| "0".into()) })
    }
}

/// `SELECT * FROM (body)`.
fn all_of(body: SetExpr) -> Select {
    let alias = TableAlias { explicit: true, name: Ident::with_quote('"', "ties:"), columns: Vec::new(), at: None };
    let relation = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(plain_query(body)),
        alias: Some(alias),
        sample: None,
    };
    Select {
        select_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())],
        exclude: None,
        into: None,
        from: vec![TableWithJoins { relation, joins: Vec::new() }],
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }
}

/// The rows of `select` (without its word) of which `terms` are the order.
pub(super) fn picked(ties: &Ties, outputs: &[Output], terms: &[String], tail: &str) -> String {
    let order = terms.join(", ");
    let name = |output: &Output| quote_name(&output.name);
    let inner = super::select::aliased(outputs);
    let list: Vec<String> = outputs.iter().map(|output| format!("d.{0} AS {0}", name(output))).collect();
    let Ties { count, offset } = ties;
    format!(
        "SELECT {} FROM (SELECT {}, rank() OVER (ORDER BY {order}) AS \"r:\", \
         row_number() OVER (ORDER BY {order}) AS \"o:\"{tail}) AS d \
         WHERE d.\"o:\" > {offset} AND ({count} < 0 OR {count} > 0 AND d.\"r:\" <= {offset} + {count}) ORDER BY d.\"o:\"",
        list.join(", "),
        inner.join(", "),
    )
}
