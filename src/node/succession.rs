//! A leader whose process has ended is succeeded at once.
//!
//! Elections wait until the leader has been silent for its lease and a time-out, most of a second. But where the
//! system says that nobody listens at its address any more, there is nothing to wait for. A follower that sees this asks
//! the other voters; where a quorum sees it too, the one of them with the most log stands for election. So nobody is
//! disturbed by one broken connection. If this leads to nothing, the time-outs are still there.
//!
//! Safety needs none of it: votes are given as ever, but for the lease, which only keeps elections from happening.

use super::members::MembersView;
use super::message::{Question, ask};
use super::shared::NodeShared;
use crate::consensus::Consensus;
use crate::peer::{Network, Transport};
use crate::token::{LogId, NodeId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time;

/// The leader is looked after this often.
const PAUSE: Duration = Duration::from_millis(10);
/// Time for the others' answers, and for an election.
const ELECTION_WAIT: Duration = Duration::from_millis(300);

/// What a voter sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// The leader's process has ended.
    pub leader_is_gone: bool,
    /// End of its own log.
    pub last: Option<LogId>,
}

/// One node's eye on its leader.
pub(super) struct Succession {
    pub node: NodeId,
    pub consensus: Consensus,
    pub network: Arc<dyn Network>,
    pub transport: Arc<dyn Transport>,
    pub members: Arc<MembersView>,
    pub shared: Arc<NodeShared>,
}

impl Succession {
    /// Whether the leader's process has ended. Asked often, so it costs no look into the log.
    pub fn leader_is_gone(&self) -> bool {
        let leader = self.consensus.leader().borrow().map(|leading| leading.node);
        leader.is_some_and(|leader| leader != self.node && self.network.is_gone(leader))
    }

    /// What this node sees.
    pub fn sight(&self) -> Sight {
        Sight { leader_is_gone: self.leader_is_gone(), last: self.consensus.last() }
    }

    /// Looks after the leader; ends with its task.
    pub async fn watch(self: Arc<Self>) {
        loop {
            time::sleep(PAUSE).await;
            if !self.leader_is_gone() || !self.members.is_voter(self.node) || !self.shared.serves() {
                continue;
            }
            if self.is_next().await && self.leader_is_gone() {
                tracing::warn!(node = self.node, "the leader's process has ended: standing for election");
                if self.consensus.elect_without_asking().await.is_err() {
                    return;
                }
            }
            let mut leader = self.consensus.leader();
            let before = *leader.borrow_and_update();
            let _ =
                time::timeout(ELECTION_WAIT, leader.wait_for(|leading| leading.is_some() && *leading != before)).await;
        }
    }

    /// Whether a quorum sees the same, and nobody in it has more log.
    async fn is_next(&self) -> bool {
        let own = self.sight();
        let voters = self.members.voters();
        let others: Vec<NodeId> = voters.iter().copied().filter(|voter| *voter != self.node).collect();
        let asked = others.iter().map(|voter| async {
            let sight: Sight = ask(&*self.transport, *voter, &Question::Succession, ELECTION_WAIT).await.ok()?;
            Some((*voter, sight))
        });
        let answers: Vec<(NodeId, Sight)> = futures::future::join_all(asked)
            .await
            .into_iter()
            .flatten()
            .filter(|(_, sight)| sight.leader_is_gone)
            .collect();
        is_next((self.node, own), &answers, voters.len())
    }
}

/// Of those who see that the leader is gone: whether they are a quorum, and this one has the most log. Of equals the one
/// with the lowest number goes first.
fn is_next((node, own): (NodeId, Sight), others: &[(NodeId, Sight)], voters: usize) -> bool {
    let goes_before =
        |(other, sight): &(NodeId, Sight)| sight.last > own.last || (sight.last == own.last && *other < node);
    others.len() + 1 > voters / 2 && !others.iter().any(goes_before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(index: u64) -> Sight {
        Sight { leader_is_gone: true, last: Some(LogId { term: 1, leader: 1, index }) }
    }

    #[test]
    fn of_a_quorum_the_one_with_the_most_log_stands() {
        assert!(is_next((2, sight(9)), &[(3, sight(8))], 3));
        assert!(!is_next((3, sight(8)), &[(2, sight(9))], 3));
        assert!(is_next((2, sight(9)), &[(3, sight(9))], 3));
        assert!(!is_next((3, sight(9)), &[(2, sight(9))], 3));
        // Alone one may be the one who is cut off.
        assert!(!is_next((2, sight(9)), &[], 3));
        assert!(!is_next((2, sight(9)), &[(3, sight(8))], 5));
    }
}
