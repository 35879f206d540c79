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
    /// All is there.
    Finish,
}

/// A repair under way.
pub struct Repair {
    number: u64,
    target: Accepted,
    source: NodeId,
    fetch: Fetch,
    /// Bytes of pages in a second, at most; 0: as fast as it goes.
    bytes_per_s: u64,
    /// Pages that are installed already.
    parts: BTreeMap<String, Vec<PageNumber>>,
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
    /// Pages come from one source; [`Repair::next`] is due at once.
    pub fn new(
        number: u64,
        target: Accepted,
        source: NodeId,
        own: Vec<(String, Snapshot)>,
        damaged: BTreeMap<String, BTreeSet<PageNumber>>,
        bytes_per_s: u64,
    ) -> Self {
        let own = own.into_iter().map(|(name, tree)| (name, Box::new(tree) as Box<dyn OwnTree + Send>)).collect();
        Repair {
            number,
            target,
            source,
            fetch: Fetch::new(target, own, damaged),
            bytes_per_s,
            parts: BTreeMap::new(),
            not_before_us: 0,
            waits: Waits::Turn,
            deadline_us: 0,
        }
    }

    /// What is to be done next.
    pub fn next(&mut self, now_us: u64) -> Next {
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
        Next::Ask(self.source, NodeMessage::Repair { number: self.number, request })
    }

    /// What is to be written to the disk before more is asked for, if it is so much; [`Repair::number`] comes back when it
    /// is written.
    pub fn take_part(&mut self, bytes_min: usize) -> Option<BTreeMap<String, Replacement>> {
        let part = self.fetch.take_part(bytes_min)?;
        (self.waits, self.deadline_us) = (Waits::Disk, u64::MAX);
        for (name, Replacement { pages, .. }) in &part {
            self.parts.entry(name.clone()).or_default().extend(pages.iter().map(|(page, _)| *page));
        }
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

    /// The pages to install, and the numbers of those that were installed as parts.
    pub fn finish(self) -> (BTreeMap<String, Replacement>, BTreeMap<String, Vec<PageNumber>>) {
        (self.fetch.finish(), self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_for_a_reply_begins_when_its_request_leaves() {
        // What comes before it may take longer than that: all pages are hashed.
        let mut repair = Repair::new(1, Accepted::default(), 2, Vec::new(), BTreeMap::new(), 0);
        assert_eq!((repair.deadline_us(), repair.is_late()), (0, false), "its turn is at once");
        let now_us = 3 * REPLY_WAIT_US;
        assert!(matches!(repair.next(now_us), Next::Ask(2, _)));
        assert_eq!((repair.deadline_us(), repair.is_late()), (now_us + REPLY_WAIT_US, true));
    }
}
