//! Abstract execution: a state is a hash chain over the transactions that took effect.

use evesql::page::Hash;
use evesql::token::{LogId, Mode};
use std::collections::BTreeSet;
use std::rc::Rc;

/// What is wrong with a transaction itself, on every node that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    None,
    /// Computes something else each time, in every mode.
    Differs,
    /// Only in the plan's parallel mode: a concurrency bug.
    DiffersPlanned,
    /// Takes all memory.
    Fails,
    /// Kills the process.
    Crashes,
}

#[derive(Clone, Debug)]
pub struct Transaction {
    pub id: u64,
    pub poison: Poison,
}

#[derive(Clone, Debug)]
pub struct Batch {
    pub transactions: Vec<Transaction>,
}

/// One version of a replica's state.
#[derive(Clone, Debug)]
pub struct Version {
    pub log_id: LogId,
    /// What the replica believes that it holds.
    pub root: Hash,
    /// What it holds: differs from `root` after damage.
    pub bytes: Hash,
    pub answers: Hash,
    /// Per transaction of the newest batch: its id and what its client is told.
    pub told: Vec<(u64, Hash)>,
    /// Once-only table: ids that took effect or were made void.
    pub done: Rc<BTreeSet<u64>>,
    pub void: Vec<u32>,
}

impl Version {
    pub fn empty() -> Self {
        Version {
            log_id: LogId::default(),
            root: Hash(0),
            bytes: Hash(0),
            answers: Hash(0),
            told: Vec::new(),
            done: Rc::default(),
            void: Vec::new(),
        }
    }

    /// A sound execution, whatever the poison.
    pub fn execute(&self, log_id: LogId, batch: &Batch, mode: &Mode, once_only: bool) -> Version {
        let void = match mode {
            Mode::Planned => Vec::new(),
            Mode::Replay { void } => void.clone(),
        };
        let mut state = self.bytes;
        let mut done = (*self.done).clone();
        let mut told = Vec::new();
        for (position, transaction) in batch.transactions.iter().enumerate() {
            let is_void = void.contains(&(position as u32));
            if once_only && !done.insert(transaction.id) {
                continue;
            }
            if is_void {
                told.push((transaction.id, Hash(0)));
                continue;
            }
            state = mix(state, transaction.id);
            told.push((transaction.id, mix(state, 1)));
        }
        let mut root = mix(state, log_id.index);
        for position in &void {
            root = mix(root, u64::from(*position));
        }
        let answers = told.iter().fold(Hash(7), |hash, (id, answer)| mix(mix(hash, *id), answer.0 as u64));
        Version { log_id, root, bytes: root, answers, told, done: Rc::new(done), void }
    }
}

pub fn mix(hash: Hash, number: u64) -> Hash {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&hash.to_bytes());
    bytes[16..].copy_from_slice(&number.to_le_bytes());
    Hash::of(&bytes)
}
