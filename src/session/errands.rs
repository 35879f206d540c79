//! What a statement has its session do: advisory locks (rule 27), sleeping, and telling what it listens to.
//!
//! SQLite calls a function and must have its value at once; a lock or a sleep takes its time, and must be cancellable. So
//! a statement with such calls is run to its end beforehand, without an answer. At a call whose value is not known yet the
//! run stops, the session does the errand, and the statement runs again with one value more. When a run meets no unknown
//! call, the statement runs once more for its answer. Statements that do this write nothing, so that running them
//! again does no harm, and calls come in the same order each time.
//!
//! In a block the statement sees the newest version after a lock was had, as after `FOR UPDATE`: what others committed
//! before they gave it back.
//!
//! Invariants
//! 1. What [`HeldLocks`] has is held at the leader, or the session is about to end.

use super::cache::Plan;
use super::client::{Done, Session};
use super::gateway::LockError;
use super::held_locks::{Given, HeldLocks, Lock};
use super::locks::stopped;
use super::read::Read;
use super::tickets::{Key, Mode};
use super::view::{SessionView, client_error};
use crate::dialect::ERRAND;
use crate::dialect::codec::array_to_json;
use crate::transaction::{SqlError, Value};
use crate::wire::{Link, Outbox};
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A request that nobody can grant just now is made again after so long.
const AGAIN: Duration = Duration::from_millis(50);
/// A session that does not want to wait for a lock waits for so long for somebody who grants any.
const NOBODY_MAX: Duration = Duration::from_secs(10);

/// What a session has at the leader, and who looks whether it still has it.
#[derive(Default)]
pub struct Locks {
    held: Rc<RefCell<HeldLocks>>,
    /// How often those of all sessions were lost; once one was asked for.
    lost: Option<watch::Receiver<u64>>,
    /// How often they had been when the first of those was taken that the session has.
    lost_before: u64,
}

impl Locks {
    /// How many the transaction has taken so far.
    pub fn mark(&self) -> usize {
        self.held.borrow().mark()
    }
}

/// One errand.
#[derive(Debug, PartialEq)]
enum Errand {
    Lock { lock: Lock, for_transaction: bool, waits: bool },
    Unlock(Lock),
    UnlockAll,
    Channels,
    Sleep(Duration),
}

impl Errand {
    /// From the name of the system value that [`crate::dialect`] makes of a call.
    fn parse(name: &str, database: &Arc<str>) -> Option<Errand> {
        let words: Vec<&str> = name.strip_prefix(ERRAND)?.split(' ').collect();
        let key = |words: &[&str]| match words {
            [number] => {
                let number: i64 = number.parse().ok()?;
                Some(Key::advisory(database.clone(), (number >> 32) as i32, number as i32, 1))
            }
            [class, object] => Some(Key::advisory(database.clone(), class.parse().ok()?, object.parse().ok()?, 2)),
            _ => None,
        };
        let mode = |word: &str| if word == "shared" { Mode::Shared } else { Mode::Exclusive };
        match words.as_slice() {
            [verb @ ("lock" | "try"), as_what, scope, numbers @ ..] => {
                let lock = (key(numbers)?, mode(as_what));
                Some(Errand::Lock { lock, for_transaction: *scope == "transaction", waits: *verb == "lock" })
            }
            ["unlock", as_what, numbers @ ..] => Some(Errand::Unlock((key(numbers)?, mode(as_what)))),
            ["channels"] => Some(Errand::Channels),
            ["unlock_all"] => Some(Errand::UnlockAll),
            ["sleep", seconds] => {
                let seconds: f64 = seconds.parse().ok()?;
                Some(Errand::Sleep(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
            }
            _ => None,
        }
    }
}

impl Session {
    /// Does the errands of a statement that is to run outside of a block; answers the view for its answer. While the
    /// session waits it keeps no version.
    pub(super) async fn run_errands(
        &mut self,
        mut view: SessionView,
        mut plan: Rc<Plan>,
        read: &Read<'_>,
        out: &mut Outbox,
    ) -> Done<(SessionView, Rc<Plan>)> {
        loop {
            let name = match self.next_errand(&mut view, 0, &plan, read.parameters) {
                Ok(None) => return Ok((view, plan)),
                Ok(Some(name)) => name,
                Err(error) => {
                    self.front.give_back(&self.database, view);
                    return Err(error.into());
                }
            };
            let mut done = view.take_errands();
            self.front.give_back(&self.database, view);
            let (value, _) = self.errand(&name, out).await?;
            done.push((name, value));
            (view, plan) = self.open_read(&plan, read).await?;
            view.begin_errands(done);
        }
    }

    /// Does the errands of a statement that is to run in the open block.
    pub(super) async fn run_errands_in_block(&mut self, plan: &Plan, parameters: &[Value], out: &mut Outbox) -> Done {
        self.block()?.view_mut()?.begin_errands(Vec::new());
        let mut is_locked = false;
        loop {
            // The block lends its view: between two errands nothing else uses it.
            let operation = self.block()?.operations.len() as u32;
            let mut view = self.block()?.view.take().ok_or_else(|| SqlError::new("XX000", "a block without a view"))?;
            let next = self.next_errand(&mut view, operation, plan, parameters);
            self.block()?.view = Some(view);
            match next? {
                Some(name) => {
                    let (value, took) = self.errand(&name, out).await?;
                    is_locked |= took;
                    self.block()?.view_mut()?.errand_done(name, value);
                }
                None if is_locked => {
                    is_locked = false;
                    self.ensure_pinned(true, out).await?;
                }
                None => return Ok(()),
            }
        }
    }

    /// Runs a statement up to its next errand; `None` if it met none.
    fn next_errand(
        &self,
        view: &mut SessionView,
        operation: u32,
        plan: &Plan,
        parameters: &[Value],
    ) -> Result<Option<String>, SqlError> {
        if let Some(reason) = self.registration.interrupted() {
            return Err(stopped(reason));
        }
        let Some(sql) = plan.prepared.sql.last() else { return Ok(None) };
        view.rewind_errands();
        view.connection.begin_statement(operation, &[], &[]);
        let mut rows = view.connection.open_rows(sql, parameters).map_err(client_error)?;
        self.registration.set_interrupt(Some(view.interrupt()));
        let ran = loop {
            match rows.statement.step() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(client_error(error.into())),
            }
        };
        self.registration.set_interrupt(None);
        view.connection.give_back(rows);
        match view.take_errand() {
            Some(name) => Ok(Some(name)),
            None => ran.map(|()| None),
        }
    }

    /// Does an errand; its value, and whether a lock was had by it.
    async fn errand(&mut self, name: &str, out: &mut Outbox) -> Done<(Value, bool)> {
        let unknown = || SqlError::new("XX000", format!("{name} is no errand"));
        let done = Value::Text("".into());
        match Errand::parse(name, &self.database).ok_or_else(unknown)? {
            Errand::Lock { lock, for_transaction, waits } => {
                let granted = self.lock_advisory(lock, for_transaction, waits, out).await?;
                Ok((if waits { done } else { Value::Integer(granted.into()) }, granted))
            }
            Errand::Unlock(lock) => {
                let given = self.locks.held.borrow_mut().give(&lock);
                match given {
                    Given::Never => {
                        let mode = if lock.1 == Mode::Shared { "ShareLock" } else { "ExclusiveLock" };
                        let text = format!("you don't own a lock of type {mode}");
                        out.notice("WARNING", &SqlError::new("01000", text));
                    }
                    Given::Kept => {}
                    Given::Free => self.front.gateway.release_locks(self.holder(), Some(lock)),
                }
                Ok((Value::Integer((given != Given::Never).into()), false))
            }
            Errand::UnlockAll => {
                self.unlock_all();
                Ok((done, false))
            }
            Errand::Channels => {
                let channels: Vec<Value> = self.channels().into_iter().map(Value::Text).collect();
                Ok((Value::Text(array_to_json(&channels).into()), false))
            }
            Errand::Sleep(time) => {
                out.flush_if_due().await?;
                let registration = self.registration.clone();
                tokio::select! {
                    _ = tokio::time::sleep(time) => Ok((done, false)),
                    reason = registration.wait_interrupted() => Err(stopped(reason).into()),
                }
            }
        }
    }

    /// Takes an advisory lock; false if that means to wait, and it is not wanted to.
    async fn lock_advisory(&mut self, lock: Lock, for_transaction: bool, waits: bool, out: &mut Outbox) -> Done<bool> {
        if !self.locks.held.borrow().has(&lock) {
            let requested = self.request_advisory(&lock, waits, out).await;
            if !matches!(requested, Ok(true)) {
                // Granted a moment too late it would be held by nobody who knows of it.
                self.front.gateway.release_locks(self.holder(), Some(lock));
                return requested;
            }
        }
        if self.locks.held.borrow().is_empty() {
            self.locks.lost_before = self.times_lost();
        }
        self.locks.held.borrow_mut().take(lock, for_transaction);
        Ok(true)
    }

    async fn request_advisory(&mut self, lock: &Lock, waits: bool, out: &mut Outbox) -> Done<bool> {
        let began = Instant::now();
        let limit = self.settings.active().lock_timeout;
        loop {
            let lost_before = self.times_lost();
            let timeout = match (waits, limit) {
                (false, _) => Some(Duration::ZERO),
                (true, limit) => limit.map(|limit| limit.saturating_sub(began.elapsed()).max(Duration::from_millis(1))),
            };
            let (key, mode) = lock.clone();
            let soon = self.front.gateway.request_lock(self.holder(), key, mode, timeout);
            let granted = self.wait_for(soon, out).await?;
            // What was granted before the others were lost is lost, too.
            let granted = granted.and_then(|()| match self.times_lost() == lost_before {
                true => Ok(()),
                false => Err(LockError::NotNow),
            });
            let late = if waits { limit } else { Some(NOBODY_MAX) };
            match granted {
                Ok(()) => return Ok(true),
                Err(LockError::Timeout) if !waits => return Ok(false),
                Err(LockError::NotNow) if self.is_lost() => return Err(lost().into()),
                Err(LockError::NotNow) if late.is_none_or(|late| began.elapsed() < late) => {
                    // Of the wait that came to nothing the leader, whoever it is now, is to know nothing.
                    self.front.gateway.release_locks(self.holder(), Some(lock.clone()));
                    let registration = self.registration.clone();
                    tokio::select! {
                        _ = tokio::time::sleep(AGAIN) => {}
                        reason = registration.wait_interrupted() => return Err(stopped(reason).into()),
                    }
                }
                Err(error) => return Err(refused(error, waits).into()),
            }
        }
    }

    /// How often the locks of all sessions here were lost. From the first time on somebody looks whether this one's are.
    fn times_lost(&mut self) -> u64 {
        let Session { locks, front, link, .. } = self;
        let lost = locks.lost.get_or_insert_with(|| {
            let lost = front.gateway.locks_lost();
            tokio::task::spawn_local(end_if_lost(lost.clone(), Rc::downgrade(&locks.held), link.clone()));
            lost
        });
        *lost.borrow()
    }

    /// Whether what the session has is lost.
    fn is_lost(&mut self) -> bool {
        !self.locks.held.borrow().is_empty() && self.times_lost() != self.locks.lost_before
    }

    /// Gives back what the session took for itself: `pg_advisory_unlock_all`, `DISCARD ALL`.
    pub(super) fn unlock_all(&mut self) {
        let free = self.locks.held.borrow_mut().give_all();
        self.give_locks(free);
    }

    /// Gives back what the transaction took after so many locks.
    pub(super) fn unlock_to(&mut self, mark: usize) {
        let free = self.locks.held.borrow_mut().go_back(mark);
        self.give_locks(free);
    }

    fn give_locks(&self, free: Vec<Lock>) {
        free.into_iter().for_each(|lock| self.front.gateway.release_locks(self.holder(), Some(lock)));
    }

    /// The session ends. It may hold what it waited for until now and does not know of.
    pub(super) fn leave_locks(&self) {
        self.locks.held.take();
        if self.locks.lost.is_some() {
            self.front.gateway.release_locks(self.holder(), None);
        }
    }
}

/// Ends a session whose locks are lost, as long as there is one.
async fn end_if_lost(mut changes: watch::Receiver<u64>, held: Weak<RefCell<HeldLocks>>, link: Rc<Link>) {
    while changes.changed().await.is_ok() {
        let Some(held) = held.upgrade() else { return };
        if !held.borrow().is_empty() {
            return link.end(lost());
        }
    }
}

/// The end of a session that cannot be sure of its locks.
fn lost() -> SqlError {
    SqlError::new("57P01", "terminating connection because its advisory locks were lost")
        .with_detail("The leader of the cluster changed, or this node could not reach it.")
        .with_hint("Connect again and take them again.")
}

fn refused(error: LockError, waits: bool) -> SqlError {
    match error {
        LockError::Deadlock => SqlError::new("40P01", "deadlock detected").with_hint("Run the transaction again."),
        LockError::NotNow if !waits => SqlError::new("57P03", error.to_string()),
        LockError::NotNow | LockError::Timeout => SqlError::new("55P03", "canceling statement due to lock timeout"),
        LockError::Full => SqlError::new("53200", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errands_are_read_from_their_names() {
        let database: Arc<str> = "d".into();
        let parse = |text: &str| Errand::parse(&format!("{ERRAND}{text}"), &database);
        let key = |class, object, form| Key::advisory(database.clone(), class, object, form);
        let lock = |lock, for_transaction, waits| Some(Errand::Lock { lock, for_transaction, waits });
        assert_eq!(parse("lock exclusive session 4294967298"), lock((key(1, 2, 1), Mode::Exclusive), false, true));
        assert_eq!(parse("try shared transaction -1"), lock((key(-1, -1, 1), Mode::Shared), true, false));
        assert_eq!(parse("unlock shared 1 -2"), Some(Errand::Unlock((key(1, -2, 2), Mode::Shared))));
        assert_eq!(parse("unlock_all"), Some(Errand::UnlockAll));
        assert_eq!(parse("sleep 0.25"), Some(Errand::Sleep(Duration::from_millis(250))));
        assert_eq!(parse("sleep -1"), Some(Errand::Sleep(Duration::ZERO)));
        assert_eq!(parse("sleep 1e300"), Some(Errand::Sleep(Duration::MAX)));
        assert_eq!(parse("lock exclusive session x"), None);
    }
}
