//! What a node does with its verifier's actions: executor, repair, and the checks at each acceptance.

use super::checks::Violation;
use super::execution::{Poison, Version, mix};
use super::world::{Message, Timer, World};
use evesql::page::Hash;
use evesql::token::{Accepted, Ballot, Decision, LogId, Mode, Verdict};
use evesql::verifier::*;
use std::collections::BTreeSet;

impl World {
    /// Hands an event to a node's verifier and carries its actions out.
    pub fn feed(&mut self, node: usize, event: Event) {
        if !self.nodes[node].alive {
            return;
        }
        if self.trace.is_some() && event != Event::Tick {
            let text = format!("{node} <- {event:?}");
            self.note(|| text);
        }
        let mut actions = Vec::new();
        self.nodes[node].verifier.step(event, self.now_us, &mut actions);
        for action in actions {
            if self.trace.is_some() {
                let text = format!("{node}    -> {action:?}");
                self.note(|| text);
            }
            self.carry_out(node, action);
        }
    }

    fn carry_out(&mut self, node: usize, action: Action) {
        match action {
            Action::Persist(ballot) => self.persist(node, ballot),
            Action::Send { to, ballots } => match to {
                Recipients::All => {
                    for to in (0..self.n).filter(|to| *to != node) {
                        self.send(node, to, Message::Ballots(ballots.clone()));
                    }
                }
                Recipients::One(to) => self.send(node, to as usize, Message::Ballots(ballots)),
            },
            Action::Ask { after } => {
                for to in (0..self.n).filter(|to| *to != node) {
                    self.send(node, to, Message::Ask(after));
                }
            }
            Action::Propose { term, verdict } => {
                if verdict.decision == Decision::Replay {
                    let result = self.has_cause(node, &verdict);
                    self.check(result);
                }
                self.propose_verdict(node, term, verdict);
            }
            Action::Accept { batches, accepted } => self.accept(node, batches, accepted),
            Action::Report(_) => self.checks.divergences += 1,
            Action::Contradicted { node: other, key } => {
                let result = Err(format!("node {other} gave two ballots on {key:?} (rule 2)"));
                self.check(result);
            }
            Action::Halt { reason } => {
                let result = Err(format!("node {node} halted: {reason}"));
                self.check(result);
            }
            Action::Release => {
                self.nodes[node].quarantined = false;
                let newest = self.nodes[node].versions.last().map(|version| version.bytes == version.root);
                if newest != Some(true) {
                    let result = Err(format!("node {node} rejoins with damaged pages (rule 19)"));
                    self.check(result);
                }
            }
            Action::Quarantine(_) => self.nodes[node].quarantined = true,
            Action::FetchAnswers { .. } => {}
            Action::Execute { .. } | Action::RollBack { .. } | Action::Rehash { .. } | Action::Repair { .. } => {
                self.nodes[node].queue.push_back(action);
                self.work(node);
            }
        }
    }

    /// V3: a replay is proposed on two different tokens, on a quorum of failures, or on some of them while
    /// others are absent (rules 4 and 14).
    fn has_cause(&self, node: usize, verdict: &Verdict) -> Result<(), Violation> {
        let on = |ballot: &&Ballot| ballot.key().log_id == verdict.log_id && ballot.key().attempt == verdict.attempt;
        let said: Vec<&Ballot> = self.nodes.iter().flat_map(|other| other.ballots.values().filter(on)).collect();
        let tokens: BTreeSet<Hash> =
            said.iter().filter_map(|ballot| ballot.token()).map(|token| token.hash()).collect();
        let failed = said.iter().filter(|ballot| ballot.token().is_none()).count();
        let leader = &self.nodes[node];
        let absent = (0..self.n).any(|other| other != node && (leader.heard_us[other] == 0 || leader.believed[other]));
        let stalled = failed > 0 && (absent || leader.quarantined);
        match tokens.len() > 1 || failed > self.n / 2 || stalled {
            true => Ok(()),
            false => Err(format!("node {node} proposes {verdict:?} without disagreement (rules 4, 14)")),
        }
    }

    fn accept(&mut self, node: usize, batches: Vec<LogId>, accepted: Accepted) {
        let durable = self.nodes.iter().filter(|other| other.recorded.contains(&accepted.token));
        let durable = durable.count();
        let index = accepted.log_id.index;
        let versions = &mut self.nodes[node].versions;
        let keep = versions.iter().position(|version| version.log_id.index == index);
        let Some(keep) = keep else {
            let result = Err(format!("node {node} accepts batch {index} without a version of it"));
            return self.check(result);
        };
        let told: Vec<Version> = versions.iter().filter(|version| batches.contains(&version.log_id)).cloned().collect();
        versions.drain(..keep);
        let newest = versions[0].clone();
        let quorum = self.n / 2 + 1;
        let mut result = self.checks.accept(node as u64, &accepted, &newest, durable, quorum);
        if self.nodes[node].quarantined && !batches.is_empty() {
            result = result.and(Err(format!("node {node} answers in quarantine (rule 20)")));
        }
        self.check(result);
        for version in told {
            let result = self.checks.tell(node as u64, &version);
            self.check(result);
        }
    }

    /// The executor of one node: first in, first out.
    fn work(&mut self, node: usize) {
        while !self.nodes[node].busy {
            let Some(action) = self.nodes[node].queue.front() else { return };
            match action {
                Action::RollBack { to } => {
                    let to = *to;
                    self.nodes[node].versions.retain(|version| version.log_id.index <= to);
                    self.nodes[node].queue.pop_front();
                }
                Action::Execute { log_id, attempt, .. } => {
                    let key = (*log_id, *attempt);
                    *self.nodes[node].marks.entry(key).or_insert(0) += 1;
                    self.begin(node, 50, 600);
                }
                _ => self.begin(node, 100, 900),
            }
        }
    }

    fn begin(&mut self, node: usize, from_us: u64, to_us: u64) {
        self.nodes[node].busy = true;
        let delay = self.random.range(from_us, to_us);
        self.after(delay, node, Timer::Executed);
    }

    pub fn executed(&mut self, node: usize) {
        self.nodes[node].busy = false;
        match self.nodes[node].queue.pop_front() {
            Some(Action::Execute { run, log_id, attempt, mode }) => self.execute(node, run, log_id, attempt, mode),
            Some(Action::Rehash { run }) => {
                let damaged = self.nodes[node].versions.last().is_some_and(|v| v.bytes != v.root);
                self.feed(node, Event::Rehashed { damaged: u64::from(damaged), run: Some(run) });
            }
            Some(Action::Repair { target, sources }) => self.repair(node, target, sources),
            _ => {}
        }
        if self.nodes[node].alive {
            self.work(node);
        }
    }

    fn execute(&mut self, node: usize, run: u64, log_id: LogId, attempt: u32, mode: Mode) {
        let Some(batch) = self.checks.batches.get(&log_id).cloned() else { return };
        let is_void = |position: usize| matches!(&mode, Mode::Replay { void } if void.contains(&(position as u32)));
        let run_here: Vec<Poison> = batch
            .transactions
            .iter()
            .enumerate()
            .filter(|(position, _)| !is_void(*position))
            .map(|(_, transaction)| transaction.poison)
            .collect();
        if run_here.contains(&Poison::Crashes) {
            return self.crash(node);
        }
        self.nodes[node].marks.remove(&(log_id, attempt));
        let environment = !self.calm && self.random.chance(self.faults.environment);
        if run_here.contains(&Poison::Fails) || environment {
            return self.feed(node, Event::Failed { run, log_id, failure: LocalFailure::Memory });
        }
        let Some(base) = self.nodes[node].versions.last() else { return };
        let mut version = base.execute(log_id, &batch, &mode, self.faults.once_only);
        if base.bytes != base.root {
            version.bytes = mix(version.bytes, 13);
        }
        let differs = run_here.contains(&Poison::Differs)
            || (run_here.contains(&Poison::DiffersPlanned) && mode == Mode::Planned);
        let restarted = std::mem::take(&mut self.nodes[node].restarted);
        let sick = !self.calm
            && (self.random.chance(self.faults.wrong)
                || self.now_us < self.nodes[node].wrong_until_us
                || (restarted && self.random.chance(self.faults.wrong_after_restart)));
        let sick = sick || (self.sick(node) && !self.faults.sick_is_dead);
        if differs || sick {
            version.root = mix(version.root, self.random.next());
            version.bytes = version.root;
        }
        let (root, answers) = (version.root, version.answers);
        self.nodes[node].versions.push(version);
        self.feed(node, Event::Executed { run, log_id, root, answers });
    }

    fn repair(&mut self, node: usize, target: Accepted, sources: Vec<u64>) {
        self.checks.repairs += 1;
        let holds = |source: &u64| {
            let other = &self.nodes[*source as usize];
            let hears = other.alive && !self.cut[node][*source as usize] && *source as usize != node;
            let found =
                other.versions.iter().find(|v| v.log_id == target.log_id && v.root == target.root && v.bytes == v.root);
            if hears { found.cloned() } else { None }
        };
        let found = sources.iter().find_map(holds).or_else(|| {
            // A source that has gone on serves the target's pages from its checkpoints and versions.
            let named = self.checks.accepted.get(&target.log_id.index) == Some(&target);
            let reference = self.checks.reference.get(&target.log_id.index).filter(|_| named && !sources.is_empty());
            reference.filter(|version| version.root == target.root).cloned()
        });
        let found = if target.log_id.index == 0 { Some(Version::empty()) } else { found };
        let complete = found.is_some();
        if let Some(version) = found {
            self.nodes[node].versions = vec![version];
        }
        self.feed(node, Event::Repaired { target, complete });
    }
}
