//! A comparison on the terminal.

use super::{Comparison, Spread};
use crate::navigation::Mix;
use std::fmt;

/// Prints all of it; the first contestant is what the others are held against.
pub struct Table<'a>(pub &'a Comparison);

/// What one contestant showed with one mix and number of browsers.
pub(super) struct Summary {
    pub wips: Spread,
    /// How many times as much the first contestant does; 0 where this one did nothing.
    pub against: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Of all interactions.
    pub retries_percent: f64,
    /// Processor time of the database in an interaction, where that is known.
    pub cpu_us: Option<f64>,
    /// The part of it that is execution on all replicas, without what comes next.
    pub executing_us: f64,
    /// Hashing, publishing, digesting.
    pub verifying_us: f64,
    /// Transactions in a batch of EveSQL, on average.
    pub transactions_in_batch: Option<f64>,
}

impl Summary {
    pub fn of(comparison: &Comparison, contestant: &str, mix: Mix, clients: usize) -> Summary {
        let passes: Vec<_> = comparison.of(contestant, mix, clients).collect();
        let median = |figure: &dyn Fn(&super::Pass) -> f64| Spread::of(passes.iter().map(|pass| figure(pass))).median;
        // Time is taken over the warm-up as well: it is spread over what was done in all of it, at the measured rate.
        let done = |pass: &super::Pass| {
            let setting = &pass.report.setting;
            pass.report.wips * (setting.seconds + setting.warm_up_seconds)
        };
        let spent = |part: fn(&super::Spent) -> f64| {
            let each = passes.iter().filter_map(|pass| Some(part(&pass.spent?) * 1e6 / done(pass).max(1.0)));
            Spread::of(each).median
        };
        let wips = comparison.wips(contestant, mix, clients);
        let first = comparison.contestants.first().map_or(0.0, |(name, _)| comparison.wips(name, mix, clients).median);
        Summary {
            wips,
            against: if wips.median > 0.0 { first / wips.median } else { 0.0 },
            p50_ms: median(&|pass| pass.report.all.p50_us as f64 / 1e3),
            p99_ms: median(&|pass| pass.report.all.p99_us as f64 / 1e3),
            retries_percent: median(&|pass| {
                pass.report.all.retries as f64 * 100.0 / pass.report.all.count.max(1) as f64
            }),
            cpu_us: passes.iter().any(|pass| pass.spent.is_some()).then(|| spent(|spent| spent.cpu_s)),
            executing_us: spent(|spent| spent.executing_s - spent.verifying_s),
            verifying_us: spent(|spent| spent.verifying_s),
            transactions_in_batch: transactions_in_batch(&passes),
        }
    }

    pub fn cpu(&self) -> String {
        self.cpu_us.map_or("-".into(), |us| format!("{us:.0}"))
    }

    pub fn batch(&self) -> String {
        self.transactions_in_batch.map_or("-".into(), |transactions| format!("{transactions:.1}"))
    }
}

/// Of all passes together.
fn transactions_in_batch(passes: &[&super::Pass]) -> Option<f64> {
    let sum = |part: fn(&super::Spent) -> u64| {
        let each = passes.iter().filter_map(|pass| pass.spent.as_ref());
        each.map(part).sum::<u64>() as f64
    };
    let batches = sum(|spent| spent.batches);
    (batches > 0.0).then(|| sum(|spent| spent.transactions) / batches)
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Table(comparison) = self;
        let (mixes, clients) = comparison.settings();
        let Some((first, _)) = comparison.contestants.first() else { return Ok(()) };
        let width = comparison.contestants.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for mix in mixes {
            for &clients in &clients {
                writeln!(out, "\n{mix}, {clients} browsers")?;
                writeln!(
                    out,
                    "{:width$} {:>9} {:>19} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10}",
                    "",
                    mix.metric(),
                    "smallest..largest",
                    "against",
                    "p50 ms",
                    "p99 ms",
                    "retries %",
                    "CPU us",
                    "in a batch"
                )?;
                for (name, _) in &comparison.contestants {
                    let summary = Summary::of(comparison, name, mix, clients);
                    let Summary { wips, against, p50_ms, p99_ms, retries_percent, .. } = summary;
                    let spread = format!("{:.0}..{:.0}", wips.min, wips.max);
                    let (cpu, batch) = (summary.cpu(), summary.batch());
                    writeln!(
                        out,
                        "{name:width$} {:>9.1} {spread:>19} {against:>8.2}x {p50_ms:>9.2} {p99_ms:>9.2} {retries_percent:>9.2} {cpu:>9} {batch:>10}",
                        wips.median
                    )?;
                }
                comparison.diverged(mix, clients).iter().try_for_each(|sentence| writeln!(out, "{sentence}"))?;
            }
        }
        writeln!(out, "\nagainst: what {first} does, divided by what that one does")?;
        comparison.findings.iter().try_for_each(|finding| writeln!(out, "finding: {finding}"))
    }
}
