//! Which advisory locks a session has, and how often it took each: the table at the leader knows one of each only.
//!
//! Pure. As in Postgres, a lock that is taken several times is given back as often; one taken in both modes is held in
//! both; what was taken for a transaction goes with it, or with the savepoint after which it was taken, and cannot be given
//! back before.

use super::tickets::{Key, Mode};
use std::collections::HashMap;

/// A lock as the table knows it.
pub type Lock = (Key, Mode);

/// What a session has.
#[derive(Debug, Default)]
pub struct HeldLocks {
    session: HashMap<Lock, u32>,
    transaction: Vec<Lock>,
}

/// What comes of giving a lock back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// The session did not have it.
    Never,
    /// It has it all the same: it took it more than once.
    Kept,
    /// It has it no more.
    Free,
}

impl HeldLocks {
    /// Whether it is had.
    pub fn has(&self, lock: &Lock) -> bool {
        self.session.contains_key(lock) || self.transaction.contains(lock)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.session.is_empty() && self.transaction.is_empty()
    }

    /// Takes one, to the end of the transaction or of the session.
    pub fn take(&mut self, lock: Lock, for_transaction: bool) {
        match for_transaction {
            true => self.transaction.push(lock),
            false => *self.session.entry(lock).or_default() += 1,
        }
    }

    /// Gives one back that was taken for the session.
    pub fn give(&mut self, lock: &Lock) -> Given {
        let Some(times) = self.session.get_mut(lock) else { return Given::Never };
        *times -= 1;
        if *times > 0 {
            return Given::Kept;
        }
        self.session.remove(lock);
        if self.transaction.contains(lock) { Given::Kept } else { Given::Free }
    }

    /// Gives back all that were taken for the session; those that are had no more.
    pub fn give_all(&mut self) -> Vec<Lock> {
        let all = std::mem::take(&mut self.session);
        all.into_keys().filter(|lock| !self.transaction.contains(lock)).collect()
    }

    /// How many the transaction has taken so far.
    pub fn mark(&self) -> usize {
        self.transaction.len()
    }

    /// Gives back what the transaction took after so many; those that are had no more.
    pub fn go_back(&mut self, mark: usize) -> Vec<Lock> {
        let dropped = self.transaction.split_off(mark.min(self.transaction.len()));
        let mut free: Vec<Lock> = Vec::new();
        for lock in dropped {
            if !self.has(&lock) && !free.contains(&lock) {
                free.push(lock);
            }
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(number: i32, mode: Mode) -> Lock {
        (Key::advisory("d".into(), 0, number, 1), mode)
    }

    #[test]
    fn a_lock_is_given_back_as_often_as_it_was_taken_and_in_each_mode() {
        let (mut held, exclusive, shared) = (HeldLocks::default(), lock(1, Mode::Exclusive), lock(1, Mode::Shared));
        assert_eq!(held.give(&exclusive), Given::Never);
        held.take(exclusive.clone(), false);
        held.take(exclusive.clone(), false);
        held.take(shared.clone(), false);
        assert_eq!(held.give(&exclusive), Given::Kept);
        assert_eq!(held.give(&exclusive), Given::Free);
        assert_eq!(held.give(&exclusive), Given::Never);
        assert!(held.has(&shared) && !held.has(&exclusive));
        held.take(shared.clone(), true);
        assert_eq!(held.give_all(), [], "the transaction has it too");
        assert_eq!(held.go_back(0), [shared]);
        assert!(held.is_empty());
    }

    #[test]
    fn what_a_transaction_took_goes_with_it_or_with_its_savepoint() {
        let (mut held, one, two) = (HeldLocks::default(), lock(1, Mode::Exclusive), lock(2, Mode::Exclusive));
        held.take(one.clone(), true);
        let mark = held.mark();
        held.take(one.clone(), true);
        held.take(two.clone(), true);
        held.take(two.clone(), true);
        assert_eq!(held.give(&two), Given::Never, "a transaction's lock is not given back");
        assert_eq!(held.go_back(mark), [two]);
        held.take(one.clone(), false);
        assert_eq!(held.go_back(0), []);
        assert_eq!(held.give_all(), [one]);
    }
}
