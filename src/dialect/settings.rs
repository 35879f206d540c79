//! Session settings that show in a translation: two sessions that agree in them share translations.

use super::codec::TextStyle;
use super::datetime::TimeZone;

/// What a translation depends on besides text, catalog and parameter types.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Zone in which timestamptz is read, printed and cut into days.
    pub time_zone: TimeZone,
    /// Schemas in which unqualified names are looked up, `pg_catalog` first without being named.
    pub search_path: Vec<String>,
    /// current_user.
    pub user: String,
    /// current_database().
    pub database: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            time_zone: TimeZone::default(),
            search_path: vec!["public".into()],
            user: "evesql".into(),
            database: "evesql".into(),
        }
    }
}

impl Settings {
    /// How texts are read and printed.
    pub fn style(&self) -> TextStyle {
        TextStyle { zone_offset_s: self.time_zone.offset_s, ..TextStyle::default() }
    }
}
