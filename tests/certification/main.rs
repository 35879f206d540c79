//! Proofs of isolation over the wire: counters, tickets, write skew, and histories that a checker of strict
//! serializability reads.

mod anomalies;
#[path = "../checker/mod.rs"]
mod checker;
mod counters;
#[path = "../harness/mod.rs"]
mod harness;
mod lists;
