//! The network between the nodes of a story: for each pair of them and each direction one way, which leads through
//! this process and can fall silent, be closed, slow or narrow.
//!
//! A way carries the connections that one node opens to another one, in both directions of their bytes. In
//! [`State::Silent`] nothing arrives and nobody learns of it, as when packets vanish; what was sent meanwhile comes late.

use super::harness::free_port;
use super::world::ALL;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

const CHUNK_BYTES: usize = 16 << 10;
/// Chunks that wait on a way, at most: about what an operating system buffers.
const CHUNKS_MAX: usize = 64;

/// How a way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    /// Bytes wait, and connections seem to be there.
    Silent,
    /// Connections are closed, new ones too.
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct Quality {
    state: State,
    delay: Duration,
    bytes_per_s: Option<u32>,
}

const GOOD: Quality = Quality { state: State::Open, delay: Duration::ZERO, bytes_per_s: None };

struct Wire {
    port: u16,
    quality: watch::Sender<Quality>,
}

/// Where the nodes of a story listen for each other, and the ways between them for those who dial.
pub struct Ports {
    pub nodes: BTreeMap<u64, u16>,
    ways: BTreeMap<(u64, u64), u16>,
}

impl Ports {
    /// Ports that nobody has.
    pub fn free() -> Ports {
        let pairs = ALL.into_iter().flat_map(|from| ALL.map(|to| (from, to))).filter(|(from, to)| from != to);
        Ports {
            ways: pairs.map(|pair| (pair, free_port())).collect(),
            nodes: ALL.into_iter().map(|id| (id, free_port())).collect(),
        }
    }
}

/// All ways, by who dials and who is dialled.
pub struct Wires {
    wires: BTreeMap<(u64, u64), Wire>,
}

impl Wires {
    /// Ways between all nodes.
    pub fn new(runtime: &Runtime, ports: &Ports) -> Wires {
        let mut wires = BTreeMap::new();
        for ((from, to), port) in &ports.ways {
            let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", *port))).unwrap();
            let (quality, known) = watch::channel(GOOD);
            wires.insert((*from, *to), Wire { port: *port, quality });
            runtime.spawn(listen(listener, ports.nodes[to], known));
        }
        Wires { wires }
    }

    /// The addresses of all nodes, as one of them is told: itself directly, the others through the ways.
    pub fn peers_of(&self, node: u64, own_port: u16) -> String {
        let ways = self.wires.iter().filter(|((from, _), _)| *from == node);
        let mut all: BTreeMap<u64, u16> = ways.map(|((_, to), wire)| (*to, wire.port)).collect();
        all.insert(node, own_port);
        let all: Vec<_> = all.into_iter().map(|(id, port)| format!("{id}=127.0.0.1:{port}")).collect();
        all.join(",")
    }

    fn change(&self, is_meant: impl Fn(u64, u64) -> bool, change: impl Fn(&mut Quality)) {
        for ((from, to), wire) in &self.wires {
            if is_meant(*from, *to) {
                wire.quality.send_modify(&change);
            }
        }
    }

    /// All ways from and to one node.
    pub fn isolate(&self, node: u64, state: State) {
        self.change(|from, to| from == node || to == node, |quality| quality.state = state);
    }

    /// What one node begins, its peers' connections stay.
    pub fn mute(&self, node: u64, state: State) {
        self.change(|from, _| from == node, |quality| quality.state = state);
    }

    /// One way, in one direction.
    pub fn cut(&self, from: u64, to: u64, state: State) {
        self.change(|dialler, dialled| (dialler, dialled) == (from, to), |quality| quality.state = state);
    }

    /// What goes to and from one node takes so long, and only so much of it fits.
    pub fn slow_down(&self, node: u64, delay: Duration, bytes_per_s: u32) {
        self.change(
            |from, to| from == node || to == node,
            |quality| *quality = Quality { delay, bytes_per_s: Some(bytes_per_s), ..*quality },
        );
    }

    /// All is well again.
    pub fn heal(&self) {
        self.change(|_, _| true, |quality| *quality = GOOD);
    }
}

async fn listen(listener: TcpListener, port: u16, quality: watch::Receiver<Quality>) {
    loop {
        match listener.accept().await {
            Ok((near, _)) => drop(tokio::spawn(carry(near, port, quality.clone()))),
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One connection, until either side ends it or the way is closed.
async fn carry(near: TcpStream, port: u16, mut quality: watch::Receiver<Quality>) {
    let begins = quality.wait_for(|quality| quality.state != State::Silent).await.map(|quality| quality.state);
    if !matches!(begins, Ok(State::Open)) {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_reader, near_writer) = near.into_split();
    let (far_reader, far_writer) = far.into_split();
    let mut closed = quality.clone();
    tokio::select! {
        _ = pump(near_reader, far_writer, quality.clone()) => {}
        _ = pump(far_reader, near_writer, quality) => {}
        _ = closed.wait_for(|quality| quality.state == State::Closed) => {}
    }
}

/// Until the end of what is read has been passed on.
async fn pump(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    mut quality: watch::Receiver<Quality>,
) -> io::Result<()> {
    let (chunks, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let at_read = quality.clone();
    let read = async move {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let filled = reader.read(&mut chunk).await?;
            chunk.truncate(filled);
            let due = Instant::now() + at_read.borrow().delay;
            if filled == 0 || chunks.send((due, chunk)).await.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = waiting.recv().await {
            sleep_until(due).await;
            let known = quality.wait_for(|quality| quality.state == State::Open).await.map(|quality| *quality);
            let Ok(known) = known else { return Ok(()) };
            if let Some(bytes_per_s) = known.bytes_per_s {
                sleep(Duration::from_secs(1) * chunk.len() as u32 / bytes_per_s).await;
            }
            writer.write_all(&chunk).await?;
        }
        io::Result::Ok(())
    };
    tokio::try_join!(read, write).map(|_| ())
}
