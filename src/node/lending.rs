//! Accepted states that peers repair themselves with: the newest few, and what each repair began with, kept until it
//! can be over. Under load the newest states are soon others.

use crate::page_store::Snapshot;
use crate::state_transfer::{Reply, Request, answer};
use crate::token::{Accepted, NodeId};
use std::collections::{BTreeMap, VecDeque};

/// A state that was lent is kept so long after it was asked for.
const LENT_US: u64 = 5_000_000;

/// All databases at one acceptance.
type State = Vec<(String, Snapshot)>;

/// A state that a peer is repairing itself with.
struct Lent {
    accepted: Accepted,
    databases: State,
    /// When it was asked for last.
    asked_us: u64,
}

/// What a node holds for its peers.
pub struct Lending {
    /// Newest last.
    recent: VecDeque<(Accepted, State)>,
    recent_max: usize,
    lent: BTreeMap<NodeId, Lent>,
}

impl Lending {
    /// Keeps this many of the newest states for repairs to begin with.
    pub fn new(recent_max: usize) -> Self {
        Lending { recent: VecDeque::new(), recent_max, lent: BTreeMap::new() }
    }

    /// The newest accepted state.
    pub fn remember(&mut self, accepted: Accepted, databases: State) {
        self.recent.push_back((accepted, databases));
        while self.recent.len() > self.recent_max {
            self.recent.pop_front();
        }
    }

    /// Answers a peer's question from the state that it names.
    pub fn serve(&mut self, from: NodeId, request: &Request, now_us: u64) -> Reply {
        let begins = |accepted: &Accepted| matches!(request, Request::State(target) if target == accepted);
        if let Some((accepted, databases)) = self.recent.iter().rev().find(|(accepted, _)| begins(accepted)) {
            self.lent.insert(from, Lent { accepted: *accepted, databases: databases.clone(), asked_us: now_us });
        }
        let goes_on = |accepted: &Accepted| match request {
            Request::State(target) => accepted == target,
            Request::Nodes { accepted_index, .. } | Request::Pages { accepted_index, .. } => {
                accepted.log_id.index == *accepted_index
            }
        };
        let lent = self.lent.get_mut(&from).filter(|lent| goes_on(&lent.accepted));
        let state = lent.map(|lent| {
            lent.asked_us = now_us;
            lent.databases.as_slice()
        });
        answer(request, state)
    }

    /// Time has passed: what nobody asks for any more is given up.
    pub fn tick(&mut self, now_us: u64) {
        self.lent.retain(|_, lent| now_us.saturating_sub(lent.asked_us) < LENT_US);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::LogId;

    fn at(index: u64) -> Accepted {
        Accepted { log_id: LogId { index, ..LogId::default() }, ..Accepted::default() }
    }

    #[test]
    fn a_repair_goes_on_with_the_state_that_it_began_with() {
        let mut lending = Lending::new(2);
        let pages = |accepted_index| Request::Pages { accepted_index, database: "evesql".into(), pages: Vec::new() };
        lending.remember(at(1), Vec::new());
        assert_eq!(lending.serve(3, &Request::State(at(1)), 0), Reply::State(Vec::new()));
        (2..9).for_each(|index| lending.remember(at(index), Vec::new()));
        assert_eq!(lending.serve(2, &Request::State(at(1)), 0), Reply::NotHeld, "a repair cannot begin with it now");
        lending.tick(LENT_US - 1);
        assert_eq!(lending.serve(3, &Request::State(at(1)), LENT_US - 1), Reply::State(Vec::new()));
        assert_eq!(lending.serve(3, &pages(2), LENT_US - 1), Reply::NotHeld, "nor go on with another one");
        lending.tick(2 * LENT_US);
        assert_eq!(lending.serve(3, &Request::State(at(1)), 2 * LENT_US), Reply::NotHeld);
    }
}
