//! What happens to queued operations: they go into one frame, one fdatasync makes all of them durable, and
//! their callbacks run. The log thread calls it, or the simulator.

use super::core::LogCore;
use super::memory::Memory;
use super::record::Record;
use super::{Done, LogError, LogFailure};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A frame is not made larger by coalescing than about this.
const COALESCED_BYTES_MAX: usize = 4 << 20;

/// What an operation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Goes along with the next write.
    Lazy,
    /// Written now: it survives the process, not the machine.
    Written,
    /// Durable before its callback.
    Durable,
}

/// An operation on its way to the disk.
pub(crate) struct Op {
    pub(crate) records: Vec<Record>,
    pub(crate) urgency: Urgency,
    pub(crate) done: Option<Done>,
    /// The token for this index is coming: worth waiting for, so that both share a fdatasync.
    pub(crate) expects_token: Option<u64>,
    /// Segments below the purge point can be recycled once this is durable.
    pub(crate) recycles: bool,
}

/// Message to the log thread.
pub(crate) enum Message {
    Op(Op),
    Stop,
    /// End now, writing nothing more.
    Abandon,
}

/// The queue's consumer.
pub(crate) struct Worker {
    core: LogCore,
    memory: Arc<Mutex<Memory>>,
    token_hold: Duration,
    urgency: Urgency,
    dones: Vec<Done>,
    expected: BTreeSet<u64>,
    recycles: bool,
    syncs: u64,
    failure: Arc<OnceLock<LogFailure>>,
}

/// Whether the log thread goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    /// Once what came before is durable.
    Stop,
    /// At once.
    Abandon,
}

/// Callbacks to run, once no lock is held.
pub(crate) struct Settled {
    dones: Vec<Done>,
    error: Option<String>,
}

impl Settled {
    /// Runs the callbacks, in the order in which their operations came.
    pub(crate) fn run(self) {
        for done in self.dones {
            done(match &self.error {
                None => Ok(()),
                Some(error) => Err(io::Error::other(error.clone())),
            });
        }
    }
}

impl Worker {
    pub(crate) fn new(core: LogCore, memory: Arc<Mutex<Memory>>, token_hold: Duration) -> Self {
        Worker {
            core,
            memory,
            token_hold,
            urgency: Urgency::Lazy,
            dones: Vec::new(),
            expected: BTreeSet::new(),
            recycles: false,
            syncs: 0,
            failure: Arc::default(),
        }
    }

    /// Fdatasyncs so far.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs
    }

    /// Filled with the error that stops the log.
    pub(crate) fn failure(&self) -> Arc<OnceLock<LogFailure>> {
        self.failure.clone()
    }

    /// Takes an operation into the frame under construction.
    pub(crate) fn absorb(&mut self, op: Op) {
        self.expected.extend(op.expects_token);
        for record in &op.records {
            self.core.push(record);
            if let Record::Ballot(ballot) = record {
                // A token for a later index says that nobody waits for an earlier one any more.
                self.expected = self.expected.split_off(&(ballot.key().log_id.index + 1));
            }
        }
        self.dones.extend(op.done);
        self.urgency = self.urgency.max(op.urgency);
        self.recycles |= op.recycles;
    }

    /// Carries out what was absorbed.
    pub(crate) fn settle(&mut self) -> Settled {
        let result = self.try_settle();
        self.urgency = Urgency::Lazy;
        let error = result.err().map(|error| error.to_string());
        if let Some(reason) = error.clone() {
            let failure = LogFailure { reason, is_out_of_room: self.core.is_out_of_room() };
            // Those that follow only say that it has stopped.
            if let Err(failure) = self.failure.set(failure) {
                tracing::debug!(reason = failure.reason, "the log was asked after it had stopped");
            }
        }
        Settled { dones: std::mem::take(&mut self.dones), error }
    }

    fn try_settle(&mut self) -> Result<(), LogError> {
        let places = match self.urgency {
            Urgency::Lazy => return Ok(()),
            Urgency::Written => self.core.write_out()?,
            Urgency::Durable => {
                self.syncs += 1;
                self.core.flush()?
            }
        };
        self.memory.lock().place(places);
        if self.recycles && self.urgency == Urgency::Durable {
            self.recycles = false;
            self.core.recycle()?;
        }
        Ok(())
    }

    /// The log thread: until told to stop, or until nobody can send any more.
    pub(crate) fn run(mut self, receiver: Receiver<Message>) {
        let mut next = Next::GoOn;
        while next == Next::GoOn {
            next = match receiver.recv() {
                Ok(Message::Op(op)) => {
                    self.absorb(op);
                    self.absorb_waiting(&receiver)
                }
                Ok(Message::Abandon) => Next::Abandon,
                Ok(Message::Stop) | Err(_) => Next::Stop,
            };
            let holds = self.urgency == Urgency::Durable && !self.expected.is_empty() && !self.token_hold.is_zero();
            if next == Next::GoOn && holds {
                next = self.hold_for_token(&receiver);
            }
            match next {
                // Neither written nor answered: as if the process had died.
                Next::Abandon => return,
                Next::Stop => self.urgency = Urgency::Durable,
                Next::GoOn => {}
            }
            self.settle().run();
            self.core.prepare_spare();
        }
    }

    /// Absorbs what is queued already.
    fn absorb_waiting(&mut self, receiver: &Receiver<Message>) -> Next {
        while self.core.buffered_bytes() < COALESCED_BYTES_MAX {
            match receiver.try_recv() {
                Ok(Message::Op(op)) => self.absorb(op),
                Ok(Message::Stop) => return Next::Stop,
                Ok(Message::Abandon) => return Next::Abandon,
                Err(_) => break,
            }
        }
        Next::GoOn
    }

    /// Waits a moment for the token of a batch that is just being executed: then entry and token share one frame
    /// and one fdatasync, and acceptance waits for one instead of two.
    fn hold_for_token(&mut self, receiver: &Receiver<Message>) -> Next {
        let deadline = Instant::now() + self.token_hold;
        while !self.expected.is_empty() {
            match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Message::Op(op)) => self.absorb(op),
                Ok(Message::Stop) => return Next::Stop,
                Ok(Message::Abandon) => return Next::Abandon,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        self.expected.clear();
        self.absorb_waiting(receiver)
    }
}
