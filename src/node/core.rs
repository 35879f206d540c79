//! One node without threads, sockets and clocks: what the log, the peers and the replica tell goes to the
//! verifier, and what the verifier says is carried out.
//!
//! Steps 5 to 9 of the walk meet here. The executor thread drives it in the real system, the simulator
//! calls it directly; everything it causes outside goes through [`Outside`].
//!
//! Invariants kept here:
//! - Invariant 1: [`NodeCore::accept`] is the only place from which an outcome reaches a waiter; it runs on
//!   [`Action::Accept`] alone (and on answers of the majority that hash to what was accepted).
//! - Invariant 7: between [`Action::Quarantine`] and [`Action::Release`] nothing is answered and readers are
//!   told that this node serves nobody.
//! - Invariant 9: readers see the state that [`Replica::accept`] published, never the newest one.

use super::auditor::Choice;
use super::lending::Lending;
use super::message::NodeMessage;
use super::repair::Repair;
use super::shared::NodeShared;
use super::storage::Capture;
use crate::batch::{Batch, Command};
use crate::entry::{EncodedCommand, Entry as LogEntry, Payload};
use crate::replica::{self, Replica};
use crate::token::{Accepted, Ballot, BallotKey, LogId, Mode, NodeId, Verdict};
use crate::transaction::Outcome;
use crate::verifier::{
    Action, Divergence, Entry, Event, LocalFailure, Mark, Members, Peer, Reason, Recipients, Verifier,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Accepted batches whose outcomes are kept for a node that was in the minority.
const ANSWERS_KEPT: usize = 64;
/// Peers are asked for a sign of life this often.
const PING_US: u64 = 250_000;
/// A peer that was silent for so long counts as gone.
const SILENCE_US: u64 = 1_000_000;
/// Longest statement text in a divergence report, in characters.
const REPORTED_SQL_MAX: usize = 200;

/// What a node does to the world.
pub trait Outside {
    /// Makes a ballot durable; [`Input::Persisted`] follows.
    fn persist(&mut self, ballot: Ballot);
    /// Notes that an execution begins: a process that dies in it finds that when it starts again (rule 14).
    fn mark_executing(&mut self, log_id: LogId, attempt: u32);
    /// Notes that it has ended, with a result or by a failure.
    fn has_executed(&mut self, log_id: LogId, attempt: u32, failed: bool);
    /// Sends a message; it may be lost.
    fn send(&mut self, to: NodeId, message: NodeMessage);
    /// Proposes a verdict, if this node leads in that term.
    fn propose(&mut self, term: u64, verdict: Verdict);
    /// A batch stands in the log: batch times go on from its time.
    fn saw_batch(&mut self, batch: &Batch);
    /// These batches are accepted: the pipeline has room.
    fn accepted(&mut self, batches: &[LogId], accepted: &Accepted);
    /// Makes the pages that this node has fetched so far durable; [`Input::Stored`] follows.
    fn store_part(&mut self, number: u64, part: Capture);
    /// A membership entry came into the log, or was cut off it: all nodes of the newest one.
    fn members_changed(&mut self) -> Vec<NodeId>;
    /// The verifier allows another batch again.
    fn has_room(&mut self);
    /// Stop this node.
    fn halt(&mut self, reason: &str);
}

/// What happens to a node.
pub enum Input {
    /// An entry was appended to the log.
    Appended(LogEntry),
    /// The log was cut behind this index.
    Truncated {
        /// Last index that stays.
        after: u64,
    },
    /// The log is decided up to here.
    Decided {
        /// Log index.
        index: u64,
    },
    /// The log has a membership that none of its entries brought.
    MembershipInstalled,
    /// What is accepted shall stand in the log: who votes is about to change.
    Publish,
    /// A ballot is durable.
    Persisted(BallotKey),
    /// A message came in.
    Message {
        /// Sender.
        from: NodeId,
        /// Content.
        message: NodeMessage,
    },
    /// This node began or ceased to lead.
    Role {
        /// The term that it leads.
        leads: Option<u64>,
    },
    /// The log that this node needs is gone: a peer lends it the state of a mark. What is to be made durable when that
    /// is installed goes to `installed`, which is dropped if it never is.
    Join {
        /// The state, and what belongs to it.
        mark: Box<Mark>,
        /// Told on the executor's thread.
        installed: Box<dyn FnOnce(Capture) + Send>,
    },
    /// A part of what this node fetches stands on its disk, or could not be written.
    Stored {
        /// Of which repair.
        number: u64,
        /// It does.
        done: bool,
    },
    /// This node was fetching a state when it stopped.
    Unfinished,
    /// A peer is to be offered the newest accepted state.
    Offer(Box<dyn FnOnce(Option<Mark>) + Send>),
    /// A reader or the scrub met pages that do not match their hashes.
    Damage,
    /// Break something on purpose.
    Drill(Drill),
    /// Time has passed.
    Tick,
}

/// Faults on purpose, behind `--drills`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drill {
    /// Flips a bit of a page in memory, under an unchanged hash.
    FlipBit {
        /// Page of the database `evesql`.
        page: u32,
    },
    /// The next batch's answers, and one row, come out wrong on this node.
    WrongAnswer,
    /// The next batch is executed in another order on this node.
    Misorder,
    /// The next batch finds no memory for a page on this node.
    OutOfMemory,
}

struct Appended {
    log_id: LogId,
    command: Arc<EncodedCommand>,
}

/// A node's state.
pub struct NodeCore {
    pub(super) id: NodeId,
    peers: Vec<NodeId>,
    pub(super) verifier: Verifier,
    /// The SQL state that this node executes on.
    pub replica: Replica,
    pub(super) outside: Box<dyn Outside + Send>,
    pub(super) shared: Arc<NodeShared>,
    /// Batches in the log above the accepted one.
    batches: BTreeMap<u64, Appended>,
    /// Outcomes of executed, not yet accepted batches.
    outcomes: BTreeMap<u64, Vec<Outcome>>,
    /// Outcomes of the newest accepted batches, for peers.
    answered: BTreeMap<u64, Vec<Outcome>>,
    /// Batches whose answers are asked of the majority, with their transactions.
    awaited: BTreeMap<u64, (Arc<EncodedCommand>, Option<Accepted>)>,
    /// For audits.
    choice: Choice,
    /// For repairs of peers.
    pub(super) lending: Lending,
    peer_states: BTreeMap<NodeId, Peer>,
    /// When each peer was last heard of.
    heard_us: BTreeMap<NodeId, u64>,
    pinged_us: u64,
    pub(super) repair: Option<Repair>,
    pub(super) repairs: u64,
    /// Who waits for the state that this node joins with.
    pub(super) joining: Option<Box<dyn FnOnce(Capture) + Send>>,
    pub(super) quarantined: bool,
    halted: bool,
}

impl NodeCore {
    /// Wires a verifier to a replica that hold the same accepted state.
    pub fn new(
        id: NodeId,
        members: &[NodeId],
        verifier: Verifier,
        replica: Replica,
        outside: Box<dyn Outside + Send>,
        shared: Arc<NodeShared>,
    ) -> Self {
        let peers: Vec<NodeId> = members.iter().copied().filter(|node| *node != id).collect();
        let peer_states = peers.iter().map(|node| (*node, Peer { alive: false, quarantined: false })).collect();
        let lending = Lending::new(shared.recent_states_max);
        let choice = Choice::new(shared.audits.clone());
        let mut core = NodeCore {
            id,
            peers,
            verifier,
            replica,
            outside,
            shared,
            batches: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            answered: BTreeMap::new(),
            awaited: BTreeMap::new(),
            choice,
            lending,
            peer_states,
            heard_us: BTreeMap::new(),
            pinged_us: 0,
            repair: None,
            repairs: 0,
            joining: None,
            quarantined: false,
            halted: false,
        };
        let accepted = core.verifier.status().accepted;
        core.remember(accepted);
        core.shared.publish(core.replica.accepted().borrow().clone(), accepted);
        core
    }

    /// When [`Input::Tick`] should come at the latest, in the microseconds of `now_us`.
    pub fn deadline_us(&self, now_us: u64) -> Option<u64> {
        let repair = self.repair.as_ref().map(Repair::deadline_us);
        self.verifier.deadline_us(now_us).into_iter().chain(repair).min()
    }

    /// The verifier, for status and checkpoints.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// What sessions and the status page see of this node.
    pub fn shared(&self) -> &Arc<NodeShared> {
        &self.shared
    }

    /// Whether this node is in quarantine.
    pub fn is_quarantined(&self) -> bool {
        self.quarantined
    }

    /// Takes an input in and carries out all that follows. `now_us` is monotonic.
    pub fn handle(&mut self, input: Input, now_us: u64) {
        if self.halted {
            return;
        }
        let event = match input {
            Input::Appended(entry) => self.appended(entry),
            Input::Truncated { after } => {
                self.members_changed();
                self.batches.split_off(&(after + 1));
                self.shared.watermark.lock().truncated(after);
                Some(Event::Truncated { after })
            }
            Input::Decided { index } => {
                self.shared.watermark.lock().decided(index);
                Some(Event::Decided { index })
            }
            Input::MembershipInstalled => {
                self.members_changed();
                None
            }
            Input::Publish => Some(Event::Publish),
            Input::Persisted(key) => Some(Event::Persisted(key)),
            Input::Message { from, message } => {
                self.heard_us.insert(from, now_us);
                if let Some(event) = self.reachable(from, true) {
                    self.feed(event, now_us);
                }
                self.received(from, message, now_us)
            }
            Input::Role { leads } => Some(Event::Role { leads }),
            Input::Join { mark, installed } => {
                if !self.quarantined && mark.accepted.log_id.index <= self.verifier.status().accepted.log_id.index {
                    // It came so far the last time, and consensus has not heard of it.
                    installed(Capture::of(self));
                    return;
                }
                self.joining = Some(installed);
                self.repair = None;
                Some(Event::Join(mark))
            }
            Input::Stored { number, done } => self.part_stored(number, done, now_us),
            Input::Unfinished => Some(Event::Unfinished),
            Input::Offer(take) => {
                take(self.offer(now_us));
                None
            }
            // What it is, the replica's stores have recorded.
            Input::Damage => self.found_damage(),
            Input::Drill(drill) => self.drill(drill),
            Input::Tick => self.ticked(now_us),
        };
        if let Some(event) = event {
            self.feed(event, now_us);
        }
    }

    /// Shows others in the process where this node stands now: after some inputs, at the latest before it waits for
    /// the next one.
    pub fn show(&mut self) {
        let room_before = self.shared.has_room();
        self.shared.set_status(self.verifier.status(), self.verifier.header(), self.verifier.room());
        if !room_before && self.shared.has_room() {
            self.outside.has_room();
        }
    }

    fn feed(&mut self, event: Event, now_us: u64) {
        let mut events = VecDeque::from([event]);
        let mut actions = Vec::new();
        while let Some(event) = events.pop_front() {
            self.verifier.step(event, now_us, &mut actions);
            for action in actions.drain(..) {
                events.extend(self.perform(action));
                if self.halted {
                    return;
                }
            }
            events.extend(self.found_damage());
        }
    }

    /// A first touch, of whatever reader, that met a page whose bytes do not match its hash.
    fn found_damage(&mut self) -> Option<Event> {
        let damaged = if self.quarantined { 0 } else { self.replica.take_damage() };
        (damaged > 0).then_some(Event::Rehashed { damaged, run: None })
    }

    fn appended(&mut self, entry: LogEntry) -> Option<Event> {
        let log_id = entry.log_id;
        let seen = match entry.payload {
            Payload::Blank => Entry::Blank,
            Payload::Membership(membership) => {
                self.members_changed();
                Entry::Members(Members::of_sets(&membership.voters))
            }
            Payload::Command(command) => match command.command() {
                Err(error) => {
                    self.halt(&format!("the log entry at index {} does not decode: {error}", log_id.index));
                    return None;
                }
                Ok(Command::Verdict(verdict)) => Entry::Verdict(verdict.clone()),
                Ok(Command::Batch(batch)) => {
                    self.outside.saw_batch(batch);
                    self.shared.watermark.lock().appended(log_id.index);
                    let entry = Entry::Batch {
                        hash: command.hash(),
                        transactions: batch.transactions.len() as u32,
                        engine: batch.engine,
                        accepted: batch.accepted,
                    };
                    self.batches.insert(log_id.index, Appended { log_id, command: command.clone() });
                    entry
                }
            },
        };
        Some(Event::Appended { log_id, entry: seen })
    }

    fn members_changed(&mut self) {
        let members = self.outside.members_changed();
        self.peers = members.into_iter().filter(|node| *node != self.id).collect();
        let gone: Vec<NodeId> = self.peer_states.keys().copied().filter(|node| !self.peers.contains(node)).collect();
        for node in gone {
            self.peer_states.remove(&node);
            self.heard_us.remove(&node);
            self.shared.set_heard(node, false);
        }
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Execute { run, log_id, attempt, mode } => Some(self.execute(run, log_id, attempt, &mode)),
            Action::RollBack { to } => {
                self.outcomes.split_off(&(to + 1));
                self.choice.roll_back(to);
                let error = self.replica.roll_back(to).err()?;
                if error.failure() == LocalFailure::Corrupt {
                    // A page that was proved before and is wrong now: repair can mend it, a halt cannot.
                    tracing::error!(node = self.id, to, %error, "damaged pages were met in a roll back");
                    return Some(Event::Rehashed { damaged: 1, run: None });
                }
                self.halt(&format!("the state cannot be rolled back to batch {to}: {error}"));
                None
            }
            Action::Persist(ballot) => {
                self.outside.persist(ballot);
                None
            }
            Action::Send { to, ballots } => {
                self.send(to, NodeMessage::Ballots(ballots));
                None
            }
            Action::Ask { after } => {
                self.send(Recipients::All, NodeMessage::Asked { after });
                None
            }
            Action::Accept { batches, accepted } => {
                self.accept(&batches, accepted);
                None
            }
            Action::Propose { term, verdict } => {
                self.outside.propose(term, verdict);
                None
            }
            Action::Quarantine(reason) => {
                self.quarantine(reason);
                None
            }
            Action::Rehash { run } => {
                let damaged = self.replica.rehash();
                let count = damaged.values().map(|pages| pages.len() as u64).sum();
                if count > 0 {
                    tracing::error!(node = self.id, ?damaged, "pages do not match their hashes");
                }
                // Every page was looked at just now: what was met before counts no more.
                self.replica.take_damage();
                Some(Event::Rehashed { damaged: count, run: Some(run) })
            }
            Action::Repair { target, sources } => self.begin_repair(target, sources),
            Action::Release => {
                self.quarantined = false;
                self.shared.set_quarantine(None);
                self.shared.healed(self.id);
                tracing::warn!(node = self.id, "repaired and back in service");
                self.send(Recipients::All, NodeMessage::State { quarantined: false, asks: false });
                if let Some(installed) = self.joining.take() {
                    installed(Capture::of(self));
                }
                None
            }
            Action::FetchAnswers { batches, sources } => {
                self.want_answers(&batches, &sources);
                None
            }
            Action::Report(divergence) => {
                self.report(*divergence);
                None
            }
            Action::Contradicted { node, key } => {
                tracing::error!(node = self.id, peer = node, ?key, "a peer gave two different ballots");
                None
            }
            Action::Halt { reason } => {
                self.halt(&reason);
                None
            }
        }
    }

    fn execute(&mut self, run: u64, log_id: LogId, attempt: u32, mode: &Mode) -> Event {
        let failed = |failure| Event::Failed { run, log_id, failure };
        let Some(appended) = self.batches.get(&log_id.index).filter(|appended| appended.log_id == log_id) else {
            self.halt(&format!("batch {log_id:?} is to be executed and is not in the log"));
            return failed(LocalFailure::Io);
        };
        let command = appended.command.clone();
        let Ok(Command::Batch(batch)) = command.command() else {
            self.halt(&format!("the log entry at index {} is no batch", log_id.index));
            return failed(LocalFailure::Io);
        };
        let (replica, engine) = (&self.replica, self.replica.engine_options());
        self.choice.execute(log_id, &command, mode, engine, || replica.at(log_id.index));
        self.outside.mark_executing(log_id, attempt);
        let executed = self.replica.execute(log_id, batch, mode);
        self.outside.has_executed(log_id, attempt, executed.is_err());
        self.shared.counters.spent(self.replica.spent());
        match executed {
            Ok(executed) => {
                self.choice.executed(log_id.index, || self.replica.at(log_id.index));
                self.outcomes.insert(log_id.index, executed.outcomes);
                Event::Executed { run, log_id, root: executed.root, answers: executed.answers }
            }
            Err(error) => {
                self.choice.roll_back(log_id.index.saturating_sub(1));
                tracing::error!(node = self.id, index = log_id.index, %error, "this node cannot execute a batch");
                self.report(Divergence::failed(log_id, attempt, mode.clone(), self.id));
                failed(error.failure())
            }
        }
    }

    /// Invariants 1, 3, 7 and 9: what strict reads must see first, then the state, the watermark, and the answers.
    fn accept(&mut self, batches: &[LogId], accepted: Accepted) {
        if let Err(error) = self.replica.accept(&accepted) {
            return self.halt(&format!("the accepted state of batch {} is not held: {error}", accepted.log_id.index));
        }
        self.remember(accepted);
        // Before any reader sees it: what was read once counts as acknowledged for the reads after it.
        self.shared.acknowledged.up_to(accepted.log_id.index);
        self.shared.publish(self.replica.accepted().borrow().clone(), accepted);
        self.shared.agreed_up_to(accepted.log_id.index);
        self.shared.watermark.lock().accepted(accepted.log_id.index);
        let transactions = batches.iter().filter_map(|log_id| {
            let outcomes = self.outcomes.remove(&log_id.index)?;
            let command = self.batches.get(&log_id.index)?.command.clone();
            Some((log_id.index, command, outcomes))
        });
        for (index, command, outcomes) in transactions.collect::<Vec<_>>() {
            self.shared.counters.batch(outcomes.len());
            self.answer(&command, &outcomes);
            self.choice.accepted(index, &outcomes);
            self.answered.insert(index, outcomes);
        }
        self.choice.accepted_up_to(accepted.log_id.index);
        while self.answered.len() > ANSWERS_KEPT {
            self.answered.pop_first();
        }
        // Those that a repair skipped as well: they no longer fill the pipeline of a leader that was the minority.
        let done =
            self.batches.range(..=accepted.log_id.index).map(|(_, appended)| appended.log_id).collect::<Vec<_>>();
        self.outside.accepted(&done, &accepted);
        // A minority still needs its commands to know whose answers to pass on.
        for (index, appended) in std::mem::take(&mut self.batches) {
            if index > accepted.log_id.index {
                self.batches.insert(index, appended);
            } else if !batches.iter().any(|log_id| log_id.index == index) {
                self.awaited.insert(index, (appended.command, (index == accepted.log_id.index).then_some(accepted)));
            }
        }
        while self.awaited.len() > ANSWERS_KEPT {
            self.awaited.pop_first();
        }
    }

    fn answer(&self, command: &EncodedCommand, outcomes: &[Outcome]) {
        let Ok(Command::Batch(batch)) = command.command() else { return };
        for (transaction, outcome) in batch.transactions.iter().zip(outcomes) {
            if transaction.id.incarnation == self.shared.incarnation {
                self.shared.waiters.answer(transaction, outcome);
            }
        }
    }

    fn remember(&mut self, accepted: Accepted) {
        self.lending.remember(accepted, self.replica.snapshots());
    }

    fn quarantine(&mut self, reason: Reason) {
        self.quarantined = true;
        self.outcomes.clear();
        self.choice.roll_back(0);
        self.shared.set_quarantine(Some(reason));
        tracing::error!(node = self.id, ?reason, "in quarantine: this node answers nobody until it is repaired");
        self.send(Recipients::All, NodeMessage::State { quarantined: true, asks: false });
    }

    fn send(&mut self, to: Recipients, message: NodeMessage) {
        match to {
            Recipients::One(node) => self.outside.send(node, message),
            Recipients::All => self.peers.iter().for_each(|node| self.outside.send(*node, message.clone())),
        }
    }

    fn received(&mut self, from: NodeId, message: NodeMessage, now_us: u64) -> Option<Event> {
        match message {
            NodeMessage::Ballots(ballots) => Some(Event::Ballots { from, ballots }),
            NodeMessage::Asked { after } => Some(Event::Asked { from, after }),
            NodeMessage::State { quarantined, asks } => {
                if asks {
                    let state = NodeMessage::State { quarantined: self.quarantined, asks: false };
                    self.outside.send(from, state);
                }
                let peer = Peer { alive: true, quarantined };
                self.peer_states.insert(from, peer);
                self.shared.set_heard(from, true);
                Some(Event::Peer { node: from, peer })
            }
            NodeMessage::Repair { number, request } => {
                let reply = self.serve_repair(from, &request, now_us);
                self.outside.send(from, NodeMessage::Repaired { number, reply });
                None
            }
            NodeMessage::Repaired { number, reply } => self.repair_reply(number, reply, now_us),
            NodeMessage::WantAnswers { batches } => {
                for index in batches {
                    if let Some(outcomes) = self.answered.get(&index).filter(|_| !self.quarantined) {
                        let answers = NodeMessage::Answers { index, outcomes: outcomes.clone() };
                        self.outside.send(from, answers);
                    }
                }
                None
            }
            NodeMessage::Answers { index, outcomes } => {
                self.majority_answers(index, &outcomes);
                None
            }
            // Whoever brings messages in has taken these out.
            NodeMessage::Submit(_)
            | NodeMessage::NotTaken(_)
            | NodeMessage::TicketsReleased { .. }
            | NodeMessage::TicketsHeld
            | NodeMessage::WhoHolds => None,
        }
    }

    fn reachable(&mut self, node: NodeId, alive: bool) -> Option<Event> {
        let known = self.peer_states.get(&node).copied().unwrap_or(Peer { alive: false, quarantined: false });
        if known.alive == alive {
            return None;
        }
        let peer = Peer { alive, ..known };
        self.peer_states.insert(node, peer);
        self.shared.set_heard(node, alive);
        Some(Event::Peer { node, peer })
    }

    /// Asks silent peers for a sign of life, and gives up those that gave none.
    fn watch_peers(&mut self, now_us: u64) {
        if now_us.saturating_sub(self.pinged_us) < PING_US {
            return;
        }
        self.pinged_us = now_us;
        for node in self.peers.clone() {
            self.outside.send(node, NodeMessage::State { quarantined: self.quarantined, asks: true });
            let heard_us = *self.heard_us.entry(node).or_insert(now_us);
            if now_us.saturating_sub(heard_us) > SILENCE_US
                && let Some(event) = self.reachable(node, false)
            {
                self.feed(event, now_us);
            }
        }
    }

    /// Rule 28: this node was in the minority; its clients get what the majority answered, or time out and
    /// resubmit under the same id.
    fn want_answers(&mut self, batches: &[LogId], sources: &[NodeId]) {
        let wanted: Vec<u64> = batches
            .iter()
            .map(|log_id| log_id.index)
            .filter(|index| self.awaited.get(index).is_some_and(|(command, _)| self.has_waiters(command)))
            .collect();
        if !wanted.is_empty() {
            for source in sources {
                self.outside.send(*source, NodeMessage::WantAnswers { batches: wanted.clone() });
            }
        }
    }

    fn has_waiters(&self, command: &EncodedCommand) -> bool {
        let Ok(Command::Batch(batch)) = command.command() else { return false };
        batch.transactions.iter().any(|transaction| self.shared.waiters.waits_for(transaction.id))
    }

    fn majority_answers(&mut self, index: u64, outcomes: &[Outcome]) {
        let Some((_, accepted)) = self.awaited.get(&index) else { return };
        if accepted.is_some_and(|accepted| Replica::digest_outcomes(outcomes) != accepted.answers) {
            // Those of another peer may still come.
            tracing::error!(node = self.id, index, "a peer's answers are not the accepted ones; not passed on");
            return;
        }
        let Some((command, _)) = self.awaited.remove(&index) else { return };
        self.shared.acknowledged.up_to(index);
        self.answer(&command, outcomes);
    }

    fn drill(&mut self, drill: Drill) -> Option<Event> {
        tracing::warn!(node = self.id, ?drill, "drill");
        match drill {
            Drill::FlipBit { page } => self.replica.drill(replica::Drill::FlipBit { page, bit: 0 }),
            Drill::WrongAnswer => self.replica.drill(replica::Drill::WrongAnswer { by: self.id }),
            Drill::Misorder => self.replica.drill(replica::Drill::Misorder),
            Drill::OutOfMemory => self.replica.drill(replica::Drill::OutOfMemory),
        }
        None
    }

    fn ticked(&mut self, now_us: u64) -> Option<Event> {
        self.watch_peers(now_us);
        self.lending.tick(now_us);
        self.shared.set_lent_from(self.lending.oldest_index());
        match self.repair.as_ref().filter(|repair| now_us >= repair.deadline_us()) {
            Some(repair) if repair.is_late() => self.repair_failed("no reply in time"),
            Some(_) => self.go_on_repairing(now_us),
            None => Some(Event::Tick),
        }
    }

    fn report(&mut self, mut divergence: Divergence) {
        if let Some(Ok(Command::Batch(batch))) =
            self.batches.get(&divergence.log_id.index).map(|appended| appended.command.command())
        {
            // Of a batch that was accepted without some, only those are of interest.
            let void = divergence.void();
            let is_told = |position: &usize| void.is_empty() || void.contains(&(*position as u32));
            let told = batch.transactions.iter().enumerate().filter(|(position, _)| is_told(position));
            divergence.transactions = told.map(|(_, transaction)| transaction.text(REPORTED_SQL_MAX)).collect();
        }
        tracing::error!(node = self.id, "{divergence}");
        self.shared.diverged(divergence);
    }

    fn halt(&mut self, reason: &str) {
        self.halted = true;
        self.shared.set_halted(reason);
        tracing::error!(node = self.id, reason, "this node stops: going on could show a wrong answer");
        self.outside.halt(reason);
    }
}
