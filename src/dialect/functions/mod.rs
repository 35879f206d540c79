//! Functions that translated SQL calls: registered with every SQLite connection from [`TABLE`] and
//! [`AGGREGATES`]. Pure: equal arguments give equal results on every node; math comes from `libm`, letters
//! from the tables in the standard library, time zones from the database in the program.
//!
//! They may stand in CHECK constraints, indexes and generated columns, so they must be registered as
//! innocuous.

mod aggregates;
mod array_parts;
mod arrays;
mod binary;
mod casts;
mod collecting;
mod command;
mod jsonb;
mod keys;
mod moments;
mod network;
mod numbers;
mod patterns;
mod regexes;
mod sets;
mod statistics;
mod text;
mod time;
mod to_char;

pub(super) use casts::{cast, fit};
pub use command::{COMMAND_FUNCTIONS, CommandRows};
pub(super) use numbers::numeric_operator;
pub(super) use time::zone_named;

use crate::transaction::{SqlError, Value, ValueRef};

type Arguments<'a> = [ValueRef<'a>];
type Result<T> = std::result::Result<T, SqlError>;

/// A scalar function.
#[derive(Clone, Copy)]
pub struct ScalarFunction {
    /// Name in SQLite.
    pub name: &'static str,
    /// Number of arguments, or -1 for any.
    pub args: i32,
    /// May be factored out of loops and used in indexes. Those that only raise errors are not, lest they
    /// raise them before they are reached.
    pub deterministic: bool,
    /// The function.
    pub f: fn(&[ValueRef<'_>]) -> std::result::Result<Value, SqlError>,
}

/// The state of an aggregate over one group or window frame.
pub trait Aggregate: Send {
    /// Takes a row.
    fn step(&mut self, args: &[ValueRef<'_>]) -> std::result::Result<(), SqlError>;
    /// Takes a row back that left the window frame; rows leave in the order in which they came.
    fn inverse(&mut self, args: &[ValueRef<'_>]) -> std::result::Result<(), SqlError>;
    /// The result so far.
    fn value(&self) -> std::result::Result<Value, SqlError>;
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

const fn pure(name: &'static str, args: i32, f: fn(&Arguments<'_>) -> Result<Value>) -> ScalarFunction {
    ScalarFunction { name, args, deterministic: true, f }
}

const PARTS: [&[ScalarFunction]; 15] = [
    network::TABLE,
    binary::TABLE,
    regexes::TABLE,
    sets::TABLE,
    moments::TABLE,
    numbers::TABLE,
    text::TABLE,
    patterns::TABLE,
    time::TABLE,
    to_char::TABLE,
    arrays::TABLE,
    array_parts::TABLE,
    jsonb::TABLE,
    keys::TABLE,
    casts::TABLE,
];

const COUNT: usize = {
    let (mut count, mut part) = (0, 0);
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
};

static ALL: [ScalarFunction; COUNT] = {
    let mut all = [PARTS[0][0]; COUNT];
    let (mut next, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut at = 0;
        while at < PARTS[part].len() {
            all[next] = PARTS[part][at];
            next += 1;
            at += 1;
        }
        part += 1;
    }
    all
};

/// All aggregates, in parts.
pub static AGGREGATES: &[&[AggregateFunction]] = &[aggregates::TABLE, statistics::TABLE, collecting::TABLE];

/// All scalar functions.
pub static TABLE: &[ScalarFunction] = &ALL;

/// Result of a function that is NULL when an argument is.
fn strict(args: &Arguments<'_>) -> bool {
    args.iter().any(|arg| arg.is_null())
}

/// An argument that should be an integer; the translator has seen to it.
fn integer(value: ValueRef<'_>) -> Result<i64> {
    match value {
        ValueRef::Integer(number) => Ok(number),
        ValueRef::Real(_) => Err(SqlError::new("22003", "bigint out of range")),
        other => Err(mismatch("an integer", other)),
    }
}

fn real(value: ValueRef<'_>) -> Result<f64> {
    match value {
        ValueRef::Real(number) => Ok(number),
        ValueRef::Integer(number) => Ok(number as f64),
        other => Err(mismatch("a number", other)),
    }
}

fn string<'a>(value: ValueRef<'a>) -> Result<&'a str> {
    match value {
        ValueRef::Text(text) => Ok(text),
        other => Err(mismatch("text", other)),
    }
}

fn bytes<'a>(value: ValueRef<'a>) -> Result<&'a [u8]> {
    match value {
        ValueRef::Blob(bytes) => Ok(bytes),
        other => Err(mismatch("bytes", other)),
    }
}

fn mismatch(wanted: &str, found: ValueRef<'_>) -> SqlError {
    SqlError::new("XX000", format!("a function wanted {wanted} and got {found:?}"))
}

fn text(value: impl Into<std::sync::Arc<str>>) -> Value {
    Value::Text(value.into())
}

/// What a function gives at most: SQLite's own limit is a thousand times that, and a replica's memory is
/// not a client's to fill.
const BYTES_MAX: usize = 64 << 20;

fn too_large() -> SqlError {
    SqlError::new("54000", "the result is too large")
}
