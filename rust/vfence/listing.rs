// SPDX-License-Identifier: GPL-2.0

//! The list of a device: its clients, their queues, and the timelines of sw_sync.
//!
//! The entries are found by debugfs, and when the device is lost. Creating and destroying a queue
//! takes the lock of the list, so a reader holds it only to find the next entry. The list may
//! change between two entries. A walk visits only entries that were in the list when it reached
//! their client. It therefore ends, however many queues are created meanwhile.

use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        new_mutex,
        Mutex, //
    },
};

/// The id of a client, and the id of one of its queues, or 0 for the client itself. Both increase,
/// and are not reused.
pub(crate) type ListingKey = (u64, u32);

/// The memory of an entry of a [`List`].
pub(crate) struct Listing<T>(RBTreeNode<ListingKey, T>);

impl<T> Listing<T> {
    /// Allocates an entry. Fails with `ENOMEM`.
    pub(crate) fn new(key: ListingKey, entry: T) -> Result<Self> {
        Ok(Self(RBTreeNode::new(key, entry, GFP_KERNEL_ACCOUNT)?))
    }
}

/// A list in the order of its keys.
#[pin_data]
pub(crate) struct List<T> {
    #[pin]
    entries: Mutex<RBTree<ListingKey, T>>,
}

impl<T: Unpin> List<T> {
    /// Returns an empty list.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            entries <- new_mutex!(RBTree::new(), "vfence_listed"),
        })
    }

    /// Adds an entry.
    pub(crate) fn insert(&self, listing: Listing<T>) {
        self.entries.lock().insert(listing.0);
    }

    /// Removes the entry with the key `key`.
    pub(crate) fn remove(&self, key: ListingKey) {
        let node = self.entries.lock().remove_node(&key);
        // Free the node, and perhaps the queue, with the lock released.
        drop(node);
    }

    /// Returns an iterator over copies of the entries, in the order of their keys.
    pub(crate) fn walk(&self) -> Walk<'_, T> {
        let entries = self.entries.lock();
        let newest = entries.cursor_back().map_or(0, |last| last.current().0 .0);
        Walk {
            list: self,
            newest,
            next: (0, 0),
            last: (0, 0),
        }
    }
}

/// The iterator of [`List::walk`].
pub(crate) struct Walk<'a, T> {
    list: &'a List<T>,
    /// The newest client to visit.
    newest: u64,
    /// The lowest key that the next entry may have.
    next: ListingKey,
    /// The last key to visit of the current client.
    last: ListingKey,
}

impl<T: Clone + Unpin> Iterator for Walk<'_, T> {
    type Item = (ListingKey, T);

    fn next(&mut self) -> Option<(ListingKey, T)> {
        let entries = self.list.entries.lock();
        loop {
            let cursor = entries.cursor_lower_bound(&self.next)?;
            let (&key, entry) = cursor.current();
            if key <= self.last {
                self.next = successor(key);
                return Some((key, entry.clone()));
            }
            let following = (key.0 + 1, 0);
            if key.0 == self.last.0 {
                // The client has created this queue since the walk reached the client.
                self.next = following;
            } else if key.0 <= self.newest {
                self.last = match entries.cursor_lower_bound(&following) {
                    Some(end) => *end.peek_prev()?.0,
                    None => *entries.cursor_back()?.current().0,
                };
            } else {
                return None;
            }
        }
    }
}

/// Returns the lowest key above `key`.
fn successor((client, queue): ListingKey) -> ListingKey {
    match queue.checked_add(1) {
        Some(queue) => (client, queue),
        None => (client + 1, 0),
    }
}

#[kernel::macros::kunit_tests(vfence_listing)]
mod tests {
    use super::*;
    use kernel::sync::Arc;

    /// Returns a list with the entries `keys`.
    fn list(keys: &[ListingKey]) -> Result<Arc<List<u32>>> {
        let list = Arc::pin_init(List::new(), GFP_KERNEL)?;
        add(&list, keys)?;
        Ok(list)
    }

    fn add(list: &List<u32>, keys: &[ListingKey]) -> Result {
        for &key in keys {
            list.insert(Listing::new(key, key.1)?);
        }
        Ok(())
    }

    #[test]
    fn entries_are_visited_in_the_order_of_their_keys() -> Result {
        let list = list(&[(2, 1), (1, 3), (7, 1), (1, 1), (2, u32::MAX), (3, 1)])?;
        let visited = [(1, 1), (1, 3), (2, 1), (2, u32::MAX), (3, 1), (7, 1)];
        assert!(list.walk().eq(visited.map(|key| (key, key.1))));
        let empty = self::list(&[])?;
        assert!(empty.walk().next().is_none());
        Ok(())
    }

    #[test]
    fn list_may_change_during_a_walk() -> Result {
        let list = list(&[(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (4, 1)])?;
        let mut walk = list.walk();
        assert_eq!(walk.next(), Some(((1, 1), 1)));
        // The entry that comes next, the last of its client, and all entries of a client.
        list.remove((1, 2));
        list.remove((1, 3));
        list.remove((2, 1));
        add(&list, &[(3, 2)])?;
        assert_eq!(walk.next(), Some(((3, 1), 1)));
        assert_eq!(walk.next(), Some(((3, 2), 2)));
        list.remove((3, 2));
        list.remove((4, 1));
        assert_eq!(walk.next(), None);
        Ok(())
    }

    #[test]
    fn walk_ends_although_entries_are_added() -> Result {
        let list = list(&[(1, 1), (2, 1)])?;
        let mut visited = 0;
        for ((client, queue), _) in list.walk() {
            visited += 1;
            add(&list, &[(client, queue + 1), (client + 2, 1)])?;
        }
        assert_eq!(visited, 2);
        Ok(())
    }
}
