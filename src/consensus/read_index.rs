//! Read indexes, shared: one round at a time, and everybody who came before a round started shares it.
//!
//! A round asks: up to where is the log decided, by a leader that a quorum still follows? A reader may only use
//! a round that started after it came; so those who come while one is under way wait for the next one.

use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

#[derive(Default)]
struct Waiting {
    running: bool,
    readers: Vec<oneshot::Sender<Option<u64>>>,
}

/// Readers that wait for rounds of one kind.
#[derive(Default)]
pub(crate) struct Rounds {
    waiting: Mutex<Waiting>,
    started: AtomicU64,
}

impl Rounds {
    /// Rounds started so far.
    pub(crate) fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Waits for the result of a round that starts after this call; `round` makes one.
    pub(crate) fn join<R, F>(self: &Arc<Self>, runtime: &Handle, round: R) -> oneshot::Receiver<Option<u64>>
    where
        R: Fn() -> F + Send + 'static,
        F: Future<Output = Option<u64>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let starts = {
            let mut waiting = self.waiting.lock();
            waiting.readers.push(sender);
            !std::mem::replace(&mut waiting.running, true)
        };
        if starts {
            runtime.spawn(self.clone().run(round));
        }
        receiver
    }

    async fn run<R, F>(self: Arc<Self>, round: R)
    where
        R: Fn() -> F + Send + 'static,
        F: Future<Output = Option<u64>> + Send + 'static,
    {
        loop {
            let readers = {
                let mut waiting = self.waiting.lock();
                if waiting.readers.is_empty() {
                    waiting.running = false;
                    return;
                }
                std::mem::take(&mut waiting.readers)
            };
            self.started.fetch_add(1, Ordering::Relaxed);
            let index = round().await;
            readers.into_iter().for_each(|reader| {
                let _ = reader.send(index);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time;

    #[tokio::test(start_paused = true)]
    async fn readers_share_a_round_and_latecomers_get_the_next_one() {
        let rounds = Arc::new(Rounds::default());
        let count = Arc::new(AtomicU64::new(0));
        let join = || {
            let count = count.clone();
            rounds.join(&Handle::current(), move || {
                let number = count.fetch_add(1, Ordering::Relaxed);
                async move {
                    time::sleep(Duration::from_millis(10)).await;
                    Some(number)
                }
            })
        };
        let early: Vec<_> = (0..100).map(|_| join()).collect();
        time::sleep(Duration::from_millis(5)).await;
        let late: Vec<_> = (0..100).map(|_| join()).collect();
        for receiver in early {
            assert_eq!(receiver.await.unwrap(), Some(0));
        }
        for receiver in late {
            assert_eq!(receiver.await.unwrap(), Some(1), "a round under way may not serve a latecomer");
        }
        assert_eq!(rounds.started(), 2);
        assert_eq!(join().await.unwrap(), Some(2));
    }
}
