//! A load that only writes, as pgbench's: choosing must not cost more than it saves.

use super::lane::{Lane, batch};
use super::random::Random;
use super::schema::catalog;
use evesql::batch::Plan;
use evesql::config::RunAhead;
use evesql::node::planner::Planner;
use evesql::node::rules::SharedRules;
use evesql::page::Hash;
use evesql::replica::Learn;
use evesql::transaction::*;
use std::sync::Arc;
use std::time::Duration;

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

struct Load {
    texts: Vec<Arc<str>>,
    random: Random,
    sequence: u64,
    catalog: Hash,
}

impl Load {
    fn transaction(&mut self, texts: &[Arc<str>], index: u64) -> Transaction {
        self.sequence += 1;
        let account = self.random.between(1, ACCOUNTS);
        let parameters = vec![Value::Integer(7), Value::Integer(account), Value::Integer(account % 10 + 1)];
        let statement = |sql: &Arc<str>| {
            let (sql, parameters) = (vec![sql.clone()], parameters.clone());
            Operation::Statement(Statement { sql, parameters, ..Statement::default() })
        };
        Transaction {
            id: TransactionId { incarnation: 1, session: self.sequence % 1_000, sequence: self.sequence },
            database: "evesql".into(),
            catalog: self.catalog,
            begun: None,
            expires_at_index: index + 100,
            operations: texts.iter().map(statement).collect(),
        }
    }
}

fn lane(load: &mut Load, name: &str, workers: usize, learn: Learn) -> Lane {
    let mut lane = Lane::empty(name, workers, learn);
    load.catalog = catalog(&lane.replica);
    for sql in SCHEMA {
        let index = lane.index + 1;
        let create = load.transaction(&[Arc::from(*sql)], index);
        lane.execute(&batch(vec![create], Plan::default(), index));
    }
    lane.times.clear();
    lane
}

/// The chosen mode, with all that it learns, against a replica that learns nothing.
pub fn table(batch_size: usize, passes: usize) {
    println!("\n### Writes only (TPC-B)\n");
    println!(
        "| Batch | In turn/s | Chosen/s | Chosen, planning counted/s | Ratio | Ratio, planning counted | \
         Of fastest passes | Of CPU times |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for count in [batch_size.div_ceil(10), batch_size] {
        let texts = STATEMENTS.iter().map(|sql| Arc::from(*sql)).collect();
        let mut load = Load { texts, random: Random::new(3), sequence: 0, catalog: Hash::default() };
        let mut lanes = [("in turn", 1, Learn::Nothing), ("chosen", 2, Learn::Footprints)]
            .map(|(name, workers, learn)| lane(&mut load, name, workers, learn));
        let mut planner = Planner::new(lanes[1].replica.learned(), 2, RunAhead::WhenItPays, SharedRules::default());
        let per_pass = 4_000 / count;
        let mut planning = Duration::ZERO;
        let texts = load.texts.clone();
        for number in 0..per_pass * (passes + 1) {
            if number % per_pass == 0 && number > 0 {
                lanes.iter_mut().for_each(Lane::begin_pass);
            }
            let index = lanes[0].index + 1;
            let all: Vec<Transaction> = (0..count).map(|_| load.transaction(&texts, index)).collect();
            let start = std::time::Instant::now();
            let plan = planner.plan(&all);
            if number >= per_pass {
                planning += start.elapsed();
            }
            let batches = [Plan::default(), plan].map(|plan| batch(all.clone(), plan, index));
            for lane in [number % 2, 1 - number % 2] {
                lanes[lane].execute(&batches[lane]);
            }
        }
        let times = [lanes[0].median(), lanes[1].median()].map(|time| time.as_secs_f64());
        let counted = times[1] + planning.as_secs_f64() / passes as f64;
        let speed = |time: f64| (per_pass * count) as f64 / time;
        println!(
            "| {count} | {:.0} | {:.0} | {:.0} | {:.3} | {:.3} | {:.3} | {:.3} |",
            speed(times[0]),
            speed(times[1]),
            speed(counted),
            times[0] / times[1],
            times[0] / counted,
            lanes[0].fastest().as_secs_f64() / lanes[1].fastest().as_secs_f64(),
            lanes[0].cpu_median().as_secs_f64() / lanes[1].cpu_median().as_secs_f64(),
        );
    }
}
