//! The ballots that a node has received or given, until their batches are accepted.
//!
//! Keyed by what a ballot is the only word on, so that late ballots of truncated batches, other attempts
//! and other parents lie here without counting for anything (rule 3).
//!
//! Invariant T1: a node has one ballot under one key; a second, different one is refused and reported.

use crate::page::Hash;
use crate::token::{Accepted, Ballot, BallotKey, NodeId, Token};
use std::collections::BTreeMap;

/// Ballots by key and node.
#[derive(Clone, Debug, Default)]
pub struct Ballots {
    by_key: BTreeMap<BallotKey, BTreeMap<NodeId, Ballot>>,
}

/// What became of a ballot that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is new.
    New,
    /// The same was there already.
    Known,
    /// The node said something else under the same key before: it breaks rule 2.
    Contradiction,
}

impl Ballots {
    /// Takes a ballot in.
    pub fn insert(&mut self, node: NodeId, ballot: Ballot) -> Received {
        let said = self.by_key.entry(ballot.key()).or_default();
        match said.get(&node) {
            None => {
                said.insert(node, ballot);
                Received::New
            }
            Some(before) if *before == ballot => Received::Known,
            Some(_) => Received::Contradiction,
        }
    }

    /// The newest attempt on a batch, before this one, on which tokens differ: its key, and who said what.
    pub fn disagreement(&self, index: u64, before_attempt: u32) -> Option<(BallotKey, Vec<(NodeId, Token)>)> {
        let on_batch = self.by_key.iter().filter(|(key, _)| key.log_id.index == index && key.attempt < before_attempt);
        let tokens = on_batch.map(|(key, said)| {
            let tokens = said.iter().filter_map(|(node, ballot)| Some((*node, *ballot.token()?)));
            (*key, tokens.collect::<Vec<_>>())
        });
        let differ = |tokens: &[(NodeId, Token)]| tokens.iter().any(|(_, token)| *token != tokens[0].1);
        tokens.filter(|(_, tokens)| differ(tokens)).max_by_key(|(key, _)| key.attempt)
    }

    /// What each node said about an attempt on top of a parent.
    pub fn on(&self, key: &BallotKey) -> BTreeMap<NodeId, Ballot> {
        self.by_key.get(key).cloned().unwrap_or_default()
    }

    /// Mutations of rules 1 and 3: ballots of this index and attempt whatever their log id or parent.
    pub(super) fn loosely_on(&self, key: &BallotKey, same_log_id: bool, same_parent: bool) -> BTreeMap<NodeId, Ballot> {
        let mut said = BTreeMap::new();
        for (other, ballots) in &self.by_key {
            let log_id = if same_log_id { other.log_id == key.log_id } else { other.log_id.index == key.log_id.index };
            if log_id && other.attempt == key.attempt && (!same_parent || other.parent == key.parent) {
                for (node, ballot) in ballots {
                    // The voters' word, restated as if it had been given on this key.
                    let restated = match ballot {
                        Ballot::Token(token) => {
                            let mut token = *token;
                            token.log_id = key.log_id;
                            token.parent = key.parent;
                            Ballot::Token(token)
                        }
                        Ballot::Failed(_) => Ballot::Failed(*key),
                    };
                    said.insert(*node, restated);
                }
            }
        }
        said
    }

    /// Mutations of rule 2: the newest word counts.
    pub(super) fn replace(&mut self, node: NodeId, ballot: Ballot) {
        self.by_key.entry(ballot.key()).or_default().insert(node, ballot);
    }

    /// The token that an acceptance stands on, if somebody sent it.
    pub fn find(&self, accepted: &Accepted) -> Option<Token> {
        let from = BallotKey { log_id: accepted.log_id, attempt: accepted.attempt, parent: Hash(0) };
        let to = BallotKey { parent: Hash(u128::MAX), ..from };
        let said = self.by_key.range(from..=to).flat_map(|(_, said)| said.values());
        said.filter_map(Ballot::token).find(|token| token.hash() == accepted.token).copied()
    }

    /// Mutation of rule 19: the newest token of anybody else.
    pub(super) fn newest_of_others(&self, me: NodeId) -> Option<Token> {
        let said = self.by_key.values().rev().flatten().filter(|(node, _)| **node != me);
        said.filter_map(|(_, ballot)| ballot.token()).max_by_key(|token| token.log_id.index).copied()
    }

    /// Forgets what was said about batches at or below a log index.
    pub fn forget_to(&mut self, index: u64) {
        self.by_key.retain(|key, _| key.log_id.index > index);
    }
}
