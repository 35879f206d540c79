//! Accepted states that peers repair themselves with: the newest few, and what each repair began with, kept until it
//! can be over. Under load the newest states are soon others.

use crate::page_store::Snapshot;
use crate::state_transfer::{Reply, Request, answer};
use crate::token::{Accepted, NodeId};
use std::collections::{BTreeMap, VecDeque};

/// A state that was lent is kept so long after it was asked for.
const LENT_US: u64 = 5_000_000;
/// A state that was offered is kept so long for whoever shall take it.
const OFFERED_US: u64 = 30_000_000;

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
    /// What peers that cannot follow the log were told to take, and when.
    offered: VecDeque<(Accepted, State, u64)>,
    lent: BTreeMap<NodeId, Lent>,
}

impl Lending {
    /// Keeps this many of the newest states for repairs to begin with.
    pub fn new(recent_max: usize) -> Self {
        Lending { recent: VecDeque::new(), recent_max, offered: VecDeque::new(), lent: BTreeMap::new() }
    }

    /// The newest accepted state.
    pub fn remember(&mut self, accepted: Accepted, databases: State) {
        self.recent.push_back((accepted, databases));
        while self.recent.len() > self.recent_max {
            self.recent.pop_front();
        }
    }

    /// Keeps the newest state for a peer that is about to be told of it.
    pub fn offer(&mut self, now_us: u64) -> Option<Accepted> {
        let (accepted, databases) = self.recent.back().cloned()?;
        self.offered.retain(|(offered, ..)| *offered != accepted);
        self.offered.push_back((accepted, databases, now_us));
        Some(accepted)
    }

    /// Answers a peer's question from the state that it names.
    pub fn serve(&mut self, from: NodeId, request: &Request, now_us: u64) -> Reply {
        let begins = |accepted: &Accepted| matches!(request, Request::State(target) if target == accepted);
        let offered = self.offered.iter().map(|(accepted, databases, _)| (accepted, databases));
        let recent = self.recent.iter().rev().map(|(accepted, databases)| (accepted, databases));
        if let Some((accepted, databases)) = recent.chain(offered).find(|(accepted, _)| begins(accepted)) {
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

    /// Position of the oldest state that a peer fetches, or may still begin to: it will need the log behind it.
    pub fn oldest_index(&self) -> Option<u64> {
        let offered = self.offered.iter().map(|(accepted, ..)| accepted);
        let lent = self.lent.values().map(|lent| &lent.accepted);
        offered.chain(lent).map(|accepted| accepted.log_id.index).min()
    }

    /// Time has passed: what nobody asks for any more is given up, and what there is no memory for. A peer that goes on
    /// asking for that begins again, with the pages that it has.
    pub fn tick(&mut self, now_us: u64) {
        let may_stay = |state: &State| !state.iter().any(|(_, snapshot)| snapshot.is_too_old());
        self.lent.retain(|_, lent| now_us.saturating_sub(lent.asked_us) < LENT_US && may_stay(&lent.databases));
        self.offered.retain(|(_, state, at_us)| now_us.saturating_sub(*at_us) < OFFERED_US && may_stay(state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::PAGE_SIZE;
    use crate::page_store::{PageStore, StoreOptions};
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

    #[test]
    fn what_there_is_no_memory_for_is_lent_no_more() {
        let store = PageStore::in_memory(StoreOptions { memory_budget_bytes: PAGE_SIZE, ..StoreOptions::default() });
        let state = |byte: u64| {
            let page = Box::new([byte as u8; PAGE_SIZE]);
            vec![("evesql".to_string(), store.install_part(&[(1, page)], 1).unwrap())]
        };
        let mut lending = Lending::new(1);
        lending.remember(at(1), state(1));
        assert_eq!(lending.offer(0), Some(at(1)));
        let asks = Request::Nodes { accepted_index: 1, database: "evesql".into(), nodes: Vec::new() };
        assert!(matches!(lending.serve(3, &Request::State(at(1)), 0), Reply::State(_)));
        (2..=100).for_each(|index| lending.remember(at(index), state(index)));
        lending.tick(0);
        assert_ne!(lending.serve(3, &asks, 0), Reply::NotHeld);
        store.reclaim();
        assert!(store.end_oldest_pin());
        lending.tick(0);
        assert_eq!(lending.serve(3, &asks, 0), Reply::NotHeld);
        assert_eq!(lending.serve(4, &Request::State(at(1)), 0), Reply::NotHeld);
    }

    #[test]
    fn what_was_offered_is_held_until_it_is_taken_or_too_old() {
        let mut lending = Lending::new(1);
        assert_eq!(lending.offer(0), None);
        lending.remember(at(1), Vec::new());
        assert_eq!(lending.offer(0), Some(at(1)));
        lending.remember(at(2), Vec::new());
        lending.tick(OFFERED_US - 1);
        assert_eq!(lending.serve(3, &Request::State(at(1)), OFFERED_US - 1), Reply::State(Vec::new()));
        lending.tick(OFFERED_US);
        assert_eq!(lending.serve(4, &Request::State(at(1)), OFFERED_US), Reply::NotHeld);
    }
}
