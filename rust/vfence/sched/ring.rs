// SPDX-License-Identifier: GPL-2.0

//! A ring of values: a queue that grows without moving its values.
//!
//! The ring consists of segments of [`SEGMENT_LEN`] slots, which a directory lists. The ring does
//! not allocate: the caller adds segments before the values need them, and receives those that the
//! ring no longer needs, to free them where that is allowed. Each value has an index, which is one
//! more than that of the value before.
//!
//! ```text
//!   directory      segment              first             next           end
//!   ┌───┐         ┌─────────────────────┬──────────────────┬──────────────┐
//!   │ ──┼────────▶│ empty               │ values           │ free slots   │
//!   │ ──┼───▶ …   └─────────────────────┴──────────────────┴──────────────┘
//!   └───┘
//! ```

use core::{
    mem,
    ops::DerefMut, //
};

/// The number of slots of a segment.
pub(crate) const SEGMENT_LEN: usize = 64;

/// [`SEGMENT_LEN`] as an index.
const SEGMENT_SLOTS: u64 = SEGMENT_LEN as u64;

/// The memory of rings.
pub(crate) trait RingMemory {
    /// [`SEGMENT_LEN`] slots, each with a value or empty.
    type Segment<T>: DerefMut<Target = [Option<T>; SEGMENT_LEN]>;

    /// A list of entries, each with a segment or empty.
    type Directory<T>: DerefMut<Target = [Option<Self::Segment<T>>]>;

    /// The error of an allocation.
    type Error;

    /// Allocates a segment of empty slots.
    fn segment<T>() -> Result<Self::Segment<T>, Self::Error>;

    /// Allocates a directory of `len` empty entries.
    fn directory<T>(len: usize) -> Result<Self::Directory<T>, Self::Error>;
}

/// A queue of values of type `T`.
///
/// # Invariants
///
/// - The slot of index `i` is slot `i % SEGMENT_LEN` of segment `i / SEGMENT_LEN`. It has a value
///   if `first <= i < next`, and is empty otherwise.
/// - `end` is a multiple of `SEGMENT_LEN`. The ring has the segments from that of `first` up to,
///   but not including, that of `end`. Segment `s` is in entry `s % directory.len()`; the other
///   entries are empty.
pub(crate) struct Ring<T, M: RingMemory> {
    directory: M::Directory<T>,
    first: u64,
    next: u64,
    end: u64,
}

impl<T, M: RingMemory> Ring<T, M> {
    /// Returns the length of a directory for at most `values` values.
    pub(crate) const fn directory_len(values: usize) -> usize {
        // One more since `first` need not begin a segment, and one for a spare segment.
        (values.div_ceil(SEGMENT_LEN) + 2).next_power_of_two()
    }

    /// Creates a ring without values, whose first value will have the index `first`.
    ///
    /// All entries of `directory` must be empty, and their number a power of two.
    pub(crate) fn new(directory: M::Directory<T>, first: u64) -> Self {
        // INVARIANT: There are no values and no segments.
        Self {
            directory,
            first,
            next: first,
            end: first / SEGMENT_SLOTS * SEGMENT_SLOTS,
        }
    }

    /// Returns the index of the oldest value, or of the next value if there is none.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Returns the index of the value that is pushed next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Returns the number of values.
    pub(crate) fn len(&self) -> usize {
        (self.next - self.first) as usize
    }

    /// Returns how many values can be pushed before the next call of [`Ring::add_segment`].
    pub(crate) fn free_slots(&self) -> usize {
        self.end.saturating_sub(self.next) as usize
    }

    fn entry(&self, index: u64) -> usize {
        (index / SEGMENT_SLOTS) as usize & (self.directory.len() - 1)
    }

    /// Adds a segment of empty slots. Returns the segment if the directory has no entry for it.
    pub(crate) fn add_segment(&mut self, segment: M::Segment<T>) -> Result<(), M::Segment<T>> {
        let entry = self.entry(self.end);
        if self.directory[entry].is_some() {
            return Err(segment);
        }
        self.directory[entry] = Some(segment);
        self.end += SEGMENT_SLOTS;
        Ok(())
    }

    /// Appends a value and returns its index. Returns the value if there is no free slot.
    pub(crate) fn push(&mut self, value: T) -> Result<u64, T> {
        if self.free_slots() == 0 {
            return Err(value);
        }
        let index = self.next;
        match self.slot_mut(index) {
            // The replaced `None` needs no drop.
            Some(slot @ None) => mem::forget(slot.replace(value)),
            // By the type invariants, there is an empty slot.
            _ => return Err(value),
        }
        self.next += 1;
        Ok(index)
    }

    /// Removes the oldest value. Also returns a segment that the ring no longer needs, for the
    /// caller to free.
    // Inline, so that a caller that uses a part of the value copies only that part.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<(T, Option<M::Segment<T>>)> {
        self.pop_if(|_| true)
    }

    /// Does what [`Ring::pop`] does if `wanted` returns true for the oldest value.
    #[inline(always)]
    pub(crate) fn pop_if(
        &mut self,
        wanted: impl FnOnce(&T) -> bool,
    ) -> Option<(T, Option<M::Segment<T>>)> {
        let slot = self.slot_mut(self.first)?;
        if !slot.as_ref().is_some_and(wanted) {
            return None;
        }
        let value = slot.take()?;
        self.first += 1;
        Some((value, self.release_segment()))
    }

    /// Removes the oldest values, at most up to the end of their segment, as long as `wanted`
    /// returns true for their index and value. Passes index and value of each to `removed`. Returns
    /// a segment that the ring no longer needs, for the caller to free.
    pub(crate) fn pop_run(
        &mut self,
        wanted: impl Fn(u64, &T) -> bool,
        mut removed: impl FnMut(u64, T),
    ) -> Option<M::Segment<T>> {
        let entry = self.entry(self.first);
        let segment = self.directory[entry].as_mut()?;
        let first = self.first;
        let mut index = first;
        for slot in &mut segment[first as usize % SEGMENT_LEN..] {
            match slot {
                Some(value) if wanted(index, value) => {}
                _ => break,
            }
            if let Some(value) = slot.take() {
                removed(index, value);
            }
            index += 1;
        }
        self.first = index;
        if index == first {
            return None;
        }
        self.release_segment()
    }

    /// Takes the segment before `first` out of the directory if the last removed value was in its
    /// last slot. Returns the segment if the ring no longer needs it.
    #[inline(always)]
    fn release_segment(&mut self) -> Option<M::Segment<T>> {
        if self.first % SEGMENT_SLOTS != 0 {
            return None;
        }
        self.release_emptied_segment()
    }

    #[cold]
    fn release_emptied_segment(&mut self) -> Option<M::Segment<T>> {
        let entry = self.entry(self.first - 1);
        let segment = self.directory[entry].take()?;
        if self.free_slots() >= SEGMENT_LEN {
            return Some(segment);
        }
        // Reuse it, so that a ring that stays short allocates nothing.
        self.add_segment(segment).err()
    }

    /// Returns the value with the index `index`.
    pub(crate) fn get(&self, index: u64) -> Option<&T> {
        if index < self.first || index >= self.next {
            return None;
        }
        let segment = self.directory[self.entry(index)].as_ref()?;
        segment[index as usize % SEGMENT_LEN].as_ref()
    }

    /// Returns the value with the index `index`.
    pub(crate) fn get_mut(&mut self, index: u64) -> Option<&mut T> {
        if index < self.first || index >= self.next {
            return None;
        }
        self.slot_mut(index)?.as_mut()
    }

    #[inline(always)]
    fn slot_mut(&mut self, index: u64) -> Option<&mut Option<T>> {
        let entry = self.entry(index);
        let segment = self.directory[entry].as_mut()?;
        Some(&mut segment[index as usize % SEGMENT_LEN])
    }
}
