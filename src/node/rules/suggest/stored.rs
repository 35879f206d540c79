//! A stopped node's state and log, opened as the node would, on a disk that takes nothing: its batches in the order in
//! which they were accepted, and how each was run.

use super::SuggestError;
use crate::batch::{Batch, Command};
use crate::engine::LocalError;
use crate::entry::{EncodedCommand, Entry, Payload};
use crate::log_store::{Log, LogOptions, Mode as LogMode};
use crate::page_store::checkpoint::Manifest;
use crate::page_store::{Snapshot, StoreOptions, StoredDatabase};
use crate::replica::{Learn, Options, Replica};
use crate::seam::{Disk, ScratchDisk};
use crate::token::{Accepted, LogId, Mode, NodeId};
use crate::verifier::{Effect, Ledger, Mark, Rules};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Entries that are read at once, in bytes.
const READ_BYTES: usize = 8 << 20;
/// Memory for the pages that the batches change: nothing of them goes to a disk.
const MEMORY_BYTES: usize = 1 << 30;

/// A node's files; nothing in them is changed.
pub(super) struct Stored {
    pub node: NodeId,
    disk: Arc<dyn Disk>,
    databases: PathBuf,
    log: Arc<Log>,
    start: Start,
    ledger: Ledger,
    /// What was accepted, by log index, where the log says so.
    accepted: BTreeMap<u64, Accepted>,
    /// Nobody runs on the files meanwhile.
    _lock: Option<File>,
}

/// The state that the batches run on.
enum Start {
    /// The log goes back to a new node.
    Beginning,
    Checkpoint(Manifest, Box<Mark>),
}

/// A batch of the log.
pub(super) struct StoredBatch<'a> {
    pub log_id: LogId,
    pub batch: &'a Batch,
    pub mode: Mode,
    /// Its result, where the log tells it.
    pub accepted: Option<Accepted>,
}

impl Stored {
    /// Opens `DATA`, as it was given to `serve` or `node`, and takes the first node in it; or `DATA/node-N`.
    pub fn open(from: &Path) -> Result<Stored, SuggestError> {
        let (node, directory) = node_in(from)?;
        let lock = lock(&directory)?;
        let disk: Arc<dyn Disk> = Arc::new(ScratchDisk::default());
        let unreadable = |path: &Path, reason: String| SuggestError::Unreadable { path: path.into(), reason };
        let path = directory.join("log");
        let log = Log::open(disk.clone(), &path, LogOptions::new(node, 0), LogMode::Inline)
            .map_err(|error| unreadable(&path, error.to_string()))?;
        let databases = directory.join("databases");
        let open = |start: Start| {
            let ledger = match &start {
                Start::Beginning => Ledger::default(),
                Start::Checkpoint(_, mark) => mark.ledger.clone(),
            };
            let (disk, databases, log) = (disk.clone(), databases.clone(), log.clone());
            Stored { node, disk, databases, log, start, ledger, accepted: BTreeMap::new(), _lock: None }
        };
        let is_whole = log.state().purged.is_none() && log.first_index() <= 1;
        let mut stored = match (is_whole, kept(&*disk, &databases, &log)) {
            (true, _) => open(Start::Beginning),
            (false, Some(kept)) => {
                let older = open(kept);
                match older.replica(1, Learn::Nothing) {
                    Ok(_) => older,
                    Err(_) => open(checkpoint(&*disk, &databases)?),
                }
            }
            (false, None) => open(checkpoint(&*disk, &databases)?),
        };
        stored.fold()?;
        Ok(Stored { _lock: lock, ..stored })
    }

    /// Takes in what the log says of attempts and acceptances.
    fn fold(&mut self) -> Result<(), SuggestError> {
        let mut ledger = std::mem::take(&mut self.ledger);
        let mut accepted: BTreeMap<u64, Accepted> = BTreeMap::new();
        let known = ledger.accepted;
        accepted.insert(known.log_id.index, known);
        let mut batches: BTreeMap<u64, (LogId, u32)> = BTreeMap::new();
        let rules = Rules::default();
        self.entries(self.log.first_index(), u64::MAX, |log_id, command| {
            let effect = match decoded(command)? {
                Command::Batch(batch) => {
                    batches.insert(log_id.index, (log_id, batch.transactions.len() as u32));
                    match batch.accepted.log_id.index > 0 && log_id.index > ledger.position {
                        true => ledger.accept(&batch.accepted, &rules),
                        false => Effect::Nothing,
                    }
                }
                Command::Verdict(verdict) if log_id.index > ledger.position => {
                    let batch = batches.get(&verdict.log_id.index).filter(|(known, _)| *known == verdict.log_id);
                    ledger.verdict(verdict, batch.map(|(_, count)| *count), &rules)
                }
                Command::Verdict(_) => Effect::Nothing,
            };
            if let Effect::Accepted(newest) = effect {
                accepted.insert(newest.log_id.index, newest);
            }
            Ok(())
        })?;
        (self.ledger, self.accepted) = (ledger, accepted);
        Ok(())
    }

    /// Log index of the state that the batches run on.
    pub fn first(&self) -> u64 {
        match &self.start {
            Start::Beginning => 0,
            Start::Checkpoint(_, mark) => mark.accepted.log_id.index,
        }
    }

    /// Log index of the newest batch that is known to be accepted.
    pub fn last(&self) -> u64 {
        self.ledger.accepted.log_id.index.max(self.first())
    }

    /// Batches behind that.
    pub fn unaccepted(&self) -> Result<u64, SuggestError> {
        let mut count = 0;
        self.entries(self.last() + 1, u64::MAX, |_, command| {
            count += u64::from(!command.is_verdict());
            Ok(())
        })?;
        Ok(count)
    }

    /// A replica in the state that the batches run on.
    pub fn replica(&self, workers: usize, learn: Learn) -> Result<Replica, SuggestError> {
        let store = StoreOptions { memory_budget_bytes: MEMORY_BYTES, ..StoreOptions::default() };
        let options = Options { store: store.clone(), workers, learn, ..Options::default() };
        let Start::Checkpoint(manifest, mark) = &self.start else { return Ok(Replica::create(options)?) };
        let mut snapshots: BTreeMap<Arc<str>, Snapshot> = BTreeMap::new();
        for section in &manifest.sections {
            // What is damaged proves itself at its first touch.
            let database =
                StoredDatabase::open(&*self.disk, &self.databases, section, store.clone(), &mut Vec::new()).map_err(
                    |error| SuggestError::Unreadable { path: self.databases.clone(), reason: error.to_string() },
                )?;
            snapshots.insert(section.name.as_str().into(), database.store().head());
        }
        Ok(Replica::over(options, snapshots, mark.accepted)?)
    }

    /// All batches that are known to be accepted, in order.
    pub fn batches(
        &self,
        mut each: impl FnMut(&StoredBatch<'_>) -> Result<(), SuggestError>,
    ) -> Result<(), SuggestError> {
        self.entries(self.first() + 1, self.last() + 1, |log_id, command| {
            let Command::Batch(batch) = decoded(command)? else { return Ok(()) };
            let index = log_id.index;
            let accepted = self.accepted.get(&index).copied();
            each(&StoredBatch { log_id, batch, mode: self.ledger.mode(index), accepted })
        })
    }

    /// Batches and verdicts from an index up to another one, which does not belong to them.
    fn entries(
        &self,
        from: u64,
        end: u64,
        mut each: impl FnMut(LogId, &EncodedCommand) -> Result<(), SuggestError>,
    ) -> Result<(), SuggestError> {
        let last = self.log.state().last.map_or(0, |log_id| log_id.index);
        let mut next = from;
        while next < end.min(last + 1) {
            let entries = self.log.read(next, end.min(last + 1), READ_BYTES).map_err(|error| {
                SuggestError::Unreadable { path: self.databases.with_file_name("log"), reason: error.to_string() }
            })?;
            let Some(newest) = entries.last().map(|entry| entry.log_id.index) else { return Ok(()) };
            for Entry { log_id, payload } in &entries {
                if let Payload::Command(command) = payload {
                    each(*log_id, command)?;
                }
            }
            next = newest + 1;
        }
        Ok(())
    }
}

/// Runs a batch as it was run, and goes on from its result, which must be the accepted one. Whether that was known.
pub(super) fn run_as_accepted(replica: &mut Replica, stored: &StoredBatch<'_>) -> Result<bool, SuggestError> {
    let executed = replica.execute(stored.log_id, stored.batch, &stored.mode)?;
    if let Some(accepted) = &stored.accepted
        && (executed.root, executed.answers) != (accepted.root, accepted.answers)
    {
        let (index, found, expected) = (stored.log_id.index, executed.root, accepted.root);
        let is_of_another = stored.batch.engine != crate::engine::fingerprint();
        return Err(SuggestError::Differs { index, found, expected, is_of_another });
    }
    let newest = replica.newest();
    replica.accept(&newest)?;
    for (_, snapshot) in replica.snapshots() {
        snapshot.store().reclaim();
        snapshot.store().evict();
    }
    Ok(stored.accepted.is_some())
}

fn decoded(command: &EncodedCommand) -> Result<&Command, SuggestError> {
    Ok(command.command().map_err(|error| LocalError::internal(error.to_string()))?)
}

/// The checkpoint before the last one, if the node has kept it when it ended, and the log goes back to it.
fn kept(disk: &dyn Disk, databases: &Path, log: &Log) -> Option<Start> {
    let manifest = Manifest::read_kept(disk, databases).ok()??;
    let mark: Mark = postcard::from_bytes(&manifest.mark).ok()?;
    let reaches_back = log.first_index() <= mark.accepted.log_id.index + 1;
    (mark.whole && reaches_back).then(|| Start::Checkpoint(manifest, Box::new(mark)))
}

fn checkpoint(disk: &dyn Disk, databases: &Path) -> Result<Start, SuggestError> {
    let unreadable = |reason: String| SuggestError::Unreadable { path: databases.into(), reason };
    let manifest = Manifest::read(disk, databases).map_err(|error| unreadable(error.to_string()))?;
    let manifest = manifest
        .ok_or_else(|| unreadable("there is no checkpoint, and the log does not begin with a new node".into()))?;
    let mark: Mark = postcard::from_bytes(&manifest.mark).map_err(|error| unreadable(error.to_string()))?;
    if !mark.whole {
        return Err(unreadable("this node was fetching its state from another one; take that one's files".into()));
    }
    Ok(Start::Checkpoint(manifest, Box::new(mark)))
}

/// The node's number and directory.
fn node_in(from: &Path) -> Result<(NodeId, PathBuf), SuggestError> {
    let none = || SuggestError::NoNode(from.into());
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix("node-")?.parse::<u64>().ok();
    if let Some(node) = number(from).filter(|_| from.join("log").is_dir()) {
        return Ok((node, from.into()));
    }
    let entries = std::fs::read_dir(from).map_err(|_| none())?;
    let nodes = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let nodes =
        nodes.filter_map(|path| Some((number(&path)?, path.clone()))).filter(|(_, path)| path.join("log").is_dir());
    nodes.min().ok_or_else(none)
}

/// Holds off a server on these files; does not make the file of the lock.
fn lock(directory: &Path) -> Result<Option<File>, SuggestError> {
    let data = directory.parent().unwrap_or(directory);
    let Ok(file) = File::open(data.join("lock")) else { return Ok(None) };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(SuggestError::InUse(data.into())),
        Err(TryLockError::Error(error)) => {
            Err(SuggestError::Unreadable { path: data.join("lock"), reason: error.to_string() })
        }
    }
}
