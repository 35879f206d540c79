//! Dates, times and intervals.

use super::{Arguments, Result, ScalarFunction, bytes, integer, pure, real, strict, string};
use crate::dialect::datetime::{
    self, DATE_INFINITY, DATE_MINUS_INFINITY, DAY_US, EPOCH_DAYS, Interval, TIMESTAMP_INFINITY, TimeZone, add_interval,
    civil_from_days, days_from_civil,
};
use crate::dialect::numeric::{Decimal, Numeric, division_by_zero};
use crate::dialect::types::PgType;
use crate::dialect::zone::Zone;
use crate::transaction::{SqlError, Value, ValueRef};

fn interval(value: ValueRef<'_>) -> Result<Interval> {
    Interval::decode(bytes(value)?)
}

fn stored(interval: Interval) -> Value {
    Value::Blob(interval.encode().into())
}

fn infinite(us: i64) -> bool {
    us == TIMESTAMP_INFINITY || us == i64::MIN
}

fn timestamp_add(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (us, mut span) = (integer(args[0])?, interval(args[1])?);
    if integer(args[2])? < 0 {
        span = span.negate();
    }
    let zone = Zone::read(args[3])?;
    if infinite(us) {
        return Ok(Value::Integer(us));
    }
    // Months and days are those of the session's clock, hours those that pass.
    let calendar = Interval { us: 0, ..span };
    let moved = match calendar == Interval::default() {
        true => us,
        false => zone.utc_us(add_interval(zone.local_us(us), &calendar)?),
    };
    Ok(Value::Integer(add_interval(moved, &Interval { us: span.us, ..Interval::default() })?))
}

fn timestamp_diff(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (a, b) = (integer(args[0])?, integer(args[1])?);
    if infinite(a) || infinite(b) {
        return Err(SqlError::new("22008", "cannot subtract infinite timestamps"));
    }
    let us = a.checked_sub(b).ok_or_else(|| SqlError::new("22008", "interval out of range"))?;
    Ok(stored(Interval { months: 0, days: (us / DAY_US) as i32, us: us % DAY_US }))
}

fn time_add(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let span = interval(args[1])?;
    let us = if integer(args[2])? < 0 { span.us.wrapping_neg() } else { span.us };
    Ok(Value::Integer((integer(args[0])? + us % DAY_US).rem_euclid(DAY_US)))
}

fn interval_pair(args: &Arguments<'_>, subtract: bool) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (a, b) = (interval(args[0])?, interval(args[1])?);
    a.add(&if subtract { b.negate() } else { b }).map(stored)
}

fn interval_scale(args: &Arguments<'_>, divide: bool) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let factor = real(args[1])?;
    if divide && factor == 0.0 {
        return Err(division_by_zero());
    }
    let span = interval(args[0])?;
    if divide { span.divide(factor) } else { span.multiply(factor) }.map(stored)
}

/// The part of an interval that orders it.
fn interval_key(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let all = bytes(args[0])?;
    Ok(Value::Blob(all.get(..16).unwrap_or(all).into()))
}

/// Rounds microseconds to so many digits.
fn time_fit(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (us, digits) = (integer(args[0])?, integer(args[1])?.clamp(0, 6) as u32);
    Ok(Value::Integer(super::casts::round_time(us, digits)))
}

/// Units that are known, if not for each type.
const UNITS: &[&str] = &[
    "millennium",
    "century",
    "decade",
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "second",
    "millisecond",
    "milliseconds",
    "microsecond",
    "microseconds",
    "epoch",
    "dow",
    "isodow",
    "doy",
    "isoyear",
    "julian",
    "timezone",
    "timezone_hour",
    "timezone_minute",
];

/// Fields of a moment or a span, as (whole, scale) decimals.
fn field(name: &str, value: ValueRef<'_>, ty: PgType, zone: Zone) -> Result<Option<Decimal>> {
    let whole = |number: i64| Ok(Some(Decimal::new(i128::from(number), 0)));
    let micros = |number: i64, scale: u32| Ok(Some(Decimal::new(i128::from(number), scale)));
    let unknown = || {
        let (code, what) = if UNITS.contains(&name) { ("0A000", "supported") } else { ("22023", "recognized") };
        SqlError::new(code, format!("unit \"{name}\" not {what} for type {}", ty.sql_name()))
    };
    if ty == PgType::INTERVAL {
        let span = interval(value)?;
        let (years, months) = (i64::from(span.months / 12), i64::from(span.months % 12));
        return match name {
            "millennium" => whole(years / 1000),
            "century" => whole(years / 100),
            "decade" => whole(years / 10),
            "year" | "years" => whole(years),
            "quarter" => whole(months / 3 + 1),
            "month" | "months" => whole(months),
            "day" | "days" => whole(i64::from(span.days)),
            "hour" | "hours" => whole(span.us / 3_600_000_000),
            "minute" | "minutes" => whole(span.us / 60_000_000 % 60),
            "second" | "seconds" => micros(span.us % 60_000_000, 6),
            "millisecond" | "milliseconds" => micros(span.us % 60_000_000, 3),
            "microsecond" | "microseconds" => whole(span.us % 60_000_000),
            "epoch" => {
                // A year counts 365.25 days there.
                let days = i128::from(span.months / 12) * 36_525 * 864 * 1_000_000
                    + (i128::from(months) * 30 + i128::from(span.days)) * i128::from(DAY_US);
                Ok(Some(Decimal::new(days + i128::from(span.us), 6)))
            }
            _ => Err(unknown()),
        };
    }
    let number = integer(value)?;
    let us = match ty {
        PgType::DATE => number.saturating_mul(DAY_US),
        PgType::TIMESTAMPTZ => zone.local_us(number),
        _ => number,
    };
    let endless = infinite(number) || ty == PgType::DATE && matches!(number, DATE_INFINITY | DATE_MINUS_INFINITY);
    if endless {
        // What no value of the type has is refused all the same.
        return field(name, ValueRef::Integer(0), ty, zone).map(|_| None);
    }
    let (days, time) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
    let clock = match name {
        "hour" | "hours" => Some(whole(time / 3_600_000_000)),
        "minute" | "minutes" => Some(whole(time / 60_000_000 % 60)),
        "second" | "seconds" => Some(micros(time % 60_000_000, 6)),
        "millisecond" | "milliseconds" => Some(micros(time % 60_000_000, 3)),
        "microsecond" | "microseconds" => Some(whole(time % 60_000_000)),
        "epoch" if ty == PgType::TIME => Some(micros(time, 6)),
        _ => None,
    };
    if let Some(clock) = clock {
        return if ty == PgType::DATE { Err(unknown()) } else { clock };
    }
    if ty == PgType::TIME {
        return Err(unknown());
    }
    let (year, month, day) = civil_from_days(days);
    let shown_year = if year > 0 { year } else { year - 1 };
    let weekday = (days + 6).rem_euclid(7);
    match name {
        "millennium" => whole(if year > 0 { (year + 999) / 1000 } else { -((1000 - year) / 1000) }),
        "century" => whole(if year > 0 { (year + 99) / 100 } else { -((100 - year) / 100) }),
        "decade" => whole(year.div_euclid(10)),
        "year" | "years" => whole(shown_year),
        "quarter" => whole((month - 1) / 3 + 1),
        "month" | "months" => whole(month),
        "week" => whole(iso_week(days).1),
        "isoyear" => whole(iso_week(days).0 - i64::from(iso_week(days).0 <= 0)),
        "day" | "days" => whole(day),
        "dow" | "dayofweek" => whole(weekday),
        "isodow" => whole(if weekday == 0 { 7 } else { weekday }),
        "doy" | "dayofyear" => whole(days - days_from_civil(year, 1, 1) + 1),
        "julian" if time == 0 => whole(days + 2_451_545),
        "epoch" => {
            let utc = if ty == PgType::TIMESTAMPTZ { number } else { us };
            let total = i128::from(utc) + i128::from(EPOCH_DAYS) * i128::from(DAY_US);
            if ty == PgType::DATE { whole((total / 1_000_000) as i64) } else { Ok(Some(Decimal::new(total, 6))) }
        }
        "timezone" if ty == PgType::TIMESTAMPTZ => whole(i64::from(zone.offset_s(number))),
        "timezone_hour" if ty == PgType::TIMESTAMPTZ => whole(i64::from(zone.offset_s(number) / 3600)),
        "timezone_minute" if ty == PgType::TIMESTAMPTZ => whole(i64::from(zone.offset_s(number) / 60 % 60)),
        _ => Err(unknown()),
    }
}

/// ISO year and week.
pub(super) fn iso_week(days: i64) -> (i64, i64) {
    let weekday = (days + 5).rem_euclid(7);
    // The Thursday of the same week decides the year.
    let thursday = days - weekday + 3;
    let (year, _, _) = civil_from_days(thursday);
    (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
}

fn extract(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let ty = PgType(integer(args[2])? as u32);
    let found = field(string(args[0])?, args[1], ty, Zone::read(args[3])?)?;
    let found = found.map(Numeric::Finite).or(endless(string(args[0])?, args[1]));
    Ok(found.map_or(Value::Null, |number| Value::Blob(number.encode().into())))
}

/// What only grows with time is infinite at its ends; the rest is unknown there.
fn endless(name: &str, value: ValueRef<'_>) -> Option<Numeric> {
    let grows = matches!(name, "year" | "years" | "decade" | "century" | "millennium" | "isoyear" | "julian" | "epoch");
    let ValueRef::Integer(moment) = value else { return None };
    grows.then_some(if moment > 0 { Numeric::Infinity } else { Numeric::NegativeInfinity })
}

fn date_part(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let ty = PgType(integer(args[2])? as u32);
    let found = field(string(args[0])?, args[1], ty, Zone::read(args[3])?)?;
    let found = found.map(Numeric::Finite).or(endless(string(args[0])?, args[1]));
    Ok(found.map_or(Value::Null, |number| Value::Real(number.to_f64())))
}

fn date_trunc(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let name = string(args[0])?.to_ascii_lowercase();
    let ty = PgType(integer(args[2])? as u32);
    let unknown = || SqlError::new("22023", format!("unit \"{name}\" not recognized for type {}", ty.sql_name()));
    let clock_unit = match name.as_str() {
        "hour" | "hours" => Some(3_600_000_000),
        "minute" | "minutes" => Some(60_000_000),
        "second" | "seconds" => Some(1_000_000),
        "millisecond" | "milliseconds" => Some(1_000),
        "microsecond" | "microseconds" => Some(1),
        _ => None,
    };
    if ty == PgType::INTERVAL {
        let mut span = interval(args[1])?;
        let months = match name.as_str() {
            "year" | "years" => Some(12),
            "quarter" => Some(3),
            "month" | "months" => Some(1),
            "decade" => Some(120),
            "century" => Some(1200),
            "millennium" => Some(12_000),
            _ => None,
        };
        if let Some(months) = months {
            span = Interval { months: span.months / months * months, days: 0, us: 0 };
        } else if matches!(name.as_str(), "day" | "days") {
            span.us = 0;
        } else {
            let unit = clock_unit.ok_or_else(unknown)?;
            span.us -= span.us % unit;
        }
        return Ok(stored(span));
    }
    let (us, zone) = (integer(args[1])?, Zone::read(args[3])?);
    if infinite(us) {
        return Ok(Value::Integer(us));
    }
    let local = zone.local_us(us);
    let days = local.div_euclid(DAY_US);
    let (year, month, _) = civil_from_days(days);
    let start = |year: i64, month: i64| days_from_civil(year, month, 1) * DAY_US;
    let cut = match (name.as_str(), clock_unit) {
        // Within an hour that the clocks show twice it stays the one that it is in.
        (_, Some(unit)) => return Ok(Value::Integer(us - local.rem_euclid(unit))),
        ("day" | "days", _) => days * DAY_US,
        ("week" | "weeks", _) => (days - (days + 5).rem_euclid(7)) * DAY_US,
        ("month" | "months", _) => start(year, month),
        ("quarter", _) => start(year, (month - 1) / 3 * 3 + 1),
        ("year" | "years", _) => start(year, 1),
        ("decade", _) => start(year.div_euclid(10) * 10, 1),
        ("century", _) => start((year - 1).div_euclid(100) * 100 + 1, 1),
        ("millennium", _) => start((year - 1).div_euclid(1000) * 1000 + 1, 1),
        _ => return Err(unknown()),
    };
    Ok(Value::Integer(zone.utc_us(cut)))
}

/// The difference in years, months and days, as people count ages.
fn age(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (a, b) = (integer(args[0])?, integer(args[1])?);
    let (later, earlier, negative) = if a >= b { (a, b, false) } else { (b, a, true) };
    let parts = |us: i64| (civil_from_days(us.div_euclid(DAY_US)), us.rem_euclid(DAY_US));
    let ((y1, m1, d1), t1) = parts(later);
    let ((y2, m2, d2), t2) = parts(earlier);
    let (mut months, mut days, mut us) = ((y1 - y2) * 12 + m1 - m2, d1 - d2, t1 - t2);
    if us < 0 {
        us += DAY_US;
        days -= 1;
    }
    if days < 0 {
        // The month that is borrowed is the earlier one.
        days += datetime::days_in_month(y2, m2);
        months -= 1;
    }
    let span = Interval { months: months as i32, days: days as i32, us };
    Ok(stored(if negative { span.negate() } else { span }))
}

/// A date so many days later, or earlier with -1 behind. No day is later than the end of time.
fn date_add(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (date, days) = (integer(args[0])?, integer(args[1])?);
    if matches!(date, DATE_INFINITY | DATE_MINUS_INFINITY) {
        return Ok(Value::Integer(date));
    }
    // From 4714-11-24 BC to 5874897-12-31.
    let moved = days.checked_mul(integer(args[2])?).and_then(|days| date.checked_add(days));
    match moved.filter(|date| (-2_451_545..=2_145_031_948).contains(date)) {
        Some(date) => Ok(Value::Integer(date)),
        None => Err(SqlError::new("22008", "date out of range")),
    }
}

fn date_diff(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (a, b) = (integer(args[0])?, integer(args[1])?);
    if [a, b].iter().any(|date| matches!(*date, DATE_INFINITY | DATE_MINUS_INFINITY)) {
        return Err(SqlError::new("22008", "cannot subtract infinite dates"));
    }
    Ok(Value::Integer(a - b))
}

fn make_date(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (year, month, day) = (integer(args[0])?, integer(args[1])?, integer(args[2])?);
    if !(1..=12).contains(&month) || day < 1 || year == 0 || day > datetime::days_in_month(year, month) {
        return Err(SqlError::new("22008", format!("date field value out of range: {year}-{month:02}-{day:02}")));
    }
    Ok(Value::Integer(days_from_civil(if year < 0 { year + 1 } else { year }, month, day)))
}

fn justify(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (mut span, how) = (interval(args[0])?, integer(args[1])?);
    let out_of_range = || SqlError::new("22008", "interval out of range");
    if how & 2 != 0 {
        let days = i64::from(span.days) + span.us / DAY_US;
        span.us %= DAY_US;
        span.days = i32::try_from(days).map_err(|_| out_of_range())?;
    }
    if how & 1 != 0 {
        span.months = span.months.checked_add(span.days / 30).ok_or_else(out_of_range)?;
        span.days %= 30;
    }
    // All parts get one sign, that of the greater.
    if how == 3 && span.months != 0 {
        let rest = (i64::from(span.days), span.us);
        if span.months > 0 && (rest.0 < 0 || rest.0 == 0 && rest.1 < 0) {
            (span.months, span.days) = (span.months - 1, span.days + 30);
        } else if span.months < 0 && (rest.0 > 0 || rest.0 == 0 && rest.1 > 0) {
            (span.months, span.days) = (span.months + 1, span.days - 30);
        }
    }
    if how & 2 != 0 {
        if span.days > 0 && span.us < 0 {
            (span.days, span.us) = (span.days - 1, span.us + DAY_US);
        } else if span.days < 0 && span.us > 0 {
            (span.days, span.us) = (span.days + 1, span.us - DAY_US);
        }
    }
    if how == 1 {
        if span.months > 0 && span.days < 0 {
            (span.months, span.days) = (span.months - 1, span.days + 30);
        } else if span.months < 0 && span.days > 0 {
            (span.months, span.days) = (span.months + 1, span.days - 30);
        }
    }
    Ok(stored(span))
}

fn to_timestamp(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let seconds = real(args[0])?;
    if seconds.is_infinite() {
        return Ok(Value::Integer(if seconds > 0.0 { TIMESTAMP_INFINITY } else { i64::MIN }));
    }
    let us = libm::rint(seconds * 1e6);
    if us.abs() > 9e18 {
        return Err(SqlError::new("22008", "timestamp out of range"));
    }
    Ok(Value::Integer(us as i64 - EPOCH_DAYS * DAY_US))
}

/// The zone that AT TIME ZONE names. `+03` is west of Greenwich there, in the POSIX sense; names are not.
pub(in crate::dialect) fn zone_named(name: &str) -> Result<Zone> {
    let zone = TimeZone::parse(name).map_err(|_| datetime::unknown_zone(name))?.zone;
    Ok(match zone {
        Zone::Fixed(offset_s) if name.trim_start().starts_with(['+', '-']) => Zone::Fixed(-offset_s),
        zone => zone,
    })
}

/// `evesql_at_time_zone(moment, zone, 1)`: what the zone's clocks show; with -1, when they show it.
fn at_time_zone(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (us, zone) = (integer(args[0])?, zone_named(string(args[1])?)?);
    Ok(Value::Integer(if integer(args[2])? < 0 { zone.utc_us(us) } else { zone.local_us(us) }))
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_timestamp_add", 4, timestamp_add),
    pure("evesql_timestamp_diff", 2, timestamp_diff),
    pure("evesql_time_add", 3, time_add),
    pure("evesql_time_fit", 2, time_fit),
    pure("evesql_interval_add", 2, |args| interval_pair(args, false)),
    pure("evesql_interval_sub", 2, |args| interval_pair(args, true)),
    pure("evesql_interval_mul", 2, |args| interval_scale(args, false)),
    pure("evesql_interval_div", 2, |args| interval_scale(args, true)),
    pure("evesql_interval_key", 1, interval_key),
    pure("evesql_interval_fit", 2, |args| {
        if strict(args) { Ok(Value::Null) } else { Ok(stored(interval(args[0])?.fit(integer(args[1])? as i32))) }
    }),
    pure("evesql_extract", 4, extract),
    pure("evesql_date_part", 4, date_part),
    pure("evesql_date_trunc", 4, date_trunc),
    pure("evesql_age", 2, age),
    pure("evesql_date_add", 3, date_add),
    pure("evesql_date_diff", 2, date_diff),
    pure("evesql_make_date", 3, make_date),
    pure("evesql_justify", 2, justify),
    pure("evesql_to_timestamp", 1, to_timestamp),
    pure("evesql_isfinite", 1, |args| {
        if strict(args) { Ok(Value::Null) } else { Ok(Value::Integer(i64::from(!infinite(integer(args[0])?)))) }
    }),
    pure("evesql_at_time_zone", 3, at_time_zone),
];
