//! Sessions over the wire, against one replica without a cluster: both protocols, transactions, tickets,
//! COPY, cancel. tokio-postgres for what it can send, raw messages for the rest, psql and pgbench
//! where they are installed, and what other clients were recorded to send.

mod advisory;
mod blocks;
mod changes;
mod explain;
mod gateway;
mod notifications;
mod programs;
mod protocol;
mod raw;
mod recorded;
mod statements;
mod temporary;
mod tickets;
