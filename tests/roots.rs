//! Invariant 4 over generated batches: the same batches give the same roots whatever the cache, the readers
//! beside them, restarts, roll backs, checkpoints and evictions in between; and the same rows as stock SQLite, one
//! transaction after the other.
//!
//! `EVESQL_ROOTS_TRANSACTIONS=5000 cargo test --test roots` runs longer, `EVESQL_ROOTS_SEED=7` another sequence, and
//! `EVESQL_ROOTS_SEEDS=4` four of them, each of that many transactions.

mod generator;

use evesql::batch::{Batch, Group, Plan};
use evesql::engine;
use evesql::page::{Hash, PAGE_SIZE};
use evesql::page_store::{PageStore, StoreError, StoreOptions, StoredDatabase, checkpoint_all};
use evesql::replica::{Executed, Home, Mode, Options, Replica};
use evesql::seam::RealDisk;
use evesql::token::{Accepted, LogId};
use evesql::transaction::*;
use generator::{Generated, Generator, Random, Step};
use rusqlite::types::Value as Stock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn options(cache_bytes: u64) -> Options {
    let engine = engine::Options { cache_bytes, ..engine::Options::default() };
    Options { engine, ..Options::default() }
}

/// Memory of the replica with files; the database is many times larger.
const BUDGET_BYTES: usize = 64 * PAGE_SIZE;
/// The replica with files: the last one.
const STORED: usize = 3;
/// Batches between its checkpoints.
const CHECKPOINT_BATCHES: u64 = 5;

/// Where the replica with files keeps them.
struct Files {
    directory: tempfile::TempDir,
    databases: Mutex<Vec<Arc<StoredDatabase>>>,
}

impl Home for Files {
    fn create(&self, name: &str) -> Result<Arc<PageStore>, StoreError> {
        let mut databases = self.databases.lock().unwrap();
        let directory = format!("database-{}", databases.len());
        let options = StoreOptions { memory_budget_bytes: BUDGET_BYTES, ..StoreOptions::default() };
        let database = StoredDatabase::create(&RealDisk, self.directory.path(), name, &directory, options)?;
        databases.push(Arc::new(database));
        Ok(databases.last().unwrap().store().clone())
    }
}

impl Files {
    fn new() -> Arc<Self> {
        Arc::new(Files { directory: tempfile::tempdir().unwrap(), databases: Mutex::default() })
    }

    /// A checkpoint of the accepted state, and all that a node does beside it. Bytes left in memory.
    fn checkpoint(&self, replica: &Replica) -> usize {
        let databases = self.databases.lock().unwrap();
        let snapshots = replica.snapshots();
        let all: Vec<_> = snapshots
            .iter()
            .map(|(_, snapshot)| {
                let database = databases.iter().find(|database| Arc::ptr_eq(database.store(), snapshot.store()));
                (&**database.unwrap(), snapshot.clone())
            })
            .collect();
        checkpoint_all(&RealDisk, self.directory.path(), b"mark", &all).unwrap();
        for (database, _) in &all {
            while database.needs_backfill() && database.backfill(1_000).unwrap().copied > 0 {}
            database.store().reclaim();
            database.store().evict();
        }
        databases.iter().map(|database| database.store().stats().frames * PAGE_SIZE).sum()
    }
}

/// What makes the database larger than the memory of the replica with files.
fn ballast() -> [String; 2] {
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1500)";
    [
        "CREATE TABLE ballast(id INTEGER PRIMARY KEY, body TEXT)".into(),
        format!("INSERT INTO ballast {rows} SELECT i, i || hex(zeroblob(1000)) FROM n"),
    ]
}

fn log_id(index: u64) -> LogId {
    LogId { term: 1, leader: 1, index }
}

fn step(step: &Step) -> Operation {
    match step {
        Step::Savepoint(sql) => Operation::Savepoint(sql.as_str().into()),
        Step::Statement(sql) => {
            Operation::Statement(Statement { sql: vec![sql.as_str().into()], ..Statement::default() })
        }
    }
}

/// Replicas that must agree on everything.
struct Pack {
    replicas: Vec<Replica>,
    readers: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
    index: u64,
    sequence: u64,
    files: Arc<Files>,
    /// What it had in memory after each checkpoint.
    stored_bytes: Vec<usize>,
}

impl Pack {
    fn new() -> Self {
        let files = Files::new();
        let mut replicas: Vec<Replica> =
            [12 * 4096, 200 << 20, 1 << 20].map(|cache| Replica::create(options(cache)).unwrap()).into();
        replicas.push(Replica::create(Options { home: Some(files.clone()), ..options(16 * 4096) }).unwrap());
        let mut pack = Pack {
            replicas,
            files,
            stored_bytes: Vec::new(),
            readers: Vec::new(),
            stop: Arc::default(),
            reads: Arc::default(),
            index: 0,
            sequence: 0,
        };
        for (replica, threads) in [1, 2, 4, 1].into_iter().enumerate() {
            (0..threads).for_each(|_| pack.start_reader(replica));
        }
        pack
    }

    fn start_reader(&mut self, replica: usize) {
        let accepted = self.replicas[replica].accepted();
        let (stop, reads) = (self.stop.clone(), self.reads.clone());
        self.readers.push(std::thread::spawn(move || {
            let pool = engine::Pool::new(engine::Options::default(), 2);
            while !stop.load(Ordering::Relaxed) {
                let state = accepted.borrow().clone();
                let version = &state.databases["evesql"];
                let mut connection = pool.acquire(&version.snapshot, version.schema).unwrap();
                // On a connection that moves from version to version, with its caches of everything.
                let words = "SELECT count(*) FROM docs WHERE body LIKE 'word3 %'";
                if let Ok(words) = connection.query(words, &[]) {
                    let matches = "SELECT count(*) FROM docs WHERE docs MATCH '^word3'";
                    assert_eq!(connection.query(matches, &[]).unwrap(), words);
                    let children = "SELECT count(*) FROM child WHERE parent NOT IN (SELECT id FROM parent)";
                    assert_eq!(connection.query(children, &[]).unwrap(), [[Value::Integer(0)]]);
                }
                // On one of its own: PRAGMA integrity_check is the only use of FTS5 that does not ask whether
                // another connection wrote meanwhile.
                if reads.load(Ordering::Relaxed) % 64 == 0 {
                    let mut fresh = engine::Connection::view(&version.snapshot, engine::Options::default()).unwrap();
                    assert_eq!(fresh.query("PRAGMA quick_check", &[]).unwrap(), [[Value::Text("ok".into())]]);
                }
                reads.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }

    fn transaction(&mut self, operations: Vec<Operation>) -> Transaction {
        self.sequence += 1;
        Transaction {
            id: TransactionId { incarnation: 3, session: self.sequence % 7, sequence: self.sequence },
            database: "evesql".into(),
            catalog: self.replicas[0].at(self.index).unwrap().databases["evesql"].catalog.version,
            begun: None,
            expires_at_index: self.index + 500,
            operations,
        }
    }

    /// A transaction as a client at one of the nodes would have run it: on a view, with what it saw.
    fn interactive(&mut self, generated: &Generated) -> Transaction {
        let state = self.replicas[0].at(self.index).unwrap();
        let version = &state.databases["evesql"];
        let mut view = engine::Connection::view(&version.snapshot, engine::Options::default()).unwrap();
        view.expect_schema(version.schema).unwrap();
        view.begin_context(engine::Context::new(55, 66, engine::Draws::Replay));
        view.control("BEGIN").unwrap();
        let mut operations = Vec::new();
        for (number, generated) in generated.steps.iter().enumerate() {
            let Step::Statement(sql) = generated else {
                operations.push(step(generated));
                let Step::Savepoint(sql) = generated else { unreachable!() };
                view.answer(&[sql.as_str().into()], &[], None).unwrap();
                continue;
            };
            // Each statement in a savepoint of its own, as clients do that go on after an error.
            view.control("SAVEPOINT s").unwrap();
            view.begin_statement(number as u32 * 3 + 1, &[], &[]);
            let seen = match view.answer(&[sql.as_str().into()], &[], None) {
                Ok(answer) => answer.digest(),
                Err(engine::Failure::Sql(error)) => {
                    view.control("ROLLBACK TO s").unwrap();
                    error.digest()
                }
                Err(error) => panic!("{error}"),
            };
            view.control("RELEASE s").unwrap();
            operations.push(Operation::Savepoint("SAVEPOINT s".into()));
            let statement = Statement { sql: vec![sql.as_str().into()], seen: Some(seen), ..Statement::default() };
            operations.push(Operation::Statement(statement));
            operations.push(Operation::Savepoint("RELEASE s".into()));
        }
        view.control("ROLLBACK").unwrap();
        Transaction { begun: Some(Begun { timestamp_us: 55, seed: 66 }), ..self.transaction(operations) }
    }

    /// Executes a batch everywhere, on the last replicas twice, and accepts it.
    fn execute(&mut self, transactions: Vec<Transaction>, plan: Plan) -> Executed {
        self.index += 1;
        let batch = Batch {
            timestamp_us: self.index as i64 * 1_000_000,
            seed: self.index,
            engine: Hash::default(),
            accepted: Accepted::default(),
            transactions,
            plan,
        };
        let mut results = Vec::new();
        for (number, replica) in self.replicas.iter_mut().enumerate() {
            let mut executed = replica.execute(log_id(self.index), &batch, &Mode::Planned).unwrap();
            if number >= 2 {
                replica.roll_back(self.index - 1).unwrap();
                let again = replica.execute(log_id(self.index), &batch, &Mode::Planned).unwrap();
                assert_eq!(again, executed, "executed again after a roll back, batch {}", self.index);
                executed = again;
            }
            let newest = replica.newest();
            replica.accept(&newest).unwrap();
            results.push(executed);
        }
        let first = results.swap_remove(0);
        for (number, other) in results.iter().enumerate() {
            assert_eq!(other.outcomes, first.outcomes, "batch {} on replica {}", self.index, number + 1);
            assert_eq!(other.root, first.root, "batch {} on replica {}: {batch:#?}", self.index, number + 1);
        }
        if self.index.is_multiple_of(CHECKPOINT_BATCHES) {
            self.stored_bytes.push(self.files.checkpoint(&self.replicas[STORED]));
        }
        first
    }

    /// Drops a replica and makes one from its accepted state, as after a restart.
    fn reopen(&mut self, number: usize) {
        let newest = self.replicas[number].newest();
        let state = self.replicas[number].at(self.index).unwrap();
        let snapshots = state.databases.into_iter().map(|(name, version)| (name, version.snapshot)).collect();
        self.replicas.remove(number);
        let reopened = Replica::over(options(64 * 4096), snapshots, newest).unwrap();
        self.replicas.insert(number, reopened);
    }

    fn view(&self, number: usize) -> engine::Connection {
        let state = self.replicas[number].at(self.index).unwrap();
        let version = &state.databases["evesql"];
        let mut view = engine::Connection::view(&version.snapshot, engine::Options::default()).unwrap();
        view.expect_schema(version.schema).unwrap();
        view
    }
}

impl Drop for Pack {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for reader in self.readers.drain(..) {
            let result = reader.join();
            assert!(result.is_ok() || std::thread::panicking(), "a reader failed");
        }
    }
}

/// Runs a transaction on stock SQLite and compares whether it commits.
fn follow(stock: &rusqlite::Connection, transaction: &Transaction, outcome: &Outcome) {
    if matches!(outcome, Outcome::Conflict { .. }) {
        return;
    }
    stock.execute_batch("BEGIN").unwrap();
    let mut result = Ok(());
    for operation in &transaction.operations {
        result = match operation {
            Operation::Savepoint(sql) => stock.execute_batch(sql),
            Operation::Statement(statement) => match run_stock(stock, &statement.sql[0]) {
                // The client saw the error as well, and went on.
                Err(_) if statement.seen.is_some() => Ok(()),
                result => result,
            },
            _ => unreachable!(),
        };
        if result.is_err() {
            break;
        }
    }
    let committed = result.and_then(|()| stock.execute_batch("COMMIT"));
    if committed.is_err() {
        stock.execute_batch("ROLLBACK").unwrap();
    }
    let ours = matches!(outcome, Outcome::Committed(_));
    assert_eq!(committed.is_ok(), ours, "{committed:?} against {outcome:?} of {transaction:#?}");
}

fn run_stock(stock: &rusqlite::Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = stock.prepare(sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

fn stock_rows(stock: &rusqlite::Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = stock.prepare(sql).unwrap();
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        (0..columns)
            .map(|index| {
                Ok(match row.get::<_, Stock>(index)? {
                    Stock::Null => Value::Null,
                    Stock::Integer(number) => Value::Integer(number),
                    Stock::Real(number) => Value::Real(number),
                    Stock::Text(text) => Value::Text(text.into()),
                    Stock::Blob(bytes) => Value::Blob(bytes.into()),
                })
            })
            .collect()
    };
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

/// A plan of two groups with some transactions in their parallel parts, and the order that it means.
fn plan(random: &mut Random, count: u32) -> (Plan, Vec<usize>) {
    let mut groups = vec![Group::default(), Group::default()];
    for position in 0..count {
        let group = &mut groups[usize::from(position > count / 2)];
        if random.chance(4) { group.parallel.push(position) } else { group.direct.push(position) }
    }
    let order = groups.iter().flat_map(|group| group.parallel.iter().chain(&group.direct));
    let order = order.map(|position| *position as usize).collect();
    (Plan { groups }, order)
}

#[test]
fn same_batches_same_roots_and_the_rows_of_stock_sqlite() {
    let first = from_environment("EVESQL_ROOTS_SEED", 1);
    let transactions = from_environment("EVESQL_ROOTS_TRANSACTIONS", 600);
    for seed in first..first + from_environment("EVESQL_ROOTS_SEEDS", 1) {
        run_seed(seed, transactions);
    }
}

fn run_seed(seed: u64, transactions_min: u64) {
    println!("EVESQL_ROOTS_SEED={seed} EVESQL_ROOTS_TRANSACTIONS={transactions_min}");
    let mut random = Random::new(seed ^ 0xabcdef);
    let mut generator = Generator::new(seed);
    let mut pack = Pack::new();
    let stock = rusqlite::Connection::open_in_memory().unwrap();
    stock.execute_batch("PRAGMA foreign_keys = ON").unwrap();

    let schema: Vec<String> = generator::schema().into_iter().chain(ballast()).collect();
    schema.iter().for_each(|sql| stock.execute_batch(sql).unwrap());
    let create = pack.transaction(schema.into_iter().map(|sql| step(&Step::Statement(sql))).collect());
    let created = pack.execute(vec![create], Plan::default());
    assert!(matches!(created.outcomes[0], Outcome::Committed(_)), "{:?}", created.outcomes);

    let mut counts = [0usize; 3];
    for batch in 0.. {
        if counts.iter().sum::<usize>() as u64 >= transactions_min {
            break;
        }
        let part = random.below(97);
        let ballast = format!("UPDATE ballast SET body = {batch} || substr(body, 3) WHERE id % 97 = {part}");
        let mut transactions = vec![pack.transaction(vec![step(&Step::Statement(ballast))])];
        let mut follows = vec![true];
        for _ in 0..1 + random.below(40) {
            let generated = generator.transaction();
            let has_ddl =
                generated.steps.iter().any(|step| matches!(step, Step::Statement(sql) if sql.contains("TABLE")));
            transactions.push(match random.chance(5) && !generated.ours_only && !has_ddl {
                true => pack.interactive(&generated),
                false => pack.transaction(generated.steps.iter().map(step).collect()),
            });
            follows.push(!generated.ours_only);
        }
        let (plan, order) = plan(&mut random, transactions.len() as u32);
        let executed = pack.execute(transactions.clone(), plan);
        for position in order {
            let outcome = &executed.outcomes[position];
            let kind = match outcome {
                Outcome::Committed(_) => 0,
                Outcome::Failed { .. } => 1,
                Outcome::Conflict { .. } => 2,
                other => panic!("{other:?}"),
            };
            counts[kind] += 1;
            if follows[position] {
                follow(&stock, &transactions[position], outcome);
            }
        }
        if batch % 17 == 11 {
            pack.reopen(batch as usize / 17 % STORED);
        }
    }
    let database_bytes = pack.replicas[STORED].snapshots()[0].1.page_count() as usize * PAGE_SIZE;
    // A reader that is at work holds more.
    pack.stored_bytes.sort_unstable();
    let usual_bytes = pack.stored_bytes[pack.stored_bytes.len() / 2];
    println!(
        "committed, failed, conflicts: {counts:?} in {} batches; reads meanwhile: {}; {} KiB of {} KiB in memory",
        pack.index,
        pack.reads.load(Ordering::Relaxed),
        usual_bytes >> 10,
        database_bytes >> 10,
    );
    assert!(counts[0] > counts[1] && counts[2] > 0);
    assert!(database_bytes > 8 * BUDGET_BYTES && usual_bytes < database_bytes / 4, "all of it was in memory");

    for number in 0..pack.replicas.len() {
        let mut view = pack.view(number);
        let check = view.query("PRAGMA integrity_check", &[]).unwrap();
        assert_eq!(check, [[Value::Text("ok".into())]], "replica {number}");
        for (table, order) in generator::TABLES.iter().chain(&[("ballast", "id")]) {
            let sql = format!("SELECT * FROM {table} ORDER BY {order}");
            assert!(view.query(&sql, &[]).unwrap() == stock_rows(&stock, &sql), "{table} on replica {number}");
        }
        let names = "SELECT name FROM sqlite_schema WHERE name LIKE 'extra%' ORDER BY name";
        assert_eq!(view.query(names, &[]).unwrap(), stock_rows(&stock, names));
    }
}
