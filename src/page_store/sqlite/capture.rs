//! The rows that statements change, as SQLite tells them before each change (preupdate hook).

use super::connection::Connection;
use super::function::value_ref;
use crate::transaction::{Value, ValueRef};
use rusqlite::ffi;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

/// A row before and after a change, with the values of all its columns in the table's order.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// Name of the table.
    pub table: Arc<str>,
    /// Rowid before (of a new row: the one after) and after (of a deleted row: the one before); of a table without
    /// rowids nothing of sense.
    pub rowids: (i64, i64),
    /// Values before; none for a new row.
    pub old: Option<Vec<Value>>,
    /// Values after; none for a deleted row.
    pub new: Option<Vec<Value>>,
}

/// Where the hook puts changes.
pub(super) struct Capture {
    changes: RefCell<Vec<RowChange>>,
    changes_max: Cell<usize>,
    /// There were more, or one cannot be told as it was.
    incomplete: Cell<bool>,
    /// The table of the change before: most are followed by one of the same.
    table: RefCell<Option<Arc<str>>>,
}

impl Capture {
    fn new(changes_max: usize) -> Self {
        Capture {
            changes: RefCell::default(),
            changes_max: Cell::new(changes_max),
            incomplete: Cell::new(false),
            table: RefCell::default(),
        }
    }

    fn name(&self, table: &CStr) -> Arc<str> {
        let mut last = self.table.borrow_mut();
        match &*last {
            Some(name) if name.as_bytes() == table.to_bytes() => name.clone(),
            _ => last.insert(table.to_string_lossy().into()).clone(),
        }
    }
}

impl Connection {
    /// Runs something and tells the first `changes_max` changes of rows that it made or tried to make. Statements that
    /// were compiled before may hide changes: use ones that were not.
    pub fn capture<T>(&self, changes_max: usize, run: impl FnOnce() -> T) -> (T, Vec<RowChange>) {
        let capture = Capture::new(changes_max);
        let hook = Hook(self);
        // SAFETY: the capture outlives the hook, which is taken away before this function ends, however it ends.
        unsafe { ffi::sqlite3_preupdate_hook(self.raw(), Some(on_change), (&raw const capture).cast_mut().cast()) };
        let result = run();
        drop(hook);
        (result, capture.changes.into_inner())
    }

    /// Records all changes of rows from now on, for [`Connection::take_changes`]. Said before any statement is compiled:
    /// one that was compiled before may hide changes. Not for a connection that uses [`Connection::capture`] as well.
    pub fn record_changes(&self) {
        let capture = Rc::new(Capture::new(0));
        let pointer = Rc::as_ptr(&capture).cast_mut().cast();
        // SAFETY: the handle keeps the capture until the connection is closed.
        unsafe { ffi::sqlite3_preupdate_hook(self.raw(), Some(on_change), pointer) };
        self.handle.hooks.recording.replace(Some(capture));
    }

    /// What was recorded since the last call, and begins anew with at most `changes_max` changes. None if there were more
    /// than the last call allowed, one of them cannot be told (text that is not UTF-8 shows as bytes, which are another
    /// value), or nothing is recorded.
    pub fn take_changes(&self, changes_max: usize) -> Option<Vec<RowChange>> {
        let recording = self.handle.hooks.recording.borrow();
        let capture = recording.as_ref()?;
        capture.changes_max.set(changes_max);
        let changes = capture.changes.take();
        (!capture.incomplete.replace(false)).then_some(changes)
    }

    /// Rowid of the row that was inserted last.
    pub fn last_insert_rowid(&self) -> i64 {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_last_insert_rowid(self.raw()) }
    }
}

/// Takes the hook away.
struct Hook<'a>(&'a Connection);

impl Drop for Hook<'_> {
    fn drop(&mut self) {
        // SAFETY: no hook is always allowed.
        unsafe { ffi::sqlite3_preupdate_hook(self.0.raw(), None, ptr::null_mut()) };
    }
}

unsafe extern "C" fn on_change(
    capture: *mut c_void,
    database: *mut ffi::sqlite3,
    operation: c_int,
    _: *const c_char,
    table: *const c_char,
    old_rowid: i64,
    new_rowid: i64,
) {
    // SAFETY: registered with a capture that lives while the hook is set; SQLite calls on the connection's own thread.
    let capture = unsafe { &*capture.cast::<Capture>() };
    // A panic must not cross SQLite; a change that cannot be told is left out.
    let told = catch_unwind(AssertUnwindSafe(|| {
        let mut changes = capture.changes.borrow_mut();
        if changes.len() >= capture.changes_max.get() {
            capture.incomplete.set(true);
            return;
        }
        // SAFETY: SQLite gives the table's name as a C string that lives through the call.
        let table = capture.name(unsafe { CStr::from_ptr(table) });
        // SAFETY: inside the hook, with an accessor that this operation has.
        let (old, new) = unsafe {
            (
                (operation != ffi::SQLITE_INSERT)
                    .then(|| row(database, ffi::sqlite3_preupdate_old, &capture.incomplete)),
                (operation != ffi::SQLITE_DELETE)
                    .then(|| row(database, ffi::sqlite3_preupdate_new, &capture.incomplete)),
            )
        };
        changes.push(RowChange { table, rowids: (old_rowid, new_rowid), old, new });
    }));
    if told.is_err() {
        capture.incomplete.set(true);
    }
}

type Accessor = unsafe extern "C" fn(*mut ffi::sqlite3, c_int, *mut *mut ffi::sqlite3_value) -> c_int;

/// Sets `incomplete` if a value is not what is in the row.
///
/// # Safety
/// Called inside the hook, with an accessor that the operation has.
unsafe fn row(database: *mut ffi::sqlite3, accessor: Accessor, incomplete: &Cell<bool>) -> Vec<Value> {
    // SAFETY: promised by the caller; a value lives through the hook's call and is copied at once.
    unsafe {
        let columns = ffi::sqlite3_preupdate_count(database);
        let value = |column| {
            let mut value = ptr::null_mut();
            match accessor(database, column, &mut value) {
                ffi::SQLITE_OK if !value.is_null() => {}
                // A virtual generated column is nowhere in the row.
                ffi::SQLITE_RANGE => return Value::Null,
                _ => {
                    incomplete.set(true);
                    return Value::Null;
                }
            }
            let told = value_ref(value);
            if matches!(told, ValueRef::Blob(_)) && ffi::sqlite3_value_type(value) != ffi::SQLITE_BLOB {
                incomplete.set(true);
            }
            told.to_value()
        };
        (0..columns).map(value).collect()
    }
}
