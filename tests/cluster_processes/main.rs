//! Stories of a real cluster: three processes of `evesql node`, the connections between them led through this one, and
//! a load that notes what it was told.
//!
//! Every story ends the same way (`World::end`): all live nodes have the same accepted index and root, every
//! acknowledged transaction is there exactly once, none that was refused is there, and `evesql check` finds the stopped
//! nodes' files sound. Readers of all nodes look all the while for a strict read that misses what somebody was told.
//! What clients of `lists` saw is strictly serializable, as far as the checker (`tests/checker`) can tell.
//!
//! `EVESQL_ROUNDS=20 cargo test --test cluster_processes` repeats what depends on chance. Clocks that go wrong are the
//! simulator's business (`tests/simulator.rs`): a process's clock cannot be turned without privileges.

mod bank;
mod chaos;
#[path = "../checker/mod.rs"]
mod checker;
mod clients;
mod damage;
mod deaths;
#[path = "../harness/mod.rs"]
mod harness;
mod lists;
mod load;
mod members;
mod node;
mod partitions;
mod proven;
mod tickets;
mod wires;
mod world;
