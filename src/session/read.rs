//! Reads outside of blocks: a pooled connection on an accepted version, stepped row by row into the send
//! buffer. No value is copied in between, nothing is allocated for a row, and no task is woken.

use super::cache::{Plan, Text};
use super::client::{Done, Session};
use super::cursor::Cursor;
use super::encode::{CopyOut, Formats, RowWriter};
use super::explained::explained;
use super::one_shot::{command_complete, write_rows};
use super::system::asks;
use super::view::{SessionView, client_error};
use crate::dialect::Kind;
use crate::transaction::{Answer, Rows, SqlError, Value};
use crate::wire::Outbox;
use std::rc::Rc;

/// Rows after which a long read lets others on its thread go first.
const ROWS_BETWEEN_YIELDS: u64 = 2_000;

/// What a read is to do.
pub struct Read<'a> {
    /// Its text, to translate it again if the catalog changed.
    pub text: &'a Text,
    /// Parameter types as declared.
    pub declared: &'a [u32],
    /// Values of its parameters.
    pub parameters: &'a [Value],
    /// How its rows are sent.
    pub formats: &'a Formats,
    /// Whether RowDescription goes first (simple protocol).
    pub describe: bool,
    /// Rows to send; what is left is kept for later. 0: all.
    pub rows_max: usize,
}

impl Session {
    /// Runs a read; answers what is left of its rows.
    pub(super) async fn read(&mut self, plan: &Rc<Plan>, read: Read<'_>, out: &mut Outbox) -> Done<Option<Cursor>> {
        self.front.open_blocks.let_pass().await;
        let (mut view, mut plan) = self.open_read(plan, &read).await?;
        if plan.prepared.does_errands {
            match self.run_errands(view, plan, &read, out).await {
                Ok(ready) => (view, plan) = ready,
                Err(error) => {
                    self.unlock_to(0);
                    return Err(error);
                }
            }
        }
        self.registration.set_interrupt(Some(view.interrupt()));
        let result = self.stream(&mut view, &plan, &read, out).await;
        self.registration.set_interrupt(None);
        if plan.prepared.does_errands {
            self.unlock_to(0);
        }
        let changes = if asks(&plan.prepared) { view.take_setting_changes() } else { Vec::new() };
        self.front.give_back(&self.database, view);
        if result.is_ok() {
            self.take_setting_changes(changes, out)?;
        }
        result
    }

    /// A connection for a read, and the translation for what it sees.
    pub(super) async fn open_read(&mut self, plan: &Rc<Plan>, read: &Read<'_>) -> Done<(SessionView, Rc<Plan>)> {
        let pinned = self.pin().await?;
        let mut plan = plan.clone();
        if !Text::fits(&plan, &pinned.catalog, &self.settings.active().dialect) {
            plan = self.translate_again(read.text, &plan, read.declared, &pinned.catalog)?;
        }
        self.permit(&plan, &pinned.catalog).await?;
        let mut view = self.front.take_view(&self.database, &pinned)?;
        view.begin(&self.facts, self.front.gateway.now_us(), self.front.seed());
        if let Some(system) = self.system(&plan.prepared)
            && let Err(error) = system.bring(&mut view, &plan.prepared.sql)
        {
            self.front.give_back(&self.database, view);
            return Err(error.into());
        }
        Ok((view, plan))
    }

    async fn stream(
        &self,
        view: &mut SessionView,
        plan: &Plan,
        read: &Read<'_>,
        out: &mut Outbox,
    ) -> Done<Option<Cursor>> {
        let prepared = &plan.prepared;
        let copy = match &prepared.kind {
            Kind::CopyOut(format) => Some(CopyOut::new(format)),
            _ => None,
        };
        let style = self.settings.active().style;
        let writer = RowWriter { columns: &prepared.columns, formats: read.formats, style: &style, copy };
        if read.describe || writer.copy.is_some() {
            writer.head(&mut out.buffer);
        }
        if self.registration.interrupted().is_some() {
            return Err(SqlError::new("57014", "canceling statement due to user request").into());
        }
        let Some(sql) = prepared.sql.last() else {
            command_complete(prepared.tag, 0, &mut out.buffer);
            return Ok(None);
        };
        view.connection.begin_statement(0, &[], &[]);
        view.rewind_errands();
        if let Kind::Explain { json } = prepared.kind {
            let answer = view.connection.answer(&prepared.sql, read.parameters, None).map_err(client_error)?;
            let rows = explained(&answer.rows, json);
            write_rows(&writer, &Answer { rows, ..answer }, &mut out.buffer)?;
            command_complete(prepared.tag, 0, &mut out.buffer);
            return Ok(None);
        }
        let mut statement = view.connection.open_rows(sql, read.parameters).map_err(client_error)?;
        let mut count = 0u64;
        let (mut left, mut kept) = (None, false);
        let result = loop {
            match statement.statement.step() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(client_error(error.into()).into()),
            }
            if read.rows_max != 0 && count == read.rows_max as u64 {
                left = Some(Rows { columns: prepared.columns.len() as u32, ..Rows::default() });
                break collect(&mut statement.statement, &mut left);
            }
            let row = &statement.statement;
            if let Err(error) = writer.row(&mut out.buffer, |column| row.column(column)) {
                break Err(error.into());
            }
            count += 1;
            if out.is_full() {
                // Its client decides how long this takes.
                if !std::mem::replace(&mut kept, true) {
                    self.front.holds.keep(self.holder(), view.snapshot(), &self.link, false);
                }
                if let Err(error) = out.flush().await {
                    break Err(error.into());
                }
                if let Err(error) = self.front.holds.too_old(self.holder()) {
                    break Err(error.into());
                }
            }
            if count.is_multiple_of(ROWS_BETWEEN_YIELDS) {
                tokio::task::yield_now().await;
                if self.registration.interrupted().is_some() {
                    break Err(SqlError::new("57014", "canceling statement due to user request").into());
                }
            }
        };
        view.connection.give_back(statement);
        if kept {
            self.front.holds.release(self.holder());
        }
        result?;
        if let Some(rows) = left {
            return Ok(Some(Cursor::new(prepared.columns.clone().into(), &rows, false, false)));
        }
        writer.tail(&mut out.buffer);
        command_complete(prepared.tag, count, &mut out.buffer);
        Ok(None)
    }
}

/// Bytes of rows that a suspended portal may keep.
const KEPT_BYTES_MAX: usize = 256 << 20;

/// The current row and all that follow.
fn collect(statement: &mut crate::page_store::sqlite::Statement, rows: &mut Option<Rows>) -> Done {
    let Some(rows) = rows else { return Ok(()) };
    loop {
        (0..rows.columns as usize).for_each(|column| rows.push(statement.column(column)));
        rows.count += 1;
        if rows.bytes.len() > KEPT_BYTES_MAX {
            return Err(SqlError::new("54000", "the result is too large to be taken in parts").into());
        }
        if !statement.step().map_err(|error| client_error(error.into()))? {
            return Ok(());
        }
    }
}
