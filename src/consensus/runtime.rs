//! The runtime that openraft runs on: tokio, without its randomness, so that one seed makes one history.
//!
//! Two things of tokio's are drawn from the system: random numbers, which [`DeterministicRng`] seeds, and the order
//! in which a watch wakes its receivers, which [`OrderedWatch`] fixes (tokio's own seed needs `--cfg
//! tokio_unstable`, for the whole build). The rest, on a paused current-thread runtime, repeats by itself.

use openraft::AsyncRuntime;
use openraft::rt::deterministic_rng::DeterministicRng;
use openraft::rt::watch::{RecvError, SendError, Watch, WatchReceiver, WatchSender};
use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// openraft's adapter of tokio; its home is a crate of its own, which would be one more dependency.
#[allow(deprecated)]
type Tokio = openraft::impls::TokioRuntime;
type Seeded = DeterministicRng<Tokio>;

/// tokio with seeded randomness and ordered watches.
#[derive(Debug)]
pub(crate) struct Runtime(Seeded);

impl Runtime {
    /// Runs a future, and all that it spawns, with randomness that follows from `seed`.
    pub(crate) fn scope<F: Future>(seed: u64, future: F) -> impl Future<Output = F::Output> {
        Seeded::scope(seed, future)
    }
}

impl AsyncRuntime for Runtime {
    type JoinError = <Seeded as AsyncRuntime>::JoinError;
    type JoinHandle<T: Send + 'static> = <Seeded as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <Seeded as AsyncRuntime>::Sleep;
    type Instant = <Seeded as AsyncRuntime>::Instant;
    type TimeoutError = <Seeded as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + Send> = <Seeded as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <Seeded as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <Seeded as AsyncRuntime>::Mpsc;
    type Watch = OrderedWatch;
    type Oneshot = <Seeded as AsyncRuntime>::Oneshot;
    type Mutex<T: Send + 'static> = <Seeded as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        Seeded::spawn(future)
    }
    fn sleep(duration: Duration) -> Self::Sleep {
        Seeded::sleep(duration)
    }
    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        Seeded::sleep_until(deadline)
    }
    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        Seeded::timeout(duration, future)
    }
    fn timeout_at<R, F: Future<Output = R> + Send>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        Seeded::timeout_at(deadline, future)
    }
    fn is_panic(join_error: &Self::JoinError) -> bool {
        Seeded::is_panic(join_error)
    }
    fn thread_rng() -> Self::ThreadLocalRng {
        Seeded::thread_rng()
    }
    fn new(threads: usize) -> Self {
        Runtime(Seeded::new(threads))
    }
    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

/// A channel that keeps the newest value, and wakes its receivers in the order in which they were made.
pub(crate) struct OrderedWatch;

struct Channel<T> {
    /// The value, and how often it was replaced.
    current: RwLock<(u64, T)>,
    ends: Mutex<Ends>,
}

/// Who holds the channel, and which receivers wait.
struct Ends {
    senders: usize,
    receivers: usize,
    receivers_made: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl<T> Channel<T> {
    fn wake_all(&self) {
        let waiting = std::mem::take(&mut self.ends.lock().waiting);
        waiting.into_values().for_each(Waker::wake);
    }
    fn borrow(&self) -> MappedRwLockReadGuard<'_, T> {
        RwLockReadGuard::map(self.current.read_recursive(), |(_, value)| value)
    }
}

/// The sending end.
pub(crate) struct Sender<T>(Arc<Channel<T>>);

/// The receiving end.
pub(crate) struct Receiver<T> {
    channel: Arc<Channel<T>>,
    number: u64,
    seen: u64,
}

impl<T> Receiver<T> {
    fn new(channel: Arc<Channel<T>>, seen: u64) -> Self {
        let number = {
            let mut ends = channel.ends.lock();
            ends.receivers += 1;
            ends.receivers_made += 1;
            ends.receivers_made
        };
        Receiver { channel, number, seen }
    }

    fn poll_changed(&mut self, context: &mut Context<'_>) -> Poll<Result<(), RecvError>> {
        // The lock on the ends is taken first, so that no change goes by unnoticed between look and wait.
        let mut ends = self.channel.ends.lock();
        let version = self.channel.current.read_recursive().0;
        if version != self.seen {
            self.seen = version;
            return Poll::Ready(Ok(()));
        }
        if ends.senders == 0 {
            return Poll::Ready(Err(RecvError(())));
        }
        ends.waiting.insert(self.number, context.waker().clone());
        Poll::Pending
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.ends.lock().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let last = {
            let mut ends = self.0.ends.lock();
            ends.senders -= 1;
            ends.senders == 0
        };
        if last {
            self.0.wake_all();
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver::new(self.channel.clone(), self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut ends = self.channel.ends.lock();
        ends.receivers -= 1;
        ends.waiting.remove(&self.number);
    }
}

impl Watch for OrderedWatch {
    type Sender<T: Send + Sync> = Sender<T>;
    type Receiver<T: Send + Sync> = Receiver<T>;
    type Ref<'a, T: Send + 'a> = MappedRwLockReadGuard<'a, T>;

    fn channel<T: Send + Sync>(init: T) -> (Sender<T>, Receiver<T>) {
        let ends = Ends { senders: 1, receivers: 0, receivers_made: 0, waiting: BTreeMap::new() };
        let channel = Arc::new(Channel { current: RwLock::new((0, init)), ends: Mutex::new(ends) });
        (Sender(channel.clone()), Receiver::new(channel, 0))
    }
}

impl<T: Send + Sync> WatchSender<OrderedWatch, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.ends.lock().receivers == 0 {
            return Err(SendError(value));
        }
        self.send_if_modified(|current| {
            *current = value;
            true
        });
        Ok(())
    }
    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let modified = {
            let mut current = self.0.current.write();
            let modified = modify(&mut current.1);
            current.0 += modified as u64;
            modified
        };
        if modified {
            self.0.wake_all();
        }
        modified
    }
    fn borrow_watched(&self) -> MappedRwLockReadGuard<'_, T> {
        self.0.borrow()
    }
    fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.current.read().0;
        Receiver::new(self.0.clone(), seen)
    }
}

impl<T: Send + Sync> WatchReceiver<OrderedWatch, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        poll_fn(|context| self.poll_changed(context)).await
    }
    fn borrow_watched(&self) -> MappedRwLockReadGuard<'_, T> {
        self.channel.borrow()
    }
    fn borrow_and_update(&mut self) -> MappedRwLockReadGuard<'_, T> {
        let current = self.channel.current.read_recursive();
        self.seen = current.0;
        RwLockReadGuard::map(current, |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_change_is_seen_once_and_the_last_sender_ends_it() {
        let (sender, mut receiver) = OrderedWatch::channel(1);
        let mut other = receiver.clone();
        assert!(receiver.changed().now_or_never().is_none());
        sender.send(2).unwrap();
        assert!(!sender.send_if_modified(|_| false));
        assert!(receiver.changed().now_or_never().unwrap().is_ok());
        assert!(receiver.changed().now_or_never().is_none());
        assert_eq!(*other.borrow_and_update(), 2);
        assert!(other.changed().now_or_never().is_none());
        let waiting = tokio::spawn(async move { other.changed().await });
        tokio::task::yield_now().await;
        drop(sender.clone());
        drop(sender);
        assert!(waiting.await.unwrap().is_err());
        assert!(receiver.changed().await.is_err());
    }

    #[tokio::test]
    async fn receivers_wake_in_the_order_in_which_they_were_made() {
        let (sender, first) = OrderedWatch::channel(0);
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let (mut receiver, order) = (first.clone(), order.clone());
                tokio::spawn(async move {
                    receiver.changed().await.unwrap();
                    order.lock().push(number);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        sender.send(1).unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), (0..20).collect::<Vec<_>>());
    }
}
