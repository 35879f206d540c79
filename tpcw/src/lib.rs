//! An online bookshop after TPC-W, as a load on databases: EveSQL or PostgreSQL over the Postgres wire, and SQLite in
//! process.
//!
//! A run is a crowd of emulated [`browser`]s. Each walks the shop's pages by the Markov chain of its mix
//! ([`navigation`]), does what the page asks of the database ([`interactions`] through a [`session`]) and thinks.
//! [`run`] keeps the time and puts together the [`statistics`]; [`check`] then looks whether the shop is still sound
//! and holds what the browsers were told. [`population`] fills the shop.
//!
//! [`compare`] and [`recovery`] are experiments that start the databases themselves ([`evesql`] as processes).
//!
//! The crate knows nothing about how EveSQL works inside; it shares no code with it.

pub mod browser;
pub mod check;
pub mod compare;
pub mod connection;
pub mod evesql;
pub mod interactions;
pub mod navigation;
pub mod population;
mod postgres;
pub mod presentation;
pub mod random;
pub mod recovery;
pub mod run;
mod schema;
pub mod session;
pub mod shop;
mod sqlite;
pub mod statements;
pub mod statistics;
pub mod value;
mod wire;
