//! What SQL can ask of server and session through pg_catalog and its functions, brought to the connection
//! before a statement that asks, and what set_config changed, brought back after it.

use super::client::Session;
use super::identity::{ROLE, SESSION_AUTHORIZATION};
use super::settings::Settings;
use super::view::SessionView;
use crate::catalog::relations::{Environment, Live, Setting};
use crate::dialect::Prepared;
use crate::transaction::SqlError;
use crate::wire::{Outbox, message};
use std::sync::Arc;

/// Server and session at one moment.
pub struct System {
    environment: Arc<Environment>,
    live: Live,
}

impl System {
    /// Brings it to a connection.
    pub fn bring(self, view: &mut SessionView, sql: &[Arc<str>]) -> Result<(), SqlError> {
        view.renew_system(&self.environment, self.live, sql)
    }
}

/// Whether a statement asks for more than rows of tables.
pub fn asks(prepared: &Prepared) -> bool {
    prepared.uses_catalog || prepared.uses_system_values
}

impl Session {
    /// What a statement that asks is told; `None` for the others.
    pub(super) fn system(&self, prepared: &Prepared) -> Option<System> {
        if !asks(prepared) {
            return None;
        }
        let gateway = &self.front.gateway;
        let dialect = &self.settings.active().dialect;
        let environment = Environment {
            database: self.database.to_string(),
            user: dialect.user.clone(),
            session_user: dialect.session_user.clone(),
            search_path: dialect.search_path.clone(),
            backend_pid: self.registration.process,
            ..gateway.environment()
        };
        let settings = self.settings.all().into_iter().map(|(name, value)| {
            let reset = self.settings.reset_value(name);
            (name.to_ascii_lowercase(), Setting { value, reset })
        });
        let live = Live { settings: settings.collect(), ..gateway.live() };
        Some(System { environment: Arc::new(environment), live })
    }

    /// Takes over what set_config changed.
    pub(super) fn take_setting_changes(
        &mut self,
        changes: Vec<crate::catalog::functions::SettingChange>,
        out: &mut Outbox,
    ) -> Result<(), SqlError> {
        for change in changes {
            let name = change.name.to_ascii_lowercase();
            if let ROLE | SESSION_AUTHORIZATION = name.as_str() {
                let roles = self.front.gateway.roles();
                self.set_identity(&name, change.value.as_deref(), change.is_local, &roles)?;
            } else if let Some(told) = self.settings.set(&change.name, change.value.as_deref(), change.is_local)? {
                let value = self.settings.get(told)?;
                message::parameter_status(&mut out.buffer, &Settings::display_name(told), &value);
            }
        }
        Ok(())
    }
}
