//! Values of parameters and columns, as all databases take and give them.
//!
//! Money and percentages are whole hundredths here: `numeric(_, 2)` on the Postgres wire, an integer in SQLite, so that
//! no sum depends on how a database rounds. Dates are days, timestamps microseconds since 1970; SQLite keeps them as ISO
//! texts, which sort alike.

use crate::session::Error;
use bytes::BytesMut;
use std::error::Error as StdError;
use std::fmt::Write as _;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

/// Days from 1970-01-01 to 2000-01-01, where dates of the Postgres wire begin.
const POSTGRES_EPOCH_DAYS: i32 = 10_957;
const DAY_US: i64 = 86_400_000_000;

/// A parameter or a column of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// A whole number.
    Int(i64),
    /// Money in cents, or a percentage in hundredths of a percent.
    Hundredths(i64),
    /// A text.
    Text(String),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01.
    Timestamp(i64),
}

/// A text.
pub fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// A row of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// The whole number in this column, counted from 0.
    pub fn int(&self, column: usize) -> Result<i64, Error> {
        match self.0.get(column) {
            Some(Value::Int(number)) => Ok(*number),
            _ => Err(self.unexpected(column, "a whole number")),
        }
    }

    /// The amount in this column in hundredths; SQLite keeps them as whole numbers.
    pub fn hundredths(&self, column: usize) -> Result<i64, Error> {
        match self.0.get(column) {
            Some(Value::Int(number) | Value::Hundredths(number)) => Ok(*number),
            _ => Err(self.unexpected(column, "an amount")),
        }
    }

    /// The text in this column.
    pub fn text(&self, column: usize) -> Result<&str, Error> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(self.unexpected(column, "a text")),
        }
    }

    fn unexpected(&self, column: usize, what: &str) -> Error {
        let found = self.0.get(column);
        Error::Failed(format!("column {} should be {what}, and the database answered {found:?}", column + 1))
    }
}

/// Year, month, day of a day since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(day: i32) -> (i64, i64, i64) {
    let shifted = i64::from(day) + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

impl Value {
    /// As ISO text where it is a date or timestamp; `None` otherwise.
    pub(crate) fn iso(&self) -> Option<String> {
        let date = |day| {
            let (year, month, day) = civil(day);
            format!("{year:04}-{month:02}-{day:02}")
        };
        match self {
            Value::Date(day) => Some(date(*day)),
            Value::Timestamp(us) => {
                let seconds = us.rem_euclid(DAY_US) / 1_000_000;
                let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
                Some(format!("{} {hour:02}:{minute:02}:{second:02}", date(us.div_euclid(DAY_US) as i32)))
            }
            _ => None,
        }
    }

    /// Appends it as a field of COPY's text format.
    pub(crate) fn copy_into(&self, line: &mut String) {
        match self {
            Value::Null => line.push_str("\\N"),
            Value::Int(number) => {
                // Writing to a String cannot fail.
                let _ = write!(line, "{number}");
            }
            Value::Hundredths(amount) => {
                let sign = if *amount < 0 { "-" } else { "" };
                let amount = amount.unsigned_abs();
                let _ = write!(line, "{sign}{}.{:02}", amount / 100, amount % 100);
            }
            Value::Text(text) => {
                for character in text.chars() {
                    match character {
                        '\\' => line.push_str("\\\\"),
                        '\t' => line.push_str("\\t"),
                        '\n' => line.push_str("\\n"),
                        '\r' => line.push_str("\\r"),
                        other => line.push(other),
                    }
                }
            }
            Value::Date(_) | Value::Timestamp(_) => line.push_str(&self.iso().unwrap_or_default()),
        }
    }
}

type WireResult<T> = Result<T, Box<dyn StdError + Sync + Send>>;

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> WireResult<IsNull> {
        match (self, ty) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Int(number), &Type::INT4) => i32::try_from(*number)?.to_sql(ty, out),
            (Value::Int(number), &Type::INT8) => number.to_sql(ty, out),
            (Value::Hundredths(amount), &Type::NUMERIC) => {
                out.extend_from_slice(&encode_numeric(*amount));
                Ok(IsNull::No)
            }
            (Value::Text(text), &(Type::TEXT | Type::VARCHAR | Type::BPCHAR)) => text.as_str().to_sql(ty, out),
            (Value::Date(day), &Type::DATE) => {
                out.extend_from_slice(&(day - POSTGRES_EPOCH_DAYS).to_be_bytes());
                Ok(IsNull::No)
            }
            (Value::Timestamp(us), &(Type::TIMESTAMP | Type::TIMESTAMPTZ)) => {
                out.extend_from_slice(&(us - i64::from(POSTGRES_EPOCH_DAYS) * DAY_US).to_be_bytes());
                Ok(IsNull::No)
            }
            _ => Err(format!("the server wants a parameter of type {ty} where the shop has {self:?}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> WireResult<Self> {
        Ok(match *ty {
            Type::INT4 => Value::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::NUMERIC => Value::Hundredths(decode_numeric(raw)?),
            Type::DATE => Value::Date(i32::from_be_bytes(raw.try_into()?) + POSTGRES_EPOCH_DAYS),
            Type::TIMESTAMP | Type::TIMESTAMPTZ => {
                Value::Timestamp(i64::from_be_bytes(raw.try_into()?) + i64::from(POSTGRES_EPOCH_DAYS) * DAY_US)
            }
            _ => Value::Text(<&str>::from_sql(ty, raw)?.to_owned()),
        })
    }

    fn from_sql_null(_: &Type) -> WireResult<Self> {
        Ok(Value::Null)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(
            *ty,
            Type::INT4
                | Type::INT8
                | Type::NUMERIC
                | Type::DATE
                | Type::TIMESTAMP
                | Type::TIMESTAMPTZ
                | Type::TEXT
                | Type::VARCHAR
                | Type::BPCHAR
        )
    }
}

/// The binary numeric: count of base-10000 digits, weight of the first, sign, digits shown behind the point; digits.
fn encode_numeric(amount: i64) -> Vec<u8> {
    let (mut whole, part) = (amount.unsigned_abs() / 100, amount.unsigned_abs() % 100);
    let mut digits = Vec::new();
    while whole > 0 {
        digits.push((whole % 10_000) as i16);
        whole /= 10_000;
    }
    digits.reverse();
    let weight = digits.len() as i16 - 1;
    if part > 0 {
        digits.push(part as i16 * 100);
    }
    let sign = if amount < 0 { 0x4000 } else { 0 };
    let head = [digits.len() as i16, if digits.is_empty() { 0 } else { weight }, sign, 2];
    head.iter().chain(&digits).flat_map(|word| word.to_be_bytes()).collect()
}

/// Digits behind the second one after the point are cut off: only exchange rates have them.
fn decode_numeric(raw: &[u8]) -> WireResult<i64> {
    let words: Vec<i16> = raw.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
    let [count, weight, sign, _, digits @ ..] = words.as_slice() else {
        return Err("a numeric of the answer is too short".into());
    };
    if !matches!(sign, 0 | 0x4000) || digits.len() != *count as usize {
        return Err("a numeric of the answer is no number".into());
    }
    let mut hundredths: i64 = 0;
    for (position, digit) in digits.iter().enumerate() {
        let digit = i64::from(*digit);
        let more = match i32::from(*weight) - position as i32 {
            power @ 0..=3 => digit * 10_000i64.pow(power as u32) * 100,
            -1 => digit / 100,
            power if power < -1 => 0,
            _ => return Err("a numeric of the answer is larger than any price of the shop".into()),
        };
        hundredths += more;
    }
    Ok(if *sign == 0 { hundredths } else { -hundredths })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_survive_the_binary_numeric() {
        for amount in [0, 1, 99, 100, 101, 9_999, 10_000, 1_000_000, 1_000_001, 123_456_789_012, -1, -250, -1_000_000] {
            assert_eq!(decode_numeric(&encode_numeric(amount)).unwrap(), amount);
        }
    }

    #[test]
    fn numerics_as_postgres_writes_them() {
        // 12345.67: digits 1, 2345, 6700; weight 1.
        let bytes = [0, 3, 0, 1, 0, 0, 0, 2, 0, 1, 0x09, 0x29, 0x1a, 0x2c];
        assert_eq!(encode_numeric(1_234_567), bytes);
        // 0.000001, as exchange rates may have it: one digit of weight -2.
        assert_eq!(decode_numeric(&[0, 1, 0xff, 0xfe, 0, 0, 0, 6, 0, 100]).unwrap(), 0);
        assert!(decode_numeric(&[0, 0, 0, 0, 0xc0, 0, 0, 0]).is_err(), "NaN");
        assert!(decode_numeric(&[0, 1]).is_err());
    }

    #[test]
    fn dates_are_written_in_iso() {
        for (day, expected) in [(0, "1970-01-01"), (-1, "1969-12-31"), (11_016, "2000-02-29"), (20_089, "2025-01-01")] {
            assert_eq!(Value::Date(day).iso().unwrap(), expected);
        }
        assert_eq!(Value::Timestamp(11_016 * DAY_US + 3_723_000_000).iso().unwrap(), "2000-02-29 01:02:03");
    }

    #[test]
    fn copy_escapes_what_would_end_a_field() {
        let mut line = String::new();
        for value in [text("a\tb\\c\nd"), Value::Hundredths(-5), Value::Null] {
            value.copy_into(&mut line);
            line.push('|');
        }
        assert_eq!(line, "a\\tb\\\\c\\nd|-0.05|\\N|");
    }
}
