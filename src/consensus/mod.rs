//! Consensus: batches and verdicts in one order, durable on a quorum. openraft behind a narrow door.
//!
//! In the walk of a transaction: the batcher proposes a batch at the leader; it is appended to the log and sent
//! to all; every node's executor starts on it on append ([`Event::Appended`]); when a quorum has it, it is decided
//! ([`Event::Decided`]). What the cluster *accepts* is the verifier's business: consensus compares no results.
//!
//! Everything runs on the runtime that [`Consensus::start`] is called on, a current-thread one: with a work-stealing
//! one every proposal became an append of its own, ten times slower. Nodes of one process share it. The handle may be
//! used from any thread.
//!
//! - `types`: conversions at the border; `storage`: the log and its tee; `state_machine`: decided, and no more;
//! - `network`: outgoing messages; `handler`: incoming ones; `read_index`: shared rounds;
//! - `runtime`: tokio without randomness, for the simulator.

mod config;
mod event;
mod handler;
mod network;
mod proposal;
mod read_index;
mod runtime;
mod state_machine;
mod storage;
mod types;

pub use config::ConsensusConfig;
pub use event::{Checkpoint, Event, Sink};
pub use proposal::{Proposal, ProposeError};

use crate::entry::{EncodedCommand, Entry, Membership, Vote};
use crate::log_store::{Log, LogError, Purged};
use crate::peer::{PeerMessage, PeerReply, Transport};
use crate::token::{LogId, NodeId};
use bytes::Bytes;
use futures::future::BoxFuture;
use network::Network;
use openraft::rt::WatchReceiver;
use openraft::{BasicNode, ChangeMembers, Raft, ReadPolicy};
use parking_lot::Mutex;
use read_index::Rounds;
use runtime::Runtime;
use serde::{Deserialize, Serialize};
use state_machine::StateMachine;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use storage::Storage;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time;
use types::TypeConfig;

/// Bytes of entries fed to the executor at once after a restart.
const FEED_BYTES_MAX: usize = 1 << 20;
/// Pause before a round asks again who leads.
const READ_RETRY_PAUSE: Duration = Duration::from_millis(5);

/// One granted leadership. Its term and node fence what is proposed under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leadership {
    /// Raft term.
    pub term: u64,
    /// Who leads.
    pub node: NodeId,
}

/// Why consensus cannot start or go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConsensusError {
    /// The log failed; the node must stop.
    #[error("consensus cannot use its log: {0}")]
    Log(Arc<LogError>),
    /// openraft stopped, with its reason.
    #[error("consensus has stopped: {0}")]
    Stopped(String),
    /// A setting makes no sense.
    #[error("consensus is configured wrongly: {0}")]
    Config(String),
    /// What was asked for is refused, with the reason.
    #[error("refused: {0}")]
    Refused(String),
    /// No leader that a quorum follows was found in time.
    #[error("no leader was found within {0:?}")]
    NoLeader(Duration),
}

impl From<LogError> for ConsensusError {
    fn from(error: LogError) -> Self {
        ConsensusError::Log(Arc::new(error))
    }
}

fn stopped(error: impl std::fmt::Display) -> ConsensusError {
    ConsensusError::Stopped(error.to_string())
}

/// Takes over a peer's state before the log follows it.
pub trait SnapshotInstaller: Send + Sync + 'static {
    /// Fetches and installs the state that `checkpoint` describes from `leader`, durably. An error leaves the
    /// old state, and the leader tries again.
    fn install(&self, leader: NodeId, checkpoint: Checkpoint) -> BoxFuture<'static, Result<(), String>>;
}

/// Offers this node's accepted state to a follower whose entries are purged.
pub trait SnapshotSource: Send + Sync + 'static {
    /// The newest accepted state, which is then held for a while: its place in the log, and what the receiver's
    /// [`SnapshotInstaller`] needs to fetch it. Nothing if there is none to offer now.
    fn offer(&self) -> BoxFuture<'static, Option<(LogId, Bytes)>>;
}

/// What the parts of this module share.
pub(crate) struct Shared {
    sink: Arc<dyn Sink>,
    pub(crate) decided: watch::Sender<Option<LogId>>,
    pub(crate) checkpoint: Mutex<Option<Checkpoint>>,
    /// Where newer states than the checkpoint's come from.
    source: OnceLock<Arc<dyn SnapshotSource>>,
    /// A state that is being installed: the log may be purged to it before the state machine hears of it.
    installing: Mutex<Option<Checkpoint>>,
}

impl Shared {
    pub(crate) fn emit(&self, event: Event) {
        self.sink.event(event);
    }
    /// The membership that came with an installed state at this position.
    pub(crate) fn membership_of_installed(&self, log_id: LogId) -> Option<(LogId, Membership)> {
        let at = |checkpoint: &Option<Checkpoint>| {
            checkpoint.as_ref().filter(|checkpoint| checkpoint.log_id == log_id)?.membership.clone()
        };
        at(&self.installing.lock()).or_else(|| at(&self.checkpoint.lock()))
    }
}

/// What a node says of its log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogReport {
    /// Its newest vote.
    pub vote: Option<Vote>,
    /// Its newest entry, or where it was purged.
    pub last: Option<LogId>,
    /// From where on entries are kept.
    pub purged: Option<Purged>,
    /// The newest membership, with its position.
    pub membership: Option<(LogId, Membership)>,
}

/// Counters and watermarks for the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsensusMetrics {
    /// Current term.
    pub term: u64,
    /// Who leads, as far as this node knows.
    pub leader: Option<NodeId>,
    /// leader, follower, candidate, learner or shutdown.
    pub state: String,
    /// Index of the newest entry.
    pub last_index: Option<u64>,
    /// Index of the newest decided entry.
    pub decided_index: Option<u64>,
    /// Index up to which entries are purged.
    pub purged_index: Option<u64>,
    /// At the leader: what each follower is known to hold.
    pub replicated: BTreeMap<NodeId, Option<u64>>,
    /// Voters in force.
    pub voters: Vec<NodeId>,
    /// Read-index rounds that this node started for its own readers.
    pub read_rounds: u64,
}

struct Inner {
    config: ConsensusConfig,
    raft: Raft<TypeConfig, StateMachine>,
    log: Arc<Log>,
    shared: Arc<Shared>,
    transport: Arc<dyn Transport>,
    installer: Arc<dyn SnapshotInstaller>,
    runtime: Handle,
    leader: watch::Receiver<Option<Leadership>>,
    /// Rounds for readers at this node, wherever the leader is.
    readers: Arc<Rounds>,
    /// Rounds made as the leader, for this node's and other nodes' rounds.
    leading: Arc<Rounds>,
    tasks: Mutex<Vec<AbortHandle>>,
}

/// One node's part in consensus. Cheap to clone; usable from any thread.
#[derive(Clone)]
pub struct Consensus(Arc<Inner>);

impl Consensus {
    /// Starts on the current runtime, with elections disabled until [`Consensus::enable_elections`].
    ///
    /// `checkpoint` is the durable accepted state that the node starts from, if any. Before this returns, `sink`
    /// has got all entries behind it as [`Event::Appended`], and [`Event::Decided`] as far as that is known.
    pub async fn start(
        config: ConsensusConfig,
        log: Arc<Log>,
        transport: Arc<dyn Transport>,
        sink: Arc<dyn Sink>,
        installer: Arc<dyn SnapshotInstaller>,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Consensus, ConsensusError> {
        let raft_config = config.to_raft().map_err(ConsensusError::Config)?;
        let shared = Arc::new(Shared {
            sink,
            decided: watch::Sender::new(checkpoint.as_ref().map(|checkpoint| checkpoint.log_id)),
            checkpoint: Mutex::new(checkpoint),
            source: OnceLock::new(),
            installing: Mutex::new(None),
        });
        let mut tasks = Vec::new();
        tasks.extend(drive_inline_log(&log, config.inline_flush_delay));
        feed(&log, &shared).await?;
        let network = Network {
            transport: transport.clone(),
            timeout: config.append_timeout,
            snapshot_timeout: config.snapshot_timeout,
        };
        let storage = Storage::new(log.clone(), shared.clone());
        let state_machine = StateMachine::new(shared.clone(), log.clone());
        let start = Raft::new(config.node, Arc::new(raft_config), network, storage, state_machine);
        let raft = Runtime::scope(config.seed, start).await.map_err(stopped)?;
        let (leader, follow) = follow_leader(&raft, &shared);
        tasks.push(follow);
        Ok(Consensus(Arc::new(Inner {
            config,
            raft,
            log,
            shared,
            transport,
            installer,
            runtime: Handle::current(),
            leader,
            readers: Arc::default(),
            leading: Arc::default(),
            tasks: Mutex::new(tasks),
        })))
    }

    /// This node's number.
    pub fn node(&self) -> NodeId {
        self.0.config.node
    }

    /// Makes a new cluster of these voters (with the addresses that peers dial). On one node, or with the same
    /// list on each; refused where the log is not empty.
    pub async fn bootstrap(&self, voters: &[(NodeId, String)]) -> Result<(), ConsensusError> {
        let nodes: BTreeMap<NodeId, BasicNode> =
            voters.iter().map(|(node, address)| (*node, BasicNode::new(address))).collect();
        self.0.raft.initialize(nodes).await.map_err(|error| ConsensusError::Refused(error.to_string()))
    }

    /// Lets this node stand for election, or keeps it from it. A node may stand once it has proved its root.
    pub fn enable_elections(&self, enabled: bool) {
        self.0.raft.runtime_config().elect(enabled);
    }

    /// Who leads, as far as this node knows: another node from its first message on, this node from its first
    /// decided entry on.
    pub fn leader(&self) -> watch::Receiver<Option<Leadership>> {
        self.0.leader.clone()
    }

    /// How far the log is decided, as far as this node knows.
    pub fn decided(&self) -> watch::Receiver<Option<LogId>> {
        self.0.shared.decided.subscribe()
    }

    /// Proposes a command under a leadership of this node. On return it stands in the queue, behind all that were
    /// proposed before; the [`Proposal`] says when it is decided.
    pub async fn propose(&self, command: Arc<EncodedCommand>, fence: Leadership) -> Result<Proposal, ProposeError> {
        proposal::propose(&self.0.raft, command, fence).await
    }

    /// The index that a strict read must see accepted: the log is decided up to there, and nothing that was decided
    /// before this call is above it. Shares its round with all readers that came before the round began.
    pub async fn read_index(&self) -> Result<u64, ConsensusError> {
        let this = self.clone();
        let round = move || this.clone().read_round();
        let index = self.0.readers.join(&self.0.runtime, round).await.map_err(stopped)?;
        index.ok_or(ConsensusError::NoLeader(self.0.config.read_index_timeout))
    }

    /// Asks whoever leads, again and again until the time is up.
    async fn read_round(self) -> Option<u64> {
        let deadline = time::Instant::now() + self.0.config.read_index_timeout;
        while time::Instant::now() < deadline {
            let leader = *self.0.leader.borrow();
            let index = match leader {
                Some(leader) if leader.node == self.node() => self.read_index_as_leader().await,
                Some(leader) => self.ask_read_index(leader.node).await,
                None => None,
            };
            if index.is_some() {
                return index;
            }
            time::sleep(READ_RETRY_PAUSE).await;
        }
        None
    }

    async fn ask_read_index(&self, leader: NodeId) -> Option<u64> {
        let timeout = self.0.config.append_timeout;
        match self.0.transport.request(leader, PeerMessage::ReadIndex, timeout).await {
            Ok(PeerReply::ReadIndex(index)) => index,
            _ => None,
        }
    }

    /// Whether a quorum confirms, asked after this call, that this node leads.
    pub async fn is_confirmed_as_leader(&self) -> bool {
        self.read_index_as_leader().await.is_some()
    }

    /// Nothing if this node does not lead, or no quorum confirms it.
    async fn read_index_as_leader(&self) -> Option<u64> {
        let raft = self.0.raft.clone();
        let round = move || {
            let raft = raft.clone();
            async move {
                let linearizer = raft.get_read_linearizer(ReadPolicy::ReadIndex).await.ok()?;
                Some(linearizer.read_log_id().index())
            }
        };
        self.0.leading.join(&self.0.runtime, round).await.ok()?
    }

    /// Hands the leadership over. Returns when the wish is on its way; watch [`Consensus::leader`], and give up
    /// after a while: a target that dies keeps the leader.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), ConsensusError> {
        self.0.raft.trigger().transfer_leader(to).await.map_err(stopped)
    }

    /// Stands for election at once, without asking first whether it would be elected: for a leader that is known to be
    /// gone.
    pub async fn elect_without_asking(&self) -> Result<(), ConsensusError> {
        self.0.raft.trigger().elect(false).await.map_err(stopped)
    }

    /// The end of this node's log.
    pub fn last(&self) -> Option<LogId> {
        self.0.log.state().last
    }

    /// Stands for election now.
    pub async fn elect(&self) -> Result<(), ConsensusError> {
        self.0.raft.trigger().elect(true).await.map_err(stopped)
    }

    /// What is in this node's log, for a peer that lost a part of its own.
    pub fn log_report(&self) -> Result<LogReport, ConsensusError> {
        let state = self.0.log.state();
        let membership = self.0.log.membership_at(u64::MAX)?;
        Ok(LogReport { vote: state.vote, last: state.last, purged: state.purged, membership })
    }

    /// Entries from `first` up to `last` (inclusive), about `bytes_max` of them; none where the log does not hold
    /// `last`, so that all that is answered belongs to one history.
    pub fn log_entries(&self, first: u64, last: LogId, bytes_max: usize) -> Result<Vec<Entry>, ConsensusError> {
        let holds_last = || self.0.log.log_id(last.index) == Some(last);
        if !holds_last() || first < self.0.log.first_index() {
            return Ok(Vec::new());
        }
        let entries = self.0.log.read(first, last.index + 1, bytes_max)?;
        Ok(if holds_last() { entries } else { Vec::new() })
    }

    /// A checkpoint at a decided position, completed with the membership there.
    pub fn checkpoint_at(&self, log_id: LogId, manifest: Bytes) -> Result<Checkpoint, ConsensusError> {
        Ok(Checkpoint { log_id, membership: self.0.log.membership_at(log_id.index)?, manifest })
    }

    /// Takes note that `checkpoint` is durable, and purges the log up to `keep_entries` before it.
    pub async fn checkpointed(&self, checkpoint: Checkpoint, keep_entries: u64) -> Result<(), ConsensusError> {
        let index = checkpoint.log_id.index;
        *self.0.shared.checkpoint.lock() = Some(checkpoint);
        let trigger = self.0.raft.trigger();
        trigger.snapshot().await.map_err(stopped)?;
        // The snapshot is only a note, but openraft takes it in its own time; purging beyond it is refused.
        let mut metrics = self.0.raft.data_metrics();
        while metrics.borrow_watched().snapshot.is_none_or(|snapshot| snapshot.index < index) {
            metrics.changed().await.map_err(|_| stopped("it was shut down"))?;
        }
        match index.checked_sub(keep_entries) {
            Some(up_to) => trigger.purge_log(up_to).await.map_err(stopped),
            None => Ok(()),
        }
    }

    /// Followers that lag beyond the log are offered what `source` has. Without it they are offered the newest
    /// checkpoint.
    pub fn offer_from(&self, source: Arc<dyn SnapshotSource>) {
        self.0.shared.source.set(source).unwrap_or_else(|_| tracing::error!("states are offered by somebody already"));
    }

    /// Adds a learner, which gets the log but has no vote.
    pub async fn add_learner(&self, node: NodeId, address: &str) -> Result<(), ConsensusError> {
        let added = self.0.raft.add_learner(node, BasicNode::new(address), false).await;
        added.map(|_| ()).map_err(|error| ConsensusError::Refused(error.to_string()))
    }

    /// Makes a learner a voter, and waits until that is decided.
    pub async fn add_voter(&self, node: NodeId) -> Result<(), ConsensusError> {
        self.change(ChangeMembers::AddVoterIds([node].into())).await
    }

    /// Takes a node out, voter or learner, and waits until that is decided.
    pub async fn remove(&self, node: NodeId) -> Result<(), ConsensusError> {
        if self.metrics().voters.contains(&node) {
            self.change(ChangeMembers::RemoveVoters([node].into())).await?;
        }
        self.change(ChangeMembers::RemoveNodes([node].into())).await
    }

    /// One change at a time. Other learners stay what they are.
    async fn change(&self, change: ChangeMembers<u64, BasicNode>) -> Result<(), ConsensusError> {
        let changed = self.0.raft.change_membership(change, true).await;
        changed.map(|_| ()).map_err(|error| ConsensusError::Refused(error.to_string()))
    }

    /// Counters and watermarks.
    pub fn metrics(&self) -> ConsensusMetrics {
        let metrics = self.0.raft.metrics().borrow_watched().clone();
        let replicated = metrics.replication.unwrap_or_default();
        ConsensusMetrics {
            term: metrics.current_term,
            leader: metrics.current_leader,
            state: format!("{:?}", metrics.state).to_lowercase(),
            last_index: metrics.last_log_index,
            decided_index: self.0.shared.decided.borrow().map(|log_id| log_id.index),
            purged_index: metrics.purged.map(|log_id| log_id.index),
            replicated: replicated.into_iter().map(|(node, at)| (node, at.map(|log_id| log_id.index))).collect(),
            voters: metrics.membership_config.voter_ids().collect(),
            read_rounds: self.0.readers.started(),
        }
    }

    /// Why this node takes part no more, if it does not: an error of its log, or a bug.
    pub fn failure(&self) -> Option<String> {
        self.0.raft.metrics().borrow_watched().running_state.as_ref().err().map(ToString::to_string)
    }

    /// Stops taking part. The log is the caller's to shut down.
    pub async fn shut_down(&self) {
        if let Err(error) = self.0.raft.shutdown().await {
            tracing::warn!(%error, "consensus did not stop cleanly");
        }
        self.0.tasks.lock().drain(..).for_each(|task| task.abort());
    }
}

/// After a restart the executor gets the entries behind its checkpoint (rule 10), in pieces between which others on
/// the runtime have their turn.
async fn feed(log: &Log, shared: &Shared) -> Result<(), ConsensusError> {
    let mut index = shared.checkpoint.lock().as_ref().map_or(0, |checkpoint| checkpoint.log_id.index + 1);
    loop {
        let entries = log.read(index, u64::MAX, FEED_BYTES_MAX)?;
        let Some(last) = entries.last() else { return Ok(()) };
        if entries[0].log_id.index != index {
            let reason = format!("the log begins at index {}, behind the checkpoint", entries[0].log_id.index);
            return Err(ConsensusError::Stopped(reason));
        }
        index = last.log_id.index + 1;
        entries.into_iter().for_each(|entry| shared.emit(Event::Appended(entry)));
        tokio::task::yield_now().await;
    }
}

/// Without a log thread a task flushes what is queued, some (virtual) time later.
fn drive_inline_log(log: &Arc<Log>, delay: Duration) -> Option<AbortHandle> {
    let work = Arc::new(Notify::new());
    let wake = work.clone();
    if !log.on_work(move || wake.notify_one()) {
        return None;
    }
    let log = log.clone();
    let task = tokio::spawn(async move {
        loop {
            work.notified().await;
            if !delay.is_zero() {
                time::sleep(delay).await;
            }
            log.drive();
        }
    });
    Some(task.abort_handle())
}

/// A watch on who leads, out of openraft's metrics. This node's own leadership counts from its first decided entry
/// on: before, openraft has no lease and refuses proposals.
fn follow_leader(
    raft: &Raft<TypeConfig, StateMachine>,
    shared: &Shared,
) -> (watch::Receiver<Option<Leadership>>, AbortHandle) {
    let this = *raft.node_id();
    let mut metrics = raft.server_metrics();
    let mut decided = shared.decided.subscribe();
    let (sender, receiver) = watch::channel(None);
    let task = tokio::spawn(async move {
        loop {
            let vote = types::vote_from_raft(&metrics.borrow_watched().vote);
            let own = vote.node == this;
            let decides = decided.borrow_and_update().is_some_and(|last| (last.term, last.leader) == (vote.term, this));
            let known = vote.committed && (!own || decides);
            let leader = known.then_some(Leadership { term: vote.term, node: vote.node });
            sender.send_if_modified(|current| std::mem::replace(current, leader) != leader);
            let unsettled = vote.committed && !known;
            let changed = tokio::select! {
                biased;
                changed = metrics.changed() => changed.is_ok(),
                changed = decided.changed(), if unsettled => changed.is_ok(),
            };
            if !changed {
                sender.send_replace(None);
                return;
            }
        }
    });
    (receiver, task.abort_handle())
}

#[cfg(test)]
mod tests;
