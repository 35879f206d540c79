//! A cluster of processes on this machine, over TCP: what it serves with all nodes and with one dead, beside `evesql
//! serve` and PostgreSQL; how long clients wait when the leader dies; how long a node takes to start and to join; what
//! it costs to bring one back that lacks some pages. Prints Markdown.
//!
//! `cargo bench --bench cluster`; from the environment, all names with `EVESQL_CLUSTER_` before them:
//!
//! | Name | Default | |
//! |---|---|---|
//! | SECTIONS | rates,failover,restart,repair | also: join |
//! | CLIENTS, SECONDS, PASSES | 32, 3, 5 | of each rate |
//! | POSTGRES | | connection string of a PostgreSQL whose rates are measured too, as of one with synchronous standbys |
//! | TLS | | a directory with `ca.pem` and `node-N.pem`, `node-N.key`: peers prove who they are |
//! | FAILOVERS | 20 | |
//! | MIB | 256 | rows of the database that is restarted and joined |

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
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
    /// What it says on stderr.
    log: PathBuf,
}

impl Program {
    fn new(words: &[&str], data: &Path) -> Program {
        let (port, admin) = (port(), format!("127.0.0.1:{}", port()));
        let listen = format!("127.0.0.1:{port}");
        let log = data.with_extension("log");
        let data = data.to_str().unwrap();
        let own = ["--data", data, "--listen", &listen, "--admin", &admin];
        let arguments = words.iter().chain(&own).map(ToString::to_string).collect();
        Program { child: None, arguments, port, admin, log }
    }

    fn start(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evesql"));
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        self.child = Some(command.args(&self.arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap());
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
    fn start(runtime: &Runtime, more: &[&str]) -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        let peers: Vec<String> = (1..=3).map(|_| format!("127.0.0.1:{}", port())).collect();
        let all: Vec<String> = peers.iter().zip(1..).map(|(peer, id)| format!("{id}={peer}")).collect();
        let tls = text("TLS", "");
        let node = |id: usize| {
            let name = id.to_string();
            let mut words = vec!["node", "--id", &name, "--peer-listen", &peers[id - 1]];
            let peers = all.join(",");
            words.extend(["--peers", &peers]);
            let files = [format!("{tls}/ca.pem"), format!("{tls}/node-{id}.pem"), format!("{tls}/node-{id}.key")];
            if !tls.is_empty() {
                words.extend(["--peer-ca", &files[0], "--peer-cert", &files[1], "--peer-key", &files[2]]);
            }
            words.extend(more);
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

fn address(port: u16) -> String {
    format!("host=127.0.0.1 port={port} user=evesql dbname=evesql connect_timeout=1")
}

async fn try_connect(address: &str) -> Option<Client> {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

/// A client of a program that is about to serve.
async fn connected(port: u16) -> Client {
    connected_to(&address(port)).await
}

async fn connected_to(address: &str) -> Client {
    loop {
        if let Some(client) = try_connect(address).await
            && client.simple_query("SELECT 1").await.is_ok()
        {
            return client;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn fill(address: &str) {
    let client = connected_to(address).await;
    let sql = format!(
        "DROP TABLE IF EXISTS counter;
         CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL, filler text);
         INSERT INTO counter SELECT g, 0, repeat('x', 80) FROM generate_series(1, {ROWS}) g"
    );
    client.batch_execute(&sql).await.unwrap();
}

/// What clients got, each of which waits for its answer before it asks again.
#[derive(Default)]
struct Served {
    /// Statements in a second, of each pass.
    rates: Vec<f64>,
    /// Milliseconds, of all passes.
    latencies: Vec<f64>,
}

impl Served {
    fn cell(mut self) -> String {
        let rate = median(&mut self.rates);
        self.latencies.sort_by(f64::total_cmp);
        let at = |share: f64| self.latencies[(self.latencies.len() as f64 * share) as usize];
        format!("{rate:.0} ({:.2}, {:.1})", at(0.5), at(0.99))
    }

    fn measure(&mut self, runtime: &Runtime, address: &str, sql: &'static str, clients: u64, seconds: u64) {
        let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let work = |number: u64| {
            let (done, stop, address) = (done.clone(), stop.clone(), address.to_string());
            async move {
                let client = connected_to(&address).await;
                let statement = client.prepare(sql).await.unwrap();
                let mut id = number as i32 * 997;
                let mut latencies = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    id = (id.wrapping_mul(1_103_515_245).wrapping_add(12_345) & i32::MAX) % ROWS;
                    let began = Instant::now();
                    client.query(&statement, &[&(id + 1)]).await.unwrap();
                    latencies.push(began.elapsed().as_secs_f64() * 1e3);
                    done.fetch_add(1, Ordering::Relaxed);
                }
                latencies
            }
        };
        let tasks: Vec<_> = (0..clients).map(|number| runtime.spawn(work(number))).collect();
        std::thread::sleep(Duration::from_millis(500));
        let (before, began) = (done.load(Ordering::Relaxed), Instant::now());
        std::thread::sleep(Duration::from_secs(seconds));
        self.rates.push((done.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64());
        stop.store(true, Ordering::Relaxed);
        tasks.into_iter().for_each(|task| self.latencies.extend(runtime.block_on(task).unwrap()));
    }
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
    runtime.block_on(fill(&address(serve.port)));
    let mut cluster = Cluster::start(runtime, &[]);
    runtime.block_on(fill(&address(cluster.nodes[0].port)));
    cluster.settle(&[0, 1, 2]);
    let postgres = Some(text("POSTGRES", "")).filter(|address| !address.is_empty());
    postgres.iter().for_each(|address| runtime.block_on(fill(address)));
    println!("\n### Statements in a second (median and 99th percentile of ms), {clients} clients, {passes} passes\n");
    println!(
        "| Statement | serve | cluster, at the leader | cluster, at a follower | one of three dead, at the leader | PostgreSQL |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, sql) in [("point update", UPDATE), ("point select, strict", SELECT)] {
        let mut all: [Served; 5] = Default::default();
        for _ in 0..passes {
            let leader = cluster.leader();
            let (follower, dead) = ((leader + 1) % 3, (leader + 2) % 3);
            let ports = [serve.port, cluster.nodes[leader].port, cluster.nodes[follower].port];
            for (served, port) in all.iter_mut().zip(ports) {
                served.measure(runtime, &address(port), sql, clients, seconds);
            }
            cluster.nodes[dead].kill();
            std::thread::sleep(Duration::from_secs(2));
            all[3].measure(runtime, &address(cluster.nodes[leader].port), sql, clients, seconds);
            cluster.nodes[dead].start();
            cluster.settle(&[0, 1, 2]);
            if let Some(postgres) = &postgres {
                all[4].measure(runtime, postgres, sql, clients, seconds);
            }
        }
        let cells = all.map(|served| if served.rates.is_empty() { "not run".into() } else { served.cell() });
        println!("| {name} | {} |", cells.join(" | "));
    }
}

/// From the last answer before the leader's death to the first one after it, at a client of another node: the longest
/// time without an answer from the kill to two seconds after it.
fn failover(runtime: &Runtime) {
    let times = number("FAILOVERS", 20);
    let mut cluster = Cluster::start(runtime, &[]);
    runtime.block_on(fill(&address(cluster.nodes[0].port)));
    cluster.settle(&[0, 1, 2]);
    let mut waits = Vec::new();
    for _ in 0..times {
        let leader = cluster.leader();
        let port = cluster.nodes[(leader + 1) % 3].port;
        let killed = Arc::new(AtomicBool::new(false));
        let seen = killed.clone();
        let client = runtime.spawn(async move {
            let client = connected(port).await;
            let (mut last, mut longest, mut ends) = (Instant::now(), Duration::ZERO, None);
            while ends.is_none_or(|ends| last < ends) {
                // What ends without an answer is asked again.
                if client.execute("UPDATE counter SET n = n + 1 WHERE id = 1", &[]).await.is_ok() {
                    let wait = last.elapsed();
                    last = Instant::now();
                    if ends.is_some() {
                        longest = longest.max(wait);
                    } else if seen.load(Ordering::Acquire) {
                        (ends, longest) = (Some(last + Duration::from_secs(2)), wait);
                    }
                }
            }
            longest
        });
        std::thread::sleep(Duration::from_millis(500));
        killed.store(true, Ordering::Release);
        cluster.nodes[leader].kill();
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
    let mut cluster = Cluster::start(runtime, &[]);
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

/// Pages and hashes that a node says to have fetched from the byte `from` of what it said on.
fn fetched(node: &Program, from: usize) -> (u64, u64) {
    let said = std::fs::read_to_string(&node.log).unwrap_or_default();
    let number = |line: &str, name: &str| line.split(name).nth(1)?.split(' ').next()?.parse::<u64>().ok();
    let lines = said[from..].lines().filter(|line| line.contains("repaired by page transfer"));
    lines.fold((0, 0), |(pages, nodes), line| {
        (pages + number(line, " pages=").unwrap_or(0), nodes + number(line, " nodes=").unwrap_or(0))
    })
}

/// A node was away while others changed so many of 100,000 pages and forgot the log; and a new node, which lacks all.
fn repair(runtime: &Runtime) {
    const ROWS_OF_A_PAGE: u64 = 100_000;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("evesql.toml");
    let settings = "checkpoint_batches = 20\nlog_keep_entries = 20\ntransfer_mib_per_s = 10000\n";
    std::fs::write(&file, settings).unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let mut cluster = Cluster::start(runtime, &config);
    runtime.block_on(fill(&address(cluster.nodes[0].port)));
    runtime.block_on(fill_large(cluster.nodes[0].port, ROWS_OF_A_PAGE.div_ceil(256)));
    cluster.settle(&[0, 1, 2]);
    println!("\n### A node that lacks pages of a database of 100,000, until it has the same root\n");
    println!("| | s | pages | MiB over the network |\n|---|---|---|---|");
    let row = |what: &str, node: &Program, from: usize, began: Instant| {
        let (pages, hashes) = fetched(node, from);
        let mib = (pages * 4096 + hashes * 1024) as f64 / f64::from(1 << 20);
        println!("| {what} | {:.2} | {pages} | {mib:.2} |", began.elapsed().as_secs_f64());
    };
    for differing in [10, 1_000, 10_000] {
        // A state that was offered keeps the log behind it: whoever is away in that time catches up from the log.
        std::thread::sleep(Duration::from_secs(31));
        let leader = cluster.leader();
        let away = (leader + 1) % 3;
        cluster.nodes[away].stop();
        let step = ROWS_OF_A_PAGE / differing;
        runtime.block_on(async {
            let client = connected(cluster.nodes[leader].port).await;
            let sql = format!(
                "UPDATE big SET text = repeat(md5((id + {differing})::text), 120)
                 WHERE id IN (SELECT g * {step} FROM generate_series(0, {differing} - 1) g)"
            );
            client.batch_execute(&sql).await.unwrap();
            for _ in 0..200 {
                client.batch_execute("UPDATE counter SET n = n + 1 WHERE id = 1").await.unwrap();
            }
        });
        let from = std::fs::metadata(&cluster.nodes[away].log).map_or(0, |log| log.len()) as usize;
        let began = Instant::now();
        cluster.nodes[away].start();
        cluster.settle(&[0, 1, 2]);
        row(&format!("{differing} pages differ"), &cluster.nodes[away], from, began);
    }
    let peer_listen = format!("127.0.0.1:{}", port());
    let words = ["node", "--id", "4", "--peer-listen", &peer_listen, "--join", &cluster.peers[0]];
    let mut node = Program::new(&[&words[..], &config].concat(), &cluster.directory.path().join("4"));
    let began = Instant::now();
    node.start();
    cluster.nodes.push(node);
    cluster.settle(&[0, 1, 2, 3]);
    row("a new node: all", &cluster.nodes[3], 0, began);
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sections = text("SECTIONS", "rates,failover,restart,repair");
    for section in sections.split(',') {
        match section {
            "rates" => rates(&runtime),
            "failover" => failover(&runtime),
            "restart" => restart(&runtime, sections.contains("join")),
            "repair" => repair(&runtime),
            "join" => {}
            other => panic!("EVESQL_CLUSTER_SECTIONS: no section {other}"),
        }
    }
}
