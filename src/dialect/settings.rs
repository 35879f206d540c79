//! Session settings that show in a translation: two sessions that agree in them share translations.

use super::codec::TextStyle;
use super::datetime::TimeZone;
use crate::catalog::roles::OWNER;

/// What a translation depends on besides text, catalog and parameter types.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Zone in which timestamptz is read, printed and cut into days.
    pub time_zone: TimeZone,
    /// Schemas in which unqualified names are looked up, `pg_catalog` first without being named.
    pub search_path: Vec<String>,
    /// current_user.
    pub user: String,
    /// session_user.
    pub session_user: String,
    /// OID of the role that owns what is made.
    pub owner: u32,
    /// current_database().
    pub database: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            time_zone: TimeZone::default(),
            search_path: vec!["public".into()],
            user: "evesql".into(),
            session_user: "evesql".into(),
            owner: OWNER,
            database: "evesql".into(),
        }
    }
}

impl Settings {
    /// Whether they differ in the user alone.
    pub fn is_same_but_for_user(&self, other: &Settings) -> bool {
        let Settings { time_zone, search_path, user: _, session_user: _, owner: _, database } = self;
        (time_zone, search_path, database) == (&other.time_zone, &other.search_path, &other.database)
    }

    /// How texts are read and printed.
    pub fn style(&self) -> TextStyle {
        TextStyle { zone: self.time_zone.zone, ..TextStyle::default() }
    }
}
