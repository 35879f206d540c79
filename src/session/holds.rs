//! Sessions of a front thread that keep a version for longer than one statement takes: open blocks, and reads that
//! wait for their client. A version that holds back too much memory is too old, and whoever keeps it ends with 72000.
//!
//! A statement finds out by itself and fails. An idle session is ended by [`Holds::end_old`], and so is, a little
//! later, one whose client takes no rows.

use crate::page_store::{PageStore, Snapshot};
use crate::transaction::SqlError;
use crate::wire::Link;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Rounds of [`Holds::end_old`] after which a statement that does not find out is cut off.
const PATIENCE_ROUNDS: u32 = 10;

/// What is kept, by session.
#[derive(Default)]
pub struct Holds(RefCell<HashMap<u64, Hold>>);

struct Hold {
    store: Arc<PageStore>,
    version: u64,
    link: Rc<Link>,
    in_block: bool,
    rounds: Cell<u32>,
}

/// The error of a session whose version is gone.
pub fn too_old() -> SqlError {
    SqlError::new("72000", "snapshot too old")
        .with_detail("The version that it reads held back more memory than there is to spare.")
        .with_hint("Run long transactions in shorter pieces, or give the server more memory_mib.")
}

impl Holds {
    /// A session keeps a version, instead of what it kept before.
    pub fn keep(&self, holder: u64, snapshot: &Snapshot, link: &Rc<Link>, in_block: bool) {
        let (store, version) = (snapshot.store().clone(), snapshot.number());
        self.0.borrow_mut().insert(holder, Hold { store, version, link: link.clone(), in_block, rounds: Cell::new(0) });
    }

    /// It keeps none any more.
    pub fn release(&self, holder: u64) {
        self.0.borrow_mut().remove(&holder);
    }

    /// Ends those that keep what is too old.
    pub fn end_old(&self) {
        for hold in self.0.borrow().values().filter(|hold| hold.store.is_too_old(hold.version)) {
            let rounds = hold.rounds.replace(hold.rounds.get() + 1);
            if rounds == 0 && hold.in_block {
                hold.link.end(too_old());
            }
            if rounds == PATIENCE_ROUNDS {
                hold.link.cut();
            }
        }
    }
}
