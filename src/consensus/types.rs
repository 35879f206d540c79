//! openraft's types filled with ours, and the conversions at the border. Nothing of openraft leaves this module.

use super::runtime::Runtime;
use crate::entry::{self, EncodedCommand, Payload, Vote};
use crate::token::LogId;
use openraft::alias::{CommittedLeaderIdOf, EntryOf, LogIdOf, StoredMembershipOf, VoteOf};
use openraft::{BasicNode, EntryPayload, OptionalSend, RaftTypeConfig, impls};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// What a normal entry carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Proposed(pub(crate) Arc<EncodedCommand>);

impl fmt::Display for Proposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Full leader ids, so that a log id is unique even where a term sees two leaders (rule 1). The runtime
/// is seeded, so that a simulated run repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Proposed;
    type R = ();
    type NodeId = u64;
    type Node = BasicNode;
    type Term = u64;
    type LeaderId = impls::leader_id_adv::LeaderId<u64, u64>;
    type Vote = impls::Vote<Self::LeaderId>;
    type Payload = EntryPayload<Proposed, u64, BasicNode>;
    type Entry = openraft::Entry<Self::LeaderId, Self::Payload>;
    type Responder<T>
        = impls::OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type AsyncRuntime = Runtime;
    type ErrorSource = impls::BoxedErrorSource;
}

pub(crate) type RaftMembership = openraft::Membership<u64, BasicNode>;

pub(crate) fn leader_to_raft(term: u64, node: u64) -> CommittedLeaderIdOf<TypeConfig> {
    impls::leader_id_adv::LeaderId { term, node_id: node }
}

pub(crate) fn log_id_to_raft(log_id: LogId) -> LogIdOf<TypeConfig> {
    openraft::LogId { leader_id: leader_to_raft(log_id.term, log_id.leader), index: log_id.index }
}

pub(crate) fn log_id_from_raft(log_id: &LogIdOf<TypeConfig>) -> LogId {
    LogId { term: log_id.leader_id.term, leader: log_id.leader_id.node_id, index: log_id.index }
}

pub(crate) fn vote_to_raft(vote: Vote) -> VoteOf<TypeConfig> {
    match vote.committed {
        true => openraft::Vote::new_committed(vote.term, vote.node),
        false => openraft::Vote::new(vote.term, vote.node),
    }
}

pub(crate) fn vote_from_raft(vote: &VoteOf<TypeConfig>) -> Vote {
    let leader = vote.leader_id();
    Vote { term: leader.term, node: leader.node_id, committed: vote.is_committed() }
}

pub(crate) fn membership_to_raft(membership: &entry::Membership) -> RaftMembership {
    let voters: Vec<BTreeSet<u64>> = membership.voters.iter().map(|set| set.iter().copied().collect()).collect();
    let nodes: BTreeMap<u64, BasicNode> =
        membership.nodes.iter().map(|(id, address)| (*id, BasicNode::new(address))).collect();
    // A voter without an address is refused there; it gets an empty one, and is not dialled.
    openraft::Membership::new(voters.clone(), nodes)
        .unwrap_or_else(|_| openraft::Membership::new_with_defaults(voters, BTreeSet::new()))
}

pub(crate) fn membership_from_raft(membership: &RaftMembership) -> entry::Membership {
    entry::Membership {
        voters: membership.get_joint_config().iter().map(|set| set.iter().copied().collect()).collect(),
        nodes: membership.nodes().map(|(id, node)| (*id, node.addr.clone())).collect(),
    }
}

/// A membership with its position, as snapshots and the purge record keep it.
pub(crate) fn stored_to_raft(stored: Option<&(LogId, entry::Membership)>) -> StoredMembershipOf<TypeConfig> {
    match stored {
        None => Default::default(),
        Some((log_id, membership)) => {
            openraft::StoredMembership::new(Some(log_id_to_raft(*log_id)), membership_to_raft(membership))
        }
    }
}

pub(crate) fn stored_from_raft(stored: &StoredMembershipOf<TypeConfig>) -> Option<(LogId, entry::Membership)> {
    let log_id = stored.log_id().as_ref()?;
    Some((log_id_from_raft(log_id), membership_from_raft(stored.membership())))
}

pub(crate) fn entry_to_raft(entry: entry::Entry) -> EntryOf<TypeConfig> {
    let payload = match entry.payload {
        Payload::Blank => EntryPayload::Blank,
        Payload::Command(command) => EntryPayload::Normal(Proposed(command)),
        Payload::Membership(membership) => EntryPayload::Membership(membership_to_raft(&membership)),
    };
    openraft::Entry { log_id: log_id_to_raft(entry.log_id), payload }
}

pub(crate) fn entry_from_raft(entry: <TypeConfig as RaftTypeConfig>::Entry) -> entry::Entry {
    let payload = match entry.payload {
        EntryPayload::Blank => Payload::Blank,
        EntryPayload::Normal(Proposed(command)) => Payload::Command(command),
        EntryPayload::Membership(membership) => Payload::Membership(membership_from_raft(&membership)),
    };
    entry::Entry { log_id: log_id_from_raft(&entry.log_id), payload }
}
