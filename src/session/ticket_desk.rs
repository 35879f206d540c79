//! A table of tickets that can be waited on: the table behind a lock, and those who wait for a grant.

use super::gateway::{LockError, Soon, TicketError};
use super::tickets::{Holder, Key, Mode, Reply, Tickets};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A ticket table that can be waited on.
#[derive(Default)]
pub struct TicketDesk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    tickets: Tickets,
    waiting: HashMap<Holder, Waiter>,
    /// Waits so far.
    waits: u64,
}

struct Waiter {
    /// Which wait: the holder may wait again before the end of an earlier one is noticed.
    number: u64,
    waker: oneshot::Sender<()>,
}

impl State {
    fn wake(&mut self, granted: Vec<Holder>) {
        for holder in granted {
            if let Some(waiter) = self.waiting.remove(&holder) {
                // Who no longer listens gave up, and gives the ticket back itself.
                let _ = waiter.waker.send(());
            }
        }
    }

    fn give_up(&mut self, holder: Holder) {
        self.waiting.remove(&holder);
        let granted = self.tickets.give_up(holder);
        self.wake(granted);
    }
}

impl TicketDesk {
    /// Whether nobody holds a ticket.
    pub fn is_empty(&self) -> bool {
        self.state.lock().tickets.is_empty()
    }

    /// Whether anybody keeps others out of something, or waits to.
    pub fn has_exclusive(&self) -> bool {
        self.state.lock().tickets.has_exclusive()
    }

    /// Whether anybody has an advisory lock, or waits for one.
    pub fn has_locks(&self) -> bool {
        self.state.lock().tickets.has_locks()
    }

    /// Whether this holder has an advisory lock, or waits for one.
    pub fn locks(&self, holder: Holder) -> bool {
        self.state.lock().tickets.locks(holder)
    }

    /// Whether this holder has anything, or waits for it.
    pub fn knows(&self, holder: Holder) -> bool {
        self.state.lock().tickets.knows(holder)
    }

    /// See [`super::gateway::Gateway::request_ticket`].
    pub fn request(
        &self,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), TicketError>> {
        match self.ask(holder, key, mode, timeout) {
            Asked::Now(Reply::Granted | Reply::Full) => Soon::Now(Ok(())),
            Asked::Now(Reply::Deadlock) => Soon::Now(Err(TicketError::Deadlock)),
            Asked::Now(Reply::Waiting) => Soon::Now(Err(TicketError::Timeout)),
            // Forgotten, it goes on without.
            Asked::Later(wait) => {
                Soon::Later(Box::pin(async { wait.end().await.map(drop).ok_or(TicketError::Timeout) }))
            }
        }
    }

    /// See [`super::gateway::Gateway::request_lock`].
    pub fn request_lock(
        &self,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), LockError>> {
        match self.ask(holder, key, mode, timeout) {
            Asked::Now(Reply::Granted) => Soon::Now(Ok(())),
            Asked::Now(Reply::Full) => Soon::Now(Err(LockError::Full)),
            Asked::Now(Reply::Deadlock) => Soon::Now(Err(LockError::Deadlock)),
            Asked::Now(Reply::Waiting) => Soon::Now(Err(LockError::Timeout)),
            Asked::Later(wait) => Soon::Later(Box::pin(async {
                match wait.end().await {
                    Some(true) => Ok(()),
                    Some(false) => Err(LockError::NotNow),
                    None => Err(LockError::Timeout),
                }
            })),
        }
    }

    fn ask(&self, holder: Holder, key: Key, mode: Mode, timeout: Option<Duration>) -> Asked {
        let mut state = self.state.lock();
        let reply = state.tickets.request(holder, key, mode);
        if reply != Reply::Waiting {
            return Asked::Now(reply);
        }
        if timeout == Some(Duration::ZERO) {
            state.give_up(holder);
            return Asked::Now(reply);
        }
        let (waker, woken) = oneshot::channel();
        state.waits += 1;
        let number = state.waits;
        state.waiting.insert(holder, Waiter { number, waker });
        Asked::Later(Wait { guard: GiveUp { state: self.state.clone(), holder, number }, woken, timeout })
    }

    /// Takes a request that waits back; whoever waits for the grant goes on without.
    pub fn give_up(&self, holder: Holder) {
        self.state.lock().give_up(holder);
    }

    /// See [`super::gateway::Gateway::release_tickets`].
    pub fn release(&self, holder: Holder) {
        let mut state = self.state.lock();
        state.waiting.remove(&holder);
        let granted = state.tickets.release(holder);
        state.wake(granted);
    }

    /// See [`super::gateway::Gateway::release_locks`].
    pub fn release_locks(&self, holder: Holder, which: Option<(&Key, Mode)>) {
        let mut state = self.state.lock();
        let granted = state.tickets.release_locks(holder, which);
        state.wake(granted);
    }

    /// Nobody stands for a holder any more.
    pub fn release_all(&self, holder: Holder) {
        let mut state = self.state.lock();
        state.waiting.remove(&holder);
        let granted = state.tickets.release_all(holder);
        state.wake(granted);
    }

    /// Nobody has an advisory lock any more; whoever waits for one is told.
    pub fn forget_locks(&self) {
        let mut state = self.state.lock();
        let waiting: Vec<Holder> = state.waiting.keys().copied().collect();
        for holder in waiting {
            if state.tickets.waits_for_lock(holder) {
                state.waiting.remove(&holder);
            }
        }
        let granted = state.tickets.forget_locks();
        state.wake(granted);
    }

    /// Nobody holds anything any more; whoever waits goes on without.
    pub fn forget(&self) {
        let mut state = self.state.lock();
        state.tickets = Tickets::new();
        state.waiting.clear();
    }
}

/// What comes of a request.
enum Asked {
    /// This; [`Reply::Waiting`] where the holder does not want to.
    Now(Reply),
    /// It must wait.
    Later(Wait),
}

struct Wait {
    guard: GiveUp,
    woken: oneshot::Receiver<()>,
    timeout: Option<Duration>,
}

impl Wait {
    /// Whether it was granted, or is over otherwise: all is forgotten, or the holder's node has left. None if it took
    /// too long.
    async fn end(self) -> Option<bool> {
        let woken = match self.timeout {
            None => Some(self.woken.await),
            Some(limit) => tokio::time::timeout(limit, self.woken).await.ok(),
        };
        drop(self.guard);
        woken.map(|granted| granted.is_ok())
    }
}

/// Takes the request back when the waiting future is dropped (cancel, time-out, a client that left).
struct GiveUp {
    state: Arc<Mutex<State>>,
    holder: Holder,
    number: u64,
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.waiting.get(&self.holder).is_some_and(|waiter| waiter.number == self.number) {
            state.give_up(self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn key() -> Key {
        Key { database: "d".into(), table: "t".into(), row: Some("1".into()) }
    }

    fn of(session: u64) -> Holder {
        Holder { incarnation: 1, session }
    }

    #[tokio::test]
    async fn a_waiter_is_woken_by_release_and_a_late_one_times_out() {
        let desk = TicketDesk::default();
        assert!(desk.request(of(1), key(), Mode::Exclusive, None).get().await.is_ok());
        let second = desk.request(of(2), key(), Mode::Exclusive, None);
        let limit = Some(Duration::from_millis(5));
        let third = desk.request(of(3), key(), Mode::Exclusive, limit);
        assert_eq!(third.get().await, Err(TicketError::Timeout));
        desk.release(of(1));
        assert_eq!(second.get().await, Ok(()));
        assert_eq!(
            desk.request(of(3), key(), Mode::Exclusive, Some(Duration::ZERO)).get().await,
            Err(TicketError::Timeout)
        );
        desk.release(of(2));
        assert!(desk.is_empty());
    }

    #[tokio::test]
    async fn a_waiter_that_is_dropped_leaves_the_queue() {
        let desk = TicketDesk::default();
        assert!(desk.request(of(1), key(), Mode::Shared, None).get().await.is_ok());
        drop(desk.request(of(2), key(), Mode::Exclusive, None));
        assert!(desk.request(of(3), key(), Mode::Shared, None).get().await.is_ok(), "nobody waits in between");
    }

    #[tokio::test]
    async fn whoever_waits_goes_on_without_when_all_is_forgotten_and_keeps_nobody_out() {
        let desk = TicketDesk::default();
        assert!(desk.request(of(1), key(), Mode::Exclusive, None).get().await.is_ok());
        let waits = desk.request(of(2), key(), Mode::Exclusive, None);
        desk.forget();
        assert_eq!(waits.get().await, Ok(()));
        assert!(desk.is_empty());
        let at_once = Some(Duration::ZERO);
        assert_eq!(desk.request(of(3), key(), Mode::Exclusive, at_once).get().await, Ok(()));
    }

    #[tokio::test]
    async fn the_end_of_an_earlier_wait_does_not_end_a_later_one_of_the_same_holder() {
        let desk = TicketDesk::default();
        assert!(desk.request(of(1), key(), Mode::Exclusive, None).get().await.is_ok());
        let Soon::Later(earlier) = desk.request(of(2), key(), Mode::Exclusive, None) else { panic!("it waits") };
        desk.give_up(of(2));
        let Soon::Later(mut later) = desk.request(of(2), key(), Mode::Exclusive, None) else { panic!("it waits") };
        assert_eq!(earlier.await, Ok(()), "it is over");
        assert!((&mut later).now_or_never().is_none());
        desk.release(of(1));
        assert_eq!(later.await, Ok(()));
        let at_once = Some(Duration::ZERO);
        assert!(desk.request(of(3), key(), Mode::Exclusive, at_once).get().await.is_err(), "it holds the ticket");
    }
}
