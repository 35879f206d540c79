//! Versions of the databases as readers see them, and the one root over all.

use crate::catalog::Catalog;
use crate::page::{self, Hash};
use crate::page_store::Snapshot;
use crate::token::Accepted;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One database in one version.
#[derive(Clone)]
pub struct DatabaseVersion {
    /// Its pages; holding it keeps them.
    pub snapshot: Snapshot,
    /// Hash of schema and statistics, for [`crate::engine::Connection::expect_schema`].
    pub schema: Hash,
    /// Its catalog; the version in it is what transactions name.
    pub catalog: Arc<Catalog>,
}

/// All databases in an accepted version.
#[derive(Clone, Default)]
pub struct AcceptedState {
    /// Which batch, and what the cluster stands by.
    pub accepted: Accepted,
    /// The databases by name.
    pub databases: BTreeMap<Arc<str>, DatabaseVersion>,
}

/// Root of a replica's whole state: a hash over names and roots (the token covers the map).
pub fn state_root(databases: &BTreeMap<Arc<str>, DatabaseVersion>) -> Hash {
    page::state_root(databases.iter().map(|(name, version)| (&**name, version.snapshot.root())))
}
