//! Who votes, and what a quorum of them is (rules 22 and 23).

use crate::token::NodeId;
use serde::{Deserialize, Serialize};

/// The voters at some position of the log: one set, or two while a change is joint, and then every
/// quorum needs a majority of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    sets: Vec<Vec<NodeId>>,
}

impl Members {
    /// One set of voters.
    pub fn new(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Members { sets: vec![sorted(voters)] }
    }
    /// One set, or two while a change is joint, as a log entry has them.
    pub fn of_sets(sets: &[Vec<NodeId>]) -> Self {
        Members { sets: sets.iter().map(|set| sorted(set.iter().copied())).collect() }
    }
    /// Two sets, while the change from one to the other is joint.
    pub fn joint(old: impl IntoIterator<Item = NodeId>, new: impl IntoIterator<Item = NodeId>) -> Self {
        Members { sets: vec![sorted(old), sorted(new)] }
    }
    /// All voters, ascending, each once.
    pub fn voters(&self) -> Vec<NodeId> {
        sorted(self.sets.iter().flatten().copied())
    }
    /// Whether a node votes.
    pub fn contains(&self, node: NodeId) -> bool {
        self.sets.iter().any(|set| set.contains(&node))
    }
    /// Whether the nodes for which `says` is true are a majority of every set.
    pub fn is_quorum(&self, says: impl Fn(NodeId) -> bool) -> bool {
        self.sets.iter().all(|set| set.iter().filter(|node| says(**node)).count() * 2 > set.len())
    }
}

fn sorted(nodes: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = nodes.into_iter().collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}
