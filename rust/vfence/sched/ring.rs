// SPDX-License-Identifier: GPL-2.0

//! A queue of values that grows without moving any: a ring of segments.
//!
//! Plain, without allocation: the caller passes segments in before they are needed, and gets back those that
//! are not needed any more, to free them where that is allowed. Values are numbered on, from the first
//! that was ever pushed. `tools/sched` compiles this very file on the host.
//!
//! ```text
//!   directory      segment              first             next           end
//!   ┌───┐         ┌─────────────────────┬──────────────────┬──────────────┐
//!   │ ──┼────────▶│ empty               │ values           │ room         │
//!   │ ──┼───▶ …   └─────────────────────┴──────────────────┴──────────────┘
//!   └───┘                      each segment has SEGMENT_LEN places
//! ```

use core::{
    mem,
    ops::DerefMut, //
};

/// Places of a segment.
pub(crate) const SEGMENT_LEN: usize = 64;

const PLACES: u64 = SEGMENT_LEN as u64;

/// Where segments come from.
pub(crate) trait RingMemory {
    /// RingMemory for [`SEGMENT_LEN`] values.
    type Segment<T>: DerefMut<Target = [Option<T>; SEGMENT_LEN]>;

    /// A list of segments.
    type Directory<T>: DerefMut<Target = [Option<Self::Segment<T>>]>;

    /// Why there is none.
    type Error;

    /// Returns an empty segment.
    fn segment<T>() -> Result<Self::Segment<T>, Self::Error>;

    /// Returns a list of `len` segments that are not there yet.
    fn directory<T>(len: usize) -> Result<Self::Directory<T>, Self::Error>;
}

/// A queue of `T` in segments of `M`.
///
/// # Invariants
///
/// - The values are those with `first <= index < next`; each is in segment `index / SEGMENT_LEN`, in place
///   `index % SEGMENT_LEN` of it, and all other places are empty.
/// - The segments from that of `first` up to, not including, that of `end` are there; `end` is a multiple of
///   `SEGMENT_LEN`. Segment `n` is in entry `n % directory.len()`; all other entries are empty.
pub(crate) struct Ring<T, M: RingMemory> {
    directory: M::Directory<T>,
    first: u64,
    next: u64,
    end: u64,
}

impl<T, M: RingMemory> Ring<T, M> {
    /// Returns how many entries a directory needs for `values` values at a time.
    pub(crate) const fn directory_len(values: usize) -> usize {
        // One more since the first value need not be at the beginning of a segment, one to have ready.
        (values.div_ceil(SEGMENT_LEN) + 2).next_power_of_two()
    }

    /// Creates a queue without values, whose first will have the number `first`.
    ///
    /// All entries of `directory` are `None`, and their number is a power of two.
    pub(crate) fn new(directory: M::Directory<T>, first: u64) -> Self {
        // INVARIANT: There are no values and no segments.
        Self {
            directory,
            first,
            next: first,
            end: first / PLACES * PLACES,
        }
    }

    /// Returns the number of the oldest value, or of the next one if there is none.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Returns the number of the value that is pushed next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Returns how many values there are.
    pub(crate) fn len(&self) -> usize {
        (self.next - self.first) as usize
    }

    /// Returns how many values can be pushed into the segments that are there.
    pub(crate) fn free_slots(&self) -> usize {
        self.end.saturating_sub(self.next) as usize
    }

    fn entry(&self, index: u64) -> usize {
        (index / PLACES) as usize & (self.directory.len() - 1)
    }

    /// Adds an empty segment at the end. Gives it back if the directory is full.
    pub(crate) fn add_segment(&mut self, segment: M::Segment<T>) -> Result<(), M::Segment<T>> {
        let entry = self.entry(self.end);
        if self.directory[entry].is_some() {
            return Err(segment);
        }
        self.directory[entry] = Some(segment);
        self.end += PLACES;
        Ok(())
    }

    /// Appends a value and returns its number. Gives it back if there is no room.
    pub(crate) fn push(&mut self, value: T) -> Result<u64, T> {
        if self.free_slots() == 0 {
            return Err(value);
        }
        let index = self.next;
        match self.place(index) {
            // What was there is nothing, which needs no drop.
            Some(place @ None) => mem::forget(place.replace(value)),
            // By the type invariants there is an empty place.
            _ => return Err(value),
        }
        self.next += 1;
        Ok(index)
    }

    /// Removes the oldest value; also returns a segment if one is not needed any more.
    // Who needs but a part of the value has nothing else copied.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<(T, Option<M::Segment<T>>)> {
        self.pop_if(|_| true)
    }

    /// Removes the oldest value, as [`Ring::pop`] does, if `wanted` says so of it.
    #[inline(always)]
    pub(crate) fn pop_if(
        &mut self,
        wanted: impl FnOnce(&T) -> bool,
    ) -> Option<(T, Option<M::Segment<T>>)> {
        let place = self.place(self.first)?;
        if !place.as_ref().is_some_and(wanted) {
            return None;
        }
        let value = place.take()?;
        self.first += 1;
        Some((value, self.release()))
    }

    /// Removes the oldest values, up to the end of a segment, as long as `wanted` says so of their numbers and them,
    /// and gives them to `removed`. Returns a segment if one is not needed any more.
    pub(crate) fn pop_run(
        &mut self,
        wanted: impl Fn(u64, &T) -> bool,
        mut removed: impl FnMut(u64, T),
    ) -> Option<M::Segment<T>> {
        let entry = self.entry(self.first);
        let segment = self.directory[entry].as_mut()?;
        let before = self.first;
        let mut index = before;
        for place in &mut segment[before as usize % SEGMENT_LEN..] {
            match place {
                Some(value) if wanted(index, value) => {}
                _ => break,
            }
            if let Some(value) = place.take() {
                removed(index, value);
            }
            index += 1;
        }
        self.first = index;
        if index == before {
            return None;
        }
        self.release()
    }

    /// Takes out the segment of the value that was removed last, if it was that segment's last one; returns it if it is not needed
    /// any more.
    #[inline(always)]
    fn release(&mut self) -> Option<M::Segment<T>> {
        if self.first % PLACES != 0 {
            return None;
        }
        self.release_segment()
    }

    #[cold]
    fn release_segment(&mut self) -> Option<M::Segment<T>> {
        let entry = self.entry(self.first - 1);
        let segment = self.directory[entry].take()?;
        if self.free_slots() >= SEGMENT_LEN {
            return Some(segment);
        }
        // It is used again, so that a queue which is neither empty nor long allocates nothing.
        self.add_segment(segment).err()
    }

    /// Returns the value with the number `index`.
    pub(crate) fn get(&self, index: u64) -> Option<&T> {
        if index < self.first || index >= self.next {
            return None;
        }
        let segment = self.directory[self.entry(index)].as_ref()?;
        segment[index as usize % SEGMENT_LEN].as_ref()
    }

    /// Returns the value with the number `index`, to be changed.
    pub(crate) fn get_mut(&mut self, index: u64) -> Option<&mut T> {
        if index < self.first || index >= self.next {
            return None;
        }
        self.place(index)?.as_mut()
    }

    #[inline(always)]
    fn place(&mut self, index: u64) -> Option<&mut Option<T>> {
        let entry = self.entry(index);
        let segment = self.directory[entry].as_mut()?;
        Some(&mut segment[index as usize % SEGMENT_LEN])
    }
}
