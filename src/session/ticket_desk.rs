//! A table of tickets that can be waited on: the table behind a lock, and those who wait for a grant.

use super::gateway::{Soon, TicketError};
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

    /// See [`super::gateway::Gateway::request_ticket`].
    pub fn request(
        &self,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), TicketError>> {
        let mut state = self.state.lock();
        match state.tickets.request(holder, key, mode) {
            Reply::Granted | Reply::Full => Soon::Now(Ok(())),
            Reply::Deadlock => Soon::Now(Err(TicketError::Deadlock)),
            Reply::Waiting if timeout == Some(Duration::ZERO) => {
                state.give_up(holder);
                Soon::Now(Err(TicketError::Timeout))
            }
            Reply::Waiting => {
                let (waker, woken) = oneshot::channel();
                state.waits += 1;
                let number = state.waits;
                state.waiting.insert(holder, Waiter { number, waker });
                let guard = GiveUp { state: self.state.clone(), holder, number };
                Soon::Later(Box::pin(wait(guard, woken, timeout)))
            }
        }
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

    /// Nobody holds anything any more; whoever waits goes on without.
    pub fn forget(&self) {
        let mut state = self.state.lock();
        state.tickets = Tickets::new();
        state.waiting.clear();
    }
}

/// Without a word the request is over otherwise: the tickets are forgotten, or its node has left.
async fn wait(guard: GiveUp, woken: oneshot::Receiver<()>, timeout: Option<Duration>) -> Result<(), TicketError> {
    let woken = match timeout {
        None => Ok(woken.await),
        Some(limit) => tokio::time::timeout(limit, woken).await,
    };
    drop(guard);
    woken.map(drop).map_err(|_| TicketError::Timeout)
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
