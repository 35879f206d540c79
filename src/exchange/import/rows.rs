//! Rows of a table of SQLite's: counted and judged first, then written as COPY's text.

use super::source::{Table, quote};
use super::types::{Census, Seen, Target};
use crate::dialect::datetime::{parse_date, parse_time, parse_timestamp};
use crate::exchange::ExchangeError;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use std::io::Write;

/// The SELECT of a table's columns, with the row's name for people behind them.
pub fn select(table: &Table) -> String {
    let mut columns: Vec<String> = table.columns.iter().map(|column| quote(&column.name)).collect();
    columns.push(table.rowid_sql().unwrap_or("NULL").to_string());
    format!("SELECT {} FROM {}", columns.join(", "), quote(&table.name))
}

/// Which row this is, for people.
fn label(row: &Row<'_>, columns: usize, place: u64) -> rusqlite::Result<String> {
    let rowid: Option<i64> = row.get(columns)?;
    Ok(rowid.map_or_else(|| format!("row {place}"), |rowid| format!("rowid {rowid}")))
}

/// Counts what is stored in each column, and the rows.
///
/// # Errors
/// A text that is no UTF-8 or holds a zero byte, which Postgres has not; SQLite's own.
pub fn census(
    connection: &Connection,
    table: &Table,
    mut progress: impl FnMut(u64),
) -> Result<(Vec<Census>, u64), ExchangeError> {
    let failed = |error: rusqlite::Error| ExchangeError::Refused(format!("table {}: {error}", table.name));
    let columns = table.columns.len();
    let mut all = vec![Census::default(); columns];
    let mut statement = connection.prepare(&select(table)).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut place = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        place += 1;
        progress(place);
        for (at, census) in all.iter_mut().enumerate() {
            let value = row.get_ref(at).map_err(failed)?;
            if let Err(what) = note(census, value) {
                let which = label(row, columns, place).map_err(failed)?;
                let column = &table.columns[at].name;
                let text = format!("column {column} of table {} holds {what} ({which})", table.name);
                return Err(ExchangeError::Refused(text));
            }
            let seen = match value {
                ValueRef::Null => &mut census.nulls,
                ValueRef::Integer(_) => &mut census.integers,
                ValueRef::Real(_) => &mut census.reals,
                ValueRef::Text(_) => &mut census.texts,
                ValueRef::Blob(_) => &mut census.blobs,
            };
            if seen.count == 0 {
                *seen = Seen { count: 0, first: label(row, columns, place).map_err(failed)?, place };
            }
            seen.count += 1;
        }
    }
    Ok((all, place))
}

fn note(census: &mut Census, value: ValueRef<'_>) -> Result<(), &'static str> {
    match value {
        ValueRef::Integer(number) => census.integer(number),
        ValueRef::Real(number) => census.infinite |= number.is_infinite(),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| "a text that is not UTF-8")?;
            if text.contains('\0') {
                return Err("a text with a zero byte, which Postgres does not have");
            }
            census.no_date |= !is_date(text);
            census.no_time |= !is_time(text);
            census.no_timestamp |= !is_timestamp(text);
        }
        ValueRef::Null | ValueRef::Blob(_) => {}
    }
    Ok(())
}

/// Digits and marks as in the pattern, in which `0` is any digit.
fn has_form(text: &str, pattern: &str) -> bool {
    let fits = |(letter, form): (u8, u8)| if form == b'0' { letter.is_ascii_digit() } else { letter == form };
    text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(fits)
}

fn is_date(text: &str) -> bool {
    has_form(text, "0000-00-00") && !text.starts_with("0000") && parse_date(text).is_ok()
}

fn is_time(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let fraction = (1..=6).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
    fraction && (has_form(whole, "00:00:00") || text == whole && has_form(whole, "00:00")) && parse_time(text).is_ok()
}

fn is_timestamp(text: &str) -> bool {
    match text.split_once([' ', 'T']) {
        Some((date, time)) => is_date(date) && is_time(time) && parse_timestamp(text).is_ok(),
        None => is_date(text),
    }
}

/// Writes a row as a line of COPY; `targets` are those of the columns, `None` for what is not written.
pub fn line(row: &Row<'_>, targets: &[Option<Target>], out: &mut Vec<u8>) -> rusqlite::Result<()> {
    let mut first = true;
    for (at, target) in targets.iter().enumerate() {
        let Some(target) = target else { continue };
        if !first {
            out.push(b'\t');
        }
        first = false;
        field(row.get_ref(at)?, *target, out);
    }
    out.push(b'\n');
    Ok(())
}

fn field(value: ValueRef<'_>, target: Target, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => out.extend(b"\\N"),
        ValueRef::Integer(number) if target == Target::Boolean => out.push(if number == 0 { b'f' } else { b't' }),
        // Writing to a Vec does not fail.
        ValueRef::Integer(number) => drop(write!(out, "{number}")),
        ValueRef::Real(number) if number.is_infinite() => {
            out.extend(if number > 0.0 { &b"Infinity"[..] } else { &b"-Infinity"[..] });
        }
        ValueRef::Real(number) => drop(write!(out, "{number:?}")),
        ValueRef::Text(text) => text.iter().for_each(|byte| match byte {
            b'\\' => out.extend(b"\\\\"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            byte => out.push(*byte),
        }),
        ValueRef::Blob(bytes) => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.extend(b"\\\\x");
            for byte in bytes {
                out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_told_from_texts() {
        assert!(is_date("2024-02-29") && !is_date("2023-02-29") && !is_date("2024-2-1") && !is_date("0000-01-01"));
        assert!(is_time("23:59:59.123") && is_time("10:00") && !is_time("25:00:00") && !is_time("10:00:00.1234567"));
        assert!(is_timestamp("2024-01-02 03:04:05") && is_timestamp("2024-01-02T03:04:05.5"));
        assert!(is_timestamp("2024-01-02") && !is_timestamp("2024-01-02 03:04:05Z") && !is_timestamp("soon"));
    }

    #[test]
    fn fields_are_written_as_copy_reads_them() {
        let written = |value, target| {
            let mut out = Vec::new();
            field(value, target, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(ValueRef::Text(b"a\tb\\c\nd"), Target::Text), "a\\tb\\\\c\\nd");
        assert_eq!(written(ValueRef::Blob(&[0, 0xff]), Target::Bytea), "\\\\x00ff");
        assert_eq!(written(ValueRef::Integer(1), Target::Boolean), "t");
        assert_eq!(written(ValueRef::Real(0.1), Target::Double), "0.1");
        assert_eq!(written(ValueRef::Real(f64::NEG_INFINITY), Target::Double), "-Infinity");
        assert_eq!(written(ValueRef::Null, Target::Text), "\\N");
    }
}
