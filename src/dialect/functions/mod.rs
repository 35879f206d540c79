//! Functions that translated SQL calls: registered with every SQLite connection from [`TABLE`] and
//! [`AGGREGATES`]. Pure: equal arguments give equal results on every node.

use crate::transaction::{SqlError, Value, ValueRef};

/// A scalar function.
pub struct ScalarFunction {
    /// Name in SQLite.
    pub name: &'static str,
    /// Number of arguments, or -1 for any.
    pub args: i32,
    /// May be factored out of loops and used in indexes. Those that only raise errors are not, lest they
    /// raise them before they are reached.
    pub deterministic: bool,
    /// The function.
    pub f: fn(&[ValueRef<'_>]) -> Result<Value, SqlError>,
}

/// The state of an aggregate over one group or window frame.
pub trait Aggregate: Send {
    /// Takes a row.
    fn step(&mut self, args: &[ValueRef<'_>]) -> Result<(), SqlError>;
    /// Takes a row back that left the window frame; rows leave in the order in which they came.
    fn inverse(&mut self, args: &[ValueRef<'_>]) -> Result<(), SqlError>;
    /// The result so far.
    fn value(&self) -> Result<Value, SqlError>;
}

/// An aggregate function; also registered as a window function.
pub struct AggregateFunction {
    /// Name in SQLite.
    pub name: &'static str,
    /// Number of arguments, or -1 for any.
    pub args: i32,
    /// Begins a group.
    pub start: fn() -> Box<dyn Aggregate>,
}

/// All scalar functions.
pub static TABLE: &[ScalarFunction] = &[];

/// All aggregates.
pub static AGGREGATES: &[AggregateFunction] = &[];
