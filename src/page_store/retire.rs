//! Superseded nodes and pages: kept while a pinned version lies in their [born, died), then freed.
//!
//! Each waits in the bucket of the newest pinned version that has it; when that pin goes, the bucket moves on to the
//! next older pin or is freed. So freeing costs what is freed, however much an idle reader holds back. A roll back
//! brings things back to life by setting their `died`; their entries here are then stale and are dropped when met.

use super::node::{ALIVE, STUB};
use super::snapshot::Snapshot;
use super::store::PageStore;
use crate::page::PageNumber;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;

/// What waits to be freed.
#[derive(Default)]
pub(super) struct Retired {
    fresh: Vec<Entry>,
    held: BTreeMap<u64, Vec<Entry>>,
}

/// One retired thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub born: u64,
    pub died: u64,
    pub thing: Thing,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Thing {
    Node(u32),
    Stub(u32),
    Page(u32, PageNumber),
}

impl Retired {
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.fresh.iter().chain(self.held.values().flatten())
    }

    pub fn extend(&mut self, entries: Vec<Entry>) {
        if self.fresh.is_empty() {
            self.fresh = entries;
        } else {
            self.fresh.extend(entries);
        }
    }
}

/// Collects what one new version supersedes.
pub(super) struct Retiring<'a> {
    pub store: &'a PageStore,
    /// The first version without it.
    pub version: u64,
    pub entries: Vec<Entry>,
}

impl Retiring<'_> {
    /// Retires a node (and the stub through which it was reached).
    pub fn node(&mut self, reference: u32, index: u32) {
        if reference & STUB != 0 {
            self.store.stub(reference).died.store(self.version, Ordering::Relaxed);
            self.entries.push(Entry { born: 0, died: self.version, thing: Thing::Stub(reference & !STUB) });
        }
        if index != 0 {
            let node = self.store.node(index);
            node.died.store(self.version, Ordering::Relaxed);
            let born = node.born.load(Ordering::Relaxed);
            self.entries.push(Entry { born, died: self.version, thing: Thing::Node(index) });
        }
    }

    /// Retires a page.
    pub fn page(&mut self, descriptor: u32, page: PageNumber) {
        if descriptor != 0 {
            let fields = self.store.descriptor(descriptor);
            fields.died.store(self.version, Ordering::Relaxed);
            let born = fields.born.load(Ordering::Relaxed);
            self.entries.push(Entry { born, died: self.version, thing: Thing::Page(descriptor, page) });
        }
    }
}

impl PageStore {
    /// Frees what no pinned version has any more, and evicts down to the budget. A background thread calls it after
    /// publications; the simulator calls it in line. Returns how many nodes and pages were freed.
    pub fn reclaim(&self) -> usize {
        let mut retired = self.retired.lock();
        let pinned = self.pinned_versions();
        let mut pending = std::mem::take(&mut retired.fresh);
        let dropped: Vec<u64> = retired.held.keys().copied().filter(|pin| pinned.binary_search(pin).is_err()).collect();
        for pin in dropped {
            pending.extend(retired.held.remove(&pin).unwrap_or_default());
        }
        let mut freed = Freed::default();
        // The clock stands still while descriptors end their lives.
        let clock = self.clock_hand.lock();
        for entry in pending {
            if self.died(entry.thing) != entry.died {
                continue;
            }
            let older = pinned.partition_point(|pin| *pin < entry.died);
            match older.checked_sub(1).map(|position| pinned[position]) {
                Some(pin) if pin >= entry.born => retired.held.entry(pin).or_default().push(entry),
                _ => self.free(entry.thing, &mut freed),
            }
        }
        drop((clock, retired));
        let count = freed.nodes.len() + freed.descriptors.len();
        self.nodes.release(&freed.nodes);
        self.stubs.release(&freed.stubs);
        self.descriptors.release(&freed.descriptors);
        self.frames.release(&freed.frames);
        self.evict();
        count
    }

    /// Pages of which a pinned version older than `checkpoint` (the newest one in force) may still read its own copy from
    /// disk: backfilling the base file must pass over them for now.
    pub fn needed_on_disk(&self, checkpoint: &Snapshot) -> HashSet<PageNumber> {
        let retired = self.retired.lock();
        let older =
            retired.entries().filter(|entry| entry.died <= checkpoint.number() && self.died(entry.thing) == entry.died);
        older
            .filter_map(|entry| match entry.thing {
                Thing::Page(descriptor, page) => self.descriptor(descriptor).is_stored().then_some(page),
                _ => None,
            })
            .collect()
    }

    /// Frames of superseded pages that pinned versions up to this one hold back.
    pub(super) fn held_frames(&self, newest: u64) -> usize {
        let retired = self.retired.lock();
        let in_memory = |entry: &&Entry| match entry.thing {
            Thing::Page(descriptor, _) => {
                self.died(entry.thing) == entry.died && self.descriptor(descriptor).has_frame()
            }
            _ => false,
        };
        retired.held.range(..=newest).flat_map(|(_, entries)| entries).filter(in_memory).count()
    }

    /// How much waits to be freed.
    pub(super) fn retired_count(&self) -> usize {
        self.retired.lock().entries().filter(|entry| self.died(entry.thing) == entry.died).count()
    }

    /// Ascending; the head counts as pinned.
    pub(super) fn pinned_versions(&self) -> Vec<u64> {
        let head = self.head.lock();
        let mut pinned: Vec<u64> = self.pins.lock().keys().copied().collect();
        pinned.push(head.version.number);
        pinned.sort_unstable();
        pinned.dedup();
        pinned
    }

    fn died(&self, thing: Thing) -> u64 {
        match thing {
            // SAFETY: all nodes that were ever handed out are initialised. A stale entry's node may be somebody else's
            // by now, who writes its other fields: so only this one, an atomic, is referred to.
            Thing::Node(index) => unsafe { (*self.nodes.pointer(index)).died.load(Ordering::Relaxed) },
            Thing::Stub(index) => self.stub(index).died.load(Ordering::Relaxed),
            Thing::Page(index, _) => self.descriptor(index).died.load(Ordering::Relaxed),
        }
    }

    fn free(&self, thing: Thing, freed: &mut Freed) {
        // A freed thing's `died` must not equal that of a stale entry for it.
        match thing {
            Thing::Node(index) => {
                self.node(index).died.store(ALIVE, Ordering::Relaxed);
                freed.nodes.push(index);
            }
            Thing::Stub(index) => {
                self.stub(index).died.store(ALIVE, Ordering::Relaxed);
                freed.stubs.push(index);
            }
            Thing::Page(index, _) => {
                let descriptor = self.descriptor(index);
                descriptor.died.store(ALIVE, Ordering::Relaxed);
                freed.frames.extend(descriptor.retire());
                freed.descriptors.push(index);
            }
        }
    }
}

#[derive(Default)]
struct Freed {
    nodes: Vec<u32>,
    stubs: Vec<u32>,
    descriptors: Vec<u32>,
    frames: Vec<u32>,
}
