//! ALTER SEQUENCE .. RESTART and ALTER TABLE .. ALTER COLUMN .. RESTART.

use super::utility::{Cursor, Read, Utility};
use sqlparser::tokenizer::Token;

/// The parser knows all of ALTER but RESTART; `None` leaves it to the parser.
pub(super) fn restart(mut cursor: Cursor<'_>) -> Read<Option<Utility>> {
    cursor.at = 1;
    let of_sequence = cursor.take(&["sequence"]);
    if !of_sequence && !cursor.take(&["table"]) {
        return Ok(None);
    }
    cursor.take(&["only"]);
    let Ok(name) = cursor.dotted() else { return Ok(None) };
    let column = if of_sequence {
        None
    } else {
        if !cursor.take(&["alter"]) {
            return Ok(None);
        }
        cursor.take(&["column"]);
        let Ok(column) = cursor.name() else { return Ok(None) };
        Some(column)
    };
    if !cursor.take(&["restart"]) {
        return Ok(None);
    }
    cursor.take(&["with"]);
    let negative = cursor.take_token(&Token::Minus);
    let value = match cursor.peek() {
        Some(Token::Number(text, _)) => {
            let signed = if negative { format!("-{text}") } else { text.clone() };
            let value = signed.parse().map_err(|_| cursor.error())?;
            cursor.at += 1;
            Some(value)
        }
        None if !negative => None,
        _ => return Err(cursor.error()),
    };
    cursor.done(Utility::Restart { name, column, value })
}
