//! Proposing: queued in order, fenced by a leadership, decided later.

use super::Leadership;
use super::state_machine::StateMachine;
use super::types::{Proposed, TypeConfig, leader_to_raft, log_id_from_raft};
use crate::entry::EncodedCommand;
use crate::token::{LogId, NodeId};
use openraft::Raft;
use openraft::alias::OneshotReceiverOf;
use openraft::errors::{ClientWriteError, ForwardReason};
use openraft::impls::OneshotResponder;
use openraft::raft::ClientWriteResult;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Why a proposal was not decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This node does not lead, or not under the fencing leadership: nothing was appended.
    #[error("this node does not lead; node {leader:?} may")]
    NotLeader {
        /// Who leads, where known.
        leader: Option<NodeId>,
    },
    /// This node leads, but no quorum has confirmed it for an election time-out: nothing was appended. Try again.
    #[error("this node leads, but no quorum answers it")]
    NoQuorum,
    /// It was appended, but its leadership ended before it was decided: it is gone here, yet another node may
    /// hold, and decide, it. Resubmit under the same transaction ids (rule 18).
    #[error("the leadership ended before the proposal was decided; its outcome is unknown")]
    Unknown {
        /// Who leads, where known.
        leader: Option<NodeId>,
    },
    /// Consensus has stopped; the outcome is unknown.
    #[error("consensus has stopped; the outcome is unknown")]
    Stopped,
}

/// A proposal in the queue: resolves once it is decided.
pub struct Proposal {
    receiver: OneshotReceiverOf<TypeConfig, ClientWriteResult<TypeConfig>>,
}

impl Future for Proposal {
    type Output = Result<LogId, ProposeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(context).map(|received| match received {
            Ok(Ok(response)) => Ok(log_id_from_raft(&response.log_id)),
            Ok(Err(error)) => Err(refused(error)),
            Err(_) => Err(ProposeError::Stopped),
        })
    }
}

fn refused(error: ClientWriteError<TypeConfig>) -> ProposeError {
    match error {
        ClientWriteError::ForwardToLeader(forward) if forward.reason == ForwardReason::LeaseExpired => {
            ProposeError::NoQuorum
        }
        ClientWriteError::ForwardToLeader(forward) => ProposeError::NotLeader { leader: forward.leader_id },
        ClientWriteError::LogEntryDiscarded(forward) => ProposeError::Unknown { leader: forward.leader_id },
        // Said of memberships only.
        ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_) => ProposeError::Stopped,
    }
}

pub(crate) async fn propose(
    raft: &Raft<TypeConfig, StateMachine>,
    command: Arc<EncodedCommand>,
    fence: Leadership,
) -> Result<Proposal, ProposeError> {
    let (responder, receiver) = OneshotResponder::new_pair();
    let write = raft.write(Proposed(command)).responder(responder).with_leader(leader_to_raft(fence.term, fence.node));
    write.await.map_err(|_| ProposeError::Stopped)?;
    Ok(Proposal { receiver })
}
