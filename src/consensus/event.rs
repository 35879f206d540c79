//! What consensus tells the executor, in one order.

use crate::entry::{Entry, Membership, byte_string};
use crate::token::{LogId, Verdict};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Something that happened to the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An entry was appended; it is readable, but neither durable nor decided. Blank and membership entries
    /// come too: they take up indexes (rule 12), and a membership is a barrier (rule 22).
    Appended(Entry),
    /// Entries above `after` (all without it) are gone; their batches are to be rolled back.
    Truncated {
        /// Last index that stays.
        after: Option<u64>,
    },
    /// The log is decided up to here.
    Decided {
        /// The newest decided position.
        log_id: LogId,
        /// Verdicts among the entries that were decided just now, in log order (rule 5).
        verdicts: Vec<(LogId, Verdict)>,
    },
    /// The state was replaced by a peer's, which the owner has installed already.
    Installed(Checkpoint),
    /// The log begins behind an installed state now, and has taken over the membership that came with it: no entry
    /// will say who belongs to the cluster.
    MembershipInstalled,
}

/// Takes events, on consensus's thread: it must not block. For one node they come in one order: an entry is
/// appended before it is decided, and truncated before another one is appended in its place.
pub trait Sink: Send + Sync + 'static {
    /// Takes one event.
    fn event(&self, event: Event);
}

impl<F: Fn(Event) + Send + Sync + 'static> Sink for F {
    fn event(&self, event: Event) {
        self(event)
    }
}

/// A durable accepted state: from here on the log is needed, what is before it can be purged (rule 9).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last position whose effects it contains.
    pub log_id: LogId,
    /// The newest membership at or below it.
    pub membership: Option<(LogId, Membership)>,
    /// What state it is, in the owner's words; travels to followers that lag beyond the log.
    #[serde(with = "byte_string")]
    pub manifest: Bytes,
}
