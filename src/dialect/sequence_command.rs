//! ALTER SEQUENCE, and what ALTER TABLE does to the sequence of an identity column: RESTART, and ADD GENERATED with
//! the options that pg_dump writes.

use super::utility::{Cursor, Read, Utility};
use sqlparser::tokenizer::Token;

/// One option of ALTER SEQUENCE, or of an identity column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceOption {
    /// AS smallint, integer or bigint.
    Type(String),
    /// INCREMENT BY.
    Increment(i64),
    /// MINVALUE; `None` is NO MINVALUE.
    Minimum(Option<i64>),
    /// MAXVALUE; `None` is NO MAXVALUE.
    Maximum(Option<i64>),
    /// START WITH.
    Start(i64),
    /// RESTART; `None` means the start.
    Restart(Option<i64>),
    /// CYCLE or NO CYCLE.
    Cycle(bool),
    /// CACHE: numbers are never drawn ahead here, so it changes nothing.
    Cache(i64),
    /// OWNED BY table.column; `None` is NONE.
    OwnedBy(Option<Vec<String>>),
    /// SEQUENCE NAME, of an identity column's sequence.
    Name(Vec<String>),
}

/// What the command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceCommand {
    /// ALTER SEQUENCE.
    Alter {
        /// The sequence as written, folded.
        name: Vec<String>,
        /// IF EXISTS.
        if_exists: bool,
        /// At least one.
        options: Vec<SequenceOption>,
    },
    /// ALTER TABLE .. ALTER COLUMN .. RESTART.
    RestartColumn {
        /// The table as written, folded.
        table: Vec<String>,
        /// Its identity column.
        column: String,
        /// Next number; none means the first.
        value: Option<i64>,
    },
    /// ALTER TABLE .. ALTER COLUMN .. ADD GENERATED .. AS IDENTITY.
    AddIdentity {
        /// The table as written, folded.
        table: Vec<String>,
        /// Which column.
        column: String,
        /// ALWAYS, not BY DEFAULT.
        always: bool,
        /// In parentheses behind it.
        options: Vec<SequenceOption>,
    },
}

/// Reads what begins with ALTER; `None` leaves it to the parser.
pub(super) fn alter(mut cursor: Cursor<'_>) -> Read<Option<Utility>> {
    cursor.at = 1;
    if cursor.take(&["sequence"]) {
        return alter_sequence(cursor);
    }
    if !cursor.take(&["table"]) {
        return Ok(None);
    }
    cursor.take(&["only"]);
    let Ok(table) = cursor.dotted() else { return Ok(None) };
    if !cursor.take(&["alter"]) {
        return Ok(None);
    }
    cursor.take(&["column"]);
    let Ok(column) = cursor.name() else { return Ok(None) };
    let command = if cursor.take(&["restart"]) {
        SequenceCommand::RestartColumn { table, column, value: restart_value(&mut cursor)? }
    } else if cursor.take(&["add", "generated"]) {
        let always = cursor.take(&["always"]);
        if !always && !cursor.take(&["by", "default"]) || !cursor.take(&["as", "identity"]) {
            return Err(cursor.error());
        }
        let mut options = Vec::new();
        if cursor.take_token(&Token::LParen) {
            while !cursor.take_token(&Token::RParen) {
                options.push(option(&mut cursor)?);
            }
        }
        // Several actions in one statement are the parser's.
        if cursor.peek() == Some(&Token::Comma) {
            return Ok(None);
        }
        SequenceCommand::AddIdentity { table, column, always, options }
    } else {
        return Ok(None);
    };
    cursor.done(Utility::Sequence(Box::new(command)))
}

fn alter_sequence(mut cursor: Cursor<'_>) -> Read<Option<Utility>> {
    let if_exists = cursor.take(&["if", "exists"]);
    let Ok(name) = cursor.dotted() else { return Ok(None) };
    // Left to whoever knows it: OWNER TO, and what is not supported.
    if ["owner", "rename", "set"].iter().any(|word| cursor.word(0).as_deref() == Some(word)) {
        return Ok(None);
    }
    let mut options = vec![option(&mut cursor)?];
    while cursor.peek().is_some() {
        options.push(option(&mut cursor)?);
    }
    cursor.done(Utility::Sequence(Box::new(SequenceCommand::Alter { name, if_exists, options })))
}

fn option(cursor: &mut Cursor<'_>) -> Read<SequenceOption> {
    let option = if cursor.take(&["as"]) {
        SequenceOption::Type(cursor.name()?)
    } else if cursor.take(&["increment"]) {
        cursor.take(&["by"]);
        SequenceOption::Increment(number(cursor)?)
    } else if cursor.take(&["minvalue"]) {
        SequenceOption::Minimum(Some(number(cursor)?))
    } else if cursor.take(&["no", "minvalue"]) {
        SequenceOption::Minimum(None)
    } else if cursor.take(&["maxvalue"]) {
        SequenceOption::Maximum(Some(number(cursor)?))
    } else if cursor.take(&["no", "maxvalue"]) {
        SequenceOption::Maximum(None)
    } else if cursor.take(&["start"]) {
        cursor.take(&["with"]);
        SequenceOption::Start(number(cursor)?)
    } else if cursor.take(&["restart"]) {
        SequenceOption::Restart(restart_value(cursor)?)
    } else if cursor.take(&["cycle"]) {
        SequenceOption::Cycle(true)
    } else if cursor.take(&["no", "cycle"]) {
        SequenceOption::Cycle(false)
    } else if cursor.take(&["cache"]) {
        SequenceOption::Cache(number(cursor)?)
    } else if cursor.take(&["owned", "by", "none"]) {
        SequenceOption::OwnedBy(None)
    } else if cursor.take(&["owned", "by"]) {
        SequenceOption::OwnedBy(Some(cursor.dotted()?))
    } else if cursor.take(&["sequence", "name"]) {
        SequenceOption::Name(cursor.dotted()?)
    } else {
        return Err(cursor.error());
    };
    Ok(option)
}

fn number(cursor: &mut Cursor<'_>) -> Read<i64> {
    match signed(cursor)? {
        Some(number) => Ok(number),
        None => Err(cursor.error()),
    }
}

/// What stands behind RESTART: nothing, or a number with or without WITH.
fn restart_value(cursor: &mut Cursor<'_>) -> Read<Option<i64>> {
    if cursor.take(&["with"]) { number(cursor).map(Some) } else { signed(cursor) }
}

/// A number with its sign, if one comes next.
fn signed(cursor: &mut Cursor<'_>) -> Read<Option<i64>> {
    let negative = cursor.take_token(&Token::Minus);
    let sign = if negative { "-" } else { "" };
    match cursor.peek() {
        Some(Token::Number(text, _)) => {
            let value = format!("{sign}{text}").parse().map_err(|_| cursor.error())?;
            cursor.at += 1;
            Ok(Some(value))
        }
        _ if negative => Err(cursor.error()),
        _ => Ok(None),
    }
}
