//! For how long this process's sessions may believe that they hold the advisory locks that they were granted.
//!
//! Tickets are a courtesy; an advisory lock is a promise that must not be given to two. Only the leader grants it, and a
//! leader may be deposed without knowing it. So belief in a lock lasts for [`VOUCHED`] after the moment at which a quorum
//! was last asked whether the leader still leads, and one who becomes leader grants none for [`GRACE`], which is longer,
//! unless all others have said before that they follow it, which means that they hold nothing of an earlier one.
//!
//! Pure: what came and when in. It relies on clocks that run equally fast, not on what they show.
//!
//! Invariants
//! 1. What is believed was confirmed by a quorum after the leader's term began, [`VOUCHED`] ago at most.
//! 2. Followers believe no longer than their leader does: what it answers is counted from when it was asked.

use super::guests::LEASE;
use crate::token::NodeId;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Belief ends so long after a quorum was asked.
pub(super) const VOUCHED: Duration = Duration::from_secs(4);
/// Nothing is granted on a belief that lasts for less than this: who looks after it may come too late.
pub(super) const FRESH: Duration = Duration::from_secs(2);
/// A new leader waits for so long, and no shorter than it waits for a silent node.
pub(super) const GRACE: Duration = LEASE;

/// Belief under one leader.
pub(super) struct Vouching {
    since: Instant,
    until: Option<Instant>,
    followers: BTreeSet<NodeId>,
}

impl Vouching {
    /// Somebody leads from now on at the latest.
    pub fn new(now: Instant) -> Vouching {
        Vouching { since: now, until: None, followers: BTreeSet::new() }
    }

    /// Asked at this moment, a quorum said that this node leads.
    pub fn confirm(&mut self, asked: Instant) {
        self.renew(asked, VOUCHED);
    }

    /// Asked at this moment, the leader believed for so long.
    pub fn renew(&mut self, asked: Instant, left: Duration) {
        self.until = self.until.max(asked.checked_add(left.min(VOUCHED)));
    }

    /// For how long it is still believed.
    pub fn left(&self, now: Instant) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Another node says that it follows this one.
    pub fn follows(&mut self, node: NodeId) {
        self.followers.insert(node);
    }

    /// Whether one of the others may still hold what an earlier leader granted.
    pub fn is_early(&self, now: Instant, others: impl IntoIterator<Item = NodeId>) -> bool {
        now.saturating_duration_since(self.since) < GRACE
            && !others.into_iter().all(|node| self.followers.contains(&node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn belief_lasts_from_when_was_asked_and_a_new_leader_waits_for_longer_or_for_all() {
        let began = Instant::now();
        let at = |seconds: f32| began + Duration::from_secs_f32(seconds);
        let mut leader = Vouching::new(began);
        assert_eq!(leader.left(at(0.0)), Duration::ZERO);
        leader.confirm(at(1.0));
        leader.confirm(at(0.5));
        assert_eq!(leader.left(at(2.0)), Duration::from_secs(3));
        let mut follower = Vouching::new(began);
        follower.renew(at(1.5), leader.left(at(2.0)));
        assert!(follower.left(at(2.0)) < leader.left(at(2.0)));
        follower.renew(at(2.0), Duration::MAX);
        assert_eq!(follower.left(at(2.0)), VOUCHED);
        assert!(FRESH < VOUCHED && VOUCHED < GRACE);
        assert!(leader.is_early(at(4.9), [2, 3]) && !leader.is_early(at(5.0), [2, 3]));
        leader.follows(2);
        assert!(leader.is_early(at(0.0), [2, 3]) && !leader.is_early(at(0.0), [2]));
        leader.follows(3);
        assert!(!leader.is_early(at(0.0), [2, 3]) && !Vouching::new(began).is_early(began, []));
    }
}
