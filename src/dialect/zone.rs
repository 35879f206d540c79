//! Time zones: a fixed distance from UTC, or the rules of a place.
//!
//! The rules are those of the IANA database that is built into the program, never the machine's: replicas must agree on
//! them. Moments are microseconds since 2000-01-01, in UTC or as a zone's clocks show them.

use super::datetime::{DAY_US, EPOCH_DAYS, TIMESTAMP_INFINITY};
use crate::transaction::{SqlError, ValueRef};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::{LazyLock, Mutex, PoisonError};

/// The calendar repeats after so many days: 400 years.
const CYCLE_US: i64 = 146_097 * DAY_US;
/// Beyond so far from 2000 rules are looked up a number of cycles nearer.
const RULES_US: i64 = 10 * CYCLE_US;

/// The rules of a place. One for each that was ever named: there are some six hundred.
pub struct Place {
    name: String,
    rules: TimeZone,
}

/// A time zone.
#[derive(Clone, Copy)]
pub enum Zone {
    /// So many seconds are added to UTC.
    Fixed(i32),
    /// The clocks of a place.
    Place(&'static Place),
}

impl Default for Zone {
    fn default() -> Self {
        Zone::UTC
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Zone::Fixed(a), Zone::Fixed(b)) => a == b,
            (Zone::Place(a), Zone::Place(b)) => std::ptr::eq(*a, *b),
            _ => false,
        }
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Zone::Fixed(offset_s) => offset_s.hash(state),
            Zone::Place(place) => place.name.hash(state),
        }
    }
}

impl std::fmt::Debug for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Zone::Fixed(offset_s) => write!(f, "{offset_s} s"),
            Zone::Place(place) => f.write_str(&place.name),
        }
    }
}

impl Zone {
    /// Greenwich without its summers.
    pub const UTC: Zone = Zone::Fixed(0);

    /// The place of this name (`Europe/Paris`), in letters of any case, if the database has it.
    pub fn of_place(name: &str) -> Option<Zone> {
        static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
        static KNOWN: Mutex<BTreeMap<String, &'static Place>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        // As functions name it, once for each row.
        if let Some(place) = known.get(name) {
            return Some(Zone::Place(place));
        }
        let rules = DATABASE.get(name).ok()?;
        let name = rules.iana_name()?.to_owned();
        let place = known.entry(name.clone()).or_insert_with(|| Box::leak(Box::new(Place { name, rules })));
        Some(Zone::Place(place))
    }

    /// Its name in the database, if it is a place.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Zone::Fixed(_) => None,
            Zone::Place(place) => Some(&place.name),
        }
    }

    /// Seconds that its clocks are ahead of UTC at a moment in UTC.
    pub fn offset_s(self, us: i64) -> i32 {
        match self {
            Zone::Fixed(offset_s) => offset_s,
            Zone::Place(place) => timestamp(us).map_or(0, |moment| place.rules.to_offset(moment).seconds()),
        }
    }

    /// What its clocks show at a moment in UTC. Infinite moments stay.
    pub fn local_us(self, us: i64) -> i64 {
        if is_infinite(us) { us } else { us.saturating_add(i64::from(self.offset_s(us)) * 1_000_000) }
    }

    /// The moment in UTC at which its clocks show this. What they show twice is the later moment (winter's), and what
    /// they leave out counts as if they had not been changed yet, as in PostgreSQL. Infinite moments stay.
    pub fn utc_us(self, local_us: i64) -> i64 {
        if is_infinite(local_us) {
            return local_us;
        }
        let offset_s = match self {
            Zone::Fixed(offset_s) => offset_s,
            Zone::Place(place) => match civil(local_us).map(|shown| place.rules.to_ambiguous_timestamp(shown).offset())
            {
                Some(AmbiguousOffset::Unambiguous { offset }) => offset.seconds(),
                Some(AmbiguousOffset::Gap { before, .. }) => before.seconds(),
                Some(AmbiguousOffset::Fold { after, .. }) => after.seconds(),
                None => 0,
            },
        };
        local_us.saturating_sub(i64::from(offset_s) * 1_000_000)
    }

    /// What people there call their time at a moment in UTC: `CEST`; nothing for a fixed distance.
    pub fn abbreviation(self, us: i64) -> String {
        match self {
            Zone::Fixed(0) => "UTC".into(),
            Zone::Fixed(_) => String::new(),
            Zone::Place(place) => timestamp(us)
                .map_or_else(String::new, |moment| place.rules.to_offset_info(moment).abbreviation().to_owned()),
        }
    }

    /// The zone as an argument of a function in SQLite; [`Zone::read`] reads it.
    pub fn sql(self) -> String {
        match self {
            Zone::Fixed(offset_s) => offset_s.to_string(),
            Zone::Place(place) => format!("'{}'", place.name),
        }
    }

    /// Reads what [`Zone::sql`] writes.
    ///
    /// # Errors
    /// XX000 for anything else.
    pub fn read(argument: ValueRef<'_>) -> Result<Zone, SqlError> {
        let found = match argument {
            ValueRef::Integer(offset_s) => i32::try_from(offset_s).ok().map(Zone::Fixed),
            ValueRef::Text(name) => Zone::of_place(name),
            _ => None,
        };
        found.ok_or_else(|| SqlError::new("XX000", "an argument is no time zone"))
    }
}

fn is_infinite(us: i64) -> bool {
    us == TIMESTAMP_INFINITY || us == i64::MIN
}

/// A moment with the same rules within the years that the database's reader takes: before all rules there is none that
/// changes, after them they go by the calendar.
fn within_rules(us: i64) -> i64 {
    match us > RULES_US {
        true => us - (us - RULES_US).div_euclid(CYCLE_US).saturating_add(1) * CYCLE_US,
        false => us.max(-RULES_US),
    }
}

fn timestamp(us: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(within_rules(us) + EPOCH_DAYS * DAY_US).ok()
}

fn civil(local_us: i64) -> Option<DateTime> {
    timestamp(local_us).map(|moment| Offset::UTC.to_datetime(moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> i64 {
        crate::dialect::datetime::parse_timestamp(text).unwrap()
    }

    #[test]
    fn clocks_that_are_changed_go_as_in_postgres() {
        let paris = Zone::of_place("europe/paris").unwrap();
        assert_eq!(paris.name(), Some("Europe/Paris"));
        for (local, utc) in [
            ("2024-01-15 12:00", "2024-01-15 11:00"),
            ("2024-07-15 12:00", "2024-07-15 10:00"),
            // Left out in spring, shown twice in autumn.
            ("2024-03-31 02:30", "2024-03-31 01:30"),
            ("2024-10-27 02:30", "2024-10-27 01:30"),
            ("2024-10-27 03:00", "2024-10-27 02:00"),
            ("12345-07-01 00:00", "12345-06-30 22:00"),
            ("1800-01-01 00:09:21", "1800-01-01 00:00"),
        ] {
            assert_eq!(paris.utc_us(us(local)), us(utc), "{local}");
        }
        assert_eq!(paris.local_us(us("2024-07-15 10:00")), us("2024-07-15 12:00"));
        assert_eq!(paris.offset_s(us("294000-07-01 10:00")), 7200);
        assert_eq!((paris.abbreviation(us("2024-07-15 10:00")), paris.local_us(i64::MIN)), ("CEST".into(), i64::MIN));
        assert!(Zone::of_place("Europe/Nowhere").is_none());
    }

    #[test]
    fn a_zone_is_read_as_it_was_written() {
        for zone in [Zone::UTC, Zone::Fixed(-12_600), Zone::of_place("America/New_York").unwrap()] {
            let sql = zone.sql();
            let value = match sql.strip_prefix('\'') {
                Some(name) => ValueRef::Text(name.trim_end_matches('\'')),
                None => ValueRef::Integer(sql.parse().unwrap()),
            };
            assert_eq!(Zone::read(value).unwrap(), zone);
        }
        assert!(Zone::read(ValueRef::Text("x")).is_err());
    }
}
