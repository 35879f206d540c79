//! A page store with its files: what a checkpoint takes from the tree, and what it gives back to it.
//!
//! A replica checkpoints all its databases together, with [`checkpoint_all`]:
//!
//! ```text
//!   for each database   prepare(snapshot)      changed pages and hash blocks, durable beside the old ones
//!   once                Manifest::commit       the switch, together with the mark
//!   for each database   accept(prepared)       frames in memory may go
//!   later, in steps     backfill(pages_max)    from the log into the base file
//! ```
//!
//! Invariants:
//! - C1. The newest checkpoint's snapshot stays pinned, so what changes next is known page by page.
//! - C2. A page's frame may go only when a manifest that lists the page is in force.
//! - C3. A page that an older pinned version may still read from disk is not overwritten.
//! - C4. While it is unknown which manifest is in force, nothing is written that either of them might count.

use super::checkpoint::{
    Backfill, BlockChange, Change, CheckpointError, DatabaseFiles, Manifest, Notice, Prepared, Section, node_hash,
};
use super::node::{FANOUT, FANOUT_BITS, height};
use super::snapshot::Snapshot;
use super::source::StoredTree;
use super::store::{PageStore, StoreOptions};
use super::{StoreError, checkpoint};
use crate::page::{Hash, PageNumber};
use crate::seam::Disk;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// One database of a replica: its versions and its files.
pub struct StoredDatabase {
    store: Arc<PageStore>,
    files: Arc<DatabaseFiles>,
    /// Held by one checkpoint or backfill step at a time.
    durable: Mutex<Durable>,
}

struct Durable {
    /// What the checkpoint in force has (C1).
    snapshot: Snapshot,
    /// Pages whose copy in the log was found damaged: the next checkpoint writes them again.
    rewrite: BTreeSet<PageNumber>,
    /// It is unknown which manifest is in force (C4).
    is_unknown: bool,
}

/// A checkpoint of one database that waits for its manifest.
pub struct PreparedDatabase {
    prepared: Prepared,
    snapshot: Snapshot,
    pages: Vec<PageNumber>,
}

impl PreparedDatabase {
    /// What the manifest must list.
    pub fn section(&self) -> &Section {
        self.prepared.section()
    }
}

impl StoredDatabase {
    /// A new, empty database with its files in `root/directory`. It exists once a manifest lists it; before that,
    /// and after [`StoredDatabase::remove`], it may be created again.
    pub fn create(
        disk: &dyn Disk,
        root: &Path,
        name: &str,
        directory: &str,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let files = DatabaseFiles::create(disk, root, name, directory)?;
        Ok(Self::assemble(files, StoredTree { top: Hash::default(), page_count: 0 }, options))
    }

    /// The database that a manifest lists. Takes no longer for a large database than for a small one.
    pub fn open(
        disk: &dyn Disk,
        root: &Path,
        section: &Section,
        options: StoreOptions,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, StoreError> {
        let files = DatabaseFiles::open(disk, root, section, notices)?;
        Ok(Self::assemble(files, StoredTree { top: section.top, page_count: section.page_count }, options))
    }

    fn assemble(files: DatabaseFiles, tree: StoredTree, options: StoreOptions) -> Self {
        let files = Arc::new(files);
        let store = PageStore::from_source(options, files.clone(), tree);
        let durable = Durable { snapshot: store.head(), rewrite: BTreeSet::new(), is_unknown: false };
        StoredDatabase { store, files, durable: Mutex::new(durable) }
    }

    /// The versions.
    pub fn store(&self) -> &Arc<PageStore> {
        &self.store
    }

    /// What the checkpoint in force has.
    pub fn durable(&self) -> Snapshot {
        self.durable.lock().snapshot.clone()
    }

    /// Makes an accepted version durable beside the checkpoint in force. Until [`StoredDatabase::accept`] nothing
    /// counts on it; after an error, or if the result is dropped, it may be called again with any version.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a page that it must read is damaged, on disk or in memory: repair it, then call again.
    /// [`StoreError::CheckpointUnknown`] until the database is opened again.
    pub fn prepare(&self, snapshot: &Snapshot) -> Result<PreparedDatabase, StoreError> {
        let durable = self.durable.lock();
        if durable.is_unknown {
            return Err(StoreError::CheckpointUnknown);
        }
        let pages = self.changed_pages(&durable, snapshot)?;
        let blocks = changed_blocks(&durable.snapshot, snapshot, &pages)?;
        let change =
            Change { pages: &pages, blocks: &blocks, page_count: snapshot.page_count(), top: snapshot.top_hash() };
        let mut failed = None;
        let prepared = self.files.prepare(&change, &mut |page, buffer| {
            let read = snapshot.page(page).and_then(|bytes| {
                *buffer = *bytes;
                snapshot.page_hash(page)
            });
            read.map_err(|error| {
                let what = error.to_string();
                failed = Some(error);
                CheckpointError::Source { page, what }
            })
        });
        match (prepared, failed) {
            (Ok(prepared), _) => Ok(PreparedDatabase { prepared, snapshot: snapshot.clone(), pages }),
            (Err(_), Some(cause)) => Err(cause),
            (Err(CheckpointError::DamagedInMemory { page }), None) => Err(self.store.damaged(page)),
            (Err(error), None) => Err(error.into()),
        }
    }

    /// Pages that the log lacks.
    fn changed_pages(&self, durable: &Durable, snapshot: &Snapshot) -> Result<Vec<PageNumber>, StoreError> {
        let mut pages: BTreeSet<PageNumber> = self.store.rewritten(&durable.snapshot, snapshot)?.into_iter().collect();
        // If one of these cannot be read, that is recorded as damage, and its repair makes it a changed page.
        pages.extend(durable.rewrite.iter().filter(|&&page| snapshot.page(page).is_ok()));
        let pending_byte_page = self.store.options().pending_byte_page;
        let exists = |page: &PageNumber| *page <= snapshot.page_count() && *page != pending_byte_page;
        Ok(pages.into_iter().filter(exists).collect())
    }

    /// A manifest that lists the prepared checkpoint is in force.
    pub fn accept(&self, prepared: PreparedDatabase) -> Result<(), StoreError> {
        let mut durable = self.durable.lock();
        let PreparedDatabase { prepared, snapshot, pages } = prepared;
        self.files.accept(prepared);
        pages.iter().for_each(|page| {
            durable.rewrite.remove(page);
        });
        let stored = self.store.set_stored(&snapshot, &pages);
        durable.snapshot = snapshot;
        stored
    }

    /// No manifest will list the prepared checkpoint.
    pub fn abandon(&self, prepared: PreparedDatabase) {
        self.files.abandon(prepared.prepared);
    }

    /// Copies up to `pages_max` pages from the log into the base file, and starts the log again when all are there.
    /// For the background thread; the simulator calls it in line. May be called again after an error.
    pub fn backfill(&self, pages_max: usize) -> Result<Backfill, StoreError> {
        let mut durable = self.durable.lock();
        if durable.is_unknown {
            return Err(StoreError::CheckpointUnknown);
        }
        self.store.reclaim();
        let needed = self.store.needed_on_disk(&durable.snapshot);
        let step = self.files.backfill(pages_max, &|page| needed.contains(&page))?;
        durable.rewrite.extend(&step.damaged);
        Ok(step)
    }

    /// Bytes in the log. When this stays large although [`StoredDatabase::backfill`] is called, old pins hold it: see
    /// [`Backfill::held`], and end the oldest.
    pub fn log_bytes(&self) -> u64 {
        self.files.wal_bytes()
    }

    /// Whether [`StoredDatabase::backfill`] has something to do.
    pub fn needs_backfill(&self) -> bool {
        self.log_bytes() > 0
    }

    /// Removes the files of a database that no manifest lists any more.
    pub fn remove(disk: &dyn Disk, root: &Path, directory: &str) -> Result<(), StoreError> {
        Ok(checkpoint::remove_files(disk, root, directory)?)
    }
}

/// How often a switch is tried whose outcome is unknown.
const SWITCH_ATTEMPTS: usize = 3;

/// Makes these versions of a replica's databases its checkpoint, bound to `mark`, all at once (invariant 6). A database
/// that is not in the list is no longer one of the replica's.
///
/// # Errors
/// Whatever kept it from being prepared, written or switched: the checkpoint before it is in force, and it may be
/// tried again with these or newer versions. [`StoreError::CheckpointUnknown`]: the disk failed in the middle of the
/// switch; the databases go on in memory, but must be opened again before they can be checkpointed.
pub fn checkpoint_all(
    disk: &dyn Disk,
    root: &Path,
    mark: &[u8],
    databases: &[(&StoredDatabase, Snapshot)],
) -> Result<(), StoreError> {
    let mut prepared = Vec::with_capacity(databases.len());
    for (database, snapshot) in databases {
        match database.prepare(snapshot) {
            Ok(one) => prepared.push(one),
            Err(error) => {
                abandon(databases, prepared);
                return Err(error);
            }
        }
    }
    let sections = prepared.iter().map(|one| one.section().clone()).collect();
    let manifest = Manifest { mark: mark.to_vec(), sections };
    // The same manifest may be written again and again: once one attempt succeeds, it is in force.
    let mut switched = manifest.commit(disk, root);
    let is_unknown = matches!(switched, Err(CheckpointError::SwitchUnknown { .. }));
    for _ in 1..if is_unknown { SWITCH_ATTEMPTS } else { 1 } {
        if switched.is_err() {
            switched = manifest.commit(disk, root);
        }
    }
    match switched {
        Ok(()) => databases.iter().zip(prepared).try_for_each(|((database, _), one)| database.accept(one)),
        Err(_) if is_unknown => {
            databases.iter().for_each(|(database, _)| database.durable.lock().is_unknown = true);
            Err(StoreError::CheckpointUnknown)
        }
        Err(error) => {
            abandon(databases, prepared);
            Err(error.into())
        }
    }
}

fn abandon(databases: &[(&StoredDatabase, Snapshot)], prepared: Vec<PreparedDatabase>) {
    databases.iter().zip(prepared).for_each(|((database, _), one)| database.abandon(one));
}

/// The nodes above some pages, as a checkpoint must write them.
fn changed_blocks(old: &Snapshot, new: &Snapshot, pages: &[PageNumber]) -> Result<Vec<BlockChange>, StoreError> {
    let mut blocks = Vec::new();
    let mut indexes: Vec<u32> = pages.iter().map(|page| page - 1).collect();
    for level in 0..height(new.page_count()) {
        indexes.iter_mut().for_each(|index| *index >>= FANOUT_BITS);
        indexes.dedup();
        for &index in &indexes {
            let nothing = [Hash::default(); FANOUT];
            let before = match old.children(level, index) {
                // The checkpoint in force cannot be read there, so nothing of it is lost.
                Err(StoreError::DamagedNode { .. }) => nothing,
                found => found?,
            };
            let hashes = new.children(level, index)?;
            let durable = if before == nothing { Hash::default() } else { node_hash(&before) };
            if hashes != nothing && before != hashes {
                blocks.push(BlockChange { level, index, durable, hashes });
            }
        }
    }
    Ok(blocks)
}
