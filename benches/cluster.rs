//! A cluster of processes on this machine, over TCP: what it serves with all nodes and with one dead, beside `evesql
//! serve`; how long clients wait when the leader dies; how long a node takes to start and to join. Prints Markdown.
//!
//! `cargo bench --bench cluster`; from the environment, all names with `EVESQL_CLUSTER_` before them:
//!
//! | Name | Default | |
//! |---|---|---|
//! | SECTIONS | rates,failover,restart | also: join |
//! | CLIENTS, SECONDS, PASSES | 32, 3, 5 | of each rate |
//! | FAILOVERS | 20 | |
//! | MIB | 256 | rows of the database that is restarted and joined |

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

const ROWS: i32 = 100_000;

fn text(name: &str, default: &str) -> String {
    std::env::var(format!("EVESQL_CLUSTER_{name}")).unwrap_or_else(|_| default.into())
}

fn number(name: &str, default: u64) -> u64 {
    let text = text(name, &default.to_string());
    text.parse().unwrap_or_else(|_| panic!("EVESQL_CLUSTER_{name} is not a number: {text}"))
}

fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program that serves clients.
struct Program {
    child: Option<Child>,
    arguments: Vec<String>,
    port: u16,
    admin: String,
}

impl Program {
    fn new(words: &[&str], data: &Path) -> Program {
        let (port, admin) = (port(), format!("127.0.0.1:{}", port()));
        let listen = format!("127.0.0.1:{port}");
        let data = data.to_str().unwrap();
        let own = ["--data", data, "--listen", &listen, "--admin", &admin];
        let arguments = words.iter().chain(&own).map(ToString::to_string).collect();
        Program { child: None, arguments, port, admin }
    }

    fn start(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evesql"));
        self.child = Some(command.args(&self.arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            Command::new("kill").arg(child.id().to_string()).status().unwrap();
            child.wait().unwrap();
        }
    }

    fn status(&self) -> Option<evesql::admin::Status> {
        evesql::admin::fetch(&self.admin).ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three processes.
struct Cluster {
    nodes: Vec<Program>,
    directory: tempfile::TempDir,
    peers: Vec<String>,
}

impl Cluster {
    fn start(runtime: &Runtime) -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        let peers: Vec<String> = (1..=3).map(|_| format!("127.0.0.1:{}", port())).collect();
        let all: Vec<String> = peers.iter().zip(1..).map(|(peer, id)| format!("{id}={peer}")).collect();
        let node = |id: usize| {
            let words = ["node", "--id", &id.to_string(), "--peer-listen", &peers[id - 1], "--peers", &all.join(",")];
            Program::new(&words, &directory.path().join(id.to_string()))
        };
        let mut cluster = Cluster { nodes: (1..=3).map(node).collect(), directory, peers };
        cluster.nodes.iter_mut().for_each(Program::start);
        runtime.block_on(connected(cluster.nodes[0].port));
        cluster
    }

    /// Who leads: its place in `nodes`.
    fn leader(&self) -> usize {
        loop {
            let statuses = self.nodes.iter().filter(|node| node.child.is_some()).filter_map(Program::status);
            let leader = statuses
                .flat_map(|status| status.nodes)
                .filter(|node| node.role == "leader")
                .max_by_key(|node| node.term);
            match leader {
                Some(leader) if self.nodes[leader.id as usize - 1].child.is_some() => return leader.id as usize - 1,
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Waits until these follow without lag.
    fn settle(&self, live: &[usize]) {
        let own = |place: &usize| {
            let status = self.nodes[*place].status()?;
            status.nodes.into_iter().find(|node| node.id == *place as u64 + 1)
        };
        loop {
            let all: Option<Vec<_>> = live.iter().map(own).collect();
            let equal = |all: &Vec<evesql::admin::NodeStatus>| all.windows(2).all(|pair| pair[0].root == pair[1].root);
            let serves = |all: &Vec<evesql::admin::NodeStatus>| {
                all.iter().all(|node| node.state != "quarantined" && node.state != "repairing")
            };
            if all.is_some_and(|all| equal(&all) && serves(&all)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

async fn try_connect(port: u16) -> Option<Client> {
    let text = format!("host=127.0.0.1 port={port} user=evesql dbname=evesql connect_timeout=1");
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

/// A client of a program that is about to serve.
async fn connected(port: u16) -> Client {
    loop {
        if let Some(client) = try_connect(port).await
            && client.simple_query("SELECT 1").await.is_ok()
        {
            return client;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn fill(port: u16) {
    let client = connected(port).await;
    let sql = format!(
        "CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL, filler text);
         INSERT INTO counter SELECT g, 0, repeat('x', 80) FROM generate_series(1, {ROWS}) g"
    );
    client.batch_execute(&sql).await.unwrap();
}

/// Statements in a second of so many clients, each of which waits for its answer.
fn rate(runtime: &Runtime, port: u16, sql: &'static str, clients: u64, seconds: u64) -> f64 {
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let work = |number: u64| {
        let (done, stop) = (done.clone(), stop.clone());
        async move {
            let client = connected(port).await;
            let statement = client.prepare(sql).await.unwrap();
            let mut id = number as i32 * 997;
            while !stop.load(Ordering::Relaxed) {
                id = (id.wrapping_mul(1_103_515_245).wrapping_add(12_345) & i32::MAX) % ROWS;
                client.query(&statement, &[&(id + 1)]).await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let tasks: Vec<_> = (0..clients).map(|number| runtime.spawn(work(number))).collect();
    std::thread::sleep(Duration::from_millis(500));
    let (before, began) = (done.load(Ordering::Relaxed), Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let rate = (done.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    tasks.into_iter().for_each(|task| runtime.block_on(task).unwrap());
    rate
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const UPDATE: &str = "UPDATE counter SET n = n + 1 WHERE id = $1";
const SELECT: &str = "SELECT n FROM counter WHERE id = $1";

fn rates(runtime: &Runtime) {
    let (clients, seconds, passes) = (number("CLIENTS", 32), number("SECONDS", 3), number("PASSES", 5));
    let directory = tempfile::tempdir().unwrap();
    let mut serve = Program::new(&["serve"], directory.path());
    serve.start();
    runtime.block_on(fill(serve.port));
    let mut cluster = Cluster::start(runtime);
    runtime.block_on(fill(cluster.nodes[0].port));
    cluster.settle(&[0, 1, 2]);
    println!("\n### Statements in a second, {clients} clients, medians of {passes} passes\n");
    println!(
        "| Statement | serve | cluster, at the leader | cluster, at a follower | one of three dead, at the leader |"
    );
    println!("|---|---|---|---|---|");
    for (name, sql) in [("point update", UPDATE), ("point select, strict", SELECT)] {
        let mut all: [Vec<f64>; 4] = Default::default();
        for _ in 0..passes {
            let leader = cluster.leader();
            let (follower, dead) = ((leader + 1) % 3, (leader + 2) % 3);
            all[0].push(rate(runtime, serve.port, sql, clients, seconds));
            all[1].push(rate(runtime, cluster.nodes[leader].port, sql, clients, seconds));
            all[2].push(rate(runtime, cluster.nodes[follower].port, sql, clients, seconds));
            cluster.nodes[dead].kill();
            std::thread::sleep(Duration::from_secs(2));
            all[3].push(rate(runtime, cluster.nodes[leader].port, sql, clients, seconds));
            cluster.nodes[dead].start();
            cluster.settle(&[0, 1, 2]);
        }
        let [serve, leader, follower, dead] = all.map(|mut values| median(&mut values));
        println!("| {name} | {serve:.0} | {leader:.0} | {follower:.0} | {dead:.0} |");
    }
}

/// From the last answer before the leader's death to the first one after it, at a client of another node.
fn failover(runtime: &Runtime) {
    let times = number("FAILOVERS", 20);
    let mut cluster = Cluster::start(runtime);
    runtime.block_on(fill(cluster.nodes[0].port));
    cluster.settle(&[0, 1, 2]);
    let mut waits = Vec::new();
    for _ in 0..times {
        let leader = cluster.leader();
        let port = cluster.nodes[(leader + 1) % 3].port;
        let killed = Arc::new(AtomicBool::new(false));
        let seen = killed.clone();
        let client = runtime.spawn(async move {
            let client = connected(port).await;
            let mut last = Instant::now();
            loop {
                // What ends without an answer is asked again.
                if client.execute("UPDATE counter SET n = n + 1 WHERE id = 1", &[]).await.is_ok() {
                    let wait = last.elapsed();
                    last = Instant::now();
                    if seen.load(Ordering::Acquire) && wait > Duration::from_millis(50) {
                        return wait;
                    }
                }
            }
        });
        std::thread::sleep(Duration::from_millis(500));
        cluster.nodes[leader].kill();
        killed.store(true, Ordering::Release);
        waits.push(runtime.block_on(client).unwrap().as_secs_f64() * 1e3);
        cluster.nodes[leader].start();
        cluster.settle(&[0, 1, 2]);
    }
    let worst = waits.iter().copied().fold(0.0, f64::max);
    println!("\n### The leader dies, {times} times\n\n| | ms |\n|---|---|");
    println!("| last answer before to first answer after, median | {:.0} |", median(&mut waits));
    println!("| worst | {worst:.0} |");
}

async fn fill_large(port: u16, mib: u64) {
    let client = connected(port).await;
    client.batch_execute("CREATE TABLE big (id int PRIMARY KEY, text text)").await.unwrap();
    for part in 0..mib.div_ceil(8) {
        let sql = format!(
            "INSERT INTO big SELECT g, repeat(md5(g::text), 120) FROM generate_series({}, {}) g",
            part * 2_048,
            part * 2_048 + 2_047
        );
        client.batch_execute(&sql).await.unwrap();
    }
}

/// Time from the start of a process that was killed to its first strict answer; and of a new node to its first one.
fn restart(runtime: &Runtime, joins: bool) {
    let mib = number("MIB", 256);
    let mut cluster = Cluster::start(runtime);
    runtime.block_on(fill_large(cluster.nodes[0].port, mib));
    cluster.settle(&[0, 1, 2]);
    // The last checkpoint of an idle node.
    std::thread::sleep(Duration::from_secs(12));
    println!("\n### A database of {mib} MiB\n\n| | s |\n|---|---|");
    for (what, kill) in
        [("a node that was stopped, start to first strict answer", false), ("a node that was killed", true)]
    {
        let mut times = Vec::new();
        for _ in 0..5 {
            let node = (cluster.leader() + 1) % 3;
            if kill {
                cluster.nodes[node].kill()
            } else {
                cluster.nodes[node].stop()
            }
            let began = Instant::now();
            cluster.nodes[node].start();
            let port = cluster.nodes[node].port;
            runtime.block_on(async {
                connected(port).await.query("SELECT count(*) FROM big WHERE id < 10", &[]).await.unwrap()
            });
            times.push(began.elapsed().as_secs_f64());
            cluster.settle(&[0, 1, 2]);
        }
        println!("| {what} | {:.2} |", median(&mut times));
    }
    if joins {
        let peer_listen = format!("127.0.0.1:{}", port());
        let words = ["node", "--id", "4", "--peer-listen", &peer_listen, "--join", &cluster.peers[0]];
        let mut node = Program::new(&words, &cluster.directory.path().join("4"));
        let began = Instant::now();
        node.start();
        runtime.block_on(async {
            loop {
                let client = connected(node.port).await;
                if client.query("SELECT count(*) FROM big WHERE id < 10", &[]).await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        println!("| a new node, start to first strict answer | {:.2} |", began.elapsed().as_secs_f64());
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sections = text("SECTIONS", "rates,failover,restart");
    for section in sections.split(',') {
        match section {
            "rates" => rates(&runtime),
            "failover" => failover(&runtime),
            "restart" => restart(&runtime, sections.contains("join")),
            "join" => {}
            other => panic!("EVESQL_CLUSTER_SECTIONS: no section {other}"),
        }
    }
}
