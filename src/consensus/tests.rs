//! Three nodes in one process, on one paused runtime and simulated disks: virtual time, seeded faults.

use super::*;
use crate::batch::Command;
use crate::entry::{Entry, Payload};
use crate::log_store::{LogOptions, Mode};
use crate::peer::{Faults, InProcess};
use crate::seam::{HeldSyncs, SimulatedDisk};
use crate::token::{Decision, Verdict};
use openraft::alias::OneshotOf;
use openraft::rt::Oneshot;
use openraft::storage::{IOFlushed, RaftLogStorage};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Node {
    consensus: Consensus,
    log: Arc<Log>,
    events: Arc<Mutex<Vec<Event>>>,
    delivery: JoinHandle<()>,
}

struct Cluster {
    network: InProcess,
    seed: u64,
    starts: u64,
    disks: BTreeMap<NodeId, SimulatedDisk>,
    checkpoints: BTreeMap<NodeId, Checkpoint>,
    nodes: BTreeMap<NodeId, Node>,
}

/// Notes what was installed; there are no pages here.
struct Installer;

impl SnapshotInstaller for Installer {
    fn install(&self, _leader: NodeId, _checkpoint: Checkpoint) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

/// A command that can be told from others; it stands for a batch.
fn command(number: u64) -> Arc<EncodedCommand> {
    let log_id = LogId { term: number, leader: 0, index: 0 };
    EncodedCommand::new(Command::Verdict(Verdict { log_id, attempt: 0, decision: Decision::Replay }))
}

fn number(entry: &Entry) -> Option<u64> {
    match &entry.payload {
        Payload::Command(encoded) => match encoded.command().unwrap() {
            Command::Verdict(verdict) => Some(verdict.log_id.term),
            Command::Batch(_) => None,
        },
        _ => None,
    }
}

impl Cluster {
    async fn new(seed: u64) -> Cluster {
        let mut cluster = Cluster {
            network: InProcess::new(seed),
            seed,
            starts: 0,
            disks: (1..=3).map(|node| (node, SimulatedDisk::new(seed + node))).collect(),
            checkpoints: BTreeMap::new(),
            nodes: BTreeMap::new(),
        };
        for node in 1..=3 {
            cluster.start(node).await;
        }
        let voters: Vec<_> = (1..=3).map(|node| (node, String::new())).collect();
        cluster.nodes[&1].consensus.bootstrap(&voters).await.unwrap();
        cluster
    }

    async fn start(&mut self, node: NodeId) {
        self.starts += 1;
        let options = LogOptions { segment_bytes: 16 << 10, ..LogOptions::new(node, self.starts) };
        let disk = Arc::new(self.disks[&node].clone());
        let log = Log::open(disk, Path::new("/log"), options, Mode::Inline).unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let events = events.clone();
            Arc::new(move |event| events.lock().push(event))
        };
        let config = ConsensusConfig::new(node, self.seed * 1000 + self.starts);
        let transport = self.network.transport(node);
        let checkpoint = self.checkpoints.get(&node).cloned();
        let consensus =
            Consensus::start(config, log.clone(), transport, sink, Arc::new(Installer), checkpoint).await.unwrap();
        consensus.enable_elections(true);
        let delivery = self.network.attach(node, Arc::new(consensus.clone()));
        self.nodes.insert(node, Node { consensus, log, events, delivery });
    }

    /// Power off: what was not synced may be lost.
    async fn kill(&mut self, node: NodeId) {
        let killed = self.nodes.remove(&node).unwrap();
        self.network.detach(node);
        killed.delivery.abort();
        self.disks[&node].restart();
        killed.consensus.shut_down().await;
    }

    /// A node that leads, and that all in `among` follow.
    async fn leader(&self, among: &[NodeId]) -> Leadership {
        let deadline = time::Instant::now() + Duration::from_secs(20);
        loop {
            let seen: Vec<_> = among.iter().map(|node| *self.nodes[node].consensus.leader().borrow()).collect();
            if let Some(leader) = seen[0]
                && seen.iter().all(|other| *other == seen[0])
                && among.contains(&leader.node)
            {
                return leader;
            }
            assert!(time::Instant::now() < deadline, "no leader: {seen:?}");
            time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn propose(&self, fence: Leadership, value: u64) -> Result<LogId, ProposeError> {
        self.nodes[&fence.node].consensus.propose(command(value), fence).await?.await
    }

    /// Proposes to whoever leads, until it is decided: after a restart all may still believe in an old leader.
    async fn propose_to_leader(&self, value: u64) -> LogId {
        for _ in 0..1000 {
            let fence = self.leader(&[1, 2, 3]).await;
            match self.propose(fence, value).await {
                Ok(log_id) => return log_id,
                Err(_) => time::sleep(Duration::from_millis(5)).await,
            }
        }
        panic!("no leader takes it");
    }

    /// Waits until all running nodes know the log to be decided up to an index.
    async fn settle(&self, index: u64) {
        for node in self.nodes.values() {
            let mut decided = node.consensus.decided();
            let reached = decided.wait_for(|decided| decided.is_some_and(|decided| decided.index >= index));
            time::timeout(Duration::from_secs(20), reached).await.expect("settles in time").unwrap();
        }
    }
}

/// The log that an executor has in mind after these events; checks their order on the way.
fn follow(events: &[Event]) -> (BTreeMap<u64, Entry>, Option<LogId>) {
    let mut log = BTreeMap::<u64, Entry>::new();
    let mut decided: Option<LogId> = None;
    for event in events {
        match event {
            Event::Appended(entry) => {
                let index = entry.log_id.index;
                let next = log.last_key_value().map(|(last, _)| last + 1);
                assert!(next.is_none_or(|next| next == index), "{index} follows {next:?}");
                log.insert(index, entry.clone());
            }
            Event::Truncated { after } => {
                let next = after.map_or(0, |after| after + 1);
                assert!(decided.is_none_or(|decided| decided.index < next), "decided entries stay");
                log.split_off(&next);
            }
            Event::Decided { log_id, .. } => {
                assert_eq!(log[&log_id.index].log_id, *log_id, "appended before it is decided");
                assert!(decided.is_none_or(|before| before.index < log_id.index));
                decided = Some(*log_id);
            }
            Event::Installed(checkpoint) => {
                log = log.split_off(&(checkpoint.log_id.index + 1));
                decided = Some(checkpoint.log_id);
            }
            Event::MembershipInstalled => {}
        }
    }
    (log, decided)
}

fn numbers(log: &BTreeMap<u64, Entry>, decided: Option<LogId>) -> Vec<u64> {
    log.range(..=decided.map_or(0, |decided| decided.index)).filter_map(|(_, entry)| number(entry)).collect()
}

#[tokio::test(start_paused = true)]
async fn three_nodes_decide_what_is_proposed_in_order() {
    let cluster = Cluster::new(1).await;
    let fence = cluster.leader(&[1, 2, 3]).await;
    let consensus = &cluster.nodes[&fence.node].consensus;
    let mut proposals = Vec::new();
    for value in 0..100 {
        proposals.push(consensus.propose(command(value), fence).await.unwrap());
    }
    let mut last = 0;
    for proposal in proposals {
        let log_id = proposal.await.unwrap();
        assert!(log_id.index > last && (log_id.term, log_id.leader) == (fence.term, fence.node));
        last = log_id.index;
    }
    cluster.settle(last).await;
    for node in cluster.nodes.values() {
        let events = node.events.lock().clone();
        let (log, decided) = follow(&events);
        assert_eq!(numbers(&log, decided), (0..100).collect::<Vec<_>>());
        let verdicts = events.iter().map(|event| match event {
            Event::Decided { verdicts, .. } => verdicts.len(),
            _ => 0,
        });
        assert_eq!(verdicts.sum::<usize>(), 100, "verdicts are handed on when they are decided");
    }
    let other = Leadership { term: fence.term + 1, ..fence };
    assert!(matches!(cluster.propose(other, 7).await, Err(ProposeError::NotLeader { .. })));
}

/// What a leader sends before its own flush is under log ids that it must not give away again.
#[tokio::test(start_paused = true)]
async fn a_leader_that_restarts_at_once_does_not_lead_on_in_its_term() {
    let mut cluster = Cluster::new(3).await;
    let first = cluster.leader(&[1, 2, 3]).await;
    cluster.propose(first, 1).await.unwrap();
    cluster.kill(first.node).await;
    cluster.start(first.node).await;
    loop {
        let leader = cluster.leader(&[1, 2, 3]).await;
        if leader.term > first.term {
            break;
        }
        assert!(cluster.propose(first, 2).await.is_err(), "it leads on");
        time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_replaced_and_comes_back_as_a_follower() {
    let mut cluster = Cluster::new(2).await;
    let first = cluster.leader(&[1, 2, 3]).await;
    cluster.propose(first, 1).await.unwrap();
    cluster.kill(first.node).await;
    let rest: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    let start = time::Instant::now();
    let second = loop {
        let leader = cluster.leader(&rest).await;
        if leader != first {
            break leader;
        }
    };
    assert!(start.elapsed() < Duration::from_secs(1), "failover took {:?}", start.elapsed());
    cluster.propose(second, 2).await.unwrap();
    cluster.start(first.node).await;
    let last = cluster.propose(second, 3).await.unwrap();
    cluster.settle(last.index).await;
    let (log, decided) = follow(&cluster.nodes[&first.node].events.lock());
    assert_eq!(numbers(&log, decided), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_of_all_keeps_everything_acknowledged() {
    let mut cluster = Cluster::new(3).await;
    let fence = cluster.leader(&[1, 2, 3]).await;
    for value in 0..20 {
        cluster.propose(fence, value).await.unwrap();
    }
    for node in 1..=3 {
        cluster.kill(node).await;
    }
    for node in 1..=3 {
        cluster.start(node).await;
        let (log, _) = follow(&cluster.nodes[&node].events.lock());
        assert!(log.len() >= 20 || node != fence.node, "the leader's own log is fed to its executor");
    }
    let last = cluster.propose_to_leader(20).await;
    cluster.settle(last.index).await;
    for node in cluster.nodes.values() {
        let (log, decided) = follow(&node.events.lock());
        assert_eq!(numbers(&log, decided), (0..=20).collect::<Vec<_>>());
    }
}

/// What openraft calls, over a log with its own thread, without the rest of consensus.
struct Tee {
    storage: Storage,
    log: Arc<Log>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Tee {
    fn open(disk: &SimulatedDisk, incarnation: u64) -> Tee {
        let options = LogOptions { segment_bytes: 16 << 10, ..LogOptions::new(1, incarnation) };
        let log = Log::open(Arc::new(disk.clone()), Path::new("/log"), options, Mode::Threaded).unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let noted = events.clone();
        let shared = Shared {
            sink: Arc::new(move |event| noted.lock().push(event)),
            decided: watch::Sender::new(None),
            checkpoint: Mutex::default(),
            source: OnceLock::new(),
            installing: Mutex::default(),
        };
        Tee { storage: Storage::new(log.clone(), Arc::new(shared)), log, events }
    }

    /// Appends without waiting for the disk; what the flush callback says comes later.
    async fn append(&mut self, entry: &Entry) -> oneshot::Receiver<io::Result<()>> {
        let (callback, flushed) = OneshotOf::<TypeConfig>::channel();
        let appending = self.storage.append([types::entry_to_raft(entry.clone())], IOFlushed::signal(callback));
        time::timeout(Duration::from_secs(20), appending).await.expect("an append must not wait for the disk").unwrap();
        flushed
    }
}

fn entry(term: u64, index: u64) -> Entry {
    Entry { log_id: LogId { term, leader: 1, index }, payload: Payload::Command(command(100 * term + index)) }
}

/// Waits until an fdatasync has begun, and sees to it that nothing was called back before.
async fn begun(held: &HeldSyncs, flushed: &mut oneshot::Receiver<io::Result<()>>) {
    while held.waiting() == 0 {
        assert!(flushed.try_recv().is_err(), "called back without an fdatasync");
        time::sleep(Duration::from_millis(1)).await;
    }
    assert!(flushed.try_recv().is_err(), "called back amid the fdatasync");
}

#[tokio::test]
async fn an_executor_gets_entries_before_the_fdatasync_and_consensus_is_called_back_after_it() {
    let disk = SimulatedDisk::new(1);
    let mut tee = Tee::open(&disk, 1);
    let held = disk.hold_syncs();
    let (lost, taken) = (entry(1, 0), entry(2, 0));
    let mut first = tee.append(&lost).await;
    tee.storage.truncate_after(None).await.unwrap();
    let mut second = tee.append(&taken).await;
    let told = [Event::Appended(lost), Event::Truncated { after: None }, Event::Appended(taken)];
    assert_eq!(*tee.events.lock(), told, "in order, while the disk has nothing of it");
    begun(&held, &mut first).await;
    begun(&held, &mut second).await;
    drop(held);
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_crash_amid_an_fdatasync_loses_nothing_that_was_called_back() {
    const CRASHES: usize = 16;
    let mut lost = 0;
    for seed in 0..CRASHES as u64 {
        let disk = SimulatedDisk::new(seed);
        let mut tee = Tee::open(&disk, 1);
        tee.append(&entry(1, 0)).await.await.unwrap().unwrap();
        let held = disk.hold_syncs();
        let mut flushed = tee.append(&entry(1, 1)).await;
        begun(&held, &mut flushed).await;
        disk.restart();
        assert!(flushed.await.unwrap().is_err(), "called back by a machine that is off");
        drop(tee);
        let found = Tee::open(&disk, 2).log.read(0, u64::MAX, usize::MAX).unwrap();
        assert_eq!(found, [entry(1, 0), entry(1, 1)][..found.len()], "seed {seed}");
        assert!(!found.is_empty(), "seed {seed}: it was called back");
        lost += usize::from(found.len() == 1);
    }
    // Else the disk is too kind to show anything.
    assert!((1..CRASHES).contains(&lost), "{lost} of {CRASHES} entries that nobody was called back for are gone");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_again_feeds_its_executor_what_is_behind_its_checkpoint() {
    let mut cluster = Cluster::new(9).await;
    let fence = cluster.leader(&[1, 2, 3]).await;
    let mut decided = Vec::new();
    for value in 0..20 {
        decided.push(cluster.propose(fence, value).await.unwrap());
    }
    cluster.settle(decided[19].index).await;
    let checkpoint = cluster.nodes[&1].consensus.checkpoint_at(decided[9], Bytes::new()).unwrap();
    cluster.checkpoints.insert(1, checkpoint);
    cluster.kill(1).await;
    // Nobody but its own log can tell it anything.
    cluster.network.set_isolated(1, true);
    cluster.start(1).await;
    let (fed, _) = follow(&cluster.nodes[&1].events.lock());
    assert_eq!(fed.values().filter_map(number).collect::<Vec<_>>(), (10..20).collect::<Vec<_>>());
    assert_eq!(fed.keys().next(), Some(&(decided[9].index + 1)), "without gaps, blank entries included");
}

#[tokio::test(start_paused = true)]
async fn entries_of_a_cut_off_leader_are_truncated_before_others_take_their_place() {
    let cluster = Cluster::new(4).await;
    let old = cluster.leader(&[1, 2, 3]).await;
    cluster.propose(old, 1).await.unwrap();
    cluster.network.set_isolated(old.node, true);
    let consensus = cluster.nodes[&old.node].consensus.clone();
    let lost = consensus.propose(command(666), old).await.unwrap();
    time::sleep(Duration::from_millis(5)).await;
    let rest: Vec<NodeId> = [1, 2, 3].into_iter().filter(|node| *node != old.node).collect();
    let new = loop {
        let leader = cluster.leader(&rest).await;
        if leader != old {
            break leader;
        }
        time::sleep(Duration::from_millis(5)).await;
    };
    cluster.propose(new, 2).await.unwrap();
    cluster.network.set_isolated(old.node, false);
    let last = cluster.propose(new, 3).await.unwrap();
    cluster.settle(last.index).await;
    assert!(matches!(lost.await, Err(ProposeError::Unknown { .. })));
    let events = cluster.nodes[&old.node].events.lock().clone();
    let appended = events.iter().position(|event| matches!(event, Event::Appended(e) if number(e) == Some(666)));
    let truncated = events.iter().position(|event| matches!(event, Event::Truncated { .. }));
    assert!(appended.is_some() && appended < truncated, "{events:?}");
    let (log, decided) = follow(&events);
    assert_eq!(numbers(&log, decided), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_readers_share_two_rounds_and_see_what_was_decided_before() {
    let cluster = Cluster::new(5).await;
    let fence = cluster.leader(&[1, 2, 3]).await;
    let follower = (1..=3).find(|node| *node != fence.node).unwrap();
    for node in [fence.node, follower] {
        let decided = cluster.propose(fence, 1).await.unwrap();
        let consensus = &cluster.nodes[&node].consensus;
        let before = consensus.metrics().read_rounds;
        let readers: Vec<_> = (0..1000).map(|_| consensus.read_index()).collect();
        let indexes = futures::future::join_all(readers).await;
        assert!(indexes.iter().all(|index| *index.as_ref().unwrap() >= decided.index));
        let rounds = consensus.metrics().read_rounds - before;
        assert!((1..=2).contains(&rounds), "{rounds} rounds");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_off_leader_serves_no_strict_read() {
    let cluster = Cluster::new(6).await;
    let fence = cluster.leader(&[1, 2, 3]).await;
    cluster.network.set_isolated(fence.node, true);
    let result = cluster.nodes[&fence.node].consensus.read_index().await;
    assert!(matches!(result, Err(ConsensusError::NoLeader(_))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn leadership_is_handed_over_on_request() {
    let cluster = Cluster::new(7).await;
    let old = cluster.leader(&[1, 2, 3]).await;
    cluster.propose(old, 1).await.unwrap();
    let target = (1..=3).find(|node| *node != old.node).unwrap();
    cluster.nodes[&old.node].consensus.transfer_leader(target).await.unwrap();
    let mut leader = cluster.nodes[&target].consensus.leader();
    let moved = leader.wait_for(|leader| leader.is_some_and(|leader| leader.node == target));
    let new = time::timeout(Duration::from_secs(1), moved).await.expect("in time").unwrap().unwrap();
    cluster.propose(new, 2).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_purges_the_log_and_a_node_that_lags_behind_it_takes_over_the_state() {
    let mut cluster = Cluster::new(8).await;
    let fence = cluster.leader(&[1, 2, 3]).await;
    let lagging = (1..=3).find(|node| *node != fence.node).unwrap();
    cluster.kill(lagging).await;
    let mut last = LogId::default();
    for value in 0..50 {
        last = cluster.propose(fence, value).await.unwrap();
    }
    let rest: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    cluster.settle(last.index).await;
    for node in &rest {
        let consensus = &cluster.nodes[node].consensus;
        let checkpoint = consensus.checkpoint_at(last, Bytes::from_static(b"state")).unwrap();
        assert_eq!(checkpoint.membership.as_ref().unwrap().1.voters, [[1, 2, 3]]);
        consensus.checkpointed(checkpoint.clone(), 10).await.unwrap();
        cluster.checkpoints.insert(*node, checkpoint);
    }
    time::sleep(Duration::from_millis(100)).await;
    assert_eq!(cluster.nodes[&fence.node].log.first_index(), last.index - 9);
    let more = cluster.propose(fence, 50).await.unwrap();
    cluster.start(lagging).await;
    cluster.settle(more.index).await;
    let events = cluster.nodes[&lagging].events.lock().clone();
    let installed = events.iter().find_map(|event| match event {
        Event::Installed(checkpoint) => Some(checkpoint.clone()),
        _ => None,
    });
    assert_eq!(installed.as_ref().map(|checkpoint| checkpoint.log_id), Some(last));
    assert!(events.contains(&Event::MembershipInstalled), "no entry says who belongs to the cluster");
    cluster.checkpoints.insert(lagging, installed.unwrap());
    // A restart begins at the checkpoint: only what follows is fed.
    for node in 1..=3 {
        cluster.kill(node).await;
    }
    for node in 1..=3 {
        cluster.start(node).await;
    }
    let end = cluster.propose_to_leader(51).await;
    cluster.settle(end.index).await;
    for node in cluster.nodes.values() {
        let (log, decided) = follow(&node.events.lock());
        assert_eq!(numbers(&log, decided), [50, 51]);
        assert_eq!(*log.first_key_value().unwrap().0, last.index + 1);
    }
}

/// Kills, cuts, delays and losses for a while; returns all events, with what was acknowledged.
async fn storm(seed: u64, rounds: u64) -> (Vec<u64>, BTreeMap<NodeId, Vec<Event>>) {
    let mut cluster = Cluster::new(seed).await;
    let mut acknowledged = Vec::new();
    let mut random = seed;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) % below
    };
    for round in 0..rounds {
        match draw(6) {
            0 => {
                let node = 1 + draw(3);
                cluster.kill(node).await;
                time::sleep(Duration::from_millis(draw(300))).await;
                cluster.start(node).await;
            }
            1 => cluster.network.set_isolated(1 + draw(3), true),
            2 => (1..=3).for_each(|node| cluster.network.set_isolated(node, false)),
            3 => cluster.network.set_faults(Faults {
                loss: draw(10) as f64 / 100.0,
                delay_min: Duration::from_micros(draw(500)),
                delay_max: Duration::from_micros(500 + draw(5000)),
            }),
            4 => cluster.network.set_faults(Faults::default()),
            _ => {}
        }
        for value in round * 100..round * 100 + 5 {
            let leader = cluster.nodes.values().filter_map(|node| *node.consensus.leader().borrow()).max();
            let Some(fence) = leader else {
                time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let proposing = cluster.propose(fence, value);
            match time::timeout(Duration::from_millis(100), proposing).await {
                Ok(Ok(_)) => acknowledged.push(value),
                Ok(Err(_)) => time::sleep(Duration::from_millis(20)).await,
                Err(_) => {}
            }
        }
    }
    cluster.network.set_faults(Faults::default());
    (1..=3).for_each(|node| cluster.network.set_isolated(node, false));
    let last = loop {
        let fence = cluster.leader(&[1, 2, 3]).await;
        if let Ok(last) = cluster.propose(fence, u64::MAX).await {
            break last;
        }
        time::sleep(Duration::from_millis(10)).await;
    };
    cluster.settle(last.index).await;
    let events = cluster.nodes.iter().map(|(node, state)| (*node, state.events.lock().clone())).collect();
    (acknowledged, events)
}

#[tokio::test(start_paused = true)]
async fn storms_lose_nothing_acknowledged_and_leave_equal_logs() {
    // More seeds, where there is time: EVESQL_STORMS=100.
    let storms = std::env::var("EVESQL_STORMS").ok().and_then(|count| count.parse().ok()).unwrap_or(3);
    for seed in 10..10 + storms {
        let (acknowledged, events) = storm(seed, 30).await;
        assert!(acknowledged.len() > 20, "seed {seed}: only {} went through", acknowledged.len());
        let logs: Vec<_> = events.values().map(|events| follow(events)).map(|(log, at)| numbers(&log, at)).collect();
        assert!(logs.iter().all(|log| *log == logs[0]), "seed {seed}: logs differ");
        let mut found = acknowledged.iter();
        let missing = found.find(|value| !logs[0].contains(value));
        assert_eq!(missing, None, "seed {seed}: acknowledged, but gone");
    }
}

#[test]
fn one_seed_makes_one_history() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(storm(77, 15))
    };
    let (first, second) = (run(), run());
    assert_eq!(first.0, second.0);
    for (node, events) in &first.1 {
        let differs = events.iter().zip(&second.1[node]).position(|(a, b)| a != b);
        assert_eq!(differs, None, "node {node}");
        assert_eq!(events.len(), second.1[node].len());
    }
}
