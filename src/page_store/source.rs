//! What the tree asks of the files behind it. Both are named by the hash that the tree wants, so it needs no record of
//! where a page lies, and a checkpoint may move pages while they are read.
//!
//! A block (level, index) holds the 64 hashes of one node: at level 0 those of pages
//! `index * 64 + 1 ..= index * 64 + 64`, above it those of nodes `index * 64 ..` of the level below.
//! Entries that do not exist are 0.

use super::checkpoint::{CheckpointError, DatabaseFiles};
use super::node::FANOUT;
use crate::page::{Hash, PAGE_SIZE, PageNumber};

/// The files behind the tree of an opened store. Called from any thread.
///
/// By invariant P5 a block that the tree has not asked for yet is the same in every checkpoint since the store was
/// opened, so the newest checkpoint can always answer.
pub trait PageSource: Send + Sync {
    /// The hashes of the node whose hash is `expected`; none if no copy has it.
    fn block(&self, level: u32, index: u32, expected: Hash) -> Result<Option<[Hash; FANOUT]>, CheckpointError>;
    /// Reads a page whose bytes have the hash `expected`, proved (P3), or fails with
    /// [`CheckpointError::DamagedPage`].
    fn page(&self, page: PageNumber, expected: Hash, buffer: &mut [u8; PAGE_SIZE]) -> Result<(), CheckpointError>;
    /// Reads a page as the newest checkpoint has it, unproved: to compute a damaged block again.
    fn newest(&self, page: PageNumber, buffer: &mut [u8; PAGE_SIZE]) -> Result<(), CheckpointError>;
    /// Writes a block again of which no copy is left, as it was computed and proved. Where no blocks are kept there is
    /// nothing to do.
    fn mend(&self, _level: u32, _index: u32, _hashes: &[Hash; FANOUT]) -> Result<(), CheckpointError> {
        Ok(())
    }
}

impl PageSource for DatabaseFiles {
    fn block(&self, level: u32, index: u32, expected: Hash) -> Result<Option<[Hash; FANOUT]>, CheckpointError> {
        self.read_block(level, index, expected)
    }
    fn page(&self, page: PageNumber, expected: Hash, buffer: &mut [u8; PAGE_SIZE]) -> Result<(), CheckpointError> {
        self.read_page(page, expected, buffer)
    }
    fn newest(&self, page: PageNumber, buffer: &mut [u8; PAGE_SIZE]) -> Result<(), CheckpointError> {
        self.read_newest(page, buffer)
    }
    fn mend(&self, level: u32, index: u32, hashes: &[Hash; FANOUT]) -> Result<(), CheckpointError> {
        self.mend_block(level, index, hashes)
    }
}

/// The root of a stored tree, as the manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredTree {
    /// Hash of the top node; 0 if the database has no page.
    pub top: Hash,
    /// Pages in the database.
    pub page_count: u32,
}
