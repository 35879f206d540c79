//! `evesql serve` and `evesql node`: the nodes of a process, their front and their status page, until a signal.

use super::NodeError;
use super::cluster::Cluster;
use super::gateway::ClusterGateway;
use super::membership::Change;
use super::rules::{SharedRules, WatchedRules};
use crate::admin::{AdminServer, Wish};
use crate::config::{Auth, Config};
use crate::page_store::refuse_huge_pages;
use crate::seam::{Disk, RealDisk};
use crate::session::{Admission, SessionService};
use crate::wire::{ClientTls, Front, FrontOptions, LocalSocket};
use std::fs::{File, TryLockError};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Time for the nodes to recover and to find a leader. Recovery executes the log behind the last checkpoint.
const START_TIMEOUT: Duration = Duration::from_secs(300);

/// A node takes clients after this time though it knows no leader: what this node has accepted can be read.
const LEADER_WAIT: Duration = Duration::from_secs(5);
/// Whether a peer has refused this node is looked at this often.
const REFUSAL_PAUSE: Duration = Duration::from_millis(100);

/// A running server. Dropping it stops it.
pub struct Server {
    cluster: Arc<Cluster>,
    front: Option<Front>,
    admin: Option<AdminServer>,
    rules: Option<WatchedRules>,
    _lock: File,
}

impl Server {
    /// Starts everything; on return clients can connect.
    pub fn start(config: Config) -> Result<Server, NodeError> {
        Server::start_on(config, Arc::new(RealDisk))
    }

    /// The same, with the nodes' files on another disk.
    pub fn start_on(config: Config, disk: Arc<dyn Disk>) -> Result<Server, NodeError> {
        let rules = config.rules.as_deref().map(WatchedRules::start).transpose()?;
        let lock = lock(&config.data)?;
        let listener = TcpListener::bind(config.listen)
            .map_err(|e| NodeError::Listen { address: config.listen, reason: e.to_string() })?;
        let local = config.socket_dir.as_deref().map(|directory| local_socket(directory, &listener)).transpose()?;
        let admin_address = config.admin;
        let options = FrontOptions {
            threads: match config.front_threads {
                0 => std::thread::available_parallelism().map_or(2, usize::from),
                threads => threads,
            },
            connections_max: config.connections_max,
            tls: config.tls().map(|(cert, key)| ClientTls::load(cert, key)).transpose()?,
            ..FrontOptions::default()
        };
        let rules_of_house = Admission {
            local_passwords: config.auth == Auth::Scram,
            plain: config.plain_clients,
            insecure: config.insecure,
        };
        let shared_rules = rules.as_ref().map(WatchedRules::rules).unwrap_or_default();
        let cluster = Cluster::start_on(config.clone(), shared_rules, disk)?;
        let shown = Arc::downgrade(&cluster);
        let changed = shown.clone();
        let admin = AdminServer::start(
            admin_address,
            move || shown.upgrade().map(|cluster| cluster.status(0)).unwrap_or_default(),
            move |wish| match changed.upgrade() {
                Some(cluster) => cluster.change(match wish {
                    Wish::AddMember(node) => Change::Promote(node),
                    Wish::RemoveMember(node) => Change::Remove(node),
                    Wish::TransferLeader(node) => Change::Lead(node),
                }),
                None => Err("this node is stopping".into()),
            },
        )?;
        match (
            cluster.wait_for_leader(if config.member.is_some() { LEADER_WAIT } else { START_TIMEOUT }),
            &config.member,
        ) {
            (Ok(()), _) => cluster.learn_what_was_acknowledged(),
            (Err(NodeError::NoLeader), Some(member)) => {
                let node = member.id;
                tracing::warn!(node, "no leader is known yet: this node takes clients, and answers what it can alone");
            }
            (Err(error), _) => return Err(error),
        }
        let gateway = ClusterGateway::new(cluster.clone());
        let front =
            Front::start(listener, local, options, move |_| SessionService::new(gateway.clone(), rules_of_house))
                .map_err(|e| NodeError::Listen { address: config.listen, reason: e.to_string() })?;
        Ok(Server { cluster, front: Some(front), admin: Some(admin), rules, _lock: lock })
    }

    /// Where Postgres clients connect.
    pub fn address(&self) -> SocketAddr {
        self.front.as_ref().map_or(SocketAddr::from(([127, 0, 0, 1], 0)), Front::address)
    }

    /// The mixer's rules in force, now and later.
    pub fn rules(&self) -> SharedRules {
        self.rules.as_ref().map(WatchedRules::rules).unwrap_or_default()
    }

    /// The nodes.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }
}

impl Drop for Server {
    /// What was promised is finished first: clients, then nodes, each with a last checkpoint.
    fn drop(&mut self) {
        if let Some(front) = self.front.take() {
            front.shutdown();
        }
        self.admin = None;
        self.cluster.stop();
    }
}

/// The socket for clients of this machine, named by the port of the other one.
fn local_socket(directory: &Path, listener: &TcpListener) -> Result<LocalSocket, NodeError> {
    let port = listener.local_addr().map_or(0, |address| address.port());
    LocalSocket::bind(directory, port)
        .map_err(|error| NodeError::LocalSocket { path: LocalSocket::path(directory, port), reason: error.to_string() })
}

/// One process at a time works on a data directory.
pub(super) fn lock(data: &Path) -> Result<File, NodeError> {
    std::fs::create_dir_all(data).map_err(|e| NodeError::directory(data, e))?;
    let path = data.join("lock");
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| NodeError::directory(data, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(NodeError::InUse(data.into())),
        Err(TryLockError::Error(error)) => Err(NodeError::directory(data, error)),
    }
}

/// With less memory than this for the pages of all its nodes, a process does without huge pages: what they take besides
/// would be too much of it.
const HUGE_PAGES_FROM_MIB: usize = 256;

/// Runs `evesql serve` or `evesql node` until SIGINT or SIGTERM, or until a peer refuses the node.
pub fn serve(config: Config) -> Result<(), NodeError> {
    if config.memory_mib * config.hosted().len() < HUGE_PAGES_FROM_MIB {
        refuse_huge_pages();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| NodeError::Thread(e.to_string()))?;
    // A second pool, as tests with several servers in a process would make, is refused: then the first one's names stay.
    let _ = rayon::ThreadPoolBuilder::new().thread_name(|number| format!("hash-{number}")).build_global();
    let server = Server::start(config)?;
    let cluster = server.cluster().clone();
    let address = server.address();
    let stopped = runtime.block_on(async move {
        use tokio::signal::unix::{SignalKind, signal};
        // Whoever reads that it is ready may ask it to stop in the same moment.
        let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        println!("ready: postgres://evesql@{address}/evesql");
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            tracing::error!("signals cannot be watched; only kill -9 will stop this server");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            reason = refused(&cluster) => Err(NodeError::Refused(reason)),
        }
    });
    drop(server);
    stopped
}

/// Ends when a peer refuses a node of this process, with its word.
async fn refused(cluster: &Cluster) -> String {
    loop {
        if let Some(reason) = cluster.surroundings().door.as_ref().and_then(|door| door.refusal()) {
            return reason;
        }
        tokio::time::sleep(REFUSAL_PAUSE).await;
    }
}
