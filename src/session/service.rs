//! Admits clients: the end of start-up, from the name of the database to the first ReadyForQuery.

use super::client::Session;
use super::front::Front;
use super::gateway::Gateway;
use crate::transaction::SqlError;
use crate::wire::{Hello, Outbox, Registration, Service, message};
use pgwire::messages::Message;
use pgwire::messages::startup::{Authentication, BackendKeyData, SecretKey};
use std::rc::Rc;
use std::sync::Arc;

/// The sessions of one front thread.
pub struct SessionService {
    front: Rc<Front>,
}

impl SessionService {
    /// For a thread that serves this node's clients.
    pub fn new(gateway: Arc<dyn Gateway>) -> Self {
        SessionService { front: Front::new(gateway) }
    }
}

impl Service for SessionService {
    type Handler = Session;

    async fn open(
        &self,
        hello: &Hello,
        registration: Arc<Registration>,
        out: &mut Outbox,
    ) -> Result<Session, SqlError> {
        let database = hello.database();
        if !self.front.gateway.has_database(database) {
            return Err(SqlError::new("3D000", format!("database \"{database}\" does not exist")));
        }
        let key = BackendKeyData::new(registration.process, SecretKey::I32(registration.secret));
        let session = Session::new(self.front.clone(), registration, hello);
        // Trust: the front listens on loopback only unless users are configured.
        let encoded = Authentication::Ok.encode(&mut out.buffer).is_ok();
        for (name, value) in session.settings.reported() {
            message::parameter_status(&mut out.buffer, name, &value);
        }
        if !encoded || key.encode(&mut out.buffer).is_err() {
            return Err(SqlError::new("XX000", "the start-up answer could not be written"));
        }
        message::ready_for_query(&mut out.buffer, session.status.byte());
        Ok(session)
    }
}
