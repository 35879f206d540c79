//! Nodes of one process, joined by channels, with faults on demand.
//!
//! Each node's messages are handled on its own runtime, in order of arrival. Faults are drawn from a seed,
//! so that on one paused runtime a run repeats.

use super::{Handler, Network, PeerError, PeerMessage, PeerReply, Transport};
use crate::token::NodeId;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

/// A connection on which something was lost is given up after this long, as between processes: who still waits for a
/// reply then learns that none comes.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// What goes wrong between nodes.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Faults {
    /// Share of messages and replies lost, 0 to 1.
    pub loss: f64,
    /// Delay of a message and of a reply: at least.
    pub delay_min: Duration,
    /// Delay of a message and of a reply: at most. Zero: delivered at once. Messages from one node to another
    /// never overtake each other, as on one connection; replies may.
    pub delay_max: Duration,
}

struct Letter {
    from: NodeId,
    message: PeerMessage,
    reply: Option<oneshot::Sender<PeerReply>>,
}

/// A node on the network.
struct Attached {
    handler: Arc<dyn Handler>,
    inbox: mpsc::UnboundedSender<Letter>,
    handling: Arc<Handling>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.handling.0.lock().abort_all();
    }
}

/// What a node has not answered yet. It ends when the node leaves the network: nobody who waits for an answer of a
/// process that is gone may wait on.
#[derive(Default)]
struct Handling(Mutex<JoinSet<()>>);

impl Handling {
    fn spawn(&self, answering: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(answering);
    }
}

#[derive(Default)]
struct Switchboard {
    attached: BTreeMap<NodeId, Attached>,
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
    fn is_faulty(&self) -> bool {
        self.faults != Faults::default() || !self.cut.is_empty()
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
    is_direct: bool,
}

impl InProcess {
    /// A network without faults; `seed` is for those set later.
    pub fn new(seed: u64) -> Self {
        let board = Switchboard { random: seed, ..Switchboard::default() };
        InProcess { board: Arc::new(Mutex::new(board)), is_direct: false }
    }
    /// One that offers messages without a reply to their receiver at once ([`Handler::take`]), while nothing is
    /// faulty: for nodes with threads, whom a detour over the receiver's runtime costs a wake-up.
    pub fn direct(seed: u64) -> Self {
        InProcess { is_direct: true, ..InProcess::new(seed) }
    }
    /// The sending side of a node.
    pub fn transport(&self, from: NodeId) -> Arc<InProcessTransport> {
        Arc::new(InProcessTransport { network: self.clone(), from })
    }
    /// Delivers a node's messages to `handler`, on the runtime that this is called on. Replaces an earlier
    /// handler of that node, whose messages are lost. Aborting the task takes the node off the network.
    pub fn attach(&self, node: NodeId, handler: Arc<dyn Handler>) -> JoinHandle<()> {
        let (inbox, receiver) = mpsc::unbounded_channel();
        let handling = Arc::<Handling>::default();
        let attached = Attached { handler: handler.clone(), inbox, handling: handling.clone() };
        let before = self.board.lock().attached.insert(node, attached);
        drop(before);
        tokio::spawn(deliver(Delivery { network: self.clone(), node, handler, handling }, receiver))
    }
    /// Takes a node off the network: messages to it fail at once, as those to a process that ended.
    pub fn detach(&self, node: NodeId) {
        let gone = self.board.lock().attached.remove(&node);
        // Behind the lock: what was being answered may hold parts that use the network.
        drop(gone);
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
        let others: Vec<NodeId> = self.board.lock().attached.keys().copied().filter(|other| *other != node).collect();
        others.into_iter().for_each(|other| self.set_link(node, other, !isolated));
    }
    fn is_faulty(&self) -> bool {
        self.board.lock().is_faulty()
    }
    fn is_attached(&self, node: NodeId) -> bool {
        self.board.lock().attached.contains_key(&node)
    }
    /// Messages delivered so far.
    pub fn delivered(&self) -> u64 {
        self.board.lock().delivered
    }
}

impl Network for InProcess {
    fn transport(&self, node: NodeId) -> Arc<dyn Transport> {
        InProcess::transport(self, node)
    }
    fn attach(&self, node: NodeId, handler: Arc<dyn Handler>) -> JoinHandle<()> {
        InProcess::attach(self, node, handler)
    }
    fn detach(&self, node: NodeId) {
        InProcess::detach(self, node);
    }
}

/// A delayed message, and when it is due.
type Delayed = (time::Instant, Letter);

/// The messages from one node that are under way, in order.
struct Link {
    sender: mpsc::UnboundedSender<Delayed>,
    under_way: Arc<AtomicUsize>,
    due: time::Instant,
}

/// One node's incoming messages.
struct Delivery {
    network: InProcess,
    node: NodeId,
    handler: Arc<dyn Handler>,
    handling: Arc<Handling>,
}

async fn deliver(delivery: Delivery, mut inbox: mpsc::UnboundedReceiver<Letter>) {
    let delivery = Arc::new(delivery);
    let mut links = BTreeMap::<NodeId, Link>::new();
    while let Some(letter) = inbox.recv().await {
        let fate = {
            let mut board = delivery.network.board.lock();
            board.delivered += 1;
            board.fate(letter.from, delivery.node)
        };
        let Some(delay) = fate else { continue };
        let under_way = links.get(&letter.from).map_or(0, |link| link.under_way.load(Ordering::Acquire));
        if delay.is_zero() && under_way == 0 {
            delivery.hand_over(letter);
            continue;
        }
        let link = links.entry(letter.from).or_insert_with(|| Link::start(delivery.clone()));
        link.due = link.due.max(time::Instant::now() + delay);
        link.under_way.fetch_add(1, Ordering::AcqRel);
        // The link ends with this task only.
        let _ = link.sender.send((link.due, letter));
    }
}

impl Link {
    fn start(delivery: Arc<Delivery>) -> Link {
        let (sender, mut receiver) = mpsc::unbounded_channel::<Delayed>();
        let under_way = Arc::new(AtomicUsize::new(0));
        let count = under_way.clone();
        tokio::spawn(async move {
            while let Some((due, letter)) = receiver.recv().await {
                time::sleep_until(due).await;
                delivery.hand_over(letter);
                count.fetch_sub(1, Ordering::AcqRel);
            }
        });
        Link { sender, under_way, due: time::Instant::now() }
    }
}

impl Delivery {
    /// Lets the handler begin now, in order of arrival, and end when it may.
    fn hand_over(&self, letter: Letter) {
        let Letter { from, message, reply } = letter;
        let mut handled = self.handler.handle(from, message);
        let begun = (&mut handled).now_or_never();
        let (network, node) = (self.network.clone(), self.node);
        match begun {
            Some(answer) if !network.is_faulty() => {
                let _ = reply.map(|reply| reply.send(answer));
            }
            begun => {
                self.handling.spawn(async move {
                    let answer = match begun {
                        Some(answer) => answer,
                        None => handled.await,
                    };
                    let Some(reply) = reply else { return };
                    let fate = network.board.lock().fate(node, from);
                    let Some(delay) = fate else { return };
                    if !delay.is_zero() {
                        time::sleep(delay).await;
                    }
                    let _ = reply.send(answer);
                });
            }
        }
    }
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
        let attached = board.attached.get(&to).ok_or(PeerError::NoSuchPeer(to))?;
        attached.inbox.send(Letter { from: self.from, message, reply }).map_err(|_| PeerError::Unreachable(to))
    }

    /// Who takes messages at once, if that is allowed now.
    fn at_once(&self, to: NodeId) -> Option<Arc<dyn Handler>> {
        let board = self.network.board.lock();
        let allowed = self.network.is_direct && !board.is_faulty();
        board.attached.get(&to).filter(|_| allowed).map(|attached| attached.handler.clone())
    }
}

impl Transport for InProcessTransport {
    fn send(&self, to: NodeId, message: PeerMessage) {
        let left = match self.at_once(to) {
            Some(handler) => handler.take(self.from, message),
            None => Some(message),
        };
        // Lost messages are part of the contract.
        left.map(|message| self.post(to, message, None));
    }

    fn request(
        &self,
        to: NodeId,
        message: PeerMessage,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<PeerReply, PeerError>> {
        let (sender, receiver) = oneshot::channel();
        let posted = self.post(to, message, Some(sender));
        let network = self.network.clone();
        Box::pin(async move {
            posted?;
            let deadline = time::Instant::now() + timeout;
            match time::timeout_at(deadline, receiver).await {
                Ok(Ok(reply)) => Ok(reply),
                // It ended meanwhile.
                Ok(Err(_)) if !network.is_attached(to) => Err(PeerError::Unreachable(to)),
                Ok(Err(_)) => {
                    let given_up = time::Instant::now() + SILENCE_MAX;
                    time::sleep_until(deadline.min(given_up)).await;
                    match given_up < deadline {
                        true => Err(PeerError::Unreachable(to)),
                        false => Err(PeerError::TimedOut(to, timeout)),
                    }
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

    /// Has an answer for nobody.
    struct Silent;

    impl Handler for Silent {
        fn handle(&self, _from: NodeId, _message: PeerMessage) -> BoxFuture<'static, PeerReply> {
            Box::pin(futures::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_answer_of_a_node_learns_at_once_that_it_left() {
        let network = InProcess::new(1);
        network.attach(2, Arc::new(Silent));
        let began = time::Instant::now();
        let asked = network.transport(1).request(2, PeerMessage::ReadIndex, Duration::from_secs(600));
        let asked = tokio::spawn(asked);
        time::sleep(Duration::from_millis(10)).await;
        network.detach(2);
        assert_eq!(asked.await.unwrap(), Err(PeerError::Unreachable(2)));
        assert!(began.elapsed() < SILENCE_MAX);
    }

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
        let began = time::Instant::now();
        let patient = network.transport(1).request(2, PeerMessage::ReadIndex, 20 * SILENCE_MAX).await;
        assert_eq!(patient, Err(PeerError::Unreachable(2)), "who has more patience learns of it earlier");
        assert!(began.elapsed() < 2 * SILENCE_MAX);
        network.set_direction(2, 1, true);
        network.set_faults(Faults { loss: 0.5, delay_min: Duration::ZERO, delay_max: Duration::from_millis(5) });
        let mut answered = 0;
        for _ in 0..100 {
            answered += ask(&network).await.is_ok() as u32;
        }
        assert!((10..40).contains(&answered), "a quarter should pass, not {answered}");
    }
}
