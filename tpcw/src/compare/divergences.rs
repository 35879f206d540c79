//! What EveSQL tells of its replicas' divergences during a pass.

use crate::session::{Database, Error, Session, Statement};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// What was noticed last is healed within this time after a pass.
const HEALING_WAIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

static ROWS: Statement = Statement::same(
    "SELECT index, mode, CASE WHEN healed_at IS NULL THEN 0 ELSE 1 END FROM evesql_divergences ORDER BY index",
);

/// How many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergences {
    /// How often a replica was told to compute something else. If it is told again before it has, or before it was
    /// repaired, two become one.
    pub injected: u64,
    /// How many were found: rows of `evesql_divergences`.
    pub found: u64,
    /// How many of these were healed.
    pub healed: u64,
}

impl Divergences {
    /// Those of all passes.
    pub fn sum(all: impl IntoIterator<Item = Divergences>) -> Self {
        all.into_iter().fold(Divergences::default(), |sum, one| Divergences {
            injected: sum.injected + one.injected,
            found: sum.found + one.found,
            healed: sum.healed + one.healed,
        })
    }
}

impl fmt::Display for Divergences {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} divergences injected, {} found, {} healed", self.injected, self.found, self.healed)
    }
}

/// Notes them as they come: the server keeps its newest hundred only.
pub struct Tally {
    session: Box<dyn Session>,
    /// Newer than this.
    from: i64,
    /// Whether each is healed, by batch and how that was run: one batch that is run twice may differ twice.
    seen: BTreeMap<(i64, String), bool>,
}

impl Tally {
    /// Of those from now on.
    ///
    /// # Errors
    /// What the server says.
    pub fn new(database: &dyn Database) -> Result<Self, Error> {
        let mut tally = Tally { session: database.open()?, from: i64::MIN, seen: BTreeMap::new() };
        tally.look()?;
        tally.from = tally.seen.keys().next_back().map_or(i64::MIN, |(index, _)| *index);
        tally.seen.clear();
        Ok(tally)
    }

    /// Looks again; to be done at least once for a hundred of them.
    ///
    /// # Errors
    /// What the server says.
    pub fn look(&mut self) -> Result<(), Error> {
        for row in self.session.query(&ROWS, &[])? {
            let (index, mode, healed) = (row.int(0)?, row.text(1)?.to_string(), row.int(2)? == 1);
            if index > self.from {
                *self.seen.entry((index, mode)).or_default() |= healed;
            }
        }
        Ok(())
    }

    /// How many were found and healed, once no more is to come.
    ///
    /// # Errors
    /// What the server says.
    pub fn finish(mut self, injected: u64) -> Result<Divergences, Error> {
        let deadline = Instant::now() + HEALING_WAIT;
        loop {
            self.look()?;
            let healed = self.seen.values().filter(|healed| **healed).count();
            if healed == self.seen.len() || Instant::now() > deadline {
                return Ok(Divergences { injected, found: self.seen.len() as u64, healed: healed as u64 });
            }
            std::thread::sleep(PAUSE);
        }
    }
}
