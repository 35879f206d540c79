//! The three files of one database, and the steps of a checkpoint on them (steps 1, 3 and 4 of the parent's
//! list).
//!
//! Invariants:
//! - D1. Pages come into the base file from frames that a durable manifest counts, and from no others.
//! - D2. The log does not start again while a prepared checkpoint may still be switched to.
//! - D3. A page is handed out only if its bytes have the hash that was asked for.
//! - D4. The log is locked for writing by the holder of `writer` only: so whoever appends may read pages through
//!   this same log without waiting for a writer that waits for it.

use super::base_file::BaseFile;
use super::hash_file::{BlockChange, HashFile};
use super::manifest::Section;
use super::wal_file::{Appended, WalFile};
use super::{CheckpointError, Notice, ReadPage, at_path, page_hash};
use crate::page::{Hash, PAGE_SIZE, PageNumber};
use crate::page_store::FANOUT;
use crate::seam::Disk;
use parking_lot::{Mutex, RwLock};
use std::path::Path;

const BASE: &str = "evesql.db";
const WAL: &str = "evesql.db-wal";
const HASHES: &str = "evesql.db-hashes";

/// What a checkpoint changes in one database.
pub struct Change<'a> {
    /// Changed pages, none above `page_count`. SQLite never writes the page of its lock bytes: leave it out.
    pub pages: &'a [PageNumber],
    /// Changed nodes.
    pub blocks: &'a [BlockChange],
    /// Pages in the database.
    pub page_count: u32,
    /// Hash of the top node.
    pub top: Hash,
}

/// A checkpoint of one database that is durable, but in force only once a manifest lists its section.
pub struct Prepared {
    section: Section,
    appended: Appended,
}

impl Prepared {
    /// What the manifest must list.
    pub fn section(&self) -> &Section {
        &self.section
    }
}

/// What a step of [`DatabaseFiles::backfill`] did.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Backfill {
    /// Pages copied in this step.
    pub copied: usize,
    /// Pages passed over because a pinned version needs what the base file has.
    pub held: usize,
    /// Pages passed over because their copy in the log is damaged: the next checkpoint must write them again.
    pub damaged: Vec<PageNumber>,
    /// Pages that still wait, the held and the damaged ones included.
    pub pending: usize,
    /// Whether the log started again.
    pub log_restarted: bool,
}

/// The files of one database.
pub struct DatabaseFiles {
    name: String,
    directory: String,
    base: BaseFile,
    hashes: HashFile,
    /// Readers hold it while they read a frame, so that the log does not start again under them.
    wal: RwLock<WalFile>,
    /// One checkpoint or backfill step at a time.
    writer: Mutex<Writer>,
}

struct Writer {
    page_count: u32,
    /// A prepared checkpoint awaits its manifest (D2).
    is_prepared: bool,
    /// Pages copied since the base file's last sync.
    unsynced: Vec<PageNumber>,
    /// Where the next backfill step goes on.
    next_page: PageNumber,
}

impl DatabaseFiles {
    /// Makes the files of a new database in `root/directory`. Left-overs of a database whose first
    /// checkpoint never came into force are overwritten; anything more is [`CheckpointError::NoManifest`].
    pub fn create(disk: &dyn Disk, root: &Path, name: &str, directory: &str) -> Result<Self, CheckpointError> {
        let at = root.join(directory);
        at_path(&at, disk.create_directory(&at))?;
        let base_path = at.join(BASE);
        let base = BaseFile::open(at_path(&base_path, disk.open(&base_path, true))?, &base_path);
        if !base.create()? {
            return Err(CheckpointError::NoManifest { path: base_path });
        }
        let hash_path = at.join(HASHES);
        let hashes = HashFile::open(at_path(&hash_path, disk.open(&hash_path, true))?, &hash_path);
        let wal_path = at.join(WAL);
        let wal = WalFile::create(at_path(&wal_path, disk.open(&wal_path, true))?, &wal_path)?;
        at_path(&at, disk.sync_directory(&at))?;
        at_path(root, disk.sync_directory(root))?;
        Ok(Self::new(name, directory, base, hashes, wal, 0))
    }

    /// Opens the files of a database that the manifest lists. Reads the log, whose length is bounded, and
    /// nothing else.
    pub fn open(
        disk: &dyn Disk,
        root: &Path,
        section: &Section,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, CheckpointError> {
        let files = Self::open_as_found(disk, root, section, notices)?;
        files.wal.write().tidy()?;
        let at = root.join(&section.directory);
        at_path(&at, disk.sync_directory(&at))?;
        Ok(files)
    }

    /// As [`DatabaseFiles::open`], but writes into no existing file: for an offline check.
    pub(super) fn open_as_found(
        disk: &dyn Disk,
        root: &Path,
        section: &Section,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, CheckpointError> {
        let at = root.join(&section.directory);
        let open = |name: &str, notices: &mut Vec<Notice>| {
            let path = at.join(name);
            if !disk.exists(&path) {
                notices.push(Notice::new(&path, "is missing; an empty one takes its place"));
            }
            let file = at_path(&path, disk.open(&path, true))?;
            Ok::<_, CheckpointError>((file, path))
        };
        at_path(&at, disk.create_directory(&at))?;
        let (base, base_path) = open(BASE, notices)?;
        let (hashes, hash_path) = open(HASHES, notices)?;
        let (wal, wal_path) = open(WAL, notices)?;
        let wal = WalFile::open(wal, &wal_path, section.wal, notices)?;
        let base = BaseFile::open(base, &base_path);
        let hashes = HashFile::open(hashes, &hash_path);
        Ok(Self::new(&section.name, &section.directory, base, hashes, wal, section.page_count))
    }

    fn new(name: &str, directory: &str, base: BaseFile, hashes: HashFile, wal: WalFile, page_count: u32) -> Self {
        let writer = Writer { page_count, is_prepared: false, unsynced: Vec::new(), next_page: 1 };
        DatabaseFiles {
            name: name.to_string(),
            directory: directory.to_string(),
            base,
            hashes,
            wal: RwLock::new(wal),
            writer: Mutex::new(writer),
        }
    }

    /// Reads the copy of a page whose bytes have this hash, from the log or from the base file (D3).
    pub fn read_page(
        &self,
        page: PageNumber,
        expected: Hash,
        buffer: &mut [u8; PAGE_SIZE],
    ) -> Result<(), CheckpointError> {
        let wal = self.wal.read();
        for (frame, hash) in wal.frames_of(page) {
            if hash == expected {
                wal.read(frame, buffer)?;
                if page_hash(buffer) == expected {
                    return Ok(());
                }
            }
        }
        self.base.read(page, buffer)?;
        if page_hash(buffer) == expected {
            return Ok(());
        }
        Err(CheckpointError::DamagedPage { path: self.base.path().to_path_buf(), page })
    }

    /// Reads a page as the newest checkpoint has it, unproved: to compute a damaged hash block again.
    pub fn read_newest(&self, page: PageNumber, buffer: &mut [u8; PAGE_SIZE]) -> Result<(), CheckpointError> {
        let wal = self.wal.read();
        match wal.frames_of(page).next() {
            Some((frame, _)) => wal.read(frame, buffer),
            None => self.base.read(page, buffer),
        }
    }

    /// The hash block with this hash; none if no slot has it.
    pub fn read_block(
        &self,
        level: u32,
        index: u32,
        expected: Hash,
    ) -> Result<Option<[Hash; FANOUT]>, CheckpointError> {
        self.hashes.read(level, index, expected)
    }

    /// Writes a damaged hash block again, as it was computed. By P5 no checkpoint since the start has changed it, nor
    /// does one now: the writer's lock, whose holder may wait for just this block, is not needed.
    pub fn mend_block(&self, level: u32, index: u32, hashes: &[Hash; FANOUT]) -> Result<(), CheckpointError> {
        self.hashes.mend(level, index, hashes)
    }

    /// Makes a change durable beside the checkpoint in force (step 1). `read` fills in a page and says its hash.
    ///
    /// May be repeated after an error, and a result that is dropped (or given to [`DatabaseFiles::abandon`])
    /// leaves nothing behind that counts.
    pub fn prepare(&self, change: &Change<'_>, read: ReadPage<'_>) -> Result<Prepared, CheckpointError> {
        let mut writer = self.writer.lock();
        self.wal.write().ensure_header()?;
        let appended = self.wal.read().append(change.pages, change.page_count, read)?;
        self.hashes.write(change.blocks)?;
        writer.is_prepared = true;
        let section = Section {
            name: self.name.clone(),
            directory: self.directory.clone(),
            page_count: change.page_count,
            top: change.top,
            wal: appended.position(),
        };
        Ok(Prepared { section, appended })
    }

    /// The manifest that lists the prepared checkpoint is in force (step 3).
    pub fn accept(&self, prepared: Prepared) {
        let mut writer = self.writer.lock();
        writer.is_prepared = false;
        writer.page_count = prepared.section.page_count;
        self.wal.write().accept(prepared.appended);
    }

    /// No manifest will list the prepared checkpoint.
    pub fn abandon(&self, prepared: Prepared) {
        drop(prepared);
        self.writer.lock().is_prepared = false;
    }

    /// Copies up to `pages_max` pages from the log into the base file; when none waits, syncs it and starts
    /// the log again (step 4). After an error it may be called again.
    ///
    /// `needs_older(page)` says whether a pinned version needs a copy on disk of the page that is older than
    /// the newest checkpoint's; such a page stays in the log for now.
    pub fn backfill(
        &self,
        pages_max: usize,
        needs_older: &dyn Fn(PageNumber) -> bool,
    ) -> Result<Backfill, CheckpointError> {
        let mut writer = self.writer.lock();
        let mut done = Backfill::default();
        let pending = self.wal.read().waiting(writer.next_page, pages_max);
        writer.next_page = match pending.last() {
            Some((page, _)) if pending.len() == pages_max => page.saturating_add(1),
            _ => 1,
        };
        for (page, frame) in pending {
            if needs_older(page) {
                done.held += 1;
            } else if self.copy(page, frame)? {
                self.wal.write().set_waiting(page, false);
                writer.unsynced.push(page);
                done.copied += 1;
            } else {
                done.damaged.push(page);
            }
        }
        done.pending = self.wal.read().waiting_count();
        let may_restart = done.pending == 0 && self.wal.read().position().frames > 0 && !writer.is_prepared;
        let base_pages = self.base.page_count()?;
        if may_restart && !(writer.page_count.saturating_add(1)..=base_pages).any(needs_older) {
            self.restart_log(&mut writer)?;
            done.log_restarted = true;
        }
        Ok(done)
    }

    /// Copies one page; false if the log's copy is damaged.
    fn copy(&self, page: PageNumber, frame: u32) -> Result<bool, CheckpointError> {
        let mut bytes = [0u8; PAGE_SIZE];
        let wal = self.wal.read();
        wal.read(frame, &mut bytes)?;
        if page_hash(&bytes) != wal.hash(frame) {
            return Ok(false);
        }
        self.base.write(page, &bytes)?;
        Ok(true)
    }

    fn restart_log(&self, writer: &mut Writer) -> Result<(), CheckpointError> {
        let synced = self.base.set_page_count(writer.page_count).and_then(|()| self.base.sync());
        let unsynced = std::mem::take(&mut writer.unsynced);
        let mut wal = self.wal.write();
        if let Err(error) = synced {
            // The system may have dropped what it could not write: copy it again.
            unsynced.into_iter().for_each(|page| wal.set_waiting(page, true));
            return Err(error);
        }
        wal.start_round()
    }

    /// Bytes of the log that count.
    pub fn wal_bytes(&self) -> u64 {
        self.wal.read().position().frames as u64 * super::wal_file::FRAME_BYTES as u64
    }

    pub(super) fn hash_path(&self) -> &Path {
        self.hashes.path()
    }
}

/// The base file of a database that a manifest lists.
pub fn database_file(root: &Path, section: &Section) -> std::path::PathBuf {
    root.join(&section.directory).join(BASE)
}

/// Removes the files of a database that no manifest lists any more. The base file goes first: without it the others
/// are nothing, and a crash in between leaves left-overs that [`DatabaseFiles::create`] overwrites.
pub fn remove_files(disk: &dyn Disk, root: &Path, directory: &str) -> Result<(), CheckpointError> {
    let at = root.join(directory);
    for name in [BASE, WAL, HASHES] {
        let path = at.join(name);
        if disk.exists(&path) {
            at_path(&path, disk.remove(&path))?;
        }
    }
    at_path(&at, disk.sync_directory(&at))
}
