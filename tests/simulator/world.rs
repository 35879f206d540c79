//! Machines with disks, clocks and a network between them, all simulated, and whole nodes on them: those of one process,
//! or processes of their own, which come and go.

use crate::generator::Random;
use crate::trace::{Trace, describe};
use evesql::config::{Config, Member, Peers, RunAhead};
use evesql::node::core::Input;
use evesql::node::rules::SharedRules;
use evesql::node::{Acknowledged, InlineNode, MembersView, Surroundings, Waiters, no_checkpoints};
use evesql::page::PAGE_SIZE;
use evesql::peer::{Faults, InProcess};
use evesql::replica::Audit;
use evesql::seam::{Clock, Disk, DiskFile, SimulatedDisk};
use evesql::token::NodeId;
use evesql::verifier::{self, Reason};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{self, Instant};

/// How the nodes of a seed live together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As nodes of one process: all keep the log that any of them needs.
    OneProcess,
    /// As processes of their own, which keep little of the log: whoever was away joins by pages.
    Processes,
    /// As such processes, of which new ones come and old ones go.
    Members,
}

impl Kind {
    fn of(seed: u64) -> Kind {
        [Kind::OneProcess, Kind::Processes, Kind::Members][(seed % 3) as usize]
    }
}

/// What the report counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// States that were offered to nodes which could not follow the log.
    pub joins: u64,
    /// Parts of such states that were written to a disk on the way.
    pub parts: u64,
    /// Starts of nodes which had stopped on the way.
    pub resumed: u64,
    /// Changes of who belongs to the cluster, or who leads it, that an administrator saw done.
    pub changes: u64,
}

impl Counts {
    pub fn add(&mut self, more: &Counts) {
        self.joins += more.joins;
        self.parts += more.parts;
        self.resumed += more.resumed;
        self.changes += more.changes;
    }
}

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

struct Machine {
    disk: SimulatedDisk,
    clock: Arc<SkewedClock>,
    alive: Arc<AtomicBool>,
    node: Option<Rc<InlineNode>>,
}

impl Machine {
    /// A new one, with nothing on its disk.
    fn new(seed: u64, node: NodeId) -> Machine {
        Machine {
            disk: SimulatedDisk::new(seed.wrapping_mul(31) + node),
            clock: Arc::new(SkewedClock { start: Instant::now(), offset_us: AtomicI64::new(0) }),
            alive: Arc::new(AtomicBool::new(false)),
            node: None,
        }
    }
}

/// Where a node would be reached, if its network had addresses.
pub fn address(node: NodeId) -> String {
    format!("machine-{node}:5434")
}

fn addresses(nodes: &[NodeId]) -> impl Iterator<Item = (NodeId, String)> {
    nodes.iter().map(|node| (*node, address(*node)))
}

pub struct World {
    pub seed: u64,
    pub kind: Kind,
    pub random: RefCell<Random>,
    pub trace: Rc<RefCell<Trace>>,
    pub around: Surroundings,
    pub network: Arc<InProcess>,
    machines: RefCell<BTreeMap<NodeId, Machine>>,
    founders: Vec<NodeId>,
    /// Who belongs to the cluster, as far as its administrator was told.
    members: RefCell<BTreeSet<NodeId>>,
    /// Machines that were bought later.
    bought: Cell<u64>,
    pub counts: Rc<Cell<Counts>>,
    /// What nobody may hold any more when all nodes have died.
    mortals: RefCell<Vec<Mortal>>,
    /// Held by whoever starts and stops nodes: two at once would work on the same machine.
    pub hands: Mutex<()>,
    failure: RefCell<Option<String>>,
    /// A bit was flipped under this node and is not known to be mended: what it shows may be wrong.
    pub flipped: Cell<Option<NodeId>>,
}

impl World {
    pub fn new(seed: u64) -> Rc<World> {
        let mut random = Random::new(seed);
        let kind = Kind::of(seed);
        let network = Arc::new(InProcess::new(random.next()));
        network.set_faults(calm());
        let founders: Vec<NodeId> =
            (1..=if kind == Kind::Processes && seed.is_multiple_of(4) { 5 } else { 3 }).collect();
        let checkpoint_batches = if kind == Kind::OneProcess { 20 + random.below(60) } else { 3 + random.below(30) };
        let config = Config {
            data: PathBuf::from("/data"),
            checkpoint_batches,
            log_keep_entries: random.below(30),
            transfer_mib_per_s: random.below(2),
            transfer_part_bytes: (1 + random.below(40) as usize) * PAGE_SIZE,
            batch_transactions_max: 1 + random.below(20) as usize,
            // On one thread: how many there are decides about nothing, but threads are not simulated.
            workers: 1,
            run_ahead: if seed.is_multiple_of(2) { RunAhead::Always } else { RunAhead::WhenItPays },
            audit_every: 1 + seed % 4,
            ..Config::default()
        };
        let machines: BTreeMap<_, _> = founders.iter().map(|node| (*node, Machine::new(seed, *node))).collect();
        let acknowledged = match kind {
            Kind::OneProcess => Acknowledged::default(),
            Kind::Processes | Kind::Members => Acknowledged::among_others(),
        };
        let around = Surroundings {
            crashes: Vec::new(),
            config,
            rules: SharedRules::default(),
            members: Arc::new(MembersView::new(addresses(&founders))),
            network: network.clone(),
            door: None,
            neighbours: Arc::default(),
            // Each node gets its own.
            disk: Arc::new(machines[&1].disk.clone()),
            clock: machines[&1].clock.clone(),
            waiters: Arc::new(Waiters::default()),
            acknowledged: Arc::new(acknowledged),
            tickets: Arc::default(),
            checkpoints: no_checkpoints(&founders),
            incarnation: random.next(),
            starts: Arc::default(),
            log_segment_bytes: 64 << 10,
        };
        Rc::new(World {
            seed,
            kind,
            random: RefCell::new(random),
            trace: Rc::new(RefCell::new(Trace::new())),
            around,
            network,
            machines: RefCell::new(machines),
            members: RefCell::new(founders.iter().copied().collect()),
            founders,
            bought: Cell::new(0),
            counts: Rc::default(),
            mortals: RefCell::default(),
            hands: Mutex::default(),
            failure: RefCell::new(None),
            flipped: Cell::new(None),
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

    /// All nodes that are to be up, members or not.
    pub fn ids(&self) -> Vec<NodeId> {
        self.machines.borrow().keys().copied().collect()
    }
    /// One of them.
    pub fn any(&self) -> NodeId {
        let ids = self.ids();
        ids[self.below(ids.len() as u64) as usize]
    }
    pub fn members(&self) -> Vec<NodeId> {
        self.members.borrow().iter().copied().collect()
    }
    /// Whether a node belongs to the cluster, as its administrator was told just now.
    pub fn set_member(&self, node: NodeId, is_member: bool) {
        let mut members = self.members.borrow_mut();
        match is_member {
            true => members.insert(node),
            false => members.remove(&node),
        };
    }
    /// Buys an empty machine for a node with a new number.
    pub fn buy_machine(&self) -> NodeId {
        let mut machines = self.machines.borrow_mut();
        // Never an old number again (rule 21).
        let bought = self.founders.len() as u64 + self.bought.replace(self.bought.get() + 1) + 1;
        machines.insert(bought, Machine::new(self.seed, bought));
        bought
    }
    /// Takes a node off for good.
    pub async fn scrap_machine(&self, node: NodeId) {
        self.crash(node).await;
        self.machines.borrow_mut().remove(&node);
    }

    pub fn disk(&self, node: NodeId) -> SimulatedDisk {
        self.machines.borrow()[&node].disk.clone()
    }
    pub fn clock(&self, node: NodeId) -> Arc<SkewedClock> {
        self.machines.borrow()[&node].clock.clone()
    }
    pub fn node(&self, node: NodeId) -> Option<Rc<InlineNode>> {
        self.machines.borrow().get(&node)?.node.clone()
    }
    pub fn nodes(&self) -> Vec<Rc<InlineNode>> {
        self.machines.borrow().values().filter_map(|machine| machine.node.clone()).collect()
    }
    /// A part of some start of some node that somebody holds, though all nodes are dead.
    pub fn held(&self) -> Option<String> {
        self.mortals.borrow().iter().find(|(_, is_held)| is_held()).map(|(name, _)| name.clone())
    }
    /// What the verifiers of all say, for a failure's report.
    pub fn states(&self) -> Vec<(NodeId, &'static str, Option<verifier::Status>)> {
        self.nodes().iter().map(|node| (node.shared.id, node.shared.state(), node.shared.status())).collect()
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

    /// What a node finds around itself, on this disk.
    fn surroundings(&self, node: NodeId, disk: ProcessDisk, clock: Arc<SkewedClock>) -> Surroundings {
        let around = Surroundings { disk: Arc::new(disk), clock, ..self.around.clone() };
        if self.kind == Kind::OneProcess {
            return around;
        }
        let is_founder = self.founders.contains(&node);
        let founders = if is_founder { addresses(&self.founders).collect() } else { BTreeMap::new() };
        let member = Member {
            id: node,
            peer_listen: ([127, 0, 0, 1], 5434).into(),
            peers: Peers(founders.clone()),
            join: (!is_founder).then(|| address(1)),
            ca: None,
            cert: None,
            key: None,
        };
        Surroundings {
            config: Config { member: Some(member), ..around.config },
            members: Arc::new(MembersView::new(founders)),
            checkpoints: no_checkpoints(&[node]),
            ..around
        }
    }

    /// Starts a node from its disk. False: a planned crash hit it meanwhile, or it refuses what it finds.
    pub async fn start(&self, node: NodeId, may_refuse: bool) -> bool {
        let (disk, process, clock) = {
            let mut machines = self.machines.borrow_mut();
            let machine = machines.get_mut(&node).expect("a known node");
            machine.alive = Arc::new(AtomicBool::new(true));
            let process = ProcessDisk { disk: machine.disk.clone(), alive: machine.alive.clone() };
            (machine.disk.clone(), process, machine.clock.clone())
        };
        let around = self.surroundings(node, process, clock);
        let (trace, counts) = (self.trace.clone(), self.counts.clone());
        let mut random = Random::new(self.random.borrow_mut().next());
        let observe = move |input: &Input| {
            trace.borrow_mut().note(&format!("node {node} {}", describe(input)));
            count(&counts, input);
            match random.below(10) {
                0 => Duration::from_millis(1 + random.below(3)),
                _ => Duration::ZERO,
            }
        };
        match InlineNode::start(node, &around, observe).await {
            Ok(started) => {
                self.note(&format!("node {node} is up"));
                self.mortals.borrow_mut().extend(parts_of(&started));
                let status = started.shared.status();
                if status.is_some_and(|status| status.quarantined == Some(Reason::Joining)) {
                    self.counts.set(Counts { resumed: self.counts.get().resumed + 1, ..self.counts.get() });
                }
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
        for id in self.ids() {
            let Some(node) = self.node(id) else { continue };
            self.check_node(&node);
            let disk = self.disk(id);
            let crashed = disk.crashed();
            let stopped = node.consensus.metrics().state == "shutdown";
            if stopped && !disk.has_failed() {
                self.fail(format!("consensus of node {id} has stopped without a disk error"));
            }
            if crashed || stopped {
                self.crash(id).await;
            }
        }
    }

    /// Whether all nodes are up, serve, agree on who and where they are, and hold what their hashes say.
    pub fn agreement(&self) -> Result<evesql::token::Accepted, String> {
        let (nodes, members) = (self.nodes(), self.members());
        let up: Vec<NodeId> = nodes.iter().map(|node| node.shared.id).collect();
        if up != members {
            return Err(format!("nodes {up:?} are up, and nodes {members:?} are to be"));
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
            let known = node.log.membership_at(u64::MAX).map_err(|error| error.to_string())?;
            let known = known.map(|(_, membership)| membership).ok_or(format!("node {id} knows of no cluster"))?;
            let ids: Vec<NodeId> = known.nodes.iter().map(|(node, _)| *node).collect();
            if known.voters != [&members[..]] || ids != members || node.members.voters() != members {
                return Err(format!("node {id} takes {known:?} for the members, which are {members:?}"));
            }
        }
        Ok(accepted)
    }

    /// Whether all members are up and well; some may be a few batches behind.
    pub fn is_healthy(&self) -> bool {
        let nodes: Vec<_> = self.members().into_iter().map(|node| self.node(node)).collect();
        let newest = nodes.iter().flatten().map(|node| node.shared.accepted().log_id.index).max().unwrap_or(0);
        nodes.iter().all(|node| {
            node.as_ref().is_some_and(|node| {
                node.shared.serves()
                    && node.shared.state() != "repairing"
                    && node.shared.accepted().log_id.index + 20 > newest
                    && node.core.borrow().replica.rehash().is_empty()
            })
        })
    }
}

/// A part of a node: its name, and whether somebody holds it.
type Mortal = (String, Box<dyn Fn() -> bool>);

fn parts_of(node: &InlineNode) -> [Mortal; 4] {
    let id = node.shared.id;
    let (shared, log) = (Arc::downgrade(&node.shared), Arc::downgrade(&node.log));
    let (core, proposer) = (Rc::downgrade(&node.core), Arc::downgrade(&node.proposer));
    [
        (format!("what node {id} shares"), Box::new(move || shared.strong_count() > 0)),
        (format!("the log of node {id}"), Box::new(move || log.strong_count() > 0)),
        (format!("the core of node {id}"), Box::new(move || core.strong_count() > 0)),
        (format!("the proposer of node {id}"), Box::new(move || proposer.strong_count() > 0)),
    ]
}

fn count(counts: &Cell<Counts>, input: &Input) {
    let mut now = counts.get();
    match input {
        Input::Join { .. } => now.joins += 1,
        Input::Stored { .. } => now.parts += 1,
        _ => return,
    }
    counts.set(now);
}

/// A network as in one room.
pub fn calm() -> Faults {
    Faults { loss: 0.0, delay_min: Duration::from_micros(100), delay_max: Duration::from_micros(900) }
}
