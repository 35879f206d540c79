//! A new log in place of a damaged one: what stands before the damage, this node's own words after it, and the entries
//! that peers hold.
//!
//! What the damage swallowed may be entries that this node had acknowledged, votes, and ballots. The entries come from
//! the most advanced log of *all* other voters: whatever was decided with this node's help stands on one of them, and
//! so in that log. The vote is one that no candidate of before can make use of. For ballots there is no way back, so
//! this node gives none on any batch that it may have judged ([`super::LogState::ballots_lost_below`]).

use super::core::{LogCore, index_of};
use super::memory::Memory;
use super::record::{Purged, Record};
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, has_lost_its_header, read_all, segment_sequence};
use super::{LogError, LogOptions};
use crate::entry::{Entry, Membership, Vote};
use crate::seam::Disk;
use crate::token::LogId;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Records are made durable in portions of about this many bytes.
const PORTION_BYTES: usize = 4 << 20;

/// A log under construction beside a damaged one.
pub struct Rebuilding {
    core: LogCore,
    memory: Memory,
    /// Highest log index that anything in the damaged log is about.
    newest_index: u64,
}

impl Rebuilding {
    /// Reads the damaged log in `from` and begins a new one in `into`, in place of whatever is there.
    ///
    /// Fails with [`LogError::Damaged`] where the log is not damaged in a way that this can mend: where no frame is
    /// missing, or where it is not known any more up to where it was purged.
    pub fn begin(disk: Arc<dyn Disk>, from: &Path, into: &Path, options: LogOptions) -> Result<Rebuilding, LogError> {
        let failed = |source| LogError::Io { file: into.to_path_buf(), source };
        disk.create_directory(into).map_err(failed)?;
        for path in disk.list(into).map_err(failed)? {
            disk.remove(&path).map_err(failed)?;
        }
        let segments = segments(&*disk, from)?;
        let Some(missing) = first_missing(&*disk, &segments)? else {
            let reason = "no frame is missing, so what it says cannot be trusted".into();
            return Err(LogError::Damaged { file: from.to_path_buf(), offset: 0, reason });
        };
        let (core, memory) = LogCore::open(disk.clone(), into, options)?;
        let mut this = Rebuilding { core, memory, newest_index: 0 };
        for (path, sequence) in &segments {
            let bytes = bytes_of(&*disk, path)?;
            let header = SegmentHeader::decode(&bytes, *sequence);
            for_frames(header, &bytes, |number, _, records| this.take_frame(path, number < missing, records))?;
        }
        this.memory.check().map_err(|_| LogError::Damaged {
            file: from.to_path_buf(),
            offset: 0,
            reason: "where it was purged is lost".into(),
        })?;
        this.write()?;
        Ok(this)
    }

    fn take_frame(&mut self, path: &Path, before: bool, mut records: &[u8]) -> Result<(), LogError> {
        while !records.is_empty() {
            let (record, length) = Record::decode(records).map_err(|reason| LogError::Damaged {
                file: path.to_path_buf(),
                offset: 0,
                reason: reason.into(),
            })?;
            records = &records[length..];
            let index = match &record {
                Record::Purge(purged) => Some(purged.log_id.index),
                record => index_of(record),
            };
            self.newest_index = self.newest_index.max(index.unwrap_or(0));
            let is_newer = |vote: &Vote| {
                self.memory.vote.is_none_or(|known| (known.term, known.committed) < (vote.term, vote.committed))
            };
            let is_wanted = match &record {
                // What stands on a log with a hole has no place; peers have it.
                Record::Entry(_) | Record::Truncate(_) | Record::Committed(_) => before,
                Record::Vote(vote) => before || is_newer(vote),
                Record::Identity(found) if found.node != self.core.node() => {
                    return Err(LogError::AnotherNode { found: found.node, cluster: found.cluster });
                }
                _ => true,
            };
            if is_wanted {
                self.take(record)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, record: Record) -> Result<(), LogError> {
        if matches!(record, Record::Purge(_)) {
            // A new segment begins with the purge point: it must not come to stand before the entries that it purges.
            self.write()?;
        }
        self.memory.apply(&record).map_err(|reason| LogError::Misused { reason })?;
        self.core.push(&record);
        if self.core.buffered_bytes() >= PORTION_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), LogError> {
        let places = self.core.flush()?;
        self.memory.place(places);
        Ok(())
    }

    /// Index that the next entry must have.
    pub fn next_index(&self) -> u64 {
        self.memory.next_index()
    }

    /// Index of the first entry that is kept, or of the next one.
    pub fn first_index(&self) -> u64 {
        self.memory.first_index()
    }

    /// The log id at an index, while the log holds it.
    pub fn log_id(&self, index: u64) -> Option<LogId> {
        self.memory.log_id(index)
    }

    /// The newest membership, as far as the log goes.
    pub fn membership(&self) -> Result<Option<(LogId, Membership)>, LogError> {
        self.memory.membership_at(u64::MAX)
    }

    /// The newest vote that is known.
    pub fn vote(&self) -> Option<Vote> {
        self.memory.vote
    }

    /// Removes the entries from this index on: a peer has others there.
    pub fn cut(&mut self, from: u64) -> Result<(), LogError> {
        self.take(Record::Truncate(from.checked_sub(1)))
    }

    /// Forgets what is before a peer's purge point: nobody keeps what comes between.
    pub fn begin_behind(&mut self, purged: Purged) -> Result<(), LogError> {
        self.take(Record::Purge(purged))
    }

    /// Takes over a peer's entry.
    ///
    /// Fails with [`LogError::Misused`] where it does not follow the one before it.
    pub fn append(&mut self, entry: Entry) -> Result<(), LogError> {
        self.take(Record::Entry(entry))
    }

    /// Ends it, durable: with a vote, and with the memory that ballots are lost.
    pub fn finish(mut self, vote: Vote) -> Result<(), LogError> {
        let below = self.newest_index.max(self.memory.last().map_or(0, |last| last.index)) + 1;
        self.take(Record::Vote(vote))?;
        self.take(Record::BallotsLost(below))?;
        self.write()
    }
}

/// The segments of a log, in order; files that were never begun come last.
fn segments(disk: &dyn Disk, directory: &Path) -> Result<Vec<(PathBuf, u64)>, LogError> {
    let listed = disk.list(directory).map_err(|source| LogError::Io { file: directory.to_path_buf(), source })?;
    let mut segments: Vec<_> =
        listed.into_iter().filter_map(|path| segment_sequence(&path).map(|sequence| (path, sequence))).collect();
    segments.sort_by_key(|(_, sequence)| *sequence);
    Ok(segments)
}

/// Number of the first frame that is not there, though a later one says that it was durable.
fn first_missing(disk: &dyn Disk, segments: &[(PathBuf, u64)]) -> Result<Option<u64>, LogError> {
    let mut next = None;
    let mut missing = None;
    for (path, sequence) in segments {
        let bytes = bytes_of(disk, path)?;
        let header = SegmentHeader::decode(&bytes, *sequence);
        // Segments before the first one were purged and are gone.
        let expected = *next.get_or_insert(header.map_or(1, |header| header.first_frame));
        if header.is_none() && missing.is_none() && has_lost_its_header(&bytes, expected) {
            missing = Some(expected);
        }
        for_frames(header, &bytes, |number, durable, _| {
            let expected = next.unwrap_or(number);
            if missing.is_none() && number == expected {
                next = Some(number + 1);
            } else if missing.is_none() && durable >= expected {
                missing = Some(expected);
            }
            Ok(())
        })?;
    }
    Ok(missing)
}

fn bytes_of(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, LogError> {
    let file = disk.open(path, false).map_err(|source| LogError::Io { file: path.to_path_buf(), source })?;
    read_all(&*file, path)
}

/// Hands every whole frame's number, what it says was durable, and its records to `visit`, over all gaps. In a segment
/// whose header is unreadable no frame is whole.
fn for_frames(
    header: Option<SegmentHeader>,
    bytes: &[u8],
    mut visit: impl FnMut(u64, u64, &[u8]) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let Some(header) = header else { return Ok(()) };
    let mut offset = SEGMENT_HEADER_BYTES;
    while offset < bytes.len() as u64 {
        match header.frame_at(bytes, offset) {
            Some(frame) => {
                visit(frame.number, frame.durable, frame.records)?;
                offset += frame.padded_bytes;
            }
            None => offset += 8,
        }
    }
    Ok(())
}

/// Where a log is rebuilt, beside the damaged one.
pub fn rebuilt_path(log: &Path) -> PathBuf {
    log.with_extension("rebuilt")
}

/// Puts a finished log in the place of the damaged one, which stays beside it as `log.damaged`.
pub fn put_in_place(disk: &dyn Disk, log: &Path) -> io::Result<()> {
    let aside = log.with_extension("damaged");
    if disk.exists(&aside) {
        for path in disk.list(&aside)? {
            disk.remove(&path)?;
        }
        disk.remove_directory(&aside)?;
    }
    disk.rename(log, &aside)?;
    finish_exchange(disk, log)
}

/// Whether a crash came between the two steps of [`put_in_place`]; if so, takes the second one.
pub fn finish_exchange(disk: &dyn Disk, log: &Path) -> io::Result<()> {
    let rebuilt = rebuilt_path(log);
    // Only a finished log is there without the one that it replaces.
    if !disk.exists(log) && disk.exists(&rebuilt) {
        disk.rename(&rebuilt, log)?;
        if let Some(home) = log.parent() {
            disk.sync_directory(home)?;
        }
    }
    Ok(())
}
