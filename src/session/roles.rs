//! CREATE ROLE and its relatives, and GRANT, as statements of a session.
//!
//! Roles live in a database of their own choice ([`ROLES_DATABASE`]), so a command about them is a transaction there,
//! whatever the session is connected to, and stands alone. Of a password only what may be kept of it leaves this node.

use super::admission::{random, verifier_of};
use super::cache::Plan;
use super::client::{Done, Session};
use super::front::gateway_error;
use super::gateway::{GatewayError, Pinned, ReadLevel};
use super::one_shot::{STALE_MAX, command_complete, void};
use super::settings::Settings;
use crate::catalog::Change;
use crate::catalog::privileges::EVERYBODY;
use crate::catalog::role_commands::{Commander, Edit, Password, RoleCommand, RoleName, change_roles};
use crate::catalog::roles::{ROLES_DATABASE, Roles};
use crate::dialect::utility::{Grant, Grantee};
use crate::transaction::{Operation, Outcome, SqlError, Statement, Transaction};
use crate::wire::{Outbox, message};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;

/// Bytes of the secret that names without a password get.
const SECRET_BYTES: usize = 32;

impl Session {
    /// The database of the roles, as fresh as can be had.
    async fn roles_pinned(&self) -> Result<Pinned, SqlError> {
        let soon = self.front.gateway.read_snapshot(&ROLES_DATABASE.into(), ReadLevel::Strict, None);
        soon.get().await.map_err(|error| match error {
            GatewayError::NoDatabase(_) => {
                let message = format!("roles are kept in the database \"{ROLES_DATABASE}\", which was dropped");
                SqlError::new("3D000", message).with_hint("Create it again.")
            }
            error => gateway_error(error),
        })
    }

    /// A command about roles.
    pub(super) async fn role_command(&mut self, command: &RoleCommand, out: &mut Outbox) -> Done {
        if self.transaction.is_some() {
            let message = format!("{} cannot run inside a transaction block", command.tag());
            return Err(SqlError::new("25001", message).with_hint("Send it as a statement of its own.").into());
        }
        let mut command = command.clone();
        if let Some(password @ Password::Clear(_)) = command.password_mut() {
            let Password::Clear(clear) = &*password else { return Err(Session::violation("no password")) };
            *password = Password::Verifier(verifier_of(clear)?);
        }
        if let RoleCommand::Set { name: Some(name), value: Some(value), .. } = &command {
            Settings::check_default(name, value)?;
        }
        out.flush_if_due().await?;
        let secret = STANDARD.encode(random::<SECRET_BYTES>()?);
        let edit = self
            .edit_roles(|session, pinned| {
                let roles = &pinned.catalog.roles;
                let by = Commander { current: session.actor(roles), session: session.session_actor(roles) };
                change_roles(&pinned.catalog, &command, by, &secret)
            })
            .await?;
        for (severity, notice) in &edit.notices {
            out.notice(severity, notice);
        }
        message::command_complete(&mut out.buffer, command.tag());
        Ok(())
    }

    /// Carries out a change of the roles, thought out anew whenever something changed meanwhile.
    pub(super) async fn edit_roles(
        &mut self,
        edit: impl Fn(&Session, &Pinned) -> Result<Edit, SqlError>,
    ) -> Result<Edit, SqlError> {
        for _ in 0..STALE_MAX {
            let pinned = self.roles_pinned().await?;
            let edit = edit(self, &pinned)?;
            for change in &edit.changes {
                if let Change::Remove(oid) = change {
                    self.check_unused(*oid, &pinned.catalog.roles).await?;
                }
            }
            if edit.changes.is_empty() {
                return Ok(edit);
            }
            let operations = edit.changes.iter().map(|change| {
                let (sql, parameters) = change.statement();
                let (sql, changes_schema) = (vec![sql.into()], true);
                Operation::Statement(Statement { sql, parameters, changes_schema, ..Statement::default() })
            });
            let transaction = Transaction {
                id: self.next_id(),
                database: ROLES_DATABASE.into(),
                catalog: pinned.catalog.version,
                begun: None,
                expires_at_index: 0,
                operations: operations.collect(),
            };
            if self.is_done(transaction).await? {
                return Ok(edit);
            }
        }
        Err(SqlError::new("40001", "the roles keep changing"))
    }

    /// Whether a transaction took effect; if not, what it was translated for has changed.
    async fn is_done(&mut self, transaction: Transaction) -> Result<bool, SqlError> {
        match self.outcome_of(transaction).await? {
            Outcome::Committed(_) => Ok(true),
            Outcome::Stale => Ok(false),
            Outcome::Failed { error, .. } => Err(error),
            Outcome::Void => Err(void()),
            Outcome::Conflict { .. } | Outcome::Expired => {
                let error = SqlError::new("40001", "the transaction was not executed");
                Err(error.with_hint("The transaction might succeed if retried."))
            }
            Outcome::AlreadyDone => {
                Err(gateway_error(GatewayError::Unknown("it was executed, its answer is gone".into())))
            }
        }
    }

    /// A role that owns something or was granted something is not dropped.
    async fn check_unused(&self, oid: u32, roles: &Roles) -> Result<(), SqlError> {
        let mut detail = String::new();
        for database in self.front.gateway.environment().databases {
            let name: Arc<str> = database.name.as_str().into();
            let Ok(pinned) = self.front.gateway.read_snapshot(&name, ReadLevel::Strict, None).get().await else {
                continue;
            };
            for object in pinned.catalog.objects().filter(|object| object.access().concerns(oid)) {
                let what = if object.access().owner() == oid { "owner of" } else { "privileges for" };
                let _ = writeln!(detail, "{what} {} {} in database {name}", object.kind(), object.full_name().1);
            }
        }
        let role = roles.get(oid);
        for database in role.iter().flat_map(|role| &role.databases) {
            let _ = writeln!(detail, "owner of database {database}");
        }
        if detail.is_empty() {
            return Ok(());
        }
        let name = role.map_or("", |role| role.name.as_str());
        let message = format!("role \"{name}\" cannot be dropped because some objects depend on it");
        Err(SqlError::new("2BP01", message).with_detail(detail.trim_end()))
    }

    /// GRANT, REVOKE, OWNER TO.
    pub(super) async fn grant(&mut self, grant: &Grant, out: &mut Outbox) -> Done {
        let script = self.front.cache.borrow_mut().script(&grant.text)?;
        let Some(text) = script.statements.first() else { return Err(Session::violation("no statement")) };
        for _ in 0..STALE_MAX {
            let catalog = self.catalog().await?;
            let mut plan = Rc::new(self.grant_plan(grant, &catalog).await?);
            self.permit(&plan, &catalog).await?;
            if plan.prepared.sql.is_empty() {
                command_complete(plan.prepared.tag, 0, &mut out.buffer);
                return Ok(());
            }
            if self.transaction.is_some() {
                // The block may stand on another catalog than it was looked up in.
                self.ensure_pinned(false, out).await?;
                let pinned = self.catalog().await?;
                if pinned.version != catalog.version {
                    plan = Rc::new(self.grant_plan(grant, &pinned).await?);
                }
                self.run_in_block(text, &mut plan, &[], &[], None, out).await?;
                command_complete(plan.prepared.tag, 0, &mut out.buffer);
                return Ok(());
            }
            out.flush_if_due().await?;
            let statement = Statement { sql: plan.prepared.sql.clone(), changes_schema: true, ..Statement::default() };
            let transaction = Transaction {
                id: self.next_id(),
                database: self.database.clone(),
                catalog: plan.catalog,
                begun: None,
                expires_at_index: 0,
                operations: vec![Operation::Statement(statement)],
            };
            if self.is_done(transaction).await? {
                command_complete(plan.prepared.tag, 0, &mut out.buffer);
                return Ok(());
            }
        }
        Err(SqlError::new("40001", "the schema keeps changing").into())
    }

    async fn grant_plan(&self, grant: &Grant, catalog: &Arc<crate::catalog::Catalog>) -> Result<Plan, SqlError> {
        let roles = self.roles_pinned().await?.catalog.roles.clone();
        let acting = |actor: crate::catalog::roles::Actor<'_>| actor.oid();
        let resolve = |grantee: &Grantee| match grantee {
            Grantee::Everybody => Ok(EVERYBODY),
            Grantee::Role(RoleName::Named(name)) => {
                let missing = || SqlError::new("42704", format!("role \"{name}\" does not exist"));
                roles.named(name).map(|role| role.oid).ok_or_else(missing)
            }
            Grantee::Role(RoleName::Current) => Ok(acting(self.actor(&roles))),
            Grantee::Role(RoleName::Session) => Ok(acting(self.session_actor(&roles))),
        };
        let settings = &self.settings.active().dialect;
        let prepared = crate::dialect::prepare_grant(grant, catalog, settings, &resolve)?;
        Ok(Plan::made(prepared, catalog, settings))
    }

    /// The role that made a database owns it, and nobody does who made one of the name before.
    pub(super) async fn note_database(&mut self, name: &str, made: bool) -> Result<(), SqlError> {
        let edit = self.edit_roles(|session, pinned| {
            let roles = &pinned.catalog.roles;
            let maker = session.actor(roles).role.filter(|role| made && !role.is_predefined()).map(|role| role.oid);
            let mut changes = Vec::new();
            for role in roles.iter() {
                let (owns, should) = (role.databases.iter().any(|known| known == name), maker == Some(role.oid));
                if owns != should {
                    let mut role = role.clone();
                    role.databases.retain(|known| known != name);
                    role.databases.extend(should.then(|| name.to_owned()));
                    changes.push(Change::PutRole(Arc::new(role)));
                }
            }
            Ok(Edit { changes, notices: Vec::new() })
        });
        edit.await.map(|_| ())
    }
}
