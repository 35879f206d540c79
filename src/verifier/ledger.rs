//! What the decided log says about attempts and acceptances: a fold over its entries, so that every node
//! which has read to the same position holds the same rulings (rule 5).
//!
//! Replay and void verdicts that take effect are numbered through the whole log ("rewinds"). The attempt
//! of a batch is the number of the newest rewind on it *or on a batch before it*. Two things follow:
//!
//! - L1: of the verdicts on one attempt the first in the log wins. A rewind changes the attempt of its
//!   batch, so a second verdict on the old attempt finds another number and does nothing.
//! - L2: an acceptance of batch i that was proposed before somebody's rewind of a batch j <= i took effect
//!   has an older attempt and does nothing; a rewind behind an acceptance that covers its batch does
//!   nothing either. So of an acceptance (which covers all batches before it) and a rewind below it
//!   exactly the first in the log acts.
//! - L3: the durable acceptance never goes back.

use super::rules::Rules;
use crate::token::{Accepted, Decision, LogId, Mode, Trial, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a batch has come on the way of rule 8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// No verdict yet, or only ones on earlier batches.
    Planned,
    /// Replayed once.
    Replayed,
    /// To be replayed again after every node has re-hashed its last accepted root.
    Scrubbed,
    /// In the search for a guilty transaction; the result is never accepted.
    Trial(Trial),
    /// Replayed with some transactions void, for good if it agrees.
    Voided,
}

/// The newest rewind of one batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ruling {
    log_id: LogId,
    attempt: u32,
    stage: Stage,
    void: Vec<u32>,
    /// Every node hashes its last accepted root again first.
    scrub: bool,
}

/// The fold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Log index up to which entries are folded in.
    pub position: u64,
    /// The newest acceptance that is durable in the log itself.
    pub accepted: Accepted,
    rewinds: u32,
    /// Attempt of batches without a ruling of their own or before them.
    floor: u32,
    rulings: BTreeMap<u64, Ruling>,
}

/// What folding an entry in has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// The batch and all before it are accepted, durably.
    Accepted(Accepted),
    /// The batch at this index and all after it are to be executed again.
    Rewound(u64),
}

impl Ledger {
    /// The attempt in which the batch at an index is to be executed.
    pub fn attempt(&self, index: u64) -> u32 {
        self.rulings.range(..=index).map(|(_, ruling)| ruling.attempt).max().unwrap_or(0).max(self.floor)
    }

    /// How it is to be executed.
    pub fn mode(&self, index: u64) -> Mode {
        match self.rulings.get(&index) {
            Some(ruling) => Mode::Replay { void: ruling.void.clone() },
            None => Mode::Planned,
        }
    }

    /// How far it has come.
    pub fn stage(&self, index: u64) -> Stage {
        self.rulings.get(&index).map_or(Stage::Planned, |ruling| ruling.stage.clone())
    }

    /// Whether every node hashes its last accepted root again before it executes this batch (rule 8): before
    /// the second replay, and when a void that must not fail had failed.
    pub fn scrub(&self, index: u64) -> bool {
        self.rulings.get(&index).is_some_and(|ruling| ruling.scrub)
    }

    /// Positions that its newest verdict made void.
    pub fn void(&self, index: u64) -> Vec<u32> {
        self.rulings.get(&index).map_or(Vec::new(), |ruling| ruling.void.clone())
    }

    /// Takes an acceptance in, from a batch header or a verdict.
    pub fn accept(&mut self, accepted: &Accepted, rules: &Rules) -> Effect {
        let stale = rules.first_verdict_wins && accepted.attempt != self.attempt(accepted.log_id.index);
        if accepted.log_id.index <= self.accepted.log_id.index || stale {
            return Effect::Nothing;
        }
        self.accepted = *accepted;
        Effect::Accepted(*accepted)
    }

    /// Takes a verdict in. `transactions` is the number of transactions of the batch, `None` when it is
    /// not in the log (any more): then the verdict says nothing.
    pub fn verdict(&mut self, verdict: &Verdict, transactions: Option<u32>, rules: &Rules) -> Effect {
        let index = verdict.log_id.index;
        let (stage, void) = match &verdict.decision {
            Decision::Accept(accepted) | Decision::Repair { accepted, .. } => return self.accept(accepted, rules),
            Decision::Replay => match self.stage(index) {
                Stage::Planned => (Stage::Replayed, Vec::new()),
                _ => (Stage::Scrubbed, Vec::new()),
            },
            Decision::Void { transactions: void, trial } => {
                let all = transactions.unwrap_or(0);
                let void = if void.is_empty() { (0..all).collect() } else { void.clone() };
                (trial.clone().map_or(Stage::Voided, Stage::Trial), void)
            }
        };
        let covered = index <= self.accepted.log_id.index;
        let stale = rules.first_verdict_wins && (covered || verdict.attempt != self.attempt(index));
        if transactions.is_none() || stale {
            return Effect::Nothing;
        }
        let repeated = stage == Stage::Voided && stage == self.stage(index) && void == self.void(index);
        let scrub = stage == Stage::Scrubbed || repeated;
        self.rewinds += 1;
        self.rulings.split_off(&(index + 1));
        self.rulings.insert(index, Ruling { log_id: verdict.log_id, attempt: self.rewinds, stage, void, scrub });
        Effect::Rewound(index)
    }

    /// Forgets rulings on batches that this node has accepted itself.
    pub fn forget_to(&mut self, accepted: &Accepted) {
        self.rulings = self.rulings.split_off(&(accepted.log_id.index + 1));
        self.floor = self.floor.max(accepted.attempt);
        self.rewinds = self.rewinds.max(accepted.attempt);
    }
}
