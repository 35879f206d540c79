//! A PostgreSQL of a test's own: a fresh cluster in a temporary directory, on a free port of loopback.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to get ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the newest installed version's programs are.
pub fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|version| version.path().join("bin"));
    versions.filter(|programs| programs.join("initdb").exists() && programs.join("postgres").exists()).max()
}

/// A server of its own; stopped when it is dropped.
pub struct Postgres {
    server: Child,
    /// Where it listens.
    pub port: u16,
    _directory: tempfile::TempDir,
}

impl Postgres {
    /// Starts one, and waits until it takes connections of the superuser `postgres`.
    pub fn start(programs: &Path) -> Postgres {
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
        // Text sorts by bytes, as here, and letters are those of Unicode.
        let initdb = ["-U", "postgres", "-A", "trust", "--locale=C.UTF-8", "-E", "UTF8", "--no-sync"];
        assert!(command("initdb").args(initdb).status().unwrap().success(), "initdb failed");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Aborts are what it is here for; its log of them is not.
        let settings =
            ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "log_min_messages=fatal"];
        let mut server = command("postgres");
        server.args(["-p", &port.to_string()]).args(settings.iter().flat_map(|setting| ["-c", *setting]));
        let server = server.stderr(Stdio::null()).spawn().unwrap();
        let postgres = Postgres { server, port, _directory: directory };
        postgres.wait();
        postgres
    }

    fn wait(&self) {
        let began = Instant::now();
        while !answers(self.port) {
            assert!(began.elapsed() < PATIENCE, "PostgreSQL does not get ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Whether a client is let in: a server that is starting answers with an error.
fn answers(port: u16) -> bool {
    use std::io::{Read, Write};
    let body = b"\0\x03\0\0user\0postgres\0\0";
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut first = [0];
    let packet = [&(body.len() as u32 + 4).to_be_bytes()[..], body].concat();
    stream.write_all(&packet).is_ok() && stream.read_exact(&mut first).is_ok() && first == *b"R"
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
