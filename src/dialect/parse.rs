//! From the text of a query to its statements: lexemes once, cut at semicolons, then sqlparser for SQL
//! and [`super::utility`] for commands that are the session's own.

use super::lexemes::understandable;
use super::utility::{self, Utility};
use crate::transaction::SqlError;
use sqlparser::ast::{OnCommit, SetExpr, Statement};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use std::sync::Arc;

/// Nesting that is understood; deeper is 54001. Bounded by the stack of a client thread.
const DEPTH_MAX: usize = 64;
/// Operators in one statement; a chain of them is a tree as deep.
const OPERATORS_MAX: usize = 5_000;

/// One statement of a query text.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The statement's own text, without the semicolon.
    pub text: Arc<str>,
    pub(super) whole: Arc<str>,
    pub(super) ast: Ast,
    /// INSERT .. OVERRIDING SYSTEM VALUE.
    pub(super) overriding: bool,
}

/// What was understood.
#[derive(Clone, Debug)]
pub(super) enum Ast {
    /// Nothing between semicolons.
    Empty,
    /// SQL.
    Sql(Box<Statement>),
    /// A command.
    Utility(Utility),
}

impl Parsed {
    /// Whether it makes a temporary table.
    pub fn makes_temporary(&self) -> bool {
        match &self.ast {
            Ast::Sql(statement) => match statement.as_ref() {
                Statement::CreateTable(create) => super::translate::temporary::is_of_temporary(create),
                Statement::Query(query) => match query.body.as_ref() {
                    SetExpr::Select(select) => select.into.as_ref().is_some_and(|into| into.temporary),
                    _ => false,
                },
                _ => false,
            },
            _ => false,
        }
    }

    /// The name of a temporary table that it makes and that is to be dropped at COMMIT.
    pub fn dropped_at_commit(&self) -> Option<String> {
        match &self.ast {
            Ast::Sql(statement) => match statement.as_ref() {
                Statement::CreateTable(create) if matches!(create.on_commit, Some(OnCommit::Drop)) => {
                    create.name.0.last().and_then(|part| part.as_ident()).map(|name| match name.quote_style {
                        Some(_) => name.value.clone(),
                        None => name.value.to_lowercase(),
                    })
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Whose plan an EXPLAIN EXECUTE asks for: the name of a prepared statement.
    pub fn explained_name(&self) -> Option<&str> {
        match self.utility()? {
            Utility::Explain { statement, .. } => match statement.utility()? {
                Utility::Execute { name, .. } => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    /// The EXPLAIN that this is, of what was prepared instead: whatever its parameters.
    pub fn explaining(&self, prepared: &Parsed) -> Parsed {
        let with = |utility| Parsed { ast: Ast::Utility(utility), ..prepared.clone() };
        let (analyze, json) = match self.utility() {
            Some(Utility::Explain { analyze, json, .. }) => (*analyze, *json),
            _ => (false, false),
        };
        let statement = Box::new(prepared.clone());
        let statement = with(Utility::Prepare { name: String::new(), types: Vec::new(), statement });
        with(Utility::Explain { analyze, json, statement: Box::new(statement) })
    }

    /// The command, if it is one that needs no catalog: BEGIN, COMMIT, SET, FETCH, ...
    pub fn utility(&self) -> Option<&Utility> {
        match &self.ast {
            Ast::Utility(utility) => Some(utility),
            _ => None,
        }
    }
    /// Whether a password may stand in the text, so that it should not be remembered.
    pub fn may_hold_password(&self) -> bool {
        match self.utility() {
            Some(Utility::Role(_)) => true,
            Some(Utility::Prepare { statement, .. } | Utility::Explain { statement, .. }) => {
                statement.may_hold_password()
            }
            _ => false,
        }
    }
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        matches!(self.ast, Ast::Empty)
    }
}

/// Where characters and lines of a text are.
pub(super) struct Places<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut line_starts = vec![0];
        line_starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1));
        Places { text, line_starts }
    }
    fn byte(&self, location: Location) -> usize {
        let Some(start) = (location.line as usize).checked_sub(1).and_then(|l| self.line_starts.get(l)) else {
            return self.text.len();
        };
        let skip = (location.column as usize).saturating_sub(1);
        self.text[*start..].char_indices().nth(skip).map_or(self.text.len(), |(at, _)| start + at)
    }
    /// The text between two places.
    pub(super) fn slice(&self, start: Location, end: Location) -> &'a str {
        self.text.get(self.byte(start)..self.byte(end)).unwrap_or("")
    }
    /// The whole text.
    pub(super) fn whole(&self) -> &'a str {
        self.text
    }
    /// 1-based character position; `None` for a location that nothing is known of.
    pub(super) fn position(&self, location: Location) -> Option<u32> {
        if location.line == 0 {
            return None;
        }
        Some(self.text[..self.byte(location)].chars().count() as u32 + 1)
    }
}

/// Splits and parses a query text, which may hold several statements.
///
/// # Errors
/// 42601 with the position of the lexeme that could not be understood; nothing of the text is run then.
pub fn parse(sql: &str) -> Result<Vec<Parsed>, SqlError> {
    let whole: Arc<str> = sql.into();
    let places = Places::new(sql);
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().map_err(|error| {
        let mut failure = SqlError::new("42601", tokenizer_message(&error.message));
        failure.position = places.position(error.location);
        failure
    })?;
    let tokens = understandable(tokens).map_err(|token| syntax_error(&token, &places))?;
    let mut statements = Vec::new();
    for piece in tokens.split(|token| token.token == Token::SemiColon) {
        let solid: Vec<TokenWithSpan> =
            piece.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).cloned().collect();
        let (Some(first), Some(last)) = (solid.first(), solid.last()) else { continue };
        let (start, end) = (places.byte(first.span.start), places.byte(last.span.end));
        let text: Arc<str> = sql.get(start..end).unwrap_or(sql).into();
        // The parser does not know OVERRIDING; nothing else is told by it.
        let overriding = take_overriding(&solid);
        let rewritten = overriding.clone().or_else(|| order_sequence_options(&solid));
        let ast = match &rewritten {
            Some(rest) => parse_one(rest, rest, &places)?,
            None => parse_one(piece, &solid, &places)?,
        };
        statements.push(Parsed { text, whole: whole.clone(), ast, overriding: overriding.is_some() });
    }
    if statements.is_empty() {
        statements.push(Parsed { text: "".into(), whole, ast: Ast::Empty, overriding: false });
    }
    Ok(statements)
}

/// Options of a sequence in the order in which the parser wants them: it knows one, Postgres takes any.
fn order_sequence_options(solid: &[TokenWithSpan]) -> Option<Vec<TokenWithSpan>> {
    let word = |at: usize| match solid.get(at).map(|token| &token.token) {
        Some(Token::Word(found)) if found.quote_style.is_none() => found.value.to_ascii_lowercase(),
        _ => String::new(),
    };
    let create = word(0) == "create" && (word(1) == "sequence" || word(2) == "sequence");
    let identity = (0..solid.len())
        .find(|at| word(*at) == "identity" && matches!(solid.get(at + 1).map(|t| &t.token), Some(Token::LParen)));
    let (start, end) = match identity {
        Some(at) => {
            let close = (at + 2..solid.len()).find(|i| solid[*i].token == Token::RParen)?;
            (at + 2, close)
        }
        None if create => {
            ((1..solid.len()).find(|at| rank(&word(*at), &word(at + 1)).is_some() && *at > 2)?, solid.len())
        }
        None => return None,
    };
    let mut groups: Vec<(u8, Vec<TokenWithSpan>)> = Vec::new();
    for (at, token) in solid.iter().enumerate().take(end).skip(start) {
        let after_no = at > start && word(at - 1) == "no";
        match rank(&word(at), &word(at + 1)).filter(|_| !after_no) {
            Some(rank) => groups.push((rank, vec![token.clone()])),
            None => groups.last_mut()?.1.push(token.clone()),
        }
    }
    groups.sort_by_key(|group| group.0);
    let middle: Vec<TokenWithSpan> = groups.into_iter().flat_map(|group| group.1).collect();
    Some([&solid[..start], &middle, &solid[end..]].concat())
}

fn rank(word: &str, next: &str) -> Option<u8> {
    match (word, next) {
        ("increment", _) => Some(0),
        ("minvalue", _) | ("no", "minvalue") => Some(1),
        ("maxvalue", _) | ("no", "maxvalue") => Some(2),
        ("start", _) => Some(3),
        ("cache", _) => Some(4),
        ("cycle", _) | ("no", "cycle") => Some(5),
        ("owned", "by") => Some(6),
        _ => None,
    }
}

/// An INSERT without its OVERRIDING SYSTEM VALUE.
fn take_overriding(solid: &[TokenWithSpan]) -> Option<Vec<TokenWithSpan>> {
    let is = |at: usize, word: &str| match solid.get(at).map(|token| &token.token) {
        Some(Token::Word(found)) => found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word),
        _ => false,
    };
    if !is(0, "insert") {
        return None;
    }
    let at = (0..solid.len()).find(|at| is(*at, "overriding") && is(at + 1, "system") && is(at + 2, "value"))?;
    Some([&solid[..at], &solid[at + 3..]].concat())
}

fn tokenizer_message(message: &str) -> String {
    match message {
        m if m.contains("Unterminated string literal") => "unterminated quoted string".into(),
        m if m.contains("Expected close delimiter") => "unterminated quoted identifier".into(),
        m if m.contains("end of multiline comment") || m.contains("multi-line comment") => {
            "unterminated /* comment".into()
        }
        m => format!("syntax error: {m}"),
    }
}

fn parse_one(piece: &[TokenWithSpan], solid: &[TokenWithSpan], places: &Places<'_>) -> Result<Ast, SqlError> {
    let operators = solid.iter().filter(|token| is_operator(&token.token)).count();
    if operators > OPERATORS_MAX {
        return Err(SqlError::new("54001", "statement is too complex"));
    }
    if let Some(utility) = utility::parse(solid, places)? {
        return Ok(Ast::Utility(utility));
    }
    parse_sql(piece, places).map(|statement| Ast::Sql(Box::new(statement)))
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            word.quote_style.is_none()
                && matches!(word.value.len(), 2 | 3)
                && (word.value.eq_ignore_ascii_case("and") || word.value.eq_ignore_ascii_case("or"))
        }
        Token::Plus | Token::Mul | Token::StringConcat | Token::Div => true,
        _ => false,
    }
}

/// Parses one SQL statement from its lexemes.
pub(super) fn parse_sql(tokens: &[TokenWithSpan], places: &Places<'_>) -> Result<Statement, SqlError> {
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEPTH_MAX).with_tokens_with_locations(tokens.to_vec());
    let statement = parser.parse_statement();
    let rest = parser.peek_token();
    match statement {
        Ok(statement) if rest.token == Token::EOF => Ok(statement),
        Ok(_) => Err(syntax_error(&rest, places)),
        Err(ParserError::RecursionLimitExceeded) => Err(SqlError::new("54001", "statement is nested too deeply")),
        Err(ParserError::TokenizerError(message)) => Err(SqlError::new("42601", message)),
        Err(ParserError::ParserError(message)) => Err(at_lexeme(&message, tokens, places)),
    }
}

/// Parses an expression standing alone, as the catalog keeps defaults and checks.
pub(super) fn parse_expression(text: &str) -> Result<sqlparser::ast::Expr, SqlError> {
    let dialect = PostgreSqlDialect {};
    Parser::new(&dialect)
        .with_recursion_limit(DEPTH_MAX)
        .try_with_sql(text)
        .and_then(|mut parser| parser.parse_expr())
        .map_err(|error| SqlError::new("42601", error.to_string()))
}

/// Parses a query standing alone, as the catalog keeps views.
pub(super) fn parse_query(text: &str) -> Result<sqlparser::ast::Query, SqlError> {
    let dialect = PostgreSqlDialect {};
    Parser::new(&dialect)
        .with_recursion_limit(DEPTH_MAX)
        .try_with_sql(text)
        .and_then(|mut parser| parser.parse_query())
        .map(|query| *query)
        .map_err(|error| SqlError::new("42601", error.to_string()))
}

/// Syntax error at a lexeme, in Postgres' words.
pub(super) fn syntax_error(token: &TokenWithSpan, places: &Places<'_>) -> SqlError {
    let mut error = match &token.token {
        Token::EOF => SqlError::new("42601", "syntax error at end of input"),
        token => SqlError::new("42601", format!("syntax error at or near \"{token}\"")),
    };
    error.position = match &token.token {
        Token::EOF => Some(places.text.chars().count() as u32 + 1),
        _ => places.position(token.span.start),
    };
    error
}

/// sqlparser ends its messages with `at Line: 1, Column: 8`; the lexeme there is what Postgres would name.
fn at_lexeme(message: &str, tokens: &[TokenWithSpan], places: &Places<'_>) -> SqlError {
    let location = message.rsplit_once(" at Line: ").and_then(|(_, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((line.trim().parse::<u64>().ok()?, column.trim().parse::<u64>().ok()?))
    });
    let found = location.and_then(|(line, column)| {
        tokens.iter().find(|token| token.span.start.line == line && token.span.start.column == column)
    });
    match found {
        Some(token) => syntax_error(token, places),
        None if message.contains("found: EOF") => {
            let mut error = SqlError::new("42601", "syntax error at end of input");
            error.position = Some(places.text.chars().count() as u32 + 1);
            error
        }
        None => SqlError::new("42601", format!("syntax error: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_its_statements() {
        let parsed = parse("select 1; ; select ';' -- ;\n; begin").unwrap();
        let texts: Vec<&str> = parsed.iter().map(|p| p.text.as_ref()).collect();
        assert_eq!(texts, ["select 1", "select ';'", "begin"]);
        assert!(parsed[2].utility().is_some());
        assert!(parse("  ;").unwrap()[0].is_empty());
    }

    #[test]
    fn syntax_errors_name_the_lexeme_and_its_position() {
        let error = parse("selec 1").unwrap_err();
        assert_eq!((error.code(), error.message.as_str()), ("42601", "syntax error at or near \"selec\""));
        assert_eq!(error.position, Some(1));
        let error = parse("select 1;\nselect * from t where").unwrap_err();
        assert_eq!(error.message, "syntax error at end of input");
        let error = parse("select 'abc").unwrap_err();
        assert_eq!((error.code(), error.message.as_str()), ("42601", "unterminated quoted string"));
        let error = parse("select é, 1 +* 2").unwrap_err();
        assert_eq!(error.position, Some(14));
    }

    #[test]
    fn deep_nesting_and_long_chains_are_refused_rather_than_overflow_the_stack() {
        let deep = format!("select {}1{}", "(".repeat(5_000), ")".repeat(5_000));
        assert_eq!(parse(&deep).unwrap_err().code(), "54001");
        let long = format!("select 1{}", "+1".repeat(100_000));
        assert_eq!(parse(&long).unwrap_err().code(), "54001");
    }
}
