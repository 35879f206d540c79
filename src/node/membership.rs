//! Changes of who belongs to the cluster, made by whoever leads, one at a time (rule 22).
//!
//! ```text
//!   learner   gets the log, executes, gives ballots that do not count
//!      │  K of its tokens in a row match what is accepted
//!      v
//!   voter     counts
//! ```
//!
//! A change of the voters is a barrier: no batch is proposed from before it until it is decided, and all that stand
//! before it are accepted first, by an entry of the log: tokens of those who leave prove nothing later.

use super::core::{Input, NodeCore};
use super::executor::Inbox;
use super::members::MembersView;
use super::proposer::Proposer;
use crate::consensus::{Consensus, Leadership};
use crate::token::NodeId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};
use tokio::time::{self, Instant};

/// K: so many tokens of a learner in a row must match before it counts.
const MATCHES_MIN: u64 = 8;
/// Batches before a barrier are accepted within this time, or the change is given up.
const BARRIER_WAIT: Duration = Duration::from_secs(10);
/// A learner has so long to catch up and to prove itself.
const PROOF_WAIT: Duration = Duration::from_secs(600);
/// A new leader is seen within this time.
const TRANSFER_WAIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);
const PROOF_PAUSE: Duration = Duration::from_millis(50);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A node that is new, and where its peers reach it: it becomes a learner.
    Join {
        /// Its number.
        node: NodeId,
        /// `HOST:PORT`.
        address: String,
    },
    /// A learner becomes a voter.
    Promote(NodeId),
    /// A node is no member any more.
    Remove(NodeId),
    /// Another voter shall lead.
    Lead(NodeId),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changed {
    /// It is decided; a sentence.
    Done(String),
    /// This node does not lead: who does, as far as it knows, and where that one is.
    NotLeader(Option<(NodeId, String)>),
    /// It is not possible, or did not succeed; a sentence.
    Refused(String),
}

/// Why a change was not made.
enum NotMade {
    /// It is not possible, or did not succeed; a sentence.
    Refused(String),
    /// This node lost the lead before anything was asked of the log: whoever leads now may make it.
    LedNoMore,
}

impl From<String> for NotMade {
    fn from(reason: String) -> Self {
        NotMade::Refused(reason)
    }
}

/// One node's office for changes.
pub struct Registry {
    node: NodeId,
    consensus: Consensus,
    proposer: Arc<Proposer>,
    inbox: Inbox,
    members: Arc<MembersView>,
    /// One change at a time.
    busy: Mutex<()>,
}

impl Registry {
    pub(super) fn new(
        node: NodeId,
        consensus: Consensus,
        proposer: Arc<Proposer>,
        inbox: Inbox,
        members: Arc<MembersView>,
    ) -> Arc<Self> {
        Arc::new(Registry { node, consensus, proposer, inbox, members, busy: Mutex::default() })
    }

    /// Makes a change, if this node leads.
    pub async fn change(&self, change: Change) -> Changed {
        let leading = *self.consensus.leader().borrow();
        let Some(own) = leading.filter(|leading| leading.node == self.node) else {
            return self.not_leader();
        };
        let Ok(_busy) = self.busy.try_lock() else {
            return Changed::Refused("another change of the members is under way; try again in a moment".into());
        };
        let made = match change {
            Change::Join { node, address } => self.join(own, node, &address).await,
            Change::Promote(node) => self.promote(own, node).await,
            Change::Remove(node) => self.remove(own, node).await,
            Change::Lead(node) => self.lead(node).await.map_err(NotMade::Refused),
        };
        match made {
            Ok(done) => Changed::Done(done),
            Err(NotMade::Refused(reason)) => Changed::Refused(reason),
            Err(NotMade::LedNoMore) => self.not_leader(),
        }
    }

    fn not_leader(&self) -> Changed {
        let leading = *self.consensus.leader().borrow();
        let nodes = self.members.nodes();
        Changed::NotLeader(leading.and_then(|leading| nodes.into_iter().find(|(node, _)| *node == leading.node)))
    }

    /// Results of others, and verdicts, come to the leader alone: who leads no more waits for them in vain.
    fn still_leads(&self, own: Leadership) -> Result<(), NotMade> {
        match *self.consensus.leader().borrow() == Some(own) {
            true => Ok(()),
            false => Err(NotMade::LedNoMore),
        }
    }

    // What the newest membership says may not be decided, and gone with its leader: so nothing of it is told but behind
    // the barrier, where it stands.

    async fn join(&self, own: Leadership, node: NodeId, address: &str) -> Result<String, NotMade> {
        self.at_barrier(own, async || {
            match self.members.nodes().into_iter().find(|(known, _)| *known == node) {
                Some((_, known)) if known == address => return Ok(format!("node {node} is a member already")),
                Some((_, known)) => {
                    return Err(format!(
                        "node {node} is a member already, at {known}; choose another number with --id"
                    ));
                }
                None => {}
            }
            self.consensus.add_learner(node, address).await.map_err(|error| error.to_string())?;
            Ok(format!("node {node} is a learner now; evesql member add {node} makes it a voter"))
        })
        .await
    }

    async fn promote(&self, own: Leadership, node: NodeId) -> Result<String, NotMade> {
        if !self.members.ids().contains(&node) {
            return Err(NotMade::Refused(format!("node {node} is not known; start it with --join first")));
        }
        if !self.members.is_voter(node) {
            self.proven(own, node).await?;
        }
        self.at_barrier(own, async || {
            // A leader that died may have left the change half made.
            if self.members.is_voter(node) && !self.members.is_joint() {
                return Ok(format!("node {node} is a voter already"));
            }
            self.consensus.add_voter(node).await.map_err(|error| error.to_string())?;
            Ok(format!("node {node} is a voter now"))
        })
        .await
    }

    async fn remove(&self, own: Leadership, node: NodeId) -> Result<String, NotMade> {
        if node == self.node {
            let reason = format!("node {node} leads; hand that over first: evesql transfer-leader ID");
            return Err(NotMade::Refused(reason));
        }
        self.at_barrier(own, async || {
            if !self.members.ids().contains(&node) {
                return Err(format!("node {node} is no member"));
            }
            if self.members.voters() == [node] {
                return Err(format!("node {node} is the only voter"));
            }
            self.consensus.remove(node).await.map_err(|error| error.to_string())?;
            Ok(format!("node {node} is no member any more; stop it, its directory is of no more use"))
        })
        .await
    }

    async fn lead(&self, node: NodeId) -> Result<String, String> {
        if node == self.node {
            return Ok(format!("node {node} leads already"));
        }
        if !self.members.is_voter(node) {
            return Err(format!("node {node} is no voter, so it cannot lead"));
        }
        let leader = self.consensus.leader();
        self.consensus.transfer_leader(node).await.map_err(|error| error.to_string())?;
        let deadline = Instant::now() + TRANSFER_WAIT;
        // Looked at now and then, as others wait for the same: whom of them a change wakes first no seed decides.
        while leader.borrow().is_none_or(|leading| leading.node != node) {
            if Instant::now() > deadline {
                return Err(format!("node {node} did not take over; is it up, and has it all of the log?"));
            }
            time::sleep(PAUSE).await;
        }
        Ok(format!("node {node} leads now"))
    }

    /// Waits until a learner's tokens have matched often enough; where nobody writes, with batches of nothing.
    async fn proven(&self, own: Leadership, node: NodeId) -> Result<(), NotMade> {
        let deadline = Instant::now() + PROOF_WAIT;
        let mut before = self.matches(node).await?;
        loop {
            self.still_leads(own)?;
            let matches = self.matches(node).await?;
            if matches >= MATCHES_MIN {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(NotMade::Refused(format!(
                    "node {node} has not proved in time that it computes what the others do ({matches} of {MATCHES_MIN} results in a row); is it up?"
                )));
            }
            if matches == before {
                self.proposer.propose_nothing();
            }
            before = matches;
            time::sleep(PROOF_PAUSE).await;
        }
    }

    async fn matches(&self, node: NodeId) -> Result<u64, String> {
        self.ask(move |core| core.verifier().matching_tokens(node)).await
    }

    /// Rule 22: batches wait while this lasts, and the change waits for those before it.
    async fn at_barrier<T>(
        &self,
        own: Leadership,
        change: impl AsyncFnOnce() -> Result<T, String>,
    ) -> Result<T, NotMade> {
        let _held = self.proposer.hold();
        let deadline = Instant::now() + BARRIER_WAIT;
        // What is not in the log yet the verifier has not seen.
        while !self.proposer.is_idle() || !self.may_change().await? {
            self.still_leads(own)?;
            if Instant::now() > deadline {
                let reason = "the batches before the change are not accepted; is a quorum of the nodes up?";
                return Err(NotMade::Refused(reason.into()));
            }
            time::sleep(PAUSE).await;
        }
        match time::timeout(BARRIER_WAIT, change()).await {
            Ok(changed) => Ok(changed?),
            Err(_) => {
                let reason = "the change is not decided in time; it may still be: look at evesql status";
                Err(NotMade::Refused(reason.into()))
            }
        }
    }

    async fn may_change(&self) -> Result<bool, String> {
        self.inbox.put(Input::Publish);
        self.ask(|core| core.verifier().may_change_members()).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&NodeCore) -> T + Send + 'static,
    ) -> Result<T, String> {
        let (sender, answer) = oneshot::channel();
        self.inbox.call(move |core| drop(sender.send(question(core))));
        answer.await.map_err(|_| "this node is stopping".to_string())
    }
}
