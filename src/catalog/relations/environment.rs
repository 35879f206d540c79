//! What the rows depend on beside the catalog: the server, its users and databases, the session.

use crate::catalog::Catalog;
use crate::catalog::roles::Roles;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a relation's rows are made from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The database's catalog.
    pub catalog: &'a Catalog,
    /// Server and session.
    pub environment: &'a Environment,
    /// What changes from statement to statement.
    pub live: &'a Live,
}

/// A database of the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Database {
    /// OID.
    pub oid: u32,
    /// Name.
    pub name: String,
}

/// Server and session, as far as SQL can ask for them. Fixed during a statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Environment {
    /// Version that the server claims: `15.18`.
    pub server_version: String,
    /// EveSQL's own version.
    pub version: String,
    /// Databases of the server.
    pub databases: Vec<Database>,
    /// Roles.
    pub roles: Arc<Roles>,
    /// Database of the session.
    pub database: String,
    /// User of the session, after SET ROLE.
    pub user: String,
    /// User of the session.
    pub session_user: String,
    /// Schemas in which names without one are looked for, after pg_catalog.
    pub search_path: Vec<String>,
    /// Number of the session, as the cancel key gives it.
    pub backend_pid: i32,
    /// When the server started, microseconds since 2000-01-01 UTC.
    pub started_us: i64,
    /// Client's address and port, unless it came through a local socket.
    pub client: Option<(String, u16)>,
    /// Address and port that it connected to.
    pub server: Option<(String, u16)>,
    /// Index in the log of the snapshot that the statement reads.
    pub snapshot_index: u64,
}

impl Default for Environment {
    fn default() -> Self {
        Environment {
            server_version: "15.18".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            databases: vec![Database { oid: 5, name: "postgres".into() }, Database { oid: 6, name: "evesql".into() }],
            roles: Arc::default(),
            database: "evesql".into(),
            user: "evesql".into(),
            session_user: "evesql".into(),
            search_path: vec!["public".into()],
            backend_pid: 0,
            started_us: 0,
            client: None,
            server: None,
            snapshot_index: 0,
        }
    }
}

/// What the session supplies anew for each statement that reads a relation which changes by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Values of settings by name in lower case; those not given have their default.
    pub settings: BTreeMap<String, Setting>,
    /// Sessions of this node.
    pub activity: Vec<Activity>,
    /// Replicas as this node knows them: id, role, state, accepted index, root in hexadecimal digits.
    pub replicas: Vec<(i32, String, String, i64, String)>,
    /// Divergences that were found and healed.
    pub divergences: Vec<Divergence>,
    /// The newest audits of each node.
    pub audits: Vec<Audit>,
    /// Kinds of transactions, as this node learned about them.
    pub templates: Vec<Template>,
    /// Batches that this node executed lately, oldest first.
    pub batches: Vec<Batch>,
}

/// A kind of transactions in evesql_templates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// Its statements, shortened.
    pub statement: String,
    /// Runs.
    pub calls: i64,
    /// `parallel` or `direct`: how the next one is planned.
    pub mode: String,
    /// Runs in the parallel part of a group.
    pub groups: i64,
    /// Mean time of a run, in microseconds.
    pub mean_us: f64,
    /// Mean number of rows that a run changes.
    pub rows: i64,
    /// Runs in a parallel part that met rows which a transaction before them touches.
    pub conflicts: i64,
    /// Runs in a parallel part that were done again in their turn.
    pub reexecutions: i64,
}

/// A batch in evesql_batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Index in the log.
    pub index: i64,
    /// `direct`, `parallel` or `replay`.
    pub mode: String,
    /// Transactions.
    pub transactions: i64,
    /// Groups of its plan.
    pub groups: i64,
    /// Most transactions in the parallel part of a group.
    pub width: i64,
    /// Transactions that met rows which one before them touches, and ran in their turn.
    pub conflicts: i64,
    /// From the batch to its result, in microseconds.
    pub executing_us: i64,
    /// Of that: running transactions ahead, on all workers.
    pub ahead_us: i64,
    /// Of that: checking and applying what they had changed.
    pub applying_us: i64,
    /// Of that: publishing, hashing, the root and the digest of the answers.
    pub verifying_us: i64,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As SHOW prints it.
    pub value: String,
    /// As it would be after RESET.
    pub reset: String,
}

/// A session in pg_stat_activity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Number, as in [`Environment::backend_pid`].
    pub pid: i32,
    /// Database.
    pub database: String,
    /// User.
    pub user: String,
    /// application_name.
    pub application: String,
    /// Address and port.
    pub client: Option<(String, u16)>,
    /// When it connected, microseconds since 2000-01-01 UTC.
    pub started_us: i64,
    /// When its transaction began.
    pub transaction_started_us: Option<i64>,
    /// When its last statement began.
    pub query_started_us: Option<i64>,
    /// `active`, `idle`, `idle in transaction`, `idle in transaction (aborted)`.
    pub state: String,
    /// Its last statement.
    pub query: String,
}

/// An audit in evesql_audits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Whose.
    pub node: i32,
    /// Index in the log of the batch.
    pub index: i64,
    /// `same`, `differs`, or `skipped` and why.
    pub result: String,
    /// Position in the batch of the transaction that it is about.
    pub transaction: Option<i32>,
    /// Database and table whose rows differ.
    pub table: Option<String>,
    /// What differs.
    pub detail: Option<String>,
    /// Where the batch was written to.
    pub file: Option<String>,
}

/// A divergence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Divergence {
    /// Index in the log of the batch.
    pub index: i64,
    /// What was compared and differed.
    pub mode: String,
    /// Nodes that differed from the majority.
    pub minority: Vec<u32>,
    /// Tables whose pages differed.
    pub tables: Vec<String>,
    /// Number of pages that differed.
    pub pages: i64,
    /// Rows that differed, a bounded number of them.
    pub rows: Vec<String>,
    /// When it was healed, microseconds since 2000-01-01 UTC.
    pub healed_at_us: Option<i64>,
}
