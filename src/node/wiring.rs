//! A node's parts and how they are joined, whoever drives them: threads in the real system (`running`), one
//! task on one simulated clock in the simulator (`inline`).

use super::NodeError;
use super::catching_up::catch_up;
use super::core::{Input, NodeCore, Outside};
use super::door::Door;
use super::executor::Inbox;
use super::handler::{Joiner, Lender, NodeHandler};
use super::members::MembersView;
use super::membership::Registry;
use super::message::NodeMessage;
use super::neighbours::Neighbours;
use super::planner::Planner;
use super::proposer::{Proposer, Queue};
use super::rules::SharedRules;
use super::shared::{Acknowledged, Checkpoints, NodeShared};
use super::storage::{self, Capture, Storage};
use super::succession::Succession;
use super::ticket_office::TicketOffice;
use super::waiters::Waiters;
use crate::batch::Batch;
use crate::batcher::Limits;
use crate::config::Config;
use crate::consensus::{Checkpoint, Consensus, ConsensusConfig, Event, Leadership};
use crate::engine::fingerprint;
use crate::entry::Membership;
use crate::log_store::{Log, LogError, LogOptions, Mode, finish_exchange};
use crate::page::Hash;
use crate::peer::{Network, PeerMessage, Transport};
use crate::seam::{Clock, Disk};
use crate::token::{Accepted, Ballot, LogId, NodeId, Verdict};
use crate::verifier::{self, CrashMark, Members, Verifier};
use bytes::Bytes;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the nodes of one process share.
#[derive(Clone)]
pub struct Surroundings {
    /// Settings.
    pub config: Config,
    /// The mixer's rules in force.
    pub rules: SharedRules,
    /// Who belongs to the cluster.
    pub members: Arc<MembersView>,
    /// Carries messages between the nodes.
    pub network: Arc<dyn Network>,
    /// Of nodes in processes of their own: whom this one lets in.
    pub door: Option<Arc<Door>>,
    /// Nodes of other processes.
    pub neighbours: Arc<Neighbours>,
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Sessions that wait for outcomes; whichever node accepts first answers them.
    pub waiters: Arc<Waiters>,
    /// What clients were told, whichever node told them.
    pub acknowledged: Arc<Acknowledged>,
    /// Where sessions get their tickets.
    pub tickets: Arc<TicketOffice>,
    /// Each node's checkpoint: the log is purged behind the oldest.
    pub checkpoints: Arc<Checkpoints>,
    /// Drawn at random at the start of the process.
    pub incarnation: u64,
    /// Starts of nodes so far; makes each start's random numbers its own.
    pub starts: Arc<AtomicU64>,
    /// Length of a log segment in bytes.
    pub log_segment_bytes: u64,
    /// What any node was executing when the process before died: it was the end of all of them (rule 14).
    pub crashes: Vec<CrashMark>,
}

impl Surroundings {
    /// Randomness of one start of one node. Never the same twice, though the process is: a node that comes back
    /// must not repeat its batches' seeds, nor its log segments' salts.
    pub(super) fn start_seed(&self, node: NodeId) -> u64 {
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        let numbers = [self.incarnation, node, start].map(u64::to_le_bytes);
        Hash::of(&numbers.concat()).0 as u64
    }
}

/// Each node's checkpoint at a process's start: none is known to be durable.
pub fn no_checkpoints(voters: &[NodeId]) -> Arc<Checkpoints> {
    Arc::new(Mutex::new(voters.iter().map(|node| (*node, 0)).collect()))
}

/// Directory of a node under the data directory.
pub fn directory(config: &Config, node: NodeId) -> PathBuf {
    config.data.join(format!("node-{node}"))
}

/// Of the memory for pages, one of so many parts may be taken besides by the log's newest entries.
const LOG_SHARE: usize = 8;

/// Opens a node's log.
pub(super) fn open_log(node: NodeId, around: &Surroundings, seed: u64, mode: Mode) -> Result<Arc<Log>, NodeError> {
    let home = directory(&around.config, node);
    let path = home.join("log");
    finish_exchange(&*around.disk, &path).map_err(|e| NodeError::directory(&home, e))?;
    around.disk.create_directory(&path).map_err(|e| NodeError::directory(&home, e))?;
    Log::open(around.disk.clone(), &path, log_options(node, around, seed), mode).map_err(|e| log_error(node, e))
}

pub(super) fn log_options(node: NodeId, around: &Surroundings, seed: u64) -> LogOptions {
    let options = LogOptions::new(node, seed);
    LogOptions {
        segment_bytes: around.log_segment_bytes,
        cache_bytes_max: options.cache_bytes_max.min((around.config.memory_mib << 20) / LOG_SHARE),
        ..options
    }
}

pub(super) fn log_error(node: NodeId, error: LogError) -> NodeError {
    NodeError::Log { node, is_damaged: matches!(error, LogError::Damaged { .. }), reason: error.to_string() }
}

/// The log names the members, and where they are; where this process was told other addresses, those count.
pub(super) fn take_membership(around: &Surroundings, membership: Membership) {
    let told = |node: &NodeId| around.config.member.as_ref().is_some_and(|member| member.peers.0.contains_key(node));
    for (node, address) in membership.nodes.iter().filter(|(node, _)| !told(node)) {
        around.network.set_address(*node, address);
    }
    around.members.set(membership);
}

/// The execution that the process before did not survive, as far as a log tells.
pub(super) fn crash_in(log: &Log) -> Option<CrashMark> {
    let mark = log.state().executing?;
    Some(CrashMark { log_id: mark.log_id, attempt: mark.attempt, count: mark.starts })
}

/// A node's way to consensus, closed until it leads.
pub(super) fn new_proposer(around: &Surroundings, shared: Arc<NodeShared>, seed: u64) -> (Arc<Proposer>, Queue) {
    let limits = Limits {
        in_flight_max: around.config.batches_in_flight_max,
        batch_transactions_max: around.config.batch_transactions_max,
        batch_bytes_max: around.config.batch_bytes_max,
        queue_transactions_max: around.config.queue_transactions_max,
    };
    let workers = around.config.workers_of_node();
    let planner = Planner::new(shared.learned.clone(), workers, around.config.run_ahead, around.rules.clone());
    Proposer::new(shared, around.clock.clone(), fingerprint(), limits, planner, seed)
}

/// What the executor needs and what is made after it.
#[derive(Default)]
pub(super) struct Late {
    pub(super) proposer: OnceLock<Arc<Proposer>>,
    transport: OnceLock<Arc<dyn Transport>>,
}

/// A node's part in consensus, at work.
pub(super) struct Begun {
    pub consensus: Consensus,
    pub transport: Arc<dyn Transport>,
    pub registry: Arc<Registry>,
    /// They go on until they are aborted.
    pub tasks: Vec<JoinHandle<()>>,
}

/// The core, its files, and where its checkpoint stands.
pub(super) type Built = (NodeCore, Arc<Storage>, Option<LogId>);

/// On the executor's thread: SQLite connections stay on the thread that made them.
pub(super) fn build(
    node: NodeId,
    around: &Surroundings,
    log: &Arc<Log>,
    inbox: Inbox,
    late: Arc<Late>,
) -> Result<Built, NodeError> {
    if let Some((_, membership)) = log.membership_at(u64::MAX).map_err(|error| log_error(node, error))? {
        take_membership(around, membership);
    }
    let members = Members::new(around.members.voters());
    let (storage, replica, mark) = storage::open(node, around)?;
    let mark = mark.unwrap_or_else(|| verifier::Mark {
        accepted: Accepted { root: replica.newest().root, ..Accepted::default() },
        ledger: verifier::Ledger::default(),
        members: members.clone(),
        whole: true,
    });
    let mut options = verifier::Options::new(node);
    options.engine = fingerprint();
    options.unaccepted_max = around.config.batches_in_flight_max.max(4) * 4;
    let crashes = around.crashes.iter().copied().chain(crash_in(log)).collect();
    let decided = log.state().committed.map_or(0, |committed| committed.index);
    let recovered = verifier::Recovered {
        mark: mark.clone(),
        ballots: log.ballots(),
        ballots_lost_below: log.state().ballots_lost_below,
        crashes,
        decided,
    };
    let verifier = Verifier::recover(options, recovered);
    let state = replica.accepted().borrow().clone();
    let shared = NodeShared::new(node, around, mark.accepted, state, replica.learned());
    let recovered_to = log.state().last.map_or(0, |last| last.index);
    let outside = RealOutside {
        node,
        shared: shared.clone(),
        log: log.clone(),
        recovered_to,
        has_met_unended: false,
        inbox,
        late,
        around: around.clone(),
    };
    // The log says that what it no longer has was accepted, whether the databases have it or not.
    let purged = log.state().purged.map_or(LogId::default(), |purged| purged.log_id);
    let is_behind = purged.index > mark.accepted.log_id.index;
    let begins_at = if is_behind { purged } else { mark.accepted.log_id };
    let checkpoint = (begins_at != LogId::default()).then_some(begins_at);
    let mut core = NodeCore::new(node, &around.members.ids(), verifier, replica, Box::new(outside), shared);
    // Before any batch: what was met while the databases were opened.
    core.handle(Input::Damage, 0);
    if !mark.whole || is_behind {
        core.handle(Input::Unfinished, 0);
    }
    Ok((core, storage, checkpoint))
}

/// What a node's part in consensus is made of.
pub(super) struct ConsensusParts {
    pub node: NodeId,
    pub around: Surroundings,
    pub seed: u64,
    pub log: Arc<Log>,
    pub inbox: Inbox,
    pub proposer: Arc<Proposer>,
    pub shared: Arc<NodeShared>,
    pub checkpoint: Option<LogId>,
    pub is_new: bool,
}

impl ConsensusParts {
    /// Starts consensus on the current runtime and joins the network; elections are not enabled yet.
    pub(super) async fn begin(self, queue: Queue, late: &Late) -> Result<Begun, String> {
        let transport = self.around.network.transport(self.node);
        late.transport.set(transport.clone()).unwrap_or_default();
        let consensus = self.start(transport.clone()).await?;
        let joiner = self.joiner();
        let (inbox, members) = (self.inbox.clone(), self.around.members.clone());
        let registry = Registry::new(self.node, consensus.clone(), self.proposer.clone(), inbox, members);
        let succession = Arc::new(Succession {
            node: self.node,
            consensus: consensus.clone(),
            network: self.around.network.clone(),
            transport: transport.clone(),
            members: self.around.members.clone(),
            shared: self.shared.clone(),
        });
        let handler = NodeHandler {
            succession: succession.clone(),
            consensus: consensus.clone(),
            inbox: self.inbox.clone(),
            proposer: self.proposer.clone(),
            shared: self.shared.clone(),
            transport: transport.clone(),
            door: self.around.door.clone(),
            registry: registry.clone(),
            members: self.around.members.clone(),
            tickets: self.around.tickets.clone(),
        };
        self.around.tickets.open(self.node, transport.clone(), self.around.members.clone());
        let delivery = self.around.network.attach(self.node, Arc::new(handler));
        // A node that joins hears from the leader who belongs to the cluster.
        if self.is_new
            && !self.around.members.nodes().is_empty()
            && let Err(error) = consensus.bootstrap(&self.around.members.nodes()).await
        {
            // Nobody else knows of this attempt, and another one must find the place free.
            self.around.network.detach(self.node);
            delivery.abort();
            consensus.shut_down().await;
            return Err(error.to_string());
        }
        let proposing = tokio::spawn(self.proposer.clone().run(consensus.clone(), queue));
        let tickets = self.around.tickets.clone();
        let following =
            tokio::spawn(follow_leader(self.node, consensus.leader(), self.inbox, self.proposer, tickets.clone()));
        let mut tasks = vec![delivery, proposing, following];
        let begins_at = self.checkpoint.map_or(0, |log_id| log_id.index);
        if begins_at > self.shared.accepted().log_id.index {
            let (members, joiner) = (self.around.members.clone(), joiner);
            tasks.push(tokio::spawn(catch_up(self.node, transport.clone(), members, joiner, begins_at)));
        }
        if self.around.door.is_some() {
            let (members, this) = (self.around.members.clone(), self.node);
            let others = move || members.ids().into_iter().filter(|node| *node != this).collect();
            tasks.push(tokio::spawn(succession.watch()));
            tasks.push(tokio::spawn(self.around.neighbours.clone().watch(transport.clone(), others)));
            let network = self.around.network.clone();
            let asked = consensus.clone();
            let leads = move || {
                let asked = asked.clone();
                async move { asked.is_confirmed_as_leader().await }
            };
            tasks.push(tokio::spawn(tickets.keep(move |node| network.reaches(node), leads)));
        }
        Ok(Begun { consensus, transport, registry, tasks })
    }

    fn joiner(&self) -> Joiner {
        Joiner { inbox: self.inbox.clone(), shared: self.shared.clone(), is_alone: self.around.door.is_some() }
    }

    async fn start(&self, transport: Arc<dyn Transport>) -> Result<Consensus, String> {
        let config = ConsensusConfig {
            heartbeat: Duration::from_millis(self.around.config.heartbeat_ms),
            election_timeout_min: Duration::from_millis(self.around.config.election_ms),
            election_timeout_max: Duration::from_millis(self.around.config.election_ms * 2),
            ..ConsensusConfig::new(self.node, self.seed)
        };
        let inbox = self.inbox.clone();
        let sink = move |event| match event {
            Event::Appended(entry) => inbox.put(Input::Appended(entry)),
            Event::Truncated { after } => inbox.put(Input::Truncated { after: after.unwrap_or(0) }),
            Event::Decided { log_id, .. } => inbox.put(Input::Decided { index: log_id.index }),
            // The installer below has seen to the state itself.
            Event::Installed(checkpoint) => inbox.put(Input::Decided { index: checkpoint.log_id.index }),
            Event::MembershipInstalled => inbox.put(Input::MembershipInstalled),
        };
        let installer = self.joiner();
        let checkpoint = match &self.checkpoint {
            Some(log_id) => Some(Checkpoint {
                log_id: *log_id,
                membership: self.log.membership_at(log_id.index).map_err(|e| e.to_string())?,
                manifest: bytes::Bytes::new(),
            }),
            None => None,
        };
        let consensus =
            Consensus::start(config, self.log.clone(), transport, Arc::new(sink), Arc::new(installer), checkpoint)
                .await
                .map_err(|error| error.to_string())?;
        consensus.offer_from(Arc::new(Lender { inbox: self.inbox.clone() }));
        Ok(consensus)
    }
}

async fn follow_leader(
    node: NodeId,
    mut leader: watch::Receiver<Option<Leadership>>,
    inbox: Inbox,
    proposer: Arc<Proposer>,
    tickets: Arc<TicketOffice>,
) {
    loop {
        let known = *leader.borrow_and_update();
        tickets.follow(known);
        let leading = known.filter(|leading| leading.node == node);
        proposer.lead(leading);
        inbox.put(Input::Role { leads: leading.map(|leading| leading.term) });
        if leader.changed().await.is_err() {
            return;
        }
    }
}

/// What the core causes, in the real system.
struct RealOutside {
    node: NodeId,
    shared: Arc<NodeShared>,
    log: Arc<Log>,
    /// Last index of the log when the node started.
    recovered_to: u64,
    /// A batch without a token was met since.
    has_met_unended: bool,
    inbox: Inbox,
    late: Arc<Late>,
    around: Surroundings,
}

impl RealOutside {
    /// Whether an execution is marked: a process that dies at a batch meets it again in its log, and only from there on
    /// is it counted.
    fn is_marked(&self, log_id: LogId, attempt: u32) -> bool {
        log_id.index <= self.recovered_to || attempt > 0
    }
}

impl Outside for RealOutside {
    fn persist(&mut self, ballot: Ballot) {
        let (inbox, key, node) = (self.inbox.clone(), ballot.key(), self.node);
        let done = Box::new(move |result: std::io::Result<()>| match result {
            Ok(()) => inbox.put(Input::Persisted(key)),
            // Whoever looks after the nodes sees that the log has failed, and says so once.
            Err(error) => tracing::debug!(node, %error, "a ballot could not be made durable"),
        });
        if let Err(error) = self.log.issue_ballot(ballot, done) {
            tracing::error!(node, %error, "a ballot could not be recorded");
        }
    }
    fn mark_executing(&mut self, log_id: LogId, attempt: u32) {
        if !self.is_marked(log_id, attempt) {
            return;
        }
        // The process before died in the first batch that has no token (or before it): that counts.
        let has_token = attempt > 0 || self.log.has_token(log_id, attempt);
        let is_first = !has_token && !std::mem::replace(&mut self.has_met_unended, true);
        // A log that cannot be written has stopped this node's part in consensus already.
        let starts = self.log.mark_executing(log_id, attempt, true);
        if is_first && matches!(starts, Ok(1)) {
            let _ = self.log.mark_executing(log_id, attempt, true);
        }
    }
    fn has_executed(&mut self, log_id: LogId, attempt: u32, failed: bool) {
        if self.is_marked(log_id, attempt) {
            let _ = self.log.has_executed(log_id, attempt, failed);
        }
    }
    fn send(&mut self, to: NodeId, message: NodeMessage) {
        if let Some(transport) = self.late.transport.get() {
            transport.send(to, PeerMessage::Other(message.encode()));
        }
    }
    fn propose(&mut self, term: u64, verdict: Verdict) {
        if let Some(proposer) = self.late.proposer.get() {
            proposer.propose(term, verdict);
        }
    }
    fn saw_batch(&mut self, batch: &Batch) {
        if let Some(proposer) = self.late.proposer.get() {
            proposer.saw(batch);
        }
    }
    fn accepted(&mut self, batches: &[LogId], _accepted: &Accepted) {
        if let Some(proposer) = self.late.proposer.get() {
            proposer.accepted(batches);
        }
        if let Some(door) = &self.around.door {
            door.accepted(batches);
        }
    }
    fn has_room(&mut self) {
        if let Some(proposer) = self.late.proposer.get() {
            proposer.accepted(&[]);
        }
    }
    fn store_part(&mut self, number: u64, part: Capture) {
        let inbox = self.inbox.clone();
        self.shared.want_checkpoint(part, Box::new(move |done| inbox.put(Input::Stored { number, done })));
    }
    fn members_changed(&mut self) -> Vec<NodeId> {
        match self.log.membership_at(u64::MAX) {
            Ok(Some((_, membership))) => take_membership(&self.around, membership),
            Ok(None) => {}
            Err(error) => tracing::error!(node = self.node, %error, "the log does not say who belongs to the cluster"),
        }
        self.around.members.ids()
    }
    fn halt(&mut self, reason: &str) {
        tracing::error!(node = self.node, reason, "the node has stopped");
    }
}

/// Notes a durable checkpoint, and purges the log behind `purge_floor`. A leader keeps what it does not know a follower
/// to have, as it would have to send pages instead, and a node behind a broken link may be further on than its leader
/// knows; but no more than `keep_entries`: a node that is gone must not fill the others' disks.
pub async fn checkpointed(
    consensus: &Consensus,
    log_id: LogId,
    purge_floor: u64,
    keep_entries: u64,
) -> Result<(), String> {
    let checkpoint = consensus.checkpoint_at(log_id, Bytes::new()).map_err(|e| e.to_string())?;
    let replicated = consensus.metrics().replicated.into_values().map(|index| index.unwrap_or(0)).min();
    let kept_for_others = replicated.unwrap_or(u64::MAX).max(log_id.index.saturating_sub(keep_entries));
    let purge_floor = purge_floor.min(kept_for_others).min(log_id.index);
    consensus.checkpointed(checkpoint, log_id.index - purge_floor).await.map_err(|e| e.to_string())
}
