//! Server and session: who, where, since when, and the settings.

use super::{text, text_at, truth_at};
use crate::catalog::is_temporary;
use crate::catalog::relations::{Live, Setting, Source, default_setting};
use crate::transaction::{SqlError, Value, ValueRef};

type Arguments<'a> = [ValueRef<'a>];
type Answer = Result<Value, SqlError>;

/// A setting that a statement changed by `set_config`: for the session to carry on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// Name as the statement wrote it.
    pub name: String,
    /// New value; `None` resets it.
    pub value: Option<String>,
    /// Only until the transaction ends, as SET LOCAL.
    pub is_local: bool,
}

pub(super) fn version(source: &Source<'_>, _: &Arguments<'_>) -> Answer {
    let environment = source.environment;
    text(format!("PostgreSQL {} (EveSQL {})", environment.server_version, environment.version))
}

pub(super) fn current_database(source: &Source<'_>, _: &Arguments<'_>) -> Answer {
    text(source.environment.database.as_str())
}

pub(super) fn current_user(source: &Source<'_>, _: &Arguments<'_>) -> Answer {
    text(source.environment.user.as_str())
}

pub(super) fn session_user(source: &Source<'_>, _: &Arguments<'_>) -> Answer {
    text(source.environment.session_user.as_str())
}

/// Schemas of the search path that exist.
fn schemas<'a>(source: &Source<'a>) -> impl Iterator<Item = &'a str> {
    let catalog = source.catalog;
    source
        .environment
        .search_path
        .iter()
        .map(String::as_str)
        .filter(|name| catalog.schema_oid(name).is_some() && !is_temporary(name))
}

pub(super) fn current_schema(source: &Source<'_>, _: &Arguments<'_>) -> Answer {
    schemas(source).next().map_or(Ok(Value::Null), text)
}

pub(super) fn current_schemas(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let implied = truth_at(arguments, 0).then_some("pg_catalog");
    let names: Vec<&str> = implied.into_iter().chain(schemas(source).filter(|name| Some(*name) != implied)).collect();
    text(serde_json::Value::from(names).to_string())
}

pub(super) fn current_setting(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let Some(name) = text_at(arguments, 0) else { return Ok(Value::Null) };
    if let Some(setting) = source.live.settings.get(&name.to_ascii_lowercase()) {
        return text(setting.value.as_str());
    }
    match default_setting(source, name) {
        Some(value) => text(value),
        None if truth_at(arguments, 1) => Ok(Value::Null),
        None => Err(SqlError::new("42704", format!("unrecognized configuration parameter \"{name}\""))),
    }
}

/// `set_config(name, value, is_local)`: the new value is what later calls in the statement see; what the
/// session must do about it is added to `changes`.
///
/// # Errors
/// 22004 if the name is NULL.
pub fn set_config(live: &mut Live, changes: &mut Vec<SettingChange>, arguments: &Arguments<'_>) -> Answer {
    let Some(name) = text_at(arguments, 0) else {
        return Err(SqlError::new("22004", "SET requires parameter name"));
    };
    let value = text_at(arguments, 1);
    changes.push(SettingChange { name: name.into(), value: value.map(Into::into), is_local: truth_at(arguments, 2) });
    let setting = live.settings.entry(name.to_ascii_lowercase());
    let setting = setting.or_insert_with(|| Setting { value: String::new(), reset: String::new() });
    setting.value = value.map_or_else(|| setting.reset.clone(), Into::into);
    text(setting.value.as_str())
}

pub(super) fn backend_pid(source: &Source<'_>, _: &Arguments<'_>) -> Answer {
    Ok(Value::Integer(source.environment.backend_pid.into()))
}

pub(super) fn started(source: &Source<'_>, _: &Arguments<'_>) -> Answer {
    Ok(Value::Integer(source.environment.started_us))
}

pub(super) fn snapshot_index(source: &Source<'_>, _: &Arguments<'_>) -> Answer {
    Ok(Value::Integer(source.environment.snapshot_index as i64))
}

fn address(of: &Option<(String, u16)>) -> Answer {
    of.as_ref().map_or(Ok(Value::Null), |(address, _)| text(address.as_str()))
}

fn port(of: &Option<(String, u16)>) -> Answer {
    Ok(of.as_ref().map_or(Value::Null, |(_, port)| Value::Integer((*port).into())))
}

pub(super) fn client_address(source: &Source<'_>, _: &Arguments<'_>) -> Answer {
    address(&source.environment.client)
}

pub(super) fn client_port(source: &Source<'_>, _: &Arguments<'_>) -> Answer {
    port(&source.environment.client)
}

pub(super) fn server_address(source: &Source<'_>, _: &Arguments<'_>) -> Answer {
    address(&source.environment.server)
}

pub(super) fn server_port(source: &Source<'_>, _: &Arguments<'_>) -> Answer {
    port(&source.environment.server)
}

pub(super) fn client_encoding(_: &Source<'_>, _: &Arguments<'_>) -> Answer {
    text("UTF8")
}

pub(super) fn no_snapshots(_: &Source<'_>, _: &Arguments<'_>) -> Answer {
    Err(SqlError::new("0A000", "snapshots cannot be exported"))
}
