//! The Postgres wire: sockets, frames and messages; first and last stop in the walk of a transaction.
//!
//! It knows nothing of SQL: what a message means is [`Handler`]'s business (`session`). A connection is
//! pinned to one front thread with a current-thread runtime; frames are read in place from one buffer,
//! answers are written into one buffer, and one Sync or simple query costs one read and one write.

mod connection;
mod greeting;
mod inbox;
mod local;
pub mod message;
mod outbox;
mod registry;
mod server;
mod stream;
mod talk;
mod tls;

pub use connection::{Flow, Handler, Link, Service};
pub use greeting::{Hello, Origin};
pub use inbox::{Fields, FrameError};
pub use local::LocalSocket;
pub use outbox::{CACHED_PLAN, Outbox};
pub use registry::{Interrupt, Reason, Registration};
pub use server::{Front, FrontOptions};
pub use talk::{NotAdmitted, Talk};
pub use tls::ClientTls;
