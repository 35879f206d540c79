//! The mixer: which transactions of a batch may run beside each other, and what people say about it in rules.
//!
//! Third step of a transaction's walk: the batcher's list and the footprints go in, a [`crate::batch::Plan`] comes
//! out and travels with the batch, so that nodes with other rules still do the same. Pure: no clock, no files, no
//! locks; the same candidates give the same plan.
//!
//! A plan is a matter of speed. That its result is the one of its order is kept by the executor, which checks what
//! was written against sound footprints before it applies what ran beside others (invariants 4 and 5).

mod cost;
mod explain;
mod plan;
pub mod rules;
pub mod suggest;

pub use cost::{Cost, WorkAndSpan, speed_up_max, time_ns_min, work_and_span};
pub use explain::{Derive, Derived, explain};
pub use plan::{Candidate, Limits, Mixer, Mode, keeps_apart, plan};

#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod plan_tests;
