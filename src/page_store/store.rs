//! The store of one database: its pools, its versions and who pins them.
//!
//! Locks, in the order in which they are taken: `writer` (one publication at a time), a view's own flag, `retired`,
//! `head`, `pins`; after `retired` also `clock_hand`. Readers of pages take none of them.

use super::descriptor::{Descriptor, Frame};
use super::node::{self, ALIVE, FANOUT, NO_HASH, Node, STUB, Stub};
use super::retire::Retired;
use super::slab::Pool;
use super::snapshot::{Pin, Snapshot};
use super::source::{PageSource, StoredTree};
use super::view::ViewInner;
use super::{StoreError, height, root_hash};
use crate::page::{Hash, PAGE_SIZE, PageNumber};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// How a store is set up.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Above this many bytes of frames, pages that are also on disk give up their frames.
    pub memory_budget_bytes: usize,
    /// The page that SQLite never writes because its lock bytes would lie there; always zeros here. Tests that lower
    /// it with `SQLITE_TESTCTRL_PENDING_BYTE` lower it here too.
    pub pending_byte_page: PageNumber,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions { memory_budget_bytes: 1 << 30, pending_byte_page: (1 << 30) / PAGE_SIZE as u32 + 1 }
    }
}

/// What the store holds, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreStats {
    /// Pages in memory, overlays included.
    pub frames: usize,
    /// Page descriptors.
    pub descriptors: usize,
    /// Tree nodes in memory.
    pub nodes: usize,
    /// Superseded nodes and pages that wait for their last pin or for [`PageStore::reclaim`].
    pub retired: usize,
    /// Pinned versions.
    pub pinned_versions: usize,
}

/// One version of the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    /// Never used twice (P4).
    pub number: u64,
    /// Reference to the top node.
    pub top: u32,
    pub top_hash: [u8; 16],
    pub page_count: u32,
    pub root: Hash,
}

impl Version {
    pub fn height(&self) -> u32 {
        height(self.page_count)
    }
}

/// All versions of one database. Shared; one thread at a time publishes, any number reads.
pub struct PageStore {
    pub(super) options: StoreOptions,
    pub(super) nodes: Pool<Node>,
    pub(super) stubs: Pool<Stub>,
    pub(super) descriptors: Pool<Descriptor>,
    pub(super) frames: Pool<Frame>,
    /// Serves what is not in memory; none for a store without files.
    pub(super) source: Option<Arc<dyn PageSource>>,
    /// Taken by whoever makes the head move.
    pub(super) writer: Mutex<()>,
    /// Taken by whoever reads a block of hashes from disk.
    pub(super) loading: Mutex<()>,
    pub(super) head: Mutex<Head>,
    pub(super) next_version: AtomicU64,
    pub(super) pins: Mutex<BTreeMap<u64, usize>>,
    pub(super) retired: Mutex<Retired>,
    pub(super) clock_hand: Mutex<u32>,
    pub(super) damage: Mutex<BTreeSet<PageNumber>>,
    /// Readers of versions below it are asked to end.
    pub(super) too_old_below: AtomicU64,
    /// Views that follow the head.
    pub(super) canonical: Mutex<Vec<Weak<ViewInner>>>,
}

pub(super) struct Head {
    pub version: Version,
    pub pin: Weak<Pin>,
}

impl PageStore {
    /// An empty database without files.
    pub fn in_memory(options: StoreOptions) -> Arc<PageStore> {
        Self::assemble(options, None, StoredTree { top: Hash::default(), page_count: 0 })
    }

    /// The database that `source` keeps. Nothing is read now: blocks and pages are read and proved at first touch.
    pub fn from_source(options: StoreOptions, source: Arc<dyn PageSource>, tree: StoredTree) -> Arc<PageStore> {
        Self::assemble(options, Some(source), tree)
    }

    fn assemble(options: StoreOptions, source: Option<Arc<dyn PageSource>>, tree: StoredTree) -> Arc<PageStore> {
        let stubs: Pool<Stub> = Pool::new(true);
        let top = if tree.top == Hash::default() { 0 } else { new_stub(&stubs, height(tree.page_count) - 1, 0) };
        let version = Version {
            number: 1,
            top,
            top_hash: tree.top.to_bytes(),
            page_count: tree.page_count,
            root: root_hash(tree.top, tree.page_count),
        };
        Arc::new(PageStore {
            options,
            nodes: Pool::new(true),
            stubs,
            descriptors: Pool::new(true),
            frames: Pool::new(false),
            source,
            writer: Mutex::new(()),
            loading: Mutex::new(()),
            head: Mutex::new(Head { version, pin: Weak::new() }),
            next_version: AtomicU64::new(2),
            pins: Mutex::new(BTreeMap::new()),
            retired: Mutex::new(Retired::default()),
            clock_hand: Mutex::new(1),
            damage: Mutex::new(BTreeSet::new()),
            too_old_below: AtomicU64::new(0),
            canonical: Mutex::new(Vec::new()),
        })
    }

    /// The newest published version, pinned. It need not be accepted.
    pub fn head(self: &Arc<Self>) -> Snapshot {
        let mut head = self.head.lock();
        if let Some(pin) = head.pin.upgrade() {
            return Snapshot(pin);
        }
        let pin = Pin::new(self, head.version);
        head.pin = Arc::downgrade(&pin);
        Snapshot(pin)
    }

    /// Whether readers of the version of this number are to end; as
    /// [`Snapshot::is_too_old`](super::Snapshot::is_too_old), without a pin.
    pub fn is_too_old(&self, version: u64) -> bool {
        version < self.too_old_below.load(Ordering::Relaxed)
    }

    /// What the store holds right now.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            frames: self.frames.used(),
            descriptors: self.descriptors.used(),
            nodes: self.nodes.used(),
            retired: self.retired_count(),
            pinned_versions: self.pins.lock().len(),
        }
    }

    /// The options that the store was made with.
    pub fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// Pages found damaged since the last call, ascending. The replica quarantines itself and repairs them.
    pub fn take_damage(&self) -> Vec<PageNumber> {
        std::mem::take(&mut *self.damage.lock()).into_iter().collect()
    }

    pub(super) fn set_head(&self, version: Version, pin: &Arc<Pin>) {
        *self.head.lock() = Head { version, pin: Arc::downgrade(pin) };
    }

    /// The node behind a reference, or none; read from disk and proved by `expected` if need be.
    #[inline]
    pub(super) fn resolve(&self, reference: u32, expected: &[u8; 16]) -> Result<Option<u32>, StoreError> {
        if reference & STUB == 0 {
            return Ok(Some(reference).filter(|index| *index != 0));
        }
        let stub = self.stub(reference);
        match stub.loaded.load(Ordering::Acquire) {
            0 => self.load(stub, expected).map(Some),
            index => Ok(Some(index)),
        }
    }

    /// A node that some pinned version (or the head, for the writer) reaches.
    #[inline]
    pub(super) fn node(&self, index: u32) -> &Node {
        // SAFETY: a reachable node is initialised and unchanged until it is freed (P1).
        unsafe { self.nodes.get(index) }
    }

    #[inline]
    pub(super) fn descriptor(&self, index: u32) -> &Descriptor {
        // SAFETY: all fields are atomics, and the pool's memory starts as zeros.
        unsafe { self.descriptors.get(index) }
    }

    pub(super) fn stub(&self, reference: u32) -> &Stub {
        // SAFETY: all fields are atomics, and the pool's memory starts as zeros.
        unsafe { self.stubs.get(reference & !STUB) }
    }

    /// The leaf of a page and the page's slot in it; none if the page is zeros.
    #[inline]
    pub(super) fn find(&self, version: &Version, page: PageNumber) -> Result<Option<(&Node, usize)>, StoreError> {
        if page == 0 || page > version.page_count {
            return Err(StoreError::NoSuchPage { page, page_count: version.page_count });
        }
        self.descend(version, page)
    }

    /// As [`PageStore::find`], also for pages that the version does not have (yet).
    #[inline]
    pub(super) fn descend(&self, version: &Version, page: PageNumber) -> Result<Option<(&Node, usize)>, StoreError> {
        let slot = node::slot(page, 0);
        let leaf = self.leaf(version, page)?.map(|index| self.node(index));
        Ok(leaf.filter(|leaf| leaf.children[slot] != 0).map(|leaf| (leaf, slot)))
    }

    /// The leaf node that a page's entry would be in, if there is one.
    pub(super) fn leaf(&self, version: &Version, page: PageNumber) -> Result<Option<u32>, StoreError> {
        let levels = version.height();
        if (page - 1) as u64 >> (levels * node::FANOUT_BITS) != 0 {
            return Ok(None);
        }
        let mut reference = version.top;
        let mut expected = &version.top_hash;
        for level in (1..levels).rev() {
            let Some(index) = self.resolve(reference, expected)? else { return Ok(None) };
            let slot = node::slot(page, level);
            reference = self.node(index).children[slot];
            expected = &self.node(index).hashes[slot];
        }
        self.resolve(reference, expected)
    }

    /// Reads a stub's block, proves it and makes a node of it.
    fn load(&self, stub: &Stub, expected: &[u8; 16]) -> Result<u32, StoreError> {
        let _one_at_a_time = self.loading.lock();
        let loaded = stub.loaded.load(Ordering::Acquire);
        if loaded != 0 {
            return Ok(loaded);
        }
        let source = self.source.as_ref().ok_or(StoreError::NoFiles)?;
        let (level, index) = (stub.level.load(Ordering::Relaxed), stub.index.load(Ordering::Relaxed));
        let hashes = self.proved_block(&**source, level, index, expected)?;
        let children = std::array::from_fn(|slot| {
            let position = index * FANOUT as u32 + slot as u32;
            if hashes[slot] == NO_HASH {
                0
            } else if level == 0 {
                let descriptor = self.descriptors.allocate();
                self.descriptor(descriptor).reset(0, true, 0);
                descriptor
            } else {
                new_stub(&self.stubs, level - 1, position)
            }
        });
        let node = self.new_node(hashes, children, 0);
        stub.loaded.store(node, Ordering::Release);
        Ok(node)
    }

    /// A block as its parent promises it: from the source, or else computed from what lies below it.
    fn proved_block(
        &self,
        source: &dyn PageSource,
        level: u32,
        index: u32,
        expected: &[u8; 16],
    ) -> Result<[[u8; 16]; FANOUT], StoreError> {
        if let Ok(Some(hashes)) = source.block(level, index, Hash::from_bytes(*expected)) {
            let hashes = hashes.map(Hash::to_bytes);
            if node::block_hash(&hashes) == *expected {
                return Ok(hashes);
            }
        }
        let mut hashes = [NO_HASH; FANOUT];
        for (slot, hash) in hashes.iter_mut().enumerate() {
            let below = index * FANOUT as u32 + slot as u32;
            *hash = rebuild(source, level, below, self.head.lock().version.page_count)?;
        }
        if node::block_hash(&hashes) != *expected {
            return Err(StoreError::DamagedNode { level, index });
        }
        // Otherwise it would be found damaged again at every start, until a page below it changes.
        if let Err(error) = source.mend(level, index, &hashes.map(Hash::from_bytes)) {
            tracing::warn!(level, index, %error, "a damaged hash block could not be written again");
        }
        Ok(hashes)
    }

    /// A node that nobody else knows yet.
    pub(super) fn new_node(&self, hashes: [[u8; 16]; FANOUT], children: [u32; FANOUT], born: u64) -> u32 {
        let index = self.nodes.allocate();
        let node = self.nodes.pointer(index);
        // SAFETY: the index was just handed out; only `died` may be looked at by others (stale entries of the
        // retired), and that is stored atomically.
        unsafe {
            (*node).hashes = hashes;
            (*node).children = children;
            (*node).born.store(born, Ordering::Relaxed);
            (*node).died.store(ALIVE, Ordering::Relaxed);
        }
        index
    }
}

/// The hash of entry `position` of a block at `level`, computed from the pages below it.
fn rebuild(source: &dyn PageSource, level: u32, position: u32, page_count: u32) -> Result<[u8; 16], StoreError> {
    let first_page = (position as u64) << (level * node::FANOUT_BITS);
    if first_page >= page_count as u64 {
        return Ok(NO_HASH);
    }
    if level == 0 {
        let mut bytes = [0u8; PAGE_SIZE];
        source.newest(position + 1, &mut bytes)?;
        let is_zero = bytes.iter().all(|byte| *byte == 0);
        return Ok(if is_zero { NO_HASH } else { Hash::of(&bytes).to_bytes() });
    }
    let mut hashes = [NO_HASH; FANOUT];
    for (slot, hash) in hashes.iter_mut().enumerate() {
        *hash = rebuild(source, level - 1, position * FANOUT as u32 + slot as u32, page_count)?;
    }
    Ok(if hashes == [NO_HASH; FANOUT] { NO_HASH } else { node::block_hash(&hashes) })
}

fn new_stub(stubs: &Pool<Stub>, level: u32, index: u32) -> u32 {
    let stub = stubs.allocate();
    // SAFETY: all fields are atomics, and the pool's memory starts as zeros.
    let fields = unsafe { stubs.get(stub) };
    fields.level.store(level, Ordering::Relaxed);
    fields.index.store(index, Ordering::Relaxed);
    fields.loaded.store(0, Ordering::Relaxed);
    fields.died.store(ALIVE, Ordering::Relaxed);
    stub | STUB
}

impl PageStore {
    /// Tells that a checkpoint in force has these pages as `snapshot` has them: their frames may be given up.
    pub fn set_stored(&self, snapshot: &Snapshot, pages: &[PageNumber]) -> Result<(), StoreError> {
        for page in pages {
            if let Some((leaf, slot)) = self.find(snapshot.version(), *page)? {
                self.descriptor(leaf.children[slot]).set_stored();
            }
        }
        Ok(())
    }
}
