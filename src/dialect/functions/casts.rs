//! Conversions between types, lengths and precisions, and functions over values of any type.

use super::{Arguments, Result, ScalarFunction, bytes, integer, mismatch, pure, real, string, text};
use crate::catalog::enums::invalid_label;
use crate::dialect::codec::{TextStyle, array_from_json, array_to_json, decode_text, to_text};
use crate::dialect::datetime::{DATE_INFINITY, DATE_MINUS_INFINITY, DAY_US, Interval, TIMESTAMP_INFINITY};
use crate::dialect::network::Network;
use crate::dialect::numeric::Numeric;
use crate::dialect::types::{PgType, numeric_typmod};
use crate::dialect::zone::Zone;
use crate::transaction::{SqlError, Value, ValueRef};

fn in_range(number: i64, ty: PgType) -> Result<Value> {
    let fits = match ty {
        PgType::INT2 => i16::try_from(number).is_ok(),
        PgType::INT4 => i32::try_from(number).is_ok(),
        _ if ty.is_oid_like() => u32::try_from(number).is_ok(),
        _ => true,
    };
    if fits {
        Ok(Value::Integer(number))
    } else {
        Err(SqlError::new("22003", format!("{} out of range", ty.sql_name())))
    }
}

fn timestamp_of_date(days: i64) -> Result<i64> {
    match days {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_MINUS_INFINITY => Ok(i64::MIN),
        _ => days.checked_mul(DAY_US).ok_or_else(|| SqlError::new("22008", "date out of range for timestamp")),
    }
}

fn date_of_timestamp(us: i64) -> i64 {
    match us {
        TIMESTAMP_INFINITY => DATE_INFINITY,
        i64::MIN => DATE_MINUS_INFINITY,
        _ => us.div_euclid(DAY_US),
    }
}

/// Converts a value of one type to another, in a session of this zone.
pub(in crate::dialect) fn cast(value: ValueRef<'_>, from: PgType, to: PgType, zone: Zone) -> Result<Value> {
    if value.is_null() || from == to {
        return Ok(value.to_value());
    }
    let style = TextStyle { zone, ..TextStyle::default() };
    let us = |number: i64| Ok(Value::Integer(number));
    match (from, to) {
        _ if from.is_integer() && (to.is_integer() || to.is_oid_like()) => in_range(integer(value)?, to),
        _ if from.is_oid_like() && (to.is_integer() || to.is_oid_like()) => in_range(integer(value)?, to),
        _ if from.is_integer() && to.is_float() => Ok(Value::Real(integer(value)? as f64)),
        _ if from.is_integer() && to == PgType::NUMERIC => {
            Ok(Value::Blob(Numeric::from(integer(value)?).encode().into()))
        }
        _ if from.is_float() && to.is_integer() => {
            let rounded = libm::rint(real(value)?);
            if !(-9.223372036854776e18..9.223372036854776e18).contains(&rounded) {
                return Err(SqlError::new("22003", format!("{} out of range", to.sql_name())));
            }
            in_range(rounded as i64, to)
        }
        (PgType::FLOAT8, PgType::FLOAT4) => {
            let wide = real(value)?;
            let narrow = wide as f32;
            if narrow.is_infinite() && wide.is_finite() {
                return Err(SqlError::new("22003", "value out of range: overflow"));
            }
            Ok(Value::Real(f64::from(narrow)))
        }
        (PgType::FLOAT4, PgType::FLOAT8) => Ok(value.to_value()),
        _ if from.is_float() && to == PgType::NUMERIC => {
            let digits = if from == PgType::FLOAT4 { 6 } else { 15 };
            Ok(Value::Blob(Numeric::from_f64(real(value)?, digits)?.encode().into()))
        }
        (PgType::NUMERIC, _) if to.is_integer() => {
            let number = Numeric::decode(bytes(value)?)?.to_i64().map_err(|error| match error.code() {
                "22003" => SqlError::new("22003", format!("{} out of range", to.sql_name())),
                _ => error,
            })?;
            in_range(number, to)
        }
        (PgType::NUMERIC, _) if to.is_float() => {
            let exact = Numeric::decode(bytes(value)?)?;
            let number = exact.to_f64();
            if number.is_infinite() && matches!(exact, Numeric::Finite(_)) {
                return Err(SqlError::new("22003", format!("\"{exact}\" is out of range for type {}", to.sql_name())));
            }
            if number.is_nan() {
                return Err(SqlError::new("0A000", "NaN is not supported in floating-point values"));
            }
            cast(ValueRef::Real(number), PgType::FLOAT8, to, zone)
        }
        (PgType::BOOL, PgType::INT4) => Ok(value.to_value()),
        (PgType::INT4, PgType::BOOL) => Ok(Value::Integer(i64::from(integer(value)? != 0))),
        (PgType::BOOL, _) if to.is_text() => Ok(text(if integer(value)? != 0 { "true" } else { "false" })),
        (PgType::DATE, PgType::TIMESTAMP) => us(timestamp_of_date(integer(value)?)?),
        (PgType::DATE, PgType::TIMESTAMPTZ) => us(zone.utc_us(timestamp_of_date(integer(value)?)?)),
        (PgType::TIMESTAMP, PgType::TIMESTAMPTZ) => us(zone.utc_us(integer(value)?)),
        (PgType::TIMESTAMPTZ, PgType::TIMESTAMP) => us(zone.local_us(integer(value)?)),
        (PgType::TIMESTAMP, PgType::DATE) => us(date_of_timestamp(integer(value)?)),
        (PgType::TIMESTAMPTZ, PgType::DATE) => us(date_of_timestamp(zone.local_us(integer(value)?))),
        (PgType::TIMESTAMP | PgType::TIMESTAMPTZ, PgType::TIME)
            if matches!(integer(value)?, TIMESTAMP_INFINITY | i64::MIN) =>
        {
            Ok(Value::Null)
        }
        (PgType::TIMESTAMP, PgType::TIME) => us(integer(value)?.rem_euclid(DAY_US)),
        (PgType::TIMESTAMPTZ, PgType::TIME) => us(zone.local_us(integer(value)?).rem_euclid(DAY_US)),
        (PgType::TIME, PgType::INTERVAL) => {
            let span = Interval { us: integer(value)?, ..Interval::default() };
            Ok(Value::Blob(span.encode().into()))
        }
        (PgType::CIDR, PgType::INET) => Ok(value.to_value()),
        (PgType::INET, PgType::CIDR) => Ok(Value::Blob(Network::decode(bytes(value)?)?.network().encode().into())),
        (PgType::INET, _) if to.is_text() => Ok(text(Network::decode(bytes(value)?)?.whole_text())),
        (PgType::INTERVAL, PgType::TIME) => us(Interval::decode(bytes(value)?)?.us.rem_euclid(DAY_US)),
        (PgType::JSONB, _) if to.is_number() || to == PgType::BOOL => {
            let json = string(value)?;
            if json.starts_with(['"', '[', '{']) || json == "null" {
                return Err(SqlError::new("22023", format!("cannot cast jsonb value to type {}", to.sql_name())));
            }
            decode_text(json.as_bytes(), to, &style)
        }
        _ => {
            let shown = to_text(value, from, -1, &style)?;
            decode_text(shown.as_bytes(), to, &style)
        }
    }
}

/// `evesql_enum(text, name of the type, labels as JSON)`: the text, if it is one of the labels.
fn enum_label(args: &Arguments<'_>) -> Result<Value> {
    let [label, name, labels] = args else { return Err(mismatch("three arguments", ValueRef::Null)) };
    if label.is_null() {
        return Ok(Value::Null);
    }
    let label = string(*label)?;
    let known: Vec<String> = serde_json::from_str(string(*labels)?)
        .map_err(|_| SqlError::new("XX000", "the labels of an enum type are no JSON array of texts"))?;
    if known.iter().any(|known| known == label) { Ok(text(label)) } else { Err(invalid_label(string(*name)?, label)) }
}

/// Rounds microseconds to so many digits after the second.
pub(super) fn round_time(us: i64, digits: u32) -> i64 {
    if us == TIMESTAMP_INFINITY || us == i64::MIN {
        return us;
    }
    let unit = 10i64.pow(6 - digits.min(6));
    (us + unit / 2).div_euclid(unit) * unit
}

/// Text cut or refused at a declared length.
pub(super) fn limit_length(
    value: &str,
    length: usize,
    explicit: bool,
    kind: &str,
    blank_padded: bool,
) -> Result<Value> {
    let end = value.char_indices().nth(length).map_or(value.len(), |(at, _)| at);
    if !explicit && value[end..].contains(|c| c != ' ') {
        return Err(SqlError::new("22001", format!("value too long for type {kind}({length})")));
    }
    let kept = &value[..end];
    Ok(text(if blank_padded { kept.trim_end_matches(' ') } else { kept }))
}

/// Applies a type modifier.
pub(in crate::dialect) fn fit(value: ValueRef<'_>, ty: PgType, typmod: i32, explicit: bool) -> Result<Value> {
    Ok(match (value, ty) {
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Text(text), PgType::VARCHAR | PgType::BPCHAR) => {
            let length = (typmod - 4).max(0) as usize;
            limit_length(text, length, explicit, &ty.sql_name(), ty == PgType::BPCHAR)?
        }
        (ValueRef::Blob(bytes), PgType::NUMERIC) => {
            let (precision, scale) = numeric_typmod(typmod);
            Value::Blob(Numeric::decode(bytes)?.fit(precision, scale)?.encode().into())
        }
        (ValueRef::Blob(bytes), PgType::INTERVAL) => Value::Blob(Interval::decode(bytes)?.fit(typmod).encode().into()),
        (ValueRef::Integer(us), PgType::TIMESTAMP | PgType::TIMESTAMPTZ | PgType::TIME) => {
            Value::Integer(round_time(us, typmod as u32))
        }
        (ValueRef::Text(json), ty) if ty.element().is_some() => {
            let element = ty.element().unwrap_or(PgType::TEXT);
            if json.contains("[[") {
                return Err(SqlError::new("0A000", "lengths in arrays of more than one dimension are not supported"));
            }
            let items = array_from_json(json, element)?;
            let fitted: Result<Vec<Value>> =
                items.iter().map(|item| fit(item.as_ref(), element, typmod, explicit)).collect();
            text(array_to_json(&fitted?))
        }
        (value, _) => value.to_value(),
    })
}

fn cast_function(args: &Arguments<'_>) -> Result<Value> {
    let (from, to) = (PgType(integer(args[1])? as u32), PgType(integer(args[2])? as u32));
    cast(args[0], from, to, Zone::read(args[3])?)
}

/// greatest and least: stored forms of one type compare as the values do.
fn extreme(args: &Arguments<'_>, greatest: bool) -> Result<Value> {
    let mut best: Option<ValueRef<'_>> = None;
    for arg in args.iter().filter(|arg| !arg.is_null()) {
        let better = match (best, *arg) {
            (None, _) => true,
            (Some(ValueRef::Integer(a)), ValueRef::Integer(b)) => {
                if greatest {
                    b > a
                } else {
                    b < a
                }
            }
            (Some(ValueRef::Text(a)), ValueRef::Text(b)) => {
                if greatest {
                    b > a
                } else {
                    b < a
                }
            }
            (Some(ValueRef::Blob(a)), ValueRef::Blob(b)) => {
                if greatest {
                    b > a
                } else {
                    b < a
                }
            }
            (Some(a), b) => {
                if greatest {
                    real(b)? > real(a)?
                } else {
                    real(b)? < real(a)?
                }
            }
        };
        if better {
            best = Some(*arg);
        }
    }
    Ok(best.map_or(Value::Null, ValueRef::to_value))
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_cast", 4, cast_function),
    pure("evesql_enum", 3, enum_label),
    pure("evesql_greatest", -1, |args| extreme(args, true)),
    pure("evesql_least", -1, |args| extreme(args, false)),
];
