//! Admits clients: the end of start-up, from the name of the database to the first ReadyForQuery.

use super::admission::{Admission, admit};
use super::client::Session;
use super::front::Front;
use super::gateway::{Gateway, ReadLevel};
use crate::transaction::SqlError;
use crate::wire::{Hello, Link, NotAdmitted, Registration, Service, Talk, message};
use pgwire::messages::Message;
use pgwire::messages::startup::{Authentication, BackendKeyData, SecretKey};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How often idle connections are moved to the newest version.
const IDLE_REFRESH: Duration = Duration::from_millis(200);

/// The sessions of one front thread.
pub struct SessionService {
    front: Rc<Front>,
    rules: Admission,
    refreshes: Cell<bool>,
}

impl SessionService {
    /// For a thread that serves this node's clients.
    pub fn new(gateway: Arc<dyn Gateway>, rules: Admission) -> Self {
        SessionService { front: Front::new(gateway), rules, refreshes: Cell::new(false) }
    }

    /// Starts the thread's housekeeping with its first client.
    fn start_housekeeping(&self) {
        if self.refreshes.replace(true) {
            return;
        }
        self.front.watch_leftovers();
        let front = Rc::downgrade(&self.front);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(IDLE_REFRESH).await;
                let Some(front) = front.upgrade() else { return };
                front.holds.end_old();
                for database in front.pooled() {
                    let newest = front.gateway.read_snapshot(&database, ReadLevel::Local, None);
                    if let Ok(pinned) = newest.get().await {
                        front.refresh_idle(&database, &pinned);
                    }
                }
            }
        });
    }
}

impl Service for SessionService {
    type Handler = Session;

    async fn open(
        &self,
        hello: &Hello,
        registration: Arc<Registration>,
        link: &Rc<Link>,
        talk: &mut Talk,
    ) -> Result<Session, NotAdmitted> {
        self.start_housekeeping();
        let roles = self.front.roles().await?;
        let role = admit(self.rules, hello, &roles, self.front.gateway.now_us(), talk).await?;
        let out = &mut talk.out;
        let database = hello.database();
        // Its node may lag behind the one that acknowledged it; what it has is readable, with or without a leader.
        if !self.front.gateway.has_database(database) && !self.front.has_database(database).await? {
            return Err(SqlError::new("3D000", format!("database \"{database}\" does not exist")).into());
        }
        let key = BackendKeyData::new(registration.process, SecretKey::I32(registration.secret));
        let session = Session::new(self.front.clone(), registration, link.clone(), hello, role.as_ref());
        let encoded = Authentication::Ok.encode(&mut out.buffer).is_ok();
        for (name, value) in session.settings.reported() {
            message::parameter_status(&mut out.buffer, name, &value);
        }
        if !encoded || key.encode(&mut out.buffer).is_err() {
            return Err(SqlError::new("XX000", "the start-up answer could not be written").into());
        }
        message::ready_for_query(&mut out.buffer, session.status.byte());
        Ok(session)
    }
}
