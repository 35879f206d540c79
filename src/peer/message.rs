//! The messages between nodes. Consensus messages mirror openraft's in our own values, so that this layer,
//! and the wire format, do not depend on its version.

use crate::entry::{Entry, Membership, Vote, byte_string};
use crate::token::{LogId, NodeId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A message to a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PeerMessage {
    /// Leader to follower: entries, or a heartbeat without any.
    Append(AppendRequest),
    /// Candidate to all: a vote is asked for.
    Vote(VoteRequest),
    /// Would-be candidate to all: would you vote for me? Nothing is promised.
    PreVote(VoteRequest),
    /// Leader to a follower whose entries are purged: take this state.
    Snapshot(SnapshotRequest),
    /// Leader to all: this node shall lead next.
    Transfer(TransferRequest),
    /// Follower to leader: how far is decided?
    ReadIndex,
    /// A question of the layer above, which encodes it; the reply is [`PeerReply::Bytes`].
    Question(#[serde(with = "byte_string")] Bytes),
    /// A message of the layer above, which encodes it. No reply.
    Other(#[serde(with = "byte_string")] Bytes),
}

/// The reply to a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PeerReply {
    /// To [`PeerMessage::Append`].
    Append(AppendReply),
    /// To [`PeerMessage::Vote`] and [`PeerMessage::PreVote`].
    Vote(VoteReply),
    /// To [`PeerMessage::Snapshot`]: the receiver's vote.
    Snapshot(Vote),
    /// To [`PeerMessage::Transfer`].
    Transfer {
        /// Whether the receiver goes along.
        accepted: bool,
    },
    /// To [`PeerMessage::ReadIndex`]: nothing if the receiver does not lead.
    ReadIndex(Option<u64>),
    /// To [`PeerMessage::Question`].
    Bytes(#[serde(with = "byte_string")] Bytes),
    /// Nothing to say, or the receiver is about to stop.
    None,
}

/// Entries for a follower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppendRequest {
    /// The leadership in whose name it is sent.
    pub vote: Vote,
    /// Position that the entries follow.
    pub previous: Option<LogId>,
    /// The entries.
    pub entries: Vec<Entry>,
    /// How far the leader knows the log to be decided.
    pub committed: Option<LogId>,
}

/// A follower's word on entries, given once they are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppendReply {
    /// All are durable.
    Success,
    /// Those up to here are.
    Partial(Option<LogId>),
    /// The follower holds another entry, or none, at the previous position.
    Conflict,
    /// The follower knows a later vote.
    HigherVote(Vote),
}

/// A candidate's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteRequest {
    /// The vote asked for.
    pub vote: Vote,
    /// The candidate's newest entry.
    pub last: Option<LogId>,
    /// The leader itself wants it: a living leader is no reason to refuse.
    pub transfer: bool,
}

/// A voter's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteReply {
    /// The voter's vote.
    pub vote: Vote,
    /// Whether the candidate got it.
    pub granted: bool,
    /// The voter's newest entry.
    pub last: Option<LogId>,
}

/// A state to take over: a manifest; its pages are fetched out of band.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotRequest {
    /// The leadership in whose name it is sent.
    pub vote: Vote,
    /// The last position that it covers.
    pub last: Option<LogId>,
    /// The voters there.
    pub membership: Option<(LogId, Membership)>,
    /// What state it is (encoded by its own layer).
    #[serde(with = "byte_string")]
    pub manifest: Bytes,
}

/// A leader's wish to be followed by somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferRequest {
    /// The leadership that ends.
    pub from: Vote,
    /// Who shall lead.
    pub to: NodeId,
    /// What that node must hold first.
    pub last: Option<LogId>,
}
