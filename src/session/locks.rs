//! Tickets for keys: FOR UPDATE, LOCK TABLE, and writes in blocks (rule 29). A courtesy that spares clients
//! 40001; what they read is certified all the same.

use super::cache::{Plan, Text};
use super::client::{Done, Failure, Session};
use super::gateway::{Soon, TicketError};
use super::tickets;
use crate::dialect::{Kind, LockWait};
use crate::transaction::{SqlError, Value};
use crate::wire::{Outbox, Reason};
use std::sync::Arc;
use std::time::Duration;

impl Session {
    /// Takes the ticket that a locking read or a write wants. Answers whether the newest version is to be
    /// seen: after a ticket that keeps others out.
    pub(super) async fn take_ticket(
        &mut self,
        text: &Text,
        plan: &Plan,
        parameters: &[Value],
        out: &mut Outbox,
    ) -> Done<bool> {
        let locking = plan.prepared.locking.first();
        let writes = plan.writes && !matches!(plan.prepared.kind, Kind::Select);
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

    /// What comes soon, unless the client or a time-out ends the statement before.
    pub(super) async fn wait_for<T>(&self, soon: Soon<T>, out: &mut Outbox) -> Done<T> {
        match soon {
            Soon::Now(found) => Ok(found),
            Soon::Later(waiting) => {
                out.flush_if_due().await?;
                tokio::select! {
                    found = waiting => Ok(found),
                    reason = self.registration.wait_interrupted() => Err(stopped(reason).into()),
                }
            }
        }
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
        self.wait_for(soon, out).await?.map_err(|error| {
            Failure::from(match error {
                TicketError::Deadlock => {
                    SqlError::new("40P01", "deadlock detected").with_hint("Run the transaction again.")
                }
                TicketError::Timeout => SqlError::new("55P03", "could not obtain lock on row"),
            })
        })
    }
}

/// The error of a statement that its client or its time-out ended.
pub(super) fn stopped(reason: Reason) -> SqlError {
    SqlError::new(
        "57014",
        match reason {
            Reason::Cancel => "canceling statement due to user request",
            Reason::Timeout => "canceling statement due to statement timeout",
        },
    )
}
