//! One repair of this node: which peer is asked, and when it has taken too long.

use super::message::NodeMessage;
use crate::page::PageNumber;
use crate::page_store::{Replacement, Snapshot};
use crate::state_transfer::{Fetch, FetchError, OwnTree, Reply};
use crate::token::{Accepted, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// A source that says nothing for so long is given up.
const REPLY_WAIT_US: u64 = 2_000_000;

/// A repair under way.
pub struct Repair {
    number: u64,
    target: Accepted,
    source: Option<NodeId>,
    fetch: Fetch,
    deadline_us: u64,
}

impl Repair {
    /// Begins with the first source; the next repair begins with another one if this one fails.
    pub fn new(
        number: u64,
        target: Accepted,
        sources: Vec<NodeId>,
        own: Vec<(String, Snapshot)>,
        damaged: BTreeMap<String, BTreeSet<PageNumber>>,
    ) -> Self {
        let own = own.into_iter().map(|(name, tree)| (name, Box::new(tree) as Box<dyn OwnTree + Send>)).collect();
        let source =
            if sources.is_empty() { None } else { sources.get((number as usize - 1) % sources.len()).copied() };
        Repair { number, target, source, fetch: Fetch::new(target, own, damaged), deadline_us: 0 }
    }

    /// What to ask whom; nothing when all is there (or nobody can be asked).
    pub fn next(&mut self, now_us: u64) -> Option<(NodeId, NodeMessage)> {
        let source = self.source?;
        let request = self.fetch.request()?;
        self.deadline_us = now_us + REPLY_WAIT_US;
        Some((source, NodeMessage::Repair { number: self.number, request }))
    }

    /// Whether a reply belongs to this repair.
    pub fn expects(&self, number: u64) -> bool {
        self.number == number
    }

    /// Takes a reply.
    pub fn reply(&mut self, reply: Reply) -> Result<(), FetchError> {
        self.fetch.reply(reply)
    }

    /// Where it leads.
    pub fn target(&self) -> Accepted {
        self.target
    }

    /// Nodes and pages fetched so far.
    pub fn fetched(&self) -> (u64, u64) {
        (self.fetch.nodes_fetched, self.fetch.pages_fetched)
    }

    /// When it is given up unless a reply comes.
    pub fn deadline_us(&self) -> u64 {
        self.deadline_us
    }

    /// The pages to install.
    pub fn finish(self) -> BTreeMap<String, Replacement> {
        self.fetch.finish()
    }
}
