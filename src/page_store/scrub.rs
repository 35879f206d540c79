//! Proves again what was proved before: bytes in memory and on disk against the hashes of the tree.

use super::node::{self, FANOUT};
use super::snapshot::Snapshot;
use super::store::PageStore;
use super::{StoreError, height};
use crate::page::{Hash, PAGE_SIZE, PageNumber};
use rayon::prelude::*;
use std::sync::atomic::{AtomicU8, Ordering};

impl PageStore {
    /// Pages of a version whose bytes, in memory or on disk, do not have the hash that the tree holds, ascending;
    /// also recorded for [`PageStore::take_damage`]. If a node of the tree itself does not have its hash, all pages
    /// below it are returned. In parallel; for the continuous scrub see [`PageStore::rehash_leaves`].
    pub fn rehash(&self, snapshot: &Snapshot) -> Vec<PageNumber> {
        let leaves = snapshot.page_count().div_ceil(FANOUT as u32);
        let mut damaged = self.rehash_nodes(snapshot);
        damaged.extend(
            (0..leaves).into_par_iter().flat_map_iter(|leaf| self.rehash_leaf(snapshot, leaf)).collect::<Vec<_>>(),
        );
        self.record(damaged)
    }

    /// As [`PageStore::rehash`] for the pages of some leaves (64 pages each, numbered from 0) and without inner nodes.
    pub fn rehash_leaves(&self, snapshot: &Snapshot, leaves: std::ops::Range<u32>) -> Vec<PageNumber> {
        let leaves = leaves.start..leaves.end.min(snapshot.page_count().div_ceil(FANOUT as u32));
        self.record(leaves.flat_map(|leaf| self.rehash_leaf(snapshot, leaf)).collect())
    }

    fn record(&self, mut damaged: Vec<PageNumber>) -> Vec<PageNumber> {
        damaged.sort_unstable();
        damaged.dedup();
        self.damage.lock().extend(&damaged);
        damaged
    }

    /// Pages below inner nodes and leaves that do not have their hash. Nodes still on disk are proved when read.
    fn rehash_nodes(&self, snapshot: &Snapshot) -> Vec<PageNumber> {
        let page_count = snapshot.page_count();
        let version = snapshot.version();
        let mut damaged = Vec::new();
        let mut todo = vec![(version.top, version.top_hash, version.height(), 0u64)];
        if super::root_hash(snapshot.top_hash(), page_count) != snapshot.root() {
            damaged.extend(1..=page_count);
        }
        while let Some((reference, expected, levels, index)) = todo.pop() {
            let node = match self.resolve(reference, &expected) {
                Ok(None) => continue,
                Ok(Some(node)) => Some(self.node(node)),
                Err(_) => None,
            };
            match node.filter(|node| node.hash() == expected) {
                None => damaged.extend(pages_below(levels, index, page_count)),
                Some(node) if levels > 1 => todo.extend((0..FANOUT).map(|slot| {
                    (node.children[slot], node.hashes[slot], levels - 1, index * FANOUT as u64 + slot as u64)
                })),
                Some(_) => {}
            }
        }
        damaged
    }

    fn rehash_leaf(&self, snapshot: &Snapshot, leaf: u32) -> Vec<PageNumber> {
        let first = leaf * FANOUT as u32 + 1;
        let last = first.saturating_add(FANOUT as u32 - 1).min(snapshot.page_count());
        (first..=last).filter(|page| !self.is_sound(snapshot, *page)).collect()
    }

    fn is_sound(&self, snapshot: &Snapshot, page: PageNumber) -> bool {
        let (leaf, slot) = match self.find(snapshot.version(), page) {
            Ok(None) => return true,
            Ok(Some(found)) => found,
            Err(_) => return false,
        };
        let (descriptor, expected) = (self.descriptor(leaf.children[slot]), &leaf.hashes[slot]);
        if let Some(frame) = descriptor.pin() {
            // SAFETY: the frame is initialised and stays while the descriptor is pinned.
            let found = Hash::of(unsafe { &self.frames.get(frame).0 });
            descriptor.unpin();
            if found.to_bytes() != *expected {
                return false;
            }
        }
        let mut bytes = [0; PAGE_SIZE];
        !descriptor.is_stored() || self.read_stored(page, expected, &mut bytes).is_ok()
    }

    /// Drill: flips one bit (0..32768) of the newest version's copy of a page in memory, leaving its hash as it is.
    pub fn flip_bit(self: &std::sync::Arc<Self>, page: PageNumber, bit: u32) -> Result<(), StoreError> {
        let head = self.head();
        let Some((leaf, slot)) = self.find(head.version(), page)? else {
            return Err(StoreError::NoSuchPage { page, page_count: head.page_count() });
        };
        let descriptor = self.descriptor(leaf.children[slot]);
        let frame = self.pin_frame(descriptor, page, &leaf.hashes[slot])?;
        let byte = bit as usize / 8 % PAGE_SIZE;
        // SAFETY: within the frame, which is pinned; readers at the same time may see either value, which is the drill.
        let byte = unsafe { AtomicU8::from_ptr(self.frames.pointer(frame).cast::<u8>().add(byte)) };
        byte.fetch_xor(1 << (bit % 8), Ordering::Relaxed);
        descriptor.unpin();
        Ok(())
    }
}

fn pages_below(levels: u32, index: u64, page_count: u32) -> std::ops::RangeInclusive<PageNumber> {
    debug_assert!(levels <= height(page_count));
    let span = 1u64 << (levels * node::FANOUT_BITS);
    let last = ((index + 1) * span).min(page_count as u64);
    (index * span) as u32 + 1..=last as u32
}
