//! The text format: what psql shows and what literals and casts read.

use super::array::{array_from_text, array_text};
use super::{TextStyle, damaged, text_value};
use crate::dialect::datetime::{self, Interval};
use crate::dialect::network::Network;
use crate::dialect::numeric::Numeric;
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value, ValueRef};
use bytes::BytesMut;
use std::fmt::Write;

/// Appends the text of a value that is not NULL. `typmod` matters for `char(n)`, which is stored without
/// its padding.
///
/// # Errors
/// XX000 if the value is not of the form that the type is stored in.
pub fn encode_text(
    value: ValueRef<'_>,
    ty: PgType,
    typmod: i32,
    style: &TextStyle,
    out: &mut BytesMut,
) -> Result<(), SqlError> {
    match (value, ty) {
        (ValueRef::Null, _) => {}
        (ValueRef::Integer(number), PgType::BOOL) => out.extend_from_slice(if number != 0 { b"t" } else { b"f" }),
        (ValueRef::Integer(days), PgType::DATE) => out.extend_from_slice(datetime::date_text(days).as_bytes()),
        (ValueRef::Integer(us), PgType::TIME) => out.extend_from_slice(datetime::time_text(us).as_bytes()),
        (ValueRef::Integer(us), PgType::TIMESTAMP) => out.extend_from_slice(datetime::timestamp_text(us).as_bytes()),
        (ValueRef::Integer(us), PgType::TIMESTAMPTZ) => {
            out.extend_from_slice(datetime::timestamptz_text(us, style.zone).as_bytes());
        }
        (ValueRef::Integer(number), PgType::FLOAT8) => out.extend_from_slice(float8_text(number as f64).as_bytes()),
        (ValueRef::Integer(number), PgType::FLOAT4) => out.extend_from_slice(float4_text(number as f32).as_bytes()),
        (ValueRef::Integer(number), _) => {
            // Writing into a buffer that grows cannot fail.
            let _ = write!(out, "{number}");
        }
        (ValueRef::Real(number), PgType::FLOAT4) => out.extend_from_slice(float4_text(number as f32).as_bytes()),
        (ValueRef::Real(number), PgType::FLOAT8 | PgType::UNKNOWN) => {
            out.extend_from_slice(float8_text(number).as_bytes());
        }
        (ValueRef::Real(_), _) => return Err(damaged(&ty.sql_name(), value)),
        (ValueRef::Text(text), PgType::BPCHAR) => {
            out.extend_from_slice(text.as_bytes());
            pad(text, typmod, out);
        }
        (ValueRef::Text(json), _) if ty.element().is_some() => {
            let text = array_text(json, ty, style)?;
            out.extend_from_slice(text.as_bytes());
        }
        (ValueRef::Text(text), _) => out.extend_from_slice(text.as_bytes()),
        (ValueRef::Blob(bytes), PgType::NUMERIC) => {
            let _ = write!(out, "{}", Numeric::decode(bytes)?);
        }
        (ValueRef::Blob(bytes), PgType::INTERVAL) => {
            let _ = write!(out, "{}", Interval::decode(bytes)?);
        }
        (ValueRef::Blob(bytes), PgType::INET) => {
            let _ = write!(out, "{}", Network::decode(bytes)?);
        }
        (ValueRef::Blob(bytes), PgType::CIDR) => out.extend_from_slice(Network::decode(bytes)?.whole_text().as_bytes()),
        (ValueRef::Blob(bytes), PgType::UUID) => out.extend_from_slice(uuid_text(bytes).as_bytes()),
        (ValueRef::Blob(bytes), PgType::BYTEA) if style.bytea_escape => escape_bytea(bytes, out),
        (ValueRef::Blob(bytes), PgType::BYTEA) => {
            out.extend_from_slice(b"\\x");
            bytes.iter().for_each(|byte| {
                let _ = write!(out, "{byte:02x}");
            });
        }
        (ValueRef::Blob(_), _) => return Err(damaged(&ty.sql_name(), value)),
    }
    Ok(())
}

/// The text of a value as a string; NULL is empty.
pub fn to_text(value: ValueRef<'_>, ty: PgType, typmod: i32, style: &TextStyle) -> Result<String, SqlError> {
    let mut out = BytesMut::new();
    encode_text(value, ty, typmod, style, &mut out)?;
    String::from_utf8(out.to_vec()).map_err(|_| damaged(&ty.sql_name(), value))
}

/// Blanks up to the declared length.
pub(super) fn pad(text: &str, typmod: i32, out: &mut BytesMut) {
    let length = text.chars().count() as i32;
    for _ in length..typmod - 4 {
        out.extend_from_slice(b" ");
    }
}

fn escape_bytea(bytes: &[u8], out: &mut BytesMut) {
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7e => out.extend_from_slice(&[byte]),
            _ => {
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
}

/// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`
pub fn uuid_text(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match hex.len() {
        32 => format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]),
        _ => hex,
    }
}

/// The shortest text that reads back as the same double, laid out as Postgres does.
pub fn float8_text(number: f64) -> String {
    shortest(number.is_nan(), number.is_infinite(), number < 0.0, format!("{number:e}"), 15)
}

/// The shortest text that reads back as the same single-precision number.
pub fn float4_text(number: f32) -> String {
    shortest(number.is_nan(), number.is_infinite(), number < 0.0, format!("{number:e}"), 6)
}

fn shortest(nan: bool, infinite: bool, negative: bool, scientific: String, digits: i32) -> String {
    if nan {
        return "NaN".into();
    }
    if infinite {
        return if negative { "-Infinity".into() } else { "Infinity".into() };
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let all: String = mantissa.chars().filter(|c| *c != '.').collect();
    if exponent < -4 || exponent >= digits {
        let point = if all.len() > 1 { format!("{}.{}", &all[..1], &all[1..]) } else { all };
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{point}e{direction}{:02}", exponent.abs());
    }
    if exponent < 0 {
        return format!("{sign}0.{}{all}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    if all.len() <= whole {
        return format!("{sign}{all}{}", "0".repeat(whole - all.len()));
    }
    format!("{sign}{}.{}", &all[..whole], &all[whole..])
}

/// Reads the text format into the stored form.
///
/// # Errors
/// 22P02 and its relatives for text that is not of the type; 0A000 for types that cannot be read.
pub fn decode_text(bytes: &[u8], ty: PgType, style: &TextStyle) -> Result<Value, SqlError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| SqlError::new("22021", "invalid byte sequence for encoding \"UTF8\""))?;
    if text.contains('\0') {
        return Err(SqlError::new("22021", "invalid byte sequence for encoding \"UTF8\": 0x00"));
    }
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let invalid = || SqlError::new("22P02", format!("invalid input syntax for type {}: \"{text}\"", ty.sql_name()));
    Ok(match ty {
        PgType::BOOL => Value::Integer(i64::from(parse_bool(trimmed).ok_or_else(invalid)?)),
        PgType::INT2 | PgType::INT4 | PgType::INT8 => Value::Integer(parse_integer(text, trimmed, ty)?),
        _ if ty.is_oid_like() || matches!(ty, PgType::XID | PgType::CID | PgType::XID8) => {
            let number: i64 = trimmed.parse().map_err(|_| invalid())?;
            if !(i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(&number) {
                return Err(SqlError::new(
                    "22003",
                    format!("value \"{text}\" is out of range for type {}", ty.sql_name()),
                ));
            }
            Value::Integer(i64::from(number as u32))
        }
        PgType::FLOAT8 | PgType::FLOAT4 => {
            let out_of_range =
                || SqlError::new("22003", format!("\"{text}\" is out of range for type {}", ty.sql_name()));
            let wide = parse_float(trimmed).ok_or_else(invalid)?;
            let number = if ty == PgType::FLOAT4 { f64::from(wide as f32) } else { wide };
            let meant = trimmed.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_alphabetic());
            if number.is_infinite() && !meant {
                return Err(out_of_range());
            }
            Value::Real(number)
        }
        PgType::NUMERIC => Value::Blob(Numeric::parse(text)?.encode().into()),
        PgType::DATE => Value::Integer(datetime::parse_date(text)?),
        PgType::TIME => Value::Integer(datetime::parse_time(text)?),
        PgType::TIMESTAMP => Value::Integer(datetime::parse_timestamp(text)?),
        PgType::TIMESTAMPTZ => Value::Integer(datetime::parse_timestamptz(text, style.zone)?),
        PgType::INTERVAL => Value::Blob(Interval::parse(text)?.encode().into()),
        PgType::INET => Value::Blob(Network::parse(text, "inet")?.encode().into()),
        PgType::CIDR => Value::Blob(Network::parse_cidr(text)?.encode().into()),
        PgType::UUID => Value::Blob(parse_uuid(trimmed).ok_or_else(invalid)?.into()),
        PgType::BYTEA => Value::Blob(parse_bytea(text)?.into()),
        PgType::BPCHAR => text_value(text.trim_end_matches(' ')),
        PgType::NAME => text_value(cut(text, 63)),
        PgType::CHAR => text_value(cut(text, 1)),
        PgType::JSON => {
            check_json(text)?;
            text_value(text)
        }
        PgType::JSONB => text_value(crate::dialect::json::normalise(text)?),
        _ if ty.element().is_some() => text_value(array_from_text(text, ty, style)?),
        _ => text_value(text),
    })
}

/// At most `bytes` bytes, cut at a character.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn check_json(text: &str) -> Result<(), SqlError> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(SqlError::new("22P02", "invalid input syntax for type json")),
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let starts = |word: &str, least: usize| lower.len() >= least && word.starts_with(&lower);
    if lower == "1" || starts("true", 1) || starts("yes", 1) || starts("on", 2) {
        Some(true)
    } else if lower == "0" || starts("false", 1) || starts("no", 1) || starts("off", 2) {
        Some(false)
    } else {
        None
    }
}

fn parse_integer(text: &str, trimmed: &str, ty: PgType) -> Result<i64, SqlError> {
    let name = ty.sql_name();
    let body = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if body.is_empty() || !body.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SqlError::new("22P02", format!("invalid input syntax for type {name}: \"{text}\"")));
    }
    let range = integer_range(ty);
    trimmed
        .parse::<i64>()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| SqlError::new("22003", format!("value \"{text}\" is out of range for type {name}")))
}

/// The values that an integer type holds.
pub(super) fn integer_range(ty: PgType) -> std::ops::RangeInclusive<i64> {
    match ty {
        PgType::INT2 => i64::from(i16::MIN)..=i64::from(i16::MAX),
        PgType::INT4 => i64::from(i32::MIN)..=i64::from(i32::MAX),
        _ => i64::MIN..=i64::MAX,
    }
}

/// SQLite turns NaN into NULL, so it is refused rather than lost.
fn parse_float(text: &str) -> Option<f64> {
    let body = text.trim_start_matches(['+', '-']);
    let plain = body.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let infinite = body.eq_ignore_ascii_case("infinity") || body.eq_ignore_ascii_case("inf");
    text.parse::<f64>().ok().filter(|_| infinite || plain)
}

fn parse_uuid(text: &str) -> Option<Vec<u8>> {
    let body = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    let hex: Vec<u8> = body.bytes().filter(|b| *b != b'-').collect();
    let bytes = from_hex(&hex)?;
    (bytes.len() == 16).then_some(bytes)
}

fn from_hex(hex: &[u8]) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) {
        return None;
    }
    let digit = |b: u8| char::from(b).to_digit(16);
    hex.chunks(2).map(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)).collect()
}

fn parse_bytea(text: &str) -> Result<Vec<u8>, SqlError> {
    if let Some(hex) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        return from_hex(&digits)
            .ok_or_else(|| SqlError::new("22023", "invalid hexadecimal data in value of type bytea"));
    }
    let invalid = || SqlError::new("22P02", "invalid input syntax for type bytea");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
        } else if after.first() == Some(&b'\\') {
            bytes.push(b'\\');
            rest = &after[1..];
        } else {
            let octal = after.get(..3).and_then(|o| std::str::from_utf8(o).ok()).ok_or_else(invalid)?;
            bytes.push(u8::from_str_radix(octal, 8).map_err(|_| invalid())?);
            rest = &after[3..];
        }
    }
    Ok(bytes)
}
