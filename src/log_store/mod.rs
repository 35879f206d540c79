//! The log: entries, votes, tokens and marks, durable in order, with as few fdatasyncs as possible.
//!
//! In the walk of a transaction it stands under `consensus` (which appends batches) and `replica` (which
//! records its tokens before they are sent). It knows no openraft and executes nothing.
//!
//! - [`record`](self): the log's units and their bytes; [`segment`](self): files and frames;
//! - `core`: the synchronous log over [`Disk`](crate::seam::Disk); `memory`: what it holds;
//! - `worker` and [`Log`]: the queue, the thread and the callbacks;
//! - `rebuilding`: a new log in place of a damaged one.
//!
//! Measured on one disk: a fdatasync of 4 KiB takes 130 us in a preallocated file, 230 us where the file
//! grows. Hence segments of zeros that are written over and recycled.

mod core;
mod log;
mod memory;
mod rebuilding;
mod record;
mod segment;
mod worker;

pub use self::log::{Log, LogState, Mode};
pub use rebuilding::{Rebuilding, finish_exchange, put_in_place, rebuilt_path};
pub use record::{Executing, Identity, Purged};

use crate::seam::Disk;
use crate::token::{Ballot, NodeId};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs when an operation is durable, or has failed for good. On the log's thread: it must not block.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Whose log it is.
    pub node: NodeId,
    /// The cluster; 0 takes the one found in the log.
    pub cluster: u64,
    /// Drawn at random at each start: segments are salted with it.
    pub incarnation: u64,
    /// Length of a segment file in bytes.
    pub segment_bytes: u64,
    /// Payloads kept in memory for replication, in bytes.
    pub cache_bytes_max: usize,
    /// How long the fdatasync of a fresh batch may wait for its token; zero never waits.
    pub token_hold: Duration,
}

impl LogOptions {
    /// The defaults for a node.
    pub fn new(node: NodeId, incarnation: u64) -> Self {
        LogOptions {
            node,
            cluster: 0,
            incarnation,
            segment_bytes: 16 << 20,
            cache_bytes_max: 64 << 20,
            token_hold: Duration::from_millis(1),
        }
    }
}

/// The error after which a log writes no more: until it is opened again, all that it is asked fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFailure {
    /// What happened.
    pub reason: String,
    /// There was no room on the disk.
    pub is_out_of_room: bool,
}

/// Proves that there is room for another `bytes` in a directory: by taking it, and giving it back.
pub fn prove_room(disk: &dyn Disk, directory: &Path, bytes: u64) -> io::Result<()> {
    let path = directory.join("room");
    let taken = segment::fill_with_zeros(disk, &path, bytes);
    let _ = disk.remove(&path);
    taken.map(|_| ())
}

/// Why the log cannot do what was asked. All but [`LogError::SecondBallot`] and [`LogError::Misused`] stop the node.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("log file {}: {source}", file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// Its words.
        source: io::Error,
    },
    /// The disk lost something that was durable.
    #[error("log file {} is damaged at byte {offset}: {reason}", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The directory belongs to somebody else (rule 21).
    #[error("this log belongs to node {found} of cluster {cluster}")]
    AnotherNode {
        /// The node that wrote it.
        found: NodeId,
        /// Its cluster.
        cluster: u64,
    },
    /// This node gave another ballot for the same attempt before (rule 2): it must quarantine itself.
    #[error("another ballot was given for this attempt: {issued:?}")]
    SecondBallot {
        /// The one that stands.
        issued: Box<Ballot>,
    },
    /// An operation that the log's order forbids: a bug in its caller.
    #[error("the log was misused: {reason}")]
    Misused {
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// An earlier error stopped the log.
    #[error("the log has stopped: {reason}")]
    Stopped {
        /// That error.
        reason: String,
    },
}

impl LogError {
    /// Whether the disk is full, or the owner's share of it.
    pub fn is_out_of_room(&self) -> bool {
        let is_full = |kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        matches!(self, LogError::Io { source, .. } if is_full(source.kind()))
    }
}

#[cfg(test)]
mod tests;
