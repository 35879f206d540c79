//! Nodes of different processes, joined by TCP.
//!
//! Each node dials each of its peers and keeps that connection up; its messages and requests go there, and replies come
//! back on it. So there are two connections between two nodes, one for what each of them begins.
//!
//! ```text
//!   tls        whether it holds a certificate of the cluster's CA, if that is asked for
//!   greeting   who is it, and may it talk to this node
//!   frame      length, checksum, value
//!   link       the way to one peer: what waits, who waits for a reply, reconnection with back-off
//!   accept     what peers send
//! ```
//!
//! Memory for a slow peer is bounded: what does not fit is lost, as the contract of [`Transport`] allows, and its
//! sender learns of it where it waits for a reply.

mod accept;
mod frame;
mod greeting;
mod link;
#[cfg(test)]
mod tests;
mod tls;
#[cfg(test)]
mod tls_tests;

pub use greeting::{Doorkeeper, GreetingError, PROTOCOL_VERSION, Refusal};
pub use tls::{PeerTls, TlsError, TlsFiles};

use super::{Handler, Network, PeerError, PeerMessage, PeerReply, Transport};
use crate::token::NodeId;
use futures::FutureExt;
use futures::future::BoxFuture;
use link::Link;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tls::Proven;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time;

/// Time for a stranger to say who it is.
const INTRODUCE_TIMEOUT: Duration = Duration::from_secs(3);

/// How a node takes part in the network.
pub struct TcpOptions {
    /// This node.
    pub node: NodeId,
    /// Judges peers.
    pub door: Arc<dyn Doorkeeper>,
    /// Bytes that wait for one slow peer, at most (one message more is possible).
    pub waiting_bytes_max: usize,
    /// Peers prove that they belong to the cluster, and so does this node; else anybody may say so.
    pub tls: Option<PeerTls>,
}

/// A node's side of the network.
#[derive(Clone)]
pub struct Tcp {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    options: TcpOptions,
    listener: TcpListener,
    addresses: Mutex<BTreeMap<NodeId, String>>,
    links: Mutex<Links>,
}

/// The way to each peer, and the task that keeps it up.
type Links = BTreeMap<NodeId, (Arc<Link>, JoinHandle<()>)>;

/// A connection, whatever carries it.
trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}
type Stream = Box<dyn Carrier>;
type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

impl Tcp {
    /// Listens on `address` at once; peers are answered from [`Network::attach`] on. `addresses` are those of the
    /// peers, as `HOST:PORT`.
    pub fn bind(address: SocketAddr, addresses: BTreeMap<NodeId, String>, options: TcpOptions) -> io::Result<Tcp> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let (addresses, links) = (Mutex::new(addresses), Mutex::default());
        Ok(Tcp { inner: Arc::new(Inner { options, listener, addresses, links }) })
    }

    /// Where it listens.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.inner.listener.local_addr()
    }

    /// Asks who listens at an address, and notes it; for a node that knows no more of its cluster.
    pub async fn introduce(&self, address: &str) -> Result<NodeId, GreetingError> {
        let greeting = async {
            let (mut stream, door) = self.inner.dial(address).await?;
            greeting::dial(&mut stream, self.inner.options.node, None, &door).await
        };
        let node = time::timeout(INTRODUCE_TIMEOUT, greeting)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.set_address(node, address);
        Ok(node)
    }
}

impl Network for Tcp {
    fn transport(&self, node: NodeId) -> Arc<dyn Transport> {
        debug_assert_eq!(node, self.inner.options.node, "one node on each side");
        let transport = TcpTransport { inner: self.inner.clone(), runtime: Handle::current() };
        // At once, so that a node that only listens knows who is there.
        let peers: Vec<NodeId> = self.inner.addresses.lock().keys().copied().filter(|peer| *peer != node).collect();
        peers.into_iter().for_each(|peer| drop(transport.link(peer)));
        Arc::new(transport)
    }

    fn attach(&self, node: NodeId, handler: Arc<dyn Handler>) -> JoinHandle<()> {
        debug_assert_eq!(node, self.inner.options.node, "one node on each side");
        let inner = self.inner.clone();
        tokio::spawn(async move {
            let listener = inner.listener.try_clone().and_then(tokio::net::TcpListener::from_std);
            match listener {
                Ok(listener) => accept::listen(inner, listener, handler).await,
                Err(error) => tracing::error!(%error, "this node cannot listen to its peers"),
            }
        })
    }

    fn set_address(&self, peer: NodeId, address: &str) {
        self.inner.addresses.lock().insert(peer, address.into());
    }

    fn reaches(&self, peer: NodeId) -> bool {
        self.inner.links.lock().get(&peer).is_some_and(|(link, _)| link.is_open())
    }

    fn is_gone(&self, peer: NodeId) -> bool {
        self.inner.links.lock().get(&peer).is_some_and(|(link, _)| link.is_gone())
    }

    fn detach(&self, _node: NodeId) {
        for (_, (_, task)) in std::mem::take(&mut *self.inner.links.lock()) {
            task.abort();
        }
    }
}

impl Inner {
    fn address(&self, peer: NodeId) -> Option<String> {
        self.addresses.lock().get(&peer).cloned()
    }

    /// A connection, and who judges what comes over it.
    async fn dial(&self, address: &str) -> Result<(Stream, Proven), GreetingError> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        match &self.options.tls {
            Some(tls) => tls.dial(stream).await.map(|(stream, named)| (stream, self.proven(named))),
            None => Ok((Box::new(stream), self.proven(Vec::new()))),
        }
    }

    /// The same for a connection that somebody opened.
    async fn admit(&self, stream: tokio::net::TcpStream) -> Result<(Stream, Proven), GreetingError> {
        stream.set_nodelay(true)?;
        match &self.options.tls {
            Some(tls) => {
                tls.accept(stream, self.options.node).await.map(|(stream, named)| (stream, self.proven(named)))
            }
            None => Ok((Box::new(stream), self.proven(Vec::new()))),
        }
    }

    fn proven(&self, named: Vec<NodeId>) -> Proven {
        Proven { door: self.options.door.clone(), named }
    }
}

/// The sending side.
struct TcpTransport {
    inner: Arc<Inner>,
    runtime: Handle,
}

impl TcpTransport {
    fn link(&self, peer: NodeId) -> Option<Arc<Link>> {
        let mut links = self.inner.links.lock();
        if let Some((link, _)) = links.get(&peer) {
            return Some(link.clone());
        }
        self.inner.address(peer)?;
        let link = Link::new(peer, self.inner.options.waiting_bytes_max);
        let task = self.runtime.spawn(link.clone().run(self.inner.clone()));
        links.insert(peer, (link.clone(), task));
        Some(link)
    }
}

impl Transport for TcpTransport {
    fn send(&self, to: NodeId, message: PeerMessage) {
        // Lost messages are part of the contract.
        if let Some(link) = self.link(to) {
            link.send(&message);
        }
    }

    fn request(
        &self,
        to: NodeId,
        message: PeerMessage,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<PeerReply, PeerError>> {
        let asked = self.link(to).ok_or(PeerError::NoSuchPeer(to)).and_then(|link| link.request(&message));
        async move {
            match time::timeout(timeout, asked?).await {
                Ok(Ok(reply)) => Ok(reply),
                Ok(Err(_)) => Err(PeerError::Unreachable(to)),
                Err(_) => Err(PeerError::TimedOut(to, timeout)),
            }
        }
        .boxed()
    }
}

/// A reader that notes when something came last.
struct Heard<R> {
    reader: R,
    last: Last,
}

/// When something came last, in milliseconds of a clock of its own.
#[derive(Clone)]
struct Last {
    began: time::Instant,
    at_ms: Arc<AtomicU64>,
}

impl<R> Heard<R> {
    fn new(reader: R) -> Self {
        Heard { reader, last: Last { began: time::Instant::now(), at_ms: Arc::default() } }
    }

    fn last(&self) -> Last {
        self.last.clone()
    }
}

impl Last {
    /// Ends when nothing has come for so long.
    async fn silence(self, max: Duration) {
        loop {
            let last = self.began + Duration::from_millis(self.at_ms.load(Ordering::Relaxed));
            if last.elapsed() >= max {
                return;
            }
            time::sleep_until(last + max).await;
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Heard<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let polled = Pin::new(&mut self.reader).poll_read(context, buffer);
        if polled.is_ready() && buffer.filled().len() > filled {
            self.last.at_ms.store(self.last.began.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
        polled
    }
}
