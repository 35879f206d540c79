//! Transaction blocks: statements run at once on a private connection and are recorded with digests of
//! what the client saw; COMMIT submits the record (rules 24 to 29).
//!
//! Invariants
//! 1. The recorded operations, run in order on the pinned version with their recorded draws, give the
//!    recorded digests and leave the connection as it is now.
//! 2. What a statement drew (numbers, system values) stands in its record.
//! 3. Nothing that the block wrote outlives it on this node: its SQLite transaction ends in ROLLBACK.

use super::cache::{Plan, Text};
use super::client::{Done, Failure, Session};
use super::front::gateway_error;
use super::gateway::{GatewayError, Pinned, ReadLevel, Soon, TicketError};
use super::settings::Mark;
use super::system::asks;
use super::tickets;
use super::view::{OwnSequence, SessionView, client_error, refine};
use crate::catalog::Catalog;
use crate::dialect::utility::{Isolation, TransactionModes};
use crate::dialect::{LockWait, OutputColumn};
use crate::engine::Recorded;
use crate::page::Hash;
use crate::transaction::{Answer, Begun, Operation, Outcome, SqlError, Statement, Transaction, Value};
use crate::wire::{Outbox, Reason};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that the record of one transaction may have.
const RECORD_BYTES_MAX: usize = 256 << 20;
/// Numbers reserved at a time from a sequence.
const NUMBERS_RESERVED: i64 = 32;

/// An open transaction block.
pub struct Block {
    /// Ends with the query, or at Sync; the client sees status Idle.
    pub implicit: bool,
    /// Only answers of writes and locking reads are certified.
    pub read_committed: bool,
    /// Writes are refused.
    pub read_only: bool,
    begun: Begun,
    view: Option<SessionView>,
    /// Catalog of the pinned version.
    base: Option<Arc<Catalog>>,
    operations: Vec<Operation>,
    record_bytes: usize,
    wrote: bool,
    schema_changed: bool,
    /// SQLite's own transaction is gone (an interrupted write ends it): it must be built again.
    lost: bool,
    has_tickets: bool,
    savepoints: Vec<Savepoint>,
    at_begin: Mark,
}

struct Savepoint {
    name: String,
    settings: Mark,
}

impl Session {
    /// Opens a block; nothing is pinned before its first statement.
    pub(super) fn open_block(&mut self, modes: &TransactionModes, implicit: bool) {
        let active = self.settings.active();
        let isolation = modes.isolation;
        self.transaction = Some(Block {
            implicit,
            read_committed: isolation.map_or(active.read_committed_by_default, |i| i == Isolation::ReadCommitted),
            read_only: modes.read_only.unwrap_or(active.read_only_by_default),
            begun: Begun { timestamp_us: self.front.gateway.now_us(), seed: self.front.gateway.seed() },
            view: None,
            base: None,
            operations: Vec::new(),
            record_bytes: 0,
            wrote: false,
            schema_changed: false,
            lost: false,
            has_tickets: false,
            savepoints: Vec::new(),
            at_begin: self.settings.mark(),
        });
    }

    /// The block that is open.
    pub(super) fn block(&mut self) -> Result<&mut Block, SqlError> {
        self.transaction.as_mut().ok_or_else(|| SqlError::new("25P01", "there is no transaction in progress"))
    }

    /// SET TRANSACTION.
    pub(super) fn set_modes(&mut self, modes: &TransactionModes) -> Result<(), SqlError> {
        let Some(block) = &mut self.transaction else { return Ok(()) };
        if let Some(isolation) = modes.isolation {
            let read_committed = isolation == Isolation::ReadCommitted;
            if !block.operations.is_empty() && read_committed != block.read_committed {
                return Err(SqlError::new("25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query"));
            }
            block.read_committed = read_committed;
        }
        if let Some(read_only) = modes.read_only {
            if !read_only && block.read_only && !block.operations.is_empty() {
                return Err(SqlError::new("25001", "transaction read-write mode must be set before any query"));
            }
            block.read_only = read_only;
        }
        Ok(())
    }

    /// The catalog that a statement is translated for: the block's own, else the newest here.
    pub(super) async fn catalog(&self) -> Result<Arc<Catalog>, SqlError> {
        if let Some(view) = self.transaction.as_ref().and_then(|block| block.view.as_ref()) {
            return Ok(view.catalog.clone());
        }
        let soon = self.front.gateway.read_snapshot(&self.database, ReadLevel::Local, None);
        soon.get().await.map(|pinned| pinned.catalog).map_err(gateway_error)
    }

    /// Runs one statement in the block and records it. `rows` are COPY's.
    pub(super) async fn run_in_block(
        &mut self,
        text: &Text,
        plan: &mut Rc<Plan>,
        declared: &[u32],
        parameters: &[Value],
        mut rows: Option<Vec<Vec<Value>>>,
        out: &mut Outbox,
    ) -> Done<Answer> {
        if !plan.prepared.read_only && self.block()?.read_only {
            let what = plan.prepared.tag.text(0);
            let verb = what.split(' ').next().unwrap_or("this");
            return Err(SqlError::new("25006", format!("cannot execute {verb} in a read-only transaction")).into());
        }
        let locks = self.take_ticket(text, plan, parameters, out).await?;
        self.ensure_pinned(locks, out).await?;
        let catalog = self.block()?.view()?.catalog.clone();
        if !Text::fits(plan, &catalog, &self.settings.active().dialect) {
            *plan = self.translate_again(text, plan, declared, &catalog)?;
        }
        let registration = self.registration.clone();
        let certified = {
            let block = self.block()?;
            // What only looks at server, session and catalog is an input, not an answer (rule 26); the
            // catalog is certified by its version.
            let plain = plan.prepared.read_only && plan.prepared.locking.is_empty();
            !plain || !(block.read_committed || asks(&plan.prepared))
        };
        if let Some(system) = self.system(&plan.prepared) {
            system.bring(self.block()?.view_mut()?, &plan.prepared.sql)?;
        }
        loop {
            let block = self.block()?;
            let view = block.view_mut()?;
            registration.set_interrupt(Some(view.interrupt()));
            let result = match registration.interrupted() {
                Some(_) => Err(SqlError::new("57014", "canceling statement due to user request")),
                None => block.run(plan, parameters, &mut rows, certified),
            };
            registration.set_interrupt(None);
            let needed = block.view()?.take_needed();
            match (result, needed) {
                (Err(_), Some(sequence)) => self.reserve(sequence, out).await?,
                (Err(error), None) => return Err(refine(error, &catalog).into()),
                (Ok(answer), _) => {
                    if plan.prepared.uses_system_values {
                        let changes = self.block()?.view()?.take_setting_changes();
                        self.take_setting_changes(changes, out)?;
                    }
                    return Ok(answer);
                }
            }
        }
    }

    /// Takes the ticket that a locking read or a write wants. Answers whether the newest version is to be
    /// seen: after a ticket that keeps others out.
    async fn take_ticket(&mut self, text: &Text, plan: &Plan, parameters: &[Value], out: &mut Outbox) -> Done<bool> {
        let locking = plan.prepared.locking.first();
        let writes = !plan.prepared.read_only;
        if !writes && locking.is_none() && self.conflicts < 2 {
            return Ok(false);
        }
        let catalog = self.catalog().await?;
        let Some(target) = plan.target(&text.parsed.text, &catalog) else { return Ok(false) };
        let shows_row = locking.is_some() || !plan.prepared.columns.is_empty();
        let mode = if shows_row { tickets::Mode::Exclusive } else { tickets::Mode::Shared };
        let nowait = locking.is_some_and(|locking| locking.wait == LockWait::NoWait);
        let key = target.key(&self.database, parameters);
        self.wait_for_ticket(key, mode, nowait, out).await?;
        Ok(mode == tickets::Mode::Exclusive)
    }

    /// LOCK TABLE.
    pub(super) async fn lock_table(&mut self, table: Arc<str>, nowait: bool, out: &mut Outbox) -> Done {
        let key = tickets::Key { database: self.database.clone(), table, row: None };
        self.wait_for_ticket(key, tickets::Mode::Exclusive, nowait, out).await?;
        self.ensure_pinned(true, out).await
    }

    async fn wait_for_ticket(
        &mut self,
        key: tickets::Key,
        mode: tickets::Mode,
        nowait: bool,
        out: &mut Outbox,
    ) -> Done {
        let timeout = if nowait { Some(Duration::ZERO) } else { self.settings.active().lock_timeout };
        let soon = self.front.gateway.request_ticket(self.holder(), key, mode, timeout);
        self.block()?.has_tickets = true;
        let granted = match soon {
            Soon::Now(granted) => granted,
            Soon::Later(waiting) => {
                out.flush_if_due().await?;
                let registration = self.registration.clone();
                tokio::select! {
                    granted = waiting => granted,
                    reason = registration.wait_interrupted() => return Err(stopped(reason).into()),
                }
            }
        };
        granted.map_err(|error| {
            Failure::from(match error {
                TicketError::Deadlock => {
                    SqlError::new("40P01", "deadlock detected").with_hint("Run the transaction again.")
                }
                TicketError::Timeout => SqlError::new("55P03", "could not obtain lock on row"),
            })
        })
    }

    /// Pins a version at the first statement; moves to the newest one where a lock demands it, or where
    /// READ COMMITTED has written nothing yet.
    async fn ensure_pinned(&mut self, newest: bool, out: &mut Outbox) -> Done {
        let block = self.block()?;
        if block.view.is_some() && !block.lost && !newest && (!block.read_committed || block.wrote) {
            return Ok(());
        }
        let pinned = self.pin().await?;
        let Some(block) = &mut self.transaction else { return Ok(()) };
        if block.view.is_none() {
            let mut view = self.front.take_view(&self.database, &pinned)?;
            view.begin(&self.facts, block.begun.timestamp_us, block.begun.seed);
            view.connection.control("BEGIN").map_err(client_error)?;
            block.view = Some(view);
            block.base = Some(pinned.catalog);
        } else if block.lost || block.view()?.version() != pinned.version {
            out.flush_if_due().await?;
            block.move_to(&pinned)?;
        }
        Ok(())
    }

    /// A plan for the block's catalog, where the one at hand was made for another. The client was told
    /// the result's columns, so they must be the same.
    pub(super) fn translate_again(
        &self,
        text: &Text,
        plan: &Plan,
        declared: &[u32],
        catalog: &Arc<Catalog>,
    ) -> Result<Rc<Plan>, SqlError> {
        let again = text.plan(catalog, declared, &self.settings.active().dialect)?;
        let (new, old) = (&again.prepared, &plan.prepared);
        let shape = |column: &OutputColumn| (column.ty, column.typmod);
        let same_columns = new.columns.iter().map(|c| &c.name).eq(old.columns.iter().map(|c| &c.name))
            && new.columns.iter().map(shape).eq(old.columns.iter().map(shape));
        if !same_columns || new.params != old.params {
            return Err(SqlError::new("0A000", "cached plan must not change result type"));
        }
        Ok(again)
    }

    /// Reserves numbers of a sequence through the log, or, for one that this block made, counts here.
    async fn reserve(&mut self, sequence: i64, out: &mut Outbox) -> Done {
        let block = self.block()?;
        let known_before = block.base.as_ref().is_some_and(|base| base.sequence(sequence as u32).is_some());
        if !known_before {
            let definition = block.view()?.catalog.sequence(sequence as u32).cloned();
            let definition = definition.ok_or_else(|| SqlError::new("42P01", "no such sequence"))?;
            let own = OwnSequence { start: definition.start, increment: definition.increment, last: None };
            block.view()?.own_sequence(sequence, own);
            return Ok(());
        }
        let catalog = block.base.as_ref().map(|base| base.version).unwrap_or_default();
        out.flush_if_due().await?;
        let statement = Statement {
            sql: vec![
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2) \
                 SELECT evesql_nextval(?1) FROM n"
                    .into(),
            ],
            parameters: vec![Value::Integer(sequence), Value::Integer(NUMBERS_RESERVED)],
            rows: None,
            changes_schema: false,
            drawn: Vec::new(),
            system_values: Vec::new(),
            seen: None,
        };
        let transaction = Transaction {
            id: self.next_id(),
            database: self.database.clone(),
            catalog,
            begun: None,
            expires_at_index: 0,
            operations: vec![Operation::Statement(statement)],
        };
        match self.front.gateway.submit(transaction).await.map_err(gateway_error)? {
            Outcome::Committed(answers) => {
                let mut blocks = self.front.blocks.borrow_mut();
                let block = blocks.entry((self.database.clone(), sequence)).or_default();
                for value in answers.first().into_iter().flat_map(|answer| answer.rows.values()) {
                    if let crate::transaction::ValueRef::Integer(number) = value {
                        block.push_back(number);
                    }
                }
                Ok(())
            }
            Outcome::Failed { error, .. } => Err(error.into()),
            _ => Err(serialization("the catalog changed while the transaction was open").into()),
        }
    }

    /// SAVEPOINT.
    pub(super) async fn savepoint(&mut self, name: &str, out: &mut Outbox) -> Done {
        self.ensure_pinned(false, out).await?;
        let settings = self.settings.mark();
        let block = self.block()?;
        block.control_recorded("SAVEPOINT", name)?;
        block.savepoints.push(Savepoint { name: name.to_owned(), settings });
        Ok(())
    }

    /// RELEASE.
    pub(super) fn release_savepoint(&mut self, name: &str) -> Result<(), SqlError> {
        let block = self.block()?;
        let at = block.find_savepoint(name)?;
        block.control_recorded("RELEASE", name)?;
        block.savepoints.truncate(at);
        Ok(())
    }

    /// ROLLBACK TO.
    pub(super) async fn roll_back_to(&mut self, name: &str, out: &mut Outbox) -> Done {
        let at = self.block()?.find_savepoint(name)?;
        if self.block()?.lost {
            self.ensure_pinned(false, out).await?;
        }
        let block = self.block()?;
        block.control_recorded("ROLLBACK TO", name)?;
        block.savepoints.truncate(at + 1);
        let settings = block.savepoints.last().map(|savepoint| savepoint.settings.clone()).unwrap_or_default();
        if block.schema_changed {
            let view = block.view_mut()?;
            view.connection.renew_schema().map_err(client_error)?;
            view.reload_catalog()?;
        }
        self.settings.go_back(&settings);
        Ok(())
    }

    /// COMMIT: submits what was recorded if anything was written. Whatever the result, the block is over.
    pub(super) async fn commit(&mut self, out: &mut Outbox) -> Done {
        let Some(mut block) = self.transaction.take() else { return Ok(()) };
        let must_submit = block.wrote || self.settings.active().read_level == ReadLevel::Quorum;
        let submitted =
            if must_submit && !block.operations.is_empty() { self.submit_block(&mut block, out).await } else { Ok(()) };
        if submitted.is_err() {
            self.settings.go_back(&block.at_begin);
        }
        self.end_block(block);
        match &submitted {
            Ok(()) => self.conflicts = 0,
            Err(Failure::Sql(error)) if error.code() == "40001" => self.conflicts += 1,
            Err(_) => {}
        }
        submitted
    }

    async fn submit_block(&mut self, block: &mut Block, out: &mut Outbox) -> Done {
        block.write_back_own_sequences()?;
        let transaction = Transaction {
            id: self.next_id(),
            database: self.database.clone(),
            catalog: block.base.as_ref().map(|base| base.version).unwrap_or_default(),
            begun: Some(block.begun),
            expires_at_index: 0,
            operations: std::mem::take(&mut block.operations),
        };
        // The error names the statement by its text, which only the record has.
        let texts: Vec<_> = transaction.operations.iter().map(text_of).collect();
        out.flush_if_due().await?;
        // What it wrote here is of no use any more: others may have the connection while this one waits.
        if let Some(view) = block.view.take() {
            self.return_view(view, block.schema_changed);
        }
        let outcome = self.front.gateway.submit(transaction).await;
        match outcome.map_err(gateway_error)? {
            Outcome::Committed(_) => Ok(()),
            Outcome::Conflict { operation, row } => Err(conflict(&texts, operation, row).into()),
            Outcome::Failed { error, .. } => {
                let catalog = block.base.take().unwrap_or_default();
                Err(refine(error, &catalog).into())
            }
            Outcome::Stale => Err(serialization("the schema was changed by another transaction").into()),
            Outcome::Expired | Outcome::Void => Err(serialization("the transaction was not executed").into()),
            Outcome::AlreadyDone => {
                Err(gateway_error(GatewayError::Unknown("it was executed, its answer is gone".into())).into())
            }
        }
    }

    /// ROLLBACK, or a client that left: the block and its effects are gone.
    pub(super) fn abandon(&mut self) {
        if let Some(block) = self.transaction.take() {
            self.settings.go_back(&block.at_begin);
            self.end_block(block);
        }
    }

    /// A failed block without savepoints can only end: nobody waits for it any longer.
    pub(super) fn give_up_block(&mut self) {
        let Some(block) = &mut self.transaction else { return };
        if !block.savepoints.is_empty() {
            return;
        }
        let (view, has_tickets) = (block.view.take(), std::mem::take(&mut block.has_tickets));
        let schema_changed = block.schema_changed;
        if let Some(view) = view {
            self.return_view(view, schema_changed);
        }
        if has_tickets {
            self.front.gateway.release_tickets(self.holder());
        }
    }

    fn end_block(&mut self, mut block: Block) {
        if let Some(view) = block.view.take() {
            self.return_view(view, block.schema_changed);
        }
        if block.has_tickets {
            self.front.gateway.release_tickets(self.holder());
        }
        self.settings.end_transaction();
        self.drop_portals();
    }

    fn return_view(&self, mut view: SessionView, schema_changed: bool) {
        match view.clean(schema_changed) {
            Ok(()) => self.front.give_back(&self.database, view),
            Err(error) => tracing::warn!(message = %error.message, "a connection could not be cleaned and was closed"),
        }
    }
}

impl Block {
    fn view(&self) -> Result<&SessionView, SqlError> {
        self.view.as_ref().ok_or_else(no_view)
    }
    fn view_mut(&mut self) -> Result<&mut SessionView, SqlError> {
        self.view.as_mut().ok_or_else(no_view)
    }

    fn find_savepoint(&self, name: &str) -> Result<usize, SqlError> {
        let found = self.savepoints.iter().rposition(|savepoint| savepoint.name == name);
        found.ok_or_else(|| SqlError::new("3B001", format!("savepoint \"{name}\" does not exist")))
    }

    fn control_recorded(&mut self, verb: &str, name: &str) -> Result<(), SqlError> {
        let sql = format!("{verb} \"{}\"", name.replace('"', "\"\""));
        self.view_mut()?.connection.control(&sql).map_err(client_error)?;
        self.operations.push(Operation::Savepoint(sql.into()));
        Ok(())
    }

    /// Runs a statement on the view and records it.
    fn run(
        &mut self,
        plan: &Plan,
        parameters: &[Value],
        rows: &mut Option<Vec<Vec<Value>>>,
        certified: bool,
    ) -> Result<Answer, SqlError> {
        let index = self.operations.len() as u32;
        let several = plan.prepared.sql.len() > 1 || rows.is_some();
        let in_savepoint = !self.savepoints.is_empty();
        let view = self.view_mut()?;
        let connection = &mut view.connection;
        if several {
            connection.control("SAVEPOINT evesql_statement").map_err(client_error)?;
        }
        connection.begin_statement(index, &[], &[]);
        let result = connection.answer(&plan.prepared.sql, parameters, rows.as_deref());
        let result = result.and_then(|answer| Ok((answer, connection.end_statement()?)));
        let drawn_in_vain = match &result {
            Ok(_) => Recorded::default(),
            Err(_) => connection.context().borrow_mut().take_recorded(),
        };
        if several && !connection.is_autocommit() {
            if result.is_err() {
                connection.control("ROLLBACK TO evesql_statement").map_err(client_error)?;
            }
            connection.control("RELEASE evesql_statement").map_err(client_error)?;
        }
        let lost = connection.is_autocommit();
        let changes_schema = plan.prepared.changes_schema;
        if changes_schema && result.is_err() && !lost {
            connection.renew_schema().map_err(client_error)?;
        }
        self.lost = lost;
        let mut statement = |recorded: Recorded, seen: Hash| Statement {
            sql: plan.prepared.sql.clone(),
            parameters: parameters.to_vec(),
            rows: rows.take(),
            changes_schema,
            drawn: recorded.drawn,
            system_values: recorded.system_values,
            seen: Some(seen),
        };
        match result {
            Ok((answer, recorded)) => {
                if changes_schema {
                    self.schema_changed = true;
                    self.view_mut()?.reload_catalog()?;
                }
                self.wrote |= !plan.prepared.read_only;
                if certified {
                    self.record(statement(recorded, answer.digest()))?;
                }
                Ok(answer)
            }
            Err(crate::engine::Failure::Sql(error)) => {
                // The client sees this error; inside a savepoint the transaction may go on from it.
                if in_savepoint && self.view()?.source_is_content() {
                    self.record(statement(drawn_in_vain, error.digest()))?;
                }
                Err(error)
            }
            Err(failure) => Err(client_error(failure)),
        }
    }

    fn record(&mut self, statement: Statement) -> Result<(), SqlError> {
        self.record_bytes += size_of_statement(&statement);
        if self.record_bytes > RECORD_BYTES_MAX {
            return Err(SqlError::new("54000", "the transaction is too large"));
        }
        self.operations.push(Operation::Statement(statement));
        Ok(())
    }

    /// Moves to another version: runs the recorded statements again there and compares their answers.
    fn move_to(&mut self, pinned: &Pinned) -> Result<(), SqlError> {
        let (begun, schema_changed) = (self.begun, self.schema_changed);
        let base = self.base.as_ref().map(|base| base.version);
        if base != Some(pinned.catalog.version) && !self.operations.is_empty() {
            return Err(serialization("the schema was changed by another transaction"));
        }
        let view = self.view.as_mut().ok_or_else(no_view)?;
        if !view.connection.is_autocommit() {
            view.connection.control("ROLLBACK").map_err(client_error)?;
        }
        if schema_changed {
            view.connection.renew_schema().map_err(client_error)?;
        }
        view.move_fresh(pinned)?;
        view.begin_replay(begun.timestamp_us, begun.seed);
        view.connection.control("BEGIN").map_err(client_error)?;
        for (index, operation) in self.operations.iter().enumerate() {
            match operation {
                Operation::Savepoint(sql) => view.connection.control(sql).map_err(client_error)?,
                Operation::Statement(statement) => {
                    let seen = again(view, index as u32, statement)?;
                    if statement.seen.is_some() && statement.seen != Some(seen) {
                        let texts: Vec<_> = self.operations.iter().map(text_of).collect();
                        return Err(conflict(&texts, index as u32, None));
                    }
                }
                _ => {}
            }
        }
        if schema_changed {
            view.reload_catalog()?;
        }
        view.record_again();
        self.base = Some(pinned.catalog.clone());
        self.lost = false;
        Ok(())
    }

    /// Sequences that the block made counted on this side only; where the record executes their rows must
    /// get to the same place.
    fn write_back_own_sequences(&mut self) -> Result<(), SqlError> {
        let Some(view) = &self.view else { return Ok(()) };
        for (oid, last) in view.own_sequences() {
            self.operations.push(Operation::Statement(Statement {
                sql: vec!["SELECT evesql_setval(?1, ?2, 1)".into()],
                parameters: vec![Value::Integer(oid), Value::Integer(last)],
                rows: None,
                changes_schema: false,
                drawn: Vec::new(),
                system_values: Vec::new(),
                seen: None,
            }));
        }
        Ok(())
    }
}

/// Runs a recorded statement again; answers the digest of what it gives now.
fn again(view: &mut SessionView, index: u32, statement: &Statement) -> Result<Hash, SqlError> {
    let connection = &mut view.connection;
    let several = statement.sql.len() > 1 || statement.rows.is_some();
    if several {
        connection.control("SAVEPOINT evesql_statement").map_err(client_error)?;
    }
    connection.begin_statement(index, &statement.drawn, &statement.system_values);
    let result = connection.answer(&statement.sql, &statement.parameters, statement.rows.as_deref());
    let result = result.and_then(|answer| connection.end_statement().map(|_| answer));
    if several {
        if result.is_err() {
            connection.control("ROLLBACK TO evesql_statement").map_err(client_error)?;
        }
        connection.control("RELEASE evesql_statement").map_err(client_error)?;
    }
    match result {
        Ok(answer) => Ok(answer.digest()),
        Err(crate::engine::Failure::Sql(error)) => Ok(error.digest()),
        Err(failure) => Err(client_error(failure)),
    }
}

fn size_of_statement(statement: &Statement) -> usize {
    let rows = statement.rows.iter().flatten();
    64 + statement.sql.iter().map(|sql| sql.len()).sum::<usize>()
        + size_of_row(&statement.parameters)
        + rows.map(|row| size_of_row(row)).sum::<usize>()
}

/// Bytes that a row of values takes in a record, about.
pub fn size_of_row(row: &[Value]) -> usize {
    let value = |value: &Value| match value {
        Value::Text(text) => 24 + text.len(),
        Value::Blob(bytes) => 24 + bytes.len(),
        _ => 16,
    };
    row.iter().map(value).sum()
}

fn no_view() -> SqlError {
    SqlError::new("XX000", "the transaction has no connection")
}

fn stopped(reason: Reason) -> SqlError {
    SqlError::new(
        "57014",
        match reason {
            Reason::Cancel => "canceling statement due to user request",
            Reason::Timeout => "canceling statement due to statement timeout",
        },
    )
}

/// 40001 in Postgres' words, with a DETAIL of ours.
fn serialization(detail: &str) -> SqlError {
    SqlError::new("40001", "could not serialize access due to concurrent update")
        .with_detail(detail)
        .with_hint("The transaction might succeed if retried.")
}

/// SQL of a recorded statement; `None` for savepoints.
fn text_of(operation: &Operation) -> Option<Arc<str>> {
    match operation {
        Operation::Statement(statement) => statement.sql.last().cloned(),
        _ => None,
    }
}

/// The conflict of a statement whose answer is another now.
fn conflict(texts: &[Option<Arc<str>>], operation: u32, row: Option<u64>) -> SqlError {
    let number = texts.iter().take(operation as usize + 1).flatten().count();
    let text = texts.get(operation as usize).and_then(|text| text.as_deref()).unwrap_or("");
    let short: String = text.chars().take(200).collect();
    let place = row.map_or(String::new(), |row| format!(", from row {}", row + 1));
    serialization(&format!("Statement {number} of the transaction answers otherwise now{place}: {short}"))
}
