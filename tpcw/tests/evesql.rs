//! The experiments that start EveSQL, with the real program, from the command line to the files that they write.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use tpcw::compare::Comparison;
use tpcw::compare::series::Over;
use tpcw::recovery::{Phase, Recovery};

/// One after the other: each of them takes all of a machine.
static TURN: Mutex<()> = Mutex::new(());

/// Runs one on a small shop; what it wrote as NAME.json.
fn experiment<T: serde::de::DeserializeOwned>(name: &str, words: &str) -> T {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let program = Path::new(env!("CARGO_BIN_EXE_tpcw"));
    let directory = tempfile::tempdir().unwrap();
    let own = |name: &str| directory.path().join(name).display().to_string();
    let mut tpcw = Command::new(program);
    tpcw.args(words.split(' ')).args(["--items", "100", "--data", &own("data"), "--out", &own("out")]);
    // Without it the program under test builds one.
    let evesql = program.with_file_name("evesql");
    if evesql.exists() {
        tpcw.arg("--evesql").arg(evesql);
    }
    let ran = tpcw.output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let page = std::fs::read_to_string(own(&format!("out/{name}.html"))).unwrap();
    assert!(page.contains("<svg") && !page.contains("Found:"), "{page}");
    json5::from_str(&std::fs::read_to_string(own(&format!("out/{name}.json"))).unwrap()).unwrap()
}

fn recovery(words: &str) -> Recovery {
    let short = "recovery --mix ordering --clients 4 --warm-up 0 --before-seconds 1 --dead-seconds 2 --after-seconds 4";
    let seen: Recovery = experiment("recovery", &format!("{short} {words}"));
    let marks = &seen.death.marks;
    assert!((0.9..2.0).contains(&marks.killed_s), "{marks:?}");
    assert!((1.9..3.0).contains(&(marks.started_s - marks.killed_s)), "{marks:?}");
    for at in [marks.answers_s, marks.caught_up_s, marks.healthy_s] {
        assert!(at.is_some_and(|at| at > marks.started_s), "{marks:?}");
    }
    let of = |name: &str| seen.phases.iter().find(|phase| phase.name == name).map(|phase: &Phase| phase.wips);
    assert!(of("before") > Some(0.0) && of("dead") > Some(0.0), "{:?}", seen.phases);
    assert!(seen.report.all.count > 0 && seen.report.all.failures == 0, "{:?}", seen.report.all);
    seen
}

#[test]
fn a_follower_that_is_killed_catches_up_from_the_log() {
    let death = recovery("--disk kept").death;
    assert!(!death.was_leader && death.returned_as == death.node, "{death:?}");
    assert!(death.batches_behind > 0 && death.pages_fetched == 0 && death.marks.voter_s.is_none(), "{death:?}");
}

#[test]
fn a_leader_whose_pages_are_damaged_fetches_them() {
    let death = recovery("--leader --disk damaged").death;
    assert!(death.was_leader && death.returned_as == death.node, "{death:?}");
    assert!(death.batches_behind > 0 && death.pages_fetched > 0, "{death:?}");
}

#[test]
fn a_new_node_takes_the_place_of_one_whose_disk_is_lost() {
    let death = recovery("--disk lost").death;
    assert!(death.returned_as == 4 && death.node != 4 && death.pages_fetched > 0, "{death:?}");
    assert!(death.marks.voter_s >= death.marks.caught_up_s, "{death:?}");
}

#[test]
fn divergences_and_sizes_of_batches_are_contestants_whose_numbers_are_told() {
    // On a machine that is busy with other things, three divergences must not meet in one batch: it would be void.
    let words = "compare --mix ordering --clients 4 --seconds 3 --warm-up 1 --passes 1 --replicas 3 --sqlite none";
    let compared: Comparison = experiment("report", &format!("{words} --divergences 20,60 --batches 1,100"));
    let numbers = |over| {
        let series = compared.series.iter().find(|series| series.over == over).unwrap();
        series.points.iter().map(|(number, _)| *number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(Over::Divergences), [0, 20, 60]);
    assert_eq!(numbers(Over::Batches), [1, 100]);
    let found = |name: &str| {
        let pass = compared.passes.iter().find(|pass| pass.contestant == name).unwrap();
        pass.divergences.map(|told| (told.injected, told.found, told.found == told.healed))
    };
    assert_eq!(found("EveSQL, 3 replicas"), None);
    let [few, many] = [20, 60].map(|rate| found(&format!("EveSQL, 3 replicas, {rate} divergences/min")).unwrap());
    assert!(few.0 >= 1 && few.1 >= 1 && few.2 && many.0 > few.0 && many.1 > few.1 && many.2, "{few:?} {many:?}");
    let in_a_batch = |most| {
        let name = format!("EveSQL, 3 replicas, batches of {most}");
        let spent = compared.passes.iter().find(|pass| pass.contestant == name).unwrap().spent.unwrap();
        assert!(spent.batches > 0, "{spent:?}");
        spent.transactions as f64 / spent.batches as f64
    };
    assert!(in_a_batch(1) <= 1.0 && in_a_batch(100) > 1.0, "{} {}", in_a_batch(1), in_a_batch(100));
}
