//! A batch for which an audit found something, as a directory that replays it (`evesql audit replay`).
//!
//! ```text
//!   node-N/audit-INDEX/batch           SavedBatch in postcard's encoding
//!                      database-1.db   the databases before the batch, in the order of their names: ordinary SQLite
//!                      database-2.db   files; all of them, or none if they are too large
//!                      manifest.json   what the files hold; written last, so a directory without it holds nothing
//! ```
//!
//! Kept here:
//! - A directory with a manifest holds all that its manifest names.
//! - The newest [`KEPT_WITH_DATABASES`] with databases are kept, and the newest [`KEPT_WITHOUT`] without.
//! - What is read is proved: the batch by its hash in the manifest, names and pages of the databases by the root in the
//!   batch. No path comes from a file.

use crate::engine;
use crate::entry::EncodedCommand;
use crate::page::{Hash, PAGE_SIZE};
use crate::page_store::{Snapshot, StoreError, StoreOptions, open_plain, write_plain};
use crate::replica::DatabaseVersion;
use crate::seam::{Disk, RealDisk, create_file, write_file};
use crate::token::{LogId, Mode, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Audits kept with their databases, and without.
const KEPT_WITH_DATABASES: usize = 3;
const KEPT_WITHOUT: usize = 16;
/// Larger databases, all of a node together, are left out.
pub(super) const DATABASES_BYTES_MAX: u64 = 1 << 30;
/// Larger manifests and batches are none.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Of the manifest.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const UNFINISHED: &str = "manifest.new";
const BATCH: &str = "batch";

/// A batch to run again, on the databases with `root_before`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedBatch {
    /// Where it stands in the log.
    pub log_id: LogId,
    /// Whose audit it was.
    pub node: NodeId,
    /// How it was executed.
    pub mode: Mode,
    /// Steps of SQLite's machine that each transaction might take ([`engine::Options::steps_max`]).
    pub steps_max: u64,
    /// Root of the databases before it.
    pub root_before: Hash,
    /// Root that was accepted after it.
    pub root_after: Hash,
    /// Digests of the accepted outcomes, by position.
    pub outcomes: Vec<Hash>,
    /// The batch.
    pub command: Arc<EncodedCommand>,
}

/// The file [`MANIFEST`]; what is here and in the batch too is for people.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    node: NodeId,
    index: u64,
    found: String,
    root_before: String,
    root_after: String,
    /// Hash of the file [`BATCH`].
    batch: String,
    databases: Vec<SavedDatabase>,
    /// Why there are none.
    left_out: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedDatabase {
    name: String,
    root: String,
}

/// Where an audit was saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The directory.
    pub path: PathBuf,
    /// Why the databases are not in it, if they are not.
    pub left_out: Option<String>,
}

/// Why a saved audit cannot be replayed; each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SavedAuditError {
    /// There is no manifest.
    #[error("{} holds no saved audit; name a directory audit-INDEX of a node, as evesql_audits shows it", .0.display())]
    NoAudit(PathBuf),
    /// There is only the batch.
    #[error("{} cannot be replayed without the databases, which were not saved: {reason}", path.display())]
    LeftOut {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What a file holds is not what was saved.
    #[error("{}: {reason}; copy the directory again from its node", path.display())]
    Damaged {
        /// The file or the directory.
        path: PathBuf,
        /// In which way.
        reason: String,
    },
    /// This machine failed.
    #[error("the batch cannot be replayed on this machine: {0}; try again, or on another one")]
    Failed(#[from] engine::LocalError),
}

/// A saved audit as it was read, proved.
pub struct Loaded {
    /// The batch.
    pub batch: SavedBatch,
    /// What the audit had found.
    pub found: String,
    /// The databases before it.
    pub databases: BTreeMap<Arc<str>, Snapshot>,
}

/// Writes an audit below `directory`, with the databases if they are small enough and `goes_on` says so to the end;
/// removes older ones.
///
/// # Errors
/// What the disk says: there is no manifest then.
pub(super) fn save(
    disk: &dyn Disk,
    directory: &Path,
    batch: &SavedBatch,
    databases: &BTreeMap<Arc<str>, DatabaseVersion>,
    found: &str,
    goes_on: &dyn Fn() -> bool,
) -> io::Result<Saved> {
    let path = directory.join(format!("audit-{}", batch.log_id.index));
    let refused = refused(databases, goes_on);
    remove(disk, &path)?;
    clean_up(disk, directory, refused.is_none())?;
    disk.create_directory(&path)?;
    let left_out = refused.or_else(|| write_databases(disk, &path, databases, goes_on));
    if left_out.is_some() {
        for (number, _) in databases.iter().enumerate() {
            remove_file(disk, &path.join(database_file(number)))?;
        }
    }
    let bytes = postcard::to_stdvec(batch).map_err(io::Error::other)?;
    write_file(disk, &path.join(BATCH), &bytes)?;
    let listed = databases.iter().filter(|_| left_out.is_none());
    let manifest = Manifest {
        format: FORMAT,
        node: batch.node,
        index: batch.log_id.index,
        found: found.into(),
        root_before: batch.root_before.to_string(),
        root_after: batch.root_after.to_string(),
        batch: Hash::of(&bytes).to_string(),
        databases: listed
            .map(|(name, version)| SavedDatabase { name: name.to_string(), root: version.snapshot.root().to_string() })
            .collect(),
        left_out: left_out.clone(),
    };
    write_file(disk, &path.join(UNFINISHED), &serde_json::to_vec_pretty(&manifest).map_err(io::Error::other)?)?;
    disk.sync_directory(&path)?;
    disk.rename(&path.join(UNFINISHED), &path.join(MANIFEST))?;
    disk.sync_directory(&path)?;
    disk.sync_directory(directory)?;
    Ok(Saved { path, left_out })
}

const STOPPED: &str = "memory was short, or the node was stopped";

/// Why they are not even tried to be written.
fn refused(databases: &BTreeMap<Arc<str>, DatabaseVersion>, goes_on: &dyn Fn() -> bool) -> Option<String> {
    let pages: u64 = databases.values().map(|version| u64::from(version.snapshot.page_count())).sum();
    if pages * PAGE_SIZE as u64 > DATABASES_BYTES_MAX {
        return Some(format!("they have more than {} MiB", DATABASES_BYTES_MAX >> 20));
    }
    (!goes_on()).then(|| STOPPED.into())
}

/// Why they were not written, if they were not.
fn write_databases(
    disk: &dyn Disk,
    path: &Path,
    databases: &BTreeMap<Arc<str>, DatabaseVersion>,
    goes_on: &dyn Fn() -> bool,
) -> Option<String> {
    for (number, version) in databases.values().enumerate() {
        let file = path.join(database_file(number));
        let written = create_file(disk, &file)
            .map_err(|error| format!("{}: {error}", file.display()))
            .and_then(|open| write_plain(&version.snapshot, &*open, &file, goes_on).map_err(|error| error.to_string()));
        match written {
            Ok(true) => {}
            Ok(false) => return Some(STOPPED.into()),
            Err(error) => return Some(error),
        }
    }
    None
}

/// Reads what [`save`] wrote, and proves it.
///
/// # Errors
/// What is wrong with it.
pub fn load(path: &Path) -> Result<Loaded, SavedAuditError> {
    let damaged = |file: &str, reason: String| SavedAuditError::Damaged { path: path.join(file), reason };
    if !path.join(MANIFEST).is_file() {
        return Err(SavedAuditError::NoAudit(path.into()));
    }
    let read = |file: &str| read_file(&path.join(file)).map_err(|error| damaged(file, error.to_string()));
    let manifest: Manifest =
        serde_json::from_slice(&read(MANIFEST)?).map_err(|error| damaged(MANIFEST, error.to_string()))?;
    if manifest.format != FORMAT {
        let reason = format!("it has format {}, and this program reads {FORMAT}", manifest.format);
        return Err(damaged(MANIFEST, reason));
    }
    let bytes = read(BATCH)?;
    if Hash::of(&bytes).to_string() != manifest.batch {
        return Err(damaged(BATCH, "it is not what was saved".into()));
    }
    let batch: SavedBatch = postcard::from_bytes(&bytes).map_err(|error| damaged(BATCH, error.to_string()))?;
    if let Some(reason) = manifest.left_out {
        return Err(SavedAuditError::LeftOut { path: path.into(), reason });
    }
    let mut databases = BTreeMap::new();
    for (number, SavedDatabase { name, root }) in manifest.databases.into_iter().enumerate() {
        let file = database_file(number);
        let snapshot = open_database(&path.join(&file)).map_err(|error| damaged(&file, error.to_string()))?;
        if snapshot.root().to_string() != root {
            return Err(damaged(&file, format!("its pages have root {}, and not {root}", snapshot.root())));
        }
        databases.insert(Arc::from(name), snapshot);
    }
    let roots = databases.iter().map(|(name, snapshot): (&Arc<str>, &Snapshot)| (&**name, snapshot.root()));
    let root = crate::page::state_root(roots);
    if root != batch.root_before {
        let reason = format!("its databases have root {root}, and not {}", batch.root_before);
        return Err(SavedAuditError::Damaged { path: path.into(), reason });
    }
    Ok(Loaded { batch, found: manifest.found, databases })
}

fn open_database(path: &Path) -> Result<Snapshot, StoreError> {
    let file = RealDisk.open_to_read(path);
    let file =
        file.map_err(|source| crate::page_store::checkpoint::CheckpointError::Io { path: path.into(), source })?;
    Ok(open_plain(file, path, StoreOptions::default())?.head())
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = RealDisk.open_to_read(path)?;
    let length_bytes = file.length_bytes()?;
    if length_bytes > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too large"));
    }
    let mut bytes = vec![0; length_bytes as usize];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn database_file(number: usize) -> String {
    format!("database-{}.db", number + 1)
}

/// Makes room for one more, with databases or without; what has no manifest was never finished.
fn clean_up(disk: &dyn Disk, directory: &Path, with_databases: bool) -> io::Result<()> {
    let mut with: Vec<(u64, PathBuf)> = Vec::new();
    let mut without: Vec<(u64, PathBuf)> = Vec::new();
    for (index, path) in disk.list(directory)?.into_iter().filter_map(numbered) {
        if !disk.exists(&path.join(MANIFEST)) {
            remove(disk, &path)?;
        } else if disk.exists(&path.join(database_file(0))) {
            with.push((index, path));
        } else {
            without.push((index, path));
        }
    }
    let (with_max, without_max) = match with_databases {
        true => (KEPT_WITH_DATABASES - 1, KEPT_WITHOUT),
        false => (KEPT_WITH_DATABASES, KEPT_WITHOUT - 1),
    };
    for (mut kept, max) in [(with, with_max), (without, without_max)] {
        kept.sort_unstable();
        for (_, old) in kept.iter().take(kept.len().saturating_sub(max)) {
            remove(disk, old)?;
        }
    }
    Ok(())
}

/// The log index that the name of a saved audit tells.
fn numbered(path: PathBuf) -> Option<(u64, PathBuf)> {
    let index = path.file_name()?.to_str()?.strip_prefix("audit-")?.parse().ok()?;
    Some((index, path))
}

/// Removes a saved audit, if it is there; its manifest first.
fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    if !disk.exists(path) {
        return Ok(());
    }
    remove_file(disk, &path.join(MANIFEST))?;
    disk.sync_directory(path)?;
    for file in disk.list(path)? {
        disk.remove(&file)?;
    }
    disk.remove_directory(path)
}

fn remove_file(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, Command, Plan};
    use crate::replica::{Options, Replica};
    use crate::seam::SimulatedDisk;
    use crate::token::Accepted;
    use std::fs;

    fn databases() -> (Hash, BTreeMap<Arc<str>, DatabaseVersion>) {
        let replica = Replica::create(Options::default()).unwrap();
        let state = replica.accepted().borrow().clone();
        (state.accepted.root, state.databases.clone())
    }

    fn saved(index: u64, root_before: Hash) -> SavedBatch {
        let (engine, accepted, plan) = (Hash(4), Accepted::default(), Plan::default());
        let batch = Batch { timestamp_us: 1, seed: 2, engine, accepted, transactions: Vec::new(), plan };
        SavedBatch {
            log_id: LogId { term: 1, leader: 2, index },
            node: 3,
            mode: Mode::Replay { void: vec![3] },
            steps_max: 5,
            root_before,
            root_after: Hash(2),
            outcomes: vec![Hash(3)],
            command: EncodedCommand::new(Command::Batch(batch)),
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_saved_is_read_and_stock_sqlite_reads_it_too() {
        let directory = tempfile::tempdir().unwrap();
        let (root, databases) = databases();
        let batch = saved(7, root);
        let Saved { path, left_out } =
            save(&RealDisk, directory.path(), &batch, &databases, "a row", &|| true).unwrap();
        assert_eq!((path.clone(), left_out), (directory.path().join("audit-7"), None));
        assert_eq!(names(&path), ["batch", "database-1.db", "database-2.db", "manifest.json"]);
        let loaded = load(&path).unwrap();
        assert_eq!((loaded.batch, loaded.found.as_str()), (batch, "a row"));
        for (name, version) in &databases {
            assert_eq!(loaded.databases[name].root(), version.snapshot.root(), "{name}");
        }
        let stock = rusqlite::Connection::open(path.join("database-1.db")).unwrap();
        let found: String = stock.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(found, "ok");
    }

    #[test]
    fn what_is_not_what_was_saved_is_refused_in_a_sentence() {
        let directory = tempfile::tempdir().unwrap();
        let (root, databases) = databases();
        let path = save(&RealDisk, directory.path(), &saved(7, root), &databases, "", &|| true).unwrap().path;
        let said = || load(&path).err().expect("it is not read").to_string();
        for (file, words) in [
            ("batch", "batch: it is not what was saved; copy the directory again"),
            ("database-1.db", "database-1.db: its pages have root "),
            ("database-2.db", "database-2.db: its pages have root "),
            ("manifest.json", "manifest.json: "),
        ] {
            let sound = fs::read(path.join(file)).unwrap();
            let mut wrong = sound.clone();
            wrong[sound.len() / 2] ^= 0x80;
            fs::write(path.join(file), &wrong).unwrap();
            assert!(said().contains(words), "{file}: {}", said());
            fs::remove_file(path.join(file)).unwrap();
            assert!(said().contains(file) || said().contains("holds no saved audit"), "{file}: {}", said());
            fs::write(path.join(file), sound).unwrap();
        }
        // The names of the databases are part of the root.
        let manifest = fs::read_to_string(path.join(MANIFEST)).unwrap();
        fs::write(path.join(MANIFEST), manifest.replace("postgres", "progress")).unwrap();
        assert!(said().contains("its databases have root "), "{}", said());
        fs::write(path.join(MANIFEST), manifest.replace("\"format\": 1", "\"format\": 9")).unwrap();
        assert!(said().contains("it has format 9, and this program reads 1"), "{}", said());
        fs::write(path.join(MANIFEST), &manifest).unwrap();
        assert!(load(&path).is_ok());
    }

    #[test]
    fn without_the_databases_the_batch_is_saved_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let (root, databases) = databases();
        let Saved { path, left_out } =
            save(&RealDisk, directory.path(), &saved(7, root), &databases, "", &|| false).unwrap();
        assert_eq!(left_out.as_deref(), Some("memory was short, or the node was stopped"));
        assert_eq!(names(&path), ["batch", "manifest.json"]);
        let said = load(&path).err().expect("it is not read").to_string();
        assert!(
            said.ends_with("without the databases, which were not saved: memory was short, or the node was stopped")
        );
        // Asked before the first one, once for each of them.
        let calls = std::cell::Cell::new(0);
        let until_the_second = || calls.replace(calls.get() + 1) < 2;
        let saved = save(&RealDisk, directory.path(), &saved(8, root), &databases, "", &until_the_second).unwrap();
        assert_eq!((calls.get(), saved.left_out.as_deref()), (3, Some(STOPPED)));
        assert_eq!(names(&saved.path), ["batch", "manifest.json"]);
    }

    #[test]
    fn the_newest_are_kept_fewer_of_those_with_databases() {
        let real = tempfile::tempdir().unwrap();
        let simulated = SimulatedDisk::new(1);
        let disks: [(&dyn Disk, &Path); 2] = [(&RealDisk, real.path()), (&simulated, Path::new("/node-1"))];
        let (root, databases) = databases();
        for (disk, directory) in disks {
            let at = |index: u64| directory.join(format!("audit-{index}"));
            let kept = || disk.list(directory).unwrap();
            disk.create_directory(directory).unwrap();
            disk.open(&directory.join("audit-of-mine"), true).unwrap();
            for index in 1..=9 {
                save(disk, directory, &saved(index, root), &databases, "", &|| true).unwrap();
            }
            assert_eq!(kept(), [at(7), at(8), at(9), directory.join("audit-of-mine")]);
            // One that was not finished, and those without databases; one of them twice.
            disk.remove(&at(8).join(MANIFEST)).unwrap();
            for index in (20..40).chain([39]) {
                save(disk, directory, &saved(index, root), &databases, "", &|| false).unwrap();
            }
            let without = (40 - KEPT_WITHOUT as u64..40).map(at);
            let expected: Vec<PathBuf> = without.chain([at(7), at(9), directory.join("audit-of-mine")]).collect();
            assert_eq!(kept(), expected);
        }
    }
}
