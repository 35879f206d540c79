//! Stories of three nodes in one process, driven below the sessions: what is acknowledged stays, roots agree, a
//! node that is wrong is found and repaired.

use evesql::config::Config;
use evesql::node::core::Drill;
use evesql::node::{Cluster, RunningNode};
use evesql::page::Hash;
use evesql::transaction::{Operation, Outcome, Statement, Transaction, TransactionId, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static SEQUENCE: AtomicU64 = AtomicU64::new(1);

struct Story {
    cluster: Arc<Cluster>,
    _directory: Option<tempfile::TempDir>,
    config: Config,
}

impl Story {
    fn begin() -> Story {
        let _ = tracing_subscriber::fmt().with_env_filter("warn,openraft=error").with_test_writer().try_init();
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data: directory.path().join("data"), drills: true, ..Config::default() };
        let cluster = Cluster::start(config.clone()).unwrap();
        cluster.wait_for_leader(Duration::from_secs(30)).unwrap();
        Story { cluster, _directory: Some(directory), config }
    }

    /// All nodes die and start again from their files.
    fn restart(mut self) -> Story {
        for node in 1..=3 {
            self.cluster.kill(node);
        }
        self.cluster.stop();
        let cluster = Cluster::start(self.config.clone()).unwrap();
        cluster.wait_for_leader(Duration::from_secs(30)).unwrap();
        Story { cluster, _directory: self._directory.take(), config: self.config.clone() }
    }

    fn catalog(&self) -> Hash {
        let home = self.cluster.home().unwrap();
        home.shared.accepted_state().databases["evesql"].catalog.version
    }

    fn run(&self, sql: &[&str]) -> Outcome {
        let statement = |sql: &&str| {
            Operation::Statement(Statement {
                sql: vec![(*sql).into()],
                parameters: Vec::new(),
                rows: None,
                changes_schema: sql.starts_with("CREATE") || sql.starts_with("DROP"),
                drawn: Vec::new(),
                system_values: Vec::new(),
                seen: None,
                seen_outline: Vec::new(),
            })
        };
        let transaction = Transaction {
            id: TransactionId {
                incarnation: self.cluster.surroundings().incarnation,
                session: 1,
                sequence: SEQUENCE.fetch_add(1, Ordering::Relaxed),
            },
            database: "evesql".into(),
            catalog: self.catalog(),
            begun: None,
            expires_at_index: u64::MAX,
            operations: sql.iter().map(statement).collect(),
        };
        let outcome = self.cluster.submit(transaction);
        futures::executor::block_on(outcome).unwrap()
    }

    fn count(&self, sql: &str) -> i64 {
        let Outcome::Committed(answers) = self.run(&[sql]) else { panic!("{sql} fails") };
        let values: Vec<Value> = answers[0].rows.values().map(|value| value.to_value()).collect();
        match values.as_slice() {
            [Value::Integer(count)] => *count,
            other => panic!("{sql}: {other:?}"),
        }
    }

    /// Waits until all nodes serve and have the same accepted root.
    fn agree(&self) -> Hash {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let nodes = self.cluster.nodes();
            let states: Vec<_> = nodes.iter().map(|node| node.shared.accepted()).collect();
            // After a start there may be more in the log than is accepted again.
            let settled = |node: &Arc<RunningNode>| {
                node.shared.serves() && node.shared.status().is_some_and(|status| status.unaccepted == 0)
            };
            let all = nodes.len() == 3 && nodes.iter().all(settled);
            if all && states.windows(2).all(|pair| pair[0].root == pair[1].root && pair[0].log_id == pair[1].log_id) {
                return states[0].root;
            }
            assert!(Instant::now() < deadline, "no agreement: {}", self.cluster.status(0).render());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn fill(story: &Story, from: i64, to: i64) {
    for n in from..to {
        let outcome = story.run(&[&format!("INSERT INTO t VALUES ({n}, 'row {n}')")]);
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }
}

#[test]
fn three_nodes_accept_transactions_with_one_root() {
    let story = Story::begin();
    assert!(matches!(story.run(&["CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)"]), Outcome::Committed(_)));
    fill(&story, 0, 50);
    assert_eq!(story.count("SELECT count(*) FROM t"), 50);
    assert!(matches!(story.run(&["INSERT INTO t VALUES (0, 'again')"]), Outcome::Failed { .. }));
    story.agree();
    assert_eq!(story.cluster.divergences(), []);
}

#[test]
fn what_was_acknowledged_survives_the_death_of_all_nodes() {
    let story = Story::begin();
    story.run(&["CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)"]);
    fill(&story, 0, 100);
    let before = story.agree();
    let story = story.restart();
    assert_eq!(story.agree(), before);
    assert_eq!(story.count("SELECT count(*) FROM t"), 100);
    fill(&story, 100, 120);
    let story = story.restart();
    assert_eq!(story.count("SELECT count(*) FROM t"), 120);
    story.agree();
}

#[test]
fn the_leader_dies_and_the_others_go_on() {
    let story = Story::begin();
    story.run(&["CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)"]);
    fill(&story, 0, 20);
    let leader = story.cluster.leader().unwrap().shared.id;
    assert!(story.cluster.kill(leader));
    fill(&story, 20, 40);
    story.cluster.restart(leader).unwrap();
    fill(&story, 40, 60);
    assert_eq!(story.count("SELECT count(*) FROM t"), 60);
    story.agree();
}

#[test]
fn a_node_with_a_wrong_answer_is_repaired_and_reported() {
    let story = Story::begin();
    story.run(&["CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)"]);
    fill(&story, 0, 10);
    for node in 1..=3 {
        let before = story.cluster.divergences().len();
        assert!(story.cluster.drill(node, Drill::WrongAnswer));
        fill(&story, node as i64 * 1000, node as i64 * 1000 + 10);
        story.agree();
        assert!(story.cluster.divergences().len() >= before);
    }
    assert_eq!(story.count("SELECT count(*) FROM t"), 40);
}

#[test]
fn a_flipped_bit_is_found_and_its_page_fetched() {
    let story = Story::begin();
    story.run(&["CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)"]);
    fill(&story, 0, 100);
    // The catalog's, behind page 1: what inserts rewrite is healed by them.
    assert!(story.cluster.drill(2, Drill::FlipBit { page: 1 }));
    fill(&story, 100, 101);
    assert_eq!(story.count("SELECT count(*) FROM t"), 101);
    story.agree();
    let node = story.cluster.node(2).unwrap();
    let repaired = || node.shared.repairs() > 0;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !repaired() {
        assert!(Instant::now() < deadline, "the flipped bit was not found");
        std::thread::sleep(Duration::from_millis(20));
    }
    story.agree();
}
