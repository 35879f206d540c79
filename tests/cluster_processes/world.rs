//! Three nodes, the ways between them and a load; and how every story ends.

use super::harness::{PATIENCE, connect, run, runtime};
use super::large::{self, Turn};
use super::load::{CLIENTS, Ledger, Load, TABLES};
use super::node::Node;
use super::wires::{Ports, Wires};
use evesql::admin::{NodeStatus, Status};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_postgres::Client;

/// The numbers of the nodes.
pub const ALL: [u64; 3] = [1, 2, 3];
const PAUSE: Duration = Duration::from_millis(30);

pub struct World {
    pub nodes: BTreeMap<u64, Node>,
    pub wires: Wires,
    pub ledger: Arc<Ledger>,
    pub runtime: Runtime,
    pub directory: TempDir,
    /// Of the mode in which one story follows the other; until nothing of this one is left.
    pub turn: Option<Turn>,
    /// Divergences belong to the story.
    pub is_damaged: bool,
}

/// How often what depends on chance is repeated: `EVESQL_ROUNDS`, or once.
pub fn rounds() -> u32 {
    std::env::var("EVESQL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

impl World {
    /// Three nodes that serve, and the load's tables.
    pub fn start(more: &[&str]) -> World {
        World::start_each(|_| more.iter().map(ToString::to_string).collect())
    }

    /// The same, with options of its own for each.
    pub fn start_each(more: impl Fn(u64) -> Vec<String>) -> World {
        World::start_wired(more, true)
    }

    /// Three nodes that reach each other without wires: they see that nobody listens where one has died.
    pub fn start_without_wires() -> World {
        World::start_wired(|_| Vec::new(), false)
    }

    fn start_wired(more: impl Fn(u64) -> Vec<String>, is_wired: bool) -> World {
        let (directory, turn) = (tempfile::tempdir().unwrap(), large::is_on().then(Turn::wait));
        let mut world = match &turn {
            None => World::at(&Ports::free(), directory, more),
            Some(turn) => {
                ALL.into_iter().for_each(|id| turn.copy(id, &directory.path().join(format!("of-{id}"))));
                World::at(turn.ports(), directory, more)
            }
        };
        world.turn = turn;
        if !is_wired {
            let direct = |node: &Node| format!("{}=127.0.0.1:{}", node.id, node.peer_port);
            let peers = world.nodes.values().map(direct).collect::<Vec<_>>().join(",");
            world.nodes.values_mut().for_each(|node| node.peers.clone_from(&peers));
        }
        world.start_nodes(&ALL);
        world.leader(&ALL);
        let client = world.connect(1);
        let counters: Vec<_> = (0..CLIENTS).map(|client| format!("({client}, 0)")).collect();
        let sql = format!("{TABLES}; INSERT INTO counters VALUES {}", counters.join(","));
        world.runtime.block_on(client.batch_execute(&sql)).unwrap();
        world
    }

    /// Three nodes that were not started, with their data in this directory.
    pub fn at(ports: &Ports, directory: TempDir, more: impl Fn(u64) -> Vec<String>) -> World {
        let runtime = runtime();
        let wires = Wires::new(&runtime, ports);
        let node = |(id, peer_port): (&u64, &u16)| {
            let data = directory.path().join(format!("of-{id}"));
            let mut node = Node::new(*id, data, *peer_port, wires.peers_of(*id, *peer_port), &[]);
            node.more = more(*id);
            (*id, node)
        };
        let nodes = ports.nodes.iter().map(node).collect();
        World { nodes, wires, ledger: Arc::default(), runtime, directory, turn: None, is_damaged: false }
    }

    pub fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    /// All at once, as none of them is ready without another one.
    pub fn start_nodes(&mut self, ids: &[u64]) {
        ids.iter().for_each(|id| self.node(*id).start());
        ids.iter().for_each(|id| self.node(*id).ready());
    }

    /// All at once, as one that is left alone has nobody to finish with; the exit code of each is 0.
    pub fn stop_nodes(&mut self, ids: &[u64]) {
        ids.iter().for_each(|id| self.node(*id).ask_to_stop());
        for id in ids {
            let code = self.node(*id).ended();
            assert_eq!(code, Some(0), "node {id} was stopped\n{}", self.node(*id).said());
        }
    }

    /// Clients of all nodes begin to write and to read.
    pub fn load(&self) -> Load {
        Load::start(&self.runtime, self.nodes.values().map(|node| node.port).collect(), self.ledger.clone())
    }

    /// The same beside a story's own clients, where there is a large table that somebody should touch.
    pub fn load_beside(&self) -> Option<Load> {
        large::is_on().then(|| self.load())
    }

    pub fn address(&self, id: u64) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.nodes[&id].port))
    }

    pub fn connect(&self, id: u64) -> Client {
        self.runtime.block_on(connect(self.address(id)))
    }

    /// Who leads the majority among these nodes: in the newest term that any of them knows.
    pub fn leader(&self, among: &[u64]) -> u64 {
        let mut leader = None;
        self.wait_until("nobody leads", |world| {
            let own = |id: &u64| world.nodes[id].own_status();
            let all: Vec<_> = among.iter().filter_map(own).collect();
            let newest = all.iter().map(|node| node.term).max();
            leader = all.iter().find(|node| node.role == "leader" && Some(node.term) == newest).map(|node| node.id);
            leader.is_some()
        });
        leader.unwrap()
    }

    /// Two that do not lead.
    pub fn followers(&self) -> [u64; 2] {
        let leader = self.leader(&ALL);
        let mut others = ALL.into_iter().filter(|id| *id != leader);
        [others.next().unwrap(), others.next().unwrap()]
    }

    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut(&World) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{what}:\n{}", self.picture());
            std::thread::sleep(PAUSE);
        }
    }

    fn picture(&self) -> String {
        let of = |node: &Node| node.status().map_or(format!("node {} shows nothing\n", node.id), |all| all.render());
        self.nodes.values().map(of).collect()
    }

    /// Waits until these nodes serve with one accepted root.
    pub fn agree(&self, live: &[u64]) {
        self.wait_until("no agreement", |world| {
            let own: Option<Vec<_>> = live.iter().map(|id| world.nodes[id].own_status()).collect();
            own.is_some_and(|own| own.iter().all(serves) && own.windows(2).all(|pair| is_same(&pair[0], &pair[1])))
        });
    }

    /// Waits until every page of a node has been proved since it started.
    pub fn is_repaired(&self, id: u64) {
        let is_healthy = |world: &World| world.nodes[&id].own_status().is_some_and(|node| node.state == "healthy");
        self.wait_until("a node does not get healthy", is_healthy);
    }

    /// The same while clients write: none of them is far behind, and all follow one leader.
    pub fn agree_under_load(&self, live: &[u64]) {
        let newest = self.wait_for_newest(live);
        self.wait_until("a node does not catch up", |world| {
            let own: Option<Vec<_>> = live.iter().map(|id| world.nodes[id].own_status()).collect();
            own.is_some_and(|own| {
                own.iter().all(|node| serves(node) && node.accepted_index >= newest && node.term == own[0].term)
            })
        });
    }

    fn wait_for_newest(&self, live: &[u64]) -> u64 {
        let mut newest = None;
        self.wait_until("nobody shows a status", |world| {
            let own = live.iter().filter_map(|id| world.nodes[id].own_status());
            newest = own.map(|node| node.accepted_index).max();
            newest.is_some()
        });
        newest.unwrap()
    }

    /// The end of a story whose nodes are all well: see [`World::end_with`].
    pub fn end(self) {
        self.end_with(&ALL);
    }

    /// The end of every story: these nodes agree on one root and on rows that fit what clients were told, stop in
    /// order, and leave sound files behind.
    pub fn end_with(mut self, live: &[u64]) {
        self.wires.heal();
        self.agree(live);
        let statuses: Vec<_> = live.iter().map(|id| self.told_by_the_program(*id)).collect();
        assert!(statuses.windows(2).all(|pair| is_same(&pair[0], &pair[1])), "{statuses:?}");
        assert!(statuses.iter().all(|node| node.audits_found == 0), "{statuses:?}");
        let found = |id: &u64| divergences(&self.nodes[id]);
        let diverged = live.iter().find_map(found);
        assert!(
            self.is_damaged || diverged.is_none(),
            "nodes diverged without a fault:\n{}",
            diverged.unwrap_or_default()
        );
        let rows: Vec<_> = live.iter().map(|id| self.rows(*id)).collect();
        assert!(rows.windows(2).all(|pair| pair[0] == pair[1]), "nodes of one root show other rows");
        self.ledger.judge(&rows[0]);
        for id in live {
            self.runtime.block_on(large::judge(&self.connect(*id)));
        }
        eprintln!("{}", self.ledger.summary());
        self.stop_nodes(live);
        self.nodes.values().filter(|node| live.contains(&node.id)).for_each(Node::is_sound);
        self.nodes.values().for_each(Node::tell_its_memory);
    }

    /// `evesql status --json`, of one node on itself.
    fn told_by_the_program(&self, id: u64) -> NodeStatus {
        let said = run(&["status", "--admin", &self.nodes[&id].admin, "--json"]);
        let status: Status = serde_json::from_slice(&said.stdout).unwrap();
        status.nodes.into_iter().find(|node| node.id == id).unwrap()
    }

    /// The load's transactions that a node shows.
    fn rows(&self, id: u64) -> Vec<i32> {
        let client = self.connect(id);
        let numbers = |sql: &'static str| {
            let rows = self.runtime.block_on(client.query(sql, &[])).unwrap();
            rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>()
        };
        let count = "SELECT n - (SELECT count(*) FROM done WHERE done.client = counters.client)::int FROM counters";
        let halves = numbers(count);
        assert_eq!(halves, [0; CLIENTS as usize], "a transaction is there in half");
        let mut all = numbers("SELECT id FROM done ORDER BY id");
        all.extend(numbers("SELECT id FROM single ORDER BY id"));
        all
    }
}

/// What a node shows of divergences, if there were any.
fn divergences(node: &Node) -> Option<String> {
    let status = node.status()?;
    (!status.divergences.is_empty()).then(|| status.render())
}

fn serves(node: &NodeStatus) -> bool {
    node.state == "healthy" || node.state == "verifying"
}

fn is_same(one: &NodeStatus, other: &NodeStatus) -> bool {
    (one.accepted_index, &one.root) == (other.accepted_index, &other.root)
}
