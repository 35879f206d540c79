//! Audits as people see them: batches that a cluster accepted are run again in the background, and a result that is
//! not the accepted one is reported, saved with the databases before it, and replayed by `evesql audit replay`.

mod harness;

use evesql::config::{Config, RunAhead};
use evesql::entry::EncodedCommand;
use evesql::node::SavedBatch;
use harness::{InProcess, PATIENCE, connect, runtime};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_postgres::Client;

const ACCOUNTS: &str = "CREATE TABLE accounts (id int PRIMARY KEY, n int); \
    CREATE TABLE moves (id serial PRIMARY KEY, a int, b int, seen int); \
    INSERT INTO accounts SELECT i, 100 FROM generate_series(0, 9) AS s(i)";

/// Waits until there are so many audits, skipped ones among them.
async fn audited(server: &InProcess, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while server.cluster().audits().len() < count {
        assert!(Instant::now() < deadline, "{:?}", server.cluster().audits());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until so many audits passed.
async fn passed(server: &InProcess, count: u64) {
    let deadline = Instant::now() + PATIENCE;
    let passed = || server.cluster().status(0).nodes.iter().map(|node| node.audits_passed).sum::<u64>();
    while passed() < count {
        assert!(Instant::now() < deadline, "{:?}", server.cluster().audits());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Clients, and the accounts that they work on.
async fn clients(server: &InProcess) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(connect(server.address()).await);
    }
    clients[0].batch_execute(ACCOUNTS).await.unwrap();
    clients
}

/// Transfers between a few accounts, each at once with others.
async fn transfer(clients: &[Client]) {
    let work = clients.iter().enumerate().map(|(number, client)| async move {
        for round in 0..30 {
            let (from, to) = ((number + round) % 10, (number * 3 + round * 7) % 10);
            let sql = format!(
                "UPDATE accounts SET n = n - 1 WHERE id = {from}; UPDATE accounts SET n = n + 1 WHERE id = {to}; \
                 INSERT INTO moves (a, b, seen) SELECT {from}, {to}, n FROM accounts WHERE id = {to}"
            );
            client.batch_execute(&sql).await.unwrap();
        }
    });
    futures::future::join_all(work).await;
}

/// Exit code, what is printed, what is said of a failure.
fn replay(directory: &Path) -> (i32, String, String) {
    let output = harness::run(&["audit", "replay", directory.to_str().unwrap()]);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// In a sentence, with the exit code that tells usage from damage.
fn what_cannot_be_replayed_is_said(sound: &Path) {
    let copy = tempfile::tempdir().unwrap();
    let said = |expected: i32, words: &str| {
        let (code, shown, said) = replay(copy.path());
        assert_eq!((code, shown.as_str(), said.trim_end().lines().count()), (expected, "", 1), "{said}");
        assert!(said.starts_with("evesql: ") && said.contains(words), "{said}");
    };
    said(2, "holds no saved audit; name a directory audit-INDEX");
    for entry in std::fs::read_dir(sound).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    assert_eq!(replay(copy.path()).0, 0, "a copy does as well");
    let file = copy.path().join("database-1.db");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4096] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    said(1, "database-1.db: its pages have root ");
    assert_eq!(harness::run(&["audit", "replay"]).status.code(), Some(2));
}

#[test]
#[cfg_attr(feature = "unsound-footprints", ignore = "finds what it should")]
fn a_healthy_cluster_passes_all_its_audits() {
    let change = |config| Config { audit_every: 1, workers: 2, run_ahead: RunAhead::Always, ..config };
    let server = InProcess::start(change);
    runtime().block_on(async {
        let clients = clients(&server).await;
        transfer(&clients).await;
        passed(&server, 10).await;
        let row = clients[0].query_one("SELECT count(*) FROM evesql_audits WHERE result = 'same'", &[]).await.unwrap();
        assert!(row.get::<_, i64>(0) >= 10);
    });
    let found: Vec<_> = server.cluster().audits().into_iter().filter(|audit| audit.saved.is_some()).collect();
    assert_eq!(found, []);
    assert!(server.cluster().status(0).render().contains(" passed, 0 found\n"));
}

/// Half of them change a row, the others copy it: these read what they do not write.
#[cfg(feature = "unsound-footprints")]
async fn copy_and_change(clients: &[Client]) {
    let work = clients.iter().enumerate().map(|(number, client)| async move {
        for _ in 0..30 {
            let sql = match number % 2 {
                0 => "UPDATE accounts SET n = n + 1 WHERE id = 1",
                _ => "INSERT INTO moves (a, b, seen) SELECT 1, 1, n FROM accounts WHERE id = 1",
            };
            client.batch_execute(sql).await.unwrap();
        }
    });
    futures::future::join_all(work).await;
}

/// What every replica computes alike, wrongly: the audit finds it, and what it saved shows it again, to the row.
#[test]
#[cfg(feature = "unsound-footprints")]
fn an_unsound_footprint_is_saved_and_replayed() {
    let change = |config| Config { audit_every: 1, workers: 2, run_ahead: RunAhead::Always, ..config };
    let server = InProcess::start(change);
    runtime().block_on(async {
        let clients = clients(&server).await;
        let deadline = Instant::now() + PATIENCE;
        let row = loop {
            copy_and_change(&clients).await;
            let sql = "SELECT transaction, table_name, detail, file FROM evesql_audits WHERE result = 'differs' \
                       AND table_name IS NOT NULL AND transaction IS NOT NULL ORDER BY index DESC LIMIT 1";
            if let Some(row) = clients[0].query_opt(sql, &[]).await.unwrap() {
                break row;
            }
            assert!(Instant::now() < deadline, "{:?}", server.cluster().audits());
        };
        let (transaction, table): (i32, String) = (row.get(0), row.get(1));
        let (detail, file): (String, String) = (row.get(2), row.get(3));
        let (code, shown, said) = replay(Path::new(&file));
        assert_eq!((code, said.as_str()), (1, ""), "{shown}");
        let expected = [
            ", as accepted\n",
            &format!("\ntransaction {transaction}, table {table}: {detail}\n   "),
            "\na difference: a bug in EveSQL, please report it\n",
        ];
        expected.iter().for_each(|words| assert!(shown.contains(words), "{words} in {shown}"));
    });
}

/// A node on its own accepts what it computed, also where that is wrong: nobody votes against it.
#[test]
fn what_nobody_votes_against_is_found_by_the_audit() {
    let server = InProcess::start(|config| Config { replicas: 1, audit_every: 1, ..config });
    runtime().block_on(async {
        let client = connect(server.address()).await;
        // One batch at a time is audited: the one before must be done with.
        client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, n int)").await.unwrap();
        audited(&server, 1).await;
        client.batch_execute("INSERT INTO t VALUES (1, 1)").await.unwrap();
        audited(&server, 2).await;
        let columns = "index, transaction, table_name, detail, file";
        let sql = format!("SELECT {columns} FROM evesql_audits WHERE result = 'differs' ORDER BY index LIMIT 1");
        let deadline = Instant::now() + PATIENCE;
        // On a busy machine a batch more may have been audited meanwhile, and this one passed over.
        let row = loop {
            let before = server.cluster().audits().len();
            client.query("SELECT evesql_drill('wrong-answer', 1)", &[]).await.unwrap();
            client.batch_execute("UPDATE t SET n = n + 1").await.unwrap();
            audited(&server, before + 1).await;
            if let Some(row) = client.query_opt(&sql, &[]).await.unwrap() {
                break row;
            }
            assert!(Instant::now() < deadline, "{:?}", server.cluster().audits());
        };
        assert_eq!((row.get(1), row.get(2)), (Some(0), None::<String>));
        assert!(row.get::<_, String>(3).contains("with 0 rows and 1 changes"), "{row:?}");
        let directory = PathBuf::from(row.get::<_, String>(4));
        let saved = std::fs::read(directory.join("batch")).unwrap();
        let saved: SavedBatch = postcard::from_bytes(&saved).unwrap();
        assert_eq!(saved.log_id.index as i64, row.get::<_, i64>(0));
        assert_eq!(saved.outcomes.len(), 1);
        let command: Arc<EncodedCommand> = saved.command;
        assert!(command.command().is_ok());
        // It was the drill, and no way to run the batch: both give the same, and another answer than was accepted.
        let (code, shown, said) = replay(&directory);
        assert_eq!((code, said.as_str()), (0, ""), "{shown}");
        let expected = [
            "proved over 2 databases\n",
            &format!("root as it was run: {}, as accepted\n", saved.root_after),
            &format!("root one by one:    {}\n", saved.root_after),
            "transaction 0 answers here otherwise than was accepted\n   UPDATE t SET n = ",
            "\nthe same both ways: no difference\n",
        ];
        expected.iter().for_each(|words| assert!(shown.contains(words), "{words} in {shown}"));
        what_cannot_be_replayed_is_said(&directory);
    });
    let status = server.cluster().status(0);
    assert!(!status.is_sound() && status.render().contains(" found: a bug in EveSQL"), "{}", status.render());
}
