//! The rows that statements change, as SQLite tells them before each change (preupdate hook).

use super::connection::Connection;
use super::function::value_ref;
use crate::transaction::Value;
use rusqlite::ffi;
use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// A row before and after a change, with the values of all its columns in the table's order.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// Name of the table.
    pub table: String,
    /// Values before; none for a new row.
    pub old: Option<Vec<Value>>,
    /// Values after; none for a deleted row.
    pub new: Option<Vec<Value>>,
}

struct Capture {
    changes: RefCell<Vec<RowChange>>,
    changes_max: usize,
}

impl Connection {
    /// Runs something and tells the first `changes_max` changes of rows that it made or tried to make. Statements that
    /// were compiled before may hide changes: use ones that were not.
    pub fn capture<T>(&self, changes_max: usize, run: impl FnOnce() -> T) -> (T, Vec<RowChange>) {
        let capture = Capture { changes: RefCell::default(), changes_max };
        let hook = Hook(self);
        // SAFETY: the capture outlives the hook, which is taken away before this function ends, however it ends.
        unsafe { ffi::sqlite3_preupdate_hook(self.raw(), Some(on_change), (&raw const capture).cast_mut().cast()) };
        let result = run();
        drop(hook);
        (result, capture.changes.into_inner())
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
    _: i64,
    _: i64,
) {
    // SAFETY: registered with a capture that lives while the hook is set; SQLite calls on the connection's own thread.
    let capture = unsafe { &*capture.cast::<Capture>() };
    // A panic must not cross SQLite; a change that cannot be told is left out.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let mut changes = capture.changes.borrow_mut();
        if changes.len() >= capture.changes_max {
            return;
        }
        // SAFETY: SQLite gives the table's name as a C string that lives through the call.
        let table = unsafe { CStr::from_ptr(table) }.to_string_lossy().into_owned();
        // SAFETY: inside the hook, with an accessor that this operation has.
        let (old, new) = unsafe {
            (
                (operation != ffi::SQLITE_INSERT).then(|| row(database, ffi::sqlite3_preupdate_old)),
                (operation != ffi::SQLITE_DELETE).then(|| row(database, ffi::sqlite3_preupdate_new)),
            )
        };
        changes.push(RowChange { table, old, new });
    }));
}

type Accessor = unsafe extern "C" fn(*mut ffi::sqlite3, c_int, *mut *mut ffi::sqlite3_value) -> c_int;

/// # Safety
/// Called inside the hook, with an accessor that the operation has.
unsafe fn row(database: *mut ffi::sqlite3, accessor: Accessor) -> Vec<Value> {
    // SAFETY: promised by the caller; a value lives through the hook's call and is copied at once.
    unsafe {
        let columns = ffi::sqlite3_preupdate_count(database);
        let value = |column| {
            let mut value = ptr::null_mut();
            match accessor(database, column, &mut value) {
                ffi::SQLITE_OK if !value.is_null() => value_ref(value).to_value(),
                _ => Value::Null,
            }
        };
        (0..columns).map(value).collect()
    }
}
