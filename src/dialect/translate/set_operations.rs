//! UNION, INTERSECT, EXCEPT and VALUES: one type for each column, first learned dry, then brought about.

use super::coerce::Context;
use super::typed::{Output, Scope, Target, Targets, Typed};
use super::{Result, Translator, quote_name, unsupported};
use crate::dialect::types::PgType;
use crate::transaction::SqlError;
use sqlparser::ast::{OrderByExpr, Query, SetExpr, SetOperator, SetQuantifier, Values};

use super::select::{Shape, order_term, output_position};

const INTERSECT_ALL: &str = "INTERSECT ALL";
const EXCEPT_ALL: &str = "EXCEPT ALL";

/// A query without clauses around its body.
pub(super) fn plain_query(body: SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

impl Translator<'_> {
    /// UNION and its relatives, and whatever needs a query around it.
    pub(super) fn set_operation(&mut self, body: &SetExpr, shape: Shape<'_>) -> Result<(String, Vec<Output>)> {
        let mut leaves: Vec<(&'static str, &SetExpr)> = Vec::new();
        let mut rest = body;
        while let SetExpr::SetOperation { left, op, set_quantifier, right } = rest {
            let all = matches!(set_quantifier, SetQuantifier::All);
            if !matches!(set_quantifier, SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None) {
                return unsupported("BY NAME");
            }
            let word = match (op, all) {
                (SetOperator::Union, true) => "UNION ALL",
                (SetOperator::Union, false) => "UNION",
                (SetOperator::Intersect, false) => "INTERSECT",
                (SetOperator::Intersect, true) => INTERSECT_ALL,
                (SetOperator::Except, false) => "EXCEPT",
                (SetOperator::Except, true) => EXCEPT_ALL,
                _ => return unsupported(&format!("{op}")),
            };
            // SQLite has none that count rows: such a one stands by itself, with two sides.
            if matches!(word, INTERSECT_ALL | EXCEPT_ALL) && !leaves.is_empty() {
                break;
            }
            leaves.push((word, right));
            rest = left;
            if matches!(word, INTERSECT_ALL | EXCEPT_ALL) {
                break;
            }
        }
        let counted = leaves.first().is_some_and(|(word, _)| matches!(*word, INTERSECT_ALL | EXCEPT_ALL));
        leaves.push(("", rest));
        leaves.reverse();
        let mut found: Vec<Vec<Output>> = Vec::new();
        for (_, leaf) in &leaves {
            let outputs = self.dry(|this| this.leaf(leaf, None, false))?.1;
            if found.first().is_some_and(|first| first.len() != outputs.len()) {
                let word = leaves[found.len()].0.split(' ').next().unwrap_or("UNION");
                return Err(SqlError::new("42601", format!("each {word} query must have the same number of columns")));
            }
            found.push(outputs);
        }
        let distinct = leaves.iter().any(|(word, _)| !word.is_empty() && *word != "UNION ALL");
        let mut targets = Vec::new();
        let mut outputs = Vec::new();
        for at in 0..found[0].len() {
            let column: Vec<&Typed> = found.iter().map(|outputs| &outputs[at].typed).collect();
            let (ty, typmod) = self.common_type(
                &column,
                leaves.get(1).map_or("UNION", |leaf| leaf.0.split(' ').next().unwrap_or("UNION")),
            )?;
            let given = shape.targets.and_then(|targets| targets[at].clone());
            let scale = column[0].scale.filter(|scale| column.iter().all(|typed| typed.scale == Some(*scale)));
            let align = distinct && ty == PgType::NUMERIC && scale.is_none();
            let mut typed = Typed::new("", ty).nullable_if(column.iter().any(|typed| typed.nullable));
            typed.typmod = typmod;
            typed.scale = if align { None } else { scale };
            outputs.push(Output { name: found[0][at].name.clone(), typed });
            targets.push(Some(given.unwrap_or(Target { ty, typmod: -1, align, column: None })));
        }
        // Keys that do not sort as they are stored are computed around the whole.
        let around =
            !shape.order.is_empty() && outputs.iter().any(|output| self.sort_key(&output.typed) != output.typed.sql);
        // Numerics have been aligned.
        let by_key = |typed: &Typed| typed.ty != PgType::NUMERIC && typed.has_equals_of_other_bytes();
        // SQLite recurses by its own UNION alone.
        let recurses = std::ptr::from_ref(body).addr() == self.recursive_body;
        let combined = counted || distinct && !recurses && outputs.iter().any(|output| by_key(&output.typed));
        let named = shape.named || around;
        let mut sql = String::new();
        let mut names = Vec::new();
        for (at, (word, leaf)) in leaves.iter().enumerate() {
            let (text, leaf_outputs) = self.leaf(leaf, Some(&targets), named && at == 0 || combined)?;
            if at == 0 {
                names = leaf_outputs.into_iter().map(|output| output.name).collect();
                outputs.iter_mut().zip(&names).for_each(|(output, name)| output.name.clone_from(name));
            }
            sql = match at {
                0 => text,
                _ if combined => self.combined(word, &sql, &text, &outputs),
                _ => format!("{sql} {word} {text}"),
            };
        }
        let leaf_names: Vec<String> = names;
        if !shape.named {
            outputs.iter_mut().zip(&found[0]).for_each(|(output, first)| output.name.clone_from(&first.name));
        }
        for (output, target) in outputs.iter_mut().zip(&targets) {
            if let Some(target) = target {
                output.typed.ty = target.ty;
            }
        }
        if around {
            let list: Vec<String> = leaf_names.iter().map(|name| format!("u.{0} AS {0}", quote_name(name))).collect();
            sql = format!("SELECT {} FROM ({sql}) AS u", list.join(", "));
            for (output, name) in outputs.iter_mut().zip(&leaf_names) {
                output.typed.sql = format!("u.{}", quote_name(name));
            }
        }
        sql += &self.order_by_outputs(&shape.order, &outputs)?;
        sql += &shape.limit;
        Ok((sql, outputs))
    }

    /// Two sides put together by key, for what SQLite does not do: its set operations compare bytes, and none counts rows.
    /// Of equal rows those of the left side come first. `outputs` have the left side's names.
    fn combined(&self, word: &str, left: &str, right: &str, outputs: &[Output]) -> String {
        if word == "UNION ALL" {
            return format!("SELECT * FROM ({left}) UNION ALL SELECT * FROM ({right})");
        }
        let column = |output: &Output| format!("u.{}", quote_name(&output.name));
        let key = |output: &Output| self.sort_key(&Typed { sql: column(output), ..output.typed.clone() });
        let keys: Vec<String> = outputs.iter().map(key).collect();
        let by = if keys.is_empty() { String::new() } else { format!("PARTITION BY {}", keys.join(", ")) };
        let list: Vec<String> = outputs.iter().map(column).collect();
        let list = if list.is_empty() { "NULL".into() } else { list.join(", ") };
        // By the number of a row among its equals, how many of them there are, and how many on the right.
        let keep = match word {
            "INTERSECT" => r#"u."n:" = 1 AND u."r:" BETWEEN 1 AND u."c:" - 1"#,
            "EXCEPT" => r#"u."n:" = 1 AND u."r:" = 0"#,
            INTERSECT_ALL => r#"u."n:" <= min(u."c:" - u."r:", u."r:")"#,
            EXCEPT_ALL => r#"u."n:" <= u."c:" - 2 * u."r:""#,
            _ => r#"u."n:" = 1"#,
        };
        let sides = format!(r#"SELECT *, 0 AS "s:" FROM ({left}) UNION ALL SELECT *, 1 FROM ({right})"#);
        let counts = format!(r#"count(*) OVER ({by}) AS "c:", sum(u."s:") OVER ({by}) AS "r:""#);
        let number = format!(r#"row_number() OVER ({by} ORDER BY u."s:") AS "n:""#);
        format!("SELECT {list} FROM (SELECT u.*, {number}, {counts} FROM ({sides}) AS u) AS u WHERE {keep}")
    }

    /// One side of a set operation, as SQLite takes it: a plain SELECT or VALUES.
    pub(super) fn leaf(&mut self, leaf: &SetExpr, targets: Targets<'_>, named: bool) -> Result<(String, Vec<Output>)> {
        let shape = |targets| Shape::plain(targets, named);
        match leaf {
            SetExpr::Select(select) => {
                let nothing = Values { explicit_row: false, value_keyword: false, rows: Vec::new() };
                let query = plain_query(SetExpr::Values(nothing));
                self.select(select, shape(targets), &query)
            }
            SetExpr::Values(values) => {
                let (sql, outputs) = self.values(values, targets)?;
                // SQLite gives these columns the same names as Postgres, unless they are columns of queries around.
                let names: Vec<String> = outputs.iter().map(|output| format!("NULL AS {}", output.name)).collect();
                let names = match self.scopes.is_empty() {
                    true => String::new(),
                    false => format!("SELECT {} WHERE false UNION ALL ", names.join(", ")),
                };
                Ok((format!("SELECT * FROM ({names}{sql})"), outputs))
            }
            SetExpr::Query(query) => {
                let (sql, outputs) = self.query(query, targets, named)?;
                Ok((format!("SELECT * FROM ({sql})"), outputs))
            }
            SetExpr::SetOperation { .. } => {
                let (sql, outputs) = self.set_operation(leaf, shape(targets))?;
                Ok((format!("SELECT * FROM ({sql})"), outputs))
            }
            SetExpr::Table(table) => {
                let name = table.table_name.clone().unwrap_or_default();
                let schema = table.schema_name.as_ref().map_or(String::new(), |schema| format!("{schema}."));
                let query = crate::dialect::parse::parse_query(&format!("SELECT * FROM {schema}{name}"))?;
                self.query(&query, targets, named)
            }
            _ => unsupported("a data-modifying statement in WITH"),
        }
    }

    pub(super) fn order_by_outputs(&mut self, terms: &[OrderByExpr], outputs: &[Output]) -> Result<String> {
        let mut list = Vec::new();
        for term in terms {
            let at = output_position(&term.expr, outputs)?.ok_or_else(|| {
                SqlError::new("0A000", "invalid UNION/INTERSECT/EXCEPT ORDER BY clause")
                    .with_detail("Only result column names can be used, not expressions or functions.")
            })?;
            let typed = &outputs[at].typed;
            let key = self.sort_key(typed);
            let key = if key == typed.sql { (at + 1).to_string() } else { key };
            list.push(order_term(&key, typed.nullable, &term.options)?);
        }
        Ok(if list.is_empty() { String::new() } else { format!(" ORDER BY {}", list.join(", ")) })
    }

    pub(super) fn values(&mut self, values: &Values, targets: Targets<'_>) -> Result<(String, Vec<Output>)> {
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let mut rows: Vec<Vec<Typed>> = Vec::new();
        self.scopes.push(Scope { clause: "VALUES", ..Scope::default() });
        let result = (|| {
            for row in &values.rows {
                if row.content.len() != width {
                    return Err(SqlError::new("42601", "VALUES lists must all be the same length"));
                }
                let row: Result<Vec<Typed>> = row.content.iter().map(|expr| self.expr(expr)).collect();
                rows.push(row?);
            }
            Ok(())
        })();
        self.scopes.pop();
        result?;
        let mut outputs = Vec::new();
        for at in 0..width {
            let column: Vec<&Typed> = rows.iter().map(|row| &row[at]).collect();
            let (ty, typmod) = self.common_type(&column, "VALUES")?;
            let target = targets.and_then(|targets| targets[at].clone());
            let mut typed = Typed::new("", target.as_ref().map_or(ty, |target| target.ty));
            typed.nullable = column.iter().any(|typed| typed.nullable);
            typed.typmod = typmod;
            typed.scale = column[0].scale.filter(|scale| column.iter().all(|other| other.scale == Some(*scale)));
            outputs.push(Output { name: format!("column{}", at + 1), typed });
            for row in &mut rows {
                let value = row[at].clone();
                row[at] = match &target {
                    Some(target) => self.fit_target(value, target)?,
                    None => self.coerce(value, ty, -1, Context::Implicit)?,
                };
            }
        }
        let list: Vec<String> = rows
            .iter()
            .map(|row| format!("({})", row.iter().map(|typed| typed.sql.as_str()).collect::<Vec<_>>().join(", ")))
            .collect();
        Ok((format!("VALUES {}", list.join(", ")), outputs))
    }

    pub(super) fn fit_target(&mut self, typed: Typed, target: &Target) -> Result<Typed> {
        let typed = match &target.column {
            Some(column) => self.assign(typed, column)?,
            None => self.coerce(typed, target.ty, target.typmod, Context::Implicit)?,
        };
        Ok(if target.align { self.normal_form(typed) } else { typed })
    }
}
