//! Which SQLite this is.

use rusqlite::ffi;
use std::ffi::CStr;

/// The source id of the bundled SQLite, then its compile-time options: what two replicas must have alike to
/// write the same bytes (rule 16).
pub fn build() -> Vec<String> {
    // SAFETY: SQLite gives static C strings; the options end with null.
    unsafe {
        let mut lines = vec![CStr::from_ptr(ffi::sqlite3_sourceid()).to_string_lossy().into_owned()];
        for number in 0.. {
            let option = ffi::sqlite3_compileoption_get(number);
            if option.is_null() {
                break;
            }
            lines.push(CStr::from_ptr(option).to_string_lossy().into_owned());
        }
        lines
    }
}
