// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Pages that are one range of addresses in the kernel, and can be given to devices and to user space.
//!
//! C header: [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)

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
    error::to_result,
    mm::virt::VmaNew,
    page::PAGE_SIZE,
    prelude::*, //
};

/// Pages that are zero at first. What is in them is anybody's to change who has them mapped, at any time, so there are no
/// references to it.
///
/// # Invariants
///
/// `memory` has no elements, and room for `count` pages, which are its own.
pub(crate) struct Pages {
    memory: VVec<u8>,
    count: usize,
}

impl Pages {
    /// Allocates as many pages as `size` bytes need, which may be more than there are: that is not logged. Fails with `ENOMEM`,
    /// also for none.
    pub(crate) fn new(size: usize, flags: Flags) -> Result<Self> {
        let count = size.div_ceil(PAGE_SIZE);
        let bytes = count.checked_mul(PAGE_SIZE).ok_or(ENOMEM)?;
        if bytes == 0 {
            return Err(ENOMEM);
        }
        let memory = VVec::with_capacity(bytes, flags | __GFP_HIGHMEM | __GFP_NOWARN | __GFP_ZERO)?;
        // INVARIANT: There is room for that many, and `vmalloc()` deals in pages.
        Ok(Self { memory, count })
    }

    /// Returns how many pages there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns how many bytes that is.
    pub(crate) fn size(&self) -> usize {
        self.count * PAGE_SIZE
    }

    /// Returns the address of the first byte.
    pub(crate) fn address(&self) -> NonNull<u8> {
        // The pointer is that of a vector with memory, so it is not null.
        NonNull::new(self.memory.as_ptr().cast_mut()).unwrap_or(NonNull::dangling())
    }

    /// Returns C's `struct page`s, which stay valid as long as `self`.
    pub(crate) fn pages(&self) -> impl Iterator<Item = *mut bindings::page> + '_ {
        (0..self.count).map(|index| {
            // SAFETY: By the type invariants the page is there.
            unsafe { bindings::vmalloc_to_page(self.memory.as_ptr().add(index * PAGE_SIZE).cast()) }
        })
    }

    /// Makes those from `first` on the memory of a mapping. Fails with `EINVAL` if there are not as many, `ENOMEM`.
    ///
    /// The mapping holds the pages, which may outlive `self`.
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
            // SAFETY: The mapping is being set up and takes single pages; the address is in it. The core takes a reference to
            // the page, which is allocated in order 0 and has no other owner.
            to_result(unsafe { bindings::vm_insert_page(vma.as_ptr(), address, page) })?;
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
        assert!(pages.pages().next() != pages.pages().nth(1));
        Ok(())
    }

    #[test]
    fn memory_is_zero() -> Result {
        let pages = Pages::new(3 * PAGE_SIZE, GFP_KERNEL)?;
        for offset in 0..pages.size() {
            // SAFETY: It is inside, and nobody else has it.
            assert_eq!(unsafe { pages.address().add(offset).read() }, 0);
        }
        Ok(())
    }
}
