//! Greedy grouping, as in the Eve paper (Kapritsos et al., OSDI 2012, section 3.1): each transaction goes into the
//! first group in which nothing conflicts with it.
//!
//! ```text
//!   order of effect   group 0: parallel part, direct part; group 1: parallel part, direct part; ..
//! ```
//!
//! Invariants:
//! 1. Each position stands in the plan once.
//! 2. Of two transactions that conflict, or of one session, the one that is earlier in the batch comes earlier in the
//!    order of effect; and if the later one runs in parallel, it is in a later group, so that it sees the other's rows.
//! 3. No more groups than allowed, and none of them empty.
//!
//! A direct transaction takes effect after all of its group that came before it, whatever that was; so it may share
//! the group with what it conflicts with, and a batch of direct transactions only is one group. Only a transaction
//! that runs in parallel needs a new group.
//!
//! For that, nothing is compared with all that came before: for each row, each partition and each space the highest
//! group is kept in which it was read and written. One step for each item of a footprint, of two look-ups, and a third
//! where keys have several columns.

use crate::batch::{Group, Plan};
use crate::footprint::{Access, Extent, Footprint, Item};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// How a transaction is to be run, from the measured costs of its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// On a worker's view, beside others; its changes are applied afterwards.
    Parallel,
    /// On the canonical connection, one after the other.
    Direct,
}

/// A transaction of the batch as the mixer sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What it reads and writes. Tables of the same name in two databases count as one.
    pub footprint: &'a Footprint,
    /// Hash of incarnation and session: what one session sent keeps its order.
    pub session: u64,
    /// How it is to be run; it becomes direct where there are too many groups.
    pub mode: Mode,
    /// What a rule says instead of `footprint`.
    pub refined: Option<&'a Footprint>,
}

/// Bounds of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Groups in a plan; 0 counts as 1. Each group costs a COMMIT and a version of the pages, so what would need one
    /// more is run directly, in the last.
    pub groups_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { groups_max: 16 }
    }
}

/// Whether two items keep their transactions out of one group: [`Item::conflicts`] without what grouping leaves to the
/// executor (see [`Mixer::plan`]).
pub fn keeps_apart(a: &Item, b: &Item) -> bool {
    let holds = |whole: Extent, appended: Extent| match (whole, appended) {
        (Extent::All, _) => true,
        (Extent::Partition(_), Extent::All) | (Extent::Row { .. }, _) => false,
        (Extent::Partition(_), appended) => whole.meets(appended),
    };
    match (a.access, b.access) {
        (Access::Append, Access::Append) => false,
        (Access::Append, _) => a.space == b.space && holds(b.extent, a.extent),
        (_, Access::Append) => a.space == b.space && holds(a.extent, b.extent),
        _ => a.conflicts(b),
    }
}

/// Groups a batch with buffers of its own; see [`Mixer::plan`].
pub fn plan(candidates: &[Candidate<'_>], limits: &Limits) -> Plan {
    Mixer::default().plan(candidates, limits)
}

/// Groups batches, and keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub struct Mixer {
    /// Slots in `rows`, by the hash of space and row. Two rows of equal hash count as one.
    row_slots: HashMap<u64, u32, Hashed>,
    rows: Vec<Level>,
    /// Slots in `partitions`, likewise.
    partition_slots: HashMap<u64, u32, Hashed>,
    partitions: Vec<Scope>,
    /// Slots in `spaces`.
    space_slots: HashMap<u64, u32, Hashed>,
    spaces: Vec<Scope>,
    sessions: HashMap<u64, u32, Hashed>,
    /// Of the transaction at hand.
    touched: Vec<Touched>,
    /// Of transactions that conflict with everything.
    everything: u32,
}

/// Groups after the highest in which something was read and written: its number plus 1, or 0 if it never was.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    read: u32,
    write: u32,
}

impl Level {
    fn any(self) -> u32 {
        self.read.max(self.write)
    }
    /// What this must come after. Nobody else is given the rows of appends.
    fn after(self, access: Access) -> u32 {
        match access {
            Access::Read => self.write,
            Access::Write => self.any(),
            Access::Append => 0,
        }
    }
    fn record(&mut self, access: Access, level: u32) {
        let place = if access == Access::Read { &mut self.read } else { &mut self.write };
        *place = (*place).max(level);
    }
}

/// What was done to the rows of a space or a partition.
#[derive(Clone, Copy, Debug, Default)]
struct Scope {
    /// To parts of it.
    inside: Level,
    /// To all of it.
    all: Level,
    /// New rows in it.
    append: u32,
}

impl Scope {
    /// What an access to a part of it must come after, by what was done to all of it.
    fn after_inside(&self, access: Access) -> u32 {
        match access {
            Access::Read => self.all.write,
            Access::Write | Access::Append => self.all.any(),
        }
    }

    /// What an access to all of it must come after. An append is one to a part that nobody else is given.
    fn after_all(&self, access: Access) -> u32 {
        let inside = match access {
            Access::Append => 0,
            Access::Read | Access::Write => self.inside.after(access).max(self.append),
        };
        self.after_inside(access).max(inside)
    }

    fn record(&mut self, access: Access, all: bool, level: u32) {
        match (access, all) {
            (Access::Append, _) => self.append = self.append.max(level),
            (access, true) => self.all.record(access, level),
            (access, false) => self.inside.record(access, level),
        }
    }
}

/// An item with its slots.
#[derive(Clone, Copy, Debug)]
struct Touched {
    access: Access,
    space: u32,
    /// None: all rows of the space.
    partition: Option<u32>,
    /// None: all rows of the partition.
    row: Option<u32>,
}

impl Mixer {
    /// Puts each candidate into the first group in which nothing conflicts with it and which is not before one that
    /// it must follow. No candidates, no groups.
    ///
    /// Looser than [`Item::conflicts`] ([`keeps_apart`]): an append conflicts with its whole table and
    /// its whole partition only, neither with single rows nor with other appends. Which number a row gets may then
    /// depend on the plan, but not on how the plan is run.
    ///
    /// Linear in the items of all footprints.
    pub fn plan(&mut self, candidates: &[Candidate<'_>], limits: &Limits) -> Plan {
        self.reset();
        let groups_max = limits.groups_max.max(1);
        let mut groups: Vec<Group> = Vec::new();
        for (position, candidate) in (0u32..).zip(candidates) {
            let footprint = candidate.refined.unwrap_or(candidate.footprint);
            let session = self.sessions.get(&candidate.session).copied().unwrap_or(0);
            let after = self.after(footprint, groups.len() as u32).max(session);
            let (mode, group) = match candidate.mode {
                Mode::Parallel if after < groups_max => (Mode::Parallel, after),
                Mode::Parallel | Mode::Direct => (Mode::Direct, after.saturating_sub(1)),
            };
            if groups.len() <= group as usize {
                // One more at most: `after` is a group's number plus 1.
                groups.push(Group::default());
            }
            if let Some(group) = groups.get_mut(group as usize) {
                let part = if mode == Mode::Parallel { &mut group.parallel } else { &mut group.direct };
                part.push(position);
            }
            self.record(footprint, group + 1);
            // Never less than before: it comes after what the session sent.
            self.sessions.insert(candidate.session, group + 1);
        }
        Plan { groups }
    }

    /// The group after the highest one with something that conflicts with this; notes its slots.
    fn after(&mut self, footprint: &Footprint, groups: u32) -> u32 {
        self.touched.clear();
        if footprint.everything {
            return groups;
        }
        let mut after = self.everything;
        let mut space = None;
        for item in &footprint.items {
            // Sorted: the items of one space are neighbours.
            let space_slot = match space {
                Some((known, slot)) if known == item.space => slot,
                _ => slot_of(&mut self.space_slots, &mut self.spaces, item.space),
            };
            space = Some((item.space, space_slot));
            let (partition, row) = match item.extent {
                Extent::All => (None, None),
                Extent::Partition(partition) => (Some(partition), None),
                Extent::Row { partition, row } => (Some(partition), Some(row)),
            };
            let mut partition_of =
                |key| slot_of(&mut self.partition_slots, &mut self.partitions, within(item.space, key));
            let mut row_of = |key| slot_of(&mut self.row_slots, &mut self.rows, within(item.space, key));
            let (partition, row) = (partition.map(&mut partition_of), row.map(&mut row_of));
            let touched = Touched { access: item.access, space: space_slot, partition, row };
            after = after.max(self.after_item(touched));
            self.touched.push(touched);
        }
        after
    }

    fn after_item(&self, item: Touched) -> u32 {
        let space = &self.spaces[item.space as usize];
        let Some(partition) = item.partition else { return space.after_all(item.access) };
        let partition = &self.partitions[partition as usize];
        let inside = match item.row {
            None => partition.after_all(item.access),
            Some(row) => partition.after_inside(item.access).max(self.rows[row as usize].after(item.access)),
        };
        space.after_inside(item.access).max(inside)
    }

    /// Notes that the transaction of `touched` went into the group before this level.
    fn record(&mut self, footprint: &Footprint, level: u32) {
        if footprint.everything {
            self.everything = self.everything.max(level);
        }
        for item in &self.touched {
            self.spaces[item.space as usize].record(item.access, item.partition.is_none(), level);
            if let Some(partition) = item.partition {
                self.partitions[partition as usize].record(item.access, item.row.is_none(), level);
            }
            if let (Some(row), Access::Read | Access::Write) = (item.row, item.access) {
                self.rows[row as usize].record(item.access, level);
            }
        }
    }

    fn reset(&mut self) {
        /// Clearing a map costs by its size: after an unusually large batch start small again.
        const KEPT: usize = 1 << 16;
        for map in [&mut self.row_slots, &mut self.partition_slots, &mut self.space_slots, &mut self.sessions] {
            if map.capacity() > KEPT { *map = HashMap::default() } else { map.clear() }
        }
        self.rows.clear();
        self.partitions.clear();
        self.spaces.clear();
        self.everything = 0;
    }
}

/// Names a row or a partition of one space among those of all spaces.
fn within(space: u64, key: u64) -> u64 {
    let product = u128::from(space ^ 0x9e37_79b9_7f4a_7c15) * u128::from(key ^ 0xd1b5_4a32_d192_ed03);
    (product >> 64) as u64 ^ product as u64
}

fn slot_of<T: Default>(slots: &mut HashMap<u64, u32, Hashed>, values: &mut Vec<T>, hash: u64) -> u32 {
    *slots.entry(hash).or_insert_with(|| {
        values.push(T::default());
        (values.len() - 1) as u32
    })
}

type Hashed = BuildHasherDefault<AlreadyHashed>;

/// For keys that are hashes.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
