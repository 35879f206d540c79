//! The stories with a database of four times the memory budget, under a memory limit of the operating system:
//! `EVESQL_LARGE=1`.
//!
//! Every story then begins with a table beside its own, which is filled once and copied for each. Each transaction of
//! the load moves something between two rows of it that follow from the transaction's number, and readers go through all of
//! it now and then. At the end its rows are what the transactions that are there make of them, at every node.

use super::harness::{PATIENCE, code};
use super::limit::Limit;
use super::node::Node;
use super::wires::Ports;
use super::world::{ALL, World};
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use tempfile::TempDir;
use tokio_postgres::{Client, Error};

/// `memory_mib` of every node.
pub const BUDGET_MIB: u64 = 64;
/// What a process has beside its pages in memory.
const OVERHEAD_MIB: u64 = 160;
/// Four of these fill a page.
const ROWS: i32 = (4 * BUDGET_MIB as i32 + 4) * 256 * 4;
const ROWS_AT_ONCE: i32 = 4_096;
const FILLER_BYTES: i64 = 30 * 32;
/// In each row, at first.
const BEGINNING: i32 = 1_000;
/// A reader goes through all of the table after so many smaller reads.
const READS_BETWEEN_SCANS: u32 = 100;

/// Whether `EVESQL_LARGE` is set.
pub fn is_on() -> bool {
    std::env::var_os("EVESQL_LARGE").is_some()
}

/// Pages of the table, or none.
pub fn pages() -> usize {
    if is_on() { ROWS as usize / 4 } else { 0 }
}

/// Nodes' directories with the table in them, and the ports that their logs name: those of all stories.
struct Template {
    directory: TempDir,
    ports: Ports,
}

/// The turn of a story: one at a time, as all use the same ports.
pub struct Turn {
    template: MutexGuard<'static, Option<Template>>,
}

static TEMPLATE: Mutex<Option<Template>> = Mutex::new(None);

impl Turn {
    /// Waits for the other stories; the first one makes what all begin with.
    pub fn wait() -> Turn {
        let mut template = TEMPLATE.lock();
        if template.is_none() {
            *template = Some(Template::make());
        }
        Turn { template }
    }

    pub fn ports(&self) -> &Ports {
        &self.template().ports
    }

    /// What a node begins with.
    pub fn copy(&self, node: u64, to: &Path) {
        copy(&self.template().directory.path().join(format!("of-{node}")), to);
    }

    fn template(&self) -> &Template {
        self.template.as_ref().expect("made by whoever came first")
    }
}

impl Template {
    fn make() -> Template {
        // One that an earlier run left is of another program.
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let _ = fs::remove_dir_all(place.join("large"));
        let directory = tempfile::Builder::new().prefix("large").rand_bytes(0).tempdir_in(place).unwrap();
        let ports = Ports::free();
        let began = Instant::now();
        let mut world = World::at(&ports, directory, |_| Vec::new());
        world.start_nodes(&ALL);
        world.leader(&ALL);
        let client = world.connect(1);
        let fill = async {
            client
                .batch_execute(
                    "CREATE TABLE large (id int PRIMARY KEY, n int NOT NULL, filler text NOT NULL);
                 CREATE INDEX large_n ON large (n)",
                )
                .await?;
            for from in (0..ROWS).step_by(ROWS_AT_ONCE as usize) {
                let to = (from + ROWS_AT_ONCE).min(ROWS) - 1;
                let sql = format!(
                    "INSERT INTO large SELECT g, {BEGINNING}, repeat(md5(g::text), 30) FROM generate_series({from}, {to}) g"
                );
                client.batch_execute(&sql).await?;
            }
            Ok::<_, Error>(())
        };
        world.runtime.block_on(fill).unwrap();
        world.agree(&ALL);
        world.stop_nodes(&ALL);
        eprintln!("{ROWS} rows at three nodes: {:?}", began.elapsed());
        world.nodes.values().for_each(Node::tell_its_memory);
        Template { directory: world.directory, ports }
    }
}

/// Copies a directory.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// A limit for a node, where there is to be one.
pub fn limit(node: u64) -> Option<Limit> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("evesql-{}-{}-of-{node}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    is_on().then(|| Limit::new(&name, (BUDGET_MIB + OVERHEAD_MIB) << 20))
}

/// A node's options, with the budget in its configuration.
pub fn options(more: &[String], data: &Path) -> Vec<String> {
    let mut more = more.to_vec();
    if is_on() {
        let given = more.iter().position(|option| option == "--config");
        let text = given.map_or(String::new(), |at| fs::read_to_string(&more[at + 1]).unwrap());
        let own = data.with_extension("toml");
        let others = text.lines().filter(|line| !line.starts_with("memory_mib"));
        let lines: Vec<_> = [format!("memory_mib = {BUDGET_MIB}")].into_iter().chain(others.map(Into::into)).collect();
        fs::write(&own, lines.join("\n")).unwrap();
        more.drain(given.map_or(0..0, |at| at..at + 2));
        more.extend(["--config".into(), own.to_str().unwrap().into()]);
    }
    more
}

/// What a transaction of the load does to the table.
#[derive(Clone, Copy)]
pub struct Move {
    pub from: i32,
    pub to: i32,
    pub amount: i32,
}

impl Move {
    /// Of the transaction with this number; none of one that is a single statement, and without the table.
    pub fn of(id: i32) -> Option<Move> {
        let mixed = (id as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let row = |mixed: u64| (mixed % ROWS as u64) as i32;
        (is_on() && id % 3 != 2).then(|| Move { from: row(mixed >> 40), to: row(mixed >> 16), amount: 1 + id % 7 })
    }

    /// As one command.
    pub fn sql(self) -> String {
        let Move { from, to, amount } = self;
        format!(
            "UPDATE large SET n = n - {amount} WHERE id = {from}; UPDATE large SET n = n + {amount} WHERE id = {to}"
        )
    }

    /// As an application does that looks first.
    pub async fn by_hand(self, client: &Client) -> Result<(), Error> {
        for (row, change) in [(self.from, -self.amount), (self.to, self.amount)] {
            let seen = client.query_one("SELECT n, filler FROM large WHERE id = $1", &[&row]).await?;
            assert_eq!(seen.get::<_, &str>(1).len() as i64, FILLER_BYTES);
            let n = seen.get::<_, i32>(0) + change;
            client.execute("UPDATE large SET n = $1 WHERE id = $2", &[&n, &row]).await?;
        }
        Ok(())
    }
}

/// Every now and then: goes through all of the table, and finds that nothing came or went.
pub async fn scan(client: &Client, turn: u32) -> Result<(), Error> {
    if !is_on() || turn % READS_BETWEEN_SCANS != READS_BETWEEN_SCANS / 2 {
        return Ok(());
    }
    whole(client).await
}

async fn whole(client: &Client) -> Result<(), Error> {
    let sql = "SELECT count(*), sum(n)::bigint, sum(length(filler))::bigint FROM large";
    let row = client.query_one(sql, &[]).await?;
    let (rows, n, filler): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    let all = i64::from(ROWS);
    assert_eq!((rows, n, filler), (all, all * i64::from(BEGINNING), all * FILLER_BYTES));
    Ok(())
}

/// At the end, at one node: the table is what the transactions make of it that are there.
pub async fn judge(client: &Client) {
    if !is_on() {
        return;
    }
    let present = client.query("SELECT id FROM done", &[]).await.unwrap();
    let mut expected: BTreeMap<i32, i32> = BTreeMap::new();
    for Move { from, to, amount } in present.iter().filter_map(|row| Move::of(row.get(0))) {
        *expected.entry(from).or_default() -= amount;
        *expected.entry(to).or_default() += amount;
    }
    expected.retain(|_, change| *change != 0);
    let sql = format!("SELECT id, n - {BEGINNING} FROM large WHERE n < {BEGINNING} OR n > {BEGINNING}");
    let rows = client.query(&sql, &[]).await.unwrap();
    let found: BTreeMap<i32, i32> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(found == expected, "the large table is not what its transactions make of it");
    whole(client).await.unwrap();
}

#[test]
fn nodes_whose_log_is_larger_than_their_memory_start_again() {
    const VALUE_BYTES: usize = 1 << 20;
    const LOG_MIB: usize = (BUDGET_MIB + OVERHEAD_MIB) as usize + 16;
    if !is_on() {
        eprintln!("only with EVESQL_LARGE=1");
        return;
    }
    let mut world = World::start(&[]);
    // As long as one is away the others keep what it lacks.
    let away = world.followers()[0];
    world.node(away).kill();
    let others: Vec<u64> = ALL.into_iter().filter(|id| *id != away).collect();
    world.agree(&others);
    let client = world.connect(others[0]);
    let value = "x".repeat(VALUE_BYTES);
    world.runtime.block_on(async {
        client.batch_execute("CREATE TABLE wide (value text); INSERT INTO wide VALUES ('')").await.unwrap();
        let (mut written, began) = (0, Instant::now());
        while written < (LOG_MIB << 20) / VALUE_BYTES {
            match client.execute("UPDATE wide SET value = $1", &[&value]).await {
                Ok(_) => written += 1,
                // With one of three away, the other one on a busy machine may be late.
                Err(error) => assert!(["57P03", "08007"].contains(&code(&error).as_str()), "{error}"),
            }
            assert!(began.elapsed() < 5 * PATIENCE, "{written} of {LOG_MIB} written");
        }
    });
    // Of the one that leads: the other one keeps nothing for others.
    let bytes =
        |id: &u64| -> u64 { world.nodes[id].files("log-").iter().map(|file| file.metadata().unwrap().len()).sum() };
    let log_bytes = others.iter().map(bytes).max().unwrap();
    assert!(log_bytes >= (LOG_MIB as u64) << 20, "{log_bytes} bytes of log");
    world.stop_nodes(&others);
    world.start_nodes(&ALL);
    world.agree(&ALL);
    let load = world.load();
    load.goes_on(50);
    load.finish(&world.runtime);
    world.end();
}
