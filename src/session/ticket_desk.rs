//! Tickets for sessions of one process: the table behind a lock, and those who wait for a grant.

use super::gateway::{Soon, TicketError};
use super::tickets::{Holder, Key, Mode, Reply, Tickets};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// A ticket table that can be waited on.
#[derive(Default)]
pub struct TicketDesk {
    state: Arc<Mutex<State>>,
    busy: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    tickets: Tickets,
    waiting: HashMap<Holder, oneshot::Sender<()>>,
}

impl State {
    fn wake(&mut self, granted: Vec<Holder>) {
        for holder in granted {
            if let Some(waker) = self.waiting.remove(&holder) {
                // Who no longer listens gave up, and gives the ticket back itself.
                let _ = waker.send(());
            }
        }
    }
}

impl TicketDesk {
    /// Whether nobody holds a ticket.
    pub fn is_empty(&self) -> bool {
        !self.busy.load(Ordering::Acquire)
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
        let reply = state.tickets.request(holder, key, mode);
        self.busy.store(!state.tickets.is_empty(), Ordering::Release);
        match reply {
            Reply::Granted => Soon::Now(Ok(())),
            Reply::Deadlock => Soon::Now(Err(TicketError::Deadlock)),
            Reply::Waiting if timeout == Some(Duration::ZERO) => {
                let granted = state.tickets.give_up(holder);
                state.wake(granted);
                Soon::Now(Err(TicketError::Timeout))
            }
            Reply::Waiting => {
                let (waker, woken) = oneshot::channel();
                state.waiting.insert(holder, waker);
                let guard = GiveUp { state: self.state.clone(), holder, waiting: true };
                Soon::Later(Box::pin(wait(guard, woken, timeout)))
            }
        }
    }

    /// See [`super::gateway::Gateway::release_tickets`].
    pub fn release(&self, holder: Holder) {
        let mut state = self.state.lock();
        state.waiting.remove(&holder);
        let granted = state.tickets.release(holder);
        state.wake(granted);
        self.busy.store(!state.tickets.is_empty(), Ordering::Release);
    }
}

async fn wait(mut guard: GiveUp, woken: oneshot::Receiver<()>, timeout: Option<Duration>) -> Result<(), TicketError> {
    let granted = match timeout {
        None => woken.await.is_ok(),
        Some(limit) => tokio::time::timeout(limit, woken).await.is_ok_and(|woken| woken.is_ok()),
    };
    if !granted {
        return Err(TicketError::Timeout);
    }
    guard.waiting = false;
    Ok(())
}

/// Takes the request back when the waiting future is dropped (cancel, time-out, a client that left).
struct GiveUp {
    state: Arc<Mutex<State>>,
    holder: Holder,
    waiting: bool,
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        if self.waiting {
            let mut state = self.state.lock();
            state.waiting.remove(&self.holder);
            let granted = state.tickets.give_up(self.holder);
            state.wake(granted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key { database: "d".into(), table: "t".into(), row: Some("1".into()) }
    }

    #[tokio::test]
    async fn a_waiter_is_woken_by_release_and_a_late_one_times_out() {
        let desk = TicketDesk::default();
        assert!(desk.request(1, key(), Mode::Exclusive, None).get().await.is_ok());
        let second = desk.request(2, key(), Mode::Exclusive, None);
        let limit = Some(Duration::from_millis(5));
        let third = desk.request(3, key(), Mode::Exclusive, limit);
        assert_eq!(third.get().await, Err(TicketError::Timeout));
        desk.release(1);
        assert_eq!(second.get().await, Ok(()));
        assert_eq!(
            desk.request(3, key(), Mode::Exclusive, Some(Duration::ZERO)).get().await,
            Err(TicketError::Timeout)
        );
        desk.release(2);
        assert!(desk.is_empty());
    }

    #[tokio::test]
    async fn a_waiter_that_is_dropped_leaves_the_queue() {
        let desk = TicketDesk::default();
        assert!(desk.request(1, key(), Mode::Shared, None).get().await.is_ok());
        drop(desk.request(2, key(), Mode::Exclusive, None));
        assert!(desk.request(3, key(), Mode::Shared, None).get().await.is_ok(), "nobody waits in between");
    }
}
