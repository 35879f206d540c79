//! Transaction blocks: statuses, savepoints, settings, conflicts.

use crate::gateway::Server;
use crate::raw::{Raw, bind, execute, parse, query, sync};

fn prepared() -> (Server, Raw) {
    let server = Server::start();
    let mut raw = Raw::connect(server.port);
    raw.talk(&[query("create table t(id int primary key, x int)")], 1);
    raw.talk(&[query("insert into t(id, x) values (1, 10), (2, 20)")], 1);
    (server, raw)
}

#[test]
fn a_failed_block_refuses_all_but_its_end() {
    let (_server, mut raw) = prepared();
    assert_eq!(raw.talk(&[query("begin")], 1), "C:BEGIN Z:T");
    assert_eq!(raw.talk(&[query("select * from nowhere")], 1), "E:42P01 Z:E");
    assert_eq!(raw.talk(&[query("select 1")], 1), "E:25P02 Z:E");
    assert_eq!(raw.talk(&[parse("", "select 1"), sync()], 1), "E:25P02 Z:E");
    assert_eq!(raw.talk(&[query("commit")], 1), "C:ROLLBACK Z:I");
    assert_eq!(raw.talk(&[query("commit")], 1), "N:25P01 C:COMMIT Z:I");
    assert_eq!(raw.talk(&[query("begin; begin")], 1), "C:BEGIN N:25001 C:BEGIN Z:T");
    assert_eq!(raw.talk(&[query("rollback")], 1), "C:ROLLBACK Z:I");
    assert_eq!(raw.talk(&[query("savepoint s")], 1), "E:25P01 Z:I");
}

#[test]
fn the_extended_protocol_knows_blocks_too() {
    let (_server, mut raw) = prepared();
    let whole = |sql: &str| [parse("", sql), bind("", "", &[]), execute("", 0), sync()].concat();
    assert_eq!(raw.talk(&[whole("begin")], 1), "1 2 C:BEGIN Z:T");
    assert_eq!(raw.talk(&[whole("update t set x = 11 where id = 1")], 1), "1 2 C:UPDATE 1 Z:T");
    assert_eq!(raw.talk(&[whole("select x from t where id = 1")], 1), "1 2 D:11 C:SELECT 1 Z:T");
    assert_eq!(raw.talk(&[whole("end")], 1), "1 2 C:COMMIT Z:I");
    assert_eq!(raw.talk(&[query("select x from t where id = 1")], 1), "T D:11 C:SELECT 1 Z:I");
}

#[test]
fn savepoints_bring_back_data_status_and_settings() {
    let (_server, mut raw) = prepared();
    raw.talk(&[query("begin; update t set x = 11 where id = 1; savepoint a")], 1);
    raw.talk(&[query("update t set x = 12 where id = 1; set lock_timeout = 5")], 1);
    assert_eq!(raw.talk(&[query("insert into t(id, x) values (1, 1)")], 1), "E:23505 Z:E");
    assert_eq!(raw.talk(&[query("rollback to nothing")], 1), "E:3B001 Z:E");
    assert_eq!(raw.talk(&[query("rollback to a")], 1), "C:ROLLBACK Z:T");
    assert_eq!(raw.talk(&[query("select x from t where id = 1")], 1), "T D:11 C:SELECT 1 Z:T");
    assert_eq!(raw.talk(&[query("show lock_timeout")], 1), "T D:0 C:SHOW Z:T");
    assert_eq!(raw.talk(&[query("release a; commit")], 1), "C:RELEASE C:COMMIT Z:I");
    assert_eq!(raw.talk(&[query("select x from t where id = 1")], 1), "T D:11 C:SELECT 1 Z:I");
}

#[test]
fn nothing_of_an_open_block_shows_outside_and_nothing_is_left_of_a_rolled_back_one() {
    let (server, mut raw) = prepared();
    let mut other = Raw::connect(server.port);
    raw.talk(&[query("begin; update t set x = 99 where id = 1; create table u(id int primary key)")], 1);
    assert_eq!(raw.talk(&[query("select count(*) from u")], 1), "T D:0 C:SELECT 1 Z:T");
    assert_eq!(other.talk(&[query("select x from t where id = 1")], 1), "T D:10 C:SELECT 1 Z:I");
    assert_eq!(other.talk(&[query("select count(*) from u")], 1), "E:42P01 Z:I");
    assert_eq!(raw.talk(&[query("rollback")], 1), "C:ROLLBACK Z:I");
    assert_eq!(raw.talk(&[query("select x from t where id = 1")], 1), "T D:10 C:SELECT 1 Z:I");
    assert_eq!(raw.talk(&[query("select count(*) from u")], 1), "E:42P01 Z:I");
    assert_eq!(
        raw.talk(&[query("begin; create table u(id int primary key); insert into u(id) values (1); commit")], 1),
        "C:BEGIN C:CREATE TABLE C:INSERT 0 1 C:COMMIT Z:I"
    );
    assert_eq!(other.talk(&[query("select count(*) from u")], 1), "T D:1 C:SELECT 1 Z:I");
}

#[test]
fn a_block_whose_answer_changed_meanwhile_fails_with_40001_and_says_which() {
    let (server, mut raw) = prepared();
    let mut other = Raw::connect(server.port);
    raw.talk(&[query("begin")], 1);
    assert_eq!(raw.talk(&[query("select x from t where id = 1")], 1), "T D:10 C:SELECT 1 Z:T");
    other.talk(&[query("update t set x = x + 1 where id = 1")], 1);
    assert_eq!(raw.talk(&[query("update t set x = 11 where id = 2")], 1), "C:UPDATE 1 Z:T");
    raw.send(&[query("commit")]);
    let answers = raw.until_ready();
    assert_eq!(answers[0].field(b'C'), "40001");
    assert_eq!(answers[0].field(b'M'), "could not serialize access due to concurrent update");
    assert!(answers[0].field(b'D').contains("Statement 1"), "{}", answers[0].field(b'D'));
    assert!(answers[0].field(b'H').contains("retried"));
    assert_eq!(answers[1].1, b"I");
    assert_eq!(raw.talk(&[query("select x from t where id = 2")], 1), "T D:20 C:SELECT 1 Z:I");
}

#[test]
fn read_committed_certifies_writes_only() {
    let (server, mut raw) = prepared();
    let mut other = Raw::connect(server.port);
    raw.talk(&[query("begin isolation level read committed")], 1);
    assert_eq!(raw.talk(&[query("show transaction_isolation")], 1), "T D:read committed C:SHOW Z:T");
    assert_eq!(raw.talk(&[query("select x from t where id = 1")], 1), "T D:10 C:SELECT 1 Z:T");
    other.talk(&[query("update t set x = x + 1 where id = 1")], 1);
    assert_eq!(raw.talk(&[query("select x from t where id = 1")], 1), "T D:11 C:SELECT 1 Z:T");
    assert_eq!(raw.talk(&[query("update t set x = x + 1 where id = 1")], 1), "C:UPDATE 1 Z:T");
    other.talk(&[query("update t set x = x + 1 where id = 1")], 1);
    assert_eq!(raw.talk(&[query("commit")], 1), "C:COMMIT Z:I");
    assert_eq!(raw.talk(&[query("select x from t where id = 1")], 1), "T D:13 C:SELECT 1 Z:I");
}

#[test]
fn read_only_blocks_refuse_writes_and_commit_here() {
    let (_server, mut raw) = prepared();
    raw.talk(&[query("begin read only")], 1);
    assert_eq!(raw.talk(&[query("select x from t where id = 1")], 1), "T D:10 C:SELECT 1 Z:T");
    assert_eq!(raw.talk(&[query("update t set x = 0")], 1), "E:25006 Z:E");
    assert_eq!(raw.talk(&[query("rollback")], 1), "C:ROLLBACK Z:I");
}

#[test]
fn an_error_seen_inside_a_savepoint_is_certified_with_the_rest() {
    let (server, mut raw) = prepared();
    let mut other = Raw::connect(server.port);
    let insert_seven = "insert into t(id, x) values (7, 7)";
    raw.talk(&[query("begin; savepoint s")], 1);
    raw.talk(&[query("insert into t(id, x) values (2, 2)")], 1);
    raw.talk(&[query("rollback to s")], 1);
    assert_eq!(raw.talk(&[query(&format!("{insert_seven}; commit"))], 1), "C:INSERT 0 1 C:COMMIT Z:I");
    raw.talk(&[query("begin; savepoint s")], 1);
    assert_eq!(raw.talk(&[query(insert_seven)], 1), "E:23505 Z:E");
    other.talk(&[query("delete from t where id = 7")], 1);
    raw.talk(&[query("rollback to s; update t set x = 8 where id = 2")], 1);
    assert_eq!(raw.talk(&[query("commit")], 1), "E:40001 Z:I");
}

#[test]
fn set_and_show_are_part_of_the_transaction() {
    let (_server, mut raw) = prepared();
    assert_eq!(raw.talk(&[query("set application_name = 'a'")], 1), "S C:SET Z:I");
    assert_eq!(raw.talk(&[query("begin; set application_name = 'b'; rollback")], 1), "C:BEGIN S C:SET C:ROLLBACK Z:I");
    assert_eq!(raw.talk(&[query("show application_name")], 1), "T D:a C:SHOW Z:I");
    assert_eq!(raw.talk(&[query("set evesql.read_level = sloppy")], 1), "E:22023 Z:I");
    assert_eq!(raw.talk(&[query("set local lock_timeout = 1")], 1), "N:25P01 C:SET Z:I");
    assert_eq!(raw.talk(&[query("show transaction isolation level")], 1), "T D:serializable C:SHOW Z:I");
    assert_eq!(raw.talk(&[query("discard all")], 1), "S C:DISCARD ALL Z:I");
}

#[test]
fn a_statement_in_a_block_draws_as_many_numbers_as_it_needs() {
    let (_server, mut raw) = prepared();
    raw.talk(&[query("create table numbered(id serial primary key, n int)")], 1);
    let insert = "insert into numbered(n) select i from generate_series(1, 1000) as i";
    assert_eq!(
        raw.talk(&[query("begin"), query(insert), query("commit")], 3),
        "C:BEGIN Z:T C:INSERT 0 1000 Z:T C:COMMIT Z:I"
    );
    let all = raw.talk(&[query("select min(id), max(id), count(*) from numbered")], 1);
    assert_eq!(all, "T D:1,1000,1000 C:SELECT 1 Z:I", "none is left out where nobody else draws");
    // What is left of the reserved numbers serves the next block.
    let next =
        raw.talk(&[query("begin"), query("insert into numbered(n) values (0) returning id"), query("commit")], 3);
    assert_eq!(next, "C:BEGIN Z:T T D:1001 C:INSERT 0 1 Z:T C:COMMIT Z:I");
}
