//! What of a statement's text is understood: its target, the tables that it names directly, the equalities that must
//! hold for a row to matter, the values of an INSERT. All else is left out, and whoever asks must widen.

use super::expr::{arguments, column_name, hex, is_harmless, lower, number, without_parentheses};
use super::key::{Operand, Source};
use crate::transaction::Value;
use sqlparser::ast::{self, BinaryOperator, Expr, UnaryOperator};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// Bytes of a text that is looked into.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Operators in a text that is looked into; a chain of them is a tree as deep.
const OPERATORS_MAX: usize = 5_000;

/// A table that a FROM clause names, or the target of a change.
#[derive(Debug)]
pub(super) struct Place {
    /// In lower case.
    pub table: String,
    /// The name by which columns are qualified, in lower case.
    pub alias: String,
}

/// `column = value` or `column IN (values)`, which must hold.
#[derive(Debug)]
pub(super) struct Equality {
    /// Set if only rows of this place are ruled out by it (the right side of a LEFT JOIN).
    pub only: Option<usize>,
    pub qualifier: Option<String>,
    pub column: String,
    pub values: Vec<Operand>,
}

/// A FROM clause with its conditions.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub places: Vec<Place>,
    pub equalities: Vec<Equality>,
    /// Something else than tables is in it too.
    pub others: bool,
    /// Evaluating its conditions never fails and does nothing else, for whichever rows.
    pub harmless: bool,
}

/// What a statement does, as far as it is understood.
#[derive(Debug)]
pub(super) enum Act {
    Select,
    /// The target is the first place; what columns are set to, as far as that is known.
    Update {
        set: HashMap<String, Option<Operand>>,
        resolves_conflicts: bool,
    },
    /// The target is the first place.
    Delete,
    Insert {
        table: String,
        /// In lower case; empty if all are meant.
        columns: Vec<String>,
        /// Known values of each row; none if rows come from a query.
        rows: Option<Vec<Vec<Option<Operand>>>>,
        resolves_conflicts: bool,
        replaces: bool,
    },
}

/// A statement as far as it is understood.
#[derive(Debug)]
pub(super) struct Shape {
    pub act: Act,
    pub sources: Sources,
    /// The sequences that it draws from or sets: OID where that is a constant, and whether it is set.
    pub sequences: Vec<(Option<i64>, bool)>,
    names: HashMap<String, usize>,
}

impl Shape {
    /// Of a text; none if it is not understood.
    pub fn of(sql: &str) -> Option<Shape> {
        if sql.len() > TEXT_BYTES_MAX {
            return None;
        }
        let tokens = Tokenizer::new(&SQLiteDialect {}, sql).tokenize().ok()?;
        if tokens.iter().filter(|token| is_operator(token)).count() > OPERATORS_MAX {
            return None;
        }
        let names = names(&tokens);
        let statements = Parser::new(&SQLiteDialect {}).with_tokens(tokens).parse_statements().ok()?;
        let [statement] = statements.as_slice() else { return None };
        // The parser takes 0x10 for X'10'.
        let reader = Reader { hex: !sql.contains("0x") && !sql.contains("0X") };
        let (act, sources) = match statement {
            ast::Statement::Query(query) => (Act::Select, reader.query(query)?),
            ast::Statement::Update(update) => reader.update(update)?,
            ast::Statement::Delete(delete) => reader.delete(delete)?,
            ast::Statement::Insert(insert) => reader.insert(insert)?,
            _ => return None,
        };
        let sequences = sequences(statement);
        let mut shape = Shape { act, sources, sequences, names };
        shape.forget_doubtful_draws();
        Some(shape)
    }

    /// Which number goes to which row is plain only if each row draws one and nothing else draws.
    fn forget_doubtful_draws(&mut self) {
        let Act::Insert { rows: Some(rows), .. } = &mut self.act else { return };
        if rows.len() != self.sequences.len() {
            let draws = |operand: &Operand| matches!(operand.source, Source::Draw(_));
            rows.iter_mut().flatten().filter(|value| value.as_ref().is_some_and(draws)).for_each(|value| *value = None);
        }
    }

    /// How often the text may name this table (in lower case), other than to qualify a column.
    pub fn occurrences(&self, table: &str) -> usize {
        self.names.get(table).copied().unwrap_or(0)
    }
}

fn is_operator(token: &Token) -> bool {
    !matches!(
        token,
        Token::Word(_) | Token::Comma | Token::Whitespace(_) | Token::Period | Token::LParen | Token::RParen
    ) && !matches!(token, Token::Placeholder(_) | Token::Number(..) | Token::SingleQuotedString(_))
        || matches!(token, Token::Word(word) if ["AND", "OR", "NOT"].iter().any(|w| word.value.eq_ignore_ascii_case(w)))
}

/// Words that may stand for a table: not followed by a period. SQLite takes strings for names too.
fn names(tokens: &[Token]) -> HashMap<String, usize> {
    let mut names = HashMap::new();
    let mut solid = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).peekable();
    while let Some(token) = solid.next() {
        let name = match token {
            Token::Word(word) if !matches!(solid.peek(), Some(Token::Period)) => &word.value,
            Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => text,
            _ => continue,
        };
        *names.entry(name.to_ascii_lowercase()).or_insert(0) += 1;
    }
    names
}

/// The table's name, of `t` or `main.t`.
fn table_name(name: &ast::ObjectName) -> Option<String> {
    let parts: Option<Vec<&ast::Ident>> = name.0.iter().map(|part| part.as_ident()).collect();
    match parts?.as_slice() {
        [table] => Some(lower(table)),
        [schema, table] if schema.value.eq_ignore_ascii_case("main") => Some(lower(table)),
        _ => None,
    }
}

fn sequences(statement: &ast::Statement) -> Vec<(Option<i64>, bool)> {
    let mut found = Vec::new();
    let _ = ast::visit_expressions(statement, |expr| {
        for (name, sets) in [("evesql_nextval", false), ("evesql_setval", true)] {
            if let Expr::Function(function) = expr
                && column_name(&function.name).as_deref() == Some(name)
            {
                let arguments = arguments(expr, name);
                let oid = arguments.and_then(|list| match without_parentheses(list.first()?) {
                    Expr::Value(value) => match &value.value {
                        ast::Value::Number(text, _) => text.parse().ok(),
                        _ => None,
                    },
                    _ => None,
                });
                found.push((oid, sets));
            }
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

/// Reads a syntax tree.
struct Reader {
    /// Hexadecimal literals are blobs.
    hex: bool,
}

impl Reader {
    fn query(&self, query: &ast::Query) -> Option<Sources> {
        match &*query.body {
            ast::SetExpr::Select(select) => self.from(&select.from, select.selection.as_ref()),
            _ => Some(Sources { others: true, ..Sources::default() }),
        }
    }

    fn from(&self, tables: &[ast::TableWithJoins], selection: Option<&Expr>) -> Option<Sources> {
        let mut sources = Sources { harmless: true, ..Sources::default() };
        let mut outer = false;
        for table in tables {
            self.factor(&table.relation, &mut sources);
            for join in &table.joins {
                let right = self.factor(&join.relation, &mut sources);
                use ast::JoinOperator::{CrossJoin, Inner, Join, Left, LeftOuter};
                let (constraint, only) = match &join.join_operator {
                    Join(constraint) | Inner(constraint) | CrossJoin(constraint) => (constraint, None),
                    // Without a place to the right its condition rules out nothing.
                    Left(constraint) | LeftOuter(constraint) => (constraint, Some(right.unwrap_or(usize::MAX))),
                    _ => {
                        outer = true;
                        continue;
                    }
                };
                if let ast::JoinConstraint::On(condition) = constraint {
                    self.conditions(condition, only, &mut sources);
                }
            }
        }
        if let Some(selection) = selection {
            self.conditions(selection, None, &mut sources);
        }
        if outer {
            sources.equalities.clear();
        }
        Some(sources)
    }

    fn factor(&self, factor: &ast::TableFactor, sources: &mut Sources) -> Option<usize> {
        if let ast::TableFactor::Table { name, alias, args: None, index_hints, sample: None, .. } = factor
            && index_hints.is_empty()
            && let Some(table) = table_name(name)
        {
            let alias = alias.as_ref().map_or_else(|| table.clone(), |alias| lower(&alias.name));
            sources.places.push(Place { table, alias });
            return Some(sources.places.len() - 1);
        }
        sources.others = true;
        None
    }

    fn conditions(&self, condition: &Expr, only: Option<usize>, sources: &mut Sources) {
        sources.harmless &= is_harmless(condition);
        let mut todo = vec![condition];
        while let Some(expr) = todo.pop() {
            match without_parentheses(expr) {
                Expr::BinaryOp { left, op: BinaryOperator::And, right } => todo.extend([&**left, &**right]),
                Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                    match (without_parentheses(left), without_parentheses(right)) {
                        (Expr::Tuple(left), Expr::Tuple(right)) if left.len() == right.len() => {
                            left.iter().zip(right).for_each(|(left, right)| self.equal(left, right, only, sources));
                        }
                        (left, right) => self.equal(left, right, only, sources),
                    }
                }
                Expr::InList { expr, list, negated: false } => {
                    let values: Option<Vec<Operand>> = list.iter().map(|value| self.operand(value)).collect();
                    if let Some(values) = values {
                        self.equality(expr, values, only, sources);
                    }
                }
                _ => {}
            }
        }
    }

    fn equal(&self, left: &Expr, right: &Expr, only: Option<usize>, sources: &mut Sources) {
        for (column, value) in [(left, right), (right, left)] {
            if let Some(value) = self.operand(value) {
                self.equality(column, vec![value], only, sources);
            }
        }
    }

    fn equality(&self, column: &Expr, values: Vec<Operand>, only: Option<usize>, sources: &mut Sources) {
        let (qualifier, column) = match without_parentheses(column) {
            Expr::Identifier(column) => (None, lower(column)),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, column] => (Some(lower(table)), lower(column)),
                _ => return,
            },
            _ => return,
        };
        sources.equalities.push(Equality { only, qualifier, column, values });
    }

    /// A parameter or a constant.
    fn operand(&self, expr: &Expr) -> Option<Operand> {
        let expr = without_parentheses(expr);
        if let Some(list) = arguments(expr, "evesql_varchar") {
            let [value, Expr::Value(length), _] = list.as_slice() else { return None };
            let ast::Value::Number(length, _) = &length.value else { return None };
            let operand = self.operand(value)?;
            // Two lengths: the smaller one decides, and there never are two.
            let max = length.parse().ok().filter(|_| operand.characters_max.is_none())?;
            return Some(Operand { characters_max: Some(max), ..operand });
        }
        self.source(expr).map(|source| Operand { source, characters_max: None })
    }

    fn source(&self, expr: &Expr) -> Option<Source> {
        if let Expr::UnaryOp { op: UnaryOperator::Minus, expr } = expr {
            let Expr::Value(value) = without_parentheses(expr) else { return None };
            let ast::Value::Number(text, _) = &value.value else { return None };
            return number(text, true).map(Source::Constant);
        }
        let Expr::Value(value) = expr else { return None };
        let constant = match &value.value {
            ast::Value::Placeholder(text) => {
                return text.strip_prefix('?')?.parse().ok().map(Source::Parameter);
            }
            ast::Value::Number(text, _) => number(text, false)?,
            ast::Value::SingleQuotedString(text) => Value::Text(text.as_str().into()),
            ast::Value::HexStringLiteral(digits) if self.hex => Value::Blob(hex(digits)?.into()),
            ast::Value::Null => Value::Null,
            _ => return None,
        };
        Some(Source::Constant(constant))
    }

    /// A value of an INSERT: also the translator's guard against NULL, and the one number that a row draws.
    fn inserted(&self, expr: &Expr, draw: Option<u32>) -> Option<Operand> {
        let expr = without_parentheses(expr);
        if let Some(list) = arguments(expr, "coalesce")
            && let [value, guard] = list.as_slice()
            && arguments(guard, "evesql_not_null").is_some()
        {
            return self.inserted(value, draw);
        }
        if arguments(expr, "evesql_nextval").is_some() {
            return draw.map(|draw| Operand { source: Source::Draw(draw), characters_max: None });
        }
        self.operand(expr)
    }

    fn update(&self, update: &ast::Update) -> Option<(Act, Sources)> {
        if !update.table.joins.is_empty() || !update.order_by.is_empty() || update.limit.is_some() {
            return None;
        }
        let mut tables = vec![update.table.clone()];
        match &update.from {
            None => {}
            Some(ast::UpdateTableFromKind::AfterSet(from)) => tables.extend(from.iter().cloned()),
            Some(_) => return None,
        }
        let sources = self.from(&tables, update.selection.as_ref())?;
        let mut set = HashMap::new();
        for assignment in &update.assignments {
            let (names, value) = match &assignment.target {
                ast::AssignmentTarget::ColumnName(name) => {
                    (std::slice::from_ref(name), self.operand(&assignment.value))
                }
                ast::AssignmentTarget::Tuple(names) => (names.as_slice(), None),
            };
            for name in names {
                // Set twice: which one counts is SQLite's affair.
                if set.insert(column_name(name)?, value.clone()).is_some() {
                    return None;
                }
            }
        }
        let ast::TableFactor::Table { name, .. } = &update.table.relation else { return None };
        let first = sources.places.first().map(|place| &place.table);
        let act = Act::Update { set, resolves_conflicts: update.or.is_some() };
        (first.is_some() && first == table_name(name).as_ref()).then_some((act, sources))
    }

    fn delete(&self, delete: &ast::Delete) -> Option<(Act, Sources)> {
        let ast::FromTable::WithFromKeyword(tables) = &delete.from else { return None };
        let [table] = tables.as_slice() else { return None };
        let plain = table.joins.is_empty() && delete.using.is_none() && delete.tables.is_empty();
        if !plain || !delete.order_by.is_empty() || delete.limit.is_some() {
            return None;
        }
        let sources = self.from(tables, delete.selection.as_ref())?;
        (sources.places.len() == 1).then_some((Act::Delete, sources))
    }

    fn insert(&self, insert: &ast::Insert) -> Option<(Act, Sources)> {
        let ast::TableObject::TableName(name) = &insert.table else { return None };
        let columns: Option<Vec<String>> = insert.columns.iter().map(column_name).collect();
        let mut sources = Sources { harmless: true, ..Sources::default() };
        let rows = match insert.source.as_deref() {
            // DEFAULT VALUES: a row of which nothing is said. No column list is then no list of all columns.
            None => return None,
            Some(query) => match &*query.body {
                ast::SetExpr::Values(values) if query.with.is_none() && query.limit_clause.is_none() => {
                    Some(self.rows(values))
                }
                _ => {
                    sources = self.query(query)?;
                    None
                }
            },
        };
        let act = Act::Insert {
            table: table_name(name)?,
            columns: columns?,
            rows,
            resolves_conflicts: insert.on.is_some() || insert.or.is_some() || insert.replace_into,
            replaces: insert.replace_into || matches!(insert.or, Some(ast::SqliteOnConflict::Replace)),
        };
        Some((act, sources))
    }

    fn rows(&self, values: &ast::Values) -> Vec<Vec<Option<Operand>>> {
        let draws = |row: &[Expr]| {
            let mut count = 0;
            for expr in row {
                let _ = ast::visit_expressions(expr, |expr| {
                    count += usize::from(arguments(expr, "evesql_nextval").is_some());
                    ControlFlow::<()>::Continue(())
                });
            }
            count
        };
        let plain = values.rows.iter().all(|row| draws(&row.content) == 1);
        let row = |(at, row): (usize, &ast::Parens<Vec<Expr>>)| {
            let draw = u32::try_from(at).ok().filter(|_| plain);
            row.content.iter().map(|expr| self.inserted(expr, draw)).collect()
        };
        values.rows.iter().enumerate().map(row).collect()
    }
}
