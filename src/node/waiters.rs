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
    /// Whether a leader may have taken it, ever.
    may_be_taken: bool,
    registered: Instant,
    /// When it was last handed over.
    handed_over: Instant,
    answer: oneshot::Sender<Result<Outcome, NoAnswer>>,
}

/// What is known of a submission that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// No leader ever took it: it has no effect.
    NotTaken,
    /// It may take effect, or have taken it.
    Unknown,
}

impl Waiters {
    /// Registers a submission before it is sent anywhere.
    pub fn register(&self, transaction: Arc<Transaction>) -> oneshot::Receiver<Result<Outcome, NoAnswer>> {
        let (answer, receiver) = oneshot::channel();
        self.waiting.lock().insert(
            transaction.id,
            Waiter {
                transaction,
                submitted: Some(self.epoch.load(Ordering::Acquire)),
                may_be_taken: true,
                registered: Instant::now(),
                handed_over: Instant::now(),
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
        waiter.is_some_and(|waiter| waiter.answer.send(Ok(outcome.clone())).is_ok())
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

    /// No leader took this one at its first submission.
    pub fn never_taken(&self, id: TransactionId) {
        if let Some(waiter) = self.waiting.lock().get_mut(&id) {
            waiter.submitted = None;
            waiter.may_be_taken = false;
        }
    }

    /// A leader took this one.
    pub fn taken(&self, id: TransactionId) {
        if let Some(waiter) = self.waiting.lock().get_mut(&id) {
            waiter.may_be_taken = true;
        }
    }

    /// No leader took this one this time.
    pub fn not_taken(&self, id: TransactionId) {
        if let Some(waiter) = self.waiting.lock().get_mut(&id) {
            waiter.submitted = None;
        }
    }

    /// What no leader took, or may be lost since one did: to be handed over again, in the order of ids. Over a network
    /// a message may be lost without a word: with `patience` what was handed over so long ago is as well.
    pub fn to_resubmit(&self, patience: Option<Duration>) -> Vec<Arc<Transaction>> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let mut waiting = self.waiting.lock();
        let is_late = |waiter: &Waiter| patience.is_some_and(|patience| waiter.handed_over.elapsed() > patience);
        let lost = waiting.values_mut().filter(|waiter| waiter.submitted != Some(epoch) || is_late(waiter));
        let mut all: Vec<_> = lost
            .map(|waiter| {
                waiter.submitted = Some(epoch);
                waiter.handed_over = Instant::now();
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

    /// Gives up everything: the process ends, or nothing can be accepted for a while.
    pub fn clear(&self) {
        let all = std::mem::take(&mut *self.waiting.lock());
        for waiter in all.into_values() {
            let known = if waiter.may_be_taken { NoAnswer::Unknown } else { NoAnswer::NotTaken };
            // A session that went away does not ask.
            let _ = waiter.answer.send(Err(known));
        }
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
        assert_eq!(first.try_recv(), Ok(Ok(Outcome::Stale)));
        let mut second = waiters.register(Arc::new(transaction(2)));
        assert!(!waiters.answer(&transaction(1), &Outcome::Stale), "another node hands it out late");
        assert!(waiters.answer(&transaction(2), &Outcome::Committed(Vec::new())));
        assert_eq!(second.try_recv(), Ok(Ok(Outcome::Committed(Vec::new()))));
    }

    #[test]
    fn only_what_may_be_lost_is_handed_over_again() {
        let waiters = Waiters::default();
        let _receiver = waiters.register(Arc::new(transaction(1)));
        assert!(waiters.to_resubmit(None).is_empty());
        waiters.lost();
        assert_eq!(waiters.to_resubmit(None).len(), 1);
        assert!(waiters.to_resubmit(None).is_empty());
        waiters.not_taken(transaction(1).id);
        assert_eq!(waiters.to_resubmit(None).len(), 1);
    }

    #[test]
    fn what_is_given_up_is_unknown_only_if_a_leader_may_have_taken_it() {
        let waiters = Waiters::default();
        let number = |sequence| TransactionId { incarnation: 1, session: 1, sequence };
        let register = |sequence| waiters.register(Arc::new(Transaction { id: number(sequence), ..transaction(1) }));
        let (mut first, mut second, mut third) = (register(1), register(2), register(3));
        waiters.never_taken(number(2));
        waiters.never_taken(number(3));
        assert_eq!(waiters.to_resubmit(None).len(), 2);
        waiters.taken(number(3));
        waiters.lost();
        waiters.to_resubmit(None).iter().for_each(|transaction| waiters.not_taken(transaction.id));
        waiters.clear();
        assert_eq!(first.try_recv(), Ok(Err(NoAnswer::Unknown)));
        assert_eq!(second.try_recv(), Ok(Err(NoAnswer::NotTaken)));
        assert_eq!(third.try_recv(), Ok(Err(NoAnswer::Unknown)), "a leader had taken it once");
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
