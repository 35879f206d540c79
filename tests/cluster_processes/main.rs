//! Stories of a real cluster: three processes of `evesql node`, the connections between them led through this one, and
//! a load that notes what it was told.
//!
//! Every story ends the same way (`World::end`): all live nodes have the same accepted index and root, every
//! acknowledged transaction is there exactly once, none that was refused is there, and `evesql check` finds the stopped
//! nodes' files sound. Readers of all nodes look all the while for a strict read that misses what somebody was told.
//! What clients of `lists` saw is strictly serializable, as far as the checker (`tests/checker`) can tell.
//!
//! `EVESQL_ROUNDS=20 cargo test --test cluster_processes` repeats what depends on chance.
//!
//! `EVESQL_LARGE=1 cargo test --test cluster_processes` tells the stories with a database of more than four times the
//! memory budget: every node has `memory_mib = 64` and lives in a cgroup of its own, which gives it 224 MiB and nothing to
//! swap to; every story begins with 272 MiB of rows, which its clients change and read ([`large`]). A node that is
//! killed for its memory fails its story. It needs leave to make cgroups (root, on most machines), and fails without; one
//! story follows the other, and no second run may be under way in the same target directory. Takes about half an hour.
//!
//! Clocks that go wrong are the
//! simulator's business (`tests/simulator.rs`): a process's clock cannot be turned without privileges.

mod advisory;
mod bank;
mod chaos;
#[path = "../checker/mod.rs"]
mod checker;
mod clients;
mod damage;
mod deaths;
#[path = "../harness/mod.rs"]
mod harness;
mod large;
mod limit;
mod lists;
mod load;
mod members;
mod node;
mod partitions;
mod proven;
mod temporary;
mod tickets;
mod wires;
mod world;
