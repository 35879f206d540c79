//! What names statements and their results: PREPARE, EXECUTE, DEALLOCATE; cursors; EXPLAIN.

use super::{Cursor, FetchCount, Read, Utility, parse};
use crate::dialect::parse::{Ast, Parsed, parse_sql, syntax_error};
use crate::transaction::SqlError;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

/// The statement that the remaining lexemes make.
fn inner(cursor: &Cursor<'_>) -> Read<Box<Parsed>> {
    let rest = cursor.rest();
    let (Some(first), Some(last)) = (rest.first(), rest.last()) else { return Err(cursor.error()) };
    let ast = match parse(rest, cursor.places)? {
        Some(utility) => Ast::Utility(utility),
        None => Ast::Sql(Box::new(parse_sql(rest, cursor.places)?)),
    };
    let text = cursor.places.slice(first.span.start, last.span.end);
    Ok(Box::new(Parsed { text: text.into(), whole: cursor.places.whole().into(), ast, overriding: false }))
}

pub(super) fn statement_names(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
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

pub(super) fn portal(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
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

pub(super) fn explain(mut cursor: Cursor<'_>) -> Read<Option<Utility>> {
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
                    Some(Token::SingleQuotedString(text)) => text.to_lowercase(),
                    Some(token) => token.to_string(),
                    None => return Err(cursor.error()),
                };
            }
            let on = !matches!(value.as_str(), "false" | "off" | "0");
            match option.as_str() {
                "analyze" => analyze = on,
                "format" => {
                    json = match value.as_str() {
                        "json" => true,
                        "text" => false,
                        "xml" | "yaml" => {
                            let message = format!("EXPLAIN (FORMAT {}) is not supported", value.to_uppercase());
                            return Err(SqlError::new("0A000", message));
                        }
                        _ => {
                            let message = format!("unrecognized value for EXPLAIN option \"format\": \"{value}\"");
                            return Err(SqlError::new("22023", message));
                        }
                    }
                }
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
    if let Some(Utility::Prepare { .. }) = statement.utility() {
        return Err(cursor.error());
    }
    Ok(Some(Utility::Explain { analyze, json, statement }))
}
