//! A node whose databases end before its log begins: its log was rebuilt from a peer's that is purged further
//! ([`super::log_repair`]). It takes over a peer's state, as one that joins by pages, and then follows its log.

use super::handler::Joiner;
use super::members::MembersView;
use super::message::Question;
use crate::consensus::{Checkpoint, SnapshotInstaller};
use crate::peer::{PeerMessage, PeerReply, Transport};
use crate::token::{LogId, NodeId};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time;

/// An answer comes within this time.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Pause before the next node is asked.
const PAUSE: Duration = Duration::from_millis(200);

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
            && let Some((log_id, manifest)) = ask(&*transport, *peer).await.filter(|(log_id, _)| log_id.index >= first)
        {
            let state = Checkpoint { log_id, membership: None, manifest };
            match joiner.install(*peer, state).await {
                Ok(()) => return,
                Err(reason) => tracing::warn!(node, peer, reason, "a peer's state could not be taken over yet"),
            }
        }
        time::sleep(PAUSE).await;
    }
}

async fn ask(transport: &dyn Transport, peer: NodeId) -> Option<(LogId, Bytes)> {
    let question = PeerMessage::Question(Question::State.encode());
    match transport.request(peer, question, ANSWER_WAIT).await {
        Ok(PeerReply::Bytes(bytes)) => {
            let (log_id, mark): (LogId, Vec<u8>) = postcard::from_bytes::<Option<_>>(&bytes).ok()??;
            Some((log_id, mark.into()))
        }
        _ => None,
    }
}
