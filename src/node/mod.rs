//! The top of the system: one node wired from its parts, and the programs over several of them.
//!
//! - `core`: a node without threads; `wiring`: its parts joined; `executor`, `running`: its threads; `inline`: it
//!   without any, on simulated time; `storage`: its files; `handler`: what peers send;
//! - `repair`, `repairing`: pages from peers, `lending`: pages for them;
//! - `auditor`: accepted batches that it runs again; `saved_audit`: those for which that found something;
//! - `members`, `membership`: who belongs to the cluster, and changes of it; `join`: how a node comes in; `door`: whom it
//!   lets in; `neighbours`: how nodes of other processes are;
//! - `ticket_office`: tickets and advisory locks of this process's sessions from whoever leads; `guests`: other nodes' sessions
//!   that hold some; `vouching`: how long a lock is believed in;
//! - `proposer`: the leader's way to consensus; `gateway`: what sessions see; `cluster`: nodes of one process,
//!   and `mending`: those of them whose disk is full or failed;
//! - `serve`, `check`, `rules`, `replay`: the programs.

mod auditor;
mod catching_up;
mod check;
mod cluster;
pub mod core;
mod door;
mod executor;
mod gateway;
mod guests;
mod handler;
mod hints;
mod inline;
mod join;
mod lending;
mod log_repair;
mod members;
mod membership;
mod mending;
pub mod message;
mod neighbours;
pub mod planner;
mod proposer;
mod repair;
mod repairing;
mod replay;
pub mod rules;
mod running;
mod saved_audit;
mod serve;
mod shared;
mod storage;
mod succession;
mod ticket_office;
mod vouching;
mod waiters;
mod watermark;
mod wiring;

pub use auditor::{AuditRecord, Audits};
pub use check::check;
pub use cluster::Cluster;
pub use gateway::ClusterGateway;
pub use inline::InlineNode;
pub use members::MembersView;
pub use membership::Change;
pub use neighbours::Neighbours;
pub use replay::{Replayed, replay_audit};
pub use running::{ConsensusThread, RunningNode};
pub use saved_audit::{Saved, SavedAuditError, SavedBatch};
pub use serve::{Server, serve};
pub use shared::{Acknowledged, NodeShared};
pub use ticket_office::TicketOffice;
pub use waiters::Waiters;
pub use wiring::{Surroundings, directory, no_checkpoints};

use crate::token::NodeId;
use std::io;
use std::path::{Path, PathBuf};

/// Why a server could not start or had to stop; each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A directory cannot be made or written.
    #[error("cannot use the directory {}: {reason}; choose another one with --data, or mend its permissions", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// The operating system's word.
        reason: String,
    },
    /// The log is damaged or cannot be written.
    #[error("node {node} cannot use its log: {reason}")]
    Log {
        /// Whose.
        node: NodeId,
        /// The disk lost what was durable: peers may help ([`log_repair`]).
        is_damaged: bool,
        /// What and where.
        reason: String,
    },
    /// A damaged log could not be made whole yet.
    #[error("node {node} cannot use its log, which is damaged: {reason}")]
    LogRepair {
        /// Whose.
        node: NodeId,
        /// What it waits for, or what to do.
        reason: String,
    },
    /// The databases' files are damaged or cannot be written.
    #[error("node {node} cannot use its databases: {reason}")]
    Storage {
        /// Whose.
        node: NodeId,
        /// What and where.
        reason: String,
    },
    /// Too many nodes' files are damaged.
    #[error("too few nodes can start to make a majority: {}; restore the files of one of them from a backup", reasons.join("; "))]
    NoMajority {
        /// What keeps each of the others from it.
        reasons: Vec<String>,
    },
    /// Consensus does not start.
    #[error("node {node} cannot take part in consensus: {reason}")]
    Consensus {
        /// Whose.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// A thread ended while it started.
    #[error("the {part} thread of node {node} ended while it started; this is a bug")]
    Panicked {
        /// Whose.
        node: NodeId,
        /// Which.
        part: &'static str,
    },
    /// The operating system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(String),
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {reason}; choose another one with --listen")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// The operating system's word.
        reason: String,
    },
    /// The socket in the file system cannot be made.
    #[error("cannot listen on {}: {reason}; choose another directory with --socket-dir", path.display())]
    LocalSocket {
        /// Its file.
        path: PathBuf,
        /// The operating system's word.
        reason: String,
    },
    /// The status page.
    #[error(transparent)]
    Admin(#[from] crate::admin::AdminError),
    /// Some nodes' files are there, others' are not.
    #[error("{} lacks the files of node {missing:?}, which others remember; restore them, or move the whole directory away", data.display())]
    MissingNodes {
        /// The data directory.
        data: PathBuf,
        /// Which.
        missing: Vec<NodeId>,
    },
    /// The mixer's rules cannot be used.
    #[error(transparent)]
    Rules(#[from] rules::RulesError),
    /// A node's directory under another number.
    #[error("{} belongs to node {node}; give each node a directory of its own with --data", path.display())]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        node: NodeId,
    },
    /// A node of a cluster whose own files are damaged; the others serve without it.
    #[error("{0}; mend that, or start it with an empty directory under a new number, with --join")]
    Unfit(Box<NodeError>),
    /// A peer does not let this node in.
    #[error("{0}")]
    Refused(String),
    /// The peers' address is taken, or not ours.
    #[error("cannot listen for peers on {address}: {reason}; choose another one with --peer-listen")]
    ListenPeers {
        /// Where.
        address: std::net::SocketAddr,
        /// The operating system's word.
        reason: String,
    },
    /// Certificates for the peers' connections.
    #[error(transparent)]
    PeerTls(#[from] crate::peer::TlsError),
    /// Certificate and key for clients.
    #[error(transparent)]
    ClientTls(#[from] crate::pem::PemError),
    /// Another process works on the directory.
    #[error("{} is in use by another evesql; stop it, or choose another directory with --data", .0.display())]
    InUse(PathBuf),
    /// It is too late for that.
    #[error("the server is stopping; start it again")]
    Stopping,
    /// No node was elected.
    #[error("no node was elected as the leader in time; is the machine overloaded?")]
    NoLeader,
    /// There is nothing to check.
    #[error("{} holds no evesql data", .0.display())]
    NoData(PathBuf),
}

impl NodeError {
    /// Whether it keeps one node from starting and says nothing about the others.
    pub(crate) fn is_of_one_node(&self) -> bool {
        matches!(self, NodeError::Log { .. } | NodeError::Storage { .. } | NodeError::Consensus { .. })
    }
    /// Whether the node's peers may mend it.
    pub(crate) fn is_of_damaged_log(&self) -> bool {
        matches!(self, NodeError::Log { is_damaged: true, .. })
    }
    pub(crate) fn directory(path: &Path, error: io::Error) -> Self {
        NodeError::Directory { path: path.into(), reason: error.to_string() }
    }
}
