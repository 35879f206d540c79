//! `evesql.db`: the base file, an ordinary SQLite database file.
//!
//! Page `n` lies at `(n - 1) * 4096`; there is no other structure. Pages come in only from the log beside
//! it, one by one, each after it is durable there, so base plus log is a valid database at every instant.
//!
//! A new database starts as one page, SQLite's empty database: stock SQLite deletes a log beside an empty
//! base file.

use super::{CheckpointError, at_path};
use crate::page::{PAGE_SIZE, PageNumber};
use crate::seam::DiskFile;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The base file of one database.
pub struct BaseFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
}

impl BaseFile {
    /// Takes an opened file.
    pub fn open(file: Arc<dyn DiskFile>, path: &Path) -> Self {
        BaseFile { file, path: path.to_path_buf() }
    }

    /// Makes the file an empty database, unless it holds more than that: then nothing is touched and the
    /// answer is false.
    pub fn create(&self) -> Result<bool, CheckpointError> {
        if at_path(&self.path, self.file.length_bytes())? > PAGE_SIZE as u64 {
            return Ok(false);
        }
        self.write(1, &empty_database())?;
        self.sync()?;
        Ok(true)
    }

    /// Reads a page, zeros past the end; the caller proves it.
    pub fn read(&self, page: PageNumber, buffer: &mut [u8; PAGE_SIZE]) -> Result<(), CheckpointError> {
        let filled = at_path(&self.path, self.file.read_at(buffer, offset(page)))?;
        buffer[filled..].fill(0);
        Ok(())
    }

    /// Writes a page; durable after [`BaseFile::sync`].
    pub fn write(&self, page: PageNumber, bytes: &[u8; PAGE_SIZE]) -> Result<(), CheckpointError> {
        at_path(&self.path, self.file.write_at(bytes, offset(page)))
    }

    /// Makes all writes durable.
    pub fn sync(&self) -> Result<(), CheckpointError> {
        at_path(&self.path, self.file.sync_data())
    }

    /// Pages that the file has.
    pub fn page_count(&self) -> Result<u32, CheckpointError> {
        let length_bytes = at_path(&self.path, self.file.length_bytes())?;
        Ok((length_bytes / PAGE_SIZE as u64).min(u32::MAX as u64) as u32)
    }

    /// Gives the file exactly `page_count` pages; durable after [`BaseFile::sync`].
    pub fn set_page_count(&self, page_count: u32) -> Result<(), CheckpointError> {
        let length_bytes = page_count.max(1) as u64 * PAGE_SIZE as u64;
        if at_path(&self.path, self.file.length_bytes())? == length_bytes {
            return Ok(());
        }
        at_path(&self.path, self.file.set_length(length_bytes))
    }

    /// Where it lies, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn offset(page: PageNumber) -> u64 {
    (page as u64 - 1) * PAGE_SIZE as u64
}

/// Page 1 of a database without tables (`https://sqlite.org/fileformat2.html`).
fn empty_database() -> [u8; PAGE_SIZE] {
    let mut page = [0u8; PAGE_SIZE];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    page[16..18].copy_from_slice(&(PAGE_SIZE as u16).to_be_bytes());
    // Versions for writing and reading, reserved bytes, and the three fixed payload fractions.
    page[18..24].copy_from_slice(&[1, 1, 0, 64, 32, 32]);
    page[28..32].copy_from_slice(&1u32.to_be_bytes()); // pages
    page[44..48].copy_from_slice(&4u32.to_be_bytes()); // schema format
    page[56..60].copy_from_slice(&1u32.to_be_bytes()); // UTF-8
    page[100] = 13; // a table leaf without cells
    page[105..107].copy_from_slice(&(PAGE_SIZE as u16).to_be_bytes());
    page
}
