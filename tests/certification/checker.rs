//! A checker of strict serializability for histories of lists.
//!
//! Transactions append unique values to lists and read whole lists (after Elle's list-append). A list shows
//! its own order of writes, so the edges between transactions are known, not guessed:
//! - ww: who appended a value comes before who appended the next one;
//! - wr: who appended the last value of a read comes before the reader;
//! - rw: a reader comes before who appended the first value that it did not see;
//! - time: who had its answer before another one began comes before it.
//!
//! Any cycle is a violation. Time is a chain of moments, one for each end, so that its edges stay linear.

use std::collections::{BTreeMap, BTreeSet};

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Append { key: i32, value: i64 },
    Read { key: i32, values: Vec<i64> },
}

/// What its client heard of its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Committed,
    Aborted,
    /// It may take effect at any time, or never.
    Unknown,
}

/// A transaction as its client saw it; times in any unit.
#[derive(Clone, Debug)]
pub struct Seen {
    pub steps: Vec<Step>,
    pub began: u64,
    pub ended: u64,
    pub end: End,
}

#[derive(Debug, PartialEq)]
pub enum Anomaly {
    /// Two reads of a list contradict each other.
    Forked { key: i32 },
    /// A value stands twice in a list.
    Twice { key: i32, value: i64 },
    /// An acknowledged value is missing.
    Lost { key: i32, value: i64 },
    /// A value that was never appended, or whose transaction aborted.
    FromNowhere { key: i32, value: i64 },
    /// Transactions of which each comes before the next.
    Cycle(Vec<usize>),
}

/// Checks a history whose last committed reads, after all others, show each list in full.
pub fn check(history: &[Seen]) -> Result<(), Anomaly> {
    let orders = orders(history)?;
    let writers = writers(history, &orders)?;
    let mut graph = Graph::new(history);
    for (key, order) in &orders {
        for pair in order.windows(2) {
            graph.edge(writers[&(*key, pair[0])], writers[&(*key, pair[1])]);
        }
    }
    for (reader, key, values) in reads(history) {
        if let Some(last) = values.last() {
            graph.edge(writers[&(key, *last)], reader);
        }
        if let Some(next) = orders.get(&key).and_then(|order| order.get(values.len())) {
            graph.edge(reader, writers[&(key, *next)]);
        }
    }
    graph.cycle().map_or(Ok(()), |cycle| Err(Anomaly::Cycle(cycle)))
}

fn reads(history: &[Seen]) -> impl Iterator<Item = (usize, i32, &Vec<i64>)> {
    history.iter().enumerate().filter(|(_, seen)| seen.end == End::Committed).flat_map(|(index, seen)| {
        seen.steps.iter().filter_map(move |step| match step {
            Step::Read { key, values } => Some((index, *key, values)),
            Step::Append { .. } => None,
        })
    })
}

/// Each list's final order: the longest read, of which all others are prefixes.
fn orders(history: &[Seen]) -> Result<BTreeMap<i32, Vec<i64>>, Anomaly> {
    let mut orders: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for (_, key, values) in reads(history) {
        let longest = orders.entry(key).or_default();
        if values.len() > longest.len() {
            *longest = values.clone();
        }
    }
    for (key, order) in &orders {
        let mut known = BTreeSet::new();
        if let Some(value) = order.iter().find(|value| !known.insert(**value)) {
            return Err(Anomaly::Twice { key: *key, value: *value });
        }
    }
    match reads(history).find(|(_, key, values)| !orders[key].starts_with(values)) {
        Some((_, key, _)) => Err(Anomaly::Forked { key }),
        None => Ok(orders),
    }
}

/// Who appended each value that stands in a list.
fn writers(history: &[Seen], orders: &BTreeMap<i32, Vec<i64>>) -> Result<BTreeMap<(i32, i64), usize>, Anomaly> {
    let mut writers = BTreeMap::new();
    for (index, seen) in history.iter().enumerate().filter(|(_, seen)| seen.end != End::Aborted) {
        for step in &seen.steps {
            let Step::Append { key, value } = step else { continue };
            writers.insert((*key, *value), index);
            let stands = orders.get(key).is_some_and(|order| order.contains(value));
            if seen.end == End::Committed && !stands {
                return Err(Anomaly::Lost { key: *key, value: *value });
            }
        }
    }
    for (key, order) in orders {
        if let Some(value) = order.iter().find(|value| !writers.contains_key(&(*key, **value))) {
            return Err(Anomaly::FromNowhere { key: *key, value: *value });
        }
    }
    Ok(writers)
}

/// Transactions first, then moments.
struct Graph {
    transactions: usize,
    next: Vec<Vec<usize>>,
}

impl Graph {
    fn new(history: &[Seen]) -> Graph {
        let committed = history.iter().enumerate().filter(|(_, seen)| seen.end == End::Committed);
        let mut ends: Vec<(u64, usize)> = committed.map(|(index, seen)| (seen.ended, index)).collect();
        ends.sort_unstable();
        let transactions = history.len();
        let mut graph = Graph { transactions, next: vec![Vec::new(); transactions + ends.len()] };
        for (moment, (_, index)) in ends.iter().enumerate() {
            graph.edge(*index, transactions + moment);
            if moment > 0 {
                graph.edge(transactions + moment - 1, transactions + moment);
            }
        }
        for (index, seen) in history.iter().enumerate() {
            let before = ends.partition_point(|(ended, _)| *ended < seen.began);
            if before > 0 {
                graph.edge(transactions + before - 1, index);
            }
        }
        graph
    }

    fn edge(&mut self, from: usize, to: usize) {
        if from != to {
            self.next[from].push(to);
        }
    }

    /// Takes away what nothing comes before, again and again; what is left holds a cycle, found by walking back.
    fn cycle(&self) -> Option<Vec<usize>> {
        let mut before = vec![0usize; self.next.len()];
        self.next.iter().flatten().for_each(|to| before[*to] += 1);
        let mut free: Vec<usize> = (0..before.len()).filter(|node| before[*node] == 0).collect();
        while let Some(node) = free.pop() {
            for to in &self.next[node] {
                before[*to] -= 1;
                if before[*to] == 0 {
                    free.push(*to);
                }
            }
        }
        let left = |node: usize| before[node] > 0;
        let mut back = vec![usize::MAX; before.len()];
        for from in (0..before.len()).filter(|node| left(*node)) {
            self.next[from].iter().filter(|to| left(**to)).for_each(|to| back[*to] = from);
        }
        let mut path = vec![(0..before.len()).find(|node| left(*node))?];
        loop {
            let node = back[*path.last()?];
            if let Some(at) = path.iter().position(|known| *known == node) {
                let cycle = path[at..].iter().rev().copied();
                return Some(cycle.filter(|node| *node < self.transactions).collect());
            }
            path.push(node);
        }
    }
}
