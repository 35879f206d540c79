//! Pools of fixed-size elements that never move and are addressed by a 32-bit index: nodes, descriptors, frames.
//!
//! Elements lie in buckets of doubling size, so an index is turned into an address without a table look-up that
//! grows, and readers need no lock. Memory of a bucket is claimed from the system when it is first touched.

use parking_lot::Mutex;
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

const FIRST_BITS: u32 = 8;
const BUCKETS: usize = 25;

/// A pool. Index 0 is never handed out: it means "nothing".
pub(super) struct Pool<T> {
    buckets: [AtomicPtr<T>; BUCKETS],
    free: Mutex<FreeList>,
    used: AtomicUsize,
    zeroed: bool,
    marker: PhantomData<T>,
}

struct FreeList {
    free: Vec<u32>,
    next: u32,
}

// SAFETY: a pool hands out indices and raw addresses only; whoever dereferences one answers for it (see `get`).
unsafe impl<T: Send + Sync> Send for Pool<T> {}
// SAFETY: as above; the pool's own fields are atomics and a mutex.
unsafe impl<T: Send + Sync> Sync for Pool<T> {}

impl<T> Pool<T> {
    /// An empty pool. `zeroed` elements are all-zero bytes when first handed out.
    pub fn new(zeroed: bool) -> Self {
        assert!(!std::mem::needs_drop::<T>() && std::mem::size_of::<T>() > 0);
        Pool {
            buckets: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            free: Mutex::new(FreeList { free: Vec::new(), next: 1 }),
            used: AtomicUsize::new(0),
            zeroed,
            marker: PhantomData,
        }
    }

    /// Claims an element; its bytes are whatever its last user left.
    pub fn allocate(&self) -> u32 {
        self.used.fetch_add(1, Ordering::Relaxed);
        let mut list = self.free.lock();
        if let Some(index) = list.free.pop() {
            return index;
        }
        let index = list.next;
        assert!(index < super::node::STUB, "a pool of the page store is exhausted");
        list.next += 1;
        let (bucket, _) = locate(index);
        if self.buckets[bucket].load(Ordering::Relaxed).is_null() {
            self.buckets[bucket].store(Self::new_bucket(bucket, self.zeroed), Ordering::Release);
        }
        index
    }

    /// Gives elements back. The caller proves that nobody refers to them any more (P1).
    pub fn release(&self, indices: &[u32]) {
        self.used.fetch_sub(indices.len(), Ordering::Relaxed);
        self.free.lock().free.extend_from_slice(indices);
    }

    /// Elements in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// One past the highest index that was ever handed out.
    pub fn limit(&self) -> u32 {
        self.free.lock().next
    }

    /// Address of an element that was handed out.
    #[inline]
    pub fn pointer(&self, index: u32) -> *mut T {
        let (bucket, offset) = locate(index);
        let start = self.buckets[bucket].load(Ordering::Acquire);
        debug_assert!(index != 0 && !start.is_null());
        // SAFETY: `allocate` made the bucket before it handed out the index, and `offset` is within it.
        unsafe { start.add(offset) }
    }

    /// A shared reference to an element.
    ///
    /// # Safety
    /// The element is initialised, and nobody writes it (other than through its atomics) while the reference lives.
    #[inline]
    pub unsafe fn get(&self, index: u32) -> &T {
        // SAFETY: the address is valid; the rest the caller promises.
        unsafe { &*self.pointer(index) }
    }

    fn new_bucket(bucket: usize, zeroed: bool) -> *mut T {
        let layout = Self::layout(bucket);
        // SAFETY: the layout has a size above 0.
        let memory = unsafe { if zeroed { alloc_zeroed(layout) } else { alloc(layout) } };
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        memory.cast()
    }

    fn layout(bucket: usize) -> Layout {
        Layout::array::<T>(1 << (FIRST_BITS as usize + bucket)).expect("a bucket fits the address space")
    }
}

impl<T> Drop for Pool<T> {
    fn drop(&mut self) {
        for (number, bucket) in self.buckets.iter_mut().enumerate() {
            let start = *bucket.get_mut();
            if !start.is_null() {
                // SAFETY: made by `new_bucket` with the same layout; elements need no drop.
                unsafe { dealloc(start.cast(), Self::layout(number)) };
            }
        }
    }
}

#[inline]
fn locate(index: u32) -> (usize, usize) {
    let number = index as u64 + (1 << FIRST_BITS);
    let bits = 63 - number.leading_zeros();
    ((bits - FIRST_BITS) as usize, (number - (1u64 << bits)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_map_to_distinct_places() {
        assert_eq!(
            (locate(0), locate(255), locate(256), locate(767), locate(768)),
            ((0, 0), (0, 255), (1, 0), (1, 511), (2, 0))
        );
        assert_eq!(locate(u32::MAX).0, BUCKETS - 1);
    }

    #[test]
    fn released_elements_are_handed_out_again() {
        let pool: Pool<u64> = Pool::new(true);
        let first: Vec<u32> = (0..1000).map(|_| pool.allocate()).collect();
        pool.release(&first);
        assert_eq!(pool.used(), 0);
        let second: Vec<u32> = (0..1000).map(|_| pool.allocate()).collect();
        assert_eq!((pool.used(), pool.limit()), (1000, 1001));
        assert!(second.iter().all(|index| (1..=1000).contains(index)));
    }
}
