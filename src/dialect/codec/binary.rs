//! The binary format, which drivers ask for once they know a type's OID.

use super::array::{array_from_binary, array_to_binary};
use super::text::{integer_range, pad};
use super::{TextStyle, damaged, decode_text, malformed, text_value};
use crate::dialect::datetime::Interval;
use crate::dialect::network::Network;
use crate::dialect::numeric::{Decimal, Numeric};
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value, ValueRef};
use bytes::{BufMut, BytesMut};

/// Appends the binary form of a value that is not NULL.
///
/// # Errors
/// XX000 if the value is not of the form that the type is stored in; 22003 if a number does not fit.
pub fn encode_binary(value: ValueRef<'_>, ty: PgType, typmod: i32, out: &mut BytesMut) -> Result<(), SqlError> {
    match (value, ty) {
        (ValueRef::Null, _) => {}
        (ValueRef::Integer(number), PgType::BOOL) => out.put_u8(u8::from(number != 0)),
        (ValueRef::Integer(number), PgType::INT2) => out.put_i16(narrow(number, ty)? as i16),
        (ValueRef::Integer(number), PgType::INT4) => out.put_i32(narrow(number, ty)? as i32),
        (ValueRef::Integer(number), PgType::DATE) => out.put_i32(number as i32),
        (ValueRef::Integer(number), PgType::FLOAT8) => out.put_f64(number as f64),
        (ValueRef::Integer(number), PgType::FLOAT4) => out.put_f32(number as f32),
        (ValueRef::Integer(number), _) if ty.type_len() == 8 => out.put_i64(number),
        (ValueRef::Integer(number), _) if ty.is_oid_like() || matches!(ty, PgType::XID | PgType::CID) => {
            out.put_u32(number as u32);
        }
        (ValueRef::Integer(number), PgType::TEXT | PgType::UNKNOWN | PgType::VARCHAR) => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        (ValueRef::Real(number), PgType::FLOAT8) => out.put_f64(number),
        (ValueRef::Real(number), PgType::FLOAT4) => out.put_f32(number as f32),
        (ValueRef::Text(text), PgType::BPCHAR) => {
            out.extend_from_slice(text.as_bytes());
            pad(text, typmod, out);
        }
        // One byte in any case: the empty one is zero.
        (ValueRef::Text(""), PgType::CHAR) => out.put_u8(0),
        (ValueRef::Text(text), PgType::JSONB) => {
            out.put_u8(1);
            out.extend_from_slice(text.as_bytes());
        }
        (ValueRef::Text(json), _) if ty.element().is_some() => array_to_binary(json, ty, out)?,
        (ValueRef::Text(text), _) => out.extend_from_slice(text.as_bytes()),
        (ValueRef::Blob(bytes), PgType::NUMERIC) => numeric_to_binary(&Numeric::decode(bytes)?, out),
        (ValueRef::Blob(bytes), PgType::INTERVAL) => {
            let interval = Interval::decode(bytes)?;
            out.put_i64(interval.us);
            out.put_i32(interval.days);
            out.put_i32(interval.months);
        }
        (ValueRef::Blob(bytes), PgType::INET | PgType::CIDR) => {
            out.extend_from_slice(&Network::decode(bytes)?.to_binary(ty == PgType::CIDR));
        }
        (ValueRef::Blob(bytes), PgType::BYTEA | PgType::UUID) => out.extend_from_slice(bytes),
        _ => return Err(damaged(&ty.sql_name(), value)),
    }
    Ok(())
}

fn narrow(number: i64, ty: PgType) -> Result<i64, SqlError> {
    if integer_range(ty).contains(&number) {
        return Ok(number);
    }
    Err(SqlError::new("22003", format!("{} out of range", ty.sql_name())))
}

/// Postgres' numeric on the wire: groups of four digits, weight of the first, sign, display scale.
fn numeric_to_binary(number: &Numeric, out: &mut BytesMut) {
    let (sign, decimal) = match number {
        Numeric::NotANumber => (0xC000u16, None),
        Numeric::Infinity => (0xD000, None),
        Numeric::NegativeInfinity => (0xF000, None),
        Numeric::Finite(decimal) => (if decimal.is_negative() { 0x4000 } else { 0 }, Some(decimal)),
    };
    let Some(decimal) = decimal else {
        out.put_u16(0);
        out.put_i16(0);
        out.put_u16(sign);
        out.put_u16(0);
        return;
    };
    let (_, mut digits) = decimal.digits();
    let scale = decimal.scale() as usize;
    // Whole groups on both sides of the point.
    digits.extend(std::iter::repeat_n(0, (4 - scale % 4) % 4));
    let front = (4 - digits.len() % 4) % 4;
    digits.splice(0..0, std::iter::repeat_n(0, front));
    let mut groups: Vec<i16> =
        digits.chunks(4).map(|group| group.iter().fold(0i16, |n, d| n * 10 + i16::from(*d))).collect();
    let mut weight = groups.len() as i64 - scale.div_ceil(4) as i64 - 1;
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    out.put_u16(groups.len() as u16);
    out.put_i16(if groups.is_empty() { 0 } else { weight as i16 });
    out.put_u16(sign);
    out.put_u16(scale as u16);
    groups.iter().for_each(|group| out.put_i16(*group));
}

fn numeric_from_binary(bytes: &[u8]) -> Result<Numeric, SqlError> {
    let bad = || malformed("numeric");
    if bytes.len() < 8 || !bytes.len().is_multiple_of(2) {
        return Err(bad());
    }
    let words: Vec<u16> = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let (count, weight, sign, scale) = (words[0] as usize, words[1] as i16, words[2], words[3]);
    match sign {
        0xC000 => return Ok(Numeric::NotANumber),
        0xD000 => return Ok(Numeric::Infinity),
        0xF000 => return Ok(Numeric::NegativeInfinity),
        0 | 0x4000 => {}
        _ => return Err(bad()),
    }
    let groups = &words[4..];
    if groups.len() != count || groups.iter().any(|group| *group > 9999) || scale > 0x3fff {
        return Err(bad());
    }
    let mut digits: Vec<u8> = Vec::with_capacity(count * 4);
    for group in groups {
        digits.extend([group / 1000, group / 100 % 10, group / 10 % 10, group % 10].map(|d| d as u8));
    }
    // Digits after the point that the groups hold; then as many as the scale says.
    let after = (count as i64 - 1 - i64::from(weight)) * 4;
    if after < 0 {
        digits.extend(std::iter::repeat_n(0, -after as usize));
    }
    let decimal = Decimal::from_digits(sign == 0x4000, &digits, after.max(0) as u32);
    Ok(Numeric::Finite(decimal.rescale(i32::from(scale), true)))
}

/// Reads the binary format into the stored form.
///
/// # Errors
/// 22P03 for bytes that are not of the type; 22021 for text that is not UTF-8.
pub fn decode_binary(bytes: &[u8], ty: PgType) -> Result<Value, SqlError> {
    let bad = || malformed(&ty.sql_name());
    fn fixed<const N: usize>(bytes: &[u8], ty: PgType) -> Result<[u8; N], SqlError> {
        bytes.try_into().map_err(|_| malformed(&ty.sql_name()))
    }
    Ok(match ty {
        PgType::BOOL => Value::Integer(i64::from(fixed::<1>(bytes, ty)?[0] != 0)),
        PgType::INT2 => Value::Integer(i64::from(i16::from_be_bytes(fixed(bytes, ty)?))),
        PgType::INT4 | PgType::DATE => Value::Integer(i64::from(i32::from_be_bytes(fixed(bytes, ty)?))),
        PgType::INT8 | PgType::TIMESTAMP | PgType::TIMESTAMPTZ | PgType::TIME | PgType::XID8 => {
            Value::Integer(i64::from_be_bytes(fixed(bytes, ty)?))
        }
        _ if ty.is_oid_like() || matches!(ty, PgType::XID | PgType::CID) => {
            Value::Integer(i64::from(u32::from_be_bytes(fixed(bytes, ty)?)))
        }
        PgType::FLOAT4 => real(f64::from(f32::from_be_bytes(fixed(bytes, ty)?)))?,
        PgType::FLOAT8 => real(f64::from_be_bytes(fixed(bytes, ty)?))?,
        PgType::NUMERIC => Value::Blob(numeric_from_binary(bytes)?.encode().into()),
        PgType::INTERVAL => {
            let all = fixed::<16>(bytes, ty)?;
            let (us, rest) = all.split_at(8);
            let interval = Interval {
                us: i64::from_be_bytes(us.try_into().map_err(|_| bad())?),
                days: i32::from_be_bytes(rest[..4].try_into().map_err(|_| bad())?),
                months: i32::from_be_bytes(rest[4..].try_into().map_err(|_| bad())?),
            };
            Value::Blob(interval.encode().into())
        }
        PgType::UUID => Value::Blob(fixed::<16>(bytes, ty)?.to_vec().into()),
        PgType::INET => Value::Blob(Network::from_binary(bytes).ok_or_else(bad)?.encode().into()),
        PgType::CIDR => {
            let found = Network::from_binary(bytes).filter(|found| found.network() == *found);
            Value::Blob(found.ok_or_else(bad)?.encode().into())
        }
        PgType::BYTEA => Value::Blob(bytes.into()),
        PgType::JSONB => match bytes.split_first() {
            Some((1, json)) => decode_text(json, ty, &TextStyle::default())?,
            _ => return Err(bad()),
        },
        _ if ty.element().is_some() => text_value(array_from_binary(bytes, ty)?),
        _ => decode_text(bytes, ty, &TextStyle::default())?,
    })
}

/// SQLite turns NaN into NULL, so it is refused rather than lost.
fn real(number: f64) -> Result<Value, SqlError> {
    if number.is_nan() {
        return Err(SqlError::new("0A000", "NaN is not supported in floating-point values"));
    }
    Ok(Value::Real(number))
}
