//! What goes into a [`super::Verifier`] and what comes out.

use super::divergence::Divergence;
use super::members::Members;
use super::recovery::Mark;
use crate::page::Hash;
use crate::token::{Accepted, Ballot, BallotKey, LogId, Mode, NodeId, Verdict};

/// A log entry, as far as acceptance is concerned. Blank ones need not be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A batch.
    Batch {
        /// Hash of its encoded bytes.
        hash: Hash,
        /// Number of its transactions.
        transactions: u32,
        /// Engine fingerprint (rule 16).
        engine: Hash,
        /// The acceptance in its header (rule 7).
        accepted: Accepted,
    },
    /// A verdict with an entry of its own.
    Verdict(Verdict),
    /// A change of voters, in force from this position on.
    Members(Members),
    /// An entry without content.
    Blank,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An entry was appended to this node's log (not necessarily durable yet).
    Appended {
        /// Its place.
        log_id: LogId,
        /// What it is.
        entry: Entry,
    },
    /// The log was cut behind this index.
    Truncated {
        /// Last index that is kept.
        after: u64,
    },
    /// All entries up to this index are decided.
    Decided {
        /// Log index.
        index: u64,
    },
    /// An [`Action::Execute`] came to its end. All `Executed` and `Failed` come in the order of the actions.
    Executed {
        /// From the action.
        run: u64,
        /// From the action.
        log_id: LogId,
        /// Root of the state after the batch.
        root: Hash,
        /// Digest of all answers.
        answers: Hash,
    },
    /// An [`Action::Execute`] failed for a local reason (rule 14).
    Failed {
        /// From the action.
        run: u64,
        /// From the action.
        log_id: LogId,
        /// Why.
        failure: LocalFailure,
    },
    /// An [`Action::Persist`] is durable.
    Persisted(BallotKey),
    /// A node's ballots came in.
    Ballots {
        /// Who gave them.
        from: NodeId,
        /// In log order.
        ballots: Vec<Ballot>,
    },
    /// A node lacks ballots on batches above this index ([`Action::Ask`]).
    Asked {
        /// Who asks.
        from: NodeId,
        /// The newest batch that it knows accepted.
        after: u64,
    },
    /// What is known of a peer has changed.
    Peer {
        /// Which.
        node: NodeId,
        /// Its state.
        peer: Peer,
    },
    /// This node began (`Some(term)`) or ceased to lead.
    Role {
        /// The term that it leads.
        leads: Option<u64>,
    },
    /// Nothing, but time has passed: call at [`super::Verifier::deadline_us`] at the latest.
    Tick,
    /// The end of an [`Action::Rehash`], or a damage that the scrub or a first touch found.
    Rehashed {
        /// Pages whose bytes do not match their hash.
        damaged: u64,
        /// Whether it is the answer to [`Action::Rehash`] (then of that `run`).
        run: Option<u64>,
    },
    /// Who votes is about to change: what is accepted shall stand in the decided log first.
    Publish,
    /// This node was fetching a state when it stopped: it has none of its own, and waits to be offered one again.
    Unfinished,
    /// The log that this node needs is gone everywhere: a peer lends it the state of this mark.
    Join(Box<Mark>),
    /// The end of an [`Action::Repair`].
    Repaired {
        /// From the action.
        target: Accepted,
        /// Whether the state is now at the target's root.
        complete: bool,
    },
}

/// Why an execution failed on this node alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalFailure {
    /// NOMEM.
    Memory,
    /// FULL.
    Space,
    /// IOERR.
    Io,
    /// CORRUPT: also quarantines the node, its pages are not what it hashed.
    Corrupt,
    /// INTERRUPT.
    Interrupted,
}

/// What this node holds of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// It can be reached.
    pub alive: bool,
    /// It says of itself that it is in quarantine.
    pub quarantined: bool,
}

/// Why a node is in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It computed something else than what was accepted for the batch at this index.
    Diverged {
        /// Log index.
        index: u64,
    },
    /// After a restart it computes something else than it said before.
    Contradiction(BallotKey),
    /// Its pages do not match their hashes.
    Damaged,
    /// It cannot execute the accepted batch at this index.
    Failing {
        /// Log index.
        index: u64,
    },
    /// It has no state yet, or one too old to follow the log.
    Joining,
}

/// Where ballots go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// All other nodes, learners too.
    All,
    /// One.
    One(NodeId),
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Execute a batch on top of the newest version. May be queued; after a failure the executor may skip
    /// or run what is left of the same `run`, its results are ignored.
    Execute {
        /// Handed back with the result.
        run: u64,
        /// The batch.
        log_id: LogId,
        /// Number of the newest rewind on it or below it.
        attempt: u32,
        /// How.
        mode: Mode,
    },
    /// Drop all versions after that of the batch at this index (0: the empty state).
    RollBack {
        /// Log index of a batch, or of the accepted state.
        to: u64,
    },
    /// Make a ballot durable with the next fsync, then say [`Event::Persisted`].
    Persist(Ballot),
    /// Send ballots.
    Send {
        /// To whom.
        to: Recipients,
        /// In log order; all of them are durable.
        ballots: Vec<Ballot>,
    },
    /// Ask all peers for ballots on batches above this index ([`Event::Asked`]).
    Ask {
        /// Log index.
        after: u64,
    },
    /// This node's state at these batches is what the cluster accepted: their answers may leave, readers
    /// may pin the last one, versions before it may go.
    Accept {
        /// The batches, in order; the last is `accepted`.
        batches: Vec<LogId>,
        /// The new watermark.
        accepted: Accepted,
    },
    /// Propose a verdict, if this node still leads in that term.
    Propose {
        /// Fence.
        term: u64,
        /// What.
        verdict: Verdict,
    },
    /// Answer nobody from now on, and tell the peers.
    Quarantine(Reason),
    /// Hash all pages of the newest version from their bytes, then say [`Event::Rehashed`].
    Rehash {
        /// Handed back with the result.
        run: u64,
    },
    /// Fetch the pages in which the newest version differs from the target, from these nodes (those with
    /// a matching token first), then say [`Event::Repaired`].
    Repair {
        /// What the cluster accepted.
        target: Accepted,
        /// Nodes that can have it.
        sources: Vec<NodeId>,
    },
    /// The quarantine is over: serve again, and tell the peers.
    Release,
    /// Local clients wait for answers to these batches, of which this node has no state of its own: pass
    /// on the majority's (rule 28), or close.
    FetchAnswers {
        /// The batches.
        batches: Vec<LogId>,
        /// Nodes that have them.
        sources: Vec<NodeId>,
    },
    /// Tell people.
    Report(Box<Divergence>),
    /// A peer said two different things about one attempt: it breaks rule 2.
    Contradicted {
        /// Who.
        node: NodeId,
        /// About what.
        key: BallotKey,
    },
    /// Stop this node: going on could show a wrong answer.
    Halt {
        /// The broken invariant or rule, in words.
        reason: String,
    },
}
