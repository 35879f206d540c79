//! Drops versions: what they brought is retired, what they had retired comes back to life.

use super::StoreError;
use super::node::{ALIVE, FANOUT, STUB};
use super::retire::{Retired, Retiring};
use super::snapshot::Snapshot;
use super::store::{PageStore, Version};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl PageStore {
    /// Makes an older version the head again. Canonical views drop their overlays and follow, with their caches reset
    /// by force: two roots can share the bytes by which SQLite notices a change. Snapshots of dropped versions stay
    /// readable as long as they live.
    ///
    /// # Errors
    /// [`StoreError::ViewInUse`] if a canonical connection is inside a transaction; nothing is changed then.
    pub fn roll_back(self: &Arc<Self>, to: &Snapshot) -> Result<(), StoreError> {
        let _writer = self.writer.lock();
        let mut canonical = self.lock_canonical(None)?;
        let head = self.head.lock().version;
        if head.number != to.number() {
            // Held to the end: a reclamation in between would see half of it.
            let mut retired = self.retired.lock();
            self.unwind(&head, to.version(), &mut retired);
            self.set_head(*to.version(), &to.0);
        }
        for view in &mut canonical {
            view.repin(to);
        }
        Ok(())
    }

    /// Retires what only `from` (the newest) has and revives what only `to` (an older, pinned one) has.
    pub(super) fn unwind(&self, from: &Version, to: &Version, retired: &mut Retired) {
        let version = self.next_version.fetch_add(1, Ordering::Relaxed);
        let mut unwinding = Unwinding { retiring: Retiring { store: self, version, entries: Vec::new() } };
        let (mut newer, mut newer_levels) = (from.top, from.height());
        let (mut older, mut older_levels) = (to.top, to.height());
        // The taller tree's first child stands where the other's top stands; the rest of it the other does not have.
        while newer_levels > older_levels {
            newer_levels -= 1;
            newer = unwinding.peel(newer, newer_levels, true);
        }
        while older_levels > newer_levels {
            older_levels -= 1;
            older = unwinding.peel(older, older_levels, false);
        }
        unwinding.walk(newer, older, newer_levels, 0);
        retired.extend(unwinding.retiring.entries);
    }
}

struct Unwinding<'a> {
    retiring: Retiring<'a>,
}

impl Unwinding<'_> {
    /// Handles a top node and all but its first child, which is returned. `level` is its children's.
    fn peel(&mut self, reference: u32, level: u32, is_newer: bool) -> u32 {
        let children = self.children(reference);
        for (slot, child) in children.iter().enumerate().skip(1) {
            match is_newer {
                true => self.walk(*child, 0, level, slot as u64),
                false => self.walk(0, *child, level, slot as u64),
            }
        }
        if is_newer {
            self.retire(reference)
        } else {
            self.revive(reference)
        }
        children[0]
    }

    /// `level` 0 is a page; `index` counts within the level.
    fn walk(&mut self, newer: u32, older: u32, level: u32, index: u64) {
        if newer == older {
            return;
        }
        if level == 0 {
            self.retiring.page(newer, index as u32 + 1);
            if older != 0 {
                self.retiring.store.descriptor(older).died.store(ALIVE, Ordering::Relaxed);
            }
            return;
        }
        let (mine, theirs) = (self.children(newer), self.children(older));
        for slot in 0..FANOUT {
            self.walk(mine[slot], theirs[slot], level - 1, index * FANOUT as u64 + slot as u64);
        }
        self.retire(newer);
        self.revive(older);
    }

    fn children(&self, reference: u32) -> [u32; FANOUT] {
        match self.loaded(reference) {
            0 => [0; FANOUT],
            index => self.retiring.store.node(index).children,
        }
    }

    /// The node behind a reference; 0 for none and for one that is still on disk only.
    fn loaded(&self, reference: u32) -> u32 {
        match reference & STUB {
            0 => reference,
            _ => self.retiring.store.stub(reference).loaded.load(Ordering::Acquire),
        }
    }

    fn retire(&mut self, reference: u32) {
        let index = self.loaded(reference);
        self.retiring.node(reference, index);
    }

    fn revive(&mut self, reference: u32) {
        let store = self.retiring.store;
        if reference & STUB != 0 {
            store.stub(reference).died.store(ALIVE, Ordering::Relaxed);
        }
        match self.loaded(reference) {
            0 => {}
            index => store.node(index).died.store(ALIVE, Ordering::Relaxed),
        }
    }
}
