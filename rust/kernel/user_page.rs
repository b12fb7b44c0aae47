// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A page of counters that the kernel writes and user space maps read-only.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)
//!
//! A `Page` of the `kernel` crate can be mapped by user space, but its methods do not access its
//! memory atomically. If the core clears the mappings of a file (`unmap_mapping_range()`), the next
//! access of user space to a mapped `Page` raises `SIGBUS`. The page here is mapped again.

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    alloc::{
        flags::{
            __GFP_HIGHMEM,
            __GFP_ZERO, //
        },
        Flags, //
    },
    mm::virt::VmaNew,
    page::{
        Page,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::atomic::Atomic, //
};

/// A page of 64-bit words that user space can map read-only.
///
/// # Invariants
///
/// `words` is the address of `page`, which is accessed only through atomics.
pub(crate) struct UserPage {
    page: Page,
    words: NonNull<Atomic<u64>>,
}

// SAFETY: The pointer is to `page`, which any thread may access and free.
unsafe impl Send for UserPage {}
// SAFETY: All accesses are atomic.
unsafe impl Sync for UserPage {}

impl UserPage {
    /// The number of words.
    pub(crate) const WORDS: usize = PAGE_SIZE / size_of::<u64>();

    /// Allocates a zeroed page. Ignores `__GFP_HIGHMEM`. Fails with `ENOMEM`.
    pub(crate) fn new(flags: Flags) -> Result<Self> {
        let page = Page::alloc_page((flags & !__GFP_HIGHMEM) | __GFP_ZERO)?;
        // SAFETY: The page is valid. It is not in high memory, so it has an address.
        let words = unsafe { bindings::page_address(page.as_ptr()) };
        let words = NonNull::new(words.cast()).ok_or(ENOMEM)?;
        Ok(Self { page, words })
    }

    /// Returns the word at `INDEX`.
    pub(crate) fn word<const INDEX: usize>(&self) -> &Atomic<u64> {
        const { assert!(INDEX < Self::WORDS) };
        // SAFETY: The index is within the page, which is initialised and aligned, and lives as long
        // as `self`. By the type invariants the kernel accesses it only through atomics, and user
        // space cannot write it.
        unsafe { &*self.words.as_ptr().add(INDEX) }
    }

    /// Maps the page at `vma`, which becomes read-only, not executable and not expandable for good.
    ///
    /// Fails with `EINVAL` if `vma` is executable or is not one page, `EACCES` if it is writable.
    /// The mapping holds a reference to the page, which may outlive `self`.
    pub(crate) fn map(&self, vma: &VmaNew) -> Result {
        if vma.end() - vma.start() != PAGE_SIZE {
            return Err(EINVAL);
        }
        vma.try_clear_maywrite().map_err(|_| EACCES)?;
        vma.try_clear_mayexec()?;
        vma.set_dontexpand();
        let (vma, page) = (vma.as_ptr(), self.page.as_ptr());
        // SAFETY: The page is valid. The mapping is not published yet, so the fields may be set.
        // `close()` drops the reference to the page.
        unsafe {
            bindings::get_page(page);
            (*vma).vm_private_data = page.cast();
            (*vma).vm_ops = &Self::MAPPING_OPERATIONS;
        }
        Ok(())
    }

    const MAPPING_OPERATIONS: bindings::vm_operations_struct = bindings::vm_operations_struct {
        open: Some(Self::open),
        close: Some(Self::close),
        fault: Some(Self::fault),
        ..pin_init::zeroed()
    };

    /// Takes a reference to the page for a copy of a mapping.
    ///
    /// # Safety
    ///
    /// `vma` must be a copy of a mapping of [`Self::map`].
    unsafe extern "C" fn open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements of this function. The original has a reference.
        unsafe { bindings::get_page((*vma).vm_private_data.cast()) };
    }

    /// # Safety
    ///
    /// `vma` must be a mapping of [`Self::map`], or a copy for which [`Self::open`] was called. The
    /// function must be called once.
    unsafe extern "C" fn close(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements of this function.
        unsafe { bindings::put_page((*vma).vm_private_data.cast()) };
    }

    /// Returns the page to the core, which maps it.
    ///
    /// # Safety
    ///
    /// `fault` must be a fault in a mapping of [`Self::map`] or in a copy.
    unsafe extern "C" fn fault(fault: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By the safety requirements of this function the mapping has a reference to the
        // page. The core takes over another one.
        unsafe {
            let page = (*(*fault).__bindgen_anon_1.vma).vm_private_data.cast();
            bindings::get_page(page);
            (*fault).page = page;
        }
        0
    }
}

#[kernel::macros::kunit_tests(vfence_user_page)]
mod tests {
    use super::*;
    use kernel::sync::atomic::Relaxed;

    #[test]
    fn words_are_zero_and_distinct() -> Result {
        const LAST: usize = UserPage::WORDS - 1;
        let page = UserPage::new(GFP_KERNEL)?;
        assert_eq!(page.word::<0>().load(Relaxed), 0);
        assert_eq!(page.word::<LAST>().load(Relaxed), 0);
        page.word::<0>().store(1, Relaxed);
        page.word::<LAST>().store(2, Relaxed);
        assert_eq!(page.word::<0>().load(Relaxed), 1);
        assert_eq!(page.word::<1>().load(Relaxed), 0);
        assert_eq!(page.word::<LAST>().load(Relaxed), 2);
        Ok(())
    }
}
