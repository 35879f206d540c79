//! Queries: SELECT with all its clauses, set operations, VALUES, WITH.

use super::coerce::Context;
use super::grouping::{groupings, is_grouped, united};
use super::names::{fold, parts};
use super::ties::{Ties, picked};
use super::typed::{Cte, Output, Scope, Targets, Typed};
use super::walk::{column_name, has_aggregate};
use super::{Privileges, Result, Translator, quote_name, unsupported};
use crate::dialect::prepared::{LockWait, Locking};
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value};
use sqlparser::ast::{
    CteAsMaterialized, Distinct, Expr, Fetch, LimitClause, LockType, NamedWindowExpr, NonBlock, OrderByExpr,
    OrderByKind, OrderByOptions, OrderBySort, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    Value as Constant, WildcardAdditionalOptions, With,
};

/// Queries translated for one statement, dry runs included: nested ones are run dry more than once.
const QUERIES_MAX: u32 = 20_000;

/// How a query stands among others.
pub(super) struct Shape<'t> {
    pub targets: Targets<'t>,
    /// Columns need names that are all different.
    pub named: bool,
    pub order: Vec<OrderByExpr>,
    pub limit: String,
    /// FETCH FIRST .. WITH TIES, for which `limit` is empty.
    pub ties: Option<Ties>,
}

impl<'t> Shape<'t> {
    /// Without ORDER BY and LIMIT.
    pub fn plain(targets: Targets<'t>, named: bool) -> Shape<'t> {
        Shape { targets, named, order: Vec::new(), limit: String::new(), ties: None }
    }
}

impl Translator<'_> {
    /// The query of a whole statement.
    pub(super) fn top_query(&mut self, query: &Query) -> Result<(String, Vec<Output>)> {
        let (sql, outputs) = self.query(query, None, false)?;
        // Parameters and strings that are still of no type become text.
        let open = outputs.iter().any(|output| output.typed.param.is_some());
        let named = outputs.iter().any(|output| output.typed.ty.is_oid_like() && output.typed.ty != PgType::OID);
        if outputs.iter().any(|output| output.typed.ty == PgType::RECORD) {
            return unsupported("a row as a result");
        }
        if !open && !named {
            return Ok((sql, outputs));
        }
        for output in &outputs {
            if let Some(at) = output.typed.param {
                self.params[at].get_or_insert(PgType::TEXT);
            }
        }
        if !named {
            return Ok((sql, outputs));
        }
        // regclass and its relatives show as names.
        let (sql, unique) = self.query(query, None, true)?;
        let mut list = Vec::new();
        for output in &unique {
            let column = format!("q.{}", quote_name(&output.name));
            let ty = output.typed.ty;
            list.push(if ty.is_oid_like() && ty != PgType::OID { self.object_name_sql(&column, ty) } else { column });
        }
        Ok((format!("SELECT {} FROM ({sql}) AS q", list.join(", ")), outputs))
    }

    /// Translates to learn the types, and leaves no trace.
    pub(super) fn dry<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let (params, scopes, ctes) = (self.params.clone(), self.scopes.len(), self.ctes.len());
        let (locking, views) = (self.locking.len(), self.views.len());
        let result = work(self);
        self.params = params;
        self.scopes.truncate(scopes);
        self.ctes.truncate(ctes);
        self.locking.truncate(locking);
        self.views.truncate(views);
        result
    }

    pub(super) fn query(&mut self, query: &Query, targets: Targets<'_>, named: bool) -> Result<(String, Vec<Output>)> {
        self.check_stack()?;
        self.queries += 1;
        if self.queries > QUERIES_MAX {
            return Err(SqlError::new("54001", "statement is too complex"));
        }
        if !query.pipe_operators.is_empty() || query.for_clause.is_some() {
            return unsupported("this form of query");
        }
        let ctes = self.ctes.len();
        let with = match &query.with {
            Some(with) => self.with_clause(with)?,
            None => String::new(),
        };
        let result = self.query_body(query, targets, named);
        self.ctes.truncate(ctes);
        let (sql, outputs) = result?;
        Ok((format!("{with}{sql}"), outputs))
    }

    fn query_body(&mut self, query: &Query, targets: Targets<'_>, named: bool) -> Result<(String, Vec<Output>)> {
        let order = match query.order_by.as_ref().map(|order| &order.kind) {
            None => Vec::new(),
            Some(OrderByKind::Expressions(terms)) => terms.clone(),
            Some(OrderByKind::All(_)) => return unsupported("ORDER BY ALL"),
        };
        if let Some(fetch) = query.fetch.as_ref().filter(|fetch| fetch.with_ties) {
            return self.with_ties(query, fetch, order, targets, named);
        }
        let limit = self.limit(query)?;
        let bare = order.is_empty() && limit.is_empty() && query.locks.is_empty();
        let shape = Shape { targets, named, order, limit, ties: None };
        match query.body.as_ref() {
            SetExpr::Query(inner) if bare => self.query(inner, targets, named),
            SetExpr::Select(select) => self.select(select, shape, query),
            SetExpr::Values(values) if bare && !named => self.values(values, targets),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                unsupported("a data-modifying statement in WITH")
            }
            _ if !query.locks.is_empty() => unsupported("FOR UPDATE with UNION, INTERSECT, EXCEPT or VALUES"),
            body => self.set_operation(body, shape),
        }
    }

    fn limit(&mut self, query: &Query) -> Result<String> {
        Ok(match self.limits(&query.limit_clause, query.fetch.as_ref())? {
            (None, None) => String::new(),
            (Some(limit), None) => format!(" LIMIT {limit}"),
            (limit, Some(offset)) => format!(" LIMIT {} OFFSET {offset}", limit.unwrap_or_else(|| "-1".into())),
        })
    }

    /// How many rows are wanted, and how many are passed over before.
    pub(super) fn limits(
        &mut self,
        clause: &Option<LimitClause>,
        fetch: Option<&Fetch>,
    ) -> Result<(Option<String>, Option<String>)> {
        let (mut limit, mut offset) = (None, None);
        match clause {
            None => {}
            Some(LimitClause::LimitOffset { limit: l, offset: o, limit_by }) => {
                if !limit_by.is_empty() {
                    return unsupported("LIMIT BY");
                }
                limit = l.as_ref();
                offset = o.as_ref().map(|o| &o.value);
            }
            Some(LimitClause::OffsetCommaLimit { .. }) => {
                return Err(SqlError::new("42601", "LIMIT #,# syntax is not supported")
                    .with_hint("Use separate LIMIT and OFFSET clauses."));
            }
        }
        let one = Expr::Value(Constant::Number("1".into(), false).with_empty_span());
        if let Some(fetch) = fetch {
            if fetch.percent {
                return unsupported("FETCH FIRST .. PERCENT");
            }
            limit = Some(fetch.quantity.as_ref().unwrap_or(&one));
        }
        let limit = limit.map(|limit| self.row_count(limit, "LIMIT")).transpose()?;
        let offset = offset.map(|offset| self.row_count(offset, "OFFSET")).transpose()?;
        Ok((limit, offset))
    }

    fn row_count(&mut self, expr: &Expr, clause: &'static str) -> Result<String> {
        self.scopes.push(Scope { clause, ..Scope::default() });
        let typed = self.expr(expr).and_then(|typed| self.coerce(typed, PgType::INT8, -1, Context::Assignment));
        self.scopes.pop();
        let typed = typed?;
        let none = if clause == "LIMIT" { "-1" } else { "0" };
        Ok(match typed.value() {
            Some(Value::Null) => none.into(),
            Some(Value::Integer(number)) if *number >= 0 => number.to_string(),
            Some(Value::Integer(_)) if clause == "LIMIT" => {
                return Err(SqlError::new("2201W", "LIMIT must not be negative"));
            }
            Some(_) => return Err(SqlError::new("2201X", "OFFSET must not be negative")),
            None => format!("evesql_{}({})", clause.to_lowercase(), typed.sql),
        })
    }

    pub(super) fn with_clause(&mut self, with: &With) -> Result<String> {
        let word = if with.recursive { "WITH RECURSIVE" } else { "WITH" };
        Ok(format!("{word} {} ", self.with_list(with)?))
    }

    /// What stands behind WITH.
    pub(super) fn with_list(&mut self, with: &With) -> Result<String> {
        let mut list = Vec::new();
        for (at, cte) in with.cte_tables.iter().enumerate() {
            let name = fold(&cte.alias.name);
            if with.cte_tables[..at].iter().any(|before| fold(&before.alias.name) == name) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                return Err(self.at_name(SqlError::new("42712", message), &cte.alias.name));
            }
            let given: Vec<String> = cte.alias.columns.iter().map(|column| fold(&column.name)).collect();
            let sql_name =
                if self.ctes.iter().any(|other| other.name == name) { self.fresh(&name) } else { name.clone() };
            let named = |outputs: Vec<Output>| -> Vec<Output> {
                let mut all: Vec<Output> = Vec::new();
                for (at, output) in outputs.into_iter().enumerate() {
                    let mut shown = given.get(at).cloned().unwrap_or(output.name);
                    if all.iter().any(|other| other.name == shown) {
                        shown = format!("{shown}:dup{at}");
                    }
                    let ty = if output.typed.ty == PgType::UNKNOWN { PgType::TEXT } else { output.typed.ty };
                    let typed = Typed { ty, literal: None, param: None, checked: None, ..output.typed };
                    all.push(Output { name: shown, typed });
                }
                all
            };
            let mut known = false;
            if with.recursive
                && let SetExpr::SetOperation { left, .. } = cte.query.body.as_ref()
            {
                let outer_with = cte.query.with.is_some();
                let shape = Shape::plain(None, false);
                if !outer_with {
                    let first = self.dry(|this| this.set_operation(left, shape))?.1;
                    let columns = named(first).into_iter().map(|mut output| {
                        output.typed.nullable = true;
                        output.typed.scale = None;
                        output.typed.range = super::typed::type_range(output.typed.ty);
                        output.typed.column = None;
                        output
                    });
                    let columns = columns.collect();
                    self.ctes.push(Cte { name: name.clone(), sql_name: sql_name.clone(), columns });
                    known = true;
                }
            }
            let body = if known { std::ptr::from_ref(cte.query.body.as_ref()).addr() } else { 0 };
            let around = std::mem::replace(&mut self.recursive_body, body);
            let translated = self.query(&cte.query, None, false);
            self.recursive_body = around;
            let (sql, outputs) = translated?;
            if given.len() > outputs.len() {
                return Err(SqlError::new(
                    "42P10",
                    format!(
                        "WITH query \"{name}\" has {} columns available but {} columns specified",
                        outputs.len(),
                        given.len()
                    ),
                ));
            }
            for output in &outputs {
                if let Some(at) = output.typed.param {
                    self.params[at].get_or_insert(PgType::TEXT);
                }
            }
            let columns = named(outputs);
            let names: Vec<String> = columns.iter().map(|column| quote_name(&column.name)).collect();
            let hint = match cte.materialized {
                Some(CteAsMaterialized::Materialized) => "MATERIALIZED ",
                Some(CteAsMaterialized::NotMaterialized) => "NOT MATERIALIZED ",
                None => "",
            };
            list.push(format!("{}({}) AS {hint}({sql})", quote_name(&sql_name), names.join(", ")));
            if !known {
                self.ctes.push(Cte { name, sql_name, columns });
            }
        }
        Ok(list.join(", "))
    }

    pub(super) fn select(&mut self, select: &Select, shape: Shape<'_>, query: &Query) -> Result<(String, Vec<Output>)> {
        if select.into.is_some() {
            return unsupported("SELECT INTO");
        }
        if select.top.is_some()
            || select.qualify.is_some()
            || !select.lateral_views.is_empty()
            || select.prewhere.is_some()
        {
            return unsupported("this form of SELECT");
        }
        if let Some(moved) = super::sets::moved_to_from(select) {
            return self.select(&moved, shape, query);
        }
        if let Some(groupings) = groupings(&select.group_by)? {
            let (outer, order) = united(select, &shape.order, groupings)?;
            return self.select(&outer, Shape { order, ..shape }, query);
        }
        let from = self.tables_of(&select.from)?;
        self.lock_rows(query, &from.relations)?;
        let scope = Scope { relations: from.relations, merged: from.merged, clause: "WHERE", ..Scope::default() };
        self.scopes.push(scope);
        let level = self.scopes.len() - 1;
        let result = self.select_in_scope(select, shape, &from.sql, level);
        self.scopes.truncate(level);
        result
    }

    fn lock_rows(&mut self, query: &Query, relations: &[super::typed::Relation]) -> Result<()> {
        for lock in &query.locks {
            let of = lock.of.as_ref().map(parts);
            let wait = match lock.nonblock {
                None => LockWait::Block,
                Some(NonBlock::Nowait) => LockWait::NoWait,
                Some(NonBlock::SkipLocked) => LockWait::SkipLocked,
            };
            for relation in relations {
                let named = of.as_ref().is_none_or(|of| of.last() == Some(&relation.alias));
                if let (Some(table_oid), true) = (relation.table, named) {
                    self.need_on(table_oid, Privileges::UPDATE);
                    self.locking.push(Locking { table_oid, exclusive: lock.lock_type == LockType::Update, wait });
                }
            }
            if let Some(of) = of.filter(|of| !relations.iter().any(|relation| of.last() == Some(&relation.alias))) {
                return Err(SqlError::new(
                    "42P01",
                    format!("relation \"{}\" in FOR UPDATE clause not found in FROM clause", of.join(".")),
                ));
            }
        }
        Ok(())
    }

    fn select_in_scope(
        &mut self,
        select: &Select,
        shape: Shape<'_>,
        from: &str,
        level: usize,
    ) -> Result<(String, Vec<Output>)> {
        let mut tail = String::new();
        if let Some(condition) = &select.selection {
            let typed = self.expr(condition)?;
            let typed = self.condition(typed, "WHERE")?;
            tail += &format!(" WHERE {}", bare(&typed.sql));
        }
        let items = self.expand(&select.projection)?;
        let (keys, group_sql) = self.group_by(&select.group_by, &items, level)?;
        let aggregates = items.iter().any(|item| item.expr.is_some_and(has_aggregate))
            || shape.order.iter().any(|term| has_aggregate(&term.expr));
        let one_group = group_sql.is_empty() && (select.having.is_some() || is_grouped(&select.group_by));
        let aggregated = !keys.is_empty() || one_group || aggregates;
        if aggregated {
            self.scopes[level].fixed_tables = self.fixed_tables(&keys, level);
            self.scopes[level].grouped = Some(keys);
        }
        self.scopes[level].aggregates_allowed = true;
        self.scopes[level].clause = "SELECT";
        let mut windows = Vec::new();
        for definition in &select.named_window {
            let name = fold(&definition.0);
            let NamedWindowExpr::WindowSpec(spec) = &definition.1 else {
                return unsupported("a window named by a window");
            };
            let spec = self.window(spec)?;
            windows.push(format!("{} AS ({spec})", quote_name(&name)));
            self.scopes[level].windows.push(name);
        }
        let distinct = matches!(select.distinct, Some(Distinct::Distinct));
        let mut outputs: Vec<Output> = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let typed = match (&item.typed, item.expr) {
                (Some(typed), _) => self.grouped_column(typed.clone(), &item.name)?,
                (None, Some(expr)) => self.raw(expr)?,
                (None, None) => return unsupported("an empty select list item"),
            };
            let mut typed = match shape.targets.and_then(|targets| targets.get(at)).and_then(Option::as_ref) {
                Some(target) => self.fit_target(typed, target)?,
                None => typed.settled(),
            };
            // Inside a query around it, what has no type is text.
            if shape.named || distinct {
                typed = self.as_text_if_unknown(typed)?;
            }
            if distinct && typed.ty == PgType::JSON {
                return Err(SqlError::new("42883", "could not identify an equality operator for type json"));
            }
            outputs.push(Output { name: item.name.clone(), typed });
        }
        if let Some(having) = &select.having {
            self.scopes[level].clause = "HAVING";
            let typed = self.expr(having)?;
            let typed = self.condition(typed, "HAVING")?;
            tail += &group_sql;
            tail += &format!(" HAVING {}", bare(&typed.sql));
        } else {
            tail += &group_sql;
        }
        // One group of all rows, also of none: SQLite makes it for an aggregate alone.
        if one_group
            && !aggregates
            && let Some(first) = outputs.first_mut()
        {
            first.typed.sql = format!("(CASE WHEN count(*) >= 0 THEN {} END)", first.typed.sql);
            first.typed.literal = None;
        }
        if !windows.is_empty() {
            tail += &format!(" WINDOW {}", windows.join(", "));
        }
        let order = self.order_of(&shape.order, &outputs, distinct)?;
        if shape.named || shape.ties.is_some() {
            make_unique(&mut outputs);
        }
        let from = if from.is_empty() { String::new() } else { format!(" FROM {from}") };
        match &select.distinct {
            Some(Distinct::On(on)) => return self.distinct_on(on, &order, outputs, &format!("{from}{tail}"), &shape),
            Some(_) if distinct && outputs.iter().any(|output| output.typed.has_equals_of_other_bytes()) => {
                return Ok(self.distinct_by_key(&order, outputs, &format!("{from}{tail}"), &shape));
            }
            _ => {}
        }
        if let Some(ties) = &shape.ties {
            let term = |term: &OrderTerm| format!("{}{}", self.spelled_out(term, &outputs), term.options);
            let terms: Vec<String> = order.iter().map(term).collect();
            let sql = picked(ties, &outputs, &terms, &format!("{from}{tail}"));
            if !shape.named {
                make_plain(&mut outputs);
            }
            return Ok((sql, outputs));
        }
        let list: Vec<String> = outputs
            .iter()
            .map(|output| match shape.named {
                true => format!("{} AS {}", output.typed.sql, quote_name(&output.name)),
                false => output.typed.sql.clone(),
            })
            .collect();
        let order: Vec<String> = order.iter().map(|term| format!("{}{}", term.key, term.options)).collect();
        let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
        let list = if list.is_empty() { "NULL".to_string() } else { list.join(", ") };
        let word = if distinct { "SELECT DISTINCT " } else { "SELECT " };
        Ok((format!("{word}{list}{from}{tail}{order}{}", shape.limit), outputs))
    }

    pub(super) fn expand<'e>(&self, projection: &'e [SelectItem]) -> Result<Vec<Item<'e>>> {
        let mut items = Vec::new();
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    items.push(Item { expr: Some(expr), typed: None, name: column_name(expr) })
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    items.push(Item { expr: Some(expr), typed: None, name: fold(alias) });
                }
                SelectItem::Wildcard(options) => {
                    plain_wildcard(options)?;
                    let scope = self.scopes.last();
                    let columns = scope.iter().flat_map(|scope| {
                        let rest = scope.relations.iter().flat_map(|r| &r.columns).filter(|c| !c.hidden);
                        scope.merged.iter().chain(rest)
                    });
                    let before = items.len();
                    items.extend(columns.map(|c| Item {
                        expr: None,
                        typed: Some(c.typed.clone()),
                        name: c.name.clone(),
                    }));
                    if items.len() == before && scope.is_none_or(|scope| scope.relations.is_empty()) {
                        return Err(SqlError::new("42601", "SELECT * with no tables specified is not valid"));
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    plain_wildcard(options)?;
                    let qualifier = parts(name);
                    let relation =
                        self.relation_at(self.scopes.len().saturating_sub(1), &qualifier).ok_or_else(|| {
                            SqlError::new(
                                "42P01",
                                format!("missing FROM-clause entry for table \"{}\"", qualifier.join(".")),
                            )
                        })?;
                    let columns = relation.columns.iter().filter(|column| !column.is_system());
                    items.extend(columns.map(|c| Item {
                        expr: None,
                        typed: Some(c.typed.clone()),
                        name: c.name.clone(),
                    }));
                }
                _ => return unsupported("this select list item"),
            }
        }
        Ok(items)
    }

    fn order_of(&mut self, terms: &[OrderByExpr], outputs: &[Output], distinct: bool) -> Result<Vec<OrderTerm>> {
        if let Some(scope) = self.scopes.last_mut() {
            scope.clause = "ORDER BY";
        }
        let mut list = Vec::new();
        for term in terms {
            let (output, typed) = match output_position(&term.expr, outputs)? {
                Some(at) => (Some(at), outputs[at].typed.clone()),
                None => {
                    let typed = self.expr(&term.expr)?;
                    if typed.literal.is_some() {
                        continue;
                    }
                    (outputs.iter().position(|output| output.typed.sql == typed.sql), typed)
                }
            };
            if typed.ty == PgType::JSON {
                return Err(SqlError::new("42883", "could not identify an ordering operator for type json"));
            }
            if distinct && output.is_none() {
                let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
                return Err(SqlError::new("42P10", message));
            }
            let key = match (self.sort_key(&typed), output) {
                (key, Some(at)) if key == typed.sql => (at + 1).to_string(),
                (key, _) => key,
            };
            list.push(OrderTerm { output, key, options: order_term("", typed.nullable, &term.options)? });
        }
        Ok(list)
    }

    /// ORDER BY of a window or an aggregate: expressions only.
    pub(super) fn order_terms(&mut self, terms: &[OrderByExpr]) -> Result<Vec<String>> {
        let mut list = Vec::new();
        for term in terms {
            let typed = self.expr(&term.expr)?;
            if typed.literal.is_some() {
                continue;
            }
            list.push(order_term(&self.sort_key(&typed), typed.nullable, &term.options)?);
        }
        Ok(list)
    }
}

/// A term of ORDER BY.
pub(super) struct OrderTerm {
    /// The output that it is, if it is one.
    pub output: Option<usize>,
    /// What SQLite sorts by: the output's number where that does.
    pub key: String,
    /// What stands behind it: direction, and where NULLs go.
    pub options: String,
}

/// An item of a select list with `*` written out.
pub(super) struct Item<'e> {
    pub expr: Option<&'e Expr>,
    pub typed: Option<Typed>,
    pub name: String,
}

fn plain_wildcard(options: &WildcardAdditionalOptions) -> Result<()> {
    let plain = options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
        && options.opt_ilike.is_none();
    if plain { Ok(()) } else { unsupported("an option of *") }
}

/// One key: Postgres puts NULLs last going up and first going down, SQLite the other way round.
pub(super) fn order_term(key: &str, nullable: bool, options: &OrderByOptions) -> Result<String> {
    let descending = match &options.sort {
        None | Some(OrderBySort::Asc) => false,
        Some(OrderBySort::Desc) => true,
        Some(OrderBySort::Using(operator)) => match operator.to_string().rsplit('.').next().unwrap_or_default() {
            "<" => false,
            ">" => true,
            other => {
                let error = SqlError::new("42809", format!("operator {other} is not a valid ordering operator"));
                return Err(
                    error.with_hint("Ordering operators must be \"<\" or \">\" members of btree operator families.")
                );
            }
        },
    };
    let nulls_first = options.nulls_first.unwrap_or(descending);
    let mut term = key.to_string();
    if descending {
        term += " DESC";
    }
    // SQLite's own way needs no words, and an index serves it.
    if nullable && nulls_first == descending {
        term += if nulls_first { " NULLS FIRST" } else { " NULLS LAST" };
    }
    Ok(term)
}

/// Which output a name or number in ORDER BY means.
pub(super) fn output_position(expr: &Expr, outputs: &[Output]) -> Result<Option<usize>> {
    match expr {
        Expr::Value(value) => match &value.value {
            Constant::Number(digits, _) if !digits.bytes().all(|b| b.is_ascii_digit()) => {
                Err(SqlError::new("42601", "non-integer constant in ORDER BY"))
            }
            Constant::Number(digits, _) => match digits.parse::<usize>() {
                Ok(number) if (1..=outputs.len()).contains(&number) => Ok(Some(number - 1)),
                _ => Err(SqlError::new("42P10", format!("ORDER BY position {digits} is not in select list"))),
            },
            _ => Err(SqlError::new("42601", "non-integer constant in ORDER BY")),
        },
        Expr::Identifier(ident) => {
            let name = fold(ident);
            let mut found = outputs.iter().enumerate().filter(|(_, output)| output.name == name);
            match (found.next(), found.next()) {
                (Some((_, first)), Some((_, second))) if first.typed.sql != second.typed.sql => {
                    Err(SqlError::new("42702", format!("ORDER BY \"{name}\" is ambiguous")))
                }
                (first, _) => Ok(first.map(|(at, _)| at)),
            }
        }
        _ => Ok(None),
    }
}

pub(super) fn make_unique(outputs: &mut [Output]) {
    for at in 0..outputs.len() {
        let (before, rest) = outputs.split_at_mut(at);
        if before.iter().any(|other| other.name.eq_ignore_ascii_case(&rest[0].name)) {
            rest[0].name = format!("{}:dup{at}", rest[0].name);
        }
    }
}

/// A name as it was before [`make_unique`].
pub(super) fn plain_name(name: &str) -> &str {
    name.split_once(":dup").map_or(name, |(plain, _)| plain)
}

/// Undoes [`make_unique`] for clients, who may see a name twice.
pub(super) fn make_plain(outputs: &mut [Output]) {
    outputs.iter_mut().for_each(|output| output.name = plain_name(&output.name).to_string());
}

/// `expression AS name` of each output.
pub(super) fn aliased(outputs: &[Output]) -> Vec<String> {
    outputs.iter().map(|output| format!("{} AS {}", output.typed.sql, quote_name(&output.name))).collect()
}

/// Without the parentheses around the whole, where there are any.
fn bare(sql: &str) -> &str {
    let Some(inner) = sql.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else { return sql };
    // A subquery keeps its own.
    if inner.starts_with("SELECT ") || inner.starts_with("WITH ") {
        return sql;
    }
    let mut depth = 0i32;
    let mut quote = None;
    for b in inner.bytes() {
        match (quote, b) {
            (Some(q), b) if b == q => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(b),
            (None, b'(') => depth += 1,
            (None, b')') => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return sql;
        }
    }
    inner
}
