//! One connection: how it is opened, moved between versions, and how a statement becomes an answer.

use super::allow::{AllowList, Recorded as RecordedAction};
use super::cache::{Cache, Prepared, StatementKind};
use super::context::{Context, Draws, Recorded};
use super::failure::{Failure, LocalError};
use super::{functions, schema, sequences};
use crate::dialect::{IGNORE_FOREIGN_KEYS, KEEP_FOREIGN_KEYS};
use crate::page::Hash;
use crate::page_store::sqlite::{self, Action, FunctionFlags, InterruptHandle, Limit, RowChange, SqliteError, Switch};
use crate::page_store::{Snapshot, View};
use crate::transaction::{Answer, SqlError, Value, ValueRef};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Pages that a speculating view keeps pinned: 4 MiB.
const KEPT_PAGES: usize = 1_024;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Writes the replica's state.
    Canonical,
    /// Reads, or writes what is thrown away.
    View,
}

/// How a connection is set up.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// SQLite's page cache. A root never depends on it.
    pub cache_bytes: u64,
    /// Compiled statements kept.
    pub statements_max: usize,
    /// Steps of SQLite's machine that one transaction may take (rule 14; beyond: 54001).
    pub steps_max: u64,
    /// Bytes that all answers of one transaction may have (rule 14; beyond: 54001).
    pub answer_bytes_max: u64,
    /// Bytes of one row, text or blob.
    pub value_bytes_max: i32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            cache_bytes: 16 << 20,
            statements_max: 512,
            steps_max: 2_000_000_000,
            answer_bytes_max: 64 << 20,
            value_bytes_max: 256 << 20,
        }
    }
}

/// Changes of rows that an attempt shows.
const ATTEMPTED_CHANGES_MAX: usize = 1_000;

/// A SQLite connection with EveSQL's settings, functions and limits. Belongs to one thread.
pub struct Connection {
    sqlite: sqlite::Connection,
    context: Rc<RefCell<Context>>,
    allowed: AllowList,
    cache: Cache,
    options: Options,
    steps: u64,
    answer_bytes: u64,
    /// Hash of the schema that SQLite has loaded; none if that is not known.
    schema: Option<Hash>,
    schema_changed: bool,
    ignores_foreign_keys: bool,
    view: Option<Rc<View>>,
}

impl Connection {
    /// Sets up a connection that was just opened.
    pub fn new(sqlite: sqlite::Connection, role: Role, options: Options) -> Result<Self, LocalError> {
        let context = Rc::new(RefCell::new(Context::default()));
        let allowed = AllowList::new(role == Role::View);
        let set_up = || {
            settings(&sqlite, role, &options)?;
            functions::register(&sqlite, &context, &allowed, role)
        };
        set_up().map_err(local)?;
        let list = allowed.clone();
        sqlite.set_authorizer(move |access| list.allows(access));
        sqlite.watch_budget();
        let cache = Cache::new(options.statements_max);
        Ok(Connection {
            sqlite,
            context,
            allowed,
            cache,
            options,
            steps: 0,
            answer_bytes: 0,
            schema: None,
            schema_changed: false,
            ignores_foreign_keys: false,
            view: None,
        })
    }

    /// A connection that writes the canonical state; made from [`View::canonical`].
    pub fn canonical(view: View, options: Options) -> Result<Self, LocalError> {
        Connection::over(view, Role::Canonical, options)
    }

    /// A connection that reads a version, or writes what is thrown away.
    pub fn view(snapshot: &Snapshot, options: Options) -> Result<Self, LocalError> {
        Connection::over(View::new(snapshot), Role::View, options)
    }

    /// A view that tells what rows its statements change ([`Connection::take_changes`]).
    pub fn speculating(snapshot: &Snapshot, options: Options) -> Result<Self, LocalError> {
        let view = View::new(snapshot);
        view.keep_pages(KEPT_PAGES)?;
        let connection = Connection::over(view, Role::View, options)?;
        connection.sqlite.record_changes();
        Ok(connection)
    }

    /// As [`Connection::speculating`], and what it frees is overwritten as on the canonical state: its pages hold the
    /// same rows, and nothing else that looks like one.
    pub fn auditing(snapshot: &Snapshot, options: Options) -> Result<Self, LocalError> {
        let mut connection = Connection::speculating(snapshot, options)?;
        connection.control("PRAGMA secure_delete=ON").map_err(Failure::into_local)?;
        Ok(connection)
    }

    /// A connection that writes changes of rows to the canonical state which happened elsewhere: no trigger fires, and
    /// foreign keys were looked at where they happened.
    pub fn applying(view: View, options: Options) -> Result<Self, LocalError> {
        let connection = Connection::over(view, Role::Canonical, options)?;
        for switch in [Switch::ForeignKeys, Switch::Triggers] {
            connection.sqlite.set(switch, false).map_err(local)?;
        }
        Ok(connection)
    }

    /// Changes of rows since the last call, and begins anew with at most `changes_max`. None if there were more than
    /// that.
    pub fn take_changes(&mut self, changes_max: usize) -> Option<Vec<RowChange>> {
        self.sqlite.take_changes(changes_max)
    }

    fn over(view: View, role: Role, options: Options) -> Result<Self, LocalError> {
        let view = Rc::new(view);
        let name = view.name().to_string();
        let sqlite = sqlite::Connection::open(&name, Some(&name), Some(Box::new(view.clone()))).map_err(local)?;
        let mut connection = Connection::new(sqlite, role, options)?;
        connection.view = Some(view);
        Ok(connection)
    }

    /// Moves a view to another version, of this database or another one; what it wrote is dropped. Nothing may
    /// be open. `schema` is the hash of the version's schema and statistics.
    pub fn repin(&mut self, snapshot: &Snapshot, schema: Hash) -> Result<(), LocalError> {
        self.viewed()?.repin(snapshot)?;
        self.expect_schema(schema)
    }

    /// The view that it reads from.
    pub fn viewed(&self) -> Result<&View, LocalError> {
        self.view.as_deref().ok_or_else(|| LocalError::internal("a connection without a view"))
    }

    /// A connection to a database of its own, for tests and tools.
    pub fn in_memory(options: Options) -> Result<Self, LocalError> {
        let sqlite = sqlite::Connection::open(":memory:", None, None).map_err(local)?;
        Connection::new(sqlite, Role::Canonical, options)
    }

    /// Begins a transaction's context: time, randomness, draws, and a full budget. SQL's BEGIN is the caller's.
    pub fn begin_context(&mut self, context: Context) {
        if let Some(view) = &self.view {
            view.set_clock_us(context.timestamp_us);
        }
        self.context.replace(context);
        self.schema_changed = false;
        (self.steps, self.answer_bytes) = (0, 0);
    }

    /// Registers a function that does not depend on the transaction's context, and allows it.
    pub(super) fn register(
        &self,
        name: &str,
        arguments: i32,
        function: impl Fn(&[ValueRef<'_>]) -> Result<Value, SqlError> + 'static,
    ) -> Result<(), LocalError> {
        self.allowed.function(name);
        self.sqlite.register_function(name, arguments, FunctionFlags::CONTEXT, function).map_err(local)
    }

    /// The context, to look at or to take what was recorded.
    pub fn context(&self) -> &RefCell<Context> {
        &self.context
    }

    /// Begins a statement (see [`Context::begin_statement`]).
    pub fn begin_statement(&mut self, operation: u32, drawn: &[i64], system_values: &[Value]) {
        self.context.borrow_mut().begin_statement(operation, drawn, system_values);
    }

    /// Ends a statement that succeeded: sequences that it drew from are written back. What it drew is the result.
    pub fn end_statement(&mut self) -> Result<Recorded, Failure> {
        {
            let _trusted = self.allowed.trust();
            sequences::write_back(&self.context, &self.sqlite)?;
        }
        Ok(self.context.borrow_mut().take_recorded())
    }

    /// A compiled statement, from the cache or new. Refused by the allow-list: 42501.
    /// Stepping it by hand (portals) has a fresh budget of steps.
    pub fn prepare(&mut self, sql: &str) -> Result<Prepared, Failure> {
        self.sqlite.set_step_budget(self.options.steps_max);
        // A client's text may be one of EveSQL's own, for which the allow-list was not asked.
        match self.cache.take(sql, self.allowed.is_trusted()) {
            Some(prepared) => Ok(prepared),
            None => self.compile(sql),
        }
    }

    fn compile(&mut self, sql: &str) -> Result<Prepared, Failure> {
        self.allowed.take_changes_schema();
        self.allowed.take_changes_rows();
        let statement = self.sqlite.prepare(sql)?;
        let changes_rows = self.allowed.take_changes_rows();
        let kind = if self.allowed.take_changes_schema() {
            StatementKind::Schema
        } else if statement.is_explanation() {
            StatementKind::Read
        } else if statement.is_read_only() {
            if is_control(sql) { StatementKind::Control } else { StatementKind::Read }
        } else if changes_rows {
            StatementKind::Write
        } else {
            // DROP TABLE IF EXISTS of none, for example. SQLite would tell the last statement's count of changes.
            StatementKind::Control
        };
        Ok(Prepared { statement, kind, text: sql.into(), trusted: self.allowed.is_trusted(), used: 0 })
    }

    /// Takes a statement back into the cache.
    pub fn give_back(&mut self, mut prepared: Prepared) {
        prepared.statement.reset();
        if prepared.kind != StatementKind::Schema {
            self.cache.put(prepared);
        }
    }

    /// Compiles a statement without keeping it, and tells what it would do: actions of SQLite's authorizer
    /// with their arguments, for footprints.
    pub fn actions(&mut self, sql: &str) -> Result<Vec<RecordedAction>, Failure> {
        self.allowed.record();
        let compiled = self.compile(sql);
        let mut actions = self.allowed.take_recording();
        if compiled?.statement.is_explanation() {
            // How a statement would run is another matter where its changes are recorded.
            actions.push((Action::Other(0), None, None, None));
        }
        Ok(actions)
    }

    /// Runs one client statement: all of `sql` but the last for their effect, the last for its answer; with
    /// `rows`, the last once for each of them (COPY). Digest and rows are the same wherever it runs.
    ///
    /// Stands between [`Connection::begin_statement`] and [`Connection::end_statement`]; the caller undoes a
    /// statement that failed.
    pub fn answer(
        &mut self,
        sql: &[Arc<str>],
        parameters: &[Value],
        rows: Option<&[Vec<Value>]>,
    ) -> Result<Answer, Failure> {
        let mut answer = Answer::default();
        let Some((last, before)) = sql.split_last() else { return Ok(answer) };
        let result = self.run_before(before, parameters).and_then(|()| match rows {
            Some(rows) => self.run(last, rows.iter().map(Vec::as_slice), &mut answer),
            None => self.run(last, [parameters], &mut answer),
        });
        if std::mem::take(&mut self.ignores_foreign_keys) {
            self.sqlite.set(Switch::ForeignKeys, true)?;
        }
        result.map(|()| answer)
    }

    fn run_before(&mut self, before: &[Arc<str>], parameters: &[Value]) -> Result<(), Failure> {
        for text in before {
            match &**text {
                // Of the translator alone: the allow-list knows no such pragma.
                IGNORE_FOREIGN_KEYS | KEEP_FOREIGN_KEYS => {
                    self.ignores_foreign_keys = &**text == IGNORE_FOREIGN_KEYS;
                    self.sqlite.set(Switch::ForeignKeys, !self.ignores_foreign_keys)?;
                }
                text => self.run(text, [parameters], &mut Answer::default())?,
            }
        }
        Ok(())
    }

    fn run<'a>(
        &mut self,
        sql: &str,
        runs: impl IntoIterator<Item = &'a [Value]>,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let mut prepared = self.prepare(sql)?;
        let mut result = Ok(());
        for parameters in runs {
            result = self.run_once(&mut prepared, parameters, answer);
            prepared.statement.reset();
            if result.is_err() {
                break;
            }
        }
        if prepared.kind == StatementKind::Schema {
            drop(prepared);
            self.schema_changed = true;
            self.renew_schema()?;
        } else {
            self.give_back(prepared);
        }
        result
    }

    fn run_once(&mut self, prepared: &mut Prepared, parameters: &[Value], answer: &mut Answer) -> Result<(), Failure> {
        let statement = &mut prepared.statement;
        statement.bind_all(parameters)?;
        statement.reset_steps();
        // The running count below is exact and decides; SQLite's own handler only bounds statements that
        // never come back, also those inside virtual tables, whose counts depend on the connection's past.
        self.sqlite.set_step_budget(2 * (self.options.steps_max - self.steps.min(self.options.steps_max)) + 1_000_000);
        let columns = statement.column_count();
        answer.rows.columns = columns as u32;
        if columns > 0 {
            answer.rows.bytes.reserve(64);
        }
        let outcome = loop {
            match statement.step() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
            (0..columns).for_each(|index| answer.rows.push(statement.column(index)));
            answer.rows.count += 1;
            if self.answer_bytes + answer.rows.bytes.len() as u64 > self.options.answer_bytes_max {
                return Err(over_budget("answers of more than the allowed bytes"));
            }
        };
        self.steps += statement.steps();
        if self.steps > self.options.steps_max || (outcome.is_err() && self.sqlite.is_budget_spent()) {
            return Err(over_budget("more steps than one transaction may take"));
        }
        outcome?;
        if prepared.kind == StatementKind::Write {
            answer.changes += self.sqlite.changes();
        }
        self.answer_bytes += answer.rows.bytes.len() as u64;
        Ok(())
    }

    /// Runs a client statement, lets `look` see the rows that it changed, and undoes it: for explanations, on a view.
    /// Of the transaction's context and budget nothing is used up.
    pub fn attempt<T>(
        &mut self,
        sql: &[Arc<str>],
        parameters: &[Value],
        rows: Option<&[Vec<Value>]>,
        look: impl FnOnce(&mut Connection, Vec<RowChange>) -> T,
    ) -> Result<T, Failure> {
        self.control("SAVEPOINT evesql_attempt")?;
        let context = {
            let now = self.context.borrow();
            Context::new(now.timestamp_us, now.seed, Draws::Live)
        };
        let kept = (self.context.replace(context), self.steps, self.answer_bytes);
        let sqlite = self.sqlite.clone();
        // How it ends is known already.
        let (_, changes) = sqlite.capture(ATTEMPTED_CHANGES_MAX, || self.answer(sql, parameters, rows));
        let seen = look(self, changes);
        (self.steps, self.answer_bytes) = (kept.1, kept.2);
        self.context.replace(kept.0);
        if !self.is_autocommit() {
            self.control("ROLLBACK TO evesql_attempt")?;
            self.control("RELEASE evesql_attempt")?;
        }
        Ok(seen)
    }

    /// Begins a read whose rows the caller steps through, outside of any budget; [`Connection::give_back`]
    /// ends it. Nothing of it is gathered, so it is for answers that no replica compares.
    pub fn open_rows(&mut self, sql: &str, parameters: &[Value]) -> Result<Prepared, Failure> {
        let mut prepared = self.prepare(sql)?;
        self.sqlite.set_step_budget(u64::MAX);
        match prepared.statement.bind_all(parameters) {
            Ok(()) => Ok(prepared),
            Err(error) => {
                self.give_back(prepared);
                Err(error.into())
            }
        }
    }

    /// Runs a statement of EveSQL's own (BEGIN, SAVEPOINT, its tables), outside allow-list and budget.
    pub fn control(&mut self, sql: &str) -> Result<(), Failure> {
        self.query(sql, &[]).map(|_| ())
    }

    /// As [`Connection::control`], with parameters, for its rows.
    pub fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, Failure> {
        let _trusted = self.allowed.trust();
        let mut prepared = self.prepare(sql)?;
        self.sqlite.set_step_budget(u64::MAX);
        prepared.statement.bind_all(parameters)?;
        let columns = prepared.statement.column_count();
        let mut rows = Vec::new();
        let result = loop {
            match prepared.statement.step() {
                Ok(true) => rows.push((0..columns).map(|index| prepared.statement.column(index).to_value()).collect()),
                Ok(false) => break Ok(rows),
                Err(error) => break Err(error.into()),
            }
        };
        self.give_back(prepared);
        result
    }

    /// Rows changed since it was opened, those of triggers and cascades included.
    pub fn changed_rows(&self) -> u64 {
        self.sqlite.total_changes()
    }

    /// Hash of the schema that it has loaded, if that is known without looking.
    pub fn known_schema(&self) -> Option<Hash> {
        self.schema
    }

    /// How it was set up.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Runs an INSERT, UPDATE or DELETE of EveSQL's own. How many rows it changed, and the rowid of the newest row.
    pub fn change(&mut self, sql: &str, parameters: &[ValueRef<'_>]) -> Result<(u64, i64), Failure> {
        let _trusted = self.allowed.trust();
        let mut prepared = self.prepare(sql)?;
        self.sqlite.set_step_budget(u64::MAX);
        let statement = &mut prepared.statement;
        let bound = parameters.iter().enumerate().try_for_each(|(at, value)| statement.bind(at + 1, *value));
        let stepped = bound.and_then(|()| statement.step());
        let changed = (self.sqlite.changes(), self.sqlite.last_insert_rowid());
        self.give_back(prepared);
        stepped.map(|_| changed).map_err(Failure::from)
    }

    /// Tells the connection that its pages have a schema of this hash now. If it has another one loaded,
    /// SQLite reads it again and all compiled statements go.
    pub fn expect_schema(&mut self, hash: Hash) -> Result<(), LocalError> {
        if self.schema != Some(hash) {
            self.renew_schema().map_err(Failure::into_local)?;
            self.schema = Some(hash);
        }
        Ok(())
    }

    /// Makes SQLite read schema and statistics from the pages, and drops the compiled statements.
    pub fn renew_schema(&mut self) -> Result<(), Failure> {
        self.cache.clear();
        self.schema = None;
        let _trusted = self.allowed.trust();
        Ok(schema::renew(&self.sqlite)?)
    }

    /// Hash of schema and statistics, computed after reading them again if the loaded ones are in doubt.
    pub fn schema_hash(&mut self) -> Result<Hash, LocalError> {
        if let Some(hash) = self.schema {
            return Ok(hash);
        }
        self.renew_schema().map_err(Failure::into_local)?;
        let _trusted = self.allowed.trust();
        let hash = schema::hash(&self.sqlite).map_err(local)?;
        self.schema = Some(hash);
        Ok(hash)
    }

    /// Whether a statement changed schema, statistics or catalog since [`Connection::begin_context`].
    pub fn has_changed_schema(&self) -> bool {
        self.schema_changed
    }

    /// Whether no SQL transaction is open.
    pub fn is_autocommit(&self) -> bool {
        self.sqlite.is_autocommit()
    }

    /// Whether a statement is still open.
    pub fn is_busy(&self) -> bool {
        self.sqlite.is_busy()
    }

    /// Whether COMMIT would fail for a deferred foreign key.
    pub fn has_deferred_violations(&self) -> bool {
        self.sqlite.has_deferred_violations()
    }

    /// Stops a running statement from another thread. Never on a replica's connection.
    pub fn interrupt_handle(&self) -> InterruptHandle {
        self.sqlite.interrupt_handle()
    }
}

fn settings(sqlite: &sqlite::Connection, role: Role, options: &Options) -> Result<(), SqliteError> {
    for (switch, on) in [
        (Switch::ForeignKeys, true),
        (Switch::Triggers, true),
        (Switch::Defensive, true),
        (Switch::QueryPlannerStability, true),
        (Switch::TrustedSchema, false),
        (Switch::DoubleQuotedStrings, false),
        (Switch::DoubleQuotedStringsInSchema, false),
        (Switch::LoadExtension, false),
    ] {
        sqlite.set(switch, on)?;
    }
    sqlite.limit(Limit::LengthBytes, options.value_bytes_max);
    let cache_kib = (options.cache_bytes / 1024).max(1);
    let secure_delete = if role == Role::Canonical { "ON" } else { "OFF" };
    for pragma in [
        "page_size=4096".to_string(),
        "encoding='UTF-8'".to_string(),
        "auto_vacuum=0".to_string(),
        "journal_mode=MEMORY".to_string(),
        "synchronous=OFF".to_string(),
        "locking_mode=NORMAL".to_string(),
        format!("secure_delete={secure_delete}"),
        "temp_store=FILE".to_string(),
        // Pages that come off the free list are not journalled: spilled, they would survive a roll back.
        "cache_spill=OFF".to_string(),
        format!("cache_size=-{cache_kib}"),
        format!("mmap_size={}", 1u64 << 46),
    ] {
        sqlite.execute(&format!("PRAGMA {pragma}"))?;
    }
    Ok(())
}

/// Statements that SQLite calls read-only and that still do something.
fn is_control(sql: &str) -> bool {
    let word = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
    ["SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT", "END", "PRAGMA"]
        .iter()
        .any(|w| word.eq_ignore_ascii_case(w))
}

fn over_budget(what: &str) -> Failure {
    Failure::Sql(SqlError::new("54001", format!("statement too complex: {what}")))
}

fn local(error: SqliteError) -> LocalError {
    Failure::from(error).into_local()
}
