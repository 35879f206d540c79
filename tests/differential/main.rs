//! EveSQL beside PostgreSQL 15: what is asked of both over the wire, and what they answer. Files in sqllogictest's
//! format hold what PostgreSQL answers; the differential test asks both and compares.
//!
//! Where PostgreSQL is not installed, what needs it is passed over with a word, except where `CI` is set: there nobody
//! reads that word.

mod compare;
#[path = "../session/gateway.rs"]
#[allow(dead_code)]
mod gateway;
mod generator;
mod peer;
#[path = "../harness/postgres.rs"]
mod postgres;
#[path = "../session/raw.rs"]
#[allow(dead_code)]
mod raw;
mod sqllogic;

use peer::Server;

/// A PostgreSQL 15: that of `EVESQL_POSTGRES_URL` (`postgres://USER@127.0.0.1:PORT/DATABASE`), or one of its own.
fn postgres_15() -> Option<(Server, Option<postgres::Postgres>)> {
    if let Ok(url) = std::env::var("EVESQL_POSTGRES_URL") {
        return Some((Server::of_url(&url), None));
    }
    let programs = postgres::programs();
    assert!(programs.is_some() || std::env::var_os("CI").is_none(), "no PostgreSQL in /usr/lib/postgresql: install it");
    let Some(programs) = programs.filter(|programs| programs.to_string_lossy().contains("/15/")) else {
        eprintln!("no PostgreSQL 15 in /usr/lib/postgresql: not compared with it");
        return None;
    };
    let own = postgres::Postgres::start(&programs);
    Some((Server { port: own.port, user: "postgres".into(), database: "postgres".into() }, Some(own)))
}
