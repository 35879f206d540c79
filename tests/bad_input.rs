//! What people and disks get wrong: each ends in one sentence that says what to do, the right exit code, and
//! nothing lost.

mod harness;

use harness::{InProcess, PATIENCE, Program, code, connect, evesql, free_port, run, runtime, try_connect};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

/// Exit code 1 or 2, and one sentence on stderr that holds `word`.
fn assert_refused(output: &Output, exit: i32, word: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{said}");
    assert!(said.contains(word), "{said}");
    assert!(said.starts_with("evesql: ") && said.lines().count() == 1, "not one sentence: {said}");
}

fn serve_on(data: &Path, listen: &str, admin: &str) -> Output {
    run(&["serve", "--data", data.to_str().unwrap(), "--listen", listen, "--admin", admin])
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in
        [&["serv"][..], &[], &["serve", "--replicas", "two"], &["serve", "--listen", "nowhere"], &["check"]]
    {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
    assert_refused(&run(&["serve", "--replicas", "2"]), 2, "1, 3, 5 or 7");
    assert_refused(&run(&["serve", "--listen", "0.0.0.0:0"]), 2, "--insecure");
    assert_refused(&run(&["serve", "--config", "/nonexistent/evesql.toml"]), 2, "/nonexistent/evesql.toml");
    assert_eq!(run(&["--help"]).status.code(), Some(0));
}

#[test]
fn a_node_with_half_of_tls_or_with_files_that_do_not_work_exits_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    std::fs::write(path("key"), "no key").unwrap();
    let node = |more: &[&str]| {
        let listens = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"];
        let start = ["node", "--id", "1", "--data", &path("data"), "--peers", "1=127.0.0.1:9"];
        run(&[&start[..], &listens, more].concat())
    };
    assert_refused(&node(&["--peer-ca", &path("ca")]), 2, "--peer-cert is missing");
    assert_refused(&node(&["--peer-ca", &path("ca"), "--peer-key", &path("key")]), 2, "--peer-cert is missing");
    let config = path("evesql.toml");
    let member = format!("[member]\nid = 1\npeer_listen = \"127.0.0.1:0\"\npeers = \"1=a:1\"\nca = {:?}\n", path("ca"));
    std::fs::write(&config, member).unwrap();
    // What the file lacks may come from the command line.
    assert_refused(&node(&["--config", &config, "--peer-cert", &path("c")]), 2, "--peer-key is missing");
    let all = ["--config", &config, "--peer-cert", &path("cert"), "--peer-key", &path("key")];
    assert_refused(&node(&all), 2, &format!("cannot read --peer-ca {}", path("ca")));
    let key = path("key");
    let all = ["--peer-ca", &key, "--peer-cert", &key, "--peer-key", &key];
    assert_refused(&node(&all), 2, "holds no certificate");
    let open = ["node", "--id", "1", "--peers", "1=a:1", "--peer-listen", "0.0.0.0:0"];
    assert_refused(&run(&open), 2, "--peer-ca");
}

#[test]
fn status_with_nobody_there_and_check_of_nothing_exit_with_1() {
    let output = run(&["status", "--admin", &format!("127.0.0.1:{}", free_port())]);
    assert_refused(&output, 1, "is it running");
    let directory = tempfile::tempdir().unwrap();
    assert_refused(&run(&["check", "--data", directory.path().to_str().unwrap()]), 1, "no evesql data");
    assert_refused(&run(&["check", "--data", "/nonexistent"]), 1, "/nonexistent");
}

#[test]
fn a_port_or_directory_in_use_is_said_in_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    assert_refused(&serve_on(&directory.path().join("a"), &address, "127.0.0.1:0"), 1, "--listen");
    assert_refused(&serve_on(&directory.path().join("b"), "127.0.0.1:0", &address), 1, "--admin");
    let data = directory.path().join("c");
    let program = Program::serve(&data, &[]).unwrap();
    assert_refused(&serve_on(&data, "127.0.0.1:0", "127.0.0.1:0"), 1, "in use by another evesql");
    assert_refused(&run(&["check", "--data", data.to_str().unwrap()]), 1, "in use by another evesql");
    assert_eq!(program.terminate(), Some(0));
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    // Under a plain file nobody can write, not even root.
    assert_refused(&serve_on(&file.join("data"), "127.0.0.1:0", "127.0.0.1:0"), 1, file.to_str().unwrap());
    assert_refused(&serve_on(Path::new("/proc/evesql"), "127.0.0.1:0", "127.0.0.1:0"), 1, "/proc/evesql");
}

/// A stopped server's files, with 300 rows in them, most of which have reached the base files.
fn stopped() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("evesql.toml");
    std::fs::write(&config, "checkpoint_batches = 50").unwrap();
    let data = directory.path().join("data");
    let program = Program::serve(&data, &["--config", config.to_str().unwrap()]).unwrap();
    runtime().block_on(async {
        let client = connect(program.address).await;
        client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, name text)").await.unwrap();
        for id in 0..300i32 {
            client
                .execute("INSERT INTO t VALUES ($1, $2)", &[&id, &format!("name {id} {}", "x".repeat(100))])
                .await
                .unwrap();
        }
    });
    let deadline = Instant::now() + PATIENCE;
    while !files(&data, "evesql.db").iter().any(|path| path.ends_with("evesql.db") && used_bytes(path) > 32_768) {
        assert!(Instant::now() < deadline, "no pages reach the base file");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(program.terminate(), Some(0));
    directory
}

fn used_bytes(path: &Path) -> usize {
    std::fs::read(path).unwrap().iter().filter(|byte| **byte != 0).count()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => assert!(std::fs::copy(&path, &target).is_ok()),
        }
    }
}

/// Files of node 2 whose names hold `part`, the largest first.
fn files(data: &Path, part: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&data.join("node-2"), &mut found);
    found.retain(|path| path.file_name().unwrap().to_str().unwrap().contains(part));
    found.sort_by_key(|path| std::cmp::Reverse(std::fs::metadata(path).unwrap().len()));
    found
}

/// Inverts a few bytes in the middle of what a file holds, zeroes at its end not counted.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    if path.to_str().unwrap().ends_with("-hashes") {
        // Of two slots for each block one is in use: both.
        bytes.chunks_mut(1_024).for_each(|slot| slot[0] = !slot[0]);
        return std::fs::write(path, bytes).unwrap();
    }
    if path.file_name().unwrap() == "evesql.db" {
        // A page that the log beside the base has as well is not read from here: so each of them.
        bytes.chunks_mut(4_096).for_each(|page| page[page.len() / 2] ^= 0x10);
        return std::fs::write(path, bytes).unwrap();
    }
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    assert!(used > 16, "{} holds nothing to damage", path.display());
    for byte in &mut bytes[used / 2..used / 2 + 4] {
        *byte = !*byte;
    }
    std::fs::write(path, bytes).unwrap();
}

/// All rows are there, and the server takes more.
async fn assert_all_there(program: &Program, what: &str) {
    let client = connect(program.address).await;
    let row = client.query_one("SELECT count(*), sum(id), min(length(name)) FROM t", &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (300, 299 * 150), "damaged {what}");
    client.execute("INSERT INTO t VALUES (1000, 'new')", &[]).await.unwrap();
}

/// What SQL and `evesql status` say of node 2: its state, and why.
async fn node_2(program: &Program, admin: &str) -> (String, String) {
    let client = connect(program.address).await;
    let state = client.query_one("SELECT state FROM evesql_replicas WHERE id = 2", &[]).await.unwrap().get(0);
    let output = run(&["status", "--json", "--admin", admin]);
    let status: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let node = &status["nodes"][1];
    assert_eq!(node["id"], 2);
    (state, node["reason"].as_str().unwrap_or_default().to_string())
}

/// The node stays down and says why, or it repairs itself; in either case the server serves and nothing is lost.
fn assert_served(data: &Path, what: &str, stays_down: Option<&str>) {
    let admin = format!("127.0.0.1:{}", free_port());
    let program = Program::serve(data, &["--admin", &admin]).unwrap_or_else(|said| panic!("damaged {what}: {said}"));
    let deadline = Instant::now() + PATIENCE;
    runtime().block_on(async {
        assert_all_there(&program, what).await;
        loop {
            let (state, reason) = node_2(&program, &admin).await;
            match stays_down {
                Some(word) => assert!(state == "down" && reason.contains(word), "damaged {what}: {state}, {reason}"),
                // Every page has been proved once.
                None if state != "healthy" => {
                    assert!(Instant::now() < deadline, "damaged {what}: {state}, {reason}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
                None => {}
            }
            eprintln!("damaged {what}: served, node 2 {state} {reason}");
            break;
        }
    });
    assert_eq!(program.terminate(), Some(0), "damaged {what}");
}

/// The largest file of node 2 of that name, or, where a name ends with `-`, that begins so: a log segment.
fn file_of_node_2(data: &Path, part: &str) -> PathBuf {
    // The manifest has a copy of the same length beside it, and the order of a directory's names is anyone's.
    let exact = |path: &PathBuf| part.ends_with('-') || path.file_name().unwrap() == part;
    let file = files(data, part).into_iter().find(exact);
    file.unwrap_or_else(|| panic!("there is no file {part}: {:?}", files(data, "")))
}

#[test]
fn damaged_files_are_found_by_check_and_never_lose_or_falsify_a_row() {
    let sound = stopped();
    let sound_data = sound.path().join("data");
    let checked = run(&["check", "--data", sound_data.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    for (part, stays_down) in [
        // Made whole again from the logs of the other two.
        ("log-", None),
        ("manifest", Some("node 2 cannot use its databases")),
        ("evesql.db", None),
        ("evesql.db-wal", None),
        ("evesql.db-hashes", None),
    ] {
        let file = file_of_node_2(&sound_data, part);
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        copy(&sound_data, &data);
        damage(&data.join(file.strip_prefix(&sound_data).unwrap()));
        let checked = run(&["check", "--data", data.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        eprintln!("check of a damaged {part}: {said}");
        assert_eq!(checked.status.code(), Some(1), "damaged {part}: {said}");
        assert!(said.contains("node 2: "), "damaged {part}: {said}");
        assert_served(&data, part, stays_down);
    }
}

#[test]
fn two_damaged_nodes_of_three_are_refused_and_what_they_held_is_there_once_one_is_restored() {
    let sound = stopped();
    let data = sound.path().join("data");
    let log = file_of_node_2(&data, "log-");
    let intact = std::fs::read(&log).unwrap();
    damage(&log);
    let manifest = data.join("node-3").join("databases").join("manifest");
    damage(&manifest);
    let refused = serve_on(&data, "127.0.0.1:0", "127.0.0.1:0");
    assert_refused(&refused, 1, "node 2 cannot use its log");
    assert_refused(&refused, 1, "node 3 cannot use its databases");
    std::fs::write(&log, intact).unwrap();
    let program = Program::serve(&data, &[]).unwrap();
    runtime().block_on(assert_all_there(&program, "manifest of node 3"));
    assert_eq!(program.terminate(), Some(0));
}

#[test]
fn a_node_without_files_among_others_with_files_is_refused() {
    let directory = stopped();
    let data = directory.path().join("data");
    std::fs::remove_dir_all(data.join("node-3")).unwrap();
    assert_refused(&serve_on(&data, "127.0.0.1:0", "127.0.0.1:0"), 1, "node [3]");
}

#[test]
fn bad_sql_and_bad_clients_leave_the_server_serving_others() {
    let server = InProcess::start(|config| config);
    let address = server.address();
    runtime().block_on(async move {
        let client = connect(address).await;
        client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, x text)").await.unwrap();
        for (sql, expected) in [
            ("SELEC 1", "42601"),
            ("SELECT * FROM t WHERE (", "42601"),
            ("SELECT * FROM nowhere", "42P01"),
            ("SELECT nothing FROM t", "42703"),
            ("INSERT INTO t VALUES ('a', 'b')", "22P02"),
            ("SELECT 1/0", "22012"),
        ] {
            let error = client.batch_execute(sql).await.unwrap_err();
            assert_eq!(code(&error), expected, "{sql}: {error}");
        }
        let prepared = client.prepare("INSERT INTO t VALUES ($1, $2)").await.unwrap();
        assert_eq!(prepared.params().len(), 2);
        client.execute(&prepared, &[&1i32, &"one"]).await.unwrap();
        let error = client.execute(&prepared, &[&1i32, &"again"]).await.unwrap_err();
        assert_eq!(code(&error), "23505");

        // In a transaction, then gone: nothing of it stays, and nobody waits for it.
        let leaving = connect(address).await;
        leaving.batch_execute("BEGIN").await.unwrap();
        leaving.query("SELECT * FROM t WHERE id = 1 FOR UPDATE", &[]).await.unwrap();
        leaving.execute("INSERT INTO t VALUES (2, 'half')", &[]).await.unwrap();
        drop(leaving);
        client.batch_execute("BEGIN; SELECT * FROM t WHERE id = 1 FOR UPDATE; COMMIT").await.unwrap();
        let count: i64 = client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0);
        assert_eq!(count, 1);

        let long = "y".repeat(2 << 20);
        client.batch_execute(&format!("INSERT INTO t VALUES (3, '{long}')")).await.unwrap();
        let back: String = client.query_one("SELECT x FROM t WHERE id = 3", &[]).await.unwrap().get(0);
        assert_eq!(back, long);

        let text = format!("host=127.0.0.1 port={} user=evesql dbname=nowhere", address.port());
        let error = tokio_postgres::connect(&text, NoTls).await.map(|_| ()).unwrap_err();
        assert_eq!(code(&error), "3D000");
    });
}

/// What the server sends until it closes the connection.
fn answer_to(address: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset instead of an orderly end is an end as well.
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn messages_of_absurd_lengths_end_their_connection_alone() {
    let server = InProcess::start(|config| config);
    let address = server.address();
    answer_to(address, &[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0]);
    answer_to(address, &[0xff; 64]);
    answer_to(address, b"GET / HTTP/1.1\r\n\r\n");
    // A start-up packet, then a query of 2 GiB, and one of a negative length.
    let body = [&196_608i32.to_be_bytes()[..], b"user\0evesql\0database\0evesql\0\0"].concat();
    let startup = [&(body.len() as i32 + 4).to_be_bytes()[..], &body].concat();
    for length in [i32::MAX, -1, 0] {
        let hostile = [&startup[..], b"Q", &length.to_be_bytes()].concat();
        answer_to(address, &hostile);
    }
    // Too few parameters for a prepared statement: an error, and the connection goes on to Terminate.
    let message = |tag: u8, body: &[u8]| [&[tag][..], &(body.len() as i32 + 4).to_be_bytes(), body].concat();
    let parse = message(b'P', b"\0SELECT $1::int + $2::int\0\0\0");
    let bind = message(b'B', b"\0\0\0\0\0\x01\0\0\0\x011\0\0");
    let all = [&startup[..], &parse, &bind, &message(b'S', b""), &message(b'X', b"")].concat();
    let answer = answer_to(address, &all);
    let said = String::from_utf8_lossy(&answer).into_owned();
    assert!(said.contains("C08P01"), "{said:?}");
    runtime().block_on(async move {
        let client = try_connect(address).await.unwrap();
        let one: i32 = client.query_one("SELECT 1", &[]).await.unwrap().get(0);
        assert_eq!(one, 1);
    });
}

#[test]
fn status_of_a_running_server_is_sound() {
    let directory = tempfile::tempdir().unwrap();
    let admin = format!("127.0.0.1:{}", free_port());
    let program = Program::serve(&directory.path().join("data"), &["--admin", &admin]).unwrap();
    // Just after the start leadership may still pass from one node to another; then no node shows it for a moment.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let output = evesql(&["status", "--admin", &admin]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        if String::from_utf8_lossy(&output.stdout).contains("leader") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "no leader within 30 s: {output:?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(program.terminate(), Some(0));
}
