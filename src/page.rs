//! The unit that replicas compare: a 4 KiB database page, its number and its hash.
//!
//! Lowest layer; everything from the page store to the verifier speaks in these values.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes in a database page. Fixed: two page sizes would mean two trees for the same rows.
pub const PAGE_SIZE: usize = 4096;

/// A page's bytes, on their own.
pub type Page = Box<[u8; PAGE_SIZE]>;

/// A page number as SQLite counts them: 1 is the page with the database header.
pub type PageNumber = u32;

/// xxh3-128 of a page, of a tree node, of answers or of a batch.
///
/// Not cryptographic: it finds damage and disagreement, not forgery (`docs/ARCHITECTURE.md`, promise).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Hash(pub u128);

impl Hash {
    /// Hash of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Hash(xxhash_rust::xxh3::xxh3_128(bytes))
    }
    /// Little-endian bytes, the form on disk and on the wire.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
    /// The inverse of [`Hash::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Hash(u128::from_le_bytes(bytes))
    }
}

/// Root of a replica's whole state: of the names of its databases, in ascending order, and their roots (the token
/// covers the map).
pub fn state_root<'a>(databases: impl IntoIterator<Item = (&'a str, Hash)>) -> Hash {
    let mut bytes = Vec::new();
    for (name, root) in databases {
        bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&root.to_bytes());
    }
    Hash::of(&bytes)
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:08x}", (self.0 >> 96) as u32)
    }
}
