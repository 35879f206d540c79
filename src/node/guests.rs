//! Sessions of other nodes that hold tickets here, where the leader is, or wait for them: whose they are, and when
//! nobody stands for them any more.
//!
//! Pure: what came and when in, the holders whose tickets are given back out.
//!
//! Invariants
//! 1. A node has guests of one start: its newest.
//! 2. A guest stays for [`LEASE`] after its node was heard last, and for [`DOUBT`] if the node cannot be reached and none
//!    of its sessions has an advisory lock, in which it may go on to believe for longer (`vouching`).

use crate::session::tickets::Holder;
use crate::token::NodeId;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// A node that says nothing of its sessions for so long has none.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// The same for one that cannot be reached: longer than between two signs of life, as a connection may come back.
pub(super) const DOUBT: Duration = Duration::from_secs(2);

/// Guests, by node.
#[derive(Default)]
pub(super) struct Guests {
    nodes: BTreeMap<NodeId, Guest>,
}

struct Guest {
    incarnation: u64,
    sessions: HashSet<u64>,
    heard: Instant,
}

impl Guest {
    fn leave(self) -> impl Iterator<Item = Holder> {
        let incarnation = self.incarnation;
        self.sessions.into_iter().map(move |session| Holder { incarnation, session })
    }
}

impl Guests {
    /// A session asks for something.
    pub fn come(&mut self, node: NodeId, holder: Holder, now: Instant) -> Vec<Holder> {
        let (guest, gone) = self.heard(node, holder.incarnation, now);
        guest.sessions.insert(holder.session);
        gone
    }

    /// These sessions of a node are all that hold something, or wait for it.
    pub fn stay(&mut self, node: NodeId, incarnation: u64, sessions: &[u64], now: Instant) -> Vec<Holder> {
        let (guest, mut gone) = self.heard(node, incarnation, now);
        let stay: HashSet<u64> = sessions.iter().copied().collect();
        let leave = guest.sessions.extract_if(|session| !stay.contains(session));
        gone.extend(leave.map(|session| Holder { incarnation, session }));
        gone
    }

    /// Those of these sessions that are no guests.
    pub fn strangers(&self, node: NodeId, sessions: &[u64]) -> Vec<u64> {
        let guest = self.nodes.get(&node);
        let is_guest = |session: &u64| guest.is_some_and(|guest| guest.sessions.contains(session));
        sessions.iter().copied().filter(|session| !is_guest(session)).collect()
    }

    /// A session has given all back.
    pub fn leave(&mut self, node: NodeId, holder: Holder) {
        if let Some(guest) = self.nodes.get_mut(&node).filter(|guest| guest.incarnation == holder.incarnation) {
            guest.sessions.remove(&holder.session);
        }
    }

    /// Those whose nodes are silent.
    pub fn overdue(
        &mut self,
        now: Instant,
        is_reachable: impl Fn(NodeId) -> bool,
        has_lock: impl Fn(Holder) -> bool,
    ) -> Vec<Holder> {
        let is_silent = |(node, guest): &(&NodeId, &Guest)| {
            let silence = now.saturating_duration_since(guest.heard);
            let of = |session: &u64| Holder { incarnation: guest.incarnation, session: *session };
            let leaves_early = || !is_reachable(**node) && !guest.sessions.iter().any(|session| has_lock(of(session)));
            silence >= LEASE || silence >= DOUBT && leaves_early()
        };
        let silent: Vec<NodeId> = self.nodes.iter().filter(is_silent).map(|(node, _)| *node).collect();
        silent.into_iter().filter_map(|node| self.nodes.remove(&node)).flat_map(Guest::leave).collect()
    }

    fn heard(&mut self, node: NodeId, incarnation: u64, now: Instant) -> (&mut Guest, Vec<Holder>) {
        let earlier = self.nodes.get(&node).is_some_and(|guest| guest.incarnation != incarnation);
        let earlier = if earlier { self.nodes.remove(&node) } else { None };
        let guest =
            self.nodes.entry(node).or_insert_with(|| Guest { incarnation, sessions: HashSet::new(), heard: now });
        guest.heard = now;
        (guest, earlier.into_iter().flat_map(Guest::leave).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(incarnation: u64, session: u64) -> Holder {
        Holder { incarnation, session }
    }

    #[test]
    fn guests_of_a_silent_node_leave_and_of_one_that_cannot_be_reached_sooner() {
        let (mut guests, began) = (Guests::default(), Instant::now());
        assert!(guests.come(2, of(20, 1), began).is_empty());
        assert!(guests.come(3, of(30, 1), began).is_empty());
        let at = |seconds: f32| began + Duration::from_secs_f32(seconds);
        let no_lock = |_: Holder| false;
        assert!(guests.overdue(at(1.9), |_| false, no_lock).is_empty());
        assert!(guests.overdue(at(2.0), |node| node == 2, |holder| holder == of(30, 1)).is_empty());
        assert_eq!(guests.overdue(at(2.0), |node| node == 2, no_lock), [of(30, 1)]);
        assert!(guests.stay(2, 20, &[1], at(3.0)).is_empty());
        assert_eq!(guests.strangers(2, &[1, 7]), [7]);
        assert!(guests.overdue(at(7.9), |_| true, no_lock).is_empty());
        assert_eq!(guests.overdue(at(8.0), |_| true, |_| true), [of(20, 1)]);
        assert!(guests.overdue(at(99.0), |_| false, no_lock).is_empty());
        assert_eq!(guests.strangers(2, &[1]), [1]);
    }

    #[test]
    fn guests_of_an_earlier_start_and_those_of_whom_their_node_knows_nothing_leave() {
        let (mut guests, now) = (Guests::default(), Instant::now());
        guests.come(2, of(20, 1), now);
        guests.come(2, of(20, 2), now);
        guests.come(2, of(20, 3), now);
        guests.leave(2, of(20, 3));
        assert_eq!(guests.stay(2, 20, &[2, 9], now), [of(20, 1)], "its own word was lost");
        assert_eq!(guests.come(2, of(21, 2), now), [of(20, 2)], "the process has died");
        guests.leave(2, of(20, 2));
        assert_eq!(guests.stay(2, 22, &[], now), [of(21, 2)]);
        assert!(guests.stay(2, 22, &[], now).is_empty());
    }
}
