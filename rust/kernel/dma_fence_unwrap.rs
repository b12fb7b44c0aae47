// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The fences that a fence stands for.
//!
//! C header: [`include/linux/dma-fence-unwrap.h`](srctree/include/linux/dma-fence-unwrap.h)

use super::dma_fence::Fence;
use crate::bindings;
use core::ptr::NonNull;
use kernel::sync::aref::ARef;

/// Returns the fences that `head` stands for.
///
/// Containers, `dma_fence_array` and `dma_fence_chain`, are taken apart; any other fence stands for
/// itself. Links of a chain that have signalled are left out, with their errors.
pub(crate) fn unwrap(head: &Fence) -> Unwrap<'_> {
    Unwrap { head, cursor: None }
}

/// Iterator over the fences that a fence stands for; made by [`unwrap`].
///
/// # Invariants
///
/// A `cursor` was initialised by `dma_fence_unwrap_first()`, and owns the reference in its `chain`,
/// which may be null.
pub(crate) struct Unwrap<'a> {
    head: &'a Fence,
    cursor: Option<bindings::dma_fence_unwrap>,
}

impl Iterator for Unwrap<'_> {
    type Item = ARef<Fence>;

    fn next(&mut self) -> Option<ARef<Fence>> {
        let fence = match &mut self.cursor {
            None => {
                // INVARIANT: It is initialised right here.
                let cursor = self.cursor.insert(bindings::dma_fence_unwrap::default());
                // SAFETY: The head is a valid fence; the cursor is ours to write to.
                unsafe { bindings::dma_fence_unwrap_first(self.head.as_raw(), cursor) }
            }
            Some(cursor) if cursor.chain.is_null() => return None,
            // SAFETY: By the type invariants the cursor was initialised; it is not at its end.
            Some(cursor) => unsafe { bindings::dma_fence_unwrap_next(cursor) },
        };
        let fence = NonNull::new(fence)?.cast::<Fence>();
        // SAFETY: Until the cursor moves on it holds a reference, in its `chain`, to the outermost container,
        // which holds one to what it contains, and so on down to this fence.
        Some(unsafe { fence.as_ref() }.into())
    }
}

impl Drop for Unwrap<'_> {
    fn drop(&mut self) {
        if let Some(cursor) = &self.cursor {
            // SAFETY: By the type invariants that reference is ours; null is allowed.
            unsafe { bindings::dma_fence_put(cursor.chain) };
        }
    }
}

#[kernel::macros::kunit_tests(vfence_dma_fence_unwrap)]
mod tests {
    use super::*;
    use crate::kernel_ext::{
        dma_fence::{
            fixture::pending,
            Context, //
        },
        dma_fence_array::array,
        dma_fence_chain::chain, //
    };
    use kernel::prelude::*;

    #[test]
    fn plain_fence_stands_for_itself() -> Result {
        let fence = pending()?;
        let mut leaves = unwrap(fence.fence());
        assert_eq!(
            leaves.next().map(|leaf| leaf.as_raw()),
            Some(fence.fence().as_raw())
        );
        assert!(leaves.next().is_none());
        assert!(leaves.next().is_none());
        // And a walk that is broken off gives back what it holds.
        drop(unwrap(fence.fence()).next());
        Ok(())
    }

    /// Asserts that `head` stands for exactly these fences, in this order.
    fn assert_leaves(head: &Fence, expected: &[&Fence]) {
        let mut leaves = unwrap(head);
        for fence in expected {
            let leaf = leaves.next();
            assert!(
                leaf.is_some_and(|leaf| leaf.as_raw() == fence.as_raw() && !leaf.is_container())
            );
        }
        assert!(leaves.next().is_none());
    }

    fn list(fences: &[&Fence]) -> Result<KVec<ARef<Fence>>> {
        let mut list = KVec::new();
        for fence in fences {
            list.push((*fence).into(), GFP_KERNEL)?;
        }
        Ok(list)
    }

    #[test]
    fn array_is_taken_apart_in_order() -> Result {
        let (one, two) = (pending()?, pending()?);
        let fences = [one.fence(), two.fence()];
        let array = array(list(&fences)?, Context::new(), 1)?;
        assert_leaves(&array, &fences);
        Ok(())
    }

    #[test]
    fn chain_is_taken_apart_from_its_end() -> Result {
        let (one, two) = (pending()?, pending()?);
        let first = chain(None, one.fence().into(), 1)?;
        let second = chain(Some(first), two.fence().into(), 2)?;
        assert_leaves(&second, &[two.fence(), one.fence()]);
        Ok(())
    }

    #[test]
    fn link_that_has_signalled_is_left_out() -> Result {
        let (one, two) = (pending()?, pending()?);
        let first = chain(None, one.fence().into(), 1)?;
        let second = chain(Some(first), two.fence().into(), 2)?;
        one.complete(Err(EIO), 1);
        assert_leaves(&second, &[two.fence()]);
        Ok(())
    }

    #[test]
    fn array_in_a_chain_is_taken_apart() -> Result {
        let (one, two, three) = (pending()?, pending()?, pending()?);
        let array = array(list(&[two.fence(), three.fence()])?, Context::new(), 1)?;
        let first = chain(None, one.fence().into(), 1)?;
        let second = chain(Some(first), array, 2)?;
        assert_leaves(&second, &[two.fence(), three.fence(), one.fence()]);
        Ok(())
    }

    #[test]
    fn what_was_taken_outlives_the_walk() -> Result {
        let (one, two) = (pending()?, pending()?);
        let array = array(list(&[one.fence(), two.fence()])?, Context::new(), 1)?;
        let mut leaves = unwrap(&array);
        let leaf = leaves.next().ok_or(EINVAL)?;
        drop(leaves);
        drop(array);
        assert_eq!(leaf.as_raw(), one.fence().as_raw());
        Ok(())
    }
}
