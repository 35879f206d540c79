//! One client's session: what its messages mean, and what it needs of the node that it is connected to.
//! First and last step in the walk of a transaction.
//!
//! A statement takes one of three ways: a read steps a pooled connection on an accepted version and
//! writes rows straight into the send buffer; a one-shot update becomes a transaction that the node has
//! ordered, executed and accepted; inside BEGIN .. COMMIT statements run on a private connection and are
//! recorded with digests of their answers, which COMMIT submits (architecture: certified by answers).
//!
//! Knows nothing of batches, consensus or replicas: [`gateway::Gateway`] is all it sees of a node.

mod admission;
mod bind;
mod block;
mod cache;
mod client;
mod commit;
mod copy;
mod copy_reader;
mod cursor;
mod encode;
mod errands;
mod explained;
mod extended;
mod front;
pub mod gateway;
mod held_locks;
mod holds;
mod identity;
mod in_block;
mod keys;
mod listen;
mod locks;
mod named;
mod numbers;
mod one_shot;
mod read;
mod roles;
mod service;
mod set;
mod settings;
mod simple;
mod status;
mod system;
mod temporary;
pub mod ticket_desk;
pub mod tickets;
mod utility;
mod view;
mod violation;

pub use admission::Admission;
pub use client::Session;
pub use front::Front;
pub use gateway::{Gateway, GatewayError, LockError, Pinned, ReadLevel, Soon, TicketError, Waiting};
pub use service::SessionService;
pub use settings::SERVER_VERSION;
pub use status::{Event, Status, Step};
