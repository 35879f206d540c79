//! SQLite as EveSQL uses it (step 5 of the walk): a connection over a view with our settings, our functions,
//! an allow-list, deterministic budgets and a statement cache. The replica executes on one, sessions run
//! interactive transactions and reads on others; both get the same answers, because all that an execution
//! depends on is the view's pages and the [`Context`].
//!
//! Knows nothing of batches, tokens, sessions or the catalog's meaning.

mod allow;
mod cache;
mod connection;
mod context;
mod crash;
mod failure;
mod footprint;
mod functions;
mod math;
mod pool;
mod schema;
mod sequences;
mod system_catalog;

pub use cache::{Prepared, StatementKind};
pub use connection::{Connection, Options, Role};
pub use context::{Context, Draws, Recorded, Source};
pub use crash::CRASH_DRILL;
pub use failure::{Failure, LocalError};
pub use pool::{Pool, Pooled};
pub use system_catalog::SystemCatalog;

use crate::page::Hash;
use crate::page_store::sqlite;

/// Goes up when functions, settings or translations change what a statement writes or answers.
const EXECUTION_VERSION: u32 = 3;

/// What two nodes must have alike to execute alike (rule 16): SQLite's source, its compile-time options, and
/// the version of what EveSQL adds. Compilers may differ, so their names are left out.
pub fn fingerprint() -> Hash {
    let mut text = format!("{} {EXECUTION_VERSION}", env!("CARGO_PKG_VERSION"));
    for line in sqlite::build().iter().filter(|line| !line.starts_with("COMPILER=")) {
        text.push('\n');
        text.push_str(line);
    }
    Hash::of(text.as_bytes())
}

#[cfg(test)]
mod tests;
