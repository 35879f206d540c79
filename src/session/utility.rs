//! The session's own commands: transactions, settings, prepared statements, cursors.

use super::client::{ClientStatement, Done, Session};
use super::cursor::Cursor;
use super::encode::{Formats, RowWriter};
use super::settings::Settings;
use super::status::{Event, Status, Step};
use crate::dialect::codec::decode_text;
use crate::dialect::utility::{FetchCount, Isolation, TransactionModes, Utility};
use crate::dialect::{OutputColumn, Parsed, PgType};
use crate::transaction::{Answer, SqlError, Value, ValueRef};
use crate::wire::{Outbox, message};
use std::rc::Rc;
use std::sync::Arc;

/// The error of statements in a failed block.
pub fn aborted() -> SqlError {
    SqlError::new("25P02", "current transaction is aborted, commands ignored until end of transaction block")
}

/// Whether a failed block takes this command.
pub fn is_exit(utility: &Utility) -> bool {
    matches!(utility, Utility::Commit { .. } | Utility::Rollback { .. } | Utility::RollbackTo(_))
}

/// Whether the command opens or closes a block.
pub fn changes_transaction(utility: &Utility) -> bool {
    matches!(utility, Utility::Begin(_) | Utility::Commit { .. } | Utility::Rollback { .. })
}

/// Whether the dialect has a translation for the command.
pub fn is_translated(utility: &Utility) -> bool {
    matches!(utility, Utility::Copy { .. } | Utility::Explain { .. } | Utility::Vacuum { .. } | Utility::Analyze(_))
}

fn text_column(name: &str) -> OutputColumn {
    OutputColumn { name: name.to_owned(), ty: PgType::TEXT, typmod: -1, table_oid: 0, column_number: 0 }
}

/// Columns of SHOW.
pub fn show_columns(name: &str) -> Rc<[OutputColumn]> {
    match name {
        "all" => Rc::new([text_column("name"), text_column("setting"), text_column("description")]),
        name => Rc::new([text_column(&Settings::display_name(name))]),
    }
}

fn notice(code: &str, text: &str) -> SqlError {
    SqlError::new(code, text)
}

impl Session {
    /// Carries out a command; `describe` sends RowDescription before rows.
    pub(super) async fn utility(
        &mut self,
        utility: &Utility,
        formats: &Formats,
        describe: bool,
        out: &mut Outbox,
    ) -> Done {
        if !self.pending.is_empty() {
            match utility {
                Utility::Rollback { .. } => self.undo_pending(out).await,
                _ => self.settle(out).await?,
            }
        }
        match utility {
            Utility::Begin(_)
            | Utility::Commit { .. }
            | Utility::Rollback { .. }
            | Utility::Savepoint(_)
            | Utility::Release(_)
            | Utility::RollbackTo(_) => self.transaction_command(utility, out).await,
            Utility::Set { name, value, local } => self.set(name, value.as_deref(), *local, out),
            Utility::SetTransaction { modes, session } => self.set_transaction(modes, *session, out),
            Utility::Show(name) => self.show(name, formats, describe, out),
            Utility::Reset(name) => self.reset(name.as_deref(), out),
            Utility::Discard(what) => self.discard(what, out),
            Utility::Prepare { name, types, statement } => {
                self.sql_prepare(name, types, statement).await?;
                message::command_complete(&mut out.buffer, "PREPARE");
                Ok(())
            }
            Utility::Execute { name, arguments } => {
                Box::pin(self.sql_execute(name, arguments, formats, describe, out)).await
            }
            Utility::Deallocate(name) => self.deallocate(name.as_deref(), out),
            Utility::Declare { name, binary, hold, query, .. } => self.declare(name, *binary, *hold, query, out).await,
            Utility::Fetch { name, count, move_only } => self.fetch(name, *count, *move_only, formats, describe, out),
            Utility::Close(name) => self.close_cursor(name.as_deref(), out),
            Utility::Lock { tables, nowait, .. } => self.lock(tables, *nowait, out).await,
            Utility::Unlisten(_) => tagged("UNLISTEN", out),
            Utility::Checkpoint => tagged("CHECKPOINT", out),
            Utility::Ignored(tag) => tagged(tag, out),
            Utility::Listen(_) | Utility::Notify { .. } => {
                Err(SqlError::new("0A000", "LISTEN and NOTIFY are not supported").into())
            }
            _ => Err(SqlError::new("0A000", "this command is not supported").into()),
        }
    }

    async fn transaction_command(&mut self, utility: &Utility, out: &mut Outbox) -> Done {
        let event = match utility {
            Utility::Begin(_) => Event::Begin,
            Utility::Commit { .. } => Event::Commit,
            Utility::Rollback { .. } => Event::Rollback,
            Utility::RollbackTo(_) => Event::RollbackTo,
            _ => Event::Savepoint,
        };
        let (next, step) = self.status.on(event);
        match step {
            Step::Open => self.begin(utility),
            Step::Submit => {
                self.status = next;
                self.commit(out).await?;
            }
            Step::Undo => self.abandon(),
            Step::Run | Step::UndoTo => match utility {
                Utility::Savepoint(name) => self.savepoint(name, out).await?,
                Utility::Release(name) => self.release_savepoint(name)?,
                Utility::RollbackTo(name) => self.roll_back_to(name, out).await?,
                _ => {}
            },
            Step::WarnInBlock => {
                out.notice("WARNING", &notice("25001", "there is already a transaction in progress"));
            }
            Step::WarnIdle => {
                out.notice("WARNING", &notice("25P01", "there is no transaction in progress"));
                // An implicit block ends all the same.
                match event {
                    Event::Commit => self.commit(out).await?,
                    _ => self.abandon(),
                }
            }
            Step::RefuseIdle => {
                let text = match utility {
                    Utility::RollbackTo(_) => "ROLLBACK TO SAVEPOINT can only be used in transaction blocks",
                    Utility::Release(_) => "RELEASE SAVEPOINT can only be used in transaction blocks",
                    _ => "SAVEPOINT can only be used in transaction blocks",
                };
                return Err(SqlError::new("25P01", text).into());
            }
            Step::RefuseFailed => return Err(aborted().into()),
            Step::MarkFailed => {}
        }
        let failed = self.status == Status::Failed;
        self.status = next;
        let (tag, chain) = match utility {
            Utility::Begin(_) => ("BEGIN", false),
            Utility::Commit { chain } if failed => ("ROLLBACK", *chain),
            Utility::Commit { chain } => ("COMMIT", *chain),
            Utility::Rollback { chain } => ("ROLLBACK", *chain),
            Utility::RollbackTo(_) => ("ROLLBACK", false),
            Utility::Release(_) => ("RELEASE", false),
            _ => ("SAVEPOINT", false),
        };
        if chain && step != Step::WarnIdle {
            self.open_block(&TransactionModes::default(), false);
            self.status = Status::InBlock;
        }
        tagged(tag, out)
    }

    /// BEGIN: an implicit block of a simple query becomes part of the explicit one.
    fn begin(&mut self, utility: &Utility) {
        let modes = match utility {
            Utility::Begin(modes) => *modes,
            _ => TransactionModes::default(),
        };
        match &mut self.transaction {
            Some(block) => {
                block.implicit = false;
                block.read_only |= modes.read_only == Some(true);
            }
            None => self.open_block(&modes, false),
        }
    }

    fn set(&mut self, name: &str, value: Option<&str>, local: bool, out: &mut Outbox) -> Done {
        match name {
            "transaction_isolation" | "transaction_read_only" | "transaction_deferrable" => {
                let mut modes = TransactionModes::default();
                let value = value.unwrap_or("").to_ascii_lowercase();
                match name {
                    "transaction_isolation" => modes.isolation = Some(isolation(&value)?),
                    "transaction_read_only" => modes.read_only = Some(matches!(value.as_str(), "on" | "true" | "1")),
                    _ => {}
                }
                self.set_modes(&modes)?;
            }
            // Not settings: accepted as Postgres does, there is one role.
            "role" | "session_authorization" | "constraints" | "seed" => {}
            _ => {
                if local && self.transaction.is_none() {
                    out.notice("WARNING", &notice("25P01", "SET LOCAL can only be used in transaction blocks"));
                } else if let Some(told) = self.settings.set(name, value, local)? {
                    let value = self.settings.get(told)?;
                    message::parameter_status(&mut out.buffer, told, &value);
                }
            }
        }
        tagged("SET", out)
    }

    fn set_transaction(&mut self, modes: &TransactionModes, session: bool, out: &mut Outbox) -> Done {
        if session {
            if let Some(isolation) = modes.isolation {
                self.settings.set("default_transaction_isolation", Some(isolation_name(isolation)), false)?;
            }
            if let Some(read_only) = modes.read_only {
                let value = if read_only { "on" } else { "off" };
                self.settings.set("default_transaction_read_only", Some(value), false)?;
            }
        } else if self.transaction.is_none() {
            out.notice("WARNING", &notice("25P01", "SET TRANSACTION can only be used in transaction blocks"));
        } else {
            self.set_modes(modes)?;
        }
        tagged("SET", out)
    }

    fn show(&mut self, name: &str, formats: &Formats, describe: bool, out: &mut Outbox) -> Done {
        let columns = show_columns(name);
        let rows: Vec<Vec<String>> = match name {
            "all" => {
                let all = self.settings.all().into_iter();
                all.map(|(name, value)| vec![name.to_owned(), value, String::new()]).collect()
            }
            "transaction_isolation" => vec![vec![self.isolation()]],
            "transaction_read_only" => {
                let active = self.settings.active().read_only_by_default;
                let read_only = self.transaction.as_ref().map_or(active, |block| block.read_only);
                vec![vec![if read_only { "on" } else { "off" }.to_owned()]]
            }
            name => vec![vec![self.settings.get(name)?]],
        };
        let style = self.settings.active().style;
        let writer = RowWriter { columns: &columns, formats, style: &style, copy: None };
        if describe {
            writer.head(&mut out.buffer);
        }
        for row in &rows {
            writer.row(&mut out.buffer, |column| ValueRef::Text(&row[column]))?;
        }
        tagged("SHOW", out)
    }

    fn isolation(&self) -> String {
        let read_committed = match &self.transaction {
            Some(block) => block.read_committed,
            None => self.settings.active().read_committed_by_default,
        };
        let default = self.settings.get("default_transaction_isolation").unwrap_or_default();
        match read_committed {
            true => "read committed".to_owned(),
            false if default.starts_with("read ") => "serializable".to_owned(),
            false => default,
        }
    }

    fn reset(&mut self, name: Option<&str>, out: &mut Outbox) -> Done {
        match name {
            Some("role" | "session_authorization") => {}
            Some(name) => {
                if let Some(told) = self.settings.set(name, None, false)? {
                    let value = self.settings.get(told)?;
                    message::parameter_status(&mut out.buffer, told, &value);
                }
            }
            None => self.reset_all(out),
        }
        tagged("RESET", out)
    }

    fn reset_all(&mut self, out: &mut Outbox) {
        let before = self.settings.reported();
        self.settings.reset_all();
        for ((name, old), (_, new)) in before.into_iter().zip(self.settings.reported()) {
            if old != new {
                message::parameter_status(&mut out.buffer, name, &new);
            }
        }
    }

    fn discard(&mut self, what: &str, out: &mut Outbox) -> Done {
        if what.eq_ignore_ascii_case("all") {
            if self.transaction.is_some() {
                return Err(SqlError::new("25001", "DISCARD ALL cannot run inside a transaction block").into());
            }
            self.statements.clear();
            self.portals.clear();
            self.cursors.clear();
            self.facts.current.borrow_mut().clear();
            self.facts.last.set(None);
            self.reset_all(out);
            return tagged("DISCARD ALL", out);
        }
        tagged(&format!("DISCARD {}", what.to_ascii_uppercase()), out)
    }

    /// PREPARE: the statement's own text is prepared again as if it had come by Parse.
    async fn sql_prepare(&mut self, name: &str, types: &[sqlparser::ast::DataType], statement: &Parsed) -> Done {
        if self.statements.contains_key(name) {
            return Err(SqlError::new("42P05", format!("prepared statement \"{name}\" already exists")).into());
        }
        let mut declared = Vec::with_capacity(types.len());
        for ty in types {
            let written = ty.to_string().to_ascii_lowercase();
            let bare = written.split('(').next().unwrap_or("").trim();
            let found = match bare.strip_suffix("[]") {
                Some(element) => PgType::by_name(element).and_then(PgType::array),
                None => PgType::by_name(bare),
            };
            let found = found.ok_or_else(|| SqlError::new("42704", format!("type \"{bare}\" does not exist")))?;
            declared.push(found.0);
        }
        let prepared = self.prepare_text(&statement.text, declared.into()).await?;
        self.statements.insert(name.to_owned(), Rc::new(prepared));
        Ok(())
    }

    async fn sql_execute(
        &mut self,
        name: &str,
        arguments: &[String],
        formats: &Formats,
        describe: bool,
        out: &mut Outbox,
    ) -> Done {
        let statement = self.statement_named(name)?;
        let Some(plan) = statement.plan.clone() else {
            let text = statement.text.clone();
            return match text.parsed.utility() {
                Some(utility) => self.utility(utility, formats, describe, out).await,
                None => {
                    message::empty_query(&mut out.buffer);
                    Ok(())
                }
            };
        };
        let types = &plan.prepared.params;
        if arguments.len() != types.len() {
            let text = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!("Expected {} parameters but got {}.", types.len(), arguments.len());
            return Err(SqlError::new("42601", text).with_detail(detail).into());
        }
        let mut parameters = Vec::with_capacity(arguments.len());
        for (argument, ty) in arguments.iter().zip(types) {
            parameters.push(self.argument(argument, *ty)?);
        }
        self.run_planned(&statement, plan, parameters, formats, 0, describe, out).await.map(|_| ())
    }

    /// The value of EXECUTE's argument: a literal, perhaps with a cast.
    fn argument(&self, text: &str, ty: PgType) -> Result<Value, SqlError> {
        let text = text.trim();
        let bare = text.split("::").next().unwrap_or(text).trim();
        let style = &self.settings.active().style;
        if bare.eq_ignore_ascii_case("null") {
            return Ok(Value::Null);
        }
        if let Some(inner) = bare.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            return decode_text(inner.replace("''", "'").as_bytes(), ty, style);
        }
        let number = bare.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
        if number || bare.eq_ignore_ascii_case("true") || bare.eq_ignore_ascii_case("false") {
            return decode_text(bare.as_bytes(), ty, style);
        }
        Err(SqlError::new("0A000", format!("EXECUTE takes literals only, not {text}")))
    }

    fn deallocate(&mut self, name: Option<&str>, out: &mut Outbox) -> Done {
        match name {
            None => {
                self.statements.clear();
                tagged("DEALLOCATE ALL", out)
            }
            Some(name) => match self.statements.remove(name) {
                Some(_) => tagged("DEALLOCATE", out),
                None => Err(SqlError::new("26000", format!("prepared statement \"{name}\" does not exist")).into()),
            },
        }
    }

    async fn declare(&mut self, name: &str, binary: bool, hold: bool, query: &Parsed, out: &mut Outbox) -> Done {
        let in_block = self.transaction.as_ref().is_some_and(|block| !block.implicit);
        if !in_block && !hold {
            return Err(SqlError::new("25P01", "DECLARE CURSOR can only be used in transaction blocks").into());
        }
        if self.cursors.contains_key(name) {
            return Err(SqlError::new("42P03", format!("cursor \"{name}\" already exists")).into());
        }
        let statement = self.prepare_text(&query.text, Box::default()).await?;
        let Some(mut plan) = statement.plan.clone().filter(|plan| !plan.prepared.columns.is_empty()) else {
            return Err(SqlError::new("42601", "DECLARE CURSOR needs a query").into());
        };
        let own_block = self.transaction.is_none();
        if own_block {
            self.open_block(&TransactionModes::default(), true);
        }
        let answer: Answer = self.run_in_block(&statement.text, &mut plan, &statement.declared, &[], None, out).await?;
        if own_block {
            self.commit(out).await?;
        }
        let cursor = Cursor::new(plan.prepared.columns.clone().into(), &answer.rows, hold, binary);
        self.cursors.insert(name.to_owned(), cursor);
        tagged("DECLARE CURSOR", out)
    }

    fn fetch(
        &mut self,
        name: &str,
        count: FetchCount,
        move_only: bool,
        formats: &Formats,
        describe: bool,
        out: &mut Outbox,
    ) -> Done {
        let style = self.settings.active().style;
        let cursor = self.cursors.get_mut(name);
        let cursor = cursor.ok_or_else(|| SqlError::new("34000", format!("cursor \"{name}\" does not exist")))?;
        let columns = cursor.columns.clone();
        let binary = Formats::Binary;
        let formats = if cursor.binary { &binary } else { formats };
        let rows = cursor.fetch(count);
        if move_only {
            message::command_complete_count(&mut out.buffer, "MOVE", rows.len() as u64);
            return Ok(());
        }
        let writer = RowWriter { columns: &columns, formats, style: &style, copy: None };
        if describe {
            writer.head(&mut out.buffer);
        }
        for row in &rows {
            writer.row(&mut out.buffer, |column| row.get(column).map_or(ValueRef::Null, Value::as_ref))?;
        }
        message::command_complete_count(&mut out.buffer, "FETCH", rows.len() as u64);
        Ok(())
    }

    fn close_cursor(&mut self, name: Option<&str>, out: &mut Outbox) -> Done {
        match name {
            None => {
                self.cursors.clear();
                tagged("CLOSE CURSOR ALL", out)
            }
            Some(name) => match self.cursors.remove(name) {
                Some(_) => tagged("CLOSE CURSOR", out),
                None => Err(SqlError::new("34000", format!("cursor \"{name}\" does not exist")).into()),
            },
        }
    }

    /// LOCK TABLE: exclusive tickets for the tables, in the order of the statement.
    async fn lock(&mut self, tables: &[Vec<String>], nowait: bool, out: &mut Outbox) -> Done {
        if self.transaction.as_ref().is_none_or(|block| block.implicit) {
            return Err(SqlError::new("25P01", "LOCK TABLE can only be used in transaction blocks").into());
        }
        let catalog = self.catalog().await?;
        for path in tables {
            let name = path.last().map_or("", String::as_str);
            let known = catalog.tables().find(|table| table.name == name);
            let known = known.ok_or_else(|| SqlError::new("42P01", format!("relation \"{name}\" does not exist")))?;
            let table: Arc<str> = known.sqlite_name.as_str().into();
            self.lock_table(table, nowait, out).await?;
        }
        tagged("LOCK TABLE", out)
    }

    /// CREATE and DROP DATABASE.
    pub(super) async fn run_database(
        &mut self,
        statement: &ClientStatement,
        plan: Rc<super::cache::Plan>,
        describe: bool,
        out: &mut Outbox,
    ) -> Done {
        use crate::dialect::Kind;
        if self.transaction.is_some() {
            let text = "CREATE and DROP DATABASE cannot run inside a transaction block";
            return Err(SqlError::new("25001", text).into());
        }
        let gateway = &self.front.gateway;
        match &plan.prepared.kind {
            Kind::CreateDatabase(name) if gateway.has_database(name) => {
                return Err(SqlError::new("42P04", format!("database \"{name}\" already exists")).into());
            }
            Kind::DropDatabase { name, .. } if **name == *self.database => {
                return Err(SqlError::new("55006", "cannot drop the currently open database").into());
            }
            Kind::DropDatabase { name, if_exists } if !gateway.has_database(name) => {
                let error = SqlError::new("3D000", format!("database \"{name}\" does not exist"));
                if !if_exists {
                    return Err(error.into());
                }
                out.notice("NOTICE", &SqlError::new("00000", format!("{}, skipping", error.message)));
                message::command_complete(&mut out.buffer, &plan.prepared.tag.text(0));
                return Ok(());
            }
            _ => {}
        }
        let place = out.buffer.len();
        let update = super::one_shot::Update::of(statement, plan, Vec::new(), Formats::Text, place);
        self.update_now(update, describe, out).await
    }
}

fn tagged(tag: &str, out: &mut Outbox) -> Done {
    message::command_complete(&mut out.buffer, tag);
    Ok(())
}

fn isolation(text: &str) -> Result<Isolation, SqlError> {
    match text {
        "serializable" => Ok(Isolation::Serializable),
        "repeatable read" => Ok(Isolation::RepeatableRead),
        "read committed" | "read uncommitted" => Ok(Isolation::ReadCommitted),
        _ => Err(SqlError::new("22023", format!("invalid value for parameter \"transaction_isolation\": \"{text}\""))),
    }
}

fn isolation_name(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Serializable => "serializable",
        Isolation::RepeatableRead => "repeatable read",
        Isolation::ReadCommitted => "read committed",
    }
}
