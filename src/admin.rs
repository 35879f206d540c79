//! The admin page: what `evesql status` shows, as JSON over HTTP, and its rendering for a person; and administrators'
//! wishes about who belongs to the cluster.
//!
//! ```text
//!   GET  /status                   the status as JSON
//!   POST /member/add/ID            a learner becomes a voter
//!   POST /member/remove/ID         a node is no member any more
//!   POST /transfer-leader/ID       another node shall lead
//! ```
//!
//! Stands beside the walk of a transaction: it reads counters and never touches a batch.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// State of a process and its nodes at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Seconds since the process took connections.
    pub uptime_s: u64,
    /// Clients connected now.
    pub connections: u64,
    /// Transactions accepted since the start.
    pub transactions: u64,
    /// Batches accepted since the start.
    pub batches: u64,
    /// The nodes, by id.
    pub nodes: Vec<NodeStatus>,
    /// The newest divergences, oldest first.
    pub divergences: Vec<DivergenceStatus>,
}

/// State of one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node.
    pub id: u64,
    /// `leader`, `follower`, `learner` (no voter yet) or `down`.
    pub role: String,
    /// `verifying`, `healthy`, `quarantined`, `repairing` or `down`.
    pub state: String,
    /// Raft term that it knows.
    pub term: u64,
    /// Log index of the newest batch that it accepted.
    pub accepted_index: u64,
    /// Batches that it knows as decided and has not accepted.
    pub lag_batches: u64,
    /// Hex of the root at `accepted_index`.
    pub root: String,
    /// Microseconds that it has spent executing batches since it started.
    pub executing_us: u64,
    /// Of these: hashing changed pages, publishing them and digesting answers, for the comparison with its peers.
    pub verifying_us: u64,
    /// Accepted batches that it ran again one by one, with the same result.
    pub audits_passed: u64,
    /// Those with another one: a bug in EveSQL.
    pub audits_found: u64,
    /// Those that were chosen and not run again.
    pub audits_skipped: u64,
    /// Why it is quarantined or down, if it is.
    pub reason: Option<String>,
}

/// One divergence, as `SELECT * FROM evesql_divergences` has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DivergenceStatus {
    /// Log index of the batch.
    pub index: u64,
    /// `repair`, `replay`, `void`, or `failed` (a node could not execute the batch).
    pub mode: String,
    /// Nodes that were in the minority, or failed.
    pub minority: Vec<u64>,
    /// Tables whose pages differed.
    pub tables: Vec<String>,
    /// Pages that differed.
    pub pages: Vec<u32>,
    /// Rows that differed, as `database.table rowid 7`, a bounded number of them.
    pub rows: Vec<String>,
    /// SQL of the transactions of the batch, shortened.
    pub transactions: Vec<String>,
    /// When it was healed, as a UTC timestamp; absent while it is not.
    pub healed_at: Option<String>,
}

impl Status {
    /// Text for a terminal.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "evesql {}: up {} s, {} clients, {} transactions in {} batches",
            self.version, self.uptime_s, self.connections, self.transactions, self.batches
        );
        let _ = writeln!(
            out,
            "{:>4}  {:<9} {:<12} {:>6} {:>10} {:>5}  root",
            "node", "role", "state", "term", "accepted", "lag"
        );
        for node in &self.nodes {
            let _ = writeln!(
                out,
                "{:>4}  {:<9} {:<12} {:>6} {:>10} {:>5}  {}",
                node.id, node.role, node.state, node.term, node.accepted_index, node.lag_batches, node.root
            );
            if let Some(reason) = &node.reason {
                let _ = writeln!(out, "      {reason}");
            }
        }
        let audits = |count: fn(&NodeStatus) -> u64| self.nodes.iter().map(count).sum::<u64>();
        let (passed, found) = (audits(|node| node.audits_passed), audits(|node| node.audits_found));
        let see = if found > 0 { ": a bug in EveSQL, please report it (SELECT * FROM evesql_audits)" } else { "" };
        let _ = writeln!(out, "audits: {passed} passed, {found} found{see}");
        if self.divergences.is_empty() {
            let _ = writeln!(out, "no divergences");
        }
        for divergence in &self.divergences {
            let _ = writeln!(
                out,
                "divergence at {}: {}, minority {:?}, tables [{}], {} pages, rows [{}], {}",
                divergence.index,
                divergence.mode,
                divergence.minority,
                divergence.tables.join(", "),
                divergence.pages.len(),
                some(&divergence.rows),
                divergence.healed_at.as_ref().map_or("not healed yet".to_string(), |at| format!("healed at {at}"))
            );
        }
        out
    }

    /// Whether every node serves, none differs, and no audit found anything.
    pub fn is_sound(&self) -> bool {
        self.nodes.iter().all(|n| (n.state == "healthy" || n.state == "verifying") && n.audits_found == 0)
    }
}

/// The first ones of a list, and how many more there are.
fn some(items: &[String]) -> String {
    const SHOWN_MAX: usize = 5;
    let shown = items.iter().take(SHOWN_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match items.len().checked_sub(SHOWN_MAX) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

/// Why the status could not be served or read.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be listened on.
    #[error("cannot listen on the admin address {address}: {reason}; choose another one with --admin")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The operating system's word.
        reason: String,
    },
    /// Nobody answers, or something else does.
    #[error("no evesql answers on {address}: {reason}; is it running, and is this its --admin address?")]
    Unreachable {
        /// Where.
        address: String,
        /// What happened.
        reason: String,
    },
}

/// What an administrator wants; each names a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It shall vote.
    AddMember(u64),
    /// It shall belong to the cluster no more.
    RemoveMember(u64),
    /// It shall lead.
    TransferLeader(u64),
}

impl Wish {
    fn path(self) -> String {
        match self {
            Wish::AddMember(node) => format!("/member/add/{node}"),
            Wish::RemoveMember(node) => format!("/member/remove/{node}"),
            Wish::TransferLeader(node) => format!("/transfer-leader/{node}"),
        }
    }

    fn of_path(path: &str) -> Option<Wish> {
        let (what, node) = path.rsplit_once('/')?;
        let node = node.parse().ok()?;
        [Wish::AddMember(node), Wish::RemoveMember(node), Wish::TransferLeader(node)]
            .into_iter()
            .find(|wish| wish.path() == format!("{what}/{node}"))
    }
}

/// Serves the page on a thread of its own until the process ends or the handle is dropped.
pub struct AdminServer {
    server: Arc<tiny_http::Server>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl AdminServer {
    /// Starts listening; `status` is called once for each request, and so is `fulfil`, which may take its time.
    pub fn start(
        address: SocketAddr,
        status: impl Fn() -> Status + Send + 'static,
        fulfil: impl Fn(Wish) -> Result<String, String> + Send + Sync + 'static,
    ) -> Result<AdminServer, AdminError> {
        let server = tiny_http::Server::http(address)
            .map_err(|e| AdminError::Listen { address, reason: e.to_string() })
            .map(Arc::new)?;
        let serving = server.clone();
        let thread = std::thread::Builder::new()
            .name("admin".into())
            .spawn(move || {
                let fulfil = Arc::new(fulfil);
                for request in serving.incoming_requests() {
                    if *request.method() == tiny_http::Method::Post
                        && let Some(wish) = Wish::of_path(request.url())
                    {
                        let fulfil = fulfil.clone();
                        // The status is to be seen meanwhile. Without a thread the request is dropped, which closes it.
                        let _ = std::thread::Builder::new().name("wish".into()).spawn(move || {
                            let (text, code) = match fulfil(wish) {
                                Ok(done) => (done, 200),
                                Err(reason) => (reason, 409),
                            };
                            let response = tiny_http::Response::from_string(text).with_status_code(code);
                            let _ = request.respond(response);
                        });
                        continue;
                    }
                    let response = match request.url() {
                        "/status" => tiny_http::Response::from_string(
                            serde_json::to_string(&status()).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}")),
                        ),
                        _ => tiny_http::Response::from_string("see /status\n").with_status_code(404),
                    };
                    // A client that went away is no failure of ours.
                    let _ = request.respond(response);
                }
            })
            .map_err(|e| AdminError::Listen { address, reason: e.to_string() })?;
        Ok(AdminServer { server, thread: Some(thread) })
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads the status of a running process; waits at most five seconds.
pub fn fetch(address: &str) -> Result<Status, AdminError> {
    let unreachable = |reason: String| AdminError::Unreachable { address: address.into(), reason };
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).build().into();
    let mut response = agent.get(format!("http://{address}/status")).call().map_err(|e| unreachable(e.to_string()))?;
    response.body_mut().read_json::<Status>().map_err(|e| unreachable(e.to_string()))
}

/// Has a running process fulfil a wish: what it says when that is done, or why it is not.
pub fn ask(address: &str, wish: Wish) -> Result<Result<String, String>, AdminError> {
    let unreachable = |reason: String| AdminError::Unreachable { address: address.into(), reason };
    let config = ureq::Agent::config_builder().timeout_connect(Some(Duration::from_secs(5)));
    let agent: ureq::Agent = config.http_status_as_error(false).build().into();
    let sent = agent.post(format!("http://{address}{}", wish.path())).send_empty();
    let mut response = sent.map_err(|e| unreachable(e.to_string()))?;
    let text = response.body_mut().read_to_string().map_err(|e| unreachable(e.to_string()))?;
    match response.status().as_u16() {
        200 => Ok(Ok(text)),
        409 => Ok(Err(text)),
        code => Err(unreachable(format!("it answers with HTTP {code}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_travels_over_http_and_reads_at_a_glance() {
        let shown = Status {
            version: "0.1.0".into(),
            nodes: vec![NodeStatus {
                id: 1,
                role: "leader".into(),
                state: "quarantined".into(),
                reason: Some("page 7 is damaged".into()),
                ..Default::default()
            }],
            ..Default::default()
        };
        let served = shown.clone();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let fulfil = |wish| match wish {
            Wish::AddMember(4) => Ok("node 4 is a voter now".to_string()),
            _ => Err("no".to_string()),
        };
        let _server = AdminServer::start(address, move || served.clone(), fulfil).unwrap();
        assert_eq!(ask(&address.to_string(), Wish::AddMember(4)).unwrap(), Ok("node 4 is a voter now".into()));
        assert_eq!(ask(&address.to_string(), Wish::TransferLeader(4)).unwrap(), Err("no".into()));
        let read = fetch(&address.to_string()).unwrap();
        assert_eq!(read, shown);
        assert!(!read.is_sound());
        assert!(read.render().contains("page 7 is damaged"));
    }

    #[test]
    fn nobody_listening_is_a_sentence_not_a_panic() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let message = fetch(&address.to_string()).unwrap_err().to_string();
        assert!(message.contains("is it running"), "{message}");
    }
}
