//! A bank: money moves between accounts at all nodes while these die, freeze and lose each other. Whoever counts it at
//! whichever node finds all of it and misses no transfer that was acknowledged before.

use super::chaos::{as_they_come, chance};
use super::harness::{PATIENCE, code};
use super::load::try_connect;
use super::world::{ALL, World, rounds};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error};

const ACCOUNTS: i32 = 5;
const OPENED_WITH: i64 = 1_000;
const TELLERS: i32 = 6;
const PAUSE: Duration = Duration::from_millis(20);
/// A frozen process says nothing, and its clients go elsewhere.
const TELLER_PATIENCE: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Transfer {
    id: i32,
    from: i32,
    to: i32,
    amount: i64,
}

impl Transfer {
    /// Another one for each number.
    fn new(id: i32) -> Transfer {
        let from = id % ACCOUNTS;
        let to = (from + 1 + id / ACCOUNTS % (ACCOUNTS - 1)) % ACCOUNTS;
        Transfer { id, from, to, amount: i64::from(id % 50) + 1 }
    }
}

/// What tellers were told.
#[derive(Default)]
struct Books {
    next: AtomicI32,
    acknowledged: Mutex<BTreeSet<i32>>,
    /// It is not known whether they took place.
    open: Mutex<BTreeSet<i32>>,
    counts: AtomicU64,
    is_over: AtomicBool,
}

impl Books {
    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().len()
    }

    /// What a teller was told, if anything.
    fn note(&self, id: i32, told: Option<Result<(), (Error, bool)>>) {
        let code = match told {
            Some(Ok(())) => {
                self.acknowledged.lock().insert(id);
                return;
            }
            // Without COMMIT nothing has an effect.
            Some(Err((_, false))) => return,
            Some(Err((error, true))) => code(&error),
            None => String::new(),
        };
        if code.is_empty() || code.starts_with("08") || code == "57P01" {
            self.open.lock().insert(id);
        }
    }
}

/// A transfer, and whether an error of it came from what commits.
async fn transfer(client: &Client, what: Transfer) -> Result<(), (Error, bool)> {
    let Transfer { id, from, to, amount } = what;
    let note = format!("INSERT INTO transfers VALUES ({id}, {from}, {to}, {amount})");
    if id % 3 == 0 {
        let sql = format!(
            "BEGIN; {note}; UPDATE accounts SET balance = balance - {amount} WHERE id = {from}; \
             UPDATE accounts SET balance = balance + {amount} WHERE id = {to}; COMMIT"
        );
        return client.batch_execute(&sql).await.map_err(|error| (error, true));
    }
    // As an application does that computes by itself; only the default level keeps its sums.
    let moved: Result<(), Error> = async {
        client.batch_execute("BEGIN").await?;
        for (account, change) in [(from, -amount), (to, amount)] {
            let sql = "SELECT balance FROM accounts WHERE id = $1";
            let balance: i64 = client.query_one(sql, &[&account]).await?.get(0);
            let sql = "UPDATE accounts SET balance = $2 WHERE id = $1";
            client.execute(sql, &[&account, &(balance + change)]).await?;
        }
        client.batch_execute(&note).await
    }
    .await;
    moved.map_err(|error| (error, false))?;
    client.batch_execute("COMMIT").await.map_err(|error| (error, true))
}

async fn teller(me: i32, ports: Vec<u16>, books: Arc<Books>) {
    let mut turn = me as usize;
    while !books.is_over.load(Ordering::Relaxed) {
        let client = try_connect(ports[turn % ports.len()]).await;
        turn += 1;
        while let Some(client) = &client {
            if books.is_over.load(Ordering::Relaxed) {
                return;
            }
            let what = Transfer::new(books.next.fetch_add(1, Ordering::Relaxed));
            let told = timeout(TELLER_PATIENCE, transfer(client, what)).await.ok();
            let is_well = matches!(told, Some(Ok(())));
            books.note(what.id, told);
            if !is_well {
                break;
            }
        }
        sleep(PAUSE).await;
    }
}

/// All money and all transfers, in one statement or account by account.
async fn count(client: &Client, in_block: bool) -> Result<(i64, i64), Error> {
    let transfers = "SELECT count(*) FROM transfers";
    if !in_block {
        let sql = format!("SELECT (SELECT sum(balance) FROM accounts)::bigint, ({transfers})");
        let row = client.query_one(&sql, &[]).await?;
        return Ok((row.get(0), row.get(1)));
    }
    client.batch_execute("BEGIN").await?;
    let mut all = 0;
    for account in 0..ACCOUNTS {
        let sql = "SELECT balance FROM accounts WHERE id = $1";
        all += client.query_one(sql, &[&account]).await?.get::<_, i64>(0);
    }
    let transfers = client.query_one(transfers, &[]).await?.get(0);
    client.batch_execute("COMMIT").await?;
    Ok((all, transfers))
}

/// Counts at one node, over and over.
async fn auditor(port: u16, books: Arc<Books>) {
    let mut turn = 0;
    while !books.is_over.load(Ordering::Relaxed) {
        let client = try_connect(port).await;
        while let Some(client) = &client {
            if books.is_over.load(Ordering::Relaxed) {
                return;
            }
            turn += 1;
            let floor = books.acknowledged() as i64;
            let Ok((all, seen)) = count(client, turn % 2 == 0).await else { break };
            assert_eq!(all, i64::from(ACCOUNTS) * OPENED_WITH, "money came or went, at {port}");
            let sent = i64::from(books.next.load(Ordering::Relaxed));
            assert!(floor <= seen && seen <= sent, "a strict read at {port} saw {seen} of {floor} to {sent}");
            books.counts.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
        sleep(PAUSE).await;
    }
}

fn open_the_bank(world: &World) -> (Arc<Books>, Vec<JoinHandle<()>>) {
    let accounts: Vec<_> = (0..ACCOUNTS).map(|id| format!("({id}, {OPENED_WITH})")).collect();
    let sql = format!(
        "CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
         CREATE TABLE transfers (id int PRIMARY KEY, donor int, receiver int, amount bigint);
         INSERT INTO accounts VALUES {}",
        accounts.join(",")
    );
    world.runtime.block_on(world.connect(1).batch_execute(&sql)).unwrap();
    let books = Arc::new(Books::default());
    let ports: Vec<u16> = world.nodes.values().map(|node| node.port).collect();
    let tellers = (0..TELLERS).map(|me| world.runtime.spawn(teller(me, ports.clone(), books.clone())));
    let auditors = ports.iter().map(|port| world.runtime.spawn(auditor(*port, books.clone())));
    let people = tellers.chain(auditors).collect();
    (books, people)
}

/// Balances are what the transfers make of them that are there, and these fit what tellers were told.
fn books_fit(world: &World, id: u64, books: &Books) {
    let client = world.connect(id);
    let rows = |sql: &'static str| world.runtime.block_on(client.query(sql, &[])).unwrap();
    let there: BTreeMap<i32, Transfer> = rows("SELECT id, donor, receiver, amount FROM transfers")
        .iter()
        .map(|row| Transfer { id: row.get(0), from: row.get(1), to: row.get(2), amount: row.get(3) })
        .map(|transfer| (transfer.id, transfer))
        .collect();
    assert!(there.iter().all(|(id, transfer)| *transfer == Transfer::new(*id)));
    let (acknowledged, open) = (books.acknowledged.lock(), books.open.lock());
    let lost: Vec<_> = acknowledged.iter().filter(|id| !there.contains_key(id)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let ghosts: Vec<_> = there.keys().filter(|id| !acknowledged.contains(id) && !open.contains(id)).collect();
    assert!(ghosts.is_empty(), "refused and there: {ghosts:?}");
    for row in rows("SELECT id, balance FROM accounts") {
        let account: i32 = row.get(0);
        let change = |transfer: &Transfer| match transfer {
            Transfer { from, amount, .. } if *from == account => -amount,
            Transfer { to, amount, .. } if *to == account => *amount,
            _ => 0,
        };
        let expected = OPENED_WITH + there.values().map(change).sum::<i64>();
        assert_eq!(row.get::<_, i64>(1), expected, "account {account} at node {id}");
    }
}

#[test]
fn money_neither_comes_nor_goes_at_any_node_under_faults() {
    const STRIKES: u32 = 12;
    let (mut world, mut chance) = (World::start(&[]), chance());
    let began = Instant::now();
    let (books, people) = open_the_bank(&world);
    let beside = world.load_beside();
    let goes_on = || {
        let (asked_at, before) = (Instant::now(), books.acknowledged());
        while books.acknowledged() < before + 25 {
            assert!(!people.iter().any(JoinHandle::is_finished), "somebody gave up");
            assert!(asked_at.elapsed() < PATIENCE, "nothing goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    goes_on();
    let strikes = STRIKES * rounds();
    as_they_come(&mut world, &mut chance, strikes, || books.acknowledged());
    goes_on();
    books.is_over.store(true, Ordering::Relaxed);
    for person in people {
        let ended = world.runtime.block_on(async { timeout(PATIENCE, person).await });
        ended.expect("somebody waits in vain").unwrap();
    }
    beside.map(|load| load.finish(&world.runtime));
    world.agree(&ALL);
    ALL.into_iter().for_each(|id| books_fit(&world, id, &books));
    let (told, open, counts) = (books.acknowledged(), books.open.lock().len(), books.counts.load(Ordering::Relaxed));
    eprintln!("{told} transfers, {open} open, counted {counts} times, {strikes} strikes, {:?}", began.elapsed());
    world.end();
}
