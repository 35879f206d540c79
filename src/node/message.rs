//! What nodes say to each other beside consensus. Encoded with postcard inside `PeerMessage::Other`.

use super::membership::Change;
use crate::peer::{PeerMessage, PeerReply, Transport};
use crate::session::tickets::{Holder, Key, Mode};
use crate::session::{LockError, TicketError};
use crate::state_transfer::{Reply, Request};
use crate::token::{Ballot, LogId, NodeId};
use crate::transaction::{Outcome, Transaction, TransactionId};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A message from one node's executor to another's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum NodeMessage {
    /// Ballots, durable at the sender.
    Ballots(Vec<Ballot>),
    /// The sender lacks ballots on batches above this index.
    Asked {
        /// Log index.
        after: u64,
    },
    /// Whether the sender is in quarantine; said at every change and when a node comes up.
    State {
        /// It is.
        quarantined: bool,
        /// It wants to be told the same.
        asks: bool,
    },
    /// A repairing node's question.
    Repair {
        /// Handed back with the reply.
        number: u64,
        /// The question.
        request: Request,
    },
    /// The source's answer.
    Repaired {
        /// From the question.
        number: u64,
        /// The answer.
        reply: Reply,
    },
    /// The sender's clients wait for the answers of these batches, of which it has none of its own (rule 28).
    WantAnswers {
        /// Log indexes.
        batches: Vec<u64>,
    },
    /// Accepted outcomes of one batch, in plan order.
    Answers {
        /// Log index.
        index: u64,
        /// Outcome of each transaction of the batch.
        outcomes: Vec<Outcome>,
    },
    /// A follower's sessions submit these to the leader.
    Submit(Vec<Transaction>),
    /// The receiver of those does not lead, or has no room: they have no effect so far.
    NotTaken(Vec<TransactionId>),
    /// A follower's session gives its tickets back to the leader.
    TicketsReleased {
        /// The session.
        holder: Holder,
        /// What of it.
        what: Released,
    },
    /// The sender leads, and somebody keeps others out of something: plain writes should ask. Said again each second.
    TicketsHeld,
    /// The sender leads, and was asked for an advisory lock: say at once what your sessions hold.
    WhoHolds,
}

/// What a session gives back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Released {
    /// Its place in a queue.
    Wait,
    /// All of its tickets.
    Tickets,
    /// An advisory lock.
    Lock(Key, Mode),
    /// All of them.
    Locks,
}

/// Entries in one answer.
pub(super) const ENTRIES_BYTES_MAX: usize = 4 << 20;

/// What one node asks another outside the walk of a transaction. Encoded with postcard inside
/// `PeerMessage::Question`, the answer inside `PeerReply::Bytes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// How are you? Answered with a [`crate::admin::NodeStatus`].
    Status,
    /// Change who belongs to the cluster, if you lead. Answered with a [`super::membership::Changed`].
    Change(Change),
    /// What state do you lend? Answered with the position of one and its mark, or nothing.
    State,
    /// Is your leader gone? Answered with a [`super::succession::Sight`].
    Succession,
    /// What is in your log? Answered with a [`crate::consensus::LogReport`].
    Log,
    /// Give me entries of your log. Answered with a list of [`crate::entry::Entry`], about [`ENTRIES_BYTES_MAX`] of
    /// them, which is empty where the log does not hold both ends.
    Entries {
        /// Index of the first one.
        first: u64,
        /// The last one.
        last: LogId,
    },
    /// May this session have a ticket, or an advisory lock, if you lead? Answered with a [`TicketReply`], as late as somebody else holds it.
    Ticket {
        /// The session.
        holder: Holder,
        /// Of what.
        key: Key,
        /// How.
        mode: Mode,
        /// It waits for so long at most.
        timeout: Option<Duration>,
    },
    /// Only these sessions of the sender hold tickets or locks, or wait for them. Answered with a [`Kept`], if the
    /// receiver leads.
    KeepTickets {
        /// The sender's start.
        incarnation: u64,
        /// The term in which the sender follows the receiver.
        term: u64,
        /// Their numbers.
        sessions: Vec<u64>,
    },
}

/// The answer to [`Question::KeepTickets`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// For how long the leader believes that it leads, in milliseconds.
    pub vouched_ms: u64,
    /// Those of the sessions that have nothing here.
    pub strangers: Vec<u64>,
}

/// The answer to [`Question::Ticket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TicketReply {
    /// It is held, or the leader has no room to note it.
    Granted,
    /// The receiver does not lead, or has no tickets for such a key.
    Without,
    /// Waiting would never end.
    Deadlock,
    /// It is held by somebody else for longer than the session waits.
    Timeout,
    /// The advisory lock is held; for how long that is believed, in milliseconds.
    Locked(u64),
    /// It is not.
    NotLocked(LockError),
}

impl From<Result<(), TicketError>> for TicketReply {
    fn from(answer: Result<(), TicketError>) -> Self {
        match answer {
            Ok(()) => TicketReply::Granted,
            Err(TicketError::Deadlock) => TicketReply::Deadlock,
            Err(TicketError::Timeout) => TicketReply::Timeout,
        }
    }
}

impl Question {
    /// Encoded form.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }
}

/// What one node tells another, in postcard's encoding.
pub(super) fn encode<T: Serialize>(value: &T) -> Bytes {
    // Plain values into a growing buffer: postcard has nothing that can fail here.
    Bytes::from(postcard::to_stdvec(value).expect("plain values encode"))
}

/// Why a question has no answer.
pub(super) enum Unanswered {
    /// Nothing came in time, or no connection leads to the peer.
    Silent,
    /// The peer is one of another version.
    Malformed(postcard::Error),
}

/// Asks a peer.
pub(super) async fn ask<T: DeserializeOwned>(
    transport: &dyn Transport,
    peer: NodeId,
    question: &Question,
    wait: Duration,
) -> Result<T, Unanswered> {
    match transport.request(peer, PeerMessage::Question(question.encode()), wait).await {
        Ok(PeerReply::Bytes(bytes)) => postcard::from_bytes(&bytes).map_err(Unanswered::Malformed),
        _ => Err(Unanswered::Silent),
    }
}

impl NodeMessage {
    /// Encoded form.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }
    /// The inverse; an error is a peer of another version, or damage on the way.
    pub fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_tickets_is_understood() {
        let holder = Holder { incarnation: u64::MAX, session: 7 };
        let key = |row: Option<&str>| Key { database: "d".into(), table: "t".into(), row: row.map(Into::into) };
        let timeouts = [None, Some(Duration::ZERO), Some(Duration::MAX)];
        for (mode, timeout) in [Mode::Shared, Mode::Exclusive].into_iter().zip(timeouts) {
            for key in [key(None), key(Some("1"))] {
                let asked = Question::Ticket { holder, key, mode, timeout };
                assert_eq!(postcard::from_bytes::<Question>(&asked.encode()), Ok(asked));
            }
        }
        let kept = Question::KeepTickets { incarnation: 3, term: 4, sessions: vec![0, u64::MAX] };
        assert_eq!(postcard::from_bytes::<Question>(&kept.encode()), Ok(kept));
        let given = [Released::Wait, Released::Tickets, Released::Lock(key(Some("1")), Mode::Shared), Released::Locks];
        let given = given.map(|what| NodeMessage::TicketsReleased { holder, what });
        for said in given.into_iter().chain([NodeMessage::TicketsHeld, NodeMessage::WhoHolds]) {
            assert_eq!(NodeMessage::decode(&said.encode()), Ok(said));
        }
    }
}
