//! A checker of strict serializability for histories of lists; and clients that make such histories ([`lists`]).
//!
//! Transactions append unique values to lists and read whole lists (after Elle's list-append). A list shows
//! its own order of writes, so the edges between transactions are known, not guessed:
//! - ww: who appended a value comes before who appended the next one;
//! - wr: who appended the last value of a read comes before the reader;
//! - rw: a reader comes before who appended the first value that it did not see;
//! - time: who had its answer before another one began comes before it ([`Model::Strict`] only).
//!
//! Any cycle is a violation. Time is a chain of moments, one for each end, so that its edges stay linear.
//! A transaction of which its client never heard counts as committed once somebody saw a value of it, in full and with
//! all that it read; its end has no moment.

#![allow(dead_code, reason = "each proof uses a part")]

pub mod lists;

use std::collections::{BTreeMap, BTreeSet};

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Append { key: i32, value: i64 },
    Read { key: i32, values: Vec<i64> },
}

/// What a history is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Model {
    /// As if one came after the other, in whatever order.
    Serializable,
    /// In an order, besides, in which nothing comes before what was over when it began.
    Strict,
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
    /// A value that is missing of a transaction of which another value is there.
    Torn { key: i32, value: i64 },
    /// A read that does not end with what its own transaction appended before.
    NotOwn { key: i32, transaction: usize },
    /// Transactions of which each comes before the next.
    Cycle(Vec<usize>),
}

/// Checks a history whose last committed reads, after all others, show each list in full.
pub fn check(history: &[Seen], model: Model) -> Result<(), Anomaly> {
    let orders = orders(history)?;
    let counts = in_effect(history, &orders)?;
    let writers = writers(history, &counts, &orders)?;
    let mut graph = Graph::new(history, model);
    for (key, order) in &orders {
        for pair in order.windows(2) {
            graph.edge(writers[&(*key, pair[0])], writers[&(*key, pair[1])]);
        }
    }
    for (reader, key, values) in reads(history, |index| counts[index]) {
        let order = orders.get(&key).map_or(&[][..], Vec::as_slice);
        if !order.starts_with(values) {
            return Err(Anomaly::Forked { key });
        }
        if let Some(last) = values.last() {
            graph.edge(writers[&(key, *last)], reader);
        }
        if let Some(next) = order.get(values.len()) {
            graph.edge(reader, writers[&(key, *next)]);
        }
    }
    own_writes_are_seen(history, &counts)?;
    graph.cycle().map_or(Ok(()), |cycle| Err(Anomaly::Cycle(cycle)))
}

/// Panics with the transactions that make the anomaly, if there is one.
pub fn assert_strict(history: &[Seen]) {
    let Err(anomaly) = check(history, Model::Strict) else { return };
    if let Anomaly::Cycle(cycle) = &anomaly {
        cycle.iter().for_each(|index| eprintln!("{index}: {:?}", history[*index]));
    }
    panic!("{anomaly:?}");
}

/// How many were acknowledged.
pub fn committed(history: &[Seen]) -> usize {
    history.iter().filter(|seen| seen.end == End::Committed).count()
}

fn reads(history: &[Seen], is_meant: impl Fn(usize) -> bool) -> impl Iterator<Item = (usize, i32, &Vec<i64>)> {
    history.iter().enumerate().filter(move |(index, _)| is_meant(*index)).flat_map(|(index, seen)| {
        seen.steps.iter().filter_map(move |step| match step {
            Step::Read { key, values } => Some((index, *key, values)),
            Step::Append { .. } => None,
        })
    })
}

/// Each list's final order: the longest acknowledged read, of which all others are prefixes.
fn orders(history: &[Seen]) -> Result<BTreeMap<i32, Vec<i64>>, Anomaly> {
    let mut orders: BTreeMap<i32, &Vec<i64>> = BTreeMap::new();
    for (_, key, values) in reads(history, |index| history[index].end == End::Committed) {
        let longest = orders.entry(key).or_insert(values);
        if values.len() > longest.len() {
            *longest = values;
        }
    }
    for (key, order) in &orders {
        let mut known = BTreeSet::new();
        if let Some(value) = order.iter().find(|value| !known.insert(**value)) {
            return Err(Anomaly::Twice { key: *key, value: *value });
        }
    }
    Ok(orders.into_iter().map(|(key, order)| (key, order.clone())).collect())
}

fn appends(seen: &Seen) -> impl Iterator<Item = (i32, i64)> {
    seen.steps.iter().filter_map(|step| match step {
        Step::Append { key, value } => Some((*key, *value)),
        Step::Read { .. } => None,
    })
}

/// Which transactions took effect, each of them in full.
fn in_effect(history: &[Seen], orders: &BTreeMap<i32, Vec<i64>>) -> Result<Vec<bool>, Anomaly> {
    let there: BTreeSet<(i32, i64)> =
        orders.iter().flat_map(|(key, order)| order.iter().map(|value| (*key, *value))).collect();
    let mut counts = Vec::with_capacity(history.len());
    for seen in history {
        let missing = appends(seen).find(|append| !there.contains(append));
        let is_there = appends(seen).any(|append| there.contains(&append));
        match (seen.end, missing) {
            (End::Committed, Some((key, value))) => return Err(Anomaly::Lost { key, value }),
            (End::Unknown, Some((key, value))) if is_there => return Err(Anomaly::Torn { key, value }),
            (end, _) => counts.push(end == End::Committed || end == End::Unknown && is_there),
        }
    }
    Ok(counts)
}

/// Who appended each value that stands in a list.
fn writers(
    history: &[Seen],
    counts: &[bool],
    orders: &BTreeMap<i32, Vec<i64>>,
) -> Result<BTreeMap<(i32, i64), usize>, Anomaly> {
    let all = history.iter().enumerate().filter(|(index, _)| counts[*index]);
    let writers: BTreeMap<_, _> =
        all.flat_map(|(index, seen)| appends(seen).map(move |append| (append, index))).collect();
    for (key, order) in orders {
        if let Some(value) = order.iter().find(|value| !writers.contains_key(&(*key, **value))) {
            return Err(Anomaly::FromNowhere { key: *key, value: *value });
        }
    }
    Ok(writers)
}

/// What a transaction appended is the end of what it reads later.
fn own_writes_are_seen(history: &[Seen], counts: &[bool]) -> Result<(), Anomaly> {
    for (transaction, seen) in history.iter().enumerate().filter(|(index, _)| counts[*index]) {
        let mut own: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for step in &seen.steps {
            match step {
                Step::Append { key, value } => own.entry(*key).or_default().push(*value),
                Step::Read { key, values } if !own.get(key).is_none_or(|own| values.ends_with(own)) => {
                    return Err(Anomaly::NotOwn { key: *key, transaction });
                }
                Step::Read { .. } => {}
            }
        }
    }
    Ok(())
}

/// Transactions first, then moments.
struct Graph {
    transactions: usize,
    next: Vec<Vec<usize>>,
}

impl Graph {
    fn new(history: &[Seen], model: Model) -> Graph {
        let transactions = history.len();
        if model == Model::Serializable {
            return Graph { transactions, next: vec![Vec::new(); transactions] };
        }
        let committed = history.iter().enumerate().filter(|(_, seen)| seen.end == End::Committed);
        let mut ends: Vec<(u64, usize)> = committed.map(|(index, seen)| (seen.ended, index)).collect();
        ends.sort_unstable();
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
