//! Clients that write while a story goes on, and what they were told; and readers who must never see less than what
//! was told to anybody before they asked.

use super::harness::{PATIENCE, code};
use super::large::{self, Move};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error, NoTls};

/// Clients that write: each has a counter of its own.
pub const CLIENTS: i32 = 6;
/// After an error.
const PAUSE: Duration = Duration::from_millis(20);
/// For a connection: one to a frozen process comes about and says nothing.
const CONNECT_WAIT: Duration = Duration::from_secs(3);

pub const TABLES: &str = "CREATE TABLE done (id int, client int); CREATE TABLE single (id int);
    CREATE TABLE counters (client int PRIMARY KEY, n int)";

/// What clients were told of each transaction.
#[derive(Default)]
pub struct Ledger {
    next: AtomicI32,
    /// Before the clients were told, as far as readers are concerned: those count from here.
    acknowledged: Mutex<BTreeSet<i32>>,
    /// An error that says that there is no effect, and its code.
    refused: Mutex<BTreeSet<i32>>,
    /// Nothing, or an error that says that it is not known.
    unknown: Mutex<BTreeSet<i32>>,
    errors: Mutex<Vec<String>>,
    reads: AtomicU64,
}

impl Ledger {
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().len()
    }

    /// Strict reads that were answered.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// What is there must fit what clients were told.
    pub fn judge(&self, present: &[i32]) {
        let there: BTreeSet<i32> = present.iter().copied().collect();
        assert_eq!(there.len(), present.len(), "a transaction is there twice");
        let (acknowledged, refused) = (self.acknowledged.lock(), self.refused.lock());
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}\n{}", self.errors.lock().join("\n"));
        let ghosts: Vec<_> = refused.intersection(&there).collect();
        assert!(ghosts.is_empty(), "refused and there: {ghosts:?}\n{}", self.errors.lock().join("\n"));
        let known: BTreeSet<i32> = acknowledged.union(&self.unknown.lock()).copied().collect();
        let strange: Vec<_> = there.difference(&known).collect();
        assert!(strange.is_empty(), "nobody sent {strange:?}");
    }

    fn note(&self, id: i32, port: u16, told: Result<(), Told>) {
        let list = match told {
            Ok(()) => &self.acknowledged,
            Err(told) => {
                self.errors.lock().push(format!("{id} at {port}: {} {}", told.code, told.text));
                if told.is_open { &self.unknown } else { &self.refused }
            }
        };
        list.lock().insert(id);
    }

    /// One insert beside the load: the code of its error.
    pub async fn insert(&self, client: &Client) -> Result<(), String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let told = insert(client, id).await;
        let result = told.as_ref().map_err(|told| told.code.clone()).copied();
        self.note(id, 0, told);
        result
    }

    /// A block that inserts, and waits for its COMMIT.
    pub async fn begin(&self, client: &Client) -> i32 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        client.batch_execute(&format!("BEGIN; INSERT INTO single VALUES ({id})")).await.unwrap();
        id
    }

    /// The end of such a block: the code of its error.
    pub async fn commit(&self, client: &Client, id: i32) -> Result<(), String> {
        let told = client.batch_execute("COMMIT").await.map_err(Told::late);
        let result = told.as_ref().map_err(|told| told.code.clone()).copied();
        self.note(id, 0, told);
        result
    }

    pub fn summary(&self) -> String {
        let (acknowledged, refused, unknown) =
            (self.acknowledged(), self.refused.lock().len(), self.unknown.lock().len());
        format!("{acknowledged} acknowledged, {refused} refused, {unknown} unknown, {} strict reads", self.reads())
    }
}

/// An error of a transaction.
struct Told {
    code: String,
    text: String,
    /// It may have taken effect.
    is_open: bool,
}

impl Told {
    /// Of a statement that was not the last one: without COMMIT nothing has an effect.
    fn early(error: Error) -> Told {
        Told { code: code(&error), text: error.to_string(), is_open: false }
    }
    /// Of the one that commits.
    fn late(error: Error) -> Told {
        let code = code(&error);
        // The connection broke, the outcome is unknown, or the node was stopped.
        let is_open = code.is_empty() || code.starts_with("08") || code == "57P01";
        Told { text: error.as_db_error().map_or(error.to_string(), |error| error.message().into()), code, is_open }
    }
}

/// Connects to a node; patience ends when it does not answer.
pub async fn try_connect(port: u16) -> Option<Client> {
    let text = format!("host=127.0.0.1 port={port} user=evesql dbname=evesql");
    let (client, connection) = timeout(CONNECT_WAIT, tokio_postgres::connect(&text, NoTls)).await.ok()?.ok()?;
    tokio::spawn(connection);
    Some(client)
}

async fn write(client: &Client, me: i32, id: i32) -> Result<(), Told> {
    match id % 3 {
        0 => {
            let moved = Move::of(id).map_or(String::new(), Move::sql);
            let sql = format!(
                "BEGIN; INSERT INTO done VALUES ({id}, {me}); UPDATE counters SET n = n + 1 WHERE client = {me}; {moved}; \
                 COMMIT"
            );
            client.batch_execute(&sql).await.map_err(Told::late)
        }
        1 => {
            client.batch_execute("BEGIN").await.map_err(Told::early)?;
            let sql = "SELECT n FROM counters WHERE client = $1";
            let seen: i32 = client.query_one(sql, &[&me]).await.map_err(Told::early)?.get(0);
            let sql = "UPDATE counters SET n = $1 + 1 WHERE client = $2 RETURNING n";
            let row = client.query_one(sql, &[&seen, &me]).await.map_err(Told::early)?;
            assert_eq!(row.get::<_, i32>(0), seen + 1);
            if let Some(moved) = Move::of(id) {
                moved.by_hand(client).await.map_err(Told::early)?;
            }
            client.execute("INSERT INTO done VALUES ($1, $2)", &[&id, &me]).await.map_err(Told::early)?;
            client.batch_execute("COMMIT").await.map_err(Told::late)
        }
        _ => insert(client, id).await,
    }
}

async fn insert(client: &Client, id: i32) -> Result<(), Told> {
    client.execute("INSERT INTO single VALUES ($1)", &[&id]).await.map(drop).map_err(Told::late)
}

/// Clients at work.
pub struct Load {
    pub ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts clients of all these nodes; one whose node fails goes to the next one.
    pub fn start(runtime: &Runtime, ports: Vec<u16>, ledger: Arc<Ledger>) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..CLIENTS).map(|me| runtime.spawn(writer(me, ports.clone(), ledger.clone(), stop.clone())));
        let readers = ports.iter().map(|port| runtime.spawn(reader(*port, ledger.clone(), stop.clone())));
        let tasks = writers.chain(readers).collect();
        Load { ledger, stop, tasks }
    }

    /// Waits until so many more transactions are acknowledged: how long it took.
    pub fn goes_on(&self, more: usize) -> Duration {
        let (began, before) = (Instant::now(), self.ledger.acknowledged());
        while self.ledger.acknowledged() < before + more {
            assert!(!self.tasks.iter().any(JoinHandle::is_finished), "a client gave up");
            assert!(began.elapsed() < PATIENCE, "nothing goes on\n{}", self.ledger.errors.lock().join("\n"));
            std::thread::sleep(Duration::from_millis(5));
        }
        began.elapsed()
    }

    /// Each client finishes what it began.
    pub fn finish(self, runtime: &Runtime) -> Arc<Ledger> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            let ended = runtime.block_on(async { timeout(PATIENCE, task).await });
            ended.expect("a client waits for its answer in vain").unwrap();
        }
        self.ledger
    }
}

async fn writer(me: i32, ports: Vec<u16>, ledger: Arc<Ledger>, stop: Arc<AtomicBool>) {
    let mut turn = me as usize;
    while !stop.load(Ordering::Relaxed) {
        let port = ports[turn % ports.len()];
        turn += 1;
        let Some(client) = try_connect(port).await else {
            sleep(PAUSE).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            let id = ledger.next.fetch_add(1, Ordering::Relaxed);
            let told = write(&client, me, id).await;
            let is_well = told.is_ok();
            ledger.note(id, port, told);
            if !is_well {
                // Whatever block was open ends with its connection.
                sleep(PAUSE).await;
                break;
            }
        }
    }
}

/// Reads strictly at one node, over and over.
async fn reader(port: u16, ledger: Arc<Ledger>, stop: Arc<AtomicBool>) {
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        let Some(client) = try_connect(port).await else {
            sleep(PAUSE).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            let floor = ledger.acknowledged() as i64;
            let sql = "SELECT (SELECT count(*) FROM done) + (SELECT count(*) FROM single)";
            let Ok(row) = client.query_one(sql, &[]).await else { break };
            let (seen, sent) = (row.get::<_, i64>(0), i64::from(ledger.next.load(Ordering::Relaxed)));
            assert!(floor <= seen && seen <= sent, "a strict read at {port} saw {seen} of {floor} to {sent}");
            ledger.reads.fetch_add(1, Ordering::Relaxed);
            turn += 1;
            if large::scan(&client, turn).await.is_err() {
                break;
            }
            sleep(PAUSE).await;
        }
        sleep(PAUSE).await;
    }
}
