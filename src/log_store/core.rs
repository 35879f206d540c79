//! The synchronous log: records into frames, frames into segments, and all of it back at start-up.
//!
//! Invariants of this file:
//! 1. A frame number is durable before anything is acknowledged that needs it; every frame says which
//!    frames were durable when it was written.
//! 2. A segment is durable to its last frame before the next one is begun.
//! 3. After an error of write or fdatasync nothing is written any more: what the page cache holds is then
//!    unknown, and only a restart, which reads the disk, finds out.

use super::memory::{Memory, Place, ends};
use super::record::{Executing, Identity, Purged, Record};
use super::segment::{
    self, FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader, create_segment, has_lost_its_header, read_all,
    segment_path, segment_sequence,
};
use super::{LogError, LogOptions};
use crate::entry::Vote;
use crate::page::Hash;
use crate::seam::{Disk, DiskFile};
use crate::token::{LogId, NodeId};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// Recycled files kept for the next segments; more are removed.
const SPARES_MAX: usize = 2;

/// A file's sequence number and the thread that makes it.
type Making = (u64, JoinHandle<Result<Arc<dyn DiskFile>, LogError>>);

/// A segment in use.
struct Segment {
    header: SegmentHeader,
    file: Arc<dyn DiskFile>,
    path: Arc<PathBuf>,
    length_bytes: u64,
    /// Highest log index that any of its entries, tokens or marks is about.
    index_max: Option<u64>,
}

impl Segment {
    fn note(&mut self, index: u64) {
        self.index_max = self.index_max.max(Some(index));
    }
}

/// What every new segment repeats, so that older ones can go.
#[derive(Default)]
struct Carried {
    identity: Option<Identity>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<Purged>,
    executing: Option<Executing>,
    ballots_lost_below: u64,
}

impl Carried {
    fn note(&mut self, record: &Record) {
        match record {
            Record::Vote(vote) => self.vote = Some(*vote),
            Record::Committed(log_id) => self.committed = Some(*log_id),
            Record::Purge(purged) => self.purged = Some(purged.clone()),
            Record::Identity(identity) => self.identity = Some(*identity),
            Record::Executing(mark) => self.executing = Some(*mark).filter(|mark| mark.starts > 0),
            Record::Ballot(ballot) => {
                if ends(ballot, self.executing.as_ref()) {
                    self.executing = None;
                }
            }
            Record::BallotsLost(below) => self.ballots_lost_below = self.ballots_lost_below.max(*below),
            Record::Entry(_) | Record::Truncate(_) => {}
        }
    }
    fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        records.extend(self.identity.map(Record::Identity));
        records.extend(self.vote.map(Record::Vote));
        records.extend(self.committed.map(Record::Committed));
        records.extend(self.purged.clone().map(Record::Purge));
        records.extend(self.executing.map(Record::Executing));
        // Batches that were purged are judged no more.
        let purged_below = self.purged.as_ref().map_or(0, |purged| purged.log_id.index + 1);
        if self.ballots_lost_below > purged_below {
            records.push(Record::BallotsLost(self.ballots_lost_below));
        }
        records
    }
}

/// The index that a record is about, where it may not outlive the entry there.
pub(super) fn index_of(record: &Record) -> Option<u64> {
    match record {
        Record::Entry(entry) => Some(entry.log_id.index),
        Record::Ballot(ballot) => Some(ballot.key().log_id.index),
        Record::Executing(mark) => Some(mark.log_id.index),
        _ => None,
    }
}

/// The log of one node. Not shared: one thread, or the simulator, drives it.
pub struct LogCore {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    options: LogOptions,
    /// In order; the last one is written to.
    segments: VecDeque<Segment>,
    spares: VecDeque<(u64, Arc<dyn DiskFile>)>,
    /// The next segment's file, being filled with zeros on a thread of its own.
    making: Option<Making>,
    /// Where the next frame goes in the last segment.
    end: u64,
    next_frame: u64,
    /// Frames below this number are durable.
    durable_below: u64,
    /// The frame under construction: room for its header, then records.
    frame: Vec<u8>,
    /// Entries in it: log id, offset in the frame, length.
    frame_entries: Vec<(LogId, usize, usize)>,
    frame_index_max: Option<u64>,
    carried: Carried,
    failed: Option<String>,
    is_out_of_room: bool,
}

impl LogCore {
    /// Opens or makes the log in `directory` and reads it back.
    ///
    /// Fails with [`LogError::Damaged`] where the disk lost something that was durable, with
    /// [`LogError::AnotherNode`] where the log is not this node's.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: LogOptions,
    ) -> Result<(LogCore, Memory), LogError> {
        let failed = |source| LogError::Io { file: directory.to_path_buf(), source };
        disk.create_directory(directory).map_err(failed)?;
        let mut memory = Memory::new(options.cache_bytes_max);
        let mut core = LogCore {
            disk,
            directory: directory.to_path_buf(),
            segments: VecDeque::new(),
            spares: VecDeque::new(),
            making: None,
            end: 0,
            next_frame: 1,
            durable_below: 1,
            frame: vec![0; FRAME_HEADER_BYTES],
            frame_entries: Vec::new(),
            frame_index_max: None,
            carried: Carried::default(),
            failed: None,
            is_out_of_room: false,
            options,
        };
        core.recover(&mut memory)?;
        core.identify(&mut memory)?;
        Ok((core, memory))
    }

    /// Reads all segments in order into `memory`, one at a time: all of them may be more than there is memory.
    fn recover(&mut self, memory: &mut Memory) -> Result<(), LogError> {
        let failed = |source| LogError::Io { file: self.directory.clone(), source };
        let paths = self.disk.list(&self.directory).map_err(failed)?;
        let mut files = Vec::new();
        for path in paths {
            let Some(sequence) = segment_sequence(&path) else { continue };
            let file = self.disk.open(&path, false).map_err(|source| LogError::Io { file: path.clone(), source })?;
            let header = SegmentHeader::read(&*file, &path, sequence)?;
            files.push((path, sequence, file, header));
        }
        files.sort_by_key(|(_, sequence, ..)| *sequence);
        let in_use = files.iter().rposition(|(.., header)| header.is_some()).map_or(0, |last| last + 1);
        let mut after_last = None;
        for (path, sequence, file, _) in files.drain(in_use..) {
            after_last.get_or_insert((path, file.clone()));
            self.spares.push_back((sequence, file));
        }
        let count = files.len();
        for (position, (path, sequence, file, header)) in files.into_iter().enumerate() {
            let Some(header) = header else {
                return Err(damaged(&path, 0, "the segment's header is unreadable, and a later segment is in use"));
            };
            let bytes = read_all(&*file, &path)?;
            let segment =
                Segment { header, file, path: Arc::new(path), length_bytes: bytes.len() as u64, index_max: None };
            self.check_order(&segment, sequence)?;
            self.segments.push_back(segment);
            self.recover_segment(&bytes, position + 1 == count, memory)?;
        }
        if let Some((path, file)) = after_last
            && has_lost_its_header(&read_all(&*file, &path)?, self.next_frame)
        {
            let reason = "the segment's header is unreadable, and its frames say that they were durable";
            return Err(damaged(&path, 0, reason));
        }
        memory.check().map_err(|reason| damaged(&self.directory, 0, reason))?;
        // What was read may have been in the page cache alone.
        self.sync_last()
    }

    fn check_order(&self, segment: &Segment, sequence: u64) -> Result<(), LogError> {
        let Some(before) = self.segments.back() else { return Ok(()) };
        if before.header.sequence + 1 != sequence {
            return Err(damaged(&segment.path, 0, "the segment before this one is missing"));
        }
        if segment.header.first_frame != self.next_frame {
            let reason = format!(
                "frame {} is unreadable or missing, but the next segment begins with frame {}",
                self.next_frame, segment.header.first_frame
            );
            return Err(damaged(&before.path, self.end, &reason));
        }
        Ok(())
    }

    fn recover_segment(&mut self, bytes: &[u8], last: bool, memory: &mut Memory) -> Result<(), LogError> {
        let Some(segment) = self.segments.back_mut() else { return Ok(()) };
        let (header, path, file) = (segment.header, segment.path.clone(), segment.file.clone());
        let mut index_max = None;
        let carried = &mut self.carried;
        let walked = segment::walk_frames(&header, bytes, &path, |offset, mut records| {
            let mut at = offset;
            while !records.is_empty() {
                let (record, length) = Record::decode(records).map_err(|reason| damaged(&path, at, reason))?;
                memory.apply(&record).map_err(|reason| damaged(&path, at, reason))?;
                carried.note(&record);
                index_max = index_max.max(index_of(&record));
                if let Record::Entry(entry) = &record {
                    let place =
                        Place { file: file.clone(), path: path.clone(), offset: at, length_bytes: length as u32 };
                    memory.place(vec![(entry.log_id, place)]);
                }
                records = &records[length..];
                at += length as u64;
            }
            Ok(())
        })?;
        segment.index_max = index_max;
        self.end = walked.end;
        self.next_frame = walked.next_frame;
        self.durable_below = walked.next_frame;
        if last {
            let failed = |source| LogError::Io { file: path.to_path_buf(), source };
            for offset in walked.leftovers {
                file.write_at(&[0; FRAME_HEADER_BYTES], offset).map_err(failed)?;
            }
            // After an fdatasync that failed they may stand in the page cache alone, taken for clean: only what is
            // written again is made durable by the next one.
            let from = if walked.unproven == SEGMENT_HEADER_BYTES { 0 } else { walked.unproven };
            let unproven = bytes.get(from as usize..walked.end as usize).unwrap_or_default();
            if !unproven.is_empty() {
                file.write_at(unproven, from).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Proves that the log is this node's and notes the new start.
    fn identify(&mut self, memory: &mut Memory) -> Result<(), LogError> {
        let mut identity =
            Identity { node: self.options.node, cluster: self.options.cluster, incarnation: self.options.incarnation };
        if let Some(found) = memory.identity {
            if found.node != identity.node || (identity.cluster != 0 && found.cluster != identity.cluster) {
                return Err(LogError::AnotherNode { found: found.node, cluster: found.cluster });
            }
            identity.cluster = found.cluster;
        }
        let record = Record::Identity(identity);
        memory.identity = Some(identity);
        self.push(&record);
        self.flush().map(|_| ())
    }

    /// Whose log it is.
    pub(crate) fn node(&self) -> NodeId {
        self.options.node
    }

    /// Whether the error that stopped the log was that of a full disk.
    pub(crate) fn is_out_of_room(&self) -> bool {
        self.is_out_of_room
    }

    /// Adds a record to the frame under construction. Nothing reaches the disk yet.
    pub(crate) fn push(&mut self, record: &Record) {
        let start = self.frame.len();
        record.encode(&mut self.frame);
        if let Record::Entry(entry) = record {
            self.frame_entries.push((entry.log_id, start, self.frame.len() - start));
        }
        self.frame_index_max = self.frame_index_max.max(index_of(record));
        self.carried.note(record);
    }

    /// Bytes that wait for [`LogCore::write_out`].
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.frame.len() - FRAME_HEADER_BYTES
    }
    /// Writes the frame under construction, without making it durable. Returns where its entries lie.
    pub(crate) fn write_out(&mut self) -> Result<Vec<(LogId, Place)>, LogError> {
        self.check_alive()?;
        if self.buffered_bytes() == 0 {
            return Ok(Vec::new());
        }
        let result = self.try_write_out();
        self.guard(result)
    }

    /// [`LogCore::write_out`], then makes everything durable with one fdatasync.
    pub(crate) fn flush(&mut self) -> Result<Vec<(LogId, Place)>, LogError> {
        let places = self.write_out()?;
        let result = self.sync_last();
        self.guard(result)?;
        Ok(places)
    }

    fn check_alive(&self) -> Result<(), LogError> {
        match &self.failed {
            Some(reason) => Err(LogError::Stopped { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn guard<T>(&mut self, result: Result<T, LogError>) -> Result<T, LogError> {
        if let Err(error) = &result {
            self.failed = Some(error.to_string());
            self.is_out_of_room = error.is_out_of_room();
        }
        result
    }

    fn try_write_out(&mut self) -> Result<Vec<(LogId, Place)>, LogError> {
        let padded = self.frame.len().next_multiple_of(8) as u64;
        if self.segments.back().is_none_or(|segment| self.end + padded > segment.length_bytes) {
            self.begin_segment(padded)?;
        }
        let mut frame = std::mem::take(&mut self.frame);
        let offset = self.end;
        self.write_frame(&mut frame)?;
        let segment = self.segments.back_mut().expect("a segment was begun above");
        if let Some(index) = self.frame_index_max.take() {
            segment.note(index);
        }
        let places = self.frame_entries.drain(..).map(|(log_id, start, length)| {
            let place = Place {
                file: segment.file.clone(),
                path: segment.path.clone(),
                offset: offset + start as u64,
                length_bytes: length as u32,
            };
            (log_id, place)
        });
        let places = places.collect();
        frame.truncate(FRAME_HEADER_BYTES);
        self.frame = frame;
        Ok(places)
    }

    /// Seals and writes a frame at the end of the last segment.
    fn write_frame(&mut self, frame: &mut Vec<u8>) -> Result<(), LogError> {
        let segment = self.segments.back().expect("frames are written into a begun segment");
        segment.header.seal_frame(frame, self.end, self.next_frame, self.durable_below - 1);
        write(&*segment.file, &segment.path, frame, self.end)?;
        self.end += frame.len() as u64;
        self.next_frame += 1;
        Ok(())
    }

    /// Makes the last segment durable, takes the next file, and repeats in it what must not be lost when
    /// older segments go. The header becomes durable together with the first frame.
    fn begin_segment(&mut self, frame_bytes: u64) -> Result<(), LogError> {
        self.sync_last()?;
        let mut head = vec![0; FRAME_HEADER_BYTES];
        for record in self.carried.records() {
            record.encode(&mut head);
        }
        let sequence = self.segments.back().map_or(1, |segment| segment.header.sequence + 1);
        let needed = SEGMENT_HEADER_BYTES + head.len().next_multiple_of(8) as u64 + frame_bytes;
        let (file, length_bytes) = self.take_file(sequence, needed)?;
        let salt = Hash::of(&[self.options.incarnation.to_le_bytes(), sequence.to_le_bytes()].concat()).0 as u64;
        let header = SegmentHeader { sequence, first_frame: self.next_frame, salt };
        let path = Arc::new(segment_path(&self.directory, sequence));
        write(&*file, &path, &header.encode(), 0)?;
        let index_max = self.carried.executing.map(|mark| mark.log_id.index);
        self.segments.push_back(Segment { header, file, path, length_bytes, index_max });
        self.end = SEGMENT_HEADER_BYTES;
        if head.len() > FRAME_HEADER_BYTES {
            self.write_frame(&mut head)?;
        }
        Ok(())
    }

    /// A file for a segment: one prepared earlier under this name, or a new one.
    fn take_file(&mut self, sequence: u64, needed_bytes: u64) -> Result<(Arc<dyn DiskFile>, u64), LogError> {
        self.finish_making()?;
        if let Some((_, file)) = self.spares.front().filter(|(spare, _)| *spare == sequence) {
            let path = segment_path(&self.directory, sequence);
            let length = file.length_bytes().map_err(|source| LogError::Io { file: path, source })?;
            if length >= needed_bytes && length >= self.options.segment_bytes {
                let file = file.clone();
                self.spares.pop_front();
                return Ok((file, length));
            }
            // Too short: a crash cut its making, or one frame is larger than a segment.
            self.spares.pop_front();
        }
        let length = self.options.segment_bytes.max(needed_bytes);
        Ok((create_segment(&*self.disk, &self.directory, sequence, length)?, length))
    }

    fn sync_last(&mut self) -> Result<(), LogError> {
        if let Some(segment) = self.segments.back() {
            let failed = |source| LogError::Io { file: segment.path.to_path_buf(), source };
            segment.file.sync_data().map_err(failed)?;
        }
        self.durable_below = self.next_frame;
        Ok(())
    }

    /// Starts to make the next segment's file on a thread of its own, when half of this one is used and
    /// none is ready: filling it with zeros would hold up the log for tens of milliseconds.
    pub(crate) fn prepare_spare(&mut self) {
        let Some(segment) = self.segments.back() else { return };
        if self.failed.is_some() || self.making.is_some() || !self.spares.is_empty() {
            return;
        }
        if self.end < segment.length_bytes / 2 {
            return;
        }
        let sequence = segment.header.sequence + 1;
        let (disk, directory, length) = (self.disk.clone(), self.directory.clone(), self.options.segment_bytes);
        let make = move || create_segment(&*disk, &directory, sequence, length);
        match thread::Builder::new().name("log-spare".into()).spawn(make) {
            Ok(thread) => self.making = Some((sequence, thread)),
            Err(error) => tracing::warn!(%error, "no thread to prepare a log segment: it is made when it is needed"),
        }
    }

    /// Waits for a file under construction, since nobody else may touch its name.
    fn finish_making(&mut self) -> Result<(), LogError> {
        let Some((sequence, thread)) = self.making.take() else { return Ok(()) };
        let stopped = || LogError::Stopped { reason: "the thread that makes log segments panicked".into() };
        match thread.join().map_err(|_| stopped())? {
            Ok(file) => self.spares.push_back((sequence, file)),
            // There may be room by now; whoever needs the file tries again.
            Err(error) => tracing::warn!(%error, "no log segment could be prepared: it is made when it is needed"),
        }
        Ok(())
    }

    /// Renames segments that hold nothing above the purge point to serve again, oldest first. The purge
    /// record must be durable.
    pub(crate) fn recycle(&mut self) -> Result<(), LogError> {
        self.check_alive()?;
        let result = self.try_recycle();
        self.guard(result)
    }

    fn try_recycle(&mut self) -> Result<(), LogError> {
        let Some(purged) = self.carried.purged.as_ref().map(|purged| purged.log_id.index) else { return Ok(()) };
        while self.segments.len() > 1 && self.segments[0].index_max.is_none_or(|index| index <= purged) {
            self.finish_making()?;
            let Some(segment) = self.segments.pop_front() else { break };
            let failed = |source| LogError::Io { file: segment.path.to_path_buf(), source };
            let newest = self.spares.back().map(|(sequence, _)| *sequence);
            let next = newest.or(self.segments.back().map(|segment| segment.header.sequence)).map_or(1, |n| n + 1);
            if self.spares.len() < SPARES_MAX && segment.length_bytes == self.options.segment_bytes {
                self.disk.rename(&segment.path, &segment_path(&self.directory, next)).map_err(failed)?;
                self.spares.push_back((next, segment.file.clone()));
            } else {
                self.disk.remove(&segment.path).map_err(failed)?;
            }
            // One by one, so that a crash never leaves a gap between the segments that remain.
            self.disk.sync_directory(&self.directory).map_err(failed)?;
        }
        Ok(())
    }
}

impl Drop for LogCore {
    /// Whoever opens the log next may take the file that is being filled with zeros, and must be alone with it.
    fn drop(&mut self) {
        if let Some((_, thread)) = self.making.take() {
            let _ = thread.join();
        }
    }
}

fn write(file: &dyn DiskFile, path: &Path, bytes: &[u8], offset: u64) -> Result<(), LogError> {
    file.write_at(bytes, offset).map_err(|source| LogError::Io { file: path.to_path_buf(), source })
}

fn damaged(path: &Path, offset: u64, reason: &str) -> LogError {
    LogError::Damaged { file: path.to_path_buf(), offset, reason: reason.into() }
}
