//! `tpcw compare`: what is compared, and where the results go.

use crate::setup::{self, Setup};
use clap::{Args, ValueEnum};
use std::io::Write;
use std::time::Duration;
use tpcw::compare::contestant::{EveSql, Kind};
use tpcw::compare::table::Table;
use tpcw::compare::{self, Options, html};
use tpcw::navigation::Mix;
use tpcw::session::{Error, Synchronous};

/// Arguments of `compare`.
#[derive(Args)]
pub struct Compare {
    /// browsing, shopping, ordering: some of them, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "browsing,shopping,ordering")]
    mix: Vec<Mix>,
    /// Numbers of emulated browsers, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "32", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: Vec<u32>,
    /// Seconds to measure in each pass
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Passes of each contestant with each mix and number of browsers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    passes: u32,
    /// Replicas of EveSQL, each number a contestant
    #[arg(long, value_delimiter = ',', default_value = "3,1")]
    replicas: Vec<u64>,
    /// Another EveSQL takes part, of which a replica is made to compute something else so often in a minute; with several
    /// numbers, separated by commas, one for each
    #[arg(
        long, value_name = "PER_MINUTE", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=6_000)
    )]
    divergences: Vec<u32>,
    /// Another EveSQL takes part that puts at most so many transactions into a batch; with several numbers, one for each
    #[arg(
        long, value_name = "TRANSACTIONS", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    batches: Vec<u32>,
    /// Another EveSQL takes part that browsers reach over TCP, not by its socket in the file system
    #[arg(long)]
    tcp: bool,
    /// A PostgreSQL, or another database that speaks its protocol, to take part; a shop in it is replaced
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// A PostgreSQL with synchronous standbys; tpcw/postgres.sh starts one
    #[arg(long, value_name = "URL")]
    postgres_standbys: Option<String>,
    /// Which SQLites take part
    #[arg(long, value_enum, default_value = "both")]
    sqlite: SqliteArg,
    #[command(flatten)]
    setup: Setup,
}

#[derive(Clone, Copy, ValueEnum)]
enum SqliteArg {
    /// With synchronous=FULL, and with NORMAL, which may lose commits when the power fails
    Both,
    /// The one with FULL
    Durable,
    /// None of them
    None,
}

impl SqliteArg {
    fn kinds(self) -> Vec<Kind> {
        let which: &[Synchronous] = match self {
            SqliteArg::Both => &[Synchronous::Full, Synchronous::Normal],
            SqliteArg::Durable => &[Synchronous::Full],
            SqliteArg::None => &[],
        };
        which.iter().map(|synchronous| Kind::Sqlite(*synchronous)).collect()
    }
}

/// Whether nothing was found.
pub fn compare(arguments: &Compare) -> Result<bool, Error> {
    let setup = &arguments.setup;
    let mut all: Vec<EveSql> = arguments.replicas.iter().map(|replicas| EveSql::plain(*replicas)).collect();
    if let Some(plain) = all.iter().max_by_key(|eve| eve.replicas).copied() {
        let diverging = |rate: &u32| EveSql { divergences_per_minute: *rate, ..plain };
        let batches = |most: &u32| EveSql { batch_max: Some(*most), ..plain };
        all.extend(arguments.divergences.iter().map(diverging));
        all.extend(arguments.batches.iter().map(batches));
        all.extend(arguments.tcp.then_some(EveSql { by_loopback: true, ..plain }));
    }
    let mut kinds: Vec<Kind> = all.into_iter().map(Kind::EveSql).collect();
    kinds.extend(arguments.sqlite.kinds());
    let server = |name: &str, url: &Option<String>| url.clone().map(|url| Kind::Server { name: name.into(), url });
    kinds.extend(server("PostgreSQL", &arguments.postgres));
    kinds.extend(server("PostgreSQL, standbys", &arguments.postgres_standbys));
    let options = Options {
        kinds,
        mixes: arguments.mix.clone(),
        clients: arguments.clients.iter().map(|clients| *clients as usize).collect(),
        warm_up: setup.warm_up(),
        measure: Duration::from_secs(arguments.seconds.into()),
        passes: arguments.passes as usize,
        think: setup.think(),
        scale: setup.scale(),
        data: setup.data.clone(),
        evesql: setup.evesql()?,
    };
    let comparison = compare::compare(&options, setup::command(), &mut |sentence| eprintln!("{sentence}"))?;
    // Of a reader that has gone nobody needs to know.
    let _ = write!(std::io::stdout(), "{}", Table(&comparison));
    setup.write("report", &comparison, || html::page(&comparison))?;
    Ok(comparison.findings.is_empty())
}
