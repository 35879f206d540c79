//! Frames of pages that are also on disk: read and proved when needed, given up by a clock over the budget.

use super::StoreError;
use super::checkpoint::CheckpointError;
use super::descriptor::Descriptor;
use super::store::PageStore;
use crate::page::{Hash, PAGE_SIZE, PageNumber};
use std::sync::atomic::Ordering;

/// So many of the newest versions are never too old: those that the replica keeps for roll backs and for its peers'
/// repairs, and some more.
const VERSIONS_KEPT: u64 = 64;
/// Below this share of the budget (one of so many parts) ending old readers would not help.
const HELD_SHARE: usize = 8;
/// Visits of the clock that a fault pays for when memory is short.
const VISITS_PER_FAULT: u32 = 64;

impl PageStore {
    /// Pins a page's frame, reading it from disk if need be, and returns the frame.
    #[inline]
    pub(super) fn pin_frame(
        &self,
        descriptor: &Descriptor,
        page: PageNumber,
        expected: &[u8; 16],
    ) -> Result<u32, StoreError> {
        match descriptor.pin() {
            Some(frame) => Ok(frame),
            None => self.fault(descriptor, page, expected),
        }
    }

    #[cold]
    fn fault(&self, descriptor: &Descriptor, page: PageNumber, expected: &[u8; 16]) -> Result<u32, StoreError> {
        if self.over_budget() {
            self.turn_clock(VISITS_PER_FAULT);
        }
        let frame = self.frames.allocate();
        if let Err(error) = self.read_proved(descriptor, page, expected, frame) {
            self.frames.release(&[frame]);
            return Err(error);
        }
        match descriptor.install(frame) {
            Ok(()) => Ok(frame),
            Err(other) => {
                self.frames.release(&[frame]);
                Ok(other)
            }
        }
    }

    fn read_proved(
        &self,
        descriptor: &Descriptor,
        page: PageNumber,
        expected: &[u8; 16],
        frame: u32,
    ) -> Result<(), StoreError> {
        // SAFETY: the frame was just handed out and is this call's alone; any bytes are a page.
        let bytes = unsafe { &mut *self.frames.pointer(frame).cast::<[u8; PAGE_SIZE]>() };
        debug_assert!(descriptor.is_stored(), "a page without a frame is on disk");
        self.read_stored(page, expected, bytes)
    }

    /// Reads a page's proved copy on disk.
    pub(super) fn read_stored(
        &self,
        page: PageNumber,
        expected: &[u8; 16],
        bytes: &mut [u8; PAGE_SIZE],
    ) -> Result<(), StoreError> {
        let source = self.source.as_ref().ok_or(StoreError::NoFiles)?;
        source.page(page, Hash::from_bytes(*expected), bytes).map_err(|error| match error {
            CheckpointError::DamagedPage { page, .. } => self.damaged(page),
            other => StoreError::Files(other),
        })
    }

    /// Records a damaged page for [`PageStore::take_damage`].
    pub(super) fn damaged(&self, page: PageNumber) -> StoreError {
        self.damage.lock().insert(page);
        StoreError::Damaged { page }
    }

    fn over_budget(&self) -> bool {
        self.frames.used() * PAGE_SIZE > self.options.memory_budget_bytes
    }

    /// Gives up frames of clean, unused pages until the store is within its budget or nothing more can go. For the
    /// background thread; returns the number of frames given up.
    pub fn evict(&self) -> usize {
        let mut evicted = 0;
        // Two rounds: the first may only take away the marks of recent use.
        for _ in 0..2 {
            if self.over_budget() {
                evicted += self.turn_clock(self.descriptors.limit());
            }
        }
        evicted
    }

    /// Where superseded pages that only old versions have keep the store over its budget: asks the readers of the
    /// oldest such version to end, or those of the next one if it was asked before. They look at
    /// [`Snapshot::is_too_old`](super::Snapshot::is_too_old). The newest versions are the replica's own and stay.
    ///
    /// For the background thread, after [`PageStore::evict`], with time in between for readers to hear.
    pub fn end_oldest_pin(&self) -> bool {
        if !self.over_budget() {
            return false;
        }
        let pinned = self.pinned_versions();
        let newest = pinned.last().copied().unwrap_or(0);
        let old = &pinned[..pinned.partition_point(|version| version + VERSIONS_KEPT <= newest)];
        let asked_below = self.too_old_below.load(Ordering::Relaxed);
        let next = old.iter().find(|version| **version >= asked_below);
        let (Some(next), Some(newest)) = (next, old.last()) else { return false };
        if self.held_frames(*newest) * PAGE_SIZE < self.options.memory_budget_bytes / HELD_SHARE {
            return false;
        }
        self.too_old_below.store(next + 1, Ordering::Relaxed);
        true
    }

    /// Moves the clock's hand over so many descriptors, stopping early within the budget.
    fn turn_clock(&self, visits: u32) -> usize {
        // Held by another thread: that one evicts already.
        let Some(mut hand) = self.clock_hand.try_lock() else { return 0 };
        let limit = self.descriptors.limit();
        let mut frames = Vec::new();
        for _ in 0..visits {
            if (self.frames.used() - frames.len()) * PAGE_SIZE <= self.options.memory_budget_bytes {
                break;
            }
            *hand = if *hand + 1 < limit { *hand + 1 } else { 1 };
            if *hand < limit {
                frames.extend(self.descriptor(*hand).evict());
            }
        }
        self.frames.release(&frames);
        frames.len()
    }
}
