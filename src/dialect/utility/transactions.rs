//! BEGIN, COMMIT, ROLLBACK, savepoints, and the modes of a transaction.

use super::{Cursor, Isolation, Read, TransactionModes, Utility};
use crate::transaction::SqlError;
use sqlparser::tokenizer::Token;

pub(super) fn modes(cursor: &mut Cursor<'_>) -> Read<TransactionModes> {
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

pub(super) fn transaction(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
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
            Utility::Begin(TransactionModes { is_start: true, ..modes(&mut cursor)? })
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
