//! The cluster as its sessions see it.

use super::cluster::{Cluster, SubmitError, random_u64};
use super::running::RunningNode;
use crate::catalog::relations::{Database, Environment};
use crate::session::ticket_desk::TicketDesk;
use crate::session::tickets::{Holder, Key, Mode};
use crate::session::{Gateway, GatewayError, Pinned, ReadLevel, Soon, TicketError, Waiting};
use crate::transaction::{Outcome, Transaction, Value};
use std::sync::Arc;
use std::time::Duration;

/// A strict read waits at most so long for this node to accept what is decided.
const ACCEPT_WAIT: Duration = Duration::from_secs(10);

/// Gateway of all sessions of a process.
pub struct ClusterGateway {
    cluster: Arc<Cluster>,
    tickets: TicketDesk,
}

impl ClusterGateway {
    /// For a running cluster.
    pub fn new(cluster: Arc<Cluster>) -> Arc<Self> {
        Arc::new(ClusterGateway { cluster, tickets: TicketDesk::default() })
    }

    fn home(&self) -> Result<Arc<RunningNode>, GatewayError> {
        if self.cluster.is_stopping() {
            return Err(GatewayError::ShuttingDown);
        }
        let nobody = || GatewayError::Unavailable("no node of this process serves".into());
        self.cluster.home().ok_or_else(nobody)
    }
}

/// What a node has accepted, pinned.
fn pin(node: &RunningNode, database: &Arc<str>) -> Result<Pinned, GatewayError> {
    let state = node.shared.accepted_state();
    // Invariant 7: asked after the state is pinned, so that a quarantine before is never missed.
    if !node.shared.serves() {
        return Err(GatewayError::Unavailable(format!("node {} is in quarantine", node.shared.id)));
    }
    let version = state.databases.get(database).ok_or_else(|| GatewayError::NoDatabase(database.to_string()))?;
    Ok(Pinned { snapshot: version.snapshot.clone(), catalog: version.catalog.clone(), schema: version.schema })
}

/// Waits for a shared read index, then for this node to have accepted that far.
async fn strict(node: Arc<RunningNode>, database: Arc<str>) -> Result<Pinned, GatewayError> {
    let index = node.consensus.read_index().await.map_err(|error| GatewayError::Unavailable(error.to_string()))?;
    let mut watermark = node.shared.watermark.lock().watch();
    if *watermark.borrow_and_update() < index {
        let reached = tokio::time::timeout(ACCEPT_WAIT, watermark.wait_for(|position| *position >= index)).await;
        if !matches!(reached, Ok(Ok(_))) {
            let what = format!("node {} has not accepted log index {index} in time", node.shared.id);
            return Err(GatewayError::Unavailable(what));
        }
    }
    pin(&node, &database)
}

impl Gateway for ClusterGateway {
    fn has_database(&self, name: &str) -> bool {
        self.cluster.home().is_some_and(|node| node.shared.accepted_state().databases.contains_key(name))
    }

    fn read_snapshot(
        &self,
        database: &Arc<str>,
        level: ReadLevel,
        max_staleness: Option<Duration>,
    ) -> Soon<Result<Pinned, GatewayError>> {
        let node = match self.home() {
            Ok(node) => node,
            Err(error) => return Soon::Now(Err(error)),
        };
        let stale = max_staleness.is_some_and(|bound| node.shared.accepted_age() > bound);
        match level {
            ReadLevel::Local if !stale => Soon::Now(pin(&node, database)),
            // One that is too old becomes as fresh as a strict one.
            _ => Soon::Later(Box::pin(strict(node, database.clone()))),
        }
    }

    fn submit(&self, transaction: Transaction) -> Waiting<Result<Outcome, GatewayError>> {
        let outcome = self.cluster.submit(transaction);
        Box::pin(async move {
            outcome.await.map_err(|error| match error {
                SubmitError::Unavailable => GatewayError::Unavailable(error.to_string()),
                SubmitError::Full => GatewayError::TooMuch(error.to_string()),
                SubmitError::Unknown => GatewayError::Unknown(error.to_string()),
            })
        })
    }

    fn incarnation(&self) -> u64 {
        self.cluster.surroundings().incarnation
    }

    fn now_us(&self) -> i64 {
        self.cluster.surroundings().clock.now_us()
    }

    fn seed(&self) -> u64 {
        random_u64()
    }

    fn request_ticket(
        &self,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), TicketError>> {
        self.tickets.request(holder, key, mode, timeout)
    }

    fn release_tickets(&self, holder: Holder) {
        self.tickets.release(holder);
    }

    fn no_tickets(&self) -> bool {
        self.tickets.is_empty()
    }

    fn environment(&self) -> Environment {
        let state = self.cluster.home().map(|node| node.shared.accepted_state());
        let names = state.iter().flat_map(|state| state.databases.keys());
        // pg_database has OIDs that nothing else refers to: the order of names will do.
        let databases = names.zip(5..).map(|(name, oid)| Database { oid, name: name.to_string() });
        Environment { databases: databases.collect(), ..Environment::default() }
    }

    fn system_value(&self, database: &str, name: &str) -> Option<Value> {
        match name {
            "root" => {
                let state = self.cluster.home()?.shared.accepted_state();
                let version = state.databases.get(database)?;
                Some(Value::Text(version.snapshot.root().to_string().into()))
            }
            _ => self.drill(name),
        }
    }
}

impl ClusterGateway {
    /// `drill:KIND:NODE[:PAGE]`: carried out where the server was started with `--drills`.
    fn drill(&self, name: &str) -> Option<Value> {
        use super::core::Drill;
        let mut parts = name.strip_prefix("drill:")?.split(':');
        let kind = parts.next()?;
        let node: u64 = parts.next()?.parse().ok()?;
        let page = parts.next().and_then(|page| page.parse().ok()).unwrap_or(1);
        if !self.cluster.surroundings().config.drills {
            return None;
        }
        let done = match kind {
            "flip-bit" => self.cluster.drill(node, Drill::FlipBit { page }),
            "wrong-answer" => self.cluster.drill(node, Drill::WrongAnswer),
            "misorder" => self.cluster.drill(node, Drill::Misorder),
            "crash" => self.cluster.crash(node),
            _ => return None,
        };
        Some(Value::Text(if done { "done".into() } else { format!("there is no running node {node}").into() }))
    }
}
