//! A pinned version: what readers read, what tokens name, what a roll back returns to, what peers compare.

use super::descriptor::Descriptor;
use super::node::{FANOUT, NO_HASH, Node};
use super::store::{PageStore, Version};
use super::{StoreError, height};
use crate::page::{Hash, PAGE_SIZE, PageNumber};
use std::ops::Deref;
use std::sync::Arc;

/// What a page of zeros, or one that was never written, reads as.
pub(super) static ZERO_PAGE: super::descriptor::Frame = super::descriptor::Frame([0; PAGE_SIZE]);

/// One version, kept from being freed. Cloning and dropping are cheap; may be used from any thread.
#[derive(Clone)]
pub struct Snapshot(pub(super) Arc<Pin>);

/// The pin behind one or more snapshots of one version.
pub(super) struct Pin {
    pub store: Arc<PageStore>,
    pub version: Version,
}

impl Pin {
    pub fn new(store: &Arc<PageStore>, version: Version) -> Arc<Pin> {
        *store.pins.lock().entry(version.number).or_insert(0) += 1;
        Arc::new(Pin { store: store.clone(), version })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = self.store.pins.lock();
        if let Some(count) = pins.get_mut(&self.version.number) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.version.number);
            }
        }
    }
}

impl Snapshot {
    /// The Merkle root: equal roots mean equal databases, byte for byte.
    pub fn root(&self) -> Hash {
        self.0.version.root
    }

    /// Hash of the top node, from which [`Snapshot::root`] and a peer's descent start.
    pub fn top_hash(&self) -> Hash {
        Hash::from_bytes(self.0.version.top_hash)
    }

    /// Pages in the database.
    pub fn page_count(&self) -> u32 {
        self.0.version.page_count
    }

    /// The version's number; grows with every publication, has gaps, means nothing outside this process.
    pub fn number(&self) -> u64 {
        self.0.version.number
    }

    /// Whether its readers are to end, because it holds too much memory back ([`PageStore::end_oldest_pin`]).
    pub fn is_too_old(&self) -> bool {
        self.0.store.is_too_old(self.0.version.number)
    }

    /// The store that it is a version of.
    pub fn store(&self) -> &Arc<PageStore> {
        &self.0.store
    }

    pub(super) fn version(&self) -> &Version {
        &self.0.version
    }

    /// A page's bytes, proved at first touch if they come from disk.
    ///
    /// # Errors
    /// [`StoreError::NoSuchPage`] outside 1..=page count; [`StoreError::Damaged`]; [`StoreError::Io`].
    pub fn page(&self, page: PageNumber) -> Result<PageRef<'_>, StoreError> {
        let store = &*self.0.store;
        match store.find(self.version(), page)? {
            None => Ok(PageRef { bytes: &ZERO_PAGE.0, descriptor: None }),
            Some((leaf, slot)) => {
                let descriptor = store.descriptor(leaf.children[slot]);
                let frame = store.pin_frame(descriptor, page, &leaf.hashes[slot])?;
                // SAFETY: the frame is initialised, is not written while its page lives (the drill of `flip_bit` aside,
                // which writes atomically), and stays while the descriptor is pinned.
                let bytes = unsafe { &store.frames.get(frame).0 };
                Ok(PageRef { bytes, descriptor: Some(descriptor) })
            }
        }
    }

    /// The hash that the tree holds for a page; 0 for a page of zeros.
    pub fn page_hash(&self, page: PageNumber) -> Result<Hash, StoreError> {
        let found = self.0.store.find(self.version(), page)?;
        Ok(found.map_or(Hash::default(), |(leaf, slot)| Hash::from_bytes(leaf.hashes[slot])))
    }

    /// The 64 hashes of node `index` of `level`, for a descent from the root: level 0 has pages below it, the top is
    /// level `height(page_count) - 1`, index 0. All 0 where the tree has no node.
    pub fn children(&self, level: u32, index: u32) -> Result<[Hash; FANOUT], StoreError> {
        let node = self.node_at(level, index)?;
        Ok(node.map_or([Hash::default(); FANOUT], |node| self.0.store.node(node).hashes.map(Hash::from_bytes)))
    }

    pub(super) fn leaf(&self, page: PageNumber) -> Result<Option<u32>, StoreError> {
        self.0.store.leaf(self.version(), page)
    }

    fn node_at(&self, level: u32, index: u32) -> Result<Option<u32>, StoreError> {
        let version = self.version();
        let top = height(version.page_count) - 1;
        let span = |levels: u32| 1u64 << (levels * super::node::FANOUT_BITS);
        if level > top || index as u64 >= span(top - level) {
            return Ok(None);
        }
        let (mut reference, mut expected) = (version.top, version.top_hash);
        for above in (level..=top).rev() {
            let Some(node) = self.0.store.resolve(reference, &expected)? else { return Ok(None) };
            if above == level {
                return Ok(Some(node));
            }
            let slot = (index as u64 / span(above - 1 - level)) as usize % FANOUT;
            (reference, expected) = (self.0.store.node(node).children[slot], self.0.store.node(node).hashes[slot]);
        }
        Ok(None)
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "version {} root {:?} of {} pages", self.number(), self.root(), self.page_count())
    }
}

/// A page's bytes, in memory as long as this lives.
pub struct PageRef<'a> {
    bytes: &'a [u8; PAGE_SIZE],
    descriptor: Option<&'a Descriptor>,
}

impl Deref for PageRef<'_> {
    type Target = [u8; PAGE_SIZE];
    fn deref(&self) -> &Self::Target {
        self.bytes
    }
}

impl Drop for PageRef<'_> {
    fn drop(&mut self) {
        if let Some(descriptor) = self.descriptor {
            descriptor.unpin();
        }
    }
}

impl PageStore {
    /// Pages whose hashes differ between two versions, ascending; descends only where hashes differ.
    pub fn diff(&self, a: &Snapshot, b: &Snapshot) -> Result<Vec<PageNumber>, StoreError> {
        self.compare(a, b, false)
    }

    /// Pages that were written between `a` and `b` (versions of this store), ascending, even if with equal hashes, as
    /// a repair does: what a checkpoint has to write after one of `a`.
    pub fn rewritten(&self, a: &Snapshot, b: &Snapshot) -> Result<Vec<PageNumber>, StoreError> {
        self.compare(a, b, true)
    }

    fn compare(&self, a: &Snapshot, b: &Snapshot, by_identity: bool) -> Result<Vec<PageNumber>, StoreError> {
        let (mut a, mut b) = (Side::top(a), Side::top(b));
        let mut pages = Vec::new();
        // The taller tree's first child stands where the other's top stands; all its other children are extra.
        while a.levels != b.levels {
            let (tall, low) = if a.levels > b.levels { (&mut a, &b) } else { (&mut b, &a) };
            let level = tall.levels - 1;
            let node = tall.node()?;
            for slot in 1..FANOUT {
                let child = tall.child(node, slot);
                child.compare(&low.nothing(), level, slot as u64, by_identity, &mut pages)?;
            }
            *tall = tall.child(node, 0);
        }
        let level = a.levels;
        a.compare(&b, level, 0, by_identity, &mut pages)?;
        pages.sort_unstable();
        Ok(pages)
    }
}

/// One of two trees that are compared: what it has at some place.
struct Side<'a> {
    store: &'a PageStore,
    reference: u32,
    hash: [u8; 16],
    levels: u32,
}

impl<'a> Side<'a> {
    fn top(snapshot: &'a Snapshot) -> Self {
        let version = snapshot.version();
        Side { store: snapshot.store(), reference: version.top, hash: version.top_hash, levels: version.height() }
    }

    fn nothing(&self) -> Self {
        Side { store: self.store, reference: 0, hash: NO_HASH, levels: 0 }
    }

    fn node(&self) -> Result<Option<&'a Node>, StoreError> {
        Ok(self.store.resolve(self.reference, &self.hash)?.map(|node| self.store.node(node)))
    }

    fn child(&self, node: Option<&Node>, slot: usize) -> Self {
        let (reference, hash) = node.map_or((0, NO_HASH), |node| (node.children[slot], node.hashes[slot]));
        Side { store: self.store, reference, hash, levels: self.levels.saturating_sub(1) }
    }

    /// Collects the differing pages below two references at the same place: `level` 0 is a page, `index` counts
    /// within the level.
    fn compare(
        &self,
        other: &Side<'_>,
        level: u32,
        index: u64,
        by_identity: bool,
        pages: &mut Vec<PageNumber>,
    ) -> Result<(), StoreError> {
        let same_reference = std::ptr::eq(self.store, other.store) && self.reference == other.reference;
        if same_reference || (!by_identity && self.hash == other.hash) {
            return Ok(());
        }
        if level == 0 {
            pages.push(index as PageNumber + 1);
            return Ok(());
        }
        let mine = match self.node() {
            // No copy of it is left: all that the other has in its place was written since.
            Err(StoreError::DamagedNode { .. }) if by_identity => None,
            found => found?,
        };
        let theirs = other.node()?;
        for slot in 0..FANOUT {
            let child = self.child(mine, slot);
            child.compare(
                &other.child(theirs, slot),
                level - 1,
                index * FANOUT as u64 + slot as u64,
                by_identity,
                pages,
            )?;
        }
        Ok(())
    }
}
