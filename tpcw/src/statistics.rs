//! Counts and latencies of a run, by interaction.

use crate::browser::Visited;
use crate::navigation::{INTERACTIONS, Interaction, Mix};
use crate::session::Error;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Three digits of each latency are kept.
const DIGITS: u8 = 3;
/// How finely time is divided.
const TENTH: Duration = Duration::from_millis(100);
/// Longer ones count as this long: an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;

struct Entry {
    latency_us: Histogram<u64>,
    retries: u64,
    failures: u64,
    uncertain: u64,
}

impl Entry {
    fn new() -> Self {
        // Three digits and these bounds are always possible; an unbounded one is the same, and larger.
        let latency_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS);
        let latency_us = latency_us.unwrap_or_else(|error| unreachable!("constant bounds: {error}"));
        Entry { latency_us, retries: 0, failures: 0, uncertain: 0 }
    }
}

/// Takes what browsers did, from all of them at once.
pub struct Recorder {
    entries: [Mutex<Entry>; INTERACTIONS],
    per_tenth: Mutex<Vec<u64>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder { entries: [(); INTERACTIONS].map(|()| Mutex::new(Entry::new())), per_tenth: Mutex::default() }
    }
}

impl Recorder {
    /// Takes a page that was there so long after measuring began.
    pub fn record(&self, visited: &Visited, since: Duration) {
        let mut entry = self.entries[visited.page as usize].lock().unwrap_or_else(PoisonError::into_inner);
        entry.retries += visited.retries;
        match &visited.outcome {
            Ok(()) => entry.latency_us.saturating_record((visited.took.as_micros() as u64).max(1)),
            Err(Error::Unknown(_)) => entry.uncertain += 1,
            Err(_) => entry.failures += 1,
        }
        drop(entry);
        if visited.outcome.is_ok() {
            let tenth = (since.as_millis() / TENTH.as_millis()) as usize;
            let mut per_tenth = self.per_tenth.lock().unwrap_or_else(PoisonError::into_inner);
            if per_tenth.len() <= tenth {
                per_tenth.resize(tenth + 1, 0);
            }
            per_tenth[tenth] += 1;
        }
    }

    /// Interactions that were completed in each tenth of a second of so long a time. One in which nothing ended counts
    /// too, and one that was only begun does not.
    pub fn per_tenth(&self, measured: Duration) -> Vec<u64> {
        let mut per_tenth = self.per_tenth.lock().unwrap_or_else(PoisonError::into_inner).clone();
        per_tenth.resize((measured.as_millis() / TENTH.as_millis()) as usize, 0);
        per_tenth
    }

    /// All of it.
    pub fn report(&self, setting: Setting) -> Report {
        let mut all = Entry::new();
        let mut interactions = Vec::new();
        for (interaction, entry) in Interaction::ALL.iter().zip(&self.entries) {
            let entry = entry.lock().unwrap_or_else(PoisonError::into_inner);
            interactions.push(Line::of(Some(*interaction), &entry));
            // Both have the same bounds.
            let _ = all.latency_us.add(&entry.latency_us);
            all.retries += entry.retries;
            all.failures += entry.failures;
            all.uncertain += entry.uncertain;
        }
        let at = |percent: u32| {
            let share = f64::from(percent) / 100.0;
            (share, all.latency_us.value_at_quantile(share))
        };
        let distribution_us = (0..=100).map(at).collect();
        let all = Line::of(None, &all);
        let wips = all.count as f64 / setting.seconds.max(f64::MIN_POSITIVE);
        let per_tenth = self.per_tenth(Duration::from_secs_f64(setting.seconds));
        let per_second = per_tenth.chunks_exact(10).map(|second| second.iter().sum()).collect();
        Report { metric: setting.mix.metric().into(), setting, wips, all, interactions, distribution_us, per_second }
    }
}

/// What was run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// Which mix.
    pub mix: Mix,
    /// Emulated browsers.
    pub clients: usize,
    /// Connections that they share; otherwise each has its own.
    pub pool: Option<usize>,
    /// Mean think time. TPC-W's is 7,000; 0 saturates the database, and is no TPC-W think time.
    pub think_ms: u64,
    /// Time before measuring.
    pub warm_up_seconds: f64,
    /// Time that was measured.
    pub seconds: f64,
    /// What the browsers' choices depend on.
    pub seed: u64,
}

/// Counts and latencies of one interaction, or of all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Which one; all together if there is none.
    pub interaction: Option<Interaction>,
    /// How many were completed.
    pub count: u64,
    /// Their latencies, retries included.
    pub mean_us: f64,
    /// Half of them took at most this.
    pub p50_us: u64,
    /// Nine of ten.
    pub p90_us: u64,
    /// 99 of 100.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Failed for good.
    pub failures: u64,
    /// Not known whether they were committed.
    pub uncertain: u64,
}

impl Line {
    fn of(interaction: Option<Interaction>, entry: &Entry) -> Self {
        let quantile = |quantile| entry.latency_us.value_at_quantile(quantile);
        Line {
            interaction,
            count: entry.latency_us.len(),
            mean_us: entry.latency_us.mean(),
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p99_us: quantile(0.99),
            max_us: entry.latency_us.max(),
            retries: entry.retries,
            failures: entry.failures,
            uncertain: entry.uncertain,
        }
    }
}

/// What a run showed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What was run.
    #[serde(flatten)]
    pub setting: Setting,
    /// What [`wips`](Report::wips) is called: WIPS, WIPSb or WIPSo.
    pub metric: String,
    /// Web interactions a second.
    pub wips: f64,
    /// All interactions together.
    pub all: Line,
    /// Each interaction.
    pub interactions: Vec<Line>,
    /// Shares of all interactions, from 0 to 1, and the microseconds that so many took at most.
    pub distribution_us: Vec<(f64, u64)>,
    /// Interactions that were completed in each second.
    pub per_second: Vec<u64>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = &self.setting;
        let connections = match setting.pool {
            Some(pool) => format!("{pool} shared connections"),
            None => "a connection each".into(),
        };
        let think = match setting.think_ms {
            0 => "no think time (TPC-W asks for 7 s)".into(),
            milliseconds => format!("{milliseconds} ms mean think time"),
        };
        writeln!(
            out,
            "{} mix, {} browsers with {connections}, {think}, {:.0} s measured after {:.0} s",
            setting.mix, setting.clients, setting.seconds, setting.warm_up_seconds
        )?;
        writeln!(
            out,
            "\n{:22} {:>8} {:>7} {:>9} {:>9} {:>9} {:>9} {:>7} {:>8} {:>9}",
            "", "count", "%", "p50 ms", "p90 ms", "p99 ms", "max ms", "retries", "failures", "uncertain"
        )?;
        for line in self.interactions.iter().chain([&self.all]) {
            let name = line.interaction.map_or("all", Interaction::name);
            let share = line.count as f64 * 100.0 / self.all.count.max(1) as f64;
            write!(out, "{name:22} {:>8} {share:>7.2}", line.count)?;
            for us in [line.p50_us, line.p90_us, line.p99_us, line.max_us] {
                write!(out, " {:>9.2}", us as f64 / 1_000.0)?;
            }
            writeln!(out, " {:>7} {:>8} {:>9}", line.retries, line.failures, line.uncertain)?;
        }
        write!(out, "\n{} {:.1}", self.metric, self.wips)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn completed_ones_count_and_failures_are_kept_apart() {
        let recorder = Recorder::default();
        let visited = |millis, outcome| Visited {
            page: Interaction::BuyConfirm,
            ended: Instant::now(),
            took: Duration::from_millis(millis),
            retries: 1,
            outcome,
        };
        for millis in 1..=100 {
            recorder.record(&visited(millis, Ok(())), Duration::from_millis(millis * 20));
        }
        recorder.record(&visited(5_000, Err(Error::Failed("x".into()))), Duration::ZERO);
        recorder.record(&visited(5_000, Err(Error::Unknown("x".into()))), Duration::ZERO);
        let setting = Setting {
            mix: Mix::Shopping,
            clients: 1,
            pool: None,
            think_ms: 0,
            warm_up_seconds: 0.0,
            seconds: 4.0,
            seed: 1,
        };
        let report = recorder.report(setting);
        let line = &report.interactions[Interaction::BuyConfirm as usize];
        assert_eq!((line.count, line.retries, line.failures, line.uncertain), (100, 102, 1, 1));
        assert!((49_900..=50_100).contains(&line.p50_us) && (98_900..=99_100).contains(&line.p99_us), "{line:?}");
        assert_eq!((report.wips, report.all.count), (25.0, 100));
        assert_eq!(report.per_second, [49, 50, 1, 0]);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(json5::from_str::<Report>(&json).unwrap().wips, 25.0);
    }
}
