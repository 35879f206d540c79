//! The page store through SQLite: random transactions on a canonical view against stock SQLite, roots that depend on
//! the bytes alone, roll back, readers beside the writer, reclamation, damage.

use evesql::page::{PAGE_SIZE, PageNumber};
use evesql::page_store::{CANONICAL_SETTINGS, PageStore, READER_SETTINGS, Snapshot, StoreError, StoreOptions, View};
use rusqlite::{Connection, OpenFlags};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A canonical or reading connection; the connection goes before its view.
struct Session {
    connection: Connection,
    view: View,
}

fn open(view: View, settings: &str, cache_pages: u32) -> Session {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(view.name(), flags, view.name()).expect("open a view");
    connection.execute_batch(settings).expect("settings");
    connection.execute_batch(&format!("PRAGMA cache_size={cache_pages}")).expect("cache size");
    Session { connection, view }
}

fn writer(store: &Arc<PageStore>, cache_pages: u32) -> Session {
    open(View::canonical(store), CANONICAL_SETTINGS, cache_pages)
}

fn reader(snapshot: &Snapshot) -> Session {
    open(View::new(snapshot), READER_SETTINGS, 100)
}

fn in_memory() -> Arc<PageStore> {
    PageStore::in_memory(StoreOptions::default())
}

/// A small reproducible generator (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

const SCHEMA: &str = "
    CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, price INTEGER, note BLOB);
    CREATE INDEX item_name ON item(name);
    CREATE TABLE pair(a INTEGER, b TEXT, c REAL, PRIMARY KEY(a, b)) WITHOUT ROWID;
    CREATE TABLE trail(id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT);
    CREATE TRIGGER item_gone AFTER DELETE ON item BEGIN INSERT INTO trail(what) VALUES (old.name); END;
    CREATE VIRTUAL TABLE words USING fts5(body);
";

const QUERIES: [&str; 5] = [
    "SELECT id, name, price, hex(note) FROM item ORDER BY id",
    "SELECT a, b, c FROM pair ORDER BY a, b",
    "SELECT id, what FROM trail ORDER BY id",
    "SELECT rowid, body FROM words ORDER BY rowid",
    "SELECT count(*) FROM words WHERE words MATCH 'red'",
];

/// One statement; some fail on a constraint.
fn statement(random: &mut Random) -> String {
    let id = random.below(300);
    let text = ["red", "green", "blue", "amber", "violet"][random.below(5) as usize];
    match random.below(12) {
        0..=3 => {
            let (price, bytes) = (random.below(1000), random.below(3000));
            format!("INSERT INTO item VALUES ({id}, '{text} {id}', {price}, printf('%.*c', {bytes}, 'x'))")
        }
        4 => {
            let bytes = random.below(20_000);
            format!("INSERT OR REPLACE INTO item VALUES ({id}, '{text}', 1, printf('%.*c', {bytes}, 'y'))")
        }
        5 => format!("UPDATE item SET price = price + {id}, name = name || '{text}' WHERE id % 7 = {}", id % 7),
        6 => format!("DELETE FROM item WHERE id BETWEEN {id} AND {}", id + random.below(30)),
        7..=8 => format!("INSERT INTO pair VALUES ({}, '{text}', {id}.5)", id % 50),
        9 => format!("DELETE FROM pair WHERE a = {}", id % 50),
        10 => format!("INSERT INTO words(body) VALUES ('{text} and {id}')"),
        _ => format!("DELETE FROM words WHERE rowid = {}", id % 40),
    }
}

/// One batch: a transaction of statements, some inside savepoints that are rolled back, some failing.
fn batch(random: &mut Random) -> Vec<String> {
    let mut statements = vec!["BEGIN".to_string()];
    for _ in 0..random.below(12) + 1 {
        statements.push("SAVEPOINT one".into());
        for _ in 0..random.below(3) + 1 {
            statements.push(statement(random));
        }
        if random.below(4) == 0 {
            statements.push("ROLLBACK TO one".into());
        }
        statements.push("RELEASE one".into());
    }
    statements.push(if random.below(10) == 0 { "ROLLBACK".into() } else { "COMMIT".into() });
    statements
}

/// Runs statements and returns their errors.
fn run(connection: &Connection, statements: &[String]) -> Vec<String> {
    let error = |sql: &String| connection.execute_batch(sql).err().map_or(String::new(), |error| error.to_string());
    statements.iter().map(error).collect()
}

type Rows = Vec<Vec<rusqlite::types::Value>>;

fn rows(connection: &Connection, sql: &str) -> Rows {
    let mut statement = connection.prepare(sql).expect("prepare");
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).expect("query");
    rows.collect::<Result<_, _>>().expect("rows")
}

fn all_rows(connection: &Connection) -> Vec<Rows> {
    QUERIES.iter().map(|sql| rows(connection, sql)).collect()
}

fn number(session: &Session, sql: &str) -> i64 {
    session.connection.query_row(sql, [], |row| row.get(0)).expect("a number")
}

fn assert_integrity(connection: &Connection) {
    let verdict: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("integrity check");
    assert_eq!(verdict, "ok");
}

fn assert_sound(store: &Arc<PageStore>, snapshot: &Snapshot) {
    assert_eq!(store.rehash(snapshot), [] as [PageNumber; 0]);
}

/// With no pins and nothing retired, the store holds the head's pages and nodes only.
fn assert_everything_is_freed(store: &Arc<PageStore>, session: Session) {
    drop(session);
    store.reclaim();
    let head = store.head();
    let exists = |page: &PageNumber| head.page_hash(*page).expect("hash") != Default::default();
    let pages = (1..=head.page_count()).filter(exists).count();
    let stats = store.stats();
    assert_eq!((stats.frames, stats.descriptors, stats.retired), (pages, pages, 0));
    let mut nodes = 0;
    for level in 0..evesql::page_store::height(head.page_count()) {
        let width = head.page_count().div_ceil(64u32.pow(level + 1));
        let exists = |index: &u32| head.children(level, *index).expect("children") != [Default::default(); 64];
        nodes += (0..width).filter(exists).count();
    }
    assert_eq!(stats.nodes, nodes);
}

#[test]
fn random_transactions_give_the_rows_of_stock_sqlite() {
    for seed in 0..4 {
        let store = in_memory();
        let ours = writer(&store, if seed % 2 == 0 { 2000 } else { 12 });
        let stock = Connection::open_in_memory().expect("stock SQLite");
        let mut random = Random(seed);
        for connection in [&ours.connection, &stock] {
            connection.execute_batch(SCHEMA).expect("schema");
        }
        store.publish(&ours.view).expect("publish");
        for number in 0..60 {
            let statements = batch(&mut random);
            assert_eq!(run(&ours.connection, &statements), run(&stock, &statements), "seed {seed} batch {number}");
            let snapshot = store.publish(&ours.view).expect("publish");
            if number % 10 == 9 {
                store.reclaim();
                let check = reader(&snapshot);
                assert_eq!(all_rows(&check.connection), all_rows(&stock), "seed {seed} batch {number}");
                assert_integrity(&check.connection);
                assert_sound(&store, &snapshot);
            }
        }
        assert_eq!(all_rows(&ours.connection), all_rows(&stock));
    }
}

/// How the canonical connection is treated between batches.
#[derive(Clone, Copy)]
struct Past {
    cache_pages: u32,
    reopen_every: u32,
    repin: bool,
}

/// The roots after each batch of a seed.
fn roots(seed: u64, past: Past) -> Vec<evesql::page::Hash> {
    let store = in_memory();
    let mut session = writer(&store, past.cache_pages);
    session.connection.execute_batch(SCHEMA).expect("schema");
    let mut roots = vec![store.publish(&session.view).expect("publish").root()];
    let mut random = Random(seed);
    for number in 1..=50 {
        run(&session.connection, &batch(&mut random));
        roots.push(store.publish(&session.view).expect("publish").root());
        if past.reopen_every != 0 && number % past.reopen_every == 0 {
            drop(session);
            session = writer(&store, past.cache_pages);
        }
        if past.repin {
            let early = View::new(&store.head());
            session.view.repin(&early.snapshot().expect("snapshot")).expect("re-pin");
            session.connection.execute_batch("PRAGMA writable_schema=RESET").expect("reset");
        }
    }
    roots
}

#[test]
fn roots_do_not_depend_on_cache_size_or_on_the_connections_past() {
    for seed in 10..16 {
        let plain = roots(seed, Past { cache_pages: 5000, reopen_every: 0, repin: false });
        let spilling = roots(seed, Past { cache_pages: 12, reopen_every: 0, repin: false });
        assert_eq!(spilling, plain, "a cache of 12 pages spills");
        let reopened = roots(seed, Past { cache_pages: 5000, reopen_every: 3, repin: false });
        assert_eq!(reopened, plain, "reopened connections");
        let repinned = roots(seed, Past { cache_pages: 40, reopen_every: 7, repin: true });
        assert_eq!(repinned, plain, "re-pinned connections");
    }
}

#[test]
fn rolling_back_gives_the_old_root_and_the_same_future() {
    let store = in_memory();
    let session = writer(&store, 30);
    session.connection.execute_batch(SCHEMA).expect("schema");
    let mut random = Random(77);
    for _ in 0..20 {
        run(&session.connection, &batch(&mut random));
        store.publish(&session.view).expect("publish");
    }
    let base = store.head();
    let base_rows = all_rows(&session.connection);
    let future: Vec<_> = (0..15).map(|_| batch(&mut random)).collect();
    let play = |session: &Session| -> Vec<_> {
        let step = |statements: &Vec<String>| {
            run(&session.connection, statements);
            store.publish(&session.view).expect("publish").root()
        };
        future.iter().map(step).collect()
    };
    let first = play(&session);
    let dead_branch = store.head();
    let dead_rows = all_rows(&session.connection);
    store.roll_back(&base).expect("roll back");
    assert_eq!(store.head().root(), base.root());
    assert_eq!(all_rows(&session.connection), base_rows, "the open connection forgot the dropped versions");
    store.reclaim();
    assert_eq!(play(&session), first);
    assert_eq!(all_rows(&reader(&dead_branch).connection), dead_rows, "a dropped version is readable while pinned");
    assert_sound(&store, &store.head());
    drop((base, dead_branch));
    store.reclaim();
    assert_integrity(&session.connection);
    assert_everything_is_freed(&store, session);
}

#[test]
fn a_roll_back_is_noticed_even_if_bytes_24_to_39_are_equal() {
    let store = in_memory();
    let session = writer(&store, 100);
    session.connection.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (0)").expect("set up");
    let base = store.publish(&session.view).expect("publish");
    session.connection.execute_batch("UPDATE t SET x = 1").expect("update");
    let left = store.publish(&session.view).expect("publish");
    assert_eq!(number(&session, "SELECT x FROM t"), 1);
    store.roll_back(&base).expect("roll back");
    session.connection.execute_batch("UPDATE t SET x = 2").expect("update");
    let right = store.publish(&session.view).expect("publish");
    assert_eq!(left.page(1).expect("page 1")[24..40], right.page(1).expect("page 1")[24..40], "the trap is there");
    let readers = reader(&left);
    readers.connection.execute_batch("PRAGMA mmap_size=0").expect("all pages go through the cache");
    for (snapshot, expected) in [(&left, 1), (&right, 2), (&left, 1), (&base, 0), (&right, 2)] {
        readers.view.repin(snapshot).expect("re-pin");
        assert_eq!(number(&readers, "SELECT x FROM t"), expected);
    }
}

#[test]
fn an_open_statement_keeps_its_view_from_being_moved() {
    let store = in_memory();
    let session = writer(&store, 100);
    session.connection.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (1), (2)").expect("set up");
    let base = store.publish(&session.view).expect("publish");
    let mut statement = session.connection.prepare("SELECT x FROM t").expect("prepare");
    let mut open_rows = statement.query([]).expect("query");
    open_rows.next().expect("a row");
    assert!(matches!(session.view.repin(&base), Err(StoreError::ViewInUse)));
    assert!(matches!(store.publish(&session.view), Err(StoreError::ViewInUse)));
    assert!(matches!(store.roll_back(&base), Err(StoreError::ViewInUse)));
    drop(open_rows);
    session.view.repin(&base).expect("re-pin");
}

#[test]
fn two_canonical_connections_write_one_version_in_turns() {
    let store = in_memory();
    let (a, b) = (writer(&store, 100), writer(&store, 100));
    a.connection.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (1)").expect("set up");
    store.publish(&a.view).expect("publish");
    b.connection.execute_batch("INSERT INTO t VALUES (2)").expect("b follows the head");
    assert!(matches!(store.publish(&a.view), Err(StoreError::ViewInUse)), "b's writes would be lost");
    a.view.take_overlay(&b.view).expect("hand over");
    a.connection.execute_batch("INSERT INTO t VALUES (3)").expect("a goes on");
    store.publish(&a.view).expect("publish");
    assert_eq!((number(&a, "SELECT sum(x) FROM t"), number(&b, "SELECT sum(x) FROM t")), (6, 6));
}

#[test]
fn readers_on_old_versions_see_them_while_the_writer_publishes() {
    let store = in_memory();
    let session = writer(&store, 50);
    let set_up = "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER, pad TEXT);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
        INSERT INTO account SELECT i, 100, printf('%.*c', 60, 'x') FROM n";
    session.connection.execute_batch(set_up).expect("set up");
    store.publish(&session.view).expect("publish");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut random = Random(thread);
                let session = reader(&store.head());
                let mut checked = 0;
                while !done.load(Ordering::Relaxed) || checked < 20 {
                    session.view.repin(&store.head()).expect("re-pin");
                    session.connection.execute_batch("BEGIN").expect("begin");
                    for _ in 0..random.below(4) + 1 {
                        assert_eq!(number(&session, "SELECT sum(balance) FROM account"), 300_000, "transfers keep it");
                    }
                    session.connection.execute_batch("COMMIT").expect("commit");
                    checked += 1;
                }
            });
        }
        let background = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.reclaim();
                std::thread::yield_now();
            }
        });
        let mut random = Random(9);
        for _ in 0..150 {
            session.connection.execute_batch("BEGIN").expect("begin");
            for _ in 0..20 {
                let (from, to) = (random.below(3000) + 1, random.below(3000) + 1);
                for (id, change) in [(from, -1), (to, 1)] {
                    let sql = format!("UPDATE account SET balance = balance + {change} WHERE id = {id}");
                    session.connection.execute_batch(&sql).expect("transfer");
                }
            }
            session.connection.execute_batch("COMMIT").expect("commit");
            store.publish(&session.view).expect("publish");
        }
        done.store(true, Ordering::Relaxed);
        background.join().expect("background");
    });
    assert_everything_is_freed(&store, session);
}

#[test]
fn an_idle_reader_holds_at_most_one_old_version_of_each_page() {
    let store = in_memory();
    let session = writer(&store, 50);
    let set_up = "CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, 0)";
    session.connection.execute_batch(set_up).expect("set up");
    let idle = store.publish(&session.view).expect("publish");
    for _ in 0..500 {
        session.connection.execute_batch("UPDATE t SET x = x + 1").expect("update");
        store.publish(&session.view).expect("publish");
        store.reclaim();
    }
    let pages = idle.page_count() as usize;
    assert!(store.stats().frames <= 2 * pages, "{:?}", store.stats());
    drop(idle);
    assert_everything_is_freed(&store, session);
}

#[test]
fn a_transaction_that_changes_nothing_makes_no_version() {
    let store = in_memory();
    let session = writer(&store, 50);
    session.connection.execute_batch("CREATE TABLE t(x)").expect("set up");
    let first = store.publish(&session.view).expect("publish");
    session.connection.execute_batch("BEGIN; INSERT INTO t VALUES (1); ROLLBACK").expect("nothing");
    assert_eq!(store.publish(&session.view).expect("publish").number(), first.number());
}

#[test]
fn flipped_bits_are_found_and_repaired_by_installing_the_page() {
    let store = in_memory();
    let session = writer(&store, 50);
    session.connection.execute_batch(SCHEMA).expect("schema");
    let good = store.publish(&session.view).expect("publish");
    let page_3 = Box::new(*good.page(3).expect("page 3"));
    store.flip_bit(3, 12_345).expect("flip");
    assert_eq!(store.head().root(), good.root(), "the stored hash does not change");
    assert_eq!(store.rehash(&good), [3]);
    assert_eq!(store.take_damage(), [3]);
    let wrong = store.install(&good, &[(3, Box::new([1; PAGE_SIZE]))], good.page_count(), good.root());
    assert!(matches!(wrong, Err(StoreError::WrongRoot { .. })));
    assert_eq!(store.head().number(), good.number());
    let repaired = store.install(&good, &[(3, page_3)], good.page_count(), good.root()).expect("install");
    assert_eq!(repaired.root(), good.root());
    assert_eq!(store.diff(&good, &repaired).expect("diff"), [] as [PageNumber; 0]);
    assert_eq!(store.rewritten(&good, &repaired).expect("rewritten"), [3]);
    assert_sound(&store, &repaired);
    assert_integrity(&session.connection);
    drop((good, repaired));
    assert_everything_is_freed(&store, session);
}

/// A part of what leads to another root is taken in as it is; the rest makes the whole of it.
#[test]
fn pages_come_in_parts_and_only_the_whole_has_the_root() {
    let (right, behind) = (in_memory(), in_memory());
    let session = writer(&right, 100);
    session.connection.execute_batch(SCHEMA).unwrap();
    session
        .connection
        .execute_batch("INSERT INTO item SELECT value, 'x', 1, zeroblob(2000) FROM json_each('[1,2,3,4,5,6,7,8]')")
        .unwrap();
    let target = right.publish(&session.view).unwrap();
    let pages = |numbers: std::ops::RangeInclusive<u32>| -> Vec<_> {
        numbers.map(|page| (page, Box::new(*target.page(page).unwrap()))).collect()
    };
    let (half, all) = (target.page_count() / 2, target.page_count());
    let part = behind.install_part(&pages(1..=half), all).unwrap();
    assert_ne!(part.root(), target.root());
    let wrong = behind.install(&part, &pages(half + 1..=all - 1), all, target.root());
    assert!(matches!(wrong, Err(StoreError::WrongRoot { .. })), "{:?}", wrong.map(|whole| whole.root()));
    let whole = behind.install(&behind.head(), &pages(half + 1..=all), all, target.root()).unwrap();
    assert_eq!(all_rows(&reader(&whole).connection), all_rows(&session.connection));
}

/// However few places it has for them, a view that keeps pages reads what others read, and lets all of them go.
#[test]
fn a_view_that_keeps_pages_reads_the_same_and_lets_go_when_it_moves_on() {
    for places in [1, 2, 16, 4_096] {
        let store = in_memory();
        let session = writer(&store, 100);
        session.connection.execute_batch(SCHEMA).unwrap();
        let mut random = Random(places as u64);
        let view = View::new(&store.head());
        view.keep_pages(places).unwrap();
        let keeping = open(view, READER_SETTINGS, 5);
        for _ in 0..30 {
            run(&session.connection, &batch(&mut random));
            let snapshot = store.publish(&session.view).unwrap();
            keeping.view.repin(&snapshot).unwrap();
            for _ in 0..2 {
                assert_eq!(all_rows(&keeping.connection), all_rows(&reader(&snapshot).connection));
            }
            // A page that the view wrote itself is not taken from what it keeps.
            keeping.connection.execute_batch("BEGIN; UPDATE item SET price = -1; DELETE FROM pair").unwrap();
            assert_eq!(rows(&keeping.connection, "SELECT count(*) FROM item WHERE price <> -1"), [[0.into()]]);
            keeping.connection.execute_batch("ROLLBACK").unwrap();
            assert_eq!(all_rows(&keeping.connection), all_rows(&reader(&snapshot).connection));
        }
        drop(keeping);
        assert_everything_is_freed(&store, session);
    }
}

#[test]
fn sql_has_the_clock_of_the_view() {
    let store = in_memory();
    let session = writer(&store, 50);
    let now = |session: &Session| -> String {
        let sql = "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')";
        session.connection.query_row(sql, [], |row| row.get(0)).expect("now")
    };
    assert_eq!(now(&session), "2000-01-01 00:00:00.000");
    session.view.set_clock_us(86_400_000_000 + 1_234_567);
    assert_eq!(now(&session), "2000-01-02 00:00:01.234");
}

#[test]
fn temporary_files_are_bounded() {
    let store = in_memory();
    let session = writer(&store, 20);
    session.connection.execute_batch("PRAGMA temp.cache_size=10").expect("temp cache");
    session.view.set_temp_bytes_max(200_000);
    let fill = "CREATE TEMP TABLE big(x);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
        INSERT INTO big SELECT randomblob(900) FROM n";
    let error = session.connection.execute_batch(fill).expect_err("2 MB do not fit");
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
    session.view.set_temp_bytes_max(u64::MAX);
    session.connection.execute_batch("DROP TABLE IF EXISTS temp.big").expect("drop");
    session.connection.execute_batch(fill).expect("fits now");
    assert!(session.view.temp_bytes() > 1_000_000, "{}", session.view.temp_bytes());
}

#[test]
fn a_connection_that_would_write_a_journal_file_fails() {
    let store = in_memory();
    let session = open(View::canonical(&store), "PRAGMA synchronous=OFF", 50);
    assert!(session.connection.execute_batch("CREATE TABLE t(x)").is_err());
}

#[test]
fn one_view_serves_one_connection() {
    let store = in_memory();
    let session = writer(&store, 50);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let second = Connection::open_with_flags_and_vfs(session.view.name(), flags, session.view.name());
    assert!(second.is_err() || second.expect("open").execute_batch("SELECT * FROM sqlite_schema").is_err());
}

/// The root after `detour`, `undo` and an insert, all of which take pages off the free list. SQLite neither reads nor
/// journals these, so what was undone could show in those that are left, and behind the last byte of overflow pages.
fn root_after(cache_pages: u32, detour: &str, undo: &str) -> evesql::page::Hash {
    let store = in_memory();
    let session = writer(&store, cache_pages);
    let set_up = "CREATE TABLE t(id INTEGER PRIMARY KEY, x);
        INSERT INTO t VALUES (1, zeroblob(400000)); DELETE FROM t";
    session.connection.execute_batch(set_up).expect("set up");
    store.publish(&session.view).expect("publish");
    session.connection.execute_batch(detour).expect("detour");
    session.connection.execute_batch(undo).expect("undo");
    session.connection.execute_batch("INSERT INTO t SELECT i, zeroblob(4200) FROM n WHERE i < 40").expect("insert");
    if !session.connection.is_autocommit() {
        session.connection.execute_batch("COMMIT").expect("commit");
    }
    store.publish(&session.view).expect("publish").root()
}

const DETOUR: &str = "CREATE TEMP VIEW IF NOT EXISTS n AS WITH RECURSIVE n(i) AS
        (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) SELECT i FROM n; BEGIN; SAVEPOINT s;
    INSERT INTO t SELECT i, CAST(printf('%.*c', 5000, 'x') AS BLOB) FROM n;";

#[test]
fn a_rolled_back_savepoint_leaves_nothing_that_depends_on_the_cache() {
    let undo = "ROLLBACK TO s; RELEASE s";
    assert_eq!(root_after(12, DETOUR, undo), root_after(5000, DETOUR, undo));
}

#[test]
fn a_rolled_back_transaction_leaves_nothing_behind() {
    let names = DETOUR.split_once("BEGIN").expect("two parts").0;
    let without = root_after(5000, names, "");
    for cache_pages in [12, 5000] {
        assert_eq!(root_after(cache_pages, DETOUR, "ROLLBACK"), without, "{cache_pages} pages of cache");
    }
}
