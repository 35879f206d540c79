//! One node at work: its log thread, its executor thread and its part of the consensus thread, wired together.

use super::NodeError;
use super::auditor::Auditor;
use super::executor::{self, Inbox};
use super::membership::Registry;
use super::proposer::Proposer;
use super::shared::NodeShared;
use super::storage::{self, Capture};
use super::ticket_office::TicketOffice;
use super::wiring::{Begun, ConsensusParts, Late, Surroundings, build, directory, new_proposer, open_log};
use crate::consensus::Consensus;
use crate::log_store::{Log, Mode};
use crate::peer::{Network, Transport};
use crate::token::NodeId;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The thread that consensus of all nodes of a process runs on: a message from one to another then wakes a task and
/// no thread.
pub struct ConsensusThread {
    handle: Handle,
    ends: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl ConsensusThread {
    /// Starts it; it ends when this is dropped, which must come after its nodes have stopped.
    pub fn start() -> std::io::Result<ConsensusThread> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("consensus".into()).spawn(move || {
            let _ = runtime.block_on(stopped);
        })?;
        Ok(ConsensusThread { handle, ends: Some((stop, thread)) })
    }

    /// Where nodes spawn their tasks.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for ConsensusThread {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.ends.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
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
    /// Its way to its peers.
    pub transport: Arc<dyn Transport>,
    /// Changes of who belongs to the cluster.
    pub(super) registry: Arc<Registry>,
    network: Arc<dyn Network>,
    tickets: Arc<TicketOffice>,
    log: Arc<Log>,
    runtime: Handle,
    threads: Mutex<Threads>,
}

/// Why a node takes part no more.
pub struct Failure {
    /// A sentence.
    pub reason: String,
    /// There is no room on its disk.
    pub is_out_of_room: bool,
}

#[derive(Default)]
struct Threads {
    executor: Option<JoinHandle<()>>,
    background: Option<JoinHandle<()>>,
    audit: Option<JoinHandle<()>>,
    /// Of consensus, on the shared runtime.
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl RunningNode {
    /// Opens a node's log, or makes a new one in an empty directory.
    pub fn open_log(node: NodeId, around: &Surroundings) -> Result<Arc<Log>, NodeError> {
        open_log(node, around, around.start_seed(node), Mode::Threaded)
    }

    /// Starts a node from its log and its directory. On return it follows the log and may stand for election. Its
    /// consensus runs on `runtime`.
    pub fn start(
        node: NodeId,
        around: &Surroundings,
        log: Arc<Log>,
        runtime: &Handle,
    ) -> Result<RunningNode, NodeError> {
        let home = directory(&around.config, node);
        let seed = around.start_seed(node);
        let is_new = log.state().last.is_none();
        if let Some(door) = &around.door {
            let log = log.clone();
            door.set_log(move || log.state().last.map_or(0, |last| last.index));
        }

        let late = Arc::new(Late::default());
        let (sender, receiver) = mpsc::channel();
        let inbox = Inbox::new(move |message| drop(sender.send(message)));
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

        let (proposer, queue) = new_proposer(around, shared.clone(), seed);
        late.proposer.set(proposer.clone()).unwrap_or_default();

        let parts = ConsensusParts {
            node,
            around: around.clone(),
            seed,
            log: log.clone(),
            inbox: inbox.clone(),
            proposer: proposer.clone(),
            shared: shared.clone(),
            checkpoint,
            is_new,
        };
        let (begun, beginning) = mpsc::channel();
        let known = late.clone();
        runtime.spawn(async move { begun.send(parts.begin(queue, &known).await) });
        let begun = beginning.recv().map_err(|_| NodeError::Panicked { node, part: "consensus" });
        let begun = begun.and_then(|begun| begun.map_err(|reason| NodeError::Consensus { node, reason }));
        // The process may go on without this node.
        let Begun { consensus, transport, registry, tasks } = begun.inspect_err(|_| inbox.stop(true))?;
        // Not before the executor has the recovered suffix: its ballots must not contradict its record.
        let (caught_up, waiting) = mpsc::channel();
        inbox.call(move |_| {
            let _ = caught_up.send(());
        });
        let _ = waiting.recv();
        consensus.enable_elections(true);
        let keeper = storage::Keeper::new(storage, around.config.clone());
        let background = storage::start_background(keeper, &shared, inbox.clone(), consensus.clone(), runtime.clone())
            .map_err(|e| NodeError::Thread(e.to_string()))?;
        let audit = Auditor::new(node, around).start(&shared).map_err(|e| NodeError::Thread(e.to_string()))?;
        let threads = Threads { executor: Some(executor), background: Some(background), audit: Some(audit), tasks };
        Ok(RunningNode {
            shared,
            inbox,
            proposer,
            consensus,
            transport,
            registry,
            network: around.network.clone(),
            tickets: around.tickets.clone(),
            log,
            runtime: runtime.clone(),
            threads: Mutex::new(threads),
        })
    }

    /// Whether this node leads, as far as it knows.
    pub fn leads(&self) -> bool {
        self.consensus.leader().borrow().is_some_and(|leading| leading.node == self.shared.id)
    }

    /// Why this node takes part no more, if it does not: a sentence.
    pub fn failure(&self) -> Option<Failure> {
        let what = "this node's part in consensus has ended";
        match self.log.failure() {
            Some(failure) => {
                let wish = if failure.is_out_of_room { "free space on its disk" } else { "look at its disk" };
                let reason = format!(
                    "the log cannot be written: {}; {wish}, and the node starts again by itself",
                    failure.reason
                );
                Some(Failure { reason, is_out_of_room: failure.is_out_of_room })
            }
            None => self.consensus.failure().map(|error| Failure {
                reason: format!("{what}: {error}; it starts again by itself"),
                is_out_of_room: false,
            }),
        }
    }

    /// Ends the node: orderly and with a last checkpoint, or (`abort`) as if its process had died: nothing more is
    /// written.
    pub fn stop(&self, abort: bool) {
        // A node that takes part no more has nothing to add to its files.
        let abort = abort || self.shared.is_down();
        let mut threads = self.threads.lock();
        if threads.executor.is_none() {
            return;
        }
        self.network.detach(self.shared.id);
        if abort {
            self.log.abandon();
        }
        self.proposer.lead(None);
        self.tickets.close();
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
        for thread in threads.audit.take().into_iter().chain(threads.background.take()) {
            let _ = thread.join();
        }
        let (consensus, (stopped, stopping)) = (self.consensus.clone(), mpsc::channel());
        self.runtime.spawn(async move {
            consensus.shut_down().await;
            let _ = stopped.send(());
        });
        let _ = stopping.recv();
        threads.tasks.drain(..).for_each(|task| task.abort());
        self.log.shut_down();
    }
}

impl Drop for RunningNode {
    fn drop(&mut self) {
        self.stop(false);
    }
}
