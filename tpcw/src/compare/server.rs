//! EveSQL as a process: started, asked how it is, stopped.

use crate::session::Error;
use serde::Deserialize;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server that ends with this.
pub struct Server {
    child: Child,
    /// Where clients connect.
    pub url: String,
    program: PathBuf,
    admin: String,
}

/// The part of `evesql status --json` that is of interest here.
#[derive(Debug, Deserialize)]
struct Status {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    executing_us: u64,
    verifying_us: u64,
}

impl Server {
    /// Starts `evesql serve` with so many replicas, and waits until it takes connections.
    ///
    /// # Errors
    /// A program that is not there, or does not start.
    pub fn start(program: &Path, replicas: u64, data: &Path) -> Result<Server, Error> {
        let (listen, admin) = (free_address()?, free_address()?);
        let failed = |what: String| Error::Failed(format!("{} cannot be started: {what}", program.display()));
        let mut child = Command::new(program)
            .args(["serve", "--replicas", &replicas.to_string(), "--listen", &listen, "--admin", &admin, "--data"])
            .arg(data)
            .arg("--drills")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let lines = BufReader::new(child.stdout.take().ok_or_else(|| failed("it has no output".into()))?).lines();
        let ready = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("ready: ").map(str::to_string));
        match ready {
            Some(url) => Ok(Server { child, url, program: program.into(), admin }),
            None => {
                let _ = child.kill();
                Err(failed("it ended before it was ready; run it by hand to see why".into()))
            }
        }
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Microseconds that all its replicas spent executing, and of these verifying, so far.
    pub fn executing_us(&self) -> Option<(u64, u64)> {
        let output = Command::new(&self.program).args(["status", "--json", "--admin", &self.admin]).output().ok()?;
        let status: Status = serde_json::from_slice(&output.stdout).ok()?;
        let sum = |part: fn(&Node) -> u64| status.nodes.iter().map(part).sum();
        Some((sum(|node| node.executing_us), sum(|node| node.verifying_us)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `evesql --version` says.
pub fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string()).unwrap_or_default()
}

fn free_address() -> Result<String, Error> {
    let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    free.map(|address| address.to_string()).map_err(|error| Error::Failed(format!("no port is free: {error}")))
}
