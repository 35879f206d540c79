//! Waiting transactions become a batch: step 4 of the walk, on the leader. Pure: the node tells it the
//! time and when a batch was proposed, accepted or lost.
//!
//! A batch closes when fewer than `in_flight_max` are on their way, with whatever waits by then: alone at low load,
//! many together at high load (group commit by nature). It lingers a moment, [`LINGER_US`] at most, while fewer than
//! half of the sessions that have just been committing wait: the others are about to, and a batch costs three nodes
//! the same wake-ups and fdatasyncs however many transactions share it. Both the batch and the queue are bounded; a
//! full queue pushes back on the clients.
//!
//! Kept here: batch times grow strictly (rule 15), also across leaders, since [`Batcher::saw`] is told of every
//! batch in the log.

use crate::batch::{Batch, Plan};
use crate::page::Hash;
use crate::token::Accepted;
use crate::transaction::{Operation, Transaction, Value};
use std::collections::{HashMap, VecDeque};

/// A batch waits at most so long for sessions that are expected to commit, in microseconds.
pub const LINGER_US: u64 = 1_000;
/// A session that submitted within this time is expected to submit again soon, in microseconds.
const RECENT_US: i64 = 20_000;

/// Bounds of batches and of the queue.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Batches proposed and not yet accepted.
    pub in_flight_max: usize,
    /// Transactions in one batch.
    pub batch_transactions_max: usize,
    /// Approximate bytes of the transactions of one batch; a single larger one travels alone.
    pub batch_bytes_max: usize,
    /// Transactions that wait.
    pub queue_transactions_max: usize,
}

/// What the leader puts into the head of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Heading {
    /// The leader's clock, microseconds since 2000-01-01 UTC.
    pub now_us: i64,
    /// Randomness for the batch's one-shot transactions.
    pub seed: u64,
    /// Engine fingerprint.
    pub engine: Hash,
    /// The newest acceptance known.
    pub accepted: Accepted,
}

/// The queue in front of consensus.
#[derive(Debug)]
pub struct Batcher {
    limits: Limits,
    waiting: VecDeque<(Transaction, usize)>,
    in_flight: usize,
    newest_timestamp_us: i64,
    recent: Recent,
    /// Since when a batch that could close lingers.
    lingers_since_us: Option<i64>,
}

/// Sessions that submitted lately.
#[derive(Debug, Default)]
struct Recent {
    submitted: VecDeque<(i64, (u64, u64))>,
    sessions: HashMap<(u64, u64), u32>,
}

impl Recent {
    fn note(&mut self, session: (u64, u64), now_us: i64) {
        self.submitted.push_back((now_us, session));
        *self.sessions.entry(session).or_default() += 1;
        while let Some((at_us, session)) = self.submitted.front().copied()
            && !(0..RECENT_US).contains(&(now_us - at_us))
        {
            self.submitted.pop_front();
            if let Some(count) = self.sessions.get_mut(&session) {
                *count -= 1;
                if *count == 0 {
                    self.sessions.remove(&session);
                }
            }
        }
    }
}

impl Batcher {
    /// An empty queue.
    pub fn new(limits: Limits) -> Self {
        Batcher {
            limits,
            waiting: VecDeque::new(),
            in_flight: 0,
            newest_timestamp_us: i64::MIN,
            recent: Recent::default(),
            lingers_since_us: None,
        }
    }

    /// Adds a transaction, or gives it back when the queue is full. `now_us` is the leader's clock.
    pub fn push(&mut self, transaction: Transaction, now_us: i64) -> Result<(), Box<Transaction>> {
        if self.waiting.len() >= self.limits.queue_transactions_max {
            return Err(Box::new(transaction));
        }
        let bytes = size_bytes(&transaction);
        self.recent.note((transaction.id.incarnation, transaction.id.session), now_us);
        self.waiting.push_back((transaction, bytes));
        Ok(())
    }

    /// Closes a batch if something waits, the pipeline has room and lingering is over. The caller proposes it, and
    /// tells [`Batcher::finished`] when it was accepted, made void or lost.
    pub fn close(&mut self, heading: Heading) -> Option<Batch> {
        if self.waiting.is_empty() || self.in_flight >= self.limits.in_flight_max || self.lingers(heading.now_us) {
            return None;
        }
        self.lingers_since_us = None;
        Some(self.next_batch(heading))
    }

    /// A batch of nothing: for those that are to show what they compute while nobody writes. If the pipeline has room.
    pub fn close_empty(&mut self, heading: Heading) -> Option<Batch> {
        let idle = self.waiting.is_empty() && self.in_flight == 0;
        idle.then(|| self.next_batch(heading))
    }

    fn next_batch(&mut self, heading: Heading) -> Batch {
        let mut transactions = Vec::new();
        let mut bytes = 0;
        while let Some((_, size)) = self.waiting.front() {
            let full = transactions.len() >= self.limits.batch_transactions_max
                || (!transactions.is_empty() && bytes + size > self.limits.batch_bytes_max);
            if full {
                break;
            }
            bytes += size;
            transactions.extend(self.waiting.pop_front().map(|(transaction, _)| transaction));
        }
        self.in_flight += 1;
        self.newest_timestamp_us = heading.now_us.max(self.newest_timestamp_us.saturating_add(1));
        Batch {
            timestamp_us: self.newest_timestamp_us,
            seed: heading.seed,
            engine: heading.engine,
            accepted: heading.accepted,
            transactions,
            plan: Plan::default(),
        }
    }

    /// Whether most of those who have just been committing are still to come.
    fn lingers(&mut self, now_us: i64) -> bool {
        if self.waiting.len() * 2 >= self.recent.sessions.len() {
            return false;
        }
        let since_us = *self.lingers_since_us.get_or_insert(now_us);
        (0..LINGER_US as i64).contains(&(now_us - since_us))
    }

    /// Whether a batch lingers: [`Batcher::close`] must be asked again after [`LINGER_US`].
    pub fn is_lingering(&self) -> bool {
        self.lingers_since_us.is_some()
    }

    /// A batch of ours is no longer on its way.
    pub fn finished(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A batch stands in the log, whoever proposed it: later ones get later times.
    pub fn saw(&mut self, timestamp_us: i64) {
        self.newest_timestamp_us = self.newest_timestamp_us.max(timestamp_us);
    }

    /// Leadership is lost: what waits is given back (its senders submit it again to the new leader), and
    /// nothing is in flight any more.
    pub fn abdicate(&mut self) -> Vec<Transaction> {
        self.in_flight = 0;
        self.lingers_since_us = None;
        self.waiting.drain(..).map(|(transaction, _)| transaction).collect()
    }

    /// Transactions that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Batches on their way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }
}

/// Roughly the encoded size of a transaction, in bytes; exactness is not needed for a bound.
pub fn size_bytes(transaction: &Transaction) -> usize {
    let operations = transaction.operations.iter().map(|operation| match operation {
        Operation::Savepoint(sql) => sql.len(),
        Operation::CreateDatabase(name) | Operation::DropDatabase(name) => name.len(),
        Operation::Statement(statement) => {
            let texts: usize = statement.sql.iter().map(|sql| sql.len()).sum();
            let values: usize = statement.parameters.iter().map(value_bytes).sum();
            let rows: usize = statement.rows.iter().flatten().flatten().map(value_bytes).sum();
            let recorded = 9 * (statement.drawn.len() + statement.system_values.len()) + statement.seen_outline.len();
            texts + values + rows + recorded + 24
        }
    });
    64 + operations.sum::<usize>()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null => 1,
        Value::Integer(_) | Value::Real(_) => 9,
        Value::Text(text) => 5 + text.len(),
        Value::Blob(bytes) => 5 + bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::TransactionId;

    fn limits() -> Limits {
        Limits { in_flight_max: 2, batch_transactions_max: 3, batch_bytes_max: 1000, queue_transactions_max: 5 }
    }
    fn transaction(sequence: u64, text_bytes: usize) -> Transaction {
        Transaction {
            id: TransactionId { incarnation: 1, session: 1, sequence },
            database: "evesql".into(),
            catalog: Hash::default(),
            begun: None,
            expires_at_index: u64::MAX,
            operations: vec![Operation::Savepoint("x".repeat(text_bytes).into())],
        }
    }
    fn heading(now_us: i64) -> Heading {
        Heading { now_us, seed: 7, engine: Hash::default(), accepted: Accepted::default() }
    }
    fn sequences(batch: &Batch) -> Vec<u64> {
        batch.transactions.iter().map(|t| t.id.sequence).collect()
    }

    #[test]
    fn an_empty_queue_closes_no_batch() {
        assert_eq!(Batcher::new(limits()).close(heading(1)), None);
    }

    #[test]
    fn what_waits_while_the_pipeline_is_full_travels_together() {
        let mut batcher = Batcher::new(limits());
        let mut next = 0..;
        let mut push = |batcher: &mut Batcher| batcher.push(transaction(next.next().unwrap(), 1), 0).unwrap();
        push(&mut batcher);
        assert_eq!(sequences(&batcher.close(heading(1)).unwrap()), [0]);
        push(&mut batcher);
        assert_eq!(sequences(&batcher.close(heading(1)).unwrap()), [1]);
        push(&mut batcher);
        push(&mut batcher);
        assert_eq!(batcher.close(heading(1)), None, "two are in flight");
        batcher.finished();
        assert_eq!(sequences(&batcher.close(heading(1)).unwrap()), [2, 3], "in the order of arrival");
    }

    #[test]
    fn a_batch_is_bounded_in_count_and_bytes_but_never_empty() {
        let mut batcher = Batcher::new(Limits { in_flight_max: 9, ..limits() });
        for (sequence, bytes) in [(0, 5000), (1, 400), (2, 400), (3, 400), (4, 1)] {
            batcher.push(transaction(sequence, bytes), 0).unwrap();
        }
        let batches: Vec<_> = std::iter::from_fn(|| batcher.close(heading(1))).map(|b| sequences(&b)).collect();
        assert_eq!(batches, [vec![0], vec![1, 2], vec![3, 4]]);
    }

    #[test]
    fn a_full_queue_gives_the_transaction_back() {
        let mut batcher = Batcher::new(limits());
        (0..5).for_each(|n| batcher.push(transaction(n, 1), 0).unwrap());
        assert_eq!(batcher.push(transaction(5, 1), 0).unwrap_err().id.sequence, 5);
    }

    #[test]
    fn batch_times_grow_though_the_clock_steps_back_or_another_leader_was_ahead() {
        let mut batcher = Batcher::new(Limits { in_flight_max: 9, ..limits() });
        let close = |batcher: &mut Batcher, now| {
            batcher.push(transaction(0, 1), 0).unwrap();
            batcher.close(heading(now)).unwrap().timestamp_us
        };
        assert_eq!(close(&mut batcher, 100), 100);
        assert_eq!(close(&mut batcher, 50), 101);
        batcher.saw(500);
        assert_eq!(close(&mut batcher, 200), 501);
    }

    #[test]
    fn a_leader_that_abdicates_gives_back_what_waits() {
        let mut batcher = Batcher::new(limits());
        batcher.push(transaction(0, 1), 0).unwrap();
        batcher.close(heading(1));
        batcher.push(transaction(1, 1), 0).unwrap();
        assert_eq!(batcher.abdicate().len(), 1);
        assert_eq!((batcher.waiting(), batcher.in_flight()), (0, 0));
    }

    fn of_session(session: u64) -> Transaction {
        let template = transaction(0, 1);
        Transaction { id: TransactionId { session, ..template.id }, ..template }
    }

    #[test]
    fn a_batch_lingers_for_half_of_those_who_just_committed_but_not_long() {
        let limits = Limits { batch_transactions_max: 9, queue_transactions_max: 9, ..limits() };
        let mut batcher = Batcher::new(limits);
        (0..4).for_each(|session| batcher.push(of_session(session), 0).unwrap());
        assert_eq!(batcher.close(heading(0)).unwrap().transactions.len(), 4);
        batcher.finished();
        batcher.push(of_session(0), 10).unwrap();
        assert_eq!(batcher.close(heading(10)), None, "three others were here a moment ago");
        assert!(batcher.is_lingering());
        batcher.push(of_session(1), 20).unwrap();
        assert_eq!(batcher.close(heading(20)).unwrap().transactions.len(), 2, "half of them are back");
        batcher.finished();
        batcher.push(of_session(0), 30).unwrap();
        assert_eq!(batcher.close(heading(30)), None);
        assert!(batcher.close(heading(30 + LINGER_US as i64)).is_some(), "they do not come");
        batcher.finished();
        batcher.push(of_session(0), 30 + RECENT_US).unwrap();
        assert!(batcher.close(heading(30 + RECENT_US)).is_some(), "nobody else was here lately");
    }
}
