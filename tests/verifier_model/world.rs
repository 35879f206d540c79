//! The run: virtual time, a network that loses, delays and doubles, nodes that crash, and their clients.

use super::checks::{Checks, Violation};
use super::execution::{Batch, Poison, Transaction, Version, mix};
use super::raft::{Log, LogEntry};
use super::random::Random;
use evesql::page::Hash;
use evesql::token::{Ballot, BallotKey, LogId};
use evesql::verifier::*;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::rc::Rc;

/// How much goes wrong, in 1/10000 per occasion.
#[derive(Clone, Debug)]
pub struct Faults {
    pub lose: u64,
    pub double: u64,
    pub late: u64,
    pub crash: u64,
    pub partition: u64,
    pub election: u64,
    /// A wrong result, once.
    pub wrong: u64,
    /// A wrong result of the first execution after a restart.
    pub wrong_after_restart: u64,
    /// A node that computes wrongly for a while.
    pub wrong_while: u64,
    pub environment: u64,
    pub damage: u64,
    pub poison: u64,
    pub poisons: Vec<Poison>,
    pub checkpoint: u64,
    pub wipe: u64,
    /// A transaction is submitted again under its id.
    pub again: u64,
    pub once_only: bool,
    /// So many nodes, from the last one down, never get well: dead, or wrong in every result.
    pub sick: usize,
    pub sick_is_dead: bool,
    /// Virtual time with faults.
    pub chaos_us: u64,
    /// Batches stop coming after this time, to see what happens in the quiet.
    pub load_us: u64,
}

#[derive(Clone, Debug)]
pub enum Message {
    Append { term: u64, previous: LogId, entries: Vec<LogEntry>, commit: u64 },
    Ack { term: u64, index: u64, reset: bool },
    Ballots(Vec<Ballot>),
    Ask(u64),
    Hello { quarantined: bool },
}

#[derive(Clone, Debug)]
pub enum Timer {
    Synced { length: usize, ballots: usize },
    Executed,
    Tick,
    Beat,
    Restart,
}

enum What {
    Message { from: usize, message: Message },
    Timer { life: u64, timer: Timer },
    Chaos,
}

struct Scheduled {
    at_us: u64,
    order: u64,
    node: usize,
    what: What,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at_us, other.order).cmp(&(self.at_us, self.order))
    }
}

/// One node: log, verifier, replica, and what its disk holds.
pub struct Node {
    pub alive: bool,
    pub refused: bool,
    /// As its actions said, in order.
    pub quarantined: bool,
    life: u64,
    pub log: Log,
    pub ack: Option<(usize, u64, u64)>,
    pub syncing: bool,
    pub unsynced: Vec<Ballot>,
    pub ballots: BTreeMap<BallotKey, Ballot>,
    /// Hashes of all tokens that were ever durable here.
    pub recorded: BTreeSet<Hash>,
    pub verifier: Verifier,
    pub versions: Vec<Version>,
    pub queue: VecDeque<Action>,
    pub busy: bool,
    checkpoint: (Mark, Version),
    pub marks: BTreeMap<(LogId, u32), u32>,
    pub wrong_until_us: u64,
    pub restarted: bool,
    pub heard_us: Vec<u64>,
    /// Whom it believes to be in quarantine.
    pub believed: Vec<bool>,
    /// What this node remembers of each other one's acknowledgements.
    pub acked: Vec<u64>,
}

pub struct World {
    pub n: usize,
    pub random: Random,
    pub now_us: u64,
    queue: BinaryHeap<Scheduled>,
    order: u64,
    pub nodes: Vec<Node>,
    pub cut: Vec<Vec<bool>>,
    pub checks: Checks,
    pub faults: Faults,
    rules: Rules,
    next_transaction: u64,
    pub violation: Option<Violation>,
    pub trace: Option<Vec<String>>,
    pub calm: bool,
}

pub const W: usize = 4;

fn options(me: usize, rules: Rules) -> Options {
    let mut options = Options::new(me as u64);
    options.unaccepted_max = W;
    options.wait_us = (300, 10_000);
    options.void_wait_us = 20_000;
    options.resend_us = 10_000;
    options.ballots_kept = 4;
    options.rules = rules;
    options
}

impl World {
    pub fn new(n: usize, seed: u64, faults: Faults, rules: Rules) -> Self {
        let members = Members::new(0..n as u64);
        let node = |me: usize| {
            let verifier = Verifier::new(options(me, rules), members.clone());
            Node {
                alive: true,
                refused: false,
                quarantined: false,
                life: 0,
                log: Log::default(),
                ack: None,
                syncing: false,
                unsynced: Vec::new(),
                ballots: BTreeMap::new(),
                recorded: BTreeSet::new(),
                checkpoint: (verifier.mark(), Version::empty()),
                verifier,
                versions: vec![Version::empty()],
                queue: VecDeque::new(),
                busy: false,
                marks: BTreeMap::new(),
                wrong_until_us: 0,
                restarted: false,
                heard_us: vec![0; n],
                believed: vec![false; n],
                acked: vec![0; n],
            }
        };
        let nodes = (0..n).map(node).collect();
        let checks = Checks { once_only: faults.once_only, ..Checks::default() };
        let mut world = World {
            n,
            random: Random::new(seed),
            now_us: 1,
            queue: BinaryHeap::new(),
            order: 0,
            nodes,
            cut: vec![vec![false; n]; n],
            checks,
            faults,
            rules,
            next_transaction: 1,
            violation: None,
            trace: None,
            calm: false,
        };
        for node in 0..n {
            world.after(1, node, Timer::Beat);
        }
        world.schedule(1, 0, What::Chaos);
        world
    }

    fn schedule(&mut self, delay_us: u64, node: usize, what: What) {
        self.order += 1;
        self.queue.push(Scheduled { at_us: self.now_us + delay_us, order: self.order, node, what });
    }

    pub fn after(&mut self, delay_us: u64, node: usize, timer: Timer) {
        let life = self.nodes[node].life;
        self.schedule(delay_us, node, What::Timer { life, timer });
    }

    pub fn send(&mut self, from: usize, to: usize, message: Message) {
        if self.cut[from][to] || (!self.calm && self.random.chance(self.faults.lose)) {
            return;
        }
        let late = !self.calm && self.random.chance(self.faults.late);
        let delay = if late { self.random.range(500, 8_000) } else { self.random.range(50, 300) };
        if !self.calm && self.random.chance(self.faults.double) {
            let second = self.random.range(50, 4_000);
            self.schedule(second, to, What::Message { from, message: message.clone() });
        }
        self.schedule(delay, to, What::Message { from, message });
    }

    pub fn check(&mut self, result: Result<(), Violation>) {
        if let (Err(violation), None) = (result, &self.violation) {
            self.note(|| format!("VIOLATION {violation}"));
            self.violation = Some(violation);
        }
    }

    pub fn note(&mut self, text: impl FnOnce() -> String) {
        let now = self.now_us;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:>7} {}", text()));
        }
    }

    pub fn crash(&mut self, node: usize) {
        if !self.nodes[node].alive {
            return;
        }
        self.note(|| format!("{node} CRASH"));
        let delay = self.random.range(1_000, 12_000);
        let state = &mut self.nodes[node];
        state.alive = false;
        state.life += 1;
        state.log.entries.truncate(state.log.synced);
        state.log.leads = None;
        state.ack = None;
        state.unsynced.clear();
        state.syncing = false;
        state.queue.clear();
        state.busy = false;
        self.after(delay, node, Timer::Restart);
    }

    /// Whether a node stays faulty to the end.
    pub fn sick(&self, node: usize) -> bool {
        node + self.faults.sick >= self.n
    }

    fn restart(&mut self, node: usize) {
        if self.sick(node) && self.faults.sick_is_dead {
            return;
        }
        self.note(|| format!("{node} RESTART"));
        let rules = self.rules;
        let remembered: Vec<u64> = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(other, o)| *other != node && o.alive)
            .map(|(_, o)| o.acked[node])
            .collect();
        let last = self.nodes[node].log.last().index;
        if admit(node as u64, last, remembered, &options(node, rules)).is_err() {
            self.nodes[node].refused = true;
            return;
        }
        let state = &mut self.nodes[node];
        let (mark, version) = state.checkpoint.clone();
        let crashes = state.marks.iter().map(|((log_id, attempt), count)| CrashMark {
            log_id: *log_id,
            attempt: *attempt,
            count: *count,
        });
        let recovered = Recovered {
            mark: mark.clone(),
            ballots: state.ballots.values().copied().collect(),
            ballots_lost_below: 0,
            crashes: crashes.collect(),
            decided: 0,
        };
        state.verifier = Verifier::recover(options(node, rules), recovered);
        state.versions = vec![version];
        state.alive = true;
        state.quarantined = false;
        state.restarted = true;
        state.log.commit = mark.ledger.position.min(state.log.last().index).max(mark.accepted.log_id.index);
        state.heard_us = vec![0; self.n];
        let suffix: Vec<LogEntry> = state.log.entries[mark.accepted.log_id.index as usize..].to_vec();
        for entry in suffix {
            self.feed(node, Event::Appended { log_id: entry.log_id, entry: entry.entry });
            if !self.nodes[node].alive {
                return;
            }
        }
        self.after(1, node, Timer::Beat);
    }

    fn wipe(&mut self, node: usize) {
        self.crash(node);
        let empty = Verifier::new(options(node, self.rules), Members::new(0..self.n as u64));
        let state = &mut self.nodes[node];
        state.log = Log::default();
        state.ballots.clear();
        state.marks.clear();
        state.checkpoint = (empty.mark(), Version::empty());
    }

    fn beat(&mut self, node: usize) {
        let quarantined = self.nodes[node].verifier.status().quarantined.is_some();
        for to in (0..self.n).filter(|to| *to != node) {
            self.send(node, to, Message::Hello { quarantined });
        }
        self.replicate(node);
        for other in (0..self.n).filter(|other| *other != node) {
            let heard = self.nodes[node].heard_us[other];
            if heard > 0 && heard + 8_000 < self.now_us {
                self.nodes[node].heard_us[other] = 0;
                self.feed(node, Event::Peer { node: other as u64, peer: Peer { alive: false, quarantined: false } });
            }
        }
        self.after(2_000, node, Timer::Beat);
        self.feed(node, Event::Tick);
        let deadline = self.nodes[node].verifier.deadline_us(self.now_us);
        if let Some(at) = deadline.filter(|at| *at < self.now_us + 2_000) {
            self.after(at - self.now_us, node, Timer::Tick);
        }
    }

    /// A client submits to every node that believes it leads.
    fn load(&mut self) {
        for node in 0..self.n {
            let leads = self.nodes[node].alive && self.nodes[node].log.leads.is_some();
            if !leads || self.nodes[node].verifier.room() == 0 {
                continue;
            }
            let count = self.random.range(1, 6);
            let transactions: Vec<Transaction> = (0..count).map(|_| self.transaction()).collect();
            self.submit(node, transactions);
        }
    }

    fn transaction(&mut self) -> Transaction {
        let mut poison = Poison::None;
        if !self.calm && !self.faults.poisons.is_empty() && self.random.chance(self.faults.poison) {
            let pick = self.random.range(0, self.faults.poisons.len() as u64) as usize;
            poison = self.faults.poisons[pick];
        }
        if self.next_transaction > 8 && self.random.chance(self.faults.again) {
            let id = self.next_transaction - self.random.range(1, 8);
            return Transaction { id, poison: Poison::None };
        }
        self.next_transaction += 1;
        Transaction { id: self.next_transaction - 1, poison }
    }

    pub fn submit(&mut self, node: usize, transactions: Vec<Transaction>) {
        let accepted = self.nodes[node].verifier.header();
        let hash = transactions.iter().fold(Hash(3), |hash, transaction| mix(hash, transaction.id));
        let entry = Entry::Batch { hash, transactions: transactions.len() as u32, engine: Hash::default(), accepted };
        self.append(node, entry, Some(Rc::new(Batch { transactions })));
        let unaccepted = self.nodes[node].verifier.status().unaccepted;
        if unaccepted > W {
            let result = Err(format!("node {node} proposes with {unaccepted} batches unaccepted (rule 6)"));
            self.check(result);
        }
    }

    fn chaos(&mut self) {
        if self.violation.is_some() {
            return;
        }
        let force = !self.calm && self.random.chance(self.faults.election);
        self.elect(force);
        if self.now_us < self.faults.load_us {
            self.load();
        }
        if self.now_us < self.faults.chaos_us {
            let node = self.random.range(0, self.n as u64) as usize;
            let alive = self.nodes[node].alive;
            if alive && self.random.chance(self.faults.crash) {
                self.crash(node);
            } else if alive && self.random.chance(self.faults.damage) {
                let salt = self.random.next();
                for version in &mut self.nodes[node].versions {
                    version.bytes = mix(version.bytes, salt);
                }
            } else if alive && self.random.chance(self.faults.wipe) && self.nodes.iter().all(|n| n.alive && !n.refused)
            {
                self.wipe(node);
            } else if self.random.chance(self.faults.wrong_while) {
                self.nodes[node].wrong_until_us = self.now_us + self.random.range(1_000, 10_000);
            }
            if alive && self.nodes[node].alive && self.random.chance(self.faults.checkpoint) {
                self.checkpoint(node);
            }
            if self.random.chance(self.faults.partition) {
                let other = self.random.range(0, self.n as u64) as usize;
                let cut = !self.cut[node][other] && node != other;
                self.cut[node][other] = cut;
                self.cut[other][node] = cut;
            }
        }
        self.schedule(600, 0, What::Chaos);
    }

    fn checkpoint(&mut self, node: usize) {
        let mark = self.nodes[node].verifier.mark();
        let found = self.nodes[node].versions.iter().find(|version| version.log_id == mark.accepted.log_id);
        if let Some(version) = found.filter(|version| version.bytes == version.root).cloned() {
            self.nodes[node].checkpoint = (mark, version);
            let above = self.nodes[node].verifier.ballots_needed_above();
            self.nodes[node].ballots.retain(|key, _| key.log_id.index > above);
        }
    }

    /// Runs to a time, or to a violation.
    pub fn run_to(&mut self, until_us: u64, mut done: impl FnMut(&World) -> bool) -> bool {
        while self.violation.is_none() {
            let Some(next) = self.queue.pop() else { return false };
            if next.at_us > until_us {
                self.queue.push(next);
                return false;
            }
            self.now_us = next.at_us;
            let node = next.node;
            let mut looked = false;
            match next.what {
                What::Chaos => {
                    looked = true;
                    self.chaos();
                }
                What::Timer { life, timer } if life == self.nodes[node].life => match timer {
                    Timer::Synced { length, ballots } => self.synced(node, length, ballots),
                    Timer::Executed => self.executed(node),
                    Timer::Tick => self.feed(node, Event::Tick),
                    Timer::Beat => self.beat(node),
                    Timer::Restart => self.restart(node),
                },
                What::Message { from, message } if self.nodes[node].alive => self.deliver(node, from, message),
                _ => {}
            }
            if looked && done(self) {
                return true;
            }
        }
        false
    }

    fn deliver(&mut self, node: usize, from: usize, message: Message) {
        if self.cut[from][node] {
            return;
        }
        match message {
            Message::Append { term, previous, entries, commit } => {
                self.on_append(node, from, term, previous, entries, commit)
            }
            Message::Ack { term, index, reset } => self.on_ack(node, from, term, index, reset),
            Message::Ballots(ballots) => {
                let highest = ballots.iter().map(|ballot| ballot.key().log_id.index).max().unwrap_or(0);
                let acked =
                    self.nodes[node].acked[from].max(if highest <= self.nodes[node].log.commit { highest } else { 0 });
                self.nodes[node].acked[from] = acked;
                self.feed(node, Event::Ballots { from: from as u64, ballots });
            }
            Message::Ask(after) => self.feed(node, Event::Asked { from: from as u64, after }),
            Message::Hello { quarantined } => {
                self.nodes[node].heard_us[from] = self.now_us;
                self.nodes[node].believed[from] = quarantined;
                self.feed(node, Event::Peer { node: from as u64, peer: Peer { alive: true, quarantined } });
            }
        }
    }

    /// The whole story of a seed: faults, then calm, in which everything must be accepted everywhere.
    pub fn story(&mut self) -> Result<(), Violation> {
        let chaos = self.faults.chaos_us;
        if self.faults.sick_is_dead {
            let half = chaos / 2;
            self.run_to(half, |_| false);
            (0..self.n)
                .filter(|node| self.sick(*node))
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|node| self.crash(node));
        }
        self.run_to(chaos, |_| false);
        // Quiet first, with nothing new coming, then some load.
        self.calm = true;
        self.cut = vec![vec![false; self.n]; self.n];
        self.faults.load_us = 0;
        self.calm_without_load()?;
        let goal = self.now_us + 5_000;
        self.faults.load_us = goal;
        self.run_to(goal, |_| false);
        self.faults.load_us = 0;
        self.calm_without_load()?;
        for (me, node) in self.nodes.iter().enumerate().filter(|(me, node)| !node.refused && !self.sick(*me)) {
            // Rule 7: what was accepted fast is durable soon, so evidence for it need not be kept for long.
            let status = node.verifier.status();
            let durable = status.durable.log_id.index;
            let fast =
                self.checks.accepted.range(durable + 1..).filter(|(index, _)| **index <= status.accepted.log_id.index);
            if fast.count() > 2 * W {
                return Err(format!("node {me}: acceptances since {durable} are not durable (rule 7)"));
            }
        }
        Ok(())
    }

    fn calm_without_load(&mut self) -> Result<(), Violation> {
        let until = self.now_us + 1_000_000;
        let settled = self.run_to(until, World::settled);
        match &self.violation {
            Some(violation) => Err(violation.clone()),
            None if settled => Ok(()),
            None => Err(format!("no progress (rule 23): {}", self.stuck())),
        }
    }

    fn settled(&self) -> bool {
        let sound =
            || (0..self.n).filter(|node| !self.sick(*node)).map(|node| &self.nodes[node]).filter(|node| !node.refused);
        let newest = sound().map(|node| node.log.last().index).max().unwrap_or(0);
        sound().all(|node| {
            let status = node.verifier.status();
            node.alive
                && status.unaccepted == 0
                && status.quarantined.is_none()
                && status.accepted == status.known
                && node.log.commit == newest
        })
    }

    fn stuck(&self) -> String {
        let each = self.nodes.iter().enumerate().map(|(me, node)| {
            let s = node.verifier.status();
            format!(
                "{me}: alive {} accepted {} known {} unaccepted {} {:?} commit {} of {}",
                node.alive,
                s.accepted.log_id.index,
                s.known.log_id.index,
                s.unaccepted,
                s.quarantined,
                node.log.commit,
                node.log.last().index
            )
        });
        each.collect::<Vec<_>>().join("; ")
    }
}
