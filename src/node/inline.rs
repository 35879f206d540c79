//! One node without threads: log, consensus, executor and background work are tasks of the runtime that it is
//! started on, and time is that runtime's. For the simulator, which kills such nodes in all ways.
//!
//! It must be started inside a `tokio::task::LocalSet`: SQLite connections stay on their thread.

use super::NodeError;
use super::auditor::Auditor;
use super::core::{Input, NodeCore};
use super::executor::{self, Inbox};
use super::join::{ask_to_join, have_changed};
use super::members::MembersView;
use super::membership::{Change, Registry};
use super::proposer::Proposer;
use super::shared::NodeShared;
use super::storage::{self, Keeper};
use super::wiring::{Begun, ConsensusParts, Late, Surroundings, build, new_proposer, open_log};
use crate::consensus::Consensus;
use crate::log_store::{Log, Mode};
use crate::peer::{Network, Transport};
use crate::token::NodeId;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, JoinHandle};

/// A node at work on the caller's thread. Dropping it leaves its tasks aborted.
pub struct InlineNode {
    /// What sessions and the status page see of it.
    pub shared: Arc<NodeShared>,
    /// Its executor's queue.
    pub inbox: Inbox,
    /// Its way to consensus.
    pub proposer: Arc<Proposer>,
    /// Its part in consensus.
    pub consensus: Consensus,
    /// Its state; borrowed by its tasks only while they run.
    pub core: Rc<RefCell<NodeCore>>,
    /// Its log.
    pub log: Arc<Log>,
    /// Who belongs to the cluster, as far as its log says.
    pub members: Arc<MembersView>,
    registry: Arc<Registry>,
    transport: Arc<dyn Transport>,
    network: Arc<dyn Network>,
    tasks: RefCell<Tasks>,
}

/// Tasks that end with their owner.
#[derive(Default)]
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl InlineNode {
    /// Starts a node from its directory, or as a new one in an empty directory. `observe` sees every input of
    /// its executor and says how long it takes.
    pub async fn start(
        node: NodeId,
        around: &Surroundings,
        observe: impl FnMut(&Input) -> Duration + 'static,
    ) -> Result<InlineNode, NodeError> {
        let seed = around.start_seed(node);
        let log = open_log(node, around, seed, Mode::Inline)?;
        let is_new = log.state().last.is_none();
        let late = Arc::new(Late::default());
        let (sender, receiver) = mpsc::unbounded_channel();
        let inbox = Inbox::new(move |message| drop(sender.send(message)));
        let (core, storage, checkpoint) = build(node, around, &log, inbox.clone(), late.clone())?;
        let shared = core.shared().clone();
        let core = Rc::new(RefCell::new(core));
        let mut tasks = Tasks(vec![task::spawn_local(executor::run_inline(core.clone(), receiver, observe))]);
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
        let failed = |reason| NodeError::Consensus { node, reason };
        let Begun { consensus, transport, registry, tasks: joined } =
            parts.begin(queue, &late).await.map_err(failed)?;
        tasks.0.extend(joined);
        // Not before the executor has the recovered suffix: its ballots must not contradict its record.
        let (caught_up, waiting) = oneshot::channel();
        inbox.call(move |_| {
            let _ = caught_up.send(());
        });
        let _ = waiting.await;
        consensus.enable_elections(true);
        tasks.0.push(task::spawn_local(Auditor::new(node, around).run_inline(shared.clone())));
        let keeper = Keeper::new(storage, around.config.clone());
        let keeping = storage::run_inline(keeper, shared.clone(), core.clone(), inbox.clone(), consensus.clone());
        tasks.0.push(task::spawn_local(keeping));
        Ok(InlineNode {
            shared,
            inbox,
            proposer,
            consensus,
            core,
            log,
            members: around.members.clone(),
            registry,
            transport,
            network: around.network.clone(),
            tasks: RefCell::new(tasks),
        })
    }

    /// Asks a node of the cluster, once, that this one be taken in.
    pub async fn join(&self, at: NodeId, own_address: &str) -> Result<String, String> {
        let change = Change::Join { node: self.shared.id, address: own_address.into() };
        ask_to_join(&*self.network, &*self.transport, at, &change).await
    }

    /// Has whoever leads change who belongs to the cluster, or who leads it.
    pub async fn change(&self, change: Change) -> Result<String, String> {
        have_changed(self.shared.id, &self.registry, &*self.transport, change).await
    }

    /// Whether this node leads, as far as it knows.
    pub fn leads(&self) -> bool {
        self.consensus.leader().borrow().is_some_and(|leading| leading.node == self.shared.id)
    }

    /// Whether its executor or its background work has ended by itself: it panicked. (Those of consensus end with
    /// it, when its log fails.)
    pub fn has_panicked(&self) -> bool {
        let tasks = self.tasks.borrow();
        tasks.0.first().is_some_and(JoinHandle::is_finished) || tasks.0.last().is_some_and(JoinHandle::is_finished)
    }

    /// Ends it as if its process had died. Its disk must be dead already: nothing more may be written.
    pub async fn kill(&self) {
        self.network.detach(self.shared.id);
        self.proposer.lead(None);
        self.tasks.take();
        self.consensus.shut_down().await;
    }
}
