//! openraft's outgoing messages, carried by the [`Transport`].
//!
//! Entries are pipelined: the next message leaves before the last one is acknowledged. That needs a transport that
//! keeps their order: a follower that gets a message before its predecessor answers *conflict*, and openraft, which
//! then sees an acknowledged entry missing, takes it for lost data and panics.

use super::types::{
    TypeConfig, entry_from_raft, log_id_from_raft, log_id_to_raft, stored_from_raft, vote_from_raft, vote_to_raft,
};
use crate::peer::{
    AppendReply, AppendRequest, PeerError, PeerMessage, PeerReply, SnapshotRequest, TransferRequest, Transport,
    VoteRequest,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, future};
use openraft::alias::{LogIdOf, SnapshotOf, VoteOf};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    VoteRequest as RaftVoteRequest, VoteResponse,
};
use openraft::raft::{TransferLeaderError, TransferLeaderResponse};
use openraft::{BasicNode, OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use std::future::Future;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

/// Append messages on their way to one follower.
const APPENDS_IN_FLIGHT_MAX: usize = 16;
/// Pause before an unreachable follower is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Makes a [`Peer`] for each target.
pub(crate) struct Network {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) timeout: Duration,
    pub(crate) snapshot_timeout: Duration,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &BasicNode) -> Peer {
        let (timeout, snapshot_timeout) = (self.timeout, self.snapshot_timeout);
        Peer { transport: self.transport.clone(), target, timeout, snapshot_timeout }
    }
}

/// The way to one peer.
pub(crate) struct Peer {
    transport: Arc<dyn Transport>,
    target: u64,
    timeout: Duration,
    snapshot_timeout: Duration,
}

type Failure = RPCError<TypeConfig>;

fn failure(error: PeerError) -> Failure {
    match error {
        PeerError::TimedOut(..) => NetworkError::new(&error).into(),
        PeerError::NoSuchPeer(_) | PeerError::Unreachable(_) => Unreachable::new(&error).into(),
    }
}

fn wrong_reply() -> Failure {
    NetworkError::from_string("the peer is stopping, or replied to something else").into()
}

fn append_message(request: AppendEntriesRequest<TypeConfig>) -> PeerMessage {
    PeerMessage::Append(AppendRequest {
        vote: vote_from_raft(&request.vote),
        previous: request.prev_log_id.as_ref().map(log_id_from_raft),
        entries: request.entries.into_iter().map(entry_from_raft).collect(),
        committed: request.leader_commit.as_ref().map(log_id_from_raft),
    })
}

fn append_response(reply: Result<PeerReply, PeerError>) -> Result<AppendEntriesResponse<TypeConfig>, Failure> {
    match reply.map_err(failure)? {
        PeerReply::Append(AppendReply::Success) => Ok(AppendEntriesResponse::Success),
        PeerReply::Append(AppendReply::Partial(log_id)) => {
            Ok(AppendEntriesResponse::PartialSuccess(log_id.map(log_id_to_raft)))
        }
        PeerReply::Append(AppendReply::Conflict) => Ok(AppendEntriesResponse::Conflict),
        PeerReply::Append(AppendReply::HigherVote(vote)) => Ok(AppendEntriesResponse::HigherVote(vote_to_raft(vote))),
        _ => Err(wrong_reply()),
    }
}

/// An acknowledgement, and whether the pipeline goes on after it.
type Acknowledged = (Result<StreamAppendResult<TypeConfig>, Failure>, bool);

fn acknowledged(
    previous: Option<LogIdOf<TypeConfig>>,
    last: Option<LogIdOf<TypeConfig>>,
    reply: Result<PeerReply, PeerError>,
) -> Acknowledged {
    match append_response(reply) {
        Err(error) => (Err(error), false),
        Ok(response) => {
            let goes_on = match &response {
                AppendEntriesResponse::Success => true,
                AppendEntriesResponse::PartialSuccess(up_to) => *up_to == last,
                AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => false,
            };
            (Ok(response.into_stream_result(previous, last)), goes_on)
        }
    }
}

impl Peer {
    async fn ask(&self, message: PeerMessage, timeout: Duration) -> Result<PeerReply, Failure> {
        self.transport.request(self.target, message, timeout).await.map_err(failure)
    }

    async fn ask_vote(
        &self,
        request: RaftVoteRequest<TypeConfig>,
        message: fn(VoteRequest) -> PeerMessage,
        timeout: Duration,
    ) -> Result<VoteResponse<TypeConfig>, Failure> {
        let request = VoteRequest {
            vote: vote_from_raft(&request.vote),
            last: request.last_log_id.as_ref().map(log_id_from_raft),
            transfer: request.leadership_transfer,
        };
        match self.ask(message(request), timeout).await? {
            PeerReply::Vote(reply) => {
                Ok(VoteResponse::new(vote_to_raft(reply.vote), reply.last.map(log_id_to_raft), reply.granted))
            }
            _ => Err(wrong_reply()),
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Failure> {
        let message = append_message(request);
        append_response(self.transport.request(self.target, message, option.hard_ttl()).await)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, Failure>>, Failure>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let this: &'s Peer = self;
        let replies = input.map(move |request| {
            let previous = request.prev_log_id;
            let last = request.entries.last().map(|entry| entry.log_id).or(previous);
            // Posted here, in order; only the reply is awaited below.
            let reply = this.transport.request(this.target, append_message(request), this.timeout);
            async move { acknowledged(previous, last, reply.await) }
        });
        let in_order = replies.buffered(APPENDS_IN_FLIGHT_MAX).scan(true, |open, (result, goes_on)| {
            let item = open.then_some(result);
            *open = goes_on;
            future::ready(item)
        });
        let stream: BoxStream<'s, _> = Box::pin(in_order);
        Box::pin(future::ready(Ok(stream)))
    }

    async fn vote(
        &mut self,
        request: RaftVoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Failure> {
        self.ask_vote(request, PeerMessage::Vote, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: RaftVoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Failure> {
        self.ask_vote(request, PeerMessage::PreVote, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<TypeConfig>,
        snapshot: SnapshotOf<TypeConfig, Bytes>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let message = PeerMessage::Snapshot(SnapshotRequest {
            vote: vote_from_raft(&vote),
            last: snapshot.meta.last_log_id.as_ref().map(log_id_from_raft),
            membership: stored_from_raft(&snapshot.meta.last_membership),
            manifest: snapshot.snapshot,
        });
        let reply = self.ask(message, self.snapshot_timeout);
        futures::pin_mut!(reply, cancel);
        match future::select(reply, cancel).await {
            future::Either::Left((Ok(PeerReply::Snapshot(vote)), _)) => Ok(SnapshotResponse::new(vote_to_raft(vote))),
            future::Either::Left((Ok(_), _)) => Err(wrong_reply().into()),
            future::Either::Left((Err(error), _)) => Err(error.into()),
            future::Either::Right((closed, _)) => Err(closed.into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Failure> {
        let message = PeerMessage::Transfer(TransferRequest {
            from: vote_from_raft(request.from_leader()),
            to: *request.to_node_id(),
            last: request.last_log_id().map(log_id_from_raft),
        });
        match self.ask(message, option.hard_ttl()).await? {
            PeerReply::Transfer { accepted: true } => Ok(Ok(())),
            PeerReply::Transfer { accepted: false } => {
                // Which of its two reasons it was does not matter to the leader, who only logs it.
                Ok(Err(TransferLeaderError::LogNotFlushed { expected: request.last_log_id().cloned(), actual: None }))
            }
            _ => Err(wrong_reply()),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(iter::repeat(RETRY_PAUSE)))
    }
}
