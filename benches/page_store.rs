//! What a version costs: publishing, diffing, freeing, and a point SELECT through `xFetch` beside `:memory:`.
//!
//! `cargo bench --bench page_store`

use divan::{Bencher, black_box};
use evesql::page_store::{CANONICAL_SETTINGS, PageStore, READER_SETTINGS, StoreOptions, View};
use rusqlite::{Connection, OpenFlags};
use std::sync::Arc;

fn main() {
    divan::main();
}

/// Rows that fill a page each, but for the pages of the b-tree itself.
const ROWS: u32 = 100_000;

struct Big {
    connection: Connection,
    view: View,
    store: Arc<PageStore>,
}

fn connect(view: &View, settings: &str) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(view.name(), flags, view.name()).expect("open");
    connection.execute_batch(settings).expect("settings");
    connection
}

fn fill(connection: &Connection) {
    let sql = format!(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, counter INTEGER, pad TEXT);
         INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         SELECT i, 0, printf('%.*c', 2100, 'x') FROM n"
    );
    connection.execute_batch(&sql).expect("fill");
}

fn big() -> Big {
    let store = PageStore::in_memory(StoreOptions::default());
    let view = View::canonical(&store);
    let connection = connect(&view, CANONICAL_SETTINGS);
    fill(&connection);
    store.publish(&view).expect("publish");
    Big { connection, view, store }
}

impl Big {
    /// Changes one row on each of so many pages, spread over the table, and commits; publishing is left to do.
    fn dirty(&self, pages: u32, round: u32) {
        self.connection.execute_batch("BEGIN").expect("begin");
        let mut update = self.connection.prepare("UPDATE t SET counter = counter + 1 WHERE id = ?1").expect("prepare");
        for number in 0..pages {
            let id = (number as u64 * 7919 + round as u64 * 104_729) % ROWS as u64 + 1;
            update.execute([id as i64]).expect("update");
        }
        drop(update);
        self.connection.execute_batch("COMMIT").expect("commit");
    }
}

#[divan::bench(args = [1, 40, 1000], sample_count = 40, sample_size = 1)]
fn publish(bencher: Bencher, pages: u32) {
    let big = big();
    let mut round = 0;
    bencher
        .with_inputs(|| {
            round += 1;
            big.store.reclaim();
            big.dirty(pages, round);
        })
        .bench_local_values(|()| big.store.publish(&big.view).expect("publish"));
}

#[divan::bench(args = [1000], sample_count = 40, sample_size = 1)]
fn reclaim(bencher: Bencher, pages: u32) {
    let big = big();
    let mut round = 0;
    bencher
        .with_inputs(|| {
            round += 1;
            big.dirty(pages, round);
            big.store.publish(&big.view).expect("publish");
        })
        .bench_local_values(|()| big.store.reclaim());
}

#[divan::bench(args = [10])]
fn diff(bencher: Bencher, pages: u32) {
    let big = big();
    let before = big.store.head();
    big.dirty(pages, 1);
    let after = big.store.publish(&big.view).expect("publish");
    bencher.bench_local(|| big.store.diff(&before, &after).expect("diff"));
}

/// Point SELECTs by key, in a scattered order.
fn point_selects(bencher: Bencher, connection: &Connection) {
    let mut select = connection.prepare("SELECT counter FROM t WHERE id = ?1").expect("prepare");
    let mut id = 1u64;
    bencher.bench_local(|| {
        id = (id * 48_271) % ROWS as u64 + 1;
        let counter: i64 = select.query_row([id as i64], |row| row.get(0)).expect("row");
        black_box(counter)
    });
}

#[divan::bench]
fn point_select_on_a_view(bencher: Bencher) {
    let big = big();
    let view = View::new(&big.store.head());
    point_selects(bencher, &connect(&view, READER_SETTINGS));
}

#[divan::bench]
fn point_select_on_a_view_in_a_transaction(bencher: Bencher) {
    let big = big();
    let view = View::new(&big.store.head());
    let connection = connect(&view, READER_SETTINGS);
    connection.execute_batch("BEGIN").expect("begin");
    point_selects(bencher, &connection);
}

#[divan::bench]
fn point_select_in_memory_sqlite(bencher: Bencher) {
    let connection = Connection::open_in_memory().expect("open");
    fill(&connection);
    point_selects(bencher, &connection);
}

#[divan::bench]
fn repin_and_select(bencher: Bencher) {
    let big = big();
    let old = big.store.head();
    big.dirty(10, 1);
    let new = big.store.publish(&big.view).expect("publish");
    let view = View::new(&old);
    let connection = connect(&view, READER_SETTINGS);
    let mut select = connection.prepare("SELECT counter FROM t WHERE id = 5").expect("prepare");
    let mut is_new = false;
    bencher.bench_local(|| {
        is_new = !is_new;
        view.repin(if is_new { &new } else { &old }).expect("re-pin");
        select.query_row([], |row| row.get::<_, i64>(0)).expect("row")
    });
}
