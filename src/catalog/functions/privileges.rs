//! has_table_privilege and its relatives: what the roles and grants of [`crate::catalog::privileges`] come to.
//!
//! Each takes a user's name or OID first, or is about the current user; then an object, then privileges with commas
//! between them, of which one is enough.

use super::names::{find_relation, find_schema};
use super::{oid_at, text, text_at, truth};
use crate::catalog::privileges::{EVERYBODY, Privileges};
use crate::catalog::relations::{Source, acl_item, system_class};
use crate::catalog::roles::{Actor, Role};
use crate::catalog::{Catalog, Object};
use crate::transaction::{SqlError, Value, ValueRef};

type Arguments<'a> = [ValueRef<'a>];
type Answer = Result<Value, SqlError>;

/// What everybody may read of the system.
const HIDDEN: [&str; 2] = ["pg_authid", "pg_shadow"];

/// The user that the first argument names; without it the current one.
fn actor<'a>(source: &Source<'a>, user: Option<&ValueRef<'_>>) -> Result<Actor<'a>, SqlError> {
    let environment = source.environment;
    let roles = &*environment.roles;
    let missing = |name: &dyn std::fmt::Display| SqlError::new("42704", format!("role \"{name}\" does not exist"));
    let name = match user {
        None => environment.user.as_str(),
        Some(ValueRef::Integer(oid)) => {
            let found = u32::try_from(*oid).ok().and_then(|oid| roles.get(oid));
            return Ok(Actor { roles, role: Some(found.ok_or_else(|| missing(oid))?) });
        }
        Some(ValueRef::Text(name)) => name,
        Some(_) => return Err(missing(&"")),
    };
    match roles.named(name) {
        Some(role) => Ok(Actor { roles, role: Some(role) }),
        // Who is trusted without a role.
        None if name == environment.session_user => Ok(Actor { roles, role: None }),
        None => Err(missing(&name)),
    }
}

/// acldefault: what there is before the first GRANT, on an object of a kind whose owner this is.
pub(super) fn default_acl(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let (Some(kind), Some(owner)) = (text_at(arguments, 0), oid_at(arguments, 1)) else { return Ok(Value::Null) };
    // Everybody's, and the owner's.
    let (all, own) = match kind {
        "r" => ("", "arwdDxt"),
        "s" => ("", "rwU"),
        "n" => ("", "UC"),
        "d" => ("Tc", "CTc"),
        "f" => ("X", "X"),
        "l" | "T" => ("U", "U"),
        "L" => ("", "rw"),
        "t" => ("", "C"),
        "F" | "S" => ("", "U"),
        "p" => ("", "sA"),
        "c" => ("", ""),
        _ => return Err(SqlError::new("22023", format!("unrecognized object type abbreviation: {kind}"))),
    };
    let given = [(EVERYBODY, all), (owner, own)].into_iter().filter(|(_, letters)| !letters.is_empty());
    let items = given.map(|(to, letters)| acl_item(&source.environment.roles, to, letters, owner));
    text(serde_json::Value::from(items.collect::<Vec<_>>()).to_string())
}

/// The privileges of a list, and whether the right to hand one on is asked for.
fn wanted(list: &str) -> Result<(Privileges, bool), SqlError> {
    let mut all = (Privileges::NONE, false);
    for name in list.split(',') {
        let upper = name.trim().to_ascii_uppercase();
        let (name, hands_on) = match upper.strip_suffix("WITH GRANT OPTION") {
            Some(name) => (name.trim_end(), true),
            None => (upper.as_str(), false),
        };
        let known = Privileges::named(name);
        let unknown = || SqlError::new("22023", format!("unrecognized privilege type: \"{name}\""));
        all = (all.0 | known.ok_or_else(unknown)?, all.1 || hands_on);
    }
    Ok(all)
}

/// User, object and privileges of a call with or without a user.
fn split<'a, 'b>(arguments: &'b Arguments<'a>) -> Option<(Option<&'b ValueRef<'a>>, ValueRef<'a>, &'a str)> {
    if arguments.iter().any(|argument| argument.is_null()) {
        return None;
    }
    match arguments {
        [object, _] => Some((None, *object, text_at(arguments, 1)?)),
        [user, object, _] => Some((Some(user), *object, text_at(arguments, 2)?)),
        [user, object, _, _] => Some((Some(user), *object, text_at(arguments, 3)?)),
        _ => None,
    }
}

fn judge(actor: Actor<'_>, object: &Object, list: &str) -> Answer {
    let (privileges, hands_on) = wanted(list)?;
    let owns = actor.has(object.access().owner());
    truth(object.privileges_of(actor).has_any(privileges) && (owns || !hands_on))
}

/// Of a relation, which may be one of the system.
fn on_relation(source: &Source<'_>, user: Option<&ValueRef<'_>>, object: ValueRef<'_>, list: &str) -> Answer {
    let actor = actor(source, user)?;
    let oid = match object {
        ValueRef::Text(name) => {
            let missing = || SqlError::new("42P01", format!("relation \"{name}\" does not exist"));
            find_relation(source, name).ok_or_else(missing)?
        }
        ValueRef::Integer(oid) => u32::try_from(oid).unwrap_or(0),
        _ => 0,
    };
    if let Some(table) = system_class(oid) {
        let reads = wanted(list)?.0.has(Privileges::SELECT) && !HIDDEN.contains(&table.name);
        return truth(reads || actor.is_superuser());
    }
    match source.catalog.object(oid) {
        Some(object) => judge(actor, object, list),
        None => Ok(Value::Null),
    }
}

pub(super) fn on_table(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let Some((user, object, list)) = split(arguments) else { return Ok(Value::Null) };
    on_relation(source, user, object, list)
}

/// Of a column: that of its table, as there are none of columns alone.
pub(super) fn on_column(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    match arguments {
        [object, _, list] => on_table(source, &[*object, *list]),
        _ => on_table(source, arguments),
    }
}

pub(super) fn on_schema(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let Some((user, object, list)) = split(arguments) else { return Ok(Value::Null) };
    let actor = actor(source, user)?;
    let schema = |catalog: &Catalog, oid: u32| match catalog.object(oid) {
        Some(object @ Object::Schema(_)) => Some(object.clone()),
        _ if oid == crate::catalog::PUBLIC_OID => catalog.schema(crate::catalog::PUBLIC),
        _ => None,
    };
    let oid = match object {
        ValueRef::Text(name) => {
            let missing = || SqlError::new("3F000", format!("schema \"{name}\" does not exist"));
            find_schema(source, name).ok_or_else(missing)?
        }
        ValueRef::Integer(oid) => u32::try_from(oid).unwrap_or(0),
        _ => 0,
    };
    match schema(source.catalog, oid) {
        Some(object) => judge(actor, &object, list),
        // The system's schemas: everybody may name what is in them.
        None => truth(wanted(list)?.0.has(Privileges::USAGE) || actor.is_superuser()),
    }
}

/// Everybody may connect to every database; who owns one may make schemas.
pub(super) fn on_database(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let Some((user, object, list)) = split(arguments) else { return Ok(Value::Null) };
    let actor = actor(source, user)?;
    let creates = list.split(',').all(|name| name.trim().eq_ignore_ascii_case("create"));
    let owns = match object {
        ValueRef::Text(name) => actor.owns_database(name),
        _ => actor.is_superuser(),
    };
    truth(!creates || owns)
}

pub(super) fn has_role(source: &Source<'_>, arguments: &Arguments<'_>) -> Answer {
    let Some((user, role, list)) = split(arguments) else { return Ok(Value::Null) };
    let by = actor(source, user)?;
    let of = actor(source, Some(&role))?.role.map_or(u32::MAX, |role: &Role| role.oid);
    let is_member = by.is_superuser() || by.roles.is_member(by.oid(), of);
    let asks = |what: &str| list.split(',').any(|name| name.trim().to_ascii_uppercase().starts_with(what));
    truth(asks("USAGE") && by.has(of) || (asks("MEMBER") || asks("SET")) && is_member)
}
