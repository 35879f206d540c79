//! Updates outside of blocks: one statement, or those of one pipeline up to Sync, become a transaction
//! that executes where it is ordered.
//!
//! In the extended protocol an update waits for its Sync, since what comes before it belongs to the same
//! implicit transaction. What later messages answer is written behind the place of its answer, and is
//! moved when the answer is there.

use super::cache::{Plan, Text};
use super::client::{ClientStatement, Done, Failure, Session};
use super::encode::{Formats, RowWriter};
use super::front::gateway_error;
use super::gateway::GatewayError;
use super::settings::Mark;
use super::view::refine;
use crate::catalog::Catalog;
use crate::dialect::{Kind, Tag};
use crate::transaction::{Answer, Operation, Outcome, SqlError, Statement, Transaction, Value, ValueRef};
use crate::wire::{Outbox, message};
use bytes::BytesMut;
use std::rc::Rc;
use std::sync::Arc;

/// How often a transaction is translated again because the schema changed meanwhile.
pub const STALE_MAX: u32 = 20;

/// Updates whose answers still miss in the send buffer.
#[derive(Default)]
pub struct Pending {
    updates: Vec<Update>,
    settings: Option<Mark>,
}

/// One statement to be executed elsewhere.
pub struct Update {
    /// Its text.
    pub text: Rc<Text>,
    /// Its translation.
    pub plan: Rc<Plan>,
    /// Parameter types as declared.
    pub declared: Box<[u32]>,
    /// Values of its parameters.
    pub parameters: Vec<Value>,
    /// Rows of a COPY.
    pub rows: Option<Vec<Vec<Value>>>,
    /// How its rows are sent.
    pub formats: Formats,
    /// Where its answer belongs in the send buffer.
    pub place: usize,
}

impl Pending {
    /// Whether no answer misses.
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty()
    }
    /// Whether what comes after them must be translated for another catalog.
    pub fn changes_schema(&self) -> bool {
        self.updates.iter().any(|update| update.plan.prepared.changes_schema)
    }
    /// Forgets all: an error came before Sync.
    pub fn clear(&mut self) {
        self.updates.clear();
        self.settings = None;
    }
    /// Adds an update; `settings` are those before the first.
    pub fn push(&mut self, update: Update, settings: Mark) {
        self.settings.get_or_insert(settings);
        self.updates.push(update);
    }
}

impl Update {
    /// From a portal.
    pub fn of(
        statement: &ClientStatement,
        plan: Rc<Plan>,
        parameters: Vec<Value>,
        formats: Formats,
        place: usize,
    ) -> Update {
        let (text, declared) = (statement.text.clone(), statement.declared.clone());
        Update { text, plan, declared, parameters, rows: None, formats, place }
    }

    fn operation(&self) -> Operation {
        match &self.plan.prepared.kind {
            Kind::CreateDatabase(name) => Operation::CreateDatabase(name.as_str().into()),
            Kind::DropDatabase { name, .. } => Operation::DropDatabase(name.as_str().into()),
            _ => Operation::Statement(Statement {
                sql: self.plan.prepared.sql.clone(),
                parameters: self.parameters.clone(),
                rows: self.rows.clone(),
                changes_schema: self.plan.prepared.changes_schema,
                drawn: Vec::new(),
                system_values: Vec::new(),
                seen: None,
                seen_outline: Vec::new(),
            }),
        }
    }
}

impl Session {
    /// Executes the updates that wait, and puts their answers in their places.
    pub(super) async fn settle(&mut self, out: &mut Outbox) -> Done {
        if self.pending.is_empty() {
            return self.settle_implicit_block(out).await;
        }
        let updates = std::mem::take(&mut self.pending.updates);
        let settings = self.pending.settings.take();
        let first = updates.first().map_or(out.buffer.len(), |update| update.place);
        let rest = out.buffer.split_off(first);
        out.flush_if_due().await?;
        let executed = self.execute_updates(&updates).await;
        if let (Err(_), Some(mark)) = (&executed, &settings) {
            self.settings.go_back(mark);
        }
        match executed {
            Ok(answers) => self.put_answers(&updates, &answers, first, &rest, out),
            Err((operation, error)) => {
                self.put_answers_before(&updates, operation, first, &rest, out).await;
                Err(error.into())
            }
        }
    }

    /// Runs the updates that wait in an implicit block, which ends at Sync: what comes next must see their schema.
    pub(super) async fn settle_into_block(&mut self, out: &mut Outbox) -> Done {
        let updates = std::mem::take(&mut self.pending.updates);
        self.pending.settings = None;
        let first = updates.first().map_or(out.buffer.len(), |update| update.place);
        let rest = out.buffer.split_off(first);
        self.open_block(&Default::default(), true);
        let ends: Vec<usize> = updates.iter().skip(1).map(|next| next.place).chain([first + rest.len()]).collect();
        for (update, end) in updates.into_iter().zip(ends) {
            let Update { text, mut plan, declared, parameters, rows, formats, place } = update;
            let answer = self.run_in_block(&text, &mut plan, &declared, &parameters, rows, out).await?;
            let style = self.settings.active().style;
            write_answer(&plan, &formats, &style, &answer, &mut out.buffer)?;
            out.buffer.extend_from_slice(&rest[place - first..end - first]);
        }
        Ok(())
    }

    /// ROLLBACK in a pipeline: the updates before it have answers and no effect.
    pub(super) async fn undo_pending(&mut self, out: &mut Outbox) {
        let updates = std::mem::take(&mut self.pending.updates);
        if let Some(mark) = self.pending.settings.take() {
            self.settings.go_back(&mark);
        }
        let first = updates.first().map_or(out.buffer.len(), |update| update.place);
        let rest = out.buffer.split_off(first);
        self.put_answers_before(&updates, updates.len(), first, &rest, out).await;
        let last = updates.last().map_or(first, |update| update.place);
        out.buffer.extend_from_slice(&rest[last - first..]);
    }

    /// An implicit block that the extended protocol opened ends at Sync.
    async fn settle_implicit_block(&mut self, out: &mut Outbox) -> Done {
        match &self.transaction {
            Some(block) if block.implicit => self.commit(out).await,
            _ => Ok(()),
        }
    }

    fn put_answers(
        &mut self,
        updates: &[Update],
        answers: &[Answer],
        first: usize,
        rest: &BytesMut,
        out: &mut Outbox,
    ) -> Done {
        for (at, update) in updates.iter().enumerate() {
            let answer = answers.get(at).cloned().unwrap_or_default();
            let style = self.settings.active().style;
            write_answer(&update.plan, &update.formats, &style, &answer, &mut out.buffer)?;
            let end = updates.get(at + 1).map_or(first + rest.len(), |next| next.place);
            out.buffer.extend_from_slice(&rest[update.place - first..end - first]);
        }
        Ok(())
    }

    /// The updates before the one that failed had answers too, before they were undone with it: clients
    /// count answers to learn which statement it was. They are found by running the statements here.
    async fn put_answers_before(
        &mut self,
        updates: &[Update],
        failed: usize,
        first: usize,
        rest: &BytesMut,
        out: &mut Outbox,
    ) {
        if failed == 0 {
            return;
        }
        let Ok(pinned) = self.pin().await else { return };
        let Ok(mut view) = self.front.take_view(&self.database, &pinned) else { return };
        view.begin(&self.facts, self.front.gateway.now_us(), self.front.seed());
        let mut schema_changed = false;
        if view.connection.control("BEGIN").is_ok() {
            let style = self.settings.active().style;
            for (at, update) in updates.iter().enumerate().take(failed) {
                let prepared = &update.plan.prepared;
                schema_changed |= prepared.changes_schema;
                view.connection.begin_statement(at as u32, &[], &[]);
                let rows = update.rows.as_deref();
                let answer = view.connection.answer(&prepared.sql, &update.parameters, rows).unwrap_or_default();
                if write_answer(&update.plan, &update.formats, &style, &answer, &mut out.buffer).is_err() {
                    break;
                }
                let end = updates.get(at + 1).map_or(update.place, |next| next.place);
                out.buffer.extend_from_slice(&rest[update.place - first..end - first]);
            }
        }
        view.take_needed();
        if view.clean(schema_changed).is_ok() {
            self.front.give_back(&self.database, view);
        }
    }

    /// Executes updates as one transaction; on failure says which one failed.
    pub(super) async fn execute_updates(&mut self, updates: &[Update]) -> Result<Vec<Answer>, (usize, SqlError)> {
        let id = self.next_id();
        let mut plans: Vec<Rc<Plan>> = updates.iter().map(|update| update.plan.clone()).collect();
        for _ in 0..STALE_MAX {
            let transaction = Transaction {
                id,
                database: self.database.clone(),
                catalog: plans.first().map(|plan| plan.catalog).unwrap_or_default(),
                begun: None,
                expires_at_index: 0,
                operations: updates
                    .iter()
                    .zip(&plans)
                    .map(|(update, plan)| match update.operation() {
                        Operation::Statement(statement) => {
                            Operation::Statement(Statement { sql: plan.prepared.sql.clone(), ..statement })
                        }
                        other => other,
                    })
                    .collect(),
            };
            match self.outcome_of(transaction).await.map_err(|error| (0, error))? {
                Outcome::Committed(answers) => {
                    plans.iter().zip(&answers).for_each(|(plan, answer)| self.note_drawn(plan, answer));
                    return Ok(answers);
                }
                Outcome::Failed { operation, error } => {
                    let catalog = self.catalog().await.unwrap_or_else(|_| Arc::new(Catalog::empty()));
                    let error = refine(error, &catalog);
                    return Err((operation as usize, self.explain_update(error, updates, operation as usize).await));
                }
                Outcome::Stale => {
                    // What this node has accepted may still be older than what the transaction met.
                    let pinned = self.pin().await.map_err(|error| (0, error))?;
                    for (at, update) in updates.iter().enumerate() {
                        let again = self.translate_again(&update.text, &plans[at], &update.declared, &pinned.catalog);
                        plans[at] = again.map_err(|error| (at, error))?;
                        self.permit(&plans[at], &pinned.catalog).await.map_err(|error| (at, error))?;
                    }
                }
                Outcome::Void => return Err((0, void())),
                Outcome::Conflict { .. } | Outcome::Expired => {
                    return Err((
                        0,
                        SqlError::new("40001", "the transaction was not executed")
                            .with_hint("The transaction might succeed if retried."),
                    ));
                }
                Outcome::AlreadyDone => {
                    let lost = GatewayError::Unknown("it was executed, its answer is gone".into());
                    return Err((0, gateway_error(lost)));
                }
            }
        }
        Err((0, SqlError::new("40001", "the schema keeps changing")))
    }

    /// Remembers the numbers that an INSERT's last row was given, for currval and lastval.
    fn note_drawn(&self, plan: &Plan, answer: &Answer) {
        let draws = &plan.prepared.draws;
        let values = (answer.rows.count * u64::from(answer.rows.columns)) as usize;
        let Some(before) = values.checked_sub(draws.len()).filter(|_| !draws.is_empty()) else { return };
        for (sequence, value) in draws.iter().zip(answer.rows.values().skip(before)) {
            if let ValueRef::Integer(number) = value {
                self.facts.current.borrow_mut().insert(i64::from(*sequence), number);
                self.facts.last.set(Some(number));
            }
        }
    }

    /// Runs one update now: the simple protocol, and where an answer is wanted before Sync.
    pub(super) async fn update_now(&mut self, update: Update, describe: bool, out: &mut Outbox) -> Done {
        out.flush_if_due().await?;
        let executed = self.execute_updates(std::slice::from_ref(&update)).await;
        let answers = executed.map_err(|(_, error)| Failure::from(error))?;
        let answer = answers.into_iter().next().unwrap_or_default();
        let style = self.settings.active().style;
        if describe && !update.plan.prepared.columns.is_empty() {
            writer(&update.plan, &update.formats, &style).head(&mut out.buffer);
        }
        Ok(write_answer(&update.plan, &update.formats, &style, &answer, &mut out.buffer)?)
    }
}

/// What a client is told of a transaction that the replicas gave up. Not a code that drivers answer by sending it
/// again: it may be what crashes them.
pub fn void() -> SqlError {
    let error = SqlError::new("XX000", "the replicas could not execute this transaction; it had no effect");
    error.with_hint("See evesql_divergences before you send it again.")
}

/// Writer for a plan's rows as DataRows.
pub fn writer<'a>(plan: &'a Plan, formats: &'a Formats, style: &'a crate::dialect::codec::TextStyle) -> RowWriter<'a> {
    RowWriter { columns: &plan.prepared.columns, formats, style, copy: None }
}

/// Rows and command tag of an answer.
pub fn write_answer(
    plan: &Plan,
    formats: &Formats,
    style: &crate::dialect::codec::TextStyle,
    answer: &Answer,
    buffer: &mut BytesMut,
) -> Result<(), SqlError> {
    let prepared = &plan.prepared;
    if !prepared.columns.is_empty() {
        write_rows(&writer(plan, formats, style), answer, buffer)?;
    }
    let count = if prepared.tag == Tag::Select { answer.rows.count } else { answer.changes };
    command_complete(prepared.tag, count, buffer);
    Ok(())
}

/// All rows of an answer.
pub fn write_rows(writer: &RowWriter<'_>, answer: &Answer, buffer: &mut BytesMut) -> Result<(), SqlError> {
    let mut row: Vec<ValueRef<'_>> = Vec::with_capacity(writer.columns.len());
    let mut values = answer.rows.values();
    for _ in 0..answer.rows.count {
        row.clear();
        row.extend(values.by_ref().take(answer.rows.columns as usize));
        writer.row(buffer, |column| row.get(column).copied().unwrap_or_default())?;
    }
    Ok(())
}

/// CommandComplete, without making a text where digits suffice.
pub fn command_complete(tag: Tag, count: u64, buffer: &mut BytesMut) {
    match tag {
        Tag::Select => message::command_complete_count(buffer, "SELECT", count),
        Tag::Insert => message::command_complete_count(buffer, "INSERT 0", count),
        Tag::Update => message::command_complete_count(buffer, "UPDATE", count),
        Tag::Delete => message::command_complete_count(buffer, "DELETE", count),
        Tag::Copy => message::command_complete_count(buffer, "COPY", count),
        Tag::Fixed(words) => message::command_complete(buffer, words),
    }
}
