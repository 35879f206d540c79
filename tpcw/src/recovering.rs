//! `tpcw recovery`: what is done to which replica, and where the results go.

use crate::setup::{self, Setup};
use clap::Args;
use std::io::Write;
use std::time::Duration;
use tpcw::navigation::Mix;
use tpcw::recovery::{self, Disk, Options, page};
use tpcw::session::Error;

/// Arguments of `recovery`.
#[derive(Args)]
pub struct Recovery {
    /// browsing, shopping or ordering
    #[arg(long, default_value = "shopping")]
    mix: Mix,
    /// Emulated browsers
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// Seconds to measure until the replica is killed
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    before_seconds: u32,
    /// Seconds from its death to its start
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    dead_seconds: u32,
    /// Seconds to measure from its start on
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    after_seconds: u32,
    /// Kills the replica that leads, instead of one that does not
    #[arg(long)]
    leader: bool,
    /// What is left of its disk
    #[arg(long, value_enum, default_value = "kept")]
    disk: Disk,
    #[command(flatten)]
    setup: Setup,
}

/// Whether nothing was found.
pub fn recover(arguments: &Recovery) -> Result<bool, Error> {
    let (setup, seconds) = (&arguments.setup, |seconds: u32| Duration::from_secs(seconds.into()));
    let options = Options {
        mix: arguments.mix,
        clients: arguments.clients as usize,
        think: setup.think(),
        scale: setup.scale(),
        warm_up: setup.warm_up(),
        before: seconds(arguments.before_seconds),
        dead: seconds(arguments.dead_seconds),
        after: seconds(arguments.after_seconds),
        leader: arguments.leader,
        disk: arguments.disk,
        data: setup.data.clone(),
        evesql: setup.evesql()?,
    };
    let recovery = recovery::recover(&options, setup::command(), &mut |sentence| eprintln!("{sentence}"))?;
    // Of a reader that has gone nobody needs to know.
    let _ = write!(std::io::stdout(), "{recovery}");
    setup.write("recovery", &recovery, || page::page(&recovery))?;
    Ok(recovery.findings.is_empty())
}
