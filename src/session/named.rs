//! PREPARE, EXECUTE and DEALLOCATE; DECLARE, FETCH, MOVE and CLOSE.

use super::client::{ClientStatement, Done, Portal, PortalState, Session};
use super::cursor::Cursor;
use super::encode::{Formats, RowWriter};
use super::utility::tagged;
use crate::dialect::utility::{FetchCount, TransactionModes};
use crate::dialect::{Parsed, execute_arguments, type_named};
use crate::transaction::{Answer, SqlError, Value, ValueRef};
use crate::wire::{Outbox, message};
use std::rc::Rc;

impl Session {
    /// PREPARE: the statement's own text is prepared again as if it had come by Parse.
    pub(super) async fn sql_prepare(
        &mut self,
        name: &str,
        types: &[sqlparser::ast::DataType],
        statement: &Parsed,
    ) -> Done {
        if self.statements.contains_key(name) {
            return Err(SqlError::new("42P05", format!("prepared statement \"{name}\" already exists")).into());
        }
        let catalog = self.catalog().await?;
        let settings = &self.settings.active().dialect;
        let declared =
            types.iter().map(|ty| Ok(type_named(ty, &catalog, settings)?.0)).collect::<Result<_, SqlError>>()?;
        let prepared = self.prepare_text(&statement.text, declared).await?;
        self.statements.insert(name.to_owned(), Rc::new(prepared));
        Ok(())
    }

    pub(super) async fn sql_execute(
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
        let catalog = self.catalog().await?;
        let parameters =
            execute_arguments(name, arguments, &plan.prepared.params, &catalog, &self.settings.active().dialect)?;
        self.run_planned(&statement, plan, parameters, formats, 0, describe, out).await.map(|_| ())
    }

    pub(super) fn deallocate(&mut self, name: Option<&str>, out: &mut Outbox) -> Done {
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

    pub(super) async fn declare(
        &mut self,
        name: &str,
        binary: bool,
        hold: bool,
        query: &ClientStatement,
        parameters: &[Value],
        out: &mut Outbox,
    ) -> Done {
        let in_block = self.transaction.as_ref().is_some_and(|block| !block.implicit);
        if !in_block && !hold {
            return Err(SqlError::new("25P01", "DECLARE CURSOR can only be used in transaction blocks").into());
        }
        if self.cursors.contains_key(name) {
            return Err(SqlError::new("42P03", format!("cursor \"{name}\" already exists")).into());
        }
        let Some(mut plan) = query.plan.clone().filter(|plan| !plan.prepared.columns.is_empty()) else {
            return Err(SqlError::new("42601", "DECLARE CURSOR needs a query").into());
        };
        let own_block = self.transaction.is_none();
        if own_block {
            self.open_block(&TransactionModes::default(), true);
        }
        if plan.prepared.params.len() != parameters.len() {
            return Err(SqlError::new("42P02", "DECLARE has parameters that nothing gives a value").into());
        }
        let answer: Answer = self.run_in_block(&query.text, &mut plan, &query.declared, parameters, None, out).await?;
        if own_block {
            self.commit(out).await?;
        }
        let cursor = Cursor::new(plan.prepared.columns.clone().into(), &answer.rows, hold, binary);
        self.cursors.insert(name.to_owned(), cursor);
        tagged("DECLARE CURSOR", out)
    }

    pub(super) fn fetch(
        &mut self,
        name: &str,
        count: FetchCount,
        move_only: bool,
        formats: &Formats,
        describe: bool,
        out: &mut Outbox,
    ) -> Done {
        let style = self.settings.active().style;
        let cursor = match (self.cursors.get_mut(name), self.portals.get_mut(name)) {
            // A portal of the protocol is a cursor too, once it has begun.
            (None, Some(Portal { state: PortalState::Suspended(cursor), .. })) => Some(cursor),
            (known, _) => known,
        };
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

    pub(super) fn close_cursor(&mut self, name: Option<&str>, out: &mut Outbox) -> Done {
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
}
