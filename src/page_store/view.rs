//! A view: a pinned snapshot and a private overlay of written pages, behind one SQLite connection.
//!
//! V1. A view is touched by one at a time: by its connection from the first lock of a transaction to its last
//! unlock, else by its owner. The flag `busy` says so; the owner is refused while the connection holds it, so that a
//! re-pin can never pull pages from under an open statement.
//! V2. SQLite notices a new root by bytes 24..39 of page 1 only, and two roots can share them after a roll back. So
//! after a re-pin the view answers one dishonest read of those bytes, and the pager drops its cache.

use super::node::FANOUT_BITS;
use super::publish::Dirty;
use super::snapshot::{Snapshot, ZERO_PAGE};
use super::store::PageStore;
use super::{StoreError, vfs};
use crate::page::{PAGE_SIZE, Page, PageNumber};
use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// A snapshot and a private overlay, served to one SQLite connection through a VFS of its own.
///
/// Open with [`View::name`] as file name and as VFS name. Reads see the snapshot and what the connection wrote.
/// Dropping the view ends new opens; an open connection keeps what it needs alive.
pub struct View {
    inner: Arc<ViewInner>,
}

/// The part that open files share.
pub(super) struct ViewInner {
    pub vfs: vfs::Registration,
    name: CString,
    /// V1.
    busy: AtomicBool,
    /// A second connection would break V1.
    pub connected: AtomicBool,
    /// Microseconds since 2000-01-01 UTC that SQLite's own clock shows.
    pub clock_us: AtomicI64,
    /// What `PRAGMA mmap_size` last set.
    pub mmap_size: AtomicI64,
    pub temp_bytes: AtomicU64,
    pub temp_bytes_max: AtomicU64,
    state: UnsafeCell<ViewState>,
}

// SAFETY: `state` is reached only by whoever holds `busy` (V1), `vfs` is written once before the view is shared.
unsafe impl Send for ViewInner {}
// SAFETY: as above.
unsafe impl Sync for ViewInner {}

/// What `busy` guards.
pub(super) struct ViewState {
    snapshot: Snapshot,
    /// Frames of the pages that were written.
    overlay: HashMap<PageNumber, u32, BuildHasherDefault<PageHasher>>,
    page_count: u32,
    /// Pages above it are not the snapshot's any more (truncated), even if the file grew again.
    base_limit: u32,
    /// V2.
    pub reset_cache: bool,
    /// The next page that is to be written finds no memory (drill).
    refuses_page: bool,
    /// Leaves met lately: leaf number + 1 and node, by the low bits of the leaf number.
    leaves: [(u32, u32); LEAF_CACHE],
    /// Pages of the snapshot that stay pinned.
    kept: Kept,
}

/// Pages that stay pinned from their first fetch until the view moves on, found again without the tree and without
/// touching what other threads touch: two threads that pin and unpin the same hot pages take them from each other's
/// caches all the time (browsing TPC-W on two cores lost a sixth of its time so).
///
/// Pins of one page are alike. So one that SQLite took while its place here was another page's may be given back as this
/// cache's, and the other way round; only their number counts.
#[derive(Default)]
struct Kept {
    /// By the low bits of the page number; none at all unless [`View::keep_pages`] was called.
    places: Vec<Place>,
    /// Places that are in use.
    used: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Place {
    /// 0: none.
    page: PageNumber,
    descriptor: u32,
    /// Fetched and not given back yet.
    users: u32,
    address: *const u8,
}

const NO_PLACE: Place = Place { page: 0, descriptor: 0, users: 0, address: std::ptr::null() };

impl Kept {
    #[inline]
    fn place(&mut self, page: PageNumber) -> Option<&mut Place> {
        // A power of two of them.
        let mask = self.places.len().wrapping_sub(1);
        self.places.get_mut(page as usize & mask)
    }

    /// Another fetch of a page that is kept.
    #[inline]
    fn fetch(&mut self, page: PageNumber) -> Option<*const u8> {
        let place = self.place(page).filter(|place| place.page == page)?;
        place.users += 1;
        Some(place.address)
    }

    /// The end of a fetch; whether it was one of a page that is kept.
    #[inline]
    fn unfetch(&mut self, page: PageNumber) -> bool {
        let Some(place) = self.place(page).filter(|place| place.page == page && place.users > 0) else { return false };
        place.users -= 1;
        true
    }

    /// Keeps a page that was just pinned, if its place is not in use; the descriptor of the page that it takes it from.
    fn keep(&mut self, page: PageNumber, descriptor: u32, address: *const u8) -> Option<u32> {
        let number = page as usize & self.places.len().wrapping_sub(1);
        let place = self.places.get_mut(number).filter(|place| place.users == 0)?;
        let before = std::mem::replace(place, Place { page, descriptor, users: 1, address });
        if before.page == 0 {
            self.used.push(number as u32);
        }
        (before.page != 0).then_some(before.descriptor)
    }

    /// The descriptors of all pages that are kept; none is any more.
    fn drain(&mut self) -> impl Iterator<Item = u32> + '_ {
        let places = &mut self.places;
        self.used.drain(..).map(|number| {
            let place = std::mem::replace(&mut places[number as usize], NO_PLACE);
            debug_assert_eq!(place.users, 0, "a view moves on while a page of it is in use");
            place.descriptor
        })
    }
}

const LEAF_CACHE: usize = 16;

impl View {
    /// A view of a snapshot, for reading or for writes that are thrown away.
    pub fn new(snapshot: &Snapshot) -> View {
        let state = ViewState::new(snapshot.clone());
        let name = vfs::next_name();
        let inner = Arc::new(ViewInner {
            vfs: vfs::Registration::new(),
            name,
            busy: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            clock_us: AtomicI64::new(0),
            mmap_size: AtomicI64::new(0),
            temp_bytes: AtomicU64::new(0),
            temp_bytes_max: AtomicU64::new(u64::MAX),
            state: UnsafeCell::new(state),
        });
        vfs::register(&inner);
        View { inner }
    }

    /// A view of the newest version whose writes [`PageStore::publish`] makes the next one. Canonical views follow the
    /// head when another one publishes and when versions are rolled back.
    pub fn canonical(store: &Arc<PageStore>) -> View {
        let _writer = store.writer.lock();
        let view = View::new(&store.head());
        store.canonical.lock().push(Arc::downgrade(&view.inner));
        view
    }

    /// The name to open, as a file and as a VFS.
    pub fn name(&self) -> &str {
        self.inner.name.to_str().expect("view names are ASCII")
    }

    /// [`View::name`] for the C interface.
    pub fn c_name(&self) -> &CStr {
        &self.inner.name
    }

    /// Moves the view to another version, of this store or another one; what it wrote is dropped. The connection's page
    /// cache is reset if anything can differ; its schema only if the schema cookies differ, so a connection that moves
    /// between roots of different schema must run `PRAGMA writable_schema=RESET`.
    ///
    /// # Errors
    /// [`StoreError::ViewInUse`] while a transaction or a statement is open.
    pub fn repin(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.lock()?.repin(snapshot);
        Ok(())
    }

    /// Drops what the connection wrote.
    ///
    /// # Errors
    /// [`StoreError::ViewInUse`] while a transaction or a statement is open.
    pub fn discard_overlay(&self) -> Result<(), StoreError> {
        let mut state = self.lock()?;
        let snapshot = state.snapshot.clone();
        state.repin(&snapshot);
        Ok(())
    }

    /// Keeps up to so many pages of its snapshot pinned (rounded up to a power of two): for a view that reads the same
    /// pages again and again, beside others that do. Their frames are not given up before the view moves on.
    ///
    /// # Errors
    /// [`StoreError::ViewInUse`] while a transaction or a statement is open.
    pub fn keep_pages(&self, pages_max: usize) -> Result<(), StoreError> {
        let mut state = self.lock()?;
        state.let_go();
        state.kept.places = vec![NO_PLACE; pages_max.next_power_of_two()];
        Ok(())
    }

    /// As [`View::keep_pages`], at most this share (one of so many parts) of the store's memory.
    ///
    /// # Errors
    /// [`StoreError::ViewInUse`] while a transaction or a statement is open.
    pub fn keep_share(&self, share: usize) -> Result<(), StoreError> {
        let budget = self.snapshot()?.store().options().memory_budget_bytes;
        self.keep_pages(budget / PAGE_SIZE / share)
    }

    /// Takes over what another view of the same version wrote, so that two canonical connections (say with foreign
    /// keys on and off) can write one version. What this view wrote itself must have been published or dropped.
    ///
    /// # Errors
    /// [`StoreError::ViewInUse`] while either has a transaction or a statement open, or this one wrote something;
    /// [`StoreError::NotHead`] if they stand on different versions.
    pub fn take_overlay(&self, from: &View) -> Result<(), StoreError> {
        let (mut mine, mut theirs) = (self.lock()?, from.lock()?);
        if mine.has_overlay() {
            return Err(StoreError::ViewInUse);
        }
        let (view, head) = (theirs.snapshot.number(), mine.snapshot.number());
        if view != head || !Arc::ptr_eq(mine.snapshot.store(), theirs.snapshot.store()) {
            return Err(StoreError::NotHead { view, head });
        }
        mine.overlay = std::mem::take(&mut theirs.overlay);
        (mine.page_count, mine.base_limit) = (theirs.page_count, theirs.base_limit);
        mine.reset_cache = true;
        let snapshot = theirs.snapshot.clone();
        theirs.repin(&snapshot);
        theirs.reset_cache = true;
        Ok(())
    }

    /// The version that the view is pinned to.
    ///
    /// # Errors
    /// [`StoreError::ViewInUse`] while a transaction or a statement is open.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(self.lock()?.snapshot.clone())
    }

    /// Numbers of the pages that the connection wrote, ascending.
    ///
    /// # Errors
    /// [`StoreError::ViewInUse`] while a transaction or a statement is open.
    pub fn overlay_pages(&self) -> Result<Vec<PageNumber>, StoreError> {
        let mut pages: Vec<PageNumber> = self.lock()?.overlay.keys().copied().collect();
        pages.sort_unstable();
        Ok(pages)
    }

    /// Number of pages, as the connection sees them.
    ///
    /// # Errors
    /// [`StoreError::ViewInUse`] while a transaction or a statement is open.
    pub fn page_count(&self) -> Result<u32, StoreError> {
        Ok(self.lock()?.page_count)
    }

    /// A page as the connection sees it.
    ///
    /// # Errors
    /// [`StoreError::ViewInUse`] while a transaction or a statement is open; as [`Snapshot::page`] otherwise.
    pub fn page(&self, page: PageNumber) -> Result<Page, StoreError> {
        let mut bytes = Box::new(ZERO_PAGE.0);
        self.lock()?.read(page, 0, &mut *bytes)?;
        Ok(bytes)
    }

    /// Finds no memory for the next page that the connection writes, once (drill).
    ///
    /// # Errors
    /// [`StoreError::ViewInUse`] while a transaction or a statement is open.
    pub fn refuse_page(&self) -> Result<(), StoreError> {
        self.lock()?.refuses_page = true;
        Ok(())
    }

    /// Sets what SQLite's own clock shows (CURRENT_TIMESTAMP, column defaults), microseconds since 2000-01-01 UTC.
    /// Starts at 0. SQLite reads it once a statement and to the millisecond.
    pub fn set_clock_us(&self, clock_us: i64) {
        self.inner.clock_us.store(clock_us, Ordering::Relaxed);
    }

    /// Bounds the bytes of temporary files (sorters, temporary tables) of the connection; beyond it statements fail
    /// with SQLITE_FULL. Starts unbounded.
    pub fn set_temp_bytes_max(&self, temp_bytes_max: u64) {
        self.inner.temp_bytes_max.store(temp_bytes_max, Ordering::Relaxed);
    }

    /// Bytes of temporary files right now.
    pub fn temp_bytes(&self) -> u64 {
        self.inner.temp_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn lock(&self) -> Result<StateGuard, StoreError> {
        StateGuard::lock(self.inner.clone())
    }

    pub(super) fn is(&self, inner: &Arc<ViewInner>) -> bool {
        Arc::ptr_eq(&self.inner, inner)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        vfs::unregister(&self.inner);
    }
}

impl ViewInner {
    /// Takes the flag of V1; false if it is held.
    pub fn try_lock(&self) -> bool {
        self.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives the flag back.
    pub fn unlock(&self) {
        self.busy.store(false, Ordering::Release);
    }

    /// The guarded state.
    ///
    /// # Safety
    /// The caller holds the flag, and no other reference from here lives.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn state(&self) -> &mut ViewState {
        // SAFETY: promised by the caller.
        unsafe { &mut *self.state.get() }
    }

    pub fn c_name(&self) -> &CStr {
        &self.name
    }
}

/// A view's state, locked by its owner.
pub(super) struct StateGuard {
    inner: Arc<ViewInner>,
}

impl StateGuard {
    pub fn lock(inner: Arc<ViewInner>) -> Result<Self, StoreError> {
        if inner.try_lock() { Ok(StateGuard { inner }) } else { Err(StoreError::ViewInUse) }
    }
}

impl Deref for StateGuard {
    type Target = ViewState;
    fn deref(&self) -> &ViewState {
        // SAFETY: the guard holds the flag, and borrows of the guard are borrows of the state.
        unsafe { self.inner.state() }
    }
}

impl DerefMut for StateGuard {
    fn deref_mut(&mut self) -> &mut ViewState {
        // SAFETY: as in `deref`.
        unsafe { self.inner.state() }
    }
}

impl Drop for StateGuard {
    fn drop(&mut self) {
        self.inner.unlock();
    }
}

impl ViewState {
    fn new(snapshot: Snapshot) -> Self {
        let page_count = snapshot.page_count();
        ViewState {
            snapshot,
            overlay: HashMap::default(),
            page_count,
            base_limit: page_count,
            reset_cache: false,
            refuses_page: false,
            leaves: [(0, 0); LEAF_CACHE],
            kept: Kept::default(),
        }
    }

    /// Unpins the pages that were kept.
    fn let_go(&mut self) {
        let ViewState { kept, snapshot, .. } = self;
        kept.drain().for_each(|descriptor| snapshot.store().descriptor(descriptor).unpin());
    }

    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub fn has_overlay(&self) -> bool {
        !self.overlay.is_empty() || self.page_count != self.snapshot.page_count() || self.base_limit != self.page_count
    }

    pub fn repin(&mut self, snapshot: &Snapshot) {
        let same = Arc::ptr_eq(&self.snapshot.0, &snapshot.0);
        if !same || self.has_overlay() {
            self.reset_cache = true;
        }
        let frames: Vec<u32> = self.overlay.drain().map(|(_, frame)| frame).collect();
        self.store().frames.release(&frames);
        self.pin(snapshot);
    }

    /// What was written became `snapshot`: the frames are the tree's now, and the connection's cache stays good.
    pub fn published(&mut self, snapshot: &Snapshot) {
        self.overlay.clear();
        self.pin(snapshot);
    }

    fn pin(&mut self, snapshot: &Snapshot) {
        if !Arc::ptr_eq(&self.snapshot.0, &snapshot.0) {
            self.let_go();
        }
        self.snapshot = snapshot.clone();
        self.page_count = snapshot.page_count();
        self.base_limit = self.page_count;
        self.leaves = [(0, 0); LEAF_CACHE];
    }

    /// What was written, ascending, and the new number of pages.
    pub fn dirty(&self) -> (Vec<Dirty>, u32) {
        let mut dirty: Vec<Dirty> =
            self.overlay.iter().map(|(page, frame)| Dirty { page: *page, frame: *frame }).collect();
        // Truncated and grown again without being written: zeros.
        let holes = self.base_limit + 1..=self.page_count.min(self.snapshot.page_count());
        dirty.extend(holes.filter(|page| !self.overlay.contains_key(page)).map(|page| Dirty { page, frame: 0 }));
        dirty.sort_unstable_by_key(|change| change.page);
        (dirty, self.page_count)
    }

    pub fn page_count(&self) -> u32 {
        self.page_count
    }

    pub fn overlay_frame(&self, page: PageNumber) -> Option<u32> {
        self.overlay.get(&page).copied()
    }

    fn store(&self) -> &Arc<PageStore> {
        self.snapshot.store()
    }

    /// The address of a page that the connection did not write, pinned until [`ViewState::unfetch`]; none for one that
    /// it wrote (its bytes may move) or that does not exist.
    #[inline]
    pub fn fetch(&mut self, page: PageNumber) -> Result<Option<*const u8>, StoreError> {
        if page > self.base_limit || (!self.overlay.is_empty() && self.overlay.contains_key(&page)) {
            let hole = page > self.base_limit && page <= self.page_count && !self.overlay.contains_key(&page);
            return Ok(hole.then_some(ZERO_PAGE.0.as_ptr()));
        }
        if let Some(address) = self.kept.fetch(page) {
            return Ok(Some(address));
        }
        match self.place(page)? {
            None => Ok(Some(ZERO_PAGE.0.as_ptr())),
            Some((node, slot)) => {
                let ViewState { kept, snapshot, .. } = self;
                let store = snapshot.store();
                let leaf = store.node(node);
                let descriptor = leaf.children[slot];
                let frame = store.pin_frame(store.descriptor(descriptor), page, &leaf.hashes[slot])?;
                let address = store.frames.pointer(frame).cast_const().cast();
                if let Some(before) = kept.keep(page, descriptor, address) {
                    store.descriptor(before).unpin();
                }
                Ok(Some(address))
            }
        }
    }

    /// Ends one [`ViewState::fetch`] of the snapshot's page.
    #[inline]
    pub fn unfetch(&mut self, page: PageNumber, address: *const u8) {
        if address != ZERO_PAGE.0.as_ptr()
            && !self.kept.unfetch(page)
            && let Ok(Some((node, slot))) = self.place(page)
        {
            let store = self.store();
            store.descriptor(store.node(node).children[slot]).unpin();
        }
    }

    /// Copies part of a page, from `offset` on; zeros where nothing was ever written.
    pub fn read(&mut self, page: PageNumber, offset: usize, target: &mut [u8]) -> Result<(), StoreError> {
        let range = offset..offset + target.len();
        if let Some(frame) = self.overlay_frame(page) {
            // SAFETY: the frame is the overlay's, so nobody else refers to it.
            target.copy_from_slice(unsafe { &self.store().frames.get(frame).0[range] });
        } else if page > self.base_limit {
            target.fill(0);
        } else {
            target.copy_from_slice(&self.snapshot.page(page)?[range]);
        }
        Ok(())
    }

    /// Writes part of a page into the overlay, growing the file as needed.
    pub fn write(&mut self, page: PageNumber, offset: usize, source: &[u8]) -> Result<(), StoreError> {
        let frame = match self.overlay_frame(page) {
            Some(frame) => frame,
            None if std::mem::take(&mut self.refuses_page) => return Err(StoreError::OutOfMemory),
            None => {
                let mut bytes = ZERO_PAGE.0;
                if source.len() < PAGE_SIZE && page <= self.base_limit {
                    self.read(page, 0, &mut bytes)?;
                }
                let frame = self.store().new_frame(&bytes);
                self.overlay.insert(page, frame);
                frame
            }
        };
        // SAFETY: the frame is the overlay's: its address is never handed to SQLite, and nobody else knows it.
        let bytes = unsafe { &mut (*self.store().frames.pointer(frame)).0 };
        bytes[offset..offset + source.len()].copy_from_slice(source);
        self.page_count = self.page_count.max(page);
        Ok(())
    }

    /// Cuts or extends the file.
    pub fn truncate(&mut self, page_count: u32) {
        if page_count < self.page_count {
            let store = self.snapshot.store().clone();
            let mut frames = Vec::new();
            self.overlay.retain(|page, frame| {
                let stays = *page <= page_count;
                if !stays {
                    frames.push(*frame);
                }
                stays
            });
            store.frames.release(&frames);
        }
        self.page_count = page_count;
        self.base_limit = self.base_limit.min(page_count);
    }

    /// Leaf node and slot of a page of the snapshot; none if it is zeros.
    #[inline]
    fn place(&mut self, page: PageNumber) -> Result<Option<(u32, usize)>, StoreError> {
        let leaf_number = (page.wrapping_sub(1)) >> FANOUT_BITS;
        let cached = self.leaves[leaf_number as usize % LEAF_CACHE];
        let node = if cached.0 == leaf_number + 1 {
            cached.1
        } else {
            let Some(node) = self.snapshot.leaf(page)? else { return Ok(None) };
            self.leaves[leaf_number as usize % LEAF_CACHE] = (leaf_number + 1, node);
            node
        };
        let slot = super::node::slot(page, 0);
        Ok(Some((node, slot)).filter(|_| self.store().node(node).children[slot] != 0))
    }
}

impl Drop for ViewState {
    fn drop(&mut self) {
        self.let_go();
        let frames: Vec<u32> = self.overlay.drain().map(|(_, frame)| frame).collect();
        self.store().frames.release(&frames);
    }
}

/// Page numbers are dense and trusted: one multiplication spreads them well enough.
#[derive(Default)]
pub(super) struct PageHasher(u64);

impl Hasher for PageHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ *byte as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
    fn write_u32(&mut self, number: u32) {
        let product = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }
}
