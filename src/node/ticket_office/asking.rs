//! What sessions of this process ask of another node's desk, and give back.

use super::{ANSWER_WAIT, Asked, BELIEF, KEY_BYTES_MAX, Outside, Post, Reply, State, WAIT_MAX, Way};
use crate::consensus::Leadership;
use crate::node::message::{NodeMessage, Question, Released, TicketReply};
use crate::node::vouching::Vouching;
use crate::peer::{PeerMessage, PeerReply};
use crate::session::ticket_desk::TicketDesk;
use crate::session::tickets::{HOLDER_MAX, Holder, Key, Mode};
use crate::session::{LockError, Soon, TicketError, Waiting};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

impl Outside {
    /// Asks the leader, if need be.
    pub(super) fn ask(
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

    pub(super) fn change(&self, state: &mut State, desk: &TicketDesk, way: Option<Way>, leading: Option<Leadership>) {
        let vouching = leading.map(|_| Vouching::new(Instant::now()));
        *state = State { way, leading, vouching, ..State::default() };
        desk.forget();
        self.lose(state);
    }

    /// All advisory locks of this process's sessions are lost.
    pub(super) fn lose(&self, state: &mut State) {
        self.lost.send_modify(|times| *times += 1);
        let locks = state.asked.iter().filter(|(_, asked)| !asked.locks.is_empty());
        let sessions: Vec<u64> = locks.map(|(session, _)| *session).collect();
        for session in sessions {
            self.give_back_in(state, Holder { incarnation: self.incarnation, session }, Released::Locks);
        }
    }

    /// Asks the leader for an advisory lock.
    pub(super) fn ask_lock(
        self: &Arc<Self>,
        state: &mut State,
        holder: Holder,
        key: Key,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Soon<Result<(), LockError>> {
        let Post::At(leader, way) = state.post() else { return Soon::Now(Err(LockError::NotNow)) };
        let question = Question::Ticket { holder, key: key.clone(), mode, timeout };
        let patience = timeout.map_or(WAIT_MAX, |timeout| timeout.min(WAIT_MAX) + ANSWER_WAIT);
        let asked = Instant::now();
        let reply = way.transport.request(leader, PeerMessage::Question(question.encode()), patience);
        let (waits, gone) = oneshot::channel();
        state.asked.entry(holder.session).or_default().waits = Some(waits);
        let wait = Wait { outside: self.clone(), leading: state.leading, holder, is_open: true };
        Soon::Later(Box::pin(async move {
            let reply = tokio::select! {
                biased;
                reply = reply => reply.ok(),
                _ = gone => None,
            };
            let Some(PeerReply::Bytes(bytes)) = reply else { return Err(LockError::NotNow) };
            match postcard::from_bytes(&bytes) {
                Ok(TicketReply::Locked(vouched_ms)) => wait.locked(key, mode, asked, Duration::from_millis(vouched_ms)),
                Ok(TicketReply::NotLocked(error)) => {
                    wait.ends(None);
                    Err(error)
                }
                _ => Err(LockError::NotNow),
            }
        }))
    }

    /// A session gives something back; the leader is told if it has asked it.
    pub(super) fn give_back(&self, holder: Holder, what: Released) {
        self.give_back_in(&mut self.state.lock(), holder, what);
    }

    fn give_back_in(&self, state: &mut State, holder: Holder, what: Released) {
        let Some(asked) = state.asked.get_mut(&holder.session) else { return };
        match &what {
            Released::Wait => {}
            Released::Tickets => asked.granted.clear(),
            Released::Lock(key, mode) => asked.locks.retain(|held| *held != (key.clone(), *mode)),
            Released::Locks => asked.locks.clear(),
        }
        if asked.is_over() {
            state.asked.remove(&holder.session);
        }
        state.send(NodeMessage::TicketsReleased { holder, what });
    }

    /// Does something if the leader is still the same.
    pub(super) fn if_still(&self, leading: Option<Leadership>, then: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        if state.leading == leading {
            then(&mut state);
        }
    }

    /// The leader of that time does not answer.
    pub(super) fn wait_no_more(&self, leading: Option<Leadership>) {
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
            TicketReply::Granted | TicketReply::Without | TicketReply::Locked(_) | TicketReply::NotLocked(_) => Ok(()),
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

    /// The leader, asked then, granted a lock and believes for so long.
    fn locked(mut self, key: Key, mode: Mode, asked: Instant, vouched: Duration) -> Result<(), LockError> {
        let outside = self.outside.clone();
        let mut state = outside.state.lock();
        self.is_open = false;
        // Its leader is gone, and what it granted.
        if state.leading != self.leading {
            return Err(LockError::NotNow);
        }
        if state.has_locks() && state.vouched().is_zero() {
            outside.lose(&mut state);
        }
        state.vouching().renew(asked, vouched);
        let is_vouched = !state.vouched().is_zero();
        let session = state.asked.entry(self.holder.session).or_default();
        session.waits = None;
        if is_vouched {
            session.locks.push((key, mode));
            outside.hurry.notify_one();
            return Ok(());
        }
        // It came too late to be believed.
        outside.give_back_in(&mut state, self.holder, Released::Lock(key, mode));
        Err(LockError::NotNow)
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
            state.send(NodeMessage::TicketsReleased { holder: self.holder, what: Released::Wait });
        }
    }
}
