//! Every drill through SQL, as people do it: what it answers, what is refused, and that the nodes agree afterwards.

mod harness;

use evesql::config::Config;
use harness::{InProcess, PATIENCE, code, connect, runtime};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

async fn drill(client: &Client, arguments: &str) -> Result<String, tokio_postgres::Error> {
    let row = client.query_one(&format!("SELECT evesql_drill({arguments})"), &[]).await?;
    Ok(row.get(0))
}

/// Two batches whose transactions do not commute, then all pages are looked at.
async fn work(client: &Client) {
    for _ in 0..5 {
        client.batch_execute("UPDATE t SET n = n * 2 + 1; UPDATE t SET n = n % 1000 + 3").await.unwrap();
    }
}

async fn has_three_nodes(server: &InProcess) {
    let deadline = Instant::now() + PATIENCE;
    let is_back = || server.cluster().nodes().len() == 3;
    while !is_back() {
        assert!(Instant::now() < deadline, "a node is missing:\n{}", server.cluster().status(0).render());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn every_drill_says_what_it_does_and_the_nodes_agree_afterwards() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let client = connect(server.address()).await;
        client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1)").await.unwrap();
        let mut expected = 1;
        let drills = [
            ("'flip-bit', 2, 3", "flip-bit on node 2"),
            ("'flip-bit', 1", "flip-bit on node 1"),
            ("'wrong-answer', 1", "wrong-answer on node 1"),
            ("'misorder', 2", "misorder on node 2"),
            ("'out-of-memory', 3", "out-of-memory on node 3"),
            ("'crash', 1", "crash on node 1"),
            ("'crash', 3", "crash on node 3"),
        ];
        for (arguments, answer) in drills {
            assert_eq!(drill(&client, arguments).await.unwrap(), answer);
            work(&client).await;
            for _ in 0..5 {
                expected = (expected * 2 + 1) % 1000 + 3;
            }
            has_three_nodes(&server).await;
            server.agree();
            let found: i32 = client.query_one("SELECT n FROM t", &[]).await.unwrap().get(0);
            assert_eq!(found, expected, "after {arguments}");
        }
    });
    assert!(server.cluster().nodes().iter().all(|node| node.shared.serves()));
}

#[test]
fn a_drill_that_does_not_exist_or_has_no_node_is_22023() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let client = connect(server.address()).await;
        let nowhere =
            ["'flip-bit', 9, 3", "'flip-bit', 0, 3", "'wrong-answer', 4", "'misorder', -1", "'out-of-memory', 4"];
        let unknown = ["'crash', 4", "'crash'", "'wrong-answer'", "'flood', 1", "'', 1", "'flip-bit:1:2'"];
        for arguments in nowhere.iter().chain(&unknown) {
            let told = drill(&client, arguments).await;
            if *arguments == "'flip-bit:1:2'" {
                // The same words in another spelling.
                assert_eq!(told.unwrap(), "flip-bit on node 1");
                continue;
            }
            assert_eq!(code(&told.unwrap_err()), "22023", "{arguments}");
        }
        assert_eq!(server.cluster().nodes().len(), 3, "a refused drill does nothing");
    });
    server.agree();
}

#[test]
fn without_permission_every_drill_is_42501() {
    let server = InProcess::start(|config| Config { drills: false, ..config });
    runtime().block_on(async {
        let client = connect(server.address()).await;
        let all = ["'flip-bit', 1, 3", "'wrong-answer', 1", "'misorder', 1", "'out-of-memory', 1", "'crash', 1"];
        for arguments in all.iter().chain(&["'crash-statement'", "'flood', 1", "'crash', 9"]) {
            assert_eq!(code(&drill(&client, arguments).await.unwrap_err()), "42501", "{arguments}");
        }
        assert_eq!(server.cluster().nodes().len(), 3);
    });
    server.agree();
}
