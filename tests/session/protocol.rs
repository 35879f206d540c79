//! The protocol itself: start-up, message order, errors, suspended portals, pipelines.

use crate::gateway::Server;
use crate::raw::{Raw, bind, close, describe, execute, message, parse, query, sync};
use evesql::wire::FrontOptions;

fn server_with_table() -> (Server, Raw) {
    let server = Server::start();
    let mut raw = Raw::connect(server.port);
    let made = raw.talk(&[query("create table t(id int primary key, x int)")], 1);
    assert_eq!(made, "C:CREATE TABLE Z:I");
    let rows: Vec<String> = (1..=5).map(|n| format!("({n}, {})", n * 10)).collect();
    let filled = raw.talk(&[query(&format!("insert into t(id, x) values {}", rows.join(", ")))], 1);
    assert_eq!(filled, "C:INSERT 0 5 Z:I");
    (server, raw)
}

#[test]
fn encryption_is_declined_and_the_start_goes_on() {
    let server = Server::start();
    for code in [80_877_103i32, 80_877_104] {
        let mut raw = Raw::open(server.port);
        let request = [8i32.to_be_bytes(), code.to_be_bytes()].concat();
        raw.send(&[request]);
        assert_eq!(raw.byte(), b'N');
        raw.send(&[Raw::startup(&["user", "evesql"])]);
        assert_eq!(raw.until_ready().last().unwrap().1, b"I");
    }
}

#[test]
fn an_unknown_database_and_one_client_too_many_are_told_so() {
    let server = Server::with(FrontOptions { connections_max: 1, ..FrontOptions::default() });
    let mut stranger = Raw::open(server.port);
    stranger.send(&[Raw::startup(&["user", "evesql", "database", "nowhere"])]);
    let refused = stranger.next().expect("an answer");
    assert_eq!((refused.0, refused.field(b'C')), ('E', "3D000".into()));
    assert_eq!(refused.field(b'S'), "FATAL");
    assert_eq!(stranger.next(), None);
    let mut first = None;
    for _ in 0..100 {
        // The stranger's place is free a moment after its connection ended.
        let mut raw = Raw::open(server.port);
        raw.send(&[Raw::startup(&["user", "evesql"])]);
        if raw.next().is_some_and(|answer| answer.0 == 'R') {
            raw.until_ready();
            first = Some(raw);
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(first.is_some());
    let mut second = Raw::open(server.port);
    second.send(&[Raw::startup(&["user", "evesql"])]);
    assert_eq!(second.next().expect("an answer").field(b'C'), "53300");
}

#[test]
fn a_client_that_does_not_prove_who_it_is_in_time_is_told_so() {
    let limit = std::time::Duration::from_millis(1500);
    let server = Server::with(FrontOptions { greeting_timeout: limit, ..FrontOptions::default() });
    let mut trusted = Raw::connect(server.port);
    assert_eq!(trusted.talk(&[query("create role ann login password 'pencil'")], 1), "C:CREATE ROLE Z:I");
    let mut slow = Raw::open(server.port);
    slow.send(&[Raw::startup(&["user", "ann", "database", "evesql"])]);
    assert_eq!(slow.next().expect("the question for a proof").0, 'R');
    let refused = slow.next().expect("the end of patience");
    assert_eq!((refused.0, refused.field(b'C')), ('E', "57014".into()));
    assert_eq!(refused.field(b'M'), "canceling authentication due to timeout");
    assert_eq!(slow.next(), None);
    // Who was admitted has all the time in the world.
    std::thread::sleep(limit);
    assert_eq!(trusted.talk(&[query("select 1")], 1), "T D:1 C:SELECT 1 Z:I");
}

#[test]
fn the_usual_round_of_the_extended_protocol() {
    let (_server, mut raw) = server_with_table();
    let round = raw.talk(
        &[
            parse("s", "select id, x from t where id = $1"),
            describe('S', "s"),
            bind("", "s", &["2"]),
            describe('P', ""),
            execute("", 0),
            sync(),
        ],
        1,
    );
    assert_eq!(round, "1 t T 2 T D:2,20 C:SELECT 1 Z:I");
    let again =
        raw.talk(&[bind("", "s", &["3"]), execute("", 0), sync(), bind("", "s", &["9"]), execute("", 0), sync()], 2);
    assert_eq!(again, "2 D:3,30 C:SELECT 1 Z:I 2 C:SELECT 0 Z:I");
}

#[test]
fn after_an_error_everything_is_passed_over_up_to_sync() {
    let (_server, mut raw) = server_with_table();
    let talked = raw.talk(&[parse("", "select nonsense from"), bind("", "", &[]), execute("", 0), sync()], 1);
    assert_eq!(talked, "E:42601 Z:I");
    assert_eq!(raw.talk(&[bind("", "no", &[]), sync()], 1), "E:26000 Z:I");
    assert_eq!(raw.talk(&[execute("no", 0), sync()], 1), "E:34000 Z:I");
    assert_eq!(raw.talk(&[parse("d", "select 1"), parse("d", "select 2"), sync()], 1), "1 E:42P05 Z:I");
    assert_eq!(raw.talk(&[parse("", "select 1; select 2"), sync()], 1), "E:42601 Z:I");
    let wrong_count = raw.talk(&[parse("p", "select x from t where id = $1"), bind("", "p", &[]), sync()], 1);
    assert_eq!(wrong_count, "1 E:08P01 Z:I");
    assert_eq!(raw.talk(&[bind("", "p", &["abc"]), sync()], 1), "E:22P02 Z:I");
    assert_eq!(raw.talk(&[message(b'B', b"\0"), sync()], 1), "E:08P01 Z:I");
    assert_eq!(raw.talk(&[close('S', "p"), bind("", "p", &["1"]), sync()], 1), "3 E:26000 Z:I");
    assert_eq!(raw.talk(&[query("select 1")], 1), "T D:1 C:SELECT 1 Z:I");
}

#[test]
fn a_broken_frame_ends_the_connection_with_a_word() {
    let server = Server::start();
    let mut raw = Raw::connect(server.port);
    raw.send(&[vec![b'Q', 0xff, 0xff, 0xff, 0xff]]);
    let last = raw.next().expect("a word");
    assert_eq!((last.field(b'S').as_str(), last.field(b'C').as_str()), ("FATAL", "08P01"));
    assert_eq!(raw.next(), None);
}

#[test]
fn a_portal_gives_its_rows_in_parts_and_ends_with_the_transaction() {
    let (_server, mut raw) = server_with_table();
    let parts = raw.talk(
        &[
            query("begin"),
            parse("", "select id from t order by id"),
            bind("c", "", &[]),
            execute("c", 2),
            execute("c", 2),
            sync(),
            execute("c", 2),
            execute("c", 2),
            sync(),
        ],
        3,
    );
    assert_eq!(parts, "C:BEGIN Z:T 1 2 D:1 D:2 s D:3 D:4 s Z:T D:5 C:SELECT 1 C:SELECT 0 Z:T");
    assert_eq!(raw.talk(&[query("commit"), execute("c", 0), sync()], 2), "C:COMMIT Z:I E:34000 Z:I");
    let outside = raw.talk(
        &[parse("", "select id from t order by id"), bind("", "", &[]), execute("", 4), execute("", 0), sync()],
        1,
    );
    assert_eq!(outside, "1 2 D:1 D:2 D:3 D:4 s D:5 C:SELECT 1 Z:I");
}

#[test]
fn a_pipeline_up_to_sync_is_one_transaction() {
    let (_server, mut raw) = server_with_table();
    let insert = |id: &str| [bind("", "i", &[id, "0"]), execute("", 0)].concat();
    let two = raw.talk(
        &[parse("i", "insert into t(id, x) values ($1, $2)"), insert("10"), insert("11"), describe('S', "i"), sync()],
        1,
    );
    assert_eq!(two, "1 2 C:INSERT 0 1 2 C:INSERT 0 1 t n Z:I");
    // The third one fails: the first two have answers, and no effect.
    let failing = raw.talk(&[insert("20"), insert("21"), insert("10"), insert("22"), sync()], 1);
    assert_eq!(failing, "2 C:INSERT 0 1 2 C:INSERT 0 1 2 E:23505 Z:I");
    let count = raw.talk(&[query("select count(*) from t")], 1);
    assert_eq!(count, "T D:7 C:SELECT 1 Z:I");
    // A read behind a write sees it.
    let read =
        raw.talk(&[insert("30"), parse("", "select count(*) from t"), bind("", "", &[]), execute("", 0), sync()], 1);
    assert_eq!(read, "2 C:INSERT 0 1 1 2 D:8 C:SELECT 1 Z:I");
}

#[test]
fn a_simple_query_of_several_statements_is_one_transaction() {
    let (_server, mut raw) = server_with_table();
    let both = raw.talk(&[query("update t set x = 1 where id = 1; select x from t where id = 1")], 1);
    assert_eq!(both, "C:UPDATE 1 T D:1 C:SELECT 1 Z:I");
    let failed = raw.talk(&[query("update t set x = 2 where id = 1; insert into t(id, x) values (1, 1); select 1")], 1);
    assert_eq!(failed, "C:UPDATE 1 E:23505 Z:I");
    assert_eq!(raw.talk(&[query("select x from t where id = 1")], 1), "T D:1 C:SELECT 1 Z:I");
    let explicit = raw.talk(&[query("begin; update t set x = 3 where id = 1; commit; select 1")], 1);
    assert_eq!(explicit, "C:BEGIN C:UPDATE 1 C:COMMIT T D:1 C:SELECT 1 Z:I");
    assert_eq!(raw.talk(&[query(" ; -- nothing")], 1), "I Z:I");
}

#[test]
fn unexpected_copy_data_is_passed_over() {
    let (_server, mut raw) = server_with_table();
    assert_eq!(raw.talk(&[message(b'd', b"1\t2\n"), message(b'c', b""), sync()], 1), "Z:I");
}

/// asyncpg sends Flush and waits; it sends Sync when it has heard of the error.
#[test]
fn an_error_is_told_before_sync() {
    let (_server, mut raw) = server_with_table();
    raw.send(&[parse("", "selec 1"), describe('S', ""), message(b'H', b"")]);
    let told = raw.next().expect("an answer");
    assert_eq!((told.0, told.field(b'C')), ('E', "42601".into()));
    assert_eq!(raw.talk(&[sync()], 1), "Z:I");
}

#[test]
fn a_pipeline_sees_the_tables_that_it_makes() {
    let (_server, mut raw) = server_with_table();
    let whole = |sql: &str| [parse("", sql), bind("", "", &[]), execute("", 0)].concat();
    let all = ["create table made(a int)", "insert into made values (1)", "select a from made"].map(whole);
    let told = raw.talk(&[all.concat(), sync()], 1);
    assert_eq!(told, "1 2 C:CREATE TABLE 1 2 C:INSERT 0 1 1 2 D:1 C:SELECT 1 Z:I");
    let failing = ["create table lost(a int)", "insert into lost values (1)", "select 1 / 0"].map(whole);
    let told = raw.talk(&[failing.concat(), sync(), query("select * from lost")], 2);
    assert_eq!(told, "1 2 C:CREATE TABLE 1 2 C:INSERT 0 1 1 2 E:22012 Z:I E:42P01 Z:I");
}

#[test]
fn a_cursor_takes_parameters_and_is_described_as_a_portal() {
    let (_server, mut raw) = server_with_table();
    let declare = "declare c cursor for select x from t where id > $1 order by id";
    let made = [parse("", declare), bind("", "", &["2"]), execute("", 0), describe('P', "c"), sync()];
    raw.talk(&[query("begin")], 1);
    assert_eq!(raw.talk(&made, 1), "1 2 C:DECLARE CURSOR T Z:T");
    assert_eq!(raw.talk(&[query("fetch 2 from c")], 1), "T D:30 D:40 C:FETCH 2 Z:T");
    assert_eq!(raw.talk(&[query(declare.replace(" c ", " d ").as_str())], 1), "E:42P02 Z:E");
}

#[test]
fn a_portal_that_has_begun_is_a_cursor_too() {
    let (_server, mut raw) = server_with_table();
    raw.talk(&[query("begin")], 1);
    let begun = [parse("", "select x from t order by id"), bind("p", "", &[]), execute("p", 1), sync()];
    assert_eq!(raw.talk(&begun, 1), "1 2 D:10 s Z:T");
    assert_eq!(raw.talk(&[query("move forward 2 in p; fetch p")], 1), "C:MOVE 2 T D:40 C:FETCH 1 Z:T");
    assert_eq!(raw.talk(&[execute("p", 0), sync()], 1), "D:50 C:SELECT 1 Z:T");
}

/// psycopg takes each CopyData for a row: the signature has none of its own.
#[test]
fn binary_copy_begins_in_the_message_of_its_first_row() {
    let (_server, mut raw) = server_with_table();
    let data = |raw: &mut Raw, sql: &str| -> Vec<usize> {
        raw.send(&[query(sql)]);
        let messages = raw.until_ready();
        let parts: Vec<&Vec<u8>> =
            messages.iter().filter(|message| message.0 == 'd').map(|message| &message.1).collect();
        assert!(parts[0].starts_with(b"PGCOPY\n\xff\r\n\0"));
        parts.iter().map(|part| part.len()).collect()
    };
    let row = 2 + 4 + 4;
    assert_eq!(data(&mut raw, "copy (select id from t where id < 3) to stdout (format binary)"), [19 + row, row, 2]);
    assert_eq!(data(&mut raw, "copy (select id from t where id > 9) to stdout (format binary)"), [19 + 2]);
}

/// asyncpg and JDBC know by the routine that a statement must be prepared again.
#[test]
fn a_statement_whose_columns_changed_names_the_routine_that_drivers_look_for() {
    let (_server, mut raw) = server_with_table();
    raw.talk(&[parse("all", "select * from t"), sync(), query("alter table t add column y int")], 2);
    raw.send(&[bind("", "all", &[]), execute("", 0), sync()]);
    let error = raw.until_ready().into_iter().find(|message| message.0 == 'E').expect("the columns are others");
    assert_eq!((error.field(b'C'), error.field(b'R')), ("0A000".into(), "RevalidateCachedQuery".into()));
}
