//! Moments and spans made of their parts, bins of time, and periods that overlap.

use super::{Arguments, Result, ScalarFunction, bytes, integer, pure, real, strict, string};
use crate::dialect::datetime::{self, DAY_US, Interval, TIMESTAMP_INFINITY, TimeZone, days_from_civil, days_in_month};
use crate::dialect::zone::Zone;
use crate::transaction::{SqlError, Value};

fn infinite(us: i64) -> bool {
    us == TIMESTAMP_INFINITY || us == i64::MIN
}

/// Microseconds of a clock; 24:00 and a second of 60 are taken.
fn clock(args: &Arguments<'_>) -> Result<i64> {
    let (hour, minute, second) = (integer(args[0])?, integer(args[1])?, real(args[2])?);
    let second_us = libm::rint(second * 1e6);
    if (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60e6).contains(&second_us) {
        let us = (hour * 60 + minute) * 60_000_000 + second_us as i64;
        if us <= DAY_US {
            return Ok(us);
        }
    }
    Err(SqlError::new("22008", format!("time field value out of range: {hour}:{minute:02}:{second:02}")))
}

fn make_time(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) { Ok(Value::Null) } else { clock(args).map(Value::Integer) }
}

/// Microseconds of what calendar and clock show. Years before Christ are negative.
fn shown(args: &Arguments<'_>) -> Result<i64> {
    let (written, month, day) = (integer(args[0])?, integer(args[1])?, integer(args[2])?);
    let year = if written < 0 { written + 1 } else { written };
    if written == 0 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return Err(SqlError::new("22008", format!("date field value out of range: {written}-{month:02}-{day:02}")));
    }
    let clock = clock(&args[3..6])?;
    if !(-4713..=294_276).contains(&year) {
        return Err(SqlError::new("22008", format!("date out of range: {written}-{month:02}-{day:02}")));
    }
    Ok(days_from_civil(year, month, day) * DAY_US + clock)
}

fn make_timestamp(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) { Ok(Value::Null) } else { shown(args).map(Value::Integer) }
}

/// make_timestamptz. The last argument is the zone whose calendar and clock are meant.
fn make_timestamptz(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let name = string(args[6])?;
    let zone = TimeZone::parse(name).map_err(|_| datetime::unknown_zone(name))?.zone;
    Ok(Value::Integer(zone.utc_us(shown(args)?)))
}

/// The same in the session's zone, as the translator writes zones.
fn make_timestamptz_here(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    Ok(Value::Integer(Zone::read(args[6])?.utc_us(shown(args)?)))
}

/// make_interval. Arguments: years, months, weeks, days, hours, minutes, seconds.
fn make_interval(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let out_of_range = || SqlError::new("22008", "interval out of range");
    let part = |at: usize| integer(args[at]);
    let months = part(0)?.checked_mul(12).and_then(|months| months.checked_add(part(1).ok()?));
    let days = part(2)?.checked_mul(7).and_then(|days| days.checked_add(part(3).ok()?));
    let second_us = libm::rint(real(args[6])? * 1e6);
    if second_us.is_nan() || second_us.abs() >= 9e18 {
        return Err(out_of_range());
    }
    let minutes = part(4)? * 60 + part(5)?;
    let span = Interval {
        months: months.and_then(|months| i32::try_from(months).ok()).ok_or_else(out_of_range)?,
        days: days.and_then(|days| i32::try_from(days).ok()).ok_or_else(out_of_range)?,
        us: minutes.checked_mul(60_000_000).and_then(|us| us.checked_add(second_us as i64)).ok_or_else(out_of_range)?,
    };
    Ok(Value::Blob(span.encode().into()))
}

/// date_bin: the start of the bin that a moment lies in. Arguments: width, moment, a bin's start.
fn date_bin(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (width, moment, origin) = (Interval::decode(bytes(args[0])?)?, integer(args[1])?, integer(args[2])?);
    if infinite(moment) {
        return Ok(Value::Integer(moment));
    }
    if infinite(origin) {
        return Err(SqlError::new("22008", "origin out of range"));
    }
    if width.months != 0 {
        let message = "timestamps cannot be binned into intervals containing months or years";
        return Err(SqlError::new("0A000", message));
    }
    let out_of_range = || SqlError::new("22008", "interval out of range");
    let width_us = i64::try_from(width.length_us()).map_err(|_| out_of_range())?;
    if width_us <= 0 {
        return Err(SqlError::new("22008", "stride must be greater than zero"));
    }
    let since = moment.checked_sub(origin).ok_or_else(out_of_range)?;
    let start = since.checked_sub(since.rem_euclid(width_us)).and_then(|start| origin.checked_add(start));
    start.map(Value::Integer).ok_or_else(|| SqlError::new("22008", "timestamp out of range"))
}

/// OVERLAPS, with what SQL says of ends that are NULL. Arguments: two ends of one period, two of the other, in any order.
fn overlaps(args: &Arguments<'_>) -> Result<Value> {
    // The start, and the end unless nothing is known of it.
    let period = |at: usize| -> Result<Option<(i64, Option<i64>)>> {
        let end = |at: usize| if args[at].is_null() { Ok(None) } else { integer(args[at]).map(Some) };
        Ok(match (end(at)?, end(at + 1)?) {
            (Some(a), Some(b)) => Some((a.min(b), Some(a.max(b)))),
            (Some(a), None) | (None, Some(a)) => Some((a, None)),
            (None, None) => None,
        })
    };
    let (Some((start, end)), Some((other_start, other_end))) = (period(0)?, period(2)?) else { return Ok(Value::Null) };
    let truth = |holds: bool| Ok(Value::Integer(i64::from(holds)));
    if start == other_start {
        return if end.is_some() && other_end.is_some() { truth(true) } else { Ok(Value::Null) };
    }
    // Whether the earlier one still goes on when the later one starts.
    let (later_start, later_end, earlier_end) =
        if start > other_start { (start, end, other_end) } else { (other_start, other_end, end) };
    match earlier_end {
        None => Ok(Value::Null),
        Some(earlier_end) if later_start < earlier_end => truth(true),
        Some(_) if later_end.is_none() => Ok(Value::Null),
        Some(_) => truth(false),
    }
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_make_time", 3, make_time),
    pure("evesql_make_timestamp", 6, make_timestamp),
    pure("evesql_make_timestamptz", 7, make_timestamptz),
    pure("evesql_make_timestamptz_here", 7, make_timestamptz_here),
    pure("evesql_make_interval", 7, make_interval),
    pure("evesql_date_bin", 3, date_bin),
    pure("evesql_overlaps", 4, overlaps),
];
