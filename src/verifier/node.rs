//! The per-node state machine: events in, actions out.
//!
//! ```text
//!                 token differs from what was accepted | contradicts its record | damage | cannot execute
//!   Following ------------------------------------------------------------------------> Quarantined(Waiting)
//!     |   ^                                                                                  | target known
//!     |   `-- Scrubbing <- second replay ordered                                             v
//!     |        | damage -> Quarantined                                            Quarantined(Repairing)
//!     |        ` clean  -> Following                                                         | pages there
//!     |                                     clean                                            v
//!     `<------------------------------------------------------------------------- Quarantined(Rehashing)
//!   any -> Halted: a broken invariant, another engine, a forgetful directory
//! ```
//!
//! [`Verifier::step`] takes the event in, then runs `advance` until nothing moves: fold decided entries
//! into the ledger, learn what became known, compare own results with it, issue executions, propose
//! verdicts (`leader`). Quarantine and restart are in `recovery`. V1 to V5 are in the module's head.

use super::divergence::Divergence;
use super::events::{Action, Entry, Event, Peer, Reason, Recipients};
use super::execution::Slot;
use super::leader::Leader;
use super::ledger::{Effect, Ledger, Stage};
use super::members::Members;
use super::recovery::{CrashMark, Mark};
use super::rules::Rules;
use super::tokens::{Ballots, Received};
use super::verdict::{Judgement, judge};
use crate::page::Hash;
use crate::token::{Accepted, Ballot, BallotKey, LogId, Mode, NodeId, Token};
use std::collections::{BTreeMap, VecDeque};

/// Settings of a verifier.
#[derive(Clone, Debug)]
pub struct Options {
    /// This node.
    pub me: NodeId,
    /// W: batches that may be unaccepted before proposing stops (rule 6). The same on all nodes.
    pub unaccepted_max: usize,
    /// This node's engine fingerprint (rule 16).
    pub engine: Hash,
    /// Least and most time that a missing token is awaited; between them it is twice the median delay.
    pub wait_us: (u64, u64),
    /// How long a missing token is awaited, at least, when two others differ (rule 4).
    pub replay_wait_us: u64,
    /// How long missing voters are awaited before a batch is voided.
    pub void_wait_us: u64,
    /// After this long without progress ballots are sent and asked for, and verdicts proposed, again.
    pub resend_us: u64,
    /// Own ballots kept for nodes that ask, after their batches were durably accepted.
    pub ballots_kept: usize,
    /// Tests only.
    #[doc(hidden)]
    pub rules: Rules,
}

impl Options {
    /// Defaults for a node.
    pub fn new(me: NodeId) -> Self {
        Options {
            me,
            unaccepted_max: 8,
            engine: Hash::default(),
            wait_us: (300, 50_000),
            replay_wait_us: 20_000,
            void_wait_us: 2_000_000,
            resend_us: 50_000,
            ballots_kept: 64,
            rules: Rules::default(),
        }
    }
}

/// Where a node stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    Following,
    Scrubbing { attempt: u32 },
    Quarantined { reason: Reason, healing: Healing },
    Halted,
}

/// How far a quarantined node is with its repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Healing {
    Waiting,
    Repairing(Accepted),
    Rehashing(Accepted),
}

/// Acceptances that late tokens are compared with.
const PAST_KEPT: usize = 64;

/// How often in a row a node's token was what was accepted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Matches {
    count: u64,
    /// Of the newest token that was compared.
    index: u64,
}

impl Matches {
    /// Each batch counts once, however often its token comes.
    fn note(&mut self, index: u64, matches: bool) {
        if index > self.index {
            self.index = index;
            self.count = if matches { self.count + 1 } else { 0 };
        }
    }
}

/// For `status` and the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Newest batch whose accepted result this node holds.
    pub accepted: Accepted,
    /// Newest batch whose accepted result it knows.
    pub known: Accepted,
    /// Newest acceptance that stands in the decided log.
    pub durable: Accepted,
    /// Batches in its log that are not known yet.
    pub unaccepted: usize,
    /// Why it is in quarantine, if it is.
    pub quarantined: Option<Reason>,
    /// It has stopped for good.
    pub halted: bool,
}

/// One node's verdict, acceptance, quarantine and recovery logic.
pub struct Verifier {
    pub(super) options: Options,
    /// Entries above the accepted batch.
    pub(super) log: BTreeMap<u64, (LogId, Entry)>,
    /// Voters at the accepted batch; later ones stand in `log`.
    pub(super) members: Members,
    pub(super) decided: u64,
    pub(super) ledger: Ledger,
    pub(super) ballots: Ballots,
    /// Own ballots, and whether they are durable.
    pub(super) own: BTreeMap<BallotKey, (Ballot, bool)>,
    /// Own ballots on batches below this index may be missing.
    pub(super) ballots_lost_below: u64,
    pub(super) accepted: Accepted,
    pub(super) known: Accepted,
    /// What became known above `accepted`, by log index.
    pub(super) milestones: BTreeMap<u64, Accepted>,
    pub(super) slots: Vec<Slot>,
    pub(super) run: u64,
    pub(super) phase: Phase,
    /// The scrub that the newest second replay wanted is done.
    pub(super) scrubbed: u32,
    pub(super) crashes: Vec<CrashMark>,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    pub(super) leader: Leader,
    /// When ballots were last sent or asked for, or progress was made.
    pub(super) moved_us: u64,
    /// When a repair was last begun.
    pub(super) repair_us: u64,
    /// Consecutive matching tokens of each node (rule 22).
    pub(super) matches: BTreeMap<NodeId, Matches>,
    /// The newest acceptances: the tokens of those who do not vote may come behind them.
    pub(super) past: VecDeque<Accepted>,
    /// Where a node goes on that could not follow the log.
    pub(super) joining: Option<Mark>,
}

impl Verifier {
    /// Takes an event in. `now_us` must not go backwards; actions are appended to `out`.
    pub fn step(&mut self, event: Event, now_us: u64, out: &mut Vec<Action>) {
        if self.phase == Phase::Halted {
            return;
        }
        match event {
            Event::Appended { log_id, entry } => self.appended(log_id, entry, out),
            Event::Truncated { after } => self.truncated(after, out),
            Event::Decided { index } => self.decided = self.decided.max(index),
            Event::Executed { run, log_id, root, answers } => self.executed(run, log_id, root, answers, now_us, out),
            Event::Failed { run, log_id, failure } => self.failed(run, log_id, failure, now_us, out),
            Event::Persisted(key) => self.persisted(key, now_us, out),
            Event::Ballots { from, ballots } => self.receive(from, ballots, now_us, out),
            Event::Asked { from, after } => self.asked(from, after, out),
            Event::Peer { node, peer } => self.peer_changed(node, peer, out),
            Event::Role { leads } => self.leader.role(leads),
            Event::Tick => self.tick(now_us, out),
            Event::Rehashed { damaged, run } => self.rehashed(damaged, run, now_us, out),
            Event::Publish => self.leader.asked(0),
            Event::Unfinished => self.quarantine(Reason::Joining, out),
            Event::Join(mark) => self.join(*mark, out),
            Event::Repaired { target, complete } => self.repaired(target, complete, now_us, out),
        }
        self.advance(now_us, out);
    }

    /// Everything that follows from the state as it is.
    pub(super) fn advance(&mut self, now_us: u64, out: &mut Vec<Action>) {
        self.fold(out);
        while self.learn(now_us, out) {}
        self.compare(now_us, out);
        self.execute(now_us, out);
        self.heal(now_us, out);
        self.lead(now_us, out);
        debug_assert!(self.accepted.log_id.index <= self.known.log_id.index, "V4: accepted is behind known");
    }

    /// Folds decided entries into the ledger (rule 5: verdicts act on commit).
    fn fold(&mut self, out: &mut Vec<Action>) {
        let last = self.log.keys().next_back().copied().unwrap_or(self.ledger.position);
        let to = if self.options.rules.verdict_acts_on_commit { self.decided.min(last) } else { last };
        while self.ledger.position < to {
            let Some((&position, (_, entry))) = self.log.range(self.ledger.position + 1..=to).next() else {
                self.ledger.position = to;
                return;
            };
            let effect = match entry {
                Entry::Batch { accepted, .. } if accepted.log_id.index > 0 => {
                    self.ledger.accept(accepted, &self.options.rules)
                }
                Entry::Verdict(verdict) => {
                    let transactions = self.batch_at(verdict.log_id).map(|(_, transactions, _)| transactions);
                    self.ledger.verdict(verdict, transactions, &self.options.rules)
                }
                _ => Effect::Nothing,
            };
            self.ledger.position = position;
            match effect {
                Effect::Nothing => {}
                Effect::Accepted(accepted) => self.known_durably(accepted, out),
                Effect::Rewound(index) => self.rewound(index, out),
            }
        }
    }

    /// An acceptance that is decided in the log.
    fn known_durably(&mut self, accepted: Accepted, out: &mut Vec<Action>) {
        let index = accepted.log_id.index;
        let before =
            if index == self.accepted.log_id.index { Some(&self.accepted) } else { self.milestones.get(&index) };
        if before.is_some_and(|before| before.token != accepted.token) {
            return self.halt(format!("V2: two acceptances of batch {index}: {before:?} and {accepted:?}"), out);
        }
        if index > self.accepted.log_id.index {
            self.milestones.insert(index, accepted);
        }
        if index > self.known.log_id.index {
            self.report_minority(&accepted, out);
            self.known = accepted;
        }
    }

    fn rewound(&mut self, index: u64, out: &mut Vec<Action>) {
        if index <= self.known.log_id.index {
            return self.halt(format!("V2: a rewind of batch {index}, which is accepted"), out);
        }
        let disagreement = self.ballots.disagreement(index, self.ledger.attempt(index));
        if let Some((key, said)) = disagreement.filter(|_| self.ledger.stage(index) == Stage::Replayed) {
            out.push(Action::Report(Box::new(Divergence::without_quorum(key, Mode::Planned, said))));
        }
        if !self.options.rules.rewind_drops_suffix {
            self.slots.retain(|slot| slot.log_id.index != index);
            return;
        }
        self.drop_slots(index, out);
    }

    /// The fast path (V2), one batch.
    fn learn(&mut self, now_us: u64, out: &mut Vec<Action>) -> bool {
        let rules = self.options.rules;
        let Some((log_id, hash)) = self.first_unknown() else { return false };
        let trial = matches!(self.ledger.stage(log_id.index), Stage::Trial(_));
        let undecided = rules.decided_before_accepted && log_id.index > self.decided;
        if undecided || (trial && rules.trials_are_not_accepted) {
            return false;
        }
        let own = self.slots.iter().find(|slot| slot.log_id == log_id).and_then(|slot| slot.token());
        let token = match self.judge(log_id, hash, self.known.token, true) {
            _ if !rules.accepted_is_not_decided && own.is_some() => own.copied().unwrap_or_else(|| unreachable!()),
            Judgement::Unanimous(token) => token,
            Judgement::Quorum { token, .. } if !rules.unanimous_or_durable => token,
            _ => return false,
        };
        let accepted = Accepted::from(&token);
        self.report_minority(&accepted, out);
        self.milestones.insert(log_id.index, accepted);
        self.known = accepted;
        self.moved_us = now_us;
        true
    }

    /// Compares own results with what became known: accepts, or goes into quarantine (V5).
    fn compare(&mut self, now_us: u64, out: &mut Vec<Action>) {
        while self.phase == Phase::Following {
            let Some((&index, &known)) = self.milestones.range(self.accepted.log_id.index + 1..).next() else { return };
            let Some(slot) = self.slots.iter().find(|slot| slot.log_id.index == index) else { return };
            let Some(token) = slot.token() else { return };
            if token.hash() != known.token && self.options.rules.quarantine_is_silent {
                // The others may have forgotten this batch by the time that this node's ballot comes: it tells itself.
                let agreed = Token { attempt: known.attempt, root: known.root, answers: known.answers, ..*token };
                let mode = self.ledger.mode(index);
                let own = vec![(self.options.me, *token)];
                out.push(Action::Report(Box::new(Divergence::new(agreed, mode, own))));
                return self.quarantine(Reason::Diverged { index }, out);
            }
            let batches =
                self.slots.iter().map(|slot| slot.log_id).take_while(|log_id| log_id.index <= index).collect();
            self.slots.retain(|slot| slot.log_id.index > index);
            out.push(Action::Accept { batches, accepted: known });
            self.accept_to(known, now_us);
        }
    }

    /// Moves the watermark and forgets what it covers (V4).
    pub(super) fn accept_to(&mut self, accepted: Accepted, now_us: u64) {
        let index = accepted.log_id.index;
        assert!(index >= self.accepted.log_id.index, "V4: accepted goes forward only");
        self.members = self.members_at(index);
        self.accepted = accepted;
        self.past.push_back(accepted);
        if self.past.len() > PAST_KEPT {
            self.past.pop_front();
        }
        self.log = self.log.split_off(&(index + 1));
        self.milestones = self.milestones.split_off(&(index + 1));
        self.ledger.forget_to(&accepted);
        self.ballots.forget_to(index);
        self.crashes.retain(|mark| mark.log_id.index > index);
        self.moved_us = now_us;
        self.leader.forget_to(index);
        let needed_above = self.ballots_needed_above();
        let old: Vec<BallotKey> = self.own.keys().filter(|key| key.log_id.index <= needed_above).copied().collect();
        for key in old.iter().take(old.len().saturating_sub(self.options.ballots_kept)) {
            self.own.remove(key);
        }
    }

    fn receive(&mut self, from: NodeId, ballots: Vec<Ballot>, now_us: u64, out: &mut Vec<Action>) {
        for ballot in ballots {
            if from != self.options.me {
                self.count(from, ballot, now_us, out);
            }
        }
    }

    pub(super) fn count(&mut self, from: NodeId, ballot: Ballot, now_us: u64, out: &mut Vec<Action>) {
        let key = ballot.key();
        if key.log_id.index <= self.accepted.log_id.index {
            return self.match_late(from, &ballot);
        }
        match self.ballots.insert(from, ballot) {
            Received::New => self.leader.note_ballot(&self.options, from, &key, now_us),
            Received::Known => {}
            Received::Contradiction if self.options.rules.one_ballot && self.options.rules.failure_is_final => {
                out.push(Action::Contradicted { node: from, key });
            }
            Received::Contradiction => self.ballots.replace(from, ballot),
        }
    }

    /// A token on a batch that is accepted already: a learner's count for nothing but its promotion.
    fn match_late(&mut self, from: NodeId, ballot: &Ballot) {
        let Some(token) = ballot.token() else { return };
        let past = self.past.iter().find(|accepted| accepted.log_id == token.log_id);
        if let Some(accepted) = past.filter(|accepted| accepted.attempt == token.attempt) {
            let matches = token.hash() == accepted.token;
            self.matches.entry(from).or_default().note(token.log_id.index, matches);
        }
    }

    fn asked(&mut self, from: NodeId, after: u64, out: &mut Vec<Action>) {
        let ballots: Vec<Ballot> = self.durable_after(after);
        if !ballots.is_empty() {
            out.push(Action::Send { to: Recipients::One(from), ballots });
        }
        self.leader.asked(after);
    }

    fn peer_changed(&mut self, node: NodeId, peer: Peer, out: &mut Vec<Action>) {
        let before = self.peers.insert(node, peer);
        if peer.alive && before.is_none_or(|before| !before.alive) {
            let ballots = self.durable_after(self.accepted.log_id.index);
            if !ballots.is_empty() {
                out.push(Action::Send { to: Recipients::One(node), ballots });
            }
        }
    }

    fn tick(&mut self, now_us: u64, out: &mut Vec<Action>) {
        if self.first_unknown().is_none() && self.known == self.accepted {
            return;
        }
        if now_us < self.moved_us + self.options.resend_us {
            return;
        }
        self.moved_us = now_us;
        let ballots = self.durable_after(self.accepted.log_id.index);
        if !ballots.is_empty() {
            out.push(Action::Send { to: Recipients::All, ballots });
        }
        out.push(Action::Ask { after: self.known.log_id.index });
    }

    fn appended(&mut self, log_id: LogId, entry: Entry, out: &mut Vec<Action>) {
        if log_id.index <= self.accepted.log_id.index {
            return;
        }
        if self.log.contains_key(&log_id.index) {
            self.truncated(log_id.index - 1, out);
        }
        self.log.insert(log_id.index, (log_id, entry));
    }

    fn truncated(&mut self, after: u64, out: &mut Vec<Action>) {
        if after < self.known.log_id.index {
            return self.halt(format!("V2: the log was cut behind {after}, below an accepted batch"), out);
        }
        self.log.split_off(&(after + 1));
        self.drop_slots(after + 1, out);
    }

    /// Stops for good.
    pub(super) fn halt(&mut self, reason: String, out: &mut Vec<Action>) {
        self.phase = Phase::Halted;
        out.push(Action::Halt { reason });
    }

    /// Tells of voters that computed something else than what was accepted, and of transactions that it leaves out;
    /// counts the matching voters.
    fn report_minority(&mut self, accepted: &Accepted, out: &mut Vec<Action>) {
        let said = self.said_on(accepted);
        let agreed = said.values().filter_map(Ballot::token).find(|token| token.hash() == accepted.token).copied();
        let Some(agreed) = agreed else { return };
        let mut minority = Vec::new();
        for (node, ballot) in &said {
            match ballot {
                Ballot::Token(token) => {
                    let index = accepted.log_id.index;
                    self.matches.entry(*node).or_default().note(index, *token == agreed);
                    if *token != agreed {
                        minority.push((*node, *token));
                    }
                }
                Ballot::Failed(_) => {}
            }
        }
        let mode = self.ledger.mode(accepted.log_id.index);
        let is_void = matches!(&mode, Mode::Replay { void } if !void.is_empty());
        if !minority.is_empty() || is_void {
            out.push(Action::Report(Box::new(Divergence::new(agreed, mode, minority))));
        }
    }

    fn said_on(&self, accepted: &Accepted) -> BTreeMap<NodeId, Ballot> {
        let Some(token) = self.ballots.find(accepted) else { return BTreeMap::new() };
        self.ballots.on(&token.key())
    }

    /// Judges the ballots on a batch on top of a parent, in its current attempt.
    pub(super) fn judge(&self, log_id: LogId, hash: Hash, parent: Hash, waited: bool) -> Judgement {
        let rules = &self.options.rules;
        let key = BallotKey { log_id, attempt: self.ledger.attempt(log_id.index), parent };
        let mut said = match rules.full_log_id && rules.accepted_parent {
            true => self.ballots.on(&key),
            false => self.ballots.loosely_on(&key, rules.full_log_id, rules.accepted_parent),
        };
        if rules.full_log_id {
            said.retain(|_, ballot| ballot.token().is_none_or(|token| token.batch == hash));
        }
        judge(&self.members_at(log_id.index), &said, |node| self.expected(node), waited, rules)
    }

    /// Whether a silent voter may still speak.
    pub(super) fn expected(&self, node: NodeId) -> bool {
        match node == self.options.me {
            true => matches!(self.phase, Phase::Following | Phase::Scrubbing { .. }),
            false => self.peers.get(&node).is_some_and(|peer| peer.alive && !peer.quarantined),
        }
    }

    /// The voters at a log position (rule 22).
    pub(super) fn members_at(&self, index: u64) -> Members {
        let to = if self.options.rules.members_at_position { index } else { u64::MAX };
        let newest = self.log.range(..=to).rev().find_map(|(_, (_, entry))| match entry {
            Entry::Members(members) => Some(members),
            _ => None,
        });
        newest.unwrap_or(&self.members).clone()
    }

    /// Hash, transactions and engine of a batch in the log.
    pub(super) fn batch_at(&self, log_id: LogId) -> Option<(Hash, u32, Hash)> {
        match self.log.get(&log_id.index) {
            Some((found, Entry::Batch { hash, transactions, engine, .. })) if *found == log_id => {
                Some((*hash, *transactions, *engine))
            }
            _ => None,
        }
    }

    /// Batches above an index, in order.
    pub(super) fn batches_after(&self, index: u64) -> impl Iterator<Item = (LogId, Hash)> + '_ {
        self.log.range(index + 1..).filter_map(|(_, (log_id, entry))| match entry {
            Entry::Batch { hash, .. } => Some((*log_id, *hash)),
            _ => None,
        })
    }

    pub(super) fn first_unknown(&self) -> Option<(LogId, Hash)> {
        self.batches_after(self.known.log_id.index).next()
    }

    pub(super) fn durable_after(&self, index: u64) -> Vec<Ballot> {
        let own = self.own.iter().filter(|(key, (_, durable))| *durable && key.log_id.index > index);
        let mut ballots: Vec<Ballot> = own.map(|(_, (ballot, _))| *ballot).collect();
        ballots.sort_by_key(|ballot| ballot.key().log_id.index);
        ballots
    }

    /// Where this node stands.
    pub fn status(&self) -> Status {
        let quarantined = match &self.phase {
            Phase::Quarantined { reason, .. } => Some(*reason),
            _ => None,
        };
        Status {
            accepted: self.accepted,
            known: self.known,
            durable: self.ledger.accepted,
            unaccepted: self.batches_after(self.known.log_id.index).count(),
            quarantined,
            halted: self.phase == Phase::Halted,
        }
    }

    /// Consecutive tokens of a node that matched what was accepted: a learner is promoted after K of them
    /// (rule 22).
    pub fn matching_tokens(&self, node: NodeId) -> u64 {
        self.matches.get(&node).map_or(0, |matches| matches.count)
    }
}
