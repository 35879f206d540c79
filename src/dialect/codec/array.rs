//! Arrays: stored as JSON text, so that SQLite's json_each can take them apart; on the wire as Postgres
//! writes them. Numbers stay numbers, text is a string, bytes are a string of hexadecimal digits.

use super::{TextStyle, decode_binary, decode_text, encode_binary, malformed, to_text};
use crate::dialect::types::{PgType, Storage};
use crate::transaction::{SqlError, Value};
use bytes::{BufMut, BytesMut};
use serde_json::Value as Json;

fn damaged() -> SqlError {
    SqlError::new("XX000", "a stored array is not a JSON array")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One element in the form in which its type is stored.
pub fn element_from_json(json: &Json, element: PgType) -> Result<Value, SqlError> {
    Ok(match (json, element.storage()) {
        (Json::Null, _) => Value::Null,
        (Json::Number(number), Storage::Real) => Value::Real(number.as_f64().ok_or_else(damaged)?),
        (Json::Number(number), _) => Value::Integer(number.as_i64().ok_or_else(damaged)?),
        (Json::Bool(truth), _) => Value::Integer(i64::from(*truth)),
        (Json::String(text), Storage::Blob) => {
            let digits = (0..text.len()).step_by(2).map(|at| text.get(at..at + 2));
            let bytes: Option<Vec<u8>> = digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
            Value::Blob(bytes.ok_or_else(damaged)?.into())
        }
        (Json::String(text), Storage::Real) => Value::Real(text.parse().map_err(|_| damaged())?),
        (Json::String(text), _) => Value::Text(text.as_str().into()),
        (other @ (Json::Array(_) | Json::Object(_)), _) => Value::Text(other.to_string().into()),
    })
}

fn element_to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Integer(number) => Json::from(*number),
        // JSON has no infinities.
        Value::Real(number) if !number.is_finite() => Json::from(number.to_string()),
        Value::Real(number) => Json::from(*number),
        Value::Text(text) => Json::from(text.as_ref()),
        Value::Blob(bytes) => Json::from(hex(bytes)),
    }
}

/// The stored form of a one-dimensional array.
pub fn array_to_json(elements: &[Value]) -> String {
    Json::Array(elements.iter().map(element_to_json).collect()).to_string()
}

/// The elements of a stored array; inner arrays come as their JSON text.
pub fn array_from_json(json: &str, element: PgType) -> Result<Vec<Value>, SqlError> {
    match serde_json::from_str(json) {
        Ok(Json::Array(items)) => items.iter().map(|item| element_from_json(item, element)).collect(),
        _ => Err(damaged()),
    }
}

/// `{1,2,NULL}`; the vectors of the catalog are written `1 2`.
pub(super) fn array_text(json: &str, ty: PgType, style: &TextStyle) -> Result<String, SqlError> {
    let element = ty.element().unwrap_or(PgType::TEXT);
    let items: Json = serde_json::from_str(json).map_err(|_| damaged())?;
    if matches!(ty, PgType::INT2VECTOR | PgType::OIDVECTOR) {
        let Json::Array(items) = items else { return Err(damaged()) };
        return Ok(items.iter().map(Json::to_string).collect::<Vec<_>>().join(" "));
    }
    let mut out = String::new();
    write_text(&items, element, style, &mut out)?;
    Ok(out)
}

fn write_text(json: &Json, element: PgType, style: &TextStyle, out: &mut String) -> Result<(), SqlError> {
    let Json::Array(items) = json else { return Err(damaged()) };
    out.push('{');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        if item.is_array() {
            write_text(item, element, style, out)?;
            continue;
        }
        match element_from_json(item, element)? {
            Value::Null => out.push_str("NULL"),
            value => quote_element(&to_text(value.as_ref(), element, -1, style)?, out),
        }
    }
    out.push('}');
    Ok(())
}

fn quote_element(text: &str, out: &mut String) {
    let special = |c: char| matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_ascii_whitespace();
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && !text.contains(special) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// Reads `{1,2}` into the stored form.
pub(super) fn array_from_text(text: &str, ty: PgType, style: &TextStyle) -> Result<String, SqlError> {
    let element = ty.element().unwrap_or(PgType::TEXT);
    if matches!(ty, PgType::INT2VECTOR | PgType::OIDVECTOR) {
        let items: Result<Vec<Value>, SqlError> =
            text.split_whitespace().map(|word| decode_text(word.as_bytes(), element, style)).collect();
        return Ok(array_to_json(&items?));
    }
    let malformed = || SqlError::new("22P02", format!("malformed array literal: \"{text}\""));
    let body = text.trim();
    let body = match body.starts_with('[') {
        // Bounds such as [1:2]= are taken as the usual ones.
        true => body.split_once('=').map(|(_, rest)| rest).ok_or_else(malformed)?,
        false => body,
    };
    let mut chars = body.chars().peekable();
    let json = read_text(&mut chars, element, style, &malformed)?;
    if chars.next().is_some() {
        return Err(malformed());
    }
    Ok(json.to_string())
}

fn read_text(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    element: PgType,
    style: &TextStyle,
    malformed: &dyn Fn() -> SqlError,
) -> Result<Json, SqlError> {
    if chars.next() != Some('{') {
        return Err(malformed());
    }
    let mut items = Vec::new();
    loop {
        while chars.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            chars.next();
        }
        match chars.peek() {
            Some('}') if items.is_empty() => {
                chars.next();
                return Ok(Json::Array(items));
            }
            Some('{') => items.push(read_text(chars, element, style, malformed)?),
            Some(_) => items.push(read_element(chars, element, style, malformed)?),
            None => return Err(malformed()),
        }
        while chars.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            chars.next();
        }
        match chars.next() {
            Some(',') => {}
            Some('}') => return Ok(Json::Array(items)),
            _ => return Err(malformed()),
        }
    }
}

fn read_element(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    element: PgType,
    style: &TextStyle,
    malformed: &dyn Fn() -> SqlError,
) -> Result<Json, SqlError> {
    let mut text = String::new();
    let mut quoted = false;
    while let Some(&c) = chars.peek() {
        match c {
            '"' if text.is_empty() && !quoted => {
                quoted = true;
                chars.next();
                loop {
                    match chars.next().ok_or_else(malformed)? {
                        '"' => break,
                        '\\' => text.push(chars.next().ok_or_else(malformed)?),
                        c => text.push(c),
                    }
                }
            }
            ',' | '}' => break,
            '{' | '"' => return Err(malformed()),
            '\\' => {
                chars.next();
                text.push(chars.next().ok_or_else(malformed)?);
            }
            c => {
                chars.next();
                if !quoted {
                    text.push(c);
                }
            }
        }
    }
    if !quoted {
        text = text.trim_end().to_string();
        if text.is_empty() {
            return Err(malformed());
        }
        if text.eq_ignore_ascii_case("null") {
            return Ok(Json::Null);
        }
    }
    Ok(element_to_json(&decode_text(text.as_bytes(), element, style)?))
}

pub(super) fn array_to_binary(json: &str, ty: PgType, out: &mut BytesMut) -> Result<(), SqlError> {
    let element = ty.element().unwrap_or(PgType::TEXT);
    let items: Json = serde_json::from_str(json).map_err(|_| damaged())?;
    let mut dimensions = Vec::new();
    let mut level = &items;
    while let Json::Array(inner) = level {
        dimensions.push(inner.len());
        match inner.first() {
            Some(first) => level = first,
            None => break,
        }
    }
    let mut flat = Vec::new();
    flatten(&items, &mut flat);
    if flat.is_empty() {
        dimensions.clear();
    }
    out.put_i32(dimensions.len() as i32);
    out.put_i32(i32::from(flat.iter().any(|item| item.is_null())));
    out.put_u32(element.0);
    // The vectors of the catalog count from 0.
    let lower = i32::from(!matches!(ty, PgType::INT2VECTOR | PgType::OIDVECTOR));
    for length in dimensions {
        out.put_i32(length as i32);
        out.put_i32(lower);
    }
    for item in flat {
        let value = element_from_json(item, element)?;
        if value == Value::Null {
            out.put_i32(-1);
            continue;
        }
        let at = out.len();
        out.put_i32(0);
        encode_binary(value.as_ref(), element, -1, out)?;
        let length = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

fn flatten<'a>(json: &'a Json, flat: &mut Vec<&'a Json>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| flatten(item, flat)),
        item => flat.push(item),
    }
}

pub(super) fn array_from_binary(bytes: &[u8], ty: PgType) -> Result<String, SqlError> {
    let bad = || malformed(&ty.sql_name());
    let mut rest = bytes;
    let word = |rest: &mut &[u8]| -> Result<i32, SqlError> {
        let (head, tail) = rest.split_first_chunk::<4>().ok_or_else(bad)?;
        *rest = tail;
        Ok(i32::from_be_bytes(*head))
    };
    let dimensions = word(&mut rest)?;
    let _has_null = word(&mut rest)?;
    let element = PgType(word(&mut rest)? as u32);
    if !(0..=6).contains(&dimensions) {
        return Err(bad());
    }
    if ty.element() != Some(element) && !(element.is_text() && ty.element().is_some_and(PgType::is_text)) {
        return Err(SqlError::new(
            "42804",
            format!("binary data has array element type {} instead of expected", element.0),
        ));
    }
    let mut lengths = Vec::new();
    for _ in 0..dimensions {
        lengths.push(usize::try_from(word(&mut rest)?).map_err(|_| bad())?);
        word(&mut rest)?;
    }
    let count = if lengths.is_empty() {
        0
    } else {
        lengths.iter().try_fold(1usize, |n, l| n.checked_mul(*l)).ok_or_else(bad)?
    };
    let mut items = Vec::new();
    for _ in 0..count {
        let length = word(&mut rest)?;
        if length < 0 {
            items.push(Json::Null);
            continue;
        }
        let (body, tail) = rest.split_at_checked(length as usize).ok_or_else(bad)?;
        rest = tail;
        items.push(element_to_json(&decode_binary(body, element)?));
    }
    for length in lengths.iter().skip(1).rev() {
        if *length == 0 {
            return Ok("[]".into());
        }
        items = items.chunks(*length).map(|chunk| Json::Array(chunk.to_vec())).collect();
    }
    Ok(Json::Array(items).to_string())
}
