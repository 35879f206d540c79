//! A disk whose files are only read: what is written to it stays in memory, and is forgotten with it. For tools that open
//! a stopped node's files as the node would.

use super::disk::{Disk, DiskFile, RealDisk};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is written is held in pieces of this size.
const BLOCK_BYTES: u64 = 4_096;

/// The machine's files with what was written since laid over them.
#[derive(Default)]
pub struct ScratchDisk {
    /// Files that were opened or made here; none for what was removed.
    files: Mutex<BTreeMap<PathBuf, Option<Arc<ScratchFile>>>>,
    directories: Mutex<BTreeSet<PathBuf>>,
}

struct ScratchFile {
    /// Nothing for a file that is not on the machine.
    base: Option<Arc<dyn DiskFile>>,
    written: Mutex<Written>,
}

struct Written {
    length_bytes: u64,
    /// Bytes of the base behind this are not there any more, whatever the length is now.
    base_bytes: u64,
    /// By number; each whole.
    blocks: BTreeMap<u64, Box<[u8; BLOCK_BYTES as usize]>>,
}

impl ScratchDisk {
    fn file(&self, path: &Path, create: bool) -> io::Result<Arc<ScratchFile>> {
        let mut files = self.files.lock();
        let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no such file");
        let file = match files.get(path) {
            Some(Some(file)) => return Ok(file.clone()),
            Some(None) if create => ScratchFile::new(None)?,
            Some(None) => return Err(missing()),
            None => match RealDisk.open_to_read(path) {
                Ok(base) => ScratchFile::new(Some(base))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound && create => ScratchFile::new(None)?,
                Err(error) => return Err(error),
            },
        };
        let file = Arc::new(file);
        files.insert(path.into(), Some(file.clone()));
        Ok(file)
    }
}

impl Disk for ScratchDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(path, create)?)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.file(from, false)?;
        let mut files = self.files.lock();
        files.insert(from.into(), None);
        files.insert(to.into(), Some(file));
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.file(path, false)?;
        self.files.lock().insert(path.into(), None);
        Ok(())
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths: BTreeSet<PathBuf> = match RealDisk.list(directory) {
            Ok(paths) => paths.into_iter().collect(),
            Err(_) if self.directories.lock().contains(directory) => BTreeSet::new(),
            Err(error) => return Err(error),
        };
        for (path, file) in self.files.lock().iter().filter(|(path, _)| path.parent() == Some(directory)) {
            match file {
                Some(_) => paths.insert(path.clone()),
                None => paths.remove(path),
            };
        }
        Ok(paths.into_iter().collect())
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.directories.lock().extend(path.ancestors().map(Path::to_path_buf));
        Ok(())
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.directories.lock().remove(path);
        Ok(())
    }
    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn exists(&self, path: &Path) -> bool {
        match self.files.lock().get(path) {
            Some(file) => file.is_some(),
            None => self.directories.lock().contains(path) || RealDisk.exists(path),
        }
    }
}

impl ScratchFile {
    fn new(base: Option<Arc<dyn DiskFile>>) -> io::Result<ScratchFile> {
        let length_bytes = base.as_ref().map_or(Ok(0), |base| base.length_bytes())?;
        let written = Written { length_bytes, base_bytes: length_bytes, blocks: BTreeMap::new() };
        Ok(ScratchFile { base, written: Mutex::new(written) })
    }

    /// Fills a buffer with what the base still has there, and zeros.
    fn read_base(&self, buffer: &mut [u8], offset: u64, base_bytes: u64) -> io::Result<()> {
        let there = (base_bytes.saturating_sub(offset)).min(buffer.len() as u64) as usize;
        let (from_base, zeros) = buffer.split_at_mut(there);
        zeros.fill(0);
        match &self.base {
            Some(base) if there > 0 => {
                let filled = base.read_at(from_base, offset)?;
                from_base[filled..].fill(0);
            }
            _ => from_base.fill(0),
        }
        Ok(())
    }
}

/// The blocks that a range of bytes falls into: number, bytes of the block, place in the range.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let start = (at % BLOCK_BYTES) as usize;
        let count = (BLOCK_BYTES as usize - start).min(length - done);
        let piece = (at / BLOCK_BYTES, start..start + count, done);
        done += count;
        (count > 0).then_some(piece)
    })
}

impl DiskFile for ScratchFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let written = self.written.lock();
        let count = written.length_bytes.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..count];
        self.read_base(buffer, offset, written.base_bytes)?;
        if written.blocks.is_empty() {
            return Ok(count);
        }
        for (number, within, at) in pieces(offset, count) {
            if let Some(block) = written.blocks.get(&number) {
                let length = within.len();
                buffer[at..at + length].copy_from_slice(&block[within]);
            }
        }
        Ok(count)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut written = self.written.lock();
        for (number, within, at) in pieces(offset, bytes.len()) {
            if !written.blocks.contains_key(&number) {
                let mut block = Box::new([0; BLOCK_BYTES as usize]);
                self.read_base(&mut *block, number * BLOCK_BYTES, written.base_bytes)?;
                written.blocks.insert(number, block);
            }
            if let Some(block) = written.blocks.get_mut(&number) {
                let length = within.len();
                block[within].copy_from_slice(&bytes[at..at + length]);
            }
        }
        if !bytes.is_empty() {
            written.length_bytes = written.length_bytes.max(offset + bytes.len() as u64);
        }
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn length_bytes(&self) -> io::Result<u64> {
        Ok(self.written.lock().length_bytes)
    }
    fn set_length(&self, length_bytes: u64) -> io::Result<()> {
        let mut written = self.written.lock();
        written.base_bytes = written.base_bytes.min(length_bytes);
        drop(written.blocks.split_off(&length_bytes.div_ceil(BLOCK_BYTES)));
        // What the last block holds behind the end must be zeros if the file grows again.
        if let Some(block) = written.blocks.get_mut(&(length_bytes / BLOCK_BYTES)) {
            block[(length_bytes % BLOCK_BYTES) as usize..].fill(0);
        }
        written.length_bytes = length_bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_are_made_renamed_and_removed_in_memory_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("a"), b"on the disk").unwrap();
        let disk = ScratchDisk::default();
        disk.open(&path("b"), true).unwrap().write_at(b"new", 0).unwrap();
        disk.rename(&path("a"), &path("c")).unwrap();
        assert_eq!(disk.list(directory.path()).unwrap(), [path("b"), path("c")]);
        assert!(!disk.exists(&path("a")) && disk.open(&path("a"), false).is_err());
        disk.remove(&path("b")).unwrap();
        assert!(disk.remove(&path("b")).is_err());
        let mut buffer = [0; 20];
        assert_eq!(disk.open(&path("c"), false).unwrap().read_at(&mut buffer, 3).unwrap(), 8);
        assert_eq!(&buffer[..8], b"the disk");
        assert_eq!(RealDisk.list(directory.path()).unwrap(), [path("a")]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        Cut(u64),
        Read(u64, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let place = || 0..3 * BLOCK_BYTES;
        let step = prop_oneof![
            (place(), proptest::collection::vec(1u8.., 0..6_000)).prop_map(|(at, bytes)| Step::Write(at, bytes)),
            place().prop_map(Step::Cut),
            (place(), 0usize..9_000).prop_map(|(at, count)| Step::Read(at, count)),
        ];
        proptest::collection::vec(step, 1..20)
    }

    proptest! {
        #[test]
        fn a_file_reads_as_a_real_one_would_and_the_real_one_stays(steps in steps(), first in 0usize..10_000) {
            let directory = tempfile::tempdir().unwrap();
            let (path, copy) = (directory.path().join("a"), directory.path().join("b"));
            let bytes: Vec<u8> = (0..first).map(|at| at as u8 | 1).collect();
            std::fs::write(&path, &bytes).unwrap();
            std::fs::write(&copy, &bytes).unwrap();
            let files = [ScratchDisk::default().open(&path, false).unwrap(), RealDisk.open(&copy, false).unwrap()];
            for step in &steps {
                let read = files.each_ref().map(|file| match step {
                    Step::Write(at, bytes) => file.write_at(bytes, *at).map(|()| Vec::new()),
                    Step::Cut(at) => file.set_length(*at).map(|()| Vec::new()),
                    Step::Read(at, count) => {
                        let mut buffer = vec![0; *count];
                        file.read_at(&mut buffer, *at).map(|filled| buffer[..filled].to_vec())
                    }
                }.unwrap());
                prop_assert_eq!(&read[0], &read[1]);
                // An empty write does not make a file longer.
                prop_assert_eq!(files[0].length_bytes().unwrap(), files[1].length_bytes().unwrap());
            }
            prop_assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }
}
