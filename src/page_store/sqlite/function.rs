//! SQL functions, aggregates and collations written in Rust.

use super::connection::{Connection, Handle, c_string};
use super::error::SqliteError;
use super::statement::{bytes_at, text_or_bytes};
use crate::transaction::{SqlError, Value, ValueRef};
use rusqlite::ffi;
use std::cmp::Ordering;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};

/// What SQLite may assume of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionFlags {
    /// Same arguments, same result: usable in indexes and generated columns.
    pub deterministic: bool,
    /// Usable in the schema (defaults, checks, triggers, views) though the schema is not trusted.
    pub innocuous: bool,
}

impl FunctionFlags {
    /// Same arguments, same result, no effects.
    pub const PURE: FunctionFlags = FunctionFlags { deterministic: true, innocuous: true };
    /// Depends on the transaction's context, and may stand in a column's default.
    pub const CONTEXT: FunctionFlags = FunctionFlags { deterministic: false, innocuous: true };

    fn code(self) -> c_int {
        let mut code = ffi::SQLITE_UTF8;
        if self.deterministic {
            code |= ffi::SQLITE_DETERMINISTIC;
        }
        if self.innocuous {
            code |= ffi::SQLITE_INNOCUOUS;
        }
        code
    }
}

/// The running state of an aggregate; also usable as a window function.
pub trait Aggregate {
    /// Takes one row.
    fn step(&mut self, arguments: &[ValueRef<'_>]) -> Result<(), SqlError>;
    /// The result over the rows so far.
    fn value(&self) -> Result<Value, SqlError>;
    /// Takes a row out again, for sliding window frames.
    fn inverse(&mut self, _arguments: &[ValueRef<'_>]) -> Result<(), SqlError> {
        Err(SqlError::new("0A000", "this aggregate cannot be used over a sliding window frame"))
    }
}

type Scalar = Box<dyn Fn(&[ValueRef<'_>]) -> Result<Value, SqlError>>;
type MakeAggregate = Box<dyn Fn() -> Box<dyn Aggregate>>;
type Compare = Box<dyn Fn(&[u8], &[u8]) -> Ordering>;

/// What SQLite keeps for a function: our closure, and where to leave the error that it raises. Weak,
/// because the connection owns the function.
struct Registered<F> {
    function: F,
    handle: Weak<Handle>,
}

impl Connection {
    /// Registers a function with `arguments` arguments (-1: any number).
    pub fn register_function(
        &self,
        name: &str,
        arguments: i32,
        flags: FunctionFlags,
        function: impl Fn(&[ValueRef<'_>]) -> Result<Value, SqlError> + 'static,
    ) -> Result<(), SqliteError> {
        let name = c_string(name)?;
        let boxed: Scalar = Box::new(function);
        let application = self.registered(boxed);
        // SAFETY: `application` is a boxed `Registered<Scalar>`, which `call_scalar` expects and
        // `destroy` frees exactly once, also when this call fails.
        let result = unsafe {
            ffi::sqlite3_create_function_v2(
                self.raw(),
                name.as_ptr(),
                arguments,
                flags.code(),
                application,
                Some(call_scalar),
                None,
                None,
                Some(destroy::<Registered<Scalar>>),
            )
        };
        self.check(result)
    }

    /// Registers an aggregate; `make` begins one for each group of rows.
    pub fn register_aggregate(
        &self,
        name: &str,
        arguments: i32,
        flags: FunctionFlags,
        make: impl Fn() -> Box<dyn Aggregate> + 'static,
    ) -> Result<(), SqliteError> {
        let name = c_string(name)?;
        let boxed: MakeAggregate = Box::new(make);
        let application = self.registered(boxed);
        // SAFETY: as in `register_function`, with the aggregate's callbacks.
        let result = unsafe {
            ffi::sqlite3_create_window_function(
                self.raw(),
                name.as_ptr(),
                arguments,
                flags.code(),
                application,
                Some(aggregate_step),
                Some(aggregate_final),
                Some(aggregate_value),
                Some(aggregate_inverse),
                Some(destroy::<Registered<MakeAggregate>>),
            )
        };
        self.check(result)
    }

    /// Registers a collation over UTF-8 bytes.
    pub fn register_collation(
        &self,
        name: &str,
        compare: impl Fn(&[u8], &[u8]) -> Ordering + 'static,
    ) -> Result<(), SqliteError> {
        let name = c_string(name)?;
        let boxed: Box<Compare> = Box::new(Box::new(compare));
        let application = Box::into_raw(boxed);
        // SAFETY: `application` is a boxed `Compare`, which `call_collation` expects and `destroy` frees.
        let result = unsafe {
            ffi::sqlite3_create_collation_v2(
                self.raw(),
                name.as_ptr(),
                ffi::SQLITE_UTF8,
                application.cast(),
                Some(call_collation),
                Some(destroy::<Compare>),
            )
        };
        if result != ffi::SQLITE_OK {
            // SAFETY: alone among these calls, this one does not free its argument when it fails.
            drop(unsafe { Box::from_raw(application) });
        }
        self.check(result)
    }

    fn registered<F>(&self, function: F) -> *mut c_void {
        Box::into_raw(Box::new(Registered { function, handle: Rc::downgrade(&self.handle) })).cast()
    }
}

unsafe extern "C" fn destroy<T>(application: *mut c_void) {
    // SAFETY: registered with a pointer to a boxed `T`, and SQLite calls this once.
    drop(unsafe { Box::from_raw(application.cast::<T>()) });
}

/// Calls `run` with the arguments as values and hands its result to SQLite. A panic becomes an error: it
/// must not unwind through C.
///
/// # Safety
/// `context` and `arguments` are what SQLite gave to the calling callback.
unsafe fn answer(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
    handle: &Weak<Handle>,
    run: impl FnOnce(&[ValueRef<'_>]) -> Result<Option<Value>, SqlError>,
) {
    let mut few = [ValueRef::Null; 8];
    let many: Vec<ValueRef<'_>>;
    let count = count.max(0) as usize;
    // SAFETY: SQLite gives `count` arguments; they live through the callback.
    let argument = |index: usize| unsafe { value_ref(*arguments.add(index)) };
    let values = if count <= few.len() {
        (0..count).for_each(|index| few[index] = argument(index));
        &few[..count]
    } else {
        many = (0..count).map(argument).collect();
        &many[..]
    };
    let result = catch_unwind(AssertUnwindSafe(|| run(values)))
        .unwrap_or_else(|_| Err(SqlError::new("XX000", "a function of EveSQL panicked")));
    // SAFETY: the context is the callback's own.
    unsafe {
        match result {
            Ok(Some(value)) => set_result(context, &value),
            Ok(None) => {}
            Err(error) => {
                set_error(context, &error);
                if let Some(handle) = handle.upgrade() {
                    handle.raised.replace(Some(error));
                }
            }
        }
    }
}

/// # Safety
/// `value` is an argument of the running callback.
pub(super) unsafe fn value_ref<'a>(value: *mut ffi::sqlite3_value) -> ValueRef<'a> {
    // SAFETY: only the accessor of the value's own type is called, so nothing moves while it is borrowed.
    unsafe {
        match ffi::sqlite3_value_type(value) {
            ffi::SQLITE_INTEGER => ValueRef::Integer(ffi::sqlite3_value_int64(value)),
            ffi::SQLITE_FLOAT => ValueRef::Real(ffi::sqlite3_value_double(value)),
            ffi::SQLITE_TEXT => {
                let start = ffi::sqlite3_value_text(value);
                text_or_bytes(bytes_at(start, ffi::sqlite3_value_bytes(value)))
            }
            ffi::SQLITE_BLOB => {
                let start = ffi::sqlite3_value_blob(value);
                ValueRef::Blob(bytes_at(start.cast(), ffi::sqlite3_value_bytes(value)))
            }
            _ => ValueRef::Null,
        }
    }
}

/// # Safety
/// `context` is the running callback's.
unsafe fn set_result(context: *mut ffi::sqlite3_context, value: &Value) {
    let copy = ffi::SQLITE_TRANSIENT();
    // SAFETY: SQLite copies text and bytes before the calls return.
    unsafe {
        match value {
            Value::Null => ffi::sqlite3_result_null(context),
            Value::Integer(number) => ffi::sqlite3_result_int64(context, *number),
            Value::Real(number) => ffi::sqlite3_result_double(context, *number),
            Value::Text(text) => ffi::sqlite3_result_text64(
                context,
                text.as_ptr().cast(),
                text.len() as u64,
                copy,
                ffi::SQLITE_UTF8 as u8,
            ),
            Value::Blob(bytes) => ffi::sqlite3_result_blob64(context, bytes.as_ptr().cast(), bytes.len() as u64, copy),
        }
    }
}

/// # Safety
/// `context` is the running callback's.
unsafe fn set_error(context: *mut ffi::sqlite3_context, error: &SqlError) {
    let message = error.message.as_bytes();
    // SAFETY: SQLite copies the message.
    unsafe { ffi::sqlite3_result_error(context, message.as_ptr().cast(), message.len() as c_int) };
}

unsafe extern "C" fn call_scalar(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: registered with a boxed `Registered<Scalar>`, which lives while the function does.
    unsafe {
        let registered = &*ffi::sqlite3_user_data(context).cast::<Registered<Scalar>>();
        answer(context, count, arguments, &registered.handle, |values| (registered.function)(values).map(Some));
    }
}

/// The state of the group of rows that `context` stands for; made on the first call if `make` is given.
///
/// # Safety
/// `context` belongs to a running callback of an aggregate registered here.
unsafe fn state<'a>(
    context: *mut ffi::sqlite3_context,
    make: Option<&MakeAggregate>,
) -> Option<&'a mut Option<Box<dyn Aggregate>>> {
    let size = if make.is_some() { size_of::<Option<Box<Option<Box<dyn Aggregate>>>>>() as c_int } else { 0 };
    // SAFETY: SQLite gives zeroed memory of that size, the same for each row of the group, or null. All
    // zero is `None` of an optional box; nothing else is ever stored there.
    unsafe {
        let slot = ffi::sqlite3_aggregate_context(context, size).cast::<Option<Box<Option<Box<dyn Aggregate>>>>>();
        let slot = slot.as_mut()?;
        if let (None, Some(make)) = (&slot, make) {
            *slot = Some(Box::new(Some(make())));
        }
        slot.as_mut().map(|boxed| &mut **boxed)
    }
}

fn too_little_memory() -> SqlError {
    SqlError::new("53200", "out of memory in an aggregate")
}

/// # Safety
/// Called by SQLite for an aggregate registered here.
unsafe fn feed(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
    take: impl FnOnce(&mut dyn Aggregate, &[ValueRef<'_>]) -> Result<(), SqlError>,
) {
    // SAFETY: registered with a boxed `Registered<MakeAggregate>`.
    unsafe {
        let registered = &*ffi::sqlite3_user_data(context).cast::<Registered<MakeAggregate>>();
        answer(context, count, arguments, &registered.handle, |values| {
            let aggregate = state(context, Some(&registered.function)).and_then(Option::as_mut);
            take(&mut **aggregate.ok_or_else(too_little_memory)?, values).map(|()| None)
        });
    }
}

unsafe extern "C" fn aggregate_step(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: called by SQLite.
    unsafe { feed(context, count, arguments, |aggregate, values| aggregate.step(values)) }
}

unsafe extern "C" fn aggregate_inverse(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: called by SQLite.
    unsafe { feed(context, count, arguments, |aggregate, values| aggregate.inverse(values)) }
}

unsafe extern "C" fn aggregate_value(context: *mut ffi::sqlite3_context) {
    // SAFETY: registered with a boxed `Registered<MakeAggregate>`.
    unsafe {
        let registered = &*ffi::sqlite3_user_data(context).cast::<Registered<MakeAggregate>>();
        answer(context, 0, std::ptr::null_mut(), &registered.handle, |_| {
            match state(context, None).and_then(|state| state.as_ref()) {
                Some(aggregate) => aggregate.value().map(Some),
                None => (registered.function)().value().map(Some), // no rows at all
            }
        });
    }
}

unsafe extern "C" fn aggregate_final(context: *mut ffi::sqlite3_context) {
    // SAFETY: as in `aggregate_value`; SQLite calls this once for a group, last, so the box in its memory
    // is taken out and freed here.
    unsafe {
        aggregate_value(context);
        let slot = ffi::sqlite3_aggregate_context(context, 0).cast::<Option<Box<Option<Box<dyn Aggregate>>>>>();
        if let Some(slot) = slot.as_mut() {
            slot.take();
        }
    }
}

unsafe extern "C" fn call_collation(
    application: *mut c_void,
    left_length: c_int,
    left: *const c_void,
    right_length: c_int,
    right: *const c_void,
) -> c_int {
    // SAFETY: registered with a boxed `Compare`; SQLite gives both texts with their lengths.
    let (compare, left, right) = unsafe {
        (&*application.cast::<Compare>(), bytes_at(left.cast(), left_length), bytes_at(right.cast(), right_length))
    };
    // A panic must not unwind through C; a comparison that fails counts as equal.
    catch_unwind(AssertUnwindSafe(|| compare(left, right))).map_or(0, |order| order as c_int)
}
