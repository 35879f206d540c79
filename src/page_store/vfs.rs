//! The SQLite file system: each view is a VFS with one file in it, so SQLite's calls that only name the VFS (the clock,
//! temporary files) still know their view.
//!
//! `xFetch` hands out addresses inside the tree's frames. Locks only mark the view as in use, because one view belongs
//! to one connection. A journal or WAL file never exists, and asking for one is an error: a connection that forgot
//! `journal_mode=MEMORY` fails at its first write. Temporary files are real ones, under the view's quota (`vfs_temp`).
//!
//! F1. No panic crosses into C: every entry point catches it and answers with an error.
//! F2. Between the first lock and the last unlock of a transaction the connection holds the view's flag, so calls in
//! between reach its state without asking again.

use super::view::{ViewInner, ViewState};
use super::{StoreError, vfs_temp};
use crate::page::PAGE_SIZE;
use rusqlite::ffi;
use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// 2000-01-01 00:00 UTC as SQLite counts time: milliseconds of Julian days.
const JULIAN_MS_OF_2000: i64 = 211_813_444_800_000;
/// Where the pager reads the 16 bytes by which it notices that another connection wrote.
const VERSION_OFFSET: i64 = 24;
const VERSION_BYTES: usize = 16;
/// Stands for no database that can be: its page count would be above SQLite's limit of its free list.
const DISHONEST: u8 = 0xfe;

/// Memory of a view's `sqlite3_vfs`, linked into SQLite's list while the `View` lives and used by its connection
/// until that closes its last file.
pub(super) struct Registration(UnsafeCell<MaybeUninit<ffi::sqlite3_vfs>>);

impl Registration {
    pub fn new() -> Self {
        Registration(UnsafeCell::new(MaybeUninit::zeroed()))
    }
}

/// A name that no other view of the process has.
pub(super) fn next_name() -> CString {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    CString::new(format!("evesql-view-{}", NEXT.fetch_add(1, Ordering::Relaxed))).expect("no zero byte in it")
}

/// Lets SQLite find the view by its name.
pub(super) fn register(inner: &Arc<ViewInner>) {
    let vfs = ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<ViewFile>().max(vfs_temp::file_bytes()) as c_int,
        mxPathname: 512,
        pNext: ptr::null_mut(),
        zName: inner.c_name().as_ptr(),
        pAppData: Arc::as_ptr(inner).cast_mut().cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: Some(dl_open),
        xDlError: Some(dl_error),
        xDlSym: Some(dl_sym),
        xDlClose: Some(dl_close),
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: Some(current_time_ms),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    };
    // SAFETY: nobody else knows the view yet, so its registration is ours to write; it does not move, for it lies in
    // the `Arc`, which lives until the view is unregistered and the last file is closed.
    let result = unsafe {
        let place = (*inner.vfs.0.get()).as_mut_ptr();
        place.write(vfs);
        ffi::sqlite3_vfs_register(place, 0)
    };
    assert_eq!(result, ffi::SQLITE_OK, "SQLite takes a VFS");
}

/// Takes the view out of SQLite's list.
pub(super) fn unregister(inner: &Arc<ViewInner>) {
    // SAFETY: registered once by `register`; SQLite locks its list.
    unsafe { ffi::sqlite3_vfs_unregister((*inner.vfs.0.get()).as_mut_ptr()) };
}

/// The open database file of a view, in memory that SQLite allocates.
#[repr(C)]
struct ViewFile {
    base: ffi::sqlite3_file,
    /// Counted; given back by `close`.
    view: *const ViewInner,
    level: c_int,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};

/// F1.
#[inline]
pub(super) fn guarded(call: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(ffi::SQLITE_IOERR)
}

fn code(error: &StoreError) -> c_int {
    match error {
        StoreError::Damaged { .. } | StoreError::DamagedNode { .. } => ffi::SQLITE_IOERR_CORRUPTFS,
        StoreError::OutOfMemory => ffi::SQLITE_IOERR_NOMEM,
        _ => ffi::SQLITE_IOERR_READ,
    }
}

/// Runs a call on the state of a file's view (F2).
///
/// # Safety
/// `file` is an open `ViewFile`, and SQLite makes one call on it at a time.
#[inline]
unsafe fn with_state(
    file: *mut ffi::sqlite3_file,
    call: impl FnOnce(&mut ViewState) -> Result<c_int, StoreError>,
) -> c_int {
    guarded(|| {
        // SAFETY: promised by the caller; the file keeps its view alive.
        let (file, view) = unsafe { (&*file.cast::<ViewFile>(), &*(*file.cast::<ViewFile>()).view) };
        let held = file.level > ffi::SQLITE_LOCK_NONE;
        if !held && !view.try_lock() {
            return ffi::SQLITE_BUSY;
        }
        // SAFETY: the flag is held, by the transaction or by this call.
        let result = catch_unwind(AssertUnwindSafe(|| call(unsafe { view.state() })));
        if !held {
            view.unlock();
        }
        match result {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => code(&error),
            Err(_) => ffi::SQLITE_IOERR,
        }
    })
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes the VFS that was registered, whose view lives, and `szOsFile` bytes for the file.
        let view = unsafe {
            (*file).pMethods = ptr::null();
            (*vfs).pAppData.cast_const().cast::<ViewInner>()
        };
        if flags & vfs_temp::TEMP_FLAGS != 0 {
            // SAFETY: as above.
            return unsafe { vfs_temp::open(view, name, file, flags, out_flags) };
        }
        // SAFETY: as above; a name ends with zero.
        let is_ours = flags & ffi::SQLITE_OPEN_MAIN_DB != 0
            && !name.is_null()
            && unsafe { CStr::from_ptr(name) == (*view).c_name() };
        // SAFETY: as above.
        if !is_ours || unsafe { &*view }.connected.swap(true, Ordering::AcqRel) {
            return ffi::SQLITE_CANTOPEN;
        }
        // SAFETY: the pointer came from `Arc::as_ptr`, and the count that this adds is the file's.
        unsafe {
            Arc::increment_strong_count(view);
            file.cast::<ViewFile>().write(ViewFile { base: ffi::sqlite3_file { pMethods: &METHODS }, view, level: 0 });
            if !out_flags.is_null() {
                *out_flags = flags;
            }
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    guarded(|| {
        // SAFETY: an open file of ours; its count is given back once, as SQLite closes once.
        unsafe {
            let view = (*file.cast::<ViewFile>()).view;
            if (*file.cast::<ViewFile>()).level > ffi::SQLITE_LOCK_NONE {
                (*view).unlock();
            }
            (*view).connected.store(false, Ordering::Release);
            drop(Arc::from_raw(view));
        }
        ffi::SQLITE_OK
    })
}

/// The parts of a byte range that lie in one page each: (page, offset in it, range in the buffer).
fn parts(offset: i64, length: usize) -> impl Iterator<Item = (u32, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let position = offset as u64 + done as u64;
        let within = (position % PAGE_SIZE as u64) as usize;
        let part = done..length.min(done + PAGE_SIZE - within);
        done = part.end;
        Some(((position / PAGE_SIZE as u64) as u32 + 1, within, part))
    })
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, target: *mut c_void, length: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite passes an open file and a buffer of so many bytes, which may be uninitialised: zeroed first.
    unsafe {
        target.cast::<u8>().write_bytes(0, length as usize);
        with_state(file, |state| {
            let target = std::slice::from_raw_parts_mut(target.cast::<u8>(), length as usize);
            if state.reset_cache && offset == VERSION_OFFSET && length as usize == VERSION_BYTES {
                state.reset_cache = false;
                target.fill(DISHONEST);
                return Ok(ffi::SQLITE_OK);
            }
            let file_bytes = state.page_count() as i64 * PAGE_SIZE as i64;
            let available = (file_bytes - offset).clamp(0, length as i64) as usize;
            for (page, within, part) in parts(offset, available) {
                state.read(page, within, &mut target[part])?;
            }
            Ok(if available < length as usize { ffi::SQLITE_IOERR_SHORT_READ } else { ffi::SQLITE_OK })
        })
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, source: *const c_void, length: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite passes an open file and so many bytes.
    unsafe {
        with_state(file, |state| {
            let source = std::slice::from_raw_parts(source.cast::<u8>(), length as usize);
            for (page, within, part) in parts(offset, source.len()) {
                state.write(page, within, &source[part])?;
            }
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe {
        with_state(file, |state| {
            state.truncate((size as u64).div_ceil(PAGE_SIZE as u64) as u32);
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn sync(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: SQLite passes an open file and a place for the answer.
    unsafe {
        with_state(file, |state| {
            *size = state.page_count() as i64 * PAGE_SIZE as i64;
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes an open file, and makes one call on it at a time.
        let file = unsafe { &mut *file.cast::<ViewFile>() };
        // SAFETY: the file keeps its view alive.
        if file.level == ffi::SQLITE_LOCK_NONE && level > file.level && !unsafe { &*file.view }.try_lock() {
            return ffi::SQLITE_BUSY;
        }
        file.level = file.level.max(level);
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    guarded(|| {
        // SAFETY: as in `lock`.
        let file = unsafe { &mut *file.cast::<ViewFile>() };
        if file.level > ffi::SQLITE_LOCK_NONE && level == ffi::SQLITE_LOCK_NONE {
            // SAFETY: as in `lock`.
            unsafe { &*file.view }.unlock();
        }
        file.level = file.level.min(level);
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *reserved = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, operation: c_int, argument: *mut c_void) -> c_int {
    guarded(|| match operation {
        ffi::SQLITE_FCNTL_MMAP_SIZE => {
            // SAFETY: for this operation SQLite passes an i64, read and written.
            unsafe {
                let asked = *argument.cast::<i64>();
                let size = &(*(*file.cast::<ViewFile>()).view).mmap_size;
                *argument.cast::<i64>() = size.load(Ordering::Relaxed);
                if asked >= 0 {
                    size.store(asked, Ordering::Relaxed);
                }
            }
            ffi::SQLITE_OK
        }
        ffi::SQLITE_FCNTL_HAS_MOVED => {
            // SAFETY: for this operation SQLite passes a place for an int.
            unsafe { *argument.cast::<c_int>() = 0 };
            ffi::SQLITE_OK
        }
        _ => ffi::SQLITE_NOTFOUND,
    })
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    PAGE_SIZE as c_int
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    // Without POWERSAFE_OVERWRITE the pager would journal neighbours of a page too.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE | ffi::SQLITE_IOCAP_SAFE_APPEND | ffi::SQLITE_IOCAP_SEQUENTIAL
}

unsafe extern "C" fn fetch(
    file: *mut ffi::sqlite3_file,
    offset: i64,
    length: c_int,
    address: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite passes an open file and a place for the answer.
    unsafe {
        *address = ptr::null_mut();
        if length as usize != PAGE_SIZE || offset % PAGE_SIZE as i64 != 0 {
            return ffi::SQLITE_OK;
        }
        with_state(file, |state| {
            let page = (offset / PAGE_SIZE as i64) as u32 + 1;
            if let Some(found) = state.fetch(page)? {
                *address = found.cast_mut().cast();
            }
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn unfetch(file: *mut ffi::sqlite3_file, offset: i64, address: *mut c_void) -> c_int {
    if address.is_null() {
        return ffi::SQLITE_OK;
    }
    // SAFETY: SQLite passes an open file and an address that `fetch` gave for the same offset.
    unsafe {
        with_state(file, |state| {
            state.unfetch((offset / PAGE_SIZE as i64) as u32 + 1, address.cast());
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, _: *const c_char, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, _: *const c_char, _: c_int, exists: *mut c_int) -> c_int {
    // SAFETY: SQLite passes a place for the answer. There is no journal and no WAL.
    unsafe { *exists = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    full: *mut c_char,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes a name that ends with zero, and `room` bytes for the answer.
        unsafe {
            let bytes = CStr::from_ptr(name).to_bytes_with_nul();
            if bytes.len() > room as usize {
                return ffi::SQLITE_CANTOPEN;
            }
            ptr::copy_nonoverlapping(bytes.as_ptr().cast(), full, bytes.len());
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn dl_open(_: *mut ffi::sqlite3_vfs, _: *const c_char) -> *mut c_void {
    ptr::null_mut()
}

unsafe extern "C" fn dl_error(_: *mut ffi::sqlite3_vfs, room: c_int, message: *mut c_char) {
    if room > 0 {
        // SAFETY: SQLite passes `room` bytes.
        unsafe { *message = 0 };
    }
}

type Symbol = unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *mut c_void, *const c_char);

unsafe extern "C" fn dl_sym(_: *mut ffi::sqlite3_vfs, _: *mut c_void, _: *const c_char) -> Option<Symbol> {
    None
}

unsafe extern "C" fn dl_close(_: *mut ffi::sqlite3_vfs, _: *mut c_void) {}

/// Only the default VFS seeds SQLite's generator, and this is none: whatever asks gets the same bytes everywhere.
unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, length: c_int, target: *mut c_char) -> c_int {
    // SAFETY: SQLite passes so many bytes.
    unsafe { target.write_bytes(0x5a, length as usize) };
    length
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

unsafe extern "C" fn current_time_ms(vfs: *mut ffi::sqlite3_vfs, time: *mut i64) -> c_int {
    // SAFETY: SQLite passes the VFS that was registered, whose view lives while its connection does, and a place for
    // the answer.
    unsafe {
        let view = &*(*vfs).pAppData.cast_const().cast::<ViewInner>();
        *time = JULIAN_MS_OF_2000 + view.clock_us.load(Ordering::Relaxed).div_euclid(1000);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, time: *mut f64) -> c_int {
    let mut milliseconds = 0;
    // SAFETY: as in `current_time_ms`.
    unsafe {
        current_time_ms(vfs, &mut milliseconds);
        *time = milliseconds as f64 / 86_400_000.0;
    }
    ffi::SQLITE_OK
}
