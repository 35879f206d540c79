//! Sessions of a front thread that keep a version for longer than one statement takes: open blocks, and reads that
//! wait for their client. A version that holds back too much memory is too old, and so is one that was kept for too
//! long: whoever keeps it ends with 72000 (rule 30).
//!
//! A statement finds out by itself and fails. An idle session is ended by [`Holds::end_old`], and so is, a little
//! later, one whose client takes no rows.

use super::tickets::Holder;
use crate::page_store::{PageStore, Snapshot};
use crate::transaction::SqlError;
use crate::wire::Link;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Rounds of [`Holds::end_old`] after which a statement that does not find out is cut off.
const PATIENCE_ROUNDS: u32 = 10;

/// What is kept, by session.
pub struct Holds {
    held: RefCell<HashMap<Holder, Hold>>,
    age_max: Duration,
}

struct Hold {
    store: Arc<PageStore>,
    version: u64,
    since: Instant,
    link: Rc<Link>,
    in_block: bool,
    rounds: Cell<u32>,
}

impl Hold {
    /// The error of a session that keeps it, once that is to end.
    fn too_old(&self, age_max: Duration) -> Option<SqlError> {
        let error = |detail, hint| Some(SqlError::new("72000", "snapshot too old").with_detail(detail).with_hint(hint));
        if self.store.is_too_old(self.version) {
            return error(
                "The version that it reads held back more memory than there is to spare.",
                "Run long transactions in shorter pieces, or give the server more memory_mib.",
            );
        }
        if self.since.elapsed() >= age_max {
            return error(
                "The version that it reads was kept for longer than snapshot_age_max_s.",
                "Run long transactions in shorter pieces, or give the server a greater snapshot_age_max_s.",
            );
        }
        None
    }
}

impl Holds {
    /// None yet; what is kept for `age_max` is too old.
    pub fn new(age_max: Duration) -> Holds {
        Holds { held: RefCell::default(), age_max }
    }

    /// A session keeps a version, instead of what it kept before.
    pub fn keep(&self, holder: Holder, snapshot: &Snapshot, link: &Rc<Link>, in_block: bool) {
        let (store, version) = (snapshot.store().clone(), snapshot.number());
        let since = Instant::now();
        let hold = Hold { store, version, since, link: link.clone(), in_block, rounds: Cell::new(0) };
        self.held.borrow_mut().insert(holder, hold);
    }

    /// It keeps none any more.
    pub fn release(&self, holder: Holder) {
        self.held.borrow_mut().remove(&holder);
    }

    /// Whether what a session keeps is too old, as the error with which it ends.
    pub fn too_old(&self, holder: Holder) -> Result<(), SqlError> {
        let error = self.held.borrow().get(&holder).and_then(|hold| hold.too_old(self.age_max));
        error.map_or(Ok(()), Err)
    }

    /// Ends those that keep what is too old.
    pub fn end_old(&self) {
        for hold in self.held.borrow().values() {
            let Some(error) = hold.too_old(self.age_max) else { continue };
            let rounds = hold.rounds.replace(hold.rounds.get() + 1);
            if rounds == 0 && hold.in_block {
                hold.link.end(error);
            }
            if rounds == PATIENCE_ROUNDS {
                hold.link.cut();
            }
        }
    }
}
