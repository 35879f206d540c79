//! Who belongs to the cluster, as the newest membership in this process's log says.

use crate::entry::Membership;
use crate::token::NodeId;
use parking_lot::RwLock;

/// The newest membership, decided or not.
pub struct MembersView {
    newest: RwLock<Membership>,
}

impl MembersView {
    /// Before the log says anything: who makes the cluster.
    pub fn new(founders: impl IntoIterator<Item = (NodeId, String)>) -> Self {
        let nodes: Vec<_> = founders.into_iter().collect();
        let voters = vec![nodes.iter().map(|(node, _)| *node).collect()];
        MembersView { newest: RwLock::new(Membership { voters, nodes }) }
    }

    /// The log says so.
    pub(super) fn set(&self, newest: Membership) {
        *self.newest.write() = newest;
    }

    /// Voters, ascending; of both sets while a change is joint.
    pub fn voters(&self) -> Vec<NodeId> {
        let mut voters: Vec<NodeId> = self.newest.read().voters.iter().flatten().copied().collect();
        voters.sort_unstable();
        voters.dedup();
        voters
    }

    /// Whether a change of the voters is half made.
    pub fn is_joint(&self) -> bool {
        self.newest.read().voters.len() > 1
    }

    /// All nodes, learners too, with the addresses that peers dial.
    pub fn nodes(&self) -> Vec<(NodeId, String)> {
        self.newest.read().nodes.clone()
    }

    /// All nodes' numbers, ascending.
    pub fn ids(&self) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> = self.newest.read().nodes.iter().map(|(node, _)| *node).collect();
        ids.sort_unstable();
        ids
    }

    /// Whether a node votes.
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.voters().contains(&node)
    }
}
