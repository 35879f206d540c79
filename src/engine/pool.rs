//! View connections of one thread: a session has one only while it reads or has a transaction open.

use super::connection::{Connection, Options};
use super::failure::LocalError;
use crate::page::Hash;
use crate::page_store::Snapshot;
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Idle view connections of one thread. Clones share them.
#[derive(Clone)]
pub struct Pool(Rc<Shared>);

struct Shared {
    idle: RefCell<Vec<(Hash, Connection)>>,
    options: Options,
    idle_max: usize,
}

impl Pool {
    /// A pool that keeps at most `idle_max` connections open that nobody uses. Each of them keeps the version
    /// that it read last.
    pub fn new(options: Options, idle_max: usize) -> Self {
        Pool(Rc::new(Shared { idle: RefCell::default(), options, idle_max }))
    }

    /// A connection that reads this version, if possible one that knows its schema already.
    ///
    /// # Errors
    /// [`LocalError`] if SQLite cannot be set up.
    pub fn acquire(&self, snapshot: &Snapshot, schema: Hash) -> Result<Pooled, LocalError> {
        let known = {
            let mut idle = self.0.idle.borrow_mut();
            let fitting = idle.iter().rposition(|(loaded, _)| *loaded == schema);
            match fitting {
                Some(position) => Some(idle.swap_remove(position)),
                None => idle.pop(),
            }
        };
        let mut connection = match known {
            Some((_, connection)) => connection,
            None => Connection::view(snapshot, self.0.options)?,
        };
        connection.repin(snapshot, schema)?;
        Ok(Pooled { connection: Some(connection), schema, pool: self.clone() })
    }

    /// Moves idle connections to this version, so that they keep no older one.
    pub fn unpin(&self, snapshot: &Snapshot, schema: Hash) {
        self.0.idle.borrow_mut().retain_mut(|(loaded, connection)| {
            *loaded = schema;
            connection.repin(snapshot, schema).is_ok()
        });
    }
}

/// A connection on loan; it goes back when it is dropped, and what it wrote is gone.
pub struct Pooled {
    connection: Option<Connection>,
    schema: Hash,
    pool: Pool,
}

impl Deref for Pooled {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("taken out by drop alone")
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("taken out by drop alone")
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let is_clean = !connection.is_busy() && (connection.is_autocommit() || connection.control("ROLLBACK").is_ok());
        let mut idle = self.pool.0.idle.borrow_mut();
        if is_clean && idle.len() < self.pool.0.idle_max {
            idle.push((self.schema, connection));
        }
    }
}
