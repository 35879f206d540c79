//! The functions that depend on the transaction's context, and how all others get onto a connection.

use super::allow::AllowList;
use super::connection::Role;
use super::context::Context;
use super::{crash, math, sequences};
use crate::dialect;
use crate::page_store::sqlite::{Aggregate, Connection, FunctionFlags, SqliteError};
use crate::transaction::{SqlError, Value, ValueRef};
use std::cell::RefCell;
use std::rc::Rc;

/// Bytes that one randomblob() may give.
const RANDOM_BYTES_MAX: i64 = 1 << 20;

/// Registers everything; what is registered may also be called.
pub(super) fn register(
    connection: &Connection,
    context: &Rc<RefCell<Context>>,
    allowed: &AllowList,
    role: Role,
) -> Result<(), SqliteError> {
    register_math(connection, allowed)?;
    allowed.function("evesql_crash");
    crash::register(connection, role)?;
    register_context(connection, context, allowed)?;
    register_sequences(connection, context, allowed)?;
    register_dialect(connection, allowed)
}

/// The pure functions that translated SQL calls; last, so that they replace SQLite's of the same name.
fn register_dialect(connection: &Connection, allowed: &AllowList) -> Result<(), SqliteError> {
    for function in dialect::functions::TABLE {
        allowed.function(function.name);
        let flags = FunctionFlags { deterministic: function.deterministic, innocuous: true };
        connection.register_function(function.name, function.args, flags, function.f)?;
    }
    for aggregate in dialect::functions::AGGREGATES.iter().copied().flatten() {
        allowed.function(aggregate.name);
        let start = aggregate.start;
        connection.register_aggregate(aggregate.name, aggregate.args, FunctionFlags::PURE, move || {
            Box::new(DialectAggregate(start()))
        })?;
    }
    Ok(())
}

struct DialectAggregate(Box<dyn dialect::functions::Aggregate>);

impl Aggregate for DialectAggregate {
    fn step(&mut self, arguments: &[ValueRef<'_>]) -> Result<(), SqlError> {
        self.0.step(arguments)
    }
    fn value(&self) -> Result<Value, SqlError> {
        self.0.value()
    }
    fn inverse(&mut self, arguments: &[ValueRef<'_>]) -> Result<(), SqlError> {
        self.0.inverse(arguments)
    }
}

fn register_math(connection: &Connection, allowed: &AllowList) -> Result<(), SqliteError> {
    for (name, function) in math::ONE {
        allowed.function(name);
        connection.register_function(name, 1, FunctionFlags::PURE, move |arguments| {
            let Some(x) = math::number(arguments[0])? else { return Ok(Value::Null) };
            math::result(name, &[x], function(x))
        })?;
    }
    for (name, function) in math::TWO {
        allowed.function(name);
        connection.register_function(name, 2, FunctionFlags::PURE, move |arguments| {
            let (Some(x), Some(y)) = (math::number(arguments[0])?, math::number(arguments[1])?) else {
                return Ok(Value::Null);
            };
            math::result(name, &[x, y], function(x, y))
        })?;
    }
    allowed.function("pi");
    connection.register_function("pi", 0, FunctionFlags::PURE, |_| Ok(Value::Real(std::f64::consts::PI)))
}

fn register_context(
    connection: &Connection,
    context: &Rc<RefCell<Context>>,
    allowed: &AllowList,
) -> Result<(), SqliteError> {
    let register = |name: &str, arguments: i32, function: fn(&RefCell<Context>, &[ValueRef<'_>]) -> Answered| {
        allowed.function(name);
        let context = context.clone();
        connection.register_function(name, arguments, FunctionFlags::CONTEXT, move |values| function(&context, values))
    };
    register("evesql_now", 0, |context, _| Ok(Value::Integer(context.borrow().timestamp_us)))?;
    register("random", 0, |context, _| Ok(Value::Integer(context.borrow_mut().random() as i64)))?;
    register("evesql_random", 0, |context, _| {
        // 53 bits, as a double in [0, 1) holds.
        Ok(Value::Real((context.borrow_mut().random() as u64 >> 11) as f64 / (1u64 << 53) as f64))
    })?;
    register("randomblob", 1, |context, arguments| {
        let length = integer(arguments[0]).clamp(1, RANDOM_BYTES_MAX) as usize;
        Ok(Value::Blob(random_bytes(&mut context.borrow_mut(), length).into()))
    })?;
    register("gen_random_uuid", 0, |context, _| Ok(Value::Text(uuid(context.borrow_mut().random()).into())))?;
    for (name, arguments) in dialect::functions::COMMAND_FUNCTIONS {
        allowed.function(name);
        let context = context.clone();
        connection.register_function(name, arguments, FunctionFlags::CONTEXT, move |values| {
            context.borrow_mut().rows.call(name, values)
        })?;
    }
    register("evesql_root", 0, |context, _| context.borrow_mut().system_value("root", None))?;
    register("evesql_clock", 0, |context, _| {
        let mut context = context.borrow_mut();
        let fallback = Value::Integer(context.timestamp_us);
        context.system_value("clock_timestamp", Some(fallback))
    })?;
    register("evesql_system", 1, |context, arguments| match arguments[0] {
        ValueRef::Text(name) => context.borrow_mut().system_value(name, None),
        ValueRef::Null => Ok(Value::Null),
        _ => Err(SqlError::new("42804", "a system value has a name")),
    })
}

type Answered = Result<Value, SqlError>;

fn register_sequences(
    connection: &Connection,
    context: &Rc<RefCell<Context>>,
    allowed: &AllowList,
) -> Result<(), SqliteError> {
    for (name, arguments) in [
        ("evesql_nextval", 1),
        ("evesql_currval", 1),
        ("evesql_lastval", 0),
        ("evesql_setval", 2),
        ("evesql_setval", 3),
    ] {
        allowed.function(name);
        let (context, weak, allowed) = (context.clone(), connection.downgrade(), allowed.clone());
        connection.register_function(name, arguments, FunctionFlags::CONTEXT, move |values| {
            let oid = values.first().map_or(0, |value| integer(*value));
            let _trusted = allowed.trust(); // it reads the sequence's row by a statement of its own
            match name {
                "evesql_nextval" => sequences::next_value(&context, &weak, oid),
                "evesql_currval" => sequences::current_value(&context, oid),
                "evesql_lastval" => sequences::last_value(&context),
                _ => {
                    let is_called = values.get(2).is_none_or(|value| integer(*value) != 0);
                    sequences::set_value(&context, &weak, oid, integer(values[1]), is_called)
                }
            }
        })?;
    }
    Ok(())
}

fn integer(value: ValueRef<'_>) -> i64 {
    match value {
        ValueRef::Integer(number) => number,
        ValueRef::Real(number) => number as i64,
        ValueRef::Text(text) => text.trim().parse().unwrap_or(0),
        _ => 0,
    }
}

fn random_bytes(context: &mut Context, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        bytes.extend_from_slice(&context.random().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A version 4 UUID of random bits.
fn uuid(bits: u128) -> String {
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
