//! A node whose databases end before its log begins: its log was rebuilt from a peer's that is purged further
//! ([`super::log_repair`]). It takes over a peer's state, as one that joins by pages, and then follows its log.

use super::handler::Joiner;
use super::members::MembersView;
use super::message::{Question, ask};
use crate::consensus::{Checkpoint, SnapshotInstaller};
use crate::peer::Transport;
use crate::token::{LogId, NodeId};
use std::sync::Arc;
use std::time::Duration;
use tokio::time;

/// An answer comes within this time.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Pause before the next node is asked.
const PAUSE: Duration = Duration::from_millis(200);

/// The answer to [`Question::State`].
type Offered = Option<(LogId, Vec<u8>)>;

/// Asks one node after the other until a state at or behind `first` is taken over.
pub(super) async fn catch_up(
    node: NodeId,
    transport: Arc<dyn Transport>,
    members: Arc<MembersView>,
    joiner: Joiner,
    first: u64,
) {
    for turn in 0.. {
        let others: Vec<NodeId> = members.ids().into_iter().filter(|other| *other != node).collect();
        if let Some(peer) = others.get(turn % others.len().max(1))
            && let Ok(Some((log_id, mark))) = ask::<Offered>(&*transport, *peer, &Question::State, ANSWER_WAIT).await
            && log_id.index >= first
        {
            let state = Checkpoint { log_id, membership: None, manifest: mark.into() };
            match joiner.install(*peer, state).await {
                Ok(()) => return,
                Err(reason) => tracing::warn!(node, peer, reason, "a peer's state could not be taken over yet"),
            }
        }
        time::sleep(PAUSE).await;
    }
}
