//! Which queries that stand for a value have one row at most by their form alone: the others are watched while they run.

use super::Translator;
use super::names::{fold, parts};
use crate::catalog::Object;
use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, LimitClause, Query, Select, SelectItem, SetExpr, TableFactor, Value as Constant,
};

impl Translator<'_> {
    /// Whether a query that stands for a value has one row at most by its form alone.
    pub(super) fn has_one_row_at_most(&self, query: &Query) -> bool {
        let at_most_one = |expr: &Expr| {
            matches!(expr, Expr::Value(value)
                if matches!(&value.value, Constant::Number(digits, _) if digits == "0" || digits == "1"))
        };
        if let Some(LimitClause::LimitOffset { limit: Some(limit), .. }) = &query.limit_clause
            && at_most_one(limit)
        {
            return true;
        }
        let SetExpr::Select(select) = query.body.as_ref() else { return false };
        let item = |item: &SelectItem| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
            _ => None,
        };
        if super::sets::moved_to_from(select).is_some() {
            return false;
        }
        let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
        let exprs: Option<Vec<Expr>> = select.projection.iter().map(item).collect();
        let aggregated = ungrouped && exprs.is_some_and(|exprs| exprs.iter().any(super::walk::has_aggregate));
        select.from.is_empty() || aggregated || self.finds_by_key(select)
    }

    /// Whether a SELECT reads one table, and its WHERE says what each column of the primary key is.
    fn finds_by_key(&self, select: &Select) -> bool {
        let [from] = select.from.as_slice() else { return false };
        let TableFactor::Table { name, alias, args: None, .. } = &from.relation else { return false };
        let names = parts(name);
        let Some(table) = names.last().filter(|_| from.joins.is_empty()) else { return false };
        let called = alias.as_ref().map_or_else(|| table.clone(), |alias| fold(&alias.name));
        if names.len() == 1 && self.ctes.iter().any(|cte| cte.name == *table) {
            return false;
        }
        let Ok((schema, name)) = self.qualified(&names) else { return false };
        let Some(Object::Table(table)) = self.find_object(schema.as_deref(), &name) else { return false };
        let Some(key) = table.primary_key() else { return false };
        let own = |expr: &Expr| match expr {
            Expr::Identifier(ident) => table.columns.iter().find(|column| column.name == fold(ident)),
            Expr::CompoundIdentifier(idents) => match idents.as_slice() {
                [relation, column] if fold(relation) == called => {
                    table.columns.iter().find(|other| other.name == fold(column))
                }
                _ => None,
            },
            _ => None,
        };
        // A name that is no column of this table, or a constant: the same for all its rows.
        let fixed = |expr: &Expr| match expr {
            Expr::Value(_) => true,
            Expr::Identifier(_) => own(expr).is_none(),
            Expr::CompoundIdentifier(idents) => idents.len() == 2 && fold(&idents[0]) != called,
            _ => false,
        };
        let mut found = Vec::new();
        let mut rest: Vec<&Expr> = select.selection.iter().collect();
        while let Some(expr) = rest.pop() {
            match expr {
                Expr::Nested(inner) => rest.push(inner),
                Expr::BinaryOp { left, op: BinaryOperator::And, right } => rest.extend([left.as_ref(), right]),
                Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                    let pairs = [(left, right), (right, left)];
                    found.extend(pairs.iter().filter(|(_, value)| fixed(value)).filter_map(|(column, _)| own(column)));
                }
                _ => {}
            }
        }
        key.iter().all(|number| found.iter().any(|column| column.number == *number))
    }
}
