//! What the sessions of one front thread share: translations, connections, reserved numbers.

use super::cache::Cache;
use super::gateway::{Gateway, GatewayError, Pinned, ReadLevel};
use super::holds::Holds;
use super::listen::Listeners;
use super::temporary::Leftovers;
use super::view::{Blocks, SessionView};
use crate::catalog::roles::{ROLES_DATABASE, Roles};
use crate::transaction::SqlError;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Idle connections kept for each database.
const POOLED_MAX: usize = 32;
/// A client does not wait longer for news about roles before it is let in or not.
const ROLES_WAIT: Duration = Duration::from_secs(1);

/// The blocks that are open on one front thread.
#[derive(Default)]
pub struct OpenBlocks(Rc<()>);

impl OpenBlocks {
    /// Another one, which is open while this lives.
    pub fn open(&self) -> Rc<()> {
        self.0.clone()
    }

    /// Lets statements of open blocks go first that have come meanwhile. Blocks end the sooner, and what does not last
    /// cannot conflict: of TPC-W's orders a third had to be run again while blocks waited in turn with everybody else.
    pub async fn let_pass(&self) {
        if Rc::strong_count(&self.0) > 1 {
            tokio::task::yield_now().await;
        }
    }
}

/// One front thread.
pub struct Front {
    /// The node.
    pub gateway: Arc<dyn Gateway>,
    /// Translations.
    pub cache: RefCell<Cache>,
    /// Reserved identity numbers.
    pub blocks: Blocks,
    /// Who keeps an old version.
    pub holds: Holds,
    /// The blocks that are open and not submitted.
    pub open_blocks: OpenBlocks,
    /// Who listens.
    pub listeners: Listeners,
    /// What sessions that ended left to be dropped.
    pub leftovers: Leftovers,
    pool: RefCell<HashMap<Arc<str>, Vec<SessionView>>>,
    random: Cell<u64>,
}

impl Front {
    /// For a thread that serves this node's clients.
    pub fn new(gateway: Arc<dyn Gateway>) -> Rc<Front> {
        let random = Cell::new(gateway.seed());
        let holds = Holds::new(gateway.snapshot_age_max());
        Rc::new(Front {
            gateway,
            cache: RefCell::default(),
            blocks: Rc::default(),
            holds,
            open_blocks: OpenBlocks::default(),
            listeners: Listeners::default(),
            leftovers: Leftovers::default(),
            pool: RefCell::default(),
            random,
        })
    }

    /// A connection on a version: a pooled one, or a new one.
    pub fn take_view(&self, database: &Arc<str>, pinned: &Pinned) -> Result<SessionView, SqlError> {
        let pooled = self.pool.borrow_mut().get_mut(database).and_then(|views| {
            // One that stands there already needs no re-pin and keeps its cache.
            let at = views.iter().rposition(|view| view.stands_on(pinned));
            at.map(|at| views.swap_remove(at)).or_else(|| views.pop())
        });
        match pooled {
            Some(mut view) => view.repin(pinned).map(|()| view),
            None => SessionView::open(self.gateway.clone(), database.clone(), self.blocks.clone(), pinned),
        }
    }

    /// Takes a clean connection back.
    pub fn give_back(&self, database: &Arc<str>, view: SessionView) {
        let mut pool = self.pool.borrow_mut();
        match pool.get_mut(database) {
            Some(views) if views.len() < POOLED_MAX => views.push(view),
            Some(_) => {}
            None => {
                pool.insert(database.clone(), vec![view]);
            }
        }
    }

    /// Moves idle connections to this version, so that they keep no older one in memory.
    pub fn refresh_idle(&self, database: &Arc<str>, pinned: &Pinned) {
        if let Some(views) = self.pool.borrow_mut().get_mut(database) {
            views.retain_mut(|view| view.repin(pinned).is_ok());
        }
    }

    /// Databases with idle connections.
    pub fn pooled(&self) -> Vec<Arc<str>> {
        self.pool.borrow().keys().cloned().collect()
    }

    /// Whether there is a database of this name, after all that was acknowledged before.
    pub async fn has_database(&self, name: &str) -> Result<bool, SqlError> {
        match self.gateway.read_snapshot(&name.into(), ReadLevel::Strict, None).get().await {
            Ok(_) => Ok(true),
            Err(GatewayError::NoDatabase(_)) => Ok(false),
            Err(error) => Err(gateway_error(error)),
        }
    }

    /// The roles by which a client is judged: all that was acknowledged; what this node has, if nobody says in time
    /// what that is.
    pub async fn roles(&self) -> Result<Arc<Roles>, SqlError> {
        let newest = self.gateway.read_snapshot(&ROLES_DATABASE.into(), ReadLevel::Strict, None).get();
        match tokio::time::timeout(ROLES_WAIT, newest).await {
            Ok(Ok(pinned)) => Ok(pinned.catalog.roles.clone()),
            Ok(Err(GatewayError::ShuttingDown)) => Err(gateway_error(GatewayError::ShuttingDown)),
            _ => Ok(self.gateway.roles()),
        }
    }

    /// A seed for one statement or transaction: splitmix64 from the node's seed, as reads need no better.
    pub fn seed(&self) -> u64 {
        let next = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// What a client is told of a node's refusal.
pub fn gateway_error(error: GatewayError) -> SqlError {
    let code = match &error {
        GatewayError::Unavailable(_) => "57P03",
        GatewayError::DiskFull(_) => "53100",
        GatewayError::Unknown(_) => "08007",
        GatewayError::NoDatabase(_) => "3D000",
        GatewayError::TooMuch(_) => "53000",
        GatewayError::ShuttingDown => "57P01",
    };
    SqlError::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn what_is_outside_of_blocks_waits_one_turn_while_there_is_one() {
        let blocks = OpenBlocks::default();
        let passes_at_once =
            || pin!(blocks.let_pass()).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(());
        assert!(passes_at_once());
        let open = blocks.open();
        assert!(!passes_at_once());
        drop(open);
        assert!(passes_at_once());
    }
}
