//! Clients: they submit, submit again while they do not know the outcome, and remember what they were told.

use crate::generator::{self, Generator, Random, Step};
use crate::world::World;
use evesql::engine;
use evesql::node::InlineNode;
use evesql::page::Hash;
use evesql::transaction::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time;

pub const ACCOUNTS: u64 = 8;
pub const BALANCE: i64 = 1000;
/// A client that hears nothing submits again after this long, and gives up after so many times.
const PATIENCE: Duration = Duration::from_millis(250);
const SUBMISSIONS_MAX: u32 = 120;

/// What a client remembers of a transaction.
pub struct Record {
    pub operations: Vec<Operation>,
    /// Stock SQLite can run it.
    pub follows: bool,
    /// What the client was told.
    pub outcome: Option<Outcome>,
}

/// What some reader was shown: the history's length and the hash of it.
pub struct Shown {
    pub node: u64,
    pub length: usize,
    pub hash: Hash,
}

#[derive(Default)]
pub struct Ledger {
    pub records: RefCell<BTreeMap<(u64, u64), Record>>,
    pub shown: RefCell<Vec<Shown>>,
    pub stop: Cell<bool>,
    pub resubmissions: Cell<u64>,
    pub reads: Cell<u64>,
}

impl Ledger {
    pub fn committed(&self) -> usize {
        let records = self.records.borrow();
        records.values().filter(|record| matches!(record.outcome, Some(Outcome::Committed(_)))).count()
    }
}

fn statement(sql: impl Into<Arc<str>>) -> Operation {
    Operation::Statement(Statement { sql: vec![sql.into()], ..Statement::default() })
}

/// Hash of a history, for comparing beginnings.
pub fn history_hash<'a>(rows: impl Iterator<Item = &'a (u64, u64)>) -> Hash {
    let bytes: Vec<u8> = rows.flat_map(|(a, b)| [a.to_le_bytes(), b.to_le_bytes()].concat()).collect();
    Hash::of(&bytes)
}

/// The committed transactions in the order in which they took effect, as a snapshot shows them.
pub fn history_of(view: &mut engine::Connection) -> Result<Vec<(u64, u64)>, String> {
    let rows = view.query("SELECT session, sequence FROM history ORDER BY n", &[]).map_err(|e| format!("{e:?}"))?;
    let pair = |row: Vec<Value>| match row.as_slice() {
        [Value::Integer(session), Value::Integer(sequence)] => Ok((*session as u64, *sequence as u64)),
        other => Err(format!("a strange row of the history: {other:?}")),
    };
    rows.into_iter().map(pair).collect()
}

/// A connection on what a node has accepted.
pub fn view_of(node: &InlineNode) -> Result<engine::Connection, String> {
    let state = node.shared.accepted_state();
    let version = state.databases.get("evesql").ok_or("no database")?;
    let mut view =
        engine::Connection::view(&version.snapshot, engine::Options::default()).map_err(|e| e.to_string())?;
    view.expect_schema(version.schema).map_err(|e| e.to_string())?;
    Ok(view)
}

pub struct Client {
    pub world: Rc<World>,
    pub ledger: Rc<Ledger>,
    pub session: u64,
    sequence: u64,
    random: Random,
    generator: Rc<RefCell<Generator>>,
}

impl Client {
    pub fn new(world: &Rc<World>, ledger: &Rc<Ledger>, session: u64, generator: &Rc<RefCell<Generator>>) -> Self {
        Client {
            world: world.clone(),
            ledger: ledger.clone(),
            session,
            sequence: 0,
            random: Random::new(world.seed.wrapping_mul(1009) + session),
            generator: generator.clone(),
        }
    }

    /// Tables and accounts, before the others begin.
    pub async fn create_schema(&mut self) -> Result<(), String> {
        let mut all =
            vec!["CREATE TABLE history(n INTEGER PRIMARY KEY, session INT NOT NULL, sequence INT NOT NULL)".into()];
        all.push("CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INT NOT NULL CHECK (balance >= 0))".into());
        all.extend((0..ACCOUNTS).map(|id| format!("INSERT INTO accounts VALUES ({id}, {BALANCE})")));
        all.extend(generator::schema());
        let operations = all.into_iter().map(statement).collect();
        match self.submit(operations, None, true, false).await {
            Some(Outcome::Committed(_)) => Ok(()),
            other => Err(format!("the schema cannot be created: {other:?}")),
        }
    }

    pub async fn run(mut self) {
        while !self.ledger.stop.get() {
            time::sleep(Duration::from_millis(self.random.below(60))).await;
            match self.random.below(10) {
                0..4 => {
                    let generated = self.generator.borrow_mut().transaction();
                    let operations = generated.steps.iter().map(|step| match step {
                        Step::Statement(sql) => statement(sql.as_str()),
                        Step::Savepoint(sql) => Operation::Savepoint(sql.as_str().into()),
                    });
                    let operations = operations.collect();
                    self.submit(operations, None, !generated.ours_only, true).await;
                }
                4..7 => {
                    let operations = self.transfer();
                    self.submit(operations, None, true, true).await;
                }
                7..9 => {
                    if let Some((operations, begun)) = self.interactive() {
                        self.submit(operations, Some(begun), true, true).await;
                    }
                }
                _ => self.read().await,
            }
        }
    }

    fn two_accounts(&mut self) -> (u64, u64, u64) {
        let from = self.random.below(ACCOUNTS);
        (from, (from + 1 + self.random.below(ACCOUNTS - 1)) % ACCOUNTS, self.random.below(300))
    }

    /// Two updates of hot rows; sometimes an error after the first half.
    fn transfer(&mut self) -> Vec<Operation> {
        let (from, to, amount) = self.two_accounts();
        let take = format!("UPDATE accounts SET balance = balance - {amount} WHERE id = {from} RETURNING balance");
        let give = format!("UPDATE accounts SET balance = balance + {amount} WHERE id = {to} RETURNING balance");
        let mut operations = vec![statement(take)];
        if self.random.chance(12) {
            operations.push(statement("INSERT INTO accounts VALUES (0, 0)"));
        }
        operations.push(statement(give));
        operations
    }

    /// Reads first, writes what follows from it, and stands only if it would read the same again.
    fn interactive(&mut self) -> Option<(Vec<Operation>, Begun)> {
        let (from, to, amount) = self.two_accounts();
        let node = self.world.leader().filter(|node| node.shared.serves())?;
        let mut view = view_of(&node).ok()?;
        let begun = Begun {
            timestamp_us: self.world.clock(node.shared.id).offset_us.load(std::sync::atomic::Ordering::Relaxed),
            seed: self.random.next(),
        };
        view.begin_context(engine::Context::new(begun.timestamp_us, begun.seed, engine::Draws::Replay));
        view.control("BEGIN").ok()?;
        let mut operations = Vec::new();
        let select = |id| format!("SELECT balance FROM accounts WHERE id = {id}");
        let mut balances = Vec::new();
        let mut run = |sql: String, balances: &mut Vec<i64>| {
            view.begin_statement(operations.len() as u32 + 1, &[], &[]);
            let answer = view.answer(&[sql.as_str().into()], &[], None).ok()?;
            if let Some(ValueRef::Integer(balance)) = answer.rows.values().next() {
                balances.push(balance);
            }
            let statement = Statement { sql: vec![sql.into()], seen: Some(answer.digest()), ..Statement::default() };
            operations.push(Operation::Statement(statement));
            Some(())
        };
        run(select(from), &mut balances)?;
        run(select(to), &mut balances)?;
        let [have, had] = balances[..] else { return None };
        let amount = (amount as i64).min(have);
        run(format!("UPDATE accounts SET balance = {} WHERE id = {from}", have - amount), &mut balances)?;
        run(format!("UPDATE accounts SET balance = {} WHERE id = {to}", had + amount), &mut balances)?;
        let _ = view.control("ROLLBACK");
        Some((operations, begun))
    }

    /// Submits under one id until the outcome is known, or patience ends.
    async fn submit(
        &mut self,
        mut operations: Vec<Operation>,
        begun: Option<Begun>,
        follows: bool,
        is_noted: bool,
    ) -> Option<Outcome> {
        self.sequence += 1;
        let key = (self.session, self.sequence);
        let note = statement(format!("INSERT INTO history(session, sequence) VALUES ({}, {})", key.0, key.1));
        match is_noted {
            true => operations.insert(0, note),
            false => operations.push(note),
        }
        let known = loop {
            // Not one that is new and knows no database yet.
            let newest = || self.world.nodes().into_iter().max_by_key(|node| node.shared.accepted().log_id.index);
            if let Some(known) = self.world.leader().or_else(newest) {
                break known;
            }
            time::sleep(Duration::from_millis(20)).await;
        };
        let state = known.shared.accepted_state();
        let transaction = Transaction {
            id: TransactionId { incarnation: self.world.around.incarnation, session: key.0, sequence: key.1 },
            database: "evesql".into(),
            catalog: state.databases["evesql"].catalog.version,
            begun,
            expires_at_index: known.shared.accepted().log_id.index + 500,
            operations: operations.clone(),
        };
        drop((known, state));
        let waiters = self.world.around.waiters.clone();
        let mut answer = waiters.register(Arc::new(transaction.clone()));
        self.ledger.records.borrow_mut().insert(key, Record { operations, follows, outcome: None });
        let mut outcome = None;
        for number in 0..SUBMISSIONS_MAX {
            if let Some(leader) = self.world.leader() {
                let _ = leader.proposer.submit(transaction.clone());
                self.ledger.resubmissions.set(self.ledger.resubmissions.get() + u64::from(number > 0));
            }
            match time::timeout(PATIENCE, &mut answer).await {
                Ok(Ok(Ok(told))) => {
                    outcome = Some(told);
                    break;
                }
                Ok(_) => break,
                Err(_) if self.world.failure().is_some() => break,
                Err(_) => {}
            }
        }
        waiters.forget(transaction.id);
        if outcome.is_none() {
            self.world.fail(format!("transaction {key:?} has no outcome, however often it is submitted"));
        }
        let told = match &outcome {
            None => "nothing".to_string(),
            Some(Outcome::Committed(_)) => "committed".to_string(),
            Some(other) => format!("{other:?}"),
        };
        self.world.note(&format!("client {}.{} was told {told}", key.0, key.1));
        self.ledger.records.borrow_mut().get_mut(&key).expect("noted above").outcome = outcome.clone();
        outcome
    }

    /// A strict read sees all that was acknowledged before, at the leader by a read index, anywhere by what was
    /// acknowledged; any other shows a beginning of the history.
    async fn read(&mut self) {
        let world = self.world.clone();
        let is_strict = self.random.chance(2);
        let asks_leader = is_strict && self.random.chance(2);
        let node = match asks_leader {
            true => world.leader(),
            false => world.node(world.any()),
        };
        let Some(node) = node else { return };
        let acknowledged: Vec<(u64, u64)> = {
            let records = self.ledger.records.borrow();
            let is_committed = |record: &Record| matches!(record.outcome, Some(Outcome::Committed(_)));
            records.iter().filter(|(_, record)| is_committed(record)).map(|(key, _)| *key).collect()
        };
        if is_strict {
            let known = world.around.acknowledged.index().filter(|_| !asks_leader);
            let index = match known {
                Some(index) => index,
                None => {
                    let Ok(index) = node.consensus.read_index().await else { return };
                    world.around.acknowledged.learn(index);
                    index
                }
            };
            // Looked at now and then: those who wait for a watch are woken in an order that no seed decides.
            let watermark = node.shared.watermark.lock().watch();
            let deadline = time::Instant::now() + Duration::from_secs(2);
            while *watermark.borrow() < index {
                if time::Instant::now() > deadline {
                    return;
                }
                time::sleep(Duration::from_millis(1)).await;
            }
        }
        let id = node.shared.id;
        let Ok(mut view) = view_of(&node) else { return };
        if !node.shared.serves() || world.node(id).is_none() {
            return;
        }
        // A page that does not match its hash is an error, not an answer.
        let Ok(history) = history_of(&mut view) else { return };
        if world.flipped.get() == Some(id) {
            return;
        }
        self.ledger.reads.set(self.ledger.reads.get() + 1);
        world.note(&format!("client {} reads {} transactions at node {id}", self.session, history.len()));
        if is_strict {
            let seen: std::collections::BTreeSet<_> = history.iter().copied().collect();
            if let Some(lost) = acknowledged.iter().find(|key| !seen.contains(key)) {
                world.fail(format!("a strict read at node {id} does not see {lost:?}, acknowledged before it"));
            }
        }
        let shown = Shown { node: id, length: history.len(), hash: history_hash(history.iter()) };
        self.ledger.shown.borrow_mut().push(shown);
    }
}
