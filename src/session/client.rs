//! A session: its state, and which message goes where.
//!
//! Invariants
//! 1. `transaction` is there exactly while a block is open: an explicit one (`status` is not Idle) or an
//!    implicit one (`status` is Idle, and it ends with the query or at Sync).
//! 2. `pending` is filled only while `transaction` is not: updates of an implicit block that the extended
//!    protocol began, whose answers still miss in the send buffer. While it is filled nothing is sent.
//! 3. After an error in the extended protocol messages are passed over up to Sync.

use super::block::Block;
use super::cache::{Plan, Text};
use super::copy::CopyIn;
use super::cursor::Cursor;
use super::encode::Formats;
use super::errands::Locks;
use super::front::{Front, gateway_error};
use super::gateway::Pinned;
use super::identity::Login;
use super::listen::Listener;
use super::one_shot::Pending;
use super::settings::Settings;
use super::status::{Event, Status};
use super::temporary::Temporary;
use super::tickets::Holder;
use super::view::Facts;
use crate::catalog::roles::Role;
use crate::dialect::{Kind, PgType};
use crate::transaction::{SqlError, TransactionId, Value};
use crate::wire::{Flow, Handler, Hello, Link, Outbox, Registration, message};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Why a message could not be handled.
#[derive(Debug)]
pub enum Failure {
    /// The client is told, and the session goes on.
    Sql(Box<SqlError>),
    /// The socket failed.
    Io(io::Error),
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Failure::Sql(Box::new(error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}

/// Result of handling something.
pub type Done<T = ()> = Result<T, Failure>;

/// A statement that a client prepared.
pub struct ClientStatement {
    /// Its text; `None` for an empty query.
    pub text: Rc<Text>,
    /// Parameter types as the client declared them.
    pub declared: Box<[u32]>,
    /// Translation at Parse; what Describe told. Commands of the session's own have none.
    pub plan: Option<Rc<Plan>>,
    /// The query of a DECLARE, which may have parameters.
    pub cursor: Option<Rc<ClientStatement>>,
}

impl ClientStatement {
    /// Types of its parameters. Those of COPY are its columns, which Bind does not give.
    pub fn params(&self) -> &[PgType] {
        if let Some(query) = &self.cursor {
            return query.params();
        }
        match &self.plan {
            Some(plan) if !matches!(plan.prepared.kind, Kind::CopyIn(_)) => &plan.prepared.params,
            _ => &[],
        }
    }
}

/// A bound statement.
pub struct Portal {
    /// The statement.
    pub statement: Rc<ClientStatement>,
    /// Values of its parameters.
    pub parameters: Vec<Value>,
    /// How its rows are sent.
    pub formats: Formats,
    /// How far it has run.
    pub state: PortalState,
}

/// How far a portal has run.
pub enum PortalState {
    /// Not yet.
    Ready,
    /// Rows are left.
    Suspended(Cursor),
    /// To its end.
    Finished,
}

/// One client's session.
pub struct Session {
    pub(super) front: Rc<Front>,
    pub(super) registration: Arc<Registration>,
    pub(super) link: Rc<Link>,
    pub(super) database: Arc<str>,
    pub(super) settings: Settings,
    pub(super) status: Status,
    pub(super) statements: HashMap<String, Rc<ClientStatement>>,
    pub(super) portals: HashMap<String, Portal>,
    pub(super) cursors: HashMap<String, Cursor>,
    pub(super) transaction: Option<Block>,
    pub(super) pending: Pending,
    pub(super) copy: Option<CopyIn>,
    pub(super) facts: Rc<Facts>,
    /// Conflicts in a row: after two of them reads take tickets too (rule 29).
    pub(super) conflicts: u32,
    pub(super) skip_to_sync: bool,
    pub(super) listener: Option<Rc<Listener>>,
    pub(super) locks: Locks,
    pub(super) temporary: Temporary,
    pub(super) login: Login,
    holder: Holder,
    submissions: u64,
}

impl Session {
    /// A new session of a role, or of who is trusted without one.
    pub fn new(
        front: Rc<Front>,
        registration: Arc<Registration>,
        link: Rc<Link>,
        hello: &Hello,
        role: Option<&Role>,
    ) -> Session {
        let mut settings = Settings::new(hello.user(), hello.database(), &hello.parameters);
        if let Some(role) = role {
            settings.log_in(role);
        }
        let facts = Facts { process: registration.process, ..Facts::default() };
        let holder = Holder { incarnation: front.gateway.incarnation(), session: registration.process as u64 };
        Session {
            settings,
            database: hello.database().into(),
            front,
            registration,
            link,
            status: Status::Idle,
            statements: HashMap::new(),
            portals: HashMap::new(),
            cursors: HashMap::new(),
            transaction: None,
            pending: Pending::default(),
            copy: None,
            facts: Rc::new(facts),
            conflicts: 0,
            skip_to_sync: false,
            listener: None,
            locks: Locks::default(),
            temporary: Temporary::default(),
            login: role.map_or(Login::Trusted, |role| Login::Role(role.oid)),
            holder,
            submissions: 0,
        }
    }

    /// Identity for the next submission.
    pub(super) fn next_id(&mut self) -> TransactionId {
        self.submissions += 1;
        TransactionId {
            incarnation: self.front.gateway.incarnation(),
            session: self.registration.process as u64,
            sequence: self.submissions,
        }
    }

    /// Who this session is where tickets are held.
    pub(super) fn holder(&self) -> Holder {
        self.holder
    }

    /// A version to read, as fresh as the session wants it.
    pub(super) async fn pin(&self) -> Result<Pinned, SqlError> {
        let active = self.settings.active();
        let soon = self.front.gateway.read_snapshot(&self.database, active.read_level, active.max_staleness);
        soon.get().await.map_err(gateway_error)
    }

    /// A statement begins: its time runs.
    pub(super) fn statement_begins(&self) {
        self.registration.statement_begins(self.settings.active().statement_timeout);
    }

    /// The error of an interrupted statement names who interrupted it.
    pub(super) fn interrupted(&self, error: SqlError) -> SqlError {
        use crate::wire::Reason;
        match (error.code(), self.registration.interrupted()) {
            ("57014", Some(Reason::Timeout)) => SqlError::new("57014", "canceling statement due to statement timeout"),
            _ => error,
        }
    }

    /// What an error does to the session's transaction. An implicit block is undone.
    pub(super) fn fail(&mut self) {
        self.pending.clear();
        self.registration.statement_ends();
        (self.status, _) = self.status.on(Event::Fail);
        match self.status {
            Status::Idle => self.abandon(),
            _ => self.give_up_block(),
        }
    }

    /// Tells the client of an error and does to the transaction what it does.
    pub(super) fn report(&mut self, error: &SqlError, out: &mut Outbox) {
        self.fail();
        out.error(error);
    }

    /// ReadyForQuery, and everything is to be sent.
    pub(super) fn ready(&mut self, out: &mut Outbox) {
        self.tell_news(out);
        self.registration.statement_ends();
        message::ready_for_query(&mut out.buffer, self.status.byte());
        out.flush_soon();
    }

    /// Portals end with the transaction, and cursors that are not held.
    pub(super) fn drop_portals(&mut self) {
        self.portals.clear();
        if !self.cursors.is_empty() {
            self.cursors.retain(|_, cursor| cursor.held);
        }
    }

    /// The client's message is one that the protocol does not have here.
    pub(super) fn violation(what: &str) -> Failure {
        SqlError::new("08P01", what).into()
    }

    async fn dispatch(&mut self, tag: u8, body: &[u8], out: &mut Outbox) -> Done {
        match tag {
            b'P' => self.parse(body, out).await,
            b'B' => self.bind(body, out),
            b'E' => self.execute(body, out).await,
            b'D' => self.describe(body, out),
            b'C' => self.close(body, out),
            b'H' => {
                self.settle(out).await?;
                out.flush_soon();
                Ok(())
            }
            b'F' => Err(SqlError::new("0A000", "function calls are not supported").into()),
            // Copy messages after a COPY that failed are passed over, as in Postgres.
            b'd' | b'c' | b'f' => Ok(()),
            _ => Err(Session::violation("unexpected message")),
        }
    }

    /// Handles an error of the extended protocol.
    fn failed(&mut self, failure: Failure, out: &mut Outbox) -> io::Result<Flow> {
        match failure {
            Failure::Sql(error) => {
                self.skip_to_sync = true;
                let error = self.interrupted(*error);
                self.report(&error, out);
                Ok(Flow::Continue)
            }
            Failure::Io(error) => Err(error),
        }
    }
}

impl Handler for Session {
    async fn message(&mut self, tag: u8, body: &[u8], out: &mut Outbox) -> io::Result<Flow> {
        if self.copy.is_some() && tag != b'X' {
            return match self.copy_message(tag, body, out).await {
                Ok(()) => Ok(Flow::Continue),
                Err(failure) => self.failed(failure, out),
            };
        }
        match tag {
            b'Q' => {
                self.skip_to_sync = false;
                self.query(body, out).await
            }
            b'S' => {
                let settled = if self.skip_to_sync { Ok(()) } else { self.settle(out).await };
                let flow = settled.map_or_else(|failure| self.failed(failure, out), |()| Ok(Flow::Continue));
                self.skip_to_sync = false;
                if self.status == Status::Idle {
                    self.drop_portals();
                }
                self.hear().await;
                self.ready(out);
                flow
            }
            b'X' => Ok(Flow::Close),
            _ if self.skip_to_sync => Ok(Flow::Continue),
            _ => match self.dispatch(tag, body, out).await {
                Ok(()) => Ok(Flow::Continue),
                Err(failure) => self.failed(failure, out),
            },
        }
    }

    fn news(&mut self, out: &mut Outbox) {
        self.tell_news(out);
    }

    fn read_timeout(&self) -> Option<(Duration, SqlError)> {
        let active = self.settings.active();
        let (limit, code, what) = match self.status {
            Status::Idle => (active.idle_timeout, "57P05", "terminating connection due to idle-session timeout"),
            _ => (
                active.idle_in_transaction_timeout,
                "25P03",
                "terminating connection due to idle-in-transaction timeout",
            ),
        };
        (!limit.is_zero()).then(|| (limit, SqlError::new(code, what)))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A client that left inside a transaction must not keep others waiting.
        self.abandon();
        self.leave_locks();
        self.leave_temporary();
        self.registration.set_interrupt(None);
        self.front.holds.release(self.holder());
    }
}
