//! What a TPC-B-like transaction costs on the executor's thread, stage by stage: its statements alone, in
//! savepoints, and all of a batch with once-only table, publication and root.
//!
//! `cargo bench --bench executor`; times are for a batch, items per second count transactions.

use divan::counter::ItemsCount;
use evesql::batch::{Batch, Plan};
use evesql::engine::{Connection, Context, Draws, Options};
use evesql::page::Hash;
use evesql::replica::{self, Mode, Replica};
use evesql::token::{Accepted, LogId};
use evesql::transaction::*;
use std::sync::Arc;

fn main() {
    divan::main();
}

const ACCOUNTS: i64 = 100_000;

const SCHEMA: &[&str] = &[
    "CREATE TABLE branches(id INTEGER PRIMARY KEY, balance INT, filler TEXT)",
    "CREATE TABLE tellers(id INTEGER PRIMARY KEY, branch INT, balance INT, filler TEXT)",
    "CREATE TABLE accounts(id INTEGER PRIMARY KEY, branch INT, balance INT, filler TEXT)",
    "CREATE TABLE history(teller INT, branch INT, account INT, delta INT, at INT, filler TEXT)",
    "INSERT INTO branches VALUES (1, 0, printf('%88s', 'x'))",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10) \
     INSERT INTO tellers SELECT i, 1, 0, printf('%84s', 'x') FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) \
     INSERT INTO accounts SELECT i, 1, 0, printf('%84s', 'x') FROM n",
];

/// Delta, account, teller.
const STATEMENTS: [&str; 5] = [
    "UPDATE accounts SET balance = balance + ?1 WHERE id = ?2",
    "SELECT balance FROM accounts WHERE id = ?2",
    "UPDATE tellers SET balance = balance + ?1 WHERE id = ?3",
    "UPDATE branches SET balance = balance + ?1 WHERE id = 1",
    "INSERT INTO history VALUES (?3, 1, ?2, ?1, evesql_now(), NULL)",
];

/// Makes transactions.
struct Load {
    texts: Vec<Arc<str>>,
    sequence: u64,
}

impl Load {
    fn new() -> Self {
        Load { texts: STATEMENTS.iter().map(|sql| Arc::from(*sql)).collect(), sequence: 0 }
    }

    fn parameters(&mut self) -> Vec<Value> {
        self.sequence += 1;
        let account = (self.sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as i64 % ACCOUNTS + 1;
        vec![Value::Integer(7), Value::Integer(account), Value::Integer(account % 10 + 1)]
    }

    fn transaction(&mut self, texts: &[Arc<str>], index: u64, catalog: Hash) -> Transaction {
        let parameters = self.parameters();
        let statement = |sql: &Arc<str>| {
            let (sql, parameters) = (vec![sql.clone()], parameters.clone());
            Operation::Statement(Statement { sql, parameters, ..Statement::default() })
        };
        Transaction {
            id: TransactionId { incarnation: 1, session: self.sequence % 64, sequence: self.sequence },
            database: "evesql".into(),
            catalog,
            begun: None,
            expires_at_index: index + 100,
            operations: texts.iter().map(statement).collect(),
        }
    }
}

fn batch(transactions: Vec<Transaction>, index: u64) -> Batch {
    Batch {
        timestamp_us: index as i64,
        seed: index,
        engine: Hash::default(),
        accepted: Accepted::default(),
        transactions,
        plan: Plan::default(),
    }
}

fn execute(replica: &mut Replica, index: u64, batch: &Batch) {
    let executed = replica.execute(LogId { term: 1, leader: 1, index }, batch, &Mode::Planned).unwrap();
    assert!(executed.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))));
    let newest = replica.newest();
    replica.accept(&newest).unwrap();
}

/// Everything that a replica does between a batch and its token.
#[divan::bench(args = [1, 10, 100, 1000], sample_size = 1, sample_count = 200, max_time = 3)]
fn batch_to_root(bencher: divan::Bencher, count: usize) {
    let mut replica = Replica::create(replica::Options::default()).unwrap();
    let mut load = Load::new();
    let catalog = replica.at(0).unwrap().databases["evesql"].catalog.version;
    let mut index = 0;
    for sql in SCHEMA {
        index += 1;
        let create = load.transaction(&[Arc::from(*sql)], index, catalog);
        execute(&mut replica, index, &batch(vec![create], index));
    }
    let texts = load.texts.clone();
    let mut batches = index;
    let make = || {
        batches += 1;
        let transactions = (0..count).map(|_| load.transaction(&texts, batches, catalog)).collect();
        (batches, batch(transactions, batches))
    };
    bencher
        .with_inputs(make)
        .counter(ItemsCount::new(count))
        .bench_local_values(|(index, batch)| execute(&mut replica, index, &batch));
}

/// The statements alone, inside one BEGIN .. COMMIT; with or without a savepoint for each transaction.
#[divan::bench(args = [false, true], sample_size = 1, sample_count = 200, max_time = 3)]
fn statements_of_100(bencher: divan::Bencher, savepoints: bool) {
    let mut connection = Connection::in_memory(Options::default()).unwrap();
    SCHEMA.iter().for_each(|sql| connection.control(sql).unwrap());
    let mut load = Load::new();
    bencher.counter(ItemsCount::new(100usize)).bench_local(|| {
        connection.control("BEGIN").unwrap();
        for _ in 0..100 {
            let parameters = load.parameters();
            connection.begin_context(Context::new(0, 1, Draws::Live));
            if savepoints {
                connection.control("SAVEPOINT evesql").unwrap();
            }
            for (operation, sql) in load.texts.iter().enumerate() {
                connection.begin_statement(operation as u32, &[], &[]);
                let answer = connection.answer(std::slice::from_ref(sql), &parameters, None).unwrap();
                connection.end_statement().unwrap();
                divan::black_box(answer.digest());
            }
            if savepoints {
                connection.control("RELEASE evesql").unwrap();
            }
        }
        connection.control("COMMIT").unwrap();
    });
}
