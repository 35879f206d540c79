//! The extended protocol: Parse, Describe, Execute, Close. (Bind has a file of its own; Sync and what to
//! do after an error are the session's.)

use super::cache::Text;
use super::client::{ClientStatement, Done, Failure, Portal, PortalState, Session};
use super::cursor::Cursor;
use super::encode::{CopyOut, RowWriter, describe};
use super::explained::explained;
use super::one_shot::{Update, command_complete, write_answer};
use super::read::Read;
use super::status::Status;
use super::system::asks;
use super::utility::{aborted, is_exit};
use crate::dialect::utility::{FetchCount, Utility};
use crate::dialect::{Kind, OutputColumn};
use crate::transaction::{SqlError, Value, ValueRef};
use crate::wire::{Fields, Outbox, message};
use std::rc::Rc;

/// How often a statement that had to run in a block of its own is tried again after a conflict.
pub const RETRIES_MAX: u32 = 20;

impl Session {
    /// Parse.
    pub(super) async fn parse(&mut self, body: &[u8], out: &mut Outbox) -> Done {
        let short = || Session::violation("insufficient data left in message");
        let mut fields = Fields(body);
        let name = fields.text().ok_or_else(short)?;
        let sql = fields.text().ok_or_else(short)?;
        let count = fields.i16().ok_or_else(short)?;
        let mut declared = Vec::with_capacity(usize::try_from(count).map_err(|_| short())?);
        for _ in 0..count {
            declared.push(fields.i32().ok_or_else(short)? as u32);
        }
        if !name.is_empty() && self.statements.contains_key(name) {
            return Err(SqlError::new("42P05", format!("prepared statement \"{name}\" already exists")).into());
        }
        if self.pending.changes_schema() {
            self.settle_into_block(out).await?;
        }
        let statement = self.prepare_text(sql, declared.into()).await?;
        self.statements.insert(name.to_owned(), Rc::new(statement));
        message::parse_complete(&mut out.buffer);
        Ok(())
    }

    /// Parses and translates one statement.
    pub(super) async fn prepare_text(&mut self, sql: &str, declared: Box<[u32]>) -> Done<ClientStatement> {
        let script = self.front.cache.borrow_mut().script(sql)?;
        let [text] = script.statements.as_slice() else {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(SqlError::new("42601", message).into());
        };
        let mut statement = ClientStatement { text: text.clone(), declared, plan: None, cursor: None };
        if self.refuses(&statement) {
            return Err(aborted().into());
        }
        self.open_temporary(&text.parsed);
        if let Some(Utility::Declare { query, .. }) = text.parsed.utility() {
            let declared = std::mem::take(&mut statement.declared);
            statement.cursor = Some(Rc::new(Box::pin(self.prepare_text(&query.text, declared)).await?));
        }
        if let Some(explain) = self.explain_of_prepared(&statement)? {
            statement = explain;
        }
        let needs_no_catalog = text.parsed.is_empty()
            || text.parsed.utility().is_some_and(|utility| !super::utility::is_translated(utility));
        if !needs_no_catalog {
            statement.plan = Some(self.plan(&statement).await?);
        }
        Ok(statement)
    }

    /// EXPLAIN EXECUTE is EXPLAIN of what was prepared, whatever its parameters.
    pub(super) fn explain_of_prepared(&self, statement: &ClientStatement) -> Result<Option<ClientStatement>, SqlError> {
        let Some(name) = statement.text.parsed.explained_name() else { return Ok(None) };
        let named = self.statement_named(name)?;
        let text = Rc::new(Text::new(statement.text.parsed.explaining(&named.text.parsed)));
        Ok(Some(ClientStatement { text, declared: named.declared.clone(), plan: None, cursor: None }))
    }

    /// Translates for the catalog of the block, or the one that the session would read now.
    pub(super) async fn plan(&self, statement: &ClientStatement) -> Result<Rc<super::cache::Plan>, SqlError> {
        let catalog = self.catalog().await?;
        statement.text.plan(&catalog, &statement.declared, &self.settings.active().dialect)
    }

    /// Whether a failed block refuses this statement.
    pub(super) fn refuses(&self, statement: &ClientStatement) -> bool {
        self.status == Status::Failed
            && !statement.text.parsed.is_empty()
            && !statement.text.parsed.utility().is_some_and(is_exit)
    }

    /// Describe.
    pub(super) fn describe(&mut self, body: &[u8], out: &mut Outbox) -> Done {
        let mut fields = Fields(body);
        let kind = fields.u8();
        let name = fields.text().ok_or_else(|| Session::violation("insufficient data left in message"))?;
        match kind {
            Some(b'S') => {
                let statement = self.statement_named(name)?;
                message::parameter_description(&mut out.buffer, statement.params().iter().map(|ty| ty.0));
                let columns = self.columns_of(&statement)?;
                describe_columns(&columns, |_| false, out);
                Ok(())
            }
            Some(b'P') => {
                // What DECLARE made is a portal too.
                if let Some(cursor) = self.cursors.get(name) {
                    describe_columns(&cursor.columns, |_| cursor.binary, out);
                    return Ok(());
                }
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                let columns = self.columns_of(&portal.statement)?;
                let formats = &portal.formats;
                describe_columns(&columns, |column| formats.is_binary(column), out);
                Ok(())
            }
            _ => Err(Session::violation("invalid DESCRIBE message subtype")),
        }
    }

    /// Columns of a statement's result; for the session's own commands, what they will show.
    fn columns_of(&self, statement: &ClientStatement) -> Result<Rc<[OutputColumn]>, SqlError> {
        if let Some(plan) = &statement.plan {
            return Ok(match plan.prepared.kind {
                Kind::CopyIn(_) | Kind::CopyOut(_) => Rc::new([]),
                _ => plan.prepared.columns.clone().into(),
            });
        }
        Ok(match statement.text.parsed.utility() {
            Some(Utility::Show(name)) => super::set::show_columns(name),
            Some(Utility::Fetch { name, move_only: false, .. }) => {
                self.cursors.get(name).map(|cursor| cursor.columns.clone()).unwrap_or_else(|| Rc::new([]))
            }
            Some(Utility::Execute { name, .. }) => self.columns_of(&*self.statement_named(name)?)?,
            _ => Rc::new([]),
        })
    }

    /// Close.
    pub(super) fn close(&mut self, body: &[u8], out: &mut Outbox) -> Done {
        let mut fields = Fields(body);
        let kind = fields.u8();
        let name = fields.text().ok_or_else(|| Session::violation("insufficient data left in message"))?;
        match kind {
            Some(b'S') => {
                self.statements.remove(name);
            }
            Some(b'P') => {
                self.portals.remove(name);
            }
            _ => return Err(Session::violation("invalid CLOSE message subtype")),
        }
        message::close_complete(&mut out.buffer);
        Ok(())
    }

    /// Execute.
    pub(super) async fn execute(&mut self, body: &[u8], out: &mut Outbox) -> Done {
        let mut fields = Fields(body);
        let short = || Session::violation("insufficient data left in message");
        let name = fields.text().ok_or_else(short)?;
        let rows_max = fields.i32().ok_or_else(short)?.max(0) as usize;
        // The portal is taken out while it runs: ROLLBACK, say, drops all portals.
        let (name, mut portal) = self.portals.remove_entry(name).ok_or_else(|| no_portal(name))?;
        let result = self.execute_portal(&mut portal, rows_max, out).await;
        let transaction_over =
            self.status == Status::Idle && portal.statement.text.parsed.utility().is_some_and(is_exit);
        if result.is_ok() && !transaction_over {
            self.portals.insert(name, portal);
        }
        result
    }

    async fn execute_portal(&mut self, portal: &mut Portal, rows_max: usize, out: &mut Outbox) -> Done {
        let statement = portal.statement.clone();
        if self.refuses(&statement) {
            return Err(aborted().into());
        }
        match &mut portal.state {
            PortalState::Ready => {}
            PortalState::Suspended(cursor) => {
                let style = self.settings.active().style;
                let columns = cursor.columns.clone();
                let writer = RowWriter { columns: &columns, formats: &portal.formats, style: &style, copy: None };
                if continue_portal(cursor, &writer, rows_max, out).await? {
                    portal.state = PortalState::Finished;
                }
                return Ok(());
            }
            PortalState::Finished => {
                if statement.plan.as_ref().is_some_and(|plan| !plan.writes) {
                    command_complete(crate::dialect::Tag::Select, 0, &mut out.buffer);
                    return Ok(());
                }
                return Err(SqlError::new("55000", "portal cannot be run again").into());
            }
        }
        self.statement_begins();
        portal.state = PortalState::Finished;
        if statement.text.parsed.is_empty() {
            message::empty_query(&mut out.buffer);
            return Ok(());
        }
        let Some(plan) = statement.plan.clone() else {
            let Some(utility) = statement.text.parsed.utility() else {
                return Err(SqlError::new("XX000", "a statement without a translation").into());
            };
            if let (Utility::Declare { name, binary, hold, .. }, Some(query)) = (utility, &statement.cursor) {
                let parameters = std::mem::take(&mut portal.parameters);
                return self.declare(name, *binary, *hold, query, &parameters, out).await;
            }
            return self.utility(utility, &portal.formats, false, out).await;
        };
        let parameters = std::mem::take(&mut portal.parameters);
        let left = self.run_planned(&statement, plan, parameters, &portal.formats, rows_max, false, out).await?;
        if let Some(cursor) = left {
            portal.state = PortalState::Suspended(cursor);
            message::portal_suspended(&mut out.buffer);
        }
        Ok(())
    }

    /// Runs a translated statement on the way that it takes; answers what is left of its rows.
    #[allow(clippy::too_many_arguments)]
    pub(super) async fn run_planned(
        &mut self,
        statement: &ClientStatement,
        plan: Rc<super::cache::Plan>,
        parameters: Vec<Value>,
        formats: &super::encode::Formats,
        rows_max: usize,
        describe: bool,
        out: &mut Outbox,
    ) -> Done<Option<Cursor>> {
        for notice in &plan.prepared.notices {
            out.notice(notice.severity, &SqlError::new(notice.code, notice.message.clone()));
        }
        match &plan.prepared.kind {
            Kind::Empty => {
                message::empty_query(&mut out.buffer);
                return Ok(None);
            }
            Kind::Nothing => {
                self.permit(&plan, &*self.catalog().await?).await?;
                command_complete(plan.prepared.tag, 0, &mut out.buffer);
                return Ok(None);
            }
            Kind::CopyIn(format) => {
                self.settle(out).await?;
                self.permit(&plan, &*self.catalog().await?).await?;
                let format = format.clone();
                self.begin_copy_in(statement, plan, format, out);
                return Ok(None);
            }
            Kind::CreateDatabase(_) | Kind::DropDatabase { .. } => {
                self.settle(out).await?;
                self.permit(&plan, &*self.catalog().await?).await?;
                return self.run_database(statement, plan, describe, out).await.map(|()| None);
            }
            _ => {}
        }
        let formats_text = super::encode::Formats::Text;
        let formats = if matches!(plan.prepared.kind, Kind::CopyOut(_)) { &formats_text } else { formats };
        if self.transaction.is_some() {
            return self.answer_in_block(statement, plan, &parameters, formats, rows_max, describe, out).await;
        }
        let asks = asks(&plan.prepared);
        if plan.prepared.uses_catalog && plan.writes {
            return Err(SqlError::new("0A000", "writing what pg_catalog says is not supported").into());
        }
        let quorum = self.settings.active().read_level == super::gateway::ReadLevel::Quorum;
        let reads = !plan.writes && (!quorum || asks);
        if reads && asks {
            self.settle(out).await?;
        }
        if reads && self.pending.is_empty() {
            let read = Read {
                text: &statement.text,
                declared: &statement.declared,
                parameters: &parameters,
                formats,
                describe,
                rows_max,
            };
            return self.read(&plan, read, out).await;
        }
        let is_dropped = statement.text.parsed.dropped_at_commit().is_some();
        if is_dropped || plan.prepared.uses_system_values || matches!(plan.prepared.kind, Kind::CopyOut(_)) {
            self.settle(out).await?;
            return self.run_in_own_block(statement, plan, &parameters, formats, rows_max, describe, out).await;
        }
        if self.settings.active().read_only_by_default && plan.writes {
            return Err(SqlError::new("25006", "cannot change data in a read-only transaction").into());
        }
        // A translation for an older catalog would only come back as stale.
        let catalog = self.catalog().await?;
        let plan = match Text::fits(&plan, &catalog, &self.settings.active().dialect) {
            true => plan,
            false => self.translate_again(&statement.text, &plan, &statement.declared, &catalog)?,
        };
        self.permit(&plan, &catalog).await?;
        let place = out.buffer.len();
        let update = Update::of(statement, plan, parameters, formats.clone(), place);
        if describe {
            self.update_now(update, true, out).await?;
        } else {
            self.pending.push(update, self.settings.mark());
        }
        Ok(None)
    }

    /// A statement that must see where it runs, outside of a block: in one of its own, which nobody saw
    /// before it is accepted, so a conflict is only a reason to try again.
    #[allow(clippy::too_many_arguments)]
    async fn run_in_own_block(
        &mut self,
        statement: &ClientStatement,
        plan: Rc<super::cache::Plan>,
        parameters: &[Value],
        formats: &super::encode::Formats,
        rows_max: usize,
        describe: bool,
        out: &mut Outbox,
    ) -> Done<Option<Cursor>> {
        // From here on nothing is sent before the block is accepted.
        out.flush_if_due().await?;
        for attempt in 0.. {
            self.open_block(&Default::default(), true);
            let before = out.buffer.len();
            let ran =
                self.answer_in_block(statement, plan.clone(), parameters, formats, rows_max, describe, out).await?;
            match self.commit(out).await {
                Ok(()) => return Ok(ran),
                Err(Failure::Sql(error)) if error.code() == "40001" && attempt < RETRIES_MAX => {
                    out.buffer.truncate(before);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Runs a statement in the open block and sends its answer.
    #[allow(clippy::too_many_arguments)]
    async fn answer_in_block(
        &mut self,
        statement: &ClientStatement,
        mut plan: Rc<super::cache::Plan>,
        parameters: &[Value],
        formats: &super::encode::Formats,
        rows_max: usize,
        describe: bool,
        out: &mut Outbox,
    ) -> Done<Option<Cursor>> {
        let mut answer =
            self.run_in_block(&statement.text, &mut plan, &statement.declared, parameters, None, out).await?;
        if let Kind::Explain { json } = plan.prepared.kind {
            answer.rows = explained(&answer.rows, json);
        }
        let style = self.settings.active().style;
        let prepared = &plan.prepared;
        let copy = match &prepared.kind {
            Kind::CopyOut(format) => Some(CopyOut::new(format)),
            _ => None,
        };
        let writer = RowWriter { columns: &prepared.columns, formats, style: &style, copy };
        if writer.copy.is_some() {
            writer.head(&mut out.buffer);
            super::one_shot::write_rows(&writer, &answer, &mut out.buffer)?;
            writer.tail(&mut out.buffer);
            command_complete(prepared.tag, answer.rows.count, &mut out.buffer);
        } else if rows_max != 0 && answer.rows.count > rows_max as u64 {
            let mut cursor = Cursor::new(prepared.columns.clone().into(), &answer.rows, false, false);
            continue_rows(&mut cursor, &writer, rows_max, out).await?;
            return Ok(Some(cursor));
        } else {
            if describe && !prepared.columns.is_empty() {
                writer.head(&mut out.buffer);
            }
            write_answer(&plan, formats, &style, &answer, &mut out.buffer)?;
        }
        let implicit = self.transaction.as_ref().is_some_and(|block| block.implicit);
        if out.is_full() && !implicit {
            out.flush().await?;
        }
        Ok(None)
    }
}

/// Sends the next rows; answers how many.
async fn continue_rows(cursor: &mut Cursor, writer: &RowWriter<'_>, rows_max: usize, out: &mut Outbox) -> Done<u64> {
    let count = if rows_max == 0 { FetchCount::All } else { FetchCount::Forward(rows_max as u64) };
    let rows = cursor.fetch(count);
    let sent = rows.len() as u64;
    for row in rows {
        writer.row(&mut out.buffer, |column| row.get(column).map_or(ValueRef::Null, Value::as_ref))?;
        if out.is_full() {
            out.flush().await?;
        }
    }
    Ok(sent)
}

/// Goes on with a suspended portal; answers whether it came to its end.
async fn continue_portal(cursor: &mut Cursor, writer: &RowWriter<'_>, rows_max: usize, out: &mut Outbox) -> Done<bool> {
    let sent = continue_rows(cursor, writer, rows_max, out).await?;
    if cursor.left() > 0 {
        message::portal_suspended(&mut out.buffer);
        return Ok(false);
    }
    command_complete(crate::dialect::Tag::Select, sent, &mut out.buffer);
    Ok(true)
}

fn describe_columns(columns: &[OutputColumn], is_binary: impl Fn(usize) -> bool, out: &mut Outbox) {
    if columns.is_empty() {
        message::no_data(&mut out.buffer);
        return;
    }
    let described = columns.iter().enumerate().map(|(at, column)| describe(column, is_binary(at)));
    message::row_description(&mut out.buffer, described);
}

fn no_portal(name: &str) -> SqlError {
    SqlError::new("34000", format!("portal \"{name}\" does not exist"))
}
