//! An ordered list of transactions with one timestamp, one seed and a plan: what consensus orders.

use crate::page::Hash;
use crate::token::{Accepted, Verdict};
use crate::transaction::Transaction;
use serde::{Deserialize, Serialize};

/// What the log's normal entries carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Transactions to execute.
    Batch(Batch),
    /// A decision about an earlier batch that no later batch header could carry in time.
    Verdict(Verdict),
}

/// Transactions that are executed, checked and accepted together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// max(previous + 1, the leader's clock), microseconds since 2000-01-01 UTC (rule 15).
    pub timestamp_us: i64,
    /// Seed of all randomness of its one-shot transactions.
    pub seed: u64,
    /// Engine fingerprint of the leader (rule 16).
    pub engine: Hash,
    /// The newest acceptance that the leader knows (rule 7): durable with this batch.
    pub accepted: Accepted,
    /// The transactions, in order.
    pub transactions: Vec<Transaction>,
    /// How to run them.
    pub plan: Plan,
}

/// The mixer's output: groups in order; empty means one group, all direct, in order.
///
/// The mixer fills it in a later version; the format has its place from the start, so that nodes with
/// other rules still do the same.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Groups in order.
    pub groups: Vec<Group>,
}

/// Transactions that run between two publications of the canonical state.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Group {
    /// Positions of the transactions that run on worker views, applied first, in this order.
    pub parallel: Vec<u32>,
    /// Positions of those that run on the canonical connection, in this order.
    pub direct: Vec<u32>,
}

impl Batch {
    /// Encoded bytes and their hash, the batch's identity in tokens.
    pub fn hash_of(encoded: &[u8]) -> Hash {
        Hash::of(encoded)
    }
}
