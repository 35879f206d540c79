//! The nodes of one process: all of a cluster (`evesql serve`, tests), or one of it (`evesql node`).
//!
//! Nothing but the network is short-circuited: each node has its own log, files, replica and threads. Sessions
//! belong to the process; each statement goes to its home node: the leader, or while that one is down, in
//! quarantine or elsewhere another one that serves. What is submitted goes to the leader, wherever it is.

use super::NodeError;
use super::auditor::AuditRecord;
use super::core::{Drill, Input};
use super::door::Door;
use super::handler::status;
use super::join::join;
use super::members::MembersView;
use super::mending::{Mending, Outage};
use super::message::NodeMessage;
use super::proposer::NotTaken;
use super::rules::SharedRules;
use super::running::{ConsensusThread, RunningNode};
use super::shared::Acknowledged;
use super::ticket_office::TicketOffice;
use super::waiters::{GiveUp, NoAnswer, Waiters};
use super::wiring::{Surroundings, crash_in, directory, no_checkpoints};
use crate::admin::{DivergenceStatus, NodeStatus, Status};
use crate::config::{Config, Member};
use crate::consensus::Leadership;
use crate::engine::fingerprint;
use crate::log_store::rebuilt_path;
use crate::peer::{InProcess, Network, PeerMessage, PeerTls, Tcp, TcpOptions, TlsFiles};
use crate::replica::Learned;
use crate::seam::{Disk, RealDisk, SystemClock};
use crate::token::NodeId;
use crate::transaction::{Operation, Outcome, Transaction};
use crate::verifier::Divergence;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A crashed node of a drill comes back after this long.
const DRILL_DOWNTIME: Duration = Duration::from_millis(1_000);
/// Whether submissions may be lost is looked at this often.
const RESUBMIT: Duration = Duration::from_millis(50);

/// A submission to another process's node is sent again when no outcome came for so long: it, or the word that it was
/// not taken, may be lost. That it takes effect once is the once-only table's affair (rule 18).
const SEND_AGAIN: Duration = Duration::from_secs(1);
/// Bytes that wait for one slow peer, at most.
const PEER_WAITING_BYTES_MAX: usize = 64 << 20;
/// A node counts as unreachable only when the process has had this long to reach it.
const REACH_TIME: Duration = Duration::from_secs(2);

/// A transaction may execute in batches up to this many log positions above the newest acceptance at its
/// submission; the once-only table remembers longer (rule 18).
const EXPIRES_AFTER: u64 = 500;
/// A submission whose outcome stays unknown so long is given up.
const OUTCOME_WAIT: Duration = Duration::from_secs(600);

/// Why a transaction has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// It was not taken.
    #[error("no node of this process serves")]
    Unavailable,
    /// It was not taken.
    #[error("too many transactions wait; try again in a moment")]
    Full,
    /// It was not taken, and would not be for a while.
    #[error("{0}")]
    Outage(Outage),
    /// It may take effect, or have taken it.
    #[error("no quorum accepted it in time, or the node was stopped")]
    Unknown,
    /// It may take effect once a quorum works again, or have taken it.
    #[error("{0}")]
    UnknownOutage(Outage),
}

/// Nodes of one process.
pub struct Cluster {
    pub(super) around: Surroundings,
    nodes: RwLock<BTreeMap<NodeId, Option<Arc<RunningNode>>>>,
    started: Instant,
    stopping: AtomicBool,
    /// Held while a node is killed or started: nobody may open files that another one still writes.
    changing: Mutex<()>,
    /// Rebuilt nodes count on from here.
    past_counts: Mutex<(u64, u64)>,
    /// Why nodes could not start.
    pub(super) refusals: Mutex<BTreeMap<NodeId, String>>,
    /// Nodes that are started again when their disks allow it.
    pub(super) mending: Mutex<BTreeMap<NodeId, Mending>>,
    /// Why nothing can be accepted now.
    pub(super) outage: Mutex<Option<Outage>>,
    /// The last field: it is dropped after the nodes, which need it to stop.
    consensus: ConsensusThread,
}

impl Cluster {
    /// Starts all nodes; on return a leader may not be found yet ([`Cluster::wait_for_leader`]). A node that cannot
    /// start stays down, as long as a quorum can.
    pub fn start(config: Config) -> Result<Arc<Cluster>, NodeError> {
        Cluster::start_on(config, SharedRules::default(), Arc::new(RealDisk))
    }

    /// The same, with rules for the mixer, over another disk.
    pub fn start_on(config: Config, rules: SharedRules, disk: Arc<dyn Disk>) -> Result<Arc<Cluster>, NodeError> {
        let (voters, hosted) = (config.voters(), config.hosted());
        disk.create_directory(&config.data).map_err(|e| NodeError::directory(&config.data, e))?;
        let members = Arc::new(MembersView::new(founders(&config)));
        let (tcp, door) = match &config.member {
            Some(member) => {
                let (tcp, door) = listen_to_peers(&config, member, members.clone(), disk.clone())?;
                (Some(tcp), Some(door))
            }
            None => {
                refuse_missing_nodes(&config, &voters, &*disk)?;
                (None, None)
            }
        };
        let network: Arc<dyn Network> = match &tcp {
            Some(tcp) => Arc::new(tcp.clone()),
            None => Arc::new(InProcess::direct(random_u64())),
        };
        let incarnation = random_u64();
        let (acknowledged, tickets) = match &door {
            None => (Acknowledged::default(), TicketOffice::default()),
            Some(_) => (Acknowledged::among_others(), TicketOffice::among_others(incarnation)),
        };
        let mut around = Surroundings {
            members,
            config,
            rules,
            network,
            door,
            neighbours: Arc::default(),
            disk,
            clock: Arc::new(SystemClock),
            waiters: Arc::new(Waiters::default()),
            acknowledged: Arc::new(acknowledged),
            tickets: Arc::new(tickets),
            checkpoints: no_checkpoints(&hosted),
            incarnation,
            starts: Arc::default(),
            log_segment_bytes: 16 << 20,
            crashes: Vec::new(),
        };
        let consensus = ConsensusThread::start().map_err(|e| NodeError::Thread(e.to_string()))?;
        // All logs before any node executes: what one of them died of is a warning to all.
        let logs: Vec<_> = hosted.iter().map(|node| (*node, RunningNode::open_log(*node, &around))).collect();
        around.crashes = logs.iter().filter_map(|(_, log)| crash_in(log.as_ref().ok()?)).collect();
        let mut nodes = BTreeMap::new();
        let (mut refusals, mut damaged) = (BTreeMap::new(), Vec::new());
        for (node, log) in logs {
            match log.and_then(|log| RunningNode::start(node, &around, log, consensus.handle())) {
                Ok(running) => drop(nodes.insert(node, Some(Arc::new(running)))),
                Err(error) if error.is_of_damaged_log() && can_be_helped(&around) => {
                    damaged.push(node);
                    refusals.insert(node, error.to_string());
                }
                Err(error) if error.is_of_one_node() && around.door.is_some() => {
                    return Err(NodeError::Unfit(Box::new(error)));
                }
                Err(error) if error.is_of_one_node() => drop(refusals.insert(node, error.to_string())),
                Err(error) => return Err(error),
            }
        }
        // A process that is one node waits for the others, which are other processes.
        let waits = around.door.is_some() && !damaged.is_empty();
        if refusals.len() > spare(&around) && !waits {
            return Err(NodeError::NoMajority { reasons: refusals.into_values().collect() });
        }
        for (node, reason) in &refusals {
            tracing::error!(node, reason, "this node stays down; the others serve without it");
            nodes.insert(*node, None);
        }
        let cluster = Arc::new(Cluster {
            around,
            nodes: RwLock::new(nodes),
            started: Instant::now(),
            stopping: AtomicBool::new(false),
            changing: Mutex::default(),
            past_counts: Mutex::default(),
            refusals: Mutex::new(refusals),
            mending: Mutex::default(),
            outage: Mutex::default(),
            consensus,
        });
        if let Some(tcp) = tcp {
            cluster.ask_to_join(tcp);
        }
        damaged.into_iter().for_each(|node| cluster.mend_later(node));
        let resubmitting = Arc::downgrade(&cluster);
        std::thread::Builder::new()
            .name("resubmit".into())
            .spawn(move || {
                let mut led = None;
                while let Some(cluster) = resubmitting.upgrade().filter(|cluster| !cluster.is_stopping()) {
                    cluster.look_after_nodes();
                    cluster.resubmit(&mut led);
                    drop(cluster);
                    std::thread::sleep(RESUBMIT);
                }
            })
            .map_err(|e| NodeError::Thread(e.to_string()))?;
        Ok(cluster)
    }

    /// A node whose log says nothing of a cluster asks the one that it was told of.
    fn ask_to_join(&self, tcp: Tcp) {
        let Some(Member { id, peer_listen, join: Some(at), .. }) = self.around.config.member.clone() else { return };
        let Some(node) = self.node(id).filter(|_| self.around.members.ids().is_empty()) else { return };
        let own = tcp.local_address().unwrap_or(peer_listen).to_string();
        self.runtime().spawn(join(tcp, node.transport.clone(), id, own, at));
    }

    /// Where consensus and the connections to peers run.
    pub(super) fn runtime(&self) -> &tokio::runtime::Handle {
        self.consensus.handle()
    }

    /// What the nodes share.
    pub fn surroundings(&self) -> &Surroundings {
        &self.around
    }

    /// Nodes that are up.
    pub fn nodes(&self) -> Vec<Arc<RunningNode>> {
        self.nodes.read().values().flatten().cloned().collect()
    }

    /// One node, if it is up.
    pub fn node(&self, id: NodeId) -> Option<Arc<RunningNode>> {
        self.nodes.read().get(&id).cloned().flatten()
    }

    /// Who leads and serves; else anybody who serves, and takes part if possible; else who accepted the most before it
    /// had to stop.
    pub fn home(&self) -> Option<Arc<RunningNode>> {
        let nodes = self.nodes.read();
        let serving = || nodes.values().flatten().filter(|node| node.shared.serves());
        let at_work = || serving().filter(|node| !node.shared.is_down());
        let last = || serving().max_by_key(|node| node.shared.accepted().log_id.index);
        at_work().find(|node| node.leads()).or_else(|| at_work().next()).or_else(last).cloned()
    }

    /// Who leads, whether it serves or not: a node in quarantine may pass entries on (rule 20).
    pub fn leader(&self) -> Option<Arc<RunningNode>> {
        self.nodes.read().values().flatten().find(|node| node.leads()).cloned()
    }

    /// Whether the process is about to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Waits until some node leads and serves.
    pub fn wait_for_leader(&self, timeout: Duration) -> Result<(), NodeError> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            let halted = self.nodes().into_iter().filter(|node| node.shared.is_down()).collect::<Vec<_>>();
            let down = self.refusals.lock().len() + halted.len();
            if !halted.is_empty() && down > spare(&self.around) {
                let reason = |node: &Arc<RunningNode>| {
                    format!("node {} has stopped: {}", node.shared.id, node.shared.reason().unwrap_or_default())
                };
                let refused = self.refusals.lock().values().cloned().collect::<Vec<_>>();
                return Err(NodeError::NoMajority { reasons: halted.iter().map(reason).chain(refused).collect() });
            }
            if let Some(reason) = self.around.door.as_ref().and_then(|door| door.refusal()) {
                return Err(NodeError::Refused(reason));
            }
            // In another process it may lead as well.
            let has_leader = |node: &RunningNode| match self.around.door {
                None => node.leads(),
                Some(_) => node.consensus.leader().borrow().is_some(),
            };
            if self.home().is_some_and(|node| has_leader(&node) && node.shared.serves()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(NodeError::NoLeader)
    }

    /// Before the first client comes: a read must not need the leader later, when there may be none.
    pub(super) fn learn_what_was_acknowledged(&self) {
        let asked = self.home().map(|node| futures::executor::block_on(node.consensus.read_index()));
        match asked {
            Some(Ok(index)) => self.around.acknowledged.learn(index),
            // The first reader asks again.
            Some(Err(error)) => tracing::warn!(%error, "how far the log was acknowledged is not known yet"),
            None => {}
        }
    }

    /// Has a transaction ordered, executed and accepted, and resubmits it under the same id while that is not known.
    pub fn submit(self: &Arc<Self>, mut transaction: Transaction) -> BoxFuture<'static, Result<Outcome, SubmitError>> {
        let Some(node) = self.home().filter(|_| !self.is_stopping()) else {
            return Box::pin(async { Err(SubmitError::Unavailable) });
        };
        if let Some(outage) = self.outage.lock().clone() {
            return Box::pin(async { Err(SubmitError::Outage(outage)) });
        }
        if self.around.config.uncertified {
            forget_what_was_seen(&mut transaction);
        }
        let id = transaction.id;
        transaction.expires_at_index = node.shared.accepted().log_id.index + EXPIRES_AFTER;
        let outcome = self.around.waiters.register(Arc::new(transaction.clone()));
        let guard = GiveUp::new(self.around.waiters.clone(), id);
        match self.hand_over(transaction) {
            Ok(()) => {}
            Err(NotTaken::NotLeader) => self.around.waiters.never_taken(id),
            Err(NotTaken::Full) => return Box::pin(async { Err(SubmitError::Full) }),
        }
        let this = Arc::downgrade(self);
        Box::pin(async move {
            // Ended by the answer, or by `resubmit`, which watches the time for all of them.
            let outcome = outcome.await.unwrap_or(Err(NoAnswer::Unknown));
            guard.answered();
            let outage = || this.upgrade().and_then(|cluster| cluster.outage.lock().clone());
            outcome.map_err(|known| match (known, outage()) {
                (NoAnswer::NotTaken, Some(outage)) => SubmitError::Outage(outage),
                (NoAnswer::NotTaken, None) => SubmitError::Unavailable,
                (NoAnswer::Unknown, Some(outage)) => SubmitError::UnknownOutage(outage),
                (NoAnswer::Unknown, None) => SubmitError::Unknown,
            })
        })
    }

    /// Whether a node is one of this process, up or down.
    fn hosts(&self, node: NodeId) -> bool {
        self.nodes.read().contains_key(&node)
    }

    /// Gives a transaction to the leader, wherever it is. Over a network that is no promise.
    fn hand_over(&self, transaction: Transaction) -> Result<(), NotTaken> {
        if let Some(leader) = self.leader() {
            return leader.proposer.submit(transaction);
        }
        let known = |node: Arc<RunningNode>| Some((node.consensus.leader().borrow().as_ref()?.node, node));
        match self.nodes().into_iter().find_map(known) {
            Some((leader, node)) if !self.hosts(leader) => {
                let message = NodeMessage::Submit(vec![transaction]);
                node.transport.send(leader, PeerMessage::Other(message.encode()));
                Ok(())
            }
            _ => Err(NotTaken::NotLeader),
        }
    }

    /// Who leads, as far as any node of this process knows.
    fn leadership(&self) -> Option<Leadership> {
        self.nodes().iter().filter_map(|node| *node.consensus.leader().borrow()).max_by_key(|leading| leading.term)
    }

    /// Hands what may be lost to the leader again, under the same ids: what was not lost after all comes back as
    /// already done, behind its outcome.
    fn resubmit(&self, led: &mut Option<Leadership>) {
        let waiters = &self.around.waiters;
        waiters.give_up(OUTCOME_WAIT);
        let Some(leading) = self.leadership() else { return };
        if *led != Some(leading) {
            *led = Some(leading);
            waiters.lost();
        }
        for transaction in waiters.to_resubmit(self.around.door.as_ref().map(|_| SEND_AGAIN)) {
            match self.hand_over((*transaction).clone()) {
                Ok(()) => waiters.taken(transaction.id),
                Err(_) => waiters.not_taken(transaction.id),
            }
        }
    }

    /// Breaks something on purpose on one node.
    pub fn drill(&self, node: NodeId, drill: Drill) -> bool {
        let Some(running) = self.node(node) else { return false };
        running.inbox.put(Input::Drill(drill));
        true
    }

    /// Kills a node as if its process had died, and starts it again from its files a moment later.
    pub fn crash(self: &Arc<Self>, node: NodeId) -> bool {
        if !self.kill(node) {
            return false;
        }
        let cluster = self.clone();
        let restarted = std::thread::Builder::new().name(format!("restart-{node}")).spawn(move || {
            std::thread::sleep(DRILL_DOWNTIME);
            if !cluster.is_stopping()
                && let Err(error) = cluster.restart(node)
            {
                tracing::error!(node, %error, "the node does not start again; it is tried again");
                cluster.mend_later(node);
            }
        });
        restarted.is_ok()
    }

    /// Kills a node as if its process had died.
    pub fn kill(&self, node: NodeId) -> bool {
        let _changing = self.changing.lock();
        let Some(running) = self.nodes.write().get_mut(&node).and_then(Option::take) else { return false };
        let mut past = self.past_counts.lock();
        past.0 = past.0.max(running.shared.counters.transactions());
        past.1 = past.1.max(running.shared.counters.batches());
        running.stop(true);
        true
    }

    /// Starts a killed node from its files; one that is up stays as it is.
    pub fn restart(&self, node: NodeId) -> Result<(), NodeError> {
        let _changing = self.changing.lock();
        if self.is_stopping() {
            return Err(NodeError::Stopping);
        }
        if self.node(node).is_some() {
            return Ok(());
        }
        let started = RunningNode::open_log(node, &self.around).and_then(|log| {
            let running = RunningNode::start(node, &self.around, log, self.consensus.handle())?;
            self.add(running)
        });
        match &started {
            Ok(()) => drop(self.refusals.lock().remove(&node)),
            Err(error) => drop(self.refusals.lock().insert(node, error.to_string())),
        }
        started
    }

    /// `stop` ends the nodes that it finds: none may come after it.
    fn add(&self, running: RunningNode) -> Result<(), NodeError> {
        let mut nodes = self.nodes.write();
        if self.is_stopping() {
            drop(nodes);
            running.stop(true);
            return Err(NodeError::Stopping);
        }
        nodes.insert(running.shared.id, Some(Arc::new(running)));
        Ok(())
    }

    /// Ends all nodes in order, each with a last checkpoint.
    pub fn stop(&self) {
        if self.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        let _changing = self.changing.lock();
        for node in self.nodes() {
            node.stop(false);
        }
        if let Some(door) = &self.around.door {
            door.save();
        }
        self.around.waiters.clear();
    }

    /// For the status page.
    pub fn status(&self, connections: u64) -> Status {
        // Before the lock, which it takes as well: a writer may wait between the two.
        let divergences = self.divergences().iter().map(divergence_status).collect();
        let nodes = self.nodes.read();
        // One that joins is no member yet.
        let known: BTreeSet<NodeId> = self.around.members.ids().into_iter().chain(nodes.keys().copied()).collect();
        let past = *self.past_counts.lock();
        let count = |count: fn(&RunningNode) -> u64, past: u64| {
            nodes.values().flatten().map(|node| count(node)).max().unwrap_or(0).max(past)
        };
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_s: self.started.elapsed().as_secs(),
            connections,
            transactions: count(|node| node.shared.counters.transactions(), past.0),
            batches: count(|node| node.shared.counters.batches(), past.1),
            nodes: known.into_iter().map(|id| self.node_status(id, nodes.get(&id))).collect(),
            divergences,
        }
    }

    fn node_status(&self, id: NodeId, hosted: Option<&Option<Arc<RunningNode>>>) -> NodeStatus {
        match hosted {
            Some(Some(node)) => status(&node.shared, &node.consensus, &self.around.members),
            Some(None) => {
                let reason = self.refusals.lock().get(&id).cloned();
                NodeStatus { id, role: "down".into(), state: "down".into(), reason, ..NodeStatus::default() }
            }
            None => self.around.neighbours.status(id),
        }
    }

    /// Nodes of other processes that no node of this one has heard lately.
    pub(super) fn unreachable(&self) -> Vec<NodeId> {
        let nodes = self.nodes();
        if self.around.door.is_none() || self.started.elapsed() < REACH_TIME || nodes.is_empty() {
            return Vec::new();
        }
        let others = self.around.members.voters().into_iter().filter(|node| !self.hosts(*node));
        // Both ways: what is heard and cannot be answered is of no use.
        let works =
            |peer: &NodeId| self.around.network.reaches(*peer) && nodes.iter().any(|node| node.shared.hears(*peer));
        others.filter(|peer| !works(peer)).collect()
    }

    /// What the leader learned about kinds of transactions; without a leader what any node did.
    pub fn learned(&self) -> Option<Arc<Learned>> {
        let node = self.leader().or_else(|| self.nodes().into_iter().next())?;
        Some(node.shared.learned.clone())
    }

    /// The newest audits of each node, oldest first.
    pub fn audits(&self) -> Vec<AuditRecord> {
        self.nodes().iter().flat_map(|node| node.shared.audits.records()).collect()
    }

    /// Divergences as the nodes noticed them, each once, oldest first.
    pub fn divergences(&self) -> Vec<Divergence> {
        let mut all: BTreeMap<(u64, u32), Divergence> = BTreeMap::new();
        for divergence in self.nodes().iter().flat_map(|node| node.shared.divergences()) {
            let known = all.entry((divergence.log_id.index, divergence.attempt)).or_insert_with(|| divergence.clone());
            // The repaired node knows pages, tables and rows, every node who was in the minority.
            if known.pages.is_empty() {
                known.pages = divergence.pages;
                known.tables = divergence.tables;
                known.rows = divergence.rows;
            }
            for minority in divergence.minority {
                if !known.minority.contains(&minority) {
                    known.minority.push(minority);
                }
            }
            for failed in divergence.failed {
                if !known.failed.contains(&failed) {
                    known.failed.push(failed);
                }
            }
            known.healed_at_us = known.healed_at_us.max(divergence.healed_at_us);
        }
        all.into_values().collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

fn divergence_status(divergence: &Divergence) -> DivergenceStatus {
    DivergenceStatus {
        index: divergence.log_id.index,
        mode: mode_name(divergence).into(),
        minority: divergence.nodes(),
        tables: divergence.tables.clone(),
        pages: divergence.pages.clone(),
        rows: divergence.rows.clone(),
        transactions: divergence.transactions.clone(),
        healed_at: divergence.healed_at_us.map(crate::dialect::datetime::timestamp_text),
    }
}

/// How the batch of a divergence was run.
pub(super) fn mode_name(divergence: &Divergence) -> &'static str {
    match (divergence.agreed, &divergence.mode) {
        _ if divergence.minority.is_empty() && !divergence.failed.is_empty() => "failed",
        (None, _) => "replay",
        _ if !divergence.void().is_empty() => "void",
        (Some(_), crate::token::Mode::Planned) => "repair",
        (Some(_), crate::token::Mode::Replay { .. }) => "repair after replay",
    }
}

/// Leaves nothing to compare: see [`Config::uncertified`].
fn forget_what_was_seen(transaction: &mut Transaction) {
    for operation in &mut transaction.operations {
        if let Operation::Statement(statement) = operation {
            statement.seen = None;
        }
    }
}

/// A node whose files are gone must not come back under its id: it has forgotten its votes and what it
/// acknowledged (rule 21).
fn refuse_missing_nodes(config: &Config, voters: &[NodeId], disk: &dyn Disk) -> Result<(), NodeError> {
    let has_log = |node: &NodeId| {
        let log = directory(config, *node).join("log");
        // A crash may have come amid the exchange of a rebuilt log, which opening it ends.
        disk.exists(&log) || disk.exists(&rebuilt_path(&log))
    };
    let missing: Vec<NodeId> = voters.iter().copied().filter(|node| !has_log(node)).collect();
    match missing.is_empty() || missing.len() == voters.len() {
        true => Ok(()),
        false => Err(NodeError::MissingNodes { data: config.data.clone(), missing }),
    }
}

/// The way to nodes of other processes, and the door for them.
fn listen_to_peers(
    config: &Config,
    member: &Member,
    members: Arc<MembersView>,
    disk: Arc<dyn Disk>,
) -> Result<(Tcp, Arc<Door>), NodeError> {
    let files = member.tls().map(|[ca, cert, key]| TlsFiles { ca: ca.into(), cert: cert.into(), key: key.into() });
    let tls = files.map(|files| PeerTls::load(&files, member.id)).transpose()?;
    let home = directory(config, member.id);
    let made_by = member.join.is_none().then_some(&member.peers);
    let door = Door::open(disk, &home, member.id, made_by, members, fingerprint(), random_u64())?;
    let options = TcpOptions { node: member.id, door: door.clone(), waiting_bytes_max: PEER_WAITING_BYTES_MAX, tls };
    let tcp = Tcp::bind(member.peer_listen, member.peers.0.clone(), options)
        .map_err(|error| NodeError::ListenPeers { address: member.peer_listen, reason: error.to_string() })?;
    Ok((tcp, door))
}

/// The nodes that make a new cluster, with the addresses that peers dial.
fn founders(config: &Config) -> Vec<(NodeId, String)> {
    match &config.member {
        Some(member) => member.peers.0.iter().map(|(node, address)| (*node, address.clone())).collect(),
        None => config.voters().into_iter().map(|node| (node, String::new())).collect(),
    }
}

/// Whether there are other voters, which may hold what a damaged log has lost.
fn can_be_helped(around: &Surroundings) -> bool {
    around.members.voters().len() > 1 || around.door.is_some()
}

/// How many nodes of this process may be missing.
pub(super) fn spare(around: &Surroundings) -> usize {
    minority(around.members.voters().len()).min(around.config.hosted().len().saturating_sub(1))
}

/// How many of so many voters may be missing.
pub(super) fn minority(voters: usize) -> usize {
    voters.saturating_sub(1) / 2
}

/// From the operating system's generator, through the standard library's hash seeds.
pub(super) fn random_u64() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
