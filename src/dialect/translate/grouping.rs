//! GROUP BY, and GROUPING SETS, ROLLUP and CUBE: of those each grouping is a query of its own, and UNION ALL puts their rows together.
//!
//! A query of one grouping keeps all expressions that any of them groups by: those that this one does not group by are
//! NULL in it. It says so in its GROUP BY by three lists, its own expressions, all of them and the names of
//! outputs, and by a modifier that PostgreSQL's grammar does not have.

use super::names::{fold, parts};
use super::select::Item;
use super::set_operations::plain_query;
use super::typed::{GroupKey, Typed};
use super::walk::{column_name, walk};
use super::{Result, Translator, unsupported};
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value};
use sqlparser::ast::{
    Distinct, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, GroupByWithModifier, Ident,
    OrderByExpr, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, TableAlias, TableFactor, TableWithJoins,
    Value as Constant,
};

/// Groupings that one query may have: each reads the tables anew.
const GROUPINGS_MAX: usize = 256;
/// Stands for the rows of all groupings.
const ALIAS: &str = "groupings:";

pub(super) type Groupings = Vec<Vec<Expr>>;

/// The groupings of a GROUP BY; `None` if it has but one.
pub(super) fn groupings(group_by: &GroupByExpr) -> Result<Option<Groupings>> {
    let GroupByExpr::Expressions(exprs, modifiers) = group_by else { return Ok(None) };
    if !modifiers.is_empty() || !exprs.iter().any(|expr| several(expr).is_some()) {
        return Ok(None);
    }
    let mut all: Groupings = vec![Vec::new()];
    for expr in exprs {
        let some = several(expr).map_or_else(|| Ok(vec![flat(expr)]), expanded)?;
        let with = |before: &Vec<Expr>, these: &Vec<Expr>| before.iter().chain(these).cloned().collect();
        all = all.iter().flat_map(|before| some.iter().map(move |these| with(before, these))).collect();
        limit(all.len())?;
    }
    Ok(Some(all))
}

fn limit(count: usize) -> Result<()> {
    if count > GROUPINGS_MAX {
        return Err(SqlError::new("54001", format!("too many grouping sets present (maximum {GROUPINGS_MAX})")));
    }
    Ok(())
}

enum Several {
    Rollup(Vec<Vec<Expr>>),
    Cube(Vec<Vec<Expr>>),
    Sets(Vec<Vec<Expr>>),
}

/// What stands for more than one grouping; inside GROUPING SETS, ROLLUP and CUBE look like calls.
fn several(expr: &Expr) -> Option<Several> {
    match expr {
        Expr::Rollup(items) => Some(Several::Rollup(items.clone())),
        Expr::Cube(items) => Some(Several::Cube(items.clone())),
        Expr::GroupingSets(sets) => Some(Several::Sets(sets.clone())),
        Expr::Function(function) => {
            let name = parts(&function.name).pop()?;
            let FunctionArguments::List(list) = &function.args else { return None };
            let arg = |arg: &FunctionArg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(flat(expr)),
                _ => None,
            };
            let items = || list.args.iter().map(arg).collect::<Option<Vec<_>>>();
            match name.as_str() {
                "rollup" => items().map(Several::Rollup),
                "cube" => items().map(Several::Cube),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The expressions of `(a, b)`, of `()`, of `a`.
fn flat(expr: &Expr) -> Vec<Expr> {
    match expr {
        Expr::Tuple(items) => items.clone(),
        other => vec![other.clone()],
    }
}

fn expanded(several_of: Several) -> Result<Groupings> {
    match several_of {
        Several::Rollup(items) => Ok((0..=items.len()).rev().map(|end| items[..end].concat()).collect()),
        Several::Cube(items) => {
            let sets =
                u32::try_from(items.len()).ok().and_then(|count| 1usize.checked_shl(count)).unwrap_or(usize::MAX);
            limit(sets)?;
            let one = |set: usize| {
                let chosen = items.iter().enumerate().filter(|(at, _)| set & (1 << at) == 0);
                chosen.flat_map(|(_, item)| item.clone()).collect()
            };
            Ok((0..sets).map(one).collect())
        }
        Several::Sets(sets) => {
            let mut all = Vec::new();
            for set in sets {
                match set.as_slice() {
                    [one] if several(one).is_some() => all.extend(several(one).map_or(Ok(Vec::new()), expanded)?),
                    _ => all.push(set),
                }
                limit(all.len())?;
            }
            Ok(all)
        }
    }
}

/// Of a query of one grouping.
pub(super) struct OneGrouping<'e> {
    /// What it groups by.
    pub own: &'e [Expr],
    /// All expressions that are grouped by.
    pub all: &'e [Expr],
    /// Names of the outputs, as they were before they got others.
    names: &'e [Expr],
}

impl OneGrouping<'_> {
    /// Which output has this name.
    pub fn output(&self, name: &str) -> Option<usize> {
        let names = self.names.iter().map(|expr| match expr {
            Expr::Identifier(ident) => fold(ident),
            _ => String::new(),
        });
        names.into_iter().position(|other| other == name)
    }
}

/// What a query says of its one grouping.
pub(super) fn one_grouping(group_by: &GroupByExpr) -> Option<OneGrouping<'_>> {
    match group_by {
        GroupByExpr::Expressions(exprs, modifiers) if modifiers.as_slice() == [GroupByWithModifier::Totals] => {
            match exprs.as_slice() {
                [Expr::GroupingSets(lists)] => match lists.as_slice() {
                    [own, all, names] => Some(OneGrouping { own, all, names }),
                    _ => None,
                },
                _ => None,
            }
        }
        _ => None,
    }
}

fn column(number: usize) -> Ident {
    Ident::with_quote('"', format!("c:{number}"))
}

fn number(number: usize) -> Expr {
    Expr::Value(Constant::Number(number.to_string(), false).with_empty_span())
}

fn item(expr: Expr, alias: Ident) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias }
}

impl Translator<'_> {
    /// `GROUPING(a, b)`: a bit for each expression, set where this grouping does not group by it.
    pub(super) fn grouping(&mut self, exprs: &[Expr]) -> Result<Typed> {
        let keys = self.scopes.last().and_then(|scope| scope.grouped.as_deref()).unwrap_or_default();
        let mut bits = 0;
        for expr in exprs {
            let Some(key) = keys.iter().find(|key| key.expr == *expr) else {
                let message = "arguments to GROUPING must be grouping expressions of the associated query level";
                return Err(SqlError::new("42803", message));
            };
            bits = bits << 1 | i64::from(key.is_absent);
        }
        Ok(Typed { literal: None, ..Typed::constant(Value::Integer(bits), PgType::INT4) })
    }

    /// A column of `*` must be fixed in a group, too.
    pub(super) fn grouped_column(&self, typed: Typed, name: &str) -> Result<Typed> {
        let Some(level) = self.scopes.len().checked_sub(1) else { return Ok(typed) };
        self.in_group(level, typed.column.map(|(oid, _)| oid), name, typed)
    }

    pub(super) fn group_by(
        &mut self,
        group_by: &GroupByExpr,
        items: &[Item<'_>],
        level: usize,
    ) -> Result<(Vec<GroupKey>, String)> {
        let GroupByExpr::Expressions(exprs, modifiers) = group_by else { return unsupported("GROUP BY ALL") };
        let one = one_grouping(group_by);
        if !modifiers.is_empty() && one.is_none() {
            return Err(SqlError::new("42601", "this form of GROUP BY is not Postgres"));
        }
        self.scopes[level].clause = "GROUP BY";
        let mut keys = Vec::new();
        let mut list = Vec::new();
        let exprs: Vec<Expr> = one.as_ref().map_or(exprs.as_slice(), |one| one.all).iter().flat_map(flat).collect();
        for expr in &exprs {
            let position = match expr {
                Expr::Value(value) => match &value.value {
                    Constant::Number(digits, _) => Some(
                        digits.parse::<usize>().ok().filter(|n| (1..=items.len()).contains(n)).ok_or_else(|| {
                            SqlError::new("42P10", format!("GROUP BY position {digits} is not in select list"))
                        })? - 1,
                    ),
                    _ => None,
                },
                // A column of the tables comes before a result column of that name.
                Expr::Identifier(ident) => {
                    let name = fold(ident);
                    match self.dry(|this| this.column(&name)) {
                        Ok(_) => None,
                        Err(error) if error.code() == "42703" => match &one {
                            Some(one) => one.output(&name),
                            None => items.iter().position(|item| item.name == name),
                        },
                        Err(error) => return Err(error),
                    }
                }
                _ => None,
            };
            let (key_expr, typed) = match position.map(|at| &items[at]) {
                Some(Item { typed: Some(typed), .. }) => (expr.clone(), typed.clone()),
                Some(Item { expr: Some(inner), .. }) => ((*inner).clone(), self.expr(inner)?),
                _ => (expr.clone(), self.expr(expr)?),
            };
            let typed = self.as_text_if_unknown(typed)?;
            if typed.ty == PgType::JSON {
                return Err(SqlError::new("42883", "could not identify an equality operator for type json"));
            }
            if one.as_ref().is_some_and(|one| !one.own.iter().flat_map(flat).any(|other| other == *expr)) {
                let null = Typed { typmod: typed.typmod, ..Typed::new("NULL", typed.ty) };
                keys.push(GroupKey { expr: key_expr, typed: null, is_absent: true });
                continue;
            }
            // A number alone would be a position in SQLite. What is shown of a group is one of its values as it is.
            list.push(match typed.literal {
                Some(_) => "NULL".to_string(),
                None if matches!(typed.ty, PgType::NUMERIC | PgType::JSONB | PgType::INTERVAL) => self.sort_key(&typed),
                None => typed.sql.clone(),
            });
            keys.push(GroupKey { expr: key_expr, typed, is_absent: false });
        }
        let sql = if list.is_empty() { String::new() } else { format!(" GROUP BY {}", list.join(", ")) };
        Ok((keys, sql))
    }

    /// Tables of which all primary key columns are grouped by.
    pub(super) fn fixed_tables(&self, keys: &[GroupKey], level: usize) -> Vec<u32> {
        let grouped: Vec<(u32, i16)> = keys.iter().filter_map(|key| key.typed.column).collect();
        let tables = self.scopes[level].relations.iter().filter_map(|relation| relation.table);
        tables
            .filter(|oid| {
                let key = self.catalog.table(*oid).and_then(|table| table.primary_key());
                key.is_some_and(|columns| columns.iter().all(|number| grouped.contains(&(*oid, *number))))
            })
            .collect()
    }
}

/// Whether there is a GROUP BY.
pub(super) fn is_grouped(group_by: &GroupByExpr) -> bool {
    !matches!(group_by, GroupByExpr::Expressions(exprs, modifiers) if exprs.is_empty() && modifiers.is_empty())
}

/// The query around the groupings, and its ORDER BY.
pub(super) fn united(
    select: &Select,
    order: &[OrderByExpr],
    groupings: Groupings,
) -> Result<(Select, Vec<OrderByExpr>)> {
    if matches!(select.distinct, Some(Distinct::On(_))) {
        return unsupported("DISTINCT ON with GROUPING SETS");
    }
    let mut names = Vec::new();
    let mut exprs = Vec::new();
    for item in &select.projection {
        let (expr, name) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, Ident::with_quote('"', column_name(expr))),
            SelectItem::ExprWithAlias { expr, alias } => (expr, alias.clone()),
            _ => return unsupported("* with GROUPING SETS"),
        };
        names.push(name);
        exprs.push(expr.clone());
    }
    let shown = exprs.len();
    let order: Vec<OrderByExpr> = order.iter().map(|term| placed(term, &names, &mut exprs)).collect();
    for expr in &exprs {
        let mut over = false;
        walk(expr, &mut |expr| over |= matches!(expr, Expr::Function(function) if function.over.is_some()));
        if over {
            return unsupported("a window function with GROUPING SETS");
        }
    }
    if select.distinct.is_some() && exprs.len() > shown {
        let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
        return Err(SqlError::new("42P10", message));
    }
    let mut all: Vec<Expr> = Vec::new();
    for expr in groupings.iter().flatten() {
        if !all.contains(expr) {
            all.push(expr.clone());
        }
    }
    let projection: Vec<SelectItem> =
        exprs.into_iter().enumerate().map(|(at, expr)| item(expr, column(at + 1))).collect();
    let one = |set: Vec<Expr>| {
        let names = names.iter().cloned().map(Expr::Identifier).collect();
        let group_by = vec![Expr::GroupingSets(vec![set, all.clone(), names])];
        SetExpr::Select(Box::new(Select {
            distinct: None,
            projection: projection.clone(),
            group_by: GroupByExpr::Expressions(group_by, vec![GroupByWithModifier::Totals]),
            ..select.clone()
        }))
    };
    let union = groupings.into_iter().map(one).reduce(|left, right| SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left: Box::new(left),
        right: Box::new(right),
    });
    let Some(union) = union else { return unsupported("GROUPING SETS of nothing") };
    let alias = TableAlias { explicit: true, name: Ident::with_quote('"', ALIAS), columns: Vec::new(), at: None };
    let relation = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(plain_query(union)),
        alias: Some(alias),
        sample: None,
    };
    let projection = names.into_iter().enumerate().map(|(at, name)| item(Expr::Identifier(column(at + 1)), name));
    let outer = Select {
        projection: projection.collect(),
        from: vec![TableWithJoins { relation, joins: Vec::new() }],
        selection: None,
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        having: None,
        named_window: Vec::new(),
        ..select.clone()
    };
    Ok((outer, order))
}

/// A term of ORDER BY over the union: by an output, or by a column made for it.
fn placed(term: &OrderByExpr, names: &[Ident], exprs: &mut Vec<Expr>) -> OrderByExpr {
    let by_name = match &term.expr {
        Expr::Identifier(ident) => names.iter().position(|name| fold(name) == fold(ident)),
        _ => None,
    };
    let expr = match (by_name, &term.expr) {
        (Some(at), _) => number(at + 1),
        (None, Expr::Value(_)) => term.expr.clone(),
        (None, expr) => match exprs.iter().take(names.len()).position(|other| other == expr) {
            Some(at) => number(at + 1),
            None => {
                exprs.push(expr.clone());
                Expr::Identifier(column(exprs.len()))
            }
        },
    };
    OrderByExpr { expr, ..term.clone() }
}
