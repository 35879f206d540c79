//! to_char, to_date and to_timestamp: the pictures that applications use most. What a picture holds
//! beyond them is refused, never printed wrongly.

use super::{Arguments, Result, ScalarFunction, bytes, integer, pure, real, strict, string, text};
use crate::dialect::datetime::{
    DATE_INFINITY, DATE_MINUS_INFINITY, DAY_US, Interval, TIMESTAMP_INFINITY, civil_from_days, days_from_civil,
    days_in_month,
};
use crate::dialect::numeric::Numeric;
use crate::dialect::types::PgType;
use crate::dialect::zone::Zone;
use crate::transaction::{SqlError, Value, ValueRef};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Longest first, so that `MM` is not read as two `M`.
const FIELDS: &[&str] = &[
    "YYYY", "HH24", "HH12", "Month", "MONTH", "month", "SSSS", "IYYY", "DDD", "Day", "DAY", "day", "Mon", "MON", "mon",
    "YYY", "Dy", "DY", "dy", "MI", "MM", "MS", "US", "SS", "DD", "HH", "YY", "AM", "PM", "am", "pm", "TZ", "tz", "OF",
    "IW", "WW", "CC", "ID", "Q", "D", "Y", "J",
];

fn unsupported(picture: &str) -> SqlError {
    SqlError::new("0A000", format!("the format \"{picture}\" is not supported"))
}

/// A picture cut into fields and literal text; `FM` before a field means without padding.
fn cut(picture: &str) -> Vec<(String, bool, bool)> {
    let mut pieces = Vec::new();
    let mut rest = picture;
    let mut plain = false;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            plain = true;
            rest = after;
        } else if let Some(after) = rest.strip_prefix('"') {
            let (literal, tail) = after.split_once('"').unwrap_or((after, ""));
            pieces.push((literal.to_string(), false, false));
            rest = tail;
        } else if let Some(field) = FIELDS.iter().find(|field| {
            rest.starts_with(**field)
                || rest.get(..field.len()).is_some_and(|head| {
                    // Numeric fields may be in any case; names show in the case in which they are written.
                    head.eq_ignore_ascii_case(field)
                        && !matches!(
                            field.to_ascii_lowercase().as_str(),
                            "month" | "mon" | "day" | "dy" | "am" | "pm" | "tz"
                        )
                })
        }) {
            pieces.push(((*field).to_string(), true, plain));
            plain = false;
            rest = &rest[field.len()..];
        } else {
            let c = rest.chars().next().unwrap_or(' ');
            pieces.push((c.to_string(), false, false));
            rest = &rest[c.len_utf8()..];
        }
    }
    pieces
}

/// `zone` is whose clocks show a moment in UTC; without one it is shown as it is.
fn moment(picture: &str, moment_us: i64, zone: Option<Zone>) -> Result<String> {
    let us = zone.map_or(moment_us, |zone| zone.local_us(moment_us));
    let (days, time) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
    let (year, month, day) = civil_from_days(days);
    // Before Christ there is no year 0.
    let shown_year = if year > 0 { year } else { 1 - year };
    let (hour, minute, second) = (time / 3_600_000_000, time / 60_000_000 % 60, time / 1_000_000 % 60);
    let weekday = (days + 6).rem_euclid(7);
    let mut out = String::new();
    for (piece, is_field, plain) in cut(picture) {
        if !is_field {
            out += literal(picture, &piece)?;
            continue;
        }
        let number = |value: i64, width: usize| if plain { value.to_string() } else { format!("{value:0width$}") };
        let named = |name: &str| if plain { name.to_string() } else { format!("{name:<9}") };
        let half = |am: &str, pm: &str| if hour < 12 { am.to_string() } else { pm.to_string() };
        let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
        out += &match piece.as_str() {
            "YYYY" => number(shown_year, 4),
            "YYY" => number(shown_year % 1000, 3),
            "YY" => number(shown_year % 100, 2),
            "Y" => number(shown_year % 10, 1),
            "IYYY" => number(super::time::iso_week(days).0, 4),
            "IW" => number(super::time::iso_week(days).1, 2),
            "WW" => number((days - days_from_civil(year, 1, 1)) / 7 + 1, 2),
            "CC" => number((year + 99) / 100, 2),
            "Q" => number((month - 1) / 3 + 1, 1),
            "MM" => number(month, 2),
            "DD" => number(day, 2),
            "DDD" => number(days - days_from_civil(year, 1, 1) + 1, 3),
            "D" => number(weekday + 1, 1),
            "ID" => number(if weekday == 0 { 7 } else { weekday }, 1),
            "J" => number(days + 2_451_545, 1),
            "HH24" => number(hour, 2),
            "HH12" | "HH" => number(twelve, 2),
            "MI" => number(minute, 2),
            "SS" => number(second, 2),
            "SSSS" => number(time / 1_000_000, 1),
            "MS" => number(time / 1000 % 1000, 3),
            "US" => number(time % 1_000_000, 6),
            "AM" | "PM" => half("AM", "PM"),
            "am" | "pm" => half("am", "pm"),
            "Month" => named(MONTHS[month as usize - 1]),
            "MONTH" => named(&MONTHS[month as usize - 1].to_uppercase()),
            "month" => named(&MONTHS[month as usize - 1].to_lowercase()),
            "Mon" => MONTHS[month as usize - 1][..3].to_string(),
            "MON" => MONTHS[month as usize - 1][..3].to_uppercase(),
            "mon" => MONTHS[month as usize - 1][..3].to_lowercase(),
            "Day" => named(DAYS[weekday as usize]),
            "DAY" => named(&DAYS[weekday as usize].to_uppercase()),
            "day" => named(&DAYS[weekday as usize].to_lowercase()),
            "Dy" => DAYS[weekday as usize][..3].to_string(),
            "DY" => DAYS[weekday as usize][..3].to_uppercase(),
            "dy" => DAYS[weekday as usize][..3].to_lowercase(),
            "TZ" => zone.map_or(String::new(), |zone| zone.abbreviation(moment_us)),
            "tz" => zone.map_or(String::new(), |zone| zone.abbreviation(moment_us).to_lowercase()),
            "OF" => zone.map_or(String::new(), |zone| {
                let offset = zone.offset_s(moment_us);
                let minutes = offset.abs() / 60 % 60;
                let sign = if offset < 0 { '-' } else { '+' };
                let tail = if minutes == 0 { String::new() } else { format!(":{minutes:02}") };
                format!("{sign}{:02}{tail}", offset.abs() / 3600)
            }),
            _ => return Err(unsupported(picture)),
        };
    }
    Ok(out)
}

/// What is no field stands for itself. A letter alone would be one that is not known here.
fn literal<'p>(picture: &str, piece: &'p str) -> Result<&'p str> {
    match piece.chars().all(|c| c.is_ascii_alphabetic()) && piece.len() == 1 && !"TtZz".contains(piece) {
        true => Err(unsupported(picture)),
        false => Ok(piece),
    }
}

/// A span by a picture. Hours are not cut at a day; a part below zero has its sign before its digits.
fn span(picture: &str, span: &Interval) -> Result<String> {
    let (years, months, days) = (i64::from(span.months / 12), i64::from(span.months % 12), i64::from(span.days));
    let (hours, minutes, seconds) = (span.us / 3_600_000_000, span.us / 60_000_000 % 60, span.us / 1_000_000 % 60);
    let mut out = String::new();
    for (piece, is_field, plain) in cut(picture) {
        if !is_field {
            out += literal(picture, &piece)?;
            continue;
        }
        let number = |value: i64, width: usize| match plain {
            true => value.to_string(),
            false => format!("{value:0width$}"),
        };
        // The sign of years and of what a clock shows takes no digit's place.
        let signed = |value: i64, width: usize| number(value, width + usize::from(value < 0));
        let is_morning = hours % 24 < 12;
        let half = |am: &str, pm: &str| if is_morning { am.to_string() } else { pm.to_string() };
        out += &match piece.as_str() {
            "YYYY" => signed(years, 4),
            "YYY" => signed(years % 1000, 3),
            "YY" => signed(years % 100, 2),
            "Y" => number(years % 10, 1),
            "MM" => number(months, 2),
            "DD" => number(days, 2),
            "DDD" => number((years * 12 + months) * 30 + days, 3),
            "HH24" => signed(hours, 2),
            "HH12" | "HH" => signed(if hours % 12 == 0 { 12 } else { hours % 12 }, 2),
            "MI" => signed(minutes, 2),
            "SS" => signed(seconds, 2),
            "SSSS" => number(span.us / 1_000_000, 1),
            "MS" => number(span.us % 1_000_000 / 1000, 3),
            "US" => number(span.us % 1_000_000, 6),
            "AM" | "PM" => half("AM", "PM"),
            "am" | "pm" => half("am", "pm"),
            "IYYY" | "IW" | "WW" | "CC" | "Q" | "J" => return Err(unsupported(picture)),
            _ => {
                return Err(SqlError::new("22007", "invalid format specification for an interval value")
                    .with_hint("Intervals are not tied to specific calendar dates."));
            }
        };
    }
    Ok(out)
}

/// A number of 1 to 3999 in Roman digits, 15 wide unless the picture says `FM`; `None` if the picture is another.
fn roman(picture: &str, value: &Numeric) -> Option<String> {
    const DIGITS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let plain = picture.get(..2).is_some_and(|head| head.eq_ignore_ascii_case("fm"));
    let body = if plain { &picture[2..] } else { picture };
    if !body.eq_ignore_ascii_case("rn") {
        return None;
    }
    let mut rest = value.rescale(0, false).to_i64().unwrap_or(0);
    if !(1..=3999).contains(&rest) {
        return Some("#".repeat(15));
    }
    let mut out = String::new();
    for (worth, digit) in DIGITS {
        while rest >= worth {
            out += digit;
            rest -= worth;
        }
    }
    let out = if body.starts_with('r') { out.to_lowercase() } else { out };
    Some(if plain { out } else { format!("{out:>15}") })
}

/// Pictures of 9, 0, `,`, `.`, FM, S and MI, and of RN alone.
fn number(picture: &str, value: &Numeric) -> Result<String> {
    if let Some(shown) = roman(picture, value) {
        return Ok(shown);
    }
    let (plain, body) = picture.strip_prefix("FM").map_or((false, picture), |rest| (true, rest));
    let body = body.replace(['D', 'd'], ".").replace(['G', 'g'], ",");
    if !body.chars().all(|c| matches!(c, '9' | '0' | ',' | '.')) || body.matches('.').count() > 1 {
        return Err(unsupported(picture));
    }
    let (whole_picture, fraction_picture) = body.split_once('.').unwrap_or((&body, ""));
    let Numeric::Finite(_) = value else { return Err(unsupported(picture)) };
    let rounded = value.rescale(fraction_picture.len() as i32, false);
    let negative = rounded.sign() < 0;
    let shown = if negative { rounded.negate() } else { rounded }.to_string();
    let (whole, fraction) = shown.split_once('.').unwrap_or((&shown, ""));
    let places = whole_picture.chars().filter(|c| *c != ',').count();
    let digits = if whole == "0" && places > 0 { "" } else { whole };
    if digits.len() > places {
        let hashes = |p: &str| p.chars().map(|c| if c == ',' { ',' } else { '#' }).collect::<String>();
        let tail = if body.contains('.') { format!(".{}", hashes(fraction_picture)) } else { String::new() };
        return Ok(format!("{}{}{tail}", if negative { "-" } else { " " }, hashes(whole_picture)));
    }
    let mut source = format!("{digits:>places$}").chars().collect::<Vec<_>>().into_iter();
    let mut zeros = false;
    let mut started = false;
    let last_place = places.saturating_sub(1);
    let mut place = 0;
    let mut out = String::new();
    for c in whole_picture.chars() {
        if c == ',' {
            out.push(if started { ',' } else { ' ' });
            continue;
        }
        zeros |= c == '0';
        let digit = source.next().unwrap_or(' ');
        // A lone zero shows where no fraction follows it.
        let lone = place == last_place && digits.is_empty() && fraction_picture.is_empty();
        out.push(match digit {
            ' ' if zeros || lone => {
                started = true;
                '0'
            }
            ' ' => ' ',
            digit => {
                started = true;
                digit
            }
        });
        place += 1;
    }
    let at = out.find(|c| c != ' ').unwrap_or(out.len());
    let sign = if negative {
        "-"
    } else if plain {
        ""
    } else {
        " "
    };
    let mut shown = if plain { format!("{sign}{}", &out[at..]) } else { format!("{}{sign}{}", &out[..at], &out[at..]) };
    if body.contains('.') {
        let mut tail = fraction.to_string();
        if plain {
            let keep = fraction_picture.rfind('0').map_or(0, |at| at + 1);
            while tail.len() > keep && tail.ends_with('0') {
                tail.pop();
            }
        }
        shown += &format!(".{tail}");
    }
    Ok(shown)
}

fn to_char(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (picture, ty, zone) = (string(args[1])?, PgType(integer(args[2])? as u32), Zone::read(args[3])?);
    let is_endless = match (ty, args[0]) {
        (PgType::DATE, ValueRef::Integer(days)) => matches!(days, DATE_INFINITY | DATE_MINUS_INFINITY),
        (PgType::TIMESTAMP | PgType::TIMESTAMPTZ, ValueRef::Integer(us)) => matches!(us, TIMESTAMP_INFINITY | i64::MIN),
        _ => false,
    };
    if is_endless {
        return Ok(Value::Null);
    }
    Ok(text(match (ty, args[0]) {
        (PgType::DATE, days) => moment(picture, integer(days)?.saturating_mul(DAY_US), None)?,
        (PgType::TIMESTAMP, us) => moment(picture, integer(us)?, None)?,
        (PgType::TIMESTAMPTZ, us) => moment(picture, integer(us)?, Some(zone))?,
        (PgType::INTERVAL, value) => span(picture, &Interval::decode(bytes(value)?)?)?,
        (PgType::NUMERIC, value) => number(picture, &Numeric::decode(bytes(value)?)?)?,
        (ty, value) if ty.is_float() => number(picture, &Numeric::from_f64(real(value)?, 15)?)?,
        (_, ValueRef::Integer(value)) => number(picture, &Numeric::from(value))?,
        _ => return Err(unsupported(picture)),
    }))
}

/// Reads a moment by a picture: microseconds of the clock on the wall.
fn read(value: &str, picture: &str) -> Result<i64> {
    let bad = |piece: &str| SqlError::new("22007", format!("invalid value \"{value}\" for \"{piece}\""));
    let (mut year, mut month, mut day, mut hour, mut minute, mut second, mut us) = (1i64, 1, 1, 0, 0, 0, 0);
    let (mut pm, mut twelve) = (None, false);
    let mut rest = value.trim_start();
    for (piece, is_field, _) in cut(picture) {
        if !is_field {
            rest = rest.strip_prefix(&piece).unwrap_or_else(|| {
                // Any separator stands for any other.
                rest.strip_prefix(|c: char| !c.is_alphanumeric()).unwrap_or(rest)
            });
            continue;
        }
        rest = rest.trim_start();
        let mut take = |width: usize| -> Result<i64> {
            let end = rest.bytes().take(width).take_while(u8::is_ascii_digit).count();
            let (digits, tail) = rest.split_at(end);
            rest = tail;
            digits.parse().map_err(|_| bad(&piece))
        };
        match piece.as_str() {
            "YYYY" => year = take(4)?,
            "YY" => {
                let short = take(2)?;
                year = if short < 70 { 2000 + short } else { 1900 + short };
            }
            "MM" => month = take(2)?,
            "DD" => day = take(2)?,
            "HH24" => hour = take(2)?,
            "HH12" | "HH" => {
                hour = take(2)?;
                twelve = true;
            }
            "MI" => minute = take(2)?,
            "SS" => second = take(2)?,
            "MS" => us = take(3)? * 1000,
            "US" => us = take(6)?,
            "AM" | "PM" | "am" | "pm" => {
                pm = Some(rest.get(..2).is_some_and(|half| half.eq_ignore_ascii_case("pm")));
                rest = rest.get(2..).unwrap_or("");
            }
            "Mon" | "MON" | "mon" | "Month" | "MONTH" | "month" => {
                let long = piece.len() > 3;
                let found = MONTHS.iter().position(|name| {
                    let name = if long { name } else { &name[..3] };
                    rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name))
                });
                let at = found.ok_or_else(|| bad(&piece))?;
                month = at as i64 + 1;
                rest = &rest[if long { MONTHS[at].len() } else { 3 }..];
            }
            _ => return Err(unsupported(picture)),
        }
    }
    if twelve {
        hour = hour % 12 + if pm == Some(true) { 12 } else { 0 };
    }
    let fits = (1..=12).contains(&month)
        && day >= 1
        && day <= days_in_month(year, month)
        && hour < 24
        && minute < 60
        && second < 60;
    if !fits {
        return Err(SqlError::new("22008", format!("date/time field value out of range: \"{value}\"")));
    }
    Ok(days_from_civil(year, month, day) * DAY_US + ((hour * 60 + minute) * 60 + second) * 1_000_000 + us)
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_to_char", 4, to_char),
    pure("evesql_to_date", 3, |args| {
        if strict(args) {
            return Ok(Value::Null);
        }
        Ok(Value::Integer(read(string(args[0])?, string(args[1])?)?.div_euclid(DAY_US)))
    }),
    pure("evesql_to_timestamp", 3, |args| {
        if strict(args) {
            return Ok(Value::Null);
        }
        Ok(Value::Integer(Zone::read(args[2])?.utc_us(read(string(args[0])?, string(args[1])?)?)))
    }),
    pure("evesql_to_number", 2, |args| {
        if strict(args) {
            return Ok(Value::Null);
        }
        let kept: String = string(args[0])?.chars().filter(|c| c.is_ascii_digit() || matches!(c, '.' | '-')).collect();
        Ok(Value::Blob(Numeric::parse(&kept)?.encode().into()))
    }),
];
