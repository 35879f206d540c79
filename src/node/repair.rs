//! One repair of this node: which peer is asked, and when it has taken too long.

use super::message::NodeMessage;
use crate::page::{PAGE_SIZE, PageNumber};
use crate::page_store::{Replacement, Snapshot};
use crate::state_transfer::{Fetch, FetchError, OwnTree, Reply, Request};
use crate::token::{Accepted, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// A source that says nothing for so long is given up.
const REPLY_WAIT_US: u64 = 2_000_000;

/// What is next in a repair.
pub enum Next {
    /// This, of that node.
    Ask(NodeId, NodeMessage),
    /// Nothing before [`Repair::deadline_us`]: it is throttled.
    Wait,
    /// All is there, or nobody can be asked.
    Finish,
}

/// A repair under way.
pub struct Repair {
    number: u64,
    target: Accepted,
    source: Option<NodeId>,
    fetch: Fetch,
    /// Bytes of pages in a second, at most; 0: as fast as it goes.
    bytes_per_s: u64,
    /// The next request leaves then, not before.
    not_before_us: u64,
    /// What happens at `deadline_us`.
    waits: Waits,
    deadline_us: u64,
}

/// What a repair waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// A reply.
    Reply,
    /// The time at which the next request may leave.
    Turn,
    /// The disk.
    Disk,
}

impl Repair {
    /// Begins with the first source; the next repair begins with another one if this one fails.
    pub fn new(
        number: u64,
        target: Accepted,
        sources: Vec<NodeId>,
        own: Vec<(String, Snapshot)>,
        damaged: BTreeMap<String, BTreeSet<PageNumber>>,
        bytes_per_s: u64,
    ) -> Self {
        let own = own.into_iter().map(|(name, tree)| (name, Box::new(tree) as Box<dyn OwnTree + Send>)).collect();
        let source =
            if sources.is_empty() { None } else { sources.get((number as usize - 1) % sources.len()).copied() };
        Repair {
            number,
            target,
            source,
            fetch: Fetch::new(target, own, damaged),
            bytes_per_s,
            not_before_us: 0,
            waits: Waits::Reply,
            deadline_us: 0,
        }
    }

    /// What is to be done next.
    pub fn next(&mut self, now_us: u64) -> Next {
        let Some(source) = self.source else { return Next::Finish };
        if now_us < self.not_before_us {
            (self.waits, self.deadline_us) = (Waits::Turn, self.not_before_us);
            return Next::Wait;
        }
        let Some(request) = self.fetch.request() else { return Next::Finish };
        if let Request::Pages { pages, .. } = &request
            && let Some(us) = (pages.len() as u64 * PAGE_SIZE as u64 * 1_000_000).checked_div(self.bytes_per_s)
        {
            self.not_before_us = now_us + us;
        }
        (self.waits, self.deadline_us) = (Waits::Reply, now_us + REPLY_WAIT_US);
        Next::Ask(source, NodeMessage::Repair { number: self.number, request })
    }

    /// What is to be written to the disk before more is asked for, if it is so much; [`Repair::number`] comes back when
    /// it is. A node that joins holds it in memory no more then.
    pub fn take_part(&mut self, bytes: usize) -> Option<BTreeMap<String, Replacement>> {
        let part = self.fetch.take_part(bytes)?;
        (self.waits, self.deadline_us) = (Waits::Disk, u64::MAX);
        Some(part)
    }

    /// Whether the time is over, and not only the next request's turn come.
    pub fn is_late(&self) -> bool {
        self.waits != Waits::Turn
    }

    /// Tells repairs of one node apart.
    pub fn number(&self) -> u64 {
        self.number
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

    /// Pages of the target, once they are known.
    pub fn pages_of_target(&self) -> u64 {
        self.fetch.pages_of_target()
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
