//! What a process knows of nodes that are not in it: who was heard of lately, and how each says that it is.

use super::message::{Question, Unanswered, ask};
use crate::admin::NodeStatus;
use crate::peer::Transport;
use crate::token::NodeId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{self, Instant};

/// Neighbours are asked this often.
const PAUSE: Duration = Duration::from_millis(500);
/// One that has not answered for so long is shown as down.
const STALE: Duration = Duration::from_secs(2);

/// Nodes of other processes.
#[derive(Default)]
pub struct Neighbours {
    statuses: Mutex<BTreeMap<NodeId, (NodeStatus, Instant)>>,
}

impl Neighbours {
    /// How a neighbour is, as it said last.
    pub fn status(&self, node: NodeId) -> NodeStatus {
        let silent = |reason: &str| NodeStatus {
            id: node,
            role: "down".into(),
            state: "down".into(),
            reason: Some(reason.into()),
            ..NodeStatus::default()
        };
        match self.statuses.lock().get(&node) {
            None => silent("it has not answered since this node started"),
            Some((status, at)) if at.elapsed() > STALE => NodeStatus {
                accepted_index: status.accepted_index,
                root: status.root.clone(),
                ..silent("it does not answer")
            },
            Some((status, _)) => status.clone(),
        }
    }

    /// Asks them again and again; ends with its task.
    pub async fn watch(self: Arc<Self>, transport: Arc<dyn Transport>, others: impl Fn() -> Vec<NodeId>) {
        loop {
            let asked = others()
                .into_iter()
                .map(async |node| (node, ask::<NodeStatus>(&*transport, node, &Question::Status, PAUSE).await));
            for (node, answer) in futures::future::join_all(asked).await {
                match answer {
                    // What it says of itself counts for itself only.
                    Ok(status) => {
                        drop(self.statuses.lock().insert(node, (NodeStatus { id: node, ..status }, Instant::now())))
                    }
                    Err(Unanswered::Malformed(error)) => {
                        tracing::warn!(node, %error, "a neighbour's status does not decode")
                    }
                    Err(Unanswered::Silent) => {}
                }
            }
            time::sleep(PAUSE).await;
        }
    }
}
