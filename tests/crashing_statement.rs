//! A statement that crashes every process that executes it stands in the log, so that each start would execute it
//! again. After two crashes no replica tries any more: it is void, and everything else is there and goes on.

mod harness;

use harness::{PATIENCE, Program, connect, free_port, run, runtime};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Processes that may die of it.
const CRASHES_MAX: u32 = 2;

async fn set_up(address: SocketAddr) {
    let client = connect(address).await;
    client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)").await.unwrap();
    for id in 0..20i32 {
        client.execute("INSERT INTO t VALUES ($1, $1)", &[&id]).await.unwrap();
    }
}

/// Its client loses the connection, as the process is gone.
async fn crash(address: SocketAddr) {
    let client = connect(address).await;
    let error = client
        .batch_execute("BEGIN; UPDATE t SET n = n + 1000; SELECT evesql_drill('crash-statement'); COMMIT")
        .await
        .unwrap_err();
    assert!(error.code().is_none(), "the server still answers: {error:?}");
}

/// Starts as often as it takes; how many processes died.
fn start_again(data: &std::path::Path, admin: &str) -> (Program, u32) {
    let mut crashes = 1;
    loop {
        match Program::serve(data, &["--drills", "--admin", admin]) {
            Ok(program) => return (program, crashes),
            Err(said) => assert!(said.ends_with("exit code None"), "not a crash: {said}"),
        }
        crashes += 1;
        assert!(crashes <= CRASHES_MAX, "the statement crashes each process");
    }
}

fn status(admin: &str) -> serde_json::Value {
    let output = run(&["status", "--json", "--admin", admin]);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn one_root(admin: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = status(admin);
        let nodes = status["nodes"].as_array().unwrap();
        let same = nodes.iter().all(|node| node["root"] == nodes[0]["root"] && node["state"] != "quarantined");
        if nodes.len() == 3 && same {
            return;
        }
        assert!(Instant::now() < deadline, "no three equal roots: {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_statement_that_crashes_the_process_is_void_after_two_crashes_and_the_rest_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let admin = format!("127.0.0.1:{}", free_port());
    let runtime = runtime();
    let program = Program::serve(&data, &["--drills", "--admin", &admin]).unwrap();
    runtime.block_on(set_up(program.address));
    runtime.block_on(crash(program.address));
    drop(program);

    let (program, crashes) = start_again(&data, &admin);
    eprintln!("{crashes} processes died of it");
    assert!(crashes >= 2, "it was not met again: nothing was proved");
    runtime.block_on(async {
        let client = connect(program.address).await;
        let row = client.query_one("SELECT count(*), sum(n) FROM t", &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (20, 190), "all rows, and nothing of the statement");
        client.execute("INSERT INTO t VALUES (20, 20)", &[]).await.unwrap();
        let report = client.query_one("SELECT mode, healed_at IS NOT NULL FROM evesql_divergences", &[]).await.unwrap();
        assert_eq!((report.get::<_, &str>(0), report.get::<_, bool>(1)), ("void", true));
    });
    one_root(&admin);
    let report = status(&admin)["divergences"][0].clone();
    assert_eq!(report["mode"], "void");
    assert!(report["transactions"][0].as_str().unwrap().contains("n + 1000"), "{report}");
    // Once more, now that it is behind an accepted batch: nobody meets it again.
    program.kill();
    let (program, crashes) = start_again(&data, &admin);
    assert_eq!(crashes, 1, "it is not executed again");
    assert_eq!(program.terminate(), Some(0));
    assert_eq!(run(&["check", "--data", data.to_str().unwrap()]).status.code(), Some(0));
}

#[test]
fn without_drills_a_statement_cannot_crash_anything() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::serve(&directory.path().join("data"), &[]).unwrap();
    runtime().block_on(async {
        let client = connect(program.address).await;
        client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, n text)").await.unwrap();
        let refused = "BEGIN; INSERT INTO t VALUES (1, evesql_drill('crash-statement')); COMMIT";
        let error = client.batch_execute(refused).await.unwrap_err();
        assert_eq!(harness::code(&error), "42501", "{error:?}");
        // With nobody to ask, the value is not there either.
        let at_once = client.batch_execute("ROLLBACK; INSERT INTO t VALUES (1, evesql_drill('crash-statement'))").await;
        assert!(at_once.unwrap_err().code().is_some(), "the server still answers");
        let count: i64 = client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0);
        assert_eq!(count, 0);
    });
    assert_eq!(program.terminate(), Some(0));
}
