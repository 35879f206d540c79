//! SQLite's traps, one test each: what made, or would make, transactions that run ahead on views answer or write
//! otherwise than one by one (invariant 4), and what would let the past of a connection show (invariant 10).
//!
//! Every test runs its transactions in the parallel part of one group on replicas of 1, 2 and 4 workers, one of which
//! executes them twice with a roll back between and one of which was just restarted; in a replay; in an audit; and on
//! stock SQLite. The roots of the first three are one, the answers and rows of all of them as well (see `driver`).
//! `tests/roots.rs` does the same with generated transactions. What belongs to the page store alone is in
//! `tests/page_store.rs` and `tests/page_store_pending_byte.rs`.

mod driver;
mod links;
mod past;
mod rollbacks;
mod rows;
