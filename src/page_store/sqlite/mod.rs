//! SQLite's C interface behind safe types: the narrow door through which everything above reaches it.
//!
//! Knows connections, statements, functions and hooks; knows nothing of what EveSQL puts into them
//! (`engine` does). One connection belongs to one thread at a time: it is opened without SQLite's mutexes,
//! so [`Connection`] and [`Statement`] are not `Send`, and the compiler keeps that promise.
//!
//! A statement keeps its connection alive, and a connection keeps alive whatever it reads from (its anchor,
//! the view of the page store), so no order of dropping them is wrong.

mod build;
mod capture;
mod connection;
mod error;
mod function;
mod hooks;
mod statement;

pub use build::build;
pub use capture::RowChange;
pub use connection::{Connection, InterruptHandle, Limit, Switch, WeakConnection};
pub use error::{Environmental, SqliteError};
pub use function::{Aggregate, FunctionFlags};
pub use hooks::{Access, Action};
pub use statement::Statement;

#[cfg(test)]
mod tests;
