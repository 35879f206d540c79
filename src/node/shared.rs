//! What a node's executor shares with its sessions, the status page and the proposer.

use super::auditor::Audits;
use super::storage::Capture;
use super::waiters::Waiters;
use super::watermark::Watermark;
use super::wiring::Surroundings;
use crate::replica::{AcceptedState, Learned, Replaced, Spent};
use crate::token::{Accepted, NodeId};
use crate::verifier::{self, Divergence, Reason};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What a join fetches is there twice for a moment, beside the pages in memory: it is no more than one of so many parts
/// of the memory for them.
const PART_SHARE: usize = 16;
/// Divergences kept for `evesql_divergences` and `status`.
const DIVERGENCES_KEPT: usize = 100;

/// Is told whether a checkpoint succeeded.
pub type Durable = Box<dyn FnOnce(bool) + Send>;

/// Log index of each node's durable checkpoint.
pub type Checkpoints = Mutex<BTreeMap<NodeId, u64>>;

/// How far the log was acknowledged to clients of this process, by whichever of its nodes: what a strict read must see.
/// All clients of the nodes are clients of the process, so no leader needs to be asked, except once after the start,
/// for what an earlier process had acknowledged.
#[derive(Default)]
pub struct Acknowledged {
    index: AtomicU64,
    is_known: AtomicBool,
    /// There are clients of other processes: what they were told only a leader knows.
    has_others: bool,
}

impl Acknowledged {
    /// For a node beside nodes of other processes: never known.
    pub fn among_others() -> Self {
        Acknowledged { has_others: true, ..Acknowledged::default() }
    }
    /// The log index, once it is known.
    pub fn index(&self) -> Option<u64> {
        self.is_known.load(Ordering::Acquire).then(|| self.index.load(Ordering::Acquire))
    }
    /// Answers of batches up to here are about to leave.
    pub(super) fn up_to(&self, index: u64) {
        self.index.fetch_max(index, Ordering::AcqRel);
    }
    /// A read index that was asked for after the start of the process covers whatever came before it.
    pub fn learn(&self, read_index: u64) {
        self.up_to(read_index);
        self.is_known.store(!self.has_others, Ordering::Release);
    }
}

/// Counts since the start.
#[derive(Default)]
pub struct Counters {
    batches: AtomicU64,
    transactions: AtomicU64,
    executing_us: AtomicU64,
    verifying_us: AtomicU64,
}

impl Counters {
    pub(super) fn batch(&self, transactions: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.transactions.fetch_add(transactions as u64, Ordering::Relaxed);
    }
    pub(super) fn spent(&self, spent: Spent) {
        self.executing_us.store(spent.executing.as_micros() as u64, Ordering::Relaxed);
        self.verifying_us.store(spent.verifying.as_micros() as u64, Ordering::Relaxed);
    }
    /// Microseconds that executing took.
    pub fn executing_us(&self) -> u64 {
        self.executing_us.load(Ordering::Relaxed)
    }
    /// Microseconds of that for what only verification needs.
    pub fn verifying_us(&self) -> u64 {
        self.verifying_us.load(Ordering::Relaxed)
    }
    /// Accepted batches.
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }
    /// Transactions in them.
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }
}

/// One node, as others in the process see it.
pub struct NodeShared {
    /// The node.
    pub id: NodeId,
    /// Drawn at random at the start; part of the ids of its sessions' transactions.
    pub incarnation: u64,
    /// Accepted states kept for repairing peers.
    pub recent_states_max: usize,
    /// Sessions that wait for outcomes.
    pub waiters: Arc<Waiters>,
    /// What clients of the process were told.
    pub acknowledged: Arc<Acknowledged>,
    /// What strict reads wait for.
    pub watermark: Mutex<Watermark>,
    /// Counts.
    pub counters: Counters,
    /// What its replica learned about kinds of transactions.
    pub learned: Arc<Learned>,
    /// Accepted batches that it ran again.
    pub audits: Arc<Audits>,
    checkpoints: Arc<Checkpoints>,
    /// Peers that this node has heard lately.
    heard: Mutex<BTreeSet<NodeId>>,
    accepted: RwLock<(Arc<AcceptedState>, Accepted, Instant)>,
    stopping: AtomicBool,
    last_capture: Mutex<Option<Capture>>,
    /// A state that somebody waits to see on the disk.
    wanted: Mutex<Option<(Capture, Durable)>>,
    /// Bytes of pages that a join fetches in a second, at most; 0: as fast as it goes.
    pub transfer_bytes_per_s: u64,
    /// A node that joins writes what it has fetched to its disk, and holds it in memory no more, whenever it is so much.
    pub transfer_part_bytes: usize,
    /// The oldest position of a state that a peer fetches; `u64::MAX` where none does.
    lent_from: AtomicU64,
    /// Pages that a repair has fetched, and pages of its target.
    fetched: Mutex<(u64, u64)>,
    status: Mutex<Option<verifier::Status>>,
    header: Mutex<Accepted>,
    room: AtomicUsize,
    quarantine: Mutex<Option<Reason>>,
    quarantined: AtomicBool,
    repairing: AtomicBool,
    repairs: AtomicU64,
    verified: AtomicBool,
    halted: Mutex<Option<String>>,
    divergences: Mutex<VecDeque<Divergence>>,
    now_us: Box<dyn Fn() -> i64 + Send + Sync>,
}

impl NodeShared {
    /// A node that starts from an accepted state.
    pub fn new(
        id: NodeId,
        around: &Surroundings,
        accepted: Accepted,
        state: Arc<AcceptedState>,
        learned: Arc<Learned>,
    ) -> Arc<Self> {
        let clock = around.clock.clone();
        Arc::new(NodeShared {
            id,
            incarnation: around.incarnation,
            recent_states_max: 32,
            waiters: around.waiters.clone(),
            acknowledged: around.acknowledged.clone(),
            checkpoints: around.checkpoints.clone(),
            watermark: Mutex::new(Watermark::new(accepted.log_id.index)),
            counters: Counters::default(),
            learned,
            audits: Arc::new(Audits::new(id, around.config.audit_every)),
            heard: Mutex::default(),
            accepted: RwLock::new((state, accepted, Instant::now())),
            stopping: AtomicBool::new(false),
            last_capture: Mutex::new(None),
            wanted: Mutex::new(None),
            transfer_bytes_per_s: around.config.transfer_mib_per_s << 20,
            transfer_part_bytes: around.config.transfer_part_bytes.min((around.config.memory_mib << 20) / PART_SHARE),
            lent_from: AtomicU64::new(u64::MAX),
            fetched: Mutex::default(),
            status: Mutex::new(None),
            header: Mutex::new(accepted),
            room: AtomicUsize::new(0),
            quarantine: Mutex::new(None),
            quarantined: AtomicBool::new(false),
            repairing: AtomicBool::new(false),
            repairs: AtomicU64::new(0),
            verified: AtomicBool::new(false),
            halted: Mutex::new(None),
            divergences: Mutex::new(VecDeque::new()),
            now_us: Box::new(move || clock.now_us()),
        })
    }

    /// The newest accepted state: what readers pin.
    pub fn accepted_state(&self) -> Arc<AcceptedState> {
        self.accepted.read().0.clone()
    }

    /// The newest acceptance.
    pub fn accepted(&self) -> Accepted {
        self.accepted.read().1
    }

    /// Time since the newest acceptance; on an idle cluster old age is no staleness, so a reader that asks for a
    /// bound is then served as a strict one.
    pub fn accepted_age(&self) -> Duration {
        self.accepted.read().2.elapsed()
    }

    /// Asks the background thread for a last checkpoint of this state, and to end.
    pub(super) fn stop_background(&self, capture: Option<Capture>) {
        *self.last_capture.lock() = capture;
        self.stopping.store(true, Ordering::Release);
    }
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
    pub(super) fn take_last_capture(&self) -> Option<Capture> {
        self.last_capture.lock().take()
    }

    /// Asks the background thread for a checkpoint of this state; `durable` is told whether it succeeded.
    pub(super) fn want_checkpoint(&self, capture: Capture, durable: Durable) {
        *self.wanted.lock() = Some((capture, durable));
    }
    pub(super) fn take_wanted(&self) -> Option<(Capture, Durable)> {
        self.wanted.lock().take()
    }

    /// This node's checkpoint is durable at this index.
    pub(super) fn set_checkpoint(&self, index: u64) {
        self.checkpoints.lock().insert(self.id, index);
    }
    /// Behind which all nodes of the process have their checkpoint, and no peer that fetches a state needs the log.
    pub(super) fn purge_floor(&self) -> u64 {
        let checkpoint = self.checkpoints.lock().values().copied().min().unwrap_or(0);
        checkpoint.min(self.lent_from.load(Ordering::Relaxed))
    }

    /// Peers fetch states from this position on.
    pub(super) fn set_lent_from(&self, index: Option<u64>) {
        self.lent_from.store(index.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn publish(&self, state: Arc<AcceptedState>, accepted: Accepted) {
        *self.accepted.write() = (state, accepted, Instant::now());
    }

    pub(super) fn set_heard(&self, peer: NodeId, heard: bool) {
        let mut peers = self.heard.lock();
        match heard {
            true => peers.insert(peer),
            false => peers.remove(&peer),
        };
    }

    /// Whether something came from this peer lately.
    pub fn hears(&self, peer: NodeId) -> bool {
        self.heard.lock().contains(&peer)
    }

    /// Whether this node may answer (invariant 7).
    pub fn serves(&self) -> bool {
        !self.quarantined.load(Ordering::Acquire)
    }

    pub(super) fn set_quarantine(&self, reason: Option<Reason>) {
        self.quarantined.store(reason.is_some(), Ordering::Release);
        *self.quarantine.lock() = reason;
    }

    pub(super) fn set_repairing(&self, repairing: bool) {
        self.repairing.store(repairing, Ordering::Release);
    }

    pub(super) fn set_fetched(&self, pages: u64, of: u64) {
        *self.fetched.lock() = (pages, of);
    }

    /// Repairs of this node since it started.
    pub fn repairs(&self) -> u64 {
        self.repairs.load(Ordering::Relaxed)
    }

    /// Every page has been proved once since the start.
    pub fn set_verified(&self) {
        self.verified.store(true, Ordering::Release);
    }

    pub(super) fn set_halted(&self, reason: &str) {
        self.quarantined.store(true, Ordering::Release);
        *self.halted.lock() = Some(reason.to_string());
    }

    /// This node takes part no more and still knows what it has accepted: reads that are content with that go on.
    pub(super) fn set_out_of_work(&self, reason: &str) {
        *self.halted.lock() = Some(reason.to_string());
    }

    /// Whether this node takes part no more.
    pub fn is_down(&self) -> bool {
        self.halted.lock().is_some()
    }

    pub(super) fn set_status(&self, status: verifier::Status, header: Accepted, room: usize) {
        *self.status.lock() = Some(status);
        *self.header.lock() = header;
        self.room.store(room, Ordering::Release);
    }

    /// What the next batch's header carries (rule 7), while this node leads.
    pub fn header(&self) -> Accepted {
        *self.header.lock()
    }

    /// Whether the leader may propose another batch (rules 6 and 22).
    pub fn has_room(&self) -> bool {
        self.room.load(Ordering::Acquire) > 0
    }

    /// What the verifier said last.
    pub fn status(&self) -> Option<verifier::Status> {
        self.status.lock().clone()
    }

    /// `verifying`, `healthy`, `quarantined`, `repairing` or `down`.
    pub fn state(&self) -> &'static str {
        if self.is_down() {
            "down"
        } else if self.repairing.load(Ordering::Acquire) {
            "repairing"
        } else if !self.serves() {
            "quarantined"
        } else if self.verified.load(Ordering::Acquire) {
            "healthy"
        } else {
            "verifying"
        }
    }

    /// Why this node does not serve, as a sentence.
    pub fn reason(&self) -> Option<String> {
        if let Some(reason) = self.halted.lock().clone() {
            return Some(reason);
        }
        self.quarantine.lock().map(|reason| match reason {
            Reason::Diverged { index } => format!("it computed another result than the majority for batch {index}"),
            Reason::Contradiction(key) => {
                format!(
                    "after a restart it computes another result than it had recorded for batch {}",
                    key.log_id.index
                )
            }
            Reason::Damaged => "pages do not match their hashes".to_string(),
            Reason::Failing { index } => format!("it cannot execute batch {index}"),
            Reason::Joining => match *self.fetched.lock() {
                (_, 0) => "it has no state to follow the log from, and waits to be offered one".to_string(),
                (pages, of) => format!("it cannot follow the log and fetches pages: {pages} so far, of {of} in all"),
            },
        })
    }

    pub(super) fn diverged(&self, mut divergence: Divergence) {
        if divergence.nodes().is_empty() {
            // Nobody is left who differs.
            divergence.healed_at_us = Some((self.now_us)());
        }
        let mut divergences = self.divergences.lock();
        // One attempt of one batch is one divergence, however often it is noticed.
        let same = |known: &Divergence| (known.log_id, known.attempt) == (divergence.log_id, divergence.attempt);
        match divergences.iter_mut().find(|known| same(known)) {
            Some(known) => {
                let new = divergence.minority.into_iter().filter(|said| !known.minority.contains(said));
                let new: Vec<_> = new.collect();
                known.minority.extend(new);
                known.failed.extend(divergence.failed);
                known.failed.sort_unstable();
                known.failed.dedup();
            }
            None => divergences.push_back(divergence),
        }
        while divergences.len() > DIVERGENCES_KEPT {
            divergences.pop_front();
        }
    }

    /// A repair of this node replaced these pages.
    pub(super) fn repaired(&self, replaced: &Replaced) {
        self.repairs.fetch_add(1, Ordering::Relaxed);
        if let Some(open) = self.divergences.lock().iter_mut().rev().find(|d| d.healed_at_us.is_none()) {
            open.pages = replaced.pages.clone();
            open.tables = replaced.tables.clone();
            open.rows = replaced.rows.clone();
        }
    }

    /// Batches up to this index are accepted: those that were run again are healed, as are own failures.
    pub(super) fn agreed_up_to(&self, index: u64) {
        let mut divergences = self.divergences.lock();
        let open = |d: &&mut Divergence| d.healed_at_us.is_none() && d.agreed.is_none() && d.log_id.index <= index;
        let now_us = if divergences.is_empty() { 0 } else { (self.now_us)() };
        divergences.iter_mut().filter(open).for_each(|divergence| divergence.healed_at_us = Some(now_us));
    }

    pub(super) fn healed(&self, node: NodeId) {
        let now_us = (self.now_us)();
        for open in self.divergences.lock().iter_mut().filter(|d| d.healed_at_us.is_none()) {
            if open.nodes().contains(&node) {
                open.healed_at_us = Some(now_us);
            }
        }
    }

    /// The newest divergences that this node noticed, oldest first.
    pub fn divergences(&self) -> Vec<Divergence> {
        self.divergences.lock().iter().cloned().collect()
    }
}
