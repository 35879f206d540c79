//! Offices of three nodes on simulated time, without anything else of a node.

use super::*;
use crate::node::message::encode;
use crate::peer::{Handler, InProcess};
use futures::FutureExt;
use futures::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

const NODES: [NodeId; 3] = [1, 2, 3];
/// Nothing here takes so long.
const PATIENCE: Duration = Duration::from_secs(100);

/// Hands over what is said of tickets.
struct Counter(Arc<TicketOffice>);

impl Handler for Counter {
    fn handle(&self, from: NodeId, message: PeerMessage) -> BoxFuture<'static, PeerReply> {
        match message {
            PeerMessage::Other(bytes) => match NodeMessage::decode(&bytes).unwrap() {
                NodeMessage::TicketsReleased { holder, what } => self.0.released(from, holder, what),
                NodeMessage::TicketsHeld => self.0.heard(from),
                NodeMessage::WhoHolds => self.0.called(from),
                other => panic!("{other:?}"),
            },
            PeerMessage::Question(bytes) => match postcard::from_bytes(&bytes).unwrap() {
                Question::Ticket { holder, key, mode, timeout } => {
                    return match self.0.asked(from, holder, key, mode, timeout) {
                        Soon::Now(reply) => ready(PeerReply::Bytes(encode(&reply))).boxed(),
                        Soon::Later(waits) => async move { PeerReply::Bytes(encode(&waits.await)) }.boxed(),
                    };
                }
                Question::KeepTickets { incarnation, term, sessions } => {
                    let kept = self.0.kept(from, incarnation, term, &sessions);
                    return ready(PeerReply::Bytes(encode(&kept))).boxed();
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
        ready(PeerReply::None).boxed()
    }
}

struct Offices {
    network: InProcess,
    /// Whether a quorum confirms whoever leads.
    confirms: Arc<AtomicBool>,
    offices: Vec<Arc<TicketOffice>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Offices {
    /// Node 1 leads.
    fn open() -> Offices {
        let network = InProcess::new(1);
        let confirms = Arc::new(AtomicBool::new(true));
        let mut all = Offices { network, confirms, offices: Vec::new(), tasks: Vec::new() };
        for node in NODES {
            all.offices.push(Arc::new(TicketOffice::among_others(node * 1_000)));
            all.start(node);
        }
        all.lead(1, 1);
        all
    }

    fn start(&mut self, node: NodeId) {
        let office = self.of(node).clone();
        let members = Arc::new(MembersView::new(NODES.map(|node| (node, String::new()))));
        office.open(node, self.network.transport(node), members);
        self.tasks.push(self.network.attach(node, Arc::new(Counter(office.clone()))));
        let confirms = self.confirms.clone();
        let leads = move || ready(confirms.load(Ordering::Relaxed));
        self.tasks.push(tokio::spawn(office.keep(|_| true, leads)));
    }

    fn of(&self, node: NodeId) -> &Arc<TicketOffice> {
        &self.offices[node as usize - 1]
    }

    fn lead(&self, term: u64, node: NodeId) {
        self.offices.iter().for_each(|office| office.follow(Some(Leadership { term, node })));
    }

    fn holder(&self, node: NodeId, session: u64) -> Holder {
        Holder { incarnation: self.of(node).outside.as_ref().unwrap().incarnation, session }
    }

    /// A session of a node asks.
    fn ask(&self, node: NodeId, session: u64, row: &str, mode: Mode, timeout: Option<Duration>) -> Asking {
        let soon = self.of(node).request(self.holder(node, session), key(row), mode, timeout);
        Box::pin(async { time::timeout(PATIENCE, soon.get()).await.expect("somebody waits in vain") })
    }

    /// For FOR UPDATE.
    fn lock(&self, node: NodeId, session: u64, row: &str) -> Asking {
        self.ask(node, session, row, Mode::Exclusive, None)
    }

    /// A session of a node wants an advisory lock, and asks again while nobody grants any.
    fn advisory(&self, node: NodeId, session: u64, number: i32, timeout: Option<Duration>) -> Advisory {
        let (office, holder) = (self.of(node).clone(), self.holder(node, session));
        Box::pin(async move {
            let key = Key::advisory("d".into(), 0, number, 1);
            loop {
                let soon = office.request_lock(holder, key.clone(), Mode::Exclusive, timeout);
                match time::timeout(PATIENCE, soon.get()).await.expect("somebody waits in vain") {
                    Err(LockError::NotNow) => {
                        office.release_locks(holder, Some((key.clone(), Mode::Exclusive)));
                        time::sleep(Duration::from_millis(50)).await;
                    }
                    told => return told,
                }
            }
        })
    }

    fn unlock(&self, node: NodeId, session: u64) {
        self.of(node).release_locks(self.holder(node, session), None);
    }

    fn release(&self, node: NodeId, session: u64) {
        self.of(node).release(self.holder(node, session));
    }
}

type Advisory = BoxFuture<'static, Result<(), LockError>>;
type Asking = BoxFuture<'static, Result<(), TicketError>>;

fn key(row: &str) -> Key {
    Key { database: "d".into(), table: "t".into(), row: Some(row.into()) }
}

/// Messages arrive; nothing that takes time is over.
async fn settle() {
    time::sleep(Duration::from_millis(1)).await;
}

async fn waits(asking: &mut Asking) -> bool {
    settle().await;
    asking.now_or_never().is_none()
}

#[tokio::test(start_paused = true)]
async fn sessions_of_all_nodes_queue_up_at_the_leader_in_the_order_they_came() {
    let all = Offices::open();
    assert_eq!(all.lock(2, 7, "a").await, Ok(()));
    let mut third = all.lock(3, 7, "a");
    assert!(waits(&mut third).await, "session 7 of another node is somebody else");
    let mut first = all.lock(1, 1, "a");
    assert!(waits(&mut first).await);
    assert_eq!(all.lock(2, 8, "b").await, Ok(()), "another row is free");
    all.release(2, 7);
    assert_eq!(third.await, Ok(()));
    assert!(waits(&mut first).await);
    all.release(3, 7);
    assert_eq!(first.await, Ok(()));
    all.release(1, 1);
    all.release(2, 8);
    settle().await;
    assert!(all.of(1).desk.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_circle_over_two_nodes_is_refused_at_once_and_so_is_who_does_not_want_to_wait() {
    let all = Offices::open();
    let began = Instant::now();
    assert_eq!(all.lock(2, 1, "a").await, Ok(()));
    assert_eq!(all.lock(3, 1, "b").await, Ok(()));
    let at_once = all.ask(3, 2, "a", Mode::Exclusive, Some(Duration::ZERO));
    assert_eq!(at_once.await, Err(TicketError::Timeout));
    let mut waiting = all.lock(2, 1, "b");
    assert!(waits(&mut waiting).await);
    assert_eq!(all.lock(3, 1, "a").await, Err(TicketError::Deadlock));
    assert!(began.elapsed() < Duration::from_millis(100));
    let limit = Duration::from_millis(500);
    let late = all.ask(3, 2, "a", Mode::Exclusive, Some(limit));
    assert_eq!(late.await, Err(TicketError::Timeout));
    assert!(began.elapsed() >= limit);
    all.release(3, 1);
    assert_eq!(waiting.await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_its_session_ends_leaves_the_queue_and_keeps_what_it_held() {
    let all = Offices::open();
    assert_eq!(all.lock(2, 1, "a").await, Ok(()));
    assert_eq!(all.lock(3, 1, "b").await, Ok(()));
    let mut canceled = all.lock(3, 1, "a");
    assert!(waits(&mut canceled).await);
    drop(canceled);
    let mut next = all.lock(1, 1, "a");
    assert!(waits(&mut next).await);
    all.release(2, 1);
    assert_eq!(next.await, Ok(()));
    let held = all.ask(2, 2, "b", Mode::Exclusive, Some(Duration::ZERO));
    assert_eq!(held.await, Err(TicketError::Timeout));
}

#[tokio::test(start_paused = true)]
async fn a_plain_write_at_a_follower_asks_only_while_somebody_keeps_others_out() {
    let all = Offices::open();
    let asked = || all.network.delivered();
    let write = |session| all.ask(2, session, "a", Mode::Shared, None);
    assert_eq!(write(1).await, Ok(()));
    assert_eq!(asked(), 0);
    assert_eq!(all.ask(1, 1, "a", Mode::Shared, None).await, Ok(()));
    settle().await;
    assert_eq!(asked(), 0, "nobody is kept out by that");
    all.release(1, 1);
    assert_eq!(all.lock(1, 2, "a").await, Ok(()));
    settle().await;
    assert_eq!(asked(), 2, "both others are told");
    let mut waiting = write(1);
    assert!(waits(&mut waiting).await);
    time::sleep(10 * BELIEF).await;
    let mut later = write(2);
    assert!(waits(&mut later).await, "they are told again");
    all.release(1, 2);
    assert_eq!((waiting.await, later.await), (Ok(()), Ok(())));
    all.release(2, 1);
    all.release(2, 2);
    time::sleep(2 * BELIEF).await;
    let before = asked();
    assert_eq!(write(3).await, Ok(()));
    time::sleep(2 * BELIEF).await;
    assert_eq!(asked(), before, "and forget it");
    assert_eq!(all.lock(3, 1, "a").await, Ok(()), "who reads to write asks always");
    assert!(asked() > before);
    let before = asked();
    assert_eq!(all.ask(3, 1, "a", Mode::Shared, None).await, Ok(()));
    assert_eq!(asked(), before, "it has more than that");
}

#[tokio::test(start_paused = true)]
async fn tickets_stay_for_as_long_as_their_node_says_so_and_no_longer() {
    let all = Offices::open();
    assert_eq!(all.lock(3, 1, "a").await, Ok(()));
    let mut waiting = all.lock(1, 1, "a");
    time::sleep(10 * super::super::guests::LEASE).await;
    assert!(waits(&mut waiting).await);
    let died = Instant::now();
    all.network.set_isolated(3, true);
    assert_eq!(waiting.await, Ok(()));
    assert!(died.elapsed() < Duration::from_secs(10), "{:?}", died.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_lost_is_made_up_for() {
    let all = Offices::open();
    assert_eq!(all.lock(3, 1, "a").await, Ok(()));
    assert_eq!(all.lock(3, 2, "b").await, Ok(()));
    all.network.set_isolated(3, true);
    all.release(3, 1);
    settle().await;
    all.network.set_isolated(3, false);
    assert_eq!(all.lock(2, 1, "a").await, Ok(()), "the next sign of life does not name that session");
    assert!(waits(&mut all.lock(2, 2, "b")).await, "it names the other one");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_anew_has_no_tickets_of_the_one_before() {
    let mut all = Offices::open();
    assert_eq!(all.lock(3, 1, "a").await, Ok(()));
    all.of(3).close();
    all.offices[2] = Arc::new(TicketOffice::among_others(77));
    all.start(3);
    all.of(3).follow(Some(Leadership { term: 1, node: 1 }));
    assert_eq!(all.lock(3, 1, "b").await, Ok(()));
    let at_once = all.ask(2, 1, "a", Mode::Exclusive, Some(Duration::ZERO));
    assert_eq!(at_once.await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_without_when_somebody_else_leads_or_nobody() {
    let all = Offices::open();
    assert_eq!(all.lock(2, 1, "a").await, Ok(()));
    let (mut at_leader, mut at_follower) = (all.lock(1, 1, "a"), all.lock(3, 1, "a"));
    assert!(waits(&mut at_leader).await && waits(&mut at_follower).await);
    all.lead(2, 2);
    assert_eq!((at_leader.await, at_follower.await), (Ok(()), Ok(())));
    assert!(all.of(1).desk.is_empty());
    assert_eq!(all.lock(3, 2, "a").await, Ok(()), "the new leader knows of no others");
    let at_once = all.ask(1, 2, "a", Mode::Exclusive, Some(Duration::ZERO));
    assert_eq!(at_once.await, Err(TicketError::Timeout));
    let mut waiting = all.lock(1, 3, "a");
    assert!(waits(&mut waiting).await);
    all.offices.iter().for_each(|office| office.follow(None));
    assert_eq!(waiting.await, Ok(()));
    assert_eq!(all.lock(1, 4, "a").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_does_not_answer_is_not_waited_for() {
    let all = Offices::open();
    assert_eq!(all.lock(1, 1, "a").await, Ok(()));
    let mut waiting = all.lock(3, 1, "a");
    assert!(waits(&mut waiting).await);
    let began = Instant::now();
    all.network.set_isolated(1, true);
    assert_eq!(waiting.await, Ok(()));
    let at_once = all.ask(3, 2, "a", Mode::Exclusive, Some(Duration::ZERO));
    assert_eq!(at_once.await, Ok(()));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_asked_and_does_not_lead_grants_nothing_and_says_so() {
    let all = Offices::open();
    // It has not heard yet that node 1 leads no more.
    all.of(2).follow(Some(Leadership { term: 2, node: 3 }));
    all.of(1).follow(Some(Leadership { term: 2, node: 3 }));
    assert_eq!(all.lock(3, 1, "a").await, Ok(()));
    assert!(all.of(1).desk.is_empty());
    let long = Key { row: Some("x".repeat(KEY_BYTES_MAX).into()), ..key("a") };
    all.lead(3, 1);
    let holder = all.holder(2, 1);
    assert!(matches!(all.of(1).asked(2, holder, long, Mode::Exclusive, None), Soon::Now(TicketReply::Without)));
    assert!(all.of(1).desk.is_empty());
}

#[tokio::test]
async fn an_office_for_all_clients_asks_nobody() {
    let office = TicketOffice::default();
    let ask = |session| office.request(Holder { incarnation: 1, session }, key("a"), Mode::Exclusive, None);
    assert_eq!(ask(1).get().await, Ok(()));
    let waiting = ask(2);
    office.follow(Some(Leadership { term: 2, node: 1 }));
    office.release(Holder { incarnation: 1, session: 1 });
    assert_eq!(waiting.get().await, Ok(()));
    assert!(!office.desk.is_empty());
}

#[tokio::test(start_paused = true)]
async fn sessions_of_all_nodes_exclude_each_other_by_advisory_locks_and_tickets_do_not_end_them() {
    let all = Offices::open();
    let (lost, began) = (NODES.map(|node| all.of(node).locks_lost()), Instant::now());
    assert_eq!(all.advisory(2, 1, 7, None).await, Ok(()));
    assert!(began.elapsed() < Duration::from_secs(1), "all others have said that they hold nothing");
    assert_eq!(all.lock(2, 1, "a").await, Ok(()));
    assert_eq!(all.advisory(3, 1, 7, Some(Duration::ZERO)).await, Err(LockError::Timeout));
    assert_eq!(all.advisory(1, 1, 7, Some(Duration::from_millis(20))).await, Err(LockError::Timeout));
    all.release(2, 1);
    let (mut second, mut third) = (all.advisory(3, 1, 7, None), all.advisory(1, 1, 7, None));
    assert!((&mut second).now_or_never().is_none());
    settle().await;
    assert!((&mut third).now_or_never().is_none());
    time::sleep(Duration::from_secs(60)).await;
    assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
    all.unlock(2, 1);
    assert_eq!(second.await, Ok(()));
    all.unlock(3, 1);
    assert_eq!(third.await, Ok(()));
    all.unlock(1, 1);
    settle().await;
    assert!(all.of(1).desk.is_empty());
    assert!(lost.iter().all(|lost| !lost.has_changed().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_circle_of_advisory_locks_is_refused_at_once() {
    let all = Offices::open();
    assert_eq!(all.advisory(2, 1, 1, None).await, Ok(()));
    assert_eq!(all.advisory(3, 1, 2, None).await, Ok(()));
    let mut waiting = all.advisory(2, 1, 2, None);
    assert!((&mut waiting).now_or_never().is_none());
    settle().await;
    assert_eq!(all.advisory(3, 1, 1, None).await, Err(LockError::Deadlock));
    all.unlock(3, 1);
    assert_eq!(waiting.await, Ok(()));
}

/// Sessions of a node that hold locks must end.
fn lose(office: &TicketOffice) -> impl Future<Output = Instant> {
    let mut lost = office.locks_lost();
    async move {
        time::timeout(PATIENCE, lost.changed()).await.expect("its sessions live on").unwrap();
        Instant::now()
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_ends_its_holders_before_another_is_granted_their_locks() {
    let all = Offices::open();
    assert_eq!(all.advisory(3, 1, 7, None).await, Ok(()));
    let waits = all.advisory(2, 1, 7, None);
    let lost = lose(all.of(3));
    let waits = async { (waits.await, Instant::now()) };
    let cut = Instant::now();
    all.network.set_isolated(3, true);
    let (lost, (granted, at)) = tokio::join!(lost, waits);
    assert_eq!(granted, Ok(()));
    assert!(lost < at && at < cut + Duration::from_secs(10), "{:?} {:?}", lost - cut, at - cut);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_no_quorum_confirms_ends_all_holders_before_the_next_one_grants() {
    let all = Offices::open();
    assert_eq!(all.advisory(1, 1, 7, None).await, Ok(()));
    assert_eq!(all.advisory(3, 1, 8, None).await, Ok(()));
    let (at_leader, at_follower) = (lose(all.of(1)), lose(all.of(3)));
    let deposed = Instant::now();
    all.confirms.store(false, Ordering::Relaxed);
    all.network.set_isolated(2, true);
    let (at_leader, at_follower) = tokio::join!(at_leader, at_follower);
    assert!(at_leader.max(at_follower) < deposed + super::super::vouching::GRACE);
    // What it believes again later does not bring them back.
    all.confirms.store(true, Ordering::Relaxed);
    assert_eq!(all.advisory(3, 2, 7, Some(Duration::ZERO)).await, Ok(()));
    assert_eq!(all.advisory(1, 2, 8, Some(Duration::ZERO)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_grants_nothing_while_an_earlier_one_may_be_believed_in() {
    let all = Offices::open();
    assert_eq!(all.advisory(3, 1, 7, None).await, Ok(()));
    let waits = all.advisory(3, 2, 7, None);
    let lost = lose(all.of(3));
    // Node 1 has not heard of it, and node 3 has.
    let changed = Instant::now();
    all.network.set_isolated(1, true);
    [2, 3].iter().for_each(|node| all.of(*node).follow(Some(Leadership { term: 2, node: 2 })));
    assert_eq!(lost.await, changed);
    let early = time::timeout(Duration::from_secs(4), all.advisory(2, 2, 9, Some(Duration::ZERO)));
    assert!(early.await.is_err(), "node 1 may have granted that one");
    assert_eq!(waits.await, Ok(()));
    assert!(changed.elapsed() < Duration::from_secs(6), "{:?}", changed.elapsed());
    all.unlock(3, 2);
    all.network.set_isolated(1, false);
    all.lead(3, 3);
    let changed = Instant::now();
    assert_eq!(all.advisory(2, 3, 7, None).await, Ok(()));
    assert!(changed.elapsed() < Duration::from_secs(1), "all have said that they follow");
}
