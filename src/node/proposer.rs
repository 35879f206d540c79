//! The leader's way from waiting transactions to proposed batches: the batcher, filled by sessions and emptied
//! whenever the pipeline has room, and one task that hands batches to consensus in order.
//!
//! Every node has one; only the leader's is open.

use super::planner::Planner;
use super::shared::NodeShared;
use crate::batch::{Batch, Command};
use crate::batcher::{Batcher, Heading, LINGER_US, Limits};
use crate::consensus::{Consensus, Leadership, ProposeError};
use crate::entry::EncodedCommand;
use crate::page::Hash;
use crate::seam::Clock;
use crate::token::{LogId, Verdict};
use crate::transaction::Transaction;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Why a transaction was not taken; it had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// This node does not lead.
    NotLeader,
    /// Too many wait already.
    Full,
}

/// What is handed to consensus, or looked at again there.
pub enum Queued {
    /// A command to propose under a leadership, and whether it is a batch.
    Command(Arc<EncodedCommand>, Leadership, bool),
    /// A batch lingers.
    Lingering,
}
/// What waits for [`Proposer::run`].
pub type Queue = UnboundedReceiver<Queued>;

/// The open or closed gate to consensus.
pub struct Proposer {
    shared: Arc<NodeShared>,
    clock: Arc<dyn Clock>,
    engine: Hash,
    seed: u64,
    batches: AtomicU64,
    state: Mutex<State>,
    queue: UnboundedSender<Queued>,
}

struct State {
    batcher: Batcher,
    planner: Planner,
    leading: Option<Leadership>,
    /// A task will look at the batch that lingers.
    has_alarm: bool,
    /// How many want that no batch is proposed.
    holds: usize,
}

/// While this lives no batch is proposed.
pub struct Hold(Arc<Proposer>);

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.holds -= 1;
        if let Some(leading) = state.leading {
            self.0.pump(&mut state, leading);
        }
    }
}

impl Proposer {
    /// A closed gate; the receiver goes to [`Proposer::run`].
    pub fn new(
        shared: Arc<NodeShared>,
        clock: Arc<dyn Clock>,
        engine: Hash,
        limits: Limits,
        planner: Planner,
        seed: u64,
    ) -> (Arc<Self>, Queue) {
        let (queue, receiver) = unbounded_channel();
        let state =
            Mutex::new(State { batcher: Batcher::new(limits), planner, leading: None, has_alarm: false, holds: 0 });
        let proposer = Proposer { shared, clock, engine, seed, batches: AtomicU64::new(0), state, queue };
        (Arc::new(proposer), receiver)
    }

    /// Takes a transaction for one of the next batches.
    pub fn submit(&self, transaction: Transaction) -> Result<(), NotTaken> {
        let mut state = self.state.lock();
        let Some(leading) = state.leading else { return Err(NotTaken::NotLeader) };
        state.batcher.push(transaction, self.clock.now_us()).map_err(|_| NotTaken::Full)?;
        self.pump(&mut state, leading);
        Ok(())
    }

    /// Leadership began or ended. What still waited is dropped: its sessions submit it again, under the same
    /// ids, to whoever leads.
    pub fn lead(&self, leading: Option<Leadership>) {
        let mut state = self.state.lock();
        if state.leading != leading {
            state.batcher.abdicate();
            state.leading = leading;
        }
    }

    /// Keeps batches back.
    pub fn hold(self: &Arc<Self>) -> Hold {
        self.state.lock().holds += 1;
        Hold(self.clone())
    }

    /// Whether nothing that this node proposed is on its way, into the log or to its acceptance.
    pub fn is_idle(&self) -> bool {
        self.state.lock().batcher.in_flight() == 0
    }

    /// Proposes a batch of nothing, if this node leads and nothing else is on its way.
    pub fn propose_nothing(&self) {
        let mut state = self.state.lock();
        let Some(leading) = state.leading.filter(|_| state.holds == 0 && self.shared.has_room()) else { return };
        let heading = self.heading();
        if let Some(batch) = state.batcher.close_empty(heading) {
            self.queue_batch(batch, leading);
        }
    }

    /// A batch stands in the log.
    pub fn saw(&self, batch: &Batch) {
        self.state.lock().batcher.saw(batch.timestamp_us);
    }

    /// Batches were accepted: those of this leadership leave room.
    pub fn accepted(&self, batches: &[LogId]) {
        let mut state = self.state.lock();
        let Some(leading) = state.leading else { return };
        for log_id in batches {
            if (log_id.term, log_id.leader) == (leading.term, leading.node) {
                state.batcher.finished();
            }
        }
        self.pump(&mut state, leading);
    }

    /// Proposes a verdict, if this node leads in that term.
    pub fn propose(&self, term: u64, verdict: Verdict) {
        if let Some(leading) = self.state.lock().leading.filter(|leading| leading.term == term) {
            let _ = self.queue.send(Queued::Command(EncodedCommand::new(Command::Verdict(verdict)), leading, false));
        }
    }

    fn heading(&self) -> Heading {
        let number = self.batches.load(Ordering::Relaxed);
        Heading {
            now_us: self.clock.now_us(),
            seed: Hash::of(&[self.seed.to_le_bytes(), number.to_le_bytes()].concat()).0 as u64,
            engine: self.engine,
            accepted: self.shared.header(),
        }
    }

    /// Under the lock: the queue's order is the batches' order.
    fn queue_batch(&self, batch: Batch, leading: Leadership) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        let _ = self.queue.send(Queued::Command(EncodedCommand::new(Command::Batch(batch)), leading, true));
    }

    fn pump(&self, state: &mut State, leading: Leadership) {
        while state.holds == 0 && self.shared.has_room() {
            let Some(mut batch) = state.batcher.close(self.heading()) else { break };
            batch.plan = state.planner.plan(&batch.transactions);
            self.queue_batch(batch, leading);
        }
        if state.batcher.is_lingering() && !std::mem::replace(&mut state.has_alarm, true) {
            let _ = self.queue.send(Queued::Lingering);
        }
    }

    /// Closes the batch that lingered, if no other event has.
    async fn wait_for_lingering(self: Arc<Self>) {
        tokio::time::sleep(Duration::from_micros(LINGER_US)).await;
        let mut state = self.state.lock();
        state.has_alarm = false;
        if let Some(leading) = state.leading {
            self.pump(&mut state, leading);
        }
    }

    /// Hands what is queued to consensus, in order; runs on consensus's runtime.
    pub async fn run(self: Arc<Self>, consensus: Consensus, mut queue: Queue) {
        while let Some(queued) = queue.recv().await {
            let Queued::Command(command, leading, is_batch) = queued else {
                tokio::spawn(self.clone().wait_for_lingering());
                continue;
            };
            let proposed = consensus.propose(command, leading).await;
            let this = self.clone();
            match proposed {
                Ok(proposal) => {
                    tokio::spawn(async move {
                        if let Err(error) = proposal.await {
                            this.lost(leading, is_batch, &error);
                        }
                    });
                }
                Err(error) => this.lost(leading, is_batch, &error),
            }
        }
    }

    /// A proposal that consensus did not decide leaves room; its transactions are submitted again by their
    /// sessions' nodes.
    fn lost(&self, leading: Leadership, is_batch: bool, error: &ProposeError) {
        tracing::info!(node = self.shared.id, %error, "a proposal was not decided");
        let mut state = self.state.lock();
        if is_batch && state.leading == Some(leading) {
            state.batcher.finished();
        }
        drop(state);
        self.shared.waiters.lost();
    }
}
