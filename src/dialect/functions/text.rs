//! Strings: counted in characters, as Postgres does in UTF-8.

use super::{Arguments, BYTES_MAX, Result, ScalarFunction, integer, pure, strict, string, text, too_large};
use crate::transaction::{SqlError, Value, ValueRef};

fn map(args: &Arguments<'_>, f: impl Fn(&str) -> String) -> Result<Value> {
    if strict(args) { Ok(Value::Null) } else { Ok(text(f(string(args[0])?))) }
}

/// One character for one: lengths stay, as in Postgres.
fn lower(c: char) -> char {
    let mut folded = c.to_lowercase();
    match (folded.next(), folded.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn upper(c: char) -> char {
    let mut folded = c.to_uppercase();
    match (folded.next(), folded.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn initcap(value: &str) -> String {
    let mut inside = false;
    value
        .chars()
        .map(|c| {
            let cased = if inside { lower(c) } else { upper(c) };
            inside = c.is_alphanumeric();
            cased
        })
        .collect()
}

fn substr(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let start = integer(args[1])?;
    let end = match args.get(2) {
        None => i64::MAX,
        Some(length) => {
            let length = integer(*length)?;
            if length < 0 {
                return Err(SqlError::new("22011", "negative substring length not allowed"));
            }
            start.saturating_add(length)
        }
    };
    let (skip, take) = ((start - 1).max(0) as usize, (end - start.max(1)).max(0) as usize);
    Ok(match args[0] {
        ValueRef::Blob(bytes) => {
            let cut: Vec<u8> = bytes.iter().skip(skip).take(take).copied().collect();
            Value::Blob(cut.into())
        }
        value => text(string(value)?.chars().skip(skip).take(take).collect::<String>()),
    })
}

/// A negative count leaves so many characters out at the other end.
fn end(args: &Arguments<'_>, left: bool) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (value, count) = (string(args[0])?, integer(args[1])?);
    let length = value.chars().count() as i64;
    let keep = if count < 0 { (length + count).max(0) } else { count.min(length) };
    let skip = if left { 0 } else { length - keep };
    Ok(text(value.chars().skip(skip as usize).take(keep as usize).collect::<String>()))
}

fn fill(args: &Arguments<'_>, left: bool) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (value, wanted, with) = (string(args[0])?, integer(args[1])?.max(0) as usize, string(args[2])?);
    if wanted > BYTES_MAX / 4 {
        return Err(too_large());
    }
    let length = value.chars().count();
    if length >= wanted || with.is_empty() {
        return Ok(text(value.chars().take(wanted).collect::<String>()));
    }
    let padding: String = with.chars().cycle().take(wanted - length).collect();
    Ok(text(if left { padding + value } else { value.to_string() + &padding }))
}

fn repeat(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (value, times) = (string(args[0])?, integer(args[1])?.max(0) as usize);
    if value.len().saturating_mul(times) > BYTES_MAX {
        return Err(too_large());
    }
    Ok(text(value.repeat(times)))
}

fn replace(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (value, from, to) = (string(args[0])?, string(args[1])?, string(args[2])?);
    if from.is_empty() {
        return Ok(text(value));
    }
    let grown = value.matches(from).count().saturating_mul(to.len());
    if grown > BYTES_MAX {
        return Err(too_large());
    }
    Ok(text(value.replace(from, to)))
}

fn translate(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (from, to): (Vec<char>, Vec<char>) = (string(args[1])?.chars().collect(), string(args[2])?.chars().collect());
    let mapped = string(args[0])?.chars().filter_map(|c| match from.iter().position(|f| *f == c) {
        Some(at) => to.get(at).copied(),
        None => Some(c),
    });
    Ok(text(mapped.collect::<String>()))
}

fn split_part(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (value, separator, wanted) = (string(args[0])?, string(args[1])?, integer(args[2])?);
    if wanted == 0 {
        return Err(SqlError::new("22023", "field position must not be zero"));
    }
    let fields: Vec<&str> = if separator.is_empty() { vec![value] } else { value.split(separator).collect() };
    let at = if wanted > 0 { wanted - 1 } else { fields.len() as i64 + wanted };
    Ok(text(usize::try_from(at).ok().and_then(|at| fields.get(at)).copied().unwrap_or("")))
}

fn overlay(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (value, with, start, length) = (string(args[0])?, string(args[1])?, integer(args[2])?, integer(args[3])?);
    if start <= 0 {
        return Err(SqlError::new("22011", "negative substring length not allowed"));
    }
    let head: String = value.chars().take(start as usize - 1).collect();
    let tail: String = value.chars().skip((start - 1 + length).max(0) as usize).collect();
    Ok(text(format!("{head}{with}{tail}")))
}

fn ascii(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    Ok(Value::Integer(string(args[0])?.chars().next().map_or(0, |c| i64::from(u32::from(c)))))
}

fn chr(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    match integer(args[0])? {
        0 => Err(SqlError::new("54000", "null character not permitted")),
        code => match u32::try_from(code).ok().and_then(char::from_u32) {
            Some(c) => Ok(text(c.to_string())),
            None => Err(SqlError::new("54000", format!("requested character too large for encoding: {code}"))),
        },
    }
}

/// MD5 (RFC 1321), for applications that use it as a checksum.
pub(super) fn md5(message: &[u8]) -> String {
    let shifts: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let constants: Vec<u32> =
        (0..64).map(|i| (libm::fabs(libm::sin(f64::from(i + 1))) * 4_294_967_296.0) as u32).collect();
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64 * 8).to_le_bytes());
    for block in padded.chunks(64) {
        let words: Vec<u32> = block.chunks(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
        let [mut a, mut b, mut c, mut d] = state;
        for i in 0..64 {
            let (mix, at) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            let turned = a
                .wrapping_add(mix)
                .wrapping_add(constants[i])
                .wrapping_add(words[at])
                .rotate_left(shifts[i / 16][i % 4]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
        }
        for (total, part) in state.iter_mut().zip([a, b, c, d]) {
            *total = total.wrapping_add(part);
        }
    }
    state.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect()
}

fn raw<'a>(value: ValueRef<'a>) -> Result<&'a [u8]> {
    match value {
        ValueRef::Text(text) => Ok(text.as_bytes()),
        ValueRef::Blob(bytes) => Ok(bytes),
        other => Err(super::mismatch("text or bytes", other)),
    }
}

fn quote_ident(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        && crate::dialect::translate::quote_name(name) == name;
    if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn quote_literal(value: &str) -> String {
    let quoted = value.replace('\'', "''");
    if value.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\")).trim_start().to_string()
    } else {
        format!("'{quoted}'")
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (at, chunk) in bytes.chunks(3).enumerate() {
        // Lines of 76 characters, as MIME wants them.
        if at > 0 && at % 19 == 0 {
            out.push('\n');
        }
        let word = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let symbol = BASE64[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { char::from(symbol) } else { '=' });
        }
    }
    out
}

fn from_base64(value: &str) -> Option<Vec<u8>> {
    let symbols: Vec<u8> = value.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=').collect();
    let mut out = Vec::new();
    for chunk in symbols.chunks(4) {
        let mut word = 0u32;
        for symbol in chunk {
            word = word << 6 | BASE64.iter().position(|b| b == symbol)? as u32;
        }
        word <<= 6 * (4 - chunk.len());
        let bytes = word.to_be_bytes();
        out.extend_from_slice(&bytes[1..chunk.len()]);
    }
    Some(out)
}

fn encode(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let bytes = super::bytes(args[0])?;
    match string(args[1])?.to_ascii_lowercase().as_str() {
        "hex" => Ok(text(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>())),
        "base64" => Ok(text(base64(bytes))),
        other => Err(SqlError::new("22023", format!("unrecognized encoding: \"{other}\""))),
    }
}

fn decode(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let value = string(args[0])?;
    let bytes = match string(args[1])?.to_ascii_lowercase().as_str() {
        "hex" => {
            let hex = format!("\\x{value}");
            return crate::dialect::codec::decode_text(
                hex.as_bytes(),
                crate::dialect::PgType::BYTEA,
                &Default::default(),
            );
        }
        "base64" => from_base64(value),
        other => return Err(SqlError::new("22023", format!("unrecognized encoding: \"{other}\""))),
    };
    bytes.map(|bytes| Value::Blob(bytes.into())).ok_or_else(|| SqlError::new("22023", "invalid base64 sequence"))
}

fn concat_ws(args: &Arguments<'_>) -> Result<Value> {
    let Some((ValueRef::Text(separator), rest)) = args.split_first() else { return Ok(Value::Null) };
    let parts: Result<Vec<&str>> = rest.iter().filter(|arg| !arg.is_null()).map(|arg| string(*arg)).collect();
    Ok(text(parts?.join(separator)))
}

/// A piece of format() filled up with blanks to a width, on the right if `is_left`.
fn padded(piece: &str, width: usize, is_left: bool) -> Result<String> {
    if width > BYTES_MAX / 4 {
        return Err(too_large());
    }
    let blanks = " ".repeat(width.saturating_sub(piece.chars().count()));
    Ok(if is_left { format!("{piece}{blanks}") } else { format!("{blanks}{piece}") })
}

/// format(): %s, %I, %L and %%, with positions and widths.
fn format(args: &Arguments<'_>) -> Result<Value> {
    let Some((ValueRef::Text(picture), values)) = args.split_first() else { return Ok(Value::Null) };
    let mut out = String::new();
    let mut next = 0;
    let mut chars = picture.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            digits
        };
        let mut width = number(&mut chars);
        if chars.next_if_eq(&'$').is_some() {
            next = match width.parse::<usize>().unwrap_or(1).checked_sub(1) {
                Some(at) => at,
                None => {
                    let message = "format specifies argument 0, but arguments are numbered from 1";
                    return Err(SqlError::new("22023", message));
                }
            };
            width.clear();
        }
        let mut is_left = false;
        while chars.next_if_eq(&'-').is_some() {
            is_left = true;
        }
        if width.is_empty() {
            width = number(&mut chars);
        }
        if chars.next_if_eq(&'*').is_some() {
            return Err(SqlError::new("0A000", "a width of format() that is an argument is not supported"));
        }
        let width: usize = width.parse().unwrap_or(0);
        let kind = chars.next();
        if kind == Some('%') {
            out.push('%');
            continue;
        }
        if out.len() > BYTES_MAX {
            return Err(too_large());
        }
        let value = values.get(next).ok_or_else(|| SqlError::new("22023", "too few arguments for format()"))?;
        next += 1;
        match (kind, value) {
            (Some('s'), ValueRef::Null) => out += &padded("", width, is_left)?,
            (Some('s'), value) => out += &padded(string(*value)?, width, is_left)?,
            (Some('L'), ValueRef::Null) => out += &padded("NULL", width, is_left)?,
            (Some('L'), value) => out += &padded(&quote_literal(string(*value)?), width, is_left)?,
            (Some('I'), ValueRef::Null) => {
                return Err(SqlError::new("22004", "null values cannot be formatted as an SQL identifier"));
            }
            (Some('I'), value) => out += &padded(&quote_ident(string(*value)?), width, is_left)?,
            (other, _) => {
                let shown = other.map_or(String::new(), String::from);
                return Err(SqlError::new("22023", format!("unrecognized format() type specifier \"{shown}\"")));
            }
        }
    }
    Ok(text(out))
}

fn varchar(args: &Arguments<'_>) -> Result<Value> {
    limited(args, "character varying", false)
}

/// Applies a declared length: what is cut off must be blanks, unless the client cast explicitly.
fn limited(args: &Arguments<'_>, kind: &str, blank_padded: bool) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (value, length, explicit) = (string(args[0])?, integer(args[1])?.max(0) as usize, integer(args[2])? != 0);
    super::casts::limit_length(value, length, explicit, kind, blank_padded)
}

fn not_null(args: &Arguments<'_>) -> Result<Value> {
    let (table, column) = (string(args[0])?, string(args[1])?);
    let mut error = SqlError::new(
        "23502",
        format!("null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"),
    );
    error.table = Some(table.to_string());
    error.column = Some(column.to_string());
    Err(error)
}

pub(super) const TABLE: &[ScalarFunction] =
    &[
        pure("evesql_lower", 1, |args| map(args, |s| s.chars().map(lower).collect())),
        pure("evesql_upper", 1, |args| map(args, |s| s.chars().map(upper).collect())),
        pure("evesql_initcap", 1, |args| map(args, initcap)),
        pure("evesql_reverse", 1, |args| map(args, |s| s.chars().rev().collect())),
        pure("evesql_substr", 2, substr),
        pure("evesql_substr", 3, substr),
        pure("evesql_left", 2, |args| end(args, true)),
        pure("evesql_right", 2, |args| end(args, false)),
        pure("evesql_lpad", 3, |args| fill(args, true)),
        pure("evesql_rpad", 3, |args| fill(args, false)),
        pure("evesql_repeat", 2, repeat),
        pure("evesql_replace", 3, replace),
        pure("evesql_translate", 3, translate),
        pure("evesql_split_part", 3, split_part),
        pure("evesql_overlay", 4, overlay),
        pure("evesql_starts_with", 2, |args| {
            if strict(args) {
                return Ok(Value::Null);
            }
            Ok(Value::Integer(i64::from(string(args[0])?.starts_with(string(args[1])?))))
        }),
        pure("evesql_ascii", 1, ascii),
        pure("evesql_chr", 1, chr),
        pure("evesql_md5", 1, |args| if strict(args) { Ok(Value::Null) } else { Ok(text(md5(raw(args[0])?))) }),
        pure("evesql_quote_ident", 1, |args| map(args, quote_ident)),
        pure("evesql_quote_literal", 1, |args| map(args, quote_literal)),
        pure("evesql_to_hex", 1, |args| {
            if strict(args) { Ok(Value::Null) } else { Ok(text(format!("{:x}", integer(args[0])?))) }
        }),
        pure("evesql_encode", 2, encode),
        pure("evesql_decode", 2, decode),
        pure("evesql_concat_ws", -1, concat_ws),
        pure("evesql_format", -1, format),
        pure("evesql_varchar", 3, varchar),
        pure("evesql_bpchar", 3, |args| limited(args, "character", true)),
        // char(n) with its blanks, for LIKE.
        pure("evesql_pad", 2, |args| fill(&[args[0], args[1], ValueRef::Text(" ")], false)),
        // Raises an error of this code and text, where a row is that must not be.
        ScalarFunction {
            name: "evesql_raise",
            args: 2,
            deterministic: false,
            f: |args| Err(SqlError::new(string(args[0])?, string(args[1])?)),
        },
        ScalarFunction { name: "evesql_not_null", args: 2, deterministic: false, f: not_null },
    ];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_agrees_with_the_rfc() {
        assert_eq!(md5(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5(b"message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
    }

    #[test]
    fn base64_reads_back() {
        for length in 0..80usize {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            assert_eq!(from_base64(&base64(&bytes)).unwrap(), bytes);
        }
    }
}
