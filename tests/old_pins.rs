//! Readers of old versions keep superseded pages in memory. Over the budget, or over the age, the oldest ones end with
//! 72000, in a block, idle in it, or with a client that takes no rows; the others and new ones go on (rule 30).

mod harness;

use evesql::config::Config;
use harness::{InProcess, PATIENCE, code, connect, runtime};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::{Client, NoTls};

const ROWS: i32 = 2_000;
/// About twice what one version of the table takes.
const BUDGET_MIB: usize = 4;

async fn set_up(address: SocketAddr) -> Client {
    let client = connect(address).await;
    let body = "repeat('x', 990)";
    client.batch_execute("CREATE TABLE big (id int PRIMARY KEY, body text); CREATE TABLE tick (n int)").await.unwrap();
    let fill = format!("INSERT INTO big SELECT g, {body} FROM generate_series(1, {ROWS}) AS g");
    client.batch_execute(&fill).await.unwrap();
    client.batch_execute("INSERT INTO tick VALUES (0)").await.unwrap();
    client
}

/// A session whose block reads the version of now; its FATAL error, if one comes, is the task's result.
async fn reader(address: SocketAddr) -> (Client, tokio::task::JoinHandle<Option<String>>) {
    let text = format!("host=127.0.0.1 port={} user=evesql dbname=evesql", address.port());
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await.unwrap();
    let ended = tokio::spawn(async move { connection.await.err().map(|error| code(&error)) });
    client.batch_execute("BEGIN").await.unwrap();
    let count: i64 = client.query_one("SELECT count(*) FROM big", &[]).await.unwrap().get(0);
    assert_eq!(count, i64::from(ROWS));
    (client, ended)
}

/// A client that asks for everything and reads next to nothing.
async fn lazy(address: SocketAddr) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = [&196_608i32.to_be_bytes()[..], b"user\0evesql\0database\0evesql\0\0"].concat();
    let query = b"SELECT a.body, b.body FROM big a, big b\0";
    let startup = [&(body.len() as i32 + 4).to_be_bytes()[..], &body].concat();
    let ask = [b"Q", &(query.len() as i32 + 4).to_be_bytes()[..], query].concat();
    stream.write_all(&[startup, ask].concat()).await.unwrap();
    let mut some = [0u8; 4_096];
    stream.read_exact(&mut some).await.unwrap();
    stream
}

/// Takes rows until the error comes, or the end of a connection that was cut off amid a row.
async fn read_to_72000(stream: &mut tokio::net::TcpStream) {
    let (mut bytes, mut chunk) = (Vec::new(), vec![0u8; 1 << 16]);
    loop {
        let count = stream.read(&mut chunk).await.unwrap_or(0);
        bytes.extend_from_slice(&chunk[..count]);
        if count == 0 || bytes.windows(6).any(|word| word == b"C72000") {
            return;
        }
        // The code may come in two pieces.
        bytes.drain(..bytes.len().saturating_sub(5));
    }
}

/// Supersedes the whole table.
async fn rewrite(writer: &Client, mark: i32) {
    writer.batch_execute(&format!("UPDATE big SET body = '{mark}' || substr(body, 2) || 'y'")).await.unwrap();
}

async fn ticks(writer: &Client) {
    for _ in 0..20 {
        writer.batch_execute("UPDATE tick SET n = n + 1").await.unwrap();
    }
}

#[test]
fn the_oldest_readers_end_with_72000_when_they_hold_too_much_memory() {
    let server = InProcess::start(|config| Config { memory_mib: BUDGET_MIB, ..config });
    let address = server.address();
    runtime().block_on(async {
        let writer = set_up(address).await;
        let mut lazy = lazy(address).await;
        let (active, _) = reader(address).await;
        let (idle, mut idle_ended) = reader(address).await;
        let mut others = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        let mut last_word = None;
        while last_word.is_none() || !idle_ended.is_finished() {
            assert!(Instant::now() < deadline, "the oldest readers go on: {last_word:?}");
            // Each of them holds one more version of the table.
            others.push(reader(address).await);
            rewrite(&writer, 7).await;
            ticks(&writer).await;
            if last_word.is_none() {
                match active.query_one("SELECT count(*), max(left(body, 1)) FROM big", &[]).await {
                    Ok(row) => assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (i64::from(ROWS), "x")),
                    Err(error) => last_word = Some(error),
                }
            }
        }
        // Told to the statement, or just before it to the connection.
        let last_word = last_word.unwrap();
        assert!(code(&last_word) == "72000" || active.is_closed(), "{last_word:?}");
        assert_eq!((&mut idle_ended).await.unwrap().as_deref(), Some("72000"));
        assert!(idle.is_closed());
        let ended = others.iter().filter(|(other, _)| other.is_closed()).count();
        assert!(ended < others.len(), "all {ended} others had to go as well");
        // It was cut off; what the sockets hold is read to the end, and that comes.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let rest = tokio::time::timeout(PATIENCE, lazy.read_to_end(&mut Vec::new())).await;
        assert!(rest.is_ok(), "a client that takes no rows holds its version for ever");
        // A new reader has the newest version, and all of it.
        let (new, _) = reader(address).await;
        ticks(&writer).await;
        let row = new.query_one("SELECT count(*), min(left(body, 1)) FROM big", &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (i64::from(ROWS), "7"));
        new.batch_execute("UPDATE tick SET n = -1; COMMIT")
            .await
            .unwrap_or_else(|error| assert_eq!(code(&error), "40001"));
    });
    server.agree();
}

#[test]
fn old_readers_that_hold_little_are_left_alone() {
    let server = InProcess::start(|config| Config { memory_mib: 256, ..config });
    let address = server.address();
    runtime().block_on(async {
        let writer = set_up(address).await;
        let (old, _) = reader(address).await;
        for round in 0..3 {
            rewrite(&writer, round).await;
        }
        for _ in 0..10 {
            ticks(&writer).await;
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let row = old.query_one("SELECT min(left(body, 1)), max(left(body, 1)) FROM big", &[]).await.unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("x", "x"), "its own version");
    });
    server.agree();
}

#[test]
fn readers_that_keep_a_version_for_too_long_end_with_72000_whatever_it_holds() {
    let server = InProcess::start(|config| Config { memory_mib: 256, snapshot_age_max_s: 2, ..config });
    let address = server.address();
    runtime().block_on(async {
        let writer = set_up(address).await;
        let mut lazy = lazy(address).await;
        let (active, _) = reader(address).await;
        let (idle, idle_ended) = reader(address).await;
        let deadline = Instant::now() + PATIENCE;
        let last_word = loop {
            assert!(Instant::now() < deadline, "a block reads one version for ever");
            match active.query_one("SELECT count(*) FROM big", &[]).await {
                Ok(row) => assert_eq!(row.get::<_, i64>(0), i64::from(ROWS)),
                Err(error) => break error,
            }
        };
        // Told to the statement, or just before it to the connection.
        assert!(code(&last_word) == "72000" || active.is_closed(), "{last_word:?}");
        let idle_ended = tokio::time::timeout(PATIENCE, idle_ended).await.expect("an idle block stays for ever");
        assert_eq!(idle_ended.unwrap().as_deref(), Some("72000"));
        assert!(idle.is_closed());
        let ended = tokio::time::timeout(PATIENCE, read_to_72000(&mut lazy)).await;
        assert!(ended.is_ok(), "a client that takes no rows keeps its version for ever");
        // It is the age of a version that counts, not that of a connection.
        while let Err(error) = writer.batch_execute("BEGIN; UPDATE tick SET n = n + 1; COMMIT").await {
            assert!(code(&error) == "72000" && Instant::now() < deadline, "{error:?}");
            writer.batch_execute("ROLLBACK").await.unwrap();
        }
    });
    server.agree();
}
