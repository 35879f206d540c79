//! Nodes of one process, joined by channels, with faults on demand.
//!
//! Each node's messages are handled on its own runtime, in order of arrival. Faults are drawn from a seed,
//! so that on one paused runtime a run repeats.

use super::{Handler, PeerError, PeerMessage, PeerReply, Transport};
use crate::token::NodeId;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time;

/// What goes wrong between nodes.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Faults {
    /// Share of messages and replies lost, 0 to 1.
    pub loss: f64,
    /// Delay of a message and of a reply: at least.
    pub delay_min: Duration,
    /// Delay of a message and of a reply: at most. Zero: delivered at once. Delayed messages may overtake
    /// each other, unlike in real life: receivers must cope.
    pub delay_max: Duration,
}

struct Letter {
    from: NodeId,
    message: PeerMessage,
    reply: Option<oneshot::Sender<PeerReply>>,
}

#[derive(Default)]
struct Switchboard {
    inboxes: BTreeMap<NodeId, mpsc::UnboundedSender<Letter>>,
    faults: Faults,
    /// Directed links that carry nothing.
    cut: BTreeSet<(NodeId, NodeId)>,
    random: u64,
    delivered: u64,
}

impl Switchboard {
    /// SplitMix64: as good as is needed to lose a message.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Whether a message passes, and how long it takes.
    fn fate(&mut self, from: NodeId, to: NodeId) -> Option<Duration> {
        if self.cut.contains(&(from, to)) {
            return None;
        }
        if self.faults.loss > 0.0 && (self.draw() as f64 / u64::MAX as f64) < self.faults.loss {
            return None;
        }
        let span = self.faults.delay_max.saturating_sub(self.faults.delay_min).as_nanos() as u64;
        let extra = if span == 0 { 0 } else { self.draw() % span };
        Some(self.faults.delay_min + Duration::from_nanos(extra))
    }
}

/// The network of one process.
#[derive(Clone)]
pub struct InProcess {
    board: Arc<Mutex<Switchboard>>,
}

impl InProcess {
    /// A network without faults; `seed` is for those set later.
    pub fn new(seed: u64) -> Self {
        InProcess { board: Arc::new(Mutex::new(Switchboard { random: seed, ..Switchboard::default() })) }
    }
    /// The sending side of a node.
    pub fn transport(&self, from: NodeId) -> Arc<InProcessTransport> {
        Arc::new(InProcessTransport { network: self.clone(), from })
    }
    /// Delivers a node's messages to `handler`, on the runtime that this is called on. Replaces an earlier
    /// handler of that node, whose messages are lost. Aborting the task takes the node off the network.
    pub fn attach(&self, node: NodeId, handler: Arc<dyn Handler>) -> JoinHandle<()> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.board.lock().inboxes.insert(node, sender);
        tokio::spawn(deliver(self.clone(), node, handler, receiver))
    }
    /// Takes a node off the network: messages to it fail at once.
    pub fn detach(&self, node: NodeId) {
        self.board.lock().inboxes.remove(&node);
    }
    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.board.lock().faults = faults;
    }
    /// Cuts or mends the link between two nodes, in both directions.
    pub fn set_link(&self, a: NodeId, b: NodeId, up: bool) {
        self.set_direction(a, b, up);
        self.set_direction(b, a, up);
    }
    /// Cuts or mends one direction of a link.
    pub fn set_direction(&self, from: NodeId, to: NodeId, up: bool) {
        let mut board = self.board.lock();
        match up {
            true => board.cut.remove(&(from, to)),
            false => board.cut.insert((from, to)),
        };
    }
    /// Cuts a node off from all others, or joins it again.
    pub fn set_isolated(&self, node: NodeId, isolated: bool) {
        let others: Vec<NodeId> = self.board.lock().inboxes.keys().copied().filter(|other| *other != node).collect();
        others.into_iter().for_each(|other| self.set_link(node, other, !isolated));
    }
    /// Messages delivered so far.
    pub fn delivered(&self) -> u64 {
        self.board.lock().delivered
    }
}

async fn deliver(
    network: InProcess,
    node: NodeId,
    handler: Arc<dyn Handler>,
    mut inbox: mpsc::UnboundedReceiver<Letter>,
) {
    while let Some(letter) = inbox.recv().await {
        let fate = {
            let mut board = network.board.lock();
            board.delivered += 1;
            board.fate(letter.from, node)
        };
        // A lost message drops its reply's sender: the request's future knows at once. It is told nothing
        // before its time-out, as in real life.
        let Some(delay) = fate else { continue };
        let Letter { from, message, reply } = letter;
        if delay.is_zero() {
            answer(network.clone(), node, from, handler.handle(from, message), reply);
        } else {
            let (network, handler) = (network.clone(), handler.clone());
            tokio::spawn(async move {
                time::sleep(delay).await;
                let handled = handler.handle(from, message);
                answer(network, node, from, handled, reply);
            });
        }
    }
}

fn answer(
    network: InProcess,
    node: NodeId,
    from: NodeId,
    handled: BoxFuture<'static, PeerReply>,
    reply: Option<oneshot::Sender<PeerReply>>,
) {
    tokio::spawn(async move {
        let answer = handled.await;
        let Some(reply) = reply else { return };
        let fate = network.board.lock().fate(node, from);
        let Some(delay) = fate else { return };
        if !delay.is_zero() {
            time::sleep(delay).await;
        }
        let _ = reply.send(answer);
    });
}

/// One node's side of an [`InProcess`] network.
pub struct InProcessTransport {
    network: InProcess,
    from: NodeId,
}

impl InProcessTransport {
    fn post(
        &self,
        to: NodeId,
        message: PeerMessage,
        reply: Option<oneshot::Sender<PeerReply>>,
    ) -> Result<(), PeerError> {
        let board = self.network.board.lock();
        let inbox = board.inboxes.get(&to).ok_or(PeerError::NoSuchPeer(to))?;
        inbox.send(Letter { from: self.from, message, reply }).map_err(|_| PeerError::Unreachable(to))
    }
}

impl Transport for InProcessTransport {
    fn send(&self, to: NodeId, message: PeerMessage) {
        // Lost messages are part of the contract.
        let _ = self.post(to, message, None);
    }

    fn request(
        &self,
        to: NodeId,
        message: PeerMessage,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<PeerReply, PeerError>> {
        let (sender, receiver) = oneshot::channel();
        let posted = self.post(to, message, Some(sender));
        Box::pin(async move {
            posted?;
            let deadline = time::Instant::now() + timeout;
            match time::timeout_at(deadline, receiver).await {
                Ok(Ok(reply)) => Ok(reply),
                Ok(Err(_)) => {
                    time::sleep_until(deadline).await;
                    Err(PeerError::TimedOut(to, timeout))
                }
                Err(_) => Err(PeerError::TimedOut(to, timeout)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    struct Echo;

    impl Handler for Echo {
        fn handle(&self, from: NodeId, message: PeerMessage) -> BoxFuture<'static, PeerReply> {
            Box::pin(async move {
                match message {
                    PeerMessage::Other(bytes) => PeerReply::Bytes([&bytes[..], &[from as u8]].concat().into()),
                    _ => PeerReply::None,
                }
            })
        }
    }

    async fn ask(network: &InProcess) -> Result<PeerReply, PeerError> {
        let message = PeerMessage::Other(Bytes::from_static(b"x"));
        network.transport(1).request(2, message, Duration::from_millis(50)).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_answered_a_cut_link_times_out_and_a_gone_node_fails_at_once() {
        let network = InProcess::new(1);
        assert_eq!(ask(&network).await, Err(PeerError::NoSuchPeer(2)));
        network.attach(2, Arc::new(Echo));
        assert_eq!(ask(&network).await, Ok(PeerReply::Bytes(Bytes::from_static(b"x\x01"))));
        network.set_direction(2, 1, false);
        let timeout = Duration::from_millis(50);
        assert_eq!(ask(&network).await, Err(PeerError::TimedOut(2, timeout)));
        network.set_direction(2, 1, true);
        network.set_faults(Faults { loss: 0.5, delay_min: Duration::ZERO, delay_max: Duration::from_millis(5) });
        let mut answered = 0;
        for _ in 0..100 {
            answered += ask(&network).await.is_ok() as u32;
        }
        assert!((10..40).contains(&answered), "a quarter should pass, not {answered}");
    }
}
