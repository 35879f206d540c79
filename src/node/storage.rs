//! A node's files: where its databases live, when they are checkpointed, and the proofs in the background.
//!
//! One background thread for each node takes checkpoints of accepted states, copies logs into base files,
//! frees superseded pages and hashes pages again from their bytes, over and over (the scrub). The executor
//! only says, between two batches, what is accepted.
//!
//! Kept here: invariant 6. The manifest binds log id, root, answers digest, ledger and members to the pages,
//! and is switched by one rename.

use super::NodeError;
use super::core::{Input, NodeCore};
use super::executor::Inbox;
use super::shared::NodeShared;
use super::wiring::{Surroundings, checkpointed, directory};
use crate::config::Config;
use crate::config::RunAhead;
use crate::consensus::Consensus;
use crate::engine;
use crate::page_store::checkpoint::{Manifest, Notice};
use crate::page_store::{PageStore, Snapshot, StoreError, StoreOptions, StoredDatabase, checkpoint_all};
use crate::replica::Learn;
use crate::replica::{AcceptedState, Home, Options, Replica};
use crate::seam::Disk;
use crate::token::{LogId, NodeId};
use crate::verifier::Mark;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time;

/// Pause of the background thread.
const PAUSE: Duration = Duration::from_millis(20);
/// Pages copied into a base file in one step.
const BACKFILL_PAGES: usize = 1_024;
/// Leaves (of 64 pages) hashed again in one step: about 0.1 ms.
const SCRUB_LEAVES: u32 = 4;
/// Once every page was proved, a step of the scrub follows the one before after this long: about 5 MiB/s. Faster
/// it took a twentieth of all CPU.
const SCRUB_PAUSE: Duration = Duration::from_millis(200);
/// Readers that were asked to end have so long before the next older ones are.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// An idle node with something unwritten writes it after this long.
const QUIET: Duration = Duration::from_secs(10);

/// The databases of one node on disk.
pub struct Storage {
    node: NodeId,
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    options: StoreOptions,
    databases: Mutex<Vec<Arc<StoredDatabase>>>,
    next_directory: Mutex<u64>,
}

/// What a checkpoint stores.
pub struct Capture {
    mark: Mark,
    /// Ballots, and so the log, above this index stay.
    ballots_needed_above: u64,
    state: Arc<AcceptedState>,
}

impl Capture {
    /// On the executor's thread, between two inputs: state and mark of one moment.
    pub fn of(core: &NodeCore) -> Capture {
        let verifier = core.verifier();
        Capture {
            mark: verifier.mark(),
            ballots_needed_above: verifier.ballots_needed_above(),
            state: core.shared().accepted_state(),
        }
    }
}

impl Capture {
    /// As [`Capture::of`], of a node that is not in quarantine.
    pub fn of_healthy(core: &NodeCore) -> Option<Capture> {
        (!core.is_quarantined()).then(|| Capture::of(core))
    }
}

impl Capture {
    /// Of a node that is fetching a state: what it has of it, for the time after a restart.
    pub fn of_part(core: &NodeCore) -> Capture {
        let whole = Capture::of(core);
        let state = core.replica.accepted().borrow().clone();
        Capture { mark: Mark { whole: false, ..whole.mark }, state, ..whole }
    }
}

impl Home for Storage {
    fn create(&self, name: &str) -> Result<Arc<PageStore>, StoreError> {
        let number = {
            let mut next = self.next_directory.lock();
            *next += 1;
            *next
        };
        let options = self.options.clone();
        let database =
            StoredDatabase::create(&*self.disk, &self.directory, name, &format!("database-{number}"), options)?;
        let store = database.store().clone();
        self.databases.lock().push(Arc::new(database));
        Ok(store)
    }
}

/// Opens a node's databases as of the last checkpoint, or makes new ones.
pub fn open(node: NodeId, around: &Surroundings) -> Result<(Arc<Storage>, Replica, Option<Mark>), NodeError> {
    let directory = directory(&around.config, node).join("databases");
    let damaged = |reason: String| NodeError::Storage { node, reason };
    around.disk.create_directory(&directory).map_err(|e| NodeError::directory(&directory, e))?;
    let manifest = Manifest::read(&*around.disk, &directory).map_err(|e| damaged(e.to_string()))?;
    // From now on its pages are written over.
    Manifest::forget_kept(&*around.disk, &directory).map_err(|e| damaged(e.to_string()))?;
    let options = StoreOptions { memory_budget_bytes: around.config.memory_mib << 20, ..StoreOptions::default() };
    let sections = manifest.as_ref().map_or(&[][..], |manifest| &manifest.sections);
    let newest = sections.iter().filter_map(|s| s.directory.rsplit_once('-')?.1.parse::<u64>().ok()).max();
    let storage = Arc::new(Storage {
        node,
        disk: around.disk.clone(),
        directory: directory.clone(),
        options: options.clone(),
        databases: Mutex::new(Vec::new()),
        next_directory: Mutex::new(newest.unwrap_or(0)),
    });
    let engine = engine::Options::default();
    let engine = engine::Options { steps_max: around.config.steps_max.unwrap_or(engine.steps_max), ..engine };
    let workers = around.config.workers_of_node();
    let learn = match around.config.run_ahead {
        RunAhead::Never => Learn::Nothing,
        RunAhead::WhenItPays if workers < 2 => Learn::Costs,
        RunAhead::WhenItPays | RunAhead::Always => Learn::Footprints,
    };
    let replica_options = Options { engine, store: options.clone(), home: Some(storage.clone()), workers, learn };
    let Some(manifest) = manifest else {
        let replica = Replica::create(replica_options).map_err(|e| damaged(e.to_string()))?;
        return Ok((storage, replica, None));
    };
    let mark: Mark = postcard::from_bytes(&manifest.mark)
        .map_err(|e| damaged(format!("the manifest's mark does not decode: {e}")))?;
    let mut snapshots: BTreeMap<Arc<str>, Snapshot> = BTreeMap::new();
    for section in &manifest.sections {
        let mut notices: Vec<Notice> = Vec::new();
        let database = StoredDatabase::open(&*around.disk, &directory, section, options.clone(), &mut notices)
            .map_err(|e| damaged(e.to_string()))?;
        for notice in notices {
            tracing::warn!(node, path = %notice.path.display(), "{}", notice.what);
        }
        snapshots.insert(section.name.as_str().into(), database.store().head());
        storage.databases.lock().push(Arc::new(database));
    }
    if !mark.whole {
        let replica = Replica::unfinished(replica_options, snapshots, mark.accepted);
        return Ok((storage, replica.map_err(|e| damaged(e.to_string()))?, Some(mark)));
    }
    let replica = match Replica::over(replica_options.clone(), snapshots.clone(), mark.accepted) {
        Ok(replica) => replica,
        Err(error) => {
            let found = damaged_pages(&snapshots);
            if found == 0 {
                return Err(damaged(error.to_string()));
            }
            tracing::error!(node, pages = found, %error, "damaged pages keep this node from reading its databases");
            Replica::unread(replica_options, snapshots, mark.accepted).map_err(|e| damaged(e.to_string()))?
        }
    };
    Ok((storage, replica, Some(mark)))
}

fn damaged_pages(snapshots: &BTreeMap<Arc<str>, Snapshot>) -> usize {
    snapshots.values().map(|snapshot| snapshot.store().rehash(snapshot).len()).sum()
}

impl Storage {
    fn of(&self, snapshot: &Snapshot) -> Option<Arc<StoredDatabase>> {
        let databases = self.databases.lock();
        databases.iter().find(|database| Arc::ptr_eq(database.store(), snapshot.store())).cloned()
    }

    /// Makes a captured state this node's checkpoint.
    pub fn checkpoint(&self, capture: &Capture) -> Result<LogId, String> {
        let mut databases = Vec::new();
        for (name, version) in &capture.state.databases {
            let database = self.of(&version.snapshot).ok_or_else(|| format!("database {name} has no files"))?;
            databases.push((database, version.snapshot.clone()));
        }
        let mark = postcard::to_stdvec(&capture.mark).map_err(|e| e.to_string())?;
        let all: Vec<_> = databases.iter().map(|(database, snapshot)| (&**database, snapshot.clone())).collect();
        checkpoint_all(&*self.disk, &self.directory, &mark, &all).map_err(|e| e.to_string())?;
        self.drop_unlisted(capture);
        Ok(capture.mark.accepted.log_id)
    }

    /// Databases that are neither in the checkpoint nor in any version that is still held.
    fn drop_unlisted(&self, capture: &Capture) {
        let listed = |database: &Arc<StoredDatabase>| {
            let mut versions = capture.state.databases.values();
            versions.any(|version| Arc::ptr_eq(database.store(), version.snapshot.store()))
        };
        // One strong reference is ours, one its StoredDatabase's: more means that somebody still reads or executes on it.
        self.databases.lock().retain(|database| listed(database) || Arc::strong_count(database.store()) > 1);
    }

    /// Bytes of pages in memory.
    fn memory_bytes(&self) -> usize {
        self.databases.lock().iter().map(|database| database.store().stats().frames * 4096).sum()
    }

    fn all(&self) -> Vec<Arc<StoredDatabase>> {
        self.databases.lock().clone()
    }
}

/// Starts the background thread; it ends when the node's shared state is gone.
pub fn start_background(
    keeper: Keeper,
    shared: &Arc<NodeShared>,
    inbox: Inbox,
    consensus: Consensus,
    runtime: tokio::runtime::Handle,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let background = Background { shared: Arc::downgrade(shared), keeper, inbox, consensus, runtime };
    std::thread::Builder::new().name(format!("store-{}", shared.id)).spawn(move || background.run())
}

struct Background {
    shared: Weak<NodeShared>,
    keeper: Keeper,
    inbox: Inbox,
    consensus: Consensus,
    runtime: tokio::runtime::Handle,
}

impl Background {
    fn run(mut self) {
        loop {
            let Some(shared) = self.shared.upgrade() else { return };
            if shared.is_stopping() {
                self.keeper.final_checkpoint(&shared);
                return;
            }
            self.keeper.free();
            self.keeper.checkpoint_wanted(&shared);
            if self.keeper.is_due(&shared) {
                self.checkpoint(&shared);
            }
            if self.keeper.backfill_and_scrub(&shared) {
                self.inbox.put(Input::Damage);
            }
            drop(shared);
            std::thread::sleep(PAUSE);
        }
    }

    fn checkpoint(&mut self, shared: &NodeShared) {
        let (sender, receiver) = mpsc::channel();
        self.inbox.call(move |core| drop(sender.send(Capture::of_healthy(core))));
        let Ok(Some(capture)) = receiver.recv() else { return };
        let Some(log_id) = self.keeper.checkpoint(shared, &capture) else { return };
        if let Err(error) = self.runtime.block_on(checkpointed(
            &self.consensus,
            log_id,
            shared.purge_floor(),
            self.keeper.keep_entries(),
        )) {
            tracing::warn!(node = shared.id, error, "the log could not be purged");
        }
    }
}

/// The same as a task, on the runtime's clock.
pub async fn run_inline(
    mut keeper: Keeper,
    shared: Arc<NodeShared>,
    core: Rc<RefCell<NodeCore>>,
    inbox: Inbox,
    consensus: Consensus,
) {
    loop {
        time::sleep(PAUSE).await;
        keeper.free();
        keeper.checkpoint_wanted(&shared);
        let capture = if keeper.is_due(&shared) { Capture::of_healthy(&core.borrow()) } else { None };
        if let Some(log_id) = capture.and_then(|capture| keeper.checkpoint(&shared, &capture))
            && let Err(error) = checkpointed(&consensus, log_id, shared.purge_floor(), keeper.keep_entries()).await
        {
            tracing::warn!(node = shared.id, error, "the log could not be purged");
        }
        if keeper.backfill_and_scrub(&shared) {
            inbox.put(Input::Damage);
        }
    }
}

/// What is done to a node's files beside the executor, in small steps.
pub struct Keeper {
    storage: Arc<Storage>,
    config: Config,
    checkpointed_batches: u64,
    checkpointed_at: time::Instant,
    failed_at: Option<time::Instant>,
    /// When readers of an old version were last asked to end.
    asked_at: time::Instant,
    scrub: Scrub,
}

/// Where the scrub stands.
#[derive(Default)]
struct Scrub {
    database: usize,
    leaf: u32,
    /// When the next step is due; nothing during the first pass.
    due: Option<time::Instant>,
}

impl Keeper {
    /// For a node that was just opened.
    pub fn new(storage: Arc<Storage>, config: Config) -> Self {
        Keeper {
            storage,
            config,
            checkpointed_batches: 0,
            checkpointed_at: time::Instant::now(),
            failed_at: None,
            asked_at: time::Instant::now(),
            scrub: Scrub::default(),
        }
    }

    /// Gives back what superseded versions hold, and memory over the budget.
    fn free(&mut self) {
        let may_ask = self.asked_at.elapsed() > ASK_AGAIN;
        for database in self.storage.all() {
            database.store().reclaim();
            database.store().evict();
            if may_ask && database.store().end_oldest_pin() {
                self.asked_at = time::Instant::now();
                tracing::warn!(node = self.storage.node, "memory is short: readers of the oldest version are ended");
            }
        }
    }

    fn is_due(&self, shared: &NodeShared) -> bool {
        let new = shared.counters.batches().saturating_sub(self.checkpointed_batches);
        let patience = self.failed_at.is_none_or(|at| at.elapsed() > Duration::from_secs(1));
        let much = new >= self.config.checkpoint_batches
            || self.storage.memory_bytes() > (self.config.memory_mib << 20) / 2
                && self.checkpointed_at.elapsed() > Duration::from_millis(500);
        shared.serves() && !shared.is_down() && patience && new > 0 && (much || self.checkpointed_at.elapsed() > QUIET)
    }

    /// Entries of the log that are kept for nodes that do not have them. Nodes of one process all purge behind the oldest
    /// checkpoint of them.
    fn keep_entries(&self) -> u64 {
        if self.config.member.is_some() { self.config.log_keep_entries } else { u64::MAX }
    }

    /// A node that joined by pages must have them on its disk before it follows the log.
    fn checkpoint_wanted(&mut self, shared: &NodeShared) {
        if let Some((capture, durable)) = shared.take_wanted() {
            let done = self.checkpoint(shared, &capture).is_some();
            durable(done);
        }
    }

    /// Where the node's checkpoint stands now, unless it failed.
    fn checkpoint(&mut self, shared: &NodeShared, capture: &Capture) -> Option<LogId> {
        let batches = shared.counters.batches();
        match self.storage.checkpoint(capture) {
            Ok(log_id) => {
                self.checkpointed_batches = batches;
                self.checkpointed_at = time::Instant::now();
                self.failed_at = None;
                shared.set_checkpoint(log_id.index.min(capture.ballots_needed_above));
                Some(log_id)
            }
            Err(error) => {
                self.failed_at = Some(time::Instant::now());
                tracing::error!(node = shared.id, error, "the checkpoint failed; the one before stays in force");
                None
            }
        }
    }

    /// A quick start next time; without it nothing is lost. The checkpoint before is kept beside it, so that what the
    /// node did last can be looked at (`evesql rules suggest`).
    fn final_checkpoint(&mut self, shared: &NodeShared) {
        let Some(capture) = shared.take_last_capture() else { return };
        if let Err(error) = Manifest::keep(&*self.storage.disk, &self.storage.directory) {
            tracing::warn!(node = shared.id, %error, "the checkpoint before the last one is not kept");
        }
        if let Err(error) = self.storage.checkpoint(&capture) {
            tracing::error!(node = shared.id, error, "the last checkpoint failed; the one before stays in force");
        }
    }

    /// Some pages go to the base files, some are proved; whether damage was found.
    fn backfill_and_scrub(&mut self, shared: &NodeShared) -> bool {
        self.backfill();
        self.scrub(shared)
    }

    fn backfill(&self) {
        for database in self.storage.all() {
            if database.needs_backfill()
                && let Err(error) = database.backfill(BACKFILL_PAGES)
            {
                tracing::error!(node = self.storage.node, %error, "pages could not be copied into the base file");
            }
        }
    }

    /// Hashes a few more pages of the accepted state from their bytes.
    fn scrub(&mut self, shared: &NodeShared) -> bool {
        if !shared.serves() {
            // A repair proves every page.
            return false;
        }
        let state = shared.accepted_state();
        if self.scrub.due.is_some_and(|due| time::Instant::now() < due) {
            return false;
        }
        self.scrub.due = self.scrub.due.map(|_| time::Instant::now() + SCRUB_PAUSE);
        let Some(version) = state.databases.values().nth(self.scrub.database) else {
            self.scrub = Scrub { due: Some(time::Instant::now() + SCRUB_PAUSE), ..Scrub::default() };
            shared.set_verified();
            return false;
        };
        let leaves = version.snapshot.page_count().div_ceil(64);
        let end = self.scrub.leaf.saturating_add(SCRUB_LEAVES);
        let damaged = version.snapshot.store().rehash_leaves(&version.snapshot, self.scrub.leaf..end);
        if !damaged.is_empty() {
            tracing::error!(node = shared.id, ?damaged, "the scrub found pages that do not match their hashes");
        }
        self.scrub.leaf = end;
        if end >= leaves {
            self.scrub = Scrub { database: self.scrub.database + 1, leaf: 0, ..self.scrub };
        }
        !damaged.is_empty()
    }
}
