//! `manifest`: the one small file that says what a replica's checkpoint is.
//!
//! It binds the mark (log id, root, answers digest: the replica's words, opaque here) to the pages of all
//! databases of the replica in one atomic switch (invariant 6): written under another name, synced, renamed,
//! and the directory synced. Start-up reads this file and nothing else of the databases' size.
//!
//! All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 8 | magic `EVESQLMF` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | number of databases |
//! | 16 | 4 | bytes of the mark, `m` |
//! | 20 | 4 | zero |
//! | 24 | m | mark |
//! | 24 + m | | one section a database, by name |
//! | end - 16 | 16 | xxh3-128 of everything before |
//!
//! | offset | bytes | section |
//! |-------:|------:|---------|
//! | 0 | 2 | bytes of the name, `n` |
//! | 2 | 2 | bytes of the directory, `d` |
//! | 4 | 4 | pages in the database |
//! | 8 | 16 | hash of the tree's top node, 0 without pages |
//! | 24 | 4 | the log's round (its sequence number) |
//! | 28 | 8 | the log's salts |
//! | 36 | 4 | frames of the log that count |
//! | 40 | 8 | checksum of the last of them |
//! | 48 | n | name, UTF-8 |
//! | 48 + n | d | directory, relative to the manifest's, UTF-8 |

use super::wal_file::WalPosition;
use super::{CheckpointError, at_path};
use crate::page::Hash;
use crate::seam::{Disk, create_file};
use std::io;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"EVESQLMF";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;
const SECTION_BYTES: usize = 48;
const CHECKSUM_BYTES: usize = 16;
/// A manifest holds some 100 bytes a database; more than this is damage.
const LENGTH_BYTES_MAX: u64 = 64 << 20;

/// One database's part of a checkpoint, made by [`super::DatabaseFiles::prepare`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The database's name; at most 65,535 bytes.
    pub name: String,
    /// Where its files are, relative to the manifest's directory; at most 65,535 bytes.
    pub directory: String,
    /// Pages in the database.
    pub page_count: u32,
    /// Hash of the tree's top node; 0 without pages.
    pub top: Hash,
    /// What of the log counts.
    pub wal: WalPosition,
}

/// A replica's checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Manifest {
    /// What the replica binds to the pages: log id, root, answers digest.
    pub mark: Vec<u8>,
    /// Its databases.
    pub sections: Vec<Section>,
}

impl Manifest {
    /// Where the manifest of a replica lies.
    pub fn path(directory: &Path) -> PathBuf {
        directory.join("manifest")
    }

    /// Reads the manifest of a directory; none if it never had one.
    ///
    /// A manifest that is there but cannot be proved is an error: nothing else knows which pages belong
    /// together, so the node must be set up anew from its peers.
    pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<Manifest>, CheckpointError> {
        Self::read_at(disk, directory, Self::path(directory))
    }

    /// The manifest that [`Manifest::keep`] kept, if it did.
    pub fn read_kept(disk: &dyn Disk, directory: &Path) -> Result<Option<Manifest>, CheckpointError> {
        Self::read_at(disk, directory, Self::kept_path(directory))
    }

    fn kept_path(directory: &Path) -> PathBuf {
        Self::path(directory).with_extension("before")
    }

    /// Keeps a copy of the manifest in force. One checkpoint later its pages are still all there, or a crash in the
    /// middle of that one could not go back to them; so the copy holds until something is written after that: for the
    /// last checkpoint before a process ends, so that the batches behind the one before may be looked at.
    pub fn keep(disk: &dyn Disk, directory: &Path) -> Result<(), CheckpointError> {
        let Some(manifest) = Self::read(disk, directory)? else { return Ok(()) };
        let path = Self::kept_path(directory);
        at_path(&path, create_file(disk, &path).and_then(|file| file.write_at(&encode(&manifest), 0)))
    }

    /// Forgets what was kept.
    pub fn forget_kept(disk: &dyn Disk, directory: &Path) -> Result<(), CheckpointError> {
        let path = Self::kept_path(directory);
        if disk.exists(&path) { at_path(&path, disk.remove(&path)) } else { Ok(()) }
    }

    fn read_at(disk: &dyn Disk, directory: &Path, path: PathBuf) -> Result<Option<Manifest>, CheckpointError> {
        let file = match disk.open(&path, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return at_path(&path, Err(error)),
        };
        let length_bytes = at_path(&path, file.length_bytes())?;
        if length_bytes > LENGTH_BYTES_MAX {
            return Err(CheckpointError::DamagedManifest { path, what: "it is far too long" });
        }
        let mut bytes = vec![0u8; length_bytes as usize];
        let filled = at_path(&path, file.read_at(&mut bytes, 0))?;
        bytes.truncate(filled);
        // What was read may be a switch whose last sync failed: make it the durable one before it is used.
        at_path(directory, disk.sync_directory(directory))?;
        decode(&bytes).map(Some).map_err(|what| CheckpointError::DamagedManifest { path, what })
    }

    /// Makes this the replica's checkpoint, atomically and durably. The sections' pages and hashes must be
    /// durable already.
    ///
    /// # Errors
    /// After [`CheckpointError::SwitchUnknown`] the old or the new one may be in force: commit the same one again
    /// until that succeeds, or open the directory again; write nothing else in between. After any other error the
    /// old one is in force.
    pub fn commit(&self, disk: &dyn Disk, directory: &Path) -> Result<(), CheckpointError> {
        let path = Self::path(directory);
        let new_path = path.with_extension("new");
        let bytes = encode(self);
        let file = at_path(&new_path, disk.open(&new_path, true))?;
        at_path(&new_path, file.set_length(0))?;
        at_path(&new_path, file.write_at(&bytes, 0))?;
        at_path(&new_path, file.sync_data())?;
        let switched = disk.rename(&new_path, &path).and_then(|()| disk.sync_directory(directory));
        switched.map_err(|source| CheckpointError::SwitchUnknown { path, source })
    }
}

fn encode(manifest: &Manifest) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(MAGIC);
    for word in [VERSION, manifest.sections.len() as u32, manifest.mark.len() as u32, 0] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&manifest.mark);
    for section in &manifest.sections {
        for length in [section.name.len(), section.directory.len()] {
            let length = u16::try_from(length).expect("names of databases and directories fit 16 bits");
            bytes.extend_from_slice(&length.to_le_bytes());
        }
        bytes.extend_from_slice(&section.page_count.to_le_bytes());
        bytes.extend_from_slice(&section.top.to_bytes());
        let WalPosition { sequence, salts, frames, checksum } = section.wal;
        for word in [sequence, salts[0], salts[1], frames, checksum[0], checksum[1]] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(section.name.as_bytes());
        bytes.extend_from_slice(section.directory.as_bytes());
    }
    let sum = Hash::of(&bytes);
    bytes.extend_from_slice(&sum.to_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Result<Manifest, &'static str> {
    if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || &bytes[..8] != MAGIC {
        return Err("it is not a manifest");
    }
    let (body, sum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if Hash::of(body).to_bytes() != sum {
        return Err("its checksum does not match");
    }
    let mut reader = Reader(&body[8..]);
    if reader.word()? != VERSION {
        return Err("another version of EveSQL wrote it");
    }
    let (databases, mark_bytes, _) = (reader.word()?, reader.word()?, reader.word()?);
    let mark = reader.take(mark_bytes as usize)?.to_vec();
    let sections = (0..databases).map(|_| reader.section()).collect::<Result<_, _>>()?;
    if reader.0.is_empty() { Ok(Manifest { mark, sections }) } else { Err("it is too long") }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it is too short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let mut array = [0u8; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn word(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_le_bytes)
    }

    fn text(&mut self, count: u16) -> Result<String, &'static str> {
        String::from_utf8(self.take(count as usize)?.to_vec()).map_err(|_| "a name is not UTF-8")
    }

    fn section(&mut self) -> Result<Section, &'static str> {
        let start = self.0.len();
        let lengths = [u16::from_le_bytes(self.array()?), u16::from_le_bytes(self.array()?)];
        let page_count = self.word()?;
        let top = Hash::from_bytes(self.array()?);
        let wal = WalPosition {
            sequence: self.word()?,
            salts: [self.word()?, self.word()?],
            frames: self.word()?,
            checksum: [self.word()?, self.word()?],
        };
        debug_assert_eq!(start - self.0.len(), SECTION_BYTES);
        Ok(Section { page_count, top, wal, name: self.text(lengths[0])?, directory: self.text(lengths[1])? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::{DiskFault, SimulatedDisk};

    fn manifest(seed: u8) -> Manifest {
        let section = |name: &str| Section {
            name: name.into(),
            directory: format!("db-{name}"),
            page_count: 7 + seed as u32,
            top: Hash(seed as u128),
            wal: WalPosition { sequence: 1, salts: [2, 3], frames: 4, checksum: [5, seed as u32] },
        };
        Manifest { mark: vec![seed; 60], sections: vec![section("shop"), section("bank")] }
    }

    #[test]
    fn a_crash_at_any_step_leaves_the_old_or_the_new_manifest() {
        let directory = Path::new("/replica");
        for seed in 0..20 {
            for step in 0.. {
                let disk = SimulatedDisk::new(seed);
                manifest(1).commit(&disk, directory).unwrap();
                disk.fault_at(disk.operations() + step, DiskFault::Crash);
                let done = manifest(2).commit(&disk, directory).is_ok();
                disk.restart();
                let found = Manifest::read(&disk, directory).unwrap().unwrap();
                assert!(found == manifest(2) || (!done && found == manifest(1)), "seed {seed} step {step}");
                if done {
                    break;
                }
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let disk = SimulatedDisk::new(1);
        let directory = Path::new("/replica");
        assert_eq!(Manifest::read(&disk, directory).unwrap(), None);
        manifest(1).commit(&disk, directory).unwrap();
        for offset in 0..encode(&manifest(1)).len() as u64 {
            disk.flip_bit(&Manifest::path(directory), offset, offset as u8);
            assert!(matches!(Manifest::read(&disk, directory), Err(CheckpointError::DamagedManifest { .. })));
            disk.flip_bit(&Manifest::path(directory), offset, offset as u8);
        }
        assert_eq!(Manifest::read(&disk, directory).unwrap(), Some(manifest(1)));
    }
}
