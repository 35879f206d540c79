//! Who a session acts for, and what that one may do.
//!
//! A statement is judged when it runs, by the newest grants that this node has accepted: a grant that was taken away
//! counts from the next statement on, also inside a transaction block. Replicas judge nothing; what a statement was
//! judged by cannot change before it executes, as far as it is in the catalog of its own database (a transaction that
//! meets another one is translated, and judged, again).

use super::cache::Plan;
use super::client::{Done, Session};
use super::utility::tagged;
use crate::catalog::Catalog;
use crate::catalog::privileges::{Need, permit};
use crate::catalog::roles::{Actor, OWNER, Roles};
use crate::transaction::SqlError;
use crate::wire::{Outbox, message};

/// The settings that say for whom a session acts.
pub const ROLE: &str = "role";
/// See [`ROLE`].
pub const SESSION_AUTHORIZATION: &str = "session_authorization";

/// Who logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Somebody who is trusted without a role of the name, and may do everything.
    Trusted,
    /// The role with this OID.
    Role(u32),
}

impl Login {
    fn actor(self, roles: &Roles) -> Actor<'_> {
        match self {
            Login::Trusted => Actor { roles, role: None },
            Login::Role(oid) => Actor::of(roles, oid),
        }
    }
}

impl Session {
    /// Whether it acts for who may do everything, whatever is granted or taken.
    fn acts_for_owner(&self) -> bool {
        let is_itself = self.settings.active().acts_as.is_none();
        is_itself && matches!(self.login, Login::Trusted | Login::Role(OWNER))
    }

    /// For whom it acts now.
    pub(super) fn actor<'a>(&self, roles: &'a Roles) -> Actor<'a> {
        match &self.settings.active().acts_as {
            None => self.login.actor(roles),
            Some(oid) => Actor::of(roles, *oid),
        }
    }

    /// For whom it acts without SET ROLE.
    pub(super) fn session_actor<'a>(&self, roles: &'a Roles) -> Actor<'a> {
        match &self.settings.active().authorized {
            None => self.login.actor(roles),
            Some(oid) => Actor::of(roles, *oid),
        }
    }

    /// Whether a translation may run: by this catalog, for which it was made, and inside a block by the newest one.
    pub(super) async fn permit(&self, plan: &Plan, catalog: &Catalog) -> Result<(), SqlError> {
        self.temporary.check(catalog, self.transaction.is_some())?;
        self.permit_needs(&plan.prepared.needs, catalog).await
    }

    /// As [`Session::permit`], of these needs.
    pub(super) async fn permit_needs(&self, needs: &[Need], catalog: &Catalog) -> Result<(), SqlError> {
        // Somebody else's right is asked for inside views alone.
        let of_others = |need: &Need| matches!(need, Need::On { by: Some(_), .. });
        if needs.is_empty() || self.acts_for_owner() && !needs.iter().any(of_others) {
            return Ok(());
        }
        let newest = match &self.transaction {
            Some(block) if !block.schema_changed => Some(self.pin().await?.catalog),
            _ => None,
        };
        let roles = self.front.gateway.roles();
        let actor = self.actor(&roles);
        needs.iter().try_for_each(|need| permit(catalog, actor, need))?;
        match newest.filter(|newest| newest.version != catalog.version) {
            Some(newest) => needs.iter().try_for_each(|need| permit(&newest, actor, need)),
            None => Ok(()),
        }
    }

    /// SET ROLE and SET SESSION AUTHORIZATION; `None`, `none` and `default` go back.
    pub(super) fn set_identity(
        &mut self,
        setting: &str,
        name: Option<&str>,
        local: bool,
        roles: &Roles,
    ) -> Result<Option<&'static str>, SqlError> {
        let goes_back = match setting {
            ROLE => "none",
            _ => "default",
        };
        let mut role = None;
        if let Some(name) = name.filter(|name| *name != goes_back) {
            let wanted = roles.named(name);
            let wanted = wanted.ok_or_else(|| SqlError::new("22023", format!("role \"{name}\" does not exist")))?;
            let (allowed, what) = match setting {
                ROLE => {
                    let by = self.session_actor(roles);
                    (by.is_superuser() || roles.is_member(by.oid(), wanted.oid), format!("set role \"{name}\""))
                }
                _ => {
                    let by = self.login.actor(roles);
                    (by.is_superuser() || by.oid() == wanted.oid, "set session authorization".to_owned())
                }
            };
            if !allowed {
                return Err(SqlError::new("42501", format!("permission denied to {what}")));
            }
            role = Some(wanted);
        }
        if local && self.transaction.is_none() {
            return Ok(None);
        }
        if setting == SESSION_AUTHORIZATION {
            // It takes the role of before with it, as in Postgres.
            self.settings.act_as(ROLE, None, local)?;
        }
        self.settings.act_as(setting, role, local)
    }

    pub(super) fn set_identity_command(
        &mut self,
        setting: &str,
        name: Option<&str>,
        local: bool,
        roles: &Roles,
        out: &mut Outbox,
    ) -> Done {
        if let Some(told) = self.set_identity(setting, name, local, roles)? {
            message::parameter_status(&mut out.buffer, told, &self.settings.get(told)?);
        }
        tagged("SET", out)
    }
}
