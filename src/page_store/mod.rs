//! Versions of a database as one persistent tree, and SQLite on top of it. All `unsafe` of EveSQL is here.

pub mod checkpoint;
pub mod sqlite;
