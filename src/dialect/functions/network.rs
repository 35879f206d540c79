//! Functions and operators on inet and cidr.

use super::{Arguments, Result, ScalarFunction, bytes, integer, pure, strict, text};
use crate::dialect::network::Network;
use crate::transaction::Value;

fn stored(network: Network) -> Value {
    Value::Blob(network.encode().into())
}

/// A function of one address; NULL gives NULL.
fn of(args: &Arguments<'_>, f: impl Fn(Network) -> Result<Value>) -> Result<Value> {
    if strict(args) { Ok(Value::Null) } else { f(Network::decode(bytes(args[0])?)?) }
}

/// `evesql_inet_within(a, b, strictly)`
fn within(args: &Arguments<'_>) -> Result<Value> {
    of(args, |inner| {
        let outer = Network::decode(bytes(args[1])?)?;
        Ok(Value::Integer(i64::from(inner.is_within(&outer, integer(args[2])? != 0))))
    })
}

/// `&&`: whether one lies in the other.
fn overlaps(args: &Arguments<'_>) -> Result<Value> {
    of(args, |a| {
        let b = Network::decode(bytes(args[1])?)?;
        Ok(Value::Integer(i64::from(a.is_within(&b, false) || b.is_within(&a, false))))
    })
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_inet_host", 1, |args| of(args, |a| Ok(text(a.address.to_string())))),
    pure("evesql_inet_text", 1, |args| of(args, |a| Ok(text(a.whole_text())))),
    pure("evesql_inet_family", 1, |args| of(args, |a| Ok(Value::Integer(if a.address.is_ipv4() { 4 } else { 6 })))),
    pure("evesql_inet_masklen", 1, |args| of(args, |a| Ok(Value::Integer(i64::from(a.bits))))),
    pure("evesql_inet_network", 1, |args| of(args, |a| Ok(stored(a.network())))),
    pure("evesql_inet_broadcast", 1, |args| of(args, |a| Ok(stored(a.broadcast())))),
    pure("evesql_inet_netmask", 2, |args| of(args, |a| Ok(stored(a.netmask(integer(args[1])? != 0))))),
    pure("evesql_inet_set_masklen", 2, |args| of(args, |a| Ok(stored(a.with_bits(integer(args[1])?)?)))),
    pure("evesql_inet_within", 3, within),
    pure("evesql_inet_overlaps", 2, overlaps),
];
