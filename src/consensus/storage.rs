//! openraft's log storage on top of [`Log`], and the tee: appended and truncated entries go, in order and
//! without blocking, to the executor, which starts on append (rule 10).
//!
//! openraft calls `append` and `truncate_after` serially, on leader and followers alike. The flush callback
//! runs when the entries are durable, never earlier.

use super::Shared;
use super::event::Event;
use super::types::{
    TypeConfig, entry_from_raft, entry_to_raft, log_id_from_raft, log_id_to_raft, vote_from_raft, vote_to_raft,
};
use crate::log_store::{Done, Log, LogError};
use openraft::alias::{EntryOf, LogIdOf, VoteOf};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Entries of one replication message, at most about.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// The log as openraft sees it; cloned for its readers.
#[derive(Clone)]
pub(crate) struct Storage {
    log: Arc<Log>,
    shared: Arc<Shared>,
}

impl Storage {
    pub(crate) fn new(log: Arc<Log>, shared: Arc<Shared>) -> Self {
        Storage { log, shared }
    }
}

fn other(error: LogError) -> io::Error {
    io::Error::other(error)
}

/// For operations whose failure the next awaited one reports again: the log fails once and for all.
fn nobody_waits() -> Done {
    Box::new(|_| {})
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(index) => index.saturating_add(1),
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogReader<TypeConfig> for Storage {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<EntryOf<TypeConfig>>, io::Error> {
        let (start, end) = bounds(&range);
        let entries = self.log.read(start, end, usize::MAX).map_err(other)?;
        Ok(entries.into_iter().map(entry_to_raft).collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<EntryOf<TypeConfig>>, io::Error> {
        let entries = self.log.read(start, end, MESSAGE_BYTES_MAX).map_err(other)?;
        Ok(entries.into_iter().map(entry_to_raft).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<TypeConfig>>, io::Error> {
        Ok(self.log.state().vote.map(vote_to_raft))
    }
}

impl RaftLogStorage<TypeConfig> for Storage {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let state = self.log.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(|purged| log_id_to_raft(purged.log_id)),
            last_log_id: state.last.map(log_id_to_raft),
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<TypeConfig>) -> Result<(), io::Error> {
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |result| {
            let _ = sender.send(result);
        });
        self.log.save_vote(vote_from_raft(vote), done).map_err(other)?;
        receiver.await.unwrap_or_else(|_| Err(io::Error::other("the log ended before the vote was durable")))
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<TypeConfig>>) -> Result<(), io::Error> {
        match committed {
            Some(log_id) => self.log.save_committed(log_id_from_raft(&log_id)).map_err(other),
            None => Ok(()),
        }
    }

    async fn read_committed(&mut self) -> Result<Option<LogIdOf<TypeConfig>>, io::Error> {
        Ok(self.log.state().committed.map(log_id_to_raft))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().map(entry_from_raft).collect();
        // The log first: the executor's records about an entry must stand behind it.
        self.log.append(entries.clone(), Box::new(move |result| callback.io_completed(result))).map_err(other)?;
        entries.into_iter().for_each(|entry| self.shared.emit(Event::Appended(entry)));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<TypeConfig>>) -> Result<(), io::Error> {
        let after = last.map(|log_id| log_id.index);
        self.log.truncate(after, nobody_waits()).map_err(other)?;
        // Entries under a state that was just installed are of no interest to its owner.
        let installed = self.shared.installing.lock().as_ref().map(|checkpoint| checkpoint.log_id.index);
        self.shared.emit(Event::Truncated { after: after.max(installed) });
        Ok(())
    }

    async fn purge(&mut self, log_id: LogIdOf<TypeConfig>) -> Result<(), io::Error> {
        let log_id = log_id_from_raft(&log_id);
        let membership = self.shared.membership_of_installed(log_id);
        let is_installed = membership.is_some();
        self.log.purge(log_id, membership, nobody_waits()).map_err(other)?;
        if is_installed {
            self.shared.emit(Event::MembershipInstalled);
        }
        Ok(())
    }
}
