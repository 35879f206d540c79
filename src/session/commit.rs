//! How blocks end: savepoints, COMMIT by submitting the record, ROLLBACK.

use super::block::{Block, Savepoint, conflict, serialization};
use super::client::{Done, Failure, Session};
use super::front::gateway_error;
use super::gateway::GatewayError;
use super::locks::stopped;
use super::one_shot::void;
use super::view::{SessionView, client_error, refine};
use crate::transaction::{Outcome, SqlError, Transaction};
use crate::wire::{Outbox, Reason};

impl Session {
    /// SAVEPOINT.
    pub(super) async fn savepoint(&mut self, name: &str, out: &mut Outbox) -> Done {
        self.ensure_pinned(false, out).await?;
        let (settings, locks) = (self.settings.mark(), self.locks.mark());
        let block = self.block()?;
        block.control_recorded("SAVEPOINT", name)?;
        let (listening, dropped_at_commit) = (block.listening.len(), block.dropped_at_commit.len());
        block.savepoints.push(Savepoint { name: name.to_owned(), settings, listening, dropped_at_commit, locks });
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
        block.listening.truncate(block.savepoints.last().map_or(0, |savepoint| savepoint.listening));
        block.dropped_at_commit.truncate(block.savepoints.last().map_or(0, |savepoint| savepoint.dropped_at_commit));
        let settings = block.savepoints.last().map(|savepoint| savepoint.settings.clone()).unwrap_or_default();
        if block.schema_changed {
            let view = block.view_mut()?;
            view.connection.renew_schema().map_err(client_error)?;
            view.reload_catalog()?;
        }
        let locks = block.savepoints.last().map_or(0, |savepoint| savepoint.locks);
        self.settings.go_back(&settings);
        self.unlock_to(locks);
        Ok(())
    }

    /// COMMIT: submits what was recorded if anything was written. Whatever the result, the block is over.
    pub(super) async fn commit(&mut self, out: &mut Outbox) -> Done {
        let dropped = self.drop_at_commit(out).await;
        let Some(mut block) = self.transaction.take() else { return dropped };
        let must_submit = (block.wrote || block.quorum) && !block.operations.is_empty();
        let submitted = match dropped {
            Ok(()) if must_submit => self.submit_block(&mut block, out).await,
            dropped => dropped,
        };
        if submitted.is_err() {
            self.settings.go_back(&block.at_begin);
        }
        let listening = std::mem::take(&mut block.listening);
        self.end_block(block);
        match &submitted {
            Ok(()) => {
                self.conflicts = 0;
                self.listen(listening).await?;
            }
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
        out.flush_if_due().await?;
        // What it wrote here is of no use any more: others may have the connection while this one waits.
        if let Some(view) = block.view.take() {
            self.return_view(view, block.schema_changed);
        }
        block.open = None;
        match self.outcome_of(transaction).await? {
            Outcome::Committed(_) => Ok(()),
            Outcome::Conflict { operation, place } => Err(conflict(&block.texts, operation, place).into()),
            Outcome::Failed { error, .. } => {
                let catalog = block.base.take().unwrap_or_default();
                Err(refine(error, &catalog).into())
            }
            Outcome::Stale => Err(serialization("the schema was changed by another transaction").into()),
            Outcome::Void => Err(void().into()),
            Outcome::Expired => Err(serialization("the transaction was not executed").into()),
            Outcome::AlreadyDone => {
                Err(gateway_error(GatewayError::Unknown("it was executed, its answer is gone".into())).into())
            }
        }
    }

    /// Submits, and waits for the outcome until the client or `statement_timeout` ends that.
    pub(super) async fn outcome_of(&self, transaction: Transaction) -> Result<Outcome, SqlError> {
        if let Some(reason) = self.registration.interrupted() {
            return Err(stopped(reason));
        }
        let registration = self.registration.clone();
        tokio::select! {
            biased;
            outcome = self.front.gateway.submit(transaction) => outcome.map_err(gateway_error),
            reason = registration.wait_interrupted() => {
                let why = match reason {
                    Reason::Cancel => "the user canceled the wait for it",
                    Reason::Timeout => "the statement timeout ended the wait for it",
                };
                Err(gateway_error(GatewayError::Unknown(why.into())))
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
        block.open = None;
        let (view, has_tickets) = (block.view.take(), std::mem::take(&mut block.has_tickets));
        let schema_changed = block.schema_changed;
        if let Some(view) = view {
            self.return_view(view, schema_changed);
        }
        if has_tickets {
            self.front.gateway.release_tickets(self.holder());
        }
        self.unlock_to(0);
    }

    fn end_block(&mut self, mut block: Block) {
        if let Some(view) = block.view.take() {
            self.return_view(view, block.schema_changed);
        }
        if block.has_tickets {
            self.front.gateway.release_tickets(self.holder());
        }
        self.unlock_to(0);
        self.settings.end_transaction();
        self.drop_portals();
    }

    fn return_view(&self, mut view: SessionView, schema_changed: bool) {
        self.front.holds.release(self.holder());
        match view.clean(schema_changed) {
            Ok(()) => self.front.give_back(&self.database, view),
            Err(error) => tracing::warn!(message = %error.message, "a connection could not be cleaned and was closed"),
        }
    }
}
