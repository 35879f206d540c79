//! What the leader adds: which verdict to propose and when, what a header carries, when to stop proposing.
//!
//! Nothing here is needed for safety beyond V3: proposals of two leaders, late or doubled ones meet in the
//! log, where the first one wins (`ledger`). So a leader that is itself in quarantine may do this too
//! (rule 20): it judges the ballots of others, and what it knows, not what it computed.

use super::bisect;
use super::events::{Action, Entry};
use super::ledger::Stage;
use super::node::{Options, Phase, Verifier};
use super::verdict::{Judgement, Trouble, next_verdict};
use crate::token::{Accepted, BallotKey, Decision, LogId, NodeId, Verdict};
use std::collections::{BTreeMap, VecDeque};

/// Delays remembered for the median.
const DELAYS_MAX: usize = 32;

/// A leader's memory; kept by followers too, so that a new leader has its median.
#[derive(Default)]
pub(super) struct Leader {
    leads: Option<u64>,
    first_seen_us: BTreeMap<BallotKey, u64>,
    delays_us: VecDeque<u64>,
    /// The newest proposal and when it may be made again.
    proposed: Option<(LogId, u32, u64)>,
    /// Some node asked for ballots above this index.
    asked_after: Option<u64>,
}

impl Leader {
    pub(super) fn role(&mut self, leads: Option<u64>) {
        if self.leads != leads {
            self.proposed = None;
            self.asked_after = None;
        }
        self.leads = leads;
    }

    /// A new ballot: the time since the first one of its attempt is a sample of the delay.
    pub(super) fn note_ballot(&mut self, options: &Options, from: NodeId, key: &BallotKey, now_us: u64) {
        let first = *self.first_seen_us.entry(*key).or_insert(now_us);
        if from != options.me {
            self.delays_us.push_back(now_us.saturating_sub(first));
            if self.delays_us.len() > DELAYS_MAX {
                self.delays_us.pop_front();
            }
        }
    }

    pub(super) fn forget_to(&mut self, index: u64) {
        self.first_seen_us.retain(|key, _| key.log_id.index > index);
    }

    pub(super) fn asked(&mut self, after: u64) {
        self.asked_after = Some(self.asked_after.map_or(after, |before| before.min(after)));
    }

    /// Rule 4: twice the delay that nine tokens out of ten keep. Twice the median was too little: on a busy machine
    /// every third batch then cost a log entry of its own.
    fn wait_us(&self, options: &Options) -> u64 {
        let mut delays: Vec<u64> = self.delays_us.iter().copied().collect();
        delays.sort_unstable();
        let usual = delays.get(delays.len() * 9 / 10).copied().unwrap_or(0);
        (2 * usual).clamp(options.wait_us.0, options.wait_us.1)
    }
}

impl Verifier {
    /// What the header of the next batch carries (rule 7): the newest acceptance that this node knows *or
    /// would propose*, because a header that is decided is as good as a verdict.
    pub fn header(&self) -> Accepted {
        match self.options.rules.acceptance_is_published {
            true => self.acceptable(),
            false => Accepted::default(),
        }
    }

    /// How many more batches may be appended (rules 6 and 22); none unless this node leads. The caller
    /// subtracts those that it proposed and that are not in the log yet.
    pub fn room(&self) -> usize {
        let barrier = self.options.rules.membership_barrier && self.members_undecided();
        if self.leader.leads.is_none() || self.phase == Phase::Halted || barrier {
            return 0;
        }
        if !self.options.rules.bounded_unaccepted {
            return usize::MAX;
        }
        self.options.unaccepted_max.saturating_sub(self.batches_after(self.known.log_id.index).count())
    }

    /// Whether a membership entry may be proposed now: every batch in the log is accepted, the log itself says so
    /// ([`Event::Publish`](super::Event::Publish)), and no other membership entry is on its way (rule 22). What only
    /// tokens prove is lost when those who gave them leave and the others start again.
    pub fn may_change_members(&self) -> bool {
        let is_durable = self.known.log_id.index <= self.ledger.accepted.log_id.index;
        let clear = self.first_unknown().is_none() && is_durable && !self.members_undecided();
        self.leader.leads.is_some() && (clear || !self.options.rules.membership_barrier)
    }

    fn members_undecided(&self) -> bool {
        self.log.range(self.decided + 1..).any(|(_, (_, entry))| matches!(entry, Entry::Members(_)))
    }

    /// The end of the longest chain, on from what is known, on every link of which a quorum agrees.
    fn acceptable(&self) -> Accepted {
        let mut accepted = self.known;
        for (log_id, hash) in self.batches_after(self.known.log_id.index) {
            if matches!(self.ledger.stage(log_id.index), Stage::Trial(_)) {
                break;
            }
            match self.judge(log_id, hash, accepted.token, false) {
                Judgement::Unanimous(token) | Judgement::Quorum { token, .. } => accepted = Accepted::from(&token),
                _ => break,
            }
        }
        accepted
    }

    /// Proposes what is due, if this node leads.
    pub(super) fn lead(&mut self, now_us: u64, out: &mut Vec<Action>) {
        let Some(term) = self.leader.leads else { return };
        if self.phase == Phase::Halted {
            return;
        }
        self.publish(term, now_us, out);
        let Some((log_id, hash)) = self.first_unknown() else { return };
        let attempt = self.ledger.attempt(log_id.index);
        let key = BallotKey { log_id, attempt, parent: self.known.token };
        let Some(&first) = self.leader.first_seen_us.get(&key) else { return };
        let past = |wait_us: u64| now_us >= first.saturating_add(wait_us);
        let waited = past(self.leader.wait_us(&self.options));
        let stage = self.ledger.stage(log_id.index);
        let trial = matches!(stage, Stage::Trial(_));
        // A replay undoes work that a late token may yet confirm: it is given more time than an acceptance.
        let patience_us = (4 * self.leader.wait_us(&self.options)).max(self.options.replay_wait_us);
        let trouble = match self.judge(log_id, hash, self.known.token, past(patience_us)) {
            Judgement::Wait => return,
            Judgement::Unanimous(_) if !trial => return,
            Judgement::Quorum { minority, awaited, .. } if !trial => {
                // With nobody left to wait for, the next header still gets a chance to carry it.
                if (awaited.is_empty() && past(self.options.wait_us.0)) || waited {
                    self.propose_acceptance(term, attempt, minority, now_us, out);
                }
                return;
            }
            Judgement::Quorum { awaited, .. } if !awaited.is_empty() && !waited => return,
            Judgement::Unanimous(_) | Judgement::Quorum { .. } => Trouble::TrialAgreed,
            Judgement::Disagreement => Trouble::Disagreement,
            Judgement::Failure => Trouble::Failure,
            Judgement::Stalled => Trouble::Stalled,
        };
        let Some((_, transactions, _)) = self.batch_at(log_id) else { return };
        let void = self.ledger.void(log_id.index);
        let decision = next_verdict(&stage, trouble, &void, transactions, &self.options.rules);
        // A void costs clients their transactions: absent voters get more time to make a quorum. And when
        // the same is tried again, or not even a batch without any effect is agreed on, haste only fills
        // the log.
        let voids = matches!(decision, Decision::Void { .. }) && !trial;
        let said = self.ballots.on(&key);
        let missing = self.members_at(log_id.index).voters().iter().any(|node| !said.contains_key(node));
        let again = trouble == Trouble::Stalled && stage != Stage::Planned;
        let hopeless = stage == Stage::Voided && void.len() as u32 >= transactions;
        if ((voids && missing) || again || hopeless) && !past(self.options.void_wait_us) {
            return;
        }
        self.propose(term, Verdict { log_id, attempt, decision }, now_us, out);
    }

    fn propose_acceptance(&mut self, term: u64, first: u32, minority: Vec<NodeId>, now_us: u64, out: &mut Vec<Action>) {
        let accepted = self.acceptable();
        let decision = match minority.is_empty() {
            true => Decision::Accept(accepted),
            false => Decision::Repair { accepted, minority },
        };
        debug_assert!(accepted.attempt >= first, "attempts never fall along the log");
        self.propose(term, Verdict { log_id: accepted.log_id, attempt: accepted.attempt, decision }, now_us, out);
    }

    /// Somebody missed the ballots of batches that were accepted without an entry: give them one.
    fn publish(&mut self, term: u64, now_us: u64, out: &mut Vec<Action>) {
        let known = self.known;
        let wanted = self.leader.asked_after.is_some_and(|after| after < known.log_id.index);
        if !wanted || known.log_id.index <= self.ledger.accepted.log_id.index {
            self.leader.asked_after = None;
            return;
        }
        if self.options.rules.acceptance_is_published {
            let decision = Decision::Accept(known);
            self.propose(term, Verdict { log_id: known.log_id, attempt: known.attempt, decision }, now_us, out);
        }
    }

    fn propose(&mut self, term: u64, verdict: Verdict, now_us: u64, out: &mut Vec<Action>) {
        let again = matches!(self.leader.proposed, Some((log_id, attempt, until_us))
            if log_id == verdict.log_id && attempt == verdict.attempt && now_us < until_us);
        if again || self.in_flight(&verdict) {
            return;
        }
        self.leader.proposed = Some((verdict.log_id, verdict.attempt, now_us + self.options.resend_us));
        out.push(Action::Propose { term, verdict });
    }

    /// Whether an entry that is not decided yet says something about the verdict's batch already.
    fn in_flight(&self, verdict: &Verdict) -> bool {
        let index = verdict.log_id.index;
        self.log.range(self.ledger.position + 1..).any(|(_, (_, entry))| match entry {
            Entry::Batch { accepted, .. } => accepted.log_id.index >= index,
            Entry::Verdict(other) => match &other.decision {
                Decision::Accept(accepted) | Decision::Repair { accepted, .. } => accepted.log_id.index >= index,
                _ => other.log_id == verdict.log_id && other.attempt == verdict.attempt,
            },
            _ => false,
        })
    }

    /// When [`super::Event::Tick`] is due at the latest, given that it is `now_us`; `None`: no need.
    pub fn deadline_us(&self, now_us: u64) -> Option<u64> {
        if self.phase == Phase::Halted {
            return None;
        }
        let mut deadlines = Vec::new();
        if self.first_unknown().is_some() || self.known != self.accepted {
            deadlines.push(self.moved_us + self.options.resend_us);
        }
        if let Some((log_id, _)) = self.first_unknown().filter(|_| self.leader.leads.is_some()) {
            let key = BallotKey { log_id, attempt: self.ledger.attempt(log_id.index), parent: self.known.token };
            if let Some(first) = self.leader.first_seen_us.get(&key) {
                let waits = [self.options.wait_us.0, self.leader.wait_us(&self.options), self.options.void_wait_us];
                deadlines.extend(waits.iter().map(|wait| first + wait));
                deadlines.push(first + (4 * waits[1]).max(self.options.replay_wait_us));
            }
            deadlines.extend(self.leader.proposed.map(|(_, _, until_us)| until_us));
        }
        if let Phase::Quarantined { .. } = self.phase {
            deadlines.push(self.repair_us + self.options.resend_us);
        }
        deadlines.into_iter().filter(|at| *at > now_us).min()
    }

    /// Verdicts that a search in a batch of so many transactions takes at most; for people who wonder how
    /// long a stall may last.
    pub fn search_verdicts_max(transactions: u32) -> u32 {
        let one = transactions.max(1).next_power_of_two().ilog2() + 1;
        one * bisect::CONVICTED_MAX as u32 + 1
    }
}
