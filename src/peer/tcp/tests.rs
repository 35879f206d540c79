use super::*;
use bytes::Bytes;

/// Lets in whoever shows the same word.
pub(super) struct Word {
    word: &'static str,
    refusal: Mutex<Option<Refusal>>,
}

impl Word {
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal.lock().clone()
    }
}

impl Doorkeeper for Word {
    fn credentials(&self) -> Bytes {
        Bytes::from_static(self.word.as_bytes())
    }
    fn admit(&self, peer: NodeId, credentials: &[u8]) -> Result<(), Refusal> {
        let said = String::from_utf8_lossy(credentials);
        let reason = format!("node {peer} says {said}, not {}", self.word);
        if said == self.word { Ok(()) } else { Err(Refusal { reason, is_final: true }) }
    }
    fn refused(&self, _by: NodeId, refusal: &Refusal) {
        *self.refusal.lock() = Some(refusal.clone());
    }
}

pub(super) struct Side {
    pub tcp: Tcp,
    pub door: Arc<Word>,
    pub transport: Arc<dyn Transport>,
}

pub(super) fn side(node: NodeId, word: &'static str, waiting_bytes_max: usize) -> Side {
    side_with(node, word, waiting_bytes_max, None)
}

pub(super) fn side_with(node: NodeId, word: &'static str, waiting_bytes_max: usize, tls: Option<PeerTls>) -> Side {
    let door = Arc::new(Word { word, refusal: Mutex::default() });
    let options = TcpOptions { node, door: door.clone(), waiting_bytes_max, tls };
    let tcp = Tcp::bind(SocketAddr::from(([127, 0, 0, 1], 0)), BTreeMap::new(), options).unwrap();
    let transport = tcp.transport(node);
    Side { tcp, door, transport }
}

impl Side {
    pub fn knows(&self, peer: NodeId, other: &Side) {
        self.tcp.set_address(peer, &other.tcp.local_address().unwrap().to_string());
    }

    pub async fn connected(&self, peer: NodeId) {
        self.transport.send(peer, PeerMessage::ReadIndex);
        while !self.tcp.reaches(peer) {
            time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Keeps what comes, and answers with it; never, if it is told to wait.
#[derive(Default)]
pub(super) struct Keeper {
    pub seen: Mutex<Vec<Bytes>>,
}

impl Handler for Keeper {
    fn handle(&self, _from: NodeId, message: PeerMessage) -> BoxFuture<'static, PeerReply> {
        let PeerMessage::Other(bytes) = message else { return futures::future::ready(PeerReply::None).boxed() };
        self.seen.lock().push(bytes.clone());
        async move {
            if bytes == "wait" {
                futures::future::pending::<()>().await;
            }
            PeerReply::Bytes(bytes)
        }
        .boxed()
    }
}

pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn other(text: &str) -> PeerMessage {
    PeerMessage::Other(Bytes::copy_from_slice(text.as_bytes()))
}

#[tokio::test]
async fn messages_and_requests_arrive_in_order_and_replies_come_back() {
    let (one, two) = (side(1, "a", 1 << 20), side(2, "a", 1 << 20));
    assert_eq!(one.transport.request(2, other("x"), PATIENCE).await, Err(PeerError::NoSuchPeer(2)));
    one.knows(2, &two);
    let keeper = Arc::new(Keeper::default());
    let _listening = two.tcp.attach(2, keeper.clone());
    one.connected(2).await;
    let waits = one.transport.request(2, other("wait"), Duration::from_millis(20));
    let mut replies = Vec::new();
    for number in 0..100 {
        one.transport.send(2, other(&format!("m{number}")));
        replies.push(one.transport.request(2, other(&format!("r{number}")), PATIENCE));
    }
    assert_eq!(waits.await, Err(PeerError::TimedOut(2, Duration::from_millis(20))));
    for (number, reply) in replies.into_iter().enumerate() {
        assert_eq!(reply.await, Ok(PeerReply::Bytes(format!("r{number}").into())));
    }
    let order = (0..100).flat_map(|number| [format!("m{number}"), format!("r{number}")]);
    let expected: Vec<Bytes> = std::iter::once("wait".into()).chain(order.map(Bytes::from)).collect();
    assert_eq!(*keeper.seen.lock(), expected);
}

#[tokio::test]
async fn a_peer_that_comes_back_is_found_again_and_what_was_under_way_is_lost() {
    let (one, two) = (side(1, "a", 1 << 20), side(2, "a", 1 << 20));
    one.knows(2, &two);
    let listening = two.tcp.attach(2, Arc::new(Keeper::default()));
    one.connected(2).await;
    let waits = one.transport.request(2, other("wait"), PATIENCE);
    let asked = one.transport.request(2, other("x"), PATIENCE);
    assert!(asked.await.is_ok());
    listening.abort();
    assert_eq!(waits.await, Err(PeerError::Unreachable(2)), "at once, not when its time is over");
    let _listening = two.tcp.attach(2, Arc::new(Keeper::default()));
    one.connected(2).await;
    assert!(one.transport.request(2, other("x"), PATIENCE).await.is_ok());
}

#[tokio::test]
async fn who_is_not_admitted_is_told_and_never_heard() {
    let (one, two) = (side(1, "a", 1 << 20), side(2, "b", 1 << 20));
    one.knows(2, &two);
    let keeper = Arc::new(Keeper::default());
    let _listening = two.tcp.attach(2, keeper.clone());
    one.transport.send(2, other("x"));
    while one.door.refusal().is_none() {
        time::sleep(Duration::from_millis(1)).await;
    }
    let refusal = one.door.refusal().unwrap();
    assert!(refusal.is_final && refusal.reason.contains("says"), "{refusal:?}");
    assert_eq!(one.transport.request(2, other("x"), PATIENCE).await, Err(PeerError::Unreachable(2)));
    assert!(keeper.seen.lock().is_empty());
}

#[tokio::test]
async fn whoever_listens_says_who_it_is() {
    let (one, two) = (side(1, "a", 1 << 20), side(2, "a", 1 << 20));
    let _listening = two.tcp.attach(2, Arc::new(Keeper::default()));
    let address = two.tcp.local_address().unwrap().to_string();
    assert_eq!(one.tcp.introduce(&address).await.unwrap(), 2);
    one.connected(2).await;
}

#[tokio::test]
async fn a_stranger_that_talks_nonsense_is_closed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let two = side(2, "a", 1 << 20);
    let _listening = two.tcp.attach(2, Arc::new(Keeper::default()));
    let mut stream = tokio::net::TcpStream::connect(two.tcp.local_address().unwrap()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    // Its own greeting, and then the end (or a reset: what was written was not read).
    let _ = stream.read_to_end(&mut said).await;
    assert!(said.starts_with(b"EVESQL") && said.len() == 12, "{said:?}");
}

#[tokio::test]
async fn a_peer_that_reads_nothing_costs_bounded_memory() {
    let (one, two) = (side(1, "a", 1 << 20), side(2, "a", 1 << 20));
    one.knows(2, &two);
    // Greets and then reads no more.
    let door = two.door.clone();
    let listener = tokio::net::TcpListener::from_std(two.tcp.inner.listener.try_clone().unwrap()).unwrap();
    let silent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        greeting::accept(&mut stream, 2, &*door).await.unwrap();
        futures::future::pending::<()>().await;
    });
    one.connected(2).await;
    let message = other(&"x".repeat(100_000));
    let mut refused = 0;
    for _ in 0..400 {
        refused +=
            matches!(one.transport.request(2, message.clone(), Duration::ZERO).await, Err(PeerError::Unreachable(_)))
                as u32;
        tokio::task::yield_now().await;
    }
    // The system's own buffers took some MiB.
    assert!(refused > 200, "{refused} of 400 were refused");
    silent.abort();
}
