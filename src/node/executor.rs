//! The executor thread: owns a [`NodeCore`] and feeds it, in the order of arrival, what the log, the peers
//! and the clock have to say.

use super::core::{Input, NodeCore};
use crate::log_store::Log;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::{Duration, Instant};

/// Longest sleep: reachability and repairs are looked at this often.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// What the thread is told.
pub enum Message {
    /// Something happened.
    Input(Input),
    /// Runs on the thread, between two inputs (checkpoints, questions of tests).
    Call(Box<dyn FnOnce(&mut NodeCore) + Send>),
    /// End, after what came before.
    Stop,
    /// End at once, as if the process had died.
    Abort,
}

/// Where inputs are put.
#[derive(Clone)]
pub struct Inbox(Sender<Message>);

impl Inbox {
    /// Wraps the sending side of the thread's queue.
    pub fn new(sender: Sender<Message>) -> Self {
        Inbox(sender)
    }
    /// Adds an input. After the thread has ended inputs are dropped: the node is gone.
    pub fn put(&self, input: Input) {
        let _ = self.0.send(Message::Input(input));
    }
    /// Runs something on the thread.
    pub fn call(&self, call: impl FnOnce(&mut NodeCore) + Send + 'static) {
        let _ = self.0.send(Message::Call(Box::new(call)));
    }
    /// Asks the thread to end.
    pub fn stop(&self, abort: bool) {
        let _ = self.0.send(if abort { Message::Abort } else { Message::Stop });
    }
}

/// Runs until told to stop.
pub fn run(mut core: NodeCore, receiver: Receiver<Message>, log: Arc<Log>) {
    let start = Instant::now();
    let now_us = || start.elapsed().as_micros() as u64;
    let sleep_us = SLEEP_MAX.as_micros() as u64;
    let mut next_tick_us = 0u64;
    let mut due_us = 0u64;
    loop {
        let message = match receiver.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                log.executor_is_idle();
                match receiver.recv_timeout(Duration::from_micros(due_us.saturating_sub(now_us()))) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        match message {
            Some(Message::Input(input)) => core.handle(input, now_us()),
            Some(Message::Call(call)) => call(&mut core),
            Some(Message::Stop | Message::Abort) => return,
            None => {}
        }
        let now = now_us();
        if now >= due_us {
            core.handle(Input::Tick, now);
            next_tick_us = now + sleep_us;
        }
        due_us = core.deadline_us(now).unwrap_or(u64::MAX).min(next_tick_us);
    }
}
