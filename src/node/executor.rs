//! The executor, a thread or (in the simulator) a task: owns a [`NodeCore`] and feeds it, in the order of arrival, what the log, the peers
//! and the clock have to say.

use super::core::{Input, NodeCore};
use crate::log_store::Log;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time;

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
pub struct Inbox(Arc<dyn Fn(Message) + Send + Sync>);

impl Inbox {
    /// Wraps the sending side of a queue; after its end messages are dropped.
    pub fn new(put: impl Fn(Message) + Send + Sync + 'static) -> Self {
        Inbox(Arc::new(put))
    }
    /// Adds an input. After the thread has ended inputs are dropped: the node is gone.
    pub fn put(&self, input: Input) {
        (self.0)(Message::Input(input));
    }
    /// Runs something on the thread.
    pub fn call(&self, call: impl FnOnce(&mut NodeCore) + Send + 'static) {
        (self.0)(Message::Call(Box::new(call)));
    }
    /// Asks the thread to end.
    pub fn stop(&self, abort: bool) {
        (self.0)(if abort { Message::Abort } else { Message::Stop });
    }
}

/// When the core is to be woken though nothing comes in.
#[derive(Default)]
struct Alarm {
    next_tick_us: u64,
    due_us: u64,
}

impl Alarm {
    /// After each message, and when the time has come.
    fn look(&mut self, core: &mut NodeCore, now_us: u64) {
        if now_us >= self.due_us {
            core.handle(Input::Tick, now_us);
            self.next_tick_us = now_us + SLEEP_MAX.as_micros() as u64;
        }
        self.due_us = core.deadline_us(now_us).unwrap_or(u64::MAX).min(self.next_tick_us);
    }
}

/// Runs until told to stop.
pub fn run(mut core: NodeCore, receiver: Receiver<Message>, log: Arc<Log>) {
    let start = Instant::now();
    let now_us = || start.elapsed().as_micros() as u64;
    let mut alarm = Alarm::default();
    loop {
        let message = match receiver.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                core.show();
                log.executor_is_idle();
                match receiver.recv_timeout(Duration::from_micros(alarm.due_us.saturating_sub(now_us()))) {
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
        alarm.look(&mut core, now_us());
    }
}

/// The same as a task, on the runtime's clock. `observe` sees each input and says how long it takes; a core that
/// panics ends the task.
pub async fn run_inline(
    core: Rc<RefCell<NodeCore>>,
    mut receiver: UnboundedReceiver<Message>,
    mut observe: impl FnMut(&Input) -> Duration,
) {
    let start = time::Instant::now();
    let now_us = || start.elapsed().as_micros() as u64;
    let mut alarm = Alarm::default();
    loop {
        let due = start + Duration::from_micros(alarm.due_us);
        let message = tokio::select! {
            biased;
            message = receiver.recv() => match message {
                Some(message) => Some(message),
                None => return,
            },
            () = time::sleep_until(due) => None,
        };
        match message {
            Some(Message::Input(input)) => {
                let takes = observe(&input);
                if !takes.is_zero() {
                    time::sleep(takes).await;
                }
                core.borrow_mut().handle(input, now_us());
            }
            Some(Message::Call(call)) => call(&mut core.borrow_mut()),
            Some(Message::Stop | Message::Abort) => return,
            None => {}
        }
        let mut core = core.borrow_mut();
        alarm.look(&mut core, now_us());
        core.show();
    }
}
