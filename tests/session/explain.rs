//! EXPLAIN as a JSON document, and of what was prepared: what `sqlx::query!` asks when a program is compiled.

use crate::gateway::Server;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::Type;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_a_document_also_of_a_prepared_statement() {
    let server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute("create table t (id int primary key); prepare p (int) as select * from t where id = $1")
        .await
        .unwrap();
    let asked = "explain (verbose, format json) execute p(null)";
    let statement = client.prepare(asked).await.unwrap();
    assert_eq!(statement.columns()[0].type_(), &Type::JSON);
    assert!(statement.params().is_empty());
    assert_eq!(client.query(&statement, &[]).await.unwrap().len(), 1);
    for sql in [asked, "begin", asked, "commit"] {
        for message in client.simple_query(sql).await.unwrap() {
            if let SimpleQueryMessage::Row(row) = message {
                let text = row.get(0).unwrap();
                assert!(text.starts_with("[\n  {\n    \"Plan\": {\n      \"Node Type\": \"Index Scan\""), "{text}");
            }
        }
    }
    for (sql, code) in [
        ("explain execute q(1)", "26000"),
        ("explain prepare q as select 1", "42601"),
        ("explain (format yaml) select 1", "0A000"),
        ("explain (format blue) select 1", "22023"),
    ] {
        let error = client.batch_execute(sql).await.expect_err(sql);
        assert_eq!(error.code().unwrap().code(), code, "{sql}");
    }
}
