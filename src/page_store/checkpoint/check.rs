//! `evesql check`: an offline pass over every byte of a checkpoint that counts, against the manifest.

use super::database_files::DatabaseFiles;
use super::hash_file::node_hash;
use super::manifest::{Manifest, Section};
use super::{CheckpointError, Notice, page_hash};
use crate::page::{Hash, PAGE_SIZE};
use crate::page_store::{FANOUT, height};
use crate::seam::Disk;
use std::path::Path;

/// What is wrong with one file, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The database's name.
    pub database: String,
    /// The file, the place in it, and what to do.
    pub what: String,
}

/// Reads and proves everything that the manifest of a stopped node's directory counts. An empty list means
/// that all is well. Fails only where nothing can be said at all, as without a manifest that proves itself.
pub fn check(disk: &dyn Disk, directory: &Path) -> Result<Vec<Damage>, CheckpointError> {
    let manifest = Manifest::read(disk, directory)?.unwrap_or_default();
    let mut damages = Vec::new();
    for section in &manifest.sections {
        let mut notices = Vec::new();
        let files = DatabaseFiles::open_as_found(disk, directory, section, &mut notices)?;
        let mut pass = Pass { files: &files, section, damages: &mut damages };
        for Notice { path, what } in notices {
            pass.report(format!("{}: {what}", path.display()));
        }
        if section.top != Hash::default() {
            pass.node(height(section.page_count) - 1, 0, section.top);
        }
    }
    Ok(damages)
}

struct Pass<'a> {
    files: &'a DatabaseFiles,
    section: &'a Section,
    damages: &'a mut Vec<Damage>,
}

impl Pass<'_> {
    fn report(&mut self, what: String) {
        self.damages.push(Damage { database: self.section.name.clone(), what });
    }

    fn node(&mut self, level: u32, index: u32, expected: Hash) {
        let Some(hashes) = self.block(level, index, expected) else { return };
        for (slot, hash) in hashes.into_iter().enumerate().filter(|(_, hash)| *hash != Hash::default()) {
            let position = index * FANOUT as u32 + slot as u32;
            if level > 0 {
                self.node(level - 1, position, hash);
            } else if let Err(error) = self.files.read_page(position + 1, hash, &mut [0; PAGE_SIZE]) {
                self.report(error.to_string());
            }
        }
    }

    /// A block's hashes, from its file or else from the pages below it.
    fn block(&mut self, level: u32, index: u32, expected: Hash) -> Option<[Hash; FANOUT]> {
        match self.files.read_block(level, index, expected) {
            Ok(Some(hashes)) => return Some(hashes),
            Ok(None) => {}
            Err(error) => {
                self.report(error.to_string());
                return None;
            }
        }
        let path = self.files.hash_path().display().to_string();
        let computed = self.compute(level, index);
        if node_hash(&computed) == expected {
            self.report(format!("{path}: hash block {index} of level {level} is damaged; the node computes it from its pages when it needs it"));
            return Some(computed);
        }
        let first = ((index as u64) << (6 * (level + 1))) + 1;
        let last = ((index as u64 + 1) << (6 * (level + 1))).min(self.section.page_count as u64);
        self.report(format!(
            "{path}: hash block {index} of level {level} is damaged, and so is at least one of pages {first} to {last}; they must be fetched from a peer"
        ));
        None
    }

    fn compute(&self, level: u32, index: u32) -> [Hash; FANOUT] {
        std::array::from_fn(|slot| {
            let position = index as u64 * FANOUT as u64 + slot as u64;
            if position << (6 * level) >= self.section.page_count as u64 {
                return Hash::default();
            }
            if level > 0 {
                let below = self.compute(level - 1, position as u32);
                return if below == [Hash::default(); FANOUT] { Hash::default() } else { node_hash(&below) };
            }
            let mut bytes = [0u8; PAGE_SIZE];
            match self.files.read_newest(position as u32 + 1, &mut bytes) {
                Ok(()) => page_hash(&bytes),
                Err(_) => Hash::default(),
            }
        })
    }
}
