//! The checker against PostgreSQL, where it is installed: at REPEATABLE READ it finds what snapshots let through, such as
//! write skew, and at SERIALIZABLE nothing. So it is the checker that tells them apart, and not our own database.
//!
//! Where PostgreSQL is not installed, the program says so, and the test is not counted: hence no harness of tests.

mod checker;

use checker::lists::{Lists, TABLE};
use checker::{Anomaly, Model, Seen, check, committed};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
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
    postgres.ready(&runtime);
    let loose = postgres.history(&runtime, "repeatable read");
    let found = check(&loose, Model::Serializable);
    let Err(Anomaly::Cycle(cycle)) = found else { panic!("{found:?} in {} transactions", committed(&loose)) };
    cycle.iter().for_each(|index| println!("{:?}", loose[*index]));
    let strict = postgres.history(&runtime, "serializable");
    // In some order: of their times PostgreSQL promises nothing.
    assert_eq!(check(&strict, Model::Serializable), Ok(()));
    println!("{} and {} transactions were acknowledged", committed(&loose), committed(&strict));
    println!("test {NAME} ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored");
}

/// Where the newest installed version's programs are.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|version| version.path().join("bin"));
    versions.filter(|programs| programs.join("initdb").exists() && programs.join("postgres").exists()).max()
}

/// A server of its own; stopped when it is dropped.
struct Postgres {
    server: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Postgres {
    fn start(programs: &Path) -> Postgres {
        let directory = tempfile::tempdir().unwrap();
        let user = other_user(directory.path());
        if let Some((user, group)) = user {
            chown(directory.path(), Some(user), Some(group)).unwrap();
        }
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.arg("-D").arg(directory.path().join("data")).current_dir(directory.path());
            if let Some((user, group)) = user {
                command.gid(group).uid(user);
            }
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command
        };
        let initdb = ["-U", "postgres", "-A", "trust", "--no-locale", "-E", "UTF8", "--no-sync"];
        assert!(command("initdb").args(initdb).status().unwrap().success(), "initdb failed");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Aborts are what it is here for; its log of them is not.
        let settings =
            ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "log_min_messages=fatal"];
        let mut server = command("postgres");
        server.args(["-p", &port.to_string()]).args(settings.iter().flat_map(|setting| ["-c", *setting]));
        let server = server.stderr(Stdio::null()).spawn().unwrap();
        Postgres { server, port, _directory: directory }
    }

    fn ready(&self, runtime: &Runtime) {
        let began = Instant::now();
        while runtime.block_on(connect(self.port, "")).is_none() {
            assert!(began.elapsed() < PATIENCE, "PostgreSQL does not get ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What clients saw whose transactions are all of this level.
    fn history(&self, runtime: &Runtime, level: &str) -> Vec<Seen> {
        let client = runtime.block_on(connect(self.port, "")).unwrap();
        runtime.block_on(client.batch_execute(&format!("DROP TABLE IF EXISTS lists; {TABLE}"))).unwrap();
        let (port, setting) = (self.port, format!("SET default_transaction_isolation = '{level}'"));
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
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Quickly and in order: killed, it would leave shared memory behind.
        let sent = Command::new("kill").args(["-INT", &self.server.id().to_string()]).status();
        if !sent.is_ok_and(|sent| sent.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

/// PostgreSQL refuses to run as root: the user and the group that its package made for it then.
fn other_user(own: &Path) -> Option<(u32, u32)> {
    if own.metadata().unwrap().uid() != 0 {
        return None;
    }
    let all = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = all.lines().find(|line| line.starts_with("postgres:")).expect("root needs the user postgres");
    let mut numbers = line.split(':').skip(2).map(|number| number.parse().unwrap());
    Some((numbers.next()?, numbers.next()?))
}

async fn connect(port: u16, setting: &str) -> Option<Client> {
    let text = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await.ok()?;
    tokio::spawn(connection);
    client.batch_execute(setting).await.ok()?;
    Some(client)
}
