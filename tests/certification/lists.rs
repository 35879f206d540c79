//! Clients append to and read lists while the leader dies; the checker reads what they saw.

use super::checker::lists::{Lists, TABLE};
use super::checker::{Model, Seen, assert_strict, check, committed};
use super::harness::{InProcess, PATIENCE, connect, runtime, try_connect};
use std::time::Duration;

const CLIENTS: usize = 8;

/// Runs clients for a while; half-way `disturb` happens. All lists are read in the end.
fn history(server: &InProcess, time: Duration, disturb: impl FnOnce(&InProcess)) -> Vec<Seen> {
    let (runtime, address) = (runtime(), server.address());
    runtime.block_on(async { connect(address).await.batch_execute(TABLE).await.unwrap() });
    let mut lists = Lists::start(&runtime, (CLIENTS, 1), move |_, _, _| async move { try_connect(address).await.ok() });
    std::thread::sleep(time / 2);
    disturb(server);
    std::thread::sleep(time / 2);
    lists.stop(&runtime, PATIENCE);
    let client = runtime.block_on(connect(address));
    lists.read_all(&runtime, &client);
    lists.history()
}

#[test]
fn histories_are_strictly_serializable_while_the_leader_dies_and_comes_back() {
    let server = InProcess::start(|config| config);
    let history = history(&server, Duration::from_secs(6), |server| {
        let leader = server.cluster().leader().map_or(1, |leader| leader.shared.id);
        assert!(server.cluster().crash(leader));
    });
    assert_strict(&history);
    assert!(committed(&history) > 50, "only {} transactions committed", committed(&history));
    server.agree();
}

#[test]
fn without_certification_the_checker_finds_an_anomaly() {
    let server = InProcess::start(|config| evesql::config::Config { uncertified: true, ..config });
    let history = history(&server, Duration::from_secs(4), |_| {});
    let found = check(&history, Model::Serializable);
    assert!(found.is_err(), "{} transactions committed soundly without being certified", committed(&history));
}
