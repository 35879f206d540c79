//! Versions of the databases as readers see them, and the one root over all.

use crate::catalog::Catalog;
use crate::page::Hash;
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
    root_of(databases.iter().map(|(name, version)| (&**name, version.snapshot.root())))
}

/// As [`state_root`], of names in ascending order and their roots.
pub(super) fn root_of<'a>(roots: impl Iterator<Item = (&'a str, Hash)>) -> Hash {
    let mut bytes = Vec::new();
    for (name, root) in roots {
        bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&root.to_bytes());
    }
    Hash::of(&bytes)
}
