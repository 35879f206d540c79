//! What whole-system proofs share: a server inside the test or as a program of its own, and clients of it.

#![allow(dead_code, reason = "each proof uses a part")]

pub mod disk;

use evesql::config::{Config, RunAhead};
use evesql::node::{Cluster, Server};
use evesql::seam::{Disk, RealDisk};
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

/// Nothing healthy takes so long, on a busy machine either.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A server in this process, in a directory of its own.
pub struct InProcess {
    server: Server,
    disk: Arc<dyn Disk>,
    directory: tempfile::TempDir,
}

impl InProcess {
    pub fn start(change: impl FnOnce(Config) -> Config) -> InProcess {
        InProcess::start_on(Arc::new(RealDisk), change)
    }

    /// With the nodes' files on another disk.
    pub fn start_on(disk: Arc<dyn Disk>, change: impl FnOnce(Config) -> Config) -> InProcess {
        let words = std::env::var("EVESQL_LOG").unwrap_or_else(|_| "error,openraft=off".into());
        let _ = tracing_subscriber::fmt().with_env_filter(words).with_test_writer().try_init();
        let directory = tempfile::tempdir().unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let data = directory.path().join("data");
        // All proofs must hold as well with all that can running ahead: `EVESQL_RUN_AHEAD=1 cargo test`.
        let (workers, run_ahead) = match std::env::var_os("EVESQL_RUN_AHEAD") {
            Some(_) => (2, RunAhead::Always),
            None => (0, RunAhead::default()),
        };
        let config =
            Config { data, listen: nowhere, admin: nowhere, drills: true, workers, run_ahead, ..Config::default() };
        let server = Server::start_on(change(config), disk.clone()).unwrap();
        InProcess { server, disk, directory }
    }

    /// All nodes die, and another process starts from their files; with another address.
    pub fn power_cut(self) -> InProcess {
        let InProcess { server, disk, directory } = self;
        let config = server.cluster().surroundings().config.clone();
        (1..=config.replicas).for_each(|node| assert!(server.cluster().kill(node)));
        drop(server);
        InProcess { server: Server::start_on(config, disk.clone()).unwrap(), disk, directory }
    }

    /// Stops it as it should be, and starts it again from its files; with another address.
    pub fn restart(self, change: impl FnOnce(Config) -> Config) -> InProcess {
        let InProcess { server, disk, directory } = self;
        let config = change(server.cluster().surroundings().config.clone());
        drop(server);
        InProcess { server: Server::start_on(config, disk.clone()).unwrap(), disk, directory }
    }

    /// Stops it; its files are in `data`, as long as this directory lives.
    pub fn end(self) -> tempfile::TempDir {
        let InProcess { server, directory, .. } = self;
        drop(server);
        directory
    }

    pub fn cluster(&self) -> &Arc<Cluster> {
        self.server.cluster()
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Waits until all nodes serve with one accepted root.
    pub fn agree(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let nodes = self.cluster().nodes();
            let states: Vec<_> = nodes.iter().map(|node| node.shared.accepted()).collect();
            let serving = nodes.len() == 3 && nodes.iter().all(|node| node.shared.serves());
            if serving && states.windows(2).all(|pair| pair[0].root == pair[1].root && pair[0].log_id == pair[1].log_id)
            {
                return;
            }
            assert!(Instant::now() < deadline, "no agreement:\n{}", self.cluster().status(0).render());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A client; the error is the server's word, or the network's.
pub async fn try_connect(address: SocketAddr) -> Result<Client, tokio_postgres::Error> {
    try_connect_to(address, "evesql").await
}

async fn try_connect_to(address: SocketAddr, database: &str) -> Result<Client, tokio_postgres::Error> {
    let text = format!("host=127.0.0.1 port={} user=evesql dbname={database}", address.port());
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

pub async fn connect(address: SocketAddr) -> Client {
    connect_to(address, "evesql").await
}

pub async fn connect_to(address: SocketAddr, database: &str) -> Client {
    try_connect_to(address, database).await.expect("the server takes connections")
}

/// The SQLSTATE of an error; empty when the connection broke.
pub fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or(String::new(), |state| state.code().to_string())
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The program itself.
pub fn evesql(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evesql"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    evesql(arguments).output().unwrap()
}

/// A running `evesql serve`; killed when it is dropped.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl Program {
    /// Starts on `data` and waits for the line that says it is ready.
    pub fn serve(data: &Path, more: &[&str]) -> Result<Program, String> {
        let mut arguments = vec!["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"];
        if !more.contains(&"--admin") {
            arguments.extend(["--admin", "127.0.0.1:0"]);
        }
        arguments.extend(more);
        let mut child = evesql(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) =
            line.trim().strip_prefix("ready: postgres://evesql@").and_then(|l| l.strip_suffix("/evesql"))
        else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            let status = child.wait().unwrap();
            return Err(format!("{line}{said}exit code {:?}", status.code()));
        };
        // A full pipe would stop the server.
        let (stderr, said) = (BufReader::new(child.stderr.take().unwrap()), Arc::new(Mutex::new(String::new())));
        let heard = said.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("{line}");
                *heard.lock().unwrap() += &(line + "\n");
            }
        });
        Ok(Program { address: address.parse().unwrap(), child, said })
    }

    /// What it wrote to stderr so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As Ctrl-C or `kill`; the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that the system gives to nobody who does not ask for them by number: what is free stays free, also while a
/// program that was told to listen there starts or starts again.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// A port that nobody listens on, from another part of the range in each process.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) + std::process::id() * 97;
        let port = PORTS.start + (step % u32::from(PORTS.end - PORTS.start)) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
