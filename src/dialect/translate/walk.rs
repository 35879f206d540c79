//! Looking through expressions: aggregates in them, and the names that Postgres gives to columns.

use super::names::{fold, parts};
use sqlparser::ast::{Expr, SelectItem, SetExpr};

/// Whether an aggregate is called in an expression, subqueries and windows left out.
pub(super) fn has_aggregate(expr: &Expr) -> bool {
    let mut found = false;
    walk(expr, &mut |expr| {
        if let Expr::Function(function) = expr {
            let name = parts(&function.name).pop().unwrap_or_default();
            found |= function.over.is_none() && super::aggregates::is_aggregate(&name);
        }
    });
    found
}

/// Visits an expression and its parts, but no subqueries.
pub(super) fn walk<'e>(expr: &'e Expr, visit: &mut impl FnMut(&'e Expr)) {
    use sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
    let mut stack = vec![expr];
    while let Some(expr) = stack.pop() {
        visit(expr);
        match expr {
            Expr::BinaryOp { left, right, .. } | Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => {
                stack.extend([left.as_ref(), right])
            }
            Expr::Nested(e)
            | Expr::IsNull(e)
            | Expr::IsNotNull(e)
            | Expr::IsTrue(e)
            | Expr::IsNotTrue(e)
            | Expr::IsFalse(e)
            | Expr::IsNotFalse(e)
            | Expr::IsUnknown(e)
            | Expr::IsNotUnknown(e) => stack.push(e),
            Expr::UnaryOp { expr, .. }
            | Expr::Cast { expr, .. }
            | Expr::Extract { expr, .. }
            | Expr::Collate { expr, .. }
            | Expr::Ceil { expr, .. }
            | Expr::Floor { expr, .. }
            | Expr::InSubquery { expr, .. } => stack.push(expr),
            Expr::IsDistinctFrom(a, b) | Expr::IsNotDistinctFrom(a, b) => stack.extend([a.as_ref(), b]),
            Expr::Between { expr, low, high, .. } => stack.extend([expr.as_ref(), low, high]),
            Expr::InList { expr, list, .. } => {
                stack.push(expr);
                stack.extend(list);
            }
            Expr::Like { expr, pattern, .. }
            | Expr::ILike { expr, pattern, .. }
            | Expr::SimilarTo { expr, pattern, .. } => stack.extend([expr.as_ref(), pattern]),
            Expr::AtTimeZone { timestamp, time_zone } => stack.extend([timestamp.as_ref(), time_zone]),
            Expr::Position { expr, r#in } => stack.extend([expr.as_ref(), r#in]),
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                stack.push(expr);
                stack.extend(substring_from.as_deref());
                stack.extend(substring_for.as_deref());
            }
            Expr::Trim { expr, trim_what, .. } => {
                stack.push(expr);
                stack.extend(trim_what.as_deref());
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                stack.extend([expr.as_ref(), overlay_what, overlay_from]);
                stack.extend(overlay_for.as_deref());
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                stack.extend(operand.as_deref());
                stack.extend(else_result.as_deref());
                stack.extend(conditions.iter().flat_map(|when| [&when.condition, &when.result]));
            }
            Expr::Tuple(items) => stack.extend(items),
            Expr::Array(array) => stack.extend(&array.elem),
            Expr::CompoundFieldAccess { root, .. } => stack.push(root),
            Expr::Function(function) => {
                if let FunctionArguments::List(list) = &function.args {
                    for arg in &list.args {
                        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg {
                            stack.push(expr);
                        }
                    }
                }
                stack.extend(function.filter.as_deref());
                stack.extend(function.within_group.iter().map(|term| &term.expr));
                if let Some(sqlparser::ast::WindowType::WindowSpec(spec)) = &function.over {
                    stack.extend(&spec.partition_by);
                    stack.extend(spec.order_by.iter().map(|term| &term.expr));
                }
            }
            _ => {}
        }
    }
}

/// The name that Postgres gives a column without an alias.
pub(super) fn column_name(expr: &Expr) -> String {
    named(expr).or_else(|| weakly_named(expr)).unwrap_or_else(|| "?column?".into())
}

/// A name from a type or a CASE, which a cast around it replaces.
fn weakly_named(expr: &Expr) -> Option<String> {
    let of_type = |data_type| {
        let Ok((ty, _)) = super::names::data_type_of(data_type, &|_| None) else {
            // A type of users': its name as it was written.
            return match data_type {
                sqlparser::ast::DataType::Custom(name, _) => super::names::parts(name).pop(),
                _ => None,
            };
        };
        Some(ty.element().filter(|_| ty.category() == 'A').unwrap_or(ty).name())
    };
    match expr {
        Expr::Nested(inner) => weakly_named(inner),
        Expr::CompoundFieldAccess { root, .. } => weakly_named(root),
        Expr::Cast { data_type, .. } => of_type(data_type),
        Expr::TypedString(typed) => of_type(&typed.data_type),
        Expr::Interval(_) => Some("interval".into()),
        Expr::Case { .. } => Some("case".into()),
        _ => None,
    }
}

fn named(expr: &Expr) -> Option<String> {
    let fixed = |name: &str| Some(name.to_string());
    match expr {
        Expr::Identifier(ident) => Some(fold(ident)),
        Expr::CompoundIdentifier(idents) => idents.last().map(fold),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                sqlparser::ast::AccessExpr::Dot(Expr::Identifier(ident)) => Some(fold(ident)),
                _ => None,
            });
            field.or_else(|| named(root))
        }
        Expr::Nested(inner) => named(inner),
        Expr::Collate { expr, .. } | Expr::Cast { expr, .. } => named(expr),
        Expr::Function(function) => parts(&function.name).pop(),
        Expr::Case { else_result: Some(otherwise), .. } => named(otherwise),
        Expr::Exists { .. } => fixed("exists"),
        Expr::Array(_) => fixed("array"),
        Expr::Extract { .. } => fixed("extract"),
        Expr::Ceil { .. } => fixed("ceil"),
        Expr::Floor { .. } => fixed("floor"),
        Expr::Position { .. } => fixed("position"),
        Expr::Substring { shorthand: true, .. } => fixed("substr"),
        Expr::Substring { .. } => fixed("substring"),
        Expr::Trim { trim_where, .. } => fixed(match trim_where {
            Some(sqlparser::ast::TrimWhereField::Leading) => "ltrim",
            Some(sqlparser::ast::TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        Expr::Overlay { .. } => fixed("overlay"),
        Expr::AtTimeZone { .. } => fixed("timezone"),
        Expr::BinaryOp { op: sqlparser::ast::BinaryOperator::Overlaps, .. } => fixed("overlaps"),
        Expr::Tuple(_) => fixed("row"),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => select.projection.first().and_then(|item| match item {
                SelectItem::UnnamedExpr(expr) => named(expr).or_else(|| weakly_named(expr)),
                SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
                _ => None,
            }),
            _ => None,
        },
        _ => None,
    }
}
