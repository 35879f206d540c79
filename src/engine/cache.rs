//! Compiled statements by their text.

use crate::page_store::sqlite::Statement;
use std::collections::HashMap;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// What a statement does, as far as running it has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// Reads only.
    Read,
    /// INSERT, UPDATE or DELETE: it has a count of changes.
    Write,
    /// Changes the schema or the statistics.
    Schema,
    /// Savepoints and the like.
    Control,
}

/// A compiled statement, on loan from the cache: give it back with
/// [`super::Connection::give_back`], or drop it.
pub struct Prepared {
    /// The compiled statement, reset.
    pub statement: Statement,
    /// What it does.
    pub kind: StatementKind,
    pub(super) text: Arc<str>,
    /// Compiled without a look at the allow-list.
    pub(super) trusted: bool,
    pub(super) used: u64,
}

/// Bounded; the statement that was not used for longest goes first.
pub(super) struct Cache {
    statements: HashMap<u64, Prepared>,
    capacity: usize,
    clock: u64,
}

impl Cache {
    pub fn new(capacity: usize) -> Self {
        Cache { statements: HashMap::new(), capacity, clock: 0 }
    }

    /// `trusted`: EveSQL's own may be what is given.
    pub fn take(&mut self, text: &str, trusted: bool) -> Option<Prepared> {
        let key = xxh3_64(text.as_bytes());
        let prepared = self.statements.remove(&key)?;
        (&*prepared.text == text && (trusted || !prepared.trusted)).then_some(prepared)
    }

    pub fn put(&mut self, mut prepared: Prepared) {
        if self.statements.len() >= self.capacity {
            let oldest = self.statements.iter().min_by_key(|(_, prepared)| prepared.used).map(|(key, _)| *key);
            oldest.map(|key| self.statements.remove(&key));
        }
        self.clock += 1;
        prepared.used = self.clock;
        self.statements.insert(xxh3_64(prepared.text.as_bytes()), prepared);
    }

    pub fn clear(&mut self) {
        self.statements.clear();
    }
}
