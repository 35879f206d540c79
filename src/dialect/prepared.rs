//! What comes out of translation: SQLite statements with the types of their parameters and columns, or
//! a command that the session itself carries out.

use super::types::PgType;
use super::utility::Utility;
use crate::catalog::enums::EnumType;
use crate::catalog::privileges::Need;
use crate::transaction::{SqlError, Value};
use std::sync::Arc;

/// A step of DDL after which foreign keys are not kept until [`KEEP_FOREIGN_KEYS`], or to the end of the statement.
/// Not for SQLite, which ignores it inside a transaction: the engine carries it out.
pub const IGNORE_FOREIGN_KEYS: &str = "PRAGMA foreign_keys=OFF";
/// The step that ends it.
pub const KEEP_FOREIGN_KEYS: &str = "PRAGMA foreign_keys=ON";

/// A translated statement. Valid for the catalog version, parameter types and [`super::Settings`] that it
/// was translated with.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What it is, and what the session must do with it.
    pub kind: Kind,
    /// SQLite statements: all but the last are run for their effect, the last one's rows are the answer.
    pub sql: Vec<Arc<str>>,
    /// Types of `$1..$n`, in the form of `?1..?n` in `sql`.
    pub params: Vec<PgType>,
    /// The enum types among them and their arrays: what [`Prepared::check_parameters`] goes by.
    pub enums: Vec<Arc<EnumType>>,
    /// Result columns; empty where there is no result.
    pub columns: Vec<OutputColumn>,
    /// Sequences that number the rows of an INSERT: their numbers come in columns of the answer behind `columns`, for
    /// currval and lastval.
    pub draws: Vec<u32>,
    /// Changes nothing.
    pub read_only: bool,
    /// FOR UPDATE and its relatives.
    pub locking: Vec<Locking>,
    /// Calls functions whose value is an input that is recorded, not compared (rule 26).
    pub uses_system_values: bool,
    /// Calls functions that have the session do something: it runs for its answer after that.
    pub does_errands: bool,
    /// Reads pg_catalog or information_schema.
    pub uses_catalog: bool,
    /// Command tag of the answer.
    pub tag: Tag,
    /// Changes the schema or the statistics.
    pub changes_schema: bool,
    /// Notices to send before the answer.
    pub notices: Vec<Notice>,
    /// What the client must be allowed.
    pub needs: Vec<Need>,
    /// Another user's translation would be another one.
    pub depends_on_user: bool,
}

impl Prepared {
    /// A part of a statement, of which the whole will say what it needs.
    pub(super) fn of_part(kind: Kind, sql: Vec<String>, columns: Vec<OutputColumn>, tag: Tag) -> Prepared {
        Prepared {
            kind,
            sql: sql.into_iter().map(Into::into).collect(),
            params: Vec::new(),
            enums: Vec::new(),
            columns,
            draws: Vec::new(),
            read_only: false,
            locking: Vec::new(),
            uses_system_values: false,
            does_errands: false,
            uses_catalog: false,
            tag,
            changes_schema: false,
            notices: Vec::new(),
            needs: Vec::new(),
            depends_on_user: false,
        }
    }

    /// Refuses values of parameters that their types do not have, beyond what decoding them refuses: labels of enums.
    ///
    /// # Errors
    /// 22P02.
    pub fn check_parameters(&self, values: &[Value]) -> Result<(), SqlError> {
        if self.enums.is_empty() {
            return Ok(());
        }
        for (ty, value) in self.params.iter().zip(values).filter(|(ty, _)| ty.is_users()) {
            let known = self.enums.iter().find(|found| found.oid == ty.0 & !1);
            known.map_or(Ok(()), |found| found.check_value(value, !ty.is_enum()))?;
        }
        Ok(())
    }
}

/// Kind of a statement.
#[derive(Clone, Debug)]
pub enum Kind {
    /// SELECT, VALUES, TABLE.
    Select,
    /// INSERT, with its number of rows where it is fixed.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// TRUNCATE.
    Truncate,
    /// CREATE, ALTER, DROP: several statements, and rows in the `evesql_*` tables.
    Ddl,
    /// ANALYZE: renews the planner's statistics.
    Analyze,
    /// EXPLAIN: `sql` is an `EXPLAIN QUERY PLAN`, whose rows are not yet what is to be shown.
    Explain {
        /// FORMAT JSON.
        json: bool,
    },
    /// COPY .. FROM STDIN: `sql` inserts one row with `params` as its columns.
    CopyIn(CopyFormat),
    /// COPY .. TO STDOUT: `sql` selects the rows.
    CopyOut(CopyFormat),
    /// CREATE DATABASE.
    CreateDatabase(String),
    /// DROP DATABASE.
    DropDatabase {
        /// Name.
        name: String,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// The session's own affair: no SQL.
    Utility(Utility),
    /// Accepted and without effect: GRANT, COMMENT, CREATE EXTENSION plpgsql, VACUUM ..
    Nothing,
    /// An empty statement.
    Empty,
}

/// A result column.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputColumn {
    /// Name.
    pub name: String,
    /// Type.
    pub ty: PgType,
    /// Type modifier for RowDescription and for `encode_*`.
    pub typmod: i32,
    /// Table that it comes from unchanged, or 0.
    pub table_oid: u32,
    /// Column of that table, or 0.
    pub column_number: i16,
}

/// How a locking clause waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Until the row is free.
    Block,
    /// Not at all: 55P03.
    NoWait,
    /// Leaves the row out.
    SkipLocked,
}

/// A table whose rows a query locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locking {
    /// Table.
    pub table_oid: u32,
    /// FOR UPDATE / NO KEY UPDATE, not SHARE.
    pub exclusive: bool,
    /// What to do if another holds a row.
    pub wait: LockWait,
}

/// Command tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `SELECT n`, n rows sent.
    Select,
    /// `INSERT 0 n`
    Insert,
    /// `UPDATE n`
    Update,
    /// `DELETE n`
    Delete,
    /// `COPY n`
    Copy,
    /// The words alone.
    Fixed(&'static str),
}

impl Tag {
    /// The text for CommandComplete.
    pub fn text(self, count: u64) -> String {
        match self {
            Tag::Select => format!("SELECT {count}"),
            Tag::Insert => format!("INSERT 0 {count}"),
            Tag::Update => format!("UPDATE {count}"),
            Tag::Delete => format!("DELETE {count}"),
            Tag::Copy => format!("COPY {count}"),
            Tag::Fixed(words) => words.to_string(),
        }
    }
}

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE` or `WARNING`.
    pub severity: &'static str,
    /// SQLSTATE.
    pub code: &'static str,
    /// Text.
    pub message: String,
}

/// How COPY writes rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyFormat {
    /// The binary format.
    pub binary: bool,
    /// CSV instead of text.
    pub csv: bool,
    /// Between columns.
    pub delimiter: u8,
    /// How NULL is written.
    pub null: String,
    /// A header line: skipped on input, written on output.
    pub header: bool,
    /// CSV's quote.
    pub quote: u8,
    /// CSV's escape.
    pub escape: u8,
    /// CSV columns that are always quoted on output; `*` is all of them.
    pub force_quote: Vec<String>,
}

impl Default for CopyFormat {
    fn default() -> Self {
        CopyFormat {
            binary: false,
            csv: false,
            delimiter: b'\t',
            null: "\\N".into(),
            header: false,
            quote: b'"',
            escape: b'"',
            force_quote: Vec::new(),
        }
    }
}
