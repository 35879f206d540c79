//! One database of a replica: its page store, its canonical connection, and what is remembered of both.

use super::Options;
use super::accepted::DatabaseVersion;
use super::once::Once;
use super::parallel::Parallel;
use crate::catalog::{self, Catalog};
use crate::engine::{self, Connection, Failure, LocalError};
use crate::page::{Hash, Page, PageNumber};
use crate::page_store::{PageStore, Snapshot, View};
use crate::transaction::TransactionId;
use std::collections::HashSet;
use std::sync::Arc;

/// A database and its writer.
pub(super) struct Database {
    store: Arc<PageStore>,
    pub connection: Connection,
    pub catalog: Arc<Catalog>,
    pub once: Once,
    /// Whether BEGIN was said.
    pub is_open: bool,
    /// For the parallel mode: what it knows of the schema, and the connection that applies.
    pub parallel: Parallel,
}

impl Database {
    /// A database of which nothing is remembered yet.
    fn of(store: Arc<PageStore>, connection: Connection) -> Self {
        let (catalog, once, parallel) = (Arc::new(Catalog::empty()), Once::default(), Parallel::default());
        Database { store, connection, catalog, once, is_open: false, parallel }
    }

    /// A new database; the same bytes on every replica.
    pub fn create(name: &str, options: &Options) -> Result<Self, LocalError> {
        let store = options.new_store(name)?;
        let connection = Connection::canonical(View::canonical(&store), options.engine)?;
        let mut database = Database::of(store, connection);
        database.set_up().map_err(Failure::into_local)?;
        database.publish()?;
        database.connection.schema_hash()?;
        database.reload_catalog()?;
        Ok(database)
    }

    fn set_up(&mut self) -> Result<(), Failure> {
        self.begin()?;
        for sql in catalog::BOOTSTRAP_SQL.iter().chain([&Once::TABLE_SQL]) {
            self.connection.control(sql)?;
        }
        self.commit()?;
        self.connection.renew_schema()
    }

    /// The database that a snapshot shows, which must be its store's newest version.
    pub fn over(snapshot: &Snapshot, options: &Options) -> Result<Self, LocalError> {
        let store = snapshot.store().clone();
        store.roll_back(snapshot)?;
        let connection = Connection::canonical(View::canonical(&store), options.engine)?;
        let mut database = Database::of(store, connection);
        database.learn()?;
        Ok(database)
    }

    /// A version of a database, to run transactions on that are thrown away: nothing is published, and no other
    /// connection knows of it. It remembers of these transactions alone whether they were executed.
    pub fn aside(
        version: &DatabaseVersion,
        options: engine::Options,
        ids: &HashSet<TransactionId>,
    ) -> Result<Self, LocalError> {
        let mut connection = Connection::auditing(&version.snapshot, options)?;
        connection.expect_schema(version.schema)?;
        let once = Once::load_where(&mut connection, |id| ids.contains(id))?;
        let catalog = version.catalog.clone();
        Ok(Database { catalog, once, ..Database::of(version.snapshot.store().clone(), connection) })
    }

    /// A database of which a part is damaged: nothing of it is read until a repair has replaced that.
    pub fn unread(snapshot: &Snapshot, options: &Options) -> Result<Self, LocalError> {
        let placeholder = PageStore::in_memory(options.store.clone());
        let connection = Connection::canonical(View::canonical(&placeholder), options.engine)?;
        Ok(Database::of(snapshot.store().clone(), connection))
    }

    /// Reads everything that is remembered of the pages, which are others than before.
    fn learn(&mut self) -> Result<(), LocalError> {
        self.connection.renew_schema().map_err(Failure::into_local)?;
        self.connection.schema_hash()?;
        self.once = Once::load(&mut self.connection)?;
        self.reload_catalog()
    }

    /// Replaces pages of the newest version, which must give this root.
    pub fn install(
        &mut self,
        pages: &[(PageNumber, Page)],
        page_count: u32,
        root: Hash,
        options: &Options,
    ) -> Result<(), LocalError> {
        self.store.install(&self.store.head(), pages, page_count, root)?;
        // Nothing that the old connection remembers is of use, and it may never have read these pages.
        self.connection = Connection::canonical(View::canonical(&self.store), options.engine)?;
        self.is_open = false;
        self.parallel = Parallel::default();
        self.learn()
    }

    /// Replaces pages on the way to another state; nothing is read before [`Database::install`] has ended it.
    pub fn install_part(
        &mut self,
        pages: &[(PageNumber, Page)],
        page_count: u32,
    ) -> Result<DatabaseVersion, LocalError> {
        let snapshot = self.store.install_part(pages, page_count)?;
        Ok(DatabaseVersion { snapshot, schema: Hash::default(), catalog: Arc::new(Catalog::empty()) })
    }

    /// Whether a snapshot is one of this database's.
    pub fn is_in(&self, snapshot: &Snapshot) -> bool {
        Arc::ptr_eq(&self.store, snapshot.store())
    }

    /// BEGIN, if it was not said yet.
    pub fn begin(&mut self) -> Result<(), Failure> {
        if !self.is_open {
            self.connection.control("BEGIN")?;
            self.is_open = true;
        }
        Ok(())
    }

    /// COMMIT, if there was a BEGIN.
    pub fn commit(&mut self) -> Result<(), Failure> {
        if self.is_open {
            self.connection.control("COMMIT")?;
            self.is_open = false;
        }
        Ok(())
    }

    /// ROLLBACK, of whatever is open, and these alone stay noted as executed in this batch.
    pub fn go_back(&mut self, noted: &[TransactionId]) -> Result<(), LocalError> {
        if !self.connection.is_autocommit() {
            self.connection.control("ROLLBACK").map_err(Failure::into_local)?;
        }
        self.is_open = false;
        self.once.go_back(noted);
        Ok(())
    }

    /// Reads schema and catalog again, after changes of them were taken back.
    pub fn read_schema(&mut self) -> Result<(), LocalError> {
        self.connection.renew_schema().map_err(Failure::into_local)?;
        self.reload_catalog()
    }

    /// Writes which transactions were executed, at the end of a batch in which any were.
    pub fn write_once(&mut self, log_index: u64) -> Result<(), LocalError> {
        if self.once.pending().is_empty() {
            return Ok(());
        }
        self.begin().map_err(Failure::into_local)?;
        self.once.write(&mut self.connection, log_index).map_err(Failure::into_local)
    }

    /// Makes what was committed the newest version.
    pub fn publish(&mut self) -> Result<Snapshot, LocalError> {
        Ok(self.store.publish(self.connection.viewed()?)?)
    }

    /// The pages, for another canonical connection.
    pub fn store(&self) -> &Arc<PageStore> {
        &self.store
    }

    /// The newest version.
    pub fn version(&mut self) -> Result<DatabaseVersion, LocalError> {
        let schema = self.connection.schema_hash()?;
        Ok(DatabaseVersion { snapshot: self.store.head(), schema, catalog: self.catalog.clone() })
    }

    /// Goes back to a version, whatever is open.
    pub fn restore(&mut self, version: &DatabaseVersion) -> Result<(), LocalError> {
        if !self.connection.is_autocommit() {
            self.connection.control("ROLLBACK").map_err(Failure::into_local)?;
        }
        self.is_open = false;
        // Before the store rolls back: its connection may be inside a transaction.
        self.parallel.applier = None;
        self.store.roll_back(&version.snapshot)?;
        // Also where the hash is the same: SQLite may hold statistics or a schema that were rolled back.
        self.connection.renew_schema().map_err(Failure::into_local)?;
        self.connection.expect_schema(version.schema)?;
        self.catalog = version.catalog.clone();
        self.once = Once::load(&mut self.connection)?;
        Ok(())
    }

    /// Reads the catalog's rows, after they may have changed.
    pub fn reload_catalog(&mut self) -> Result<(), LocalError> {
        let rows = self.connection.query(catalog::CATALOG_SQL, &[]).map_err(Failure::into_local)?;
        let catalog = Catalog::load(rows).map_err(|error| LocalError::internal(error.to_string()))?;
        self.catalog = Arc::new(catalog);
        Ok(())
    }

    /// Flips a bit in memory (drill).
    pub fn flip_bit(&self, page: u32, bit: u32) -> Result<(), LocalError> {
        let pages = self.store.head().page_count().max(1);
        Ok(self.store.flip_bit(page % pages + 1, bit)?)
    }

    /// Has no memory for the next page that is written (drill).
    pub fn refuse_page(&self) -> Result<(), LocalError> {
        Ok(self.connection.viewed()?.refuse_page()?)
    }

    /// How many damaged pages were met since the last call.
    pub fn take_damage(&self) -> usize {
        self.store.take_damage().len()
    }

    /// Pages whose bytes in memory do not have their hash any more.
    #[cfg(test)]
    pub fn damaged_pages(&self) -> Vec<u32> {
        self.store.rehash(&self.store.head())
    }
}
