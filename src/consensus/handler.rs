//! Incoming messages of consensus.

use super::Consensus;
use super::event::Checkpoint;
use super::types::{
    TypeConfig, entry_to_raft, log_id_from_raft, log_id_to_raft, stored_to_raft, vote_from_raft, vote_to_raft,
};
use crate::peer::{
    AppendReply, AppendRequest, Handler, PeerMessage, PeerReply, SnapshotRequest, TransferRequest, VoteReply,
    VoteRequest,
};
use crate::token::NodeId;
use futures::FutureExt;
use futures::future::BoxFuture;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest as RaftVoteRequest, VoteResponse,
};
use openraft::{Snapshot, SnapshotMeta};

/// Messages that are not consensus's own are answered with [`PeerReply::None`]: the node takes those out first.
/// A reply of [`PeerReply::None`] to one of ours says that this node is stopping.
impl Handler for Consensus {
    fn handle(&self, from: NodeId, message: PeerMessage) -> BoxFuture<'static, PeerReply> {
        let this = self.clone();
        let handled = async move {
            match message {
                PeerMessage::Append(request) => this.handle_append(request).await,
                PeerMessage::Vote(request) => this.handle_vote(request, false).await,
                PeerMessage::PreVote(request) => this.handle_vote(request, true).await,
                PeerMessage::Snapshot(request) => this.handle_snapshot(from, request).await,
                PeerMessage::Transfer(request) => this.handle_transfer(request).await,
                PeerMessage::ReadIndex => Some(PeerReply::ReadIndex(this.read_index_as_leader().await)),
                PeerMessage::Question(_) | PeerMessage::Other(_) => None,
            }
        };
        handled.map(|reply| reply.unwrap_or(PeerReply::None)).boxed()
    }
}

impl Consensus {
    async fn handle_append(&self, request: AppendRequest) -> Option<PeerReply> {
        let request = AppendEntriesRequest::<TypeConfig> {
            vote: vote_to_raft(request.vote),
            prev_log_id: request.previous.map(log_id_to_raft),
            entries: request.entries.into_iter().map(entry_to_raft).collect(),
            leader_commit: request.committed.map(log_id_to_raft),
        };
        let reply = match self.0.raft.append_entries(request).await.ok()? {
            AppendEntriesResponse::Success => AppendReply::Success,
            AppendEntriesResponse::PartialSuccess(log_id) => {
                AppendReply::Partial(log_id.as_ref().map(log_id_from_raft))
            }
            AppendEntriesResponse::Conflict => AppendReply::Conflict,
            AppendEntriesResponse::HigherVote(vote) => AppendReply::HigherVote(vote_from_raft(&vote)),
        };
        Some(PeerReply::Append(reply))
    }

    async fn handle_vote(&self, request: VoteRequest, would_only: bool) -> Option<PeerReply> {
        let request = RaftVoteRequest::<TypeConfig> {
            vote: vote_to_raft(request.vote),
            last_log_id: request.last.map(log_id_to_raft),
            leadership_transfer: request.transfer,
        };
        let response: VoteResponse<TypeConfig> = match would_only {
            true => self.0.raft.pre_vote(request).await.ok()?,
            false => self.0.raft.vote(request).await.ok()?,
        };
        Some(PeerReply::Vote(VoteReply {
            vote: vote_from_raft(&response.vote),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(log_id_from_raft),
        }))
    }

    /// First the state, by its own way; then the log's word that it was taken over.
    async fn handle_snapshot(&self, from: NodeId, request: SnapshotRequest) -> Option<PeerReply> {
        let log_id = request.last?;
        if self.failure().is_some() {
            // The log cannot follow the state: fetched now, it would be fetched again and again.
            return None;
        }
        let checkpoint = Checkpoint { log_id, membership: request.membership, manifest: request.manifest };
        // A state at or below what is decided here would be ignored: fetch nothing for it.
        let needed = self.0.shared.decided.borrow().is_none_or(|decided| decided.index < log_id.index);
        if needed && let Err(reason) = self.0.installer.install(from, checkpoint.clone()).await {
            tracing::warn!(from, %reason, "a peer's state could not be installed; it will be tried again");
            return None;
        }
        let meta = SnapshotMeta {
            last_log_id: Some(log_id_to_raft(log_id)),
            last_membership: stored_to_raft(checkpoint.membership.as_ref()),
        };
        let snapshot = Snapshot { meta, snapshot: checkpoint.manifest.clone() };
        *self.0.shared.installing.lock() = Some(checkpoint);
        let response = self.0.raft.install_full_snapshot(vote_to_raft(request.vote), snapshot).await;
        *self.0.shared.installing.lock() = None;
        Some(PeerReply::Snapshot(vote_from_raft(&response.ok()?.vote)))
    }

    async fn handle_transfer(&self, request: TransferRequest) -> Option<PeerReply> {
        let last = request.last.map(log_id_to_raft);
        let request = TransferLeaderRequest::<TypeConfig>::new(vote_to_raft(request.from), request.to, last);
        let response = self.0.raft.handle_transfer_leader(request).await.ok()?;
        Some(PeerReply::Transfer { accepted: response.is_ok() })
    }
}
