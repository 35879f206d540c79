//! Three nodes in one process on a real disk: decided entries a second, and how long one takes.
//!
//! `cargo bench --bench consensus [directory]`. Each node has its consensus thread and its log thread, as in the
//! server. Entries are 2 KiB. *accepted* adds an executor that takes 50 us for a batch and records a token: the time
//! from the proposal until the leader's token is durable as well, with and without holding the entry's fdatasync
//! for the token.

use bytes::Bytes;
use evesql::consensus::{Checkpoint, Consensus, ConsensusConfig, Event, Leadership, SnapshotInstaller};
use evesql::entry::{EncodedCommand, Payload};
use evesql::log_store::{Log, LogOptions, Mode};
use evesql::page::Hash;
use evesql::peer::InProcess;
use evesql::seam::{Disk, RealDisk};
use evesql::token::{NodeId, Token};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};

const ENTRY_BYTES: usize = 2048;
const MEASURED: Duration = Duration::from_secs(3);
const EXECUTION: Duration = Duration::from_micros(50);

struct NoInstaller;

impl SnapshotInstaller for NoInstaller {
    fn install(&self, _leader: NodeId, _checkpoint: Checkpoint) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Err("nothing is purged here".into()) })
    }
}

struct Node {
    consensus: Consensus,
    runtime: Handle,
    /// The executor's durable tokens, by index.
    tokens: mpsc::Receiver<(u64, Instant)>,
}

/// Executes what is appended, when asked to: waits, and records a token.
fn execute(log: Arc<Log>, appended: mpsc::Receiver<evesql::entry::Entry>, tokens: mpsc::Sender<(u64, Instant)>) {
    loop {
        let entry = match appended.try_recv() {
            Ok(entry) => entry,
            Err(_) => {
                log.executor_is_idle();
                let Ok(entry) = appended.recv() else { return };
                entry
            }
        };
        let begin = Instant::now();
        while begin.elapsed() < EXECUTION {
            std::hint::spin_loop();
        }
        let log_id = entry.log_id;
        let hash = Hash::default();
        let token = Token { log_id, batch: hash, attempt: 0, parent: hash, root: hash, answers: hash };
        let tokens = tokens.clone();
        let done = move |_| {
            let _ = tokens.send((log_id.index, Instant::now()));
        };
        if log.issue_ballot(evesql::token::Ballot::Token(token), Box::new(done)).is_err() {
            return;
        }
    }
}

fn start(node: NodeId, directory: &Path, network: &InProcess, executes: bool, hold: Duration) -> Node {
    let options = LogOptions { token_hold: hold, ..LogOptions::new(node, 1) };
    let log = Log::open(Arc::new(RealDisk), &directory.join(node.to_string()), options, Mode::Threaded).unwrap();
    let (token_sender, tokens) = mpsc::channel();
    let (entry_sender, appended) = mpsc::channel();
    let executor_log = log.clone();
    thread::spawn(move || execute(executor_log, appended, token_sender));
    let sink = move |event| {
        if let Event::Appended(entry) = event
            && executes
            && matches!(entry.payload, Payload::Command(_))
        {
            let _ = entry_sender.send(entry);
        }
    };
    let network = network.clone();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let config = ConsensusConfig {
                election_timeout_min: Duration::from_millis(600),
                election_timeout_max: Duration::from_millis(1200),
                ..ConsensusConfig::new(node, node)
            };
            let transport = network.transport(node);
            let consensus =
                Consensus::start(config, log, transport, Arc::new(sink), Arc::new(NoInstaller), None).await.unwrap();
            network.attach(node, Arc::new(consensus.clone()));
            consensus.enable_elections(node == 1);
            sender.send((consensus, Handle::current())).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let (consensus, runtime) = receiver.recv().unwrap();
    Node { consensus, runtime, tokens }
}

fn cluster(directory: &Path, executes: bool, hold: Duration) -> (Vec<Node>, Leadership) {
    let network = InProcess::new(1);
    let nodes: Vec<Node> = (1..=3).map(|node| start(node, directory, &network, executes, hold)).collect();
    let consensus = nodes[0].consensus.clone();
    let elected = nodes[0].runtime.spawn(async move {
        let voters: Vec<_> = (1..=3).map(|node| (node, String::new())).collect();
        consensus.bootstrap(&voters).await.unwrap();
        consensus.leader().wait_for(|leader| leader.is_some_and(|leader| leader.node == 1)).await.unwrap().unwrap()
    });
    let leader = futures::executor::block_on(elected).unwrap();
    (nodes, leader)
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<u64> = stat.split(' ').skip(13).take(2).filter_map(|field| field.parse().ok()).collect();
    Duration::from_millis(fields.iter().sum::<u64>() * 10)
}

/// Proposes with so many in flight; returns when each was proposed and decided, by index.
async fn load(consensus: Consensus, leader: Leadership, in_flight: usize) -> Vec<(u64, Instant, Instant)> {
    let command = || EncodedCommand::from_bytes(Bytes::from(vec![0; ENTRY_BYTES]));
    let mut proposals = FuturesUnordered::new();
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < MEASURED {
        while proposals.len() < in_flight {
            let proposed = Instant::now();
            let proposal = consensus.propose(command(), leader).await.unwrap();
            proposals.push(async move { (proposal.await.unwrap().index, proposed, Instant::now()) });
        }
        times.extend(proposals.next().await);
    }
    while let Some(last) = proposals.next().await {
        times.push(last);
    }
    times
}

fn micros(mut latencies: Vec<Duration>, share: f64) -> u128 {
    latencies.sort();
    latencies[((latencies.len() - 1) as f64 * share) as usize].as_micros()
}

/// What the disk itself takes, without which the other figures say nothing: 4 KiB into a file of zeros.
fn disk_alone(parent: &Path) {
    let directory = tempfile::tempdir_in(parent).unwrap();
    let file = RealDisk.open(&directory.path().join("file"), true).unwrap();
    file.write_at(&vec![0; 16 << 20], 0).unwrap();
    file.sync_data().unwrap();
    let latencies: Vec<Duration> = (0..1000)
        .map(|block| {
            let begin = Instant::now();
            file.write_at(&[1; 4096], block * 4096).unwrap();
            file.sync_data().unwrap();
            begin.elapsed()
        })
        .collect();
    println!("{:<34}{:>22}{:>10}", "fdatasync alone", micros(latencies.clone(), 0.5), micros(latencies, 0.99));
}

fn main() {
    let parent = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or("target".into());
    println!("{:<34}{:>12}{:>10}{:>10}{:>16}", "", "entries/s", "p50 us", "p99 us", "CPU us/entry");
    disk_alone(Path::new(&parent));
    for in_flight in [1, 2, 4, 32] {
        let directory = tempfile::tempdir_in(&parent).unwrap();
        let (nodes, leader) = cluster(directory.path(), false, Duration::ZERO);
        let before = cpu();
        let loading = nodes[0].runtime.spawn(load(nodes[0].consensus.clone(), leader, in_flight));
        let times = futures::executor::block_on(loading).unwrap();
        let used = cpu() - before;
        let latencies: Vec<_> = times.iter().map(|(_, proposed, decided)| *decided - *proposed).collect();
        println!(
            "{:<34}{:>12}{:>10}{:>10}{:>16}",
            format!("decided, {in_flight} in flight"),
            (times.len() as f64 / MEASURED.as_secs_f64()) as u64,
            micros(latencies.clone(), 0.5),
            micros(latencies, 0.99),
            used.as_micros() / times.len() as u128,
        );
    }
    for (in_flight, hold) in [(1, 0), (1, 1), (2, 0), (2, 1), (4, 0), (4, 1)] {
        let directory = tempfile::tempdir_in(&parent).unwrap();
        let (nodes, leader) = cluster(directory.path(), true, Duration::from_millis(hold));
        let before = cpu();
        let loading = nodes[0].runtime.spawn(load(nodes[0].consensus.clone(), leader, in_flight));
        let times = futures::executor::block_on(loading).unwrap();
        let used = cpu() - before;
        thread::sleep(Duration::from_millis(100));
        let tokens: std::collections::BTreeMap<u64, Instant> = nodes[0].tokens.try_iter().collect();
        let accepted = times.iter().map(|(index, proposed, decided)| tokens[index].max(*decided) - *proposed);
        let latencies: Vec<_> = accepted.collect();
        println!(
            "{:<34}{:>12}{:>10}{:>10}{:>16}",
            format!("accepted, {in_flight} in flight, hold {hold} ms"),
            (times.len() as f64 / MEASURED.as_secs_f64()) as u64,
            micros(latencies.clone(), 0.5),
            micros(latencies, 0.99),
            used.as_micros() / times.len() as u128,
        );
    }
}
