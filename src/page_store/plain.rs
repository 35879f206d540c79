//! A version as one ordinary SQLite file, and such a file as a store: for what is kept outside of a node's databases.
//!
//! Page `n` lies at `(n - 1) * 4096`, and there is nothing else: stock SQLite opens it.
//!
//! Whoever opens such a file reads all of it once, and computes the tree above its pages; so its root is known and not
//! believed, and a page that is read later is proved against it. The file is never written.

use super::StoreError;
use super::checkpoint::{CheckpointError, node_hash};
use super::node::{FANOUT, height};
use super::snapshot::Snapshot;
use super::source::{PageSource, StoredTree};
use super::store::{PageStore, StoreOptions};
use crate::page::{Hash, PAGE_SIZE, PageNumber};
use crate::seam::DiskFile;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pages that are written or read at once.
const CHUNK_PAGES: usize = 64;

/// Writes a version into an empty file and makes it durable. `goes_on` is asked now and then; whether it was said to the
/// end.
///
/// # Errors
/// [`StoreError::Damaged`] if a page is, and whatever the file does not take.
pub fn write_plain(
    snapshot: &Snapshot,
    file: &dyn DiskFile,
    path: &Path,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, StoreError> {
    let mut chunk: Vec<u8> = Vec::with_capacity(CHUNK_PAGES * PAGE_SIZE);
    let mut written_bytes = 0;
    for page in 1..=snapshot.page_count() {
        chunk.extend_from_slice(&*snapshot.page(page)?);
        if chunk.len() == CHUNK_PAGES * PAGE_SIZE || page == snapshot.page_count() {
            if !goes_on() {
                return Ok(false);
            }
            at_path(path, file.write_at(&chunk, written_bytes))?;
            written_bytes += chunk.len() as u64;
            chunk.clear();
        }
    }
    at_path(path, file.sync_data())?;
    Ok(true)
}

/// The database that such a file holds, as a store with one version.
///
/// # Errors
/// What cannot be read, and a length that no database has.
pub fn open_plain(file: Arc<dyn DiskFile>, path: &Path, options: StoreOptions) -> Result<Arc<PageStore>, StoreError> {
    let file = PlainFile::open(file, path)?;
    let tree = StoredTree { top: file.top(), page_count: file.page_count };
    Ok(PageStore::from_source(options, Arc::new(file), tree))
}

struct PlainFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    page_count: u32,
    /// By level, the pages' first; where the tree has no node, its hashes are 0.
    levels: Vec<Vec<[Hash; FANOUT]>>,
}

impl PlainFile {
    fn open(file: Arc<dyn DiskFile>, path: &Path) -> Result<PlainFile, StoreError> {
        let length_bytes = at_path(path, file.length_bytes())?;
        let page_count = u32::try_from(length_bytes / PAGE_SIZE as u64).ok();
        let Some(page_count) = page_count.filter(|_| length_bytes.is_multiple_of(PAGE_SIZE as u64)) else {
            let what = format!("it has {length_bytes} bytes, which is no number of pages");
            return at_path(path, Err(io::Error::new(io::ErrorKind::InvalidData, what)));
        };
        let levels = levels(page_count, at_path(path, hash_pages(&*file, page_count))?);
        Ok(PlainFile { file, path: path.into(), page_count, levels })
    }

    fn top(&self) -> Hash {
        self.levels.last().and_then(|level| level.first()).map_or(Hash::default(), node)
    }

    fn read(&self, page: PageNumber, buffer: &mut [u8; PAGE_SIZE]) -> Result<(), CheckpointError> {
        let offset = (u64::from(page) - 1) * PAGE_SIZE as u64;
        let read = self.file.read_at(buffer, offset);
        let filled = read.map_err(|source| CheckpointError::Io { path: self.path.clone(), source })?;
        buffer[filled..].fill(0);
        Ok(())
    }
}

impl PageSource for PlainFile {
    fn block(&self, level: u32, index: u32, _expected: Hash) -> Result<Option<[Hash; FANOUT]>, CheckpointError> {
        Ok(self.levels.get(level as usize).and_then(|level| level.get(index as usize)).copied())
    }

    fn page(&self, page: PageNumber, expected: Hash, buffer: &mut [u8; PAGE_SIZE]) -> Result<(), CheckpointError> {
        self.read(page, buffer)?;
        match page_hash(&buffer[..]) == expected {
            true => Ok(()),
            false => Err(CheckpointError::DamagedPage { path: self.path.clone(), page }),
        }
    }

    fn newest(&self, page: PageNumber, buffer: &mut [u8; PAGE_SIZE]) -> Result<(), CheckpointError> {
        self.read(page, buffer)
    }
}

fn hash_pages(file: &dyn DiskFile, page_count: u32) -> io::Result<Vec<Hash>> {
    let mut hashes = Vec::with_capacity(page_count as usize);
    let mut chunk = vec![0u8; CHUNK_PAGES * PAGE_SIZE];
    while hashes.len() < page_count as usize {
        let pages = CHUNK_PAGES.min(page_count as usize - hashes.len());
        let bytes = &mut chunk[..pages * PAGE_SIZE];
        if file.read_at(bytes, hashes.len() as u64 * PAGE_SIZE as u64)? < bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hashes.extend(bytes.chunks_exact(PAGE_SIZE).map(page_hash));
    }
    Ok(hashes)
}

/// As in the tree: a page of zeros has no entry (P2).
fn page_hash(bytes: &[u8]) -> Hash {
    if bytes.iter().all(|byte| *byte == 0) { Hash::default() } else { Hash::of(bytes) }
}

/// As in the tree: a node without entries is none (P2).
fn node(hashes: &[Hash; FANOUT]) -> Hash {
    if *hashes == [Hash::default(); FANOUT] { Hash::default() } else { node_hash(hashes) }
}

fn levels(page_count: u32, pages: Vec<Hash>) -> Vec<Vec<[Hash; FANOUT]>> {
    let mut levels: Vec<Vec<[Hash; FANOUT]>> = Vec::new();
    let mut below = pages;
    for _ in 0..height(page_count) {
        let block = |hashes: &[Hash]| std::array::from_fn(|slot| hashes.get(slot).copied().unwrap_or_default());
        let level: Vec<[Hash; FANOUT]> = below.chunks(FANOUT).map(block).collect();
        below = level.iter().map(node).collect();
        levels.push(level);
    }
    levels
}

fn at_path<T>(path: &Path, result: io::Result<T>) -> Result<T, StoreError> {
    result.map_err(|source| StoreError::Files(CheckpointError::Io { path: path.into(), source }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Page;
    use crate::seam::{Disk, SimulatedDisk};

    const PATH: &str = "/plain.db";

    /// A version with so many pages; one in seven is of zeros.
    fn version(page_count: u32) -> Snapshot {
        let store = PageStore::in_memory(StoreOptions::default());
        let bytes =
            |page: u32| -> Page { Box::new([if page.is_multiple_of(7) { 0 } else { page as u8 | 1 }; PAGE_SIZE]) };
        let pages: Vec<(PageNumber, Page)> = (1..=page_count).map(|page| (page, bytes(page))).collect();
        let empty = store.head();
        let found = match store.install(&empty, &pages, page_count, Hash(1)) {
            Err(StoreError::WrongRoot { found, .. }) => found,
            other => panic!("{other:?}"),
        };
        store.install(&empty, &pages, page_count, found).unwrap()
    }

    fn written(snapshot: &Snapshot) -> Arc<dyn DiskFile> {
        let file = SimulatedDisk::new(1).open(Path::new(PATH), true).unwrap();
        assert!(write_plain(snapshot, &*file, Path::new(PATH), &|| true).unwrap());
        file
    }

    fn open(file: &Arc<dyn DiskFile>) -> Result<Snapshot, StoreError> {
        Ok(open_plain(file.clone(), Path::new(PATH), StoreOptions::default())?.head())
    }

    #[test]
    fn a_version_has_its_root_and_its_pages_when_it_is_read_again() {
        for page_count in [1, 63, 64, 65, 4_097] {
            let snapshot = version(page_count);
            let file = written(&snapshot);
            assert_eq!(file.length_bytes().unwrap(), u64::from(page_count) * PAGE_SIZE as u64);
            let read = open(&file).unwrap();
            assert_eq!((read.root(), read.page_count()), (snapshot.root(), page_count));
            for page in 1..=page_count {
                assert!(*read.page(page).unwrap() == *snapshot.page(page).unwrap(), "page {page} of {page_count}");
            }
        }
    }

    #[test]
    fn another_byte_is_another_root_and_never_read_as_the_old_one() {
        let snapshot = version(65);
        let file = written(&snapshot);
        let opened = open(&file).unwrap();
        file.write_at(&[0xff], 64 * PAGE_SIZE as u64 + 5).unwrap();
        assert!(matches!(opened.page(65), Err(StoreError::Damaged { page: 65 })));
        assert_ne!(open(&file).unwrap().root(), snapshot.root());
        file.set_length(64 * PAGE_SIZE as u64).unwrap();
        assert_ne!(open(&file).unwrap().root(), snapshot.root());
        file.set_length(64 * PAGE_SIZE as u64 + 1).unwrap();
        let said = open(&file).unwrap_err().to_string();
        assert_eq!(said, "/plain.db: it has 262145 bytes, which is no number of pages");
    }

    #[test]
    fn writing_ends_when_it_is_asked_to() {
        let file = SimulatedDisk::new(1).open(Path::new(PATH), true).unwrap();
        assert!(!write_plain(&version(200), &*file, Path::new(PATH), &|| false).unwrap());
    }
}
