//! The workload program: fills the shop, runs browsers on it, checks it.

mod comparing;
mod recovering;
mod setup;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tpcw::check::{self, Claims, Findings};
use tpcw::navigation::Mix;
use tpcw::population::{self, Population, Scale};
use tpcw::run::{self, Options, Outcome};
use tpcw::session::{self, Database, Error, Synchronous};

/// An online bookshop after TPC-W, as a load on databases.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes the shop's tables and fills them.
    Load(Load),
    /// Runs emulated browsers on a shop that is filled, then checks it.
    Run(Run),
    /// Checks that a shop is sound; nobody should use it meanwhile.
    Check(Target),
    /// Runs the same work on EveSQL, SQLite and, if they are named, other databases, and tells how they compare.
    Compare(comparing::Compare),
    /// Runs browsers on three nodes, kills one, brings it back, and tells what that cost and how long it took.
    Recovery(recovering::Recovery),
}

#[derive(Args)]
struct Target {
    /// postgres://USER@HOST:PORT/DATABASE, also with several hosts, or sqlite:FILE
    #[arg(long)]
    url: String,
    /// What SQLite's commit waits for
    #[arg(long, value_enum, default_value = "full")]
    synchronous: SynchronousArg,
}

#[derive(Clone, Copy, ValueEnum)]
enum SynchronousArg {
    /// The disk
    Full,
    /// Nothing: commits may be lost when the power fails
    Normal,
}

#[derive(Args)]
struct Load {
    #[command(flatten)]
    target: Target,
    /// Items to sell: 1000, 10000, 100000 ...
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(i64).range(1..=10_000_000))]
    items: i64,
    /// Emulated browsers that the shop is made for, with 2880 customers each
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    ebs: i64,
    /// What texts, prices and choices depend on
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Removes a shop that is there
    #[arg(long)]
    replace: bool,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    target: Target,
    /// browsing, shopping or ordering
    #[arg(long, default_value = "shopping")]
    mix: Mix,
    /// Emulated browsers
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// Connections that browsers share; without it each has its own
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pool: Option<u32>,
    /// Seconds to measure
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Seconds before measuring
    #[arg(long, default_value_t = 5)]
    warm_up: u32,
    /// Mean think time in milliseconds; 0 saturates the database
    #[arg(long, default_value_t = 7_000)]
    think_ms: u32,
    /// Mean length of a user's session in seconds
    #[arg(long, default_value_t = 900)]
    session_seconds: u32,
    /// What browsers' choices depend on
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Makes a replica of EveSQL compute something else so often in a minute; the server must run with --drills
    #[arg(long, value_name = "PER_MINUTE", value_parser = clap::value_parser!(u32).range(1..=6_000))]
    divergences: Option<u32>,
    /// Replicas that there are, for --divergences
    #[arg(long, default_value_t = 3)]
    replicas: u64,
    /// Writes the results to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Leaves out the checks at the end
    #[arg(long)]
    no_check: bool,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Load(load) => load.target.use_it(|database| fill(database, &load).map(|()| true)),
        Command::Run(run) => run.target.use_it(|database| browse(database, &run)),
        Command::Check(target) => target.use_it(look),
        Command::Compare(compare) => comparing::compare(&compare),
        Command::Recovery(recovery) => recovering::recover(&recovery),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            // A URL that names no database is a wrong argument.
            if matches!(error, Error::Url(_)) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

impl Target {
    fn use_it(&self, work: impl FnOnce(&Arc<dyn Database>) -> Result<bool, Error>) -> Result<bool, Error> {
        let synchronous = match self.synchronous {
            SynchronousArg::Full => Synchronous::Full,
            SynchronousArg::Normal => Synchronous::Normal,
        };
        work(&session::database(&self.url, synchronous)?)
    }
}

fn fill(database: &Arc<dyn Database>, load: &Load) -> Result<(), Error> {
    let mut session = database.open()?;
    let scale = Scale { items: load.items, ebs: load.ebs, seed: load.seed };
    let mut tell = |progress: population::Progress| {
        eprint!("\r{:20} {:>10} of {}", progress.table, progress.done, progress.count);
        if progress.done == progress.count {
            eprintln!();
        }
    };
    Population::new(scale).load(session.as_mut(), load.replace, &mut tell)?;
    println!("loaded: {} items, {} customers, {} orders", scale.items, scale.customers(), scale.orders());
    Ok(())
}

fn browse(database: &Arc<dyn Database>, arguments: &Run) -> Result<bool, Error> {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let options = Options {
        mix: arguments.mix,
        clients: arguments.clients as usize,
        pool: arguments.pool.map(|count| count as usize),
        think: Duration::from_millis(arguments.think_ms.into()),
        session: seconds(arguments.session_seconds),
        warm_up: seconds(arguments.warm_up),
        measure: seconds(arguments.seconds),
        seed: arguments.seed,
        disturbance: arguments.divergences.and_then(|per_minute| Options::divergences(arguments.replicas, per_minute)),
    };
    let mut tell = |progress: run::Progress| {
        let phase = if progress.measuring { "measuring" } else { "warming up" };
        let (elapsed, failures) = (progress.elapsed.as_secs_f64(), progress.failures);
        eprint!("\r{phase:10} {elapsed:5.0} s {:>9.1} {} {failures} failures ", progress.wips, arguments.mix.metric());
    };
    let outcome = run::run(database, &options, &mut tell)?;
    eprintln!();
    println!("{}", outcome.report);
    if let Some(file) = &arguments.json {
        let json = serde_json::to_string_pretty(&outcome.report).map_err(|error| Error::Failed(error.to_string()))?;
        std::fs::write(file, json + "\n").map_err(|error| {
            Error::Failed(format!("the results could not be written to {}: {error}", file.display()))
        })?;
    }
    let served = tell_failures(&outcome);
    if arguments.no_check {
        return Ok(served);
    }
    let claims = Claims { told: &outcome.told, before: outcome.before };
    let findings = check::check(database.open()?.as_mut(), Some(claims))?;
    Ok(tell_findings(&findings) && served)
}

/// Whether no interaction failed for good.
fn tell_failures(outcome: &Outcome) -> bool {
    for (message, count) in &outcome.failures {
        eprintln!("{count} x {message}");
    }
    if outcome.failed {
        println!("failed: some interactions failed for good");
    }
    !outcome.failed
}

fn tell_findings(findings: &Findings) -> bool {
    for sentence in &findings.sentences {
        println!("finding: {sentence}");
    }
    if findings.is_empty() {
        println!("check: the shop is sound");
    }
    findings.is_empty()
}

fn look(database: &Arc<dyn Database>) -> Result<bool, Error> {
    let findings = check::check(database.open()?.as_mut(), None)?;
    Ok(tell_findings(&findings))
}
