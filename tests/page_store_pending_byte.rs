//! The page that holds SQLite's lock bytes is never written; the tree takes it as zeros. A test of its own process,
//! because SQLite knows one such place per process, and this lowers it from 1 GiB to where a small database has it.

use evesql::page::Hash;
use evesql::page_store::{CANONICAL_SETTINGS, PageStore, StoreOptions, View};
use rusqlite::{Connection, OpenFlags};
use std::ffi::c_int;

const PENDING_BYTE: u32 = 0x10_000;
const PENDING_BYTE_PAGE: u32 = PENDING_BYTE / 4096 + 1;

#[test]
fn a_database_grows_over_the_page_of_the_lock_bytes() {
    // SAFETY: no connection is open yet in this process.
    let old = unsafe {
        rusqlite::ffi::sqlite3_test_control(rusqlite::ffi::SQLITE_TESTCTRL_PENDING_BYTE as c_int, PENDING_BYTE)
    };
    assert_eq!(old, 1 << 30);
    let options = StoreOptions { pending_byte_page: PENDING_BYTE_PAGE, ..StoreOptions::default() };
    let store = PageStore::in_memory(options);
    let view = View::canonical(&store);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(view.name(), flags, view.name()).expect("open");
    connection.execute_batch(CANONICAL_SETTINGS).expect("settings");
    let fill = "CREATE TABLE t(x);
        INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
        SELECT printf('%.*c', 1500, 'x') FROM n";
    connection.execute_batch(fill).expect("fill");
    let head = store.publish(&view).expect("publish");
    assert!(head.page_count() > 2 * PENDING_BYTE_PAGE);
    assert_eq!(head.page_hash(PENDING_BYTE_PAGE).expect("hash"), Hash::default());
    assert_eq!(*head.page(PENDING_BYTE_PAGE).expect("page"), [0; 4096]);
    assert!(
        (1..=head.page_count())
            .all(|page| page == PENDING_BYTE_PAGE || head.page_hash(page).expect("hash") != Hash::default())
    );
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("check");
    assert_eq!(verdict, "ok");
}
