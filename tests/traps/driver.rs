//! Runs the same transactions in parallel on several replicas, and one by one, and compares.

use evesql::batch::{Batch, Group, Plan};
use evesql::dialect;
use evesql::engine;
use evesql::page::Hash;
use evesql::replica::{Audit, Executed, Fared, Mode, Options, Replica, Subject, audit};
use evesql::token::{Accepted, LogId};
use evesql::transaction::*;
use rusqlite::types::ValueRef as Stock;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing::subscriber::DefaultGuard;

/// Workers of the replicas that run transactions ahead. The second executes each batch twice, the third is restarted
/// before each.
const WORKERS: [usize; 3] = [1, 2, 4];
const TWICE: usize = 1;
const RESTARTED: usize = 2;

/// Statements of a transaction; what begins with SAVEPOINT, RELEASE or ROLLBACK TO is a step of its own kind.
pub type Script<'a> = &'a [&'a str];

/// Replicas with one schema, and stock SQLite beside them.
pub struct Trap {
    replicas: Vec<Replica>,
    replayed: Replica,
    /// None where it could not follow: statements use functions of ours.
    stock: Option<rusqlite::Connection>,
    engine: engine::Options,
    index: u64,
    sequence: u64,
    /// What was logged of errors on this thread: an unsound footprint mends itself, and is a bug.
    errors: Log,
    _logging: DefaultGuard,
}

/// What came of transactions: the same everywhere.
pub struct Ran {
    pub outcomes: Vec<Outcome>,
    /// How those of the parallel part fared.
    pub fared: Fared,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Ran {
    /// How many were applied, met a row of another, and could not run ahead.
    pub fn fared(&self) -> [u64; 3] {
        [self.fared.applied, self.fared.conflicted, self.fared.unfit]
    }

    /// SQLSTATE of each that failed; empty for those that committed.
    pub fn codes(&self) -> Vec<&str> {
        let code = |outcome| match outcome {
            &Outcome::Committed(_) => "",
            Outcome::Failed { error, .. } => error.code(),
            other => panic!("{other:?}"),
        };
        self.outcomes.iter().map(code).collect()
    }

    /// The answers of one that committed.
    pub fn answers(&self, position: usize) -> &[Answer] {
        match &self.outcomes[position] {
            Outcome::Committed(answers) => answers,
            other => panic!("{other:?}"),
        }
    }

    /// The counts of changes that one answered.
    pub fn changes(&self, position: usize) -> Vec<u64> {
        self.answers(position).iter().map(|answer| answer.changes).collect()
    }

    /// The rows that the last statement of one answered.
    pub fn rows(&self, position: usize) -> Vec<String> {
        self.answers(position).last().unwrap().rows.to_vec().iter().map(|row| line(row)).collect()
    }
}

impl Trap {
    /// Replicas and a stock SQLite with this schema.
    pub fn new(schema: Script<'_>) -> Trap {
        Trap::with(engine::Options::default(), schema)
    }

    /// As [`Trap::new`], with other options.
    pub fn with(engine: engine::Options, schema: Script<'_>) -> Trap {
        let replica = |workers| Replica::create(Options { engine, workers, ..Options::default() }).unwrap();
        let stock = rusqlite::Connection::open_in_memory().unwrap();
        stock.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        let (replicas, replayed) = (WORKERS.map(replica).into(), replica(1));
        let errors = Log::default();
        let written = errors.clone();
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_ansi(false);
        let _logging = tracing::subscriber::set_default(log.with_writer(move || written.clone()).finish());
        let stock = Some(stock);
        let mut trap = Trap { replicas, replayed, stock, engine, index: 0, sequence: 0, errors, _logging };
        let created = trap.direct(&[schema]);
        assert_eq!(created.codes(), [""], "{:?}", created.outcomes);
        trap
    }

    /// From now on stock SQLite does not follow.
    pub fn alone(mut self) -> Trap {
        self.stock = None;
        self
    }

    /// Runs transactions in the parallel part of one group.
    pub fn parallel(&mut self, scripts: &[Script<'_>]) -> Ran {
        let parallel = (0..scripts.len() as u32).collect();
        self.run(scripts, Plan { groups: vec![Group { parallel, direct: Vec::new() }] })
    }

    /// Runs transactions in the direct part of one group.
    pub fn direct(&mut self, scripts: &[Script<'_>]) -> Ran {
        self.run(scripts, Plan::default())
    }

    /// Runs transactions by a plan that means them in their order.
    pub fn run(&mut self, scripts: &[Script<'_>], plan: Plan) -> Ran {
        let transactions = scripts.iter().map(|script| self.transaction(script)).collect();
        self.run_batch(transactions, plan)
    }

    /// Runs a statement of a client by itself, in parallel as far as it can; or the error of its translation.
    pub fn postgres(&mut self, sql: &str) -> Result<Ran, SqlError> {
        let state = self.replicas[0].at(self.index).unwrap();
        let parsed = dialect::parse(sql)?;
        let catalog = &state.databases["evesql"].catalog;
        let prepared = dialect::prepare(&parsed[0], catalog, &[], &dialect::Settings::default())?;
        let mut transaction = self.transaction(&[]);
        transaction.operations = vec![Operation::Statement(Statement { sql: prepared.sql, ..Statement::default() })];
        let groups = vec![Group { parallel: vec![0], direct: Vec::new() }];
        Ok(self.run_batch(vec![transaction], Plan { groups }))
    }

    fn run_batch(&mut self, transactions: Vec<Transaction>, plan: Plan) -> Ran {
        self.index += 1;
        let index = self.index;
        let batch = Batch {
            timestamp_us: index as i64 * 1_000_000,
            seed: index,
            engine: Hash::default(),
            accepted: Accepted::default(),
            transactions,
            plan,
        };
        let first = self.execute(0, &batch);
        for (number, workers) in WORKERS.into_iter().enumerate().skip(1) {
            if number == RESTARTED {
                let options = Options { engine: self.engine, workers, ..Options::default() };
                let restarted = restart(&self.replicas[number], options);
                self.replicas[number] = restarted;
            }
            let mut other = self.execute(number, &batch);
            if number == TWICE {
                self.replicas[number].roll_back(index - 1).unwrap();
                let again = self.execute(number, &batch);
                assert_eq!(again.0, other.0, "executed again after a roll back");
                other = again;
            }
            assert_eq!(other.0.outcomes, first.0.outcomes, "{workers} workers");
            assert_eq!(other.0.root, first.0.root, "{workers} workers");
            assert_eq!(other.1, first.1, "{workers} workers");
        }
        let replayed = self.replayed.execute(log_id(index), &batch, &Mode::Replay { void: Vec::new() }).unwrap();
        assert_eq!(first.0.outcomes, replayed.outcomes, "in parallel, and one by one");
        if let Some(stock) = &self.stock {
            let all = batch.transactions.iter().zip(&replayed.outcomes);
            all.for_each(|(transaction, outcome)| follow(stock, transaction, outcome));
        }
        for replica in self.replicas.iter_mut().chain([&mut self.replayed]) {
            replica.accept(&replica.newest()).unwrap();
        }
        self.compare();
        Ran { outcomes: first.0.outcomes, fared: first.1 }
    }

    /// A one-shot transaction of these statements.
    fn transaction(&mut self, script: Script<'_>) -> Transaction {
        self.sequence += 1;
        let operation = |sql: &&str| {
            let is_savepoint = ["SAVEPOINT ", "RELEASE ", "ROLLBACK TO "].iter().any(|word| sql.starts_with(word));
            match is_savepoint {
                true => Operation::Savepoint((*sql).into()),
                false => Operation::Statement(Statement { sql: vec![(*sql).into()], ..Statement::default() }),
            }
        };
        Transaction {
            id: TransactionId { incarnation: 1, session: 1, sequence: self.sequence },
            database: "evesql".into(),
            catalog: self.replicas[0].at(self.index).unwrap().databases["evesql"].catalog.version,
            begun: None,
            expires_at_index: self.index + 500,
            operations: script.iter().map(operation).collect(),
        }
    }

    /// Executes and audits a batch on one of the replicas.
    fn execute(&mut self, number: usize, batch: &Batch) -> (Executed, Fared) {
        let (index, replica) = (self.index, &mut self.replicas[number]);
        let (before, fared) = (replica.at(index).unwrap().databases, replica.fared());
        let executed = replica.execute(log_id(index), batch, &Mode::Planned).unwrap();
        let (after, now) = (replica.at(index).unwrap().databases, replica.fared());
        let fared = Fared {
            applied: now.applied - fared.applied,
            conflicted: now.conflicted - fared.conflicted,
            unfit: now.unfit - fared.unfit,
        };
        let outcomes: Vec<Hash> = executed.outcomes.iter().map(Outcome::digest).collect();
        let subject = Subject {
            log_id: log_id(index),
            batch,
            mode: &Mode::Planned,
            outcomes: &outcomes,
            before: &before,
            after: &after,
        };
        if let Audit::Differs(found) = audit(&subject, self.engine, &|| true).unwrap() {
            panic!("the audit of batch {index}: {found:?}");
        }
        let errors = String::from_utf8(self.errors.0.lock().unwrap().clone()).unwrap();
        assert!(errors.is_empty(), "{errors}");
        (executed, fared)
    }

    /// All rows of all tables, in parallel and one by one, and what SQLite says of indexes and foreign keys.
    fn compare(&mut self) {
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'evesql%' \
                      AND name NOT LIKE 'sqlite_stat%' ORDER BY name";
        for table in self.ours(tables) {
            let table = table.trim_matches('"').to_string();
            let sorted = |mut rows: Vec<String>| {
                rows.sort();
                rows
            };
            let sql = format!("SELECT * FROM \"{table}\"");
            let expected = match &self.stock {
                Some(stock) => sorted(stock_rows(stock, &sql)),
                None => sorted(rows(&self.replayed, &sql)),
            };
            for replica in self.replicas.iter().chain([&self.replayed]) {
                assert_eq!(sorted(rows(replica, &sql)), expected, "table {table}");
            }
        }
        for replica in self.replicas.iter().chain([&self.replayed]) {
            assert_eq!(rows(replica, "PRAGMA integrity_check"), ["\"ok\""]);
            assert_eq!(rows(replica, "PRAGMA foreign_key_check"), [""; 0]);
        }
        let sequences = "SELECT * FROM evesql_sequences ORDER BY oid";
        assert_eq!(rows(&self.replicas[0], sequences), rows(&self.replayed, sequences));
    }

    /// What a query gives on all replicas and on stock SQLite, a line for each row in its order.
    pub fn same(&self, sql: &str) -> Vec<String> {
        let rows = self.ours(sql);
        if let Some(stock) = &self.stock {
            assert_eq!(rows, stock_rows(stock, sql), "{sql}: here, and on stock SQLite");
        }
        rows
    }

    /// The same without stock SQLite, for functions of ours.
    pub fn ours(&self, sql: &str) -> Vec<String> {
        let expected = rows(&self.replicas[0], sql);
        for replica in self.replicas[1..].iter().chain([&self.replayed]) {
            assert_eq!(rows(replica, sql), expected, "{sql}");
        }
        expected
    }

    /// One of the replicas that run transactions ahead.
    pub fn replica(&self) -> &Replica {
        &self.replicas[0]
    }
}

pub fn log_id(index: u64) -> LogId {
    LogId { term: 1, leader: 1, index }
}

/// A replica that knows nothing but the pages of another.
pub fn restart(dead: &Replica, options: Options) -> Replica {
    let snapshots = dead.newest_snapshots().into_iter().map(|(name, snapshot)| (Arc::from(name), snapshot));
    Replica::over(options, snapshots.collect(), dead.newest()).unwrap()
}

/// A query on a fresh connection to a replica's newest version.
pub fn rows(replica: &Replica, sql: &str) -> Vec<String> {
    let state = replica.at(u64::MAX).unwrap();
    let version = &state.databases["evesql"];
    let mut view = engine::Connection::view(&version.snapshot, engine::Options::default()).unwrap();
    view.expect_schema(version.schema).unwrap();
    view.query(sql, &[]).unwrap().iter().map(|row| line(row)).collect()
}

/// A row with the types of its values: `1, "1", 1.0, x'01', NULL`.
fn line(row: &[Value]) -> String {
    let show = |value: &Value| match value {
        Value::Null => "NULL".to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => format!("{text:?}"),
        Value::Blob(bytes) => format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    };
    row.iter().map(show).collect::<Vec<_>>().join(", ")
}

/// Runs a transaction on stock SQLite, which must end it as it ended here. What ended by a limit of ours is left out.
fn follow(stock: &rusqlite::Connection, transaction: &Transaction, outcome: &Outcome) {
    let ours_alone = |error: &SqlError| ["25001", "42501", "54001"].contains(&error.code());
    if matches!(outcome, Outcome::Failed { error, .. } if ours_alone(error)) {
        return;
    }
    stock.execute_batch("BEGIN").unwrap();
    let run = |operation: &Operation| match operation {
        Operation::Savepoint(sql) => stock.execute_batch(sql),
        Operation::Statement(statement) => try_stock_rows(stock, &statement.sql[0]).map(|_| ()),
        other => panic!("{other:?}"),
    };
    let committed = transaction.operations.iter().try_for_each(run).and_then(|()| stock.execute_batch("COMMIT"));
    if committed.is_err() && !stock.is_autocommit() {
        stock.execute_batch("ROLLBACK").unwrap();
    }
    let ours = matches!(outcome, Outcome::Committed(_));
    assert_eq!(committed.is_ok(), ours, "{committed:?} against {outcome:?} of {transaction:#?}");
}

fn stock_rows(stock: &rusqlite::Connection, sql: &str) -> Vec<String> {
    try_stock_rows(stock, sql).unwrap()
}

fn try_stock_rows(stock: &rusqlite::Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = stock.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let value = |column| {
            Ok(match row.get_ref(column)? {
                Stock::Null => Value::Null,
                Stock::Integer(number) => Value::Integer(number),
                Stock::Real(number) => Value::Real(number),
                Stock::Text(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) => Value::Text(text.into()),
                    Err(_) => Value::Blob(bytes.into()),
                },
                Stock::Blob(bytes) => Value::Blob(bytes.into()),
            })
        };
        lines.push(line(&(0..columns).map(value).collect::<rusqlite::Result<Vec<_>>>()?));
    }
    Ok(lines)
}
