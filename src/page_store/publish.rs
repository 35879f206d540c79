//! Makes the next version: hashes what changed, copies each path from the changed leaves to the top once.
//!
//! All that may fail (reading blocks of the old tree) comes before the first change; building cannot fail.

use super::StoreError;
use super::node::{self, ALIVE, FANOUT, NO_HASH, STUB};
use super::retire::Retiring;
use super::snapshot::{Pin, Snapshot};
use super::store::{PageStore, Version};
use super::view::{StateGuard, View};
use super::{height, root_hash};
use crate::page::{Hash, PAGE_SIZE, Page, PageNumber};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// From so many pages on, hashing is worth waking other cores.
const PARALLEL_FROM: usize = 64;

/// Bytes of page 1 that hold the SQLite version which wrote last, and what we put there: a rolling upgrade must not
/// change the root.
const SQLITE_VERSION_BYTES: std::ops::Range<usize> = 96..100;
const SQLITE_VERSION: [u8; 4] = 3_050_000_u32.to_be_bytes();

/// A page that may have changed, with the frame that holds its new bytes (0: zeros).
pub(super) struct Dirty {
    pub page: PageNumber,
    pub frame: u32,
}

struct Change {
    page: PageNumber,
    frame: u32,
    hash: [u8; 16],
}

impl PageStore {
    /// Makes what a canonical view wrote the next version, and the new head. Pages rewritten with equal bytes keep
    /// their old place; if nothing changed the head stays. Other canonical views follow to the new head.
    ///
    /// # Errors
    /// [`StoreError::ViewInUse`] if a canonical connection is inside a transaction, or another than this one wrote
    /// something; [`StoreError::NotHead`] if the view does not stand on the head; damage or I/O while reading the old
    /// tree. The view keeps its overlay then.
    pub fn publish(self: &Arc<Self>, view: &View) -> Result<Snapshot, StoreError> {
        let _writer = self.writer.lock();
        let mut state = view.lock()?;
        let mut others = self.lock_canonical(Some(view))?;
        if others.iter().any(|other| other.has_overlay()) {
            return Err(StoreError::ViewInUse);
        }
        let head = self.head();
        if state.snapshot().number() != head.number() {
            return Err(StoreError::NotHead { view: state.snapshot().number(), head: head.number() });
        }
        if let Some(frame) = state.overlay_frame(1) {
            self.normalise_header(frame);
        }
        let (dirty, page_count) = state.dirty();
        let next = match self.build(head.version(), &dirty, page_count, false)? {
            Some(version) => self.advance(version),
            None => head,
        };
        state.published(&next);
        for other in &mut others {
            other.repin(&next);
        }
        Ok(next)
    }

    /// Makes `base` with some pages replaced the next version and the new head: repair and state transfer. Versions
    /// after `base` are dropped. Pages are replaced even if their hash stays (damaged bytes lie under a good hash), and
    /// nodes of which no copy is left are made anew from the pages below them, which must all be given.
    ///
    /// # Errors
    /// [`StoreError::WrongRoot`] if the result is not `expected_root`; the head is then `base`.
    pub fn install(
        self: &Arc<Self>,
        base: &Snapshot,
        pages: &[(PageNumber, Page)],
        page_count: u32,
        expected_root: Hash,
    ) -> Result<Snapshot, StoreError> {
        self.replace(base, pages, page_count, Some(expected_root))
    }

    /// The same with a part of the pages that lead to some root: nobody may take the result for a state.
    ///
    /// # Errors
    /// Damage or I/O while reading the old tree.
    pub fn install_part(
        self: &Arc<Self>,
        pages: &[(PageNumber, Page)],
        page_count: u32,
    ) -> Result<Snapshot, StoreError> {
        self.replace(&self.head(), pages, page_count, None)
    }

    fn replace(
        self: &Arc<Self>,
        base: &Snapshot,
        pages: &[(PageNumber, Page)],
        page_count: u32,
        expected_root: Option<Hash>,
    ) -> Result<Snapshot, StoreError> {
        self.roll_back(base)?;
        let _writer = self.writer.lock();
        let mut canonical = self.lock_canonical(None)?;
        // Page 0 is none; of two with one number the last counts.
        let pages: BTreeMap<PageNumber, &Page> =
            pages.iter().map(|(page, bytes)| (*page, bytes)).filter(|(page, _)| *page != 0).collect();
        let dirty: Vec<Dirty> =
            pages.into_iter().map(|(page, bytes)| Dirty { page, frame: self.new_frame(bytes) }).collect();
        let built = self.build(base.version(), &dirty, page_count, true);
        if built.is_err() {
            let frames: Vec<u32> = dirty.iter().map(|change| change.frame).filter(|frame| *frame != 0).collect();
            self.frames.release(&frames);
        }
        let next = match built? {
            Some(version) => match expected_root.filter(|expected| *expected != version.root) {
                None => self.advance(version),
                Some(expected) => {
                    let mut retired = self.retired.lock();
                    self.unwind(&version, base.version(), &mut retired);
                    return Err(StoreError::WrongRoot { expected, found: version.root });
                }
            },
            None => match expected_root.filter(|expected| *expected != base.root()) {
                None => base.clone(),
                Some(expected) => return Err(StoreError::WrongRoot { expected, found: base.root() }),
            },
        };
        for view in &mut canonical {
            view.repin(&next);
        }
        Ok(next)
    }

    /// Locks the canonical views but one, before anything is changed.
    pub(super) fn lock_canonical(&self, but: Option<&View>) -> Result<Vec<StateGuard>, StoreError> {
        let mut views = self.canonical.lock();
        views.retain(|view| view.strong_count() > 0);
        let live = views.iter().filter_map(|view| view.upgrade());
        live.filter(|view| but.is_none_or(|but| !but.is(view))).map(StateGuard::lock).collect()
    }

    /// A frame with a copy of some bytes.
    pub(super) fn new_frame(&self, bytes: &[u8; PAGE_SIZE]) -> u32 {
        let frame = self.frames.allocate();
        // SAFETY: the frame was just handed out and is this call's alone.
        unsafe { self.frames.pointer(frame).cast::<[u8; PAGE_SIZE]>().write(*bytes) };
        frame
    }

    fn normalise_header(&self, frame: u32) {
        // SAFETY: the frame belongs to the overlay of a view whose lock the caller holds.
        let bytes = unsafe { &mut (*self.frames.pointer(frame)).0 };
        bytes[SQLITE_VERSION_BYTES].copy_from_slice(&SQLITE_VERSION);
    }

    fn advance(self: &Arc<Self>, version: Version) -> Snapshot {
        let pin = Pin::new(self, version);
        self.set_head(version, &pin);
        Snapshot(pin)
    }

    /// The version after `base` with some pages (ascending) replaced, or none if nothing is different. Takes over the
    /// frames, unless it fails.
    fn build(
        &self,
        base: &Version,
        dirty: &[Dirty],
        page_count: u32,
        force: bool,
    ) -> Result<Option<Version>, StoreError> {
        let hash =
            |dirty: &Dirty| Change { page: dirty.page, frame: dirty.frame, hash: self.content_hash(dirty.frame) };
        let mut changes: Vec<Change> = if dirty.len() >= PARALLEL_FROM {
            dirty.par_iter().map(hash).collect()
        } else {
            dirty.iter().map(hash).collect()
        };
        let removed = (page_count + 1)..base.page_count.saturating_add(1);
        changes.extend(removed.map(|page| Change { page, frame: 0, hash: NO_HASH }));
        changes.sort_by_key(|change| change.page);
        let mut unused = Vec::new();
        let mut differing = Vec::with_capacity(changes.len());
        for mut change in changes {
            let exists = change.page <= page_count && change.page != self.options.pending_byte_page;
            if (!exists || change.hash == NO_HASH) && change.frame != 0 {
                unused.push(change.frame);
                (change.frame, change.hash) = (0, NO_HASH);
            }
            let old = match self.descend(base, change.page) {
                Ok(found) => Some(found.map_or(NO_HASH, |(leaf, slot)| leaf.hashes[slot])),
                // No copy of a node above it is left: that node is made anew from what comes, and the root tells whether
                // all of it came.
                Err(StoreError::DamagedNode { .. }) if force => None,
                Err(error) => return Err(error),
            };
            if old != Some(change.hash) || (force && change.frame != 0) {
                differing.push(change);
            } else if change.frame != 0 {
                unused.push(change.frame);
            }
        }
        self.frames.release(&unused);
        if differing.is_empty() && page_count == base.page_count {
            return Ok(None);
        }
        Ok(Some(self.grow(base, &differing, page_count, force)))
    }

    fn content_hash(&self, frame: u32) -> [u8; 16] {
        if frame == 0 {
            return NO_HASH;
        }
        // SAFETY: the frame is initialised and nobody writes it while it is being published.
        let bytes = unsafe { &self.frames.get(frame).0 };
        if bytes[..16] == NO_HASH && *bytes == super::snapshot::ZERO_PAGE.0 {
            NO_HASH
        } else {
            Hash::of(bytes).to_bytes()
        }
    }

    fn grow(&self, base: &Version, changes: &[Change], page_count: u32, is_repair: bool) -> Version {
        let number = self.next_version.fetch_add(1, Ordering::Relaxed);
        let retiring = Retiring { store: self, version: number, entries: Vec::new() };
        let mut builder = Builder { number, retiring, is_repair };
        let (old_levels, new_levels) = (base.height(), height(page_count));
        let mut top = (base.top, base.top_hash);
        for _ in old_levels..new_levels {
            top = builder.wrap(top);
        }
        let levels = old_levels.max(new_levels);
        if !changes.is_empty() {
            top = builder.update(top.0, levels - 1, changes);
        }
        for _ in new_levels..levels {
            top = builder.unwrap(top.0);
        }
        self.retired.lock().extend(builder.retiring.entries);
        let root = root_hash(Hash::from_bytes(top.1), page_count);
        Version { number, top: top.0, top_hash: top.1, page_count, root }
    }
}

/// A reference and its hash.
type Child = (u32, [u8; 16]);

struct Builder<'a> {
    number: u64,
    retiring: Retiring<'a>,
    /// Nodes that could not be read are made anew.
    is_repair: bool,
}

impl Builder<'_> {
    /// One level more: the old top becomes the first child.
    fn wrap(&mut self, top: Child) -> Child {
        if top.0 == 0 {
            return top;
        }
        let (mut hashes, mut children) = ([NO_HASH; FANOUT], [0; FANOUT]);
        (children[0], hashes[0]) = top;
        let hash = node::block_hash(&hashes);
        (self.retiring.store.new_node(hashes, children, self.number), hash)
    }

    /// One level less: the first child becomes the top.
    fn unwrap(&mut self, reference: u32) -> Child {
        let index = self.loaded(reference);
        if index == 0 {
            return (0, NO_HASH);
        }
        let node = self.retiring.store.node(index);
        self.retiring.node(reference, index);
        (node.children[0], node.hashes[0])
    }

    /// A copy of a node with some pages below it changed; the old one is retired.
    fn update(&mut self, reference: u32, level: u32, changes: &[Change]) -> Child {
        let store = self.retiring.store;
        let old = self.loaded(reference);
        let copy = match old {
            0 => store.new_node([NO_HASH; FANOUT], [0; FANOUT], self.number),
            old => store.copy_node(old, self.number),
        };
        // SAFETY: the copy was just made, and nobody else knows of it before this version is published.
        let (hashes, children) =
            unsafe { (&mut (*store.nodes.pointer(copy)).hashes, &mut (*store.nodes.pointer(copy)).children) };
        for group in changes.chunk_by(|a, b| node::slot(a.page, level) == node::slot(b.page, level)) {
            let slot = node::slot(group[0].page, level);
            (children[slot], hashes[slot]) = match level {
                0 => self.replace(children[slot], &group[group.len() - 1]),
                _ => self.update(children[slot], level - 1, group),
            };
        }
        self.retiring.node(reference, old);
        let node = store.node(copy);
        if node.is_empty() {
            store.nodes.release(&[copy]);
            return (0, NO_HASH);
        }
        (copy, node.hash())
    }

    fn replace(&mut self, old: u32, change: &Change) -> Child {
        self.retiring.page(old, change.page);
        if change.frame == 0 {
            return (0, NO_HASH);
        }
        let store = self.retiring.store;
        let descriptor = store.descriptors.allocate();
        store.descriptor(descriptor).reset(change.frame, false, self.number);
        (descriptor, change.hash)
    }

    /// The node behind a reference whose path was read before building began; 0 for none, or for one that a repair
    /// could not read.
    fn loaded(&self, reference: u32) -> u32 {
        match reference & STUB {
            0 => reference,
            _ => {
                let index = self.retiring.store.stub(reference).loaded.load(Ordering::Acquire);
                assert!(index != 0 || self.is_repair, "a path is read before it is changed");
                index
            }
        }
    }
}

impl PageStore {
    /// A node with the content of another, known to nobody else yet.
    fn copy_node(&self, old: u32, born: u64) -> u32 {
        let copy = self.nodes.allocate();
        let (from, to) = (self.node(old), self.nodes.pointer(copy));
        // SAFETY: the index was just handed out; only `died` may be looked at by others (stale entries of the
        // retired), and that is stored atomically.
        unsafe {
            (*to).hashes = from.hashes;
            (*to).children = from.children;
            (*to).born.store(born, Ordering::Relaxed);
            (*to).died.store(ALIVE, Ordering::Relaxed);
        }
        copy
    }
}
