//! The same work on several databases, interleaved, and what comes of it as a table, JSON and an HTML report.
//!
//! ```text
//!   for each mix, for each number of browsers, for each pass:
//!     each contestant once, another one first each time:  warm up, measure
//!   at the end: each contestant's shop is checked
//! ```
//!
//! Contestants stay up all the time; those whose turn it is not are idle. Figures are medians of the passes, with the
//! smallest and the largest: a machine that does something else for a while is seen.

pub mod contestant;
pub mod html;
mod plots;
pub mod server;
pub mod table;

use crate::check::{self, Claims};
use crate::navigation::Mix;
use crate::population::{Population, Scale};
use crate::run::{self, Options as RunOptions};
use crate::session::{Error, Statement};
use crate::statistics::Report;
use contestant::{Contestant, Kind, Spent};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

static DIVERGENCES: Statement = Statement::same("SELECT count(*) FROM evesql_divergences");

/// What to compare.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who takes part, in the order of the tables; the first one is what the others are held against.
    pub kinds: Vec<Kind>,
    /// Mixes.
    pub mixes: Vec<Mix>,
    /// Numbers of browsers.
    pub clients: Vec<usize>,
    /// Of each pass.
    pub warm_up: Duration,
    /// Of each pass.
    pub measure: Duration,
    /// How often each contestant has its turn with each mix and number of browsers.
    pub passes: usize,
    /// Mean think time.
    pub think: Duration,
    /// Size of the shop.
    pub scale: Scale,
    /// Databases are made here; on a disk that keeps what is synced.
    pub data: PathBuf,
    /// The `evesql` program.
    pub evesql: PathBuf,
}

/// One pass of one contestant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pass {
    /// Who.
    pub contestant: String,
    /// What browsers saw.
    pub report: Report,
    /// What the database's processes took meanwhile, warm-up included; nothing of a server that was not started here.
    pub spent: Option<Spent>,
}

/// All that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// When, as seconds since 1970.
    pub began_at: u64,
    /// What was typed.
    pub command: String,
    /// Where.
    pub machine: String,
    /// Who, and of what version.
    pub contestants: Vec<(String, String)>,
    /// Items and customers that the shop was made with.
    pub items: i64,
    /// Customers.
    pub customers: i64,
    /// In the order in which they were run.
    pub passes: Vec<Pass>,
    /// What was wrong with a shop at the end, or failed for good.
    pub findings: Vec<String>,
}

/// Median, smallest and largest of some passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Of an even number the mean of the two in the middle.
    pub median: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    /// Of some figures; zeros of none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (figures.first(), figures.last()) else { return Spread::default() };
        let middle = figures.len() / 2;
        let median = match figures.len() % 2 {
            0 => (figures[middle - 1] + figures[middle]) / 2.0,
            _ => figures[middle],
        };
        Spread { median, min: *min, max: *max }
    }
}

impl Comparison {
    /// The passes of one contestant with one mix and number of browsers.
    pub fn of(&self, contestant: &str, mix: Mix, clients: usize) -> impl Iterator<Item = &Pass> {
        let is_it = move |pass: &&Pass| pass.report.setting.mix == mix && pass.report.setting.clients == clients;
        self.passes.iter().filter(is_it).filter(move |pass| pass.contestant == contestant)
    }

    /// Interactions a second.
    pub fn wips(&self, contestant: &str, mix: Mix, clients: usize) -> Spread {
        Spread::of(self.of(contestant, mix, clients).map(|pass| pass.report.wips))
    }

    /// What was run, each once: mixes and numbers of browsers.
    pub fn settings(&self) -> (Vec<Mix>, Vec<usize>) {
        let (mut mixes, mut clients) = (Vec::new(), Vec::new());
        for Pass { report, .. } in &self.passes {
            let setting = &report.setting;
            if !mixes.contains(&setting.mix) {
                mixes.push(setting.mix);
            }
            if !clients.contains(&setting.clients) {
                clients.push(setting.clients);
            }
        }
        (mixes, clients)
    }
}

/// Runs it all. `tell` gets a sentence for each step.
///
/// # Errors
/// A contestant that cannot be started or filled, or a run that cannot begin. What fails within a run is in
/// [`Comparison::findings`].
pub fn compare(options: &Options, command: String, tell: &mut dyn FnMut(&str)) -> Result<Comparison, Error> {
    let mut contestants = Vec::new();
    for kind in &options.kinds {
        tell(&format!("{}: starting and filling", kind.name()));
        let contestant = Contestant::start(kind, &options.evesql, &options.data)?;
        let population = Population::new(options.scale);
        population.load(contestant.database.open()?.as_mut(), true, &mut |_| ())?;
        contestants.push(contestant);
    }
    let mut comparison = Comparison {
        began_at: std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs(),
        command,
        machine: machine(),
        contestants: contestants.iter().map(|one| (one.name.clone(), one.version.clone())).collect(),
        items: options.scale.items,
        customers: options.scale.customers(),
        passes: Vec::new(),
        findings: Vec::new(),
    };
    let mut turn = 0;
    for &mix in &options.mixes {
        for &clients in &options.clients {
            for pass in 0..options.passes {
                for at in 0..contestants.len() {
                    let contestant = &mut contestants[(turn + at) % options.kinds.len()];
                    let one = one_pass(contestant, options, mix, clients, pass, &mut comparison.findings)?;
                    let (name, wips) = (&contestant.name, one.report.wips);
                    tell(&format!("{mix}, {clients} browsers, pass {}: {name} {wips:.0}/s", pass + 1));
                    comparison.passes.push(one);
                }
                turn += 1;
            }
        }
    }
    for contestant in &mut contestants {
        tell(&format!("{}: checking the shop", contestant.name));
        let claims = contestant.before.map(|before| Claims { told: &contestant.told, before });
        let findings = check::check(contestant.database.open()?.as_mut(), claims)?;
        comparison.findings.extend(findings.sentences.iter().map(|found| format!("{}: {found}", contestant.name)));
        if contestant.disturbance.is_some() {
            let rows = contestant.database.open()?.query(&DIVERGENCES, &[])?;
            if rows.first().map(|row| row.int(0)).transpose()?.unwrap_or(0) == 0 {
                comparison.findings.push(format!("{}: no divergence was found", contestant.name));
            }
        }
    }
    Ok(comparison)
}

fn one_pass(
    contestant: &mut Contestant,
    options: &Options,
    mix: Mix,
    clients: usize,
    pass: usize,
    findings: &mut Vec<String>,
) -> Result<Pass, Error> {
    let run = RunOptions {
        mix,
        clients,
        think: options.think,
        warm_up: options.warm_up,
        measure: options.measure,
        // The same browsers for all contestants.
        seed: 1 + pass as u64,
        disturbance: contestant.disturbance.clone(),
        ..RunOptions::default()
    };
    let before = contestant.spent();
    let outcome = run::run(&contestant.database, &run, &mut |_| ())?;
    let spent = before.zip(contestant.spent()).map(|(before, after)| after.since(&before));
    let name = &contestant.name;
    findings.extend(outcome.failures.iter().map(|(message, count)| format!("{name}: {count} x {message}")));
    contestant.before.get_or_insert(outcome.before);
    contestant.told.add(outcome.told);
    Ok(Pass { contestant: name.clone(), report: outcome.report, spent })
}

/// Processor, cores and memory, as the system tells.
fn machine() -> String {
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let after = |text: &str, word: &str| {
        let line = text.lines().find(|line| line.starts_with(word)).and_then(|line| line.split_once(':'));
        line.map(|(_, value)| value.trim().to_string()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kib: u64 =
        after(&read("/proc/meminfo"), "MemTotal").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    format!(
        "{cores} cores ({}), {:.0} GiB of memory",
        after(&read("/proc/cpuinfo"), "model name"),
        kib as f64 / 1048576.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0]), Spread { median: 3.0, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of([]), Spread::default());
    }
}
