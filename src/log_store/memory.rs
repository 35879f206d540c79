//! What the log holds, in memory: entries (recent ones with their payload), vote, watermarks, tokens.
//!
//! The consensus thread changes it when it hands over a record, before the record is durable: openraft
//! wants appended entries readable at once. The log thread only adds where on disk an entry came to lie.
//! Payloads are dropped from the front when they exceed the budget and lie on disk; they are then read again.

use super::LogError;
use super::record::{Executing, Identity, Purged, Record};
use crate::entry::{Entry, Membership, Payload, Vote};
use crate::page::Hash;
use crate::seam::DiskFile;
use crate::token::{Ballot, BallotKey, LogId};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

/// Where an entry's record lies.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) path: Arc<PathBuf>,
    pub(crate) offset: u64,
    pub(crate) length_bytes: u32,
}

impl Place {
    /// Reads the entry back and proves it by its CRC and its log id.
    pub(crate) fn read(&self, expected: LogId) -> Result<Entry, LogError> {
        let mut bytes = vec![0; self.length_bytes as usize];
        let count = self
            .file
            .read_at(&mut bytes, self.offset)
            .map_err(|source| LogError::Io { file: self.path.to_path_buf(), source })?;
        match Record::decode(&bytes[..count]) {
            Ok((Record::Entry(entry), _)) if entry.log_id == expected => Ok(entry),
            Ok(_) => Err(self.damaged("another record stands where an entry was written")),
            Err(reason) => Err(self.damaged(reason)),
        }
    }
    fn damaged(&self, reason: &str) -> LogError {
        LogError::Damaged { file: self.path.to_path_buf(), offset: self.offset, reason: reason.into() }
    }
}

struct Slot {
    log_id: LogId,
    size_bytes: usize,
    entry: Option<Entry>,
    place: Option<Place>,
}

/// An entry to return: here, or still to be read.
pub(crate) enum Found {
    Cached(Entry),
    OnDisk(LogId, Place),
}

/// The log's content.
pub(crate) struct Memory {
    cache_bytes_max: usize,
    cached_bytes: usize,
    /// Slots before this position have no payload in memory.
    evicted: usize,
    /// Index of `slots[0]`.
    first: u64,
    slots: VecDeque<Slot>,
    pub(crate) identity: Option<Identity>,
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<Purged>,
    pub(crate) executing: Option<Executing>,
    pub(crate) ballots_lost_below: u64,
    ballots: BTreeMap<(u64, BallotKey), Ballot>,
}

/// Whether a ballot shows that a marked execution has ended. One of failure does not: it is given, too, instead of
/// an execution, where two processes had died in it.
pub(crate) fn ends(ballot: &Ballot, mark: Option<&Executing>) -> bool {
    let (Ballot::Token(token), Some(mark)) = (ballot, mark) else { return false };
    (mark.log_id, mark.attempt) == (token.log_id, token.attempt)
}

impl Memory {
    pub(crate) fn new(cache_bytes_max: usize) -> Self {
        Memory {
            cache_bytes_max,
            cached_bytes: 0,
            evicted: 0,
            first: 0,
            slots: VecDeque::new(),
            identity: None,
            vote: None,
            committed: None,
            purged: None,
            executing: None,
            ballots_lost_below: 0,
            ballots: BTreeMap::new(),
        }
    }

    /// Takes over one record; an error names the rule of the log that it breaks.
    pub(crate) fn apply(&mut self, record: &Record) -> Result<(), &'static str> {
        match record {
            Record::Entry(entry) => return self.append(entry.clone()),
            Record::Truncate(keep) => self.truncate(*keep),
            Record::Vote(vote) => self.vote = Some(*vote),
            Record::Committed(log_id) => self.committed = Some(*log_id),
            Record::Purge(purged) => self.purge(purged.clone()),
            Record::Ballot(ballot) => self.add_ballot(*ballot),
            Record::Executing(mark) => self.executing = Some(*mark).filter(|mark| mark.starts > 0),
            Record::Identity(identity) => self.identity = Some(*identity),
            Record::BallotsLost(below) => self.ballots_lost_below = self.ballots_lost_below.max(*below),
        }
        Ok(())
    }

    /// Index that the next entry must have.
    pub(crate) fn next_index(&self) -> u64 {
        self.first + self.slots.len() as u64
    }
    /// Index of the first entry that is kept.
    pub(crate) fn first_index(&self) -> u64 {
        self.first
    }
    /// Log id of the newest entry, or of the purge point where none is kept.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.slots.back().map(|slot| slot.log_id).or(self.purged.as_ref().map(|purged| purged.log_id))
    }

    fn append(&mut self, entry: Entry) -> Result<(), &'static str> {
        if entry.log_id.index != self.next_index() {
            // At start-up the segments that held the entries before may be gone, and the purge record that
            // allowed it is still to come ([`Memory::check`]).
            if !self.slots.is_empty() || entry.log_id.index < self.first {
                return Err("an entry does not follow the one before it");
            }
            self.first = entry.log_id.index;
        }
        let size_bytes = entry.size_bytes();
        self.cached_bytes += size_bytes;
        self.slots.push_back(Slot { log_id: entry.log_id, size_bytes, entry: Some(entry), place: None });
        Ok(())
    }

    fn truncate(&mut self, keep: Option<u64>) {
        let purged_next = self.purged.as_ref().map_or(0, |purged| purged.log_id.index + 1);
        let next = keep.map_or(0, |index| index + 1).max(purged_next);
        while self.next_index() > next {
            let Some(slot) = self.slots.pop_back() else { break };
            if slot.entry.is_some() {
                self.cached_bytes -= slot.size_bytes;
            }
        }
        self.evicted = self.evicted.min(self.slots.len());
        // Below the first entry only at start-up, where the segments before are gone.
        self.first = self.first.min(next);
    }

    /// At the end of start-up: nothing may be missing between the purge point and the first entry.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let expected = self.purged.as_ref().map_or(0, |purged| purged.log_id.index + 1);
        match self.slots.is_empty() || self.first == expected {
            true => Ok(()),
            false => Err("the first entry does not follow the purge point"),
        }
    }

    fn purge(&mut self, purged: Purged) {
        let next = purged.log_id.index + 1;
        while self.first < next {
            let Some(slot) = self.slots.pop_front() else { break };
            if slot.entry.is_some() {
                self.cached_bytes -= slot.size_bytes;
            }
            self.first += 1;
            self.evicted = self.evicted.saturating_sub(1);
        }
        if self.slots.is_empty() {
            self.first = self.first.max(next);
        }
        self.ballots.retain(|(index, ..), _| *index >= next);
        if self.purged.as_ref().is_none_or(|before| before.log_id.index <= purged.log_id.index) {
            self.purged = Some(purged);
        }
    }

    fn add_ballot(&mut self, ballot: Ballot) {
        let key = ballot.key();
        self.ballots.insert((key.log_id.index, key), ballot);
        if ends(&ballot, self.executing.as_ref()) {
            self.executing = None;
        }
    }

    /// Whether this node gave a token on an attempt, on whatever parent.
    pub(crate) fn has_token(&self, log_id: LogId, attempt: u32) -> bool {
        let from = BallotKey { log_id, attempt, parent: Hash::default() };
        let of_batch = self.ballots.range((log_id.index, from)..).map(|(_, ballot)| ballot);
        let mut of_attempt = of_batch.take_while(|ballot| {
            let key = ballot.key();
            (key.log_id, key.attempt) == (log_id, attempt)
        });
        of_attempt.any(|ballot| ballot.token().is_some())
    }

    /// The ballot that this node gave.
    pub(crate) fn ballot(&self, key: &BallotKey) -> Option<Ballot> {
        self.ballots.get(&(key.log_id.index, *key)).copied()
    }
    /// All ballots kept, by index.
    pub(crate) fn ballots(&self) -> Vec<Ballot> {
        self.ballots.values().copied().collect()
    }

    /// Notes where entries came to lie, and drops payloads over the budget.
    pub(crate) fn place(&mut self, places: Vec<(LogId, Place)>) {
        for (log_id, place) in places {
            let Some(position) = log_id.index.checked_sub(self.first) else { continue };
            // The slot may have been truncated and filled anew since.
            if let Some(slot) = self.slots.get_mut(position as usize).filter(|slot| slot.log_id == log_id) {
                slot.place = Some(place);
            }
        }
        while self.cached_bytes > self.cache_bytes_max {
            let Some(slot) = self.slots.get_mut(self.evicted).filter(|slot| slot.place.is_some()) else { break };
            if slot.entry.take().is_some() {
                self.cached_bytes -= slot.size_bytes;
            }
            self.evicted += 1;
        }
    }

    /// Entries from `start` up to `end` (exclusive) as far as the log holds them, at most about `bytes_max`
    /// but at least one.
    pub(crate) fn find(&self, start: u64, end: u64, bytes_max: usize) -> Vec<Found> {
        let start = start.max(self.first);
        let mut found = Vec::new();
        let mut bytes = 0;
        for index in start..end.min(self.next_index()) {
            let slot = &self.slots[(index - self.first) as usize];
            bytes += slot.size_bytes;
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            match (&slot.entry, &slot.place) {
                (Some(entry), _) => found.push(Found::Cached(entry.clone())),
                (None, Some(place)) => found.push(Found::OnDisk(slot.log_id, place.clone())),
                (None, None) => unreachable!("a payload is dropped only once its place is known"),
            }
        }
        found
    }

    /// The log id at an index, while it is kept.
    pub(crate) fn log_id(&self, index: u64) -> Option<LogId> {
        let position = index.checked_sub(self.first)?;
        Some(self.slots.get(position as usize)?.log_id)
    }

    /// The newest membership at or below an index: among the entries in memory, or of the purge point.
    /// The slots that must be read from disk are left to the caller.
    pub(crate) fn membership_at(&self, index: u64) -> Result<Option<(LogId, Membership)>, LogError> {
        let from = self.first;
        for position in (from..=index.min(self.next_index().saturating_sub(1))).rev() {
            let Some(slot) = position.checked_sub(from).and_then(|at| self.slots.get(at as usize)) else { continue };
            let payload = match (&slot.entry, &slot.place) {
                (Some(entry), _) => entry.payload.clone(),
                (None, Some(place)) => place.read(slot.log_id)?.payload,
                (None, None) => continue,
            };
            if let Payload::Membership(membership) = payload {
                return Ok(Some((slot.log_id, membership)));
            }
        }
        Ok(self.purged.as_ref().and_then(|purged| purged.membership.clone()))
    }
}
