//! SET, SHOW, RESET, DISCARD.

use super::transactions::modes;
use super::{Cursor, Read, Utility};
use crate::transaction::SqlError;
use sqlparser::tokenizer::Token;

/// A value of SET: words, strings and numbers, joined by commas.
pub(in crate::dialect) fn set_value(cursor: &mut Cursor<'_>) -> Read<Option<String>> {
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

pub(super) fn setting(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
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
                    // INTERVAL '-08:00' HOUR TO MINUTE says the same as '-08:00'.
                    let is_interval = cursor.take(&["interval"]);
                    let value = if cursor.take(&["local"]) { None } else { set_value(&mut cursor)? };
                    if is_interval {
                        cursor.take(&["hour", "to", "minute"]);
                    }
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
