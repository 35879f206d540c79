//! ALTER TABLE of tables that foreign keys refer to, where it takes making the table anew: rows that refer to it stay,
//! and are kept in order as before.

mod harness;

use harness::{InProcess, code, connect, runtime};
use std::net::SocketAddr;
use tokio_postgres::Client;

async fn set_up(address: SocketAddr) -> Client {
    let client = connect(address).await;
    client
        .batch_execute(
            "CREATE TABLE author (id int PRIMARY KEY, code int UNIQUE, name varchar(10));
             CREATE TABLE book (id int PRIMARY KEY, author_id int REFERENCES author (id) ON DELETE CASCADE,
                                code int REFERENCES author (code) ON DELETE SET NULL ON UPDATE CASCADE);
             CREATE TABLE node (id int PRIMARY KEY, parent int REFERENCES node (id) ON DELETE CASCADE, name varchar(5));
             INSERT INTO author VALUES (1, 10, 'eve'), (2, 20, 'margo'), (3, NULL, 'karen');
             INSERT INTO book VALUES (1, 1, 10), (2, 2, NULL), (3, NULL, 20);
             INSERT INTO node VALUES (1, NULL, 'root'), (2, 1, 'a'), (3, 2, 'b')",
        )
        .await
        .unwrap();
    client
}

async fn counts(client: &Client) -> (i64, i64, i64) {
    let sql = "SELECT (SELECT count(*) FROM author), (SELECT count(*) FROM book), (SELECT count(*) FROM node)";
    let row = client.query_one(sql, &[]).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

async fn refused(client: &Client, sql: &str, expected: &str) {
    let error = client.batch_execute(sql).await.expect_err(sql);
    assert_eq!(code(&error), expected, "{sql}: {error:?}");
}

async fn references_are_kept(client: &Client) {
    refused(client, "INSERT INTO book VALUES (9, 99, NULL)", "23503").await;
    refused(client, "INSERT INTO book VALUES (9, NULL, 99)", "23503").await;
    refused(client, "INSERT INTO node VALUES (9, 99, 'x')", "23503").await;
    refused(client, "INSERT INTO author VALUES (1, NULL, 'twice')", "23505").await;
}

#[test]
fn a_table_that_others_refer_to_is_made_anew_with_their_rows_left_in_place() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let client = set_up(server.address()).await;
        for alter in [
            "ALTER TABLE author ALTER COLUMN name TYPE varchar(20)",
            "ALTER TABLE author ALTER COLUMN id TYPE bigint",
            "ALTER TABLE author ADD CONSTRAINT positive CHECK (id > 0)",
            "ALTER TABLE author ALTER COLUMN name SET NOT NULL",
            "ALTER TABLE author DROP CONSTRAINT positive, ALTER COLUMN code TYPE bigint",
            "ALTER TABLE node ALTER COLUMN id TYPE bigint",
            "ALTER TABLE node ADD CONSTRAINT short CHECK (length(name) < 5)",
        ] {
            client.batch_execute(alter).await.unwrap_or_else(|error| panic!("{alter}: {error:?}"));
            assert_eq!(counts(&client).await, (3, 3, 3), "{alter}");
            references_are_kept(&client).await;
        }
        client.batch_execute("UPDATE author SET code = 11 WHERE id = 1").await.unwrap();
        let code: i32 = client.query_one("SELECT code FROM book WHERE id = 1", &[]).await.unwrap().get(0);
        assert_eq!(code, 11, "ON UPDATE CASCADE");
        client.batch_execute("DELETE FROM author WHERE id < 3; DELETE FROM node WHERE id = 2").await.unwrap();
        assert_eq!(counts(&client).await, (1, 1, 1), "ON DELETE CASCADE");
    });
    server.agree();
}

#[test]
fn an_alter_that_fails_or_is_rolled_back_leaves_references_kept() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let client = set_up(server.address()).await;
        refused(&client, "ALTER TABLE author ALTER COLUMN code TYPE text", "42804").await;
        refused(&client, "ALTER TABLE author ADD CONSTRAINT small CHECK (id < 2)", "23514").await;
        references_are_kept(&client).await;
        // A key whose value changes on the way leaves rows behind that refer to the old one.
        refused(&client, "ALTER TABLE author ALTER COLUMN id TYPE bigint USING id + 100", "23503").await;
        assert_eq!(counts(&client).await, (3, 3, 3));
        references_are_kept(&client).await;

        client.batch_execute("BEGIN; ALTER TABLE author ALTER COLUMN id TYPE bigint").await.unwrap();
        refused(&client, "INSERT INTO book VALUES (9, 99, NULL)", "23503").await;
        client.batch_execute("ROLLBACK").await.unwrap();
        references_are_kept(&client).await;
        client
            .batch_execute(
                "BEGIN; ALTER TABLE author ALTER COLUMN id TYPE bigint; INSERT INTO author VALUES (5000000000, NULL, 'x');
                 ALTER TABLE node ALTER COLUMN name TYPE text; COMMIT",
            )
            .await
            .unwrap();
        assert_eq!(counts(&client).await, (4, 3, 3));
        references_are_kept(&client).await;
    });
    server.agree();
    assert!(server.cluster().divergences().is_empty());
}
