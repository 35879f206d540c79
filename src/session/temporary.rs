//! Temporary tables of a session: tables like all others, in a schema of the session's own
//! (docs/decisions/temporary_tables.md).
//!
//! The schema's name says whose it is: `pg_temp_NODE_START_SESSION`. It is dropped when the session ends. What a process
//! left behind that was killed is dropped by the node's next one, as soon as it has a client, and what a node left
//! behind that belongs to the cluster no more, by any other.

use super::client::{Done, Session};
use super::front::{Front, gateway_error};
use super::gateway::{Gateway, GatewayError, ReadLevel};
use super::one_shot::{STALE_MAX, void};
use crate::catalog::{Catalog, Object, TEMPORARY, is_temporary};
use crate::dialect::{self, Parsed};
use crate::transaction::{Operation, Outcome, SqlError, Statement, Transaction, TransactionId};
use crate::wire::Outbox;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What could not be dropped is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked for what others left behind.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// A session's schema.
#[derive(Default)]
pub struct Temporary {
    schema: Option<Rc<str>>,
    /// It was seen in an accepted version.
    is_made: Cell<bool>,
}

impl Temporary {
    /// A schema that was there and is not any more would let permanent tables of the same names be taken for its own.
    pub fn check(&self, catalog: &Catalog, in_block: bool) -> Result<(), SqlError> {
        let Some(schema) = &self.schema else { return Ok(()) };
        match catalog.schema_oid(schema) {
            Some(_) if !in_block => self.is_made.set(true),
            None if self.is_made.get() => {
                return Err(SqlError::new("57P01", "the session's temporary tables were dropped")
                    .with_hint("Connect again, and make them again."));
            }
            _ => {}
        }
        Ok(())
    }
}

/// What sessions that ended have left to be dropped.
#[derive(Default)]
pub struct Leftovers {
    all: RefCell<Vec<Leftover>>,
    is_watched: Cell<bool>,
}

/// A schema to be dropped.
struct Leftover {
    database: Arc<str>,
    schema: Rc<str>,
    id: TransactionId,
}

impl Session {
    /// Before a statement is translated: one that makes a temporary table needs a schema for it.
    pub(super) fn open_temporary(&mut self, parsed: &Parsed) {
        if !parsed.makes_temporary() || self.temporary.schema.is_some() {
            return;
        }
        let (node, incarnation) = (self.front.gateway.node(), self.front.gateway.incarnation());
        let schema = format!("{TEMPORARY}{node}_{incarnation:x}_{}", self.registration.process);
        self.settings.open_temporary(&schema);
        self.temporary.schema = Some(schema.into());
    }

    /// DISCARD TEMP: drops all temporary tables of the session.
    pub(super) async fn discard_temporary(&mut self, out: &mut Outbox) -> Done {
        let Some(schema) = self.temporary.schema.clone() else { return Ok(()) };
        if self.transaction.is_some() {
            return Err(SqlError::new("0A000", "DISCARD TEMP inside a transaction block is not supported").into());
        }
        out.flush_if_due().await?;
        let (front, database) = (self.front.clone(), self.database.clone());
        // Made again by the next CREATE TEMPORARY TABLE.
        self.temporary.is_made.set(false);
        Ok(drop_schema(&*front.gateway, &database, &schema, || self.next_id()).await?)
    }

    /// Before COMMIT: drops what was made `ON COMMIT DROP`.
    pub(super) async fn drop_at_commit(&mut self, out: &mut Outbox) -> Done {
        let names = match &mut self.transaction {
            Some(block) => std::mem::take(&mut block.dropped_at_commit),
            None => Vec::new(),
        };
        for name in names {
            let sql = format!("DROP TABLE IF EXISTS pg_temp.\"{}\"", name.replace('"', "\"\""));
            let statement = Box::pin(self.prepare_text(&sql, Box::default())).await?;
            let Some(mut plan) = statement.plan.clone() else { continue };
            if plan.writes && !plan.prepared.sql.is_empty() {
                Box::pin(self.run_in_block(&statement.text, &mut plan, &[], &[], None, out)).await?;
            }
        }
        Ok(())
    }

    /// The session ends.
    pub(super) fn leave_temporary(&mut self) {
        if let Some(schema) = self.temporary.schema.take() {
            let (database, id) = (self.database.clone(), self.next_id());
            self.front.leftovers.all.borrow_mut().push(Leftover { database, schema, id });
        }
    }
}

impl Front {
    /// Has somebody look after what is left of sessions.
    pub fn watch_leftovers(self: &Rc<Self>) {
        if !self.leftovers.is_watched.replace(true) {
            tokio::task::spawn_local(tidy(Rc::downgrade(self)));
        }
    }

    async fn drop_leftovers(&self) {
        let all = self.leftovers.all.take();
        for mut leftover in all {
            let next = || {
                leftover.id.sequence += 1;
                leftover.id
            };
            if drop_schema(&*self.gateway, &leftover.database, &leftover.schema, next).await.is_err() {
                self.leftovers.all.borrow_mut().push(leftover);
            }
        }
    }

    /// Finds what processes have left behind that are gone.
    fn sweep(&self) {
        for database in self.gateway.environment().databases {
            let Some(catalog) = self.gateway.catalog_here(&database.name) else { continue };
            let gone = catalog.objects().filter_map(|object| match object {
                Object::Schema(schema) if is_temporary(&schema.name) => Some(schema.name.as_str()),
                _ => None,
            });
            for schema in gone.filter(|schema| self.is_gone(schema)) {
                let id = TransactionId { incarnation: self.gateway.incarnation(), session: self.seed(), sequence: 0 };
                let (database, schema) = (database.name.as_str().into(), schema.into());
                self.leftovers.all.borrow_mut().push(Leftover { database, schema, id });
            }
        }
    }

    fn is_gone(&self, schema: &str) -> bool {
        let mut words = schema.strip_prefix(TEMPORARY).unwrap_or_default().split('_');
        let node = words.next().and_then(|node| node.parse().ok());
        let incarnation = words.next().and_then(|start| u64::from_str_radix(start, 16).ok());
        node.zip(incarnation).is_some_and(|(node, incarnation)| self.gateway.is_gone(node, incarnation))
    }
}

/// Drops what is left as long as the thread lives.
async fn tidy(front: Weak<Front>) {
    let mut swept: Option<Instant> = None;
    loop {
        {
            let Some(front) = front.upgrade() else { return };
            if swept.is_none_or(|swept| swept.elapsed() >= SWEEP_EVERY) {
                front.sweep();
                swept = Some(Instant::now());
            }
            front.drop_leftovers().await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Drops a schema with all that it holds, if it is there.
async fn drop_schema(
    gateway: &dyn Gateway,
    database: &Arc<str>,
    schema: &str,
    mut next_id: impl FnMut() -> TransactionId,
) -> Result<(), SqlError> {
    for _ in 0..STALE_MAX {
        let pinned = match gateway.read_snapshot(database, ReadLevel::Strict, None).get().await {
            Ok(pinned) => pinned,
            Err(GatewayError::NoDatabase(_)) => return Ok(()),
            Err(error) => return Err(gateway_error(error)),
        };
        let Some(prepared) = dialect::drop_temporary(&pinned.catalog, schema)? else { return Ok(()) };
        let statement = Statement {
            sql: prepared.sql,
            parameters: Vec::new(),
            rows: None,
            changes_schema: true,
            drawn: Vec::new(),
            system_values: Vec::new(),
            seen: None,
            seen_outline: Vec::new(),
        };
        let transaction = Transaction {
            id: next_id(),
            database: database.clone(),
            catalog: pinned.catalog.version,
            begun: None,
            expires_at_index: 0,
            operations: vec![Operation::Statement(statement)],
        };
        match gateway.submit(transaction).await.map_err(gateway_error)? {
            Outcome::Committed(_) | Outcome::AlreadyDone => return Ok(()),
            Outcome::Failed { error, .. } => return Err(error),
            Outcome::Void => return Err(void()),
            Outcome::Stale | Outcome::Expired | Outcome::Conflict { .. } => {}
        }
    }
    Err(SqlError::new("40001", "the schema keeps changing"))
}
