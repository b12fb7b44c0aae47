// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A page of numbers that the kernel writes and user space reads.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

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

/// A page of 64-bit words that user space can map, and only read.
///
/// # Invariants
///
/// `words` is the address of `page`, which is accessed through nothing but atomics.
pub(crate) struct UserPage {
    page: Page,
    words: NonNull<Atomic<u64>>,
}

// SAFETY: The pointer is to the page that goes with it, which belongs to no thread.
unsafe impl Send for UserPage {}
// SAFETY: All accesses are atomic.
unsafe impl Sync for UserPage {}

impl UserPage {
    /// How many words there are.
    pub(crate) const WORDS: usize = PAGE_SIZE / size_of::<u64>();

    /// Allocates a page of zeroes, which is not in high memory whatever `flags` say. Fails with `ENOMEM`.
    pub(crate) fn new(flags: Flags) -> Result<Self> {
        let page = Page::alloc_page((flags & !__GFP_HIGHMEM) | __GFP_ZERO)?;
        // SAFETY: The page is valid; as it is not in high memory, it has an address.
        let words = unsafe { bindings::page_address(page.as_ptr()) };
        let words = NonNull::new(words.cast()).ok_or(ENOMEM)?;
        Ok(Self { page, words })
    }

    /// Returns the word with that index.
    pub(crate) fn word<const INDEX: usize>(&self) -> &Atomic<u64> {
        const { assert!(INDEX < Self::WORDS) };
        // SAFETY: The index is inside the page, which is initialised, aligned, lives as long as `self`, and is only accessed
        // through atomics: by the type invariants here, and user space cannot write it.
        unsafe { &*self.words.as_ptr().add(INDEX) }
    }

    /// Makes it the memory of a mapping, which then can neither be written nor executed, nor expanded.
    ///
    /// Fails with `EINVAL` if that is not of one page, or executable, with `EACCES` if it is writable, `ENOMEM`. The mapping
    /// holds the page, which may outlive `self`.
    pub(crate) fn map(&self, vma: &VmaNew) -> Result {
        if vma.end() - vma.start() != PAGE_SIZE {
            return Err(EINVAL);
        }
        vma.try_clear_maywrite().map_err(|_| EACCES)?;
        vma.try_clear_mayexec()?;
        vma.set_dontexpand();
        vma.set_mixedmap().vm_insert_page(vma.start(), &self.page)
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
