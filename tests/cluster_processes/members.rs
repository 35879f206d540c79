//! Nodes come, go and come back after too long a time, while clients work.

use super::harness::{PATIENCE, free_port, run};
use super::large;
use super::node::Node;
use super::world::{ALL, World, rounds};
use std::path::PathBuf;
use std::time::Instant;

/// A node that keeps little of its log.
fn forgetful(directory: &tempfile::TempDir, more: &str) -> String {
    let file = directory.path().join("evesql.toml");
    std::fs::write(&file, format!("checkpoint_batches = 20\nlog_keep_entries = 20\n{more}")).unwrap();
    file.to_str().unwrap().into()
}

/// A fourth node, which joins through the first one.
fn fourth(world: &mut World, config: &str) {
    let data: PathBuf = world.directory.path().join("of-4");
    let at = format!("127.0.0.1:{}", world.nodes[&1].peer_port);
    let node = Node::joining(4, data, free_port(), at, &["--config", config]);
    world.nodes.insert(4, node);
    world.start_nodes(&[4]);
}

/// What the program says to administrators, and its exit code.
fn wish(world: &World, node: u64, words: &[&str]) -> (String, i32) {
    let told = run(&[words, &["--admin", &world.nodes[&node].admin]].concat());
    let said = [told.stdout, told.stderr].concat();
    (String::from_utf8(said).unwrap(), told.status.code().unwrap())
}

#[track_caller]
fn done(world: &World, node: u64, words: &[&str], expected: &str) {
    let (said, code) = wish(world, node, words);
    assert!(code == 0 && said.contains(expected), "{words:?}: {code} {said}");
}

#[test]
fn a_new_node_joins_under_load_becomes_a_voter_and_takes_another_ones_place() {
    let settings = tempfile::tempdir().unwrap();
    let config = forgetful(&settings, "");
    let mut world = World::start(&["--config", &config]);
    let load = world.load();
    load.goes_on(200);
    fourth(&mut world, &config);
    world.wait_until("node 4 does not follow", |world| {
        world.nodes[&4].own_status().is_some_and(|node| node.role == "learner" && node.accepted_index > 0)
    });
    done(&world, 2, &["member", "add", "4"], "node 4 is a voter now");
    done(&world, 2, &["member", "add", "4"], "node 4 is a voter already");
    load.goes_on(50);
    let leader = world.leader(&ALL);
    let (said, code) = wish(&world, leader, &["member", "remove", &leader.to_string()]);
    assert!(code == 1 && said.contains("hand that over first"), "{code} {said}");
    done(&world, leader, &["transfer-leader", "4"], "node 4 leads now");
    assert_eq!(world.leader(&[1, 2, 3, 4]), 4);
    load.goes_on(50);
    done(&world, leader, &["member", "remove", &leader.to_string()], "is no member any more");
    let (said, code) = wish(&world, 4, &["member", "remove", "9"]);
    assert!(code == 1 && said.contains("node 9 is no member"), "{code} {said}");
    // Its clients go to the others.
    world.node(leader).kill();
    load.goes_on(100);
    load.finish(&world.runtime);
    let left: Vec<u64> = [1, 2, 3, 4].into_iter().filter(|id| *id != leader).collect();
    // It starts again, and is let in nowhere.
    world.start_nodes(&[leader]);
    world.wait_until("a node that was removed is let in", |world| {
        world.nodes[&leader].said().contains("is no member as far as")
    });
    world.node(leader).kill();
    world.end_with(&left);
}

#[test]
fn a_node_that_was_away_for_longer_than_the_log_is_kept_fetches_the_pages_that_differ() {
    let settings = tempfile::tempdir().unwrap();
    let config = forgetful(&settings, "");
    let mut world = World::start(&["--config", &config]);
    for _ in 0..rounds() {
        let victim = world.followers()[0];
        world.node(victim).kill();
        let before = world.nodes[&victim].said().matches("joining by pages").count();
        let load = world.load();
        load.goes_on(400);
        world.start_nodes(&[victim]);
        world.wait_until("the log was kept after all", |world| {
            world.nodes[&victim].said().matches("joining by pages").count() > before
        });
        world.agree_under_load(&ALL);
        load.goes_on(50);
        load.finish(&world.runtime);
    }
    world.end();
}

#[test]
fn a_join_that_is_interrupted_goes_on_with_the_pages_that_it_has() {
    const ROWS: usize = 20_000;
    // A page each.
    let pages_min = ROWS + large::pages();
    let settings = tempfile::tempdir().unwrap();
    let config = forgetful(&settings, "transfer_mib_per_s = 25\nmemory_mib = 64\n");
    let mut world = World::start(&["--config", &config]);
    let client = world.connect(1);
    let sql = "CREATE TABLE big (id int PRIMARY KEY, text text);";
    world.runtime.block_on(client.batch_execute(sql)).unwrap();
    for from in (0..ROWS).step_by(2_000) {
        let sql = format!(
            "INSERT INTO big SELECT g, repeat(md5(g::text), 110) FROM generate_series({from}, {}) g",
            from + 1_999
        );
        world.runtime.block_on(client.batch_execute(&sql)).unwrap();
    }
    let load = world.load();
    load.goes_on(100);
    fourth(&mut world, &config);
    let fetched = |world: &World| -> usize {
        let status = world.nodes[&4].own_status();
        let reason = status.and_then(|node| node.reason).unwrap_or_default();
        let pages = reason.split("fetches pages: ").nth(1).and_then(|rest| rest.split(' ').next());
        pages.and_then(|pages| pages.parse().ok()).unwrap_or(0)
    };
    // Past the first part that stands on the disk.
    world.wait_until("node 4 fetches nothing", |world| fetched(world) > pages_min / 2);
    world.node(4).kill();
    load.goes_on(50);
    world.start_nodes(&[4]);
    let began = Instant::now();
    world.agree_under_load(&[1, 2, 3, 4]);
    assert!(began.elapsed() < PATIENCE);
    let said = world.nodes[&4].said();
    let number = |line: &str| line.split("pages=").nth(1)?.split(' ').next()?.parse::<usize>().ok();
    let pages: Vec<usize> =
        said.lines().filter(|line| line.contains("repaired by page transfer")).filter_map(number).collect();
    let all = pages.iter().sum::<usize>();
    assert!(
        !pages.is_empty() && all < pages_min * 3 / 4,
        "{pages:?} of more than {pages_min} pages were fetched after the restart"
    );
    load.finish(&world.runtime);
    done(&world, 1, &["member", "add", "4"], "node 4 is a voter now");
    world.end_with(&[1, 2, 3, 4]);
}
