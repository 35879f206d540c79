//! The cluster as its sessions see it.

use super::auditor::AuditRecord;
use super::cluster::{Cluster, SubmitError, mode_name, random_u64};
use super::core::Drill;
use super::planner::runs_ahead;
use super::running::RunningNode;
use crate::admin::NodeStatus;
use crate::catalog::Catalog;
use crate::catalog::relations::{self, Database, Environment, Live};
use crate::catalog::roles::{ROLES_DATABASE, Roles};
use crate::engine::CRASH_DRILL;
use crate::replica::{Audit, Difference, Kind, Recent};
use crate::session::tickets::{Holder, Key, Mode};
use crate::session::{Gateway, GatewayError, LockError, Pinned, ReadLevel, Soon, TicketError, Waiting};
use crate::transaction::{Outcome, SqlError, Transaction, Value};
use crate::verifier::Divergence;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A strict read waits at most so long for this node to accept what is decided.
const ACCEPT_WAIT: Duration = Duration::from_secs(10);
/// Pause before another node is asked: an election takes some of them.
const ANOTHER_TRY: Duration = Duration::from_millis(10);

/// Gateway of all sessions of a process.
pub struct ClusterGateway {
    cluster: Arc<Cluster>,
}

impl ClusterGateway {
    /// For a running cluster.
    pub fn new(cluster: Arc<Cluster>) -> Arc<Self> {
        Arc::new(ClusterGateway { cluster })
    }

    fn home(&self) -> Result<Arc<RunningNode>, GatewayError> {
        if self.cluster.is_stopping() {
            return Err(GatewayError::ShuttingDown);
        }
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

/// Waits until this node has accepted all that clients were told before.
async fn strict(node: Arc<RunningNode>, database: Arc<str>) -> Result<Pinned, GatewayError> {
    let acknowledged = &node.shared.acknowledged;
    let index = match acknowledged.index() {
        Some(index) => index,
        None => {
            let index = node.consensus.read_index().await;
            let index = index.map_err(|error| GatewayError::Unavailable(error.to_string()))?;
            acknowledged.learn(index);
            index
        }
    };
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

/// A node may go into quarantine while a reader waits for it: nothing was read yet, so another one does. A node that
/// cannot reach a quorum of others does not let readers wait for that.
async fn strict_somewhere(cluster: Arc<Cluster>, database: Arc<str>) -> Result<Pinned, GatewayError> {
    let deadline = tokio::time::Instant::now() + ACCEPT_WAIT;
    loop {
        let found = match cluster.home() {
            Some(node) => strict(node, database.clone()).await,
            None => Err(nobody()),
        };
        let Err(GatewayError::Unavailable(reason)) = found else { return found };
        let outage = cluster.surroundings().door.as_ref().and_then(|_| cluster.outage.lock().clone());
        if let Some(outage) = outage {
            return Err(GatewayError::Unavailable(outage.to_string()));
        }
        if cluster.is_stopping() || tokio::time::Instant::now() >= deadline {
            return Err(GatewayError::Unavailable(reason));
        }
        tokio::time::sleep(ANOTHER_TRY).await;
    }
}

fn nobody() -> GatewayError {
    GatewayError::Unavailable("no node of this process serves".into())
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
        let home = self.home();
        let stale = |node: &RunningNode| max_staleness.is_some_and(|bound| node.shared.accepted_age() > bound);
        match (level, home) {
            (_, Err(GatewayError::ShuttingDown)) => Soon::Now(Err(GatewayError::ShuttingDown)),
            (ReadLevel::Local, Ok(node)) if !stale(&node) => Soon::Now(pin(&node, database)),
            // One that is too old becomes as fresh as a strict one.
            (_, Ok(node)) => {
                // The state is published before the watermark moves: asked for in the other order, it is never older.
                let reached = |index| node.shared.watermark.lock().position() >= index;
                let is_here = node.shared.acknowledged.index().is_some_and(reached);
                match is_here.then(|| pin(&node, database)) {
                    Some(Ok(pinned)) => Soon::Now(Ok(pinned)),
                    _ => Soon::Later(Box::pin(strict_somewhere(self.cluster.clone(), database.clone()))),
                }
            }
            _ => Soon::Later(Box::pin(strict_somewhere(self.cluster.clone(), database.clone()))),
        }
    }

    fn submit(&self, transaction: Transaction) -> Waiting<Result<Outcome, GatewayError>> {
        let outcome = self.cluster.submit(transaction);
        Box::pin(async move {
            outcome.await.map_err(|error| match error {
                SubmitError::Outage(outage) if outage.is_out_of_room => GatewayError::DiskFull(outage.to_string()),
                SubmitError::Unavailable | SubmitError::Outage(_) => GatewayError::Unavailable(error.to_string()),
                SubmitError::Full => GatewayError::TooMuch(error.to_string()),
                SubmitError::Unknown | SubmitError::UnknownOutage(_) => GatewayError::Unknown(error.to_string()),
            })
        })
    }

    fn incarnation(&self) -> u64 {
        self.cluster.surroundings().incarnation
    }

    fn node(&self) -> u64 {
        self.cluster.surroundings().config.member.as_ref().map_or(0, |member| member.id)
    }

    fn is_gone(&self, node: u64, incarnation: u64) -> bool {
        let around = self.cluster.surroundings();
        let members = around.members.ids();
        match node == self.node() {
            true => incarnation != around.incarnation,
            false => around.door.is_some() && !members.is_empty() && !members.contains(&node),
        }
    }

    fn catalog_here(&self, database: &str) -> Option<Arc<Catalog>> {
        let state = self.cluster.home()?.shared.accepted_state();
        state.databases.get(database).map(|version| version.catalog.clone())
    }

    fn snapshot_age_max(&self) -> Duration {
        Duration::from_secs(self.cluster.surroundings().config.snapshot_age_max_s)
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
        self.cluster.surroundings().tickets.request(holder, key, mode, timeout)
    }

    fn release_tickets(&self, holder: Holder) {
        self.cluster.surroundings().tickets.release(holder);
    }

    fn request_lock(
        &self,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), LockError>> {
        self.cluster.surroundings().tickets.request_lock(holder, key, mode, timeout)
    }

    fn release_locks(&self, holder: Holder, which: Option<(Key, Mode)>) {
        self.cluster.surroundings().tickets.release_locks(holder, which);
    }

    fn locks_lost(&self) -> watch::Receiver<u64> {
        self.cluster.surroundings().tickets.locks_lost()
    }

    fn roles(&self) -> Arc<Roles> {
        let state = self.cluster.home().map(|node| node.shared.accepted_state());
        let version = state.as_ref().and_then(|state| state.databases.get(ROLES_DATABASE));
        version.map(|version| version.catalog.roles.clone()).unwrap_or_default()
    }

    fn environment(&self) -> Environment {
        let state = self.cluster.home().map(|node| node.shared.accepted_state());
        let names = state.iter().flat_map(|state| state.databases.keys());
        // pg_database has OIDs that nothing else refers to: the order of names will do.
        let databases = names.zip(5..).map(|(name, oid)| Database { oid, name: name.to_string() });
        Environment { databases: databases.collect(), roles: self.roles(), ..Environment::default() }
    }

    fn system_value(&self, _database: &str, name: &str) -> Option<Result<Value, SqlError>> {
        name.strip_prefix("drill:").map(|drill| self.drill(drill))
    }

    fn live(&self) -> Live {
        let status = self.cluster.status(0);
        let replica = |node: NodeStatus| (node.id as i32, node.role, node.state, node.accepted_index as i64, node.root);
        let divergence = |found: Divergence| relations::Divergence {
            index: found.log_id.index as i64,
            mode: mode_name(&found).into(),
            minority: found.nodes().into_iter().map(|node| node as u32).collect(),
            tables: found.tables,
            pages: found.pages.len() as i64,
            rows: found.rows,
            healed_at_us: found.healed_at_us,
        };
        let learned = self.cluster.learned();
        Live {
            replicas: status.nodes.into_iter().map(replica).collect(),
            divergences: self.cluster.divergences().into_iter().map(divergence).collect(),
            audits: self.cluster.audits().into_iter().map(audit).collect(),
            templates: learned.as_ref().map_or_else(Vec::new, |learned| {
                let config = &self.cluster.surroundings().config;
                let (when, workers) = (config.run_ahead, config.workers_of_node() as u64);
                learned.kinds().iter().map(|kind| template(kind, runs_ahead(when, workers, kind))).collect()
            }),
            batches: learned.map_or_else(Vec::new, |learned| learned.recent().iter().map(batch).collect()),
            ..Live::default()
        }
    }
}

fn template(kind: &Kind, runs_ahead: bool) -> relations::Template {
    relations::Template {
        statement: kind.text.to_string(),
        calls: kind.calls as i64,
        mode: if runs_ahead { "parallel" } else { "direct" }.into(),
        groups: (kind.applied + kind.conflicted + kind.unfit) as i64,
        mean_us: kind.run_ns as f64 / 1e3,
        rows: kind.changes as i64,
        conflicts: kind.conflicted as i64,
        reexecutions: (kind.conflicted + kind.unfit) as i64,
    }
}

fn audit(AuditRecord { node, index, result, saved }: AuditRecord) -> relations::Audit {
    let left_out = saved.as_ref().and_then(|saved| saved.left_out.as_ref());
    let left_out = left_out.map_or(String::new(), |reason| format!("; the databases were not saved: {reason}"));
    let file = saved.map(|saved| saved.path.display().to_string());
    let record = relations::Audit { node: node as i32, index: index as i64, file, ..relations::Audit::default() };
    match result {
        Audit::Same => relations::Audit { result: "same".into(), ..record },
        Audit::Skipped(why) => relations::Audit { result: format!("skipped: {why}"), ..record },
        Audit::Differs(Difference { transaction, table, detail }) => {
            let transaction = transaction.map(|position| position as i32);
            relations::Audit {
                result: "differs".into(),
                transaction,
                table,
                detail: Some(detail + &left_out),
                ..record
            }
        }
    }
}

fn batch(recent: &Recent) -> relations::Batch {
    let mode = match recent {
        Recent { replayed: true, .. } => "replay",
        Recent { width: 0, .. } => "direct",
        _ => "parallel",
    };
    relations::Batch {
        index: recent.index as i64,
        mode: mode.into(),
        transactions: i64::from(recent.transactions),
        groups: i64::from(recent.groups),
        width: i64::from(recent.width),
        conflicts: recent.conflicts as i64,
        executing_us: recent.executing.as_micros() as i64,
        ahead_us: recent.ahead.as_micros() as i64,
        applying_us: recent.applying.as_micros() as i64,
        verifying_us: recent.verifying.as_micros() as i64,
    }
}

impl ClusterGateway {
    /// `KIND[:NODE[:PAGE]]`: carried out where the server was started with `--drills`.
    fn drill(&self, drill: &str) -> Result<Value, SqlError> {
        if !self.cluster.surroundings().config.drills {
            let refused = SqlError::new("42501", "drills are not allowed here");
            return Err(refused.with_hint("Start the server with --drills."));
        }
        let mut parts = drill.split(':');
        let kind = parts.next().unwrap_or_default();
        let node: u64 = parts.next().and_then(|node| node.parse().ok()).unwrap_or(0);
        let page = parts.next().and_then(|page| page.parse().ok()).unwrap_or(1);
        if drill == CRASH_DRILL {
            // The statement that says so does the rest, wherever it is executed in a batch.
            return Ok(Value::Text(CRASH_DRILL.into()));
        }
        let done = match kind {
            "flip-bit" => self.cluster.drill(node, Drill::FlipBit { page }),
            "wrong-answer" => self.cluster.drill(node, Drill::WrongAnswer),
            "misorder" => self.cluster.drill(node, Drill::Misorder),
            "out-of-memory" => self.cluster.drill(node, Drill::OutOfMemory),
            "crash" => self.cluster.crash(node),
            _ => {
                let unknown = SqlError::new("22023", format!("there is no drill \"{kind}\""));
                return Err(unknown.with_hint(
                    "There are flip-bit, wrong-answer, misorder, out-of-memory, crash and crash-statement.",
                ));
            }
        };
        match done {
            true => Ok(Value::Text(format!("{kind} on node {node}").into())),
            false => Err(SqlError::new("22023", format!("no node {node} is running"))),
        }
    }
}
