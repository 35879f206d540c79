//! Quarantine, repair and restart.
//!
//! A node in quarantine has dropped what it executed above its accepted state and waits for a *named*
//! target (rule 19): what the cluster accepted for the batch that it got wrong, or its own accepted state
//! when the damage is there or when a rewind has made its contradiction obsolete. It fetches the pages
//! that differ, hashes everything again from the bytes, and only then follows again (V5).
//!
//! When nobody has the target (all nodes can be in quarantine at once, each after a wrong result of its
//! own) it goes back to its own accepted state now and then, hashes that again and executes from there:
//! whatever it computes, its ballots stay what they were.
//!
//! A restart begins at the checkpoint's [`Mark`], which holds accepted state, ledger and members of one
//! moment, and executes the suffix of the log again. Ballots on record were this node's word and stay it:
//! execution must reproduce them (rule 2).

use super::events::{Action, Reason};
use super::ledger::Ledger;
use super::members::Members;
use super::node::{Healing, Options, Phase, Verifier};
use super::tokens::Ballots;
use crate::token::{Accepted, Ballot, LogId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// What a checkpoint stores beside the root (invariant 6): take it with the accepted snapshot, at the same
/// moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The checkpoint's batch.
    pub accepted: Accepted,
    /// Rulings on batches above it, folded up to some later position.
    pub ledger: Ledger,
    /// Voters at it.
    pub members: Members,
    /// The pages are those of the batch. Else they are on the way to some later state, which a node that cannot follow
    /// the log was fetching.
    pub whole: bool,
}

/// A durable note that execution of an attempt began and was not seen to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashMark {
    /// The batch.
    pub log_id: LogId,
    /// The attempt in which it died last.
    pub attempt: u32,
    /// How often the process died in the batch.
    pub count: u32,
}

/// What a node finds on its disk; the log's suffix follows as `Appended` events, in order, then `Decided`.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// From the newest checkpoint.
    pub mark: Mark,
    /// Own ballots on record, of whatever batches.
    pub ballots: Vec<Ballot>,
    /// Batches below this index may have had others, which were lost (V1: this node gives no more on them).
    pub ballots_lost_below: u64,
    /// Executions that did not end.
    pub crashes: Vec<CrashMark>,
    /// How far the log is known to be decided: no batch is executed before what is decided behind it was seen.
    pub decided: u64,
}

/// Rule 21: this directory must not rejoin under its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {node} came back with its log up to {last}, a peer remembers it at {remembered}: join under a new id")]
pub struct Refused {
    /// The node.
    pub node: NodeId,
    /// The last index in its log.
    pub last: u64,
    /// What a peer saw it acknowledge.
    pub remembered: u64,
}

/// Rule 21, asked by a starting node of what its peers remember (the highest log index that it
/// acknowledged as durable, or gave a ballot on), before it votes, acknowledges or executes.
pub fn admit(
    node: NodeId,
    last: u64,
    remembered: impl IntoIterator<Item = u64>,
    options: &Options,
) -> Result<(), Refused> {
    match remembered.into_iter().max() {
        Some(remembered) if remembered > last && options.rules.refuse_forgetful => {
            Err(Refused { node, last, remembered })
        }
        _ => Ok(()),
    }
}

impl Verifier {
    /// A new node of a new cluster, with these voters.
    pub fn new(options: Options, members: Members) -> Self {
        let mark = Mark { accepted: Accepted::default(), ledger: Ledger::default(), members, whole: true };
        Verifier::recover(
            options,
            Recovered { mark, ballots: Vec::new(), ballots_lost_below: 0, crashes: Vec::new(), decided: 0 },
        )
    }

    /// A node that starts from its disk.
    pub fn recover(options: Options, recovered: Recovered) -> Self {
        let Recovered { mark, ballots, ballots_lost_below, crashes, decided } = recovered;
        let mut verifier = Verifier {
            log: BTreeMap::new(),
            members: mark.members,
            decided: mark.ledger.position.max(mark.accepted.log_id.index).max(decided),
            known: mark.accepted,
            milestones: BTreeMap::new(),
            accepted: mark.accepted,
            ballots: Ballots::default(),
            own: BTreeMap::new(),
            ballots_lost_below,
            slots: Vec::new(),
            run: 0,
            phase: Phase::Following,
            scrubbed: 0,
            crashes,
            peers: BTreeMap::new(),
            leader: Default::default(),
            moved_us: 0,
            repair_us: 0,
            matches: BTreeMap::new(),
            past: VecDeque::new(),
            joining: None,
            ledger: mark.ledger,
            options,
        };
        let durable = verifier.ledger.accepted;
        if durable.log_id.index > verifier.accepted.log_id.index {
            verifier.known = durable;
            verifier.milestones.insert(durable.log_id.index, durable);
        }
        for ballot in ballots {
            if ballot.key().log_id.index > verifier.accepted.log_id.index {
                verifier.ballots.insert(verifier.options.me, ballot);
            }
            verifier.own.insert(ballot.key(), (ballot, true));
        }
        verifier
    }

    /// Own ballots on record at or below this log index may be deleted from the disk once a checkpoint of
    /// the present state is durable. Above it they are needed: those of batches that were accepted fast
    /// are the only proof of it until the log has one.
    pub fn ballots_needed_above(&self) -> u64 {
        self.accepted.log_id.index.min(self.ledger.accepted.log_id.index)
    }

    /// What a checkpoint of the state as accepted now stores.
    pub fn mark(&self) -> Mark {
        Mark { accepted: self.accepted, ledger: self.ledger.clone(), members: self.members.clone(), whole: true }
    }

    /// The log that this node needs to follow is gone (it is new, or was away for too long): it answers nobody until
    /// it has fetched the state that a peer's mark names, and goes on from there with the mark's rulings and voters.
    pub(super) fn join(&mut self, mark: Mark, out: &mut Vec<Action>) {
        let known = mark.accepted;
        if known.log_id.index <= self.accepted.log_id.index {
            return;
        }
        if known.log_id.index > self.known.log_id.index {
            self.milestones.insert(known.log_id.index, known);
            self.known = known;
        }
        self.joining = Some(mark);
        self.quarantine(Reason::Joining, out);
    }

    pub(super) fn quarantine(&mut self, reason: Reason, out: &mut Vec<Action>) {
        self.drop_slots(self.accepted.log_id.index + 1, out);
        self.run += 1;
        self.phase = Phase::Quarantined { reason, healing: Healing::Waiting };
        self.repair_us = 0;
        out.push(Action::Quarantine(reason));
    }

    /// Begins a repair when its target is named and somebody has it.
    pub(super) fn heal(&mut self, now_us: u64, out: &mut Vec<Action>) {
        let Phase::Quarantined { reason, healing: Healing::Waiting } = self.phase else { return };
        let behind = self.known.log_id.index > self.accepted.log_id.index;
        let named = match reason {
            Reason::Contradiction(key) => {
                let rewound = self.ledger.attempt(key.log_id.index) != key.attempt;
                let gone = self.batch_at(key.log_id).is_none();
                rewound || gone || self.known.log_id.index >= key.log_id.index
            }
            Reason::Joining => behind,
            _ => true,
        };
        let due = self.repair_us == 0 || now_us >= self.repair_us + self.options.resend_us;
        let target = self.target();
        let obsolete = target == self.accepted && matches!(reason, Reason::Contradiction(_));
        if due && named && obsolete {
            return self.rehash_as(target, now_us, out);
        }
        let sources = self.sources(&target, matches!(reason, Reason::Damaged | Reason::Joining));
        if due && (named || !self.options.rules.named_target) && !sources.is_empty() {
            self.repair_us = now_us.max(1);
            self.phase = Phase::Quarantined { reason, healing: Healing::Repairing(target) };
            return out.push(Action::Repair { target, sources });
        }
        // Nobody has the target, or it is not named yet: try again from the own accepted state. If the
        // record or what was accepted is contradicted again, the quarantine begins again, too.
        if self.repair_us == 0 {
            self.repair_us = now_us.max(1);
        } else if due && !matches!(reason, Reason::Damaged | Reason::Joining) {
            self.rehash_as(self.accepted, now_us, out);
        }
    }

    fn target(&self) -> Accepted {
        if !self.options.rules.named_target {
            // The mutation: whatever some peer computed last.
            let other = self.ballots.newest_of_others(self.options.me);
            if let Some(token) = other.filter(|token| token.log_id.index > self.accepted.log_id.index) {
                return Accepted::from(&token);
            }
        }
        match self.known.log_id.index > self.accepted.log_id.index {
            true => self.known,
            false => self.accepted,
        }
    }

    /// Peers that can have a state: alive and sound, those that gave the token first. `damaged` takes those in
    /// quarantine too, at the end: pages prove themselves by their hash, and if all nodes are damaged they
    /// are rarely damaged in the same page.
    fn sources(&self, target: &Accepted, damaged: bool) -> Vec<NodeId> {
        let said = self.ballots.find(target).map(|token| self.ballots.on(&token.key())).unwrap_or_default();
        let gave = |node: &NodeId| said.get(node).and_then(Ballot::token).is_some_and(|t| t.hash() == target.token);
        let alive = self.peers.iter().filter(|(_, peer)| peer.alive && (damaged || !peer.quarantined));
        let mut sources: Vec<(bool, bool, NodeId)> =
            alive.map(|(node, peer)| (peer.quarantined, !gave(node), *node)).collect();
        sources.sort_unstable();
        sources.into_iter().map(|(_, _, node)| node).collect()
    }

    pub(super) fn repaired(&mut self, target: Accepted, complete: bool, now_us: u64, out: &mut Vec<Action>) {
        let Phase::Quarantined { reason, healing: Healing::Repairing(wanted) } = self.phase else { return };
        if wanted != target {
            return;
        }
        if !complete {
            self.repair_us = now_us.max(1);
            self.phase = Phase::Quarantined { reason, healing: Healing::Waiting };
            return;
        }
        if !self.options.rules.rehash_before_rejoin {
            return self.rejoin(target, now_us, out);
        }
        self.rehash_as(target, now_us, out);
    }

    fn rehash_as(&mut self, target: Accepted, now_us: u64, out: &mut Vec<Action>) {
        let Phase::Quarantined { reason, .. } = self.phase else { return };
        if !self.options.rules.rehash_before_rejoin {
            return self.rejoin(target, now_us, out);
        }
        self.run += 1;
        self.phase = Phase::Quarantined { reason, healing: Healing::Rehashing(target) };
        out.push(Action::Rehash { run: self.run });
    }

    /// Rule 8: whether the last accepted root is to be hashed again before this attempt.
    pub(super) fn wants_scrub(&self, index: u64, attempt: u32) -> bool {
        let ordered = self.ledger.scrub(index);
        self.options.rules.scrub_before_void && ordered && self.scrubbed < attempt
    }

    pub(super) fn scrub(&mut self, attempt: u32, out: &mut Vec<Action>) {
        self.drop_slots(self.accepted.log_id.index + 1, out);
        self.run += 1;
        self.phase = Phase::Scrubbing { attempt };
        out.push(Action::Rehash { run: self.run });
    }

    pub(super) fn rehashed(&mut self, damaged: u64, run: Option<u64>, now_us: u64, out: &mut Vec<Action>) {
        let asked = run == Some(self.run);
        match self.phase {
            Phase::Scrubbing { attempt } if asked => {
                self.scrubbed = attempt;
                self.phase = Phase::Following;
                if damaged > 0 {
                    self.quarantine(Reason::Damaged, out);
                }
            }
            Phase::Quarantined { healing: Healing::Rehashing(target), .. } if asked => match damaged {
                0 => self.rejoin(target, now_us, out),
                _ => {
                    self.repair_us = 0;
                    self.phase = Phase::Quarantined { reason: Reason::Damaged, healing: Healing::Waiting };
                }
            },
            Phase::Following | Phase::Scrubbing { .. } if run.is_none() && damaged > 0 => {
                self.quarantine(Reason::Damaged, out);
            }
            _ => {}
        }
    }

    /// Follows again, from a state that the cluster accepted and whose bytes were hashed again.
    fn rejoin(&mut self, target: Accepted, now_us: u64, out: &mut Vec<Action>) {
        let index = target.log_id.index;
        let missed = self.batches_after(self.accepted.log_id.index).map(|(log_id, _)| log_id);
        let batches: Vec<LogId> = missed.take_while(|log_id| log_id.index <= index).collect();
        let sources = self.sources(&target, false);
        if index > self.known.log_id.index {
            self.known = target;
        }
        self.accept_to(target, now_us);
        if let Some(mark) = self.joining.take_if(|mark| mark.accepted == target) {
            // What the log said up to here this node has not read.
            self.decided = self.decided.max(target.log_id.index);
            (self.members, self.ledger) = (mark.members, mark.ledger);
        }
        self.phase = Phase::Following;
        out.push(Action::Accept { batches: Vec::new(), accepted: target });
        out.push(Action::Release);
        if !batches.is_empty() {
            out.push(Action::FetchAnswers { batches, sources });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, Event, Peer};
    use super::*;
    use crate::page::Hash;
    use crate::token::Token;

    fn at(index: u64) -> LogId {
        LogId { term: 1, leader: 1, index }
    }

    fn token(index: u64, parent: Hash, root: Hash) -> Token {
        Token { log_id: at(index), batch: Hash(index.into()), attempt: 0, parent, root, answers: Hash(1) }
    }

    fn step(verifier: &mut Verifier, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        verifier.step(event, 1_000_000, &mut actions);
        actions
    }

    fn batch(index: u64) -> Event {
        let entry = Entry::Batch {
            hash: Hash(index.into()),
            transactions: 1,
            engine: Hash::default(),
            accepted: Accepted::default(),
        };
        Event::Appended { log_id: at(index), entry }
    }

    #[test]
    fn a_node_that_joins_goes_on_with_the_rulings_and_voters_of_the_state_that_it_fetched() {
        let mut verifier = Verifier::new(Options::new(4), Members::new([]));
        let target = Accepted::from(&token(9, Hash(3), Hash(5)));
        let mut ledger = Ledger::default();
        (ledger.position, ledger.accepted) = (11, target);
        let mark = Mark { accepted: target, ledger: ledger.clone(), members: Members::new(1..=3), whole: true };
        step(&mut verifier, Event::Peer { node: 2, peer: Peer { alive: true, quarantined: false } });
        let asked = step(&mut verifier, Event::Join(Box::new(mark.clone())));
        assert!(asked.contains(&Action::Quarantine(Reason::Joining)), "{asked:?}");
        assert!(asked.contains(&Action::Repair { target, sources: vec![2] }), "{asked:?}");
        // What comes through the log meanwhile is not executed.
        assert!(!step(&mut verifier, batch(12)).iter().any(|action| matches!(action, Action::Execute { .. })));
        let rehash = step(&mut verifier, Event::Repaired { target, complete: true });
        let [Action::Rehash { run }] = rehash[..] else { panic!("{rehash:?}") };
        let released = step(&mut verifier, Event::Rehashed { damaged: 0, run: Some(run) });
        assert!(released.contains(&Action::Accept { batches: Vec::new(), accepted: target }), "{released:?}");
        assert!(released.contains(&Action::Release), "{released:?}");
        let executed =
            released.iter().filter(|action| matches!(action, Action::Execute { log_id, .. } if *log_id == at(12)));
        assert_eq!(executed.count(), 1, "{released:?}");
        assert_eq!(verifier.mark(), Mark { ledger, ..mark });
    }

    #[test]
    fn a_node_that_stopped_while_it_fetched_waits_to_be_offered_a_state_again() {
        let mut verifier = Verifier::new(Options::new(4), Members::new(1..=3));
        assert!(step(&mut verifier, Event::Unfinished).contains(&Action::Quarantine(Reason::Joining)));
        assert!(!step(&mut verifier, batch(1)).iter().any(|action| matches!(action, Action::Execute { .. })));
        let mut later = Vec::new();
        verifier.step(Event::Tick, 60_000_000, &mut later);
        assert!(!later.iter().any(|action| matches!(action, Action::Rehash { .. } | Action::Release)), "{later:?}");
    }

    #[test]
    fn a_learner_is_judged_by_tokens_that_come_behind_the_acceptance_too_and_each_batch_counts_once() {
        let mut verifier = Verifier::new(Options::new(1), Members::new([1]));
        let mut parent = Accepted::default().token;
        for index in 1..=3 {
            let given = step(&mut verifier, batch(index));
            let run = given.iter().find_map(|action| match action {
                Action::Execute { run, .. } => Some(*run),
                _ => None,
            });
            let own = token(index, parent, Hash(7));
            let done = Event::Executed { run: run.unwrap(), log_id: at(index), root: own.root, answers: own.answers };
            step(&mut verifier, done);
            step(&mut verifier, Event::Persisted(own.key()));
            step(&mut verifier, Event::Decided { index });
            assert_eq!(verifier.status().accepted.log_id, at(index));
            let right = Event::Ballots { from: 4, ballots: vec![Ballot::Token(own)] };
            step(&mut verifier, right.clone());
            step(&mut verifier, right);
            assert_eq!(verifier.matching_tokens(4), index);
            let wrong = Ballot::Token(Token { root: Hash(8), ..own });
            step(&mut verifier, Event::Ballots { from: 5, ballots: vec![wrong] });
            assert_eq!(verifier.matching_tokens(5), 0);
            parent = own.hash();
        }
    }
}
