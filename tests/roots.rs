//! Invariant 4 over generated batches: the same batches give the same roots whatever the cache, the readers
//! beside them, restarts (one of them from files and the batches since the checkpoint), roll backs, checkpoints and
//! evictions in between; and the same rows as stock SQLite, one transaction after the other.
//!
//! `EVESQL_ROOTS_TRANSACTIONS=20000 cargo test --test roots` runs longer, `EVESQL_ROOTS_SEED=7` another sequence, and
//! `EVESQL_ROOTS_SEEDS=4` four of them, each of that many transactions.

mod generator;

use evesql::batch::{Batch, Group, Plan};
use evesql::dialect;
use evesql::engine;
use evesql::footprint::{Footprint, Templates};
use evesql::mixer;
use evesql::page::{Hash, PAGE_SIZE};
use evesql::page_store::checkpoint::{Manifest, database_file};
use evesql::page_store::{PageStore, StoreError, StoreOptions, StoredDatabase, checkpoint_all};
use evesql::replica::{Audit, DatabaseVersion, Executed, Fared, Home, Mode, Options, Replica, Subject, audit};
use evesql::seam::RealDisk;
use evesql::token::{Accepted, LogId};
use evesql::transaction::*;
use generator::{Generated, Generator, Random, Step};
use rusqlite::types::Value as Stock;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn options(cache_bytes: u64, workers: usize) -> Options {
    let engine = engine::Options { cache_bytes, ..engine::Options::default() };
    Options { engine, workers, ..Options::default() }
}

/// Memory of the replica with files; the database is many times larger.
const BUDGET_BYTES: usize = 128 * PAGE_SIZE;
/// The replica with files: the last one.
const STORED: usize = 3;
/// Batches between its checkpoints.
const CHECKPOINT_BATCHES: u64 = 5;
/// Pages that every other backfill copies, so that a log is often left beside the base file.
const BACKFILL_PAGES: usize = 40;
/// Reader threads of each replica.
const READERS: [usize; 4] = [1, 2, 4, 1];
/// Pause of a reader. Readers that never rest show no more, and take the cores from what they watch.
const READER_PAUSE: Duration = Duration::from_millis(5);
/// Where numbers drawn by interactive transactions begin: far from those that one-shot ones take from the row.
const RESERVED_NUMBERS: i64 = 1 << 30;

/// Batches of one round of the scripted parts.
const ROUND: u64 = 20;
/// Where in a round the steps of [`generator::statistics`] begin.
const STATISTICS_AT: u64 = 5;
/// In a round: a new table with identity columns, one more replica that restarts, and the one with files.
const NUMBERED_AT: u64 = 0;
const RESTART_AT: u64 = 13;
const RESTART_FILES_AT: u64 = 17;

fn store_options() -> StoreOptions {
    StoreOptions { memory_budget_bytes: BUDGET_BYTES, ..StoreOptions::default() }
}

/// Where the replica with files keeps them.
struct Files {
    directory: tempfile::TempDir,
    databases: Mutex<Vec<Arc<StoredDatabase>>>,
}

impl Home for Files {
    fn create(&self, name: &str) -> Result<Arc<PageStore>, StoreError> {
        let mut databases = self.databases.lock().unwrap();
        let directory = format!("database-{}", databases.len());
        let database = StoredDatabase::create(&RealDisk, self.directory.path(), name, &directory, store_options())?;
        databases.push(Arc::new(database));
        Ok(databases.last().unwrap().store().clone())
    }
}

impl Files {
    fn new() -> Arc<Self> {
        Arc::new(Files { directory: tempfile::tempdir().unwrap(), databases: Mutex::default() })
    }

    /// The replica as of its last checkpoint, from nothing but the files. Nobody may hold anything of it any more.
    fn open(self: &Arc<Self>, options: Options) -> Replica {
        let root = self.directory.path();
        let manifest = Manifest::read(&RealDisk, root).unwrap().expect("a checkpoint was taken");
        let mut databases = self.databases.lock().unwrap();
        let dead: Vec<_> = databases.drain(..).map(|database| Arc::downgrade(database.store())).collect();
        assert!(dead.iter().all(|store| store.strong_count() == 0), "somebody still holds what was in memory");
        let mut snapshots = BTreeMap::new();
        for section in &manifest.sections {
            let mut notices = Vec::new();
            let database = StoredDatabase::open(&RealDisk, root, section, store_options(), &mut notices).unwrap();
            assert!(notices.is_empty(), "{notices:?}");
            snapshots.insert(section.name.as_str().into(), database.store().head());
            databases.push(Arc::new(database));
        }
        let options = Options { home: Some(self.clone()), ..options };
        Replica::over(options, snapshots, postcard::from_bytes(&manifest.mark).unwrap()).unwrap()
    }

    /// What the stock shell says in the files as they are, base and log together.
    fn shell(&self, sql: &str) -> String {
        let manifest = Manifest::read(&RealDisk, self.directory.path()).unwrap().unwrap();
        let section = manifest.sections.iter().find(|section| section.name == "evesql").unwrap();
        let file = database_file(self.directory.path(), section);
        let output = Command::new("sqlite3").arg("-readonly").arg(file).arg(sql).output().expect("sqlite3 runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A checkpoint of the accepted state, and all that a node does beside it. Bytes left in memory.
    fn checkpoint(&self, replica: &Replica, pages_max: usize) -> usize {
        let databases = self.databases.lock().unwrap();
        let snapshots = replica.snapshots();
        let all: Vec<_> = snapshots
            .iter()
            .map(|(_, snapshot)| {
                let database = databases.iter().find(|database| Arc::ptr_eq(database.store(), snapshot.store()));
                (&**database.unwrap(), snapshot.clone())
            })
            .collect();
        let mark = postcard::to_stdvec(&replica.newest()).unwrap();
        checkpoint_all(&RealDisk, self.directory.path(), &mark, &all).unwrap();
        for (database, _) in &all {
            if database.needs_backfill() {
                database.backfill(pages_max).unwrap();
            }
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
        Step::Statement(sql) => statement(vec![sql.as_str().into()]),
    }
}

fn statement(sql: Vec<Arc<str>>) -> Operation {
    Operation::Statement(Statement { sql, ..Statement::default() })
}

/// What an interactive transaction draws from, as from a block of numbers that was reserved for its node.
struct Numbers(Arc<AtomicI64>);

impl engine::Source for Numbers {
    fn sequence_number(&mut self, _: i64) -> Result<i64, SqlError> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed))
    }
    fn system_value(&mut self, name: &str) -> Result<Value, SqlError> {
        panic!("nothing generated asks for {name}")
    }
}

/// Threads that read what a replica accepts, as long as it is there.
#[derive(Default)]
struct Readers {
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Readers {
    fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let result = thread.join();
            assert!(result.is_ok() || std::thread::panicking(), "a reader failed");
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Replicas that must agree on everything.
struct Pack {
    readers: Vec<Readers>,
    replicas: Vec<Replica>,
    reads: Arc<AtomicU64>,
    numbers: Arc<AtomicI64>,
    index: u64,
    sequence: u64,
    files: Arc<Files>,
    /// What it had in memory after each checkpoint.
    stored_bytes: Vec<usize>,
    /// Batches since the checkpoint with what came of them: a log.
    log: Vec<(Batch, Executed)>,
    /// Batches that a restart executed again.
    executed_again: usize,
    /// How transactions of parallel parts fared, on all replicas.
    fared: Fared,
    /// Batches whose audit was skipped, and was done.
    audited: [usize; 2],
}

impl Pack {
    fn new() -> Self {
        let files = Files::new();
        let caches = [(12 * 4096, 1), (200 << 20, 2), (1 << 20, 4)];
        let mut replicas: Vec<Replica> =
            caches.map(|(cache, workers)| Replica::create(options(cache, workers)).unwrap()).into();
        replicas.push(Replica::create(Options { home: Some(files.clone()), ..options(16 * 4096, 2) }).unwrap());
        let mut pack = Pack {
            replicas,
            files,
            stored_bytes: Vec::new(),
            readers: Vec::new(),
            reads: Arc::default(),
            numbers: Arc::new(AtomicI64::new(RESERVED_NUMBERS)),
            index: 0,
            sequence: 0,
            log: Vec::new(),
            executed_again: 0,
            fared: Fared::default(),
            audited: [0; 2],
        };
        pack.readers = (0..pack.replicas.len()).map(|replica| pack.start_readers(replica)).collect();
        pack
    }

    fn start_readers(&self, replica: usize) -> Readers {
        let mut readers = Readers::default();
        for _ in 0..READERS[replica] {
            let reader = self.reader(replica, readers.stop.clone());
            readers.threads.push(reader);
        }
        readers
    }

    fn reader(&self, replica: usize, stop: Arc<AtomicBool>) -> JoinHandle<()> {
        let accepted = self.replicas[replica].accepted();
        let reads = self.reads.clone();
        std::thread::spawn(move || {
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
                if reads.load(Ordering::Relaxed).is_multiple_of(256) {
                    let mut fresh = engine::Connection::view(&version.snapshot, engine::Options::default()).unwrap();
                    assert_eq!(fresh.query("PRAGMA quick_check", &[]).unwrap(), [[Value::Text("ok".into())]]);
                }
                reads.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(READER_PAUSE);
            }
        })
    }

    /// A transaction as it waits for its batch.
    fn one_shot(&mut self, generated: &Generated) -> Transaction {
        let operations = generated.steps.iter().map(|step| self.operation(generated, step)).collect();
        self.transaction(operations)
    }

    fn operation(&self, generated: &Generated, one: &Step) -> Operation {
        match one {
            Step::Statement(sql) if generated.is_postgres => statement(self.translate(sql)),
            _ => step(one),
        }
    }

    fn translate(&self, sql: &str) -> Vec<Arc<str>> {
        let state = self.replicas[0].at(self.index).unwrap();
        let parsed = dialect::parse(sql).unwrap();
        let catalog = &state.databases["evesql"].catalog;
        dialect::prepare(&parsed[0], catalog, &[], &dialect::Settings::default()).unwrap().sql
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
        let draws = engine::Draws::Record(Box::new(Numbers(self.numbers.clone())));
        view.begin_context(engine::Context::new(55, 66, draws));
        view.control("BEGIN").unwrap();
        let mut operations = Vec::new();
        for (number, one) in generated.steps.iter().enumerate() {
            let Operation::Statement(Statement { sql, .. }) = self.operation(generated, one) else {
                operations.push(step(one));
                let Step::Savepoint(sql) = one else { unreachable!() };
                view.answer(&[sql.as_str().into()], &[], None).unwrap();
                continue;
            };
            // Each statement in a savepoint of its own, as clients do that go on after an error.
            view.control("SAVEPOINT s").unwrap();
            view.begin_statement(number as u32 * 3 + 1, &[], &[]);
            let answer = view.answer(&sql, &[], None);
            let drawn = view.end_statement().unwrap().drawn;
            let seen = match answer {
                Ok(answer) => answer.digest(),
                Err(engine::Failure::Sql(error)) => {
                    view.control("ROLLBACK TO s").unwrap();
                    error.digest()
                }
                Err(error) => panic!("{error}"),
            };
            view.control("RELEASE s").unwrap();
            operations.push(Operation::Savepoint("SAVEPOINT s".into()));
            let statement = Statement { sql, drawn, seen: Some(seen), ..Statement::default() };
            operations.push(Operation::Statement(statement));
            operations.push(Operation::Savepoint("RELEASE s".into()));
        }
        view.control("ROLLBACK").unwrap();
        Transaction { begun: Some(Begun { timestamp_us: 55, seed: 66 }), ..self.transaction(operations) }
    }

    /// Executes a batch everywhere, on one replica twice, every other one also on the one with files, and accepts it.
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
            let before = replica.at(self.index).unwrap().databases;
            let mut executed = replica.execute(log_id(self.index), &batch, &Mode::Planned).unwrap();
            if number == 2 || (number == STORED && self.index.is_multiple_of(2)) {
                replica.roll_back(self.index - 1).unwrap();
                let again = replica.execute(log_id(self.index), &batch, &Mode::Planned).unwrap();
                assert_eq!(again, executed, "executed again after a roll back, batch {}", self.index);
                executed = again;
            }
            let newest = replica.newest();
            replica.accept(&newest).unwrap();
            if number == 1 {
                let after = replica.at(self.index).unwrap().databases;
                self.audited[usize::from(audited(self.index, &batch, &executed, &before, &after))] += 1;
            }
            results.push(executed);
        }
        let first = results.swap_remove(0);
        for (number, other) in results.iter().enumerate() {
            assert_eq!(other.outcomes, first.outcomes, "batch {} on replica {}", self.index, number + 1);
            assert_eq!(other.root, first.root, "batch {} on replica {}: {batch:#?}", self.index, number + 1);
        }
        self.log.push((batch, first.clone()));
        // The first one at once: from then on the replica can come back from its files.
        if self.index % CHECKPOINT_BATCHES == 1 {
            self.checkpoint();
        }
        first
    }

    fn checkpoint(&mut self) {
        let pages_max = if self.index.is_multiple_of(2) { BACKFILL_PAGES } else { usize::MAX };
        self.stored_bytes.push(self.files.checkpoint(&self.replicas[STORED], pages_max));
        self.log.clear();
    }

    /// Before a replica's own count ends.
    fn count(&mut self, number: usize) {
        let Fared { applied, conflicted, unfit } = self.replicas[number].fared();
        self.fared.applied += applied;
        self.fared.conflicted += conflicted;
        self.fared.unfit += unfit;
    }

    /// Restarts a replica: its readers, all connections and, for the one with files, all that was in memory are gone.
    fn reopen(&mut self, number: usize) {
        self.readers[number].stop();
        self.count(number);
        let dead = self.replicas.remove(number);
        let reopened = if number == STORED { self.open_files(dead) } else { again_over(&dead, self.index) };
        self.replicas.insert(number, reopened);
        self.readers[number] = self.start_readers(number);
    }

    /// The checkpoint, and the batches after it once more.
    fn open_files(&mut self, dead: Replica) -> Replica {
        let newest = dead.newest();
        drop(dead);
        let mut replica = self.files.open(options(16 * 4096, 2));
        let first = self.index - self.log.len() as u64 + 1;
        for (index, (batch, before)) in (first..).zip(&self.log) {
            let executed = replica.execute(log_id(index), batch, &Mode::Planned).unwrap();
            assert_eq!(executed, *before, "batch {index} again after a restart from files");
            replica.accept(&replica.newest()).unwrap();
        }
        assert_eq!(replica.newest(), newest);
        self.executed_again += self.log.len();
        replica
    }

    fn view(&self, number: usize) -> engine::Connection {
        let state = self.replicas[number].at(self.index).unwrap();
        let version = &state.databases["evesql"];
        let mut view = engine::Connection::view(&version.snapshot, engine::Options::default()).unwrap();
        view.expect_schema(version.schema).unwrap();
        view
    }
}

type Databases = BTreeMap<Arc<str>, DatabaseVersion>;

/// Runs a batch again, one transaction after the other. Whether it could be done.
fn audited(index: u64, batch: &Batch, executed: &Executed, before: &Databases, after: &Databases) -> bool {
    let outcomes: Vec<Hash> = executed.outcomes.iter().map(Outcome::digest).collect();
    let (log_id, mode) = (log_id(index), &Mode::Planned);
    let subject = Subject { log_id, batch, mode, outcomes: &outcomes, before, after };
    match audit(&subject, engine::Options::default(), &|| true).unwrap() {
        Audit::Differs(found) => panic!("the audit of batch {index}: {found:?}"),
        result => result == Audit::Same,
    }
}

/// A replica that knows nothing but the pages of another.
fn again_over(dead: &Replica, index: u64) -> Replica {
    let databases = dead.at(index).unwrap().databases.into_iter();
    let snapshots = databases.map(|(name, version)| (name, version.snapshot)).collect();
    Replica::over(options(64 * 4096, 3), snapshots, dead.newest()).unwrap()
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

/// A plan of two groups with some transactions in their parallel parts, and the order that it means. It is made without a
/// look at what conflicts, which is the worst that wrong rules can bring about; at times it is what rules give that call
/// everything independent: all in one parallel part.
fn plan(random: &mut Random, count: u32) -> (Plan, Vec<usize>) {
    if random.chance(8) {
        let group = Group { parallel: (0..count).collect(), direct: Vec::new() };
        return (Plan { groups: vec![group] }, (0..count as usize).collect());
    }
    let mut groups = vec![Group::default(), Group::default()];
    for position in 0..count {
        let group = &mut groups[usize::from(position > count / 2)];
        if random.chance(2) { group.parallel.push(position) } else { group.direct.push(position) }
    }
    let order = groups.iter().flat_map(|group| group.parallel.iter().chain(&group.direct));
    let order = order.map(|position| *position as usize).collect();
    (Plan { groups }, order)
}

#[test]
fn same_batches_same_roots_and_the_rows_of_stock_sqlite() {
    let first = from_environment("EVESQL_ROOTS_SEED", 1);
    let transactions = from_environment("EVESQL_ROOTS_TRANSACTIONS", 2_000);
    for seed in first..first + from_environment("EVESQL_ROOTS_SEEDS", 1) {
        println!("EVESQL_ROOTS_SEED={seed} EVESQL_ROOTS_TRANSACTIONS={transactions}");
        Story::new(seed).run(transactions);
    }
}

/// One seed's run.
struct Story {
    random: Random,
    generator: Generator,
    pack: Pack,
    stock: rusqlite::Connection,
    /// Committed, failed, conflicts.
    counts: [usize; 3],
    /// How often ANALYZE ran twice with a restart between.
    rounds: u64,
    /// Committed draws of identity numbers: one-shot, interactive.
    drawn: [u64; 2],
}

impl Story {
    fn new(seed: u64) -> Story {
        let mut pack = Pack::new();
        let stock = rusqlite::Connection::open_in_memory().unwrap();
        stock.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        let schema: Vec<String> = generator::schema().into_iter().chain(ballast()).collect();
        schema.iter().for_each(|sql| stock.execute_batch(sql).unwrap());
        let create = pack.transaction(schema.into_iter().map(|sql| step(&Step::Statement(sql))).collect());
        let created = pack.execute(vec![create], Plan::default());
        assert!(matches!(created.outcomes[0], Outcome::Committed(_)), "{:?}", created.outcomes);
        let (random, generator) = (Random::new(seed ^ 0xabcdef), Generator::new(seed));
        Story { random, generator, pack, stock, counts: [0; 3], rounds: 0, drawn: [0; 2] }
    }

    fn run(mut self, transactions_min: u64) {
        for batch in 0.. {
            if self.counts.iter().sum::<usize>() as u64 >= transactions_min && batch > ROUND {
                break;
            }
            if batch % ROUND == NUMBERED_AT {
                generator::create_numbered(batch / ROUND).into_iter().for_each(|one| self.execute(vec![one]));
            }
            let transactions = self.transactions(batch);
            self.execute(transactions);
            self.after(batch);
        }
        self.check_memory();
        (0..self.pack.replicas.len()).for_each(|number| self.check_replica(number));
        self.check_files();
    }

    /// The transactions of a batch: one that keeps the ballast moving, the script's, generated ones.
    fn transactions(&mut self, batch: u64) -> Vec<Generated> {
        let part = self.random.below(97);
        let ballast = format!("UPDATE ballast SET body = {batch} || substr(body, 3) WHERE id % 97 = {part}");
        let mut all = vec![Generated::of([ballast])];
        let step = (batch % ROUND).wrapping_sub(STATISTICS_AT);
        if step < generator::STATISTICS_STEPS {
            all.extend(generator::statistics(step));
        }
        for _ in 0..1 + self.random.below(40) {
            let numbers = self.random.chance(12);
            all.push(if numbers { self.generator.numbers() } else { self.generator.transaction() });
        }
        all
    }

    fn execute(&mut self, generated: Vec<Generated>) {
        let mut transactions = Vec::new();
        for one in &generated {
            let may_be_interactive = !one.has_ddl() && (one.is_postgres || !one.ours_only);
            let interactive = may_be_interactive && self.random.chance(5);
            transactions.push(if interactive { self.pack.interactive(one) } else { self.pack.one_shot(one) });
        }
        let (plan, order) = match self.random.chance(2) {
            true => plan(&mut self.random, transactions.len() as u32),
            false => self.mixed(&transactions),
        };
        let executed = self.pack.execute(transactions.clone(), plan);
        for position in order {
            let outcome = &executed.outcomes[position];
            self.counts[match outcome {
                Outcome::Committed(_) => 0,
                Outcome::Failed { .. } => 1,
                Outcome::Conflict { .. } => 2,
                other => panic!("{other:?}"),
            }] += 1;
            let Generated { is_postgres, ours_only, .. } = generated[position];
            if is_postgres && matches!(outcome, Outcome::Committed(_)) {
                self.drawn[usize::from(transactions[position].begun.is_some())] += 1;
            }
            if !ours_only {
                follow(&self.stock, &transactions[position], outcome);
            }
        }
    }

    /// The plan that footprints make, and the order that it means.
    fn mixed(&mut self, transactions: &[Transaction]) -> (Plan, Vec<usize>) {
        let mut view = self.pack.view(0);
        let (hash, schema) = (view.schema_hash().unwrap(), view.footprint_schema().unwrap());
        let mut templates = Templates::new(64);
        let mut footprint = |one| templates.footprint(hash, one, |sql| view.template(sql, &schema));
        let footprints: Vec<Footprint> = transactions.iter().map(&mut footprint).collect();
        let candidate = |(footprint, one): (_, &Transaction)| {
            let mode = if self.random.chance(4) { mixer::Mode::Direct } else { mixer::Mode::Parallel };
            mixer::Candidate { footprint, session: one.id.sequence, mode, refined: None }
        };
        let candidates: Vec<_> = footprints.iter().zip(transactions).map(candidate).collect();
        let plan = mixer::plan(&candidates, &mixer::Limits::default());
        let order = plan.groups.iter().flat_map(|group| group.parallel.iter().chain(&group.direct));
        let order = order.map(|position| *position as usize).collect();
        (plan, order)
    }

    /// What happens between two batches: restarts at fixed places, so that each replica has its turn.
    fn after(&mut self, batch: u64) {
        let (round, place) = ((batch / ROUND) as usize, batch % ROUND);
        if place == STATISTICS_AT {
            // Between two ANALYZE: this one reads the statistics, the others had them all the time.
            self.pack.reopen((round + STORED) % (STORED + 1));
        }
        if place == STATISTICS_AT + generator::STATISTICS_STEPS {
            self.check_choice();
        }
        if place == RESTART_AT {
            self.pack.reopen((round + 1) % (STORED + 1));
        }
        if place == RESTART_FILES_AT {
            self.pack.reopen(STORED);
        }
    }

    /// Statistics decided: with the first ones rows came by one index, with the second ones by the other, also after
    /// others were rolled back.
    fn check_choice(&mut self) {
        let chosen = self.pack.view(0).query("SELECT id FROM chosen ORDER BY n", &[]).unwrap();
        let ids: Vec<i64> = chosen.iter().map(|row| if let Value::Integer(id) = row[0] { id } else { 0 }).collect();
        let thirds: Vec<&[i64]> = ids.chunks(ids.len() / 3).collect();
        assert!(thirds.len() == 3 && thirds[0].len() > 5, "{ids:?}");
        let descends = |ids: &[i64]| ids.is_sorted_by(|a, b| a > b);
        assert!(thirds[0].is_sorted() && thirds[1..].iter().all(|ids| descends(ids)), "{thirds:?}");
        self.rounds += 1;
    }

    fn check_memory(&mut self) {
        let database_bytes = self.pack.replicas[STORED].snapshots()[0].1.page_count() as usize * PAGE_SIZE;
        // A reader that is at work holds more.
        self.pack.stored_bytes.sort_unstable();
        let usual_bytes = self.pack.stored_bytes[self.pack.stored_bytes.len() / 2];
        println!(
            "committed, failed, conflicts: {:?} in {} batches; reads meanwhile: {}; {} KiB of {} KiB in memory; \
             {} times two ANALYZE; drawn: {:?}; {} batches executed again from files",
            self.counts,
            self.pack.index,
            self.pack.reads.load(Ordering::Relaxed),
            usual_bytes >> 10,
            database_bytes >> 10,
            self.rounds,
            self.drawn,
            self.pack.executed_again,
        );
        (0..self.pack.replicas.len()).for_each(|number| self.pack.count(number));
        let fared = self.pack.fared;
        println!("parallel parts: {fared:?}; audits skipped and done: {:?}", self.pack.audited);
        assert!(self.pack.audited[1] > self.pack.index as usize / 8, "too few batches were audited");
        assert!(fared.applied > 0 && fared.conflicted > 0 && fared.unfit > 0, "{fared:?}");
        assert!(self.counts[0] > self.counts[1] && self.counts[2] > 0 && self.rounds > 0);
        assert!(self.drawn.iter().all(|drawn| *drawn > 0), "{:?}", self.drawn);
        assert!(self.pack.executed_again > 0, "no restart from files had anything to execute");
        assert!(database_bytes > 8 * BUDGET_BYTES && usual_bytes < database_bytes / 4, "all of it was in memory");
    }

    fn check_replica(&self, number: usize) {
        let mut view = self.pack.view(number);
        let check = view.query("PRAGMA integrity_check", &[]).unwrap();
        assert_eq!(check, [[Value::Text("ok".into())]], "replica {number}");
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND (name LIKE 'extra%' OR name LIKE 'lost%') \
                      ORDER BY name";
        let extra = view.query(tables, &[]).unwrap();
        assert!(!extra.is_empty());
        assert_eq!(extra, stock_rows(&self.stock, tables));
        let extra = extra.iter().map(|row| (text(&row[0]), "rowid".to_string()));
        let fixed = generator::TABLES.iter().chain(&[("ballast", "id"), ("skew", "id"), ("chosen", "id")]);
        for (table, order) in fixed.map(|(table, order)| (table.to_string(), order.to_string())).chain(extra) {
            // A plan that statistics chose numbers the rows; they themselves are the same.
            let columns = if table == "chosen" { "id" } else { "*" };
            let sql = format!("SELECT {columns} FROM {table} ORDER BY {order}");
            assert!(view.query(&sql, &[]).unwrap() == stock_rows(&self.stock, &sql), "{table} on replica {number}");
        }
        check_numbers(&mut view);
    }

    /// The stock shell reads base and log of a checkpoint that was not copied yet, and the base alone.
    fn check_files(&mut self) {
        let counts =
            "SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM child), (SELECT sum(id) FROM ballast)";
        let row = self.pack.view(STORED).query(counts, &[]).unwrap().remove(0);
        let expected: Vec<String> = row.iter().map(text).collect();
        for pages_max in [0, usize::MAX] {
            self.pack.files.checkpoint(&self.pack.replicas[STORED], pages_max);
            let said = self.pack.files.shell(&format!("PRAGMA integrity_check; {counts}"));
            assert_eq!(said, format!("ok\n{}\n", expected.join("|")));
        }
        self.pack.log.clear();
        self.pack.reopen(STORED);
        self.check_replica(STORED);
    }
}

/// No number is there twice, and the sequences' rows are not behind what they gave.
fn check_numbers(view: &mut engine::Connection) {
    for (column, increment) in [("id", 3), ("other", 1)] {
        let live = format!("{column} < {RESERVED_NUMBERS}");
        let sql = format!(
            "SELECT count(*) = count(DISTINCT {column}), sum({live}) > 0, max({column}) FILTER (WHERE {live}) <= \
             (SELECT last_value FROM evesql_sequences WHERE increment = {increment}) FROM numbered"
        );
        assert_eq!(
            view.query(&sql, &[]).unwrap(),
            [vec![Value::Integer(1); 3]],
            "{column}: distinct, some, not behind"
        );
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}
