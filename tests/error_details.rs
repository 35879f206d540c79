//! What errors tell beside their code: the key that is there already, the reference that leads nowhere, the statement
//! whose answer has changed. Drivers and people read it from fields, as with Postgres.

mod harness;

use harness::{InProcess, connect, runtime};
use std::net::SocketAddr;
use tokio_postgres::error::DbError;
use tokio_postgres::{Client, Error};

fn told(error: Error) -> DbError {
    error.as_db_error().unwrap_or_else(|| panic!("not the server's word: {error:?}")).clone()
}

/// Code, table, constraint and DETAIL of a statement's error, in a block and outside.
async fn fails(client: &Client, sql: &str, code: &str, table: &str, constraint: &str, detail: &str) {
    for in_block in [false, true] {
        if in_block {
            client.batch_execute("BEGIN; INSERT INTO tag VALUES ('in a block')").await.unwrap();
        }
        let error = told(client.batch_execute(sql).await.expect_err(sql));
        let fields = (error.code().code(), error.table().unwrap_or(""), error.constraint().unwrap_or(""));
        assert_eq!(fields, (code, table, constraint), "{sql}: {error:?}");
        assert_eq!(error.detail().unwrap_or(""), detail, "{sql} (in a block: {in_block})");
        if in_block {
            client.batch_execute("ROLLBACK").await.unwrap();
        }
    }
}

async fn set_up(address: SocketAddr) -> Client {
    let client = connect(address).await;
    client
        .batch_execute(
            "CREATE TABLE tag (name text);
             CREATE TABLE author (id serial PRIMARY KEY, email varchar(50) UNIQUE, born date,
                                  UNIQUE (email, born));
             CREATE TABLE pair (a int, b text, PRIMARY KEY (a, b));
             CREATE TABLE book (id int PRIMARY KEY, author_id int REFERENCES author (id), price numeric(8, 2) UNIQUE);
             INSERT INTO author (email, born) VALUES ('eve@example.org', '1950-10-13'), ('addison@example.org', NULL);
             INSERT INTO pair VALUES (1, 'x'), (2, 'y');
             INSERT INTO book VALUES (1, 1, 9.50), (2, NULL, 10.00)",
        )
        .await
        .unwrap();
    client
}

#[test]
fn a_duplicate_key_is_named_with_its_values() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let client = set_up(server.address()).await;
        let exists = |key: &str| format!("Key {key} already exists.");
        for (sql, table, constraint, key) in [
            ("INSERT INTO pair VALUES (3, 'z'), (1, 'x')", "pair", "pair_pkey", "(a, b)=(1, x)"),
            (
                "INSERT INTO author (email) VALUES ('eve@example.org')",
                "author",
                "author_email_key",
                "(email)=(eve@example.org)",
            ),
            ("INSERT INTO author (id) VALUES (2)", "author", "author_pkey", "(id)=(2)"),
            (
                "INSERT INTO author (id, email) VALUES (7, 'addison@example.org')",
                "author",
                "author_email_key",
                "(email)=(addison@example.org)",
            ),
            ("UPDATE pair SET a = 2, b = 'y' WHERE a = 1", "pair", "pair_pkey", "(a, b)=(2, y)"),
            ("INSERT INTO book SELECT id + 10, author_id, price FROM book", "book", "book_price_key", "(price)=(9.50)"),
        ] {
            fails(&client, sql, "23505", table, constraint, &exists(key)).await;
        }
        // With parameters, and twice in one statement: the row in the way is the statement's own.
        let error = client.execute("INSERT INTO pair VALUES ($1, $2)", &[&2i32, &"y"]).await.unwrap_err();
        assert_eq!(told(error).detail(), Some("Key (a, b)=(2, y) already exists."));
        let error = client.batch_execute("INSERT INTO pair VALUES (5, 'v'), (5, 'v')").await.unwrap_err();
        assert_eq!(told(error).detail(), Some("Key (a, b)=(5, v) already exists."));
        let rows = client.query_one("SELECT count(*) FROM pair", &[]).await.unwrap();
        assert_eq!(rows.get::<_, i64>(0), 2, "explaining has no effect");
    });
    server.agree();
}

#[test]
fn a_broken_reference_is_named_from_both_sides() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let client = set_up(server.address()).await;
        let missing = "Key (author_id)=(77) is not present in table \"author\".";
        for sql in ["INSERT INTO book VALUES (3, 1, 1), (4, 77, 2)", "UPDATE book SET author_id = 77 WHERE id = 1"] {
            fails(&client, sql, "23503", "book", "book_author_id_fkey", missing).await;
        }
        let held = "Key (id)=(1) is still referenced from table \"book\".";
        for sql in ["DELETE FROM author WHERE id = 1", "DELETE FROM author", "UPDATE author SET id = 9 WHERE id = 1"] {
            fails(&client, sql, "23503", "book", "book_author_id_fkey", held).await;
        }
        let error = told(client.batch_execute("INSERT INTO book VALUES (4, 77, 2)").await.unwrap_err());
        let words = "insert or update on table \"book\" violates foreign key constraint \"book_author_id_fkey\"";
        assert_eq!(error.message(), words);
        let rows =
            client.query_one("SELECT (SELECT count(*) FROM book), (SELECT count(*) FROM author)", &[]).await.unwrap();
        assert_eq!((rows.get::<_, i64>(0), rows.get::<_, i64>(1)), (2, 2), "explaining has no effect");
        // A block goes on from a savepoint, with references checked as before.
        client.batch_execute("BEGIN; SAVEPOINT s").await.unwrap();
        client.batch_execute("INSERT INTO book VALUES (4, 77, 2)").await.unwrap_err();
        client.batch_execute("ROLLBACK TO s; INSERT INTO book VALUES (4, 2, 2); SAVEPOINT t").await.unwrap();
        client.batch_execute("INSERT INTO book VALUES (5, 78, 3)").await.unwrap_err();
        client.batch_execute("ROLLBACK TO t; COMMIT").await.unwrap();
        let count = client.query_one("SELECT count(*) FROM book", &[]).await.unwrap();
        assert_eq!(count.get::<_, i64>(0), 3);
    });
    server.agree();
}

#[test]
fn a_conflict_names_the_statement_and_where_its_answer_differs() {
    let server = InProcess::start(|config| config);
    runtime().block_on(async {
        let client = set_up(server.address()).await;
        let other = connect(server.address()).await;
        let long = format!("SELECT a, b FROM pair WHERE b <> '{}' ORDER BY a", "n".repeat(400));
        for (query, place) in [("SELECT a, b FROM pair ORDER BY a", "row 2, column 2"), (&long, "row 2, column 2")] {
            client.batch_execute("BEGIN; UPDATE tag SET name = name").await.unwrap();
            client.query(query, &[]).await.unwrap();
            client.batch_execute("INSERT INTO tag VALUES ('t')").await.unwrap();
            other.batch_execute("UPDATE pair SET b = b || '!' WHERE a = 2").await.unwrap();
            let error = told(client.batch_execute("COMMIT").await.unwrap_err());
            let detail = error.detail().unwrap();
            assert_eq!(error.code().code(), "40001");
            let start =
                format!("Statement 2 of the transaction answers otherwise now, from {place}: SELECT a, b FROM pair");
            assert!(detail.starts_with(&start) && detail.len() < 320, "{detail}");
        }
        // A count of rows has no place.
        client.batch_execute("BEGIN").await.unwrap();
        client.batch_execute("UPDATE pair SET b = b WHERE a > 0").await.unwrap();
        other.batch_execute("INSERT INTO pair VALUES (3, 'new')").await.unwrap();
        let error = told(client.batch_execute("COMMIT").await.unwrap_err());
        let expected = "Statement 1 of the transaction answers otherwise now: UPDATE pair SET b = b WHERE a > 0";
        assert_eq!(error.detail(), Some(expected));
    });
    server.agree();
}
