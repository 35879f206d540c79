//! Hot rows and write skew.

use super::harness::{InProcess, code, connect, runtime};

#[test]
fn eight_clients_count_on_one_row_in_blocks_without_an_abort() {
    let server = InProcess::start(|config| config);
    let address = server.address();
    runtime().block_on(async move {
        let first = connect(address).await;
        first.batch_execute("CREATE TABLE t (id int PRIMARY KEY, x int); INSERT INTO t VALUES (1, 0)").await.unwrap();
        let clients = (0..8).map(|_| {
            tokio::spawn(async move {
                let client = connect(address).await;
                for _ in 0..20 {
                    client.batch_execute("BEGIN").await.unwrap();
                    let changed = client.execute("UPDATE t SET x = x + 1 WHERE id = 1", &[]).await.unwrap();
                    assert_eq!(changed, 1);
                    client.batch_execute("COMMIT").await.unwrap();
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
        let x: i32 = first.query_one("SELECT x FROM t WHERE id = 1", &[]).await.unwrap().get(0);
        assert_eq!(x, 160);
    });
    server.agree();
}

#[test]
fn sixteen_clients_that_lock_read_and_write_one_row_queue_up_without_an_abort() {
    let server = InProcess::start(|config| config);
    let address = server.address();
    runtime().block_on(async move {
        let first = connect(address).await;
        first.batch_execute("CREATE TABLE t (id int PRIMARY KEY, x int); INSERT INTO t VALUES (1, 0)").await.unwrap();
        let clients = (0..16).map(|_| {
            tokio::spawn(async move {
                let client = connect(address).await;
                for _ in 0..8 {
                    client.batch_execute("BEGIN").await.unwrap();
                    let row = client.query_one("SELECT x FROM t WHERE id = 1 FOR UPDATE", &[]).await.unwrap();
                    let next = row.get::<_, i32>(0) + 1;
                    client.execute("UPDATE t SET x = $1 WHERE id = 1", &[&next]).await.unwrap();
                    client.batch_execute("COMMIT").await.unwrap();
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
        let x: i32 = first.query_one("SELECT x FROM t WHERE id = 1", &[]).await.unwrap().get(0);
        assert_eq!(x, 128);
    });
    server.agree();
}

#[test]
fn write_skew_is_refused_and_the_error_names_the_statement() {
    let server = InProcess::start(|config| config);
    let address = server.address();
    runtime().block_on(async move {
        let (one, two) = (connect(address).await, connect(address).await);
        one.batch_execute(
            "CREATE TABLE duty (doctor int PRIMARY KEY, on_call boolean); INSERT INTO duty VALUES (1, true), (2, true)",
        )
        .await
        .unwrap();
        let on_call = "SELECT count(*) FROM duty WHERE on_call";
        for (client, doctor) in [(&one, 1i32), (&two, 2)] {
            client.batch_execute("BEGIN").await.unwrap();
            let count: i64 = client.query_one(on_call, &[]).await.unwrap().get(0);
            assert_eq!(count, 2);
            client.execute("UPDATE duty SET on_call = false WHERE doctor = $1", &[&doctor]).await.unwrap();
        }
        one.batch_execute("COMMIT").await.unwrap();
        let refused = two.batch_execute("COMMIT").await.unwrap_err();
        assert_eq!(code(&refused), "40001");
        let detail = refused.as_db_error().unwrap().detail().unwrap_or_default().to_string();
        assert!(detail.contains("Statement 1") && detail.contains("duty"), "{detail}");
        let count: i64 = one.query_one(on_call, &[]).await.unwrap().get(0);
        assert_eq!(count, 1);
    });
}
