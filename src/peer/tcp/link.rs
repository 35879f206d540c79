//! The way to one peer: a connection that this node keeps up, what waits to be written to it, and the requests whose
//! replies are awaited.
//!
//! Messages leave in the order in which they were given, or not at all: what waits when a connection breaks is
//! dropped with it, and so is what comes while there is none.

use super::frame::{self, Kind};
use super::{Heard, Inner, greeting};
use crate::peer::{PeerError, PeerMessage, PeerReply};
use crate::token::NodeId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};
use tokio::time;

/// Time for a connection to come about, greeting included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause after a connection that broke or did not come about; twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Pause after a peer refused this node.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// The peer is asked for a sign of life this often.
const PING: Duration = Duration::from_millis(500);
/// A connection on which nothing comes for so long is given up: one from a machine that vanished is never closed.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The way to one peer.
pub(super) struct Link {
    peer: NodeId,
    bytes_max: usize,
    outbox: Mutex<Outbox>,
    filled: Notify,
    /// The last attempt to connect found nobody who listens.
    is_gone: AtomicBool,
}

#[derive(Default)]
struct Outbox {
    is_open: bool,
    bytes: Vec<u8>,
    pending: HashMap<u64, oneshot::Sender<PeerReply>>,
    requests: u64,
}

impl Link {
    /// At most so many bytes wait for a peer that reads slowly.
    pub fn new(peer: NodeId, bytes_max: usize) -> Arc<Link> {
        Arc::new(Link {
            peer,
            bytes_max,
            outbox: Mutex::default(),
            filled: Notify::new(),
            is_gone: AtomicBool::new(false),
        })
    }

    /// Sends a message; it may be lost.
    pub fn send(&self, message: &PeerMessage) {
        let mut outbox = self.outbox.lock();
        if self.has_room(&outbox)
            && let Err(error) = frame::put(&mut outbox.bytes, Kind::Message, 0, message)
        {
            tracing::error!(peer = self.peer, %error, "a message cannot be sent");
        }
        drop(outbox);
        self.filled.notify_one();
    }

    /// Sends a request; the reply comes through the channel, or its sender is dropped.
    pub fn request(&self, message: &PeerMessage) -> Result<oneshot::Receiver<PeerReply>, PeerError> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut guard = self.outbox.lock();
            let outbox = &mut *guard;
            if !self.has_room(outbox) {
                return Err(PeerError::Unreachable(self.peer));
            }
            outbox.requests += 1;
            if let Err(error) = frame::put(&mut outbox.bytes, Kind::Request, outbox.requests, message) {
                tracing::error!(peer = self.peer, %error, "a request cannot be sent");
                return Err(PeerError::Unreachable(self.peer));
            }
            outbox.pending.insert(outbox.requests, sender);
        }
        self.filled.notify_one();
        Ok(receiver)
    }

    fn has_room(&self, outbox: &Outbox) -> bool {
        outbox.is_open && outbox.bytes.len() < self.bytes_max
    }

    /// Whether there is a connection.
    pub fn is_open(&self) -> bool {
        self.outbox.lock().is_open
    }

    /// Whether the last attempt to connect found nobody who listens.
    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }

    fn open(&self) {
        self.outbox.lock().is_open = true;
        self.is_gone.store(false, Ordering::Relaxed);
    }

    /// Whoever waits for a reply learns at once that none comes.
    fn close(&self) {
        let Outbox { requests, .. } = *self.outbox.lock();
        *self.outbox.lock() = Outbox { requests, ..Outbox::default() };
    }

    /// Keeps a connection up for as long as the task lives.
    pub async fn run(self: Arc<Self>, network: Arc<Inner>) {
        let mut pause = PAUSE_MIN;
        let mut complaint = String::new();
        loop {
            let connecting = time::timeout(CONNECT_TIMEOUT, self.connect(&network));
            let broken = match connecting.await {
                Ok(Ok((reader, writer))) => {
                    tracing::info!(peer = self.peer, "connected");
                    (pause, complaint) = (PAUSE_MIN, String::new());
                    self.open();
                    let broken = self.serve(reader, writer).await;
                    self.close();
                    greeting::GreetingError::Broken(broken)
                }
                Ok(Err(error)) => error,
                Err(_) => greeting::GreetingError::Broken(io::ErrorKind::TimedOut.into()),
            };
            let nobody_listens = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
            let is_gone = matches!(&broken, greeting::GreetingError::Broken(error) if nobody_listens(error));
            self.is_gone.store(is_gone, Ordering::Relaxed);
            let refused = !matches!(broken, greeting::GreetingError::Broken(_));
            let said = broken.to_string();
            if refused && said != complaint {
                tracing::error!(peer = self.peer, reason = said, "this node and its peer do not talk");
                complaint = said;
            } else {
                tracing::info!(peer = self.peer, error = said, "no connection");
            }
            time::sleep(if refused { REFUSED_PAUSE } else { pause }).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn connect(&self, network: &Inner) -> Result<(super::Reader, super::Writer), greeting::GreetingError> {
        let address = network.address(self.peer).ok_or(io::ErrorKind::AddrNotAvailable).map_err(io::Error::from)?;
        let (mut stream, door) = network.dial(&address).await?;
        greeting::dial(&mut stream, network.options.node, Some(self.peer), &door).await?;
        let (reader, writer) = tokio::io::split(stream);
        Ok((Box::new(reader), Box::new(writer)))
    }

    /// Until the connection breaks: why.
    async fn serve(&self, reader: impl AsyncRead + Unpin, writer: impl AsyncWrite + Unpin) -> io::Error {
        let heard = Heard::new(reader);
        let last = heard.last();
        let broken = tokio::select! {
            result = self.read(heard) => result,
            result = self.write(writer) => result,
            () = last.silence(SILENCE_MAX) => Err(io::ErrorKind::TimedOut.into()),
        };
        broken.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    async fn read(&self, mut reader: impl AsyncRead + Unpin) -> io::Result<()> {
        loop {
            let frame = frame::read(&mut reader, frame::VALUE_BYTES_MAX).await?;
            if frame.kind == Kind::Reply {
                let waits = self.outbox.lock().pending.remove(&frame.number);
                let reply = frame.decode()?;
                // Whoever asked may have given up.
                let _ = waits.map(|waits| waits.send(reply));
            }
        }
    }

    async fn write(&self, mut writer: impl AsyncWrite + Unpin) -> io::Result<()> {
        let mut ping = time::interval(PING);
        let mut bytes = Vec::new();
        loop {
            tokio::select! {
                () = self.filled.notified() => {}
                _ = ping.tick() => {
                    let mut outbox = self.outbox.lock();
                    outbox.pending.retain(|_, waits| !waits.is_closed());
                    frame::put(&mut outbox.bytes, Kind::Ping, 0, &())?;
                }
            }
            loop {
                bytes.clear();
                std::mem::swap(&mut bytes, &mut self.outbox.lock().bytes);
                if bytes.is_empty() {
                    break;
                }
                writer.write_all(&bytes).await?;
                writer.flush().await?;
            }
            // One long message must not hold its memory for good.
            bytes.shrink_to(1 << 20);
        }
    }
}
