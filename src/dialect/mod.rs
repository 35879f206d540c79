//! The Postgres face: SQL as clients write it, typed against the catalog and translated to SQLite.
//!
//! First step of a transaction's walk: [`parse`] cuts a query text into statements, [`prepare`] types one
//! and writes the SQLite statements for it. Pure: no I/O, and the same text, catalog, parameter types and
//! settings give the same translation on every node.

pub mod codec;
mod comment_command;
mod copy_command;
pub mod datetime;
pub mod errors;
pub mod functions;
pub mod json;
mod lexemes;
pub mod network;
pub mod numeric;
mod parse;
mod prepared;
mod role_command;
mod sequence_command;
mod settings;
mod translate;
pub mod types;
pub mod utility;
pub mod zone;

pub use parse::{Parsed, parse};
pub use prepared::{
    CopyFormat, IGNORE_FOREIGN_KEYS, KEEP_FOREIGN_KEYS, Kind, LockWait, Locking, Notice, OutputColumn, Prepared, Tag,
};
pub use settings::Settings;
pub use types::PgType;

use crate::catalog::Catalog;
use crate::transaction::{SqlError, Value};

/// The name of a system value that stands for something that the session is to do begins so.
pub const ERRAND: &str = "errand:";

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
    translate::prepare(parsed, catalog, param_oids, settings)
}

/// Translates a GRANT or its relatives; `resolve` gives the OIDs of roles, which are not in a database's catalog.
///
/// # Errors
/// As [`prepare`], and what `resolve` says.
pub fn prepare_grant(
    grant: &utility::Grant,
    catalog: &Catalog,
    settings: &Settings,
    resolve: &dyn Fn(&utility::Grantee) -> Result<u32, SqlError>,
) -> Result<Prepared, SqlError> {
    translate::prepare_grant(grant, catalog, settings, resolve)
}

/// The statement that drops what a session's schema of temporary tables holds, and the schema; none if it is not there.
///
/// # Errors
/// None that a client could cause.
pub fn drop_temporary(catalog: &Catalog, schema: &str) -> Result<Option<Prepared>, SqlError> {
    translate::drop_temporary(catalog, schema)
}

/// Values of the arguments of EXECUTE of a prepared statement, for parameters of these types.
///
/// # Errors
/// 42601 for a wrong number of arguments; what the expressions say; 0A000 if one is not constant.
pub fn execute_arguments(
    name: &str,
    arguments: &[String],
    types: &[PgType],
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Vec<Value>, SqlError> {
    translate::execute_arguments(name, arguments, types, catalog, settings)
}

/// The type that PREPARE names for a parameter.
///
/// # Errors
/// 42704 if there is none of the name, 0A000 for one that is not supported.
pub fn type_named(
    data_type: &sqlparser::ast::DataType,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<PgType, SqlError> {
    translate::type_named(data_type, catalog, settings)
}

#[cfg(test)]
mod tests;
