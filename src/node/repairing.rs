//! What a node does when its pages are to become those of another state: a repair after a divergence or damage, or a
//! join when the log that it needs is gone; and what it does for peers who are at that.

use super::core::NodeCore;
use super::repair::{Next, Repair};
use super::storage::Capture;
use crate::page_store::Replacement;
use crate::replica::Replaced;
use crate::state_transfer::{Reply, Request};
use crate::token::{Accepted, NodeId};
use crate::verifier::{Event, Mark};
use std::collections::BTreeMap;

impl NodeCore {
    pub(super) fn begin_repair(&mut self, target: Accepted, sources: Vec<NodeId>) -> Option<Event> {
        self.repairs += 1;
        let Some(source) = sources.get((self.repairs as usize - 1) % sources.len().max(1)) else {
            return Some(Event::Repaired { target, complete: false });
        };
        self.shared.set_repairing(true);
        // Takes long in a large database: the first request leaves with the next tick, by the time that it is then.
        let damaged = self.replica.rehash();
        let own = self.replica.newest_snapshots();
        let bytes_per_s = self.shared.transfer_bytes_per_s;
        self.repair = Some(Repair::new(self.repairs, target, *source, own, damaged, bytes_per_s));
        None
    }

    pub(super) fn repair_reply(&mut self, number: u64, reply: Reply, now_us: u64) -> Option<Event> {
        let repair = self.repair.as_mut().filter(|repair| repair.expects(number))?;
        if let Err(error) = repair.reply(reply) {
            return self.repair_failed(&error.to_string());
        }
        self.shared.set_fetched(repair.fetched().1, repair.pages_of_target());
        if let Some(part) = repair.take_part(self.shared.transfer_part_bytes) {
            return self.store_part(part);
        }
        self.go_on_repairing(now_us)
    }

    /// Holds what was fetched so far on the disk and not in memory: a database may be larger than that.
    fn store_part(&mut self, part: BTreeMap<String, Replacement>) -> Option<Event> {
        if let Err(error) = self.replica.install_part(part) {
            return self.repair_failed(&format!("fetched pages cannot be taken in: {error}"));
        }
        let number = self.repair.as_ref()?.number();
        let capture = Capture::of_part(self);
        self.outside.store_part(number, capture);
        None
    }

    pub(super) fn part_stored(&mut self, number: u64, done: bool, now_us: u64) -> Option<Event> {
        self.repair.as_ref().filter(|repair| repair.expects(number))?;
        match done {
            true => self.go_on_repairing(now_us),
            false => self.repair_failed("fetched pages could not be written to disk"),
        }
    }

    pub(super) fn go_on_repairing(&mut self, now_us: u64) -> Option<Event> {
        match self.repair.as_mut()?.next(now_us) {
            Next::Ask(source, message) => {
                self.outside.send(source, message);
                return None;
            }
            Next::Wait => return None,
            Next::Finish => {}
        }
        let repair = self.repair.take()?;
        let target = repair.target();
        let (nodes, pages) = repair.fetched();
        // Of a node that was away, or is new, nobody wants to know each row.
        let tells = self.joining.is_none();
        let (rest, parts) = repair.finish();
        let complete = match self.replica.install(&target, rest, tells.then_some(parts)) {
            Ok(replaced) => {
                let (index, Replaced { tables, rows, .. }) = (target.log_id.index, &replaced);
                tracing::warn!(node = self.id, index, nodes, pages, ?tables, ?rows, "repaired by page transfer");
                self.shared.repaired(&replaced);
                true
            }
            Err(error) => {
                tracing::error!(node = self.id, %error, "the repaired pages could not be installed");
                false
            }
        };
        self.shared.set_repairing(false);
        Some(Event::Repaired { target, complete })
    }

    pub(super) fn repair_failed(&mut self, reason: &str) -> Option<Event> {
        let repair = self.repair.take()?;
        tracing::warn!(node = self.id, reason, "a repair did not finish; trying again");
        self.shared.set_repairing(false);
        Some(Event::Repaired { target: repair.target(), complete: false })
    }

    pub(super) fn serve_repair(&mut self, from: NodeId, request: &Request, now_us: u64) -> Reply {
        match self.quarantined {
            true => Reply::NotHeld,
            false => {
                let reply = self.lending.serve(from, request, now_us);
                self.shared.set_lent_from(self.lending.oldest_index());
                reply
            }
        }
    }

    /// The newest accepted state, held for a peer that cannot follow the log; nothing from a node in quarantine.
    pub(super) fn offer(&mut self, now_us: u64) -> Option<Mark> {
        let offered = self.lending.offer(now_us).filter(|_| !self.quarantined)?;
        // Behind it the log must not be purged before the peer has come so far.
        self.shared.set_lent_from(self.lending.oldest_index());
        Some(self.verifier.mark()).filter(|mark| mark.accepted == offered)
    }
}
