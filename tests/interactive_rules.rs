//! The protocol's rules for interactive transactions, each as the failure that it prevents, on a whole server:
//! what is pinned when (24), whose schema counts (25), what is an input and no answer (26), what is refused (27),
//! and who gets his turn (29).

mod harness;

use harness::{InProcess, code, connect, runtime};
use std::time::Duration;
use tokio_postgres::Client;

async fn two_clients(server: &InProcess) -> (Client, Client) {
    let (a, b) = (connect(server.address()).await, connect(server.address()).await);
    a.batch_execute("CREATE TABLE t (id int PRIMARY KEY, x int); INSERT INTO t VALUES (1, 10), (2, 20)").await.unwrap();
    (a, b)
}

async fn x_of(client: &Client, id: i32) -> i32 {
    client.query_one("SELECT x FROM t WHERE id = $1", &[&id]).await.unwrap().get(0)
}

#[test]
fn a_block_pins_at_its_first_statement_what_was_acknowledged_until_then() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let (a, b) = two_clients(&server).await;
        a.batch_execute("BEGIN").await.unwrap();
        b.batch_execute("UPDATE t SET x = 11 WHERE id = 1").await.unwrap();
        assert_eq!(x_of(&a, 1).await, 11, "it was acknowledged before the first statement");
        b.batch_execute("UPDATE t SET x = 21 WHERE id = 2").await.unwrap();
        assert_eq!(x_of(&a, 2).await, 20, "and this one after it");
        a.batch_execute("COMMIT").await.unwrap();
        assert_eq!(x_of(&a, 2).await, 21);
    });
}

#[test]
fn a_block_that_began_under_another_schema_fails_with_40001() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let (a, b) = two_clients(&server).await;
        a.batch_execute("BEGIN; UPDATE t SET x = x + 1 WHERE id = 1").await.unwrap();
        b.batch_execute("ALTER TABLE t ADD COLUMN y int DEFAULT 5").await.unwrap();
        let refused = a.batch_execute("COMMIT").await.unwrap_err();
        assert_eq!(code(&refused), "40001", "{refused:?}");
        assert_eq!(x_of(&a, 1).await, 10, "nothing of it took effect");
        // A statement on its own is translated again instead.
        a.batch_execute("UPDATE t SET x = x + 1 WHERE id = 1").await.unwrap();
        assert_eq!(x_of(&b, 1).await, 11);
        let y: i32 = a.query_one("SELECT y FROM t WHERE id = 1", &[]).await.unwrap().get(0);
        assert_eq!(y, 5);
    });
}

#[test]
fn system_values_are_inputs_of_a_block_and_not_compared() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let (a, b) = two_clients(&server).await;
        a.batch_execute("BEGIN; SELECT evesql_root(); SELECT clock_timestamp(), pg_backend_pid()").await.unwrap();
        a.batch_execute("INSERT INTO t VALUES (3, 30)").await.unwrap();
        b.batch_execute("INSERT INTO t VALUES (4, 40)").await.unwrap();
        a.batch_execute("COMMIT").await.expect("root and clock are others by now, and that is no conflict");
        assert_eq!(x_of(&b, 3).await, 30);
    });
}

#[test]
fn what_an_updating_block_cannot_carry_is_refused_by_name() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let (a, _) = two_clients(&server).await;
        for refused in ["UPDATE t SET x = 0 WHERE pg_try_advisory_lock(id)"] {
            a.batch_execute("BEGIN; UPDATE t SET x = x + 1 WHERE id = 1").await.unwrap();
            let error = a.batch_execute(refused).await.expect_err(refused);
            assert!(["0A000", "42883"].contains(&code(&error).as_str()), "{refused}: {error:?}");
            a.batch_execute("ROLLBACK").await.unwrap();
        }
    });
}

/// Reads, lets another block change what was read, and writes.
async fn lose(a: &Client, b: &Client) -> String {
    a.batch_execute("BEGIN").await.unwrap();
    let x = x_of(a, 1).await;
    b.batch_execute("BEGIN; UPDATE t SET x = x + 1 WHERE id = 1; COMMIT").await.unwrap();
    let written = a.execute("UPDATE t SET x = $1 WHERE id = 1", &[&(x + 100)]).await;
    let ended = a.batch_execute("COMMIT").await;
    let error = written.err().or(ended.err());
    a.batch_execute("ROLLBACK").await.unwrap();
    error.map_or(String::new(), |error| code(&error))
}

#[test]
fn who_lost_twice_has_the_row_to_itself_the_third_time() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let (a, b) = two_clients(&server).await;
        for _ in 0..2 {
            assert_eq!(lose(&a, &b).await, "40001");
        }
        a.batch_execute("BEGIN").await.unwrap();
        let x = x_of(&a, 1).await;
        let other = async {
            b.batch_execute("BEGIN; UPDATE t SET x = x + 1 WHERE id = 1; COMMIT").await.unwrap();
            "the other"
        };
        let slow = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            a.execute("UPDATE t SET x = $1 WHERE id = 1", &[&(x + 100)]).await.unwrap();
            a.batch_execute("COMMIT").await.expect("the ticket keeps the other out");
            "the slow one"
        };
        tokio::pin!(other, slow);
        let first = tokio::select! { first = &mut other => first, first = &mut slow => first };
        assert_eq!(first, "the slow one");
        other.await;
        assert_eq!(x_of(&a, 1).await, x + 101);
    });
}
