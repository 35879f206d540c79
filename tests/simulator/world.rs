//! Three machines with disks, clocks and a network between them, all simulated, and whole nodes on them.

use crate::generator::Random;
use crate::trace::{Trace, describe};
use evesql::config::{Config, RunAhead};
use evesql::node::rules::SharedRules;
use evesql::node::{InlineNode, MembersView, Surroundings, Waiters, no_checkpoints};
use evesql::peer::{Faults, InProcess};
use evesql::replica::Audit;
use evesql::seam::{Clock, Disk, DiskFile, SimulatedDisk};
use evesql::token::NodeId;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::{self, Instant};

pub const NODES: [NodeId; 3] = [1, 2, 3];

/// A clock that goes right but stands wrong.
pub struct SkewedClock {
    start: Instant,
    pub offset_us: AtomicI64,
}

impl Clock for SkewedClock {
    fn now_us(&self) -> i64 {
        let since_start = self.start.elapsed().as_micros() as i64;
        820_000_000_000_000 + since_start + self.offset_us.load(Ordering::Relaxed)
    }
}

/// The disk as one process sees it: after its death nothing that is left of it can touch a file.
struct ProcessDisk {
    disk: SimulatedDisk,
    alive: Arc<AtomicBool>,
}

impl ProcessDisk {
    fn alive(&self) -> io::Result<&SimulatedDisk> {
        match self.alive.load(Ordering::Relaxed) {
            true => Ok(&self.disk),
            false => Err(io::Error::other("the process is dead")),
        }
    }
}

impl Disk for ProcessDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.alive()?.open(path, create)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.alive()?.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.alive()?.remove(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.alive()?.list(directory)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.alive()?.create_directory(path)
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.alive()?.remove_directory(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.alive()?.sync_directory(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.alive().is_ok_and(|disk| disk.exists(path))
    }
}

pub struct Machine {
    pub disk: SimulatedDisk,
    pub clock: Arc<SkewedClock>,
    alive: Arc<AtomicBool>,
    node: Option<Rc<InlineNode>>,
}

pub struct World {
    pub seed: u64,
    pub random: RefCell<Random>,
    pub trace: Rc<RefCell<Trace>>,
    pub around: Surroundings,
    pub network: Arc<InProcess>,
    machines: RefCell<BTreeMap<NodeId, Machine>>,
    failure: RefCell<Option<String>>,
    /// A bit was flipped under this node and is not known to be mended: what it shows may be wrong.
    pub flipped: Cell<Option<NodeId>>,
    /// Disk errors were injected into this node: its log may have stopped.
    pub disk_trouble: Cell<Option<NodeId>>,
}

impl World {
    pub fn new(seed: u64) -> Rc<World> {
        let mut random = Random::new(seed);
        let network = Arc::new(InProcess::new(random.next()));
        network.set_faults(calm());
        let config = Config {
            data: PathBuf::from("/data"),
            checkpoint_batches: 20 + random.below(60),
            batch_transactions_max: 1 + random.below(20) as usize,
            // On one thread: how many there are decides about nothing, but threads are not simulated.
            workers: 1,
            run_ahead: if seed.is_multiple_of(2) { RunAhead::Always } else { RunAhead::WhenItPays },
            audit_every: 1 + seed % 4,
            ..Config::default()
        };
        let machine = |node: NodeId| Machine {
            disk: SimulatedDisk::new(seed.wrapping_mul(31) + node),
            clock: Arc::new(SkewedClock { start: Instant::now(), offset_us: AtomicI64::new(0) }),
            alive: Arc::new(AtomicBool::new(false)),
            node: None,
        };
        let machines: BTreeMap<_, _> = NODES.into_iter().map(|node| (node, machine(node))).collect();
        let around = Surroundings {
            crashes: Vec::new(),
            config,
            rules: SharedRules::default(),
            members: Arc::new(MembersView::new(NODES.map(|node| (node, String::new())))),
            network: network.clone(),
            door: None,
            neighbours: Arc::default(),
            // Each node gets its own.
            disk: Arc::new(machines[&1].disk.clone()),
            clock: machines[&1].clock.clone(),
            waiters: Arc::new(Waiters::default()),
            acknowledged: Arc::default(),
            tickets: Arc::default(),
            checkpoints: no_checkpoints(&NODES),
            incarnation: random.next(),
            starts: Arc::default(),
            log_segment_bytes: 64 << 10,
        };
        Rc::new(World {
            seed,
            random: RefCell::new(random),
            trace: Rc::new(RefCell::new(Trace::new())),
            around,
            network,
            machines: RefCell::new(machines),
            failure: RefCell::new(None),
            flipped: Cell::new(None),
            disk_trouble: Cell::new(None),
        })
    }

    pub fn below(&self, bound: u64) -> u64 {
        self.random.borrow_mut().below(bound)
    }
    pub fn note(&self, text: &str) {
        self.trace.borrow_mut().note(text);
    }
    /// Something that must never happen has happened; the first one counts.
    pub fn fail(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(&format!("FAILURE {what}"));
        self.failure.borrow_mut().get_or_insert(what);
    }
    pub fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }
    pub async fn sleep_ms(&self, from: u64, to: u64) {
        let pause = from + self.below(to - from + 1);
        time::sleep(Duration::from_millis(pause)).await;
    }

    pub fn disk(&self, node: NodeId) -> SimulatedDisk {
        self.machines.borrow()[&node].disk.clone()
    }
    pub fn clock(&self, node: NodeId) -> Arc<SkewedClock> {
        self.machines.borrow()[&node].clock.clone()
    }
    pub fn node(&self, node: NodeId) -> Option<Rc<InlineNode>> {
        self.machines.borrow()[&node].node.clone()
    }
    pub fn nodes(&self) -> Vec<Rc<InlineNode>> {
        self.machines.borrow().values().filter_map(|machine| machine.node.clone()).collect()
    }
    /// One of those that believe to lead.
    pub fn leader(&self) -> Option<Rc<InlineNode>> {
        let mut leaders: Vec<_> = self.nodes().into_iter().filter(|node| node.leads()).collect();
        if leaders.is_empty() {
            return None;
        }
        let chosen = if leaders.len() == 1 { 0 } else { self.below(leaders.len() as u64) as usize };
        Some(leaders.swap_remove(chosen))
    }

    /// Starts a node from its disk. False: a planned crash hit it meanwhile, or it refuses what it finds.
    pub async fn start(&self, node: NodeId, may_refuse: bool) -> bool {
        let (around, disk) = {
            let mut machines = self.machines.borrow_mut();
            let machine = machines.get_mut(&node).expect("a known node");
            machine.alive = Arc::new(AtomicBool::new(true));
            let disk = ProcessDisk { disk: machine.disk.clone(), alive: machine.alive.clone() };
            (
                Surroundings { disk: Arc::new(disk), clock: machine.clock.clone(), ..self.around.clone() },
                machine.disk.clone(),
            )
        };
        let trace = self.trace.clone();
        let mut random = Random::new(self.random.borrow_mut().next());
        let observe = move |input: &evesql::node::core::Input| {
            trace.borrow_mut().note(&format!("node {node} {}", describe(input)));
            match random.below(10) {
                0 => Duration::from_millis(1 + random.below(3)),
                _ => Duration::ZERO,
            }
        };
        match InlineNode::start(node, &around, observe).await {
            Ok(started) => {
                self.note(&format!("node {node} is up"));
                self.machines.borrow_mut().get_mut(&node).expect("a known node").node = Some(Rc::new(started));
                true
            }
            Err(error) => {
                self.note(&format!("node {node} does not start: {error}"));
                self.around.network.detach(node);
                self.machines.borrow()[&node].alive.store(false, Ordering::Relaxed);
                if !may_refuse && !disk.crashed() {
                    self.fail(format!("node {node} does not start: {error}"));
                }
                disk.restart();
                false
            }
        }
    }

    /// The machine loses its power: what was not synced is lost, torn or there.
    pub async fn crash(&self, node: NodeId) {
        let (running, disk) = {
            let mut machines = self.machines.borrow_mut();
            let machine = machines.get_mut(&node).expect("a known node");
            machine.alive.store(false, Ordering::Relaxed);
            (machine.node.take(), machine.disk.clone())
        };
        disk.restart();
        if let Some(running) = running {
            self.note(&format!("node {node} crashes"));
            self.check_node(&running);
            running.kill().await;
        }
    }

    /// Starts a node until it stays up.
    pub async fn bring_up(&self, node: NodeId) {
        for _ in 0..5 {
            if self.node(node).is_some() || self.start(node, false).await {
                return;
            }
            self.sleep_ms(10, 100).await;
        }
        if self.failure().is_none() {
            self.fail(format!("node {node} does not come up"));
        }
    }

    fn check_node(&self, node: &InlineNode) {
        let id = node.shared.id;
        if node.shared.state() == "down" {
            self.fail(format!("node {id} halts: {}", node.shared.reason().unwrap_or_default()));
        }
        if let Some(found) = node.shared.audits.records().iter().find(|audit| matches!(audit.result, Audit::Differs(_)))
        {
            self.fail(format!("an audit of node {id} found {found:?}"));
        }
        if node.has_panicked() {
            self.fail(format!("a task of node {id} has panicked"));
        }
    }

    /// Nodes whose machine crashed by plan, or whose log stopped after a disk error, are taken down.
    pub async fn supervise(&self) {
        for id in NODES {
            let Some(node) = self.node(id) else { continue };
            self.check_node(&node);
            let crashed = self.disk(id).crashed();
            let stopped = node.consensus.metrics().state == "shutdown";
            if stopped && !crashed && self.disk_trouble.get() != Some(id) {
                self.fail(format!("consensus of node {id} has stopped without a disk error"));
            }
            if crashed || stopped {
                self.crash(id).await;
            }
        }
    }

    /// Whether all nodes are up, serve, agree on where they are, and hold what their hashes say.
    pub fn agreement(&self) -> Result<evesql::token::Accepted, String> {
        let nodes = self.nodes();
        if nodes.len() < NODES.len() {
            return Err(format!("{} nodes are up", nodes.len()));
        }
        let accepted = nodes[0].shared.accepted();
        for node in &nodes {
            let (id, state) = (node.shared.id, node.shared.state());
            if !node.shared.serves() || state == "repairing" {
                return Err(format!("node {id} is {state}: {}", node.shared.reason().unwrap_or_default()));
            }
            let other = node.shared.accepted();
            if (other.log_id, other.root) != (accepted.log_id, accepted.root) {
                return Err(format!("node {id} has accepted {other:?}, not {accepted:?}"));
            }
            let damaged = node.core.borrow().replica.rehash();
            if !damaged.is_empty() {
                return Err(format!("pages of node {id} do not match their hashes: {damaged:?}"));
            }
        }
        Ok(accepted)
    }

    /// As [`World::agreement`], but some may be a few batches behind.
    pub fn is_healthy(&self) -> bool {
        let nodes = self.nodes();
        let newest = nodes.iter().map(|node| node.shared.accepted().log_id.index).max().unwrap_or(0);
        nodes.len() == NODES.len()
            && nodes.iter().all(|node| {
                node.shared.serves()
                    && node.shared.state() != "repairing"
                    && node.shared.accepted().log_id.index + 20 > newest
                    && node.core.borrow().replica.rehash().is_empty()
            })
    }
}

/// A network as in one room.
pub fn calm() -> Faults {
    Faults { loss: 0.0, delay_min: Duration::from_micros(100), delay_max: Duration::from_micros(900) }
}
