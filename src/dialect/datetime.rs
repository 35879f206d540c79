//! Dates, times and intervals: calendar arithmetic, reading and printing in ISO style.
//!
//! Moments are counted from 2000-01-01: dates in days, timestamps in microseconds, as Postgres' binary
//! format does.

use super::types::{INTERVAL_ALL_DIGITS, INTERVAL_FIELDS};
use super::zone::Zone;
use crate::transaction::SqlError;

/// Microseconds of a day.
pub const DAY_US: i64 = 86_400_000_000;
/// Days from 1970-01-01 to 2000-01-01.
pub const EPOCH_DAYS: i64 = 10_957;
/// Stored for `infinity`; `-infinity` is the most negative number of the type.
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
/// Stored for the date `infinity`.
pub const DATE_INFINITY: i64 = i32::MAX as i64;
/// Stored for the date `-infinity`.
pub const DATE_MINUS_INFINITY: i64 = i32::MIN as i64;

/// Days since 2000-01-01 of a day in the proleptic Gregorian calendar (Howard Hinnant, days_from_civil).
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468 - EPOCH_DAYS
}

/// Year, month and day of a number of days since 2000-01-01.
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + EPOCH_DAYS + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// Days in a month.
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn wrong(kind: &str, text: &str) -> SqlError {
    SqlError::new("22007", format!("invalid input syntax for type {kind}: \"{text}\""))
}

fn out_of_range(text: &str) -> SqlError {
    SqlError::new("22008", format!("date/time field value out of range: \"{text}\""))
}

/// A session's time zone under its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TimeZone {
    /// As SHOW TimeZone prints it.
    pub name: String,
    /// What it is.
    pub zone: Zone,
}

impl Default for TimeZone {
    fn default() -> Self {
        TimeZone { name: "UTC".into(), zone: Zone::UTC }
    }
}

impl TimeZone {
    /// UTC under its names, a fixed offset such as `+02` or `-03:30` (also as it is shown, `<+02>-02`), or a place of the
    /// IANA database.
    ///
    /// # Errors
    /// 22023 for what is no zone.
    pub fn parse(text: &str) -> Result<TimeZone, SqlError> {
        let lower = text.trim().to_ascii_lowercase();
        if matches!(
            lower.as_str(),
            "utc"
                | "gmt"
                | "etc/utc"
                | "etc/gmt"
                | "z"
                | "zulu"
                | "uct"
                | "etc/uct"
                | "default"
                | "greenwich"
                | "universal"
                | "utc0"
                | "gmt0"
        ) {
            let name = match lower.as_str() {
                "etc/utc" => "Etc/UTC",
                "gmt" => "GMT",
                _ => "UTC",
            };
            return Ok(TimeZone { name: name.into(), zone: Zone::UTC });
        }
        let shown = lower.strip_prefix('<').and_then(|rest| rest.split_once('>')).map(|(offset, _)| offset);
        if let Some(offset_s) = parse_offset(shown.unwrap_or(&lower)) {
            let name = format!("<{0}>{1}", offset_text(offset_s), offset_text(-offset_s));
            return Ok(TimeZone { name: if offset_s == 0 { "UTC".into() } else { name }, zone: Zone::Fixed(offset_s) });
        }
        if let Some(zone) = Zone::of_place(&lower) {
            return Ok(TimeZone { name: zone.name().unwrap_or(text).into(), zone });
        }
        Err(SqlError::new("22023", format!("invalid value for parameter \"TimeZone\": \"{text}\"")))
    }
}

/// What is said of a zone that a text names and nobody knows.
pub fn unknown_zone(name: &str) -> SqlError {
    SqlError::new("22023", format!("time zone \"{name}\" not recognized"))
}

/// Seconds of `+hh`, `+hh:mm`, `+hhmm`, `+hh:mm:ss`.
fn parse_offset(text: &str) -> Option<i32> {
    let negative = match text.as_bytes().first()? {
        b'+' => false,
        b'-' => true,
        b'0'..=b'9' => false,
        _ => return None,
    };
    let body = text.trim_start_matches(['+', '-']);
    let fields: Vec<&str> = match body.contains(':') {
        true => body.split(':').collect(),
        false if body.len() == 4 => vec![&body[..2], &body[2..]],
        false => vec![body],
    };
    if fields.len() > 3 || fields.iter().any(|f| f.is_empty() || f.len() > 2 || !f.bytes().all(|b| b.is_ascii_digit()))
    {
        return None;
    }
    let parts: Vec<i32> = fields.iter().map(|f| f.parse().unwrap_or(0)).collect();
    let seconds = parts.iter().zip([3600, 60, 1]).map(|(part, unit)| part * unit).sum::<i32>();
    if seconds > 16 * 3600 || parts.iter().skip(1).any(|p| *p > 59) {
        return None;
    }
    Some(if negative { -seconds } else { seconds })
}

fn offset_text(offset_s: i32) -> String {
    let (sign, all) = (if offset_s < 0 { '-' } else { '+' }, offset_s.abs());
    let mut text = format!("{sign}{:02}", all / 3600);
    if all % 3600 != 0 {
        text += &format!(":{:02}", all / 60 % 60);
    }
    if all % 60 != 0 {
        text += &format!(":{:02}", all % 60);
    }
    text
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// A date and time of day as written, with the zone if one was given.
struct Written {
    days: i64,
    time_us: i64,
    zone: Option<Zone>,
    infinite: i32,
    has_date: bool,
    has_time: bool,
}

/// Reads ISO dates (`2020-01-31`, `20200131`, `1/31/2020`, `Jan 31 2020`), times and zones in one string.
fn parse_moment(kind: &str, text: &str) -> Result<Written, SqlError> {
    let bad = || wrong(kind, text);
    let mut lower = text.trim().to_ascii_lowercase();
    let mut written = Written { days: 0, time_us: 0, zone: None, infinite: 0, has_date: false, has_time: false };
    match lower.as_str() {
        "infinity" | "+infinity" => return Ok(Written { infinite: 1, has_date: true, ..written }),
        "-infinity" => return Ok(Written { infinite: -1, has_date: true, ..written }),
        "epoch" => return Ok(Written { days: -EPOCH_DAYS, zone: Some(Zone::UTC), has_date: true, ..written }),
        "now" | "today" | "tomorrow" | "yesterday" => {
            return Err(SqlError::new("0A000", format!("date/time input \"{text}\" is not supported"))
                .with_hint("Use now() or CURRENT_DATE."));
        }
        _ => {}
    }
    let mut before_christ = false;
    if let Some(rest) = lower.strip_suffix(" bc") {
        before_christ = true;
        lower = rest.trim_end().to_string();
    } else if let Some(rest) = lower.strip_suffix(" ad") {
        lower = rest.trim_end().to_string();
    }
    // `2020-01-31T10:00` separates as a blank does.
    if let Some(at) = lower.find('t').filter(|at| {
        *at > 0
            && lower.as_bytes()[at - 1].is_ascii_digit()
            && lower.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit)
    }) {
        lower.replace_range(at..=at, " ");
    }
    let (mut year_month_day, mut month_name, mut numbers) = (None, None, Vec::new());
    let mut afternoon = None;
    for word in lower.split([' ', ',']).filter(|w| !w.is_empty()) {
        if let Some(month) = MONTHS
            .iter()
            .position(|m| word.len() >= 3 && word.bytes().all(|b| b.is_ascii_alphabetic()) && word.starts_with(m))
        {
            month_name = Some(month as i64 + 1);
        } else if word.contains(':') && word.as_bytes()[0].is_ascii_digit() {
            let zone_at = word[1..].find(['+', '-', 'z']).map(|at| at + 1);
            let (clock, zone) = word.split_at(zone_at.unwrap_or(word.len()));
            let (clock, suffix) = match clock.strip_suffix("am") {
                Some(rest) => (rest, Some(false)),
                None => clock.strip_suffix("pm").map_or((clock, None), |rest| (rest, Some(true))),
            };
            afternoon = suffix.or(afternoon);
            written.time_us = parse_clock(clock).ok_or_else(bad)?.ok_or_else(|| out_of_range(text))?;
            written.has_time = true;
            if !zone.is_empty() {
                let offset_s = if zone == "z" { 0 } else { parse_offset(zone).ok_or_else(bad)? };
                written.zone = Some(Zone::Fixed(offset_s));
            }
        } else if matches!(word, "am" | "pm") {
            afternoon = Some(word == "pm");
        } else if written.has_time && word.starts_with(['+', '-']) {
            written.zone = Some(Zone::Fixed(parse_offset(word).ok_or_else(bad)?));
        } else if written.has_time && word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            written.zone = Some(TimeZone::parse(word).map_err(|_| unknown_zone(word))?.zone);
        } else if matches!(word, "z" | "utc" | "gmt") {
            written.zone = Some(Zone::UTC);
        } else if word.bytes().all(|b| b.is_ascii_digit()) && matches!(word.len(), 6 | 8) && month_name.is_none() {
            let split = word.len() - 4;
            let year: i64 = word[..split].parse().map_err(|_| bad())?;
            let year = if split == 2 { if year < 70 { 2000 + year } else { 1900 + year } } else { year };
            year_month_day = Some((
                year,
                word[split..split + 2].parse().map_err(|_| bad())?,
                word[split + 2..].parse().map_err(|_| bad())?,
            ));
        } else if word.contains(['-', '/', '.']) && word.as_bytes()[0].is_ascii_digit() {
            let parts: Vec<&str> = word.split(['-', '/', '.']).collect();
            let [a, b, c] = parts[..] else { return Err(bad()) };
            let month_in_middle = MONTHS.iter().position(|m| b.starts_with(m)).map(|m| m as i64 + 1);
            let number = |s: &str| s.parse::<i64>().map_err(|_| bad());
            year_month_day = Some(match month_in_middle {
                Some(month) => (number(c)?, month, number(a)?),
                None if a.len() > 2 => (number(a)?, number(b)?, number(c)?),
                None => (number(c)?, number(a)?, number(b)?),
            });
        } else if word.bytes().all(|b| b.is_ascii_digit()) && word.len() <= 5 {
            numbers.push(word.parse::<i64>().map_err(|_| bad())?);
        } else if !["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().any(|d| word.starts_with(d)) {
            return Err(bad());
        }
    }
    if let (Some(month), [a, b]) = (month_name, &numbers[..]) {
        year_month_day = Some(if *a > 31 { (*a, month, *b) } else { (*b, month, *a) });
    } else if !numbers.is_empty() || month_name.is_some() {
        return Err(bad());
    }
    if let Some(pm) = afternoon {
        let hour = written.time_us / 3_600_000_000;
        if !(1..=12).contains(&hour) {
            return Err(out_of_range(text));
        }
        written.time_us += 3_600_000_000 * (if pm { 12 } else { 0 } - if hour == 12 { 12 } else { 0 });
    }
    if let Some((year, month, day)) = year_month_day {
        let year = if before_christ { 1 - year } else { year };
        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) || (!before_christ && year == 0) {
            return Err(out_of_range(text));
        }
        if !(-4713..=294_276).contains(&year) && kind != "date" || !(-4713..=5_874_897).contains(&year) {
            return Err(SqlError::new("22008", format!("{kind} out of range: \"{text}\"")));
        }
        written.days = days_from_civil(year, month, day);
        written.has_date = true;
    } else if !written.has_time {
        return Err(bad());
    }
    Ok(written)
}

/// Microseconds of `hh:mm[:ss[.ffffff]]`: `None` is no clock, `Some(None)` one out of range.
fn parse_clock(text: &str) -> Option<Option<i64>> {
    let fields: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&fields.len()) {
        return None;
    }
    let number = |s: &str| {
        (!s.is_empty() && s.len() <= 2 && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse::<i64>().unwrap_or(99))
    };
    let (hours, minutes) = (number(fields[0])?, number(fields[1])?);
    let (seconds, fraction_us) = match fields.get(2) {
        None => (0, 0),
        Some(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            (number(whole)?, fraction_us(fraction)?)
        }
    };
    let us = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction_us;
    Some((minutes < 60 && seconds <= 60 && us <= DAY_US).then_some(us))
}

/// Digits after the point as microseconds, rounded.
fn fraction_us(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let padded = format!("{digits:0<7}");
    let micros: i64 = padded[..6].parse().ok()?;
    Some(micros + i64::from(padded.as_bytes()[6] >= b'5'))
}

/// Days since 2000-01-01.
pub fn parse_date(text: &str) -> Result<i64, SqlError> {
    let written = parse_moment("date", text)?;
    match written.infinite {
        1 => Ok(DATE_INFINITY),
        -1 => Ok(DATE_MINUS_INFINITY),
        _ if !written.has_date => Err(wrong("date", text)),
        _ => Ok(written.days),
    }
}

/// Microseconds since 2000-01-01 without zone; a zone in the text is read and ignored.
pub fn parse_timestamp(text: &str) -> Result<i64, SqlError> {
    let written = parse_moment("timestamp", text)?;
    join(&written, text, Zone::UTC)
}

/// Microseconds since 2000-01-01 UTC; without a zone in the text, `zone`'s clock is meant.
pub fn parse_timestamptz(text: &str, zone: Zone) -> Result<i64, SqlError> {
    let written = parse_moment("timestamp with time zone", text)?;
    join(&written, text, written.zone.unwrap_or(zone))
}

fn join(written: &Written, text: &str, zone: Zone) -> Result<i64, SqlError> {
    match written.infinite {
        1 => return Ok(TIMESTAMP_INFINITY),
        -1 => return Ok(i64::MIN),
        _ if !written.has_date => return Err(wrong("timestamp", text)),
        _ => {}
    }
    Ok(zone.utc_us(written.days * DAY_US + written.time_us))
}

/// Microseconds since midnight.
pub fn parse_time(text: &str) -> Result<i64, SqlError> {
    let written = parse_moment("time", text)?;
    if written.has_time { Ok(written.time_us) } else { Err(wrong("time", text)) }
}

/// `2020-01-31`
pub fn date_text(days: i64) -> String {
    match days {
        DATE_INFINITY => return "infinity".into(),
        DATE_MINUS_INFINITY => return "-infinity".into(),
        _ => {}
    }
    let (year, month, day) = civil_from_days(days);
    if year > 0 { format!("{year:04}-{month:02}-{day:02}") } else { format!("{:04}-{month:02}-{day:02} BC", 1 - year) }
}

/// `10:20:30.5`
pub fn time_text(us: i64) -> String {
    let (seconds, fraction) = (us / 1_000_000, us % 1_000_000);
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        text += format!(".{fraction:06}").trim_end_matches('0');
    }
    text
}

/// `2020-01-31 10:20:30.5`
pub fn timestamp_text(us: i64) -> String {
    moment_text(us, None)
}

/// `2020-01-31 10:20:30.5+00`
pub fn timestamptz_text(us: i64, zone: Zone) -> String {
    moment_text(us, Some(zone.offset_s(us)))
}

fn moment_text(us: i64, zone_offset_s: Option<i32>) -> String {
    match us {
        TIMESTAMP_INFINITY => return "infinity".into(),
        i64::MIN => return "-infinity".into(),
        _ => {}
    }
    let local = us.saturating_add(i64::from(zone_offset_s.unwrap_or(0)) * 1_000_000);
    let date = date_text(local.div_euclid(DAY_US));
    let (date, era) = date.strip_suffix(" BC").map_or((date.as_str(), ""), |date| (date, " BC"));
    let zone = zone_offset_s.map_or(String::new(), offset_text);
    format!("{date} {}{zone}{era}", time_text(local.rem_euclid(DAY_US)))
}

/// A span of time: months, days and microseconds are kept apart, because months and days differ in length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Interval {
    /// Whole months.
    pub months: i32,
    /// Whole days.
    pub days: i32,
    /// Microseconds.
    pub us: i64,
}

impl Interval {
    /// Length with months of 30 days and days of 24 hours: the order of intervals.
    pub fn length_us(&self) -> i128 {
        (i128::from(self.months) * 30 + i128::from(self.days)) * i128::from(DAY_US) + i128::from(self.us)
    }
    /// Bytes that sort as the intervals do: the length, then the three parts.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = ((self.length_us() as u128) ^ (1 << 127)).to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.months.to_be_bytes());
        bytes.extend_from_slice(&self.days.to_be_bytes());
        bytes.extend_from_slice(&self.us.to_be_bytes());
        bytes
    }
    /// Reads what [`Interval::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Interval, SqlError> {
        let damaged = || SqlError::new("XX001", "stored interval value is damaged");
        let parts: &[u8; 16] = bytes.get(16..).and_then(|b| b.try_into().ok()).ok_or_else(damaged)?;
        let word = |at: usize| i32::from_be_bytes([parts[at], parts[at + 1], parts[at + 2], parts[at + 3]]);
        let mut us = [0u8; 8];
        us.copy_from_slice(&parts[8..]);
        Ok(Interval { months: word(0), days: word(4), us: i64::from_be_bytes(us) })
    }
    /// Each part with the other sign.
    pub fn negate(&self) -> Interval {
        Interval { months: self.months.wrapping_neg(), days: self.days.wrapping_neg(), us: self.us.wrapping_neg() }
    }
    /// Part by part.
    pub fn add(&self, other: &Interval) -> Result<Interval, SqlError> {
        let sum = || -> Option<Interval> {
            Some(Interval {
                months: self.months.checked_add(other.months)?,
                days: self.days.checked_add(other.days)?,
                us: self.us.checked_add(other.us)?,
            })
        };
        sum().ok_or_else(|| SqlError::new("22008", "interval out of range"))
    }
    /// Times a factor; fractions of months go down to days, of days to time.
    pub fn multiply(&self, factor: f64) -> Result<Interval, SqlError> {
        self.scaled(|part| part * factor)
    }
    /// Divided, as [`Interval::multiply`] multiplies.
    pub fn divide(&self, divisor: f64) -> Result<Interval, SqlError> {
        self.scaled(|part| part / divisor)
    }
    fn scaled(&self, scale: impl Fn(f64) -> f64) -> Result<Interval, SqlError> {
        let range = || SqlError::new("22008", "interval out of range");
        let months = scale(f64::from(self.months));
        let days = scale(f64::from(self.days));
        let (whole_months, whole_days) = (libm::trunc(months), libm::trunc(days));
        let month_days = libm::rint((months - whole_months) * 30.0 * 1e6) / 1e6;
        let spill_days = libm::trunc(month_days);
        let spill_s = libm::rint((days - whole_days + (month_days - spill_days)) * 86_400.0 * 1e6) / 1e6;
        // Rounding may have made a whole day of it.
        let more_days = libm::trunc(spill_s / 86_400.0);
        let us = libm::rint(scale(self.us as f64) + (spill_s - more_days * 86_400.0) * 1e6);
        let all_days = whole_days + more_days + spill_days;
        if !(whole_months.abs() <= f64::from(i32::MAX) && all_days.abs() <= f64::from(i32::MAX) && us.abs() < 9.2e18) {
            return Err(range());
        }
        Ok(Interval { months: whole_months as i32, days: all_days as i32, us: us as i64 })
    }
    /// Reads `1 day 02:03:04`, `1 year 2 mons -3 days`, `P1DT2H`.
    pub fn parse(text: &str) -> Result<Interval, SqlError> {
        parse_interval(text, "second").ok_or_else(|| wrong("interval", text))
    }
    /// Reads the text of `INTERVAL '..' first TO last`: a number alone counts `last`, two parts of a clock are minutes and
    /// seconds if those are the fields.
    pub fn parse_fields(text: &str, first: &str, last: &str) -> Result<Interval, SqlError> {
        let clock = text.trim().trim_start_matches(['+', '-']);
        let is_short = first == "minute" && clock.matches(':').count() == 1 && !clock.contains(' ');
        let longer = match (is_short, text.trim().strip_prefix('-')) {
            (false, _) => text.to_string(),
            (true, Some(_)) => format!("-00:{clock}"),
            (true, None) => format!("00:{clock}"),
        };
        parse_interval(&longer, last).ok_or_else(|| wrong("interval", text))
    }
    /// Without what is smaller than the last field of a type modifier, and with its digits of seconds.
    pub fn fit(mut self, typmod: i32) -> Interval {
        let (bits, digits) = (typmod >> 16, typmod & 0xffff);
        match INTERVAL_FIELDS.iter().rev().find(|(_, bit)| bits & bit != 0).map_or("", |(field, _)| *field) {
            "year" => self = Interval { months: self.months / 12 * 12, ..Interval::default() },
            "month" => self = Interval { months: self.months, ..Interval::default() },
            "day" => self.us = 0,
            "hour" => self.us -= self.us % 3_600_000_000,
            "minute" => self.us -= self.us % 60_000_000,
            _ => {}
        }
        if digits != INTERVAL_ALL_DIGITS {
            // Half a unit rounds away from zero.
            let unit = 10i64.pow(6 - digits.clamp(0, 6) as u32);
            let us = self.us.saturating_add(self.us.signum() * (unit / 2));
            self.us = us - us % unit;
        }
        self
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        let mut negative_before = false;
        let mut push = |count: i64, name: &str| {
            if count != 0 {
                let plus = if negative_before && count > 0 { "+" } else { "" };
                negative_before = count < 0;
                parts.push(format!("{plus}{count} {name}{}", if count == 1 { "" } else { "s" }));
            }
        };
        push(i64::from(self.months / 12), "year");
        push(i64::from(self.months % 12), "mon");
        push(i64::from(self.days), "day");
        if self.us != 0 || parts.is_empty() {
            let sign = match (self.us < 0, negative_before) {
                (true, _) => "-",
                (false, true) => "+",
                _ => "",
            };
            let total = self.us.unsigned_abs() as i64;
            parts.push(format!("{sign}{}", time_text(total)));
        }
        f.write_str(&parts.join(" "))
    }
}

/// `unit` is what a number counts that has none behind it.
fn parse_interval(text: &str, unit: &str) -> Option<Interval> {
    let lower = text.trim().to_ascii_lowercase();
    if let Some(iso) = lower.strip_prefix('p') {
        return parse_iso_interval(iso);
    }
    let mut words: Vec<String> = Vec::new();
    for word in lower.split_whitespace().filter(|w| *w != "@") {
        // `1day` is two words; `02:03` and `-3` stay one.
        match word.find(|c: char| c.is_ascii_alphabetic()).filter(|at| *at > 0 && !word.contains(':')) {
            Some(at) => words.extend([word[..at].to_string(), word[at..].to_string()]),
            None => words.push(word.to_string()),
        }
    }
    let mut backwards = false;
    if words.last().is_some_and(|w| w == "ago") {
        words.pop();
        backwards = true;
    }
    let mut interval = Interval::default();
    let mut at = 0;
    if words.is_empty() {
        return None;
    }
    while at < words.len() {
        let word = &words[at];
        if word.contains(':') {
            let (negative, clock) = (word.starts_with('-'), word.trim_start_matches(['+', '-']));
            let us = interval_clock(clock)?;
            interval.us = interval.us.checked_add(if negative { -us } else { us })?;
            at += 1;
            continue;
        }
        // `1-2`: years and months, as the SQL standard writes them.
        if let Some((years, months)) = word.trim_start_matches(['+', '-']).split_once('-') {
            let (years, months): (i32, i32) = (years.parse().ok()?, months.parse().ok()?);
            let sign = if word.starts_with('-') { -1 } else { 1 };
            interval.months = interval.months.checked_add(sign * years.checked_mul(12)?.checked_add(months)?)?;
            at += 1;
            continue;
        }
        let amount: f64 = word.parse().ok().filter(|n: &f64| n.is_finite())?;
        let unit = words.get(at + 1).map_or(unit, String::as_str);
        // `3 4:05:06`: a number before a clock is one of days.
        let before_clock = unit.contains(':');
        add_unit(&mut interval, amount, if before_clock { "day" } else { unit })?;
        at += if before_clock { 1 } else { 2 };
    }
    Some(if backwards { interval.negate() } else { interval })
}

fn interval_clock(text: &str) -> Option<i64> {
    let (hours, rest) = text.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':').unwrap_or((rest, "0"));
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let seconds: i64 = whole.parse().ok()?;
    if minutes > 59 || seconds > 60 {
        return None;
    }
    hours
        .checked_mul(3600)?
        .checked_add(minutes * 60 + seconds)?
        .checked_mul(1_000_000)?
        .checked_add(fraction_us(fraction)?)
}

fn add_unit(interval: &mut Interval, amount: f64, unit: &str) -> Option<()> {
    let months = |count: f64, interval: &mut Interval| -> Option<()> {
        let whole = libm::trunc(count);
        interval.months = interval.months.checked_add(whole as i32)?;
        days_of((count - whole) * 30.0, interval)
    };
    match unit.trim_end_matches(',') {
        "y" | "yr" | "yrs" | "year" | "years" => months(libm::rint(amount * 12.0), interval),
        "mon" | "mons" | "month" | "months" => months(amount, interval),
        "decade" | "decades" => months(amount * 120.0, interval),
        "century" | "centuries" => months(amount * 1200.0, interval),
        "millennium" | "millennia" => months(amount * 12000.0, interval),
        "w" | "week" | "weeks" => days_of(amount * 7.0, interval),
        "d" | "day" | "days" => days_of(amount, interval),
        "h" | "hr" | "hrs" | "hour" | "hours" => micros(amount * 3.6e9, interval),
        "m" | "min" | "mins" | "minute" | "minutes" => micros(amount * 6e7, interval),
        "s" | "sec" | "secs" | "second" | "seconds" => micros(amount * 1e6, interval),
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => micros(amount * 1e3, interval),
        "us" | "usec" | "usecs" | "microsecond" | "microseconds" => micros(amount, interval),
        _ => None,
    }
}

fn days_of(count: f64, interval: &mut Interval) -> Option<()> {
    let whole = libm::trunc(count);
    interval.days = interval.days.checked_add(whole as i32)?;
    micros((count - whole) * DAY_US as f64, interval)
}

fn micros(count: f64, interval: &mut Interval) -> Option<()> {
    if count.abs() > 9e18 {
        return None;
    }
    interval.us = interval.us.checked_add(libm::rint(count) as i64)?;
    Some(())
}

fn parse_iso_interval(text: &str) -> Option<Interval> {
    let mut interval = Interval::default();
    let (mut number, mut time) = (String::new(), false);
    for c in text.chars() {
        match c {
            't' => time = true,
            '0'..='9' | '.' | '-' | '+' => number.push(c),
            _ => {
                let amount: f64 = number.parse().ok()?;
                number.clear();
                let unit = match (c, time) {
                    ('y', false) => "year",
                    ('m', false) => "month",
                    ('w', false) => "week",
                    ('d', false) => "day",
                    ('h', true) => "hour",
                    ('m', true) => "minute",
                    ('s', true) => "second",
                    _ => return None,
                };
                add_unit(&mut interval, amount, unit)?;
            }
        }
    }
    number.is_empty().then_some(interval)
}

/// A timestamp plus an interval: months first (the day is cut to the month's length), then days, then time.
pub fn add_interval(us: i64, interval: &Interval) -> Result<i64, SqlError> {
    let range = || SqlError::new("22008", "timestamp out of range");
    if us == TIMESTAMP_INFINITY || us == i64::MIN {
        return Ok(us);
    }
    let (mut days, time) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
    if interval.months != 0 {
        let (year, month, day) = civil_from_days(days);
        let total = year * 12 + month - 1 + i64::from(interval.months);
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
        days = days_from_civil(year, month, day.min(days_in_month(year, month)));
    }
    days += i64::from(interval.days);
    days.checked_mul(DAY_US)
        .and_then(|us| us.checked_add(time))
        .and_then(|us| us.checked_add(interval.us))
        .filter(|us| (-211_813_488_000_000_000..9_223_371_331_200_000_000).contains(us))
        .ok_or_else(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_timestamps_read_and_print_as_in_postgres() {
        assert_eq!(parse_date("2000-01-01").unwrap(), 0);
        assert_eq!(date_text(parse_date("1999-12-31").unwrap()), "1999-12-31");
        assert_eq!(date_text(parse_date("20240229").unwrap()), "2024-02-29");
        assert_eq!(date_text(parse_date("Jan 5, 2020").unwrap()), "2020-01-05");
        assert_eq!(date_text(parse_date("0044-03-15 BC").unwrap()), "0044-03-15 BC");
        assert_eq!(parse_date("2023-02-29").unwrap_err().code(), "22008");
        assert_eq!(parse_date("hello").unwrap_err().code(), "22007");
        let us = parse_timestamptz("2026-11-22T14:20:59.051152+00:00", Zone::UTC).unwrap();
        assert_eq!(timestamptz_text(us, Zone::UTC), "2026-11-22 14:20:59.051152+00");
        assert_eq!(timestamptz_text(us, Zone::Fixed(5 * 3600 + 1800)), "2026-11-22 19:50:59.051152+05:30");
        assert_eq!(timestamp_text(parse_timestamp("2020-01-01 1:02 PM").unwrap()), "2020-01-01 13:02:00");
        assert_eq!(timestamp_text(parse_timestamp("infinity").unwrap()), "infinity");
        for days in (-800_000..800_000).step_by(37) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }

    #[test]
    fn intervals_read_print_and_add_as_in_postgres() {
        let cases = [
            ("1 day", "1 day"),
            ("1 year 2 mons -3 days 04:05:06.5", "1 year 2 mons -3 days +04:05:06.5"),
            ("90 minutes", "01:30:00"),
            ("1.5 days", "1 day 12:00:00"),
            ("2 weeks ago", "-14 days"),
            ("P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06"),
            ("-1 mon", "-1 mons"),
            ("0", "00:00:00"),
            ("1 month 2 hours", "1 mon 02:00:00"),
        ];
        for (input, output) in cases {
            let interval = Interval::parse(input).unwrap();
            assert_eq!(interval.to_string(), output, "{input}");
            assert_eq!(Interval::decode(&interval.encode()).unwrap(), interval);
        }
        let end_of_january = parse_timestamp("2024-01-31 12:00").unwrap();
        let sum = add_interval(end_of_january, &Interval::parse("1 month").unwrap()).unwrap();
        assert_eq!(timestamp_text(sum), "2024-02-29 12:00:00");
        assert!(Interval::parse("29 days").unwrap().encode() < Interval::parse("1 month").unwrap().encode());
    }
}
