//! Sessions over the wire, against one replica without a cluster: both protocols, transactions, tickets,
//! COPY, cancel. tokio-postgres for what it can send, raw messages for the rest, and psql and pgbench
//! where they are installed.

mod blocks;
mod gateway;
mod notifications;
mod programs;
mod protocol;
mod raw;
mod statements;
mod tickets;
