//! Identity numbers come from one row of the database, drawn in statements and reserved for blocks by transactions of
//! their own (rule 17): so no number is given twice, whoever dies and whoever leads then, and all replicas draw alike.

mod harness;

use evesql::config::Config;
use evesql::node::core::Drill;
use harness::{InProcess, PATIENCE, connect, connect_to, runtime};
use std::collections::BTreeMap;
use std::time::Instant;
use tokio_postgres::Client;

/// What clients were told: who has which number.
type Told = BTreeMap<i32, i32>;

/// Notes the numbers of an INSERT .. RETURNING. A number of a block that was undone is burnt, as in PostgreSQL.
fn tell(told: &mut Told, rows: &[tokio_postgres::Row]) {
    for row in rows {
        let (id, mark) = (row.get::<_, i32>(0), row.get::<_, i32>(1));
        assert_eq!(told.insert(id, mark), None, "the number {id} was given twice");
    }
}

/// Draws in all ways: single statements, a block, a block that is undone, and nextval alone.
async fn draw(client: &Client, told: &mut Told) {
    let next = told.len() as i32 * 1_000;
    let insert = |mark: i32| format!("INSERT INTO t (mark) VALUES ({mark}), ({}) RETURNING id, mark", mark + 1);
    tell(told, &client.query(&insert(next), &[]).await.unwrap());
    // Rows that nobody can count before: the statement runs by itself.
    let selected = format!("INSERT INTO t (mark) SELECT {next} + g FROM generate_series(2, 4) AS g RETURNING id, mark");
    tell(told, &client.query(&selected, &[]).await.unwrap());
    for end in ["COMMIT", "ROLLBACK"] {
        client.batch_execute("BEGIN").await.unwrap();
        let rows = client.query(&insert(next + 10), &[]).await.unwrap();
        let more = client.query(&insert(next + 12), &[]).await.unwrap();
        client.batch_execute(end).await.unwrap();
        tell(told, &rows);
        tell(told, &more);
        if end == "ROLLBACK" {
            for row in rows.iter().chain(&more) {
                told.insert(row.get(0), BURNT);
            }
        }
    }
    let alone: i64 = client.query_one("SELECT nextval('t_id_seq')", &[]).await.unwrap().get(0);
    assert_eq!(told.insert(alone as i32, BURNT), None, "the number {alone} was given twice");
}

/// The mark of numbers that are given and have no row.
const BURNT: i32 = -1;

/// The rows are those that clients were told of.
async fn check(client: &Client, told: &Told) {
    let rows = client.query("SELECT id, mark FROM t ORDER BY id", &[]).await.unwrap();
    let rows: Vec<(i32, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let told: Vec<_> = told.iter().filter(|(_, mark)| **mark != BURNT).map(|(id, mark)| (*id, *mark)).collect();
    assert_eq!(rows, told, "other numbers than clients were told");
}

#[test]
fn no_number_is_given_twice_over_restarts_and_changes_of_the_leader() {
    let runtime = runtime();
    let mut server = InProcess::start(|config| Config { front_threads: 2, ..config });
    let mut told = Told::new();
    runtime.block_on(async {
        // Two front threads, each with reserved numbers of its own.
        let (client, other) = (connect(server.address()).await, connect(server.address()).await);
        client.batch_execute("CREATE TABLE t (id serial PRIMARY KEY, mark int NOT NULL)").await.unwrap();
        draw(&client, &mut told).await;
        draw(&other, &mut told).await;
        // The leader dies while numbers are reserved and not used.
        for _ in 0..2 {
            server.cluster().wait_for_leader(PATIENCE).unwrap();
            let leader = server.cluster().home().unwrap().shared.id;
            assert!(server.cluster().kill(leader));
            draw(&client, &mut told).await;
            draw(&other, &mut told).await;
            server.cluster().restart(leader).unwrap();
            draw(&client, &mut told).await;
        }
        check(&client, &told).await;
    });
    server.agree();
    for _ in 0..2 {
        // Whoever held reserved numbers is gone as well.
        server = server.power_cut();
        runtime.block_on(async {
            let client = connect(server.address()).await;
            check(&client, &told).await;
            draw(&client, &mut told).await;
            check(&client, &told).await;
        });
        server.agree();
    }
}

#[test]
fn a_replay_draws_the_same_numbers_again() {
    let runtime = runtime();
    let server = InProcess::start(|config| config);
    let mut told = Told::new();
    runtime.block_on(async {
        let client = connect(server.address()).await;
        client.batch_execute("CREATE TABLE t (id serial PRIMARY KEY, mark int NOT NULL)").await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        // All three take part in the next batch, and each is wrong in its own way.
        let arm = || {
            assert!(Instant::now() < deadline, "no replay:\n{}", server.cluster().status(0).render());
            server.agree();
            (1..=3).for_each(|node| assert!(server.cluster().drill(node, Drill::WrongAnswer)));
        };
        // Nobody agreed at first: the batch was run again.
        while !server.cluster().divergences().iter().any(|divergence| divergence.agreed.is_none()) {
            arm();
            tell(
                &mut told,
                &client.query("INSERT INTO t (mark) VALUES (1), (2) RETURNING id, mark", &[]).await.unwrap(),
            );
        }
        tell(&mut told, &client.query("INSERT INTO t (mark) VALUES (3) RETURNING id, mark", &[]).await.unwrap());
        assert!(told.keys().copied().eq(1..=told.len() as i32), "numbers of the first run are missing: {told:?}");
        check(&client, &told).await;
        // In blocks as well, whatever the draws of one that is run again may do.
        let replays = || server.cluster().divergences().iter().filter(|divergence| divergence.agreed.is_none()).count();
        let before = replays();
        while replays() == before {
            arm();
            draw(&client, &mut told).await;
        }
        check(&client, &told).await;
    });
    server.agree();
}

#[test]
fn numbers_that_were_reserved_in_a_dropped_database_are_not_given_in_the_next_one_of_its_name() {
    let server = InProcess::start(|config| Config { front_threads: 1, ..config });
    runtime().block_on(async {
        let client = connect(server.address()).await;
        // The first one leaves some that it reserved, and the second one counts beyond them.
        for draws in [1, 10] {
            client.batch_execute("CREATE DATABASE again").await.unwrap();
            let again = connect_to(server.address(), "again").await;
            again.batch_execute("CREATE TABLE t (id serial PRIMARY KEY, mark int NOT NULL)").await.unwrap();
            let mut told = Told::new();
            for _ in 0..draws {
                draw(&again, &mut told).await;
            }
            check(&again, &told).await;
            client.batch_execute("DROP DATABASE again").await.unwrap();
        }
    });
    server.agree();
}
