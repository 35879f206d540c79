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
//! and COMMIT finds out.
//!
//! Invariants
//! 1. Who leads is known under the lock, and a change of it ends all that was held and waited for, on both sides.
//! 2. What says which sessions of a node hold something is sent under the lock, in order with their requests and
//!    releases: it never names too few.

use super::guests::Guests;
use super::members::MembersView;
use super::message::{NodeMessage, Question, TicketReply};
use crate::consensus::Leadership;
use crate::peer::{PeerError, PeerMessage, PeerReply, Transport};
use crate::session::ticket_desk::TicketDesk;
use crate::session::tickets::{HOLDER_MAX, Holder, Key, Mode};
use crate::session::{Soon, TicketError, Waiting};
use crate::token::NodeId;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{self, Instant};

/// The leader hears this often of sessions that hold tickets, and followers of tickets that are held.
const PAUSE: Duration = Duration::from_secs(1);
/// A leader that says nothing for so long when it should is not waited for.
const ANSWER_WAIT: Duration = Duration::from_secs(3);
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
    /// Ends a wait when it is dropped.
    waits: Option<oneshot::Sender<()>>,
}

impl Asked {
    fn has(&self, key: &Key, mode: Mode) -> bool {
        self.granted.iter().any(|(held, as_what)| *as_what >= mode && held.covers(key))
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

    fn change(&mut self, desk: &TicketDesk, way: Option<Way>, leading: Option<Leadership>) {
        *self = State { way, leading, ..State::default() };
        desk.forget();
    }
}

impl TicketOffice {
    /// Of a process beside others: tickets are to be had from whoever leads. The default is an office for all clients.
    pub fn among_others(incarnation: u64) -> Self {
        let outside = Outside { incarnation, state: Mutex::default() };
        TicketOffice { outside: Some(Arc::new(outside)), ..TicketOffice::default() }
    }

    /// The process's node has started.
    pub(super) fn open(&self, node: NodeId, transport: Arc<dyn Transport>, members: Arc<MembersView>) {
        if let Some(outside) = &self.outside {
            outside.state.lock().change(&self.desk, Some(Way { node, transport, members }), None);
        }
    }

    /// It has stopped.
    pub(super) fn close(&self) {
        if let Some(outside) = &self.outside {
            outside.state.lock().change(&self.desk, None, None);
        }
    }

    /// Somebody else leads, or nobody (invariant 1).
    pub(super) fn follow(&self, leading: Option<Leadership>) {
        let Some(outside) = &self.outside else { return };
        let mut state = outside.state.lock();
        if state.leading != leading {
            let way = state.way.take();
            state.change(&self.desk, way, leading);
        }
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
            let mut state = outside.state.lock();
            if state.asked.remove(&holder.session).is_some() {
                state.send(NodeMessage::TicketsReleased { holder, is_all: true });
            }
        }
        self.desk.release(holder);
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
        let gone = state.guests.come(from, holder, Instant::now());
        gone.into_iter().for_each(|holder| self.desk.release(holder));
        match self.request_here(&mut state, holder, key, mode, timeout) {
            Soon::Now(answer) => Soon::Now(answer.into()),
            Soon::Later(waiting) => Soon::Later(Box::pin(async { waiting.await.into() })),
        }
    }

    /// A session of another node gave its tickets back, or only waits no more.
    pub(super) fn released(&self, from: NodeId, holder: Holder, is_all: bool) {
        let Some(outside) = &self.outside else { return };
        let mut state = outside.state.lock();
        if !is_all {
            return self.desk.give_up(holder);
        }
        state.guests.leave(from, holder);
        self.desk.release(holder);
    }

    /// These sessions of another node hold something, or wait for it, and no others. Answers whether this node leads.
    pub(super) fn kept(&self, from: NodeId, incarnation: u64, sessions: &[u64]) -> bool {
        let Some(outside) = &self.outside else { return false };
        let mut state = outside.state.lock();
        let leads = matches!(state.post(), Post::Here);
        if leads {
            let gone = state.guests.stay(from, incarnation, sessions, Instant::now());
            gone.into_iter().for_each(|holder| self.desk.release(holder));
        }
        leads
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

    /// Looks after tickets of other nodes' sessions, or after those that this node's sessions have from the leader;
    /// ends with its task.
    pub(super) async fn keep(self: Arc<Self>, is_reachable: impl Fn(NodeId) -> bool) {
        let Some(outside) = self.outside.clone() else { return };
        loop {
            time::sleep(PAUSE).await;
            let Some((leading, reply)) = self.round(&outside, &is_reachable) else { continue };
            let leads = match reply.await {
                Ok(PeerReply::Bytes(bytes)) => postcard::from_bytes(&bytes).unwrap_or(false),
                _ => false,
            };
            if !leads {
                outside.wait_no_more(leading);
            }
        }
    }

    /// What is to be done each second; a question to the leader, if there is one.
    fn round(&self, outside: &Outside, is_reachable: impl Fn(NodeId) -> bool) -> Option<(Option<Leadership>, Reply)> {
        let mut state = outside.state.lock();
        match state.post() {
            Post::Here => {
                let gone = state.guests.overdue(Instant::now(), is_reachable);
                gone.into_iter().for_each(|holder| self.desk.release(holder));
                if self.desk.has_exclusive() {
                    state.tell();
                }
                None
            }
            Post::At(leader, way) if !state.asked.is_empty() => {
                let sessions = state.asked.keys().copied().collect();
                let question = Question::KeepTickets { incarnation: outside.incarnation, sessions };
                let message = PeerMessage::Question(question.encode());
                Some((state.leading, way.transport.request(leader, message, ANSWER_WAIT)))
            }
            _ => None,
        }
    }
}

impl Outside {
    /// Asks the leader, if need be.
    fn ask(
        self: &Arc<Self>,
        state: &mut State,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), TicketError>> {
        let is_held = state.heard.is_some_and(|heard| heard.elapsed() < BELIEF);
        let known = state.asked.get(&holder.session);
        let is_spared = known.is_some_and(|asked| asked.has(&key, mode) || asked.granted.len() >= HOLDER_MAX);
        let Post::At(leader, way) = state.post() else { return Soon::Now(Ok(())) };
        if is_spared || mode == Mode::Shared && !is_held || key.bytes() > KEY_BYTES_MAX {
            return Soon::Now(Ok(()));
        }
        let question = Question::Ticket { holder, key: key.clone(), mode, timeout };
        let patience = timeout.map_or(WAIT_MAX, |timeout| timeout.min(WAIT_MAX) + ANSWER_WAIT);
        let reply = way.transport.request(leader, PeerMessage::Question(question.encode()), patience);
        let (waits, gone) = oneshot::channel();
        state.asked.entry(holder.session).or_default().waits = Some(waits);
        let wait = Wait { outside: self.clone(), leading: state.leading, holder, is_open: true };
        Soon::Later(answer(wait, reply, gone, key, mode))
    }

    /// The leader of that time does not answer.
    fn wait_no_more(&self, leading: Option<Leadership>) {
        let mut state = self.state.lock();
        if state.leading == leading {
            state.asked.values_mut().for_each(|asked| asked.waits = None);
        }
    }
}

/// What a session waits for.
fn answer(
    wait: Wait,
    reply: Reply,
    gone: oneshot::Receiver<()>,
    key: Key,
    mode: Mode,
) -> Waiting<Result<(), TicketError>> {
    Box::pin(async move {
        let reply = tokio::select! {
            biased;
            reply = reply => reply.ok(),
            _ = gone => None,
        };
        // Dropped without an end, the wait is taken back.
        let Some(PeerReply::Bytes(bytes)) = reply else { return Ok(()) };
        let Ok(reply) = postcard::from_bytes(&bytes) else { return Ok(()) };
        wait.ends((reply == TicketReply::Granted).then_some((key, mode)));
        match reply {
            TicketReply::Granted | TicketReply::Without => Ok(()),
            TicketReply::Deadlock => Err(TicketError::Deadlock),
            TicketReply::Timeout => Err(TicketError::Timeout),
        }
    })
}

/// A session's wait for the leader's answer.
struct Wait {
    outside: Arc<Outside>,
    leading: Option<Leadership>,
    holder: Holder,
    is_open: bool,
}

impl Wait {
    /// The leader answered, and gave this if anything.
    fn ends(mut self, granted: Option<(Key, Mode)>) {
        self.is_open = false;
        let outside = self.outside.clone();
        let mut state = outside.state.lock();
        if let Some(asked) = self.asked(&mut state) {
            asked.waits = None;
            asked.granted.extend(granted);
        }
    }

    /// The session, if the leader is still the same.
    fn asked<'a>(&self, state: &'a mut State) -> Option<&'a mut Asked> {
        if state.leading == self.leading { state.asked.get_mut(&self.holder.session) } else { None }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let mut state = self.outside.state.lock();
        if let Some(asked) = self.asked(&mut state) {
            asked.waits = None;
            state.send(NodeMessage::TicketsReleased { holder: self.holder, is_all: false });
        }
    }
}

#[cfg(test)]
#[path = "ticket_office_tests.rs"]
mod tests;
