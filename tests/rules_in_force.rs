//! The mixer's rules in a running server: what they change is the grouping and nothing else, and their files are
//! followed while it runs.

mod harness;

use harness::{PATIENCE, Program, connect, runtime};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

const CLIENTS: usize = 8;
const UPDATES: usize = 25;

/// All of them change one row, so they conflict.
const UPDATE: &str = "UPDATE counter SET n = n + 1 WHERE id = 1 RETURNING n";

fn rule(name: &str, sql: &str, effect: &str) -> String {
    format!("[[rule]]\nname = '{name}'\nmatch = '{sql}'\n{effect}\n")
}

/// It says that all those updates may run beside each other: a lie.
fn lie() -> String {
    rule("a lie", "UPDATE counter SET n = n + 1 WHERE id = $1 ..", "independent = true")
}

/// A server with rules, its files, and clients.
struct Ruled {
    server: Program,
    clients: Vec<Client>,
    rules: PathBuf,
    /// What `counter` must hold.
    updates: i64,
    _directory: tempfile::TempDir,
}

/// A configuration file that names the directory of rules; all that can be planned ahead is.
fn configuration(directory: &Path) -> PathBuf {
    let rules = directory.join("rules");
    std::fs::create_dir_all(&rules).unwrap();
    let path = directory.join("evesql.toml");
    let text = format!("rules = '{}'\nrun_ahead = 'always'\nworkers = 2\n", rules.display());
    std::fs::write(&path, text).unwrap();
    path
}

impl Ruled {
    async fn start(rules: &str) -> Ruled {
        let directory = tempfile::tempdir().unwrap();
        let config = configuration(directory.path());
        let file = directory.path().join("rules/counter.toml");
        std::fs::write(&file, rules).unwrap();
        let server = Program::serve(&directory.path().join("data"), &["--config", config.to_str().unwrap()]).unwrap();
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(connect(server.address).await);
        }
        let create = "CREATE TABLE counter (id int PRIMARY KEY, n int); INSERT INTO counter VALUES (1, 0), (2, 0)";
        clients[0].batch_execute(create).await.unwrap();
        Ruled { server, clients, rules: file, updates: 0, _directory: directory }
    }

    /// Each client changes the row so many times, at once with the others; each of them must see a number of its own,
    /// and its own numbers must grow.
    async fn update(&mut self) {
        let work = self.clients.iter().map(|client| async move {
            let mut seen: Vec<i64> = Vec::with_capacity(UPDATES);
            for _ in 0..UPDATES {
                let row = client.query_one(UPDATE, &[]).await.unwrap();
                seen.push(row.get::<_, i32>(0).into());
            }
            assert!(seen.is_sorted(), "{seen:?}");
            seen
        });
        let mut seen = futures::future::join_all(work).await.concat();
        seen.sort_unstable();
        let now = self.updates + (CLIENTS * UPDATES) as i64;
        assert!(seen.iter().copied().eq(self.updates + 1..=now), "from {} to {now}: {seen:?}", self.updates);
        self.updates = now;
    }

    /// The newest batch.
    async fn newest(&self) -> i64 {
        let sql = "SELECT coalesce(max(index), 0) FROM evesql_batches";
        self.clients[0].query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Groups, width and conflicts of the batches after this one with more than one transaction.
    async fn batches_after(&self, index: i64) -> Vec<(i64, i64, i64)> {
        let sql = "SELECT groups, width, conflicts FROM evesql_batches WHERE index > $1 AND transactions > 1";
        let rows = self.clients[0].query(sql, &[&index]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }

    /// Updates until a batch is seen that tells by its groups, width and conflicts which rules are in force.
    async fn update_until(&mut self, tells: impl Fn(&(i64, i64, i64)) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let before = self.newest().await;
            self.update().await;
            let batches = self.batches_after(before).await;
            if batches.iter().any(&tells) {
                return;
            }
            assert!(Instant::now() < deadline, "{batches:?}\n{}", self.server.said());
        }
    }

    /// Updates once more: by now all batches must tell so that are not too narrow to tell anything.
    async fn all_tell(&mut self, tells: impl Fn(&(i64, i64, i64)) -> bool) {
        let before = self.newest().await;
        self.update().await;
        let batches = self.batches_after(before).await;
        assert!(batches.iter().all(tells), "{batches:?}");
    }

    /// Waits until the server has said this.
    async fn hears(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.server.said().contains(words) {
            assert!(Instant::now() < deadline, "not said: {words}\n{}", self.server.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until three replicas have the newest batch and one root, and none of them ever differed.
    async fn agree(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sql = "SELECT accepted_index, root FROM evesql_replicas WHERE state IN ('verifying', 'healthy')";
            let rows = self.clients[0].query(sql, &[]).await.unwrap();
            let mut states: Vec<(i64, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            let newest = self.newest().await;
            let are_all = states.len() == 3 && states.iter().all(|(index, _)| *index >= newest);
            states.dedup();
            if are_all && states.len() == 1 {
                break;
            }
            assert!(Instant::now() < deadline, "no agreement: {states:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let sql = "SELECT count(*) FROM evesql_divergences";
        assert_eq!(self.clients[0].query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
        let row = self.clients[0].query_one("SELECT n::int8 FROM counter WHERE id = 1", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), self.updates);
    }
}

/// All in one group, and all but the first find that the rule lied.
fn by_the_lie((groups, width, conflicts): &(i64, i64, i64)) -> bool {
    *groups == 1 && *width >= 2 && *conflicts == width - 1
}

/// Each in a group of its own, and nothing to find.
fn as_derived((groups, width, conflicts): &(i64, i64, i64)) -> bool {
    *groups >= 2 && *width == 1 && *conflicts == 0
}

#[test]
fn a_rule_that_lies_changes_groups_and_no_answer_until_its_file_says_something_else() {
    runtime().block_on(async {
        let mut ruled = Ruled::start(&lie()).await;
        ruled.update_until(by_the_lie).await;
        ruled.all_tell(by_the_lie).await;
        ruled.agree().await;

        // A rule for other statements: those of the clients are grouped as they are without any.
        std::fs::write(&ruled.rules, lie().replace("n + 1", "n * 2")).unwrap();
        ruled.update_until(as_derived).await;
        ruled.all_tell(as_derived).await;
        ruled.agree().await;

        // Another file, with the lie again.
        std::fs::write(ruled.rules.with_file_name("more.toml"), lie().replace("a lie", "another")).unwrap();
        ruled.update_until(by_the_lie).await;
        ruled.all_tell(by_the_lie).await;

        std::fs::remove_file(ruled.rules.with_file_name("more.toml")).unwrap();
        ruled.update_until(as_derived).await;
        ruled.all_tell(as_derived).await;
        ruled.agree().await;
    });
}

#[test]
fn a_mistake_in_a_file_is_told_with_its_place_and_the_old_rules_stay() {
    runtime().block_on(async {
        let mut ruled = Ruled::start(&lie()).await;
        ruled.update_until(by_the_lie).await;

        std::fs::write(&ruled.rules, "[[rule]]\nname = 'broken'\nmatch = 'DELETE FROM counter'\nwritse = []\n")
            .unwrap();
        let place = format!("{}:4:1: ", ruled.rules.display());
        ruled.hears(&format!("rules were not reloaded, the old ones stay in force: {place}")).await;
        assert!(ruled.server.said().contains("writse"), "{}", ruled.server.said());
        ruled.all_tell(by_the_lie).await;

        std::fs::write(&ruled.rules, "[[rule]\n").unwrap();
        ruled
            .hears(&format!("rules were not reloaded, the old ones stay in force: {}:1:", ruled.rules.display()))
            .await;
        ruled.all_tell(by_the_lie).await;

        // Mended, and nobody started the server again.
        std::fs::write(&ruled.rules, lie().replace("n + 1", "n * 2")).unwrap();
        ruled.update_until(as_derived).await;
        ruled.agree().await;
    });
}

/// A rule may be written before its table is made; what it says is then of rows that nobody else touches.
#[test]
fn a_rule_about_a_table_that_is_not_there_changes_groups_and_no_answer() {
    let rules = rule("nowhere", "UPDATE counter SET n = n + 1 WHERE id = $1 ..", "writes = ['nosuch(id = $1, n = 5)']");
    runtime().block_on(async {
        let mut ruled = Ruled::start(&rules).await;
        // All of them touch the same row, by the rule too.
        ruled.update_until(as_derived).await;
        ruled.all_tell(as_derived).await;
        // Reads of a table that is not there conflict with nobody's.
        std::fs::write(&ruled.rules, rules.replace("writes", "reads")).unwrap();
        ruled.update_until(by_the_lie).await;
        ruled.agree().await;

        let schema = ruled.rules.with_file_name("schema.sql");
        std::fs::write(&schema, "CREATE TABLE counter (id int PRIMARY KEY, n int)").unwrap();
        let paths = [&ruled.rules, &schema].map(|path| path.to_str().unwrap());
        let output = harness::run(&["rules", "check", paths[0], "--schema", paths[1]]);
        let found = String::from_utf8(output.stdout).unwrap();
        let expected = format!("{}:4:10: there is no table `nosuch`, so this is never touched\n", paths[0]);
        assert_eq!((output.status.code(), found), (Some(1), expected));
    });
}

#[test]
fn a_server_does_not_start_with_rules_that_it_cannot_read() {
    let directory = tempfile::tempdir().unwrap();
    let config = configuration(directory.path());
    let file = directory.path().join("rules/wrong.toml");
    std::fs::write(&file, rule("wrong", "UPDATE counter SET n = 0", "writes = ['counter(']")).unwrap();
    let start = || Program::serve(&directory.path().join("data"), &["--config", config.to_str().unwrap()]);
    let said = start().err().expect("it does not start");
    assert!(said.contains(&format!("evesql: {}:4:11: ", file.display())), "{said}");
    assert!(said.contains("exit code Some(2)"), "{said}");
    std::fs::write(&config, format!("rules = '{}'\n", directory.path().join("nosuch").display())).unwrap();
    let said = start().err().expect("it does not start");
    assert!(said.contains("cannot read the rules in ") && said.contains("exit code Some(2)"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 2, "{said}");
}
