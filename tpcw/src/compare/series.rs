//! Contestants that are alike but for one number: what shows against that number is a plot of its own.

use super::contestant::{EveSql, Kind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// So often in a minute a replica is made to compute something else.
    Divergences,
    /// Transactions in a batch, at most.
    Batches,
}

impl Over {
    /// The number of this contestant, if the rest of it is as of the others.
    fn of(self, eve: &EveSql) -> Option<u32> {
        match self {
            Over::Divergences => eve.batch_max.is_none().then_some(eve.divergences_per_minute),
            Over::Batches => eve.batch_max.filter(|_| eve.divergences_per_minute == 0),
        }
    }
}

impl fmt::Display for Over {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Over::Divergences => "injected divergences a minute",
            Over::Batches => "transactions in a batch, at most",
        })
    }
}

/// Several contestants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// In what they differ.
    pub over: Over,
    /// The number and the contestant, the smallest first.
    pub points: Vec<(u32, String)>,
}

/// Those of an EveSQL with the most replicas.
pub(super) fn of(kinds: &[Kind]) -> Vec<Series> {
    let all = kinds.iter().filter_map(|kind| match kind {
        Kind::EveSql(eve) => Some(eve),
        _ => None,
    });
    let most = all.clone().map(|eve| eve.replicas).max();
    let series = |over: Over| {
        let alike = all.clone().filter(|eve| Some(eve.replicas) == most);
        let mut points: Vec<_> = alike.filter_map(|eve| Some((over.of(eve)?, Kind::EveSql(*eve).name()))).collect();
        points.sort();
        Series { over, points }
    };
    [Over::Divergences, Over::Batches].map(series).into_iter().filter(|series| series.points.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Synchronous;

    #[test]
    fn contestants_that_differ_in_one_number_are_a_series_in_its_order() {
        let plain = EveSql::plain(3);
        let diverging = |divergences_per_minute| Kind::EveSql(EveSql { divergences_per_minute, ..plain });
        let batches = |most| Kind::EveSql(EveSql { batch_max: Some(most), ..plain });
        let mut kinds = vec![
            Kind::EveSql(plain),
            Kind::EveSql(EveSql::plain(1)),
            Kind::Sqlite(Synchronous::Full),
            diverging(600),
            diverging(60),
            batches(16),
        ];
        let points = |rates: [u32; 3]| rates.map(|rate| (rate, diverging(rate).name())).to_vec();
        let expected = Series { over: Over::Divergences, points: points([0, 60, 600]) };
        assert_eq!(of(&kinds), std::slice::from_ref(&expected), "one size of a batch is no series");
        kinds.push(batches(4));
        let points = [4, 16].map(|most| (most, batches(most).name())).to_vec();
        assert_eq!(of(&kinds), [expected, Series { over: Over::Batches, points }]);
    }
}
