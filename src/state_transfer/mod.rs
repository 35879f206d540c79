//! Repair and catch-up: brings a replica's pages to a root that the cluster accepted, fetching only pages
//! that differ.
//!
//! Off the walk of a transaction: the node calls it when the verifier says *repair*. [`Fetch`] descends from
//! the root: it asks for the children of nodes whose hashes differ from its own, then for the pages. Every answer
//! is proved by the hash above it before it is used, so a wrong or damaged source can delay a repair but not
//! spoil it. No I/O here: requests come out, replies go in; it does not know how they travel, nor who is asked.
//!
//! Invariants:
//! - T1: nothing enters the result that the target root does not prove.
//! - T2: what is equal is not fetched, unless its own bytes are known to be damaged.

mod fetch;
mod message;
mod serve;

pub use fetch::{Fetch, FetchError, OwnTree};
pub use message::{DatabaseHead, Reply, Request};
pub use serve::answer;
