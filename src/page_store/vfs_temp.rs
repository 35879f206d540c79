//! Temporary files of a view's connection (sorters, temporary tables, spilled journals): the default VFS's files,
//! wrapped so that their bytes count against the view's quota.

use super::vfs::guarded;
use super::view::ViewInner;
use rusqlite::ffi;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What SQLite asks for when it wants a file that nobody else shall see.
pub(super) const TEMP_FLAGS: c_int = ffi::SQLITE_OPEN_TEMP_DB
    | ffi::SQLITE_OPEN_TRANSIENT_DB
    | ffi::SQLITE_OPEN_TEMP_JOURNAL
    | ffi::SQLITE_OPEN_SUBJOURNAL;

/// The wrapper; the default VFS's own file follows in the same memory.
#[repr(C, align(16))]
struct TempFile {
    base: ffi::sqlite3_file,
    /// Counted; given back by `close`.
    view: *const ViewInner,
    size: i64,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// Bytes that SQLite must provide for a temporary file.
pub(super) fn file_bytes() -> usize {
    // SAFETY: finding the default VFS initialises SQLite; it is there on every supported system.
    unsafe { size_of::<TempFile>() + (*default_vfs()).szOsFile as usize }
}

fn default_vfs() -> *mut ffi::sqlite3_vfs {
    // SAFETY: a plain look-up.
    let vfs = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
    assert!(!vfs.is_null(), "SQLite has a default VFS");
    vfs
}

/// The default VFS's file behind the wrapper.
unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: the caller passes memory of `file_bytes`.
    unsafe { file.cast::<TempFile>().add(1).cast() }
}

macro_rules! delegate {
    ($file:expr, $method:ident $(, $argument:expr)*) => {
        match (*(*inner($file)).pMethods).$method {
            Some(method) => method(inner($file) $(, $argument)*),
            None => ffi::SQLITE_IOERR,
        }
    };
}

/// Opens a temporary file for the connection of a view.
///
/// # Safety
/// As SQLite promises for `xOpen`: memory of `file_bytes` and a live view.
pub(super) unsafe fn open(
    view: *const ViewInner,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let vfs = default_vfs();
    // SAFETY: promised by the caller; the default VFS gets its own VFS and memory of its own size.
    unsafe {
        let Some(open) = (*vfs).xOpen else { return ffi::SQLITE_CANTOPEN };
        (*inner(file)).pMethods = ptr::null();
        let result = open(vfs, name, inner(file), flags, out_flags);
        if result == ffi::SQLITE_OK {
            Arc::increment_strong_count(view);
            file.cast::<TempFile>().write(TempFile { base: ffi::sqlite3_file { pMethods: &METHODS }, view, size: 0 });
        } else if !(*inner(file)).pMethods.is_null() {
            delegate!(file, xClose);
        }
        result
    }
}

/// Books a file's new size; false if that breaks the quota.
///
/// # Safety
/// `file` is an open temporary file.
unsafe fn resize(file: *mut ffi::sqlite3_file, size: i64) -> bool {
    // SAFETY: promised by the caller; the file keeps its view alive.
    let (temp, view) = unsafe { (&mut *file.cast::<TempFile>(), &*(*file.cast::<TempFile>()).view) };
    let growth = size - temp.size;
    if growth > 0 {
        let before = view.temp_bytes.fetch_add(growth as u64, Ordering::Relaxed);
        if before.saturating_add(growth as u64) > view.temp_bytes_max.load(Ordering::Relaxed) {
            view.temp_bytes.fetch_sub(growth as u64, Ordering::Relaxed);
            return false;
        }
    } else {
        view.temp_bytes.fetch_sub(growth.unsigned_abs(), Ordering::Relaxed);
    }
    temp.size = size;
    true
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: an open file of ours, closed once.
    guarded(|| unsafe {
        let result = delegate!(file, xClose);
        resize(file, 0);
        drop(Arc::from_raw((*file.cast::<TempFile>()).view));
        result
    })
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, target: *mut c_void, length: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite passes an open file and its own arguments on.
    unsafe { delegate!(file, xRead, target, length, offset) }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, source: *const c_void, length: c_int, offset: i64) -> c_int {
    // SAFETY: as in `read`.
    unsafe {
        let end = offset + length as i64;
        if end > (*file.cast::<TempFile>()).size && !resize(file, end) {
            return ffi::SQLITE_FULL;
        }
        delegate!(file, xWrite, source, length, offset)
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: as in `read`.
    unsafe {
        if size < (*file.cast::<TempFile>()).size {
            resize(file, size);
        }
        delegate!(file, xTruncate, size)
    }
}

unsafe extern "C" fn sync(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: as in `read`.
    unsafe { delegate!(file, xFileSize, size) }
}

unsafe extern "C" fn lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *reserved = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: as in `read`.
    unsafe { delegate!(file, xSectorSize) }
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: as in `read`.
    unsafe { delegate!(file, xDeviceCharacteristics) }
}
