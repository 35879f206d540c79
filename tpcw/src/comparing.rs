//! `tpcw compare`: what is compared, and where the results go.

use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tpcw::compare::contestant::Kind;
use tpcw::compare::table::Table;
use tpcw::compare::{self, Options, html};
use tpcw::navigation::Mix;
use tpcw::population::Scale;
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
    /// Seconds before measuring in each pass
    #[arg(long, default_value_t = 2)]
    warm_up: u32,
    /// Passes of each contestant with each mix and number of browsers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    passes: u32,
    /// Mean think time in milliseconds; 0 saturates the databases
    #[arg(long, default_value_t = 0)]
    think_ms: u32,
    /// Items to sell
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(i64).range(1..=10_000_000))]
    items: i64,
    /// Emulated browsers that the shop is made for, with 2880 customers each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    ebs: i64,
    /// Replicas of EveSQL, each number a contestant
    #[arg(long, value_delimiter = ',', default_value = "3,1")]
    replicas: Vec<u64>,
    /// Another EveSQL takes part, of which a replica is made to compute something else so often in a minute
    #[arg(long, value_name = "PER_MINUTE", value_parser = clap::value_parser!(u32).range(1..=6_000))]
    divergences: Option<u32>,
    /// A PostgreSQL, or another database that speaks its protocol, to take part; a shop in it is replaced
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// A PostgreSQL with synchronous standbys; tpcw/postgres.sh starts one
    #[arg(long, value_name = "URL")]
    postgres_standbys: Option<String>,
    /// Leaves out SQLite with synchronous=NORMAL, which may lose commits when the power fails
    #[arg(long)]
    durable_only: bool,
    /// Where databases are made
    #[arg(long, value_name = "DIR", default_value = "target/tpcw")]
    data: PathBuf,
    /// The evesql program [default: the one beside this one, built if it is not there]
    #[arg(long, value_name = "FILE")]
    evesql: Option<PathBuf>,
    /// Writes DIR/report.html and DIR/report.json
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Whether nothing was found.
pub fn compare(arguments: &Compare) -> Result<bool, Error> {
    let own =
        |divergences_per_minute| move |replicas: &u64| Kind::EveSql { replicas: *replicas, divergences_per_minute };
    let mut kinds: Vec<Kind> = arguments.replicas.iter().map(own(0)).collect();
    if let (Some(per_minute), Some(most)) = (arguments.divergences, arguments.replicas.iter().max()) {
        kinds.push(own(per_minute)(most));
    }
    kinds.push(Kind::Sqlite(Synchronous::Full));
    if !arguments.durable_only {
        kinds.push(Kind::Sqlite(Synchronous::Normal));
    }
    let server = |name: &str, url: &Option<String>| url.clone().map(|url| Kind::Server { name: name.into(), url });
    kinds.extend(server("PostgreSQL", &arguments.postgres));
    kinds.extend(server("PostgreSQL, standbys", &arguments.postgres_standbys));
    let options = Options {
        kinds,
        mixes: arguments.mix.clone(),
        clients: arguments.clients.iter().map(|clients| *clients as usize).collect(),
        warm_up: Duration::from_secs(arguments.warm_up.into()),
        measure: Duration::from_secs(arguments.seconds.into()),
        passes: arguments.passes as usize,
        think: Duration::from_millis(arguments.think_ms.into()),
        scale: Scale { items: arguments.items, ebs: arguments.ebs, seed: 1 },
        data: arguments.data.clone(),
        evesql: arguments.evesql.clone().map_or_else(evesql, Ok)?,
    };
    let command = std::iter::once("tpcw".to_string()).chain(std::env::args().skip(1)).collect::<Vec<_>>().join(" ");
    let comparison = compare::compare(&options, command, &mut |sentence| eprintln!("{sentence}"))?;
    // Of a reader that has gone nobody needs to know.
    let _ = write!(std::io::stdout(), "{}", Table(&comparison));
    if let Some(out) = &arguments.out {
        std::fs::create_dir_all(out).map_err(|error| unwritten(out, &error))?;
        let json = serde_json::to_string(&comparison).map_err(|error| Error::Failed(error.to_string()))?;
        let page = html::page(&comparison).map_err(Error::Failed)?;
        for (name, text) in [("report.json", json + "\n"), ("report.html", page)] {
            let file = out.join(name);
            std::fs::write(&file, text).map_err(|error| unwritten(&file, &error))?;
            eprintln!("written: {}", file.display());
        }
    }
    Ok(comparison.findings.is_empty())
}

fn unwritten(file: &Path, error: &std::io::Error) -> Error {
    Error::Failed(format!("{} cannot be written: {error}", file.display()))
}

/// The program beside this one. Under `cargo run` it is built first, so that it is the one of these sources.
fn evesql() -> Result<PathBuf, Error> {
    let own = std::env::current_exe().map_err(|error| Error::Failed(error.to_string()))?;
    let beside = own.with_file_name("evesql");
    if let Some(cargo) = std::env::var_os("CARGO") {
        eprintln!("building evesql");
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "evesql", "--bin", "evesql"]);
        if own.components().any(|part| part.as_os_str() == "release") {
            build.arg("--release");
        }
        let built = build.status().is_ok_and(|status| status.success());
        if !built {
            return Err(Error::Failed("evesql cannot be built; see above".into()));
        }
    }
    match beside.exists() {
        true => Ok(beside),
        false => Err(Error::Failed(format!("{} is not there; name the program with --evesql", beside.display()))),
    }
}
