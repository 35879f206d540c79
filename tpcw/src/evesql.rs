//! EveSQL as processes: started, asked how they are, killed.

use crate::session::Error;
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tempfile::TempDir;

/// A status page that says nothing for so long is not there.
const STATUS_WAIT: Duration = Duration::from_secs(5);
/// A change of who belongs to a cluster takes at most so long.
const WISH_WAIT: Duration = Duration::from_secs(60);
/// Below the ports that the system gives to connections that go out: one of them could take that of a process that is
/// down for a while.
const PORTS: std::ops::Range<u32> = 10_000..30_000;

/// `evesql serve` or `evesql node`, which ends with this.
pub struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    /// Where clients connect, as HOST:PORT.
    pub listen: String,
    admin: String,
    /// Where its socket in the file system is, if clients are to take that.
    socket_dir: Option<TempDir>,
    log: PathBuf,
    running: Option<(Child, ChildStdout)>,
}

/// The part of its status page that is of interest here.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Status {
    /// Accepted since the start.
    pub transactions: u64,
    /// Accepted since the start.
    pub batches: u64,
    /// By number.
    pub nodes: Vec<Node>,
    /// The newest divergences.
    pub divergences: Vec<Divergence>,
}

/// One node.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Node {
    /// Its number.
    pub id: u64,
    /// `leader`, `follower`, `learner` or `down`.
    pub role: String,
    /// `verifying`, `healthy`, `quarantined`, `repairing` or `down`.
    pub state: String,
    /// Of its leader.
    pub term: u64,
    /// The newest batch that it accepted.
    pub accepted_index: u64,
    /// Of its database then.
    pub root: String,
    /// Executing batches since the start.
    pub executing_us: u64,
    /// Part of that: what only the comparison needs.
    pub verifying_us: u64,
    /// Batches that gave another result when they were run again.
    pub audits_found: u64,
}

impl Node {
    /// Whether it may answer.
    pub fn serves(&self) -> bool {
        self.state == "healthy" || self.state == "verifying"
    }
}

/// One batch whose results differed.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Divergence {
    /// Which.
    pub index: u64,
    /// Who was in the minority.
    pub minority: Vec<u64>,
}

impl Process {
    /// `evesql` with these words, its files in `data` and what it logs beside that; not started yet.
    ///
    /// # Errors
    /// No port is free.
    pub fn new(program: &Path, words: impl IntoIterator<Item = String>, data: &Path) -> Result<Process, Error> {
        let (listen, admin, log) = (free_address()?, free_address()?, data.with_extension("log"));
        let mut arguments: Vec<String> = words.into_iter().collect();
        let own = ["--data", &data.display().to_string(), "--listen", &listen, "--admin", &admin];
        arguments.extend(own.map(str::to_string));
        let program = program.into();
        Ok(Process { program, arguments, listen, admin, socket_dir: None, log, running: None })
    }

    /// The same, with a socket in the file system that clients take instead of loopback. Paths of sockets are short, so it
    /// is where temporary files are and not beside the data.
    ///
    /// # Errors
    /// No directory can be made there.
    pub fn with_socket(mut self) -> Result<Process, Error> {
        let made = tempfile::Builder::new().prefix("tpcw-").tempdir();
        let directory =
            made.map_err(|error| Error::Failed(format!("no directory can be made for a socket: {error}")))?;
        self.arguments.extend(["--socket-dir".to_string(), directory.path().display().to_string()]);
        self.socket_dir = Some(directory);
        Ok(self)
    }

    /// Starts it; whether it serves shows later.
    ///
    /// # Errors
    /// A program that is not there.
    pub fn start(&mut self) -> Result<(), Error> {
        let log = File::options().create(true).append(true).open(&self.log);
        let spawned = log.and_then(|log| {
            let mut command = Command::new(&self.program);
            command.args(&self.arguments).env("NO_COLOR", "1").stdout(Stdio::piped()).stderr(log).spawn()
        });
        let mut child = spawned.map_err(|error| self.not_started(&error.to_string()))?;
        self.running = child.stdout.take().map(|output| (child, output));
        Ok(())
    }

    /// Waits until it takes connections.
    ///
    /// # Errors
    /// One that ends before.
    pub fn ready(&mut self) -> Result<(), Error> {
        let output = self.running.as_mut().map(|(_, output)| BufReader::new(output));
        let mut lines = output.into_iter().flat_map(BufRead::lines).map_while(Result::ok);
        match lines.any(|line| line.starts_with("ready: ")) {
            true => Ok(()),
            false => {
                let log = self.log();
                let last = log.lines().last().unwrap_or("run it by hand to see why");
                Err(self.not_started(&format!("it ended before it was ready: {last}")))
            }
        }
    }

    fn not_started(&self, why: &str) -> Error {
        Error::Failed(format!("{} cannot be started: {why}", self.program.display()))
    }

    /// Asks it to end in order; [`ended`](Process::ended) waits for that.
    ///
    /// # Errors
    /// A system without `kill`.
    pub fn stop(&self) -> Result<(), Error> {
        let Some(process) = self.process() else { return Ok(()) };
        let sent = Command::new("kill").arg(process.to_string()).status();
        sent.map(drop).map_err(|error| Error::Failed(format!("{} cannot be stopped: {error}", self.program.display())))
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            let _ = child.wait();
        }
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether it was started and has not ended.
    pub fn is_up(&mut self) -> bool {
        self.running.as_mut().is_some_and(|(child, _)| matches!(child.try_wait(), Ok(None)))
    }

    /// Its number for the system, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.running.as_ref().map(|(child, _)| child.id())
    }

    /// For clients.
    pub fn url(&self) -> String {
        let port = self.listen.rsplit(':').next().unwrap_or_default();
        match &self.socket_dir {
            Some(directory) => url([format!("{}:{port}", in_url(directory.path())).as_str()]),
            None => url([self.listen.as_str()]),
        }
    }

    /// What it says of itself and of those that it knows, if it answers.
    pub fn status(&self) -> Option<Status> {
        let config = ureq::Agent::config_builder().timeout_global(Some(STATUS_WAIT));
        let agent: ureq::Agent = config.build().into();
        agent.get(format!("http://{}/status", self.admin)).call().ok()?.body_mut().read_json().ok()
    }

    /// Has it change who belongs to the cluster: `/member/add/4` or `/member/remove/3`.
    ///
    /// # Errors
    /// Why that is refused.
    pub fn wish(&self, wish: &str) -> Result<(), Error> {
        let config = ureq::Agent::config_builder().timeout_global(Some(WISH_WAIT)).http_status_as_error(false);
        let agent: ureq::Agent = config.build().into();
        let failed = |why: String| Error::Failed(format!("{wish} was not fulfilled: {why}"));
        let sent = agent.post(format!("http://{}{wish}", self.admin)).send_empty();
        let mut answer = sent.map_err(|error| failed(error.to_string()))?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(failed(answer.body_mut().read_to_string().unwrap_or_default())),
        }
    }

    /// What it has logged, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A path where a URL has its host.
fn in_url(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes.map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// One for clients that take any of these addresses.
pub fn url<'a>(addresses: impl IntoIterator<Item = &'a str>) -> String {
    let addresses: Vec<&str> = addresses.into_iter().collect();
    format!("postgres://evesql@{}/evesql?load_balance_hosts=random", addresses.join(","))
}

/// What `evesql --version` says.
pub fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string()).unwrap_or_default()
}

/// An address on loopback where nobody listens, another one each time.
///
/// # Errors
/// There is none.
pub fn free_address() -> Result<String, Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = PORTS.end - PORTS.start;
    // Processes begin in different places.
    let port = |step: u32| PORTS.start + (std::process::id().wrapping_mul(97).wrapping_add(step)) % count;
    let address = |_| format!("127.0.0.1:{}", port(NEXT.fetch_add(1, Relaxed)));
    let free = (0..count).map(address).find(|address| TcpListener::bind(address).is_ok());
    free.ok_or_else(|| Error::Failed("no port of this machine is free".into()))
}
