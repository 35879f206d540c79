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
pub mod divergences;
pub mod html;
mod plots;
pub mod series;
pub mod table;

use crate::check::{self, Claims};
use crate::navigation::Mix;
use crate::population::{Population, Scale};
use crate::presentation::Origin;
use crate::run::{self, Options as RunOptions};
use crate::session::Error;
use crate::statistics::Report;
use contestant::{Contestant, Kind, Spent};
use divergences::{Divergences, Tally};
use serde::{Deserialize, Serialize};
use series::Series;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Of an EveSQL that is made to diverge.
    #[serde(default)]
    pub divergences: Option<Divergences>,
}

/// All that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// When, where, by which command.
    #[serde(flatten)]
    pub origin: Origin,
    /// Who, and of what version.
    pub contestants: Vec<(String, String)>,
    /// Items and customers that the shop was made with.
    pub items: i64,
    /// Customers.
    pub customers: i64,
    /// Contestants that differ in one number.
    #[serde(default)]
    pub series: Vec<Series>,
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

    /// What there is to say of divergences with one mix and number of browsers.
    fn diverged(&self, mix: Mix, clients: usize) -> Vec<String> {
        let sentence = |(name, _): &(String, String)| {
            let told = Divergences::sum(self.of(name, mix, clients).filter_map(|pass| pass.divergences));
            (told != Divergences::default()).then(|| format!("{name}: {told}"))
        };
        self.contestants.iter().filter_map(sentence).collect()
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
        origin: Origin::here(command),
        contestants: contestants.iter().map(|one| (one.name.clone(), one.version.clone())).collect(),
        items: options.scale.items,
        customers: options.scale.customers(),
        series: series::of(&options.kinds),
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
        let own = comparison.passes.iter().filter(|pass| pass.contestant == contestant.name);
        let told = Divergences::sum(own.filter_map(|pass| pass.divergences));
        if contestant.disturbance.is_some() && (told.found == 0 || told.healed < told.found) {
            comparison.findings.push(format!("{}: {told}", contestant.name));
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
    let mut tally = run.disturbance.as_ref().map(|_| Tally::new(contestant.database.as_ref())).transpose()?;
    let before = contestant.spent();
    let mut looked = Ok(());
    let outcome = run::run(&contestant.database, &run, &mut |_| {
        let again = tally.as_mut().map_or(Ok(()), Tally::look);
        looked = std::mem::replace(&mut looked, Ok(())).and(again);
    })?;
    looked?;
    let spent = before.zip(contestant.spent()).map(|(before, after)| after.since(&before));
    let divergences = tally.map(|tally| tally.finish(outcome.disturbed)).transpose()?;
    let name = &contestant.name;
    findings.extend(outcome.failures.iter().map(|(message, count)| format!("{name}: {count} x {message}")));
    contestant.before.get_or_insert(outcome.before);
    contestant.told.add(outcome.told);
    Ok(Pass { contestant: name.clone(), report: outcome.report, spent, divergences })
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
