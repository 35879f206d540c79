//! Connections that peers opened: their messages go to the handler in the order of arrival, replies go back.

use super::frame::{self, Kind};
use super::link::SILENCE_MAX;
use super::{Heard, Inner, Stream, greeting};
use crate::peer::{Handler, PeerReply};
use crate::token::NodeId;
use futures::FutureExt;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

/// Time for a peer to say who it is.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after the operating system gave no connection, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that have not said yet who they are, at most; more are closed.
const STRANGERS_MAX: usize = 64;

/// The newest connection of each peer. An older one must be over before the newer one is read: messages never overtake.
type Current = Arc<Mutex<BTreeMap<NodeId, JoinHandle<()>>>>;

/// Ends all connections when the listening task ends.
struct EndAll(Current);

impl Drop for EndAll {
    fn drop(&mut self) {
        self.0.lock().values().for_each(JoinHandle::abort);
    }
}

/// Accepts connections for as long as the task lives.
pub(super) async fn listen(network: Arc<Inner>, listener: TcpListener, handler: Arc<dyn Handler>) {
    let current = EndAll(Current::default());
    let mut strangers = JoinSet::new();
    loop {
        while strangers.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, from)) if strangers.len() < STRANGERS_MAX => {
                let (network, handler, current) = (network.clone(), handler.clone(), current.0.clone());
                strangers.spawn(async move {
                    let greeted = time::timeout(GREETING_TIMEOUT, greet(&network, stream)).await;
                    match greeted {
                        Ok(Ok((peer, stream))) => take_over(peer, stream, network, handler, &current).await,
                        Ok(Err(error)) => tracing::warn!(%from, %error, "a connection was refused"),
                        Err(_) => tracing::debug!("a connection that said nothing was closed"),
                    }
                });
            }
            Ok(_) => tracing::warn!("too many connections that do not say who they are; one more was closed"),
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn greet(network: &Inner, stream: tokio::net::TcpStream) -> Result<(NodeId, Stream), greeting::GreetingError> {
    let (mut stream, door) = network.admit(stream).await?;
    let peer = greeting::accept(&mut stream, network.options.node, &door).await?;
    Ok((peer, stream))
}

async fn take_over(peer: NodeId, stream: Stream, network: Arc<Inner>, handler: Arc<dyn Handler>, current: &Current) {
    let older = current.lock().remove(&peer);
    if let Some(older) = older {
        older.abort();
        let _ = older.await;
    }
    let task = tokio::spawn(async move {
        let broken = serve(peer, stream, handler, network.options.waiting_bytes_max).await;
        tracing::info!(peer, error = %broken, "a peer's connection ended");
    });
    if let Some(other) = current.lock().insert(peer, task) {
        // Two at once: the newer one stays.
        other.abort();
    }
}

/// Replies that wait to be written.
#[derive(Default)]
struct Replies {
    bytes: Mutex<Vec<u8>>,
    filled: Notify,
}

impl Replies {
    fn put(&self, kind: Kind, number: u64, reply: &PeerReply) -> io::Result<()> {
        frame::put(&mut self.bytes.lock(), kind, number, reply)?;
        self.filled.notify_one();
        Ok(())
    }
}

/// Until the connection breaks: why.
async fn serve(peer: NodeId, stream: Stream, handler: Arc<dyn Handler>, bytes_max: usize) -> io::Error {
    let (reader, writer) = tokio::io::split(stream);
    let heard = Heard::new(reader);
    let last = heard.last();
    let replies = Arc::new(Replies::default());
    let broken = tokio::select! {
        result = read(peer, heard, &*handler, &replies, bytes_max) => result,
        result = write(writer, &replies) => result,
        () = last.silence(SILENCE_MAX) => Err(io::ErrorKind::TimedOut.into()),
    };
    broken.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

async fn read(
    peer: NodeId,
    mut reader: impl AsyncRead + Unpin,
    handler: &dyn Handler,
    replies: &Arc<Replies>,
    bytes_max: usize,
) -> io::Result<()> {
    loop {
        let frame = frame::read(&mut reader, frame::VALUE_BYTES_MAX).await?;
        if replies.bytes.lock().len() > bytes_max {
            return Err(io::Error::other("the peer asks and does not read the replies"));
        }
        match frame.kind {
            Kind::Ping => {
                frame::put(&mut replies.bytes.lock(), Kind::Pong, 0, &()).map(|()| replies.filled.notify_one())?
            }
            Kind::Message => {
                if let Some(message) = handler.take(peer, frame.decode()?) {
                    let mut handled = handler.handle(peer, message);
                    if (&mut handled).now_or_never().is_none() {
                        tokio::spawn(handled);
                    }
                }
            }
            Kind::Request => {
                let number = frame.number;
                let mut handled = handler.handle(peer, frame.decode()?);
                // Begun now, in the order of arrival; ended when it may.
                match (&mut handled).now_or_never() {
                    Some(reply) => replies.put(Kind::Reply, number, &reply)?,
                    None => {
                        let replies = Arc::downgrade(replies);
                        tokio::spawn(async move {
                            let reply = handled.await;
                            if let Some(replies) = replies.upgrade()
                                && let Err(error) = replies.put(Kind::Reply, number, &reply)
                            {
                                tracing::error!(peer, %error, "a reply cannot be sent");
                            }
                        });
                    }
                }
            }
            Kind::Reply | Kind::Pong | Kind::Greeting => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame that does not belong here"));
            }
        }
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, replies: &Replies) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        replies.filled.notified().await;
        loop {
            bytes.clear();
            std::mem::swap(&mut bytes, &mut *replies.bytes.lock());
            if bytes.is_empty() {
                break;
            }
            writer.write_all(&bytes).await?;
            writer.flush().await?;
        }
        bytes.shrink_to(1 << 20);
    }
}
