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
mod failure;
mod functions;
mod math;
mod pool;
mod schema;
mod sequences;
mod system_catalog;

pub use cache::{Prepared, StatementKind};
pub use connection::{Connection, Options, Role};
pub use context::{Context, Draws, Recorded, Source};
pub use failure::{Failure, LocalError};
pub use pool::{Pool, Pooled};
pub use system_catalog::SystemCatalog;

#[cfg(test)]
mod tests;
