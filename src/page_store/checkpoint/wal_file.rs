//! `evesql.db-wal`: the pages of checkpoints, written as a genuine SQLite write-ahead log.
//!
//! A checkpoint appends its changed pages and syncs once; the last frame carries the page count and so
//! commits for stock SQLite, the manifest commits for us. When every page has been copied into the base
//! file, the log starts again from the front with other salts.
//!
//! All numbers are big-endian (`https://sqlite.org/fileformat2.html#walformat`).
//!
//! | offset | bytes | header |
//! |-------:|------:|--------|
//! | 0 | 4 | magic `0x377f0682`: checksums over little-endian words |
//! | 4 | 4 | format version 3007000 |
//! | 8 | 4 | page size, 4096 |
//! | 12 | 4 | sequence: how often the log started again |
//! | 16 | 4 | salt 1, one more at each start |
//! | 20 | 4 | salt 2, another at each start |
//! | 24 | 8 | checksum of bytes 0 to 23 |
//!
//! | offset | bytes | frame `i`, at `32 + i * 4120` |
//! |-------:|------:|-------------------------------|
//! | 0 | 4 | page number |
//! | 4 | 4 | pages in the database if this frame commits, else 0 |
//! | 8 | 8 | salts 1 and 2 of the header |
//! | 16 | 8 | checksum over everything before: continues the previous frame's with bytes 0 to 7 and the page |
//! | 24 | 4096 | the page |
//!
//! Invariants:
//! - W1. Frames that a durable manifest counts are not overwritten before all their pages are durable in
//!   the base file.
//! - W2. The header of a new round is durable before its first frame is written; else old frames that
//!   survive in front of new ones would read as an older commit.
//! - W3. The manifest's salts, or the next ones (`salt 1 + 1`), stand in the header. The next ones mean
//!   that the round which the manifest names is wholly in the base file.

use super::{CheckpointError, Notice, ReadPage, at_path, page_hash};
use crate::page::{Hash, PAGE_SIZE, PageNumber};
use crate::seam::DiskFile;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;
const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
pub(super) const FRAME_BYTES: usize = FRAME_HEADER_BYTES + PAGE_SIZE;
/// Frames that are gathered for one write.
const FRAMES_PER_WRITE: usize = 64;
/// A log that starts again keeps this much of its file.
const KEPT_BYTES: u64 = 32 << 20;
const NO_FRAME: u32 = u32::MAX;

/// Which frames of which round of the log belong to a checkpoint: what the manifest holds of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WalPosition {
    /// Round of the log.
    pub sequence: u32,
    /// Salts of the round.
    pub salts: [u32; 2],
    /// Frames from the front that belong to checkpoints.
    pub frames: u32,
    /// Checksum of the last of them (of the header if there is none).
    pub checksum: [u32; 2],
}

impl WalPosition {
    /// An empty round.
    fn start(sequence: u32, salts: [u32; 2]) -> Self {
        let header = encode_header(sequence, salts);
        WalPosition { sequence, salts, frames: 0, checksum: read_pair(&header[24..32]) }
    }

    /// The round after this one. Salt 2 follows from what it replaces, so a simulated run repeats.
    fn next_round(&self) -> Self {
        let mut seed = [0u8; 20];
        for (word, value) in seed.chunks_mut(4).zip([self.salts[0], self.salts[1], self.sequence]) {
            word.copy_from_slice(&value.to_le_bytes());
        }
        seed[12..16].copy_from_slice(&self.checksum[0].to_le_bytes());
        seed[16..20].copy_from_slice(&self.checksum[1].to_le_bytes());
        let salt2 = Hash::of(&seed).0 as u32;
        WalPosition::start(self.sequence.wrapping_add(1), [self.salts[0].wrapping_add(1), salt2])
    }
}

/// Frames that are written but not yet counted by a manifest.
pub struct Appended {
    position: WalPosition,
    frames: Vec<(PageNumber, Hash)>,
}

impl Appended {
    /// What a manifest that counts these frames holds.
    pub fn position(&self) -> WalPosition {
        self.position
    }
}

struct Frame {
    /// Hash of the page's bytes as they were when the frame was written or the log was opened.
    hash: Hash,
    /// The frame that held the page before, or [`NO_FRAME`].
    previous: u32,
}

/// The log and the index of its frames.
pub struct WalFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    position: WalPosition,
    frames: Vec<Frame>,
    newest: HashMap<PageNumber, u32>,
    /// Pages whose newest frame is not in the base file yet, with that frame.
    waiting: BTreeMap<PageNumber, u32>,
    /// The header on disk may not be that of `position`: write it before anything else.
    header_is_stale: bool,
}

impl WalFile {
    /// A log for a new database; whatever the file holds is void.
    pub fn create(file: Arc<dyn DiskFile>, path: &Path) -> Result<Self, CheckpointError> {
        let left_over = at_path(path, read_header(&*file))?.unwrap_or_default();
        let mut wal = Self::empty(file, path, left_over);
        wal.start_round()?;
        Ok(wal)
    }

    fn empty(file: Arc<dyn DiskFile>, path: &Path, position: WalPosition) -> Self {
        WalFile {
            file,
            path: path.to_path_buf(),
            position,
            frames: Vec::new(),
            newest: HashMap::new(),
            waiting: BTreeMap::new(),
            header_is_stale: false,
        }
    }

    /// Opens the log at the place that the manifest names and indexes its frames. Damage is noted, not
    /// fatal: every page that is read proves itself, and what a lost frame held is found at first touch.
    pub fn open(
        file: Arc<dyn DiskFile>,
        path: &Path,
        listed: WalPosition,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, CheckpointError> {
        let mut wal = Self::empty(file, path, listed);
        let next = listed.next_round();
        match at_path(path, read_header(&*wal.file))? {
            Some(found) if found.salts == listed.salts => wal.index(notices)?,
            Some(found) if found.salts == next.salts => wal.position = found,
            Some(_) => {
                notices.push(Notice::new(path, "was written by another program; pages are read from the base file"));
                wal.position = next;
                wal.header_is_stale = true;
            }
            None => {
                wal.index(notices)?;
                notices.push(Notice::new(path, "its header is missing or damaged and will be written again"));
                wal.header_is_stale = true;
                if wal.frames.is_empty() {
                    wal.position = next;
                }
            }
        }
        Ok(wal)
    }

    /// Reads all frames that the manifest counts. A frame that does not continue its predecessor's checksum is
    /// left out, unless its successor (or the manifest) proves that only the checksum itself was hit.
    fn index(&mut self, notices: &mut Vec<Notice>) -> Result<(), CheckpointError> {
        let header = encode_header(self.position.sequence, self.position.salts);
        let mut chain = Chain::new(read_pair(&header[24..32]));
        let mut frames: Vec<Option<(PageNumber, Hash)>> = Vec::with_capacity(self.position.frames as usize);
        let mut doubtful: Option<(PageNumber, Hash)> = None;
        let mut bytes = vec![0u8; FRAME_BYTES * FRAMES_PER_WRITE];
        while (frames.len() as u32) < self.position.frames {
            let count = (self.position.frames - frames.len() as u32).min(FRAMES_PER_WRITE as u32) as usize;
            let chunk = &mut bytes[..count * FRAME_BYTES];
            let filled = at_path(&self.path, self.file.read_at(chunk, frame_offset(frames.len() as u32)))?;
            chunk[filled..].fill(0);
            for frame in chunk.chunks(FRAME_BYTES) {
                let content: &[u8; PAGE_SIZE] =
                    frame[FRAME_HEADER_BYTES..].try_into().expect("a frame ends with a page");
                let found = (read_word(&frame[..4]), page_hash(content));
                let link = chain.follow(frame);
                let is_ours = read_pair(&frame[8..16]) == self.position.salts && found.0 != 0;
                if let (Link::ProvesPrevious, Some(last)) = (link, frames.last_mut()) {
                    *last = doubtful;
                }
                doubtful = Some(found).filter(|_| is_ours);
                frames.push(doubtful.filter(|_| link != Link::Broken));
            }
        }
        if let (true, Some(last)) = (chain.computed == self.position.checksum, frames.last_mut()) {
            *last = doubtful;
        }
        for (number, frame) in frames.into_iter().enumerate() {
            if frame.is_none() {
                notices.push(Notice::new(
                    &self.path,
                    format!("frame {number} is damaged or missing; what it held is repaired when it is used"),
                ));
            }
            self.push(frame);
        }
        Ok(())
    }

    fn push(&mut self, frame: Option<(PageNumber, Hash)>) {
        let number = self.frames.len() as u32;
        let (mut hash, mut previous) = (Hash::default(), NO_FRAME);
        if let Some((page, found)) = frame {
            hash = found;
            previous = self.newest.insert(page, number).unwrap_or(NO_FRAME);
            self.waiting.insert(page, number);
        }
        self.frames.push(Frame { hash, previous });
    }

    /// Where the log stands: frames that a durable manifest counts.
    pub fn position(&self) -> WalPosition {
        self.position
    }

    /// Removes what a checkpoint wrote that no manifest counts, and repairs the header if need be.
    pub fn tidy(&mut self) -> Result<(), CheckpointError> {
        let end = frame_offset(self.position.frames);
        if at_path(&self.path, self.file.length_bytes())? > end {
            at_path(&self.path, self.file.set_length(end))?;
        }
        if self.header_is_stale { self.write_header() } else { Ok(()) }
    }

    /// Writes frames behind the counted ones and makes them durable. They count only after
    /// [`WalFile::accept`]; if this fails or is never accepted, the next call overwrites them.
    ///
    /// `read` fills in a page and says the hash that its bytes must have.
    pub fn append(
        &self,
        pages: &[PageNumber],
        page_count: u32,
        read: ReadPage<'_>,
    ) -> Result<Appended, CheckpointError> {
        let mut position = self.position;
        let mut frames = Vec::with_capacity(pages.len());
        let mut bytes = Vec::with_capacity(FRAME_BYTES * pages.len().min(FRAMES_PER_WRITE));
        let mut content = [0u8; PAGE_SIZE];
        for chunk in pages.chunks(FRAMES_PER_WRITE) {
            let offset = frame_offset(position.frames);
            bytes.clear();
            for &page in chunk {
                let hash = read(page, &mut content)?;
                if page_hash(&content) != hash {
                    return Err(CheckpointError::DamagedInMemory { page });
                }
                frames.push((page, hash));
                let is_last = frames.len() == pages.len();
                position.frames += 1;
                encode_frame(&mut bytes, &mut position, page, if is_last { page_count } else { 0 }, &content);
            }
            at_path(&self.path, self.file.write_at(&bytes, offset))?;
        }
        if !frames.is_empty() {
            at_path(&self.path, self.file.sync_data())?;
        }
        Ok(Appended { position, frames })
    }

    /// Counts appended frames: a durable manifest does now.
    pub fn accept(&mut self, appended: Appended) {
        assert_eq!(appended.position.salts, self.position.salts, "W1: the log started again under a checkpoint");
        self.position = appended.position;
        for frame in appended.frames {
            self.push(Some(frame));
        }
    }

    /// Frames that hold a page, newest first, with the hash of what they hold.
    pub fn frames_of(&self, page: PageNumber) -> impl Iterator<Item = (u32, Hash)> + '_ {
        let mut next = self.newest.get(&page).copied().unwrap_or(NO_FRAME);
        std::iter::from_fn(move || {
            let frame = self.frames.get(next as usize)?;
            let found = (next, frame.hash);
            next = frame.previous;
            Some(found)
        })
    }

    /// Reads a frame's page; the caller proves it.
    pub fn read(&self, frame: u32, buffer: &mut [u8; PAGE_SIZE]) -> Result<(), CheckpointError> {
        let filled = at_path(&self.path, self.file.read_at(buffer, frame_offset(frame) + FRAME_HEADER_BYTES as u64))?;
        buffer[filled..].fill(0);
        Ok(())
    }

    /// Up to `count_max` pages from `from` on whose newest frame is not in the base file yet, with that frame, ascending.
    pub fn waiting(&self, from: PageNumber, count_max: usize) -> Vec<(PageNumber, u32)> {
        self.waiting.range(from..).take(count_max).map(|(&page, &frame)| (page, frame)).collect()
    }

    /// How many pages wait to be copied into the base file.
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// The hash of what a frame holds.
    pub fn hash(&self, frame: u32) -> Hash {
        self.frames[frame as usize].hash
    }

    /// Remembers that a page's newest frame was copied into the base file, or was lost there again.
    pub fn set_waiting(&mut self, page: PageNumber, is_waiting: bool) {
        self.waiting.remove(&page);
        if let (true, Some(&frame)) = (is_waiting, self.newest.get(&page)) {
            self.waiting.insert(page, frame);
        }
    }

    /// Starts the next round: all frames are durable in the base file (W1).
    pub fn start_round(&mut self) -> Result<(), CheckpointError> {
        assert!(self.waiting.is_empty(), "W1: frames are not in the base file yet");
        // From here on this process reads from the base file; on disk both rounds say the same.
        self.position = self.position.next_round();
        self.frames.clear();
        self.newest.clear();
        self.header_is_stale = true;
        self.write_header()?;
        // Old frames behind the new header are void by their salts. Overwriting them is cheaper than
        // growing the file again, so only a log that grew unusually is cut; failing to is harmless.
        if at_path(&self.path, self.file.length_bytes())? > KEPT_BYTES {
            let _ = self.file.set_length(KEPT_BYTES);
        }
        Ok(())
    }

    /// Writes the header again if an earlier attempt failed; must succeed before frames are appended (W2).
    pub fn ensure_header(&mut self) -> Result<(), CheckpointError> {
        if self.header_is_stale { self.write_header() } else { Ok(()) }
    }

    fn write_header(&mut self) -> Result<(), CheckpointError> {
        let header = encode_header(self.position.sequence, self.position.salts);
        at_path(&self.path, self.file.write_at(&header, 0))?;
        at_path(&self.path, self.file.sync_data())?;
        self.header_is_stale = false;
        Ok(())
    }
}

/// The running checksum along the frames, as stored and as computed: after a damaged frame one of the two
/// is still right.
struct Chain {
    stored: [u32; 2],
    computed: [u32; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Good,
    /// Good, and the frame before is so too: only its stored checksum was hit.
    ProvesPrevious,
    Broken,
}

impl Chain {
    fn new(start: [u32; 2]) -> Self {
        Chain { stored: start, computed: start }
    }

    fn follow(&mut self, frame: &[u8]) -> Link {
        let stored = read_pair(&frame[16..24]);
        let next = |sum| checksum(checksum(sum, &frame[..8]), &frame[FRAME_HEADER_BYTES..]);
        let (from_stored, from_computed) = (next(self.stored), next(self.computed));
        let link = if from_stored == stored {
            Link::Good
        } else if from_computed == stored {
            Link::ProvesPrevious
        } else {
            Link::Broken
        };
        *self = Chain { stored, computed: if link == Link::ProvesPrevious { from_computed } else { from_stored } };
        link
    }
}

fn frame_offset(frame: u32) -> u64 {
    HEADER_BYTES as u64 + frame as u64 * FRAME_BYTES as u64
}

fn encode_header(sequence: u32, salts: [u32; 2]) -> [u8; HEADER_BYTES] {
    let mut header = [0u8; HEADER_BYTES];
    let words = [MAGIC, VERSION, PAGE_SIZE as u32, sequence, salts[0], salts[1]];
    for (bytes, word) in header.chunks_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    let sum = checksum([0, 0], &header[..24]);
    header[24..28].copy_from_slice(&sum[0].to_be_bytes());
    header[28..32].copy_from_slice(&sum[1].to_be_bytes());
    header
}

/// The round that a file's header names; none if there is no good header.
fn read_header(file: &dyn DiskFile) -> std::io::Result<Option<WalPosition>> {
    let mut header = [0u8; HEADER_BYTES];
    if file.read_at(&mut header, 0)? < HEADER_BYTES {
        return Ok(None);
    }
    let (sequence, salts) = (read_word(&header[12..16]), read_pair(&header[16..24]));
    Ok((header == encode_header(sequence, salts)).then(|| WalPosition::start(sequence, salts)))
}

fn encode_frame(
    bytes: &mut Vec<u8>,
    position: &mut WalPosition,
    page: PageNumber,
    commit_page_count: u32,
    content: &[u8; PAGE_SIZE],
) {
    let start = bytes.len();
    for word in [page, commit_page_count, position.salts[0], position.salts[1]] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    position.checksum = checksum(checksum(position.checksum, &bytes[start..start + 8]), content);
    for word in position.checksum {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(content);
}

/// SQLite's running checksum over little-endian words.
fn checksum(mut sum: [u32; 2], bytes: &[u8]) -> [u32; 2] {
    for pair in bytes.chunks_exact(8) {
        let first = u32::from_le_bytes([pair[0], pair[1], pair[2], pair[3]]);
        let second = u32::from_le_bytes([pair[4], pair[5], pair[6], pair[7]]);
        sum[0] = sum[0].wrapping_add(first).wrapping_add(sum[1]);
        sum[1] = sum[1].wrapping_add(second).wrapping_add(sum[0]);
    }
    sum
}

fn read_word(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn read_pair(bytes: &[u8]) -> [u32; 2] {
    [read_word(bytes), read_word(&bytes[4..])]
}
