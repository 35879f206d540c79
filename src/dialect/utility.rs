//! Commands that are the session's own affair: transactions, settings, cursors, prepared statements,
//! COPY, VACUUM. Small grammars, read from lexemes here because Postgres' forms of them are wider than
//! what the SQL parser takes. What there is stands here; how each family is read, in the files below.

mod lexemes;
mod maintenance;
mod settings;
mod statements;
#[cfg(test)]
mod tests;
mod transactions;

use super::parse::{Parsed, Places};
use super::prepared::CopyFormat;
pub use super::role_command::{Grant, GrantAction, GrantObjects, Grantee};
pub use super::sequence_command::{SequenceCommand, SequenceOption};
use crate::catalog::role_commands::RoleCommand;
use crate::transaction::SqlError;
pub(super) use lexemes::{Cursor, Read};
pub(super) use settings::set_value;
use sqlparser::ast::{DataType, Query};
use sqlparser::tokenizer::TokenWithSpan;

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
    /// It was written START TRANSACTION, and is answered so.
    pub is_start: bool,
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
    /// ALTER SEQUENCE and its relatives of ALTER TABLE; [`super::prepare`] makes the statement for it.
    Sequence(Box<SequenceCommand>),
    /// COMMENT ON CONSTRAINT; [`super::prepare`] makes the statement for it.
    CommentOnConstraint {
        /// Its name, folded.
        constraint: String,
        /// Its table, as written, folded.
        table: Vec<String>,
        /// `None` is NULL.
        text: Option<String>,
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

/// The command that these lexemes (without blanks) make, or `None` if they are SQL.
pub(super) fn parse(tokens: &[TokenWithSpan], places: &Places<'_>) -> Read<Option<Utility>> {
    let mut cursor = Cursor { tokens, places, at: 0 };
    let Some(first) = cursor.word(0) else { return Ok(None) };
    match first.as_str() {
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
            transactions::transaction(cursor, &first)
        }
        "set" | "show" | "reset" | "discard" => settings::setting(cursor, &first),
        "prepare" | "execute" | "deallocate" => statements::statement_names(cursor, &first),
        "declare" | "fetch" | "move" | "close" => statements::portal(cursor, &first),
        "copy" => super::copy_command::copy(cursor),
        "explain" => statements::explain(cursor),
        "vacuum" | "analyze" | "analyse" => maintenance::maintenance(cursor, &first),
        "lock" => maintenance::lock(cursor),
        "listen" | "unlisten" | "notify" => maintenance::notification(cursor, &first),
        "checkpoint" => {
            cursor.at += 1;
            cursor.done(Utility::Checkpoint)
        }
        "reindex" => Ok(Some(Utility::Ignored("REINDEX"))),
        "cluster" => Ok(Some(Utility::Ignored("CLUSTER"))),
        _ if super::role_command::is_about_roles(&cursor, &first) => super::role_command::roles(cursor, &first),
        "alter" => super::sequence_command::alter(cursor),
        "comment" => super::comment_command::comment(cursor),
        "do" => Err(SqlError::new("0A000", "DO is not supported")),
        "call" => Err(SqlError::new("0A000", "CALL is not supported")),
        _ => Ok(None),
    }
}
