//! How a new node asks a running cluster to take it in, and how administrators' wishes reach whoever leads.

use super::cluster::Cluster;
use super::membership::{Change, Changed, Registry};
use super::message::{Question, ask};
use crate::peer::{Network, Tcp, Transport};
use crate::token::NodeId;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use tokio::time;

/// An answer to the wish to join comes within this time.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// A change takes at most so long: a learner may have to fetch a whole database first.
const CHANGE_WAIT: Duration = Duration::from_secs(660);
/// Pause before somebody is asked again.
const PAUSE: Duration = Duration::from_millis(200);
/// Leaders that a wish is passed on to before it is given up.
const LEADERS_MAX: usize = 20;

/// Asks, at the address of any of its nodes, until the cluster has taken this node in.
pub async fn join(tcp: Tcp, transport: Arc<dyn Transport>, node: NodeId, own_address: String, at: String) {
    let change = Change::Join { node, address: own_address };
    let mut said = String::new();
    loop {
        let answer = match tcp.introduce(&at).await {
            Ok(peer) => ask_to_join(&tcp, &*transport, peer, &change).await,
            Err(error) => Err(error.to_string()),
        };
        match answer {
            Ok(done) => {
                tracing::warn!(node, "{done}");
                return;
            }
            Err(reason) if reason != said => {
                tracing::error!(node, at, reason, "the cluster has not taken this node in yet; it is asked again");
                said = reason;
            }
            Err(_) => {}
        }
        time::sleep(5 * PAUSE).await;
    }
}

/// Asks one node of the cluster, and whoever leads.
pub(super) async fn ask_to_join(
    network: &dyn Network,
    transport: &dyn Transport,
    first: NodeId,
    change: &Change,
) -> Result<String, String> {
    let mut asked = first;
    for _ in 0..LEADERS_MAX {
        match wish(transport, asked, change, ANSWER_WAIT).await {
            Some(Changed::Done(done)) => return Ok(done),
            Some(Changed::Refused(reason)) => return Err(reason),
            Some(Changed::NotLeader(Some((leader, address)))) => {
                network.set_address(leader, &address);
                asked = leader;
            }
            // It knows no leader, or there is no connection yet.
            Some(Changed::NotLeader(None)) | None => {}
        }
        time::sleep(PAUSE).await;
    }
    Err("no leader answers".into())
}

async fn wish(transport: &dyn Transport, node: NodeId, change: &Change, wait: Duration) -> Option<Changed> {
    ask(transport, node, &Question::Change(change.clone()), wait).await.ok()
}

/// Has whoever leads make a change, asked by a node that may be another one; waits for the end of it. A sentence either
/// way.
pub(super) async fn have_changed(
    this: NodeId,
    registry: &Registry,
    transport: &dyn Transport,
    change: Change,
) -> Result<String, String> {
    let mut answer = registry.change(change.clone()).await;
    for _ in 0..LEADERS_MAX {
        let Changed::NotLeader(leader) = &answer else { break };
        match leader {
            Some((leader, _)) if *leader != this => {
                let asked = wish(transport, *leader, &change, CHANGE_WAIT).await;
                answer =
                    asked.unwrap_or_else(|| Changed::Refused(format!("node {leader}, which leads, does not answer")));
            }
            _ => {
                time::sleep(PAUSE).await;
                answer = registry.change(change.clone()).await;
            }
        }
    }
    match answer {
        Changed::Done(done) => Ok(done),
        Changed::Refused(reason) => Err(reason),
        Changed::NotLeader(_) => Err("no leader is known; is a quorum of the nodes up?".into()),
    }
}

impl Cluster {
    /// Has whoever leads change who belongs to the cluster, or who leads it; waits for the end of it. A sentence
    /// either way.
    pub fn change(self: &Arc<Self>, change: Change) -> Result<String, String> {
        let Some(node) = self.leader().or_else(|| self.nodes().into_iter().next()) else {
            return Err("no node of this process is up".into());
        };
        if self.surroundings().door.is_none() && !matches!(change, Change::Lead(_)) {
            return Err("the nodes of evesql serve are one process; start nodes of a cluster with evesql node".into());
        }
        let (sender, changed) = mpsc::channel();
        self.runtime().spawn(async move {
            let answer = have_changed(node.shared.id, &node.registry, &*node.transport, change).await;
            let _ = sender.send(answer);
        });
        changed.recv().unwrap_or_else(|_| Err("this node is stopping".into()))
    }
}
