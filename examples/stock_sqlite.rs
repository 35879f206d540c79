//! Stock SQLite as a peer to measure against: pgbench's TPC-B-like transaction, or its point select, on a file
//! in WAL mode with synchronous=FULL, one native thread and connection for each client, in this process.
//!
//! `stock_sqlite FILE tpcb|select CLIENTS SECONDS SCALE` prints transactions per second.

use rusqlite::{Connection, TransactionBehavior, params};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, script, clients, seconds, scale] = arguments.as_slice() else {
        eprintln!("usage: stock_sqlite FILE tpcb|select CLIENTS SECONDS SCALE");
        std::process::exit(2);
    };
    let number = |text: &String| text.parse::<u64>().expect("CLIENTS, SECONDS and SCALE are numbers");
    let (clients, seconds, scale) = (number(clients), number(seconds), number(scale));
    if !Path::new(file).exists() {
        populate(&open(file), scale as i64);
    }
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let done: u64 = std::thread::scope(|scope| {
        let run = |client| {
            let (stop, file, script) = (&stop, file.as_str(), script.as_str());
            scope.spawn(move || work(&mut open(file), script == "select", client, scale as i64, stop))
        };
        let threads: Vec<_> = (0..clients).map(run).collect();
        std::thread::sleep(Duration::from_secs(seconds));
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("a client thread")).sum()
    });
    println!("{}", (done as f64 / start.elapsed().as_secs_f64()) as u64);
}

fn open(file: &str) -> Connection {
    let connection = Connection::open(file).expect("the file opens");
    connection.busy_timeout(Duration::from_secs(60)).expect("a busy timeout");
    connection
        .execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536; PRAGMA mmap_size=4294967296",
        )
        .expect("settings");
    connection
}

fn populate(connection: &Connection, scale: i64) {
    connection
        .execute_batch(&format!(
            "BEGIN;
             CREATE TABLE pgbench_branches(bid INTEGER PRIMARY KEY, bbalance INT, filler CHAR(88));
             CREATE TABLE pgbench_tellers(tid INTEGER PRIMARY KEY, bid INT, tbalance INT, filler CHAR(84));
             CREATE TABLE pgbench_accounts(aid INTEGER PRIMARY KEY, bid INT, abalance INT, filler CHAR(84));
             CREATE TABLE pgbench_history(tid INT, bid INT, aid INT, delta INT, mtime TIMESTAMP, filler CHAR(22));
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {scale}) INSERT INTO pgbench_branches SELECT i, 0, NULL FROM n;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {scale} * 10) INSERT INTO pgbench_tellers SELECT i, (i - 1) / 10 + 1, 0, NULL FROM n;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {scale} * 100000) INSERT INTO pgbench_accounts SELECT i, (i - 1) / 100000 + 1, 0, printf('%-84s', '') FROM n;
             COMMIT;"
        ))
        .expect("the tables are filled");
}

fn work(connection: &mut Connection, select: bool, client: u64, scale: i64, stop: &AtomicBool) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(client + 1) | 1;
    let mut random = |below: i64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as i64 + 1
    };
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let (aid, tid, bid) = (random(scale * 100_000), random(scale * 10), random(scale));
        let delta = random(10_000) - 5_000;
        if select {
            let mut statement =
                connection.prepare_cached("SELECT abalance FROM pgbench_accounts WHERE aid = ?1").expect("a statement");
            statement.query_row([aid], |row| row.get::<_, i64>(0)).expect("the account");
        } else {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).expect("begins");
            let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
                transaction.prepare_cached(sql).and_then(|mut s| s.execute(values)).expect("a statement");
            };
            run("UPDATE pgbench_accounts SET abalance = abalance + ?1 WHERE aid = ?2", params![delta, aid]);
            transaction
                .prepare_cached("SELECT abalance FROM pgbench_accounts WHERE aid = ?1")
                .and_then(|mut s| s.query_row([aid], |row| row.get::<_, i64>(0)))
                .expect("the account");
            run("UPDATE pgbench_tellers SET tbalance = tbalance + ?1 WHERE tid = ?2", params![delta, tid]);
            run("UPDATE pgbench_branches SET bbalance = bbalance + ?1 WHERE bid = ?2", params![delta, bid]);
            run(
                "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (?1, ?2, ?3, ?4, CURRENT_TIMESTAMP)",
                params![tid, bid, aid, delta],
            );
            transaction.commit().expect("commits");
        }
        done += 1;
    }
    done
}
