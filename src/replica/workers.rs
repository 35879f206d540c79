//! Threads that run transactions ahead. How many there are never shows in a result (invariant 4): each transaction runs
//! alone on a view of the same root, and what it gives is put where its number says.

use super::speculate::{Guess, Speculator, Task};
use crate::engine::{self, LocalError};
use parking_lot::{Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

type Given = Result<Guess, LocalError>;

/// A replica's own thread and those that help it.
pub(super) struct Workers {
    shared: Arc<Shared>,
    own: Speculator,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There are tasks, or the end.
    tasks: Condvar,
    /// The last task was done.
    done: Condvar,
}

#[derive(Default)]
struct State {
    tasks: Vec<(usize, Task)>,
    given: Vec<Option<Given>>,
    /// Taken and not given yet.
    running: usize,
    ended: bool,
}

impl Workers {
    /// `count` threads in all, this one included; 0 counts as 1.
    pub fn new(count: usize, options: engine::Options) -> Self {
        let shared = Arc::new(Shared::default());
        let spawn = |number: usize| {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name(format!("work-{number}"));
            thread.spawn(move || help(&shared, Speculator::new(options)))
        };
        // A machine without threads to give runs everything on this one, with the same result.
        let threads = (1..count).map_while(|number| spawn(number).ok()).collect();
        Workers { shared, own: Speculator::new(options), threads }
    }

    /// Runs all tasks; what they give, in their order.
    pub fn run(&mut self, tasks: Vec<Task>) -> Vec<Given> {
        if self.threads.is_empty() || tasks.len() < 2 {
            return tasks.iter().map(|task| guarded(&mut self.own, task)).collect();
        }
        let mut state = self.shared.state.lock();
        state.given = tasks.iter().map(|_| None).collect();
        // Taken from the end: the first ones first.
        state.tasks = tasks.into_iter().enumerate().rev().collect();
        self.shared.tasks.notify_all();
        while let Some((number, task)) = state.take() {
            drop(state);
            let given = guarded(&mut self.own, &task);
            state = self.shared.state.lock();
            state.put(number, given);
        }
        while state.running > 0 {
            self.shared.done.wait(&mut state);
        }
        let missing = || Err(LocalError::internal("a task that ran ahead gave nothing"));
        std::mem::take(&mut state.given).into_iter().map(|given| given.unwrap_or_else(missing)).collect()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.tasks.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl State {
    fn take(&mut self) -> Option<(usize, Task)> {
        let task = self.tasks.pop()?;
        self.running += 1;
        Some(task)
    }
    fn put(&mut self, number: usize, given: Given) {
        self.running -= 1;
        if let Some(slot) = self.given.get_mut(number) {
            *slot = Some(given);
        }
    }
}

fn help(shared: &Shared, mut speculator: Speculator) {
    let mut state = shared.state.lock();
    loop {
        if let Some((number, task)) = state.take() {
            drop(state);
            let given = guarded(&mut speculator, &task);
            state = shared.state.lock();
            state.put(number, given);
            if state.running == 0 && state.tasks.is_empty() {
                shared.done.notify_one();
            }
        } else if state.ended {
            return;
        } else {
            shared.tasks.wait(&mut state);
        }
    }
}

/// A panic in a transaction is this machine's failure, and the thread goes on.
fn guarded(speculator: &mut Speculator, task: &Task) -> Given {
    catch_unwind(AssertUnwindSafe(|| speculator.run(task)))
        .unwrap_or_else(|_| Err(LocalError::internal("a transaction that ran ahead panicked")))
}
