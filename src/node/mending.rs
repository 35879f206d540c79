//! Nodes whose log cannot be written, as when the disk is full, or is damaged: they are shown as down, clients learn of it at once,
//! and they start again from their files as soon as the disk allows it.
//!
//! A log that has failed writes no more, and its node takes part no more: after a failed fdatasync nobody knows what
//! is on the disk until it is read. What such a node has accepted it still knows, so reads go on until it is replaced.

use super::NodeError;
use super::cluster::{Cluster, minority};
use super::running::RunningNode;
use super::wiring::directory;
use crate::log_store::prove_room;
use crate::token::NodeId;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A node starts again so long after it failed; each time that it fails again, twice as long after.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Fewer nodes than a quorum are at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Who is not, and why.
    reasons: Arc<BTreeMap<NodeId, String>>,
    /// Their disks are full.
    pub is_out_of_room: bool,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self.reasons.keys().map(ToString::to_string).collect();
        write!(f, "node {} cannot take part", nodes.join(", "))?;
        match self.reasons.first_key_value() {
            Some((node, reason)) => write!(f, "; node {node}: {reason}"),
            None => Ok(()),
        }
    }
}

/// A node on its way back.
pub struct Mending {
    /// The next pause.
    pause: Duration,
    /// When it is tried, or was started.
    at: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waits,
    Starts,
    Runs,
}

impl Mending {
    fn new() -> Self {
        Mending { pause: PAUSE_MIN, at: Instant::now(), stage: Stage::Runs }
    }

    /// It failed, maybe again. One that had worked for a while begins with the shortest pause.
    fn failed(&mut self) {
        if self.stage == Stage::Runs && self.at.elapsed() > 2 * PAUSE_MAX {
            self.pause = PAUSE_MIN;
        }
        self.at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.stage = Stage::Waits;
    }

    fn is_due(&self) -> bool {
        self.stage == Stage::Waits && Instant::now() >= self.at
    }
}

impl Cluster {
    /// Called every few moments: notices nodes that take part no more, tells whoever waits in vain, and starts those
    /// nodes again.
    pub(super) fn look_after_nodes(self: &Arc<Self>) {
        for node in self.nodes().into_iter().filter(|node| !node.shared.is_down()) {
            // Nodes that somebody stops look the same, but are gone from the list before.
            let Some(failure) = node.failure() else { continue };
            let is_ours = self.node(node.shared.id).is_some_and(|known| Arc::ptr_eq(&known, &node));
            if !is_ours || self.is_stopping() {
                continue;
            }
            node.shared.set_out_of_work(&failure.reason);
            tracing::error!(node = node.shared.id, reason = failure.reason, "this node has stopped");
            self.mend_later(node.shared.id);
        }
        let outage = self.find_outage();
        self.outage.lock().clone_from(&outage);
        if outage.is_some() {
            self.around.waiters.clear();
        }
        self.mend_those_due();
        if let Some(door) = &self.around.door {
            door.save_now_and_then();
        }
    }

    /// Has a node started again after a pause.
    pub(super) fn mend_later(&self, node: NodeId) {
        self.mending.lock().entry(node).or_insert_with(Mending::new).failed();
    }

    fn find_outage(&self) -> Option<Outage> {
        let mut reasons = self.refusals.lock().clone();
        let nodes = self.nodes();
        for node in nodes.iter().filter(|node| node.shared.is_down()) {
            reasons.insert(node.shared.id, node.shared.reason().unwrap_or_default());
        }
        let was_out_of_room = self.outage.lock().as_ref().is_some_and(|outage| outage.is_out_of_room);
        let is_full = |node: &Arc<RunningNode>| node.failure().is_some_and(|failure| failure.is_out_of_room);
        let is_out_of_room = was_out_of_room || nodes.iter().any(is_full);
        for node in self.unreachable() {
            reasons.insert(node, "it cannot be reached".into());
        }
        let is_outage = reasons.len() > minority(self.around.members.voters().len());
        is_outage.then(|| Outage { reasons: Arc::new(reasons), is_out_of_room })
    }

    fn mend_those_due(self: &Arc<Self>) {
        let due = |(node, mending): (&NodeId, &Mending)| mending.is_due().then_some(*node);
        let due: Vec<NodeId> = self.mending.lock().iter().filter_map(due).collect();
        for node in due {
            let cluster = self.clone();
            // Opening its files takes a while, in which others want to be looked after.
            let mending = move || cluster.mend(node);
            self.set_stage(node, Stage::Starts);
            if std::thread::Builder::new().name(format!("mend-{node}")).spawn(mending).is_err() {
                self.mend_later(node);
            }
        }
    }

    fn set_stage(&self, node: NodeId, stage: Stage) {
        if let Some(mending) = self.mending.lock().get_mut(&node) {
            mending.stage = stage;
            mending.at = Instant::now();
        }
    }

    fn mend(&self, node: NodeId) {
        match self.start_again(node) {
            _ if self.is_stopping() => {}
            Ok(()) => {
                tracing::warn!(node, "this node works again");
                self.set_stage(node, Stage::Runs);
            }
            Err(error) => {
                tracing::warn!(node, %error, "this node cannot start yet");
                self.mend_later(node);
            }
        }
    }

    /// The failed node stays until there is room for another: meanwhile it serves reads.
    fn start_again(&self, node: NodeId) -> Result<(), NodeError> {
        let home = directory(&self.around.config, node);
        prove_room(&*self.around.disk, &home, self.around.log_segment_bytes)
            .map_err(|error| NodeError::directory(&home, error))?;
        if let Some(reason) = self.node(node).and_then(|node| node.shared.reason()) {
            self.refusals.lock().insert(node, reason);
        }
        self.kill(node);
        match self.restart(node) {
            Err(error) if error.is_of_damaged_log() => {
                let repaired = self.repair_log(node);
                repaired.inspect_err(|error| drop(self.refusals.lock().insert(node, error.to_string())))?;
                self.restart(node)
            }
            started => started,
        }
    }
}
