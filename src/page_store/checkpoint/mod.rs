//! The on-disk half of the page store: checkpoints that stock SQLite can read and that prove themselves.
//!
//! ```text
//!   replica/manifest                 one per replica: mark, and per database root, page count, log position
//!   replica/manifest.before          of a process that has ended: the one before (Manifest::keep)
//!   replica/<database>/evesql.db         base file, an ordinary SQLite database   (base_file)
//!                      evesql.db-wal     changed pages as a genuine SQLite log   (wal_file)
//!                      evesql.db-hashes  hashes of the tree's nodes              (hash_file)
//! ```
//!
//! A checkpoint of a replica goes through these steps; a crash between any two leaves the last durable one:
//! 1. per database, [`DatabaseFiles::prepare`]: append changed pages to the log, sync; write changed hash
//!    blocks into their free slots, sync;
//! 2. once, [`Manifest::commit`]: the atomic switch for all databases together with the mark;
//! 3. per database, [`DatabaseFiles::accept`]: the pages now lie on disk, their frames in memory may go;
//! 4. in the background, [`DatabaseFiles::backfill`]: copy pages from the log into the base file, in steps;
//!    when all are there and synced, the log starts again.
//!
//! Reading needs no record of where a page lies: the reader names the hash that it wants, and gets the page
//! from whichever frame of the log has it, else from the base file. Nothing here owns a thread; each function
//! is one synchronous step, and reads may run beside any of them.
//!
//! It does not know: versions, views, what a mark means.

mod base_file;
mod check;
mod database_files;
mod hash_file;
mod manifest;
mod wal_file;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod model;

pub use check::{Damage, check};
pub use database_files::{Backfill, Change, DatabaseFiles, Prepared, database_file, remove_files};
pub use hash_file::{BlockChange, node_hash};
pub use manifest::{Manifest, Section};
pub use wal_file::WalPosition;

use crate::page::{Hash, PAGE_SIZE, PageNumber};
use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong between memory and the files. All local to this node.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The disk failed or is full.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The manifest cannot be proved.
    #[error("{}: {what}; the databases beside it cannot be trusted without it: move this directory away and \
             let the node join again under a new id", path.display())]
    DamagedManifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Database files without a manifest that lists them.
    #[error("{} holds a database that no manifest lists; restore the manifest, or move the directory away and \
             let the node join again under a new id", path.display())]
    NoManifest {
        /// The base file.
        path: PathBuf,
    },
    /// It is unknown whether the manifest was switched.
    #[error("{}: {source}; it is unknown which checkpoint is in force until the directory is opened again", path.display())]
    SwitchUnknown {
        /// The manifest.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes in memory do not have their hash, so they are not written.
    #[error("page {page} is damaged in memory and was not written")]
    DamagedInMemory {
        /// The page.
        page: PageNumber,
    },
    /// No copy on disk has the hash.
    #[error("{}: page {page} is damaged; it must be fetched from a peer", path.display())]
    DamagedPage {
        /// The base file.
        path: PathBuf,
        /// The page.
        page: PageNumber,
    },
    /// Neither slot of a hash block has the hash.
    #[error("{}: hash block {index} of level {level} is damaged; it can be computed from its pages", path.display())]
    DamagedBlock {
        /// The hash file.
        path: PathBuf,
        /// Level of the node.
        level: u32,
        /// Its position within the level.
        index: u32,
    },
    /// The caller's tree could not give a page.
    #[error("page {page} could not be read for the checkpoint: {what}")]
    Source {
        /// The page.
        page: PageNumber,
        /// Why.
        what: String,
    },
}

/// How a checkpoint gets a page: fills in its bytes and says the hash that the tree holds for them.
pub type ReadPage<'a> = &'a mut dyn FnMut(PageNumber, &mut [u8; PAGE_SIZE]) -> Result<Hash, CheckpointError>;

/// Something that was found at start-up and does not stop it, for the operator's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The file.
    pub path: PathBuf,
    /// What was found and what was done.
    pub what: String,
}

impl Notice {
    fn new(path: &Path, what: impl Into<String>) -> Self {
        Notice { path: path.to_path_buf(), what: what.into() }
    }
}

fn at_path<T>(path: &Path, result: io::Result<T>) -> Result<T, CheckpointError> {
    result.map_err(|source| CheckpointError::Io { path: path.to_path_buf(), source })
}

/// The hash that the tree holds for a page: a page of zeros has no entry, and so 0.
fn page_hash(bytes: &[u8; PAGE_SIZE]) -> Hash {
    if *bytes == [0; PAGE_SIZE] { Hash::default() } else { Hash::of(bytes) }
}
