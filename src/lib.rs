//! EveSQL: a SQL database that checks itself.
//!
//! The modules follow the walk of a transaction; a module uses only those listed above it in its
//! layer's column of `docs/ARCHITECTURE.md`, and `tests/layers.rs` compares that table with the
//! `use crate::` lines.

// values
pub mod batch;
pub mod entry;
pub mod page;
pub mod token;
pub mod transaction;
// seams
pub mod pem;
pub mod seam;
// pure decisions
pub mod catalog;
pub mod dialect;
pub mod footprint;
pub mod mixer;
pub mod scram;
pub mod verifier;
// input and output
pub mod log_store;
pub mod page_store;
pub mod peer;
pub mod wire;
// stateful
pub mod batcher;
pub mod consensus;
pub mod engine;
pub mod replica;
pub mod session;
pub mod state_transfer;
// the top, which alone knows all
pub mod admin;
pub mod config;
pub mod exchange;
pub mod metrics;
pub mod node;
