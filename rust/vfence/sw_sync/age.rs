// SPDX-License-Identifier: GPL-2.0

//! The time from which the watchdog counts for a fence.

use crate::vfence::sw_sync::ordered_tree::OrderedTree;

/// The number of unreferenced fences that [`place_of`] skips.
const SKIPPED: usize = 64;

/// An entry of the tree that the watchdog ends.
pub(super) trait Watched {
    /// Returns the time from which the watchdog counts.
    fn created(&self) -> u64;

    /// Returns whether anyone but the timeline refers to the fence.
    fn is_referenced(&self) -> bool;
}

/// The place of a new fence in the tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A referenced fence has the key.
    Taken,
    /// An unreferenced fence has the key. The watchdog counts from this time for a new one.
    Unreferenced(u64),
    /// No fence has the key. The watchdog counts from this time for a new one.
    Vacant(u64),
}

/// Looks up the key `key` for a new fence. The watchdog counts from the time of the next later
/// fence that is referenced, or else from `now`.
///
/// Fences signal in the order of their values, so a fence must not time out later than a later one.
/// An unreferenced fence does not count, unless it follows [`SKIPPED`] others. These times do not
/// decrease from one referenced fence to the next, so the first fence times out first.
pub(super) fn place_of<T: Watched>(pending: &mut OrderedTree<T>, key: u64, now: u64) -> Place {
    let (mut present, mut skipped) = (false, 0);
    let next = pending.find_map_from(key, |found, value| {
        if found == key {
            present = true;
            return value.is_referenced().then_some(None);
        }
        if skipped < SKIPPED && !value.is_referenced() {
            skipped += 1;
            return None;
        }
        Some(Some(value.created()))
    });
    match next.unwrap_or(Some(now)) {
        None => Place::Taken,
        Some(created) if present => Place::Unreferenced(created),
        Some(created) => Place::Vacant(created),
    }
}

#[kernel::macros::kunit_tests(vfence_sw_sync_age)]
mod tests {
    use super::*;
    use crate::vfence::sw_sync::ordered_tree::allocate_block;
    use kernel::prelude::*;

    const TIMEOUT: u64 = 100;

    /// An entry with the time at which it was really created.
    struct Entry {
        created: u64,
        born: u64,
        is_referenced: bool,
    }

    impl Watched for Entry {
        fn created(&self) -> u64 {
            self.created
        }

        fn is_referenced(&self) -> bool {
            self.is_referenced
        }
    }

    /// Creates an entry at the time `now` and returns the time from which the watchdog counts.
    fn create(tree: &mut OrderedTree<Entry>, now: u64, key: u64) -> Result<u64> {
        let Place::Vacant(created) = place_of(tree, key, now) else {
            return Err(EEXIST);
        };
        let entry = |created| Entry {
            created,
            born: now,
            is_referenced: true,
        };
        if tree.insert(key, entry(created)).is_err() {
            tree.add(allocate_block(GFP_KERNEL)?);
            assert!(tree.insert(key, entry(created)).is_ok());
        }
        Ok(created)
    }

    fn set_unreferenced(tree: &mut OrderedTree<Entry>, key: u64) {
        if let Some(entry) = tree.get_mut(key) {
            entry.is_referenced = false;
        }
    }

    #[test]
    fn watchdog_counts_from_the_next_later_fence() -> Result {
        let mut tree = OrderedTree::new();
        assert_eq!(create(&mut tree, 10, 5)?, 10);
        assert_eq!(create(&mut tree, 60, 3)?, 10);
        assert_eq!(create(&mut tree, 70, 90)?, 70);
        assert_eq!(create(&mut tree, 80, 50)?, 70);
        assert_eq!(create(&mut tree, 90, 4)?, 10);
        assert_eq!(place_of(&mut tree, 4, 95), Place::Taken);
        Ok(())
    }

    #[test]
    fn unreferenced_fences_do_not_count() -> Result {
        let mut tree = OrderedTree::new();
        for (now, key) in [(10, 15), (20, 16), (30, 17)] {
            assert_eq!(create(&mut tree, now, key)?, now);
        }
        set_unreferenced(&mut tree, 15);
        set_unreferenced(&mut tree, 16);
        assert_eq!(create(&mut tree, 60, 13)?, 30);
        set_unreferenced(&mut tree, 13);
        assert_eq!(create(&mut tree, 70, 12)?, 30);
        set_unreferenced(&mut tree, 12);
        set_unreferenced(&mut tree, 17);
        assert_eq!(create(&mut tree, 80, 11)?, 80);
        // A fence that replaces an unreferenced one.
        assert_eq!(place_of(&mut tree, 15, 90), Place::Unreferenced(90));
        Ok(())
    }

    #[test]
    fn unreferenced_fence_after_many_others_counts() -> Result {
        let mut tree = OrderedTree::new();
        for key in 0..SKIPPED as u64 + 1 {
            create(&mut tree, 10 + key, 100 + key)?;
            set_unreferenced(&mut tree, 100 + key);
        }
        assert_eq!(
            place_of(&mut tree, 50, 1000),
            Place::Vacant(10 + SKIPPED as u64)
        );
        assert_eq!(place_of(&mut tree, 100, 1000), Place::Unreferenced(1000));
        Ok(())
    }

    #[test]
    fn no_fence_is_pending_for_longer_than_the_watchdog_allows() -> Result {
        let mut tree = OrderedTree::<Entry>::new();
        let (mut now, mut last, mut random) = (1u64, 0, 1u32);
        for _ in 0..1000 {
            // The low bits of this generator are not random.
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = u64::from(random >> 24);
            if tree.get_mut(key).is_none() {
                create(&mut tree, now, key)?;
            }
            now += u64::from(random >> 16) % 4;
            let mut emptied = [const { None }; 64];
            tree.remove_first(
                &mut emptied,
                |_, entry| entry.created + TIMEOUT <= now,
                |_, entry| {
                    let end = entry.created + TIMEOUT;
                    assert!(end >= last);
                    assert!(end <= entry.born + TIMEOUT);
                    last = end;
                },
            );
            let late =
                tree.find_map_from(0, |key, entry| (entry.born + TIMEOUT <= now).then_some(key));
            assert_eq!(late, None);
        }
        Ok(())
    }
}
