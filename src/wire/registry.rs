//! Who is connected: process numbers, cancel keys, and how to interrupt what a connection runs.
//!
//! Cancel requests and statement timeouts come from the greeting thread, which never runs SQL: a front
//! thread that is inside a long statement could not hear them.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Interrupts a running statement from another thread.
pub type Interrupt = Arc<dyn Fn() + Send + Sync>;

/// Why a statement was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The client asked.
    Cancel,
    /// `statement_timeout` ran out.
    Timeout,
}

/// One connection as the other threads see it.
pub struct Registration {
    /// Process number, unique among the connections of this program.
    pub process: i32,
    /// Secret of the cancel key.
    pub secret: i32,
    cancelled: AtomicBool,
    timed_out: AtomicBool,
    /// Nanoseconds after `origin` at which the statement's time is over; 0 for none.
    deadline: AtomicU64,
    origin: Instant,
    /// Told when a statement with a deadline begins.
    timed: Arc<Notify>,
    wake: Notify,
    interrupt: Mutex<Option<Interrupt>>,
}

impl Registration {
    /// A statement begins: earlier cancels do not concern it; a zero timeout means none.
    pub fn statement_begins(&self, timeout: Duration) {
        self.cancelled.store(false, Ordering::Relaxed);
        self.timed_out.store(false, Ordering::Relaxed);
        let deadline = if timeout.is_zero() { 0 } else { (self.origin.elapsed() + timeout).as_nanos() as u64 };
        self.deadline.store(deadline, Ordering::Relaxed);
        if deadline != 0 {
            self.timed.notify_one();
        }
    }

    /// The statement is over.
    pub fn statement_ends(&self) {
        self.deadline.store(0, Ordering::Relaxed);
    }

    /// What interrupts the SQLite connection that this one is about to use.
    pub fn set_interrupt(&self, interrupt: Option<Interrupt>) {
        *self.interrupt.lock() = interrupt;
    }

    /// Whether, and why, the running statement is to stop.
    pub fn interrupted(&self) -> Option<Reason> {
        if self.cancelled.load(Ordering::Relaxed) {
            Some(Reason::Cancel)
        } else if self.timed_out.load(Ordering::Relaxed) {
            Some(Reason::Timeout)
        } else {
            None
        }
    }

    /// Resolves when the running statement is to stop: for waits outside SQLite.
    pub async fn wait_interrupted(&self) -> Reason {
        loop {
            let notified = self.wake.notified();
            if let Some(reason) = self.interrupted() {
                return reason;
            }
            notified.await;
        }
    }

    fn stop(&self, flag: &AtomicBool) {
        flag.store(true, Ordering::Relaxed);
        self.wake.notify_waiters();
        if let Some(interrupt) = &*self.interrupt.lock() {
            interrupt();
        }
    }

    /// Whether there is one that is not over.
    fn check_deadline(&self) -> bool {
        let deadline = self.deadline.load(Ordering::Relaxed);
        let is_over = deadline != 0 && self.origin.elapsed().as_nanos() as u64 >= deadline;
        if is_over {
            self.deadline.store(0, Ordering::Relaxed);
            self.stop(&self.timed_out);
        }
        deadline != 0 && !is_over
    }
}

/// All connections of one front.
pub struct Registry {
    connections: Mutex<HashMap<i32, Arc<Registration>>>,
    connections_max: usize,
    next_process: AtomicU64,
    secrets: std::collections::hash_map::RandomState,
    origin: Instant,
    timed: Arc<Notify>,
}

impl Registry {
    /// An empty registry that admits `connections_max`.
    pub fn new(connections_max: usize) -> Self {
        Registry {
            connections: Mutex::default(),
            connections_max,
            next_process: AtomicU64::new(1),
            secrets: Default::default(),
            origin: Instant::now(),
            timed: Arc::default(),
        }
    }

    /// Adds a connection; `None` when there are too many.
    pub fn register(&self) -> Option<Arc<Registration>> {
        use std::hash::BuildHasher;
        let mut connections = self.connections.lock();
        if connections.len() >= self.connections_max {
            return None;
        }
        let number = self.next_process.fetch_add(1, Ordering::Relaxed);
        let registration = Arc::new(Registration {
            process: (number & 0x7fff_ffff) as i32,
            secret: self.secrets.hash_one((number, std::time::SystemTime::now())) as i32,
            cancelled: AtomicBool::new(false),
            timed_out: AtomicBool::new(false),
            deadline: AtomicU64::new(0),
            origin: self.origin,
            timed: self.timed.clone(),
            wake: Notify::new(),
            interrupt: Mutex::new(None),
        });
        connections.insert(registration.process, registration.clone());
        Some(registration)
    }

    /// Removes a connection.
    pub fn remove(&self, process: i32) {
        self.connections.lock().remove(&process);
    }

    /// Stops what the connection with this key runs; wrong keys are ignored, as in Postgres.
    pub fn cancel(&self, process: i32, secret: i32) {
        let found = self.connections.lock().get(&process).cloned();
        if let Some(registration) = found.filter(|r| r.secret == secret) {
            registration.stop(&registration.cancelled);
        }
    }

    /// Stops statements whose time is over; called every few milliseconds while there are statements that have a deadline,
    /// which it tells.
    pub fn check_deadlines(&self) -> bool {
        let connections = self.connections.lock();
        connections.values().fold(false, |any, registration| registration.check_deadline() | any)
    }

    /// Resolves when a statement with a deadline has begun since it last did.
    pub async fn deadline_begun(&self) {
        self.timed.notified().await;
    }
}
