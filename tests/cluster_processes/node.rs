//! One node of a story: a process of its own, which is started, stopped, frozen and killed.

use super::harness::{PATIENCE, evesql, free_port};
use super::large;
use super::limit::Limit;
use evesql::admin::{NodeStatus, Status, fetch};
use parking_lot::Mutex;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a node is started with, and its process while it runs.
pub struct Node {
    pub id: u64,
    /// Its data directory.
    pub data: PathBuf,
    /// For clients.
    pub port: u16,
    pub admin: String,
    pub peer_port: u16,
    pub peers: String,
    /// Where it joins a cluster, instead.
    join: Option<String>,
    pub more: Vec<String>,
    running: Option<Running>,
    limit: Option<Limit>,
    said: Arc<Mutex<String>>,
}

struct Running {
    child: Child,
    is_ready: Arc<AtomicBool>,
    reading: std::thread::JoinHandle<()>,
}

impl Node {
    pub fn new(id: u64, data: PathBuf, peer_port: u16, peers: String, more: &[&str]) -> Node {
        let admin = format!("127.0.0.1:{}", free_port());
        let more = more.iter().map(ToString::to_string).collect();
        Node {
            id,
            data,
            port: free_port(),
            admin,
            peer_port,
            peers,
            join: None,
            more,
            running: None,
            limit: large::limit(id),
            said: Arc::default(),
        }
    }

    /// One that joins a cluster, of which `at` is a node's address for peers.
    pub fn joining(id: u64, data: PathBuf, peer_port: u16, at: String, more: &[&str]) -> Node {
        let mut node = Node::new(id, data, peer_port, String::new(), more);
        node.join = Some(at);
        node
    }

    /// Starts the process; whether it serves or refuses shows later.
    pub fn start(&mut self) {
        assert!(self.running.is_none(), "node {} runs already", self.id);
        let data = self.data.to_str().unwrap();
        let (id, listen) = (self.id.to_string(), format!("127.0.0.1:{}", self.port));
        let peer_listen = format!("127.0.0.1:{}", self.peer_port);
        let mut arguments = vec!["node", "--id", &id, "--data", data, "--listen", &listen];
        arguments.extend(["--peer-listen", &peer_listen, "--admin", &self.admin]);
        arguments.extend(match &self.join {
            Some(at) => ["--join", at],
            None => ["--peers", &self.peers],
        });
        let more = large::options(&self.more, &self.data);
        arguments.extend(more.iter().map(String::as_str));
        let mut child = self.evesql(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let is_ready = Arc::new(AtomicBool::new(false));
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (ready, said) = (is_ready.clone(), self.said.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                ready.fetch_or(line.starts_with("ready: "), Ordering::Relaxed);
            }
        });
        said.lock().push_str("--- started\n");
        let reading = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(filled @ 1..) = stderr.read(&mut chunk) {
                said.lock().push_str(&String::from_utf8_lossy(&chunk[..filled]));
            }
        });
        self.running = Some(Running { child, is_ready, reading });
    }

    /// The program, on this node's machine.
    fn evesql(&self, arguments: &[&str]) -> Command {
        self.limit.as_ref().map_or_else(|| evesql(arguments), |limit| limit.evesql(arguments))
    }

    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// What it wrote to stderr, over all its starts.
    pub fn said(&self) -> String {
        self.said.lock().clone()
    }

    /// Waits until it takes clients.
    pub fn ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let running = self.running.as_mut().expect("a node that was started");
            if running.is_ready.load(Ordering::Relaxed) {
                return;
            }
            let ended = running.child.try_wait().unwrap();
            assert!(ended.is_none(), "node {} ended: {ended:?}\n{}", self.id, self.said());
            assert!(Instant::now() < deadline, "node {} does not get ready\n{}", self.id, self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it has ended by itself: its exit code then.
    pub fn has_ended(&mut self) -> Option<Option<i32>> {
        let status = self.running.as_mut()?.child.try_wait().unwrap()?;
        self.gone();
        Some(status.code())
    }

    /// Waits until it ends by itself: its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(code) = self.has_ended() {
                return code;
            }
            assert!(Instant::now() < deadline, "node {} goes on\n{}", self.id, self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn gone(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.child.wait().unwrap();
            running.reading.join().unwrap();
        }
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        self.running.as_mut().expect("a node that runs").child.kill().unwrap();
        self.gone();
    }

    /// As `kill`, without waiting for the end.
    pub fn ask_to_stop(&self) {
        self.signal("-TERM");
    }

    /// As `kill -STOP`: it does nothing, and its connections stay.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, which: &str) {
        let running = self.running.as_ref().expect("a node that runs");
        let sent = Command::new("kill").args([which, &running.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// What its status page shows, if it answers.
    pub fn status(&self) -> Option<Status> {
        self.running.as_ref()?;
        fetch(&self.admin).ok()
    }

    /// How it is, as it says itself.
    pub fn own_status(&self) -> Option<NodeStatus> {
        self.status()?.nodes.into_iter().find(|node| node.id == self.id)
    }

    /// `evesql check` finds nothing.
    pub fn is_sound(&self) {
        assert!(!self.is_up());
        let checked = self.evesql(&["check", "--data", self.data.to_str().unwrap()]).output().unwrap();
        assert_eq!(checked.status.code(), Some(0), "node {}: {checked:?}\n{}", self.id, self.said());
    }

    /// How much memory it took, if it was limited; it was never killed for it.
    pub fn tell_its_memory(&self) {
        if let Some(limit) = &self.limit {
            eprintln!("node {}: {} MiB of memory at most, without files", self.id, limit.peak_bytes() >> 20);
            assert_eq!(limit.kills(), 0, "node {} was killed for its memory\n{}", self.id, self.said());
        }
    }

    /// Its files of one name, the longest first.
    pub fn files(&self, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.data.join(format!("node-{}", self.id))];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => directories.push(entry.path()),
                    false if entry.file_name().to_str().unwrap().starts_with(name) => found.push(entry.path()),
                    false => {}
                }
            }
        }
        found.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().len()));
        found
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
            let _ = running.reading.join();
        }
        if std::thread::panicking() {
            if let Some(limit) = &self.limit {
                let (kills, peak) = (limit.kills(), limit.peak_bytes() >> 20);
                eprintln!("node {}: killed {kills} times for its memory, {peak} MiB at most", self.id);
            }
            eprintln!("node {} said:\n{}", self.id, self.said.lock());
        }
    }
}
