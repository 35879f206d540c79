//! CREATE, ALTER and DROP ROLE, and membership: from a command and the roles as they are to changes of the catalog.
//!
//! Who may do what is as in Postgres 16: CREATEROLE is a right over the roles that one made oneself.

use super::roles::{Actor, Membership, OWNER, Role, Roles};
use super::{Catalog, Change};
use crate::transaction::SqlError;
use std::fmt;
use std::sync::Arc;

/// A role as a command names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// By name.
    Named(String),
    /// CURRENT_USER, CURRENT_ROLE.
    Current,
    /// SESSION_USER.
    Session,
}

/// A password as a command gives it.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// NULL: none.
    None,
    /// In clear text: not to be kept, nor sent to other nodes.
    Clear(String),
    /// What may be kept of one.
    Verifier(String),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What CREATE and ALTER ROLE say; `None` where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleOptions {
    /// [NO]SUPERUSER.
    pub superuser: Option<bool>,
    /// [NO]LOGIN.
    pub login: Option<bool>,
    /// [NO]INHERIT.
    pub inherit: Option<bool>,
    /// [NO]CREATEDB.
    pub create_db: Option<bool>,
    /// [NO]CREATEROLE.
    pub create_role: Option<bool>,
    /// PASSWORD.
    pub password: Option<Password>,
    /// VALID UNTIL, microseconds since 2000-01-01 UTC; `Some(None)` is for ever.
    pub valid_until_us: Option<Option<i64>>,
    /// IN ROLE.
    pub member_of: Vec<String>,
    /// ROLE and, with true, ADMIN.
    pub members: Vec<(String, bool)>,
}

/// A command about roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleCommand {
    /// CREATE ROLE.
    Create {
        /// Name.
        name: String,
        /// What it is.
        options: RoleOptions,
    },
    /// ALTER ROLE.
    Alter {
        /// Which.
        role: RoleName,
        /// What changes.
        options: RoleOptions,
    },
    /// ALTER ROLE .. RENAME TO.
    Rename {
        /// Old name.
        from: String,
        /// New name.
        to: String,
    },
    /// ALTER ROLE .. SET and RESET.
    Set {
        /// Which.
        role: RoleName,
        /// The setting; `None` is all, with RESET.
        name: Option<String>,
        /// Its value; `None` resets it.
        value: Option<String>,
    },
    /// DROP ROLE.
    Drop {
        /// Which.
        roles: Vec<RoleName>,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// GRANT role TO role.
    Grant {
        /// Of which they become members.
        roles: Vec<String>,
        /// Who.
        to: Vec<RoleName>,
        /// WITH ADMIN OPTION.
        admin: bool,
    },
    /// REVOKE role FROM role.
    Revoke {
        /// Of which they are members no more.
        roles: Vec<String>,
        /// Who.
        from: Vec<RoleName>,
        /// ADMIN OPTION FOR: they stay members.
        admin_only: bool,
    },
}

impl RoleCommand {
    /// The command tag.
    pub fn tag(&self) -> &'static str {
        match self {
            RoleCommand::Create { .. } => "CREATE ROLE",
            RoleCommand::Alter { .. } | RoleCommand::Rename { .. } | RoleCommand::Set { .. } => "ALTER ROLE",
            RoleCommand::Drop { .. } => "DROP ROLE",
            RoleCommand::Grant { .. } => "GRANT ROLE",
            RoleCommand::Revoke { .. } => "REVOKE ROLE",
        }
    }

    /// The password that it gives.
    pub fn password_mut(&mut self) -> Option<&mut Password> {
        match self {
            RoleCommand::Create { options, .. } | RoleCommand::Alter { options, .. } => options.password.as_mut(),
            _ => None,
        }
    }
}

/// Who gives a command.
#[derive(Clone, Copy, Debug)]
pub struct Commander<'a> {
    /// The role whose rights count.
    pub current: Actor<'a>,
    /// The role that logged in.
    pub session: Actor<'a>,
}

/// What a command comes to.
#[derive(Debug, Default)]
pub struct Edit {
    /// Changes of the catalog that holds the roles; none if there is nothing to do.
    pub changes: Vec<Change>,
    /// What to tell the client: severity and notice.
    pub notices: Vec<(&'static str, SqlError)>,
}

fn error<T>(code: &str, message: impl Into<String>) -> Result<T, SqlError> {
    Err(SqlError::new(code, message))
}

fn missing(name: &str) -> SqlError {
    SqlError::new("42704", format!("role \"{name}\" does not exist"))
}

/// The roles while a command changes them.
struct Work<'a> {
    roles: Roles,
    next_oid: u32,
    changed: Vec<u32>,
    removed: Vec<u32>,
    notices: Vec<(&'static str, SqlError)>,
    by: Commander<'a>,
}

/// What a command does to the roles in `catalog`. `secret` is fresh randomness, for the first role that is made.
///
/// # Errors
/// Postgres' codes: 42501 where the commander has no right to it, 42704 and 42710 for names, 0LP01 for circles.
pub fn change_roles(
    catalog: &Catalog,
    command: &RoleCommand,
    by: Commander<'_>,
    secret: &str,
) -> Result<Edit, SqlError> {
    let roles = Roles::clone(&catalog.roles);
    let (changed, removed, notices) = (Vec::new(), Vec::new(), Vec::new());
    let mut work = Work { roles, next_oid: catalog.next_oid, changed, removed, notices, by };
    work.carry_out(command)?;
    let mut changes = Vec::new();
    if catalog.roles.secret.is_none() && !work.changed.is_empty() {
        changes.push(Change::PutSecret(secret.to_owned()));
    }
    let changed = work.changed.iter().filter_map(|oid| work.roles.get(*oid));
    changes.extend(changed.map(|role| Change::PutRole(Arc::new(role.clone()))));
    changes.extend(work.removed.iter().map(|oid| Change::Remove(*oid)));
    if work.next_oid != catalog.next_oid {
        changes.push(Change::NextOid(work.next_oid));
    }
    Ok(Edit { changes, notices: work.notices })
}

impl Work<'_> {
    fn carry_out(&mut self, command: &RoleCommand) -> Result<(), SqlError> {
        match command {
            RoleCommand::Create { name, options } => self.create(name, options),
            RoleCommand::Alter { role, options } => self.alter(role, options),
            RoleCommand::Rename { from, to } => self.rename(from, to),
            RoleCommand::Set { role, name, value } => self.set(role, name.as_deref(), value.as_deref()),
            RoleCommand::Drop { roles, if_exists } => {
                roles.iter().try_for_each(|role| self.drop_role(role, *if_exists))
            }
            RoleCommand::Grant { roles, to, admin } => {
                roles.iter().try_for_each(|of| to.iter().try_for_each(|member| self.grant(of, member, *admin)))
            }
            RoleCommand::Revoke { roles, from, admin_only } => {
                roles.iter().try_for_each(|of| from.iter().try_for_each(|member| self.revoke(of, member, *admin_only)))
            }
        }
    }

    fn find(&self, name: &str) -> Result<Role, SqlError> {
        self.roles.named(name).cloned().ok_or_else(|| missing(name))
    }

    fn resolve(&self, name: &RoleName) -> Result<Role, SqlError> {
        let acting = |actor: Actor<'_>| match actor.role {
            Some(role) => self.roles.get(role.oid).cloned().ok_or_else(|| missing(&role.name)),
            None => error("42704", "this session has no role, as its user name is none")
                .map_err(|error| error.with_hint("Name the role, or connect as one.")),
        };
        match name {
            RoleName::Named(name) => self.find(name),
            RoleName::Current => acting(self.by.current),
            RoleName::Session => acting(self.by.session),
        }
    }

    fn put(&mut self, role: Role) {
        if !self.changed.contains(&role.oid) {
            self.changed.push(role.oid);
        }
        self.roles.put(role);
    }

    /// Whether a name can be a new role's.
    fn free(&self, name: &str) -> Result<(), SqlError> {
        if name.starts_with("pg_") || matches!(name, "public" | "none") {
            return error("42939", format!("role name \"{name}\" is reserved"));
        }
        match self.roles.named(name) {
            Some(_) => error("42710", format!("role \"{name}\" already exists")),
            None => Ok(()),
        }
    }

    fn may_create_roles(&self) -> bool {
        self.by.current.is_superuser() || self.by.current.role.is_some_and(|role| role.create_role)
    }

    /// Whether the commander may change or drop a role.
    fn may_change(&self, role: &Role, what: &str) -> Result<(), SqlError> {
        let by = self.by.current;
        if by.is_superuser() {
            return Ok(());
        }
        if role.superuser {
            return error("42501", format!("must be superuser to {what} superusers"));
        }
        match self.may_create_roles() && by.administers(role.oid) {
            true => Ok(()),
            false => error("42501", format!("permission denied to {what} role")).map_err(|error| {
                let need = "Only roles with the CREATEROLE attribute and the ADMIN option on role";
                error.with_detail(format!("{need} \"{}\" may {what} this role.", role.name))
            }),
        }
    }

    fn create(&mut self, name: &str, options: &RoleOptions) -> Result<(), SqlError> {
        if !self.may_create_roles() {
            return error("42501", "permission denied to create role");
        }
        self.free(name)?;
        let role = Role::new(self.next_oid, name);
        self.next_oid += 1;
        self.put(self.with(role.clone(), options)?);
        if let Some(maker) = self.by.current.role.filter(|maker| !maker.superuser) {
            let mut maker = self.find(&maker.name)?;
            maker.member_of.push(Membership { of: role.oid, admin: true });
            self.put(maker);
        }
        for of in &options.member_of {
            self.grant(of, &RoleName::Named(name.to_owned()), false)?;
        }
        for (member, admin) in &options.members {
            self.grant(name, &RoleName::Named(member.clone()), *admin)?;
        }
        Ok(())
    }

    /// A role with the attributes that are said of it.
    fn with(&self, mut role: Role, options: &RoleOptions) -> Result<Role, SqlError> {
        let by = self.by.current;
        let is_allowed = |wanted: Option<bool>, has: bool| by.is_superuser() || wanted != Some(true) || has;
        if options.superuser.is_some_and(|wanted| wanted != role.superuser) && !by.is_superuser() {
            return error("42501", "must be superuser to make superusers, or to make them none");
        }
        let own = |has: fn(&Role) -> bool| by.role.is_some_and(has);
        if !is_allowed(options.create_db, own(|role| role.create_db)) {
            return error("42501", "must have CREATEDB to give it to others");
        }
        if !is_allowed(options.create_role, own(|role| role.create_role)) {
            return error("42501", "must have CREATEROLE to give it to others");
        }
        if role.oid == OWNER && options.superuser == Some(false) {
            return error("0A000", format!("role \"{}\" owns the system and stays a superuser", role.name));
        }
        let take = |now: &mut bool, wanted: Option<bool>| *now = wanted.unwrap_or(*now);
        take(&mut role.superuser, options.superuser);
        take(&mut role.login, options.login);
        take(&mut role.inherit, options.inherit);
        take(&mut role.create_db, options.create_db);
        take(&mut role.create_role, options.create_role);
        match &options.password {
            None => {}
            Some(Password::None) => role.password = None,
            Some(Password::Verifier(verifier)) => role.password = Some(verifier.clone()),
            Some(Password::Clear(_)) => return error("XX000", "a password in clear text must not be kept"),
        }
        if let Some(until) = options.valid_until_us {
            role.valid_until_us = until;
        }
        Ok(role)
    }

    fn alter(&mut self, name: &RoleName, options: &RoleOptions) -> Result<(), SqlError> {
        let role = self.resolve(name)?;
        let password_alone = RoleOptions { password: options.password.clone(), ..RoleOptions::default() };
        let own_password = self.by.current.role.is_some_and(|by| by.oid == role.oid) && *options == password_alone;
        if !own_password {
            self.may_change(&role, "alter")?;
        }
        if role.is_predefined() && role.oid != OWNER {
            return error("42939", format!("role name \"{}\" is reserved", role.name));
        }
        let role = self.with(role, options)?;
        self.put(role);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), SqlError> {
        let mut role = self.find(from)?;
        let is = |actor: Actor<'_>| actor.role.is_some_and(|acting| acting.oid == role.oid);
        if is(self.by.session) {
            return error("0A000", "session user cannot be renamed");
        }
        if is(self.by.current) {
            return error("0A000", "current user cannot be renamed");
        }
        if from.starts_with("pg_") {
            return error("42939", format!("role name \"{from}\" is reserved"));
        }
        self.free(to)?;
        self.may_change(&role, "rename")?;
        role.name = to.to_owned();
        self.put(role);
        Ok(())
    }

    fn set(&mut self, name: &RoleName, setting: Option<&str>, value: Option<&str>) -> Result<(), SqlError> {
        let mut role = self.resolve(name)?;
        if self.by.current.role.is_none_or(|by| by.oid != role.oid) {
            self.may_change(&role, "alter")?;
        }
        match (setting, value) {
            (None, _) => role.settings.clear(),
            (Some(setting), None) => drop(role.settings.remove(setting)),
            (Some(setting), Some(value)) => drop(role.settings.insert(setting.to_owned(), value.to_owned())),
        }
        self.put(role);
        Ok(())
    }

    fn drop_role(&mut self, name: &RoleName, if_exists: bool) -> Result<(), SqlError> {
        if !self.may_create_roles() {
            return error("42501", "permission denied to drop role");
        }
        let role = match (self.resolve(name), name) {
            (Ok(role), _) => role,
            (Err(_), RoleName::Named(name)) if if_exists => {
                let notice = format!("role \"{name}\" does not exist, skipping");
                self.notices.push(("NOTICE", SqlError::new("00000", notice)));
                return Ok(());
            }
            (Err(error), _) => return Err(error),
        };
        let is = |actor: Actor<'_>| actor.role.is_some_and(|acting| acting.oid == role.oid);
        if is(self.by.current) {
            return error("55006", "current user cannot be dropped");
        }
        if is(self.by.session) {
            return error("55006", "session user cannot be dropped");
        }
        if role.is_predefined() {
            let what = format!("cannot drop role {} because it is required by the database system", role.name);
            return error("2BP01", what);
        }
        self.may_change(&role, "drop")?;
        let members: Vec<Role> = self.roles.members_of(role.oid).cloned().collect();
        for mut member in members {
            member.member_of.retain(|membership| membership.of != role.oid);
            self.put(member);
        }
        self.roles.remove(role.oid);
        self.changed.retain(|oid| *oid != role.oid);
        self.removed.push(role.oid);
        Ok(())
    }

    /// The role of which others become members, or are members no more.
    fn group(&self, of: &str) -> Result<Role, SqlError> {
        let role = self.find(of)?;
        let by = self.by.current;
        // What a command made is its maker's before the catalog says so.
        let made_now = !by.roles.iter().any(|known| known.oid == role.oid);
        match (role.superuser && !by.is_superuser(), by.administers(role.oid) || made_now) {
            (true, _) => error("42501", "must be superuser to make members of superusers"),
            (_, true) => Ok(role),
            _ => error("42501", format!("must have admin option on role \"{of}\"")),
        }
    }

    fn grant(&mut self, of: &str, member: &RoleName, admin: bool) -> Result<(), SqlError> {
        let (of, mut member) = (self.group(of)?, self.resolve(member)?);
        if self.roles.is_member(of.oid, member.oid) {
            return error("0LP01", format!("role \"{}\" is a member of role \"{}\"", of.name, member.name));
        }
        match member.member_of.iter_mut().find(|membership| membership.of == of.oid) {
            Some(known) if known.admin || !admin => {
                let notice = format!("role \"{}\" is already a member of role \"{}\"", member.name, of.name);
                self.notices.push(("NOTICE", SqlError::new("00000", notice)));
                return Ok(());
            }
            Some(known) => known.admin = true,
            None => member.member_of.push(Membership { of: of.oid, admin }),
        }
        self.put(member);
        Ok(())
    }

    fn revoke(&mut self, of: &str, member: &RoleName, admin_only: bool) -> Result<(), SqlError> {
        let (of, mut member) = (self.group(of)?, self.resolve(member)?);
        let known = member.member_of.iter_mut().find(|membership| membership.of == of.oid);
        let Some(known) = known else {
            let notice = format!("role \"{}\" is not a member of role \"{}\"", member.name, of.name);
            self.notices.push(("WARNING", SqlError::new("01000", notice)));
            return Ok(());
        };
        known.admin = false;
        if !admin_only {
            member.member_of.retain(|membership| membership.of != of.oid);
        }
        self.put(member);
        Ok(())
    }
}

#[cfg(test)]
#[path = "role_commands_tests.rs"]
mod tests;
