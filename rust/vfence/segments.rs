// SPDX-License-Identifier: GPL-2.0

//! A queue of values that grows without moving any: a ring of segments.
//!
//! Plain, without allocation: the caller passes segments in before they are needed, and gets back those that
//! are not needed any more, to free them where that is allowed. Values are numbered on, from the first
//! that was ever pushed. `tools/machine` compiles this very file on the host.
//!
//! ```text
//!   directory      segment              first             next           end
//!   ┌───┐         ┌─────────────────────┬──────────────────┬──────────────┐
//!   │ ──┼────────▶│ empty               │ values           │ room         │
//!   │ ──┼───▶ …   └─────────────────────┴──────────────────┴──────────────┘
//!   └───┘                      each segment has SEGMENT places
//! ```

use core::{
    marker::PhantomData,
    ops::DerefMut, //
};

/// Places of a segment.
pub(crate) const SEGMENT: usize = 64;

const PLACES: u64 = SEGMENT as u64;

/// A queue of `T` in segments `B`, which `D` lists.
///
/// # Invariants
///
/// - The values are those with `first <= index < next`; each is in segment `index / SEGMENT`, in place
///   `index % SEGMENT` of it, and all other places are empty.
/// - The segments from that of `first` up to, not including, that of `end` are there; `end` is a multiple of
///   `SEGMENT`. Segment `n` is in entry `n % directory.len()`; all other entries are empty.
pub(crate) struct Segments<T, B, D>
where
    B: DerefMut<Target = [Option<T>; SEGMENT]>,
    D: DerefMut<Target = [Option<B>]>,
{
    directory: D,
    first: u64,
    next: u64,
    end: u64,
    _values: PhantomData<(T, B)>,
}

impl<T, B, D> Segments<T, B, D>
where
    B: DerefMut<Target = [Option<T>; SEGMENT]>,
    D: DerefMut<Target = [Option<B>]>,
{
    /// Returns how many entries a directory needs for `values` values at a time.
    pub(crate) const fn directory_len(values: usize) -> usize {
        // One more since the first value need not be at the beginning of a segment, one to have ready.
        (values.div_ceil(SEGMENT) + 2).next_power_of_two()
    }

    /// Creates a queue without values, whose first will have the number `first`.
    ///
    /// All entries of `directory` are `None`, and their number is a power of two.
    pub(crate) fn new(directory: D, first: u64) -> Self {
        // INVARIANT: There are no values and no segments.
        Self {
            directory,
            first,
            next: first,
            end: first / PLACES * PLACES,
            _values: PhantomData,
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
    pub(crate) fn room(&self) -> usize {
        self.end.saturating_sub(self.next) as usize
    }

    fn entry(&self, index: u64) -> usize {
        (index / PLACES) as usize & (self.directory.len() - 1)
    }

    /// Adds an empty segment at the end. Gives it back if the directory is full.
    pub(crate) fn add(&mut self, segment: B) -> Result<(), B> {
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
        if self.room() == 0 {
            return Err(value);
        }
        let index = self.next;
        match self.place(index) {
            Some(place) => *place = Some(value),
            None => return Err(value),
        }
        self.next += 1;
        Ok(index)
    }

    /// Removes the oldest value; also returns a segment if one is not needed any more.
    pub(crate) fn pop(&mut self) -> Option<(T, Option<B>)> {
        let index = self.first;
        let value = self.place(index)?.take()?;
        self.first += 1;
        if self.first % PLACES != 0 {
            return Some((value, None));
        }
        let entry = self.entry(index);
        let segment = self.directory[entry].take()?;
        if self.room() >= SEGMENT {
            return Some((value, Some(segment)));
        }
        // It is used again, so that a queue which is neither empty nor long allocates nothing.
        Some((value, self.add(segment).err()))
    }

    /// Returns the value with the number `index`.
    pub(crate) fn get(&self, index: u64) -> Option<&T> {
        if index < self.first || index >= self.next {
            return None;
        }
        let segment = self.directory[self.entry(index)].as_ref()?;
        segment[index as usize % SEGMENT].as_ref()
    }

    /// Returns the value with the number `index`, to be changed.
    pub(crate) fn get_mut(&mut self, index: u64) -> Option<&mut T> {
        if index < self.first || index >= self.next {
            return None;
        }
        self.place(index)?.as_mut()
    }

    fn place(&mut self, index: u64) -> Option<&mut Option<T>> {
        let entry = self.entry(index);
        let segment = self.directory[entry].as_mut()?;
        Some(&mut segment[index as usize % SEGMENT])
    }
}
