//! The checker against PostgreSQL, where it is installed: at REPEATABLE READ it finds what snapshots let through, such as
//! write skew, and at SERIALIZABLE nothing. So it is the checker that tells them apart, and not our own database.
//!
//! Where PostgreSQL is not installed, the program says so, and the test is not counted: hence no harness of tests.

mod checker;
#[path = "harness/postgres.rs"]
mod postgres;

use checker::lists::{Lists, TABLE};
use checker::{Anomaly, Model, Seen, check, committed};
use postgres::{Postgres, programs};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

const NAME: &str = "the_checker_finds_what_repeatable_read_lets_through_and_nothing_at_serializable";
const PATIENCE: Duration = Duration::from_secs(120);
const CLIENTS: usize = 8;
const TRANSACTIONS: usize = 2_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut filters = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    if arguments.iter().any(|argument| argument == "--list") {
        return println!("{NAME}: test");
    }
    if filters.peek().is_some() && !filters.any(|filter| NAME.contains(filter)) {
        return println!("test result: ok. 0 passed; 0 failed; 0 ignored; 1 filtered out");
    }
    let Some(programs) = programs() else {
        println!("test {NAME} ... ignored: no PostgreSQL in /usr/lib/postgresql");
        return println!("test result: ok. 0 passed; 0 failed; 1 ignored");
    };
    let postgres = Postgres::start(&programs);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let loose = history(&postgres, &runtime, "repeatable read");
    let found = check(&loose, Model::Serializable);
    let Err(Anomaly::Cycle(cycle)) = found else { panic!("{found:?} in {} transactions", committed(&loose)) };
    cycle.iter().for_each(|index| println!("{:?}", loose[*index]));
    let strict = history(&postgres, &runtime, "serializable");
    // In some order: of their times PostgreSQL promises nothing.
    assert_eq!(check(&strict, Model::Serializable), Ok(()));
    println!("{} and {} transactions were acknowledged", committed(&loose), committed(&strict));
    println!("test {NAME} ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored");
}

/// What clients saw whose transactions are all of this level.
fn history(postgres: &Postgres, runtime: &Runtime, level: &str) -> Vec<Seen> {
    let client = runtime.block_on(connect(postgres.port, "")).unwrap();
    runtime.block_on(client.batch_execute(&format!("DROP TABLE IF EXISTS lists; {TABLE}"))).unwrap();
    let (port, setting) = (postgres.port, format!("SET default_transaction_isolation = '{level}'"));
    let connect = move |_, _, _| {
        let setting = setting.clone();
        async move { connect(port, &setting).await }
    };
    let mut lists = Lists::start(runtime, (CLIENTS, 1), connect);
    lists.goes_on(TRANSACTIONS, PATIENCE);
    lists.stop(runtime, PATIENCE);
    lists.read_all(runtime, &client);
    lists.history()
}

async fn connect(port: u16, setting: &str) -> Option<Client> {
    let text = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await.ok()?;
    tokio::spawn(connection);
    client.batch_execute(setting).await.ok()?;
    Some(client)
}
