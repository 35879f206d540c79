//! VACUUM, ANALYZE, LOCK TABLE, LISTEN and NOTIFY.

use super::{Cursor, Read, Utility};
use crate::transaction::SqlError;
use sqlparser::tokenizer::Token;

pub(super) fn maintenance(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
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

pub(super) fn lock(mut cursor: Cursor<'_>) -> Read<Option<Utility>> {
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

pub(super) fn notification(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
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
