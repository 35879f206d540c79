//! A client whose own node computes a wrong answer hears the majority's (rule 28). Each node has its clients to itself
//! here, as a process of its own has them: no other node can answer for it, as nodes of one process do.

use evesql::config::Config;
use evesql::node::core::{Drill, Input};
use evesql::node::message::NodeMessage;
use evesql::node::rules::SharedRules;
use evesql::node::{ConsensusThread, MembersView, RunningNode, Surroundings, Waiters, no_checkpoints};
use evesql::peer::InProcess;
use evesql::seam::{RealDisk, SystemClock};
use evesql::token::NodeId;
use evesql::transaction::{Operation, Outcome, Statement, Transaction, TransactionId, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nothing healthy takes so long, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(60);
const NODES: [NodeId; 3] = [1, 2, 3];

static SEQUENCE: AtomicU64 = AtomicU64::new(1);

/// Three nodes that share a network and nothing else.
struct Apart {
    nodes: Vec<RunningNode>,
    /// After the nodes, which need it to stop.
    _consensus: ConsensusThread,
    _directory: tempfile::TempDir,
}

impl Apart {
    fn begin() -> Apart {
        let directory = tempfile::tempdir().unwrap();
        let network = Arc::new(InProcess::direct(1));
        let consensus = ConsensusThread::start().unwrap();
        let start = |node: NodeId| {
            let around = Surroundings {
                config: Config { data: directory.path().into(), ..Config::default() },
                rules: SharedRules::default(),
                members: Arc::new(MembersView::new(NODES.map(|node| (node, String::new())))),
                network: network.clone(),
                door: None,
                neighbours: Arc::default(),
                disk: Arc::new(RealDisk),
                clock: Arc::new(SystemClock),
                waiters: Arc::new(Waiters::default()),
                acknowledged: Arc::default(),
                tickets: Arc::default(),
                checkpoints: no_checkpoints(&NODES),
                incarnation: 100 + node,
                starts: Arc::default(),
                log_segment_bytes: 1 << 20,
                crashes: Vec::new(),
            };
            let log = RunningNode::open_log(node, &around).unwrap();
            RunningNode::start(node, &around, log, consensus.handle()).unwrap()
        };
        let nodes = NODES.map(start).into();
        Apart { nodes, _consensus: consensus, _directory: directory }
    }

    fn node(&self, id: NodeId) -> &RunningNode {
        self.nodes.iter().find(|node| node.shared.id == id).unwrap()
    }

    /// Submits at a client of this node, to whoever leads; what the client hears, if anything.
    fn run(&self, at: NodeId, sql: &str) -> Option<Outcome> {
        self.run_while(at, sql, || {})
    }

    /// The same, with something that happens again and again until the client hears.
    fn run_while(&self, at: NodeId, sql: &str, happens: impl Fn()) -> Option<Outcome> {
        let shared = &self.node(at).shared;
        let statement =
            Statement { sql: vec![sql.into()], changes_schema: sql.starts_with("CREATE"), ..Statement::default() };
        let transaction = Transaction {
            id: TransactionId {
                incarnation: shared.incarnation,
                session: 1,
                sequence: SEQUENCE.fetch_add(1, Ordering::Relaxed),
            },
            database: "evesql".into(),
            catalog: shared.accepted_state().databases["evesql"].catalog.version,
            begun: None,
            expires_at_index: shared.accepted().log_id.index + 500,
            operations: vec![Operation::Statement(statement)],
        };
        let mut heard = shared.waiters.register(Arc::new(transaction.clone()));
        let mut taken_under = None;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // Under a new leader it may be lost: it is submitted again, under the same id.
            let leader = self.nodes.iter().find(|node| node.leads());
            if let Some((leader, leads)) = leader.map(|leader| (leader, *leader.consensus.leader().borrow()))
                && leads != taken_under
                && leader.proposer.submit(transaction.clone()).is_ok()
            {
                taken_under = leads;
            }
            if let Ok(outcome) = heard.try_recv() {
                return outcome.ok();
            }
            happens();
            std::thread::sleep(Duration::from_micros(50));
        }
        None
    }

    /// Waits until all serve with one root and nothing under way.
    fn agree(&self) {
        wait_for("agreement", || {
            let at_rest = |node: &RunningNode| {
                node.shared.serves() && node.shared.status().is_some_and(|status| status.unaccepted == 0)
            };
            let states: Vec<_> = self.nodes.iter().map(|node| node.shared.accepted()).collect();
            let equal = |pair: &[_]| matches!(pair, [a, b] if same(a, b));
            self.nodes.iter().all(at_rest) && states.windows(2).all(equal)
        });
    }
}

fn same(a: &evesql::token::Accepted, b: &evesql::token::Accepted) -> bool {
    (a.log_id, a.root) == (b.log_id, b.root)
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The number that one changed row was given.
fn number(outcome: Option<Outcome>) -> i64 {
    let Some(Outcome::Committed(answers)) = outcome else { panic!("not committed: {outcome:?}") };
    assert_eq!(answers[0].changes, 1, "another count of rows was heard");
    match answers[0].rows.values().map(|value| value.to_value()).collect::<Vec<_>>().as_slice() {
        [Value::Integer(number)] => *number,
        other => panic!("another answer was heard: {other:?}"),
    }
}

fn with_a_counter() -> Apart {
    let apart = Apart::begin();
    for sql in ["CREATE TABLE t (n INTEGER NOT NULL)", "INSERT INTO t VALUES (0)"] {
        let outcome = apart.run(1, sql);
        assert!(matches!(outcome, Some(Outcome::Committed(_))), "{outcome:?}");
        apart.agree();
    }
    apart
}

const COUNT: &str = "UPDATE t SET n = n + 1 RETURNING n";

#[test]
fn clients_of_a_node_in_the_minority_hear_the_answer_of_the_majority() {
    let apart = with_a_counter();
    let mut counted = 0;
    // The leader is one of them.
    for id in NODES {
        let node = apart.node(id);
        apart.agree();
        node.inbox.put(Input::Drill(Drill::WrongAnswer));
        counted += 1;
        assert_eq!(number(apart.run(id, COUNT)), counted, "of node {id}, which computed another");
        wait_for("the repair", || node.shared.repairs() == 1);
        counted += 1;
        assert_eq!(number(apart.run(id, COUNT)), counted, "of node {id} after its repair");
    }
    apart.agree();
}

#[test]
fn answers_that_are_not_the_accepted_ones_are_not_passed_on() {
    let apart = with_a_counter();
    for counted in 1..=6 {
        apart.agree();
        let node = apart.node(1 + counted as NodeId % 3);
        let (id, repairs) = (node.shared.id, node.shared.repairs());
        node.inbox.put(Input::Drill(Drill::WrongAnswer));
        let next = node.shared.accepted().log_id.index + 1;
        // A peer's word comes before those of the others, whatever they say.
        let heard = apart.run_while(id, COUNT, || {
            for index in next..next + 3 {
                let message = NodeMessage::Answers { index, outcomes: vec![Outcome::Void] };
                node.inbox.put(Input::Message { from: 1 + id % 3, message });
            }
        });
        assert_eq!(number(heard), counted);
        wait_for("the repair", || node.shared.repairs() > repairs);
    }
}
