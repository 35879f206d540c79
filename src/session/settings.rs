//! Session settings: SET, SHOW and RESET as part of the transaction that they stand in.
//!
//! Two layers of changes over the defaults: the session's and the transaction's (SET LOCAL). Both are
//! copied on write, so BEGIN and SAVEPOINT keep the old ones by holding a pointer.

use super::gateway::ReadLevel;
use crate::catalog::roles::{OWNER, Role};
use crate::dialect::codec::TextStyle;
use crate::dialect::datetime::TimeZone;
use crate::transaction::SqlError;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// What a setting takes.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Text,
    Switch,
    Integer,
    Milliseconds,
    OneOf(&'static [&'static str]),
    Zone,
    /// For whom the session acts: nobody but [`super::identity`] may change it.
    Identity,
    Fixed,
}

/// A setting that is known.
struct Known {
    /// As SHOW and ParameterStatus print it.
    name: &'static str,
    default: &'static str,
    shape: Shape,
    /// Clients are told when it changes.
    reported: bool,
}

const ISOLATION: Shape = Shape::OneOf(&["serializable", "repeatable read", "read committed", "read uncommitted"]);

const fn known(name: &'static str, default: &'static str, shape: Shape) -> Known {
    Known { name, default, shape, reported: false }
}

const fn reported(name: &'static str, default: &'static str, shape: Shape) -> Known {
    Known { name, default, shape, reported: true }
}

static KNOWN: &[Known] = &[
    reported("application_name", "", Shape::Text),
    reported("client_encoding", "UTF8", Shape::Text),
    reported("DateStyle", "ISO, MDY", Shape::Text),
    reported("default_transaction_read_only", "off", Shape::Switch),
    reported("in_hot_standby", "off", Shape::Fixed),
    reported("integer_datetimes", "on", Shape::Fixed),
    reported("IntervalStyle", "postgres", Shape::Text),
    reported("is_superuser", "on", Shape::Fixed),
    reported("server_encoding", "UTF8", Shape::Fixed),
    reported("server_version", SERVER_VERSION, Shape::Fixed),
    reported("session_authorization", "evesql", Shape::Identity),
    reported("standard_conforming_strings", "on", Shape::Switch),
    reported("TimeZone", "UTC", Shape::Zone),
    known("bytea_output", "hex", Shape::OneOf(&["hex", "escape"])),
    known("check_function_bodies", "on", Shape::Switch),
    known("client_min_messages", "notice", Shape::Text),
    known("default_tablespace", "", Shape::Text),
    known("default_table_access_method", "heap", Shape::Text),
    known("default_transaction_deferrable", "off", Shape::Switch),
    known("default_transaction_isolation", "serializable", ISOLATION),
    known("enable_seqscan", "on", Shape::Switch),
    known("escape_string_warning", "on", Shape::Switch),
    known("evesql.max_staleness_ms", "0", Shape::Integer),
    known("evesql.read_level", "strict", Shape::OneOf(&["strict", "local", "quorum"])),
    known("extra_float_digits", "1", Shape::Integer),
    known("idle_in_transaction_session_timeout", "0", Shape::Milliseconds),
    known("idle_session_timeout", "0", Shape::Milliseconds),
    known("jit", "off", Shape::Switch),
    known("lc_collate", "C", Shape::Fixed),
    known("lc_ctype", "C", Shape::Fixed),
    known("lc_messages", "C", Shape::Text),
    known("lc_monetary", "C", Shape::Text),
    known("lc_numeric", "C", Shape::Text),
    known("lc_time", "C", Shape::Text),
    known("lock_timeout", "0", Shape::Milliseconds),
    known("maintenance_work_mem", "65536", Shape::Text),
    known("max_connections", "1000", Shape::Fixed),
    known("max_identifier_length", "63", Shape::Fixed),
    known("max_index_keys", "32", Shape::Fixed),
    known("max_parallel_workers_per_gather", "0", Shape::Integer),
    known("plan_cache_mode", "auto", Shape::Text),
    known("quote_all_identifiers", "off", Shape::Switch),
    known("restrict_nonsystem_relation_kind", "", Shape::Text),
    known("role", "none", Shape::Identity),
    known("row_security", "on", Shape::Switch),
    known("search_path", "\"$user\", public", Shape::Text),
    known("seq_page_cost", "1", Shape::Text),
    known("server_version_num", "150018", Shape::Fixed),
    known("statement_timeout", "0", Shape::Milliseconds),
    known("synchronous_commit", "on", Shape::Text),
    known("synchronize_seqscans", "on", Shape::Switch),
    known("transaction_deferrable", "off", Shape::Switch),
    known("transaction_isolation", "serializable", ISOLATION),
    known("transaction_read_only", "off", Shape::Switch),
    known("wal_level", "replica", Shape::Fixed),
    known("work_mem", "4096", Shape::Text),
    known("xmlbinary", "base64", Shape::Text),
    known("xmloption", "content", Shape::Text),
];

/// The version of Postgres whose face this is.
pub const SERVER_VERSION: &str = "15.18";

type Layer = Rc<BTreeMap<String, String>>;

/// A point to which settings can go back.
#[derive(Clone, Debug, Default)]
pub struct Mark {
    session: Layer,
    local: Layer,
}

/// All settings of one session.
#[derive(Debug)]
pub struct Settings {
    now: Mark,
    /// What the start-up packet asked for: RESET goes back to it.
    startup: BTreeMap<String, String>,
    /// OID of the role that logged in, or of the owner of the system.
    login: u32,
    /// OIDs of the roles in whose place the session went.
    places: BTreeMap<String, u32>,
    active: Active,
    /// The schema of the session's temporary tables, once it makes one.
    temporary: Option<String>,
}

/// Settings that the session itself looks at, ready to use.
#[derive(Clone, Debug)]
pub struct Active {
    /// Freshness of reads.
    pub read_level: ReadLevel,
    /// Oldest version that a `local` read may see.
    pub max_staleness: Option<Duration>,
    /// Zero: none.
    pub statement_timeout: Duration,
    /// `None`: wait as long as it takes.
    pub lock_timeout: Option<Duration>,
    /// Zero: none.
    pub idle_in_transaction_timeout: Duration,
    /// Zero: none.
    pub idle_timeout: Duration,
    /// Only answers of writes and locking reads are certified.
    pub read_committed_by_default: bool,
    /// New transactions are read-only.
    pub read_only_by_default: bool,
    /// How texts are written and read.
    pub style: TextStyle,
    /// What translations depend on.
    pub dialect: Rc<crate::dialect::Settings>,
    /// OID of the role in whose place the session is (SET ROLE, SET SESSION AUTHORIZATION), unless it is itself.
    pub acts_as: Option<u32>,
    /// The same without SET ROLE.
    pub authorized: Option<u32>,
}

fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

fn unknown(name: &str) -> SqlError {
    SqlError::new("42704", format!("unrecognized configuration parameter \"{name}\""))
}

impl Settings {
    /// Those of a new session. Unusable start-up values are passed over, as most drivers expect.
    pub fn new(user: &str, database: &str, startup: &BTreeMap<String, String>) -> Settings {
        let active = Active {
            read_level: ReadLevel::Strict,
            max_staleness: None,
            statement_timeout: Duration::ZERO,
            lock_timeout: None,
            idle_in_transaction_timeout: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            read_committed_by_default: false,
            read_only_by_default: false,
            style: TextStyle::default(),
            dialect: Rc::new(crate::dialect::Settings {
                user: user.to_owned(),
                session_user: user.to_owned(),
                database: database.to_owned(),
                ..crate::dialect::Settings::default()
            }),
            acts_as: None,
            authorized: None,
        };
        let (now, startup_values, places) = (Mark::default(), BTreeMap::new(), BTreeMap::new());
        let mut settings = Settings { now, startup: startup_values, login: OWNER, places, active, temporary: None };
        let options = startup.get("options").map(|text| options(text)).unwrap_or_default();
        let plain = startup.iter().map(|(name, value)| (name.clone(), value.clone()));
        for (name, value) in plain.chain(options) {
            if find(&name).is_none() && !name.contains('.') || is_identity(&name) {
                continue;
            }
            if let Ok(value) = checked(&name, &value) {
                settings.startup.insert(name.to_ascii_lowercase(), value);
            }
        }
        settings.startup.insert("session_authorization".to_owned(), user.to_owned());
        settings.refresh();
        settings
    }

    /// Names are looked up in this schema first.
    pub fn open_temporary(&mut self, schema: &str) {
        self.temporary = Some(schema.to_owned());
        self.refresh();
    }

    /// A role logged in, with its own settings unless the client asked for others.
    pub fn log_in(&mut self, role: &Role) {
        for (name, value) in role.settings.iter().filter(|(name, _)| !is_identity(name)) {
            if let Ok(value) = checked(name, value) {
                self.startup.entry(name.clone()).or_insert(value);
            }
        }
        if !role.superuser {
            self.startup.insert("is_superuser".to_owned(), "off".to_owned());
        }
        self.login = role.oid;
        self.refresh();
    }

    /// Whether a role may have this setting.
    pub fn check_default(name: &str, value: &str) -> Result<(), SqlError> {
        if is_identity(name) {
            return Err(SqlError::new("0A000", format!("parameter \"{name}\" cannot be a role's")));
        }
        if find(name).is_none() && !name.contains('.') {
            return Err(unknown(name));
        }
        checked(name, value).map(|_| ())
    }

    /// Goes into the place of a role, or back (`None`), for `role` or `session_authorization`.
    pub fn act_as(
        &mut self,
        setting: &str,
        role: Option<&Role>,
        local: bool,
    ) -> Result<Option<&'static str>, SqlError> {
        if let Some(role) = role {
            self.places.insert(role.name.clone(), role.oid);
        }
        self.put(setting, role.map(|role| role.name.as_str()), local)
    }

    /// What the session looks at.
    pub fn active(&self) -> &Active {
        &self.active
    }

    /// The value of a setting.
    pub fn get(&self, name: &str) -> Result<String, SqlError> {
        let lower = name.to_ascii_lowercase();
        let changed = self.now.local.get(&lower).or_else(|| self.now.session.get(&lower));
        if let Some(value) = changed.or_else(|| self.startup.get(&lower)) {
            return Ok(value.clone());
        }
        find(&lower).map(|known| known.default.to_owned()).ok_or_else(|| unknown(name))
    }

    /// Name as clients see it, for SHOW's column.
    pub fn display_name(name: &str) -> String {
        find(name).map_or_else(|| name.to_owned(), |known| known.name.to_owned())
    }

    /// SET; `None` is DEFAULT. Answers whether clients are told, with the name to tell.
    pub fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<Option<&'static str>, SqlError> {
        match value {
            // Not without being asked whether it may.
            Some(_) if is_identity(name) => {
                Err(SqlError::new("55P02", format!("parameter \"{name}\" cannot be changed")))
            }
            value => self.put(name, value, local),
        }
    }

    fn put(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<Option<&'static str>, SqlError> {
        let lower = name.to_ascii_lowercase();
        let known = find(&lower);
        if known.is_none() && !lower.contains('.') {
            return Err(unknown(name));
        }
        let value = match value {
            Some(value) => Some(checked(&lower, value)?),
            None => None,
        };
        let default = || {
            let startup = self.startup.get(&lower).cloned();
            startup.unwrap_or_else(|| known.map_or(String::new(), |known| known.default.to_owned()))
        };
        if local {
            let value = value.unwrap_or_else(default);
            Rc::make_mut(&mut self.now.local).insert(lower, value);
        } else {
            Rc::make_mut(&mut self.now.local).remove(&lower);
            match value {
                Some(value) => Rc::make_mut(&mut self.now.session).insert(lower, value),
                None => Rc::make_mut(&mut self.now.session).remove(&lower),
            };
        }
        self.refresh();
        Ok(known.filter(|known| known.reported).map(|known| known.name))
    }

    /// The value that RESET would give.
    pub fn reset_value(&self, name: &str) -> String {
        let startup = self.startup.get(&name.to_ascii_lowercase()).cloned();
        startup.unwrap_or_else(|| find(name).map_or(String::new(), |known| known.default.to_owned()))
    }

    /// RESET ALL.
    pub fn reset_all(&mut self) {
        self.now = Mark::default();
        self.refresh();
    }

    /// A point to go back to, at BEGIN and SAVEPOINT.
    pub fn mark(&self) -> Mark {
        self.now.clone()
    }

    /// Goes back: ROLLBACK, ROLLBACK TO.
    pub fn go_back(&mut self, mark: &Mark) {
        if !Rc::ptr_eq(&self.now.session, &mark.session) || !Rc::ptr_eq(&self.now.local, &mark.local) {
            self.now = mark.clone();
            self.refresh();
        }
    }

    /// The transaction is over: SET LOCAL ends.
    pub fn end_transaction(&mut self) {
        if !self.now.local.is_empty() {
            self.now.local = Layer::default();
            self.refresh();
        }
    }

    /// Name and value of everything that clients track.
    pub fn reported(&self) -> Vec<(&'static str, String)> {
        let told = KNOWN.iter().filter(|known| known.reported);
        told.map(|known| (known.name, self.get(known.name).unwrap_or_default())).collect()
    }

    /// Name and value of everything, for SHOW ALL.
    pub fn all(&self) -> Vec<(&'static str, String)> {
        KNOWN.iter().map(|known| (known.name, self.get(known.name).unwrap_or_default())).collect()
    }

    fn refresh(&mut self) {
        let text = |name: &str| self.get(name).unwrap_or_default();
        let number = |name: &str| text(name).parse::<u64>().unwrap_or(0);
        let time = |name: &str| Duration::from_millis(number(name));
        let zone = TimeZone::parse(&text("TimeZone")).unwrap_or_default();
        let mut dialect = (*self.active.dialect).clone();
        // A name of which nothing is known is in nobody's place.
        let place = |name: &str| self.places.get(name).copied().unwrap_or(u32::MAX);
        dialect.session_user = text("session_authorization");
        let own = self.startup.get("session_authorization").is_none_or(|own| *own == dialect.session_user);
        let authorized = (!own).then(|| place(&dialect.session_user));
        let role = Some(text("role")).filter(|role| role != "none");
        let acts_as = role.as_deref().map(place).or(authorized);
        dialect.user = role.unwrap_or_else(|| dialect.session_user.clone());
        dialect.owner = acts_as.unwrap_or(self.login);
        dialect.search_path = self.temporary.iter().cloned().collect();
        dialect.search_path.extend(search_path(&text("search_path"), &dialect.user));
        dialect.time_zone = zone;
        let mut style = dialect.style();
        style.bytea_escape = text("bytea_output") == "escape";
        let dialect = if dialect == *self.active.dialect { self.active.dialect.clone() } else { Rc::new(dialect) };
        self.active = Active {
            read_level: match text("evesql.read_level").as_str() {
                "local" => ReadLevel::Local,
                "quorum" => ReadLevel::Quorum,
                _ => ReadLevel::Strict,
            },
            max_staleness: Some(time("evesql.max_staleness_ms")).filter(|time| !time.is_zero()),
            statement_timeout: time("statement_timeout"),
            lock_timeout: Some(time("lock_timeout")).filter(|time| !time.is_zero()),
            idle_in_transaction_timeout: time("idle_in_transaction_session_timeout"),
            idle_timeout: time("idle_session_timeout"),
            read_committed_by_default: text("default_transaction_isolation").starts_with("read "),
            read_only_by_default: text("default_transaction_read_only") == "on",
            style,
            dialect,
            acts_as,
            authorized,
        };
    }
}

/// Whether a setting says for whom the session acts.
fn is_identity(name: &str) -> bool {
    find(name).is_some_and(|known| matches!(known.shape, Shape::Identity))
}

/// `-c name=value` and `--name=value` of the start-up packet's options.
fn options(text: &str) -> Vec<(String, String)> {
    let words = text.split_whitespace().filter(|word| *word != "-c");
    words
        .filter_map(|word| word.trim_start_matches("-c").trim_start_matches("--").split_once('='))
        .map(|(name, value)| (name.replace('-', "_"), value.to_owned()))
        .collect()
}

fn search_path(text: &str, user: &str) -> Vec<String> {
    let names = text.split(',').map(|name| name.trim().trim_matches('"'));
    // A session's temporary tables come first without being named.
    let is_named = |name: &&str| !name.is_empty() && *name != "$user" && *name != user && !name.starts_with("pg_temp");
    names.filter(is_named).map(str::to_owned).collect()
}

/// The value in the form in which it is kept.
fn checked(name: &str, value: &str) -> Result<String, SqlError> {
    let Some(known) = find(name) else { return Ok(value.to_owned()) };
    let invalid = || SqlError::new("22023", format!("invalid value for parameter \"{}\": \"{value}\"", known.name));
    match known.shape {
        Shape::Text if known.name == "client_encoding" => {
            match value.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
                "utf8" | "unicode" | "sqlascii" => Ok("UTF8".to_owned()),
                _ => Err(SqlError::new("0A000", format!("client encoding \"{value}\" is not supported"))
                    .with_hint("Use UTF8.")),
            }
        }
        Shape::Text if known.name == "DateStyle" => {
            let lower = value.to_ascii_lowercase();
            if ["sql", "german", "postgres"].iter().any(|style| lower.contains(style)) {
                return Err(SqlError::new("0A000", "only the date style ISO is supported"));
            }
            let order = ["DMY", "YMD"].into_iter().find(|order| lower.contains(&order.to_ascii_lowercase()));
            Ok(format!("ISO, {}", order.unwrap_or("MDY")))
        }
        Shape::Text => Ok(value.to_owned()),
        Shape::Switch => match value.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" | "t" | "y" => Ok("on".to_owned()),
            "off" | "false" | "no" | "0" | "f" | "n" => Ok("off".to_owned()),
            _ => Err(SqlError::new("22023", format!("parameter \"{}\" requires a Boolean value", known.name))),
        },
        Shape::Integer => value.trim().parse::<i64>().map(|number| number.to_string()).map_err(|_| invalid()),
        Shape::Milliseconds => milliseconds(value).map(|number| number.to_string()).ok_or_else(invalid),
        Shape::OneOf(values) => {
            let lower = value.to_ascii_lowercase();
            values.iter().find(|one| **one == lower).map(|one| (*one).to_owned()).ok_or_else(invalid)
        }
        Shape::Identity => Ok(value.to_owned()),
        Shape::Zone => TimeZone::parse(value).map(|zone| zone.name),
        Shape::Fixed => Err(SqlError::new("55P02", format!("parameter \"{}\" cannot be changed", known.name))),
    }
}

/// `100`, `100ms`, `5 s`, `2min`, `1h`, `1d`.
fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new("u", "d", &BTreeMap::new())
    }

    #[test]
    fn set_local_ends_with_the_transaction_and_set_is_undone_by_rollback() {
        let mut s = settings();
        let begin = s.mark();
        s.set("statement_timeout", Some("2s"), false).unwrap();
        s.set("lock_timeout", Some("10"), true).unwrap();
        assert_eq!(s.active().statement_timeout, Duration::from_secs(2));
        assert_eq!(s.active().lock_timeout, Some(Duration::from_millis(10)));
        s.end_transaction();
        assert_eq!(s.active().lock_timeout, None);
        assert_eq!(s.get("STATEMENT_TIMEOUT").unwrap(), "2000");
        s.go_back(&begin);
        assert_eq!(s.get("statement_timeout").unwrap(), "0");
    }

    #[test]
    fn unknown_names_and_bad_values_have_their_codes() {
        let mut s = settings();
        let mut code = |name: &str, value: &str| s.set(name, Some(value), false).unwrap_err().code().to_owned();
        assert_eq!(code("nonsense", "1"), "42704");
        assert_eq!(code("evesql.read_level", "sloppy"), "22023");
        assert_eq!(code("server_version", "9"), "55P02");
        assert_eq!(code("statement_timeout", "-1"), "22023");
        assert_eq!(s.set("my.own", Some("x"), false), Ok(None));
        assert_eq!(s.get("my.own").unwrap(), "x");
        assert_eq!(s.set("timezone", Some("+02"), false), Ok(Some("TimeZone")));
    }

    #[test]
    fn the_startup_packet_sets_defaults_that_reset_goes_back_to() {
        let startup = BTreeMap::from([
            ("application_name".to_owned(), "psql".to_owned()),
            ("options".to_owned(), "-c statement_timeout=5s --evesql.read-level=local".to_owned()),
        ]);
        let mut s = Settings::new("u", "d", &startup);
        assert_eq!(s.active().read_level, ReadLevel::Local);
        s.set("application_name", Some("other"), false).unwrap();
        s.reset_all();
        assert_eq!(s.get("application_name").unwrap(), "psql");
        assert_eq!(s.active().statement_timeout, Duration::from_secs(5));
    }
}
