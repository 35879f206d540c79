//! What a repairing node asks and a source answers. Encoded with postcard inside a peer message.

use crate::page::{Hash, PageNumber};
use crate::token::Accepted;
use serde::{Deserialize, Serialize};

/// A question about one accepted state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Do you hold this state, and what databases are in it?
    State(Accepted),
    /// Hashes under these nodes (level, index) of a database.
    Nodes {
        /// Log index of the state.
        accepted_index: u64,
        /// Database.
        database: String,
        /// Level (0 has pages below it) and index in the level.
        nodes: Vec<(u32, u32)>,
    },
    /// These pages of a database.
    Pages {
        /// Log index of the state.
        accepted_index: u64,
        /// Database.
        database: String,
        /// Page numbers.
        pages: Vec<PageNumber>,
    },
}

/// Where a database's tree begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseHead {
    /// Database.
    pub name: String,
    /// Hash of the top node.
    pub top: Hash,
    /// Pages.
    pub page_count: u32,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::State`].
    State(Vec<DatabaseHead>),
    /// To [`Request::Nodes`]: 64 hashes for each, in the order asked.
    Nodes(Vec<Vec<Hash>>),
    /// To [`Request::Pages`]: 4096 bytes for each, in the order asked.
    Pages(Vec<Vec<u8>>),
    /// The state is not held here (any more), or its bytes are damaged here.
    NotHeld,
}
