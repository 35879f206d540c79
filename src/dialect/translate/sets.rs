//! Functions that return sets, where PostgreSQL also allows them: in a SELECT list, and several in step.
//!
//! `SELECT a, unnest(b), unnest(c) FROM t` becomes a join of `t` with the rows of the arrays, taken side by
//! side; a shorter array gives NULL at its end. JDBC's `information_schema._pg_expandarray(a)`, whose rows
//! are records of an element `x` and its place `n`, is one of these functions: its records are JSON
//! objects, and those two are the only fields of records that are known.

use super::from::Item;
use super::names::parts;
use super::typed::{Column, Relation, Scope, Typed};
use super::{Result, Translator, quote_name};
use crate::dialect::types::PgType;
use crate::transaction::SqlError;
use sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr,
    Ident, ObjectName, Select, SelectItem, TableAlias, TableFactor, TableWithJoins,
};

/// Set-returning functions that may stand in a SELECT list.
const IN_SELECT_LIST: &[&str] = &[
    "unnest",
    "generate_series",
    "generate_subscripts",
    "_pg_expandarray",
    "json_array_elements",
    "json_array_elements_text",
    "json_object_keys",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_object_keys",
    "regexp_matches",
    "regexp_split_to_table",
    "string_to_table",
    "pg_listening_channels",
];
/// Stands for several set-returning functions in step; no client can write this name unquoted.
const IN_STEP: &str = "evesql:in step";
/// Alias of what a SELECT list's functions become.
const ALIAS: &str = "evesql:sets";

fn set_function(expr: &Expr) -> Option<(&Function, String)> {
    let Expr::Function(function) = expr else { return None };
    let name = parts(&function.name).pop()?;
    (function.over.is_none() && IN_SELECT_LIST.contains(&name.as_str())).then_some((function, name))
}

/// Whether a set-returning function stands in the expression where it can be taken out.
fn has_set(expr: &Expr) -> bool {
    set_function(expr).is_some() || inner(expr).into_iter().any(has_set)
}

/// Expressions below one, as far as functions are looked for.
fn inner(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Nested(expr) | Expr::UnaryOp { expr, .. } | Expr::Cast { expr, .. } => vec![expr],
        Expr::CompoundFieldAccess { root, .. } => vec![root],
        Expr::BinaryOp { left, right, .. } => vec![left, right],
        Expr::Function(Function { args: FunctionArguments::List(list), .. }) => {
            list.args.iter().filter_map(arg).collect()
        }
        _ => Vec::new(),
    }
}

fn arg(arg: &FunctionArg) -> Option<&Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// Puts columns in the place of the set-returning functions and collects those.
fn take_out(expr: &mut Expr, found: &mut Vec<Expr>) {
    if set_function(expr).is_some() {
        let column = format!("c{}", found.len() + 1);
        let place = Expr::CompoundIdentifier(vec![quoted(ALIAS), Ident::new(column)]);
        found.push(std::mem::replace(expr, place));
        return;
    }
    match expr {
        Expr::Nested(expr) | Expr::UnaryOp { expr, .. } | Expr::Cast { expr, .. } => take_out(expr, found),
        Expr::CompoundFieldAccess { root, .. } => take_out(root, found),
        Expr::BinaryOp { left, right, .. } => {
            take_out(left, found);
            take_out(right, found);
        }
        Expr::Function(Function { args: FunctionArguments::List(list), .. }) => {
            for arg in &mut list.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg {
                    take_out(expr, found);
                }
            }
        }
        _ => {}
    }
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// A SELECT whose list has set-returning functions, with those moved to its FROM; `None` for all others.
pub(super) fn moved_to_from(select: &Select) -> Option<Select> {
    let listed = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => has_set(expr),
        _ => false,
    };
    // Sets per group would come after the grouping: not this simple.
    let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    if is_grouped || !select.projection.iter().any(listed) {
        return None;
    }
    let mut moved = select.clone();
    let mut calls = Vec::new();
    for item in &mut moved.projection {
        if let SelectItem::UnnamedExpr(expr) = item {
            let alias = quoted(&super::walk::column_name(expr));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
        if let SelectItem::ExprWithAlias { expr, .. } = item {
            take_out(expr, &mut calls);
        }
    }
    let alias = TableAlias { explicit: true, name: quoted(ALIAS), columns: Vec::new(), at: None };
    let args = calls.into_iter().map(|call| FunctionArg::Unnamed(FunctionArgExpr::Expr(call))).collect();
    let relation = TableFactor::Function {
        lateral: true,
        name: ObjectName::from(vec![quoted(IN_STEP)]),
        args,
        with_ordinality: false,
        alias: Some(alias),
    };
    moved.from.push(TableWithJoins { relation, joins: Vec::new() });
    Some(moved)
}

/// `unnest(a, b)` as the two calls that it stands for.
pub(super) fn several_arrays(arrays: &[Expr]) -> Vec<FunctionArg> {
    let call = |array: &Expr| {
        let list = FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(array.clone()))],
            clauses: Vec::new(),
        };
        let function = Function {
            name: ObjectName::from(vec![Ident::new("unnest")]),
            uses_odbc_syntax: false,
            parameters: FunctionArguments::None,
            args: FunctionArguments::List(list),
            within_group: Vec::new(),
            filter: None,
            null_treatment: None,
            over: None,
        };
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(function)))
    };
    arrays.iter().map(call).collect()
}

/// The name under which [`Translator::in_step`] is called.
pub(super) fn in_step_name() -> ObjectName {
    ObjectName::from(vec![quoted(IN_STEP)])
}

/// Whether a function in FROM is [`IN_STEP`].
pub(super) fn is_in_step(name: &ObjectName) -> bool {
    parts(name).last().is_some_and(|name| name == IN_STEP)
}

impl Translator<'_> {
    /// Set-returning functions side by side, as a relation of one column for each.
    pub(super) fn in_step(
        &mut self,
        calls: &[FunctionArg],
        alias: &str,
        with_ordinality: bool,
        visible: &[Relation],
    ) -> Result<Item> {
        self.scopes.push(Scope { relations: visible.to_vec(), clause: "functions in FROM", ..Scope::default() });
        let sets: Result<Vec<_>> = calls.iter().filter_map(arg).map(|call| self.set_of_call(call)).collect();
        self.scopes.pop();
        let sets = sets?;
        let quoted = quote_name(alias);
        let (driver, alone) = match sets.as_slice() {
            [(json, _, _)] => (json.clone(), true),
            sets => {
                let lengths: Vec<String> =
                    sets.iter().map(|(json, _, _)| format!("ifnull(json_array_length({json}), 0)")).collect();
                (format!("evesql_series(1, max({}), 1)", lengths.join(", ")), false)
            }
        };
        let column = |(at, (json, element, is_record)): (usize, &(String, PgType, bool))| {
            let value = match alone {
                true => format!("{quoted}.value"),
                false => format!("json_extract({json}, '$[' || {quoted}.key || ']')"),
            };
            let typed = match is_record {
                true => Typed::new(format!("json_object('x', {value}, 'n', {quoted}.key + 1)"), PgType::RECORD),
                false => Typed::new(self.element_sql(&value, *element), *element),
            };
            Column { name: format!("c{}", at + 1), typed, hidden: false }
        };
        let mut columns: Vec<Column> = sets.iter().enumerate().map(column).collect();
        if with_ordinality {
            let typed = Typed::new(format!("({quoted}.key + 1)"), PgType::INT8).not_null();
            columns.push(Column { name: "ordinality".into(), typed, hidden: false });
        }
        let relation = Relation { alias: alias.to_string(), schema: None, table: None, columns };
        Ok(Item { sql: format!("json_each({driver}) AS {quoted}"), relations: vec![relation], ..Item::default() })
    }

    /// The array of a call's rows, the type of its elements, and whether the rows are records of them.
    fn set_of_call(&mut self, call: &Expr) -> Result<(String, PgType, bool)> {
        let refused = || SqlError::new("0A000", "this set-returning function is not supported here");
        let (function, name) = set_function(call).ok_or_else(refused)?;
        let FunctionArguments::List(list) = &function.args else { return Err(refused()) };
        let is_record = name == "_pg_expandarray";
        let (json, element) = self.set_of(if is_record { "unnest" } else { &name }, &list.args)?;
        Ok((json, element, is_record))
    }

    /// `(record).x`: the fields of [`Self::in_step`]'s records.
    pub(super) fn record_field(&mut self, root: &Expr, chain: &[AccessExpr]) -> Result<Option<Typed>> {
        let (Expr::Nested(_), [AccessExpr::Dot(Expr::Identifier(field))]) = (root, chain) else { return Ok(None) };
        let typed = self.expr(root)?;
        let ty = match (typed.ty, field.value.to_lowercase().as_str()) {
            (PgType::RECORD, "x") => PgType::INT2,
            (PgType::RECORD, "n") => PgType::INT4,
            _ => return Ok(None),
        };
        Ok(Some(Typed::new(format!("json_extract({}, '$.{}')", typed.sql, field.value.to_lowercase()), ty)))
    }
}
