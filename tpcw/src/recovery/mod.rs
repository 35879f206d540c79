//! A cluster of three processes under load, of which one is killed and comes back: what browsers have of it, and how
//! long the replica takes.
//!
//! ```text
//!   browsers on all three nodes, all the time
//!   ──────────┬───────────┬──────────┬───────────┬────────
//!     before  │   dead    │ catching │   after   │  then: one root at one index, and the shop is checked
//!             │           │    up    │           │
//!           killed     started   caught up    healthy
//! ```
//!
//! *Answers*: it has answered a strict read. *Caught up*: it serves and has accepted all that the others had when they
//! were asked just before. *Healthy*: then, or later, it has also proved every page since its start.

mod cluster;
pub mod page;
mod phases;
mod watch;

use crate::check::{self, Claims};
use crate::evesql;
use crate::navigation::Mix;
use crate::population::{Population, Scale};
use crate::presentation::Origin;
use crate::run::{self, Options as RunOptions, Outcome};
use crate::session::{self, Error, Synchronous};
use crate::statistics::Report;
use cluster::Cluster;
pub use phases::Phase;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// What is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// What browsers do.
    pub mix: Mix,
    /// How many there are.
    pub clients: usize,
    /// Mean think time.
    pub think: Duration,
    /// Size of the shop.
    pub scale: Scale,
    /// Not measured.
    pub warm_up: Duration,
    /// Measured, until the kill.
    pub before: Duration,
    /// From the kill to the start.
    pub dead: Duration,
    /// Measured, from the start on.
    pub after: Duration,
    /// The one that leads is killed, instead of one that does not.
    pub leader: bool,
    /// What is left of the replica's disk.
    pub disk: Disk,
    /// Databases are made here.
    pub data: PathBuf,
    /// The `evesql` program.
    pub evesql: PathBuf,
}

/// What is left of a dead replica's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Disk {
    /// All of it: the replica reads in the log what it missed
    Kept,
    /// All of it, with a flipped bit in each page of the databases: it fetches these pages
    Damaged,
    /// Nothing: a new node joins in its place, fetches all pages, and becomes a voter
    Lost,
}

/// When something happened, in seconds since measuring began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Marks {
    /// The process was killed.
    pub killed_s: f64,
    /// It was started again, or the new one in its place.
    pub started_s: f64,
    /// It had answered a strict read.
    pub answers_s: Option<f64>,
    /// It had accepted what the others had.
    pub caught_up_s: Option<f64>,
    /// The new one had become a voter and the old one no member any more.
    pub voter_s: Option<f64>,
    /// It had also proved every page since its start.
    pub healthy_s: Option<f64>,
}

impl Marks {
    /// Those that there are, in the order of a page.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        let marks = [
            ("killed", Some(self.killed_s)),
            ("started", Some(self.started_s)),
            ("answers", self.answers_s),
            ("caught up", self.caught_up_s),
            ("voter", self.voter_s),
            ("healthy", self.healthy_s),
        ];
        marks.into_iter().filter_map(|(name, at)| Some((name, at?))).collect()
    }
}

/// What was done to a replica, and how it came back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Death {
    /// Who was killed.
    pub node: u64,
    /// Whether it led.
    pub was_leader: bool,
    /// What was left of its disk.
    pub disk: Disk,
    /// Who came back: the same one, unless its disk was lost.
    pub returned_as: u64,
    /// When.
    pub marks: Marks,
    /// Batches that the others had accepted at its start, and it had not.
    pub batches_behind: u64,
    /// Pages that it fetched from the others.
    pub pages_fetched: u64,
}

/// What was seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recovery {
    /// When, where, by which command.
    #[serde(flatten)]
    pub origin: Origin,
    /// Of the program.
    pub version: String,
    /// Items that the shop was made with.
    pub items: i64,
    /// Customers.
    pub customers: i64,
    /// Who died, and how it came back.
    pub death: Death,
    /// How much was done before, meanwhile and after.
    pub phases: Vec<Phase>,
    /// The longest time in which no page was completed, in seconds, to a tenth.
    pub longest_silence_s: f64,
    /// Interactions that were completed in each tenth of a second.
    pub per_tenth: Vec<u64>,
    /// All that browsers saw.
    pub report: Report,
    /// What failed for good, or was wrong at the end.
    pub findings: Vec<String>,
}

/// Does it all. `tell` gets a sentence for each step.
///
/// # Errors
/// A cluster that does not start or cannot be filled, or a replica that cannot be started again. What fails after that
/// is in [`Recovery::findings`].
pub fn recover(options: &Options, command: String, tell: &mut dyn FnMut(&str)) -> Result<Recovery, Error> {
    let made = std::fs::create_dir_all(&options.data)
        .and_then(|()| tempfile::Builder::new().prefix("tpcw-").tempdir_in(&options.data));
    let directory = made
        .map_err(|error| Error::Failed(format!("no directory can be made in {}: {error}", options.data.display())))?;
    tell("starting three nodes and filling the shop");
    let mut cluster = Cluster::start(&options.evesql, directory.path(), options.disk)?;
    let database = session::database(&cluster.url(), Synchronous::Full)?;
    Population::new(options.scale).load(database.open()?.as_mut(), true, &mut |_| ())?;
    cluster.restart()?;
    let run = RunOptions {
        mix: options.mix,
        clients: options.clients,
        think: options.think,
        warm_up: options.warm_up,
        measure: options.before + options.dead + options.after,
        ..RunOptions::default()
    };
    let mut tell_rate = |progress: run::Progress| {
        tell(&format!("{:.0} s: {:.0} {}", progress.elapsed.as_secs_f64(), progress.wips, options.mix.metric()));
    };
    let (outcome, death) =
        run::run_beside(&database, &run, &mut tell_rate, |measured| watch::watch(&mut cluster, options, measured))?;
    let death = death?;
    tell("checking the replicas and the shop");
    let mut findings = found_of_death(&death, &mut cluster);
    findings.extend(cluster.disagreement(options.disk == Disk::Damaged));
    let Outcome { report, failures, failed, told, before, per_tenth, .. } = outcome;
    if failed {
        findings.extend(failures.iter().map(|(message, count)| format!("{count} x {message}")));
    }
    let claims = Claims { told: &told, before };
    findings.extend(check::check(database.open()?.as_mut(), Some(claims))?.sentences);
    Ok(Recovery {
        origin: Origin::here(command),
        version: evesql::version(&options.evesql),
        items: options.scale.items,
        customers: options.scale.customers(),
        phases: phases::of(&death.marks, &per_tenth),
        death,
        longest_silence_s: phases::longest_silence_s(&per_tenth),
        per_tenth,
        report,
        findings,
    })
}

/// What a replica did not reach.
fn found_of_death(death: &Death, cluster: &mut Cluster) -> Vec<String> {
    let (node, marks) = (death.returned_as, &death.marks);
    let mut findings = Vec::new();
    if let Some(word) = cluster.last_word(node) {
        findings.push(format!("node {node} ended by itself: {word}"));
    }
    for (what, at) in
        [("answered", marks.answers_s), ("caught up", marks.caught_up_s), ("proved its pages", marks.healthy_s)]
    {
        if at.is_none() {
            findings.push(format!("node {node} has not {what} in time"));
        }
    }
    findings
}
