//! A node without a cluster: one replica on a thread of its own, every batch accepted as soon as it is
//! executed. What sessions do can be tested on it before, and apart from, consensus.

use evesql::batch::{Batch, Plan};
use evesql::catalog::roles::{ROLES_DATABASE, Roles};
use evesql::page::Hash;
use evesql::replica::{AcceptedState, Mode, Options, Replica};
use evesql::seam::{Clock, SystemClock};
use evesql::session::ticket_desk::TicketDesk;
use evesql::session::tickets::{Holder, Key, Mode as TicketMode};
use evesql::session::{
    Admission, Gateway, GatewayError, LockError, Pinned, ReadLevel, SessionService, Soon, TicketError, Waiting,
};
use evesql::token::{Accepted, LogId};
use evesql::transaction::{ONCE_WINDOW, Outcome, Transaction};
use evesql::wire::{Front, FrontOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

type Submission = (Transaction, oneshot::Sender<Outcome>);

pub struct TestGateway {
    submissions: mpsc::Sender<Submission>,
    accepted: watch::Receiver<Arc<AcceptedState>>,
    tickets: TicketDesk,
    locks_lost: watch::Sender<u64>,
    seeds: AtomicU64,
}

impl TestGateway {
    pub fn start() -> Arc<TestGateway> {
        let (submissions, arrivals) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        std::thread::Builder::new()
            .name("replica".into())
            .spawn(move || {
                let mut replica = Replica::create(Options::default()).expect("a replica in memory");
                tell.send(replica.accepted()).expect("the test waits for it");
                run(&mut replica, &arrivals);
            })
            .expect("a thread");
        let accepted = told.recv().expect("the replica starts");
        let (tickets, locks_lost, seeds) = (TicketDesk::default(), watch::Sender::new(0), AtomicU64::new(1));
        Arc::new(TestGateway { submissions, accepted, tickets, locks_lost, seeds })
    }
}

/// Executes what comes, in batches of what waits.
fn run(replica: &mut Replica, arrivals: &mpsc::Receiver<Submission>) {
    let mut index = 0;
    while let Ok(first) = arrivals.recv() {
        let mut waiting = vec![first];
        waiting.extend(arrivals.try_iter().take(999));
        index += 1;
        let (transactions, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let transactions = transactions
            .into_iter()
            .map(|transaction| Transaction { expires_at_index: index + ONCE_WINDOW / 2, ..transaction })
            .collect();
        let batch = Batch {
            timestamp_us: SystemClock.now_us(),
            seed: index,
            engine: Hash::default(),
            accepted: replica.newest(),
            transactions,
            plan: Plan::default(),
        };
        let log_id = LogId { term: 1, leader: 1, index };
        let executed = replica.execute(log_id, &batch, &Mode::Planned).expect("this machine is well");
        let accepted =
            Accepted { log_id, attempt: 0, root: executed.root, answers: executed.answers, token: Hash::default() };
        replica.accept(&accepted).expect("it was just executed");
        for (answer, outcome) in answers.into_iter().zip(executed.outcomes) {
            let _ = answer.send(outcome);
        }
    }
}

impl Gateway for TestGateway {
    fn has_database(&self, name: &str) -> bool {
        self.accepted.borrow().databases.contains_key(name)
    }
    fn read_snapshot(
        &self,
        database: &Arc<str>,
        _level: ReadLevel,
        _max_staleness: Option<Duration>,
    ) -> Soon<Result<Pinned, GatewayError>> {
        let state = self.accepted.borrow();
        Soon::Now(match state.databases.get(database) {
            Some(version) => Ok(Pinned {
                snapshot: version.snapshot.clone(),
                catalog: version.catalog.clone(),
                schema: version.schema,
            }),
            None => Err(GatewayError::NoDatabase(database.to_string())),
        })
    }
    fn submit(&self, transaction: Transaction) -> Waiting<Result<Outcome, GatewayError>> {
        let (answer, answered) = oneshot::channel();
        let sent = self.submissions.send((transaction, answer));
        Box::pin(async move {
            sent.map_err(|_| GatewayError::ShuttingDown)?;
            answered.await.map_err(|_| GatewayError::Unknown("the replica stopped".into()))
        })
    }
    fn roles(&self) -> Arc<Roles> {
        self.accepted.borrow().databases.get(ROLES_DATABASE).map(|v| v.catalog.roles.clone()).unwrap_or_default()
    }
    fn incarnation(&self) -> u64 {
        7
    }
    fn snapshot_age_max(&self) -> Duration {
        Duration::MAX
    }
    fn now_us(&self) -> i64 {
        SystemClock.now_us()
    }
    fn seed(&self) -> u64 {
        self.seeds.fetch_add(1, Ordering::Relaxed)
    }
    fn request_ticket(
        &self,
        holder: Holder,
        key: Key,
        mode: TicketMode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), TicketError>> {
        self.tickets.request(holder, key, mode, timeout)
    }
    fn release_tickets(&self, holder: Holder) {
        self.tickets.release(holder);
    }
    fn request_lock(
        &self,
        holder: Holder,
        key: Key,
        mode: TicketMode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), LockError>> {
        self.tickets.request_lock(holder, key, mode, timeout)
    }
    fn release_locks(&self, holder: Holder, which: Option<(Key, TicketMode)>) {
        self.tickets.release_locks(holder, which.as_ref().map(|(key, mode)| (key, *mode)));
    }
    fn locks_lost(&self) -> watch::Receiver<u64> {
        self.locks_lost.subscribe()
    }
}

/// A front over a fresh gateway, on a port of its own.
pub struct Server {
    pub port: u16,
    #[allow(dead_code, reason = "not every test looks behind the front")]
    pub gateway: Arc<TestGateway>,
    front: Option<Front>,
}

impl Server {
    pub fn start() -> Server {
        Server::with(FrontOptions::default())
    }

    pub fn with(options: FrontOptions) -> Server {
        let gateway = TestGateway::start();
        let kept = gateway.clone();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let serve = move |_| SessionService::new(gateway.clone(), Admission::default());
        let front = Front::start(listener, None, options, serve).expect("a front");
        Server { port: front.address().port(), gateway: kept, front: Some(front) }
    }

    pub fn config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user("evesql").dbname("evesql");
        config
    }

    /// A connected client; its connection runs in the background.
    pub async fn connect(&self) -> tokio_postgres::Client {
        let (client, connection) = self.config().connect(tokio_postgres::NoTls).await.expect("it connects");
        tokio::spawn(async move {
            let _ = connection.await;
        });
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(front) = self.front.take() {
            front.shutdown();
        }
    }
}
