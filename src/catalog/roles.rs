//! Roles: who may log in, with what password, and whose rights they have. They belong to the server, not to a database,
//! and are rows of the catalog of one of them ([`ROLES_DATABASE`]).
//!
//! Invariants
//! 1. [`OWNER`] is always there, and a superuser: it owns what nobody in particular owns.
//! 2. No role is, by whatever way, a member of itself.
//! 3. OIDs are never handed out again, so what refers to a dropped role refers to nobody.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

/// The database in whose catalog roles are kept.
pub const ROLES_DATABASE: &str = "postgres";
/// OID of the role that owns everything at first.
pub const OWNER: u32 = 10;
/// OID of the row with the secret of names that have no password.
pub(super) const SECRET_OID: u32 = 1;
/// Members may see what others do.
pub const MONITOR: u32 = 3373;
/// Members may read all tables, views and sequences.
pub const READ_ALL_DATA: u32 = 6181;
/// Members may change all tables, views and sequences.
pub const WRITE_ALL_DATA: u32 = 6182;

/// A role of which another one is a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Membership {
    /// Its OID.
    pub of: u32,
    /// The member may make others members.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
}

/// A role: a user, or a group of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Role {
    /// OID.
    pub oid: u32,
    /// Name.
    pub name: String,
    /// May do all.
    #[serde(default)]
    pub superuser: bool,
    /// May begin a session.
    #[serde(default)]
    pub login: bool,
    /// Has the rights of the roles of which it is a member without SET ROLE.
    #[serde(default)]
    pub inherit: bool,
    /// May make databases.
    #[serde(default)]
    pub create_db: bool,
    /// May make roles, and change those that it made.
    #[serde(default)]
    pub create_role: bool,
    /// What is kept of its password, as [`crate::scram::Verifier`] prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The password counts until then, in microseconds since 2000-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until_us: Option<i64>,
    /// Roles of which it is a member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub member_of: Vec<Membership>,
    /// Databases that it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// Settings that its sessions begin with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

impl Role {
    /// A role that may do nothing yet.
    pub fn new(oid: u32, name: impl Into<String>) -> Role {
        Role {
            oid,
            name: name.into(),
            superuser: false,
            login: false,
            inherit: true,
            create_db: false,
            create_role: false,
            password: None,
            valid_until_us: None,
            member_of: Vec::new(),
            databases: Vec::new(),
            settings: BTreeMap::new(),
        }
    }

    /// Whether it was always there.
    pub fn is_predefined(&self) -> bool {
        self.oid < super::FIRST_OID
    }
}

/// All roles of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Roles {
    by_oid: BTreeMap<u32, Arc<Role>>,
    /// Makes what names without a password show of one; there once a role was made.
    pub(super) secret: Option<String>,
}

impl Default for Roles {
    fn default() -> Self {
        let owner =
            Role { superuser: true, login: true, create_db: true, create_role: true, ..Role::new(OWNER, "evesql") };
        let groups =
            [(MONITOR, "pg_monitor"), (READ_ALL_DATA, "pg_read_all_data"), (WRITE_ALL_DATA, "pg_write_all_data")];
        let groups = groups.map(|(oid, name)| Role::new(oid, name));
        let all = groups.into_iter().chain([owner]);
        Roles { by_oid: all.map(|role| (role.oid, Arc::new(role))).collect(), secret: None }
    }
}

impl Roles {
    /// The role with this OID.
    pub fn get(&self, oid: u32) -> Option<&Role> {
        self.by_oid.get(&oid).map(Arc::as_ref)
    }
    /// The role of this name.
    pub fn named(&self, name: &str) -> Option<&Role> {
        self.iter().find(|role| role.name == name)
    }
    /// All of them, by OID.
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.by_oid.values().map(Arc::as_ref)
    }
    /// Members of a role, of their own.
    pub fn members_of(&self, oid: u32) -> impl Iterator<Item = &Role> {
        self.iter().filter(move |role| role.member_of.iter().any(|membership| membership.of == oid))
    }
    /// Makes what a name without a password shows of one, if any role ever had one.
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    pub(super) fn put(&mut self, role: Role) {
        self.by_oid.insert(role.oid, Arc::new(role));
    }
    pub(super) fn remove(&mut self, oid: u32) {
        self.by_oid.remove(&oid);
    }

    /// Whether a role is another one, or a member of it by whatever way: then it may take its place by SET ROLE.
    pub fn is_member(&self, oid: u32, of: u32) -> bool {
        self.reaches(oid, of, |_| true)
    }

    /// Whether a role has the rights of another one as it is.
    pub fn inherits(&self, oid: u32, of: u32) -> bool {
        self.reaches(oid, of, |role| role.inherit)
    }

    fn reaches(&self, oid: u32, of: u32, goes_on: impl Fn(&Role) -> bool) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![oid]);
        while let Some(at) = open.pop() {
            if at == of {
                return true;
            }
            if let Some(role) = self.get(at).filter(|role| seen.insert(role.oid) && goes_on(role)) {
                open.extend(role.member_of.iter().map(|membership| membership.of));
            }
        }
        false
    }
}

/// In place of a role that is gone.
static NOBODY: LazyLock<Role> = LazyLock::new(|| Role::new(u32::MAX, ""));

/// For whom something is done.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    /// All roles.
    pub roles: &'a Roles,
    /// The one in question; `None` for who is trusted without one, and may do all.
    pub role: Option<&'a Role>,
}

impl<'a> Actor<'a> {
    /// For a role that may be gone: then nobody, who may do nothing.
    pub fn of(roles: &'a Roles, oid: u32) -> Actor<'a> {
        Actor { roles, role: Some(roles.get(oid).unwrap_or(&NOBODY)) }
    }
    /// Whether everything is allowed.
    pub fn is_superuser(&self) -> bool {
        self.role.is_none_or(|role| role.superuser)
    }
    /// The OID of the role; that of the owner of everything for who is trusted.
    pub fn oid(&self) -> u32 {
        self.role.map_or(OWNER, |role| role.oid)
    }
    /// Whether it has the rights of a role.
    pub fn has(&self, oid: u32) -> bool {
        self.is_superuser() || self.roles.inherits(self.oid(), oid)
    }
    /// Whether it made a database, or may do as if it had.
    pub fn owns_database(&self, name: &str) -> bool {
        let owns = |role: &Role| role.databases.iter().any(|database| database == name);
        self.is_superuser() || self.roles.iter().any(|role| owns(role) && self.has(role.oid))
    }
    /// Whether it may make others members of a role, and change it.
    pub fn administers(&self, oid: u32) -> bool {
        let admin = |role: &Role| role.member_of.iter().any(|membership| membership.of == oid && membership.admin);
        self.is_superuser() || self.roles.iter().any(|role| admin(role) && self.has(role.oid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(all: &[(u32, bool, &[u32])]) -> Roles {
        let mut roles = Roles::default();
        for (oid, inherit, of) in all {
            let member_of = of.iter().map(|of| Membership { of: *of, admin: false }).collect();
            roles.put(Role { inherit: *inherit, member_of, ..Role::new(*oid, format!("r{oid}")) });
        }
        roles
    }

    #[test]
    fn membership_goes_from_group_to_group_and_ends_where_a_role_does_not_inherit() {
        let roles = roles(&[(1, true, &[2]), (2, false, &[3]), (3, true, &[READ_ALL_DATA]), (4, true, &[])]);
        assert!(roles.is_member(1, READ_ALL_DATA) && roles.is_member(1, 1));
        assert!(!roles.is_member(3, 1) && !roles.is_member(4, 1));
        assert!(roles.inherits(1, 2) && !roles.inherits(1, 3) && roles.inherits(3, READ_ALL_DATA));
        let actor = |oid| Actor { roles: &roles, role: roles.get(oid) };
        assert!(actor(3).has(READ_ALL_DATA) && !actor(2).has(READ_ALL_DATA));
        assert!(actor(OWNER).has(4) && Actor { roles: &roles, role: None }.is_superuser());
    }

    #[test]
    fn who_is_gone_may_do_nothing() {
        let roles = roles(&[]);
        let actor = Actor::of(&roles, 99);
        assert!(!actor.is_superuser() && !actor.has(READ_ALL_DATA) && !actor.administers(MONITOR));
    }
}
