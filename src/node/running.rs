//! One node at work: its log thread, its executor thread and its consensus thread, wired together.

use super::NodeError;
use super::core::{Input, NodeCore, Outside};
use super::executor::{self, Inbox};
use super::message::NodeMessage;
use super::proposer::Proposer;
use super::shared::{Checkpoints, NodeShared};
use super::storage::{self, Capture, Storage};
use super::waiters::Waiters;
use crate::batch::Batch;
use crate::batcher::Limits;
use crate::config::Config;
use crate::consensus::{Checkpoint, Consensus, ConsensusConfig, Event, Leadership, SnapshotInstaller};
use crate::engine::fingerprint;
use crate::log_store::{Log, LogOptions, Mode};
use crate::peer::{Handler, InProcess, PeerMessage, PeerReply, Transport};
use crate::seam::{Clock, Disk};
use crate::token::{Accepted, Ballot, LogId, NodeId, Verdict};
use crate::transaction::Transaction;
use crate::verifier::{self, Members, Verifier};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

/// What the nodes of one process share.
#[derive(Clone)]
pub struct Surroundings {
    /// Settings.
    pub config: Config,
    /// All voters.
    pub voters: Vec<NodeId>,
    /// Carries messages between the nodes.
    pub network: Arc<InProcess>,
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Sessions that wait for outcomes; whichever node accepts first answers them.
    pub waiters: Arc<Waiters>,
    /// Each node's checkpoint: the log is purged behind the oldest.
    pub checkpoints: Arc<Checkpoints>,
    /// Drawn at random at the start of the process.
    pub incarnation: u64,
}

/// A node at work.
pub struct RunningNode {
    /// What sessions and the status page see of it.
    pub shared: Arc<NodeShared>,
    /// Its executor's queue.
    pub inbox: Inbox,
    /// Its way to consensus.
    pub proposer: Arc<Proposer>,
    /// Its part in consensus.
    pub consensus: Consensus,
    network: Arc<InProcess>,
    log: Arc<Log>,
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    executor: Option<JoinHandle<()>>,
    background: Option<JoinHandle<()>>,
    runtime: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Directory of a node under the data directory.
pub fn directory(config: &Config, node: NodeId) -> PathBuf {
    config.data.join(format!("node-{node}"))
}

impl RunningNode {
    /// Starts a node from its directory, or as a new one in an empty directory. On return it follows the log and
    /// may stand for election.
    pub fn start(node: NodeId, around: &Surroundings) -> Result<RunningNode, NodeError> {
        let home = directory(&around.config, node);
        let log_options = LogOptions::new(node, around.incarnation ^ node);
        around.disk.create_directory(&home.join("log")).map_err(|e| NodeError::directory(&home, e))?;
        let log = Log::open(around.disk.clone(), &home.join("log"), log_options, Mode::Threaded)
            .map_err(|error| NodeError::Log { node, reason: error.to_string() })?;
        let is_new = log.state().last.is_none();

        let late = Arc::new(Late::default());
        let (sender, receiver) = mpsc::channel();
        let inbox = Inbox::new(sender);
        let (built, building) = mpsc::channel();
        let executor = {
            let (around, log, inbox, late) = (around.clone(), log.clone(), inbox.clone(), late.clone());
            std::thread::Builder::new()
                .name(format!("exec-{node}"))
                .spawn(move || match build(node, &around, &log, inbox, late) {
                    Ok((core, storage, checkpoint)) => {
                        let shared = core.shared().clone();
                        if built.send(Ok((shared, storage, checkpoint))).is_ok() {
                            executor::run(core, receiver, log);
                        }
                    }
                    Err(error) => drop(built.send(Err(error))),
                })
                .map_err(|e| NodeError::directory(&home, e))?
        };
        let (shared, storage, checkpoint) =
            building.recv().map_err(|_| NodeError::Panicked { node, part: "executor" })??;

        let (proposer, queue) = Proposer::new(
            shared.clone(),
            around.clock.clone(),
            fingerprint(),
            Limits {
                in_flight_max: around.config.batches_in_flight_max,
                batch_transactions_max: around.config.batch_transactions_max,
                batch_bytes_max: around.config.batch_bytes_max,
                queue_transactions_max: around.config.queue_transactions_max,
            },
            around.incarnation ^ (node << 48),
        );
        late.proposer.set(proposer.clone()).unwrap_or_default();

        let (started, starting) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = {
            let parts = ConsensusParts {
                node,
                around: around.clone(),
                log: log.clone(),
                inbox: inbox.clone(),
                proposer: proposer.clone(),
                checkpoint,
                is_new,
            };
            let late = late.clone();
            std::thread::Builder::new()
                .name(format!("raft-{node}"))
                .spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    match runtime {
                        Ok(runtime) => runtime.block_on(parts.run(queue, late, started, stopped)),
                        Err(error) => drop(started.send(Err(error.to_string()))),
                    }
                })
                .map_err(|e| NodeError::directory(&home, e))?
        };
        let (consensus, handle) = starting
            .recv()
            .map_err(|_| NodeError::Panicked { node, part: "consensus" })?
            .map_err(|reason| NodeError::Consensus { node, reason })?;
        // Not before the executor has the recovered suffix: its ballots must not contradict its record.
        let (caught_up, waiting) = mpsc::channel();
        inbox.call(move |_| {
            let _ = caught_up.send(());
        });
        let _ = waiting.recv();
        consensus.enable_elections(true);
        let background = storage::start_background(
            storage,
            shared.clone(),
            inbox.clone(),
            consensus.clone(),
            handle,
            around.config.clone(),
        )
        .map_err(|e| NodeError::Thread(e.to_string()))?;
        let threads = Threads { executor: Some(executor), background: Some(background), runtime: Some((stop, thread)) };
        Ok(RunningNode {
            shared,
            inbox,
            proposer,
            consensus,
            network: around.network.clone(),
            log,
            threads: Mutex::new(threads),
        })
    }

    /// Whether this node leads, as far as it knows.
    pub fn leads(&self) -> bool {
        self.consensus.leader().borrow().is_some_and(|leading| leading.node == self.shared.id)
    }

    /// Ends the node: orderly and with a last checkpoint, or (`abort`) as if its process had died: nothing more is
    /// written.
    pub fn stop(&self, abort: bool) {
        let mut threads = self.threads.lock();
        if threads.executor.is_none() {
            return;
        }
        self.network.detach(self.shared.id);
        if abort {
            self.log.abandon();
        }
        self.proposer.lead(None);
        let shared = self.shared.clone();
        if abort {
            shared.stop_background(None);
        } else {
            self.inbox.call(move |core| shared.stop_background((!core.is_quarantined()).then(|| Capture::of(core))));
        }
        self.inbox.stop(abort);
        if let Some(thread) = threads.executor.take() {
            let _ = thread.join();
        }
        // In case the executor had ended before it was asked.
        if !self.shared.is_stopping() {
            self.shared.stop_background(None);
        }
        if let Some(thread) = threads.background.take() {
            let _ = thread.join();
        }
        if let Some((stop, thread)) = threads.runtime.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
        self.log.shut_down();
    }
}

impl Drop for RunningNode {
    fn drop(&mut self) {
        self.stop(false);
    }
}

/// What the executor needs and what is made after it.
#[derive(Default)]
struct Late {
    proposer: OnceLock<Arc<Proposer>>,
    transport: OnceLock<Arc<dyn Transport>>,
}

/// The core, its files, and where its checkpoint stands.
type Built = (NodeCore, Arc<Storage>, Option<LogId>);

/// On the executor's thread: SQLite connections stay on the thread that made them.
fn build(
    node: NodeId,
    around: &Surroundings,
    log: &Arc<Log>,
    inbox: Inbox,
    late: Arc<Late>,
) -> Result<Built, NodeError> {
    let members = Members::new(around.voters.iter().copied());
    let (storage, replica, mark) = storage::open(node, around)?;
    let mark = mark.unwrap_or_else(|| verifier::Mark {
        accepted: Accepted { root: replica.newest().root, ..Accepted::default() },
        ledger: verifier::Ledger::default(),
        members: members.clone(),
    });
    let mut options = verifier::Options::new(node);
    options.engine = fingerprint();
    options.unaccepted_max = around.config.batches_in_flight_max.max(4) * 4;
    let recovered = verifier::Recovered { mark: mark.clone(), ballots: log.ballots(), crashes: Vec::new() };
    let verifier = Verifier::recover(options, recovered);
    let clock = around.clock.clone();
    let shared = NodeShared::new(
        node,
        around.incarnation,
        around.waiters.clone(),
        around.checkpoints.clone(),
        mark.accepted,
        replica.accepted().borrow().clone(),
        move || clock.now_us(),
    );
    let outside = RealOutside { node, log: log.clone(), inbox, late };
    let checkpoint = (mark.accepted.log_id != LogId::default()).then_some(mark.accepted.log_id);
    Ok((NodeCore::new(node, &members, verifier, replica, Box::new(outside), shared), storage, checkpoint))
}

struct ConsensusParts {
    node: NodeId,
    around: Surroundings,
    log: Arc<Log>,
    inbox: Inbox,
    proposer: Arc<Proposer>,
    checkpoint: Option<LogId>,
    is_new: bool,
}

impl ConsensusParts {
    /// The consensus thread's life.
    async fn run(
        self,
        queue: super::proposer::Queue,
        late: Arc<Late>,
        started: mpsc::Sender<Result<(Consensus, Handle), String>>,
        stopped: oneshot::Receiver<()>,
    ) {
        let transport: Arc<dyn Transport> = self.around.network.transport(self.node);
        late.transport.set(transport.clone()).unwrap_or_default();
        let consensus = match self.start(transport).await {
            Ok(consensus) => consensus,
            Err(reason) => return drop(started.send(Err(reason))),
        };
        let handler = NodeHandler { consensus: consensus.clone(), inbox: self.inbox.clone() };
        self.around.network.attach(self.node, Arc::new(handler));
        if self.is_new {
            let voters: Vec<_> = self.around.voters.iter().map(|node| (*node, String::new())).collect();
            if let Err(error) = consensus.bootstrap(&voters).await {
                return drop(started.send(Err(error.to_string())));
            }
        }
        tokio::spawn(self.proposer.clone().run(consensus.clone(), queue));
        tokio::spawn(follow_leader(self.node, consensus.leader(), self.inbox.clone(), self.proposer.clone()));
        let _ = started.send(Ok((consensus.clone(), Handle::current())));
        let _ = stopped.await;
        consensus.shut_down().await;
    }

    async fn start(&self, transport: Arc<dyn Transport>) -> Result<Consensus, String> {
        let config = ConsensusConfig {
            heartbeat: Duration::from_millis(self.around.config.heartbeat_ms),
            election_timeout_min: Duration::from_millis(self.around.config.election_ms),
            election_timeout_max: Duration::from_millis(self.around.config.election_ms * 2),
            ..ConsensusConfig::new(self.node, self.around.incarnation ^ self.node)
        };
        let inbox = self.inbox.clone();
        let sink = move |event| match event {
            Event::Appended(entry) => inbox.put(Input::Appended(entry)),
            Event::Truncated { after } => inbox.put(Input::Truncated { after: after.unwrap_or(0) }),
            Event::Decided { log_id, .. } => inbox.put(Input::Decided { index: log_id.index }),
            // Refused by the installer below.
            Event::Installed(_) => {}
        };
        let checkpoint = match &self.checkpoint {
            Some(log_id) => Some(Checkpoint {
                log_id: *log_id,
                membership: self.log.membership_at(log_id.index).map_err(|e| e.to_string())?,
                manifest: bytes::Bytes::new(),
            }),
            None => None,
        };
        Consensus::start(config, self.log.clone(), transport, Arc::new(sink), Arc::new(NoInstaller), checkpoint)
            .await
            .map_err(|error| error.to_string())
    }
}

/// Nodes of one process never lag beyond the log: it is purged only behind every node's checkpoint.
struct NoInstaller;

impl SnapshotInstaller for NoInstaller {
    fn install(&self, _leader: NodeId, _checkpoint: Checkpoint) -> BoxFuture<'static, Result<(), String>> {
        async { Err("this node cannot join by state transfer".to_string()) }.boxed()
    }
}

/// Messages of ours go to the executor, the others to consensus.
struct NodeHandler {
    consensus: Consensus,
    inbox: Inbox,
}

impl Handler for NodeHandler {
    fn handle(&self, from: NodeId, message: PeerMessage) -> BoxFuture<'static, PeerReply> {
        match message {
            PeerMessage::Other(bytes) => {
                match NodeMessage::decode(&bytes) {
                    Ok(message) => self.inbox.put(Input::Message { from, message }),
                    Err(error) => tracing::error!(from, %error, "a peer's message does not decode"),
                }
                futures::future::ready(PeerReply::None).boxed()
            }
            message => self.consensus.handle(from, message),
        }
    }
}

async fn follow_leader(
    node: NodeId,
    mut leader: watch::Receiver<Option<Leadership>>,
    inbox: Inbox,
    proposer: Arc<Proposer>,
) {
    loop {
        let leading = leader.borrow_and_update().filter(|leading| leading.node == node);
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
    log: Arc<Log>,
    inbox: Inbox,
    late: Arc<Late>,
}

impl Outside for RealOutside {
    fn persist(&mut self, ballot: Ballot) {
        let (inbox, key, node) = (self.inbox.clone(), ballot.key(), self.node);
        let done = Box::new(move |result: std::io::Result<()>| match result {
            Ok(()) => inbox.put(Input::Persisted(key)),
            Err(error) => tracing::error!(node, %error, "a ballot could not be made durable"),
        });
        if let Err(error) = self.log.issue_ballot(ballot, done) {
            tracing::error!(node, %error, "a ballot could not be recorded");
        }
    }
    fn mark_executing(&mut self, log_id: LogId, attempt: u32) -> u32 {
        // A log that cannot be written has stopped this node's part in consensus already.
        self.log.mark_executing(log_id, attempt).unwrap_or(1)
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
    }
    fn has_room(&mut self) {
        if let Some(proposer) = self.late.proposer.get() {
            proposer.accepted(&[]);
        }
    }
    fn submitted(&mut self, transactions: Vec<Transaction>) {
        if let Some(proposer) = self.late.proposer.get() {
            // What is not taken is submitted again by its session's node.
            for transaction in transactions {
                let _ = proposer.submit(transaction);
            }
        }
    }
    fn halt(&mut self, reason: &str) {
        tracing::error!(node = self.node, reason, "the node has stopped");
    }
}

/// Notes a durable checkpoint, and purges the log behind `purge_floor`: in one process a node must always be able
/// to catch up from the others' logs.
pub async fn checkpointed(consensus: &Consensus, log_id: LogId, purge_floor: u64) -> Result<(), String> {
    let checkpoint = consensus.checkpoint_at(log_id, bytes::Bytes::new()).map_err(|e| e.to_string())?;
    let kept = log_id.index - purge_floor.min(log_id.index);
    consensus.checkpointed(checkpoint, kept).await.map_err(|e| e.to_string())
}
