//! A connection: opening, switches, limits, state.

use super::error::SqliteError;
use super::hooks::Hooks;
use super::statement::Statement;
use crate::transaction::SqlError;
use parking_lot::Mutex;
use rusqlite::ffi;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_int};
use std::ptr::{self, NonNull};
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// One SQLite connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    pub(super) handle: Rc<Handle>,
}

/// A connection that may be gone: what a registered function holds of the connection that it is
/// registered on.
#[derive(Clone)]
pub struct WeakConnection(Weak<Handle>);

impl WeakConnection {
    /// The connection, while it lives.
    pub fn upgrade(&self) -> Option<Connection> {
        self.0.upgrade().map(|handle| Connection { handle })
    }
}

/// The C connection and what must live as long as it. Dropped when the last connection clone and the
/// last statement are gone.
pub(super) struct Handle {
    pub(super) database: NonNull<ffi::sqlite3>,
    /// Boxed hooks that SQLite holds pointers to.
    pub(super) hooks: Hooks,
    /// The error that one of our functions raised last.
    pub(super) raised: RefCell<Option<SqlError>>,
    pub(super) steps_left: Cell<i64>,
    interrupt: Arc<InterruptTarget>,
    /// What the connection reads from; dropped after it is closed.
    _anchor: Option<Box<dyn Any>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        *self.interrupt.database.lock() = None;
        // SAFETY: no statement is left (each holds the handle), so this closes the connection, and nothing
        // can use the pointer afterwards: the interrupt target has just let go of it.
        let result = unsafe { ffi::sqlite3_close(self.database.as_ptr()) };
        debug_assert_eq!(result, ffi::SQLITE_OK, "a statement outlived its connection");
    }
}

struct InterruptTarget {
    database: Mutex<Option<NonNull<ffi::sqlite3>>>,
}

// SAFETY: the pointer is used for sqlite3_interrupt alone, which may be called from any thread while the
// connection is open; the mutex keeps closing out meanwhile.
unsafe impl Send for InterruptTarget {}
// SAFETY: as above.
unsafe impl Sync for InterruptTarget {}

/// Stops what a connection is doing, from any thread.
#[derive(Clone)]
pub struct InterruptHandle(Arc<InterruptTarget>);

impl InterruptHandle {
    /// Makes the running statement fail with SQLITE_INTERRUPT; does nothing if none runs.
    pub fn interrupt(&self) {
        if let Some(database) = *self.0.database.lock() {
            // SAFETY: the connection is open, because closing takes the mutex first.
            unsafe { ffi::sqlite3_interrupt(database.as_ptr()) };
        }
    }
}

/// Switches of `sqlite3_db_config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Foreign keys are kept.
    ForeignKeys,
    /// Triggers fire.
    Triggers,
    /// The schema cannot be damaged by SQL.
    Defensive,
    /// Plans do not depend on bound values.
    QueryPlannerStability,
    /// Functions used in the schema need not be innocuous.
    TrustedSchema,
    /// Double-quoted unknown names are strings, in queries.
    DoubleQuotedStrings,
    /// Double-quoted unknown names are strings, in definitions.
    DoubleQuotedStringsInSchema,
    /// `load_extension()` works.
    LoadExtension,
}

impl Switch {
    fn code(self) -> c_int {
        match self {
            Switch::ForeignKeys => ffi::SQLITE_DBCONFIG_ENABLE_FKEY,
            Switch::Triggers => ffi::SQLITE_DBCONFIG_ENABLE_TRIGGER,
            Switch::Defensive => ffi::SQLITE_DBCONFIG_DEFENSIVE,
            Switch::QueryPlannerStability => ffi::SQLITE_DBCONFIG_ENABLE_QPSG,
            Switch::TrustedSchema => ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
            Switch::DoubleQuotedStrings => ffi::SQLITE_DBCONFIG_DQS_DML,
            Switch::DoubleQuotedStringsInSchema => ffi::SQLITE_DBCONFIG_DQS_DDL,
            Switch::LoadExtension => ffi::SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION,
        }
    }
}

/// Limits of `sqlite3_limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of a row, a text or a blob.
    LengthBytes,
    /// Bytes of SQL.
    SqlBytes,
    /// Databases attached beside main and temp.
    Attached,
    /// Depth of triggers that fire triggers.
    TriggerDepth,
    /// Number of a parameter.
    Parameters,
}

impl Limit {
    fn code(self) -> c_int {
        match self {
            Limit::LengthBytes => ffi::SQLITE_LIMIT_LENGTH,
            Limit::SqlBytes => ffi::SQLITE_LIMIT_SQL_LENGTH,
            Limit::Attached => ffi::SQLITE_LIMIT_ATTACHED,
            Limit::TriggerDepth => ffi::SQLITE_LIMIT_TRIGGER_DEPTH,
            Limit::Parameters => ffi::SQLITE_LIMIT_VARIABLE_NUMBER,
        }
    }
}

impl Connection {
    /// Opens `name` on the VFS called `vfs` (`None`: SQLite's own, for `:memory:` and tests). `anchor` is
    /// kept until the connection is closed.
    pub fn open(name: &str, vfs: Option<&str>, anchor: Option<Box<dyn Any>>) -> Result<Self, SqliteError> {
        let name = c_string(name)?;
        let vfs = vfs.map(c_string).transpose()?;
        let mut database = ptr::null_mut();
        let flags = ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE | ffi::SQLITE_OPEN_NOMUTEX;
        // SAFETY: the strings live through the call, and `database` is where SQLite writes the handle.
        let result = unsafe {
            ffi::sqlite3_open_v2(
                name.as_ptr(),
                &mut database,
                flags,
                vfs.as_ref().map_or(ptr::null(), |name| name.as_ptr()),
            )
        };
        let Some(database) = NonNull::new(database) else {
            return Err(SqliteError::new(ffi::SQLITE_NOMEM, "out of memory"));
        };
        let handle = Rc::new(Handle {
            database,
            hooks: Hooks::default(),
            raised: RefCell::new(None),
            steps_left: Cell::new(i64::MAX),
            interrupt: Arc::new(InterruptTarget { database: Mutex::new(Some(database)) }),
            _anchor: anchor,
        });
        let connection = Connection { handle };
        if result != ffi::SQLITE_OK {
            return Err(connection.error(result));
        }
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_extended_result_codes(database.as_ptr(), 1) };
        Ok(connection)
    }

    /// Compiles one statement, to be kept and run many times.
    pub fn prepare(&self, sql: &str) -> Result<Statement, SqliteError> {
        Statement::prepare(self, sql)
    }

    /// Runs one statement for its effect.
    pub fn execute(&self, sql: &str) -> Result<(), SqliteError> {
        let mut statement = self.prepare(sql)?;
        while statement.step()? {}
        Ok(())
    }

    /// A reference that does not keep the connection open.
    pub fn downgrade(&self) -> WeakConnection {
        WeakConnection(Rc::downgrade(&self.handle))
    }

    /// Turns a switch on or off and returns what it is now.
    pub fn set(&self, switch: Switch, on: bool) -> Result<bool, SqliteError> {
        let mut now: c_int = 0;
        // SAFETY: these operations take an int and a pointer to an int, which lives through the call.
        let result = unsafe { ffi::sqlite3_db_config(self.raw(), switch.code(), c_int::from(on), &mut now) };
        self.check(result).map(|()| now != 0)
    }

    /// Lowers a limit and returns the one before.
    pub fn limit(&self, limit: Limit, value: i32) -> i32 {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_limit(self.raw(), limit.code(), value) }
    }

    /// Whether no transaction is open.
    pub fn is_autocommit(&self) -> bool {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_get_autocommit(self.raw()) != 0 }
    }

    /// Rows changed by the last INSERT, UPDATE or DELETE itself.
    pub fn changes(&self) -> u64 {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_changes64(self.raw()) as u64 }
    }

    /// Rows changed since the connection was opened, those of triggers and cascades included.
    pub fn total_changes(&self) -> u64 {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_total_changes64(self.raw()) as u64 }
    }

    /// Whether a deferred foreign key is violated now, so that COMMIT would fail
    /// (`SQLITE_DBSTATUS_DEFERRED_FKS`).
    pub fn has_deferred_violations(&self) -> bool {
        let (mut now, mut high) = (0, 0);
        // SAFETY: both pointers live through the call.
        unsafe { ffi::sqlite3_db_status(self.raw(), ffi::SQLITE_DBSTATUS_DEFERRED_FKS, &mut now, &mut high, 0) };
        now != 0
    }

    /// Whether a statement is still open (stepped and not reset).
    pub fn is_busy(&self) -> bool {
        let mut statement = ptr::null_mut();
        loop {
            // SAFETY: the connection is open; `statement` is null or one of its own.
            statement = unsafe { ffi::sqlite3_next_stmt(self.raw(), statement) };
            if statement.is_null() {
                return false;
            }
            // SAFETY: the statement is one of this connection's.
            if unsafe { ffi::sqlite3_stmt_busy(statement) } != 0 {
                return true;
            }
        }
    }

    /// Gives back page cache that is not needed now.
    pub fn release_memory(&self) {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_db_release_memory(self.raw()) };
    }

    /// Stops statements from other threads.
    pub fn interrupt_handle(&self) -> InterruptHandle {
        InterruptHandle(self.handle.interrupt.clone())
    }

    pub(super) fn raw(&self) -> *mut ffi::sqlite3 {
        self.handle.database.as_ptr()
    }

    pub(super) fn check(&self, result: c_int) -> Result<(), SqliteError> {
        if result == ffi::SQLITE_OK { Ok(()) } else { Err(self.error(result)) }
    }

    /// The error that belongs to `result`, the code that the last call returned.
    pub(super) fn error(&self, result: c_int) -> SqliteError {
        // SAFETY: the connection is open; the text lives until the next call and is copied at once.
        let message = unsafe { CStr::from_ptr(ffi::sqlite3_errmsg(self.raw())) }.to_string_lossy().into_owned();
        // SAFETY: the connection is open.
        let offset = unsafe { ffi::sqlite3_error_offset(self.raw()) };
        let raised = self.handle.raised.take().filter(|raised| raised.message == message).map(Box::new);
        SqliteError { code: result, message, offset: usize::try_from(offset).ok(), raised }
    }
}

pub(super) fn c_string(text: &str) -> Result<CString, SqliteError> {
    CString::new(text).map_err(|_| SqliteError::new(ffi::SQLITE_ERROR, "a zero byte in a name"))
}
