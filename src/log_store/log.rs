//! The log as its users see it: shared, non-blocking, with callbacks.
//!
//! Consensus appends, truncates, votes and purges; the executor issues tokens and marks. All of it goes
//! through one first-in-first-out queue to one thread that makes everything in the queue durable with one
//! fdatasync. In the simulator the queue is worked off by [`Log::drive`] instead.

use super::core::LogCore;
use super::memory::{Found, Memory};
use super::record::{Executing, Identity, Purged, Record};
use super::worker::{Message, Op, Urgency, Worker};
use super::{Done, LogError, LogFailure, LogOptions};
use crate::entry::{Entry, Membership, Payload, Vote};
use crate::seam::Disk;
use crate::token::{Ballot, BallotKey, LogId};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

/// Who works off the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A thread of its own.
    Threaded,
    /// [`Log::drive`]: called by whoever [`Log::on_work`] woke, or at once if nobody asked to be woken.
    Inline,
}

/// A snapshot of the log's watermarks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// Whose log it is.
    pub identity: Option<Identity>,
    /// Last vote saved.
    pub vote: Option<Vote>,
    /// Newest position known to be decided; saved lazily, so after a crash it may be older than it was.
    pub committed: Option<LogId>,
    /// From where on entries are kept.
    pub purged: Option<Purged>,
    /// Newest entry, or the purge point.
    pub last: Option<LogId>,
    /// The execution that has begun and not ended (rule 14).
    pub executing: Option<Executing>,
    /// Ballots on batches below this index may have been given and are not known any more: none is given again.
    pub ballots_lost_below: u64,
}

type Wake = Box<dyn Fn() + Send + Sync>;

enum Writer {
    Threaded { sender: Sender<Message>, thread: Mutex<Option<JoinHandle<()>>> },
    Inline { queue: Mutex<Vec<Op>>, worker: Box<Mutex<Worker>>, wake: OnceLock<Wake> },
}

/// The log of one node.
pub struct Log {
    memory: Arc<Mutex<Memory>>,
    writer: Writer,
    holds_for_tokens: bool,
    executor_is_idle: AtomicBool,
    /// What the process before was executing when it died. The batches before it are executed again first, and each
    /// leaves a mark of its own.
    found_executing: Option<Executing>,
    failure: Arc<OnceLock<LogFailure>>,
}

impl Log {
    /// Opens or makes the log in `directory`.
    ///
    /// Fails with [`LogError::Damaged`] where the disk lost something that was durable, with
    /// [`LogError::AnotherNode`] where the log is not this node's.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path, options: LogOptions, mode: Mode) -> Result<Arc<Log>, LogError> {
        let hold = options.token_hold;
        let node = options.node;
        let (core, memory) = LogCore::open(disk, directory, options)?;
        let found_executing = memory.executing;
        let memory = Arc::new(Mutex::new(memory));
        let worker = Worker::new(core, memory.clone(), hold);
        let failure = worker.failure();
        let writer = match mode {
            Mode::Inline => Writer::Inline {
                queue: Mutex::new(Vec::new()),
                worker: Box::new(Mutex::new(worker)),
                wake: OnceLock::new(),
            },
            Mode::Threaded => {
                let (sender, receiver) = mpsc::channel();
                let thread = thread::Builder::new()
                    .name(format!("log-{node}"))
                    .spawn(move || worker.run(receiver))
                    .map_err(|source| LogError::Io { file: directory.to_path_buf(), source })?;
                Writer::Threaded { sender, thread: Mutex::new(Some(thread)) }
            }
        };
        let holds_for_tokens = mode == Mode::Threaded && !hold.is_zero();
        Ok(Arc::new(Log {
            memory,
            writer,
            holds_for_tokens,
            executor_is_idle: AtomicBool::new(false),
            found_executing,
            failure,
        }))
    }

    /// The error that stopped it, if one has.
    pub fn failure(&self) -> Option<&LogFailure> {
        self.failure.get()
    }

    /// The log's watermarks.
    pub fn state(&self) -> LogState {
        let memory = self.memory.lock();
        LogState {
            identity: memory.identity,
            vote: memory.vote,
            committed: memory.committed,
            purged: memory.purged.clone(),
            last: memory.last(),
            executing: memory.executing,
            ballots_lost_below: memory.ballots_lost_below,
        }
    }

    /// Appends entries, readable at once; `done` runs when they are durable.
    pub fn append(&self, entries: Vec<Entry>, done: Done) -> Result<(), LogError> {
        let expects_token = self.token_expected_with(&entries);
        let records = entries.into_iter().map(Record::Entry).collect();
        self.submit(records, Urgency::Durable, Some(done), expects_token)
    }

    /// An idle executor begins at once with the first batch that is appended.
    fn token_expected_with(&self, entries: &[Entry]) -> Option<u64> {
        if !self.holds_for_tokens {
            return None;
        }
        let is_batch = |entry: &&Entry| matches!(&entry.payload, Payload::Command(command) if !command.is_verdict());
        let index = entries.iter().find(is_batch)?.log_id.index;
        self.executor_is_idle.swap(false, Ordering::AcqRel).then_some(index)
    }

    /// The executor says that its queue is empty, so that the next batch's fdatasync is held, a moment, for
    /// its token. Taken back by the next batch appended.
    pub fn executor_is_idle(&self) {
        self.executor_is_idle.store(true, Ordering::Release);
    }

    /// Removes entries above `keep` (all without it); `done` runs when that is durable.
    pub fn truncate(&self, keep: Option<u64>, done: Done) -> Result<(), LogError> {
        self.submit(vec![Record::Truncate(keep)], Urgency::Durable, Some(done), None)
    }

    /// Saves a vote; `done` runs when it is durable.
    pub fn save_vote(&self, vote: Vote, done: Done) -> Result<(), LogError> {
        self.submit(vec![Record::Vote(vote)], Urgency::Durable, Some(done), None)
    }

    /// Notes how far the log is decided, with the next write.
    pub fn save_committed(&self, log_id: LogId) -> Result<(), LogError> {
        self.submit(vec![Record::Committed(log_id)], Urgency::Lazy, None, None)
    }

    /// Forgets entries, tokens and marks up to a position; `membership` is the newest at or below it, taken
    /// from the log itself where not given (a snapshot brings it along).
    pub fn purge(&self, log_id: LogId, membership: Option<(LogId, Membership)>, done: Done) -> Result<(), LogError> {
        let membership = match membership {
            Some(membership) => Some(membership),
            None => self.membership_at(log_id.index)?,
        };
        let records = vec![Record::Purge(Purged { log_id, membership })];
        let op = Op { records, urgency: Urgency::Durable, done: Some(done), expects_token: None, recycles: true };
        self.submit_op(op)
    }

    /// Records this node's ballot; `done` runs when it is durable, and only then may it be sent (rule 2).
    ///
    /// Fails with [`LogError::SecondBallot`] where another one was recorded for the same attempt: the replica
    /// must then quarantine itself.
    pub fn issue_ballot(&self, ballot: Ballot, done: Done) -> Result<(), LogError> {
        let issued = self.memory.lock().ballot(&ballot.key());
        match issued {
            Some(issued) if issued != ballot => Err(LogError::SecondBallot { issued: Box::new(issued) }),
            // Recorded before, but maybe not yet durable: the callback comes behind it.
            Some(_) => self.submit(Vec::new(), Urgency::Durable, Some(done), None),
            None => self.submit(vec![Record::Ballot(ballot)], Urgency::Durable, Some(done), None),
        }
    }

    /// The ballot that this node gave, if any.
    pub fn ballot(&self, key: &BallotKey) -> Option<Ballot> {
        self.memory.lock().ballot(key)
    }
    /// All ballots above the purge point, by index.
    pub fn ballots(&self) -> Vec<Ballot> {
        self.memory.lock().ballots()
    }

    /// Marks that an execution begins (rule 14) and returns how often one of this batch has begun without ending,
    /// this time included. The mark is written, not synced: it is about processes that die. `waits` comes back
    /// when it is written, where a thread writes and no token says that the execution went well before.
    pub fn mark_executing(&self, log_id: LogId, attempt: u32, waits: bool) -> Result<u32, LogError> {
        let (marked, has_token) = {
            let memory = self.memory.lock();
            (memory.executing, waits && memory.has_token(log_id, attempt))
        };
        let before = marked.into_iter().chain(self.found_executing);
        let before = before.filter(|mark| mark.log_id == log_id).map(|mark| mark.starts).max();
        let starts = before.unwrap_or(0) + 1;
        let record = Record::Executing(Executing { log_id, attempt, starts });
        if !waits || has_token || matches!(self.writer, Writer::Inline { .. }) {
            self.submit(vec![record], Urgency::Written, None, None)?;
            return Ok(starts);
        }
        let (sender, written) = mpsc::channel();
        let done: Done = Box::new(move |result| drop(sender.send(result)));
        self.submit(vec![record], Urgency::Written, Some(done), None)?;
        // An error has stopped the log thread, and this node's part in consensus with it.
        let _ = written.recv();
        Ok(starts)
    }

    /// Whether a token of this execution is on record.
    pub fn has_token(&self, log_id: LogId, attempt: u32) -> bool {
        self.memory.lock().has_token(log_id, attempt)
    }

    /// Takes the mark back after an execution that ended. A new token does so by itself; one that is on record
    /// already is not written again, and a failure leaves none.
    pub fn has_executed(&self, log_id: LogId, attempt: u32, failed: bool) -> Result<(), LogError> {
        if !failed && !self.has_token(log_id, attempt) {
            return Ok(());
        }
        let record = Record::Executing(Executing { log_id, attempt, starts: 0 });
        self.submit(vec![record], Urgency::Written, None, None)
    }

    /// Entries from `start` up to `end` (exclusive) that the log holds, about `bytes_max` of them but at
    /// least one. Recent ones come from memory, old ones are read.
    pub fn read(&self, start: u64, end: u64, bytes_max: usize) -> Result<Vec<Entry>, LogError> {
        let found = self.memory.lock().find(start, end, bytes_max);
        let entries = found.into_iter().map(|found| match found {
            Found::Cached(entry) => Ok(entry),
            Found::OnDisk(log_id, place) => place.read(log_id),
        });
        entries.collect()
    }

    /// The log id at an index, while the log holds it.
    pub fn log_id(&self, index: u64) -> Option<LogId> {
        self.memory.lock().log_id(index)
    }
    /// Index of the first entry that is held.
    pub fn first_index(&self) -> u64 {
        self.memory.lock().first_index()
    }
    /// The newest membership at or below an index.
    pub fn membership_at(&self, index: u64) -> Result<Option<(LogId, Membership)>, LogError> {
        self.memory.lock().membership_at(index)
    }

    /// Runs `done` when everything handed over before is durable.
    pub fn barrier(&self, done: Done) -> Result<(), LogError> {
        self.submit(Vec::new(), Urgency::Durable, Some(done), None)
    }

    fn submit(
        &self,
        records: Vec<Record>,
        urgency: Urgency,
        done: Option<Done>,
        expects_token: Option<u64>,
    ) -> Result<(), LogError> {
        self.submit_op(Op { records, urgency, done, expects_token, recycles: false })
    }

    /// Memory first, then the queue, under one lock: both see the same order.
    fn submit_op(&self, op: Op) -> Result<(), LogError> {
        {
            let mut memory = self.memory.lock();
            for record in &op.records {
                memory.apply(record).map_err(|reason| LogError::Misused { reason })?;
            }
            match &self.writer {
                Writer::Threaded { sender, .. } => {
                    let stopped = || LogError::Stopped { reason: "the log thread has ended".into() };
                    sender.send(Message::Op(op)).map_err(|_| stopped())?;
                }
                Writer::Inline { queue, .. } => queue.lock().push(op),
            }
        }
        if let Writer::Inline { wake, .. } = &self.writer {
            match wake.get() {
                Some(wake) => wake(),
                None => self.drive(),
            }
        }
        Ok(())
    }

    /// Asks to be woken when there is work for [`Log::drive`]. False where a thread does the work, or
    /// somebody else has asked already.
    pub fn on_work(&self, callback: impl Fn() + Send + Sync + 'static) -> bool {
        match &self.writer {
            Writer::Inline { wake, .. } => wake.set(Box::new(callback)).is_ok(),
            Writer::Threaded { .. } => false,
        }
    }

    /// Works off the queue with one fdatasync, and runs the callbacks (inline mode).
    pub fn drive(&self) {
        let Writer::Inline { queue, worker, .. } = &self.writer else { return };
        let settled = {
            let mut worker = worker.lock();
            let ops = std::mem::take(&mut *queue.lock());
            ops.into_iter().for_each(|op| worker.absorb(op));
            worker.settle()
        };
        settled.run();
    }

    /// Fdatasyncs so far (inline mode; 0 otherwise).
    pub fn syncs(&self) -> u64 {
        match &self.writer {
            Writer::Inline { worker, .. } => worker.lock().syncs(),
            Writer::Threaded { .. } => 0,
        }
    }

    /// Ends the thread as if the process had died: what is not written yet is lost, and no callback runs.
    pub fn abandon(&self) {
        if let Writer::Threaded { sender, thread } = &self.writer {
            let _ = sender.send(Message::Abandon);
            if let Some(thread) = thread.lock().take() {
                let _ = thread.join();
            }
        }
    }

    /// Makes everything durable and ends the thread. Later calls fail or do nothing.
    pub fn shut_down(&self) {
        match &self.writer {
            Writer::Inline { .. } => self.drive(),
            Writer::Threaded { sender, thread } => {
                let _ = sender.send(Message::Stop);
                if let Some(thread) = thread.lock().take()
                    && thread.join().is_err()
                {
                    tracing::error!("the log thread panicked");
                }
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shut_down();
    }
}
