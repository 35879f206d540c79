//! Clients that append to and read lists: in blocks, in single statements and in several statements at once.
//!
//! A list is a row that comes about with its first value. New lists take the place of old ones as values go by, so that
//! a long run's lists stay short.

use super::{End, Seen, Step};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error, SimpleQueryMessage};

/// Lists at a time.
const KEYS: u64 = 4;
/// Values before other lists come.
const VALUES: i64 = 300;
/// After an error, and between reads.
const PAUSE: Duration = Duration::from_millis(20);
/// For a transaction: a frozen process says nothing, and its clients go elsewhere.
const CLIENT_PATIENCE: Duration = Duration::from_secs(4);

pub const TABLE: &str = "CREATE TABLE lists (k int PRIMARY KEY, v text NOT NULL)";

/// Outcomes that a client of a cluster under faults must expect; the empty one is a broken connection.
const KNOWN: [&str; 9] = ["40001", "40P01", "08007", "08006", "57P01", "57P03", "53300", "55000", ""];

/// xorshift: the clients' choices need no more.
struct Choice(u64);

impl Choice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What the clients share.
struct Shared {
    epoch: Instant,
    over: AtomicBool,
    next_value: AtomicI64,
    committed: AtomicUsize,
}

impl Shared {
    /// One clock for all clients, which never goes back.
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// Of the lists that are in use.
    fn first_key(&self) -> i32 {
        (self.next_value.load(Ordering::Relaxed) / VALUES) as i32 * KEYS as i32
    }

    fn some_key(&self, choice: &mut Choice) -> i32 {
        self.first_key() + choice.below(KEYS) as i32
    }

    fn new_value(&self) -> i64 {
        self.next_value.fetch_add(1, Ordering::Relaxed)
    }
}

fn values(text: &str) -> Vec<i64> {
    text.split_whitespace().map(|value| value.parse().unwrap()).collect()
}

fn append_sql(key: i32, value: i64) -> String {
    format!("INSERT INTO lists VALUES ({key}, '{value} ') ON CONFLICT (k) DO UPDATE SET v = lists.v || excluded.v")
}

/// What is known of a transaction while it runs.
#[derive(Default)]
struct Attempt {
    /// Appends before they are sent, reads once they are answered.
    steps: Vec<Step>,
    /// What commits it has been sent.
    is_late: bool,
}

async fn read(client: &Client, key: i32, locking: &str) -> Result<Step, Error> {
    let row = client.query_opt(&format!("SELECT v FROM lists WHERE k = $1 {locking}"), &[&key]).await?;
    Ok(Step::Read { key, values: row.map_or(Vec::new(), |row| values(row.get(0))) })
}

/// Several lists in one statement.
async fn read_some<const N: usize>(client: &Client, keys: [i32; N]) -> Result<[Step; N], Error> {
    let text = keys.map(|key| key.to_string()).join(",");
    let rows = client.query(&format!("SELECT k, v FROM lists WHERE k IN ({text})"), &[]).await?;
    let of =
        |key: i32| rows.iter().find(|row| row.get::<_, i32>(0) == key).map_or(Vec::new(), |row| values(row.get(1)));
    Ok(keys.map(|key| Step::Read { key, values: of(key) }))
}

impl Attempt {
    /// Reads, appends here, and writes: the way that loses updates where nobody certifies.
    async fn append_here(&mut self, client: &Client, key: i32, value: i64, locking: &str) -> Result<(), Error> {
        let before = read(client, key, locking).await?;
        let Step::Read { values, .. } = &before else { unreachable!("it read") };
        let text: String = values.iter().chain([&value]).map(|value| format!("{value} ")).collect();
        self.steps.extend([before, Step::Append { key, value }]);
        let sql = "INSERT INTO lists VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v";
        client.execute(sql, &[&key, &text]).await.map(drop)
    }

    async fn append(&mut self, client: &Client, key: i32, value: i64) -> Result<(), Error> {
        self.steps.push(Step::Append { key, value });
        client.execute(&append_sql(key, value), &[]).await.map(drop)
    }

    async fn append_and_read(&mut self, client: &Client, key: i32, value: i64) -> Result<(), Error> {
        self.steps.push(Step::Append { key, value });
        let row = client.query_one(&format!("{} RETURNING v", append_sql(key, value)), &[]).await?;
        self.steps.push(Step::Read { key, values: values(row.get(0)) });
        Ok(())
    }

    async fn step(&mut self, client: &Client, choice: &mut Choice, shared: &Shared) -> Result<(), Error> {
        let key = shared.some_key(choice);
        match choice.below(8) {
            0..3 => self.steps.push(read(client, key, "").await?),
            3 => self.steps.extend(read_some(client, [key, shared.some_key(choice)]).await?),
            4 => self.append_here(client, key, shared.new_value(), "").await?,
            5 => self.append_here(client, key, shared.new_value(), "FOR UPDATE").await?,
            6 => self.append_and_read(client, key, shared.new_value()).await?,
            _ => self.append(client, key, shared.new_value()).await?,
        }
        Ok(())
    }

    /// A block, statement by statement.
    async fn block(&mut self, client: &Client, choice: &mut Choice, shared: &Shared) -> Result<(), Error> {
        client.batch_execute("BEGIN").await?;
        for _ in 0..1 + choice.below(4) {
            self.step(client, choice, shared).await?;
        }
        self.is_late = true;
        client.batch_execute("COMMIT").await
    }

    /// Appends and reads that are sent at once: a transaction of their own, with and without saying so.
    async fn script(&mut self, client: &Client, choice: &mut Choice, shared: &Shared) -> Result<(), Error> {
        let (mut steps, mut sql) = (Vec::new(), String::new());
        for _ in 0..2 + choice.below(2) {
            let key = shared.some_key(choice);
            if choice.below(3) == 0 {
                sql += &format!("SELECT v FROM lists WHERE k = {key};");
                steps.push(Step::Read { key, values: Vec::new() });
            } else {
                let value = shared.new_value();
                sql += &format!("{};", append_sql(key, value));
                steps.push(Step::Append { key, value });
            }
        }
        if choice.below(2) == 0 {
            sql = format!("BEGIN;{sql}COMMIT");
        }
        self.steps = steps.iter().filter(|step| matches!(step, Step::Append { .. })).cloned().collect();
        self.is_late = true;
        fill_in(&mut steps, client.simple_query(&sql).await?);
        self.steps = steps;
        Ok(())
    }

    /// One statement by itself.
    async fn single(&mut self, client: &Client, choice: &mut Choice, shared: &Shared) -> Result<(), Error> {
        self.is_late = true;
        let key = shared.some_key(choice);
        match choice.below(4) {
            0 => self.steps.push(read(client, key, "").await?),
            1 => self.steps.extend(read_some(client, [key, shared.some_key(choice)]).await?),
            2 => self.append_and_read(client, key, shared.new_value()).await?,
            _ => self.append(client, key, shared.new_value()).await?,
        }
        Ok(())
    }

    /// All lists that are in use, in one statement or in a block.
    async fn reads(&mut self, client: &Client, choice: &mut Choice, shared: &Shared) -> Result<(), Error> {
        let keys: [i32; KEYS as usize] = std::array::from_fn(|key| shared.first_key() + key as i32);
        if choice.below(2) == 0 {
            self.steps.extend(read_some(client, keys).await?);
            return Ok(());
        }
        client.batch_execute("BEGIN").await?;
        for key in keys {
            self.steps.push(read(client, key, "").await?);
        }
        client.batch_execute("COMMIT").await
    }

    async fn run(&mut self, client: &Client, task: Task, choice: &mut Choice, shared: &Shared) -> Result<(), Error> {
        match choice.below(6) {
            _ if task == Task::OnlyReads => self.reads(client, choice, shared).await,
            0 => self.single(client, choice, shared).await,
            1 => self.script(client, choice, shared).await,
            _ => self.block(client, choice, shared).await,
        }
    }

    /// What its client knows of its end; without COMMIT nothing has an effect.
    fn end(&self, told: &Option<Result<(), Error>>) -> End {
        let code = match told {
            Some(Ok(())) => return End::Committed,
            Some(Err(error)) => error.code().map_or("", |state| state.code()),
            None => "",
        };
        assert!(KNOWN.contains(&code), "{told:?}");
        // The connection broke, the outcome is unknown, or the node was stopped.
        let is_open = code.is_empty() || code.starts_with("08") || code == "57P01";
        if self.is_late && is_open { End::Unknown } else { End::Aborted }
    }
}

/// What the reads of a script saw: each begins with a description of its rows.
fn fill_in(steps: &mut [Step], messages: Vec<SimpleQueryMessage>) {
    let mut reads = steps.iter_mut().filter_map(|step| match step {
        Step::Read { values, .. } => Some(values),
        Step::Append { .. } => None,
    });
    let mut current = None;
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(_) => current = reads.next(),
            SimpleQueryMessage::Row(row) => **current.as_mut().expect("a description") = values(row.get(0).unwrap()),
            _ => {}
        }
    }
    assert!(reads.next().is_none(), "a read of a script has no answer");
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Task {
    Appends,
    OnlyReads,
}

/// One client, which connects for the first, second and so on time as `connect` says.
async fn work<F>(shared: Arc<Shared>, seed: u64, task: Task, connect: impl Fn(usize) -> F) -> Vec<Seen>
where
    F: Future<Output = Option<Client>>,
{
    let mut choice = Choice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (mut history, mut turn) = (Vec::new(), 0);
    while !shared.over.load(Ordering::Relaxed) {
        let client = connect(turn).await;
        turn += 1;
        let Some(client) = client else {
            sleep(PAUSE).await;
            continue;
        };
        while !shared.over.load(Ordering::Relaxed) {
            let (mut attempt, began) = (Attempt::default(), shared.now());
            let told = timeout(CLIENT_PATIENCE, attempt.run(&client, task, &mut choice, &shared)).await.ok();
            let (end, ended) = (attempt.end(&told), shared.now());
            history.push(Seen { steps: attempt.steps, began, ended, end });
            match (end, task) {
                (End::Committed, Task::Appends) => drop(shared.committed.fetch_add(1, Ordering::Relaxed)),
                (End::Committed, Task::OnlyReads) => sleep(PAUSE).await,
                // Whatever block is open ends with its connection.
                _ => break,
            }
        }
        sleep(PAUSE).await;
    }
    history
}

/// Clients at work.
pub struct Lists {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<Vec<Seen>>>,
    /// What was seen beside them.
    more: Vec<Seen>,
}

impl Lists {
    /// Starts so many clients that append, and others that only read; `connect` is told which of them it is for, and how
    /// often it connected before.
    pub fn start<F>(
        runtime: &Runtime,
        (appending, reading): (usize, usize),
        connect: impl Fn(Task, usize, usize) -> F + Clone + Send + Sync + 'static,
    ) -> Lists
    where
        F: Future<Output = Option<Client>> + Send + 'static,
    {
        let shared = Arc::new(Shared {
            epoch: Instant::now(),
            over: AtomicBool::new(false),
            next_value: AtomicI64::new(1),
            committed: AtomicUsize::new(0),
        });
        let start = |(task, client): (Task, usize)| {
            let (connect, seed) = (connect.clone(), client as u64 * 2 + u64::from(task == Task::Appends) + 1);
            runtime.spawn(work(shared.clone(), seed, task, move |turn| connect(task, client, turn)))
        };
        let appending = (0..appending).map(|client| (Task::Appends, client));
        let tasks = appending.chain((0..reading).map(|client| (Task::OnlyReads, client))).map(start).collect();
        Lists { shared, tasks, more: Vec::new() }
    }

    /// Transactions of clients that append, acknowledged so far.
    pub fn committed(&self) -> usize {
        self.shared.committed.load(Ordering::Relaxed)
    }

    /// Waits until so many more transactions are acknowledged.
    pub fn goes_on(&self, more: usize, patience: Duration) {
        let (began, before) = (Instant::now(), self.committed());
        while self.committed() < before + more {
            assert!(!self.tasks.iter().any(JoinHandle::is_finished), "a client gave up");
            assert!(began.elapsed() < patience, "{} of {more} more transactions", self.committed() - before);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Reads all lists that there are, in one transaction.
    pub fn read_all(&mut self, runtime: &Runtime, client: &Client) {
        let began = self.shared.now();
        let rows = runtime.block_on(client.query("SELECT k, v FROM lists", &[])).unwrap();
        let ended = self.shared.now();
        let mut all: BTreeMap<i32, Vec<i64>> =
            (0..self.shared.first_key() + KEYS as i32).map(|key| (key, Vec::new())).collect();
        all.extend(rows.iter().map(|row| (row.get::<_, i32>(0), values(row.get(1)))));
        let steps = all.into_iter().map(|(key, values)| Step::Read { key, values }).collect();
        self.more.push(Seen { steps, began, ended, end: End::Committed });
    }

    /// Each client finishes what it began.
    pub fn stop(&mut self, runtime: &Runtime, patience: Duration) {
        self.shared.over.store(true, Ordering::Relaxed);
        for task in std::mem::take(&mut self.tasks) {
            let ended = runtime.block_on(async { timeout(patience, task).await });
            self.more.extend(ended.expect("a client waits for its answer in vain").unwrap());
        }
    }

    /// What all clients saw.
    pub fn history(self) -> Vec<Seen> {
        self.more
    }
}
