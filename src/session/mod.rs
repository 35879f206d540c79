//! One client's session: what its messages mean, and what it needs of the node that it is connected to.

mod status;
pub mod tickets;

pub use status::{Event, Status, Step};
