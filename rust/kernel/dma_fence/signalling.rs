// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Lockdep's annotation of the path on which a published fence signals.
//!
//! C documentation: "fence signalling annotation" in
//! [`drivers/dma-buf/dma-fence.c`](srctree/drivers/dma-buf/dma-fence.c)

use crate::bindings;
use kernel::types::NotThreadSafe;

/// A section between publishing a fence and signalling it.
///
/// Lockdep reports operations in the section that could wait for a fence, and so deadlock: an
/// allocation that may reclaim memory, or a lock that is held elsewhere while waiting for a fence.
/// Without lockdep the section does nothing.
pub(crate) struct SignallingSection {
    cookie: bool,
    /// The annotation belongs to the task.
    _not_send: NotThreadSafe,
}

impl SignallingSection {
    /// Begins a section, which ends when the returned value is dropped. Sections may be nested.
    #[must_use = "the section ends immediately unless the value is kept"]
    pub(crate) fn begin() -> Self {
        Self {
            // SAFETY: The function only reads the state of the task and notes it in lockdep's.
            cookie: cfg!(CONFIG_LOCKDEP) && unsafe { bindings::dma_fence_begin_signalling() },
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for SignallingSection {
    fn drop(&mut self) {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: The cookie is from `begin()`, in the same task.
            unsafe { bindings::dma_fence_end_signalling(self.cookie) };
        }
    }
}

#[kernel::macros::kunit_tests(vfence_dma_fence_signalling)]
mod tests {
    use super::{
        super::fixture::pending_pair,
        *, //
    };
    use kernel::prelude::*;

    #[test]
    fn sections_nest() -> Result {
        let [first, second] = pending_pair()?;
        let outer = SignallingSection::begin();
        let inner = SignallingSection::begin();
        // Lockdep knows that the task is in a section.
        assert_eq!(inner.cookie, cfg!(CONFIG_LOCKDEP));
        let first = first.complete(Ok(()), 1);
        drop(inner);
        let second = second.complete(Err(EIO), 2);
        drop(outer);
        assert_eq!(first.result(), Ok(()));
        assert_eq!(second.result(), Err(EIO));
        Ok(())
    }
}
