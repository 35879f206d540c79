//! Roles: pg_authid, pg_roles, pg_user, pg_shadow, pg_auth_members, pg_db_role_setting; and ACLs as PostgreSQL prints them.

use super::environment::Source;
use super::row::{Rows, cell};
use super::server::UNLISTED;
use crate::catalog::definitions::quote_ident;
use crate::catalog::privileges::{EVERYBODY, Privileges};
use crate::catalog::roles::{OWNER, Role, Roles};
use crate::catalog::{Object, PUBLIC};
use std::borrow::Cow;

/// The roles, and who is trusted without one if the session is its.
fn all<'a>(source: &Source<'a>) -> Vec<Cow<'a, Role>> {
    let environment = source.environment;
    let mut roles: Vec<_> = environment.roles.iter().map(Cow::Borrowed).collect();
    let user = &environment.session_user;
    if environment.roles.named(user).is_none() {
        let trusted =
            Role { superuser: true, login: true, create_db: true, create_role: true, ..Role::new(UNLISTED, user) };
        roles.push(Cow::Owned(trusted));
    }
    roles
}

/// pg_authid and pg_roles.
pub(super) fn roles(source: &Source<'_>, rows: &mut Rows) {
    let hidden = rows.table().name == "pg_roles";
    for role in all(source) {
        let password = if hidden { Some("********") } else { role.password.as_deref() };
        rows.add([
            ("oid", cell(role.oid)),
            ("rolname", cell(&role.name)),
            ("rolsuper", cell(role.superuser)),
            ("rolinherit", cell(role.inherit)),
            ("rolcreaterole", cell(role.superuser || role.create_role)),
            ("rolcreatedb", cell(role.superuser || role.create_db)),
            ("rolcanlogin", cell(role.login)),
            ("rolreplication", cell(role.superuser)),
            ("rolbypassrls", cell(role.superuser)),
            ("rolconnlimit", cell(-1)),
            ("rolpassword", cell(password)),
            ("rolvaliduntil", cell(role.valid_until_us)),
            ("rolconfig", cell(config(&role))),
        ]);
    }
}

/// pg_user and pg_shadow: who can log in.
pub(super) fn users(source: &Source<'_>, rows: &mut Rows) {
    let hidden = rows.table().name == "pg_user";
    for role in all(source).into_iter().filter(|role| role.login) {
        let password = if hidden { Some("********") } else { role.password.as_deref() };
        rows.add([
            ("usename", cell(&role.name)),
            ("usesysid", cell(role.oid)),
            ("usecreatedb", cell(role.superuser || role.create_db)),
            ("usesuper", cell(role.superuser)),
            ("userepl", cell(role.superuser)),
            ("usebypassrls", cell(role.superuser)),
            ("passwd", cell(password)),
            ("valuntil", cell(role.valid_until_us)),
            ("useconfig", cell(config(&role))),
        ]);
    }
}

/// pg_auth_members.
pub(super) fn memberships(source: &Source<'_>, rows: &mut Rows) {
    for role in source.environment.roles.iter() {
        for membership in &role.member_of {
            rows.add([
                ("roleid", cell(membership.of)),
                ("member", cell(role.oid)),
                ("grantor", cell(OWNER)),
                ("admin_option", cell(membership.admin)),
            ]);
        }
    }
}

/// pg_db_role_setting.
pub(super) fn settings(source: &Source<'_>, rows: &mut Rows) {
    for role in source.environment.roles.iter() {
        if let Some(config) = config(role) {
            rows.add([("setdatabase", cell(0)), ("setrole", cell(role.oid)), ("setconfig", cell(config.as_slice()))]);
        }
    }
}

/// Settings as `name=value`, if there are any.
fn config(role: &Role) -> Option<Vec<String>> {
    let all: Vec<String> = role.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (!all.is_empty()).then_some(all)
}

/// An object's ACL; `None` while it is as it was made.
pub(super) fn acl(source: &Source<'_>, object: &Object) -> Option<Vec<String>> {
    let access = object.access();
    // Everybody may name what is in `public`, and pg_dump expects to read so.
    let is_public = matches!(object, Object::Schema(schema) if schema.name == PUBLIC);
    if access.granted.is_empty() && !is_public {
        return None;
    }
    let roles = &source.environment.roles;
    let owner = access.owner();
    let own = (owner, object.all_privileges().letters());
    let mut access = access.clone();
    if is_public {
        access.grant(EVERYBODY, Privileges::USAGE);
    }
    let granted = access.granted.iter().map(|granted| (granted.to, granted.privileges.letters()));
    Some(std::iter::once(own).chain(granted).map(|(to, letters)| acl_item(roles, to, &letters, owner)).collect())
}

/// `who=what/by whom`.
pub fn acl_item(roles: &Roles, to: u32, letters: &str, by: u32) -> String {
    let name = |oid: u32| match oid {
        EVERYBODY => String::new(),
        oid => roles.get(oid).map_or_else(|| oid.to_string(), |role| quote_ident(&role.name)),
    };
    format!("{}={letters}/{}", name(to), name(by))
}
