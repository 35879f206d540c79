//! What the cluster makes of its replicas' results: acceptance, verdicts, quarantine and recovery.
//!
//! Step 7 of the walk: `replica` has executed a batch, its token is compared with the other nodes'; only
//! then do answers leave. This module is pure: no I/O, no threads, no clock but the `now_us` argument
//! (a monotonic count of microseconds). One [`Verifier`] per node takes [`Event`]s and gives [`Action`]s, which the node carries
//! out *in order*. It knows nothing of SQL, pages, sockets or openraft.
//!
//! # Words
//! A **ballot** is a node's durable, final word on (log id, attempt, parent): a token or "failed". A batch
//! is **known** when this node knows what the cluster accepted for it, and **accepted** when besides its
//! own state is proved to be that (a minority knows before it is repaired; then it accepts).
//! A **rewind** is a replay or void verdict that takes effect; an **attempt** is the number of the newest
//! rewind on the batch or on one before it (`ledger`).
//!
//! # Invariants
//! - V1: A node gives one ballot for a (log id, attempt, parent), durable before it is sent; a failure is
//!   as final as a token. (rule 2)
//! - V2: A batch becomes known only on top of its known predecessor: fast, because every voter at its
//!   log position has the same token on that parent and attempt, it is decided, and it is no trial; or
//!   slowly, because an acceptance decided in the log covers it. (rules 3, 4, 5, 9)
//! - V3: A verdict is proposed only on the first unknown batch, on ballots with the known parent: an
//!   acceptance on a quorum of equal tokens, a replay on two different tokens or on a failure, a void on
//!   a quorum of failures or on disagreement further down the ladder. (rules 4, 8)
//! - V4: Accepted goes forward only, along one chain of tokens, and never past known. (invariant 2)
//! - V5: A node in quarantine executes nothing, casts no ballot, accepts nothing; it leaves by a state
//!   whose target the cluster accepted and whose bytes were hashed again. (rules 19, 20)
//!
//! # Why what was told never changes
//! Claim: if some node knows value v for batch i, no node ever knows another one. Take the first batch for
//! which it fails; its parent is then the same for all.
//!
//! *Fast against the log.* Suppose v was known fast with attempt a: all 2u+1 voters gave token v for
//! (i, a, parent). Any verdict on (i, a) rests on ballots for that same key (V3), and by V1 there are no
//! others than v, whichever nodes its proposer heard: no two different tokens and no failure, so no replay and
//! no void; every quorum of tokens says v. A rewind of an earlier batch j is excluded the same way, as
//! j was known too. An attempt other than a would need such a rewind. This is why *all* voters are needed:
//! with 5 nodes and four tokens v, one w, a later leader may reach only three, v v w, sees disagreement
//! and no quorum, and may rightly propose a replay; with 3 nodes, v v and a missing third, the third may
//! come back as w when one v is gone. So short of unanimity the answer waits for the log:
//!
//! *Log against log.* Acceptances and rewinds are entries of one log, and the ledger lets exactly the first
//! of two that contradict act (L1, L2 in `ledger`), on every node alike. Two acceptances that both act have the
//! same attempt and a quorum each on the same parent; quorums intersect and V1 makes them equal. An
//! acceptance covers the batches before it through the chain of parents in its token, and each of those
//! links had a quorum at its proposer.
//!
//! Losing a leader loses only its undecided proposals; losing a node loses no ballot, because ballots are
//! durable before anybody counts them. While membership changes, "voters" are those at the batch's own
//! position in the log, of both sets while joint, and the entry is a barrier (rule 22).
//!
//! # Why it goes on
//! With at most u nodes faulty, u+1 sound ones cast equal tokens, which is a quorum: accepted, at the latest after about twice the
//! median delay plus one log entry. If the batch itself is the fault (it computes differently each time,
//! or no node can run it) the ladder of rule 8 ends at a void batch. Lost messages are sent again; a node that
//! missed them asks; a leader that is asked for something it accepted fast makes it durable in the log.

pub mod bisect;
mod divergence;
mod events;
mod execution;
mod leader;
mod ledger;
mod members;
mod node;
mod recovery;
mod rules;
mod tokens;
mod verdict;

pub use divergence::Divergence;
pub use events::{Action, Entry, Event, LocalFailure, Peer, Reason, Recipients};
pub use ledger::{Effect, Ledger, Stage};
pub use members::Members;
pub use node::{Options, Status, Verifier};
pub use recovery::{CrashMark, Mark, Recovered, Refused, admit};
#[doc(hidden)]
pub use rules::Rules;
pub use tokens::{Ballots, Received};
pub use verdict::{Judgement, Trouble, judge, next_verdict};
