//! Statements that never end: an update ends at the same step on all replicas, with an answer that they agree on; a
//! read ends when its client's time or patience does. Others are served meanwhile and afterwards.

mod harness;

use evesql::config::Config;
use harness::{InProcess, code, connect, runtime};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

const ENDLESS: &str = "(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) FROM c)";

async fn count(client: &Client) -> (i64, i64) {
    let row = client.query_one("SELECT count(*), sum(n)::bigint FROM t", &[]).await.unwrap();
    (row.get(0), row.get(1))
}

#[test]
fn an_update_that_never_ends_is_54001_on_all_replicas_and_has_no_effect() {
    let server = InProcess::start(|config| Config { steps_max: Some(3_000_000), ..config });
    let runtime = runtime();
    runtime.block_on(async {
        let client = connect(server.address()).await;
        client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, n bigint)").await.unwrap();
        client.batch_execute("INSERT INTO t VALUES (1, 10), (2, 20)").await.unwrap();
        let other = connect(server.address()).await;
        for number in 3..6i32 {
            let endless = format!("UPDATE t SET n = {ENDLESS}");
            let insert = format!("INSERT INTO t VALUES ({number}, 0)");
            let (ended, inserted) = tokio::join!(client.batch_execute(&endless), other.batch_execute(&insert));
            assert_eq!(code(&ended.unwrap_err()), "54001");
            inserted.unwrap();
        }
        assert_eq!(count(&client).await, (5, 30));
    });
    server.agree();
    assert!(server.cluster().divergences().is_empty(), "{}", server.cluster().status(0).render());
    assert!(server.cluster().nodes().iter().all(|node| node.shared.repairs() == 0));
}

#[test]
fn a_read_that_never_ends_is_57014_when_its_time_is_over_or_its_client_cancels() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let client = connect(server.address()).await;
        client
            .batch_execute("CREATE TABLE t (id int PRIMARY KEY, n bigint); INSERT INTO t VALUES (1, 10)")
            .await
            .unwrap();
        client.batch_execute("SET statement_timeout = 200").await.unwrap();
        let error = client.query_one(&format!("SELECT {ENDLESS}"), &[]).await.unwrap_err();
        assert_eq!(code(&error), "57014");
        assert!(error.as_db_error().unwrap().message().contains("statement timeout"), "{error:?}");

        client.batch_execute("SET statement_timeout = 0").await.unwrap();
        let cancel = client.cancel_token();
        let canceled = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            cancel.cancel_query(NoTls).await.unwrap();
        });
        let error = client.query_one(&format!("SELECT {ENDLESS} + n FROM t"), &[]).await.unwrap_err();
        assert_eq!(code(&error), "57014");
        assert!(error.as_db_error().unwrap().message().contains("user request"), "{error:?}");
        canceled.await.unwrap();
        assert_eq!(count(&client).await, (1, 10));
    });
    server.agree();
}
