//! Counting conflicts of pairs by their causes.

use crate::footprint::{Access, ChangeSet, Extent, Footprint, Item};
use crate::mixer::keeps_apart;
use std::collections::{BTreeMap, BTreeSet};

/// Each transaction is compared with so many before it, evenly chosen, at most.
pub const PEERS_MAX: usize = 64;

/// A statement and what it touches all rows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// Number of the statement, as whoever counts numbers them.
    pub statement: u32,
    /// The table, or unique index of one.
    pub space: u64,
}

/// Why a pair conflicts by derivation, in one space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clash {
    /// Of the transaction that takes effect first, if it touches all rows.
    pub early: Option<Cause>,
    /// Of the other one.
    pub late: Option<Cause>,
    /// The executor would catch it.
    pub real: bool,
}

/// A transaction of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Names its kind.
    pub kind: u64,
    /// Hash of its session: transactions of one session never run beside each other.
    pub session: u64,
    /// What its statements touch by derivation.
    pub statements: &'a [SeenStatement<'a>],
    /// What all of them touch.
    pub footprint: &'a Footprint,
    /// What it changed.
    pub changes: &'a ChangeSet,
}

/// A statement of it.
#[derive(Clone, Copy, Debug)]
pub struct SeenStatement<'a> {
    /// Its number; none for one that no rule can match.
    pub statement: Option<u32>,
    /// What it touches by derivation.
    pub footprint: &'a Footprint,
}

/// Batches in which a statement was seen to be a cause.
#[derive(Clone, Copy, Debug, Default)]
struct Batches {
    last: Option<u64>,
    count: u64,
}

/// What was seen, counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Pairs by their kinds and by why they conflict.
    pairs: BTreeMap<(u64, u64, Vec<Clash>), u64>,
    batches: BTreeMap<u32, Batches>,
    compared: u64,
}

/// Pairs of a [`Tally`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Compared.
    pub compared: u64,
    /// Conflicts by derivation, of kinds that count.
    pub conflicts: u64,
    /// Of these: real.
    pub real: u64,
    /// Of the false ones: about single rows, so that no rule is proposed for them.
    pub on_rows: u64,
}

impl Tally {
    /// Counts the pairs of a batch, given in the order in which they would take effect.
    pub fn add(&mut self, batch: u64, transactions: &[Seen<'_>]) {
        for (position, late) in transactions.iter().enumerate() {
            let peers = position.min(PEERS_MAX);
            for peer in 0..peers {
                let early = &transactions[peer * position / peers];
                if early.session == late.session {
                    continue;
                }
                self.compared += 1;
                let clashes = clashes(early, late);
                if !clashes.is_empty() {
                    self.note_batch(batch, &clashes);
                    *self.pairs.entry((early.kind, late.kind, clashes)).or_default() += 1;
                }
            }
        }
    }

    fn note_batch(&mut self, batch: u64, clashes: &[Clash]) {
        for cause in clashes.iter().flat_map(Clash::causes) {
            let batches = self.batches.entry(cause.statement).or_default();
            if batches.last != Some(batch) {
                *batches = Batches { last: Some(batch), count: batches.count + 1 };
            }
        }
    }

    /// Why pairs conflict, each with how many do so, of kinds that count.
    pub(super) fn conflicts(&self, counts: impl Fn(u64) -> bool) -> Vec<(&[Clash], u64)> {
        let pairs = self.pairs.iter().filter(|((early, late, _), _)| counts(*early) && counts(*late));
        pairs.map(|((_, _, clashes), pairs)| (clashes.as_slice(), *pairs)).collect()
    }

    /// Batches in which this statement was a cause.
    pub(super) fn batches(&self, statement: u32) -> u64 {
        self.batches.get(&statement).map_or(0, |batches| batches.count)
    }

    /// All pairs together; conflicts only of kinds that count.
    pub fn sums(&self, counts: impl Fn(u64) -> bool) -> Sums {
        let mut sums = Sums { compared: self.compared, ..Sums::default() };
        for (clashes, pairs) in self.conflicts(counts) {
            let is_real = clashes.iter().any(|clash| clash.real);
            sums.conflicts += pairs;
            sums.real += pairs * u64::from(is_real);
            sums.on_rows += pairs * u64::from(!is_real && clashes.iter().any(Clash::is_on_rows));
        }
        sums
    }
}

impl Clash {
    /// Those of both sides.
    pub(super) fn causes(&self) -> impl Iterator<Item = Cause> + use<> {
        self.early.into_iter().chain(self.late)
    }

    /// Neither side touches all rows.
    pub(super) fn is_on_rows(&self) -> bool {
        self.early.is_none() && self.late.is_none()
    }
}

fn clashes(early: &Seen<'_>, late: &Seen<'_>) -> Vec<Clash> {
    // Wider than what keeps two apart, and one walk.
    if !early.footprint.conflicts(late.footprint) {
        return Vec::new();
    }
    let mut clashes = BTreeSet::new();
    for theirs in late.statements {
        for b in &theirs.footprint.items {
            // Many items of the other side have the same answer.
            let mut real = None;
            for ours in early.statements {
                for a in ours.footprint.items.iter().filter(|a| keeps_apart(a, b)) {
                    let real = *real.get_or_insert_with(|| early.changes.touches_item(b));
                    clashes.insert(Clash { early: cause(ours, a), late: cause(theirs, b), real });
                }
            }
        }
    }
    clashes.into_iter().collect()
}

fn cause(statement: &SeenStatement<'_>, item: &Item) -> Option<Cause> {
    let is_wide = item.extent == Extent::All && item.access != Access::Append;
    Some(Cause { statement: statement.statement?, space: item.space }).filter(|_| is_wide)
}
