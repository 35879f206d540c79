//! A plain leader-based log, correct by construction: elections are one atomic step in which a majority
//! that can hear the candidate compares logs and adopts the term; replication, acknowledgements and
//! fsyncs are messages and events that can be late, lost or doubled.

use super::execution::Batch;
use super::world::{Message, Timer, World};
use evesql::token::{LogId, Verdict};
use evesql::verifier::{Entry, Event};
use std::rc::Rc;

#[derive(Clone, Debug)]
pub struct LogEntry {
    pub log_id: LogId,
    pub entry: Entry,
}

/// One node's log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub term: u64,
    pub entries: Vec<LogEntry>,
    /// Entries that survive a crash.
    pub synced: usize,
    pub commit: u64,
    pub leads: Option<u64>,
    /// As leader: durable length of each node's log.
    pub matched: Vec<u64>,
}

impl Log {
    pub fn last(&self) -> LogId {
        self.entries.last().map_or(LogId::default(), |entry| entry.log_id)
    }
    fn at(&self, index: u64) -> LogId {
        if index == 0 {
            LogId::default()
        } else {
            self.entries.get(index as usize - 1).map_or(LogId { index: u64::MAX, ..LogId::default() }, |e| e.log_id)
        }
    }
}

impl World {
    /// If nobody leads a majority, somebody who can is elected.
    pub fn elect(&mut self, force: bool) {
        let candidate = self.random.range(0, self.nodes.len() as u64) as usize;
        let led = (0..self.nodes.len()).any(|node| {
            let leads = self.nodes[node].alive && self.nodes[node].log.leads.is_some();
            leads && self.hears(node).len() * 2 > self.nodes.len() && self.newest(node)
        });
        if (led && !force) || !self.nodes[candidate].alive {
            return;
        }
        let last = (self.nodes[candidate].log.last().term, self.nodes[candidate].log.last().index);
        let votes: Vec<usize> = self
            .hears(candidate)
            .into_iter()
            .filter(|voter| {
                let own = self.nodes[*voter].log.last();
                (own.term, own.index) <= last
            })
            .collect();
        if votes.len() * 2 <= self.nodes.len() {
            return;
        }
        let term = self.nodes.iter().map(|node| node.log.term).max().unwrap_or(0) + 1;
        for voter in votes {
            self.adopt(voter, term);
        }
        let node = &mut self.nodes[candidate];
        node.log.leads = Some(term);
        node.log.matched = vec![0; self.n];
        self.feed(candidate, Event::Role { leads: Some(term) });
        self.append(candidate, Entry::Blank, None);
    }

    fn newest(&self, node: usize) -> bool {
        let heard = self.hears(node);
        heard.iter().filter(|other| self.nodes[**other].log.term <= self.nodes[node].log.term).count() * 2
            > self.nodes.len()
    }

    fn hears(&self, node: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|other| self.nodes[*other].alive && !self.cut[node][*other]).collect()
    }

    pub fn adopt(&mut self, node: usize, term: u64) {
        if term > self.nodes[node].log.term {
            self.nodes[node].log.term = term;
            if self.nodes[node].log.leads.take().is_some() {
                self.feed(node, Event::Role { leads: None });
            }
        }
    }

    /// A leader appends to its own log and sends.
    pub fn append(&mut self, node: usize, entry: Entry, batch: Option<Rc<Batch>>) {
        let log = &mut self.nodes[node].log;
        let Some(term) = log.leads else { return };
        let log_id = LogId { term, leader: node as u64, index: log.last().index + 1 };
        log.entries.push(LogEntry { log_id, entry: entry.clone() });
        if let Some(batch) = batch {
            self.checks.batches.insert(log_id, batch);
        }
        self.sync_soon(node);
        self.feed(node, Event::Appended { log_id, entry });
        self.replicate(node);
    }

    pub fn propose_verdict(&mut self, node: usize, term: u64, verdict: Verdict) {
        if self.nodes[node].log.leads == Some(term) {
            self.append(node, Entry::Verdict(verdict), None);
        }
    }

    pub fn replicate(&mut self, node: usize) {
        let log = &self.nodes[node].log;
        let Some(term) = log.leads else { return };
        let commit = log.commit;
        for to in 0..self.n {
            if to != node {
                let from = self.nodes[node].log.matched[to] as usize;
                let log = &self.nodes[node].log;
                let entries = log.entries[from.min(log.entries.len())..].to_vec();
                let previous = log.at(from as u64);
                self.send(node, to, Message::Append { term, previous, entries, commit });
            }
        }
    }

    pub fn on_append(
        &mut self,
        node: usize,
        from: usize,
        term: u64,
        previous: LogId,
        entries: Vec<LogEntry>,
        commit: u64,
    ) {
        if term < self.nodes[node].log.term {
            return;
        }
        self.adopt(node, term);
        let log = &mut self.nodes[node].log;
        if previous.index > log.last().index || log.at(previous.index) != previous {
            // Everything durable here up to the commit index is the leader's too.
            let index = log.commit.min(log.synced as u64);
            self.send(node, from, Message::Ack { term, index, reset: true });
            return;
        }
        let mut verified = previous.index;
        for entry in entries {
            let log = &mut self.nodes[node].log;
            let index = entry.log_id.index;
            verified = index;
            if log.at(index) == entry.log_id {
                continue;
            }
            if index <= log.last().index {
                let after = index - 1;
                log.entries.truncate(after as usize);
                log.synced = log.synced.min(after as usize);
                self.feed(node, Event::Truncated { after });
            }
            self.nodes[node].log.entries.push(entry.clone());
            self.feed(node, Event::Appended { log_id: entry.log_id, entry: entry.entry });
            if !self.nodes[node].alive {
                return;
            }
        }
        self.nodes[node].ack = Some((from, term, verified));
        self.sync_soon(node);
        self.decide(node, commit.min(verified));
    }

    /// After an fsync.
    pub fn acknowledge(&mut self, node: usize) {
        let current = self.nodes[node].log.term;
        if let Some((to, term, verified)) = self.nodes[node].ack.filter(|(_, term, _)| *term == current) {
            let index = verified.min(self.nodes[node].log.synced as u64);
            self.send(node, to, Message::Ack { term, index, reset: false });
        }
        if self.nodes[node].log.leads.is_some() {
            self.nodes[node].log.matched[node] = self.nodes[node].log.synced as u64;
            self.commit(node);
        }
    }

    pub fn on_ack(&mut self, node: usize, from: usize, term: u64, index: u64, reset: bool) {
        self.adopt(node, term);
        if self.nodes[node].log.leads != Some(term) {
            return;
        }
        self.nodes[node].acked[from] = self.nodes[node].acked[from].max(index);
        let matched = &mut self.nodes[node].log.matched[from];
        *matched = if reset { index } else { (*matched).max(index) };
        if !reset {
            self.commit(node);
        }
    }

    fn commit(&mut self, node: usize) {
        let log = &self.nodes[node].log;
        let mut matched = log.matched.clone();
        matched.sort_unstable();
        let index = matched[(self.n - 1) / 2];
        if index > log.commit && Some(log.at(index).term) == log.leads {
            self.decide(node, index);
            self.replicate(node);
        }
    }

    fn decide(&mut self, node: usize, index: u64) {
        let from = self.nodes[node].log.commit;
        if index <= from {
            return;
        }
        for position in from + 1..=index {
            let log_id = self.nodes[node].log.at(position);
            let result = self.checks.decide(log_id);
            self.check(result);
        }
        self.nodes[node].log.commit = index;
        self.feed(node, Event::Decided { index });
    }

    fn sync_soon(&mut self, node: usize) {
        if !self.nodes[node].syncing {
            self.nodes[node].syncing = true;
            let delay = self.random.range(50, 400);
            let length = self.nodes[node].log.entries.len();
            let ballots = self.nodes[node].unsynced.len();
            self.after(delay, node, Timer::Synced { length, ballots });
        }
    }

    pub fn synced(&mut self, node: usize, length: usize, ballots: usize) {
        self.nodes[node].syncing = false;
        let log = &mut self.nodes[node].log;
        log.synced = log.synced.max(length.min(log.entries.len()));
        let more = log.synced < log.entries.len();
        let durable: Vec<_> = self.nodes[node].unsynced.drain(..ballots).collect();
        for ballot in durable {
            self.nodes[node].recorded.extend(ballot.token().map(|token| token.hash()));
            self.nodes[node].ballots.insert(ballot.key(), ballot);
            self.feed(node, Event::Persisted(ballot.key()));
        }
        if more || !self.nodes[node].unsynced.is_empty() {
            self.sync_soon(node);
        }
        self.acknowledge(node);
    }

    pub fn persist(&mut self, node: usize, ballot: evesql::token::Ballot) {
        self.nodes[node].unsynced.push(ballot);
        self.sync_soon(node);
    }
}
