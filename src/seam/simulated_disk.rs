//! A disk in memory that crashes, tears, reorders, flips bits and fills up, all from one seed.
//!
//! The whole-system simulator runs nodes on it, and the page store and the log test their recovery
//! with it. Each call of [`Disk`] or [`DiskFile`] that changes something is one *operation* with a
//! number, so a test can crash at every one of them in turn.
//!
//! What a crash leaves behind is as nasty as POSIX allows:
//! - data and lengths that were synced survive; of unsynced writes each 512-byte sector survives or
//!   not, independently, so writes are lost, torn and reordered;
//! - names (creations, renames, removals) survive up to a random point after the last
//!   [`Disk::sync_directory`] of their directory, in order, as on a journalling file system;
//! - the operation that the crash hits is as unsynced as the ones before it.

use super::{Disk, DiskFile};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that a real disk writes at once or not at all.
const SECTOR_BYTES: usize = 512;

/// What happens to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// The machine stops here: this operation is unsynced, every later one fails until
    /// [`SimulatedDisk::restart`].
    Crash,
    /// EIO; nothing is written. A failed sync loses what it should have made durable: programs still read it,
    /// but no later sync of the same bytes makes it survive, as on Linux.
    Error,
    /// ENOSPC; a write leaves a part of its bytes, a sync fails as above.
    Full,
}

impl DiskFault {
    fn error(self) -> io::Error {
        match self {
            DiskFault::Crash => crash_error(),
            DiskFault::Error => io::Error::from_raw_os_error(libc::EIO),
            DiskFault::Full => io::Error::from_raw_os_error(libc::ENOSPC),
        }
    }
}

/// The disk; clones are handles to the same one.
#[derive(Clone)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

struct State {
    /// Names as running programs see them.
    names: BTreeMap<PathBuf, usize>,
    directories: BTreeSet<PathBuf>,
    /// Names as they would be after a crash now, before `pending_names` are taken into account.
    durable_names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<NameChange>,
    files: Vec<FileState>,
    random: u64,
    operations: u64,
    faults: BTreeMap<u64, DiskFault>,
    crashed: bool,
    has_failed: bool,
    capacity_bytes: Option<u64>,
    /// Handles opened before a restart belong to a process that is gone.
    epoch: u64,
    gate: Arc<Gate>,
}

/// Where fdatasyncs wait while they are held back.
#[derive(Default)]
struct Gate {
    closed: Mutex<Closed>,
    opens: Condvar,
}

#[derive(Default)]
struct Closed {
    is_closed: bool,
    waiting: usize,
}

impl Gate {
    fn set(&self, is_closed: bool) {
        self.closed.lock().is_closed = is_closed;
        self.opens.notify_all();
    }

    fn pass(&self) {
        let mut closed = self.closed.lock();
        closed.waiting += 1;
        self.opens.wait_while(&mut closed, |closed| closed.is_closed);
        closed.waiting -= 1;
    }
}

/// While it lives, fdatasyncs wait ([`SimulatedDisk::hold_syncs`]).
pub struct HeldSyncs(Arc<Gate>);

impl HeldSyncs {
    /// How many have begun and wait.
    pub fn waiting(&self) -> usize {
        self.0.closed.lock().waiting
    }
}

impl Drop for HeldSyncs {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[derive(Default)]
struct FileState {
    current: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

enum NameChange {
    Bind { path: PathBuf, file: usize },
    Unbind { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
}

impl SimulatedDisk {
    /// An empty disk whose accidents follow from `seed`.
    pub fn new(seed: u64) -> Self {
        SimulatedDisk(Arc::new(Mutex::new(State {
            names: BTreeMap::new(),
            directories: BTreeSet::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            files: Vec::new(),
            random: seed ^ 0x9e37_79b9_7f4a_7c15,
            operations: 0,
            faults: BTreeMap::new(),
            crashed: false,
            has_failed: false,
            capacity_bytes: None,
            epoch: 0,
            gate: Arc::default(),
        })))
    }

    /// Changing operations so far, failed ones included.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// Plans a fault for the operation of that number (the next one is [`SimulatedDisk::operations`]).
    pub fn fault_at(&self, operation: u64, fault: DiskFault) {
        self.0.lock().faults.insert(operation, fault);
    }

    /// Forgets all planned faults.
    pub fn clear_faults(&self) {
        self.0.lock().faults.clear();
    }

    /// Makes fdatasyncs wait from now on, until what this returns is dropped or the machine is started again. Whoever
    /// calls one waits: this is for logs with a thread of their own.
    pub fn hold_syncs(&self) -> HeldSyncs {
        let gate = self.0.lock().gate.clone();
        gate.set(true);
        HeldSyncs(gate)
    }

    /// Bytes that all files together may hold; `None` (the default) has no limit.
    pub fn set_capacity_bytes(&self, capacity_bytes: Option<u64>) {
        self.0.lock().capacity_bytes = capacity_bytes;
    }

    /// Whether an operation has failed since the machine was started, by plan or as the disk was full.
    pub fn has_failed(&self) -> bool {
        self.0.lock().has_failed
    }

    /// Whether a planned crash has happened.
    pub fn crashed(&self) -> bool {
        self.0.lock().crashed
    }

    /// Stops the machine now and starts it again: unsynced changes survive or not, as the head of this
    /// file says, and handles from before answer with errors.
    pub fn restart(&self) {
        let mut state = self.0.lock();
        state.lose_unsynced();
        state.crashed = false;
        state.has_failed = false;
        state.epoch += 1;
        state.faults.clear();
        state.gate.set(false);
    }

    /// Flips one bit of a file, on the medium and in the cache; false when the file is shorter.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> bool {
        let mut state = self.0.lock();
        let Some(&file) = state.names.get(path) else { return false };
        let file = &mut state.files[file];
        let (offset, mask) = (offset as usize, 1u8 << (bit % 8));
        let Some(byte) = file.current.get_mut(offset) else { return false };
        *byte ^= mask;
        if let Some(byte) = file.durable.get_mut(offset) {
            *byte ^= mask;
        }
        true
    }

    /// All files and what a program would read in them now.
    pub fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.0.lock();
        state.names.iter().map(|(path, &file)| (path.clone(), state.files[file].current.clone())).collect()
    }

    /// Writes all files into a real directory, so that other programs (stock SQLite) can open them.
    pub fn export(&self, directory: &Path) -> io::Result<()> {
        for (path, bytes) in self.contents() {
            let to = directory.join(path.strip_prefix("/").unwrap_or(&path));
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(to, bytes)?;
        }
        Ok(())
    }
}

impl State {
    /// Counts an operation and says what is to happen to it.
    fn operation(&mut self) -> io::Result<Option<DiskFault>> {
        if self.crashed {
            return Err(crash_error());
        }
        let number = self.operations;
        self.operations += 1;
        let fault = self.faults.remove(&number);
        self.crashed = fault == Some(DiskFault::Crash);
        self.has_failed |= fault.is_some();
        Ok(fault)
    }

    /// As [`State::operation`], for operations that happen or do not.
    fn plain_operation(&mut self) -> io::Result<Option<DiskFault>> {
        match self.operation()? {
            Some(fault @ (DiskFault::Error | DiskFault::Full)) => Err(fault.error()),
            other => Ok(other),
        }
    }

    fn random(&mut self) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn coin(&mut self) -> bool {
        self.random() & 1 == 0
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|&file| self.files[file].current.len() as u64).sum()
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    fn lose_unsynced(&mut self) {
        let pending = std::mem::take(&mut self.pending_names);
        let mut cut_off: BTreeSet<PathBuf> = BTreeSet::new();
        for change in pending {
            let directory = change.directory();
            if !cut_off.contains(&directory) && self.coin() {
                change.apply(&mut self.durable_names);
            } else {
                cut_off.insert(directory);
            }
        }
        self.names = self.durable_names.clone();
        for index in 0..self.files.len() {
            let unsynced = std::mem::take(&mut self.files[index].unsynced);
            // Sometimes all of it or nothing of it survives; those states matter as much as mixtures.
            let luck = self.random() % 4;
            let mut durable = std::mem::take(&mut self.files[index].durable);
            for change in unsynced {
                self.survive(&mut durable, change, luck);
            }
            self.files[index].current = durable.clone();
            self.files[index].durable = durable;
        }
    }

    fn survive(&mut self, durable: &mut Vec<u8>, change: Change, luck: u64) {
        let lucky = |state: &mut State| match luck {
            0 => false,
            1 => true,
            _ => state.coin(),
        };
        match change {
            Change::Length(length) => {
                if lucky(self) {
                    durable.resize(length, 0);
                }
            }
            Change::Write { offset, bytes } => {
                let mut at = 0;
                while at < bytes.len() {
                    let sector_end = ((offset + at) / SECTOR_BYTES + 1) * SECTOR_BYTES - offset;
                    let end = sector_end.min(bytes.len());
                    if lucky(self) {
                        write_into(durable, offset + at, &bytes[at..end]);
                    }
                    at = end;
                }
            }
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Bind { path, file } => {
                names.insert(path.clone(), *file);
            }
            NameChange::Unbind { path } => {
                names.remove(path);
            }
            NameChange::Rename { from, to } => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }

    fn directory(&self) -> PathBuf {
        let path = match self {
            NameChange::Bind { path, .. } | NameChange::Unbind { path } => path,
            NameChange::Rename { to, .. } => to,
        };
        path.parent().unwrap_or(Path::new("/")).to_path_buf()
    }
}

fn write_into(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if file.len() < offset + bytes.len() {
        file.resize(offset + bytes.len(), 0);
    }
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn crash_error() -> io::Error {
    io::Error::other("the simulated machine has crashed")
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        if state.crashed {
            return Err(crash_error());
        }
        let epoch = state.epoch;
        if let Some(&file) = state.names.get(path) {
            return Ok(Arc::new(SimulatedFile { disk: self.0.clone(), file, epoch }));
        }
        if !create {
            return Err(io::ErrorKind::NotFound.into());
        }
        let fault = state.plain_operation()?;
        let file = state.files.len();
        state.files.push(FileState::default());
        state.change_name(NameChange::Bind { path: path.to_path_buf(), file });
        if fault == Some(DiskFault::Crash) {
            return Err(crash_error());
        }
        Ok(Arc::new(SimulatedFile { disk: self.0.clone(), file, epoch }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let fault = state.plain_operation()?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Rename { from: from.to_path_buf(), to: to.to_path_buf() });
        if fault == Some(DiskFault::Crash) { Err(crash_error()) } else { Ok(()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let fault = state.plain_operation()?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Unbind { path: path.to_path_buf() });
        if fault == Some(DiskFault::Crash) { Err(crash_error()) } else { Ok(()) }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.0.lock();
        if state.crashed {
            return Err(crash_error());
        }
        let below = state.directories.iter().chain(state.names.keys());
        let found: BTreeSet<PathBuf> = below.filter(|path| path.parent() == Some(directory)).cloned().collect();
        Ok(found.into_iter().collect())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        // Directories are durable at once: losing one loses nothing that its files' names do not.
        let mut state = self.0.lock();
        if state.crashed {
            return Err(crash_error());
        }
        let ancestors: Vec<PathBuf> = path.ancestors().map(Path::to_path_buf).collect();
        state.directories.extend(ancestors);
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.crashed {
            return Err(crash_error());
        }
        let is_below = |other: &PathBuf| other.parent() == Some(path);
        if state.directories.iter().chain(state.names.keys()).any(is_below) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        match state.directories.remove(path) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if let Some(fault) = state.operation()? {
            return Err(fault.error());
        }
        let pending = std::mem::take(&mut state.pending_names);
        for change in pending {
            if change.directory() == path {
                change.apply(&mut state.durable_names);
            } else {
                state.pending_names.push(change);
            }
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.0.lock();
        !state.crashed && (state.names.contains_key(path) || state.directories.contains(path))
    }
}

struct SimulatedFile {
    disk: Arc<Mutex<State>>,
    file: usize,
    epoch: u64,
}

impl SimulatedFile {
    fn state(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let state = self.disk.lock();
        if state.crashed || state.epoch != self.epoch {
            return Err(crash_error());
        }
        Ok(state)
    }
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state()?;
        let current = &state.files[self.file].current;
        let start = (offset as usize).min(current.len());
        let count = buffer.len().min(current.len() - start);
        buffer[..count].copy_from_slice(&current[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let mut fault = state.operation()?;
        let offset = offset as usize;
        let mut written = bytes.len();
        let length = state.files[self.file].current.len();
        if fault == Some(DiskFault::Error) {
            written = 0;
        }
        let growth = (offset + bytes.len()).saturating_sub(length) as u64;
        if growth > 0 && state.capacity_bytes.is_some_and(|capacity| state.used_bytes() + growth > capacity) {
            fault = fault.or(Some(DiskFault::Full));
            state.has_failed = true;
        }
        if fault == Some(DiskFault::Full) {
            written = (state.random() % bytes.len().max(1) as u64) as usize;
            // A full disk takes no more bytes than it has, and what it has may be overwritten.
            written = written.min(length.saturating_sub(offset));
        }
        if written > 0 {
            let file = &mut state.files[self.file];
            write_into(&mut file.current, offset, &bytes[..written]);
            file.unsynced.push(Change::Write { offset, bytes: bytes[..written].to_vec() });
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let gate = self.state()?.gate.clone();
        gate.pass();
        let mut state = self.state()?;
        let fault = state.operation()?;
        let file = &mut state.files[self.file];
        if let Some(fault) = fault {
            if fault != DiskFault::Crash {
                file.unsynced.clear();
            }
            return Err(fault.error());
        }
        for change in std::mem::take(&mut file.unsynced) {
            match change {
                Change::Write { offset, bytes } => write_into(&mut file.durable, offset, &bytes),
                Change::Length(length) => file.durable.resize(length, 0),
            }
        }
        Ok(())
    }

    fn length_bytes(&self) -> io::Result<u64> {
        let state = self.state()?;
        Ok(state.files[self.file].current.len() as u64)
    }

    fn set_length(&self, length_bytes: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let fault = state.plain_operation()?;
        let file = &mut state.files[self.file];
        file.current.resize(length_bytes as usize, 0);
        file.unsynced.push(Change::Length(length_bytes as usize));
        if fault == Some(DiskFault::Crash) { Err(crash_error()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(disk: &SimulatedDisk, path: &str, bytes: &[u8], sync: bool) -> Arc<dyn DiskFile> {
        let file = disk.open(Path::new(path), true).unwrap();
        file.write_at(bytes, 0).unwrap();
        if sync {
            file.sync_data().unwrap();
        }
        file
    }

    #[test]
    fn synced_data_under_a_synced_name_survives() {
        for seed in 0..20 {
            let disk = SimulatedDisk::new(seed);
            written(&disk, "/d/a", &[7; 5000], true);
            disk.sync_directory(Path::new("/d")).unwrap();
            disk.restart();
            let mut read = vec![0; 6000];
            assert_eq!(disk.open(Path::new("/d/a"), false).unwrap().read_at(&mut read, 0).unwrap(), 5000);
            assert!(read[..5000].iter().all(|&byte| byte == 7));
        }
    }

    #[test]
    fn unsynced_writes_are_torn_at_sectors_and_unsynced_names_vanish() {
        let (mut torn, mut vanished) = (0, 0);
        for seed in 0..50 {
            let disk = SimulatedDisk::new(seed);
            written(&disk, "/d/a", &[1; 4096], true);
            disk.sync_directory(Path::new("/d")).unwrap();
            written(&disk, "/d/a", &[2; 4096], false);
            written(&disk, "/d/b", &[3; 10], true);
            disk.restart();
            vanished += usize::from(!disk.exists(Path::new("/d/b")));
            let mut read = vec![0; 4096];
            disk.open(Path::new("/d/a"), false).unwrap().read_at(&mut read, 0).unwrap();
            let sectors: Vec<u8> = read.chunks(SECTOR_BYTES).map(|sector| sector[0]).collect();
            assert!(read.chunks(SECTOR_BYTES).all(|sector| sector.iter().all(|&byte| byte == sector[0])));
            torn += usize::from(sectors.contains(&1) && sectors.contains(&2));
        }
        assert!(torn > 5 && vanished > 5, "{torn} torn, {vanished} vanished");
    }

    #[test]
    fn a_planned_crash_hits_its_operation_and_stops_all_after_it() {
        let disk = SimulatedDisk::new(1);
        let file = written(&disk, "/d/a", &[1; 100], true);
        disk.fault_at(disk.operations() + 1, DiskFault::Crash);
        file.write_at(&[2; 100], 0).unwrap();
        assert!(file.sync_data().is_err());
        assert!(
            disk.crashed()
                && file.write_at(&[3; 1], 0).is_err()
                && disk.rename(Path::new("/d/a"), Path::new("/b")).is_err()
        );
        disk.restart();
        assert!(file.read_at(&mut [0; 1], 0).is_err(), "handles of the dead process stay dead");
    }

    #[test]
    fn what_a_failed_sync_lost_stays_lost() {
        let disk = SimulatedDisk::new(1);
        let file = written(&disk, "/d/a", &[1; 100], true);
        disk.sync_directory(Path::new("/d")).unwrap();
        file.write_at(&[2; 100], 0).unwrap();
        disk.fault_at(disk.operations(), DiskFault::Error);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        let mut read = [0; 100];
        file.read_at(&mut read, 0).unwrap();
        assert_eq!(read, [2; 100]);
        disk.restart();
        disk.open(Path::new("/d/a"), false).unwrap().read_at(&mut read, 0).unwrap();
        assert_eq!(read, [1; 100]);
    }

    #[test]
    fn a_full_disk_says_so_and_still_lets_old_bytes_be_overwritten() {
        let disk = SimulatedDisk::new(1);
        disk.set_capacity_bytes(Some(4096));
        let file = written(&disk, "/d/a", &[1; 4096], true);
        assert_eq!(file.write_at(&[2; 512], 4000).unwrap_err().raw_os_error(), Some(libc::ENOSPC));
        assert_eq!(file.length_bytes().unwrap(), 4096);
        file.write_at(&[3; 512], 0).unwrap();
    }
}
