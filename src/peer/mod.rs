//! What nodes say to each other, and what carries it.
//!
//! In the walk of a transaction: a follower's session submits here, consensus replicates here, replicas
//! exchange tokens here. This module knows the messages and not what is done with them: that is a
//! [`Handler`]'s business. [`InProcess`] joins nodes of one process, with faults for tests; [`Tcp`] joins processes.

mod in_process;
mod message;
mod tcp;

pub use in_process::{Faults, InProcess, InProcessTransport};
pub use message::{
    AppendReply, AppendRequest, PeerMessage, PeerReply, SnapshotRequest, TransferRequest, VoteReply, VoteRequest,
};
pub use tcp::{Doorkeeper, GreetingError, PROTOCOL_VERSION, PeerTls, Refusal, Tcp, TcpOptions, TlsError, TlsFiles};

use crate::token::NodeId;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Why a request has no reply. Whether the peer acted on it is unknown, except for [`PeerError::NoSuchPeer`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No address is known.
    #[error("node {0} is not known")]
    NoSuchPeer(NodeId),
    /// The connection failed, or the message was lost.
    #[error("node {0} cannot be reached")]
    Unreachable(NodeId),
    /// No reply in time.
    #[error("node {0} did not reply within {1:?}")]
    TimedOut(NodeId, Duration),
}

/// Carries messages to peers.
///
/// Messages to one peer arrive in the order in which `send` and `request` were called, or not at all; only those that
/// [`Handler::take`] takes may overtake others. Both return at once; a request's future only waits for the reply.
pub trait Transport: Send + Sync + 'static {
    /// Sends a message that has no reply; it may be lost.
    fn send(&self, to: NodeId, message: PeerMessage);
    /// Sends a message and waits for its reply.
    fn request(
        &self,
        to: NodeId,
        message: PeerMessage,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<PeerReply, PeerError>>;
}

/// Receives messages from peers.
pub trait Handler: Send + Sync + 'static {
    /// Acts on a message. Called, and the future polled once, in the order of arrival; then the future may take
    /// its time, and messages that come later are handled meanwhile. The reply to a message that was only sent is thrown away.
    fn handle(&self, from: NodeId, message: PeerMessage) -> BoxFuture<'static, PeerReply>;
    /// Takes a message that has no reply, on the sender's thread and possibly before messages that were sent earlier,
    /// or gives it back to be delivered in turn.
    fn take(&self, _from: NodeId, message: PeerMessage) -> Option<PeerMessage> {
        Some(message)
    }
}

/// A way for nodes to find each other.
pub trait Network: Send + Sync + 'static {
    /// The sending side of a node; called on the runtime that its connections, if it has any, then run on.
    fn transport(&self, node: NodeId) -> Arc<dyn Transport>;
    /// Delivers a node's messages to `handler`, on the runtime that this is called on. Aborting the task takes the
    /// node off the network.
    fn attach(&self, node: NodeId, handler: Arc<dyn Handler>) -> JoinHandle<()>;
    /// Tells a node's address, or a new one; of no meaning where nodes have none.
    fn set_address(&self, _node: NodeId, _address: &str) {}
    /// Whether messages can be sent to a node now, as far as that is known.
    fn reaches(&self, _node: NodeId) -> bool {
        true
    }
    /// Whether a node's process is known to have ended: its machine says that nobody listens at its address.
    fn is_gone(&self, _node: NodeId) -> bool {
        false
    }
    /// Takes a node off the network: messages to it and from it are lost.
    fn detach(&self, node: NodeId);
}
