//! TPC-W on the executor, in process: what `tpcw_executor` measures with.

pub mod lane;
pub mod load;
pub mod mixes;
pub mod random;
pub mod remus;
pub mod schema;
pub mod sweeps;
pub mod writes;
