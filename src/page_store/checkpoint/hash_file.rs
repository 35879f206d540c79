//! `evesql.db-hashes`: the hashes of the tree's nodes, so that a database opens without being read.
//!
//! A block holds the 64 hashes of one node, 16 bytes each, little-endian, 0 where there is no child. Every
//! block has two slots. A checkpoint writes into the slot that the last durable manifest does not need, so
//! that manifest's tree stays readable until the next one replaces it, with nothing to mark and nothing to
//! undo: a reader takes the slot whose hash is the one that the parent's block (or the manifest) has.
//!
//! | offset | bytes | block at position `p` |
//! |-------:|------:|-----------------------|
//! | `p * 2048` | 1024 | slot 0: 64 hashes |
//! | `p * 2048 + 1024` | 1024 | slot 1: 64 hashes |
//!
//! Level 0 has the hashes of pages, node `(level, index)` covers `64^(level + 1)` pages. Positions number
//! the nodes of a tree of six levels from its top, parents before children (pre-order), so the file grows
//! with the database and needs no directory.

use super::{CheckpointError, at_path};
use crate::page::Hash;
use crate::page_store::FANOUT;
use crate::seam::DiskFile;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LEVELS: u32 = 6;
const SLOT_BYTES: usize = FANOUT * 16;
const BLOCK_BYTES: usize = 2 * SLOT_BYTES;

/// One changed node of a checkpoint.
pub struct BlockChange {
    /// 0 is the level whose entries are pages.
    pub level: u32,
    /// Position of the node within its level.
    pub index: u32,
    /// Its hash in the last durable checkpoint; 0 if it was not there.
    pub durable: Hash,
    /// Its entries now.
    pub hashes: [Hash; FANOUT],
}

/// The hash file of one database.
pub struct HashFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
}

impl HashFile {
    /// Takes an opened file.
    pub fn open(file: Arc<dyn DiskFile>, path: &Path) -> Self {
        HashFile { file, path: path.to_path_buf() }
    }

    /// The block that hashes to `expected`, or none if neither slot does.
    pub fn read(&self, level: u32, index: u32, expected: Hash) -> Result<Option<[Hash; FANOUT]>, CheckpointError> {
        let slots = self.read_slots(level, index)?;
        Ok(slots.iter().find(|slot| Hash::of(&slot[..]) == expected).map(decode))
    }

    /// Writes blocks into the slots that the durable checkpoint does not need, and makes them durable.
    pub fn write(&self, changes: &[BlockChange]) -> Result<(), CheckpointError> {
        for change in changes {
            let slots = self.read_slots(change.level, change.index)?;
            let free = if Hash::of(&slots[0]) == change.durable { 1 } else { 0 };
            let bytes = encode(&change.hashes);
            let offset = position(change.level, change.index) * BLOCK_BYTES as u64 + (free * SLOT_BYTES) as u64;
            at_path(&self.path, self.file.write_at(&bytes, offset))?;
        }
        if changes.is_empty() { Ok(()) } else { at_path(&self.path, self.file.sync_data()) }
    }

    /// Writes a block again that neither slot has any more, as every checkpoint in force since the file was opened
    /// needs it.
    pub fn mend(&self, level: u32, index: u32, hashes: &[Hash; FANOUT]) -> Result<(), CheckpointError> {
        let offset = position(level, index) * BLOCK_BYTES as u64;
        at_path(&self.path, self.file.write_at(&encode(hashes), offset))?;
        at_path(&self.path, self.file.sync_data())
    }

    /// Where it lies, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read_slots(&self, level: u32, index: u32) -> Result<[[u8; SLOT_BYTES]; 2], CheckpointError> {
        let mut slots = [[0u8; SLOT_BYTES]; 2];
        let offset = position(level, index) * BLOCK_BYTES as u64;
        at_path(&self.path, self.file.read_at(slots.as_flattened_mut(), offset))?;
        Ok(slots)
    }
}

/// Hash of a node, given those of its children.
pub fn node_hash(hashes: &[Hash; FANOUT]) -> Hash {
    Hash::of(&encode(hashes))
}

fn encode(hashes: &[Hash; FANOUT]) -> [u8; SLOT_BYTES] {
    let mut bytes = [0u8; SLOT_BYTES];
    for (to, hash) in bytes.chunks_mut(16).zip(hashes) {
        to.copy_from_slice(&hash.to_bytes());
    }
    bytes
}

fn decode(bytes: &[u8; SLOT_BYTES]) -> [Hash; FANOUT] {
    std::array::from_fn(|child| {
        let mut hash = [0u8; 16];
        hash.copy_from_slice(&bytes[child * 16..child * 16 + 16]);
        Hash::from_bytes(hash)
    })
}

/// Pre-order number of a node in a tree of six levels: the nodes whose first leaf block comes before its
/// first leaf block, plus its ancestors that begin at the same one.
fn position(level: u32, index: u32) -> u64 {
    let first = (index as u64) << (6 * level);
    let before: u64 = (0..=level).map(|l| first >> (6 * l)).sum();
    let above: u64 = (level + 1..LEVELS).map(|l| (first >> (6 * l)) + 1).sum();
    before + above
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::{Disk, SimulatedDisk};
    use std::collections::BTreeSet;

    fn hash_file() -> HashFile {
        let path = Path::new("/d/h");
        HashFile::open(SimulatedDisk::new(1).open(path, true).unwrap(), path)
    }

    fn hashes(seed: u128) -> [Hash; FANOUT] {
        std::array::from_fn(|child| Hash(seed * 1000 + child as u128))
    }

    #[test]
    fn a_block_that_was_damaged_is_written_again_and_the_next_checkpoint_spares_it() {
        let file = hash_file();
        let durable = node_hash(&hashes(1));
        file.write(&[BlockChange { level: 0, index: 3, durable: Hash::default(), hashes: hashes(1) }]).unwrap();
        file.file.write_at(&[7], position(0, 3) * BLOCK_BYTES as u64).unwrap();
        assert_eq!(file.read(0, 3, durable).unwrap(), None);
        file.mend(0, 3, &hashes(1)).unwrap();
        assert_eq!(file.read(0, 3, durable).unwrap(), Some(hashes(1)));
        file.write(&[BlockChange { level: 0, index: 3, durable, hashes: hashes(2) }]).unwrap();
        assert_eq!(file.read(0, 3, durable).unwrap(), Some(hashes(1)), "the manifest may still name it");
        assert_eq!(file.read(0, 3, node_hash(&hashes(2))).unwrap(), Some(hashes(2)));
    }

    #[test]
    fn positions_are_dense_and_distinct() {
        let mut seen = BTreeSet::new();
        for level in 0..LEVELS {
            for index in 0..=(262_143u32 >> (6 * level)) {
                assert!(seen.insert(position(level, index)), "level {level} index {index}");
            }
        }
        let count = seen.len() as u64;
        assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&(count - 1))));
    }

    #[test]
    fn the_durable_checkpoint_stays_readable_beside_the_next_one() {
        let file = hash_file();
        let mut durable = Hash::default();
        for round in 1..6 {
            let change = BlockChange { level: 1, index: 3, durable, hashes: hashes(round) };
            file.write(&[change]).unwrap();
            assert_eq!(file.read(1, 3, node_hash(&hashes(round))).unwrap(), Some(hashes(round)));
            if round > 1 {
                assert_eq!(file.read(1, 3, durable).unwrap(), Some(hashes(round - 1)));
            }
            durable = node_hash(&hashes(round));
        }
        assert_eq!(file.read(1, 3, node_hash(&hashes(1))).unwrap(), None);
    }

    #[test]
    fn a_checkpoint_that_was_never_listed_is_overwritten_not_the_durable_one() {
        let file = hash_file();
        let change = |round, durable| BlockChange { level: 0, index: 0, durable, hashes: hashes(round) };
        file.write(&[change(1, Hash::default())]).unwrap();
        let durable = node_hash(&hashes(1));
        for round in 2..6 {
            file.write(&[change(round, durable)]).unwrap();
            assert!(file.read(0, 0, durable).unwrap().is_some());
        }
    }
}
