//! A compiled statement: parameters in, rows out without copying.

use super::connection::{Connection, Handle};
use super::error::SqliteError;
use crate::transaction::{Value, ValueRef};
use rusqlite::ffi;
use std::ffi::{CStr, c_char, c_int};
use std::ptr::{self, NonNull};
use std::rc::Rc;

/// One compiled statement. It keeps its connection open.
pub struct Statement {
    statement: NonNull<ffi::sqlite3_stmt>,
    handle: Rc<Handle>,
    parameters: usize,
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: the statement is ours alone and the handle is still open.
        unsafe { ffi::sqlite3_finalize(self.statement.as_ptr()) };
    }
}

impl Statement {
    pub(super) fn prepare(connection: &Connection, sql: &str) -> Result<Self, SqliteError> {
        if sql.as_bytes().contains(&0) {
            return Err(SqliteError::new(ffi::SQLITE_ERROR, "a zero byte in SQL"));
        }
        let length = c_int::try_from(sql.len()).map_err(|_| SqliteError::new(ffi::SQLITE_TOOBIG, "SQL too long"))?;
        let mut statement = ptr::null_mut();
        let mut tail: *const c_char = ptr::null();
        // SAFETY: `sql` lives through the call and its length is given; both out pointers are ours.
        let result = unsafe {
            ffi::sqlite3_prepare_v3(
                connection.raw(),
                sql.as_ptr().cast(),
                length,
                ffi::SQLITE_PREPARE_PERSISTENT,
                &mut statement,
                &mut tail,
            )
        };
        connection.check(result)?;
        let Some(statement) = NonNull::new(statement) else {
            return Err(SqliteError::new(ffi::SQLITE_ERROR, "no statement in SQL"));
        };
        // SAFETY: the statement was just made.
        let parameters = unsafe { ffi::sqlite3_bind_parameter_count(statement.as_ptr()) } as usize;
        let prepared = Statement { statement, handle: connection.handle.clone(), parameters };
        let rest = &sql[(tail as usize - sql.as_ptr() as usize).min(sql.len())..];
        if !rest.trim_matches(|c: char| c.is_whitespace() || c == ';').is_empty() {
            return Err(SqliteError::new(ffi::SQLITE_ERROR, "more than one statement in SQL"));
        }
        Ok(prepared)
    }

    fn raw(&self) -> *mut ffi::sqlite3_stmt {
        self.statement.as_ptr()
    }
    fn connection(&self) -> Connection {
        Connection { handle: self.handle.clone() }
    }

    /// Number of the highest parameter.
    pub fn parameter_count(&self) -> usize {
        self.parameters
    }

    /// Sets parameter `?index`, counted from 1. The statement must not have been stepped since its reset.
    pub fn bind(&mut self, index: usize, value: ValueRef<'_>) -> Result<(), SqliteError> {
        let position = index as c_int;
        let (raw, copy) = (self.raw(), ffi::SQLITE_TRANSIENT());
        // SAFETY: SQLite checks the position and copies text and bytes before the call returns. An empty
        // slice's pointer is not null, so it is bound as empty and not as NULL.
        let result = unsafe {
            match value {
                ValueRef::Null => ffi::sqlite3_bind_null(raw, position),
                ValueRef::Integer(number) => ffi::sqlite3_bind_int64(raw, position, number),
                ValueRef::Real(number) => ffi::sqlite3_bind_double(raw, position, number),
                ValueRef::Text(text) => ffi::sqlite3_bind_text64(
                    raw,
                    position,
                    text.as_ptr().cast(),
                    text.len() as u64,
                    copy,
                    ffi::SQLITE_UTF8 as u8,
                ),
                ValueRef::Blob(bytes) => {
                    ffi::sqlite3_bind_blob64(raw, position, bytes.as_ptr().cast(), bytes.len() as u64, copy)
                }
            }
        };
        if result == ffi::SQLITE_OK { Ok(()) } else { Err(self.connection().error(result)) }
    }

    /// Sets `?1..`; those that the statement does not use are passed over, those not given are NULL.
    pub fn bind_all(&mut self, values: &[Value]) -> Result<(), SqliteError> {
        for index in 0..self.parameters {
            self.bind(index + 1, values.get(index).map_or(ValueRef::Null, Value::as_ref))?;
        }
        Ok(())
    }

    /// Goes to the next row; false at the end. After an error the statement must be reset.
    pub fn step(&mut self) -> Result<bool, SqliteError> {
        // SAFETY: the statement is ours; `&mut` ends every borrow of the row before.
        match unsafe { ffi::sqlite3_step(self.raw()) } {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            result => Err(self.connection().error(result)),
        }
    }

    /// Ends the run; parameters stay. What went wrong in it was told by [`Statement::step`].
    pub fn reset(&mut self) {
        // SAFETY: the statement is ours.
        unsafe { ffi::sqlite3_reset(self.raw()) };
    }

    /// Forgets the parameters, and the memory of large ones.
    pub fn clear_bindings(&mut self) {
        // SAFETY: the statement is ours.
        unsafe { ffi::sqlite3_clear_bindings(self.raw()) };
    }

    /// Columns of its rows; 0 for a statement without an answer.
    pub fn column_count(&self) -> usize {
        // SAFETY: the statement is ours.
        unsafe { ffi::sqlite3_column_count(self.raw()) as usize }
    }

    /// A value of the current row, where SQLite keeps it. NULL outside a row.
    pub fn column(&self, index: usize) -> ValueRef<'_> {
        let (raw, index) = (self.raw(), index as c_int);
        // SAFETY: SQLite checks the index. Only the accessor of the value's own type is called, so nothing
        // is converted, and the memory stays until the next step or reset, which need `&mut self`.
        unsafe {
            match ffi::sqlite3_column_type(raw, index) {
                ffi::SQLITE_INTEGER => ValueRef::Integer(ffi::sqlite3_column_int64(raw, index)),
                ffi::SQLITE_FLOAT => ValueRef::Real(ffi::sqlite3_column_double(raw, index)),
                ffi::SQLITE_TEXT => {
                    let start = ffi::sqlite3_column_text(raw, index);
                    text_or_bytes(bytes_at(start, ffi::sqlite3_column_bytes(raw, index)))
                }
                ffi::SQLITE_BLOB => {
                    let start = ffi::sqlite3_column_blob(raw, index);
                    ValueRef::Blob(bytes_at(start.cast(), ffi::sqlite3_column_bytes(raw, index)))
                }
                _ => ValueRef::Null,
            }
        }
    }

    /// A column's name.
    pub fn column_name(&self, index: usize) -> &str {
        // SAFETY: SQLite checks the index; the text lives as long as the compiled statement.
        unsafe { self.text(ffi::sqlite3_column_name(self.raw(), index as c_int)) }.unwrap_or("")
    }

    /// A column's declared type, if it comes from a table.
    pub fn column_declared_type(&self, index: usize) -> Option<&str> {
        // SAFETY: as in `column_name`.
        unsafe { self.text(ffi::sqlite3_column_decltype(self.raw(), index as c_int)) }
    }

    /// The table and column that a column comes from, if it does.
    pub fn column_origin(&self, index: usize) -> Option<(&str, &str)> {
        // SAFETY: as in `column_name`.
        unsafe {
            let table = self.text(ffi::sqlite3_column_table_name(self.raw(), index as c_int))?;
            let column = self.text(ffi::sqlite3_column_origin_name(self.raw(), index as c_int))?;
            Some((table, column))
        }
    }

    /// Whether it writes nothing into the database. BEGIN and ATTACH pass too (see architecture, footprints).
    pub fn is_read_only(&self) -> bool {
        // SAFETY: the statement is ours.
        unsafe { ffi::sqlite3_stmt_readonly(self.raw()) != 0 }
    }

    /// Whether it only tells how a statement would run.
    pub fn is_explanation(&self) -> bool {
        // SAFETY: the statement is ours.
        unsafe { ffi::sqlite3_stmt_isexplain(self.raw()) != 0 }
    }

    /// Instructions of SQLite's machine that it has run since [`Statement::reset_steps`]; those of
    /// statements that virtual tables run inside are not in it.
    pub fn steps(&self) -> u64 {
        // SAFETY: the statement is ours.
        unsafe { ffi::sqlite3_stmt_status(self.raw(), ffi::SQLITE_STMTSTATUS_VM_STEP, 0) as u32 as u64 }
    }

    /// Sets [`Statement::steps`] to 0. Before each run, because SQLite calls the budget's handler at
    /// multiples of this count, and a past run must not shift them.
    pub fn reset_steps(&mut self) {
        // SAFETY: the statement is ours.
        unsafe { ffi::sqlite3_stmt_status(self.raw(), ffi::SQLITE_STMTSTATUS_VM_STEP, 1) };
    }

    /// Text that SQLite keeps with the compiled statement.
    ///
    /// # Safety
    /// `text` is null or comes from this statement.
    unsafe fn text(&self, text: *const c_char) -> Option<&str> {
        // SAFETY: by contract a C string that lives as long as the statement.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().unwrap_or(""))
    }
}

/// # Safety
/// `start` points to `length` bytes that live for `'a`, or is null with length 0.
pub(super) unsafe fn bytes_at<'a>(start: *const u8, length: c_int) -> &'a [u8] {
    if start.is_null() || length <= 0 {
        return &[];
    }
    // SAFETY: by contract.
    unsafe { std::slice::from_raw_parts(start, length as usize) }
}

pub(super) fn text_or_bytes(bytes: &[u8]) -> ValueRef<'_> {
    std::str::from_utf8(bytes).map_or(ValueRef::Blob(bytes), ValueRef::Text)
}
