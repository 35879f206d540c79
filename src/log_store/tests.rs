//! Tests of the log on a disk that crashes, tears and flips bits.

use super::*;
use crate::batch::Command;
use crate::entry::{EncodedCommand, Entry, Membership, Payload, Vote};
use crate::page::Hash;
use crate::seam::{Disk, DiskFault, RealDisk, SimulatedDisk};
use crate::token::{Ballot, Decision, LogId, Token, Verdict};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

const SEGMENT_BYTES: u64 = 4096;

fn directory() -> &'static Path {
    Path::new("/log")
}

fn options(incarnation: u64) -> LogOptions {
    LogOptions { segment_bytes: SEGMENT_BYTES, cache_bytes_max: 2000, ..LogOptions::new(1, incarnation) }
}

fn open(disk: &SimulatedDisk, incarnation: u64) -> Result<Arc<Log>, LogError> {
    Log::open(Arc::new(disk.clone()), directory(), options(incarnation), Mode::Inline)
}

fn log_id(term: u64, index: u64) -> LogId {
    LogId { term, leader: term % 3, index }
}

fn entry(term: u64, index: u64, size: usize) -> Entry {
    let command = EncodedCommand::from_bytes([&[0][..], &vec![index as u8; size]].concat().into());
    Entry { log_id: log_id(term, index), payload: Payload::Command(command) }
}

fn token(term: u64, index: u64, root: u128) -> Token {
    Token {
        log_id: log_id(term, index),
        batch: Hash(1),
        attempt: 0,
        parent: Hash(2),
        root: Hash(root),
        answers: Hash(4),
    }
}

fn ignored() -> Done {
    Box::new(|_| {})
}

/// What must survive: all but the lazily written watermarks.
#[derive(Clone, Debug, PartialEq)]
struct Content {
    vote: Option<Vote>,
    purged: Option<Purged>,
    last: Option<LogId>,
    entries: Vec<Entry>,
    ballots: Vec<Ballot>,
}

fn content(log: &Log) -> Content {
    let LogState { vote, purged, last, .. } = log.state();
    let entries = log.read(0, u64::MAX, usize::MAX).unwrap();
    Content { vote, purged, last, entries, ballots: log.ballots() }
}

/// Step `number` of a script that uses everything; the callback counts as acknowledgement.
fn step(log: &Log, number: u64, done: Done) -> Result<(), LogError> {
    let random = Hash::of(&number.to_le_bytes()).0 as u64;
    let state = log.state();
    let next = state.last.map_or(0, |last| last.index + 1);
    let term = 1 + number / 10;
    match random % 10 {
        0..=4 => {
            let count = 1 + random / 16 % 3;
            let entries = (next..next + count).map(|index| entry(term, index, (random / 64 % 500) as usize)).collect();
            log.append(entries, done)
        }
        5 => log.save_vote(Vote { term, node: random % 3, committed: random & 64 == 0 }, done),
        6 if next > log.first_index() + 2 => log.truncate(Some(next - 2), done),
        7 if next > log.first_index() + 4 => {
            let up_to = log.log_id(next - 4).unwrap();
            log.save_committed(up_to)?;
            log.purge(up_to, None, done)
        }
        8 => {
            log.mark_executing(log_id(term, next), 0, false)?;
            log.barrier(done)
        }
        _ => log.issue_ballot(Ballot::Token(token(term, next + number, number as u128)), done),
    }
}

/// Runs the script; returns how many steps were acknowledged and attempted, with the content after each.
fn run(log: &Log, steps: u64, contents: &mut Vec<Content>) -> (u64, u64) {
    let acknowledged = Arc::new(AtomicU64::new(0));
    for number in 0..steps {
        let count = acknowledged.clone();
        let done = Box::new(move |result: io::Result<()>| {
            count.fetch_add(result.is_ok() as u64, Ordering::Relaxed);
        });
        let submitted = step(log, number, done);
        if submitted.is_err() || acknowledged.load(Ordering::Relaxed) <= number {
            return (acknowledged.load(Ordering::Relaxed), number + 1);
        }
        contents.push(content(log));
    }
    (steps, steps)
}

#[test]
fn a_crash_at_every_disk_operation_loses_nothing_acknowledged_and_invents_nothing() {
    const STEPS: u64 = 70;
    let reference = SimulatedDisk::new(0);
    let log = open(&reference, 1).unwrap();
    let mut contents = vec![content(&log)];
    assert_eq!(run(&log, STEPS, &mut contents), (STEPS, STEPS));
    let operations = reference.operations();
    assert!(reference.contents().len() <= 8, "segments are recycled");
    for crash in 0..operations {
        let disk = SimulatedDisk::new(crash);
        disk.fault_at(crash, DiskFault::Crash);
        let (acknowledged, attempted) = match open(&disk, 1) {
            Ok(log) => run(&log, STEPS, &mut Vec::new()),
            Err(_) => (0, 0),
        };
        disk.restart();
        let log = open(&disk, 2).unwrap_or_else(|error| panic!("crash at {crash}: {error}"));
        let found = content(&log);
        let allowed = &contents[acknowledged as usize..=(attempted as usize).min(STEPS as usize)];
        assert!(
            allowed.contains(&found),
            "crash at {crash}: {acknowledged} of {attempted} acknowledged, found {found:?}, allowed {allowed:?}"
        );
        // It goes on, and the next start finds that too.
        let next = found.last.map_or(0, |last| last.index + 1);
        log.append(vec![entry(99, next, 700)], ignored()).unwrap();
        let expected = content(&log);
        drop(log);
        disk.restart();
        assert_eq!(content(&open(&disk, 3).unwrap()), expected, "crash at {crash}");
    }
}

#[test]
fn a_disk_error_stops_the_log_for_good() {
    let disk = SimulatedDisk::new(1);
    let log = open(&disk, 1).unwrap();
    log.append(vec![entry(1, 0, 10)], ignored()).unwrap();
    disk.fault_at(disk.operations() + 1, DiskFault::Error);
    let results = Arc::new(Mutex::new(Vec::new()));
    for index in 1..4 {
        let results = results.clone();
        log.append(vec![entry(1, index, 10)], Box::new(move |result| results.lock().push(result.is_ok()))).unwrap();
    }
    assert_eq!(*results.lock(), [false, false, false], "a failed fdatasync is never tried again");
}

#[test]
fn what_a_failed_sync_left_in_the_cache_is_made_durable_by_opening_again() {
    let disk = SimulatedDisk::new(6);
    let log = open(&disk, 1).unwrap();
    log.append(vec![entry(1, 0, 10)], ignored()).unwrap();
    // The write goes well, its fdatasync does not.
    disk.fault_at(disk.operations() + 1, DiskFault::Error);
    log.append(vec![entry(1, 1, 10)], ignored()).unwrap();
    assert!(log.failure().is_some_and(|failure| !failure.is_out_of_room));
    drop(log);
    // The process goes on and reads what the disk may never have got; then the machine dies.
    let log = open(&disk, 2).unwrap();
    assert_eq!(log.state().last, Some(log_id(1, 1)));
    log.append(vec![entry(1, 2, 10)], ignored()).unwrap();
    disk.restart();
    let log = open(&disk, 3).unwrap();
    assert_eq!(log.state().last, Some(log_id(1, 2)));
}

#[test]
fn a_full_disk_stops_a_log_only_when_it_needs_room() {
    let disk = SimulatedDisk::new(7);
    let log = Log::open(Arc::new(disk.clone()), directory(), options(1), Mode::Threaded).unwrap();
    let append = |index| {
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |result: io::Result<()>| sender.send(result.is_ok()).unwrap());
        log.append(vec![entry(1, index, 1000)], done).map(|()| receiver.recv().unwrap()).unwrap_or(false)
    };
    let used = |disk: &SimulatedDisk| disk.contents().iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
    assert!(append(0));
    disk.set_capacity_bytes(Some(used(&disk)));
    // Half of the segment is used: the next one cannot be made, and need not be yet.
    assert!(append(1) && append(2));
    disk.set_capacity_bytes(None);
    assert!(append(3) && append(4) && log.failure().is_none(), "there was room when it was needed");
    disk.set_capacity_bytes(Some(used(&disk)));
    let stopped = (5..20).find(|index| !append(*index));
    assert!(stopped.is_some());
    assert!(log.failure().is_some_and(|failure| failure.is_out_of_room && failure.reason.contains("No space left")));
    assert!(!append(30), "until it is opened again");
    drop(log);
    disk.set_capacity_bytes(None);
    let log = open(&disk, 2).unwrap();
    assert!(log.state().last.is_some_and(|last| Some(last.index) >= stopped.map(|index| index - 1)));
}

#[test]
fn an_abandoned_log_writes_and_answers_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions { token_hold: Duration::from_secs(60), ..LogOptions::new(1, 1) };
    let log = Log::open(Arc::new(RealDisk), directory.path(), options, Mode::Threaded).unwrap();
    let answered = Arc::new(AtomicU64::new(0));
    let count = || -> Done {
        let answered = answered.clone();
        Box::new(move |_| {
            answered.fetch_add(1, Ordering::Relaxed);
        })
    };
    // It is held for its token while the others come behind it.
    log.executor_is_idle();
    for index in 0..3 {
        log.append(vec![entry(1, index, 10)], count()).unwrap();
    }
    log.abandon();
    assert_eq!(answered.load(Ordering::Relaxed), 0);
    let reopened = Log::open(Arc::new(RealDisk), directory.path(), LogOptions::new(1, 2), Mode::Inline).unwrap();
    assert_eq!(reopened.state().last, None);
}

#[test]
fn a_flipped_bit_is_refused_with_its_place_or_cuts_only_the_unproven_end() {
    let disk = SimulatedDisk::new(5);
    let log = open(&disk, 1).unwrap();
    let mut contents = vec![content(&log)];
    run(&log, 25, &mut contents);
    drop(log);
    let newest = contents.last().unwrap().clone();
    let before = contents[contents.len() - 2].clone();
    let mut refused = 0;
    for (path, bytes) in disk.contents() {
        for offset in (0..bytes.len() as u64).step_by(7) {
            assert!(disk.flip_bit(&path, offset, 3));
            match open(&disk, 2) {
                Err(LogError::Damaged { file, .. }) => {
                    assert!(file == path || file.parent() == path.parent());
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
                Ok(log) => {
                    let found = content(&log);
                    assert!(found == newest || found == before, "{} byte {offset}", path.display());
                }
            }
            // Back to the bytes as they were: starting writes to the log.
            let file = disk.open(&path, false).unwrap();
            file.write_at(&bytes, 0).unwrap();
            file.sync_data().unwrap();
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_damaged_log_is_rebuilt_from_a_peer_s_entries_and_keeps_what_is_left_of_its_own_words() {
    let disk = SimulatedDisk::new(5);
    let log = open(&disk, 1).unwrap();
    run(&log, 60, &mut vec![content(&log)]);
    drop(log);
    let log = open(&disk, 2).unwrap();
    let whole = content(&log);
    let last = whole.last.unwrap();
    drop(log);
    let into = Path::new("/log.rebuilt");
    let vote = Vote { term: 99, node: 1, committed: false };
    let (mut rebuilt, mut ballots_kept, mut lost) = (0, 0, 0);
    for (path, bytes) in disk.contents() {
        for offset in (0..bytes.len() as u64).step_by(29) {
            assert!(disk.flip_bit(&path, offset, 3));
            if matches!(open(&disk, 3), Err(LogError::Damaged { .. })) {
                let mut log = Rebuilding::begin(Arc::new(disk.clone()), directory(), into, options(3)).unwrap();
                let purged = whole.purged.clone().unwrap();
                if purged.log_id.index + 1 >= log.next_index() {
                    log.begin_behind(purged).unwrap();
                }
                // A peer's log is whole. What the damage swallowed may have replaced the end of what is before it.
                let differs = |entry: &&Entry| {
                    let index = entry.log_id.index;
                    index < log.next_index() && log.log_id(index).is_some_and(|known| known != entry.log_id)
                };
                if let Some(first) = whole.entries.iter().find(differs) {
                    log.cut(first.log_id.index).unwrap();
                }
                let missing = whole.entries.iter().filter(|entry| entry.log_id.index >= log.next_index());
                for entry in missing.cloned().collect::<Vec<_>>() {
                    log.append(entry).unwrap();
                }
                log.finish(vote).unwrap();
                let log = Log::open(Arc::new(disk.clone()), into, options(4), Mode::Inline).unwrap();
                let found = content(&log);
                assert_eq!((found.last, found.vote), (Some(last), Some(vote)));
                // Nothing before the peer's purge point is needed. The script gives a log id again after it cut the log,
                // which consensus never does: so the ids are what is compared.
                let ids = |entries: &[Entry]| entries.iter().map(|entry| entry.log_id).collect::<Vec<_>>();
                assert!(ids(&found.entries).ends_with(&ids(&whole.entries)), "{} byte {offset}", path.display());
                let known = found.ballots.iter().filter(|ballot| whole.ballots.contains(ballot)).count();
                let below = log.state().ballots_lost_below;
                assert!(below > last.index);
                // The script gives some on batches that are not there yet, too.
                let is_told = |ballot: &&Ballot| found.ballots.contains(ballot) || ballot.key().log_id.index < below;
                let forgotten = whole.ballots.iter().find(|ballot| !is_told(ballot));
                assert!(forgotten.is_none_or(|ballot| ballot.key().log_id.index > last.index), "{forgotten:?}");
                (rebuilt, ballots_kept) = (rebuilt + 1, ballots_kept + known);
                lost += whole.ballots.len() - known;
            }
            let file = disk.open(&path, false).unwrap();
            file.write_at(&bytes, 0).unwrap();
            file.sync_data().unwrap();
        }
    }
    assert!(rebuilt > 100 && ballots_kept > lost && lost > 0, "{rebuilt} rebuilt, {ballots_kept} ballots, {lost} lost");
}

#[test]
fn a_log_of_another_node_is_refused() {
    let disk = SimulatedDisk::new(1);
    drop(open(&disk, 1).unwrap());
    let other = LogOptions { node: 2, ..options(2) };
    let result = Log::open(Arc::new(disk), directory(), other, Mode::Inline);
    assert!(matches!(result, Err(LogError::AnotherNode { found: 1, .. })));
}

#[test]
fn a_token_is_durable_before_its_callback_and_another_one_is_refused() {
    let disk = SimulatedDisk::new(3);
    let log = open(&disk, 1).unwrap();
    log.append(vec![entry(1, 0, 10)], ignored()).unwrap();
    let seen = Arc::new(Mutex::new(None));
    let (seen_later, medium) = (seen.clone(), disk.clone());
    let issued = token(1, 0, 7);
    log.issue_ballot(Ballot::Token(issued), {
        Box::new(move |result| {
            result.unwrap();
            // The machine dies in the very moment of the callback.
            medium.restart();
            *seen_later.lock() = open(&medium, 2).unwrap().ballot(&issued.key());
        })
    })
    .unwrap();
    assert_eq!(*seen.lock(), Some(Ballot::Token(issued)));
    let log = open(&disk, 3).unwrap();
    let again = Arc::new(AtomicU64::new(0));
    let count = again.clone();
    log.issue_ballot(
        Ballot::Token(issued),
        Box::new(move |result| count.store(result.is_ok() as u64, Ordering::Relaxed)),
    )
    .unwrap();
    assert_eq!(again.load(Ordering::Relaxed), 1, "the same token may be sent again");
    let other = log.issue_ballot(Ballot::Token(token(1, 0, 8)), ignored());
    assert!(matches!(other, Err(LogError::SecondBallot { .. })));
}

#[test]
fn executions_that_did_not_end_are_counted_over_restarts() {
    let disk = SimulatedDisk::new(3);
    let log = open(&disk, 1).unwrap();
    assert_eq!(log.mark_executing(log_id(1, 4), 0, false).unwrap(), 1);
    // The process dies, the machine does not: what was written is there.
    drop(log);
    let log = open(&disk, 2).unwrap();
    assert_eq!(log.state().executing, Some(Executing { log_id: log_id(1, 4), attempt: 0, starts: 1 }));
    assert_eq!(log.mark_executing(log_id(1, 4), 0, false).unwrap(), 2);
    // Given instead of an execution: it would crash the next process.
    log.issue_ballot(Ballot::Failed(token(1, 4, 9).key()), ignored()).unwrap();
    assert_eq!(log.state().executing.map(|mark| mark.starts), Some(2));
    drop(log);
    let log = open(&disk, 3).unwrap();
    // A start executes what is before it first.
    assert_eq!(log.mark_executing(log_id(1, 3), 0, true).unwrap(), 1);
    log.has_executed(log_id(1, 3), 0, true).unwrap();
    assert_eq!(log.mark_executing(log_id(1, 4), 1, true).unwrap(), 3, "in whichever attempt");
    log.issue_ballot(Ballot::Token(Token { attempt: 1, ..token(1, 4, 9) }), ignored()).unwrap();
    assert_eq!(log.state().executing, None);
    assert_eq!(log.mark_executing(log_id(1, 5), 0, false).unwrap(), 1);
}

#[test]
fn executions_again_of_what_is_on_record_are_no_crashes() {
    let disk = SimulatedDisk::new(3);
    for start in 1..5 {
        let log = open(&disk, start).unwrap();
        assert_eq!(log.mark_executing(log_id(1, 4), 0, true).unwrap(), 1);
        log.has_executed(log_id(1, 4), 0, false).unwrap();
        log.issue_ballot(Ballot::Token(token(1, 4, 9)), ignored()).unwrap();
        log.has_executed(log_id(1, 4), 0, false).unwrap();
        // As a node that starts does: its word is there, so it gives none.
        log.mark_executing(log_id(1, 4), 0, true).unwrap();
        log.has_executed(log_id(1, 4), 0, false).unwrap();
        log.mark_executing(log_id(1, 5), 0, true).unwrap();
        log.has_executed(log_id(1, 5), 0, true).unwrap();
        assert_eq!(log.state().executing, None);
    }
}

#[test]
fn entries_that_left_memory_are_read_back_and_purged_segments_serve_again() {
    let disk = SimulatedDisk::new(3);
    let log = open(&disk, 1).unwrap();
    let membership = Membership { voters: vec![vec![1, 2, 3]], nodes: vec![(1, "a".into())] };
    let first = Entry { log_id: log_id(1, 0), payload: Payload::Membership(membership.clone()) };
    log.append(vec![first], ignored()).unwrap();
    for index in 1..100 {
        log.append(vec![entry(1, index, 300)], ignored()).unwrap();
    }
    let files = disk.contents().len();
    let entries = log.read(0, 100, usize::MAX).unwrap();
    assert!(entries.iter().skip(1).enumerate().all(|(at, found)| *found == entry(1, at as u64 + 1, 300)));
    assert_eq!(log.read(10, 100, 1000).unwrap().len(), 2, "about 1000 bytes");
    log.purge(log_id(1, 90), None, ignored()).unwrap();
    assert!(disk.contents().len() < files / 2, "purged files go, or wait for their next use");
    assert_eq!(log.read(0, 100, usize::MAX).unwrap().len(), 9);
    for index in 100..150 {
        log.append(vec![entry(1, index, 300)], ignored()).unwrap();
    }
    drop(log);
    let log = open(&disk, 2).unwrap();
    assert_eq!(log.first_index(), 91);
    assert_eq!(log.read(0, 150, usize::MAX).unwrap().len(), 59);
    assert_eq!(log.membership_at(120).unwrap(), Some((log_id(1, 0), membership)), "the purge record keeps it");
}

#[test]
fn the_log_thread_coalesces_and_an_entry_waits_for_its_token() {
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions { token_hold: Duration::from_millis(500), ..LogOptions::new(1, 1) };
    let log = Log::open(Arc::new(RealDisk), directory.path(), options, Mode::Threaded).unwrap();
    let (sender, receiver) = mpsc::channel();
    let report = |name: &'static str| -> Done {
        let sender = sender.clone();
        Box::new(move |result| sender.send((name, result.is_ok())).unwrap())
    };
    // The executor is idle: the entry's fdatasync is held for its token.
    log.executor_is_idle();
    log.append(vec![entry(1, 0, 10)], report("entry")).unwrap();
    assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err(), "held");
    log.issue_ballot(Ballot::Token(token(1, 0, 1)), report("token")).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_millis(200)), Ok(("entry", true)), "released by the token");
    assert_eq!(receiver.recv().unwrap(), ("token", true));
    // Nobody said idle again: nothing is held.
    log.append(vec![entry(1, 1, 10)], report("entry")).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_millis(400)), Ok(("entry", true)));
    // Verdicts are not executed, so no token is awaited.
    log.executor_is_idle();
    let verdict = Verdict { log_id: log_id(1, 1), attempt: 0, decision: Decision::Replay };
    let payload = Payload::Command(EncodedCommand::new(Command::Verdict(verdict)));
    log.append(vec![Entry { log_id: log_id(1, 2), payload }], report("verdict")).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_millis(400)), Ok(("verdict", true)));
    // A token that never comes does not hold for ever.
    log.append(vec![entry(1, 3, 10)], report("late")).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(5)), Ok(("late", true)));
    log.shut_down();
    let reopened = Log::open(Arc::new(RealDisk), directory.path(), LogOptions::new(1, 2), Mode::Inline).unwrap();
    assert_eq!(reopened.state().last, Some(log_id(1, 3)));
}
