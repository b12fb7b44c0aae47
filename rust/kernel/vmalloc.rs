// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Pages with contiguous kernel addresses that devices and user space can map.
//!
//! C header: [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)
//!
//! The memory is a `VVec` of the `kernel` crate. Its `AsPageIter` needs exclusive access, which
//! pages that are mapped elsewhere never have again, so this file has an iterator of its own.

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    alloc::{
        flags::{
            __GFP_HIGHMEM,
            __GFP_NOWARN,
            __GFP_ZERO, //
        },
        Flags, //
    },
    mm::virt::VmaNew,
    page::{
        BorrowedPage,
        PAGE_SIZE, //
    },
    prelude::*, //
};

/// Pages that are zeroed at first.
///
/// Devices and user space may change their content at any time, so there are no references to it.
///
/// # Invariants
///
/// `memory` has no elements, and a capacity of `count` pages.
pub(crate) struct Pages {
    memory: VVec<u8>,
    count: usize,
}

impl Pages {
    /// Allocates the pages for `size` bytes. Fails with `ENOMEM`, also for 0 bytes; the failure is
    /// not logged.
    pub(crate) fn new(size: usize, flags: Flags) -> Result<Self> {
        let count = size.div_ceil(PAGE_SIZE);
        let bytes = count.checked_mul(PAGE_SIZE).ok_or(ENOMEM)?;
        if bytes == 0 {
            return Err(ENOMEM);
        }
        let memory = VVec::with_capacity(bytes, flags | __GFP_HIGHMEM | __GFP_NOWARN | __GFP_ZERO)?;
        // INVARIANT: `vmalloc()` allocates whole pages.
        Ok(Self { memory, count })
    }

    /// Returns the number of pages.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns the size in bytes.
    pub(crate) fn size(&self) -> usize {
        self.count * PAGE_SIZE
    }

    /// Returns the address of the first byte.
    pub(crate) fn address(&self) -> NonNull<u8> {
        // The pointer of a vector with a capacity is not null.
        NonNull::new(self.memory.as_ptr().cast_mut()).unwrap_or(NonNull::dangling())
    }

    /// Returns the pages.
    pub(crate) fn pages(&self) -> impl Iterator<Item = BorrowedPage<'_>> {
        (0..self.count).map(|index| {
            // SAFETY: By the type invariants the page exists.
            let page = unsafe {
                bindings::vmalloc_to_page(self.memory.as_ptr().add(index * PAGE_SIZE).cast())
            };
            // SAFETY: The pointer is not null for an address from `vmalloc()`, and the page is
            // freed with `self`.
            unsafe { BorrowedPage::from_raw(NonNull::new_unchecked(page)) }
        })
    }

    /// Maps the pages from `first` on at `vma`. Fails with `EINVAL` if `vma` extends beyond the
    /// last page, `ENOMEM`.
    ///
    /// The mapping holds references to the pages, which may outlive `self`.
    pub(crate) fn map(&self, vma: &VmaNew, first: usize) -> Result {
        let wanted = (vma.end() - vma.start()) / PAGE_SIZE;
        if first
            .checked_add(wanted)
            .is_none_or(|last| last > self.count)
        {
            return Err(EINVAL);
        }
        vma.set_dontexpand();
        let vma = vma.set_mixedmap();
        let addresses = (vma.start()..vma.end()).step_by(PAGE_SIZE);
        for (address, page) in addresses.zip(self.pages().skip(first)) {
            vma.vm_insert_page(address, &page)?;
        }
        Ok(())
    }
}

#[kernel::macros::kunit_tests(vfence_vmalloc)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up() -> Result {
        assert!(Pages::new(0, GFP_KERNEL).is_err());
        assert!(Pages::new(usize::MAX, GFP_KERNEL).is_err());
        assert_eq!(Pages::new(1, GFP_KERNEL)?.count(), 1);
        let pages = Pages::new(PAGE_SIZE + 1, GFP_KERNEL)?;
        assert_eq!((pages.count(), pages.size()), (2, 2 * PAGE_SIZE));
        assert_eq!(pages.pages().count(), 2);
        let page = |index| pages.pages().nth(index).map(|page| page.as_ptr());
        assert!(page(0) != page(1));
        Ok(())
    }

    #[test]
    fn memory_is_zero() -> Result {
        let pages = Pages::new(3 * PAGE_SIZE, GFP_KERNEL)?;
        for offset in 0..pages.size() {
            // SAFETY: The offset is within the pages, which nothing else accesses.
            assert_eq!(unsafe { pages.address().add(offset).read() }, 0);
        }
        Ok(())
    }
}
