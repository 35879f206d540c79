//! Segment files: preallocated, zero-filled, written front to back in frames.
//!
//! A segment is `log-` and its sequence number in 16 hexadecimal digits. It begins with (little-endian):
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `EVELOG01` |
//! | 8 | 8 | sequence number, as in the name |
//! | 16 | 8 | number of its first frame |
//! | 24 | 8 | salt |
//! | 32 | 28 | zeros |
//! | 60 | 4 | CRC32C of bytes 0..60 |
//!
//! then frames follow, each at a multiple of 8. A frame is what one write carries:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | `EVFR` |
//! | 4 | 4 | CRC32C of salt, sequence, offset in the file, and the frame from byte 8 to its end |
//! | 8 | 8 | frame number, counted through all segments |
//! | 16 | 8 | newest frame that was durable when this one was written |
//! | 24 | 4 | bytes of records |
//! | 28 | 4 | zeros |
//! | 32 | | records |
//!
//! A recycled file still holds frames of its former life; their CRC is over another sequence and salt, so
//! they are no frames here. The salt is drawn at random, so nobody who may only write into the database can
//! craft a frame.
//!
//! **Torn or damaged?** A crash may leave frames that were not yet durable half written: they are cut. But
//! where a frame is unreadable and a later one says that it was durable by then, the disk has lost what
//! was acknowledged: the log is refused.

use super::LogError;
use crate::seam::{Disk, DiskFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const SEGMENT_HEADER_BYTES: u64 = 64;
pub(crate) const FRAME_HEADER_BYTES: usize = 32;
const SEGMENT_MAGIC: &[u8; 8] = b"EVELOG01";
const FRAME_MAGIC: &[u8; 4] = b"EVFR";
const FILL_CHUNK_BYTES: usize = 1 << 20;

/// A segment's head, once it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) sequence: u64,
    pub(crate) first_frame: u64,
    pub(crate) salt: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES as usize] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
        bytes[0..8].copy_from_slice(SEGMENT_MAGIC);
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_frame.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header of the file named `sequence`, or nothing where another or none stands.
    pub(crate) fn decode(bytes: &[u8], sequence: u64) -> Option<Self> {
        let bytes = bytes.get(..SEGMENT_HEADER_BYTES as usize)?;
        let header = SegmentHeader { sequence: word(bytes, 8), first_frame: word(bytes, 16), salt: word(bytes, 24) };
        (bytes == header.encode() && header.sequence == sequence).then_some(header)
    }

    /// The header that stands in a file, as [`SegmentHeader::decode`].
    pub(crate) fn read(file: &dyn DiskFile, path: &Path, sequence: u64) -> Result<Option<Self>, LogError> {
        let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
        let count = file.read_at(&mut bytes, 0).map_err(|source| LogError::Io { file: path.to_path_buf(), source })?;
        Ok(Self::decode(&bytes[..count], sequence))
    }

    fn frame_crc(&self, offset: u64, frame_from_8: &[u8]) -> u32 {
        let mut seed = [0; 24];
        seed[0..8].copy_from_slice(&self.salt.to_le_bytes());
        seed[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        seed[16..24].copy_from_slice(&offset.to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c(&seed), frame_from_8)
    }

    /// Completes a frame: `frame` holds 32 bytes of room and then records. Pads it to a multiple of 8.
    pub(crate) fn seal_frame(&self, frame: &mut Vec<u8>, offset: u64, number: u64, durable: u64) {
        let records_bytes = (frame.len() - FRAME_HEADER_BYTES) as u32;
        frame.resize(frame.len().next_multiple_of(8), 0);
        frame[0..4].copy_from_slice(FRAME_MAGIC);
        frame[8..16].copy_from_slice(&number.to_le_bytes());
        frame[16..24].copy_from_slice(&durable.to_le_bytes());
        frame[24..28].copy_from_slice(&records_bytes.to_le_bytes());
        frame[28..32].copy_from_slice(&[0; 4]);
        let crc = self.frame_crc(offset, &frame[8..]);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    /// The frame at `offset` of the segment's bytes, if one is there and whole.
    pub(crate) fn frame_at<'a>(&self, segment: &'a [u8], offset: u64) -> Option<Frame<'a>> {
        let bytes = segment.get(offset as usize..)?;
        let header = bytes.get(..FRAME_HEADER_BYTES)?;
        if &header[0..4] != FRAME_MAGIC {
            return None;
        }
        let end = FRAME_HEADER_BYTES + half_word(header, 24) as usize;
        let padded = end.next_multiple_of(8);
        let crc = self.frame_crc(offset, bytes.get(8..padded)?);
        (crc == half_word(header, 4)).then(|| Frame {
            number: word(header, 8),
            durable: word(header, 16),
            records: &bytes[FRAME_HEADER_BYTES..end],
            padded_bytes: padded as u64,
        })
    }
}

/// Whether a segment that should begin with frame `first_frame` is in use, though its header is unreadable: its frames
/// say that they were durable, and so the header was. Without the header's salt no frame is proved; but what a file held
/// in a former life has other numbers.
pub(crate) fn has_lost_its_header(segment: &[u8], first_frame: u64) -> bool {
    let frame = |offset: usize| {
        let header = segment.get(offset..)?.get(..FRAME_HEADER_BYTES)?;
        let next = offset + (FRAME_HEADER_BYTES + half_word(header, 24) as usize).next_multiple_of(8);
        (&header[0..4] == FRAME_MAGIC).then(|| (word(header, 8), word(header, 16), next))
    };
    let Some((number, _, mut next)) = frame(SEGMENT_HEADER_BYTES as usize) else { return false };
    let (mut last, mut durable) = (number, 0);
    while let Some((number, said, after)) = frame(next).filter(|(number, ..)| *number == last + 1) {
        (last, durable, next) = (number, said, after);
    }
    number == first_frame && durable >= first_frame
}

/// A whole frame.
pub(crate) struct Frame<'a> {
    pub(crate) number: u64,
    pub(crate) durable: u64,
    pub(crate) records: &'a [u8],
    pub(crate) padded_bytes: u64,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

fn half_word(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

/// The file name of a segment.
pub(crate) fn segment_path(directory: &Path, sequence: u64) -> PathBuf {
    directory.join(format!("log-{sequence:016x}"))
}

/// The sequence number in a segment's file name.
pub(crate) fn segment_sequence(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_prefix("log-")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Makes a file of zeros that are really written, so that later writes change no metadata and a
/// fdatasync costs one flush. Durable with its name on return.
pub(crate) fn create_segment(
    disk: &dyn Disk,
    directory: &Path,
    sequence: u64,
    length_bytes: u64,
) -> Result<Arc<dyn DiskFile>, LogError> {
    let path = segment_path(directory, sequence);
    let made = fill_with_zeros(disk, &path, length_bytes).and_then(|file| {
        disk.sync_directory(directory)?;
        Ok(file)
    });
    made.map_err(|source| {
        // What was made of it would take the room that others could still use.
        let _ = disk.remove(&path);
        LogError::Io { file: path, source }
    })
}

/// Makes a durable file of zeros, whose name is not durable yet.
pub(crate) fn fill_with_zeros(disk: &dyn Disk, path: &Path, length_bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.open(path, true)?;
    let zeros = vec![0; FILL_CHUNK_BYTES.min(length_bytes as usize)];
    let mut offset = 0;
    while offset < length_bytes {
        let count = zeros.len().min((length_bytes - offset) as usize);
        file.write_at(&zeros[..count], offset)?;
        offset += count as u64;
    }
    file.sync_data()?;
    Ok(file)
}

/// All bytes of a file.
pub(crate) fn read_all(file: &dyn DiskFile, path: &Path) -> Result<Vec<u8>, LogError> {
    let failed = |source| LogError::Io { file: path.to_path_buf(), source };
    let mut bytes = vec![0; file.length_bytes().map_err(failed)? as usize];
    let count = file.read_at(&mut bytes, 0).map_err(failed)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// How a walk over a segment's frames ended.
pub(crate) struct Walked {
    /// Where the next frame goes.
    pub(crate) end: u64,
    /// Its number.
    pub(crate) next_frame: u64,
    /// Where the frames begin of which no later one says that they were durable.
    pub(crate) unproven: u64,
    /// Offsets of whole frames after the end that were not durable: leftovers of a torn write, to be erased.
    pub(crate) leftovers: Vec<u64>,
}

/// Hands every frame's records, with their offset in the file, to `visit`, in order, up to the first gap.
pub(crate) fn walk_frames(
    header: &SegmentHeader,
    segment: &[u8],
    path: &Path,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), LogError>,
) -> Result<Walked, LogError> {
    let mut end = SEGMENT_HEADER_BYTES;
    let mut next_frame = header.first_frame;
    let mut starts = Vec::new();
    let mut durable_below = header.first_frame;
    while let Some(frame) = header.frame_at(segment, end).filter(|frame| frame.number == next_frame) {
        visit(end + FRAME_HEADER_BYTES as u64, frame.records)?;
        starts.push(end);
        durable_below = durable_below.max(frame.durable + 1);
        end += frame.padded_bytes;
        next_frame += 1;
    }
    let unproven = starts.get((durable_below - header.first_frame) as usize).copied().unwrap_or(end);
    let mut leftovers = Vec::new();
    let mut offset = end;
    while offset + FRAME_HEADER_BYTES as u64 <= segment.len() as u64 {
        if let Some(frame) = header.frame_at(segment, offset) {
            if frame.durable >= next_frame {
                return Err(LogError::Damaged {
                    file: path.to_path_buf(),
                    offset: end,
                    reason: format!(
                        "frame {next_frame} is unreadable, but frame {} after it says that it was durable",
                        frame.number
                    ),
                });
            }
            leftovers.push(offset);
        }
        offset += 8;
    }
    Ok(Walked { end, next_frame, unproven, leftovers })
}
