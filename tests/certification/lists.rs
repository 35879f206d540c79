//! Clients append to and read lists while the leader dies; the checker reads what they saw.

use super::checker::{Anomaly, End, Seen, Step, check};
use super::harness::{InProcess, code, connect, runtime, try_connect};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, Error};

const KEYS: i32 = 4;
const CLIENTS: u64 = 8;

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
struct Load {
    address: SocketAddr,
    epoch: Instant,
    over: AtomicBool,
    next_value: AtomicI64,
}

impl Load {
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }
}

async fn read(client: &Client, key: i32) -> Result<Step, Error> {
    let text: String = client.query_one("SELECT v FROM lists WHERE k = $1", &[&key]).await?.get(0);
    let values = text.split_whitespace().map(|value| value.parse().unwrap()).collect();
    Ok(Step::Read { key, values })
}

/// Appends in SQL, or reads, appends here, and writes: the way that loses updates where nobody certifies.
async fn append(client: &Client, key: i32, value: i64, here: bool) -> Result<Vec<Step>, Error> {
    let appended = Step::Append { key, value };
    if !here {
        let sql = "UPDATE lists SET v = v || $2 WHERE k = $1";
        client.execute(sql, &[&key, &format!("{value} ")]).await?;
        return Ok(vec![appended]);
    }
    let before = read(client, key).await?;
    let Step::Read { values, .. } = &before else { unreachable!("it read") };
    let text: String = values.iter().chain([&value]).map(|value| format!("{value} ")).collect();
    client.execute("UPDATE lists SET v = $2 WHERE k = $1", &[&key, &text]).await?;
    Ok(vec![before, appended])
}

/// The steps of one block; on an error those that may have taken effect, and whether it came from COMMIT.
async fn block(client: &Client, choice: &mut Choice, load: &Load) -> (Vec<Step>, Result<(), (Error, bool)>) {
    let mut steps = Vec::new();
    if let Err(error) = client.batch_execute("BEGIN").await {
        return (steps, Err((error, false)));
    }
    for _ in 0..1 + choice.below(3) {
        let key = choice.below(KEYS as u64) as i32;
        let step = if choice.below(2) == 0 {
            read(client, key).await.map(|step| vec![step])
        } else {
            let value = load.next_value.fetch_add(1, Ordering::Relaxed);
            append(client, key, value, choice.below(3) == 0).await
        };
        match step {
            Ok(more) => steps.extend(more),
            Err(error) => return (steps, Err((error, false))),
        }
    }
    let end = client.batch_execute("COMMIT").await.map_err(|error| (error, true));
    (steps, end)
}

async fn work(load: Arc<Load>, seed: u64) -> Vec<Seen> {
    let mut choice = Choice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut history = Vec::new();
    let mut client = connect(load.address).await;
    while !load.over.load(Ordering::Relaxed) {
        if client.is_closed() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let Ok(again) = try_connect(load.address).await else { continue };
            client = again;
        }
        let began = load.now();
        let (steps, result) = block(&client, &mut choice, &load).await;
        let end = match &result {
            Ok(()) => End::Committed,
            Err((error, true)) if !code(error).starts_with("40") => End::Unknown,
            Err(_) => End::Aborted,
        };
        history.push(Seen { steps, began, ended: load.now(), end });
        if let Err((error, in_commit)) = result {
            let known = ["40001", "40P01", "08007", "08006", "57P01", "57P03", "53300", "55000", ""];
            assert!(known.contains(&code(&error).as_str()), "{error:?}");
            if !in_commit {
                let _ = client.batch_execute("ROLLBACK").await;
            }
        }
    }
    history
}

/// Runs clients for a while; half-way `disturb` happens. The last transaction reads all lists.
fn history(server: &InProcess, time: Duration, disturb: impl FnOnce(&InProcess)) -> Vec<Seen> {
    let load = Arc::new(Load {
        address: server.address(),
        epoch: Instant::now(),
        over: AtomicBool::new(false),
        next_value: AtomicI64::new(1),
    });
    let runtime = runtime();
    runtime.block_on(async {
        let client = connect(load.address).await;
        client.batch_execute("CREATE TABLE lists (k int PRIMARY KEY, v text NOT NULL)").await.unwrap();
        for key in 0..KEYS {
            client.execute("INSERT INTO lists VALUES ($1, '')", &[&key]).await.unwrap();
        }
    });
    let clients: Vec<_> = (1..=CLIENTS).map(|seed| runtime.spawn(work(load.clone(), seed))).collect();
    std::thread::sleep(time / 2);
    disturb(server);
    std::thread::sleep(time / 2);
    load.over.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        let mut history = Vec::new();
        for client in clients {
            history.extend(client.await.unwrap());
        }
        let client = connect(load.address).await;
        let began = load.now();
        let mut steps = Vec::new();
        for key in 0..KEYS {
            steps.push(read(&client, key).await.unwrap());
        }
        history.push(Seen { steps, began, ended: load.now(), end: End::Committed });
        history
    })
}

fn committed(history: &[Seen]) -> usize {
    history.iter().filter(|seen| seen.end == End::Committed).count()
}

#[test]
fn histories_are_strictly_serializable_while_the_leader_dies_and_comes_back() {
    let server = InProcess::start(|config| config);
    let history = history(&server, Duration::from_secs(6), |server| {
        let leader = server.cluster().leader().map_or(1, |leader| leader.shared.id);
        assert!(server.cluster().crash(leader));
    });
    if let Err(anomaly) = check(&history) {
        if let Anomaly::Cycle(cycle) = &anomaly {
            cycle.iter().for_each(|index| eprintln!("{index}: {:?}", history[*index]));
        }
        panic!("{anomaly:?}");
    }
    assert!(committed(&history) > 50, "only {} transactions committed", committed(&history));
    server.agree();
}

#[test]
fn without_certification_the_checker_finds_an_anomaly() {
    let server = InProcess::start(|config| evesql::config::Config { uncertified: true, ..config });
    let history = history(&server, Duration::from_secs(4), |_| {});
    assert!(check(&history).is_err(), "{} transactions committed soundly without being certified", committed(&history));
}
