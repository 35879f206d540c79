//! What nodes say to each other beside consensus. Encoded with postcard inside `PeerMessage::Other`.

use super::membership::Change;
use crate::state_transfer::{Reply, Request};
use crate::token::{Ballot, LogId};
use crate::transaction::{Outcome, Transaction, TransactionId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

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
