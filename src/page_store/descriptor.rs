//! Page descriptors: where the bytes of one immutable page are, in memory, on disk or both.
//!
//! The frame and the number of users of its address stand in one 64-bit word: a reader pins and learns the frame by
//! one `fetch_add`, and the clock evicts by one compare-and-swap that fails if anybody pinned meanwhile.

use crate::page::PAGE_SIZE;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A frame: one page in memory, aligned as SQLite and the disk like it.
#[repr(C, align(4096))]
pub(super) struct Frame(pub [u8; PAGE_SIZE]);

/// One immutable page of one or more versions.
#[repr(C)]
pub(super) struct Descriptor {
    /// Frame (upper half, 0: none) and pins on its address (lower half).
    word: AtomicU64,
    /// First version that has this page (0: came from disk).
    pub born: AtomicU64,
    /// First version that no longer has it.
    pub died: AtomicU64,
    /// Used since the clock's hand last passed.
    referenced: AtomicBool,
    /// A checkpoint has it on disk, so the frame can be given up.
    stored: AtomicBool,
}

impl Descriptor {
    /// Starts a life: called by the only one who knows the index yet.
    pub fn reset(&self, frame: u32, stored: bool, born: u64) {
        self.stored.store(stored, Ordering::Relaxed);
        self.born.store(born, Ordering::Relaxed);
        self.died.store(super::node::ALIVE, Ordering::Relaxed);
        self.referenced.store(true, Ordering::Relaxed);
        // Last: the clock looks at the rest only if it sees a frame.
        self.word.store((frame as u64) << 32, Ordering::Release);
    }

    /// Pins the frame, if there is one: its address then stays good until [`Descriptor::unpin`].
    #[inline]
    pub fn pin(&self) -> Option<u32> {
        let word = self.word.fetch_add(1, Ordering::Acquire);
        let frame = (word >> 32) as u32;
        if frame == 0 {
            self.word.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        if !self.referenced.load(Ordering::Relaxed) {
            self.referenced.store(true, Ordering::Relaxed);
        }
        Some(frame)
    }

    /// Ends one [`Descriptor::pin`] or [`Descriptor::install`].
    #[inline]
    pub fn unpin(&self) {
        let word = self.word.fetch_sub(1, Ordering::Release);
        debug_assert!(word as u32 != 0, "unpinned more often than pinned");
    }

    /// Gives the page a proved frame and pins it, unless another thread was first: then its frame is pinned, and
    /// returned as the error.
    pub fn install(&self, frame: u32) -> Result<(), u32> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word >> 32 != 0 {
                // A frame is there; it may be evicted again before it is pinned, so pin first and look again.
                if let Some(other) = self.pin() {
                    return Err(other);
                }
                word = self.word.load(Ordering::Acquire);
                continue;
            }
            let pinned = (frame as u64) << 32 | (word + 1);
            match self.word.compare_exchange_weak(word, pinned, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.referenced.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                Err(now) => word = now,
            }
        }
    }

    /// One visit of the clock: takes the frame away if it is clean, unpinned and was not used since the last visit.
    ///
    /// Never at the same time as [`Descriptor::retire`]: the word could come back in another life.
    pub fn evict(&self) -> Option<u32> {
        let word = self.word.load(Ordering::Acquire);
        if word >> 32 == 0 || word as u32 != 0 || !self.is_stored() {
            return None;
        }
        if self.referenced.swap(false, Ordering::Relaxed) {
            return None;
        }
        self.word.compare_exchange(word, 0, Ordering::AcqRel, Ordering::Relaxed).ok().map(|word| (word >> 32) as u32)
    }

    /// Ends a life: returns the frame, if there is one. Only when no version has the page (P1).
    pub fn retire(&self) -> Option<u32> {
        let word = self.word.swap(0, Ordering::AcqRel);
        debug_assert!(word as u32 == 0, "a freed page is still pinned");
        Some((word >> 32) as u32).filter(|frame| *frame != 0)
    }

    /// Whether the page is in memory right now.
    pub fn has_frame(&self) -> bool {
        self.word.load(Ordering::Relaxed) >> 32 != 0
    }

    /// Whether a checkpoint has the page on disk.
    pub fn is_stored(&self) -> bool {
        self.stored.load(Ordering::Acquire)
    }

    /// A checkpoint has the page on disk from now on.
    pub fn set_stored(&self) {
        self.stored.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_spares_dirty_pinned_and_recently_used_pages() {
        // SAFETY: all-zero bytes are a valid descriptor.
        let descriptor: Descriptor = unsafe { std::mem::zeroed() };
        descriptor.reset(7, false, 1);
        assert_eq!((descriptor.evict(), descriptor.evict()), (None, None), "dirty");
        descriptor.set_stored();
        assert_eq!(descriptor.pin(), Some(7));
        assert_eq!((descriptor.evict(), descriptor.evict()), (None, None), "pinned");
        descriptor.unpin();
        assert_eq!((descriptor.evict(), descriptor.evict()), (None, Some(7)), "used, then not");
        assert_eq!(descriptor.pin(), None);
        assert_eq!(descriptor.install(9), Ok(()));
        assert_eq!(descriptor.install(10), Err(9));
    }
}
