//! Tree nodes: 64 hashes, contiguous so that hashing a node is one xxh3 over 1 KiB, and 64 references.
//!
//! A reference is 0 (nothing there), a page descriptor (in a leaf), a node, or a stub: a node that still lies on
//! disk. A stub is shared by all copies of its parent, so whoever reads it from disk reads it for all versions.

use crate::page::Hash;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Children of a node.
pub const FANOUT: usize = 64;
pub(super) const FANOUT_BITS: u32 = 6;
/// Marks a reference to a stub.
pub(super) const STUB: u32 = 1 << 31;
/// `died` of what is part of the newest version.
pub(super) const ALIVE: u64 = u64::MAX;
/// The bytes of hash 0.
pub(super) const NO_HASH: [u8; 16] = [0; 16];

/// A leaf or an inner node; which one its level says.
#[repr(C)]
pub(super) struct Node {
    /// Little-endian hashes of the children.
    pub hashes: [[u8; 16]; FANOUT],
    /// References, see the head of this file.
    pub children: [u32; FANOUT],
    /// First version that has this node (0: came from disk).
    pub born: AtomicU64,
    /// First version that no longer has it.
    pub died: AtomicU64,
}

impl Node {
    /// The hash that this node's parent holds.
    pub fn hash(&self) -> [u8; 16] {
        block_hash(&self.hashes)
    }
    /// Whether the node stands for nothing and so must not exist (P2).
    pub fn is_empty(&self) -> bool {
        self.children.iter().all(|child| *child == 0)
    }
}

/// A node on disk.
pub(super) struct Stub {
    pub level: AtomicU32,
    pub index: AtomicU32,
    /// 0 until read.
    pub loaded: AtomicU32,
    pub died: AtomicU64,
}

/// Hash of a node, given the hashes of its children.
pub(super) fn block_hash(hashes: &[[u8; 16]; FANOUT]) -> [u8; 16] {
    Hash::of(hashes.as_flattened()).to_bytes()
}

/// Levels that a tree of so many pages has; at least one.
pub fn height(page_count: u32) -> u32 {
    let mut levels = 1;
    while levels * FANOUT_BITS < 32 && (page_count as u64) > 1u64 << (levels * FANOUT_BITS) {
        levels += 1;
    }
    levels
}

/// The root of a database: its top node and its number of pages.
pub fn root_hash(top: Hash, page_count: u32) -> Hash {
    let mut bytes = [0u8; 20];
    bytes[..16].copy_from_slice(&top.to_bytes());
    bytes[16..].copy_from_slice(&page_count.to_le_bytes());
    Hash::of(&bytes)
}

/// Which child of a node at `level` leads to `page` (numbered from 1).
pub(super) fn slot(page: u32, level: u32) -> usize {
    (((page - 1) as u64 >> (level * FANOUT_BITS)) & (FANOUT as u64 - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_at_the_borders() {
        for (page_count, levels) in
            [(0, 1), (1, 1), (64, 1), (65, 2), (4096, 2), (4097, 3), (262_145, 4), (u32::MAX, 6)]
        {
            assert_eq!(height(page_count), levels, "{page_count} pages");
        }
    }

    #[test]
    fn slots_walk_from_top_to_leaf() {
        assert_eq!((slot(1, 0), slot(64, 0), slot(65, 0)), (0, 63, 0));
        assert_eq!((slot(64, 1), slot(65, 1), slot(4097, 1), slot(4097, 2)), (0, 1, 0, 1));
    }
}
