//! Small questions about expressions of a syntax tree.

use crate::transaction::Value;
use sqlparser::ast::{self, BinaryOperator, Expr, UnaryOperator};

pub(super) fn lower(ident: &ast::Ident) -> String {
    ident.value.to_ascii_lowercase()
}

pub(super) fn column_name(name: &ast::ObjectName) -> Option<String> {
    name.0.last()?.as_ident().map(lower)
}

pub(super) fn without_parentheses(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// Arguments of a call of this function.
pub(super) fn arguments<'a>(expr: &'a Expr, name: &str) -> Option<Vec<&'a Expr>> {
    let Expr::Function(function) = expr else { return None };
    if !column_name(&function.name)?.eq_ignore_ascii_case(name) {
        return None;
    }
    let ast::FunctionArguments::List(list) = &function.args else { return None };
    list.args
        .iter()
        .map(|argument| match argument {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect()
}

/// Whether evaluating it never fails and does nothing else.
pub(super) fn is_harmless(expr: &Expr) -> bool {
    let mut todo = vec![expr];
    while let Some(expr) = todo.pop() {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) => {}
            Expr::Nested(inner)
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner) => todo.push(inner),
            Expr::UnaryOp { op: UnaryOperator::Not | UnaryOperator::Minus | UnaryOperator::Plus, expr } => {
                todo.push(expr);
            }
            Expr::BinaryOp { left, op, right } if is_harmless_operator(op) => todo.extend([&**left, &**right]),
            Expr::Between { expr, low, high, .. } => todo.extend([&**expr, &**low, &**high]),
            Expr::InList { expr, list, .. } => todo.extend(std::iter::once(&**expr).chain(list)),
            Expr::Tuple(list) => todo.extend(list),
            _ => return false,
        }
    }
    true
}

pub(super) fn is_harmless_operator(op: &BinaryOperator) -> bool {
    use BinaryOperator::{And, Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo, Multiply, NotEq, Or, Plus};
    matches!(op, And | Or | Eq | NotEq | Lt | LtEq | Gt | GtEq | Plus | Minus | Multiply | Divide | Modulo)
}

/// Integers and reals that are written as whole numbers; others SQLite reads in its own way.
pub(super) fn number(text: &str, negative: bool) -> Option<Value> {
    let sign = if negative { -1 } else { 1 };
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    match text.split_once('.') {
        None => text.parse::<i64>().ok().map(|number| Value::Integer(sign * number)),
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') && whole.len() <= 15 => {
            whole.parse::<i64>().ok().map(|number| Value::Real((sign * number) as f64))
        }
        Some(_) => None,
    }
}

pub(super) fn hex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}
