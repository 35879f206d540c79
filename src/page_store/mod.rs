//! One persistent tree of pages that is snapshot, Merkle root, undo and diff index at once, and the
//! SQLite file system that serves views of it (step 6 of the walk; steps 5 and the reads stand on it).
//!
//! ```text
//!   SQLite connection --- vfs ---> View = pinned Snapshot + private overlay of written pages
//!                                    |  publish
//!                                    v
//!   PageStore: versions 1, 2, 3 ... head      each a root of one shared copy-on-write tree, fanout 64
//!                 inner node -> inner node -> leaf -> page descriptor -> frame in memory | place on disk
//! ```
//!
//! Invariants that this module keeps:
//! - P1. A node or page that a pinned version reaches is neither changed nor freed.
//! - P2. A root depends on the bytes of the pages and their number only: a page of zeros and a page that
//!   was never written are the same (no entry, hash 0), a node without entries is no node.
//! - P3. A page read from disk is hashed against its leaf before anybody sees it.
//! - P4. A new version always gets a number that no version had before, also after a roll back.
//! - P5. A subtree that was not read from disk yet is the same in every version since the store was opened.
//!
//! Opening a view (for the connection wrapper): pass [`View::name`] to `sqlite3_open_v2` both as the file
//! name and as the VFS name; the connection must be closed before its `View` goes or together with it.
//! Then run [`CANONICAL_SETTINGS`] or [`READER_SETTINGS`].
//!
//! It does not know: batches, tokens, which version is accepted, what a table is.

pub mod checkpoint;
mod descriptor;
mod evict;
mod huge_pages;
#[cfg(test)]
mod model_tests;
mod node;
mod plain;
mod publish;
mod retire;
mod roll_back;
mod scrub;
mod slab;
mod snapshot;
mod source;
pub mod sqlite;
mod store;
mod stored;
mod vfs;
mod vfs_temp;
mod view;

pub use huge_pages::refuse_huge_pages;
pub use node::{FANOUT, height, root_hash};
pub use plain::{open_plain, write_plain};
pub use snapshot::{PageRef, Snapshot};
pub use source::{PageSource, StoredTree};
pub use store::{PageStore, StoreOptions, StoreStats};
pub use stored::{PreparedDatabase, StoredDatabase, checkpoint_all};
pub use view::View;

use crate::page::{Hash, Page, PageNumber};

/// What to run on a connection that writes the canonical state.
///
/// Durability is the log's and the checkpoint's, so the journal lives in memory. Two settings make replicas
/// byte-identical: `secure_delete=ON`, for freed bytes would else hold cache history, and `cache_spill=OFF`, for SQLite
/// neither reads nor journals a page that it takes off the free list, so that after a roll back such a page keeps what
/// a full cache spilled into it. With it the dirty pages of a transaction stay in memory; the cache size may be
/// anything.
pub const CANONICAL_SETTINGS: &str = "PRAGMA page_size=4096; PRAGMA auto_vacuum=0; PRAGMA journal_mode=MEMORY;
    PRAGMA synchronous=OFF; PRAGMA locking_mode=NORMAL; PRAGMA secure_delete=ON; PRAGMA cache_spill=OFF;
    PRAGMA temp_store=FILE; PRAGMA mmap_size=70368744177664;";

/// What to run on a connection that reads, or whose writes are thrown away.
pub const READER_SETTINGS: &str = "PRAGMA page_size=4096; PRAGMA auto_vacuum=0; PRAGMA journal_mode=MEMORY;
    PRAGMA synchronous=OFF; PRAGMA locking_mode=NORMAL; PRAGMA secure_delete=OFF; PRAGMA temp_store=FILE;
    PRAGMA mmap_size=70368744177664;";

/// What can go wrong in the store. All of these are local to this node and never part of an answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A page's bytes do not have the hash that the tree promises; also recorded for [`PageStore::take_damage`].
    #[error("page {page} is damaged: its bytes do not match the hash in the tree")]
    Damaged {
        /// The page.
        page: PageNumber,
    },
    /// A block of hashes cannot be proved by its parent, nor rebuilt from what lies below it.
    #[error("hash block {index} of level {level} is damaged")]
    DamagedNode {
        /// 0 is the level whose entries are pages.
        level: u32,
        /// Position of the node within its level.
        index: u32,
    },
    /// The files behind the tree failed, other than by holding a damaged page.
    #[error(transparent)]
    Files(#[from] checkpoint::CheckpointError),
    /// The disk failed while the manifest was switched.
    #[error("it is unknown which checkpoint is in force until the database is opened again")]
    CheckpointUnknown,
    /// A view may not have another page (a drill).
    #[error("there is no memory for another page")]
    OutOfMemory,
    /// The tree needs something from files, and the store has none.
    #[error("the store has no files to read from")]
    NoFiles,
    /// The view's connection is inside a transaction or has a statement open.
    #[error("the view is in use by its connection")]
    ViewInUse,
    /// The view is not pinned to the newest version, so what it wrote cannot become the next one.
    #[error("the view stands on version {view}, the newest is {head}")]
    NotHead {
        /// Version that the view is pinned to.
        view: u64,
        /// Newest version.
        head: u64,
    },
    /// Installed pages do not give the root that they were said to give.
    #[error("installed pages give root {found:?}, not {expected:?}")]
    WrongRoot {
        /// What the caller expected.
        expected: Hash,
        /// What the pages gave.
        found: Hash,
    },
    /// Page numbers are 32 bits and 0 is none.
    #[error("page {page} does not exist in a database of {page_count} pages")]
    NoSuchPage {
        /// The page asked for.
        page: PageNumber,
        /// Pages in the database.
        page_count: u32,
    },
}

/// A database as state transfer has to make it.
#[derive(Clone, Debug, PartialEq)]
pub struct Replacement {
    /// Its root.
    pub root: Hash,
    /// Its number of pages.
    pub page_count: u32,
    /// The pages that have to be replaced.
    pub pages: Vec<(PageNumber, Page)>,
}
