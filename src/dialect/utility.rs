//! Commands that are the session's own affair: transactions, settings, cursors, prepared statements,
//! COPY, VACUUM. Small grammars, read from lexemes here because Postgres' forms of them are wider than
//! what the SQL parser takes.

use super::parse::{Parsed, Places, parse_sql, syntax_error};
use super::prepared::CopyFormat;
pub use super::role_command::{Grant, GrantAction, GrantObjects, Grantee};
use crate::catalog::role_commands::RoleCommand;
use crate::transaction::SqlError;
use sqlparser::ast::{DataType, Query};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// Isolation levels by their Postgres names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// READ UNCOMMITTED, READ COMMITTED.
    ReadCommitted,
    /// REPEATABLE READ.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}

/// Modes named by BEGIN, START TRANSACTION or SET TRANSACTION; `None` where nothing was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TransactionModes {
    /// ISOLATION LEVEL.
    pub isolation: Option<Isolation>,
    /// READ ONLY (true) or READ WRITE.
    pub read_only: Option<bool>,
    /// DEFERRABLE.
    pub deferrable: Option<bool>,
}

/// How FETCH or MOVE moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchCount {
    /// So many rows forward.
    Forward(u64),
    /// All that are left.
    All,
    /// So many rows backward.
    Backward(u64),
    /// All before.
    BackwardAll,
    /// FIRST, LAST, ABSOLUTE n, RELATIVE n.
    Absolute(i64),
    /// From the present row.
    Relative(i64),
}

/// Where COPY reads from or writes to.
#[derive(Clone, Debug)]
pub enum CopySource {
    /// A table and its columns; no columns means all.
    Table {
        /// Schema and name as written, folded.
        name: Vec<String>,
        /// Columns.
        columns: Vec<String>,
    },
    /// A query.
    Query(Box<Query>),
}

/// A command.
#[derive(Clone, Debug)]
pub enum Utility {
    /// BEGIN, START TRANSACTION.
    Begin(TransactionModes),
    /// COMMIT, END.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// ROLLBACK, ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// SAVEPOINT.
    Savepoint(String),
    /// RELEASE.
    Release(String),
    /// ROLLBACK TO.
    RollbackTo(String),
    /// SET name = values, SET TIME ZONE.
    Set {
        /// Parameter in lower case.
        name: String,
        /// Values as text; `None` is DEFAULT.
        value: Option<String>,
        /// SET LOCAL.
        local: bool,
    },
    /// SET TRANSACTION; `session` is SET SESSION CHARACTERISTICS.
    SetTransaction {
        /// Modes.
        modes: TransactionModes,
        /// For later transactions.
        session: bool,
    },
    /// SHOW name; `all` for all.
    Show(String),
    /// RESET name, or all.
    Reset(Option<String>),
    /// DISCARD ALL, PLANS, SEQUENCES, TEMP.
    Discard(String),
    /// PREPARE.
    Prepare {
        /// Name.
        name: String,
        /// Types of the parameters as far as given.
        types: Vec<DataType>,
        /// What it runs.
        statement: Box<Parsed>,
    },
    /// EXECUTE: arguments are constant expressions; evaluate them with [`super::execute_arguments`].
    Execute {
        /// Name.
        name: String,
        /// Source text of each argument.
        arguments: Vec<String>,
    },
    /// DEALLOCATE name, or all.
    Deallocate(Option<String>),
    /// DECLARE CURSOR.
    Declare {
        /// Name.
        name: String,
        /// BINARY.
        binary: bool,
        /// SCROLL (true), NO SCROLL.
        scroll: Option<bool>,
        /// WITH HOLD.
        hold: bool,
        /// What it reads.
        query: Box<Parsed>,
    },
    /// FETCH; `move_only` for MOVE.
    Fetch {
        /// Cursor.
        name: String,
        /// How far.
        count: FetchCount,
        /// MOVE.
        move_only: bool,
    },
    /// CLOSE name, or all.
    Close(Option<String>),
    /// COPY; [`super::prepare`] makes the statement for it.
    Copy {
        /// What.
        source: CopySource,
        /// TO STDOUT, not FROM STDIN.
        to: bool,
        /// How.
        format: CopyFormat,
    },
    /// EXPLAIN.
    Explain {
        /// ANALYZE: runs it.
        analyze: bool,
        /// FORMAT JSON.
        json: bool,
        /// What.
        statement: Box<Parsed>,
    },
    /// VACUUM, with ANALYZE or not, of these tables.
    Vacuum {
        /// ANALYZE.
        analyze: bool,
        /// Names as written, folded; none means all.
        tables: Vec<Vec<String>>,
    },
    /// ANALYZE of these tables.
    Analyze(Vec<Vec<String>>),
    /// LOCK TABLE.
    Lock {
        /// Names.
        tables: Vec<Vec<String>>,
        /// Mode in upper case.
        mode: String,
        /// NOWAIT.
        nowait: bool,
    },
    /// ALTER SEQUENCE .. RESTART, ALTER TABLE .. ALTER COLUMN .. RESTART; [`super::prepare`] makes the statement for it.
    Restart {
        /// The sequence, or the table of the column; as written, folded.
        name: Vec<String>,
        /// An identity column.
        column: Option<String>,
        /// Next number; none means the first.
        value: Option<i64>,
    },
    /// LISTEN.
    Listen(String),
    /// UNLISTEN name, or all.
    Unlisten(Option<String>),
    /// NOTIFY.
    Notify {
        /// Channel.
        channel: String,
        /// Payload.
        payload: String,
    },
    /// CHECKPOINT: accepted, nothing to do.
    Checkpoint,
    /// CREATE, ALTER, DROP ROLE; GRANT and REVOKE of membership.
    Role(Box<RoleCommand>),
    /// GRANT and REVOKE of privileges.
    Grant(Box<Grant>),
    /// Accepted without effect; the command tag.
    Ignored(&'static str),
}

/// Reads lexemes one after the other.
pub(super) struct Cursor<'a> {
    pub(super) tokens: &'a [TokenWithSpan],
    pub(super) places: &'a Places<'a>,
    pub(super) at: usize,
}

pub(super) type Read<T> = Result<T, SqlError>;

impl<'a> Cursor<'a> {
    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }
    pub(super) fn next(&mut self) -> Option<&'a Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).map(|token| &token.token)
    }
    pub(super) fn word(&self, ahead: usize) -> Option<String> {
        match &self.tokens.get(self.at + ahead)?.token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
            _ => None,
        }
    }
    /// Takes these words if they come next.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let here = words.iter().enumerate().all(|(ahead, word)| self.word(ahead).as_deref() == Some(word));
        if here {
            self.at += words.len();
        }
        here
    }
    pub(super) fn take_token(&mut self, token: &Token) -> bool {
        let here = self.peek() == Some(token);
        self.at += usize::from(here);
        here
    }
    pub(super) fn error(&self) -> SqlError {
        match self.tokens.get(self.at) {
            Some(token) => syntax_error(token, self.places),
            None => SqlError::new("42601", "syntax error at end of input"),
        }
    }
    pub(super) fn expect(&mut self, word: &str) -> Read<()> {
        if self.take(&[word]) { Ok(()) } else { Err(self.error()) }
    }
    pub(super) fn expect_token(&mut self, token: &Token) -> Read<()> {
        if self.take_token(token) { Ok(()) } else { Err(self.error()) }
    }
    pub(super) fn name(&mut self) -> Read<String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(match word.quote_style {
                    Some(_) => word.value.clone(),
                    None => word.value.to_lowercase(),
                })
            }
            _ => Err(self.error()),
        }
    }
    pub(super) fn dotted(&mut self) -> Read<Vec<String>> {
        let mut parts = vec![self.name()?];
        while self.take_token(&Token::Period) {
            parts.push(self.name()?);
        }
        Ok(parts)
    }
    pub(super) fn names(&mut self) -> Read<Vec<Vec<String>>> {
        let mut all = vec![self.dotted()?];
        while self.take_token(&Token::Comma) {
            all.push(self.dotted()?);
        }
        Ok(all)
    }
    pub(super) fn string(&mut self) -> Read<String> {
        match self.peek() {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => {
                self.at += 1;
                Ok(text.clone())
            }
            _ => Err(self.error()),
        }
    }
    pub(super) fn end(&self) -> Read<()> {
        if self.at >= self.tokens.len() { Ok(()) } else { Err(self.error()) }
    }
    pub(super) fn rest(&self) -> &'a [TokenWithSpan] {
        self.tokens.get(self.at..).unwrap_or(&[])
    }
    pub(super) fn done(self, utility: Utility) -> Read<Option<Utility>> {
        self.end()?;
        Ok(Some(utility))
    }
}

/// The command that these lexemes (without blanks) make, or `None` if they are SQL.
pub(super) fn parse(tokens: &[TokenWithSpan], places: &Places<'_>) -> Read<Option<Utility>> {
    let mut cursor = Cursor { tokens, places, at: 0 };
    let Some(first) = cursor.word(0) else { return Ok(None) };
    match first.as_str() {
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
            transaction(cursor, &first)
        }
        "set" | "show" | "reset" | "discard" => setting(cursor, &first),
        "prepare" | "execute" | "deallocate" => statement_names(cursor, &first),
        "declare" | "fetch" | "move" | "close" => portal(cursor, &first),
        "copy" => super::copy_command::copy(cursor),
        "explain" => explain(cursor),
        "vacuum" | "analyze" | "analyse" => maintenance(cursor, &first),
        "lock" => lock(cursor),
        "listen" | "unlisten" | "notify" => notification(cursor, &first),
        "checkpoint" => {
            cursor.at += 1;
            cursor.done(Utility::Checkpoint)
        }
        "reindex" => Ok(Some(Utility::Ignored("REINDEX"))),
        "cluster" => Ok(Some(Utility::Ignored("CLUSTER"))),
        _ if super::role_command::is_about_roles(&cursor, &first) => super::role_command::roles(cursor, &first),
        "alter" => super::restart_command::restart(cursor),
        "do" => Err(SqlError::new("0A000", "DO is not supported")),
        "call" => Err(SqlError::new("0A000", "CALL is not supported")),
        _ => Ok(None),
    }
}

fn modes(cursor: &mut Cursor<'_>) -> Read<TransactionModes> {
    let mut modes = TransactionModes::default();
    loop {
        if cursor.take(&["isolation", "level"]) {
            modes.isolation = Some(if cursor.take(&["serializable"]) {
                Isolation::Serializable
            } else if cursor.take(&["repeatable", "read"]) {
                Isolation::RepeatableRead
            } else if cursor.take(&["read", "committed"]) || cursor.take(&["read", "uncommitted"]) {
                Isolation::ReadCommitted
            } else {
                return Err(cursor.error());
            });
        } else if cursor.take(&["read", "only"]) {
            modes.read_only = Some(true);
        } else if cursor.take(&["read", "write"]) {
            modes.read_only = Some(false);
        } else if cursor.take(&["deferrable"]) {
            modes.deferrable = Some(true);
        } else if cursor.take(&["not", "deferrable"]) {
            modes.deferrable = Some(false);
        } else if !cursor.take_token(&Token::Comma) {
            return Ok(modes);
        }
    }
}

fn transaction(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
    cursor.at = 1;
    let noise = |cursor: &mut Cursor<'_>| cursor.take(&["work"]) || cursor.take(&["transaction"]);
    let chain = |cursor: &mut Cursor<'_>| -> bool {
        let chain = cursor.take(&["and", "chain"]);
        cursor.take(&["and", "no", "chain"]);
        chain
    };
    let utility = match first {
        "start" => {
            cursor.expect("transaction")?;
            Utility::Begin(modes(&mut cursor)?)
        }
        "begin" => {
            noise(&mut cursor);
            Utility::Begin(modes(&mut cursor)?)
        }
        "savepoint" => Utility::Savepoint(cursor.name()?),
        "release" => {
            cursor.take(&["savepoint"]);
            Utility::Release(cursor.name()?)
        }
        "commit" | "rollback" if cursor.take(&["prepared"]) => {
            return Err(SqlError::new("0A000", "two-phase commit is not supported"));
        }
        "commit" | "end" => {
            noise(&mut cursor);
            Utility::Commit { chain: chain(&mut cursor) }
        }
        _ => {
            noise(&mut cursor);
            if cursor.take(&["to"]) {
                cursor.take(&["savepoint"]);
                Utility::RollbackTo(cursor.name()?)
            } else {
                Utility::Rollback { chain: chain(&mut cursor) }
            }
        }
    };
    cursor.done(utility)
}

/// A value of SET: words, strings and numbers, joined by commas.
pub(super) fn set_value(cursor: &mut Cursor<'_>) -> Read<Option<String>> {
    if cursor.take(&["default"]) {
        return Ok(None);
    }
    let mut values = Vec::new();
    loop {
        let negative = cursor.take_token(&Token::Minus);
        let value = match cursor.next() {
            Some(Token::Word(word)) if word.quote_style.is_some() => word.value.clone(),
            Some(Token::Word(word)) => word.value.to_lowercase(),
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => text.clone(),
            Some(Token::Number(text, _)) => text.clone(),
            _ => {
                cursor.at -= 1;
                return Err(cursor.error());
            }
        };
        values.push(if negative { format!("-{value}") } else { value });
        if !cursor.take_token(&Token::Comma) {
            return Ok(Some(values.join(", ")));
        }
    }
}

fn parameter(cursor: &mut Cursor<'_>) -> Read<String> {
    if cursor.take(&["time", "zone"]) {
        return Ok("timezone".into());
    }
    if cursor.take(&["transaction", "isolation", "level"]) {
        return Ok("transaction_isolation".into());
    }
    if cursor.take(&["session", "authorization"]) {
        return Ok("session_authorization".into());
    }
    Ok(cursor.dotted()?.join(".").to_lowercase())
}

fn setting(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
    cursor.at = 1;
    let utility = match first {
        "show" => Utility::Show(parameter(&mut cursor)?),
        "reset" if cursor.take(&["all"]) => Utility::Reset(None),
        "reset" => Utility::Reset(Some(parameter(&mut cursor)?)),
        "discard" => Utility::Discard(cursor.name()?),
        _ => {
            if cursor.take(&["constraints"]) {
                return Ok(Some(Utility::Ignored("SET CONSTRAINTS")));
            }
            if cursor.take(&["session", "characteristics", "as", "transaction"]) {
                Utility::SetTransaction { modes: modes(&mut cursor)?, session: true }
            } else {
                let local = cursor.take(&["local"]);
                if !local && cursor.word(1).as_deref() != Some("authorization") {
                    cursor.take(&["session"]);
                }
                if cursor.take(&["transaction"]) {
                    if cursor.take(&["snapshot"]) {
                        return Err(SqlError::new("0A000", "SET TRANSACTION SNAPSHOT is not supported"));
                    }
                    Utility::SetTransaction { modes: modes(&mut cursor)?, session: false }
                } else if cursor.take(&["time", "zone"]) {
                    let value = if cursor.take(&["local"]) { None } else { set_value(&mut cursor)? };
                    Utility::Set { name: "timezone".into(), value, local }
                } else if cursor.take(&["names"]) {
                    Utility::Set { name: "client_encoding".into(), value: set_value(&mut cursor)?, local }
                } else if cursor.take(&["session", "authorization"]) || cursor.take(&["role"]) {
                    let named = |c: &Cursor<'_>| {
                        c.tokens[1..c.at].iter().any(|t| t.token.to_string().eq_ignore_ascii_case("role"))
                    };
                    let name = if named(&cursor) { "role" } else { "session_authorization" };
                    cursor.take_token(&Token::Eq);
                    Utility::Set { name: name.into(), value: set_value(&mut cursor)?, local }
                } else {
                    let name = parameter(&mut cursor)?;
                    if !cursor.take(&["to"]) {
                        cursor.expect_token(&Token::Eq)?;
                    }
                    Utility::Set { name, value: set_value(&mut cursor)?, local }
                }
            }
        }
    };
    cursor.done(utility)
}

/// The statement that the remaining lexemes make.
fn inner(cursor: &Cursor<'_>) -> Read<Box<Parsed>> {
    let rest = cursor.rest();
    let (Some(first), Some(last)) = (rest.first(), rest.last()) else { return Err(cursor.error()) };
    let ast = match parse(rest, cursor.places)? {
        Some(utility) => super::parse::Ast::Utility(utility),
        None => super::parse::Ast::Sql(Box::new(parse_sql(rest, cursor.places)?)),
    };
    let text = cursor.places.slice(first.span.start, last.span.end);
    Ok(Box::new(Parsed { text: text.into(), whole: cursor.places.whole().into(), ast, overriding: false }))
}

fn statement_names(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
    cursor.at = 1;
    match first {
        "prepare" if cursor.take(&["transaction"]) => Err(SqlError::new("0A000", "two-phase commit is not supported")),
        "prepare" => {
            let name = cursor.name()?;
            let mut types = Vec::new();
            if cursor.take_token(&Token::LParen) {
                let dialect = PostgreSqlDialect {};
                let mut parser = Parser::new(&dialect).with_tokens_with_locations(cursor.rest().to_vec());
                loop {
                    types.push(parser.parse_data_type().map_err(|_| cursor.error())?);
                    let token = parser.next_token();
                    match token.token {
                        Token::Comma => {}
                        Token::RParen => break,
                        _ => return Err(syntax_error(&token, cursor.places)),
                    }
                }
                cursor.at += parser.index();
            }
            cursor.expect("as")?;
            let statement = inner(&cursor)?;
            Ok(Some(Utility::Prepare { name, types, statement }))
        }
        "execute" => {
            let name = cursor.name()?;
            let mut arguments = Vec::new();
            if cursor.take_token(&Token::LParen) {
                let mut depth = 0usize;
                let mut start = cursor.at;
                loop {
                    let Some(token) = cursor.next() else { return Err(cursor.error()) };
                    let ends = depth == 0 && matches!(token, Token::Comma | Token::RParen);
                    if ends && cursor.at - 1 > start {
                        let (a, b) = (&cursor.tokens[start], &cursor.tokens[cursor.at - 2]);
                        arguments.push(cursor.places.slice(a.span.start, b.span.end).to_string());
                        start = cursor.at;
                    }
                    match token {
                        Token::LParen | Token::LBracket => depth += 1,
                        Token::RParen if depth == 0 => break,
                        Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                }
            }
            cursor.done(Utility::Execute { name, arguments })
        }
        _ => {
            cursor.take(&["prepare"]);
            let name = if cursor.take(&["all"]) { None } else { Some(cursor.name()?) };
            cursor.done(Utility::Deallocate(name))
        }
    }
}

fn portal(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
    cursor.at = 1;
    match first {
        "close" => {
            let name = if cursor.take(&["all"]) { None } else { Some(cursor.name()?) };
            cursor.done(Utility::Close(name))
        }
        "declare" => {
            let name = cursor.name()?;
            let (mut binary, mut scroll, mut hold) = (false, None, false);
            loop {
                if cursor.take(&["binary"]) {
                    binary = true;
                } else if cursor.take(&["no", "scroll"]) {
                    scroll = Some(false);
                } else if cursor.take(&["scroll"]) {
                    scroll = Some(true);
                } else if !(cursor.take(&["insensitive"]) || cursor.take(&["asensitive"])) {
                    break;
                }
            }
            cursor.expect("cursor")?;
            if cursor.take(&["with", "hold"]) {
                hold = true;
            } else {
                cursor.take(&["without", "hold"]);
            }
            cursor.expect("for")?;
            let query = inner(&cursor)?;
            Ok(Some(Utility::Declare { name, binary, scroll, hold, query }))
        }
        _ => {
            let count = fetch_count(&mut cursor)?;
            if !cursor.take(&["from"]) {
                cursor.take(&["in"]);
            }
            let name = cursor.name()?;
            cursor.done(Utility::Fetch { name, count, move_only: first == "move" })
        }
    }
}

fn signed_number(cursor: &mut Cursor<'_>) -> Read<Option<i64>> {
    let negative = cursor.take_token(&Token::Minus);
    match cursor.peek() {
        Some(Token::Number(text, _)) => {
            let number: i64 = text.parse().map_err(|_| cursor.error())?;
            cursor.at += 1;
            Ok(Some(if negative { -number } else { number }))
        }
        _ if negative => Err(cursor.error()),
        _ => Ok(None),
    }
}

fn fetch_count(cursor: &mut Cursor<'_>) -> Read<FetchCount> {
    let direction = |count: i64| {
        if count < 0 { FetchCount::Backward(count.unsigned_abs()) } else { FetchCount::Forward(count as u64) }
    };
    if let Some(count) = signed_number(cursor)? {
        return Ok(direction(count));
    }
    for (word, count) in [
        ("next", FetchCount::Forward(1)),
        ("prior", FetchCount::Backward(1)),
        ("first", FetchCount::Absolute(1)),
        ("last", FetchCount::Absolute(-1)),
        ("all", FetchCount::All),
    ] {
        if cursor.take(&[word]) {
            return Ok(count);
        }
    }
    for (word, backward) in [("forward", false), ("backward", true)] {
        if cursor.take(&[word]) {
            if cursor.take(&["all"]) {
                return Ok(if backward { FetchCount::BackwardAll } else { FetchCount::All });
            }
            let count = signed_number(cursor)?.unwrap_or(1);
            return Ok(direction(if backward { -count } else { count }));
        }
    }
    for (word, absolute) in [("absolute", true), ("relative", false)] {
        if cursor.take(&[word]) {
            let count = signed_number(cursor)?.ok_or_else(|| cursor.error())?;
            return Ok(if absolute { FetchCount::Absolute(count) } else { FetchCount::Relative(count) });
        }
    }
    Ok(FetchCount::Forward(1))
}

fn explain(mut cursor: Cursor<'_>) -> Read<Option<Utility>> {
    cursor.at = 1;
    let (mut analyze, mut json) = (false, false);
    if cursor.peek() == Some(&Token::LParen) && !matches!(cursor.word(1).as_deref(), Some("select" | "with" | "values"))
    {
        cursor.at += 1;
        loop {
            let option = cursor.name()?;
            let mut value = String::from("true");
            if !matches!(cursor.peek(), Some(Token::Comma | Token::RParen)) {
                value = match cursor.next() {
                    Some(Token::Word(word)) => word.value.to_lowercase(),
                    Some(token) => token.to_string(),
                    None => return Err(cursor.error()),
                };
            }
            let on = !matches!(value.as_str(), "false" | "off" | "0");
            match option.as_str() {
                "analyze" => analyze = on,
                "format" => json = value == "json",
                "verbose" | "costs" | "settings" | "buffers" | "wal" | "timing" | "summary" => {}
                other => {
                    return Err(SqlError::new("42601", format!("unrecognized EXPLAIN option \"{other}\"")));
                }
            }
            if !cursor.take_token(&Token::Comma) {
                cursor.expect_token(&Token::RParen)?;
                break;
            }
        }
    } else {
        analyze = cursor.take(&["analyze"]) || cursor.take(&["analyse"]);
        cursor.take(&["verbose"]);
    }
    let statement = inner(&cursor)?;
    Ok(Some(Utility::Explain { analyze, json, statement }))
}

fn maintenance(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
    cursor.at = 1;
    let mut analyze = false;
    if cursor.take_token(&Token::LParen) {
        while !cursor.take_token(&Token::RParen) {
            let option = cursor.name()?;
            let off = matches!(cursor.word(0).as_deref(), Some("false" | "off"));
            analyze |= matches!(option.as_str(), "analyze" | "analyse") && !off;
            while !matches!(cursor.peek(), Some(Token::Comma | Token::RParen)) {
                cursor.next().ok_or_else(|| SqlError::new("42601", "syntax error at end of input"))?;
            }
            cursor.take_token(&Token::Comma);
        }
    }
    if first == "vacuum" {
        while cursor.take(&["full"]) || cursor.take(&["freeze"]) || cursor.take(&["verbose"]) {}
        analyze |= cursor.take(&["analyze"]) || cursor.take(&["analyse"]);
    } else {
        cursor.take(&["verbose"]);
    }
    let mut tables = Vec::new();
    while cursor.peek().is_some() {
        tables.push(cursor.dotted()?);
        if cursor.take_token(&Token::LParen) {
            while !cursor.take_token(&Token::RParen) {
                cursor.name()?;
                cursor.take_token(&Token::Comma);
            }
        }
        if !cursor.take_token(&Token::Comma) {
            break;
        }
    }
    let utility = if first == "vacuum" { Utility::Vacuum { analyze, tables } } else { Utility::Analyze(tables) };
    cursor.done(utility)
}

fn lock(mut cursor: Cursor<'_>) -> Read<Option<Utility>> {
    cursor.at = 1;
    cursor.take(&["table"]);
    cursor.take(&["only"]);
    let tables = cursor.names()?;
    let mut mode = String::from("ACCESS EXCLUSIVE");
    if cursor.take(&["in"]) {
        let mut words = Vec::new();
        while !cursor.take(&["mode"]) {
            words.push(cursor.name()?.to_uppercase());
        }
        mode = words.join(" ");
    }
    let nowait = cursor.take(&["nowait"]);
    cursor.done(Utility::Lock { tables, mode, nowait })
}

fn notification(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
    cursor.at = 1;
    let utility = match first {
        "listen" => Utility::Listen(cursor.name()?),
        "unlisten" if cursor.take_token(&Token::Mul) => Utility::Unlisten(None),
        "unlisten" => Utility::Unlisten(Some(cursor.name()?)),
        _ => {
            let channel = cursor.name()?;
            let payload = if cursor.take_token(&Token::Comma) { cursor.string()? } else { String::new() };
            Utility::Notify { channel, payload }
        }
    };
    cursor.done(utility)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::parse as parse_text;

    fn utility(sql: &str) -> Utility {
        parse_text(sql).unwrap()[0].utility().cloned().unwrap_or_else(|| panic!("{sql} is no command"))
    }

    #[test]
    fn transaction_modes_are_read_in_all_their_forms() {
        let Utility::Begin(modes) = utility("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY DEFERRABLE") else {
            panic!()
        };
        assert_eq!(modes.isolation, Some(Isolation::RepeatableRead));
        assert_eq!((modes.read_only, modes.deferrable), (Some(true), Some(true)));
        let Utility::Begin(modes) = utility("start transaction isolation level serializable, read only") else {
            panic!()
        };
        assert_eq!((modes.isolation, modes.read_only), (Some(Isolation::Serializable), Some(true)));
        assert!(matches!(utility("END"), Utility::Commit { chain: false }));
        assert!(matches!(utility("rollback to savepoint \"S1\""), Utility::RollbackTo(name) if name == "S1"));
        assert!(matches!(utility("abort"), Utility::Rollback { .. }));
    }

    #[test]
    fn settings_keep_their_values_as_text() {
        let cases = [
            ("SET client_encoding TO 'UTF8'", "client_encoding", Some("UTF8")),
            ("set session statement_timeout = 100", "statement_timeout", Some("100")),
            ("set local evesql.read_level to local", "evesql.read_level", Some("local")),
            ("SET TIME ZONE 'UTC'", "timezone", Some("UTC")),
            ("set search_path = a, \"B\"", "search_path", Some("a, B")),
            ("set extra_float_digits = -3", "extra_float_digits", Some("-3")),
            ("set datestyle to default", "datestyle", None),
            ("SET SESSION AUTHORIZATION DEFAULT", "session_authorization", None),
            ("set role admin", "role", Some("admin")),
        ];
        for (sql, expected_name, expected) in cases {
            let Utility::Set { name, value, .. } = utility(sql) else { panic!("{sql}") };
            assert_eq!((name.as_str(), value.as_deref()), (expected_name, expected), "{sql}");
        }
        assert!(
            matches!(utility("SHOW TRANSACTION ISOLATION LEVEL"), Utility::Show(n) if n == "transaction_isolation")
        );
        assert!(matches!(utility("reset all"), Utility::Reset(None)));
    }

    #[test]
    fn copies_cursors_and_prepared_statements_are_understood() {
        let Utility::Copy { to: false, format, source: CopySource::Table { name, columns } } =
            utility("copy public.t(a, b) from stdin with (freeze on, format csv, header)")
        else {
            panic!()
        };
        assert_eq!((name, columns), (vec!["public".to_string(), "t".into()], vec!["a".to_string(), "b".into()]));
        assert!(format.csv && format.header);
        assert!(matches!(
            utility("copy (select ')' from t) to stdout"),
            Utility::Copy { to: true, source: CopySource::Query(_), .. }
        ));
        assert!(matches!(
            utility("FETCH FORWARD 2 FROM \"srv\""),
            Utility::Fetch { count: FetchCount::Forward(2), .. }
        ));
        assert!(matches!(utility("fetch c"), Utility::Fetch { count: FetchCount::Forward(1), .. }));
        let Utility::Declare { query, hold: false, .. } = utility("DECLARE c NO SCROLL CURSOR FOR\nselect * from t")
        else {
            panic!()
        };
        assert_eq!(&*query.text, "select * from t");
        let Utility::Execute { arguments, .. } = utility("execute p(1, 'a,b', f(2, 3))") else { panic!() };
        assert_eq!(arguments, ["1", "'a,b'", "f(2, 3)"]);
        let Utility::Prepare { types, statement, .. } = utility("prepare p(int, numeric(10,2)) as select $1") else {
            panic!()
        };
        assert_eq!((types.len(), &*statement.text), (2, "select $1"));
        assert!(matches!(utility("vacuum analyze t"), Utility::Vacuum { analyze: true, tables } if tables == [["t"]]));
        assert!(matches!(
            utility("explain (verbose, format json) select 1"),
            Utility::Explain { json: true, analyze: false, .. }
        ));
    }
}
