//! The log position up to which everything is accepted on this node: what strict reads wait for.
//!
//! A read index may name an entry that is no batch (a blank one, a verdict, a membership), so the newest
//! accepted batch's index is not enough: the watermark is the position before the first batch that is not
//! accepted yet, and at most what is decided.

use std::collections::BTreeSet;
use tokio::sync::watch;

/// Kept by the executor, watched by sessions.
pub struct Watermark {
    unaccepted: BTreeSet<u64>,
    decided: u64,
    accepted: u64,
    published: watch::Sender<u64>,
}

impl Watermark {
    /// Starts at an accepted position.
    pub fn new(accepted: u64) -> Self {
        let (published, _) = watch::channel(accepted);
        Watermark { unaccepted: BTreeSet::new(), decided: accepted, accepted, published }
    }

    /// For sessions.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    /// A batch was appended.
    pub fn appended(&mut self, index: u64) {
        if index > self.accepted {
            self.unaccepted.insert(index);
        }
    }

    /// The log was cut behind this index.
    pub fn truncated(&mut self, after: u64) {
        self.unaccepted.split_off(&(after + 1));
    }

    /// Entries up to here are decided.
    pub fn decided(&mut self, index: u64) {
        self.decided = self.decided.max(index);
        self.publish();
    }

    /// Batches up to here are accepted, and the state at the last one is visible to readers.
    pub fn accepted(&mut self, index: u64) {
        self.accepted = self.accepted.max(index);
        self.unaccepted = self.unaccepted.split_off(&(index + 1));
        self.publish();
    }

    /// The position.
    pub fn position(&self) -> u64 {
        let before_first = self.unaccepted.first().map_or(u64::MAX, |first| first - 1);
        before_first.min(self.decided).max(self.accepted)
    }

    fn publish(&self) {
        let position = self.position();
        self.published.send_if_modified(|published| {
            let grows = position > *published;
            *published = position.max(*published);
            grows
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_index_on_a_blank_entry_is_reached_without_a_batch_there() {
        let mut mark = Watermark::new(5);
        mark.decided(6);
        assert_eq!(mark.position(), 6);
    }

    #[test]
    fn a_decided_batch_holds_readers_back_until_it_is_accepted() {
        let mut mark = Watermark::new(5);
        mark.appended(7);
        mark.decided(8);
        assert_eq!(mark.position(), 6);
        mark.accepted(7);
        assert_eq!(mark.position(), 8);
    }

    #[test]
    fn a_truncated_batch_holds_nobody_back() {
        let mut mark = Watermark::new(5);
        mark.appended(7);
        mark.truncated(6);
        mark.decided(9);
        assert_eq!(*mark.watch().borrow(), 9);
    }
}
