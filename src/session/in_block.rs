//! Statements inside blocks: when a block pins, when it moves to a newer version, and how a statement runs
//! there (rules 24 and 26).

use super::block::Block;
use super::cache::{Plan, Text};
use super::client::{Done, Session};
use super::gateway::ReadLevel;
use super::numbers::{NUMBERS_RESERVED, NUMBERS_RESERVED_MAX};
use super::system::asks;
use super::view::{client_error, refine};
use super::violation::{Failed, explain};
use crate::catalog::Catalog;
use crate::dialect::OutputColumn;
use crate::dialect::utility::{Isolation, TransactionModes};
use crate::transaction::{Answer, Begun, SqlError, Value};
use crate::wire::{CACHED_PLAN, Outbox};
use std::rc::Rc;
use std::sync::Arc;

impl Session {
    /// Opens a block; nothing is pinned before its first statement.
    pub(super) fn open_block(&mut self, modes: &TransactionModes, implicit: bool) {
        let active = self.settings.active();
        let isolation = modes.isolation;
        self.transaction = Some(Block {
            implicit,
            read_committed: isolation.map_or(active.read_committed_by_default, |i| i == Isolation::ReadCommitted),
            quorum: false,
            read_only: modes.read_only.unwrap_or(active.read_only_by_default),
            begun: Begun { timestamp_us: self.front.gateway.now_us(), seed: self.front.gateway.seed() },
            view: None,
            base: None,
            operations: Vec::new(),
            texts: Vec::new(),
            record_bytes: 0,
            wrote: false,
            schema_changed: false,
            lost: false,
            has_tickets: false,
            savepoints: Vec::new(),
            at_begin: self.settings.mark(),
            listening: Vec::new(),
            dropped_at_commit: Vec::new(),
            open: Some(self.front.open_blocks.open()),
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
        Ok(self.pin().await?.catalog)
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
        if plan.writes && self.block()?.read_only {
            let what = plan.prepared.tag.text(0);
            let verb = what.split(' ').next().unwrap_or("this");
            return Err(SqlError::new("25006", format!("cannot execute {verb} in a read-only transaction")).into());
        }
        self.front.holds.too_old(self.holder())?;
        let locks = self.take_ticket(text, plan, parameters, out).await?;
        self.ensure_pinned(locks, out).await?;
        let catalog = self.block()?.view()?.catalog.clone();
        if !Text::fits(plan, &catalog, &self.settings.active().dialect) {
            *plan = self.translate_again(text, plan, declared, &catalog)?;
        }
        self.permit(plan, &catalog).await?;
        let registration = self.registration.clone();
        let quorum = self.settings.active().read_level == ReadLevel::Quorum;
        let certified = {
            let block = self.block()?;
            block.quorum |= quorum;
            // What only looks at server, session and catalog is an input, not an answer (rule 26); the
            // catalog is certified by its version.
            let plain = !plan.writes && plan.prepared.locking.is_empty();
            let is_input = asks(&plan.prepared) && !plan.prepared.does_errands;
            !plain || !(block.read_committed && !quorum || is_input)
        };
        if let Some(system) = self.system(&plan.prepared) {
            system.bring(self.block()?.view_mut()?, &plan.prepared.sql)?;
        }
        if plan.prepared.does_errands {
            self.run_errands_in_block(plan, parameters, out).await?;
        }
        let mut numbers = NUMBERS_RESERVED;
        loop {
            let block = self.block()?;
            let view = block.view_mut()?;
            view.rewind_errands();
            registration.set_interrupt(Some(view.interrupt()));
            let result = match registration.interrupted() {
                Some(_) => Err(SqlError::new("57014", "canceling statement due to user request")),
                None => block.run(&text.parsed.text, plan, parameters, &mut rows, certified),
            };
            registration.set_interrupt(None);
            let needed = block.view()?.take_needed();
            match (result, needed) {
                (Err(_), Some(sequence)) => {
                    self.reserve(sequence, numbers, out).await?;
                    numbers = (2 * numbers).min(NUMBERS_RESERVED_MAX);
                }
                (Err(error), None) => {
                    let style = self.settings.active().style;
                    let failed = Failed { sql: &plan.prepared.sql, parameters, rows: rows.as_deref(), style: &style };
                    let block = self.block()?;
                    let error = explain(block.view_mut()?, refine(error, &catalog), &failed);
                    block.lost |= block.view()?.connection.is_autocommit();
                    return Err(error.into());
                }
                (Ok(answer), _) => {
                    self.block()?.dropped_at_commit.extend(text.parsed.dropped_at_commit());
                    if asks(&plan.prepared) {
                        let changes = self.block()?.view()?.take_setting_changes();
                        self.take_setting_changes(changes, out)?;
                    }
                    return Ok(answer);
                }
            }
        }
    }

    /// Pins a version at the first statement; moves to the newest one where a lock demands it, or where
    /// READ COMMITTED has written nothing yet.
    pub(super) async fn ensure_pinned(&mut self, newest: bool, out: &mut Outbox) -> Done {
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
            block.base = Some(pinned.catalog.clone());
        } else if block.lost || !block.view()?.stands_on(&pinned) {
            out.flush_if_due().await?;
            block.move_to(&pinned)?;
        }
        self.front.holds.keep(self.holder(), &pinned.snapshot, &self.link, true);
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
            return Err(SqlError::new("0A000", CACHED_PLAN));
        }
        Ok(again)
    }
}
