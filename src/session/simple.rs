//! The simple protocol: one query text, with one or several statements.
//!
//! Several statements are one implicit transaction, as in Postgres: they run in a block that ends with
//! the query. Nothing of its answers is sent before it is accepted, so a conflict is a reason to run it
//! again, not an error.

use super::cache::Script;
use super::client::{ClientStatement, Done, Failure, Session};
use super::encode::Formats;
use super::extended::RETRIES_MAX;
use super::status::Status;
use super::utility::{aborted, changes_transaction};
use crate::transaction::SqlError;
use crate::wire::{Fields, Flow, Outbox, message};
use std::io;
use std::rc::Rc;

impl Session {
    /// Query.
    pub(super) async fn query(&mut self, body: &[u8], out: &mut Outbox) -> io::Result<Flow> {
        let result = match Fields(body).text() {
            Some(sql) => self.run_text(sql, out).await,
            None => Err(Session::violation("invalid string in message")),
        };
        self.hear().await;
        self.after_query(result, out)
    }

    /// Ends a simple query: error if any, portals, ReadyForQuery.
    pub(super) fn after_query(&mut self, result: Done, out: &mut Outbox) -> io::Result<Flow> {
        match result {
            Ok(()) if self.copy.is_some() => return Ok(Flow::Continue),
            Ok(()) => {}
            Err(Failure::Sql(error)) => {
                let error = self.interrupted(*error);
                self.report(&error, out);
            }
            Err(Failure::Io(error)) => return Err(error),
        }
        if self.status == Status::Idle {
            self.drop_portals();
        }
        self.ready(out);
        Ok(Flow::Continue)
    }

    async fn run_text(&mut self, sql: &str, out: &mut Outbox) -> Done {
        // What a pipeline left open ends here.
        self.settle(out).await?;
        self.statements.remove("");
        self.portals.remove("");
        let script = self.front.cache.borrow_mut().script(sql)?;
        self.statement_begins();
        let several = script.statements.len() > 1;
        let plain = !script.statements.iter().any(|text| text.parsed.utility().is_some_and(changes_transaction));
        if !several || self.status != Status::Idle || !plain {
            return self.run_script(&script, 0, several, out).await;
        }
        // From here on nothing is sent before the block is accepted.
        out.flush_if_due().await?;
        for attempt in 0.. {
            let before = out.buffer.len();
            match self.run_script(&script, 0, true, out).await {
                Err(Failure::Sql(error)) if error.code() == "40001" && attempt < RETRIES_MAX => {
                    self.abandon();
                    out.buffer.truncate(before);
                }
                result => return result,
            }
        }
        Ok(())
    }

    /// Runs the statements of a text from one of them on; `several` wants an implicit block.
    pub(super) async fn run_script(
        &mut self,
        script: &Rc<Script>,
        from: usize,
        several: bool,
        out: &mut Outbox,
    ) -> Done {
        for (at, text) in script.statements.iter().enumerate().skip(from) {
            if several && self.transaction.is_none() && self.status == Status::Idle {
                self.open_block(&Default::default(), true);
            }
            let mut statement =
                ClientStatement { text: text.clone(), declared: Box::default(), plan: None, cursor: None };
            if self.refuses(&statement) {
                return Err(aborted().into());
            }
            if text.parsed.is_empty() {
                message::empty_query(&mut out.buffer);
                continue;
            }
            match text.parsed.utility() {
                Some(utility) if !super::utility::is_translated(utility) => {
                    self.utility(utility, &Formats::Text, true, out).await?;
                }
                _ => {
                    self.open_temporary(&text.parsed);
                    if let Some(explain) = self.explain_of_prepared(&statement)? {
                        statement = explain;
                    }
                    let plan = self.plan(&statement).await?;
                    statement.plan = Some(plan.clone());
                    if !statement.params().is_empty() {
                        return Err(SqlError::new("42P02", "there is no parameter $1").into());
                    }
                    self.run_planned(&statement, plan, Vec::new(), &Formats::Text, 0, true, out).await?;
                    if let Some(copy) = &mut self.copy {
                        copy.resume = Some((script.clone(), at + 1, several));
                        return Ok(());
                    }
                }
            }
        }
        if self.transaction.as_ref().is_some_and(|block| block.implicit) {
            self.commit(out).await?;
        }
        Ok(())
    }
}
