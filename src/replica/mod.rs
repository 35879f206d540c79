//! The replica: executes batches on the canonical state of all databases of a node, and keeps one version
//! for each of them until it is accepted (steps 4 to 6 of the walk).
//!
//! ```text
//!   accepted          unaccepted                       a group: BEGIN
//!   version i  <-  version i+1  <-  version i+2          a transaction: SAVEPOINT, its operations, RELEASE
//!     (shared with readers)          newest            COMMIT, publish
//! ```
//!
//! Invariants kept here, numbered as in the architecture:
//! - 4. The result of a batch is a function of its plan, the mode and the version before it.
//! - 7, 9. Readers get accepted versions only ([`Replica::accepted`]).
//! - 8. Time, randomness and identity numbers come from the batch or the transaction ([`engine::Context`]).
//! - Rule 14. What fails for reasons of this machine fails the whole batch here, without an answer.
//! - Rule 18. No transaction executes twice ([`once`]).
//!
//! A synchronous struct without threads: `node` puts one around it, tests and the simulator do not. It
//! belongs to the thread that made it.
//!
//! Does not know: how batches come about, tokens, the network, the Postgres face.

mod accepted;
mod apply;
mod audit;
mod batch;
mod cells;
mod certify;
mod database;
mod divergence;
mod learned;
mod once;
mod parallel;
mod repair;
mod rows;
mod speculate;
mod trace;
mod transaction;
mod workers;

pub use crate::token::Mode;
pub use accepted::{AcceptedState, DatabaseVersion, state_root};
pub use audit::{Audit, Difference, Subject, audit};
pub use batch::{Executed, Spent};
pub use learned::{Kind, Learn, Learned, Recent};
pub use parallel::Fared;
pub use repair::Replaced;
pub use trace::{Traced, TracedStatement};

use crate::catalog::Catalog;
use crate::engine::{self, LocalError};
use crate::page::{Hash, PageNumber};
use crate::page_store::{PageStore, Snapshot, StoreError, StoreOptions};
use crate::token::{Accepted, LogId};
use database::Database;
use learned::{How, Ran};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;
use workers::Workers;

/// Where new databases are kept.
pub trait Home: Send + Sync {
    /// A store for a new, empty database. The name may have been used before, by a database that was dropped or
    /// whose creation was rolled back.
    ///
    /// # Errors
    /// [`StoreError`] if there is no room for it: the batch that creates it fails on this node.
    fn create(&self, name: &str) -> Result<Arc<PageStore>, StoreError>;
}

/// How a replica is set up.
#[derive(Clone, Default)]
pub struct Options {
    /// Of the canonical connections.
    pub engine: engine::Options,
    /// Of each database's pages.
    pub store: StoreOptions,
    /// Where new databases are kept; in memory alone without it.
    pub home: Option<Arc<dyn Home>>,
    /// Threads that run the parallel parts of plans, the replica's own one included; 0 counts as 1. No result depends
    /// on it.
    pub workers: usize,
    /// What it learns of the transactions that it executes.
    pub learn: Learn,
}

impl Options {
    fn new_store(&self, name: &str) -> Result<Arc<PageStore>, LocalError> {
        match &self.home {
            Some(home) => Ok(home.create(name)?),
            None => Ok(PageStore::in_memory(self.store.clone())),
        }
    }
}

/// Databases of a new replica.
pub const FIRST_DATABASES: [&str; 2] = ["evesql", "postgres"];

/// Deliberate wrong-doing, for drills and tests: it happens to the next batch that is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drill {
    /// One answer is not what was computed.
    WrongAnswer {
        /// Its count of changes is off by these bits; not 0. Replicas with other bits are wrong in other ways.
        by: u64,
    },
    /// The transactions run in another order.
    Misorder,
    /// There is no memory for the first page that the batch writes.
    OutOfMemory,
    /// A bit of a page flips after it was hashed.
    FlipBit {
        /// Which page of the first database, modulo their number.
        page: PageNumber,
        /// Which bit of it.
        bit: u32,
    },
}

/// State after one batch.
#[derive(Clone)]
struct Version {
    log_id: LogId,
    root: Hash,
    answers: Hash,
    databases: Databases,
}

/// Versions of all databases, by name.
type Databases = BTreeMap<Arc<str>, DatabaseVersion>;

impl Version {
    fn of(accepted: &Accepted, databases: Databases) -> Self {
        let Accepted { log_id, root, answers, .. } = *accepted;
        Version { log_id, root, answers, databases }
    }
    /// All but token and attempt, which are not known here.
    fn accepted(&self) -> Accepted {
        let Version { log_id, root, answers, .. } = *self;
        Accepted { log_id, root, answers, ..Accepted::default() }
    }
}

/// Executes batches; see the module.
pub struct Replica {
    options: Options,
    databases: BTreeMap<Arc<str>, Database>,
    /// The accepted version first, then those that wait for it.
    versions: VecDeque<Version>,
    accepted: watch::Sender<Arc<AcceptedState>>,
    drill: Option<Drill>,
    spent: Spent,
    /// From the first parallel part on.
    workers: Option<Workers>,
    fared: Fared,
    learned: Arc<Learned>,
    /// Of the batch that executes now.
    ran: Vec<Ran>,
    /// Of its parallel parts: those that run in their turn after all.
    planned_ahead: BTreeMap<u32, How>,
    /// Of the batch before.
    again: Vec<u32>,
}

impl Replica {
    /// A new replica, with the databases of [`FIRST_DATABASES`].
    ///
    /// # Errors
    /// [`LocalError`] if SQLite cannot be set up or the databases' home fails.
    pub fn create(options: Options) -> Result<Self, LocalError> {
        let mut databases = BTreeMap::new();
        for name in FIRST_DATABASES {
            databases.insert(Arc::from(name), Database::create(name, &options)?);
        }
        Self::with(options, databases, Accepted::default())
    }

    /// A replica over databases that hold an accepted state, for example after a restart.
    ///
    /// # Errors
    /// [`LocalError`] if SQLite cannot be set up, or the databases do not have the accepted root.
    pub fn over(
        options: Options,
        snapshots: BTreeMap<Arc<str>, Snapshot>,
        accepted: Accepted,
    ) -> Result<Self, LocalError> {
        let mut databases = BTreeMap::new();
        for (name, snapshot) in snapshots {
            databases.insert(name, Database::over(&snapshot, &options)?);
        }
        let replica = Self::with(options, databases, accepted)?;
        let found = replica.newest().root;
        if found != accepted.root {
            return Err(LocalError::internal(format!("the databases have root {found}, not {}", accepted.root)));
        }
        Ok(replica)
    }

    /// A replica over an accepted state of which a part is damaged: it executes nothing and answers nobody before
    /// [`Replica::install`] has replaced that. The caller sees to it (invariant 7).
    ///
    /// # Errors
    /// [`LocalError`] if SQLite cannot be set up, or the roots on record are not the accepted one.
    pub fn unread(
        options: Options,
        snapshots: BTreeMap<Arc<str>, Snapshot>,
        accepted: Accepted,
    ) -> Result<Self, LocalError> {
        let replica = Self::unfinished(options, snapshots, accepted)?;
        let found = state_root(&replica.newest_version().databases);
        if found != accepted.root {
            return Err(LocalError::internal(format!("the databases have root {found}, not {}", accepted.root)));
        }
        Ok(replica)
    }

    /// A replica over pages on the way to a state that it was fetching; the rest as for [`Replica::unread`]. `accepted`
    /// is the state that it had before.
    ///
    /// # Errors
    /// [`LocalError`] if SQLite cannot be set up.
    pub fn unfinished(
        options: Options,
        snapshots: BTreeMap<Arc<str>, Snapshot>,
        accepted: Accepted,
    ) -> Result<Self, LocalError> {
        let mut databases = BTreeMap::new();
        let mut versions = Databases::new();
        for (name, snapshot) in snapshots {
            databases.insert(name.clone(), Database::unread(&snapshot, &options)?);
            let catalog = Arc::new(Catalog::empty());
            versions.insert(name, DatabaseVersion { snapshot, schema: Hash::default(), catalog });
        }
        let mut replica = Replica::empty(options, databases);
        replica.begin_at(accepted, versions);
        Ok(replica)
    }

    fn with(options: Options, databases: BTreeMap<Arc<str>, Database>, accepted: Accepted) -> Result<Self, LocalError> {
        let mut replica = Replica::empty(options, databases);
        let versions = replica.current()?;
        replica.begin_at(Accepted { root: state_root(&versions), ..accepted }, versions);
        Ok(replica)
    }

    /// Without a version; [`Replica::begin_at`] gives it its first.
    fn empty(options: Options, databases: BTreeMap<Arc<str>, Database>) -> Self {
        Replica {
            options,
            databases,
            versions: VecDeque::new(),
            accepted: watch::Sender::new(Arc::new(AcceptedState::default())),
            drill: None,
            spent: Spent::default(),
            workers: None,
            fared: Fared::default(),
            learned: Arc::default(),
            ran: Vec::new(),
            planned_ahead: BTreeMap::new(),
            again: Vec::new(),
        }
    }

    /// An accepted state is its only version.
    fn begin_at(&mut self, accepted: Accepted, databases: Databases) {
        self.versions = VecDeque::from([Version::of(&accepted, databases.clone())]);
        self.accepted.send_replace(Arc::new(AcceptedState { accepted, databases }));
    }

    /// The newest accepted state, for readers on any thread: borrow it, pin a snapshot of it, wait for a newer one.
    pub fn accepted(&self) -> watch::Receiver<Arc<AcceptedState>> {
        self.accepted.subscribe()
    }

    /// Log id, root and answers digest of the newest version, accepted or not; attempt and token are not known here.
    pub fn newest(&self) -> Accepted {
        self.newest_version().accepted()
    }

    /// The version after the batch at this log index, or of the last batch before it, if it is still held.
    pub fn at(&self, index: u64) -> Option<AcceptedState> {
        let version = self.versions.iter().rev().find(|version| version.log_id.index <= index)?;
        Some(AcceptedState { accepted: version.accepted(), databases: version.databases.clone() })
    }

    fn newest_version(&self) -> &Version {
        self.versions.back().expect("the accepted version is always held")
    }

    /// The cluster accepts a batch: versions before it are dropped, readers get this one.
    ///
    /// # Errors
    /// [`LocalError`] if this replica has no such version with that root: it must be repaired first.
    pub fn accept(&mut self, accepted: &Accepted) -> Result<(), LocalError> {
        let holds = |version: &Version| {
            (version.log_id, version.root, version.answers) == (accepted.log_id, accepted.root, accepted.answers)
        };
        let Some(position) = self.versions.iter().position(holds) else {
            let index = accepted.log_id.index;
            return Err(LocalError::internal(format!("no version with the root accepted at {index}")));
        };
        self.versions.drain(..position);
        let databases = self.versions[0].databases.clone();
        self.accepted.send_replace(Arc::new(AcceptedState { accepted: *accepted, databases }));
        Ok(())
    }

    /// Drops all versions of batches after `index`; the next one executes on what is left.
    ///
    /// # Errors
    /// [`LocalError`] if a version at or before `index` is not held any more, or the store fails.
    pub fn roll_back(&mut self, index: u64) -> Result<(), LocalError> {
        if self.versions[0].log_id.index > index {
            return Err(LocalError::internal(format!("no version at or before {index} is held")));
        }
        self.versions.retain(|version| version.log_id.index <= index);
        self.restore(&self.newest_version().databases.clone())
    }

    /// How its connections are set up.
    pub fn engine_options(&self) -> engine::Options {
        self.options.engine
    }

    /// Where the time of this replica's executor went.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// How the transactions of parallel parts fared since this replica began.
    pub fn fared(&self) -> Fared {
        self.fared
    }

    /// Positions of the transactions of the newest batch that were planned to run ahead and ran in their turn.
    pub fn again(&self) -> &[u32] {
        &self.again
    }

    /// What it learned about kinds of transactions.
    pub fn learned(&self) -> Arc<Learned> {
        self.learned.clone()
    }

    fn workers(&mut self) -> &mut Workers {
        let Options { workers, engine, .. } = &self.options;
        self.workers.get_or_insert_with(|| Workers::new(*workers, *engine))
    }

    /// Does something wrong to the next batch, on purpose.
    pub fn drill(&mut self, drill: Drill) {
        self.drill = Some(drill);
    }

    /// Pages of the newest version whose bytes do not have their hash (rule 19), by database.
    pub fn rehash(&self) -> BTreeMap<String, BTreeSet<PageNumber>> {
        let mut damaged = BTreeMap::new();
        for (name, version) in &self.newest_version().databases {
            let pages: BTreeSet<PageNumber> = version.snapshot.store().rehash(&version.snapshot).into_iter().collect();
            if !pages.is_empty() {
                damaged.insert(name.to_string(), pages);
            }
        }
        damaged
    }

    /// How many damaged pages anybody has met since the last call.
    pub fn take_damage(&self) -> u64 {
        self.databases.values().map(|database| database.take_damage() as u64).sum()
    }

    /// Pages of the accepted state, by database in ascending order.
    pub fn snapshots(&self) -> Vec<(String, Snapshot)> {
        snapshots_of(&self.versions[0])
    }

    /// Pages of the newest version, by database in ascending order.
    pub fn newest_snapshots(&self) -> Vec<(String, Snapshot)> {
        snapshots_of(self.newest_version())
    }

    /// The databases as they are now; nothing may be unpublished.
    fn current(&mut self) -> Result<Databases, LocalError> {
        self.databases.iter_mut().map(|(name, database)| Ok((name.clone(), database.version()?))).collect()
    }

    /// Puts all databases to these versions, whatever is open or was made or dropped since.
    fn restore(&mut self, to: &Databases) -> Result<(), LocalError> {
        self.databases.retain(|name, _| to.contains_key(name));
        for (name, version) in to {
            match self.databases.get_mut(name) {
                Some(database) if database.is_in(&version.snapshot) => database.restore(version)?,
                _ => {
                    let database = Database::over(&version.snapshot, &self.options)?;
                    self.databases.insert(name.clone(), database);
                }
            }
        }
        Ok(())
    }
}

fn snapshots_of(version: &Version) -> Vec<(String, Snapshot)> {
    version.databases.iter().map(|(name, version)| (name.to_string(), version.snapshot.clone())).collect()
}

#[cfg(test)]
mod audit_tests;
#[cfg(test)]
mod tests;
