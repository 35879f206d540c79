//! COPY: its source, direction and options in both of Postgres' spellings.

use super::parse::parse_sql;
use super::prepared::CopyFormat;
use super::utility::{CopySource, Cursor, Read, Utility};
use crate::transaction::SqlError;
use sqlparser::ast::Statement;
use sqlparser::tokenizer::Token;

/// Reads a COPY.
pub(super) fn copy(mut cursor: Cursor<'_>) -> Read<Option<Utility>> {
    cursor.at = 1;
    let mut format = CopyFormat::default();
    let mut given = CopyGiven::default();
    if cursor.take(&["binary"]) {
        given.format = Some("binary".into());
    }
    let source = if cursor.peek() == Some(&Token::LParen) {
        let start = cursor.at + 1;
        let mut depth = 0usize;
        loop {
            match cursor.next() {
                Some(Token::LParen) => depth += 1,
                Some(Token::RParen) if depth == 1 => break,
                Some(Token::RParen) => depth -= 1,
                Some(_) => {}
                None => return Err(cursor.error()),
            }
        }
        match parse_sql(&cursor.tokens[start..cursor.at - 1], cursor.places)? {
            Statement::Query(query) => CopySource::Query(query),
            _ => return Err(SqlError::new("0A000", "COPY of a statement that changes data is not supported")),
        }
    } else {
        let name = cursor.dotted()?;
        let mut columns = Vec::new();
        if cursor.take_token(&Token::LParen) {
            loop {
                columns.push(cursor.name()?);
                if !cursor.take_token(&Token::Comma) {
                    cursor.expect_token(&Token::RParen)?;
                    break;
                }
            }
        }
        CopySource::Table { name, columns }
    };
    let to = match () {
        () if cursor.take(&["from"]) => false,
        () if cursor.take(&["to"]) => true,
        () => return Err(cursor.error()),
    };
    if !(cursor.take(&[if to { "stdout" } else { "stdin" }])) {
        if matches!(cursor.peek(), Some(Token::SingleQuotedString(_))) || cursor.word(0).as_deref() == Some("program") {
            return Err(SqlError::new("0A000", "COPY with a file or a program is not supported")
                .with_hint("Use STDIN or STDOUT, or psql's \\copy."));
        }
        return Err(cursor.error());
    }
    cursor.take(&["with"]);
    if cursor.take_token(&Token::LParen) {
        copy_options(&mut cursor, &mut given)?;
    } else {
        copy_legacy(&mut cursor, &mut given)?;
    }
    if cursor.take(&["where"]) {
        return Err(SqlError::new("0A000", "COPY FROM with WHERE is not supported"));
    }
    given.apply(&mut format)?;
    cursor.done(Utility::Copy { source, to, format })
}

#[derive(Default)]
struct CopyGiven {
    format: Option<String>,
    delimiter: Option<String>,
    null: Option<String>,
    header: bool,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Vec<String>,
}

impl CopyGiven {
    fn apply(self, format: &mut CopyFormat) -> Read<()> {
        match self.format.as_deref() {
            None | Some("text") => {}
            Some("csv") => {
                format.csv = true;
                format.delimiter = b',';
                format.null = String::new();
            }
            Some("binary") => format.binary = true,
            Some(other) => return Err(SqlError::new("22023", format!("COPY format \"{other}\" not recognized"))),
        }
        let one = |text: String, what: &str| -> Read<u8> {
            match text.as_bytes() {
                [byte] => Ok(*byte),
                _ => Err(SqlError::new("0A000", format!("COPY {what} must be a single one-byte character"))),
            }
        };
        if let Some(text) = self.delimiter {
            format.delimiter = one(text, "delimiter")?;
        }
        if let Some(text) = self.quote {
            format.quote = one(text, "quote")?;
            format.escape = format.quote;
        }
        if let Some(text) = self.escape {
            format.escape = one(text, "escape")?;
        }
        if let Some(text) = self.null {
            format.null = text;
        }
        format.header = self.header;
        format.force_quote = self.force_quote;
        Ok(())
    }
}

fn truth(cursor: &mut Cursor<'_>) -> Read<bool> {
    if matches!(cursor.peek(), Some(Token::Comma | Token::RParen) | None) {
        return Ok(true);
    }
    match cursor.next() {
        Some(Token::Word(word)) => Ok(!matches!(word.value.to_ascii_lowercase().as_str(), "false" | "off")),
        Some(Token::Number(text, _)) => Ok(text != "0"),
        Some(Token::SingleQuotedString(text)) => Ok(!matches!(text.as_str(), "false" | "off" | "0")),
        _ => Err(cursor.error()),
    }
}

/// The value of an option that is a word may also stand in quotes.
fn word_or_string(cursor: &mut Cursor<'_>) -> Read<String> {
    if matches!(cursor.peek(), Some(Token::SingleQuotedString(_))) { cursor.string() } else { cursor.name() }
}

fn column_list(cursor: &mut Cursor<'_>) -> Read<Vec<String>> {
    if cursor.take_token(&Token::Mul) {
        return Ok(vec!["*".into()]);
    }
    let parenthesised = cursor.take_token(&Token::LParen);
    let mut columns = Vec::new();
    loop {
        columns.push(cursor.name()?);
        if !cursor.take_token(&Token::Comma) {
            break;
        }
    }
    if parenthesised {
        cursor.expect_token(&Token::RParen)?;
    }
    Ok(columns)
}

fn copy_options(cursor: &mut Cursor<'_>, given: &mut CopyGiven) -> Read<()> {
    loop {
        match cursor.name()?.as_str() {
            "format" => given.format = Some(word_or_string(cursor)?),
            "freeze" => {
                truth(cursor)?;
            }
            "delimiter" => given.delimiter = Some(cursor.string()?),
            "null" => given.null = Some(cursor.string()?),
            "header" => given.header = truth(cursor)?,
            "quote" => given.quote = Some(cursor.string()?),
            "escape" => given.escape = Some(cursor.string()?),
            "force_quote" => given.force_quote = column_list(cursor)?,
            "encoding" => {
                cursor.string()?;
            }
            "force_not_null" | "force_null" => {
                return Err(SqlError::new("0A000", "COPY FORCE_NULL and FORCE_NOT_NULL are not supported"));
            }
            other => return Err(SqlError::new("42601", format!("option \"{other}\" not recognized"))),
        }
        if !cursor.take_token(&Token::Comma) {
            return cursor.expect_token(&Token::RParen);
        }
    }
}

fn copy_legacy(cursor: &mut Cursor<'_>, given: &mut CopyGiven) -> Read<()> {
    loop {
        if cursor.take(&["binary"]) || cursor.take(&["csv"]) {
            given.format = cursor.tokens[cursor.at - 1].token.to_string().to_lowercase().into();
        } else if cursor.take(&["freeze"]) {
        } else if cursor.take(&["header"]) {
            given.header = true;
        } else if cursor.take(&["delimiter"]) || cursor.take(&["delimiters"]) {
            cursor.take(&["as"]);
            given.delimiter = Some(cursor.string()?);
        } else if cursor.take(&["null"]) {
            cursor.take(&["as"]);
            given.null = Some(cursor.string()?);
        } else if cursor.take(&["quote"]) {
            cursor.take(&["as"]);
            given.quote = Some(cursor.string()?);
        } else if cursor.take(&["escape"]) {
            cursor.take(&["as"]);
            given.escape = Some(cursor.string()?);
        } else if cursor.take(&["encoding"]) {
            cursor.string()?;
        } else if cursor.take(&["force", "quote"]) {
            given.force_quote = column_list(cursor)?;
        } else {
            return Ok(());
        }
    }
}
