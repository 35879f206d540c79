//! LISTEN, NOTIFY, UNLISTEN.

use crate::gateway::Server;
use crate::raw::{Raw, bind, execute, parse, query, shown, sync};

/// What comes by itself, so many messages.
fn told(raw: &mut Raw, count: usize) -> String {
    let all: Vec<String> = (0..count).map(|_| shown(&raw.next().expect("it lives"))).collect();
    all.join(" ")
}

#[test]
fn an_idle_listener_is_told_of_what_is_committed_in_order_and_of_nothing_else() {
    let server = Server::start();
    let (mut listener, mut other) = (Raw::connect(server.port), Raw::connect(server.port));
    other.talk(&[query("notify news, 'before anybody listened'")], 1);
    assert_eq!(listener.talk(&[query("listen news"), query("listen \"Other\"")], 2), "C:LISTEN Z:I C:LISTEN Z:I");
    assert_eq!(
        other.talk(&[query("begin; notify news, 'rolled back'; rollback")], 1),
        "C:BEGIN C:NOTIFY C:ROLLBACK Z:I"
    );
    let block = "begin; notify news, '1'; savepoint s; notify news, 'undone'; rollback to s; notify \"Other\"; commit";
    other.talk(&[query(block)], 1);
    other.talk(
        &[query("notify elsewhere, 'x'"), query("select pg_notify('ne' || 'ws', '2')"), query("notify news, '3'")],
        3,
    );
    assert_eq!(told(&mut listener, 4), "A:news,1 A:Other, A:news,2 A:news,3");
    let notified = {
        other.send(&[query("notify news")]);
        other.until_ready();
        listener.next().unwrap()
    };
    assert_eq!(notified.1[..4], other.process.to_be_bytes());
    // It is still a session like any other.
    assert_eq!(listener.talk(&[query("select 1")], 1), "T D:1 C:SELECT 1 Z:I");
}

#[test]
fn a_session_hears_itself_before_it_is_ready_and_nothing_inside_of_a_block() {
    let server = Server::start();
    let (mut listener, mut other) = (Raw::connect(server.port), Raw::connect(server.port));
    listener.talk(&[query("listen a")], 1);
    assert_eq!(listener.talk(&[query("notify a, 'own'")], 1), "C:NOTIFY A:a,own Z:I");
    let call = [parse("", "select pg_notify($1, $2)"), bind("", "", &["a", "bound"]), execute("", 0), sync()];
    assert_eq!(listener.talk(&call, 1), "1 2 D: C:SELECT 1 A:a,bound Z:I");
    assert_eq!(listener.talk(&[query("begin"), query("select 1")], 2), "C:BEGIN Z:T T D:1 C:SELECT 1 Z:T");
    other.talk(&[query("notify a, 'meanwhile'")], 1);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(listener.talk(&[query("select 2")], 1), "T D:2 C:SELECT 1 Z:T");
    assert_eq!(listener.talk(&[query("commit")], 1), "C:COMMIT A:a,meanwhile Z:I");
}

#[test]
fn listening_begins_with_the_commit_and_ends_with_unlisten() {
    let server = Server::start();
    let (mut listener, mut other) = (Raw::connect(server.port), Raw::connect(server.port));
    listener.talk(&[query("begin; listen a; rollback")], 1);
    listener.talk(&[query("begin; listen b; savepoint s; listen c; rollback to s"), query("notify b, 'early'")], 2);
    assert_eq!(listener.talk(&[query("commit")], 1), "C:COMMIT Z:I");
    let all = |text: &str| ["a", "b", "c"].map(|channel| query(&format!("notify {channel}, '{text}'")));
    other.talk(&all("1"), 3);
    assert_eq!(told(&mut listener, 1), "A:b,1");
    listener.talk(&[query("listen c"), query("unlisten b")], 2);
    other.talk(&all("2"), 3);
    assert_eq!(told(&mut listener, 1), "A:c,2");
    assert_eq!(listener.talk(&[query("unlisten *; notify c, 'x'")], 1), "C:UNLISTEN C:NOTIFY Z:I");
    other.talk(&all("3"), 3);
    assert_eq!(listener.talk(&[query("listen a")], 1), "C:LISTEN Z:I");
    listener.talk(&[query("discard all")], 1);
    other.talk(&all("4"), 3);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(listener.talk(&[query("select 1")], 1), "T D:1 C:SELECT 1 Z:I");
}

#[test]
fn what_is_too_long_is_refused_and_a_slow_listener_is_disconnected_rather_than_left_with_a_hole() {
    let server = Server::start();
    let (mut listener, mut other) = (Raw::connect(server.port), Raw::connect(server.port));
    let long = format!("notify a, '{}'", "x".repeat(8_000));
    assert!(other.talk(&[query(&long)], 1).starts_with("E:23514"));
    listener.talk(&[query("listen a"), query("begin"), query("select 1")], 3);
    // Inside a block it takes none.
    let many = "select pg_notify('a', 'x');".repeat(500);
    for _ in 0..9 {
        other.talk(&[query(&many)], 1);
    }
    let end = listener.next().expect("a last word");
    assert_eq!((end.0, end.field(b'C').as_str()), ('E', "54000"));
    assert_eq!(listener.next(), None);
}
