//! Sessions that wait for the outcome of a transaction they submitted.
//!
//! A submission is kept until its outcome is accepted, so that it can be sent again, under the same id,
//! to the next leader: the once-only table makes sure that it takes effect at most once (rule 18).

use crate::transaction::{Outcome, Transaction, TransactionId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Outstanding submissions of one node's sessions.
#[derive(Default)]
pub struct Waiters {
    waiting: Mutex<HashMap<TransactionId, Waiter>>,
    /// Grows whenever what was submitted may be lost: the leader changed, or a proposal was not decided.
    epoch: AtomicU64,
}

struct Waiter {
    transaction: Arc<Transaction>,
    /// The epoch in which it was last handed to a leader; nothing if no leader took it.
    submitted: Option<u64>,
    registered: Instant,
    answer: oneshot::Sender<Outcome>,
}

impl Waiters {
    /// Registers a submission before it is sent anywhere.
    pub fn register(&self, transaction: Arc<Transaction>) -> oneshot::Receiver<Outcome> {
        let (answer, receiver) = oneshot::channel();
        self.waiting.lock().insert(
            transaction.id,
            Waiter {
                transaction,
                submitted: Some(self.epoch.load(Ordering::Acquire)),
                registered: Instant::now(),
                answer,
            },
        );
        receiver
    }

    /// Hands an accepted outcome to whoever waits for it; `true` if somebody did.
    ///
    /// `AlreadyDone` and `Expired` of a second submission say nothing about the first one: if the first was
    /// executed its outcome came here earlier and the waiter is gone, so what arrives here is the truth. `Stale`
    /// only counts for the translation that was submitted last: that of an earlier one may come late, from a
    /// second submission of it or from another node.
    pub fn answer(&self, executed: &Transaction, outcome: &Outcome) -> bool {
        let waiter = match self.waiting.lock().entry(executed.id) {
            Entry::Occupied(waiter) => {
                let outdated = waiter.get().transaction.catalog != executed.catalog;
                if *outcome == Outcome::Stale && outdated { None } else { Some(waiter.remove()) }
            }
            Entry::Vacant(_) => None,
        };
        // A session that went away has no use for it; the transaction stands all the same.
        waiter.is_some_and(|waiter| waiter.answer.send(outcome.clone()).is_ok())
    }

    /// Whether somebody waits for this transaction.
    pub fn waits_for(&self, id: TransactionId) -> bool {
        self.waiting.lock().contains_key(&id)
    }

    /// Forgets a submission whose session gave up.
    pub fn forget(&self, id: TransactionId) {
        self.waiting.lock().remove(&id);
    }

    /// What was submitted may be lost.
    pub fn lost(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// No leader took this one.
    pub fn not_taken(&self, id: TransactionId) {
        if let Some(waiter) = self.waiting.lock().get_mut(&id) {
            waiter.submitted = None;
        }
    }

    /// What no leader took, or may be lost since one did: to be handed over again, in the order of ids.
    pub fn to_resubmit(&self) -> Vec<Arc<Transaction>> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let mut waiting = self.waiting.lock();
        let lost = waiting.values_mut().filter(|waiter| waiter.submitted != Some(epoch));
        let mut all: Vec<_> = lost
            .map(|waiter| {
                waiter.submitted = Some(epoch);
                waiter.transaction.clone()
            })
            .collect();
        all.sort_by_key(|transaction| transaction.id);
        all
    }

    /// Gives up what was registered so long ago: its sessions learn that the outcome is unknown.
    pub fn give_up(&self, age: Duration) {
        let now = Instant::now();
        self.waiting.lock().retain(|_, waiter| now.duration_since(waiter.registered) < age);
    }

    /// Gives up everything: the process ends.
    pub fn clear(&self) {
        self.waiting.lock().clear();
    }

    /// Number of outstanding submissions.
    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Whether nothing is outstanding.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Forgets a submission when its session stops waiting before the answer came.
pub struct GiveUp {
    waiters: Arc<Waiters>,
    id: Option<TransactionId>,
}

impl GiveUp {
    /// Guards a registered submission.
    pub fn new(waiters: Arc<Waiters>, id: TransactionId) -> Self {
        GiveUp { waiters, id: Some(id) }
    }
    /// The answer came.
    pub fn answered(mut self) {
        self.id = None;
    }
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.waiters.forget(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Hash;

    fn transaction(catalog: u128) -> Transaction {
        Transaction {
            id: TransactionId { incarnation: 1, session: 1, sequence: 1 },
            database: "evesql".into(),
            catalog: Hash(catalog),
            begun: None,
            expires_at_index: 9,
            operations: Vec::new(),
        }
    }

    #[test]
    fn a_stale_outcome_of_an_earlier_translation_is_not_taken_for_the_new_one() {
        let waiters = Waiters::default();
        let mut first = waiters.register(Arc::new(transaction(1)));
        assert!(waiters.answer(&transaction(1), &Outcome::Stale));
        assert_eq!(first.try_recv(), Ok(Outcome::Stale));
        let mut second = waiters.register(Arc::new(transaction(2)));
        assert!(!waiters.answer(&transaction(1), &Outcome::Stale), "another node hands it out late");
        assert!(waiters.answer(&transaction(2), &Outcome::Committed(Vec::new())));
        assert_eq!(second.try_recv(), Ok(Outcome::Committed(Vec::new())));
    }

    #[test]
    fn only_what_may_be_lost_is_handed_over_again() {
        let waiters = Waiters::default();
        let _receiver = waiters.register(Arc::new(transaction(1)));
        assert!(waiters.to_resubmit().is_empty());
        waiters.lost();
        assert_eq!(waiters.to_resubmit().len(), 1);
        assert!(waiters.to_resubmit().is_empty());
        waiters.not_taken(transaction(1).id);
        assert_eq!(waiters.to_resubmit().len(), 1);
    }

    #[test]
    fn a_submission_is_answered_once_and_forgotten_when_its_session_goes() {
        let waiters = Arc::new(Waiters::default());
        let _receiver = waiters.register(Arc::new(transaction(1)));
        assert!(waiters.answer(&transaction(1), &Outcome::Void));
        assert!(!waiters.answer(&transaction(1), &Outcome::AlreadyDone));
        let _receiver = waiters.register(Arc::new(transaction(1)));
        drop(GiveUp::new(waiters.clone(), transaction(1).id));
        assert!(waiters.is_empty());
    }
}
