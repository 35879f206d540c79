//! A node whose log is damaged in the middle gets it whole again from its peers (rule 21 keeps what has forgotten out;
//! this is how a node finds out what it has forgotten).
//!
//! Until then it takes part in nothing. It asks *all* other voters what is in their logs, and takes over the entries of
//! the one that is furthest. Why that is safe:
//!
//! - An entry that was decided with this node's acknowledgement stands on a quorum, hence on at least one other voter;
//!   of logs that are compared as in an election the furthest one then has it too.
//! - A vote that this node may have given and lost was asked for by one of them, in a term that this one has noted. The
//!   new log begins with a vote for this node itself in a term above all of theirs, or with theirs for a leader that is
//!   elected already.
//! - Ballots that it may have given are not given again ([`crate::log_store::LogState::ballots_lost_below`]).
//!
//! Some voter that does not answer could be the one that matters, so there is no going on without it.

use super::NodeError;
use super::cluster::Cluster;
use super::message::{Question, Unanswered, ask};
use super::wiring::{directory, log_error, log_options, take_membership};
use crate::consensus::LogReport;
use crate::entry::{Entry, Membership, Vote};
use crate::log_store::{Rebuilding, put_in_place, rebuilt_path};
use crate::peer::Transport;
use crate::token::{LogId, NodeId};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use tokio::time::{self, Instant};

/// A peer's answer comes within this time, or it is asked again later.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

impl Cluster {
    /// Puts a whole log in the place of a node's damaged one. Fails where peers that are needed do not answer; then
    /// nothing has changed.
    pub(super) fn repair_log(&self, node: NodeId) -> Result<(), NodeError> {
        let refused = |reason: String| NodeError::LogRepair { node, reason };
        // Before any peer is spoken to.
        self.around.door.iter().for_each(|door| door.mends());
        let home = directory(&self.around.config, node);
        let path = home.join("log");
        let options = log_options(node, &self.around, self.around.start_seed(node));
        let disk = self.around.disk.clone();
        let mut log = Rebuilding::begin(disk.clone(), &path, &rebuilt_path(&path), options)
            .map_err(|error| log_error(node, error))?;
        let membership = log.membership().map_err(|error| log_error(node, error))?;
        if let Some((_, membership)) = membership {
            take_membership(&self.around, membership);
        }
        let transport = {
            // The way to peers has tasks of its own.
            let _runtime = self.runtime().enter();
            self.around.network.transport(node)
        };
        let peers = Peers { cluster: self, transport, node };
        let reports = peers.reports().map_err(refused)?;
        let Some((source, furthest)) = furthest(&reports) else {
            return Err(refused("the other voters have no log yet".into()));
        };
        let before = log.next_index();
        // What lies between is in the databases that this node will fetch ([`super::catching_up`]).
        if let Some(purged) = reports[&source].purged.clone().filter(|purged| purged.log_id.index + 1 >= before) {
            log.begin_behind(purged).map_err(|error| log_error(node, error))?;
        }
        let taken = peers.copy(source, furthest, &mut log)?;
        let vote = vote(node, log.vote(), furthest, reports.values().filter_map(|report| report.vote));
        log.finish(vote).map_err(|error| log_error(node, error))?;
        put_in_place(&*disk, &path).map_err(|error| NodeError::directory(&home, error))?;
        tracing::warn!(
            node,
            from = source,
            entries = taken,
            whole_up_to = before.saturating_sub(1),
            "the damaged log was made whole again from a peer's; what was left of it stands in log.damaged"
        );
        Ok(())
    }
}

/// Whom a node asks.
struct Peers<'a> {
    cluster: &'a Cluster,
    transport: Arc<dyn Transport>,
    node: NodeId,
}

impl Peers<'_> {
    /// What all other voters have; those that one of them knows of, too.
    fn reports(&self) -> Result<BTreeMap<NodeId, LogReport>, String> {
        let mut reports = BTreeMap::new();
        let mut voters: BTreeSet<NodeId> = self.cluster.around.members.voters().into_iter().collect();
        loop {
            voters.remove(&self.node);
            let Some(next) = voters.iter().find(|voter| !reports.contains_key(*voter)).copied() else { break };
            let report: LogReport = self.ask(next, Question::Log)?;
            if let Some((_, membership)) = &report.membership {
                voters.extend(membership.voters.iter().flatten());
                self.learn_addresses(membership);
            }
            reports.insert(next, report);
        }
        match reports.is_empty() {
            true => Err("there is no other voter that could help".into()),
            false => Ok(reports),
        }
    }

    fn learn_addresses(&self, membership: &Membership) {
        let known = self.cluster.around.members.ids();
        for (node, address) in membership.nodes.iter().filter(|(node, _)| !known.contains(node)) {
            self.cluster.around.network.set_address(*node, address);
        }
    }

    /// Takes over a peer's entries up to `last`. Answers how many they were.
    fn copy(&self, peer: NodeId, last: LogId, log: &mut Rebuilding) -> Result<u64, NodeError> {
        let node = self.node;
        let refused = |reason: String| NodeError::LogRepair { node, reason };
        let failed = |error| log_error(node, error);
        self.cut_where_it_differs(peer, last, log)?;
        let mut taken = 0;
        while log.next_index() <= last.index {
            let entries = self.entries(peer, log.next_index(), last).map_err(refused)?;
            taken += entries.len() as u64;
            for entry in entries {
                log.append(entry).map_err(failed)?;
            }
        }
        match log.log_id(last.index) == Some(last) || log.first_index() > last.index {
            true => Ok(taken),
            false => Err(refused(format!("node {peer} answered with entries of another history"))),
        }
    }

    /// The damage may have swallowed that the end of what stands before it was replaced. Two logs that agree on one
    /// entry agree on all before it.
    fn cut_where_it_differs(&self, peer: NodeId, last: LogId, log: &mut Rebuilding) -> Result<(), NodeError> {
        let node = self.node;
        if log.next_index() > last.index + 1 {
            log.cut(last.index + 1).map_err(|error| log_error(node, error))?;
        }
        let mut step = 1;
        while log.next_index() > log.first_index() {
            let index = log.next_index() - 1;
            let entries = self.entries(peer, index, last).map_err(|reason| NodeError::LogRepair { node, reason })?;
            if entries.first().map(|entry| entry.log_id) == log.log_id(index) {
                break;
            }
            log.cut(log.next_index().saturating_sub(step).max(log.first_index()))
                .map_err(|error| log_error(node, error))?;
            step *= 2;
        }
        Ok(())
    }

    fn entries(&self, peer: NodeId, first: u64, last: LogId) -> Result<Vec<Entry>, String> {
        let entries: Vec<Entry> = self.ask(peer, Question::Entries { first, last })?;
        match entries.first() {
            Some(entry) if entry.log_id.index == first => Ok(entries),
            _ => Err(format!("node {peer} has purged its log meanwhile, or changed it; it is asked again")),
        }
    }

    fn ask<T: DeserializeOwned + Send + 'static>(&self, peer: NodeId, question: Question) -> Result<T, String> {
        let (transport, (sender, answer)) = (self.transport.clone(), mpsc::channel());
        self.cluster.runtime().spawn(async move {
            let deadline = Instant::now() + ANSWER_WAIT;
            while Instant::now() < deadline {
                match ask(&*transport, peer, &question, ANSWER_WAIT).await {
                    // There may be no connection yet.
                    Err(Unanswered::Silent) => time::sleep(PAUSE).await,
                    answered => return drop(sender.send(answered)),
                }
            }
        });
        match answer.recv() {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Unanswered::Malformed(error))) => Err(format!("node {peer}'s answer does not decode: {error}")),
            Ok(Err(Unanswered::Silent)) | Err(_) => Err(format!(
                "it is repaired once all other voters can be asked what they hold; node {peer} does not answer"
            )),
        }
    }
}

/// Whose log is furthest, as in an election, and where it ends.
fn furthest(reports: &BTreeMap<NodeId, LogReport>) -> Option<(NodeId, LogId)> {
    let ends = reports.iter().filter_map(|(node, report)| Some((*node, report.last?)));
    ends.max_by_key(|(_, last)| *last)
}

/// The vote that a log begins anew with: no candidate of a term up to now gets this node's support a second time.
fn vote(node: NodeId, own: Option<Vote>, last: LogId, others: impl Iterator<Item = Vote>) -> Vote {
    let newest = others.max_by_key(|vote| (vote.term, vote.committed)).unwrap_or_default();
    let term = own.map_or(0, |vote| vote.term).max(last.term).max(newest.term);
    // A leader that is elected in the highest term needs no vote, and is not to be disturbed.
    match newest.committed && newest.term == term && newest.node != node {
        true => newest,
        false => Vote { term: term + 1, node, committed: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(term: u64, index: u64) -> LogId {
        LogId { term, leader: 1, index }
    }

    fn given(term: u64, node: NodeId, committed: bool) -> Vote {
        Vote { term, node, committed }
    }

    #[test]
    fn the_furthest_log_is_the_one_that_would_win_an_election() {
        let report = |last| LogReport { vote: None, last, purged: None, membership: None };
        let reports = BTreeMap::from([(1, report(Some(at(2, 9)))), (2, report(Some(at(3, 4)))), (3, report(None))]);
        assert_eq!(furthest(&reports), Some((2, at(3, 4))));
        assert_eq!(furthest(&BTreeMap::from([(3, report(None))])), None);
    }

    #[test]
    fn a_lost_vote_is_of_use_to_no_candidate() {
        // Node 2 may be a candidate in term 7 that has this node's lost vote; node 3 must not get another one.
        let kept = vote(1, Some(given(5, 2, true)), at(5, 9), [given(7, 2, false), given(6, 3, true)].into_iter());
        assert_eq!(kept, given(8, 1, false));
        // A leader goes on.
        let kept = vote(1, Some(given(5, 2, true)), at(5, 9), [given(7, 2, true), given(7, 2, true)].into_iter());
        assert_eq!(kept, given(7, 2, true));
        // This node itself is not the leader any more that others take it for.
        assert_eq!(vote(1, None, at(7, 9), [given(7, 1, true)].into_iter()), given(8, 1, false));
        // The entries are of a term that nobody says to have voted in.
        assert_eq!(vote(1, None, at(9, 9), [given(7, 2, true)].into_iter()), given(10, 1, false));
    }
}
