//! LISTEN, NOTIFY and UNLISTEN.
//!
//! ```text
//!   NOTIFY -> a row of evesql_notifications, as any other -> accepted -> every front thread that has listeners reads
//!   the rows that are new in the newest version -> each listener's queue -> its client, between two transactions
//! ```
//!
//! Rows are numbered in the order in which they took effect, and replicas agree on them, so every node tells the same in the
//! same order, also one that was repaired or fetched pages meanwhile. A database keeps the newest
//! [`NOTIFICATIONS_KEPT`]; whoever cannot be told of all of them is disconnected rather than left with a hole.

use super::client::{Done, Session};
use super::encode::Formats;
use super::front::{Front, gateway_error};
use super::gateway::ReadLevel;
use super::status::Status;
use super::utility::tagged;
use super::view::client_error;
use crate::catalog::NOTIFICATIONS_KEPT;
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value};
use crate::wire::{Link, Outbox, message};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

/// How often a thread with listeners looks for a new version: a notification is late by so much at most.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const NEW: &str = "SELECT id, process, channel, payload FROM evesql_notifications WHERE id > ?1 ORDER BY id";
const NEWEST: &str = "SELECT coalesce(max(id), 0) FROM evesql_notifications";
/// NOTIFY is this.
const NOTIFY: &str = "SELECT pg_notify($1, $2)";

/// What LISTEN and UNLISTEN ask for.
#[derive(Clone, Debug)]
pub enum Listening {
    /// To be told of this channel.
    To(String),
    /// No more of this one; none at all.
    NotTo(Option<String>),
}

/// One notification.
struct Notification {
    process: i32,
    channel: Arc<str>,
    payload: Arc<str>,
}

/// A session that listens.
pub struct Listener {
    channels: RefCell<BTreeSet<Arc<str>>>,
    /// Number of the newest notification when it began to listen.
    since: i64,
    news: RefCell<VecDeque<Notification>>,
    link: Rc<Link>,
}

impl Listener {
    fn miss(&self) {
        let detail = format!("A database keeps {NOTIFICATIONS_KEPT} notifications for clients that listen.");
        let error = SqlError::new("54000", "notifications came faster than this connection could be told of them");
        self.link.end(error.with_detail(detail).with_hint("Connect again, LISTEN, and read what may have changed."));
    }
}

/// The sessions of one front thread that listen.
#[derive(Default)]
pub struct Listeners {
    databases: RefCell<HashMap<Arc<str>, Audience>>,
    looks: Cell<bool>,
}

/// Those of one database.
#[derive(Default)]
struct Audience {
    /// Version that was looked at.
    version: Option<u64>,
    /// Newest notification in it.
    newest: i64,
    listeners: Vec<Weak<Listener>>,
}

impl Front {
    /// Whoever listens is told of what is new in the newest accepted version.
    async fn look(&self, database: &Arc<str>) -> Result<(), SqlError> {
        let pinned = self.gateway.read_snapshot(database, ReadLevel::Local, None).get().await.map_err(gateway_error)?;
        let (version, after) = match self.listeners.databases.borrow().get(database) {
            Some(audience) => (audience.version, audience.newest),
            None => return Ok(()),
        };
        if version == Some(pinned.snapshot.number()) {
            return Ok(());
        }
        let mut view = self.take_view(database, &pinned)?;
        let rows = view.connection.query(NEW, &[Value::Integer(after)]).map_err(client_error)?;
        self.give_back(database, view);
        let mut databases = self.listeners.databases.borrow_mut();
        let Some(audience) = databases.get_mut(database) else { return Ok(()) };
        audience.version = Some(pinned.snapshot.number());
        audience.tell(&rows);
        Ok(())
    }

    /// Number of the newest notification that is acknowledged.
    async fn newest_notification(&self, database: &Arc<str>) -> Result<i64, SqlError> {
        let pinned =
            self.gateway.read_snapshot(database, ReadLevel::Strict, None).get().await.map_err(gateway_error)?;
        let mut view = self.take_view(database, &pinned)?;
        let rows = view.connection.query(NEWEST, &[]).map_err(client_error)?;
        self.give_back(database, view);
        match rows.first().map(Vec::as_slice) {
            Some([Value::Integer(newest)]) => Ok(*newest),
            _ => Err(SqlError::new("XX000", "the newest notification has no number")),
        }
    }

    fn add_listener(self: &Rc<Self>, database: &Arc<str>, listener: &Rc<Listener>) {
        let mut databases = self.listeners.databases.borrow_mut();
        let audience = databases
            .entry(database.clone())
            .or_insert_with(|| Audience { newest: listener.since, ..Audience::default() });
        audience.listeners.push(Rc::downgrade(listener));
        if !self.listeners.looks.replace(true) {
            tokio::task::spawn_local(look_out(Rc::downgrade(self)));
        }
    }
}

/// Looks for news as long as anybody listens.
async fn look_out(front: Weak<Front>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(front) = front.upgrade() else { return };
        let databases: Vec<Arc<str>> = {
            let mut databases = front.listeners.databases.borrow_mut();
            databases.retain(|_, audience| {
                audience.listeners.retain(|listener| listener.strong_count() > 0);
                !audience.listeners.is_empty()
            });
            databases.keys().cloned().collect()
        };
        if databases.is_empty() {
            return front.listeners.looks.set(false);
        }
        for database in databases {
            // A node that has nothing to read now has it later.
            let _ = front.look(&database).await;
        }
    }
}

impl Audience {
    /// Rows of [`NEW`].
    fn tell(&mut self, rows: &[Vec<Value>]) {
        for row in rows {
            let [Value::Integer(id), Value::Integer(process), Value::Text(channel), Value::Text(payload)] = &row[..]
            else {
                continue;
            };
            // Those that listen to nothing of this have missed nothing, but nobody knows what it was.
            let hole = *id > self.newest + 1;
            // Numbers of a node that was behind are read again.
            if *id <= self.newest {
                continue;
            }
            self.newest = *id;
            for listener in self.listeners.iter().filter_map(Weak::upgrade).filter(|listener| listener.since < *id) {
                if hole {
                    listener.miss();
                } else if listener.channels.borrow().contains(&**channel) {
                    let mut news = listener.news.borrow_mut();
                    if news.len() >= NOTIFICATIONS_KEPT as usize {
                        listener.miss();
                        continue;
                    }
                    let (channel, payload) = (channel.as_ref().into(), payload.as_ref().into());
                    news.push_back(Notification { process: *process as i32, channel, payload });
                    listener.link.has_news();
                }
            }
        }
    }
}

impl Session {
    /// LISTEN or UNLISTEN: takes effect when the transaction is committed.
    pub(super) async fn listening(&mut self, what: Listening, out: &mut Outbox) -> Done {
        let tag = if let Listening::To(_) = what { "LISTEN" } else { "UNLISTEN" };
        match &mut self.transaction {
            Some(block) => block.listening.push(what),
            None => self.listen(vec![what]).await?,
        }
        tagged(tag, out)
    }

    /// What a committed transaction asked for.
    pub(super) async fn listen(&mut self, all: Vec<Listening>) -> Result<(), SqlError> {
        for what in all {
            match what {
                Listening::To(channel) => {
                    let listener = match &self.listener {
                        Some(listener) => listener.clone(),
                        None => {
                            let since = self.front.newest_notification(&self.database).await?;
                            let (channels, news) = Default::default();
                            let listener = Rc::new(Listener { channels, since, news, link: self.link.clone() });
                            self.front.add_listener(&self.database, &listener);
                            self.listener.insert(listener).clone()
                        }
                    };
                    listener.channels.borrow_mut().insert(channel.into());
                }
                Listening::NotTo(Some(channel)) => {
                    if let Some(listener) = &self.listener {
                        listener.channels.borrow_mut().remove(&*channel);
                    }
                }
                Listening::NotTo(None) => self.listener = None,
            }
        }
        Ok(())
    }

    /// What the session listens to.
    pub(super) fn channels(&self) -> Vec<Arc<str>> {
        self.listener
            .iter()
            .flat_map(|listener| listener.channels.borrow().iter().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// NOTIFY.
    pub(super) async fn notify(&mut self, channel: &str, payload: &str, out: &mut Outbox) -> Done {
        self.settle(out).await?;
        out.flush_if_due().await?;
        let place = out.buffer.len();
        let statement = self.prepare_text(NOTIFY, Box::from([PgType::TEXT.0, PgType::TEXT.0])).await?;
        let Some(plan) = statement.plan.clone() else {
            return Err(SqlError::new("XX000", "a statement without a translation").into());
        };
        let parameters = [channel, payload].map(|text| Value::Text(text.into())).into();
        self.run_planned(&statement, plan, parameters, &Formats::Text, 0, false, out).await?;
        out.buffer.truncate(place);
        tagged("NOTIFY", out)
    }

    /// Before ReadyForQuery: what the session's own transaction notified of should be there with its answer.
    pub(super) async fn hear(&mut self) {
        if self.listener.is_some() && self.status == Status::Idle {
            let _ = self.front.look(&self.database).await;
        }
    }

    /// Tells the client what it listens to, between two transactions.
    pub(super) fn tell_news(&mut self, out: &mut Outbox) {
        if self.status != Status::Idle || self.transaction.is_some() {
            return;
        }
        if let Some(listener) = &self.listener {
            for Notification { process, channel, payload } in listener.news.borrow_mut().drain(..) {
                message::notification(&mut out.buffer, process, &channel, &payload);
            }
        }
    }
}
