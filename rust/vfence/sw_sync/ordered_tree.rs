// SPDX-License-Identifier: GPL-2.0

//! The ordered tree of the pending fences of a timeline.
//!
//! The tree is a [`RBTree`] whose nodes are blocks of [`BLOCK_LEN`] consecutive keys. Programs
//! mostly create fences of consecutive values, so one node and one rebalancing serve a block of
//! fences.
//!
//! No method allocates or frees memory: callers hold a spinlock. A caller adds an [`EmptyBlock`]
//! before an insertion needs one, and frees the blocks that removals return. Each method takes
//! logarithmic time, apart from the values and blocks that it passes on or examines.

use kernel::{
    alloc::Flags,
    prelude::*,
    rbtree::{
        Entry,
        RBTree,
        RBTreeNodeReservation, //
    },
};

/// The number of keys of a block.
pub(crate) const BLOCK_LEN: usize = 8;

/// The number of empty blocks that a tree keeps, so that a timeline with few pending fences does
/// not allocate and free a block for every few of them.
const SPARES: usize = 12;

/// The number of blocks in which [`OrderedTree::remove_unused`] looks for unused values.
const EXAMINED: usize = 128;

/// The slots of a block: that of `key` is `key % BLOCK_LEN`.
type Block<T> = [Option<T>; BLOCK_LEN];

/// The memory of a block.
pub(crate) type EmptyBlock<T> = RBTreeNodeReservation<u64, Block<T>>;

/// Allocates the memory of a block. Fails with `ENOMEM`.
pub(crate) fn allocate_block<T>(flags: Flags) -> Result<EmptyBlock<T>> {
    RBTreeNodeReservation::new(flags)
}

/// Returns the number of the block that has the slot of `key`.
fn block_of(key: u64) -> u64 {
    key / BLOCK_LEN as u64
}

/// Returns the slot of `key` in its block.
fn slot_of(key: u64) -> usize {
    (key % BLOCK_LEN as u64) as usize
}

/// Returns the key of a slot.
fn key_of(block: u64, slot: usize) -> u64 {
    block * BLOCK_LEN as u64 + slot as u64
}

/// The memory of up to [`SPARES`] blocks.
struct Spares<T> {
    /// The first `len` elements are `Some`.
    blocks: [Option<EmptyBlock<T>>; SPARES],
    len: usize,
}

impl<T> Spares<T> {
    fn new() -> Self {
        Self {
            blocks: [const { None }; SPARES],
            len: 0,
        }
    }

    /// Adds a block, or returns it if there are [`SPARES`] of them.
    fn push(&mut self, block: EmptyBlock<T>) -> Option<EmptyBlock<T>> {
        let Some(place) = self.blocks.get_mut(self.len) else {
            return Some(block);
        };
        self.len += 1;
        place.replace(block)
    }

    fn pop(&mut self) -> Option<EmptyBlock<T>> {
        self.len = self.len.checked_sub(1)?;
        self.blocks[self.len].take()
    }
}

/// Values of the type `T`, ordered by 64-bit keys.
///
/// # Invariants
///
/// - Block `n` of the tree has the values with the keys from `n * BLOCK_LEN` up to
///   `(n + 1) * BLOCK_LEN - 1`, and at least one of them.
/// - `len` is the number of values. No value has a higher key than `highest`.
pub(crate) struct OrderedTree<T> {
    blocks: RBTree<u64, Block<T>>,
    len: usize,
    highest: u64,
    /// The memory for the next blocks.
    spares: Spares<T>,
}

impl<T> OrderedTree<T> {
    /// Creates a tree without values.
    pub(crate) fn new() -> Self {
        // INVARIANT: There are no blocks.
        Self {
            blocks: RBTree::new(),
            len: 0,
            highest: 0,
            spares: Spares::new(),
        }
    }

    /// Returns the number of values.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the tree has spare memory for a block.
    pub(crate) fn has_spare(&self) -> bool {
        self.spares.len > 0
    }

    /// Adds the memory for a block. Returns it if the tree has enough spare memory.
    pub(crate) fn add(&mut self, block: EmptyBlock<T>) -> Option<EmptyBlock<T>> {
        self.spares.push(block)
    }

    /// Returns the value with the lowest key, and that key.
    pub(crate) fn first(&self) -> Option<(u64, &T)> {
        let (block, slots) = self.blocks.iter().next()?;
        slots
            .iter()
            .enumerate()
            .find_map(|(slot, value)| Some((key_of(*block, slot), value.as_ref()?)))
    }

    /// Returns the value with the key `key`.
    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut T> {
        if key > self.highest {
            return None;
        }
        self.blocks.get_mut(&block_of(key))?[slot_of(key)].as_mut()
    }

    /// Calls `f` for the values with the key `key` and higher ones, in the order of their keys,
    /// until it returns `Some`. Returns that.
    pub(crate) fn find_map_from<R>(
        &mut self,
        key: u64,
        mut f: impl FnMut(u64, &T) -> Option<R>,
    ) -> Option<R> {
        if key > self.highest {
            return None;
        }
        let mut next = key;
        let mut cursor = self.blocks.cursor_lower_bound_mut(&block_of(next));
        while let Some(current) = cursor {
            let (block, slots) = current.current();
            next = next.max(key_of(*block, 0));
            for (slot, value) in slots.iter().enumerate().skip(slot_of(next)) {
                let found = value
                    .as_ref()
                    .and_then(|value| f(key_of(*block, slot), value));
                if found.is_some() {
                    return found;
                }
            }
            cursor = current.move_next();
        }
        None
    }

    /// Inserts a value. Its key must be vacant.
    ///
    /// Returns the value as the error if it needs a block and the tree has no spare memory.
    pub(crate) fn insert(&mut self, key: u64, value: T) -> Result<(), T> {
        let slots = match self.blocks.entry(block_of(key)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => match self.spares.pop() {
                Some(spare) => entry.insert([const { None }; BLOCK_LEN], spare),
                None => return Err(value),
            },
        };
        // INVARIANT: The slot was empty.
        slots[slot_of(key)] = Some(value);
        self.len += 1;
        self.highest = self.highest.max(key);
        Ok(())
    }

    /// Removes the values with the lowest keys while `wanted` returns `true` for them, and passes
    /// them to `removed` in the order of their keys.
    ///
    /// Stops when `emptied` is full, whose elements must be `None`: it receives the memory of
    /// blocks that the tree does not need any more.
    pub(crate) fn remove_first(
        &mut self,
        emptied: &mut [Option<EmptyBlock<T>>],
        wanted: impl Fn(u64, &T) -> bool,
        mut removed: impl FnMut(u64, T),
    ) {
        let mut cursor = self.blocks.cursor_front_mut();
        for place in emptied {
            let Some(mut current) = cursor else {
                return;
            };
            let (block, slots) = current.current_mut();
            for (slot, entry) in slots.iter_mut().enumerate() {
                let key = key_of(*block, slot);
                match entry {
                    None => continue,
                    Some(value) if wanted(key, value) => {}
                    // INVARIANT: The block keeps this value.
                    Some(_) => return,
                }
                if let Some(value) = entry.take() {
                    // INVARIANT: The value leaves.
                    self.len -= 1;
                    removed(key, value);
                }
            }
            // INVARIANT: The block, which is empty, leaves.
            let (next, node) = current.remove_current();
            *place = self.spares.push(node.into_reservation());
            cursor = next;
        }
    }

    /// Removes the first `max` values for which `unused` returns `true`, in the first [`EXAMINED`]
    /// blocks from that of the key `from` on.
    ///
    /// Passes them to `removed`, and the memory of the blocks that become empty to `emptied`.
    /// Returns the key from which to continue, or `None` if the tree has no more blocks.
    pub(crate) fn remove_unused(
        &mut self,
        from: u64,
        max: usize,
        unused: impl Fn(&T) -> bool,
        mut removed: impl FnMut(T),
        mut emptied: impl FnMut(EmptyBlock<T>),
    ) -> Option<u64> {
        let mut left = max;
        let mut cursor = self.blocks.cursor_lower_bound_mut(&block_of(from));
        for _ in 0..EXAMINED {
            let mut current = cursor.take_if(|_| left > 0)?;
            let (_, slots) = current.current_mut();
            for place in slots.iter_mut() {
                if left == 0 {
                    break;
                }
                if let Some(value) = place.take_if(|value| unused(value)) {
                    // INVARIANT: The value leaves.
                    self.len -= 1;
                    left -= 1;
                    removed(value);
                }
            }
            if slots.iter().any(Option::is_some) {
                cursor = current.move_next();
            } else {
                // INVARIANT: The block, which is empty, leaves. If it was the last one, the cursor
                // moves back to one without unused values.
                let (neighbor, node) = current.remove_current();
                emptied(node.into_reservation());
                cursor = neighbor;
            }
        }
        cursor.map(|current| key_of(*current.current().0, 0))
    }
}

#[kernel::macros::kunit_tests(vfence_sw_sync_ordered_tree)]
mod tests {
    use super::*;

    /// Inserts `value` with the key `key`, with a new block if the tree needs one.
    fn insert(tree: &mut OrderedTree<u64>, key: u64, value: u64) -> Result {
        if tree.insert(key, value).is_err() {
            assert!(tree.add(allocate_block(GFP_KERNEL)?).is_none());
            assert!(tree.insert(key, value).is_ok());
        }
        Ok(())
    }

    /// Returns a tree whose values are their keys.
    fn tree(keys: &[u64]) -> Result<OrderedTree<u64>> {
        let mut tree = OrderedTree::new();
        for key in keys {
            insert(&mut tree, *key, *key)?;
        }
        Ok(tree)
    }

    /// Checks that the values of a tree are `keys`, in their order, and their own keys.
    fn expect(tree: &mut OrderedTree<u64>, keys: &[u64]) {
        assert_eq!(tree.len(), keys.len());
        assert_eq!(tree.first(), keys.first().map(|key| (*key, key)));
        let mut expected = keys.iter();
        let more = tree.find_map_from(0, |key, value| {
            (expected.next() != Some(&key) || *value != key).then_some(key)
        });
        assert_eq!(more, None);
        assert_eq!(expected.next(), None);
    }

    /// Removes the first values up to the key `last`. Returns how many blocks that emptied.
    fn remove_up_to(tree: &mut OrderedTree<u64>, last: u64, expected: &[u64]) -> usize {
        let mut emptied = [const { None }; 16];
        let mut expected = expected.iter();
        tree.remove_first(
            &mut emptied,
            |key, _| key <= last,
            |key, value| {
                assert_eq!(key, value);
                assert_eq!(expected.next(), Some(&key));
            },
        );
        assert_eq!(expected.next(), None);
        emptied.iter().flatten().count()
    }

    #[test]
    fn values_are_in_the_order_of_their_keys() -> Result {
        let mut tree = tree(&[40, 7, 41, 0, 1 << 40, 8, 39, 6, 9])?;
        expect(&mut tree, &[0, 6, 7, 8, 9, 39, 40, 41, 1 << 40]);
        for (key, found) in [
            (0, true),
            (5, false),
            (41, true),
            (42, false),
            (1 << 41, false),
        ] {
            assert_eq!(tree.get_mut(key).copied(), found.then_some(key));
        }
        for (key, next) in [(0, 0), (1, 6), (7, 7), (9, 9), (10, 39), (42, 1 << 40)] {
            assert_eq!(tree.find_map_from(key, |key, _| Some(key)), Some(next));
        }
        assert_eq!(tree.find_map_from((1 << 40) + 1, |key, _| Some(key)), None);
        assert_eq!(tree.find_map_from(u64::MAX, |key, _| Some(key)), None);
        Ok(())
    }

    #[test]
    fn random_order_makes_no_difference() -> Result {
        let mut tree = OrderedTree::new();
        // 163 is coprime to 1000, so each key comes once.
        for i in 0..1000 {
            insert(&mut tree, i * 163 % 1000, i * 163 % 1000)?;
        }
        for first in 0..1000 {
            assert_eq!(tree.first(), Some((first, &first)));
            remove_up_to(&mut tree, first, &[first]);
        }
        expect(&mut tree, &[]);
        Ok(())
    }

    #[test]
    fn insertion_needs_a_block() -> Result {
        let mut tree = OrderedTree::<u64>::new();
        assert_eq!(tree.insert(16, 16), Err(16));
        expect(&mut tree, &[]);
        assert!(tree.add(allocate_block(GFP_KERNEL)?).is_none());
        // The keys of one block.
        for key in 16..24 {
            assert_eq!(tree.insert(key, key), Ok(()));
        }
        assert_eq!(tree.insert(15, 15), Err(15));
        assert_eq!(tree.insert(24, 24), Err(24));
        // The memory of the block serves another one.
        assert_eq!(
            remove_up_to(&mut tree, 23, &[16, 17, 18, 19, 20, 21, 22, 23]),
            0
        );
        assert_eq!(tree.insert(24, 24), Ok(()));
        expect(&mut tree, &[24]);
        Ok(())
    }

    #[test]
    fn first_values_are_removed_while_wanted() -> Result {
        let mut tree = tree(&[3, 5, 9, 20, 30, 31, 32])?;
        remove_up_to(&mut tree, 2, &[]);
        remove_up_to(&mut tree, 4, &[3]);
        assert_eq!(remove_up_to(&mut tree, 20, &[5, 9, 20]), 0);
        assert_eq!(remove_up_to(&mut tree, 30, &[30]), 0);
        expect(&mut tree, &[31, 32]);
        assert_eq!(remove_up_to(&mut tree, u64::MAX, &[31, 32]), 0);
        expect(&mut tree, &[]);
        Ok(())
    }

    #[test]
    fn tree_keeps_some_spare_blocks() -> Result {
        let keys: [u64; SPARES + 3] = core::array::from_fn(|block| (block * BLOCK_LEN) as u64);
        let mut tree = tree(&keys)?;
        assert_eq!(remove_up_to(&mut tree, u64::MAX, &keys), 3);
        assert!(tree.add(allocate_block(GFP_KERNEL)?).is_some());
        for key in &keys[..SPARES] {
            assert_eq!(tree.insert(*key, *key), Ok(()));
        }
        assert_eq!(tree.insert(keys[SPARES], 0), Err(0));
        Ok(())
    }

    #[test]
    fn removal_stops_after_the_given_number_of_blocks() -> Result {
        let mut tree = tree(&[0, 7, 8, 16, 24])?;
        let mut removed = 0;
        tree.remove_first(&mut [None, None], |_, _| true, |_, _| removed += 1);
        assert_eq!(removed, 3);
        expect(&mut tree, &[16, 24]);
        Ok(())
    }

    #[test]
    fn unused_values_are_removed_in_their_order() -> Result {
        let mut tree = tree(&[1, 2, 3, 8, 9, 16, 25, 27])?;
        let (mut values, mut blocks) = (0, 0);
        let mut remove = |tree: &mut OrderedTree<u64>, max| {
            tree.remove_unused(
                0,
                max,
                |value| value % 2 == 1 || *value == 16,
                |_| values += 1,
                |_| blocks += 1,
            );
            (values, blocks)
        };
        assert_eq!(remove(&mut tree, 0), (0, 0));
        assert_eq!(remove(&mut tree, 2), (2, 0));
        expect(&mut tree, &[2, 8, 9, 16, 25, 27]);
        assert_eq!(remove(&mut tree, 2), (4, 1));
        expect(&mut tree, &[2, 8, 25, 27]);
        // The last block becomes empty.
        assert_eq!(remove(&mut tree, 100), (6, 2));
        expect(&mut tree, &[2, 8]);
        assert_eq!(remove(&mut tree, 100), (6, 2));
        expect(&mut tree, &[2, 8]);
        Ok(())
    }

    #[test]
    fn unused_values_are_sought_in_some_blocks_at_a_time() -> Result {
        let mut tree = OrderedTree::new();
        for block in 0..2 * EXAMINED as u64 + 1 {
            insert(&mut tree, key_of(block, 3), 0)?;
        }
        let last = key_of(2 * EXAMINED as u64, 5);
        insert(&mut tree, last, 1)?;
        let (mut from, mut found, mut calls) = (Some(0), 0, 0);
        while let Some(key) = from {
            from = tree.remove_unused(key, 16, |value| *value == 1, |_| found += 1, |_| {});
            calls += 1;
        }
        assert_eq!((found, calls), (1, 3));
        assert_eq!(tree.len(), 2 * EXAMINED + 1);
        Ok(())
    }
}
