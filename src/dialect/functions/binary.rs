//! Bytes: single ones and bits of them, digests, patterns; and characters by their numbers.

use super::patterns::like_match;
use super::{Arguments, Result, ScalarFunction, bytes, integer, pure, strict, string, text};
use crate::transaction::{SqlError, Value};
use ring::digest;

/// The byte of this number, and the bit in it counted from its lowest.
fn place(all: &[u8], at: i64, per_byte: i64) -> Result<(usize, u32)> {
    let count = all.len() as i64 * per_byte;
    if !(0..count).contains(&at) {
        return Err(SqlError::new("2202E", format!("index {at} out of valid range, 0..{}", count - 1)));
    }
    Ok(((at / per_byte) as usize, (at % per_byte) as u32))
}

/// get_byte, or with 8 for `per_byte` get_bit.
fn get(args: &Arguments<'_>, per_byte: i64) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let all = bytes(args[0])?;
    let (at, bit) = place(all, integer(args[1])?, per_byte)?;
    Ok(Value::Integer(i64::from(if per_byte == 1 { all[at] } else { all[at] >> bit & 1 })))
}

/// set_byte, or with 8 for `per_byte` set_bit.
fn set(args: &Arguments<'_>, per_byte: i64) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (mut all, value) = (bytes(args[0])?.to_vec(), integer(args[2])?);
    let (at, bit) = place(&all, integer(args[1])?, per_byte)?;
    all[at] = match (per_byte, value) {
        (1, value) => value as u8,
        (_, 0) => all[at] & !(1 << bit),
        (_, 1) => all[at] | 1 << bit,
        _ => return Err(SqlError::new("22023", "new bit must be 0 or 1")),
    };
    Ok(Value::Blob(all.into()))
}

fn bit_count(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    Ok(Value::Integer(bytes(args[0])?.iter().map(|byte| i64::from(byte.count_ones())).sum()))
}

fn digest_of(args: &Arguments<'_>, algorithm: &'static digest::Algorithm) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    Ok(Value::Blob(digest::digest(algorithm, bytes(args[0])?).as_ref().into()))
}

/// Refuses any encoding but the one that all text is in.
fn only_utf8(name: &str) -> Result<()> {
    match name.to_ascii_uppercase().replace(['-', '_'], "").as_str() {
        "UTF8" | "UNICODE" => Ok(()),
        _ => Err(SqlError::new("0A000", format!("the encoding \"{name}\" is not supported"))),
    }
}

fn convert_from(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    only_utf8(string(args[1])?)?;
    let all = bytes(args[0])?;
    let wrong = |at: usize| {
        let byte = all.get(at).copied().unwrap_or_default();
        SqlError::new("22021", format!("invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}"))
    };
    if let Some(at) = all.iter().position(|byte| *byte == 0) {
        return Err(wrong(at));
    }
    std::str::from_utf8(all).map(text).map_err(|error| wrong(error.valid_up_to()))
}

fn convert_to(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    only_utf8(string(args[1])?)?;
    Ok(Value::Blob(string(args[0])?.as_bytes().into()))
}

/// One character for each byte: a pattern's bytes match as characters do.
fn bytes_as_text(all: &[u8]) -> String {
    all.iter().map(|byte| char::from(*byte)).collect()
}

/// LIKE of bytes. Arguments: bytes, pattern.
fn like(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let matched = like_match(&bytes_as_text(bytes(args[0])?), &bytes_as_text(bytes(args[1])?), Some('\\'))?;
    Ok(Value::Integer(i64::from(matched)))
}

/// The number of so many hexadecimal digits at the start of a text, and the rest.
fn hexadecimal(from: &str, digits: usize) -> Option<(u32, &str)> {
    let number = from.get(..digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    Some((u32::from_str_radix(number, 16).ok()?, &from[digits..]))
}

/// What stands behind a backslash: `XXXX`, `uXXXX`, `+XXXXXX` or `UXXXXXXXX`.
fn escaped(rest: &str) -> Option<(u32, &str)> {
    match rest.as_bytes().first()? {
        b'u' => hexadecimal(&rest[1..], 4),
        b'+' => hexadecimal(&rest[1..], 6),
        b'U' => hexadecimal(&rest[1..], 8),
        _ => hexadecimal(rest, 4),
    }
}

fn unistr(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let wrong = || {
        SqlError::new("42601", "invalid Unicode escape")
            .with_hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let pair = || SqlError::new("42601", "invalid Unicode surrogate pair");
    let (mut out, mut rest) = (String::new(), string(args[0])?);
    while let Some((plain, behind)) = rest.split_once('\\') {
        out += plain;
        if let Some(behind) = behind.strip_prefix('\\') {
            out.push('\\');
            rest = behind;
            continue;
        }
        let (mut code, mut behind) = escaped(behind).ok_or_else(wrong)?;
        if (0xd800..0xdc00).contains(&code) {
            let second = behind.strip_prefix('\\').and_then(escaped);
            let (low, after) = second.filter(|(low, _)| (0xdc00..0xe000).contains(low)).ok_or_else(pair)?;
            (code, behind) = (0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00), after);
        }
        if (0xdc00..0xe000).contains(&code) {
            return Err(pair());
        }
        match char::from_u32(code).filter(|c| *c != '\0') {
            Some(c) => out.push(c),
            None => return Err(SqlError::new("42601", format!("invalid Unicode code point: {code:04X}"))),
        }
        rest = behind;
    }
    Ok(text(out + rest))
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_get_byte", 2, |args| get(args, 1)),
    pure("evesql_get_bit", 2, |args| get(args, 8)),
    pure("evesql_set_byte", 3, |args| set(args, 1)),
    pure("evesql_set_bit", 3, |args| set(args, 8)),
    pure("evesql_bit_count", 1, bit_count),
    pure("evesql_sha256", 1, |args| digest_of(args, &digest::SHA256)),
    pure("evesql_sha384", 1, |args| digest_of(args, &digest::SHA384)),
    pure("evesql_sha512", 1, |args| digest_of(args, &digest::SHA512)),
    pure("evesql_bytes_like", 2, like),
    pure("evesql_convert_from", 2, convert_from),
    pure("evesql_convert_to", 2, convert_to),
    pure("evesql_unistr", 1, unistr),
];
