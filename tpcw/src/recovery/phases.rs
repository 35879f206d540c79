//! How much was done in the parts of a run that its marks divide.

use super::Marks;
use serde::{Deserialize, Serialize};

/// Counts stand for so many seconds each.
const TENTH_S: f64 = 0.1;

/// A part of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// `before`, `dead`, `catching up`, `after`.
    pub name: String,
    /// Seconds since measuring began.
    pub from_s: f64,
    /// The same.
    pub until_s: f64,
    /// Interactions a second.
    pub wips: f64,
}

/// Parts that had time, from the interactions of each tenth of a second.
pub(super) fn of(marks: &Marks, per_tenth: &[u64]) -> Vec<Phase> {
    let end_s = per_tenth.len() as f64 * TENTH_S;
    let caught_up_s = marks.caught_up_s.unwrap_or(end_s);
    let parts = [
        ("before", 0.0, marks.killed_s),
        ("dead", marks.killed_s, marks.started_s),
        ("catching up", marks.started_s, caught_up_s),
        ("after", caught_up_s, end_s),
    ];
    let within = parts.into_iter().map(|(name, from_s, until_s)| (name, from_s.min(end_s), until_s.min(end_s)));
    let phase = |(name, from_s, until_s): (&str, f64, f64)| Phase {
        name: name.into(),
        from_s,
        until_s,
        wips: count(per_tenth, from_s, until_s) / (until_s - from_s),
    };
    within.filter(|(_, from_s, until_s)| until_s > from_s).map(phase).collect()
}

/// The longest time in which nothing was completed.
pub(super) fn longest_silence_s(per_tenth: &[u64]) -> f64 {
    let silences = per_tenth.split(|done| *done > 0).map(<[u64]>::len);
    silences.max().unwrap_or(0) as f64 * TENTH_S
}

/// Interactions between two moments; of a tenth that is cut its share.
fn count(per_tenth: &[u64], from_s: f64, until_s: f64) -> f64 {
    let share = |at: usize| {
        let (begins, ends) = (at as f64 * TENTH_S, (at + 1) as f64 * TENTH_S);
        ((until_s.min(ends) - from_s.max(begins)) / TENTH_S).clamp(0.0, 1.0)
    };
    per_tenth.iter().enumerate().map(|(at, done)| *done as f64 * share(at)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten a tenth in the first second, four in the next one, none in half a second, then eight.
    fn per_tenth() -> Vec<u64> {
        [[10; 10].as_slice(), &[4; 10], &[0; 5], &[8; 15]].concat()
    }

    fn rounded(phases: &[Phase]) -> Vec<(&str, i64)> {
        phases.iter().map(|phase| (phase.name.as_str(), (phase.wips * 100.0).round() as i64)).collect()
    }

    #[test]
    fn phases_divide_a_run_at_its_marks_and_share_what_is_cut() {
        let marks = Marks { killed_s: 1.0, started_s: 2.0, caught_up_s: Some(2.75), ..Marks::default() };
        let phases = of(&marks, &per_tenth());
        let expected = [("before", 10_000), ("dead", 4_000), ("catching up", 2_667), ("after", 8_000)];
        assert_eq!(rounded(&phases), expected);
        let total: f64 = phases.iter().map(|phase| phase.wips * (phase.until_s - phase.from_s)).sum();
        assert!((total - per_tenth().iter().sum::<u64>() as f64).abs() < 1e-6, "{total}");
    }

    #[test]
    fn the_longest_silence_is_what_counts() {
        assert!((longest_silence_s(&per_tenth()) - 0.5).abs() < 1e-9);
        assert!((longest_silence_s(&[0, 3, 0, 0, 2]) - 0.2).abs() < 1e-9);
        assert!(longest_silence_s(&[1, 1]).abs() < 1e-9);
    }

    #[test]
    fn a_replica_that_does_not_catch_up_has_no_after() {
        let marks = Marks { killed_s: 1.0, started_s: 2.0, ..Marks::default() };
        let expected = [("before", 10_000), ("dead", 4_000), ("catching up", 6_000)];
        assert_eq!(rounded(&of(&marks, &per_tenth())), expected);
        let late = Marks { caught_up_s: Some(9.0), ..marks };
        assert_eq!(rounded(&of(&late, &per_tenth())), expected);
    }
}
