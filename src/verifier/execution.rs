//! Handing batches to the executor, and taking its results in (part of `node`).
//!
//! Batches execute on append, several ahead; a slot is one of them, on its way or done but not accepted.
//! Slots are a chain: each stands on the one before, the first on the accepted state. A rewind, a
//! truncation or a failure takes the tail of the chain back, and `run` tells late results of it from new
//! ones. Here V1 is kept: `cast` is the only place where this node gives its word.

use super::events::{Action, Entry, LocalFailure, Reason, Recipients};
use super::ledger::Stage;
use super::node::{Phase, Verifier};
use super::recovery::CrashMark;
use crate::page::Hash;
use crate::token::{Ballot, BallotKey, LogId, Mode, Token};

/// A batch that was handed to the executor.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub log_id: LogId,
    batch: Hash,
    attempt: u32,
    run: u64,
    state: SlotState,
}

#[derive(Clone, Debug, PartialEq)]
enum SlotState {
    Running,
    Done(Token),
    Failed { again_us: u64 },
}

impl Verifier {
    /// Takes back executions of batches at or above an index.
    pub(super) fn drop_slots(&mut self, index: u64, out: &mut Vec<Action>) {
        let kept = self.slots.iter().take_while(|slot| slot.log_id.index < index).count();
        if kept < self.slots.len() {
            self.slots.truncate(kept);
            self.run += 1;
            out.push(Action::RollBack { to: self.tip_index() });
        }
    }

    /// Hands batches to the executor, in order, as long as nothing stands in the way.
    pub(super) fn execute(&mut self, now_us: u64, out: &mut Vec<Action>) {
        let rules = self.options.rules;
        // Rule 5, after a start: the log comes entry by entry, and the verdict on the first of them may be the last.
        let seen = self.log.last_key_value().map_or(self.accepted.log_id.index, |(index, _)| *index);
        if rules.look_before_executing && seen < self.decided {
            return;
        }
        while self.phase == Phase::Following {
            if let Some(Slot { state: SlotState::Failed { again_us }, log_id, .. }) = self.slots.last() {
                // A failed batch is tried again once the others have accepted it, or when this node is
                // on record with a token for it.
                let index = log_id.index;
                if index > self.known.log_id.index && now_us < *again_us {
                    return;
                }
                self.drop_slots(index, out);
            }
            let tip = self.tip_index();
            if self.slots.last().is_some_and(|slot| matches!(self.ledger.stage(slot.log_id.index), Stage::Trial(_))) {
                return;
            }
            let next = self.log.range(tip + 1..).find_map(|(_, (log_id, entry))| match entry {
                Entry::Batch { hash, engine, .. } => Some((*log_id, *hash, *engine)),
                _ => None,
            });
            let Some((log_id, batch, engine)) = next else { return };
            let milestone = self.milestones.keys().next().copied().unwrap_or(0);
            if self.slots.len() >= self.options.unaccepted_max && log_id.index > milestone {
                return;
            }
            if engine != self.options.engine && rules.equal_engine {
                return self.halt(format!("rule 16: batch {} is for another engine, {engine}", log_id.index), out);
            }
            let (attempt, mode) = match rules.look_before_executing {
                true => (self.ledger.attempt(log_id.index), self.ledger.mode(log_id.index)),
                false => (0, Mode::Planned),
            };
            if self.wants_scrub(log_id.index, attempt) {
                return self.scrub(attempt, out);
            }
            let mut slot = Slot { log_id, batch, attempt, run: self.run, state: SlotState::Running };
            if self.fails_beforehand(log_id, attempt) {
                let Some(parent) = self.tip_token() else { return };
                let key = BallotKey { log_id, attempt, parent };
                if log_id.index <= self.known.log_id.index {
                    return self.quarantine(Reason::Failing { index: log_id.index }, out);
                }
                slot.state = SlotState::Failed { again_us: u64::MAX };
                self.slots.push(slot);
                return self.cast(Ballot::Failed(key), now_us, out);
            }
            self.slots.push(slot);
            out.push(Action::Execute { run: self.run, log_id, attempt, mode });
        }
    }

    /// Rule 14: the process died twice in this batch. Another attempt may run the same transaction, and a search for
    /// it would cost a crash a step: so every attempt fails but the one in which all of them are void. What has given
    /// a token here was not what killed the process, and the token binds.
    fn fails_beforehand(&self, log_id: LogId, attempt: u32) -> bool {
        let crashed = |mark: &&CrashMark| mark.log_id == log_id && mark.count >= 2;
        if !self.options.rules.crashes_become_failure || !self.crashes.iter().any(|mark| crashed(&mark)) {
            return false;
        }
        let given = |(key, (ballot, _)): (&BallotKey, &(Ballot, bool))| {
            (key.log_id, key.attempt) == (log_id, attempt) && ballot.token().is_some()
        };
        if self.own.iter().any(given) {
            return false;
        }
        let transactions = self.batch_at(log_id).map_or(0, |(_, transactions, _)| transactions);
        (self.ledger.void(log_id.index).len() as u32) < transactions
    }

    pub(super) fn executed(
        &mut self,
        run: u64,
        log_id: LogId,
        root: Hash,
        answers: Hash,
        now_us: u64,
        out: &mut Vec<Action>,
    ) {
        let Some(position) = self.running(run, log_id) else { return };
        let Some(parent) = self.token_before(position) else { return };
        let slot = &mut self.slots[position];
        let token = Token { log_id, batch: slot.batch, attempt: slot.attempt, parent, root, answers };
        slot.state = SlotState::Done(token);
        self.cast(Ballot::Token(token), now_us, out);
    }

    pub(super) fn failed(
        &mut self,
        run: u64,
        log_id: LogId,
        failure: LocalFailure,
        now_us: u64,
        out: &mut Vec<Action>,
    ) {
        let Some(position) = self.running(run, log_id) else { return };
        let Some(parent) = self.token_before(position) else { return };
        let index = log_id.index;
        let key = BallotKey { log_id, attempt: self.slots[position].attempt, parent };
        self.drop_slots(index + 1, out);
        if failure == LocalFailure::Corrupt {
            return self.quarantine(Reason::Damaged, out);
        }
        if index <= self.known.log_id.index {
            return self.quarantine(Reason::Failing { index }, out);
        }
        let recorded = matches!(self.own.get(&key), Some((Ballot::Token(_), _)));
        let again_us = if recorded { now_us + self.options.resend_us } else { u64::MAX };
        self.slots[position].state = SlotState::Failed { again_us };
        if !recorded {
            self.cast(Ballot::Failed(key), now_us, out);
        }
    }

    /// Gives this node's word, once (V1).
    fn cast(&mut self, ballot: Ballot, now_us: u64, out: &mut Vec<Action>) {
        let rules = self.options.rules;
        let key = ballot.key();
        match self.own.get(&key) {
            Some((before, _)) if *before == ballot => return,
            // What is accepted by now decides which of the two was wrong: `compare` will see.
            Some((Ballot::Token(_), _)) if rules.one_ballot && key.log_id.index <= self.known.log_id.index => return,
            Some((Ballot::Token(_), _)) if rules.one_ballot => {
                return self.quarantine(Reason::Contradiction(key), out);
            }
            Some((Ballot::Failed(_), _)) if rules.failure_is_final => return,
            // It may have given one that it does not know any more.
            None if rules.one_ballot && key.log_id.index < self.ballots_lost_below => return,
            _ => {}
        }
        self.own.insert(key, (ballot, false));
        out.push(Action::Persist(ballot));
        if !rules.durable_before_sent {
            self.persisted(key, now_us, out);
        }
    }

    pub(super) fn persisted(&mut self, key: BallotKey, now_us: u64, out: &mut Vec<Action>) {
        let Some((ballot, durable)) = self.own.get_mut(&key) else { return };
        *durable = true;
        let ballot = *ballot;
        self.count(self.options.me, ballot, now_us, out);
        out.push(Action::Send { to: Recipients::All, ballots: vec![ballot] });
    }

    fn running(&self, run: u64, log_id: LogId) -> Option<usize> {
        self.slots.iter().position(|s| s.log_id == log_id && s.run == run && s.state == SlotState::Running)
    }

    /// Index of the newest batch that was handed to the executor, or of the accepted one.
    pub(super) fn tip_index(&self) -> u64 {
        self.slots.last().map_or(self.accepted.log_id.index, |slot| slot.log_id.index)
    }

    fn tip_token(&self) -> Option<Hash> {
        self.token_before(self.slots.len())
    }

    fn token_before(&self, position: usize) -> Option<Hash> {
        match position.checked_sub(1) {
            None => Some(self.accepted.token),
            Some(before) => self.slots[before].token().map(Token::hash),
        }
    }
}

impl Slot {
    pub(super) fn token(&self) -> Option<&Token> {
        match &self.state {
            SlotState::Done(token) => Some(token),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::recovery::{Mark, Recovered};
    use super::super::{Event, Ledger, Members, Options};
    use super::*;
    use crate::token::Accepted;

    /// What a node does with a batch of its log when it starts with these ballots after so many crashes in it.
    fn started(ballots: Vec<Ballot>, count: u32) -> Vec<Action> {
        started_at(ballots, count, 0)
    }

    fn started_at(ballots: Vec<Ballot>, count: u32, decided: u64) -> Vec<Action> {
        let (log_id, engine, accepted) = (log_id(), Hash::default(), Accepted::default());
        let mark = Mark { accepted, ledger: Ledger::default(), members: Members::new(1..=3), whole: true };
        let crashes = vec![CrashMark { log_id, attempt: 0, count }];
        let recovered = Recovered { mark, ballots, ballots_lost_below: 0, crashes, decided };
        let mut verifier = Verifier::recover(Options::new(1), recovered);
        let entry = Entry::Batch { hash: Hash(7), transactions: 2, engine, accepted };
        let mut actions = Vec::new();
        verifier.step(Event::Appended { log_id, entry }, 0, &mut actions);
        actions
    }

    fn log_id() -> LogId {
        LogId { term: 1, leader: 1, index: 1 }
    }

    #[test]
    fn after_a_start_a_batch_waits_for_what_is_decided_behind_it() {
        let executes = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Execute { .. }));
        assert!(executes(&started_at(Vec::new(), 0, 1)));
        assert!(!executes(&started_at(Vec::new(), 0, 2)), "the entry at index 2 may be a verdict on it");
    }

    #[test]
    fn no_ballot_is_given_where_one_may_have_been_lost() {
        let (log_id, engine, accepted) = (log_id(), Hash::default(), Accepted::default());
        let gives_a_ballot = |ballots_lost_below: u64, known: Vec<Ballot>| {
            let mark = Mark { accepted, ledger: Ledger::default(), members: Members::new(1..=3), whole: true };
            let recovered = Recovered { mark, ballots: known, ballots_lost_below, crashes: Vec::new(), decided: 0 };
            let mut verifier = Verifier::recover(Options::new(1), recovered);
            let entry = Entry::Batch { hash: Hash(7), transactions: 2, engine, accepted };
            let mut actions = Vec::new();
            verifier.step(Event::Appended { log_id, entry }, 0, &mut actions);
            let run = actions.iter().find_map(|action| match action {
                Action::Execute { run, .. } => Some(*run),
                _ => None,
            });
            let mut actions = Vec::new();
            let done = Event::Executed { run: run.unwrap(), log_id, root: Hash(1), answers: Hash(2) };
            verifier.step(done, 0, &mut actions);
            actions.iter().any(|action| matches!(action, Action::Persist(_) | Action::Send { .. }))
        };
        assert!(gives_a_ballot(0, Vec::new()));
        assert!(gives_a_ballot(log_id.index, Vec::new()));
        assert!(!gives_a_ballot(log_id.index + 1, Vec::new()));
    }

    #[test]
    fn two_crashes_in_a_batch_make_it_fail_untried_unless_a_token_says_that_it_went_well() {
        let executes = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Execute { .. }));
        assert!(executes(&started(Vec::new(), 1)));
        let failed = started(Vec::new(), 2);
        let says_so =
            |action: &Action| matches!(action, Action::Persist(Ballot::Failed(key)) if key.log_id == log_id());
        assert!(!executes(&failed) && failed.iter().any(says_so), "{failed:?}");
        let parent = Accepted::default().token;
        let hash = Hash::default();
        let token = Token { log_id: log_id(), batch: Hash(7), attempt: 0, parent, root: hash, answers: hash };
        assert!(executes(&started(vec![Ballot::Token(token)], 2)));
    }
}
