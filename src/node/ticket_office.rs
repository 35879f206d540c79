//! Where a process's sessions get their tickets (rule 29): at a desk of their own while all of the cluster's clients are
//! clients of this process or its node leads, else at the leader's desk, over the network.
//!
//! ```text
//!   session ── request ──> office ── leads ────> desk
//!                            │ follows
//!                            │  Question::Ticket   answered when it is granted or refused, however late
//!                            v
//!                       leader's office ───────> desk, with the other node's session as a guest
//!
//!   released, or waited for no more   ──> leader   NodeMessage::TicketsReleased
//!   each second, which sessions hold something ──> leader   Question::KeepTickets: `guests` drops all others
//!   leader ──> all   NodeMessage::TicketsHeld, each second in which anybody keeps others out of something
//! ```
//!
//! Tickets are a courtesy, so what fails here fails nobody: a session whose request cannot be answered goes on without,
//! and COMMIT finds out. Advisory locks go the same ways and are a promise (rule 27): what fails ends the sessions that
//! hold one, before anybody else can be granted it (`vouching`).
//!
//! Invariants
//! 1. Who leads is known under the lock, and a change of it ends all that was held and waited for, on both sides.
//! 2. What says which sessions of a node hold something is sent under the lock, in order with their requests and
//!    releases: it never names too few.
//! 3. A lock is granted, and its holder lives on, only while it is vouched for that this node leads, or whom it follows.

mod asking;

use super::guests::Guests;
use super::members::MembersView;
use super::message::{Kept, NodeMessage, Question, Released, TicketReply};
use super::vouching::{FRESH, Vouching};
use crate::consensus::Leadership;
use crate::peer::{PeerError, PeerMessage, PeerReply, Transport};
use crate::session::ticket_desk::TicketDesk;
use crate::session::tickets::{Holder, Key, Mode};
use crate::session::{LockError, Soon, TicketError};
use crate::token::NodeId;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{self, Instant};

/// The leader hears this often of sessions that hold tickets, and followers of tickets that are held.
const PAUSE: Duration = Duration::from_secs(1);
/// A leader that says nothing for so long when it should is not waited for.
const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// A question that the leader did not answer for so long is asked again.
const KEEP_WAIT: Duration = Duration::from_secs(1);
/// After so many of them it is not waited for.
const SILENCES_MAX: u32 = 3;
/// How often it is looked whether locks are still vouched for: often enough that the time in between does not matter
/// against what a leader's grace is longer than belief.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Nobody waits for longer.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3_600);
/// A follower believes for so long that tickets are held.
const BELIEF: Duration = Duration::from_secs(3);
/// Longer keys get no tickets: a session shortens its own.
const KEY_BYTES_MAX: usize = 1_024;

/// A request that is under way.
type Reply = BoxFuture<'static, Result<PeerReply, PeerError>>;

/// The tickets of a process's sessions.
#[derive(Default)]
pub struct TicketOffice {
    desk: TicketDesk,
    outside: Option<Arc<Outside>>,
}

/// What there is only where other processes have clients too.
struct Outside {
    incarnation: u64,
    state: Mutex<State>,
    /// There is something to do before the next second.
    hurry: Notify,
    /// Counts how often all advisory locks of this process's sessions were lost.
    lost: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    way: Option<Way>,
    leading: Option<Leadership>,
    /// While this node leads.
    guests: Guests,
    /// When the others heard last that tickets are held.
    told: Option<Instant>,
    /// When the leader said so last.
    heard: Option<Instant>,
    /// This process's sessions that asked the leader, while another node leads.
    asked: HashMap<u64, Asked>,
    /// Since somebody leads.
    vouching: Option<Vouching>,
    /// This node leads, and was asked for an advisory lock that it could not grant.
    wanted: bool,
    /// The leader wants to know at once what sessions here hold.
    called: bool,
}

/// A node's way to the others.
#[derive(Clone)]
struct Way {
    node: NodeId,
    transport: Arc<dyn Transport>,
    members: Arc<MembersView>,
}

/// A session that has asked the leader since its last release.
#[derive(Default)]
struct Asked {
    granted: Vec<(Key, Mode)>,
    locks: Vec<(Key, Mode)>,
    /// Ends a wait when it is dropped.
    waits: Option<oneshot::Sender<()>>,
}

impl Asked {
    fn has(&self, key: &Key, mode: Mode) -> bool {
        self.granted.iter().any(|(held, as_what)| *as_what >= mode && held.covers(key))
    }

    fn is_over(&self) -> bool {
        self.granted.is_empty() && self.locks.is_empty() && self.waits.is_none()
    }
}

/// Where tickets are to be had.
enum Post<'a> {
    Here,
    At(NodeId, &'a Way),
    Nowhere,
}

impl State {
    fn post(&self) -> Post<'_> {
        match (&self.way, self.leading) {
            (Some(way), Some(leading)) if leading.node == way.node => Post::Here,
            (Some(way), Some(leading)) => Post::At(leading.node, way),
            _ => Post::Nowhere,
        }
    }

    /// A message to the leader, if that is another node.
    fn send(&self, message: NodeMessage) {
        if let Post::At(leader, way) = self.post() {
            way.transport.send(leader, PeerMessage::Other(message.encode()));
        }
    }

    /// Others are told that plain writes should ask, now and then.
    fn tell(&mut self) {
        let Some(way) = self.way.as_ref().filter(|_| self.told.is_none_or(|told| told.elapsed() >= PAUSE)) else {
            return;
        };
        let message = PeerMessage::Other(NodeMessage::TicketsHeld.encode());
        let others = way.members.ids().into_iter().filter(|node| *node != way.node);
        others.for_each(|node| way.transport.send(node, message.clone()));
        self.told = Some(Instant::now());
    }

    /// The others are asked what their sessions hold, so that locks can be granted before the grace is over.
    fn call(&self) {
        let Some(way) = &self.way else { return };
        let message = PeerMessage::Other(NodeMessage::WhoHolds.encode());
        self.others().into_iter().for_each(|node| way.transport.send(node, message.clone()));
    }

    fn vouching(&mut self) -> &mut Vouching {
        self.vouching.get_or_insert_with(|| Vouching::new(Instant::now()))
    }

    /// Whether sessions of this process hold locks that another node granted.
    fn has_locks(&self) -> bool {
        self.asked.values().any(|asked| !asked.locks.is_empty())
    }

    fn lock_reply(&self, answer: Result<(), LockError>) -> TicketReply {
        match answer {
            Ok(()) => TicketReply::Locked(self.vouched().as_millis() as u64),
            Err(error) => TicketReply::NotLocked(error),
        }
    }

    /// For how long locks are believed in from now on.
    fn vouched(&self) -> Duration {
        self.vouching.as_ref().map_or(Duration::ZERO, |vouching| vouching.left(Instant::now()))
    }

    /// Whether this node, which leads, may grant a lock now.
    fn may_lock(&mut self) -> bool {
        let others = self.others();
        let is_early = self.vouching().is_early(Instant::now(), others);
        self.wanted = is_early || self.vouched() < FRESH;
        !self.wanted
    }

    fn others(&self) -> Vec<NodeId> {
        let way = self.way.as_ref();
        way.map_or_else(Vec::new, |way| way.members.ids().into_iter().filter(|node| *node != way.node).collect())
    }
}

impl TicketOffice {
    /// Of a process beside others: tickets are to be had from whoever leads. The default is an office for all clients.
    pub fn among_others(incarnation: u64) -> Self {
        let outside =
            Outside { incarnation, state: Mutex::default(), hurry: Notify::new(), lost: watch::Sender::new(0) };
        TicketOffice { outside: Some(Arc::new(outside)), ..TicketOffice::default() }
    }

    /// The process's node has started.
    pub(super) fn open(&self, node: NodeId, transport: Arc<dyn Transport>, members: Arc<MembersView>) {
        if let Some(outside) = &self.outside {
            outside.change(&mut outside.state.lock(), &self.desk, Some(Way { node, transport, members }), None);
        }
    }

    /// It has stopped.
    pub(super) fn close(&self) {
        if let Some(outside) = &self.outside {
            outside.change(&mut outside.state.lock(), &self.desk, None, None);
        }
    }

    /// Somebody else leads, or nobody (invariant 1).
    pub(super) fn follow(&self, leading: Option<Leadership>) {
        let Some(outside) = &self.outside else { return };
        let mut state = outside.state.lock();
        if state.leading != leading {
            let way = state.way.take();
            outside.change(&mut state, &self.desk, way, leading);
        }
    }

    /// See [`crate::session::Gateway::locks_lost`].
    pub fn locks_lost(&self) -> watch::Receiver<u64> {
        self.outside.as_ref().map_or_else(|| watch::channel(0).1, |outside| outside.lost.subscribe())
    }

    /// See [`crate::session::Gateway::request_ticket`].
    pub fn request(
        &self,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), TicketError>> {
        let Some(outside) = &self.outside else { return self.desk.request(holder, key, mode, timeout) };
        let mut state = outside.state.lock();
        match state.post() {
            Post::Here => self.request_here(&mut state, holder, key, mode, timeout),
            Post::At(..) => outside.ask(&mut state, holder, key, mode, timeout),
            Post::Nowhere => Soon::Now(Ok(())),
        }
    }

    fn request_here(
        &self,
        state: &mut State,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), TicketError>> {
        let soon = self.desk.request(holder, key, mode, timeout);
        if mode == Mode::Exclusive {
            state.tell();
        }
        soon
    }

    /// See [`crate::session::Gateway::release_tickets`].
    pub fn release(&self, holder: Holder) {
        if let Some(outside) = &self.outside {
            outside.give_back(holder, Released::Tickets);
        }
        self.desk.release(holder);
    }

    /// See [`crate::session::Gateway::request_lock`].
    pub fn request_lock(
        &self,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), LockError>> {
        let Some(outside) = &self.outside else { return self.desk.request_lock(holder, key, mode, timeout) };
        let mut state = outside.state.lock();
        let leads = match state.post() {
            Post::Here => true,
            Post::At(..) => return outside.ask_lock(&mut state, holder, key, mode, timeout),
            Post::Nowhere => false,
        };
        if leads && state.may_lock() {
            return self.desk.request_lock(holder, key, mode, timeout);
        }
        outside.hurry.notify_one();
        Soon::Now(Err(LockError::NotNow))
    }

    /// See [`crate::session::Gateway::release_locks`].
    pub fn release_locks(&self, holder: Holder, which: Option<(Key, Mode)>) {
        if let Some(outside) = &self.outside {
            let what = which.clone().map_or(Released::Locks, |(key, mode)| Released::Lock(key, mode));
            outside.give_back(holder, what);
        }
        self.desk.release_locks(holder, which.as_ref().map(|(key, mode)| (key, *mode)));
    }

    /// A session of another node asks.
    pub(super) fn asked(
        &self,
        from: NodeId,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<TicketReply> {
        let Some(outside) = &self.outside else { return Soon::Now(TicketReply::Without) };
        let mut state = outside.state.lock();
        if !matches!(state.post(), Post::Here) || key.bytes() > KEY_BYTES_MAX {
            return Soon::Now(TicketReply::Without);
        }
        if key.is_advisory() && !state.may_lock() {
            outside.hurry.notify_one();
            return Soon::Now(TicketReply::NotLocked(LockError::NotNow));
        }
        let gone = state.guests.come(from, holder, Instant::now());
        gone.into_iter().for_each(|holder| self.desk.release_all(holder));
        if key.is_advisory() {
            return match self.desk.request_lock(holder, key, mode, timeout) {
                Soon::Now(answer) => Soon::Now(state.lock_reply(answer)),
                Soon::Later(waiting) => {
                    let outside = outside.clone();
                    Soon::Later(Box::pin(async move {
                        let answer = waiting.await;
                        outside.state.lock().lock_reply(answer)
                    }))
                }
            };
        }
        match self.request_here(&mut state, holder, key, mode, timeout) {
            Soon::Now(answer) => Soon::Now(answer.into()),
            Soon::Later(waiting) => Soon::Later(Box::pin(async { waiting.await.into() })),
        }
    }

    /// A session of another node gave something back.
    pub(super) fn released(&self, from: NodeId, holder: Holder, what: Released) {
        let Some(outside) = &self.outside else { return };
        let mut state = outside.state.lock();
        match what {
            Released::Wait => self.desk.give_up(holder),
            Released::Tickets => self.desk.release(holder),
            Released::Lock(key, mode) => self.desk.release_locks(holder, Some((&key, mode))),
            Released::Locks => self.desk.release_locks(holder, None),
        }
        if !self.desk.knows(holder) {
            state.guests.leave(from, holder);
        }
    }

    /// These sessions of another node hold something, or wait for it, and no others.
    pub(super) fn kept(&self, from: NodeId, incarnation: u64, term: u64, sessions: &[u64]) -> Option<Kept> {
        let mut state = self.outside.as_ref()?.state.lock();
        if !matches!(state.post(), Post::Here) {
            return None;
        }
        let gone = state.guests.stay(from, incarnation, sessions, Instant::now());
        gone.into_iter().for_each(|holder| self.desk.release_all(holder));
        // Said in an earlier term of this node's it would say nothing of what came in between.
        if state.leading.is_some_and(|leading| leading.term == term) {
            state.vouching().follows(from);
        }
        let strangers = state.guests.strangers(from, sessions);
        Some(Kept { vouched_ms: state.vouched().as_millis() as u64, strangers })
    }

    /// The leader wants to know what this process's sessions hold.
    pub(super) fn called(&self, from: NodeId) {
        if let Some(outside) = &self.outside {
            let mut state = outside.state.lock();
            if state.leading.is_some_and(|leading| leading.node == from) {
                state.called = true;
                outside.hurry.notify_one();
            }
        }
    }

    /// Another node says that tickets are held.
    pub(super) fn heard(&self, from: NodeId) {
        if let Some(outside) = &self.outside {
            let mut state = outside.state.lock();
            if state.leading.is_some_and(|leading| leading.node == from) {
                state.heard = Some(Instant::now());
            }
        }
    }

    /// Looks after tickets and locks of other nodes' sessions, or after those that this node's sessions have from the
    /// leader; ends with its task. `leads` asks a quorum.
    pub(super) async fn keep<F: Future<Output = bool>>(
        self: Arc<Self>,
        is_reachable: impl Fn(NodeId) -> bool,
        leads: impl Fn() -> F,
    ) {
        let Some(outside) = self.outside.clone() else { return };
        tokio::join!(self.keep_all(&outside, is_reachable, leads), self.keep_believing(&outside));
    }

    async fn keep_all<F: Future<Output = bool>>(
        &self,
        outside: &Outside,
        is_reachable: impl Fn(NodeId) -> bool,
        leads: impl Fn() -> F,
    ) {
        let mut silences = 0;
        loop {
            let _ = time::timeout(PAUSE, outside.hurry.notified()).await;
            let asked = Instant::now();
            let (leading, round) = self.round(outside, &is_reachable);
            match round {
                Round::Nothing => {}
                Round::Confirm => {
                    if time::timeout(KEEP_WAIT, leads()).await == Ok(true) {
                        outside.if_still(leading, |state| {
                            self.believe_still(outside, state);
                            state.vouching().confirm(asked);
                        });
                    }
                }
                Round::Ask(reply) => {
                    let kept = match reply.await {
                        Ok(PeerReply::Bytes(bytes)) => postcard::from_bytes::<Option<Kept>>(&bytes).ok(),
                        _ => None,
                    };
                    silences = if kept.is_some() { 0 } else { silences + 1 };
                    match kept.flatten() {
                        Some(kept) => self.is_kept(outside, leading, asked, &kept),
                        None if silences == 0 || silences >= SILENCES_MAX => outside.wait_no_more(leading),
                        None => {}
                    }
                }
            }
        }
    }

    /// The leader, asked then, has answered this.
    fn is_kept(&self, outside: &Outside, leading: Option<Leadership>, asked: Instant, kept: &Kept) {
        outside.if_still(leading, |state| {
            self.believe_still(outside, state);
            state.vouching().renew(asked, Duration::from_millis(kept.vouched_ms));
            let is_lost = |session| state.asked.get(session).is_some_and(|asked| !asked.locks.is_empty());
            if kept.strangers.iter().any(is_lost) {
                outside.lose(state);
            }
        });
    }

    /// Ends belief in locks in time (invariant 3).
    async fn keep_believing(&self, outside: &Outside) {
        loop {
            time::sleep(LOOK_EVERY).await;
            self.believe_still(outside, &mut outside.state.lock());
        }
    }

    /// Locks that are not vouched for any more are lost, whatever is heard later (invariant 3).
    fn believe_still(&self, outside: &Outside, state: &mut State) {
        if !state.vouched().is_zero() {
            return;
        }
        let leads = matches!(state.post(), Post::Here);
        if leads && self.desk.has_locks() {
            self.desk.forget_locks();
        } else if !state.has_locks() {
            return;
        }
        outside.lose(state);
    }

    /// What is to be done each second.
    fn round(&self, outside: &Outside, is_reachable: impl Fn(NodeId) -> bool) -> (Option<Leadership>, Round) {
        let mut state = outside.state.lock();
        let leading = state.leading;
        let round = match state.post() {
            Post::Here => {
                let gone = state.guests.overdue(Instant::now(), is_reachable, |holder| self.desk.locks(holder));
                gone.into_iter().for_each(|holder| self.desk.release_all(holder));
                if self.desk.has_exclusive() {
                    state.tell();
                }
                let is_wanted = std::mem::take(&mut state.wanted);
                if is_wanted {
                    state.call();
                }
                if is_wanted || self.desk.has_locks() { Round::Confirm } else { Round::Nothing }
            }
            Post::At(leader, way) if state.called || !state.asked.is_empty() => {
                let sessions = state.asked.keys().copied().collect();
                let (incarnation, term) = (outside.incarnation, leading.map_or(0, |leading| leading.term));
                let question = Question::KeepTickets { incarnation, term, sessions };
                let reply = way.transport.request(leader, PeerMessage::Question(question.encode()), KEEP_WAIT);
                state.called = false;
                Round::Ask(reply)
            }
            _ => Round::Nothing,
        };
        (leading, round)
    }
}

/// What there is to do.
enum Round {
    Nothing,
    /// Ask a quorum whether this node still leads.
    Confirm,
    /// Wait for what the leader says.
    Ask(Reply),
}

#[cfg(test)]
#[path = "ticket_office_tests.rs"]
mod tests;
