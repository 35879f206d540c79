//! Invariant 4 over generated batches: the same batches give the same roots whatever the cache, the readers
//! beside them, restarts and roll backs in between; and the same rows as stock SQLite, one transaction
//! after the other.
//!
//! `EVESQL_ROOTS_BATCHES=2000 cargo test --test roots` runs longer, `EVESQL_ROOTS_SEED` another sequence.

mod generator;

use evesql::batch::{Batch, Group, Plan};
use evesql::engine;
use evesql::page::Hash;
use evesql::replica::{Executed, Mode, Options, Replica};
use evesql::token::{Accepted, LogId};
use evesql::transaction::*;
use generator::{Generated, Generator, Random, Step};
use rusqlite::types::Value as Stock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn options(cache_bytes: u64) -> Options {
    let engine = engine::Options { cache_bytes, ..engine::Options::default() };
    Options { engine, ..Options::default() }
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
}

impl Pack {
    fn new() -> Self {
        let replicas = [12 * 4096, 200 << 20, 1 << 20].map(|cache| Replica::create(options(cache)).unwrap());
        let mut pack = Pack {
            replicas: replicas.into(),
            readers: Vec::new(),
            stop: Arc::default(),
            reads: Arc::default(),
            index: 0,
            sequence: 0,
        };
        for (replica, threads) in [1, 2, 4].into_iter().enumerate() {
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

    /// Executes a batch everywhere, on the last replica twice, and accepts it.
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
        let last = self.replicas.len() - 1;
        let mut results = Vec::new();
        for (number, replica) in self.replicas.iter_mut().enumerate() {
            let mut executed = replica.execute(log_id(self.index), &batch, &Mode::Planned).unwrap();
            if number == last {
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
            assert_eq!(other.outcomes, first.outcomes, "batch {} on replica {number}", self.index);
            assert_eq!(other.root, first.root, "batch {} on replica {number}: {batch:#?}", self.index);
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
    let seed = from_environment("EVESQL_ROOTS_SEED", 1);
    let batches = from_environment("EVESQL_ROOTS_BATCHES", 30);
    println!("EVESQL_ROOTS_SEED={seed} EVESQL_ROOTS_BATCHES={batches}");
    let mut random = Random::new(seed ^ 0xabcdef);
    let mut generator = Generator::new(seed);
    let mut pack = Pack::new();
    let stock = rusqlite::Connection::open_in_memory().unwrap();
    stock.execute_batch("PRAGMA foreign_keys = ON").unwrap();

    let schema = generator::schema();
    schema.iter().for_each(|sql| stock.execute_batch(sql).unwrap());
    let create = pack.transaction(schema.into_iter().map(|sql| step(&Step::Statement(sql))).collect());
    let created = pack.execute(vec![create], Plan::default());
    assert!(matches!(created.outcomes[0], Outcome::Committed(_)), "{:?}", created.outcomes);

    let mut counts = [0usize; 3];
    for batch in 0..batches {
        let mut transactions = Vec::new();
        let mut follows = Vec::new();
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
            pack.reopen(batch as usize / 17 % 3);
        }
    }
    println!("committed, failed, conflicts: {counts:?}; reads meanwhile: {}", pack.reads.load(Ordering::Relaxed));
    assert!(counts[0] > counts[1] && counts[2] > 0);

    for number in 0..pack.replicas.len() {
        let mut view = pack.view(number);
        let check = view.query("PRAGMA integrity_check", &[]).unwrap();
        assert_eq!(check, [[Value::Text("ok".into())]], "replica {number}");
        for (table, order) in generator::TABLES {
            let sql = format!("SELECT * FROM {table} ORDER BY {order}");
            assert!(view.query(&sql, &[]).unwrap() == stock_rows(&stock, &sql), "{table} on replica {number}");
        }
        let names = "SELECT name FROM sqlite_schema WHERE name LIKE 'extra%' ORDER BY name";
        assert_eq!(view.query(names, &[]).unwrap(), stock_rows(&stock, names));
    }
}
