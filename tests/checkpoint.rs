//! Databases on disk, through SQLite: larger than memory, crashed at every operation, damaged and repaired, several
//! under one manifest, read while they are checkpointed and backfilled.

use evesql::page::Hash;
use evesql::page_store::checkpoint::{Manifest, Notice, check};
use evesql::page_store::{
    CANONICAL_SETTINGS, PageStore, READER_SETTINGS, Snapshot, StoreError, StoreOptions, StoredDatabase, View,
    checkpoint_all,
};
use evesql::seam::{Disk, DiskFault, SimulatedDisk};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const ROOT: &str = "/replica";

/// A connection and its view; the connection goes first.
struct Session {
    connection: Connection,
    view: View,
}

impl Session {
    fn open(view: View, settings: &str) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags_and_vfs(view.name(), flags, view.name()).expect("open a view");
        connection.execute_batch(settings).expect("settings");
        connection.execute_batch("PRAGMA cache_size=20").expect("cache size");
        Session { connection, view }
    }
    fn writer(store: &Arc<PageStore>) -> Self {
        Self::open(View::canonical(store), CANONICAL_SETTINGS)
    }
    fn reader(snapshot: &Snapshot) -> Self {
        Self::open(View::new(snapshot), READER_SETTINGS)
    }
    /// Runs SQL and publishes what it wrote.
    fn run(&self, store: &Arc<PageStore>, sql: &str) -> Snapshot {
        self.connection.execute_batch(&format!("BEGIN; {sql}; COMMIT")).expect(sql);
        store.publish(&self.view).expect("publish")
    }
    fn digest(&self) -> String {
        digest(&self.connection)
    }
}

fn digest(connection: &Connection) -> String {
    let sql = "SELECT count(*) || ' ' || coalesce(sum(id * length(x)), 0) || ' ' || coalesce(max(x), '') FROM t";
    connection.query_row(sql, [], |row| row.get(0)).expect("digest")
}

fn options(frames: usize) -> StoreOptions {
    StoreOptions { memory_budget_bytes: frames * 4096, ..StoreOptions::default() }
}

const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT); CREATE INDEX i ON t(x)";

fn insert(from: u32, count: u32, bytes: u32) -> String {
    format!(
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {from} + {count} - 1)
         SELECT i, substr((i * 7919) || hex(zeroblob({bytes})), 1, {bytes}) FROM n"
    )
}

fn checkpoint(disk: &dyn Disk, databases: &[(&StoredDatabase, Snapshot)], mark: u8) -> Result<(), StoreError> {
    checkpoint_all(disk, Path::new(ROOT), &[mark], databases)
}

fn create(disk: &SimulatedDisk, name: &str, frames: usize) -> Result<StoredDatabase, StoreError> {
    StoredDatabase::create(disk, Path::new(ROOT), name, name, options(frames))
}

fn open_all(disk: &SimulatedDisk, frames: usize, notices: &mut Vec<Notice>) -> Option<(u8, Vec<StoredDatabase>)> {
    let manifest = Manifest::read(disk, Path::new(ROOT)).expect("manifest")?;
    let open = |section| StoredDatabase::open(disk, Path::new(ROOT), section, options(frames), notices).expect("open");
    Some((manifest.mark[0], manifest.sections.iter().map(open).collect()))
}

fn open(disk: &SimulatedDisk, frames: usize) -> StoredDatabase {
    open_all(disk, frames, &mut Vec::new()).expect("a manifest").1.remove(0)
}

fn backfill_all(database: &StoredDatabase) {
    while database.needs_backfill() {
        let step = database.backfill(50).expect("backfill");
        assert!(step.held + step.damaged.len() == 0, "{step:?}");
    }
}

/// What stock SQLite reads in the files.
fn stock_digest(disk: &SimulatedDisk, name: &str) -> String {
    let directory = tempfile::tempdir().expect("directory");
    disk.export(directory.path()).expect("export");
    let connection = Connection::open(directory.path().join("replica").join(name).join("evesql.db")).expect("open");
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("check");
    assert_eq!(verdict, "ok");
    digest(&connection)
}

#[test]
fn a_database_larger_than_its_memory_is_read_back_proved() {
    let disk = SimulatedDisk::new(1);
    let database = create(&disk, "shop", 100).expect("create");
    let store = database.store();
    let writer = Session::writer(store);
    let mut head = writer.run(store, SCHEMA);
    for round in 0..12 {
        head = writer.run(store, &insert(round * 1000, 400, 600));
        checkpoint(&disk, &[(&database, head.clone())], round as u8).expect("checkpoint");
        if round % 3 == 2 {
            backfill_all(&database);
        }
        store.reclaim();
    }
    let pages = head.page_count() as usize;
    assert!(pages > 1000 && store.stats().frames < 300, "{pages} pages, {:?}", store.stats());
    let expected = writer.digest();
    assert_eq!(Session::reader(&head).digest(), expected);
    assert_eq!(stock_digest(&disk, "shop"), expected);
    assert_eq!(head.root(), {
        let opened = open(&disk, 100);
        let root = opened.store().head().root();
        assert!(opened.store().stats().frames < 5, "opening reads no page");
        assert_eq!(Session::reader(&opened.store().head()).digest(), expected);
        assert_eq!(opened.store().rehash(&opened.store().head()), Vec::<u32>::new());
        root
    });
    assert_eq!(check(&disk, Path::new(ROOT)).expect("check"), Vec::new());
}

#[test]
fn a_pinned_version_is_read_from_disk_while_checkpoints_and_backfill_go_on() {
    let disk = SimulatedDisk::new(1);
    let database = create(&disk, "shop", 30).expect("create");
    let store = database.store();
    let writer = Session::writer(store);
    writer.run(store, SCHEMA);
    let old = writer.run(store, &insert(0, 500, 700));
    let expected = writer.digest();
    checkpoint(&disk, &[(&database, old.clone())], 1).expect("checkpoint");
    backfill_all(&database);
    let mut held = 0;
    for round in 0..4 {
        let head = writer.run(store, &format!("UPDATE t SET x = x || '{round}' WHERE id % 5 = {round}"));
        checkpoint(&disk, &[(&database, head)], 2).expect("checkpoint");
        held += database.backfill(1000).expect("backfill").held;
        let reader = Session::reader(&old);
        assert_eq!(reader.digest(), expected);
    }
    assert!(held > 0, "an old pin holds pages back");
    assert!(store.stats().frames < 200, "{:?}", store.stats());
    drop(old);
    backfill_all(&database);
    assert_eq!(stock_digest(&disk, "shop"), writer.digest());
}

/// Two databases that change together; the rows say which checkpoint they belong to.
fn life(disk: &SimulatedDisk, databases: &[StoredDatabase], from: u8) -> Result<(), StoreError> {
    let sessions: Vec<Session> = databases.iter().map(|database| Session::writer(database.store())).collect();
    for mark in from..5 {
        let mut work = Vec::new();
        for (database, session) in databases.iter().zip(&sessions) {
            let schema = if mark == 1 { SCHEMA } else { "DELETE FROM t WHERE id % 3 = 1" };
            let rows = insert(1000 * mark as u32, 120, 500);
            work.push((database, session.run(database.store(), &format!("{schema}; {rows}"))));
        }
        checkpoint(disk, &work, mark)?;
        for database in databases {
            database.backfill(if mark % 2 == 0 { 1000 } else { 3 })?;
        }
    }
    Ok(())
}

#[test]
fn a_crash_anywhere_leaves_all_databases_at_one_mark() {
    let begin = |disk: &SimulatedDisk| ["bank", "shop"].map(|name| create(disk, name, 60));
    let (operations, digests) = {
        let disk = SimulatedDisk::new(0);
        let databases = begin(&disk).map(|database| database.expect("create"));
        let digests: Vec<(Hash, String)> = (1..5)
            .map(|mark| {
                // One checkpoint a turn.
                let sessions = databases.each_ref().map(|database| Session::writer(database.store()));
                let schema = if mark == 1 { SCHEMA } else { "DELETE FROM t WHERE id % 3 = 1" };
                let rows = insert(1000 * mark as u32, 120, 500);
                let heads = [0, 1].map(|at| sessions[at].run(databases[at].store(), &format!("{schema}; {rows}")));
                let work: Vec<_> = databases.iter().zip(heads).collect();
                checkpoint(&disk, &work, mark).expect("checkpoint");
                databases.iter().for_each(|database| drop(database.backfill(if mark % 2 == 0 { 1000 } else { 3 })));
                (work[0].1.root(), sessions[0].digest())
            })
            .collect();
        (disk.operations(), digests)
    };
    for crash_at in (0..operations).step_by(3) {
        let disk = SimulatedDisk::new(crash_at);
        disk.fault_at(crash_at, DiskFault::Crash);
        if let [Ok(bank), Ok(shop)] = begin(&disk) {
            let _ = life(&disk, &[bank, shop], 1);
        }
        disk.restart();
        let mut notices = Vec::new();
        let Some((mark, databases)) = open_all(&disk, 60, &mut notices) else { continue };
        assert_eq!(notices, Vec::new());
        let (root, digest) = &digests[mark as usize - 1];
        for (database, name) in databases.iter().zip(["bank", "shop"]) {
            assert_eq!(database.store().head().root(), *root, "crash at {crash_at}, mark {mark}, {name}");
            assert_eq!(Session::reader(&database.store().head()).digest(), *digest);
            assert_eq!(stock_digest(&disk, name), *digest, "crash at {crash_at}, mark {mark}, {name}");
        }
        life(&disk, &databases, mark + 1).expect("life goes on");
        assert_eq!(databases[0].store().head().root(), digests[3].0, "crash at {crash_at}");
    }
}

#[test]
fn a_damaged_page_is_found_at_first_touch_repaired_and_written_again() {
    let disk = SimulatedDisk::new(1);
    let database = create(&disk, "shop", 1000).expect("create");
    let writer = Session::writer(database.store());
    writer.run(database.store(), SCHEMA);
    let good = writer.run(database.store(), &insert(0, 500, 700));
    checkpoint(&disk, &[(&database, good.clone())], 1).expect("checkpoint");
    backfill_all(&database);

    assert!(disk.flip_bit(Path::new("/replica/shop/evesql.db"), 4096 * 9 + 77, 3));
    let damaged = open(&disk, 1000);
    let head = damaged.store().head();
    assert!(matches!(head.page(10), Err(StoreError::Damaged { page: 10 })));
    assert_eq!(damaged.store().take_damage(), [10]);
    assert_eq!(check(&disk, Path::new(ROOT)).expect("check").len(), 1);

    let from_peer = vec![(10, Box::new(*good.page(10).expect("a peer's page")))];
    let repaired = damaged.store().install(&head, &from_peer, good.page_count(), good.root()).expect("install");
    assert_eq!(Session::reader(&repaired).digest(), writer.digest());
    checkpoint(&disk, &[(&damaged, repaired)], 2).expect("checkpoint");
    // As long as a version pins the damaged copy, nothing is written over it.
    assert_eq!(damaged.backfill(10).expect("backfill").held, 1);
    drop(head);
    backfill_all(&damaged);
    assert_eq!(check(&disk, Path::new(ROOT)).expect("check"), Vec::new());
    assert_eq!(stock_digest(&disk, "shop"), writer.digest());
}

#[test]
fn a_page_damaged_in_the_log_is_written_again_from_memory() {
    let disk = SimulatedDisk::new(1);
    let database = create(&disk, "shop", 1000).expect("create");
    let writer = Session::writer(database.store());
    writer.run(database.store(), SCHEMA);
    let head = writer.run(database.store(), &insert(0, 500, 700));
    checkpoint(&disk, &[(&database, head.clone())], 1).expect("checkpoint");
    assert!(disk.flip_bit(Path::new("/replica/shop/evesql.db-wal"), 32 + 4120 * 7 + 100, 3));
    let step = database.backfill(1000).expect("backfill");
    assert_eq!((step.damaged.len(), step.log_restarted), (1, false));
    checkpoint(&disk, &[(&database, head)], 2).expect("checkpoint");
    backfill_all(&database);
    drop(database);
    let opened = open(&disk, 1000);
    assert_eq!(opened.store().rehash(&opened.store().head()), Vec::<u32>::new());
    assert_eq!(stock_digest(&disk, "shop"), writer.digest());
}

#[test]
fn a_dropped_database_leaves_its_directory_for_another() {
    let disk = SimulatedDisk::new(1);
    let database = create(&disk, "shop", 1000).expect("create");
    let writer = Session::writer(database.store());
    let head = writer.run(database.store(), SCHEMA);
    checkpoint(&disk, &[(&database, head)], 1).expect("checkpoint");
    backfill_all(&database);
    checkpoint(&disk, &[], 2).expect("checkpoint");
    drop(writer);
    drop(database);
    assert!(create(&disk, "shop", 1000).is_err(), "its files are still there");
    StoredDatabase::remove(&disk, Path::new(ROOT), "shop").expect("remove");
    let again = create(&disk, "shop", 1000).expect("create");
    assert_eq!(again.store().head().page_count(), 0);
}

#[test]
fn a_damaged_hash_block_is_computed_from_its_pages_and_written_again() {
    let disk = SimulatedDisk::new(1);
    let database = create(&disk, "shop", 1000).expect("create");
    let writer = Session::writer(database.store());
    writer.run(database.store(), SCHEMA);
    let head = writer.run(database.store(), &insert(0, 900, 700));
    checkpoint(&disk, &[(&database, head)], 1).expect("checkpoint");
    let path = Path::new("/replica/shop/evesql.db-hashes");
    let length = disk.contents().iter().find(|(name, _)| name == path).expect("hash file").1.len();
    (0..length).step_by(50).for_each(|offset| assert!(disk.flip_bit(path, offset as u64, 1)));
    assert!(!check(&disk, Path::new(ROOT)).expect("check").is_empty());
    let opened = open(&disk, 1000);
    assert_eq!(Session::reader(&opened.store().head()).digest(), writer.digest());
    assert_eq!(check(&disk, Path::new(ROOT)).expect("check"), []);
}

#[test]
fn hash_blocks_that_are_lost_with_their_pages_are_made_anew_by_what_is_installed() {
    let disk = SimulatedDisk::new(1);
    let database = create(&disk, "shop", 1000).expect("create");
    let writer = Session::writer(database.store());
    writer.run(database.store(), SCHEMA);
    let good = writer.run(database.store(), &insert(0, 900, 700));
    assert!(good.page_count() > 2 * 64, "several leaves");
    checkpoint(&disk, &[(&database, good.clone())], 1).expect("checkpoint");
    backfill_all(&database);
    for (path, step) in [("/replica/shop/evesql.db-hashes", 50), ("/replica/shop/evesql.db", 4096)] {
        let path = Path::new(path);
        let length = disk.contents().iter().find(|(name, _)| name == path).expect("the file").1.len();
        (0..length).step_by(step).for_each(|offset| assert!(disk.flip_bit(path, offset as u64, 1)));
    }
    let damaged = open(&disk, 1000);
    let head = damaged.store().head();
    assert!(matches!(head.page(1), Err(StoreError::DamagedNode { .. })));
    assert_eq!(damaged.store().rehash(&head).len(), good.page_count() as usize);

    let mut pages: Vec<(u32, Box<[u8; 4096]>)> =
        (1..=good.page_count()).map(|page| (page, Box::new(*good.page(page).expect("a peer's page")))).collect();
    let last = pages.pop().expect("a page");
    let install = |pages: &[_]| damaged.store().install(&head, pages, good.page_count(), good.root());
    assert!(matches!(install(&pages), Err(StoreError::WrongRoot { .. })), "one is missing");
    // In two parts, as a large database is fetched.
    pages.push(last);
    damaged.store().install_part(&pages[..100], good.page_count()).expect("a part");
    let repaired = damaged
        .store()
        .install(&damaged.store().head(), &pages[100..], good.page_count(), good.root())
        .expect("install");
    assert_eq!(Session::reader(&repaired).digest(), writer.digest());
    checkpoint(&disk, &[(&damaged, repaired)], 2).expect("checkpoint");
    drop(head);
    backfill_all(&damaged);
    drop(damaged);
    assert_eq!(check(&disk, Path::new(ROOT)).expect("check"), []);
    assert_eq!(Session::reader(&open(&disk, 1000).store().head()).digest(), writer.digest());
}

#[test]
fn a_full_disk_fails_the_checkpoint_and_nothing_else() {
    let disk = SimulatedDisk::new(1);
    let database = create(&disk, "shop", 1000).expect("create");
    let writer = Session::writer(database.store());
    writer.run(database.store(), SCHEMA);
    let first = writer.run(database.store(), &insert(0, 300, 700));
    checkpoint(&disk, &[(&database, first)], 1).expect("checkpoint");
    let before = writer.digest();
    disk.set_capacity_bytes(Some(disk.contents().iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>() + 20_000));
    let second = writer.run(database.store(), &insert(5000, 300, 700));
    let error = checkpoint(&disk, &[(&database, second.clone())], 2).expect_err("full");
    assert!(error.to_string().contains("evesql.db-wal"), "{error}");
    assert_eq!(stock_digest(&disk, "shop"), before);
    assert_eq!(Session::reader(&second).digest(), writer.digest(), "memory goes on");
    disk.set_capacity_bytes(None);
    checkpoint(&disk, &[(&database, second)], 2).expect("checkpoint");
    assert_eq!(stock_digest(&disk, "shop"), writer.digest());
}

#[test]
fn readers_run_beside_checkpoints_backfill_and_eviction() {
    let disk = SimulatedDisk::new(1);
    let database = create(&disk, "shop", 40).expect("create");
    let store = database.store();
    let writer = Session::writer(store);
    writer.run(store, SCHEMA);
    let first = writer.run(store, &insert(0, 400, 700));
    let latest = parking_lot::Mutex::new((first, writer.digest()));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let (snapshot, digest) = latest.lock().clone();
                    assert_eq!(Session::reader(&snapshot).digest(), digest);
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                database.backfill(7).expect("backfill");
            }
        });
        for mark in 0..25 {
            let head = writer.run(store, &format!("UPDATE t SET x = x || '{mark}' WHERE id % 9 = {}", mark % 9));
            checkpoint(&disk, &[(&database, head.clone())], mark).expect("checkpoint");
            *latest.lock() = (head, writer.digest());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(store.take_damage(), Vec::<u32>::new());
    assert_eq!(stock_digest(&disk, "shop"), writer.digest());
}

/// A small reproducible generator (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// A replica under random work: versions ahead of the accepted one, roll backs, old readers, failing disks, restarts.
struct Soak {
    random: Random,
    disk: SimulatedDisk,
    /// Versions accepted so far, with what they hold; a checkpoint's mark is a position in it.
    accepted: Vec<(Hash, String)>,
    checkpointed: usize,
    attempted: usize,
    /// Checkpoints that went well.
    count: usize,
}

impl Soak {
    /// Works until the disk crashes or forever is over.
    fn work(&mut self, database: &StoredDatabase) -> Result<(), StoreError> {
        let store = database.store();
        let writer = Session::writer(store);
        let (mut newest, mut readers) = (store.head(), Vec::new());
        for step in 0..120 {
            let from = self.random.below(40) * 25;
            let sql = match self.random.below(4) {
                0 => format!("UPDATE t SET x = x || {step} WHERE id % 11 = {}", from % 11),
                1 => format!("DELETE FROM t WHERE id BETWEEN {from} AND {}", from + 40),
                _ => {
                    format!("DELETE FROM t WHERE id BETWEEN {from} AND {}; {}", from + 24, insert(from as u32, 25, 700))
                }
            };
            let head = writer.run(store, &sql);
            match self.random.below(5) {
                0 => store.roll_back(&newest)?,
                1 => {}
                _ => {
                    newest = head;
                    self.accepted.push((newest.root(), writer.digest()));
                }
            }
            match self.random.below(9) {
                0..=2 if self.accepted.last().is_some_and(|(root, _)| *root == newest.root()) => {
                    self.attempted = self.accepted.len() - 1;
                    let mark = (self.attempted as u32).to_le_bytes();
                    match checkpoint_all(&self.disk, Path::new(ROOT), &mark, &[(database, newest.clone())]) {
                        Ok(()) => {
                            self.checkpointed = self.attempted;
                            self.count += 1;
                        }
                        Err(StoreError::Files(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
                3 => drop(database.backfill(self.random.below(30) as usize + 1)),
                4 => drop(database.backfill(1000)),
                5 => readers.push(newest.clone()),
                6 if !readers.is_empty() => {
                    let snapshot = readers.swap_remove(self.random.below(readers.len() as u64) as usize);
                    let known = self.accepted.iter().find(|(root, _)| *root == snapshot.root());
                    if let (Some((_, digest)), false) = (known, self.disk.crashed()) {
                        assert_eq!(Session::reader(&snapshot).digest(), *digest);
                    }
                }
                7 => {
                    let fault = [DiskFault::Full, DiskFault::Error, DiskFault::Error][self.random.below(3) as usize];
                    self.disk.fault_at(self.disk.operations() + self.random.below(25), fault);
                }
                _ => {}
            }
            if self.disk.crashed() {
                break;
            }
        }
        Ok(())
    }
}

#[test]
fn random_work_on_a_failing_disk_never_loses_or_mixes_a_checkpoint() {
    for seed in 0..10 {
        let disk = SimulatedDisk::new(seed);
        let database = create(&disk, "shop", 40).expect("create");
        let writer = Session::writer(database.store());
        let head = writer.run(database.store(), &format!("{SCHEMA}; {}", insert(0, 300, 700)));
        checkpoint_all(&disk, Path::new(ROOT), &[0; 4], &[(&database, head.clone())]).expect("checkpoint");
        let accepted = vec![(head.root(), writer.digest())];
        drop((writer, database, head));
        let mut soak =
            Soak { random: Random(seed), disk: disk.clone(), accepted, checkpointed: 0, attempted: 0, count: 0 };
        for life in 0..6 {
            let manifest = Manifest::read(&disk, Path::new(ROOT)).expect("manifest").expect("a checkpoint");
            let mark = u32::from_le_bytes(manifest.mark[..].try_into().expect("four bytes")) as usize;
            assert!(mark == soak.checkpointed || mark == soak.attempted, "seed {seed} life {life}: mark {mark}");
            let database = open(&disk, 40);
            let head = database.store().head();
            let (root, digest) = soak.accepted[mark].clone();
            assert_eq!(head.root(), root, "seed {seed} life {life}");
            assert_eq!(Session::reader(&head).digest(), digest, "seed {seed} life {life}");
            assert_eq!(stock_digest(&disk, "shop"), digest, "seed {seed} life {life}");
            assert_eq!(check(&disk, Path::new(ROOT)).expect("check"), Vec::new(), "seed {seed} life {life}");
            soak.accepted.truncate(mark + 1);
            (soak.checkpointed, soak.attempted) = (mark, mark);
            drop(head);
            disk.fault_at(disk.operations() + soak.random.below(600), DiskFault::Crash);
            let _ = soak.work(&database);
            drop(database);
            disk.restart();
        }
        assert!(soak.count > 10, "seed {seed}: {} checkpoints", soak.count);
    }
}
