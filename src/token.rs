//! What a replica says about a batch that it executed (token), and what the cluster decides about it
//! (verdict). Rules 1 to 8 of the protocol live in `verifier`; these are its words.

use crate::page::Hash;
use serde::{Deserialize, Serialize};

/// A node's number in the cluster's configuration.
pub type NodeId = u64;

/// The full identity of a log position: (term, index) alone is not unique while a term may see two
/// leaders, so the leader is part of it (rule 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct LogId {
    /// Raft term in which the entry was proposed.
    pub term: u64,
    /// Leader that proposed it.
    pub leader: NodeId,
    /// Position in the log; blank and membership entries use up positions too.
    pub index: u64,
}

/// What one replica computed for one batch, bound to where and on top of what it computed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token {
    /// Where the batch stands in the log.
    pub log_id: LogId,
    /// Hash of the batch's encoded bytes.
    pub batch: Hash,
    /// Number of the newest replay or void verdict on this batch or on one before it: 0 until there was
    /// one. Those verdicts are numbered through the whole log, so an attempt names one way to run the
    /// batch *and* everything under it.
    pub attempt: u32,
    /// [`Token::hash`] of the token of the batch before it, on this replica.
    pub parent: Hash,
    /// Root of the replica's whole state after the batch.
    pub root: Hash,
    /// Digest of all answers of the batch, in plan order.
    pub answers: Hash,
}

impl Token {
    /// Identity of this token for its successor's `parent`.
    pub fn hash(&self) -> Hash {
        let mut bytes = [0u8; 24 + 16 + 4 + 16 + 16 + 16];
        bytes[0..8].copy_from_slice(&self.log_id.term.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.log_id.leader.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.log_id.index.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.batch.to_bytes());
        bytes[40..44].copy_from_slice(&self.attempt.to_le_bytes());
        bytes[44..60].copy_from_slice(&self.parent.to_bytes());
        bytes[60..76].copy_from_slice(&self.root.to_bytes());
        bytes[76..92].copy_from_slice(&self.answers.to_bytes());
        Hash::of(&bytes)
    }
}

/// What a node says about one attempt of one batch: its word, durable before it is sent and never taken
/// back (rule 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ballot {
    /// It executed the batch, with this result.
    Token(Token),
    /// It could not, for a reason of its own (rule 14): no memory, no space, a crash each time. As final
    /// as a token, because a quorum of failures may void the batch.
    Failed(BallotKey),
}

/// What a node gives at most one [`Ballot`] for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BallotKey {
    /// The batch's place in the log.
    pub log_id: LogId,
    /// The attempt.
    pub attempt: u32,
    /// Hash of the token that the batch was, or was to be, executed on top of.
    pub parent: Hash,
}

impl Token {
    /// What this token is the only word on.
    pub fn key(&self) -> BallotKey {
        BallotKey { log_id: self.log_id, attempt: self.attempt, parent: self.parent }
    }
}

impl Ballot {
    /// What this ballot is the only word on.
    pub fn key(&self) -> BallotKey {
        match self {
            Ballot::Token(token) => token.key(),
            Ballot::Failed(key) => *key,
        }
    }
    /// The token, unless the node failed.
    pub fn token(&self) -> Option<&Token> {
        match self {
            Ballot::Token(token) => Some(token),
            Ballot::Failed(_) => None,
        }
    }
}

/// How a batch is run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// As its plan says.
    Planned,
    /// One transaction after the other on one thread; those at the `void` positions have no effect, but
    /// their ids count as done (else a resubmission would execute what a client was told is void).
    Replay {
        /// Positions in the batch, ascending.
        void: Vec<u32>,
    },
}

/// The newest batch whose result the cluster stands by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Accepted {
    /// The batch's place in the log.
    pub log_id: LogId,
    /// The attempt whose result it is. An acceptance that commits behind a replay of the batch or of one
    /// before it has an older number, and says nothing.
    pub attempt: u32,
    /// Root of the state after it.
    pub root: Hash,
    /// Digest of its answers.
    pub answers: Hash,
    /// Hash of the accepted token, the next token's parent.
    pub token: Hash,
}

impl From<&Token> for Accepted {
    fn from(token: &Token) -> Self {
        Accepted {
            log_id: token.log_id,
            attempt: token.attempt,
            root: token.root,
            answers: token.answers,
            token: token.hash(),
        }
    }
}

/// A decision about one attempt of one batch, made durable through the log. The first committed one
/// for (log id, attempt) wins (rule 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The batch.
    pub log_id: LogId,
    /// The attempt that is judged.
    pub attempt: u32,
    /// What is to be done.
    pub decision: Decision,
}

/// The four verdicts (rule 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// A quorum computed this, and the others have not spoken.
    Accept(Accepted),
    /// A quorum computed this, and `minority` something else: they fetch the pages that differ.
    Repair {
        /// What the quorum computed.
        accepted: Accepted,
        /// The nodes to be repaired.
        minority: Vec<NodeId>,
    },
    /// No quorum: all drop back to the last accepted root and run the batch one by one.
    Replay,
    /// The named transactions (positions in the batch; empty means all) have no effect and their
    /// clients get an error; the rest is replayed.
    Void {
        /// Positions in the batch, ascending.
        transactions: Vec<u32>,
        /// Set while the guilty transaction is being searched: the result of this attempt is never
        /// accepted, it only tells where to look next.
        trial: Option<Trial>,
    },
}

/// State of the search for a guilty transaction; it stands in the verdict, so that the next leader goes
/// on where the last one died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Positions already found guilty, void in every further attempt.
    pub convicted: Vec<u32>,
    /// Running only this many transactions from the front agreed.
    pub passes: u32,
    /// Running this many did not.
    pub fails: u32,
}
