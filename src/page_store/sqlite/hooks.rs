//! What SQLite asks while it works: may this statement do that (authorizer), may it go on (budget).

use super::connection::Connection;
use rusqlite::ffi;
use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Steps of SQLite's machine between two looks at the budget.
const STEPS_PER_CALL: c_int = 1000;

type Authorizer = Rc<dyn Fn(&Access<'_>) -> bool>;

/// Hooks that SQLite holds pointers to; they live as long as the connection.
#[derive(Default)]
pub(super) struct Hooks {
    authorizer: RefCell<Option<Box<Authorizer>>>,
    /// Where the preupdate hook puts changes, if they are recorded for good.
    pub(super) recording: RefCell<Option<Rc<super::capture::Capture>>>,
}

/// What a statement is about to be compiled to do.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The kind of action.
    pub action: Action,
    /// Table, index, function pragma or the like; what SQLite's table of action codes calls the third argument.
    pub first: Option<&'a str>,
    /// Column, table, or a pragma's argument; the fourth argument.
    pub second: Option<&'a str>,
    /// `main`, `temp` or an attached database.
    pub database: Option<&'a str>,
    /// Innermost trigger or view that asks.
    pub within: Option<&'a str>,
}

macro_rules! actions {
    ($($name:ident = $code:ident),* $(,)?) => {
        /// SQLite's action codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is the action code of the same name in SQLite's documentation")]
        pub enum Action { $($name,)* Other(i32) }
        impl Action {
            fn from_code(code: c_int) -> Self {
                match code { $(ffi::$code => Action::$name,)* other => Action::Other(other) }
            }
        }
    };
}

actions! {
    CreateIndex = SQLITE_CREATE_INDEX, CreateTable = SQLITE_CREATE_TABLE, CreateTempIndex = SQLITE_CREATE_TEMP_INDEX,
    CreateTempTable = SQLITE_CREATE_TEMP_TABLE, CreateTempTrigger = SQLITE_CREATE_TEMP_TRIGGER,
    CreateTempView = SQLITE_CREATE_TEMP_VIEW, CreateTrigger = SQLITE_CREATE_TRIGGER, CreateView = SQLITE_CREATE_VIEW,
    Delete = SQLITE_DELETE, DropIndex = SQLITE_DROP_INDEX, DropTable = SQLITE_DROP_TABLE,
    DropTempIndex = SQLITE_DROP_TEMP_INDEX, DropTempTable = SQLITE_DROP_TEMP_TABLE,
    DropTempTrigger = SQLITE_DROP_TEMP_TRIGGER, DropTempView = SQLITE_DROP_TEMP_VIEW, DropTrigger = SQLITE_DROP_TRIGGER,
    DropView = SQLITE_DROP_VIEW, Insert = SQLITE_INSERT, Pragma = SQLITE_PRAGMA, Read = SQLITE_READ,
    Select = SQLITE_SELECT, Transaction = SQLITE_TRANSACTION, Update = SQLITE_UPDATE, Attach = SQLITE_ATTACH,
    Detach = SQLITE_DETACH, AlterTable = SQLITE_ALTER_TABLE, Reindex = SQLITE_REINDEX, Analyze = SQLITE_ANALYZE,
    CreateVirtualTable = SQLITE_CREATE_VTABLE, DropVirtualTable = SQLITE_DROP_VTABLE, Function = SQLITE_FUNCTION,
    Savepoint = SQLITE_SAVEPOINT, Recursive = SQLITE_RECURSIVE,
}

impl Connection {
    /// Asks `allow` about every action of every statement while it is compiled; a refused one fails with
    /// SQLITE_AUTH. Compiled statements are compiled again.
    pub fn set_authorizer(&self, allow: impl Fn(&Access<'_>) -> bool + 'static) {
        let mut boxed: Box<Authorizer> = Box::new(Rc::new(allow));
        let pointer: *mut Authorizer = &mut *boxed;
        // SAFETY: the box is kept by the handle until the connection is closed or another authorizer took
        // its place, which this call does before the old box is dropped below.
        unsafe { ffi::sqlite3_set_authorizer(self.raw(), Some(call_authorizer), pointer.cast()) };
        self.handle.hooks.authorizer.replace(Some(boxed));
    }

    /// Lets statements run so many more steps of SQLite's machine; then the running one fails with
    /// SQLITE_INTERRUPT and [`Connection::is_budget_spent`] is true. Steps are counted in thousands.
    pub fn set_step_budget(&self, steps: u64) {
        self.handle.steps_left.set(i64::try_from(steps).unwrap_or(i64::MAX));
    }

    /// Steps left of the budget; below 0 when it is spent.
    pub fn steps_left(&self) -> i64 {
        self.handle.steps_left.get()
    }

    /// Whether the budget ended a statement.
    pub fn is_budget_spent(&self) -> bool {
        self.handle.steps_left.get() < 0
    }

    /// Starts to count steps. Once for a connection.
    pub fn watch_budget(&self) {
        let steps_left: *const std::cell::Cell<i64> = &self.handle.steps_left;
        // SAFETY: the cell lives in the handle, at one address until the connection is closed.
        unsafe {
            ffi::sqlite3_progress_handler(self.raw(), STEPS_PER_CALL, Some(call_progress), steps_left.cast_mut().cast())
        };
    }
}

unsafe extern "C" fn call_progress(steps_left: *mut c_void) -> c_int {
    // SAFETY: registered with the handle's cell; SQLite calls this on the connection's own thread.
    let steps_left = unsafe { &*steps_left.cast::<std::cell::Cell<i64>>() };
    steps_left.set(steps_left.get().saturating_sub(i64::from(STEPS_PER_CALL)));
    c_int::from(steps_left.get() < 0)
}

unsafe extern "C" fn call_authorizer(
    application: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    database: *const c_char,
    within: *const c_char,
) -> c_int {
    // SAFETY: registered with a boxed `Authorizer`. A clone of it is called, so that it may be replaced
    // meanwhile.
    let allow = unsafe { Authorizer::clone(&*application.cast::<Authorizer>()) };
    // SAFETY: SQLite gives C strings that live through the call, or null.
    let text = |pointer: *const c_char| unsafe {
        if pointer.is_null() { None } else { CStr::from_ptr(pointer).to_str().ok() }
    };
    let access = Access {
        action: Action::from_code(action),
        first: text(first),
        second: text(second),
        database: text(database),
        within: text(within),
    };
    match catch_unwind(AssertUnwindSafe(|| allow(&access))) {
        Ok(true) => ffi::SQLITE_OK,
        _ => ffi::SQLITE_DENY,
    }
}
