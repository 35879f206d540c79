//! What a node does with what its peers send, and how it stands for openraft's snapshots: states that are offered and
//! taken over.

use super::core::Input;
use super::door::Door;
use super::executor::Inbox;
use super::members::MembersView;
use super::membership::Registry;
use super::message::{ENTRIES_BYTES_MAX, NodeMessage, Question, encode};
use super::proposer::Proposer;
use super::shared::NodeShared;
use super::succession::Succession;
use super::ticket_office::TicketOffice;
use crate::admin::NodeStatus;
use crate::consensus::{Checkpoint, Consensus, ConsensusError, SnapshotInstaller, SnapshotSource};
use crate::peer::{Handler, PeerMessage, PeerReply, Transport, VoteRequest};
use crate::session::Soon;
use crate::token::{LogId, NodeId};
use crate::transaction::Transaction;
use crate::verifier;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Takes over a peer's state when the log that this node needs is gone: pages that differ are fetched, as in a repair,
/// and a checkpoint of the whole is durable before consensus hears of it.
pub(super) struct Joiner {
    pub inbox: Inbox,
    pub shared: Arc<NodeShared>,
    /// No other node of this process executes what its clients submit.
    pub is_alone: bool,
}

impl SnapshotInstaller for Joiner {
    fn install(&self, leader: NodeId, checkpoint: Checkpoint) -> BoxFuture<'static, Result<(), String>> {
        let (inbox, shared, is_alone) = (self.inbox.clone(), self.shared.clone(), self.is_alone);
        async move {
            let mark: verifier::Mark = postcard::from_bytes(&checkpoint.manifest)
                .map_err(|error| format!("node {leader} offers a state whose mark does not decode: {error}"))?;
            if mark.accepted.log_id != checkpoint.log_id {
                return Err(format!("node {leader} offers a state of another position than its log's"));
            }
            tracing::warn!(node = shared.id, leader, index = checkpoint.log_id.index, "joining by pages");
            if is_alone {
                // The pages may hold what clients of this node submitted, and nobody will tell it.
                shared.waiters.clear();
            }
            let (sender, durable) = oneshot::channel();
            let keep = shared.clone();
            // Whoever waits may have given up.
            let told = Box::new(move |done| {
                let _ = sender.send(done);
            });
            let installed = Box::new(move |capture| keep.want_checkpoint(capture, told));
            inbox.put(Input::Join { mark: Box::new(mark), installed });
            match durable.await {
                Ok(true) => Ok(()),
                Ok(false) => Err("the state could not be written to disk".into()),
                Err(_) => Err("the pages could not be fetched".into()),
            }
        }
        .boxed()
    }
}

/// Offers the newest accepted state to peers that cannot follow the log.
pub(super) struct Lender {
    pub inbox: Inbox,
}

impl SnapshotSource for Lender {
    fn offer(&self) -> BoxFuture<'static, Option<(LogId, Bytes)>> {
        let (sender, offered) = oneshot::channel();
        self.inbox.put(Input::Offer(Box::new(move |mark| drop(sender.send(mark)))));
        async move {
            let mark: verifier::Mark = offered.await.ok()??;
            Some((mark.accepted.log_id, encode(&mark)))
        }
        .boxed()
    }
}

/// Messages of ours go to the executor, the others to consensus.
pub(super) struct NodeHandler {
    pub consensus: Consensus,
    pub inbox: Inbox,
    pub proposer: Arc<Proposer>,
    pub shared: Arc<NodeShared>,
    pub transport: Arc<dyn Transport>,
    pub door: Option<Arc<Door>>,
    pub registry: Arc<Registry>,
    pub succession: Arc<Succession>,
    pub members: Arc<MembersView>,
    pub tickets: Arc<TicketOffice>,
}

impl Handler for NodeHandler {
    fn handle(&self, from: NodeId, message: PeerMessage) -> BoxFuture<'static, PeerReply> {
        match self.take(from, message) {
            None => futures::future::ready(PeerReply::None).boxed(),
            Some(PeerMessage::Question(bytes)) => self.answer(from, &bytes),
            // A leader whose process has ended holds nobody's vote back.
            Some(PeerMessage::Vote(request)) if self.succession.leader_is_gone() => {
                self.consensus.handle(from, PeerMessage::Vote(VoteRequest { transfer: true, ..request }))
            }
            Some(message) => self.consensus.handle(from, message),
        }
    }

    fn take(&self, from: NodeId, message: PeerMessage) -> Option<PeerMessage> {
        let PeerMessage::Other(bytes) = message else { return Some(message) };
        match NodeMessage::decode(&bytes) {
            // Not behind what is being executed: these wait for the next batch.
            Ok(NodeMessage::Submit(transactions)) => self.submitted(from, transactions),
            Ok(NodeMessage::TicketsReleased { holder, what }) => self.tickets.released(from, holder, what),
            Ok(NodeMessage::TicketsHeld) => self.tickets.heard(from),
            Ok(NodeMessage::WhoHolds) => self.tickets.called(from),
            Ok(NodeMessage::NotTaken(ids)) => ids.into_iter().for_each(|id| self.shared.waiters.not_taken(id)),
            Ok(message) => {
                if let (NodeMessage::Ballots(ballots), Some(door)) = (&message, &self.door) {
                    ballots.iter().for_each(|ballot| door.witness(from, ballot.key().log_id));
                }
                self.inbox.put(Input::Message { from, message });
            }
            Err(error) => tracing::error!(from, %error, "a peer's message does not decode"),
        }
        None
    }
}

impl NodeHandler {
    fn submitted(&self, from: NodeId, transactions: Vec<Transaction>) {
        let taken = |transaction: Transaction| {
            let id = transaction.id;
            self.proposer.submit(transaction).err().map(|_| id)
        };
        let not_taken: Vec<_> = transactions.into_iter().filter_map(taken).collect();
        if !not_taken.is_empty() {
            self.transport.send(from, PeerMessage::Other(NodeMessage::NotTaken(not_taken).encode()));
        }
    }

    fn answer(&self, from: NodeId, question: &[u8]) -> BoxFuture<'static, PeerReply> {
        match postcard::from_bytes(question) {
            Ok(Question::Status) => {
                let status = encode(&status(&self.shared, &self.consensus, &self.members));
                futures::future::ready(PeerReply::Bytes(status)).boxed()
            }
            Ok(Question::Change(change)) => {
                let registry = self.registry.clone();
                async move { PeerReply::Bytes(encode(&registry.change(change).await)) }.boxed()
            }
            Ok(Question::State) => {
                let offered = Lender { inbox: self.inbox.clone() }.offer();
                async move { PeerReply::Bytes(encode(&offered.await.map(|(log_id, mark)| (log_id, mark.to_vec())))) }
                    .boxed()
            }
            Ok(Question::Succession) => {
                futures::future::ready(PeerReply::Bytes(encode(&self.succession.sight()))).boxed()
            }
            Ok(Question::Log) => told(from, self.consensus.log_report()),
            Ok(Question::Entries { first, last }) => {
                told(from, self.consensus.log_entries(first, last, ENTRIES_BYTES_MAX))
            }
            Ok(Question::Ticket { holder, key, mode, timeout }) => {
                match self.tickets.asked(from, holder, key, mode, timeout) {
                    Soon::Now(reply) => futures::future::ready(PeerReply::Bytes(encode(&reply))).boxed(),
                    Soon::Later(waits) => async move { PeerReply::Bytes(encode(&waits.await)) }.boxed(),
                }
            }
            Ok(Question::KeepTickets { incarnation, term, sessions }) => {
                let kept = self.tickets.kept(from, incarnation, term, &sessions);
                futures::future::ready(PeerReply::Bytes(encode(&kept))).boxed()
            }
            Err(error) => {
                tracing::error!(from, %error, "a peer's question does not decode");
                futures::future::ready(PeerReply::None).boxed()
            }
        }
    }
}

/// What this node knows, or nothing.
fn told<T: Serialize>(from: NodeId, known: Result<T, ConsensusError>) -> BoxFuture<'static, PeerReply> {
    let reply = match known {
        Ok(known) => PeerReply::Bytes(encode(&known)),
        Err(error) => {
            tracing::error!(from, %error, "a peer's question cannot be answered");
            PeerReply::None
        }
    };
    futures::future::ready(reply).boxed()
}

/// How a node is.
pub(super) fn status(shared: &NodeShared, consensus: &Consensus, members: &MembersView) -> NodeStatus {
    let accepted = shared.accepted();
    let leads = consensus.leader().borrow().is_some_and(|leading| leading.node == shared.id);
    NodeStatus {
        id: shared.id,
        role: match (shared.is_down(), leads) {
            (true, _) => "down".into(),
            (false, true) => "leader".into(),
            (false, false) if members.is_voter(shared.id) => "follower".into(),
            (false, false) => "learner".into(),
        },
        state: shared.state().into(),
        term: consensus.metrics().term,
        accepted_index: accepted.log_id.index,
        lag_batches: shared.status().map_or(0, |status| status.unaccepted as u64),
        root: accepted.root.to_string(),
        executing_us: shared.counters.executing_us(),
        verifying_us: shared.counters.verifying_us(),
        audits_passed: shared.audits.passed(),
        audits_found: shared.audits.found(),
        audits_skipped: shared.audits.skipped(),
        reason: shared.reason(),
    }
}
