//! The Postgres face: SQL as clients write it, typed against the catalog and translated to SQLite.
//!
//! First step of a transaction's walk: [`parse`] cuts a query text into statements, [`prepare`] types one
//! and writes the SQLite statements for it. Pure: no I/O, and the same text, catalog, parameter types and
//! settings give the same translation on every node.

pub mod codec;
pub mod datetime;
pub mod errors;
pub mod functions;
pub mod json;
pub mod numeric;
mod parse;
mod prepared;
mod settings;
pub mod types;
pub mod utility;

pub use parse::{Parsed, parse};
pub use prepared::{CopyFormat, Kind, LockWait, Locking, Notice, OutputColumn, Prepared, Tag};
pub use settings::Settings;
pub use types::PgType;

use crate::catalog::Catalog;
use crate::transaction::SqlError;

/// Types and translates one statement.
///
/// `param_oids` are the types that the client named for `$1..`; 0 or none means: find out.
///
/// # Errors
/// Postgres' SQLSTATEs with the position of the name or operator; 0A000 with the feature's name for what is
/// not supported.
pub fn prepare(
    parsed: &Parsed,
    catalog: &Catalog,
    param_oids: &[u32],
    settings: &Settings,
) -> Result<Prepared, SqlError> {
    let _ = (parsed, catalog, param_oids, settings);
    Err(SqlError::new("0A000", "translation is not supported yet"))
}
