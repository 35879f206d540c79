//! COPY FROM STDIN: the messages between CopyInResponse and the command's answer.

use super::block::size_of_row;
use super::cache::{Plan, Script};
use super::client::{ClientStatement, Done, Failure, Session};
use super::copy_reader::{CopyReader, Field};
use super::encode::{Formats, copy_response};
use super::one_shot::{Update, command_complete};
use crate::dialect::CopyFormat;
use crate::dialect::codec::{TextStyle, decode_binary, decode_text};
use crate::transaction::{Answer, SqlError, Value};
use crate::wire::Outbox;
use std::rc::Rc;

/// Bytes of rows that one COPY may bring: it is one transaction, so all of it is ordered at once.
const COPY_BYTES_MAX: usize = 256 << 20;

/// A COPY FROM STDIN that is under way.
pub struct CopyIn {
    /// The statement.
    statement: ClientStatement,
    plan: Rc<Plan>,
    reader: CopyReader,
    binary: bool,
    rows: Vec<Vec<Value>>,
    bytes: usize,
    /// What came wrong: told when the client has sent all, as it expects.
    failed: Option<SqlError>,
    /// Statements of a simple query that follow: script, position, whether they are one block.
    pub resume: Option<(Rc<Script>, usize, bool)>,
}

impl Session {
    /// Answers CopyInResponse; data follows.
    pub(super) fn begin_copy_in(
        &mut self,
        statement: &ClientStatement,
        plan: Rc<Plan>,
        format: CopyFormat,
        out: &mut Outbox,
    ) {
        copy_response(&mut out.buffer, b'G', format.binary, plan.prepared.params.len());
        out.flush_soon();
        let statement = ClientStatement {
            text: statement.text.clone(),
            declared: statement.declared.clone(),
            plan: Some(plan.clone()),
            cursor: None,
        };
        self.copy = Some(CopyIn {
            statement,
            plan,
            binary: format.binary,
            reader: CopyReader::new(format),
            rows: Vec::new(),
            bytes: 0,
            failed: None,
            resume: None,
        });
    }

    /// A message while data is expected.
    pub(super) async fn copy_message(&mut self, tag: u8, body: &[u8], out: &mut Outbox) -> Done {
        let style = self.settings.active().style;
        match tag {
            b'd' => {
                if let Some(copy) = &mut self.copy {
                    copy.take(body, &style);
                }
                Ok(())
            }
            // A client may have sent them before it knew that data is wanted.
            b'H' | b'S' => Ok(()),
            b'c' => self.end_copy(None, out).await,
            b'f' => {
                let reason = String::from_utf8_lossy(body.strip_suffix(&[0]).unwrap_or(body)).into_owned();
                let error = SqlError::new("57014", format!("COPY from stdin failed: {reason}"));
                self.end_copy(Some(error), out).await
            }
            _ => {
                let error = SqlError::new("08P01", "unexpected message during COPY from stdin");
                self.end_copy(Some(error), out).await
            }
        }
    }

    /// The data is over: executes, and goes on with the simple query that the COPY stands in.
    async fn end_copy(&mut self, failed: Option<SqlError>, out: &mut Outbox) -> Done {
        let Some(mut copy) = self.copy.take() else { return Ok(()) };
        let resume = copy.resume.take();
        let result = match failed {
            Some(error) => Err(error.into()),
            None => self.execute_copy(copy, out).await,
        };
        let Some((script, from, several)) = resume else { return result };
        let result = match result {
            Ok(()) => self.run_script(&script, from, several, out).await,
            Err(failure) => Err(failure),
        };
        self.after_query(result, out).map(|_| ()).map_err(Failure::Io)
    }

    async fn execute_copy(&mut self, mut copy: CopyIn, out: &mut Outbox) -> Done {
        let style = self.settings.active().style;
        copy.finish(&style);
        if let Some(error) = copy.failed {
            return Err(error.into());
        }
        let count = copy.rows.len() as u64;
        if count > 0 {
            let CopyIn { statement, mut plan, rows, .. } = copy;
            self.copy_rows(&statement, &mut plan, rows, out).await?;
        }
        command_complete(crate::dialect::Tag::Copy, count, &mut out.buffer);
        Ok(())
    }

    async fn copy_rows(
        &mut self,
        statement: &ClientStatement,
        plan: &mut Rc<Plan>,
        rows: Vec<Vec<Value>>,
        out: &mut Outbox,
    ) -> Done<Answer> {
        self.statement_begins();
        if self.transaction.is_some() {
            return self.run_in_block(&statement.text, plan, &statement.declared, &[], Some(rows), out).await;
        }
        let mut update = Update::of(statement, plan.clone(), Vec::new(), Formats::Text, 0);
        update.rows = Some(rows);
        out.flush_if_due().await?;
        let executed = self.execute_updates(std::slice::from_ref(&update)).await;
        Ok(executed.map_err(|(_, error)| error)?.into_iter().next().unwrap_or_default())
    }
}

impl CopyIn {
    fn take(&mut self, body: &[u8], style: &TextStyle) {
        if self.failed.is_some() {
            return;
        }
        let CopyIn { reader, plan, rows, bytes, binary, .. } = self;
        let mut row = |fields: Vec<Field>| add_row(plan, *binary, style, fields, rows, bytes);
        let result = reader.feed(body, &mut row);
        self.note(result);
    }

    fn finish(&mut self, style: &TextStyle) {
        if self.failed.is_some() {
            return;
        }
        let CopyIn { reader, plan, rows, bytes, binary, .. } = self;
        let mut row = |fields: Vec<Field>| add_row(plan, *binary, style, fields, rows, bytes);
        let result = reader.finish(&mut row);
        self.note(result);
    }

    fn note(&mut self, result: Result<(), SqlError>) {
        if let Err(error) = result {
            let line = self.reader.line();
            self.rows = Vec::new();
            let detail = format!("COPY, line {line}");
            self.failed = Some(if error.detail.is_none() { error.with_detail(detail) } else { error });
        }
    }
}

/// Decodes the fields of a row.
fn add_row(
    plan: &Plan,
    binary: bool,
    style: &TextStyle,
    fields: Vec<Field>,
    rows: &mut Vec<Vec<Value>>,
    bytes: &mut usize,
) -> Result<(), SqlError> {
    let types = &plan.prepared.params;
    if fields.len() < types.len() {
        return Err(SqlError::new("22P04", "missing data for a column"));
    }
    if fields.len() > types.len() {
        return Err(SqlError::new("22P04", "extra data after last expected column"));
    }
    let mut row = Vec::with_capacity(types.len());
    for (field, ty) in fields.into_iter().zip(types) {
        row.push(match field {
            None => Value::Null,
            Some(field) if binary => decode_binary(&field, *ty)?,
            Some(field) => decode_text(&field, *ty, style)?,
        });
    }
    plan.prepared.check_parameters(&row)?;
    *bytes += size_of_row(&row);
    if *bytes > COPY_BYTES_MAX {
        return Err(SqlError::new("54000", "COPY of more than 256 MiB in one statement is not supported")
            .with_hint("Copy in parts."));
    }
    rows.push(row);
    Ok(())
}
