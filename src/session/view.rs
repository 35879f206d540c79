//! A SQLite connection over a pinned version: what a session reads with, and where the writes of an
//! interactive transaction go until COMMIT.
//!
//! Connections belong to a front thread's pool; a session has one only while it runs a statement or has
//! a transaction open.

use super::gateway::{Gateway, Pinned};
use crate::catalog::functions::SettingChange;
use crate::catalog::relations::{Environment, Live};
use crate::catalog::{CATALOG_SQL, Catalog};
use crate::dialect::ERRAND;
use crate::engine::{Connection, Context, Draws, Failure, Options, Source, SystemCatalog};
use crate::page_store::sqlite::Environmental;
use crate::page_store::{PageStore, Snapshot};
use crate::transaction::{SqlError, Value};
use crate::wire::Interrupt;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Weak};

/// Of the memory for pages, what one view may keep pinned of those that it reads again and again: with all that the front
/// threads keep at hand an eighth at most.
const KEPT_SHARE: usize = 512;

/// Numbers that were reserved through the log and not yet drawn, by (database, sequence).
pub type Blocks = Rc<RefCell<HashMap<(Arc<str>, i64), Reserved>>>;

/// Reserved numbers of one sequence.
pub struct Reserved {
    /// The database as one node holds it. Another one of the same name, made after this was dropped, counts its
    /// sequences from the start; on another node of the same the numbers are given up, as by a restart.
    store: Weak<PageStore>,
    numbers: VecDeque<i64>,
}

impl Reserved {
    /// Numbers that were reserved in the database of this version.
    pub fn new(snapshot: &Snapshot, numbers: VecDeque<i64>) -> Reserved {
        Reserved { store: Arc::downgrade(snapshot.store()), numbers }
    }

    /// Adds numbers that were reserved later; those of another database of the same name take their place.
    pub fn extend(&mut self, more: Reserved) {
        match self.store.ptr_eq(&more.store) {
            true => self.numbers.extend(more.numbers),
            false => *self = more,
        }
    }

    /// The next number for a reader of this version.
    fn draw(&mut self, snapshot: &Snapshot) -> Option<i64> {
        if self.store.as_ptr() != Arc::as_ptr(snapshot.store()) {
            return None;
        }
        self.numbers.pop_front()
    }
}

/// What is known of a session where SQL asks for it.
#[derive(Debug, Default)]
pub struct Facts {
    /// pg_backend_pid().
    pub process: i32,
    /// currval of each sequence.
    pub current: RefCell<HashMap<i64, i64>>,
    /// lastval.
    pub last: Cell<Option<i64>>,
}

/// A connection and the version that it stands on.
pub struct SessionView {
    /// The connection.
    pub connection: Connection,
    /// The catalog that its pages hold now, changes of the open transaction included.
    pub catalog: Arc<Catalog>,
    snapshot: Snapshot,
    system: SystemCatalog,
    source: Rc<SourceState>,
    interrupt: Interrupt,
}

/// Errands of the statement under way: what was done with its value, and what is to be done next.
#[derive(Default)]
struct Errands {
    done: Vec<(String, Value)>,
    /// Of these so many were met in this run.
    met: usize,
    next: Option<String>,
}

impl Errands {
    fn meet(&mut self, name: &str) -> Result<Value, SqlError> {
        let met = self.done.get(self.met).filter(|(done, _)| done == name);
        if let Some((_, value)) = met {
            self.met += 1;
            return Ok(value.clone());
        }
        self.next = Some(name.to_owned());
        Err(SqlError::new("0A000", "functions that lock or sleep are not supported here"))
    }
}

impl SessionView {
    /// Opens a connection on a version.
    pub fn open(
        gateway: Arc<dyn Gateway>,
        database: Arc<str>,
        blocks: Blocks,
        pinned: &Pinned,
    ) -> Result<SessionView, SqlError> {
        let mut connection =
            Connection::view(&pinned.snapshot, Options::default()).map_err(|e| client_error(e.into()))?;
        let kept = connection.viewed().and_then(|view| Ok(view.keep_share(KEPT_SHARE)?));
        kept.and_then(|()| connection.expect_schema(pinned.schema)).map_err(|e| client_error(e.into()))?;
        let system = SystemCatalog::attach(&mut connection).map_err(|e| client_error(e.into()))?;
        let handle = connection.interrupt_handle();
        let source = Rc::new(SourceState {
            gateway,
            database,
            blocks,
            facts: RefCell::default(),
            needed: Cell::new(None),
            drawn: RefCell::default(),
            snapshot: RefCell::new(pinned.snapshot.clone()),
            own: RefCell::default(),
            errands: RefCell::default(),
        });
        Ok(SessionView {
            connection,
            catalog: pinned.catalog.clone(),
            snapshot: pinned.snapshot.clone(),
            system,
            source,
            interrupt: Arc::new(move || handle.interrupt()),
        })
    }

    /// Stops what runs on it, from any thread.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// Whether it stands on this version. Nodes number versions alike and keep them apart.
    pub fn stands_on(&self, pinned: &Pinned) -> bool {
        self.snapshot.number() == pinned.snapshot.number()
            && Arc::ptr_eq(self.snapshot.store(), pinned.snapshot.store())
    }

    /// The version that it stands on.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Moves to another version; no transaction may be open.
    pub fn repin(&mut self, pinned: &Pinned) -> Result<(), SqlError> {
        // The transaction before may have seen a catalog of its own making.
        self.catalog = pinned.catalog.clone();
        if self.stands_on(pinned) {
            return Ok(());
        }
        self.connection.repin(&pinned.snapshot, pinned.schema).map_err(|e| client_error(e.into()))?;
        self.snapshot = pinned.snapshot.clone();
        self.source.snapshot.replace(pinned.snapshot.clone());
        Ok(())
    }

    /// Makes pg_catalog, information_schema and the functions over them answer for this session and for
    /// the catalog as it stands here.
    pub fn renew_system(
        &mut self,
        environment: &Arc<Environment>,
        live: Live,
        sql: &[Arc<str>],
    ) -> Result<(), SqlError> {
        let SessionView { system, connection, catalog, .. } = self;
        system.renew(connection, catalog, environment, live, sql).map_err(|e| client_error(e.into()))
    }

    /// What `set_config` changed since the last call.
    pub fn take_setting_changes(&self) -> Vec<SettingChange> {
        self.system.take_changes()
    }

    /// Moves to a version, or back to the one that it stands on, without what was written.
    pub fn move_fresh(&mut self, pinned: &Pinned) -> Result<(), SqlError> {
        self.connection.repin(&pinned.snapshot, pinned.schema).map_err(|e| client_error(e.into()))?;
        self.snapshot = pinned.snapshot.clone();
        self.source.snapshot.replace(pinned.snapshot.clone());
        self.catalog = pinned.catalog.clone();
        Ok(())
    }

    /// Whether a failed statement failed by itself, not for want of reserved numbers.
    pub fn source_is_content(&self) -> bool {
        let needed = self.source.needed.take();
        self.source.needed.set(needed);
        needed.is_none()
    }

    /// Prepares for a session's statements: time, randomness, and where it draws from.
    pub fn begin(&mut self, facts: &Rc<Facts>, timestamp_us: i64, seed: u64) {
        self.source.facts.replace(Some(facts.clone()));
        self.source.own.borrow_mut().clear();
        self.source.errands.take();
        self.source.drawn.borrow_mut().clear();
        self.connection.begin_context(Context::new(timestamp_us, seed, self.recording()));
    }

    /// Prepares for statements whose draws are given back as recorded.
    pub fn begin_replay(&mut self, timestamp_us: i64, seed: u64) {
        self.connection.begin_context(Context::new(timestamp_us, seed, Draws::Replay));
    }

    /// From replaying back to recording, in the same transaction.
    pub fn record_again(&mut self) {
        self.connection.context().borrow_mut().draws = self.recording();
    }

    fn recording(&self) -> Draws {
        Draws::Record(Box::new(SourceHandle(self.source.clone())))
    }

    /// The sequence whose numbers ran out in the statement that just ran, if that is why it failed. What such a
    /// statement drew is given back, as it runs again.
    pub fn take_needed(&self) -> Option<i64> {
        let (needed, drawn) = (self.source.needed.take(), self.source.drawn.take());
        if needed.is_some() {
            let mut blocks = self.source.blocks.borrow_mut();
            for (sequence, number) in drawn.into_iter().rev() {
                if let Some(reserved) = blocks.get_mut(&(self.source.database.clone(), sequence)) {
                    reserved.numbers.push_front(number);
                }
            }
        }
        needed
    }

    /// Has numbers of a sequence of the transaction's own making counted here; see [`OwnSequence`].
    pub fn own_sequence(&self, oid: i64, own: OwnSequence) {
        self.source.own.borrow_mut().insert(oid, own);
    }

    /// Sequences of the transaction's own making, with their last numbers.
    pub fn own_sequences(&self) -> Vec<(i64, i64)> {
        let own = self.source.own.borrow();
        let mut numbers: Vec<_> = own.iter().filter_map(|(oid, own)| Some((*oid, own.last?))).collect();
        numbers.sort_unstable();
        numbers
    }

    /// A statement begins that has these errands done.
    pub fn begin_errands(&self, done: Vec<(String, Value)>) {
        self.source.errands.replace(Errands { done, ..Errands::default() });
    }

    /// It begins to run, once more.
    pub fn rewind_errands(&self) {
        self.source.errands.borrow_mut().met = 0;
    }

    /// The errand that a run stopped at.
    pub fn take_errand(&self) -> Option<String> {
        self.source.errands.borrow_mut().next.take()
    }

    /// It is done, and has this value. What the run did not meet before it belongs to rows that are gone.
    pub fn errand_done(&self, name: String, value: Value) {
        let mut errands = self.source.errands.borrow_mut();
        let met = errands.met;
        errands.done.truncate(met);
        errands.done.push((name, value));
    }

    /// What is done of those that the run met, for another view.
    pub fn take_errands(&self) -> Vec<(String, Value)> {
        let Errands { mut done, met, .. } = self.source.errands.take();
        done.truncate(met);
        done
    }

    /// Reads the catalog from the pages: after DDL, and after DDL was undone.
    pub fn reload_catalog(&mut self) -> Result<(), SqlError> {
        let rows = self.connection.query(CATALOG_SQL, &[]).map_err(client_error)?;
        let catalog = Catalog::load(rows).map_err(|error| SqlError::new("XX001", error.to_string()))?;
        self.catalog = Arc::new(catalog);
        Ok(())
    }

    /// Ends the transaction, drops what it wrote, and leaves the connection fit for anybody. An error
    /// means that it is to be thrown away.
    pub fn clean(&mut self, schema_changed: bool) -> Result<(), SqlError> {
        if !self.connection.is_autocommit() {
            self.connection.control("ROLLBACK").map_err(client_error)?;
        }
        let view = self.connection.viewed().map_err(|e| client_error(e.into()))?;
        view.discard_overlay().map_err(|error| SqlError::new("58030", error.to_string()))?;
        if schema_changed {
            self.connection.renew_schema().map_err(client_error)?;
        }
        self.source.facts.replace(None);
        Ok(())
    }
}

/// A sequence that exists only in the open transaction: nobody else can draw from it, so its numbers need
/// no reservation, only to be set in the record.
#[derive(Clone, Copy, Debug)]
pub struct OwnSequence {
    /// First number.
    pub start: i64,
    /// Step.
    pub increment: i64,
    /// Number drawn last.
    pub last: Option<i64>,
}

struct SourceState {
    gateway: Arc<dyn Gateway>,
    database: Arc<str>,
    blocks: Blocks,
    facts: RefCell<Option<Rc<Facts>>>,
    needed: Cell<Option<i64>>,
    /// Reserved numbers that the statement under way drew: sequence and number.
    drawn: RefCell<Vec<(i64, i64)>>,
    snapshot: RefCell<Snapshot>,
    own: RefCell<HashMap<i64, OwnSequence>>,
    errands: RefCell<Errands>,
}

struct SourceHandle(Rc<SourceState>);

impl Source for SourceHandle {
    fn sequence_number(&mut self, sequence_oid: i64) -> Result<i64, SqlError> {
        let state = &self.0;
        let number = match state.own.borrow_mut().get_mut(&sequence_oid) {
            Some(own) => {
                let next = own.last.map_or(own.start, |last| last.saturating_add(own.increment));
                own.last = Some(next);
                Some(next)
            }
            None => {
                let mut blocks = state.blocks.borrow_mut();
                let reserved = blocks.get_mut(&(state.database.clone(), sequence_oid));
                let number = reserved.and_then(|reserved| reserved.draw(&state.snapshot.borrow()));
                state.drawn.borrow_mut().extend(number.map(|number| (sequence_oid, number)));
                number
            }
        };
        let Some(number) = number else {
            state.needed.set(Some(sequence_oid));
            return Err(SqlError::new("55000", "no reserved numbers are left"));
        };
        if let Some(facts) = &*state.facts.borrow() {
            facts.current.borrow_mut().insert(sequence_oid, number);
            facts.last.set(Some(number));
        }
        Ok(number)
    }

    fn system_value(&mut self, name: &str) -> Result<Value, SqlError> {
        let state = &self.0;
        if name == "root" {
            return Ok(Value::Text(state.snapshot.borrow().root().to_string().into()));
        }
        if name.starts_with(ERRAND) {
            return state.errands.borrow_mut().meet(name);
        }
        let facts = state.facts.borrow();
        let facts = facts.as_deref();
        let number = match name {
            "clock_timestamp" => Some(state.gateway.now_us()),
            "backend_pid" => facts.map(|facts| i64::from(facts.process)),
            "lastval" => facts.and_then(|facts| facts.last.get()),
            _ => name
                .strip_prefix("currval:")
                .and_then(|oid| oid.parse::<i64>().ok())
                .and_then(|oid| facts.and_then(|facts| facts.current.borrow().get(&oid).copied())),
        };
        number
            .map(|number| Ok(Value::Integer(number)))
            .or_else(|| state.gateway.system_value(&state.database, name))
            .unwrap_or_else(|| Err(SqlError::new("0A000", format!("{name} cannot be read here"))))
    }
}

/// What a client is told of a failure.
pub fn client_error(failure: Failure) -> SqlError {
    match failure {
        Failure::Sql(error) => error,
        Failure::Local(error) => match error.kind {
            Environmental::Interrupted => SqlError::new("57014", "canceling statement due to user request"),
            Environmental::Memory => SqlError::new("53200", "out of memory"),
            Environmental::Full => SqlError::new("53100", error.message),
            Environmental::Io => SqlError::new("58030", error.message),
            Environmental::Corrupt => SqlError::new("XX001", error.message),
            Environmental::Internal => SqlError::new("XX000", error.message),
        },
    }
}

/// Names the constraint that a statement broke, which only the catalog knows.
pub fn refine(error: SqlError, catalog: &Catalog) -> SqlError {
    let code = match error.code() {
        "23505" if error.message.starts_with("UNIQUE") => 2067,
        "23503" if error.message.starts_with("FOREIGN KEY") => 787,
        "23514" if error.message.starts_with("CHECK") => 275,
        // 64-bit overflow makes a REAL, which the column's table refuses.
        "42804" if error.message.starts_with("cannot store REAL value in INTEGER") => 3091,
        _ => return error,
    };
    crate::dialect::errors::from_sqlite(code, &error.message, catalog)
}
