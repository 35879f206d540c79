//! What a session needs of the node that it is connected to.

use super::tickets::{Holder, Key, Mode};
use crate::catalog::Catalog;
use crate::catalog::relations::{Environment, Live};
use crate::catalog::roles::Roles;
use crate::page::Hash;
use crate::page_store::Snapshot;
use crate::transaction::{Outcome, SqlError, Transaction, Value};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A result that takes its time.
pub type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A result that is often there at once: then nothing is allocated and nobody is woken.
pub enum Soon<T> {
    /// Here it is.
    Now(T),
    /// It will come.
    Later(Waiting<T>),
}

impl<T> Soon<T> {
    /// Waits if need be.
    pub async fn get(self) -> T {
        match self {
            Soon::Now(value) => value,
            Soon::Later(waiting) => waiting.await,
        }
    }
}

/// How fresh a read must be (`evesql.read_level`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReadLevel {
    /// At or above a read index that was taken after the read arrived.
    #[default]
    Strict,
    /// This node's newest accepted root, not older than the staleness that was asked for.
    Local,
    /// Executed on a quorum at one accepted index, answers compared.
    Quorum,
}

/// An accepted version of a database, pinned.
#[derive(Clone)]
pub struct Pinned {
    /// The pages.
    pub snapshot: Snapshot,
    /// The catalog that is in them.
    pub catalog: Arc<Catalog>,
    /// Hash of SQLite's schema and statistics in them, as [`crate::engine::Connection::schema_hash`] gives it.
    pub schema: Hash,
}

/// Why a node cannot do what a session asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// No quorum, no leader, or this node is quarantined (57P03).
    #[error("the cluster cannot serve this now: {0}")]
    Unavailable(String),
    /// There is no room for it on the nodes' disks; it has no effect (53100).
    #[error("the cluster cannot write this now: {0}")]
    DiskFull(String),
    /// Nobody knows whether the transaction took effect, and asking again did not help (08007).
    #[error("the outcome of the transaction is not known: {0}")]
    Unknown(String),
    /// The database was dropped (3D000).
    #[error("database \"{0}\" does not exist")]
    NoDatabase(String),
    /// Too much is waiting, or it is too large (53000).
    #[error("{0}")]
    TooMuch(String),
    /// The node is shutting down (57P01).
    #[error("the node is shutting down")]
    ShuttingDown,
}

/// Why a ticket was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Waiting would never end (40P01).
    #[error("deadlock detected")]
    Deadlock,
    /// `lock_timeout`, or no waiting was wanted (55P03).
    #[error("could not obtain lock")]
    Timeout,
}

/// Why an advisory lock was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum LockError {
    /// Waiting would never end (40P01).
    #[error("deadlock detected")]
    Deadlock,
    /// `lock_timeout`, or no waiting was wanted (55P03).
    #[error("canceling statement due to lock timeout")]
    Timeout,
    /// Too many are held (53200).
    #[error("out of shared memory")]
    Full,
    /// Nobody grants locks just now: a leader is being elected, or cannot be sure yet that nobody holds one that an
    /// earlier leader granted. Ask again.
    #[error("advisory locks are not available now")]
    NotNow,
}

/// A node as its sessions see it.
pub trait Gateway: Send + Sync + 'static {
    /// Whether this node has accepted a database of this name.
    fn has_database(&self, name: &str) -> bool;

    /// An accepted version to read, as fresh as `level` says; `max_staleness` is for [`ReadLevel::Local`].
    fn read_snapshot(
        &self,
        database: &Arc<str>,
        level: ReadLevel,
        max_staleness: Option<Duration>,
    ) -> Soon<Result<Pinned, GatewayError>>;

    /// Has a transaction ordered, executed and accepted. The node sets [`Transaction::expires_at_index`],
    /// and resubmits under the same id while the outcome is unknown. Resolves only after acceptance.
    fn submit(&self, transaction: Transaction) -> Waiting<Result<Outcome, GatewayError>>;

    /// Identifies this start of this node in [`crate::transaction::TransactionId`].
    fn incarnation(&self) -> u64;

    /// The node's number, where nodes are processes of their own.
    fn node(&self) -> u64 {
        0
    }

    /// Whether what a start of a node has left behind is nobody's any more.
    fn is_gone(&self, _node: u64, _incarnation: u64) -> bool {
        false
    }

    /// The newest catalog of a database that this node has accepted.
    fn catalog_here(&self, _database: &str) -> Option<Arc<Catalog>> {
        None
    }

    /// How long a session may keep one version (rule 30).
    fn snapshot_age_max(&self) -> Duration;

    /// Microseconds since 2000-01-01 UTC.
    fn now_us(&self) -> i64;

    /// A fresh seed for an interactive transaction's randomness.
    fn seed(&self) -> u64;

    /// Asks for a ticket, waiting at most `timeout` (zero: not at all; `None`: until it comes). A courtesy: where it
    /// cannot be had (nobody leads, or nobody answers) the answer is the same as if it were.
    fn request_ticket(
        &self,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), TicketError>>;

    /// Gives back all tickets of a holder, and what it waits for.
    fn release_tickets(&self, holder: Holder);

    /// Asks for an advisory lock; `timeout` as for tickets. After an error, and where nobody waited for the answer, it may
    /// be held all the same, and is given back by [`Gateway::release_locks`].
    fn request_lock(
        &self,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), LockError>>;

    /// Gives back an advisory lock of a holder, or all of them.
    fn release_locks(&self, holder: Holder, which: Option<(Key, Mode)>);

    /// Changes when all advisory locks of this node's sessions are lost: whoever holds one must end.
    fn locks_lost(&self) -> watch::Receiver<u64>;

    /// All roles, as this node has accepted them.
    fn roles(&self) -> Arc<Roles> {
        Arc::default()
    }

    /// The server as SQL can ask for it: databases, roles, start. The session fills in what is its own.
    fn environment(&self) -> Environment {
        Environment::default()
    }

    /// What changes by itself: sessions, replicas, divergences. The session fills in its settings.
    fn live(&self) -> Live {
        Live::default()
    }

    /// A system value by name, for functions whose result is an input (rule 26); those of the session and
    /// of the version that it reads are not asked here. `drill:..` breaks something on purpose.
    fn system_value(&self, _database: &str, _name: &str) -> Option<Result<Value, SqlError>> {
        None
    }
}
